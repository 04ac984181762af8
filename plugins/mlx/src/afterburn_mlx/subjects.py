"""Subjects whose models MLX runs: files, weights and documents as the core opens them, readers and generators of MLX.

They are the core's checkpoints and adapters, so that whatever compares files treats them alike; what loads a network is
replaced. Nulls and steering are not offered, and the methods that the core would ask for them say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends import checkpoint
from afterburn_core.backends.adapter import read_adapter
from afterburn_core.backends.checkpoint import AdapterSubject, Checkpoint
from afterburn_core.backends.documents import FILES, read_json
from afterburn_core.backends.locate import locate
from afterburn_core.backends.tensors import WeightFile
from afterburn_core.backends.tensors_of_files import reader_of
from afterburn_core.errors import SubjectError
from afterburn_core.plugin.registry import Registry, load_factory
from afterburn_core.result.model import Role
from afterburn_core.run.digests import SubjectFile
from afterburn_core.run.needs import Capability
from afterburn_core.run.references import SubjectReference
from afterburn_core.run.subjects import OpenSubject, SubjectFacts
from afterburn_mlx.adapter_files import kind_of, peft_config, peft_view
from afterburn_mlx.availability import ADAPTER_FILE
from afterburn_mlx.families import refusal
from afterburn_mlx.plugin import NAME
from afterburn_mlx.switching import refusal as refusal_of_adapter

if TYPE_CHECKING:
    from afterburn_core.forward.reading import PairReader, Wanted
    from afterburn_core.generation.model import Decoding, Generator, Serving, Template
    from afterburn_core.run.needs import ControlKind, Drawn

_ON_MODEL: tuple[Capability, ...] = ("generate", "forward", "logits")
_NO_NULLS = "mlx.lm makes no changes at random"
_NO_STEERING = "mlx.lm blends and steers no models; leave --backend out"


class _OnMlx:
    """What checkpoints and adapters offer alike."""

    __slots__ = ()

    def pair_reader(
        self: Any, base: OpenSubject, *, serving: Serving, template: Template, wanted: Wanted, seed: int, **forced: Any
    ) -> PairReader:
        """Reads batches beside the base; see `forward.reading.Reads`."""
        from afterburn_mlx.reader import open_reader

        return open_reader(base, self, serving=serving, template=template, wanted=wanted, seed=seed, **forced)

    def null_refusal(self, base: OpenSubject, kind: ControlKind) -> str | None:
        """See `run.subjects.Perturbs`: there are none."""
        return _NO_NULLS

    def null_generators(
        self, base: OpenSubject, decoding: Decoding, serving: Serving, drawn: Sequence[Drawn]
    ) -> Sequence[Generator]:
        """See `run.subjects.Perturbs`.

        Raises:
            SubjectError: always.
        """
        raise SubjectError(_NO_NULLS)


@attrs.frozen(kw_only=True)
class MlxCheckpoint(_OnMlx, Checkpoint):
    """A model's own weights."""

    def generator(self, decoding: Decoding, serving: Serving | None = None) -> Generator:
        """Writes with this model; its weights are loaded at the first text."""
        from afterburn_mlx.generator import open_generators

        (own,) = open_generators(self, decoding, serving, adapted=(True,))
        return own


@attrs.frozen(kw_only=True)
class MlxAdapter(_OnMlx, AdapterSubject):
    """An adapter on a model that MLX runs, or on any opened base where only weights are compared."""

    own: bool
    """Whether mlx-lm saved it."""

    def generator(self, decoding: Decoding, serving: Serving | None = None) -> Generator:
        """Writes with the adapter on a base of its own."""
        from afterburn_mlx.generator import open_generators

        (own,) = open_generators(self, decoding, serving, adapted=(True,))
        return own

    def shared_generators(
        self, base: OpenSubject, decoding: Decoding, serving: Serving | None = None, drawn: Sequence[Drawn] = ()
    ) -> tuple[Generator, ...] | None:
        """Generators of the base and this adapter on one model in memory; `None` where the base would not be there."""
        from afterburn_mlx.generator import open_generators
        from afterburn_mlx.switching import toggles

        if drawn or base is not self.base or not toggles(self.source):
            return None
        return open_generators(self, decoding, serving, adapted=(False, True))


def open_subject(
    reference: SubjectReference, *, role: Role, base: OpenSubject | None, registry: Registry
) -> OpenSubject:
    """Opens what a reference names.

    A model or PEFT adapter beside a base that another backend opened is left to the core: one library runs both.

    Raises:
        SubjectError: nothing usable is there, or it is a model that MLX does not run.
    """
    path, revision = locate(reference)
    beside = base is None or isinstance(base, (MlxCheckpoint, MlxAdapter))
    if path.is_dir() and (path / "adapter_config.json").is_file() and (path / ADAPTER_FILE).is_file():
        return _open_adapter(reference, path, revision, role, base, registry)
    opened = checkpoint.open_subject(reference, role=role, base=base, registry=registry)
    if not beside:
        return opened
    try:
        return _on_mlx(opened, path)
    except BaseException:
        opened.close()
        raise


def _on_mlx(opened: OpenSubject, path: Path) -> OpenSubject:
    if isinstance(opened, AdapterSubject):
        reason = _adapter_refusal(opened.base, opened.source, own=False)
        return MlxAdapter(
            facts=_facts(opened.facts, reason),
            files=opened.files,
            source=opened.source,
            directory=opened.directory,
            base=opened.base,
            adapter_file=opened.adapter_file,
            own=False,
        )
    if not isinstance(opened, Checkpoint):
        raise SubjectError(f"{opened.facts.label}: mlx.lm opens directories and weight files; leave --backend out")
    reason = "a weight file alone is no model" if path.is_file() else _refusal(opened)
    if reason is not None and path.is_dir():
        raise SubjectError(f"{opened.facts.label}: {reason}; leave --backend out")
    return MlxCheckpoint(
        facts=_facts(opened.facts, reason),
        files=opened.files,
        source=opened.source,
        directory=opened.directory,
        network=opened.network,
        opened=opened.opened,
    )


def _refusal(opened: Checkpoint) -> str | None:
    return refusal(opened.directory, read_json(opened.directory / "config.json") or {})


def _adapter_refusal(base: OpenSubject, source: Any, *, own: bool) -> str | None:
    if not isinstance(base, MlxCheckpoint) or "forward" not in base.facts.capabilities:
        return "its base is no model that MLX runs"
    return refusal_of_adapter(source, own=own)


def _facts(facts: SubjectFacts, reason: str | None) -> SubjectFacts:
    """The facts of a subject that MLX runs, or that it does not for a reason."""
    files = tuple(c for c in facts.capabilities if c in {"documents", "weights", "lora"})
    if reason is not None:
        absent: dict[str, str] = dict.fromkeys((*_ON_MODEL, "steer", "encode"), reason)
        return attrs.evolve(facts, backend=NAME, capabilities=files, absent=absent)
    return attrs.evolve(facts, backend=NAME, capabilities=(*files, *_ON_MODEL), absent={"steer": _NO_STEERING})


def _open_adapter(
    reference: SubjectReference,
    path: Path,
    revision: str | None,
    role: Role,
    base: OpenSubject | None,
    registry: Registry,
) -> MlxAdapter:
    config = read_json(path / "adapter_config.json") or {}
    if base is None:
        if role == "base":
            raise SubjectError(f"{path}: is an adapter and cannot be the base; give the model it was trained on")
        raise SubjectError(f"{path}: is an adapter of {config.get('model')!r}; give its base with --base")
    weights = path / ADAPTER_FILE
    file: WeightFile = load_factory(reader_of(weights, registry))(weights)
    try:
        view = peft_view(path, config, file)
        source = read_adapter(path, peft_config(path, config), view, base.weights())
    except BaseException:
        file.close()
        raise
    description = {**source.description, "peft_type": f"mlx-lm {kind_of(config)}"}
    counts: Counter[str] = Counter()
    for info in view.tensors.values():
        counts[info.dtype] += info.numel
    facts = SubjectFacts(
        role=role,
        kind="adapter",
        label=reference.label,
        backend=NAME,
        capabilities=("documents", "weights", "lora"),
        bytes=weights.stat().st_size,
        tensors=len(view.tensors),
        parameters=counts.total(),
        dtypes=dict(sorted(counts.items())),
        architecture=base.facts.architecture,
        model_type=base.facts.model_type,
        revision=revision,
        properties=description,
    )
    names = dict.fromkeys((ADAPTER_FILE, *FILES))
    files = tuple(SubjectFile(path=path / name, relative=name) for name in names if (path / name).is_file())
    return MlxAdapter(
        facts=_facts(facts, _adapter_refusal(base, source, own=True)),
        files=files,
        source=source,
        directory=path,
        base=base,
        adapter_file=view,
        own=True,
    )
