"""Decoding, samples and what a generator is. Imports neither NumPy nor torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import attrs

from afterburn_core.probes.model import Message, Probe

Finish = Literal["stop", "length", "content_filter", "error"]
Template = Literal["auto", "chat", "plain"]


@attrs.frozen(kw_only=True)
class Decoding:
    """How tokens are chosen, the same for both sides."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    top_k: int = 0
    """0 is no limit."""
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    template: Template = "auto"
    """`auto`: the model's chat template if it has one; `plain`: the text of the last turns alone."""


@attrs.frozen(kw_only=True)
class Serving:
    """On what a model of this machine runs; served and recorded subjects have no use for it."""

    device: str = "cpu"
    dtype: str = "auto"
    """`auto`: as stored on a GPU, float32 on a CPU."""
    batch: int | None = None
    """Most rows decoded at once; `None` leaves it to the generator."""


@attrs.frozen(kw_only=True)
class Request:
    """One text to write."""

    probe: str
    """Id of the probe."""
    index: int
    """Number of the sample, from 0."""
    messages: tuple[Message, ...]
    seed: int
    """Seed of this sample alone; equal on both sides, so that equal models write equal texts."""
    turn: int = 0
    """How many answers of the model the conversation holds, 0 but for follow-ups."""
    choices: tuple[str, ...] = ()
    """Labels (`A`, `B` …) whose log-probability as the first token is wanted; empty where it is not."""


@attrs.frozen(kw_only=True)
class Sample:
    """One text that a model wrote."""

    index: int
    text: str
    tokens: int | None = None
    """Generated tokens up to the end mark, which does not count; `None` where nobody recorded them."""
    finish: Finish | None = None
    """`stop`: the model ended; `length`: it was cut. `None` where nobody recorded it."""
    logprob: float | None = None
    """Σ ln p of the generated tokens, the end mark included, under the decoding temperature 1, in nats."""
    token_ids: tuple[int, ...] | None = attrs.field(default=None, repr=False)
    """The generated tokens, the end mark excluded."""
    choice_logprobs: tuple[float, ...] | None = None
    """ln p of each wanted label as the first token."""
    seed: int | None = None
    replies: tuple[str, ...] = ()
    """Answers to the probe's follow-ups, in their order; fewer where the conversation ended before them."""
    reply_tokens: tuple[int | None, ...] = ()
    """Generated tokens of each reply, as `tokens`."""
    reply_finishes: tuple[Finish | None, ...] = ()
    """Why each reply ended, as `finish`."""
    scores: Mapping[str, float] = attrs.field(factory=dict)
    """What the user's scorers say of the text: `reward` is what training optimised, `gold` what it was meant to."""
    labels: Mapping[str, Any] = attrs.field(factory=dict)
    """What a recorded row says beyond these fields: human labels, scores, `is_correct`."""


@attrs.frozen(kw_only=True)
class Completed:
    """A request with its sample."""

    request: Request
    sample: Sample


@attrs.frozen(kw_only=True)
class GenerationFacts:
    """How a subject's texts come about, as far as it is known; what differs between the sides is a confound."""

    engine: str
    """`transformers 5.23.0`, `recorded`, the server's software."""
    template: str | None = None
    """`chat` or `plain`; `None` where it is unknown."""
    template_sha256: str | None = None
    tokenizer_sha256: str | None = None
    decoding: Mapping[str, Any] | None = None
    """Parameters in effect, by the names of `Decoding`; `None` where they are unknown."""
    context: int | None = None
    """Longest sequence of the model, in tokens."""
    properties: Mapping[str, Any] = attrs.field(factory=dict)
    """What only this backend knows: dtype, the model's name at the endpoint, `system_fingerprint`."""


class Generator(Protocol):
    """Writes texts. Made by `OpenSubject.generator(decoding, serving)`, closed by the pass.

    Weights are loaded when it is first asked to write.
    """

    @property
    def facts(self) -> GenerationFacts: ...

    def generate(self, requests: Sequence[Request]) -> Iterator[Completed]:
        """Every request's sample, in any order, each as soon as it is finished, none twice.

        Which requests share a batch depends on the requests alone, so that a run that was killed and goes on with
        the same list writes the same texts.

        Raises:
            SubjectError: a prompt cannot be asked of this model: longer than its context, roles its template refuses.
        """
        ...

    def groups(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """The requests in the groups that `generate` finishes together; a resumed run asks for whole groups."""
        ...

    def close(self) -> None:
        """Frees the model."""
        ...


@attrs.frozen(kw_only=True)
class Responses:
    """Both sides' answers to one probe: what the generation pass hands to analyzers."""

    probe: Probe
    base: tuple[Sample, ...]
    """Samples in the order of their index; empty where base has no answer."""
    trained: tuple[Sample, ...]
    controls: Mapping[str, tuple[Sample, ...]] = attrs.field(factory=dict)
    """Samples by the control's subject id."""
    facts: Mapping[str, GenerationFacts] = attrs.field(factory=dict, repr=False, eq=False)
    """How the texts came about, by subject id."""

    @property
    def paired(self) -> bool:
        """Whether both sides answered."""
        return bool(self.base) and bool(self.trained)

    def sides(self) -> Iterable[tuple[str, tuple[Sample, ...]]]:
        """`("base", samples)` and `("trained", samples)`."""
        return (("base", self.base), ("trained", self.trained))
