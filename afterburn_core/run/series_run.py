"""One base and several trained models: from opened subjects to a result document and a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from afterburn_core import __version__
from afterburn_core.errors import AfterburnError, ConfigError, SubjectError
from afterburn_core.judge.policy_names import refuse_unknown_names
from afterburn_core.plugin.registry import Registry, load_factory
from afterburn_core.plugin.specs import RunStarted
from afterburn_core.result.model import Subject
from afterburn_core.run.cache import RowCache, cache_key, default_cache_dir
from afterburn_core.run.configuration import Settings, refuse_unknown_options
from afterburn_core.run.diagnose import Completed, conclude, effective_policy
from afterburn_core.run.digests import SubjectFile, digest_files, file_state, require_unchanged
from afterburn_core.run.directory import check_writable, prepare
from afterburn_core.run.execute import Bench
from afterburn_core.run.executor import available_cores
from afterburn_core.run.opening import Opened
from afterburn_core.run.plan import Plan, make_plan
from afterburn_core.run.progress import Progress, Silent
from afterburn_core.run.provenance import now
from afterburn_core.run.series_execute import Member, execute_series
from afterburn_core.run.subjects import OpenSubject, describe


def run_series(
    settings: Settings,
    registry: Registry,
    base: OpenSubject,
    members: Sequence[Member],
    *,
    command: str,
    progress: Progress | None = None,
) -> Completed:
    """Compares every member with the base in one pass and writes `result.json` into the run directory.

    Args:
        settings: as for a comparison of two; `base` and `trained` are not looked at.
        registry: where analyzers and detectors come from.
        base: the opened base.
        members: the others, all of one role, in the order of the series. The caller closes them.
        command: name of the command, for the record.
        progress: told of bytes hashed and parameters compared.

    Raises:
        ConfigError: a setting, an option or the policy is not valid.
        SubjectError: a subject cannot be compared with the base, or a file changed or turned out unreadable.
    """
    progress = progress or Silent()
    policy = effective_policy(settings)
    refuse_unknown_options(settings.options, registry, "configuration")
    refuse_unknown_options(policy.options, registry, f"policy {policy.name}")
    refuse_unknown_names(policy, registry)
    _refuse_mixture(base, members)
    threads = settings.threads or available_cores()
    analyzers, detectors = registry.specs("analyzer"), registry.specs("detector")
    facts = (base.facts, *(member.subject.facts for member in members))
    plan = make_plan(facts, analyzers, detectors, preset=settings.preset, threads=threads)
    directory = prepare(Path(settings.run_dir) if settings.run_dir else None, f"{base.facts.label}-{command}")
    started = now()
    groups = [tuple(base.files), *((*member.subject.files, *member.files) for member in members)]
    before = {file.path: file_state(file.path) for files in groups for file in files}
    subjects = _subjects(base, members, groups, threads, progress)
    run_id = _run_id(subjects, plan, settings, registry)
    cache = _rows(settings, subjects, plan, registry)
    executor = load_factory(registry.get("executor", settings.executor).spec.factory)(threads)
    registry.notify(RunStarted(run_id=run_id, components=plan.components))
    bench = Bench(
        registry=registry,
        executor=executor,
        seed=settings.seed,
        device="cpu",
        options=settings.options,
        progress=progress,
        excerpts=settings.excerpts,
    )
    forget = cache.discard if cache else lambda: None
    try:
        collected = execute_series(plan, analyzers, base, members, subjects, bench, cache, run_id)
    except AfterburnError:
        require_unchanged(before, forget)
        raise
    finally:
        if cache:
            cache.close()
    require_unchanged(before, forget)
    opened = Opened(base=base, trained=members[0].subject, plan=plan, analyzers=analyzers, detectors=detectors)
    return conclude(
        run_id, started, command, executor.workers, "cpu", subjects, collected, directory, registry, opened, settings,
        policy,
    )  # fmt: skip


def _refuse_mixture(base: OpenSubject, members: Sequence[Member]) -> None:
    if not members:
        raise ConfigError("a series needs at least one trained model")
    for member in members:
        own, wanted = member.subject.facts.model_type, base.facts.model_type
        if own is not None and wanted is not None and own != wanted:
            raise SubjectError(
                f"{member.label}: is a {own} model where the base {base.facts.label!r} is {wanted}; give models that "
                "started from one base"
            )


def _subjects(
    base: OpenSubject,
    members: Sequence[Member],
    groups: Sequence[Sequence[SubjectFile]],
    threads: int,
    progress: Progress,
) -> tuple[Subject, ...]:
    progress.begin("hashing files", sum(file.path.stat().st_size for files in groups for file in files), "bytes")
    try:
        digests = digest_files(*groups, threads=threads, advance=progress.advance)
    finally:
        progress.end()
    found = [describe(base.facts, digests[0])]
    for member, files in zip(members, digests[1:], strict=True):
        facts = member.subject.facts
        subject = describe(facts, files, base="base" if facts.kind == "adapter" else None)
        properties = {**subject.properties, **member.properties}
        found.append(attrs.evolve(subject, id=member.id, properties=properties))
    return tuple(found)


def _run_id(subjects: Sequence[Subject], plan: Plan, settings: Settings, registry: Registry) -> str:
    return cache_key(
        {
            "subjects": [[subject.id, subject.digest] for subject in subjects],
            "components": list(plan.components),
            "options": {name: dict(values) for name, values in settings.options.items()},
            "seed": settings.seed,
            "versions": {plugin.name: plugin.version for plugin in registry.plugins.values()},
        }
    )[:32]


def _rows(settings: Settings, subjects: Sequence[Subject], plan: Plan, registry: Registry) -> RowCache | None:
    """Finished tensors of an equal series; `None` if the run shall not use any."""
    if not settings.cache:
        return None
    from afterburn_core.run.series_sums import VERSION

    description = {
        "kind": "weight_series",
        "version": VERSION,
        "core": __version__,
        "needs": [attrs.asdict(planned.need) for planned in plan.passes],
        "seed": settings.seed,
        "readers": {r.plugin.name: r.plugin.version for role in ("backend", "reader") for r in registry.specs(role)},
        "subjects": [{"digest": subject.digest, "backend": subject.backend} for subject in subjects],
    }
    root = Path(settings.cache_dir) if settings.cache_dir else default_cache_dir()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cache {root}: cannot be created ({error.strerror}); use --cache-dir or --no-cache"
        ) from error
    check_writable(root, "--cache-dir, or use --no-cache")
    return RowCache(root, cache_key(description), description)
