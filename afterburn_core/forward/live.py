"""Both models in memory, to be asked, mixed, edited and steered: what the live pass hands to analyzers, once.

Weights are spoken of as *blends*: W = W_base + λ·Δ with a λ per module, Δ perhaps truncated to its leading singular
directions. `BASE` is λ = 0 everywhere, `TRAINED` λ = 1. Blends of adapters are computed from the dense change of every
module, so that every kind of adapter and every full fine-tune can be blended alike.

This module imports neither NumPy nor torch at run time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, Protocol

import attrs

if TYPE_CHECKING:
    import torch

    from afterburn_core.forward.encoded import Encoded
    from afterburn_core.generation.model import Decoding, Generator
    from afterburn_core.probes.model import Message, Probe

Part = Literal["attention", "mlp", "norm", "embed", "head", "other"]


@attrs.frozen(kw_only=True)
class Place:
    """One parameter that training changed."""

    name: str
    """Canonical name, as `Scope.tensor` has it."""
    layer: int | None
    part: Part
    shape: tuple[int, ...]
    norm: float
    """‖Δ‖_F."""


@attrs.frozen(kw_only=True)
class Blend:
    """W_base + λ·Δ, with λ by name of the parameter."""

    default: float = 1.0
    """λ of every changed parameter that `scales` does not name."""
    scales: Mapping[str, float] = attrs.field(factory=dict)
    rank: int | None = None
    """Keep only so many leading singular directions of every matrix Δ; vectors stay whole. `None` keeps all."""
    scramble: int | None = None
    """Seed by which the rows and the columns of every Δ are permuted: a change of the same size and the same singular
    values that knows nothing. `None` leaves it as trained."""


BASE = Blend(default=0.0)
TRAINED = Blend(default=1.0)


@attrs.frozen(kw_only=True, eq=False)
class Steer:
    """Adds `vector` to the activations at a site, at every position that is not padding."""

    site: str
    vector: torch.Tensor
    """(d)."""


@attrs.frozen(kw_only=True, eq=False)
class Replace:
    """Puts `vector` in place of the activation at one site and position of every sequence."""

    site: str
    position: int
    """From the sequence's start; negative from its end."""
    vector: torch.Tensor
    """(d), or (B, d) with a vector of its own for every sequence."""


@attrs.frozen(kw_only=True, eq=False)
class Project:
    """Removes the component along `direction` at a site at every position, and puts `mean` along it instead."""

    site: str
    direction: torch.Tensor
    """(d), of length 1."""
    mean: float = 0.0


Edit = Steer | Replace | Project


@attrs.frozen(kw_only=True)
class Mixture:
    """Next tokens from ln p_trained + α·(ln p_trained − ln p_base), where p_trained ≥ plausible · max p_trained.

    α = 0 is the trained model and, with `plausible` 0, −1 the base.
    """

    alpha: float
    plausible: float = 0.1
    toward: Blend = TRAINED
    """What stands for the trained model, such as its change scrambled."""


@attrs.frozen(kw_only=True)
class Written:
    """A text written from token ids."""

    token_ids: tuple[int, ...]
    """Without the end mark."""
    text: str
    ended: bool
    trained_logprob: float
    """Σ ln p_trained of the tokens written, the end mark included; of the models as they are, unedited."""
    base_logprob: float


class Live(Protocol):
    """The pair, resident. Blends and edits last for one call; afterwards the models are what they were."""

    @property
    def passages(self) -> Sequence[Encoded]:
        """Some of the texts that the forward pass read, at most a few dozen; empty where it read none."""
        ...

    @property
    def prompts(self) -> Sequence[Probe]:
        """Some of the run's questions, at most a few dozen; empty where it asked none."""
        ...

    @property
    def places(self) -> Sequence[Place]:
        """Every parameter that training changed, in the order of the network; empty for equal models."""
        ...

    @property
    def layers(self) -> int: ...

    @property
    def width(self) -> int:
        """d of the residual stream."""
        ...

    @property
    def vocabulary(self) -> int: ...

    @property
    def end_marks(self) -> frozenset[int]: ...

    def encode(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Token ids of plain text; `special` adds the beginning mark where the tokenizer does."""
        ...

    def encode_chat(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Token ids of a conversation up to where the answer begins, by the template of the run, or plain."""
        ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def spelling(self, token: int) -> str:
        """How one token reads in running text, with the space before it where it has one."""
        ...

    def log_probs(
        self, sequences: Sequence[Sequence[int]], *, blend: Blend = TRAINED, edits: Sequence[Edit] = ()
    ) -> Iterator[torch.Tensor]:
        """For every sequence in order, the log-probabilities (T, V) float32 after each of its T tokens."""
        ...

    def activations(
        self,
        sequences: Sequence[Sequence[int]],
        sites: Sequence[str],
        *,
        blend: Blend = TRAINED,
        edits: Sequence[Edit] = (),
    ) -> Iterator[Mapping[str, torch.Tensor]]:
        """For every sequence in order, its activations (T, d) float32 by site."""
        ...

    def readout(self, states: torch.Tensor, *, blend: Blend = TRAINED, normed: bool = False) -> torch.Tensor:
        """Logits (n, V) float32 of residual states (n, d): through the final norm (unless `normed`) and the head."""
        ...

    def write(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        seeds: Sequence[int],
        temperature: float = 0.0,
        mixture: Mixture | None = None,
        blend: Blend = TRAINED,
        edits: Sequence[Edit] = (),
    ) -> Sequence[Written]:
        """One text per prompt, in batches with a cache; a seed per prompt. `mixture` excludes `blend` and `edits`."""
        ...

    def generator(self, decoding: Decoding, blend: Blend) -> Generator:
        """A generator of the blended model, as the generation pass uses it; behaviour of it is measured as ever."""
        ...

    def close(self) -> None:
        """Frees the models."""
        ...

    def blended(self, blend: Blend) -> AbstractContextManager[None]:
        """Holds a blend over several calls that name the same one, so that it is not computed for each."""
        ...
