"""What a certificate is made from: a run's document judged on the day of issue, and the models' files hashed again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import attrs

from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.manifest import Manifest, scan_files
from afterburn_core.certify.paths import ListedFile, listed
from afterburn_core.certify.predicate import Audited
from afterburn_core.certify.predicate_models import ModelFiles, require_same_files
from afterburn_core.certify.tensors import read_tensors
from afterburn_core.errors import AfterburnError, ConfigError, SubjectError
from afterburn_core.judge.policy import Policy, policy_of
from afterburn_core.judge.rejudge import rejudge
from afterburn_core.judge.settle import required_by
from afterburn_core.plugin.registry import Registry
from afterburn_core.result import codec
from afterburn_core.result.model import Finding, Result, Subject
from afterburn_core.result.view import ResultView
from afterburn_core.run.digests import FileState, file_state
from afterburn_core.run.directory import directory_of, result_path
from afterburn_core.run.progress import Progress

_RUN_AGAIN = "run `afterburn diagnose` on the model's own files"


@attrs.frozen(kw_only=True)
class Source:
    """A model's files, hashed, with the states they were in before."""

    files: ModelFiles
    states: tuple[tuple[ListedFile, FileState], ...] = ()

    def require_unchanged(self) -> None:
        """Refuses files that something wrote to since they were listed.

        Raises:
            Invalid: `model.changed_while_read`.
            SubjectError: one is gone.
        """
        for file, state in self.states:
            if file_state(file.path) != state:
                raise Invalid(
                    "model.changed_while_read",
                    f"{file.relative}: changed while the certificate was being made; sign when nothing writes to it",
                )


def read_run(run: Path) -> tuple[Result, bytes, Path]:
    """The document of a run, its bytes and its directory.

    Raises:
        ConfigError: there is none.
        AfterburnError: it cannot be read, or is not valid.
    """
    path = result_path(run)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AfterburnError(f"{path}: cannot be read: {error.strerror or error}") from error
    result = codec.loads(data)
    _require_certifiable(result)
    return result, data, directory_of(path)


def _require_certifiable(result: Result) -> None:
    roles = [subject.role for subject in result.subjects]
    if roles.count("trained") != 1 or roles.count("base") > 1:
        raise ConfigError(
            "a certificate is about one trained model and its base; this run compares "
            f"{', '.join(subject.label for subject in result.subjects)}"
        )
    trained = next(subject for subject in result.subjects if subject.role == "trained")
    if trained.kind == "api":
        raise ConfigError(
            f"{trained.label}: a model behind an API has no files that a certificate could be about; {_RUN_AGAIN}, or "
            "record its outputs and certify those"
        )
    if not trained.files:
        raise ConfigError(f"{trained.label}: the run recorded no files of it; {_RUN_AGAIN}")


def judged(
    result: Result, directory: Path, policy: Policy | None, registry: Registry, day: date
) -> tuple[Result, Policy]:
    """The document judged under the policy on a day, and that policy: the run's own unless another is given.

    Raises:
        ConfigError: the run's policy is not known and none is given; plugins that judged are not installed in the
            versions that ran.
        Invalid: `result.findings`: its findings are not those that its detectors make of its measurements.
    """
    chosen = policy or policy_of(result)
    if chosen is None and Policy().reference().sha256 == result.verdict.policy.sha256:
        chosen = Policy()
    if chosen is None:
        raise ConfigError(
            f"the run was judged under the policy {result.verdict.policy.name!r}, which its document does not hold; "
            "name its file with --policy"
        )
    _require_versions(result, registry)
    again = rejudge(result, directory, registry, chosen, day)
    if chosen.reference() == result.verdict.policy:
        _require_same_findings(result.findings, again.findings)
    return again, chosen


def _require_versions(result: Result, registry: Registry) -> None:
    detectors = {rule.detector.partition(".")[0] for rule in result.descriptors.rules}
    for plugin in result.descriptors.plugins:
        if plugin.name in detectors:
            here = registry.plugins.get(plugin.name)
            if here is None or here.version != plugin.version:
                raise ConfigError(
                    f"plugin {plugin.name} judged this run in version {plugin.version}, and "
                    f"{'is not installed' if here is None else f'{here.version} is installed'} here; pip install "
                    f"{plugin.distribution}=={plugin.version}, or run again"
                )


def _require_same_findings(before: Sequence[Finding], after: Sequence[Finding]) -> None:
    """A document whose findings were edited must not be signed."""
    stored, made = (
        {(f.rule, f.fingerprint, f.kind, f.level, f.measurements) for f in side} for side in (before, after)
    )
    if stored != made:
        odd = min(entry[0] for entry in stored ^ made)
        raise Invalid(
            "result.findings",
            f"finding {odd} of the run's document is not what its detector makes of the document's measurements; "
            "certify the document as the run wrote it",
        )


def audited(
    result: Result, policy: Policy, document: bytes, directory: Path, trained: Source, base: Source | None,
    registry: Registry,
) -> Audited:  # fmt: skip
    """Everything that the predicate needs."""
    asked = {entry.id for entry in result.inputs}
    return Audited(
        view=ResultView(result, directory),
        document=document,
        policy=policy,
        trained=trained.files,
        base=None if base is None else base.files,
        requirements=[attrs.asdict(one) for one in required_by(policy, result)],
        not_asked=sorted(
            one.spec.name
            for one in registry.specs("probe_set")
            if one.spec.use == "questions" and f"probes.{one.spec.name}" not in asked
        ),
    )


def hashed(subject: Subject, model: Path, *, threads: int | None, progress: Progress) -> Source:
    """A model's files, hashed, which are the ones that the run read.

    Args:
        subject: the run's entry.
        model: its directory or file.
        threads: files hashed at once; all cores if `None`.
        progress: told what is done.

    Raises:
        SubjectError: it cannot be read.
        Invalid: `model.not_as_run`, `model.changed_while_read`, and as `paths.listed` and `tensors.read_tensors`.
    """
    files = listed(model)
    states = tuple((file, file_state(file.path)) for file in files)
    manifest = scan_files(files, threads=threads, progress=progress, stage=f"hashing {subject.id}")
    require_same_files(subject, manifest)
    tensors = None
    if subject.kind == "checkpoint":
        read = {file.path for file in subject.files}
        weights = [file for file in files if file.relative in read]
        tensors = read_tensors(weights, threads=threads, progress=progress, stage=f"hashing tensors of {subject.id}")
    directory = model if model.is_dir() else None
    return Source(
        files=ModelFiles(manifest=manifest, source="files", tensors=tensors, directory=directory), states=states
    )


def recorded(subject: Subject) -> Source:
    """The files of a subject as the run recorded them, where they are not at hand."""
    return Source(files=ModelFiles(manifest=Manifest(entries=subject.files), source="run"))


def locate_models(directory: Path, trained: Path | None, base: Path | None) -> tuple[Path, Path | None]:
    """Where the models lie: as given, else where the run found them on this machine; no base if it is not at hand.

    Raises:
        ConfigError: the trained model is not found.
    """
    if trained is not None and base is not None:
        return trained, base
    from afterburn_core.trace.reopen import read_reopening

    settings = read_reopening(directory)
    found = trained or (_local(settings.trained) if settings is not None else None)
    if found is None:
        raise ConfigError(f"{directory}: does not say where the trained model lies; give it with --trained")
    if base is None and settings is not None:
        base = _local(settings.base) if settings.base is not None else _base_of_adapter(settings.trained)
    return found, base


def _local(text: str | None) -> Path | None:
    """The path that a reference names, or holds in the hub client's cache; nothing is fetched."""
    from afterburn_core.backends.locate import locate
    from afterburn_core.run.references import parse_reference

    if text is None:
        return None
    try:
        reference = parse_reference(text)
        if reference.scheme in {"path", "recorded"}:
            return reference.path
        if reference.scheme == "hub":
            return locate(attrs.evolve(reference, cached_only=True))[0]
    except SubjectError:
        return None
    return None


def _base_of_adapter(text: str | None) -> Path | None:
    from afterburn_core.backends.locate import adapter_base
    from afterburn_core.run.references import parse_reference

    try:
        return _local(adapter_base(attrs.evolve(parse_reference(text), cached_only=True))) if text else None
    except SubjectError:
        return None
