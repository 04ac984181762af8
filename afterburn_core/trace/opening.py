"""Opens a finished run's models again, and proves that they are the ones its document speaks of."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import attrs

from afterburn_core.backends.locate import adapter_base
from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.generation.model import Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import Result, Subject
from afterburn_core.run.configuration import Settings, structure
from afterburn_core.run.digests import combined_digest, digest_files
from afterburn_core.run.executor import available_cores
from afterburn_core.run.progress import Progress
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import OpenSubject, open_subject
from afterburn_core.trace.reopen import read_reopening

if TYPE_CHECKING:
    from afterburn_core.forward.live import Live
    from afterburn_core.forward.reading import PairReader, Reads, Steers


@attrs.frozen(kw_only=True)
class Reopened:
    """A run's models, opened, and what the run was told."""

    base: OpenSubject
    trained: OpenSubject
    settings: Settings
    subjects: dict[str, Subject]
    """Of the document, by role."""

    def live(self, serving: Serving) -> Live:
        """Both in memory.

        Raises:
            SubjectError: they cannot be blended.
        """
        steers = cast("Steers", self.trained)
        return steers.live(self.base, serving=serving, template=self.settings.template, seed=self.settings.seed)

    def reader(self, serving: Serving) -> PairReader:
        """What knows the pair's tokenizer and template; it loads no weights."""
        from afterburn_core.forward.reading import Wanted

        return cast("Reads", self.trained).pair_reader(
            self.base,
            serving=serving,
            template=self.settings.template,
            wanted=Wanted(logits=True, sites=()),
            seed=self.settings.seed,
        )

    def close(self) -> None:
        self.trained.close()
        self.base.close()


def settings_of(directory: Path, result: Result, *, base: str | None, trained: str | None) -> Settings:
    """How the run was called, with the models named anew where they are.

    Raises:
        ConfigError: the run keeps no names of its models, and none are given.
    """
    kept = read_reopening(directory)
    settings = kept or structure(_from_document(result), Settings, "result.json")
    settings = attrs.evolve(settings, base=base or settings.base, trained=trained or settings.trained)
    if settings.trained is None:
        raise ConfigError(
            f"{directory}: keeps no {'models' if kept is None else 'trained model'} to open again; "
            "name them with --base and --trained"
        )
    return settings


def reopen(settings: Settings, result: Result, registry: Registry, progress: Progress) -> Reopened:
    """Opens both models.

    Raises:
        ConfigError: the run compared no two models.
        SubjectError: a model is gone, has changed since, or has no weights that can be blended.
    """
    subjects = {subject.id: subject for subject in result.subjects if subject.id in {"base", "trained"}}
    if len(subjects) != 2:
        raise ConfigError("this run did not compare one base with one trained model; trace a run of `diagnose`")
    for role, subject in subjects.items():
        if subject.kind not in {"checkpoint", "adapter"}:
            raise SubjectError(
                f"{role} {subject.label!r} is {_without_weights(subject.kind)}; there is nothing to trace"
            )
    trained_text = settings.trained or ""
    trained_reference = parse_reference(trained_text)
    base_text = settings.base or adapter_base(trained_reference)
    if base_text is None:
        raise ConfigError("no base model; give it with --base (only an adapter can name its own)")
    base_reference = attrs.evolve(parse_reference(base_text), cached_only=settings.base is None)
    base = open_subject(base_reference, "base", registry, backend=settings.backend)
    try:
        trained = open_subject(trained_reference, "trained", registry, backend=settings.backend, base=base)
        try:
            if "steer" not in trained.facts.capabilities:
                raise SubjectError(
                    f"trained {trained.facts.label!r}: its weights cannot be put back in place while it runs (no "
                    "capability `steer`); trace transformers checkpoints or adapters"
                )
            _require_same((base, trained), subjects, progress)
            return Reopened(base=base, trained=trained, settings=settings, subjects=subjects)
        except BaseException:
            trained.close()
            raise
    except BaseException:
        base.close()
        raise


def device_of(name: str) -> str:
    """The torch device of a setting: `auto` takes a GPU where there is one."""
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _require_same(opened: tuple[OpenSubject, OpenSubject], subjects: dict[str, Subject], progress: Progress) -> None:
    """Refuses models that are not those of the document.

    Raises:
        SubjectError: a file was changed, added or removed.
    """
    files = [file for subject in opened for file in subject.files]
    progress.begin("hashing files", sum(os.stat(file.path).st_size for file in files), "bytes")
    advance: Callable[[int], None] = progress.advance
    try:
        groups = digest_files(*(subject.files for subject in opened), threads=available_cores(), advance=advance)
    finally:
        progress.end()
    for subject, digests in zip(opened, groups, strict=True):
        expected = subjects[subject.facts.role]
        if combined_digest(digests) == expected.digest:
            continue
        ours = {digest.path: digest.sha256 for digest in digests}
        theirs = {digest.path: digest.sha256 for digest in expected.files}
        differing = sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))
        named = f" ({', '.join(differing[:3])}{' …' if len(differing) > 3 else ''})" if differing else ""
        raise SubjectError(
            f"{expected.role} {subject.facts.label!r} is not the model of this run{named}; name the right one with "
            f"--{expected.role}, or compare the models as they are now with a new run"
        )


def _without_weights(kind: str) -> str:
    return {"recorded": "a recording without weights", "api": "a model behind an endpoint"}.get(kind, f"of kind {kind}")


def _from_document(result: Result) -> dict[str, object]:
    """What the document knows of how the run was called: everything but places on a machine."""
    known = result.run.configuration
    values: dict[str, object] = {"seed": result.run.seed}
    for name in ("preset", "samples", "dtype", "batch_size", "allow_code_execution"):
        if known.get(name) is not None:
            values[name] = known[name]
    if isinstance(known.get("suite"), list):
        values["suite"] = tuple(known["suite"])
    if isinstance(known.get("options"), dict):
        values["options"] = known["options"]
    decoding = known.get("decoding")
    if isinstance(decoding, dict):
        values.update(decoding)
    return values
