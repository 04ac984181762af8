"""Subjects as the runner sees them: opened by a backend, described without reading weights, identified by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

from afterburn_core.backends.tensors import WeightSource
from afterburn_core.errors import PluginError, SubjectError
from afterburn_core.plugin.registry import Registry, load_factory
from afterburn_core.result.model import FileDigest, Role, Subject, SubjectKind
from afterburn_core.run.digests import SubjectFile, combined_digest
from afterburn_core.run.needs import Capability, ControlKind, Drawn
from afterburn_core.run.references import SubjectReference

if TYPE_CHECKING:
    from afterburn_core.generation.model import Decoding, Generator, Serving
    from afterburn_core.probes.model import Probe


@attrs.frozen(kw_only=True)
class SubjectFacts:
    """What is known of a subject from its file headers and configuration alone; the planner's input."""

    role: Role
    kind: SubjectKind
    label: str
    backend: str
    capabilities: tuple[Capability, ...]
    bytes: int
    """Size of the weight files."""
    tensors: int
    parameters: int
    """Parameters stored, shared storage counted once."""
    dtypes: Mapping[str, int] = attrs.field(factory=dict)
    """Parameters by stored dtype."""
    architecture: str | None = None
    model_type: str | None = None
    revision: str | None = None
    properties: Mapping[str, Any] = attrs.field(factory=dict)
    absent: Mapping[str, str] = attrs.field(factory=dict)
    """Why a capability is not offered, by capability, where the backend knows better than the planner."""
    gram_flop: float = 0.0
    """Σ 2·m·n·min(m, n) over its matrices: what one set of Gram matrices costs."""
    eigen_flop: float = 0.0
    """Σ 4/3·min(m, n)³: what their eigenvalues cost."""


class OpenSubject(Protocol):
    """What a backend's factory returns."""

    @property
    def facts(self) -> SubjectFacts: ...

    @property
    def files(self) -> Sequence[SubjectFile]:
        """Every file whose content can influence the result."""
        ...

    def weights(self) -> WeightSource:
        """All tensors under one namespace. Asked for only if `weights` is among the capabilities."""
        ...

    def documents(self) -> Mapping[str, Mapping[str, Any] | None]:
        """Parsed configuration files by document name (`run.needs.DOCUMENTS`)."""
        ...

    def close(self) -> None: ...


class Writes(Protocol):
    """What a subject offers besides if `generate` is among its capabilities."""

    def generator(self, decoding: Decoding, serving: Serving) -> Generator: ...


@runtime_checkable
class Recorded(Protocol):
    """What a subject of recorded outputs offers besides: it answers its own prompts and no others."""

    def probes(self) -> Sequence[Probe]:
        """The prompts it has answers to, in their order."""
        ...

    @property
    def samples_per_prompt(self) -> int:
        """The most samples that any prompt has."""
        ...


@runtime_checkable
class Perturbs(Protocol):
    """What a trained subject offers besides if nulls of it can write: its change of the base, drawn at random."""

    def null_refusal(self, base: OpenSubject, kind: ControlKind) -> str | None:
        """Why no null of a kind can be made of the pair; `None` where it can. From files alone."""
        ...

    def null_generators(
        self, base: OpenSubject, decoding: Decoding, serving: Serving, drawn: Sequence[Drawn]
    ) -> Sequence[Generator]:
        """A generator for each null, in the order given; the pass uses and closes one after the other.

        A trained subject with `shared_generators` on one resident model may take `drawn` there as well.
        """
        ...


def open_subject(
    reference: SubjectReference,
    role: Role,
    registry: Registry,
    *,
    backend: str | None = None,
    base: OpenSubject | None = None,
) -> OpenSubject:
    """Opens a subject with the named backend, or with the one that plugins and core choose for it.

    Args:
        reference: the parsed name.
        role: what the subject is in this run.
        registry: where backends are looked up.
        backend: name of a backend; absent or `auto` means automatic.
        base: the opened base, for a trained subject that is an adapter on it.

    Raises:
        PluginError: no such backend, or it cannot run here.
        SubjectError: the subject cannot be opened.
    """
    name = registry.select_backend(reference) if backend in (None, "auto") else backend
    spec = registry.get("backend", name).spec
    if spec.available is not None:
        missing = load_factory(spec.available)()
        if missing:
            raise PluginError(f"backend {name!r} cannot run here: {missing}")
    opened: OpenSubject = load_factory(spec.factory)(reference, role=role, base=base, registry=registry)
    return opened


def describe(facts: SubjectFacts, files: Sequence[FileDigest], *, base: str | None = None) -> Subject:
    """The subject's entry in the document."""
    return Subject(
        id=facts.role,
        role=facts.role,
        kind=facts.kind,
        label=facts.label,
        digest=combined_digest(files) if files else _digest_of_facts(facts),
        backend=facts.backend,
        revision=facts.revision,
        architecture=facts.architecture,
        model_type=facts.model_type,
        parameters=facts.parameters,
        dtypes=facts.dtypes,
        base=base,
        files=tuple(files),
        properties=facts.properties,
    )


def _digest_of_facts(facts: SubjectFacts) -> str:
    """Identity of a subject without files: what its backend says of it."""
    stated = {"kind": facts.kind, "label": facts.label, "backend": facts.backend, "properties": dict(facts.properties)}
    return hashlib.sha256(json.dumps(stated, sort_keys=True, default=str).encode()).hexdigest()


def require_comparable(base: SubjectFacts, trained: SubjectFacts, matched: int) -> None:
    """Refuses a pair that has nothing in common.

    Raises:
        SubjectError: no tensor of the two could be compared.
    """
    if matched == 0:
        raise SubjectError(
            f"nothing to compare: base {base.label!r} is {base.architecture or 'of unknown architecture'}, trained "
            f"{trained.label!r} is {trained.architecture or 'of unknown architecture'}, and they share no tensor of "
            "equal shape; give a trained model that started from this base"
        )
