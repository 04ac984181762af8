"""What the factories in specs return, as protocols: nobody inherits from the core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import attrs

from afterburn_core.judge.evidence import Evidence
from afterburn_core.probes.model import Message
from afterburn_core.result.model import Finding, Measurement, Notification, Subject

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class ArtifactPayload:
    """A file an analyzer wants kept beside the document."""

    id: str
    """Unique in the run, `<plugin>.<noun_phrase>`; also the file's stem."""
    suffix: str
    """With its dot: `.json`, `.safetensors`."""
    media_type: str
    summary: str
    content: bytes


@attrs.frozen(kw_only=True)
class AnalyzerContext:
    """What an analyzer may know before the first observation."""

    subjects: tuple[Subject, ...]
    seed: int
    """The analyzer's own child seed; the only randomness it may use."""
    device: str = "cpu"
    excerpts: bool = True
    """False when texts of files, prompts and outputs must appear in no measurement and no artifact."""
    ask: Callable[[Sequence[Sequence[Message]]], Sequence[str]] | None = attrs.field(default=None, eq=False)
    """The judge that the user named: from conversations to replies in their order, all in one call. Only for use in
    `finish`, and only by analyzers whose need says `judge`."""
    documents: Callable[[str, str], Mapping[str, Any] | None] = attrs.field(default=lambda role, name: None, eq=False)
    """A parsed document by role and name (`run.needs.DOCUMENTS`), `None` where the subject has none:
    `context.documents("base", "config")`."""


@attrs.frozen(kw_only=True)
class AnalyzerOutput:
    """What an analyzer found: numbers with uncertainty, files, remarks."""

    measurements: tuple[Measurement, ...] = ()
    artifacts: tuple[ArtifactPayload, ...] = ()
    notifications: tuple[Notification, ...] = ()


class Analyzer(Protocol):
    """An accumulator over the observations of a pass.

    `observe` is called once per observation, in any order, by one thread per instance; `merge` takes in another
    instance that saw other observations, and gives the same output as one instance that saw all of them.
    """

    def begin(self, context: AnalyzerContext) -> None: ...

    def observe(self, item: Any) -> None: ...

    def merge(self, other: Any) -> None: ...

    def finish(self) -> AnalyzerOutput: ...


Detector = Callable[[Evidence], Iterable[Finding | Measurement]]
"""Findings, and measurements of the metrics its spec declares, in any order."""


class Executor(Protocol):
    """Runs tasks on `workers` workers; worker `i` never runs two tasks at once."""

    @property
    def workers(self) -> int: ...

    def run(self, tasks: Sequence[T], work: Callable[[int, T], None]) -> Literal["done", "interrupted"]:
        """Calls `work(worker, task)` for every task. The first exception stops the rest and is raised.

        Ctrl-C ends it with `interrupted` after the tasks under way have finished.
        """


class Signer(Protocol):
    """Holds a key on P-256, or reaches the machine that does."""

    @property
    def public_key(self) -> EllipticCurvePublicKey: ...

    def sign(self, data: bytes) -> bytes:
        """The ECDSA signature over SHA-256 of `data`, in DER. `data` is not hashed yet."""


OptionValues = Mapping[str, Any]
