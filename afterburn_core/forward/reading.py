"""How the forward pass gets at models: what a backend offers besides if `forward` is among its capabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from afterburn_core.run.needs import ControlKind, Drawn

if TYPE_CHECKING:
    import torch

    from afterburn_core.forward.encoded import Encoded, Packed
    from afterburn_core.forward.live import Live
    from afterburn_core.generation.model import Serving, Template
    from afterburn_core.probes.model import Probe
    from afterburn_core.run.progress import Progress
    from afterburn_core.run.subjects import OpenSubject


@attrs.frozen(kw_only=True)
class Wanted:
    """What the analyzers of a run need of every batch, together."""

    logits: bool
    sites: tuple[str, ...]
    """Patterns with `*` for the number of the block."""
    controls: tuple[ControlKind, ...] = ()
    """One null of each kind, read with every batch."""
    drawn: tuple[Drawn, ...] = ()
    """Further nulls, which are read one at a time (`PairReader.read_drawn`)."""
    readout: bool = False
    """Whether readings of the trained model are wanted with its head (`SideReading.readout`)."""
    only: Literal["base", "trained"] | None = None
    """The one side whose activations are looked at. A reader may leave the other unread, and `read` gives this alone;
    one that reads both all the same is slower and not wrong."""


class SideReading(Protocol):
    """One subject's reading of one batch, valid until the next batch is read."""

    @property
    def sites(self) -> Mapping[str, torch.Tensor]:
        """(n, d) float32 by site, at the rows of the batch (`forward.model.Rows`)."""
        ...

    @property
    def approximate(self) -> bool:
        """Whether `log_probs` come from a sketch."""
        ...

    @property
    def readout(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """See `forward.model.ForwardBatch.readout`; `None`, or absent, where the reader does not offer it."""
        ...

    def log_probs(self, index: torch.Tensor) -> torch.Tensor:
        """(m, V) float32 log-probabilities after the rows `index` (m), over the tokens that all subjects share."""
        ...

    def bound(self, index: torch.Tensor, trained: torch.Tensor) -> torch.Tensor | None:
        """(m) largest error of KL(trained‖this) that the sketch can make, given `trained` (m, V); `None` if exact."""
        ...


class PairReader(Protocol):
    """All subjects of a run, ready to read the same batches.

    How they share the memory is its own affair: adapters switched on one resident model, two models side by side, or
    one after the other with the base's captures on disk.
    """

    @property
    def subjects(self) -> tuple[str, ...]:
        """`base`, `trained`, and an id for every control that the trained model allows: `control:scrambled`."""
        ...

    @property
    def drawn(self) -> tuple[str, ...]:
        """Ids of the further nulls that can be read now."""
        ...

    @property
    def waiting(self) -> tuple[Drawn, ...]:
        """Those that have to be read with another reader, because memory holds no more of them at once."""
        ...

    @property
    def tokenizer(self) -> Any:
        """The tokenizer whose ids both sides read."""
        ...

    @property
    def mode(self) -> Literal["chat", "plain"]:
        """Whether prompts go through the chat template."""
        ...

    @property
    def device(self) -> str: ...

    @property
    def layers(self) -> int: ...

    @property
    def vocabulary(self) -> int:
        """V: tokens that all subjects share."""
        ...

    @property
    def context(self) -> int | None:
        """Longest sequence that all subjects read, in tokens; `None` where their configurations set no limit."""
        ...

    @property
    def arrangement(self) -> Literal["adapter", "side_by_side", "in_turn"]:
        """How base and trained share the memory."""
        ...

    @property
    def properties(self) -> Mapping[str, Any]:
        """For the document: dtype, arrangement, where the head was computed, the sketch's size."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know: a control that is not offered and why, tokens that only one side has."""
        ...

    def prepare(self, batches: Sequence[Packed], wanted: Wanted, progress: Progress) -> None:
        """Called once before the first batch. A reader that takes the models in turn reads all with the base here."""
        ...

    def read(self, batch: Packed) -> Mapping[str, SideReading]:
        """The batch as every subject reads it, by subject id; without the further nulls."""
        ...

    def read_drawn(self, batch: Packed, name: str) -> SideReading:
        """The batch as one of the further nulls reads it. What `read` gave of the same batch stays valid."""
        ...

    def close(self) -> None:
        """Frees the models and removes what was spilled."""
        ...


class Reads(Protocol):
    """What a trained subject offers besides if `forward` is among its capabilities."""

    def pair_reader(
        self,
        base: OpenSubject,
        *,
        serving: Serving,
        template: Template,
        wanted: Wanted,
        seed: int,
    ) -> PairReader:
        """Reads pairs; weights are loaded at `prepare`.

        Raises:
            SubjectError: the two cannot read the same tokens, or a chat template is asked for and there is none.
        """
        ...


class Steers(Protocol):
    """What a trained subject offers besides if `steer` is among its capabilities."""

    def live(
        self,
        base: OpenSubject,
        *,
        serving: Serving,
        template: Template,
        seed: int,
        passages: Sequence[Encoded] = (),
        prompts: Sequence[Probe] = (),
    ) -> Live:
        """Both models in memory. The caller closes the subject's models with `close()` of the returned object.

        Args:
            base: the opened base.
            serving: device and dtype.
            template: how conversations are put.
            seed: of what is drawn, such as starting directions of a decomposition.
            passages: texts of the forward pass that analyzers may read again, in the tokens of these models.
            prompts: questions of the run that analyzers may ask again.

        Raises:
            SubjectError: the two cannot be blended, or do not fit into memory side by side.
        """
        ...


class Encodes(Protocol):
    """What a subject offers besides if `encode` is among its capabilities."""

    def vectors(
        self, texts: Sequence[str], kinds: Sequence[str], *, serving: Serving, layers: bool, progress: Progress
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor], Mapping[str, Any]]:
        """Pooled vectors (N, d) float32, mean-pooled block outputs by site, and how it pools. See `Vectors`."""
        ...
