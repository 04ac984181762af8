"""The whole pipeline: settings in, result document and run directory out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from afterburn_core import __version__
from afterburn_core.errors import AfterburnError
from afterburn_core.judge.detect import detect, metric_descriptors, rule_descriptors
from afterburn_core.judge.evidence import Evidence
from afterburn_core.judge.policy import Policy, load_policy, overridden
from afterburn_core.judge.policy_names import refuse_unknown_names
from afterburn_core.judge.settle import settle, unsettled
from afterburn_core.plugin.registry import Registry, build_options, load_factory
from afterburn_core.plugin.specs import RunFinished, RunStarted
from afterburn_core.result import codec, table
from afterburn_core.result.model import (
    SCHEMA_VERSION,
    Artifact,
    Descriptors,
    FileDigest,
    Input,
    Result,
    Run,
    Subject,
    Tool,
)
from afterburn_core.run.cache import cache_key
from afterburn_core.run.caches import open_caches
from afterburn_core.run.companions import companions_of
from afterburn_core.run.configuration import Settings, refuse_unknown_options
from afterburn_core.run.devices import named_device
from afterburn_core.run.digests import digest_files, file_state, require_unchanged
from afterburn_core.run.directory import RESULT, artifact_reader, prepare, write_artifacts
from afterburn_core.run.execute import Bench, Collected, execute
from afterburn_core.run.executor import available_cores
from afterburn_core.run.model_setup import generation_of, judge_of, models_of
from afterburn_core.run.opening import Opened, open_pair
from afterburn_core.run.plan import Plan
from afterburn_core.run.progress import Progress, Silent
from afterburn_core.run.provenance import configuration, decoding_of, environment, now
from afterburn_core.run.subjects import OpenSubject, describe
from afterburn_core.run.workload import MODELS_RUN
from afterburn_core.trace.reopen import write_reopening


@attrs.frozen(kw_only=True)
class Completed:
    """A finished run."""

    result: Result
    directory: Path
    remarks: tuple[str, ...] = ()
    """What to tell the user besides: settings that nothing heeded."""


def diagnose(
    settings: Settings, registry: Registry, *, command: str = "diagnose", progress: Progress | None = None
) -> Completed:
    """Runs everything and writes `result.json` into the run directory.

    Raises:
        AfterburnError: the input or the environment does not allow it; finished work stays in the cache.
    """
    progress = progress or Silent()
    policy = effective_policy(settings)
    refuse_unknown_options(settings.options, registry, "configuration")
    refuse_unknown_options(policy.options, registry, f"policy {policy.name}")
    refuse_unknown_names(policy, registry)
    _refuse_faulty_options(settings, policy, registry)
    opened = open_pair(settings, registry)
    try:
        directory = prepare(Path(settings.run_dir) if settings.run_dir else None, opened.trained.facts.label)
        write_reopening(directory, settings)
        return _run(settings, registry, policy, opened, directory, command, progress)
    finally:
        opened.close()


def _refuse_faulty_options(settings: Settings, policy: Policy, registry: Registry) -> None:
    """Options that no component takes are refused before hours of writing, not behind them."""
    for role, options in (("analyzer", settings.options), ("detector", policy.options_over(settings.options))):
        for registered in registry.specs(role):
            if registered.spec.name in options:
                build_options(registered.spec.options, options[registered.spec.name], registered.spec.name)


def effective_policy(settings: Settings) -> Policy:
    """The policy file with what flags override."""
    return overridden(load_policy(Path(settings.policy) if settings.policy else None), settings.fail_on)


def _run(
    settings: Settings,
    registry: Registry,
    policy: Policy,
    opened: Opened,
    directory: Path,
    command: str,
    progress: Progress,
) -> Completed:
    started = now()
    threads = settings.threads or available_cores()
    device = _device(settings.device, opened.plan)
    given = [one.opened for one in opened.controls if one.given]
    files = [file for subject in (opened.base, opened.trained, *given) for file in subject.files]
    before = {file.path: file_state(file.path) for file in files}
    digests = _digest((opened.base, opened.trained, *given), threads, progress)
    pair = _subjects(opened, digests)
    companions = companions_of(settings, opened, pair, digests[2:], device, registry)
    subjects = (*pair, *(one.subject for one in companions))
    generation = generation_of(settings, opened, device, progress)
    scored_by = generation.scoring.inputs() if generation is not None and generation.scoring is not None else ()
    run_id = cache_key(
        {
            "subjects": [subject.digest for subject in subjects],
            "components": list(opened.plan.components),
            "options": {name: dict(values) for name, values in settings.options.items()},
            "probes": [asked.sha256 for asked in opened.asking.sets],
            "texts": [entry.sha256 for entry in opened.material.inputs()],
            "samples": opened.asking.samples,
            "decoding": attrs.asdict(decoding_of(settings)),
            "judge": settings.judge,
            "scorers": [entry.sha256 for entry in scored_by],
            "seed": settings.seed,
            "versions": {plugin.name: plugin.version for plugin in registry.plugins.values()},
        }
    )[:32]
    cache = open_caches(settings, pair, device, registry)
    executor = load_factory(registry.get("executor", settings.executor).spec.factory)(threads)
    registry.notify(RunStarted(run_id=run_id, components=opened.plan.components))
    judge = judge_of(settings, registry, subjects, generation, threads)
    bench = Bench(
        registry=registry,
        executor=executor,
        seed=settings.seed,
        device=device,
        preset=settings.preset,
        options=settings.options,
        progress=progress,
        cache=cache,
        excerpts=settings.excerpts,
        models=models_of(settings, opened, generation, device, progress),
        judge=judge,
        companions=companions,
    )
    kept = [one for one in (cache, *(companion.cache for companion in companions)) if one is not None]

    def forget() -> None:
        for one in kept:
            one.discard()

    try:
        collected = execute(opened.plan, opened.analyzers, opened.base, opened.trained, subjects, bench, run_id)
    except AfterburnError:
        # what looks like a damaged file may be one that somebody is writing; its rows must not outlive the run
        require_unchanged(before, forget)
        raise
    finally:
        for one in kept:
            one.close()
        if judge:
            judge.close()
    require_unchanged(before, forget)
    judged_by = (judge.to_input(),) if judge else ()
    collected = attrs.evolve(collected, inputs=(*collected.inputs, *judged_by, *scored_by))
    return conclude(
        run_id, started, command, executor.workers, device, subjects, collected, directory, registry, opened, settings,
        policy,
    )  # fmt: skip


def conclude(
    run_id: str,
    started: str,
    command: str,
    workers: int,
    device: str,
    subjects: tuple[Subject, ...],
    collected: Collected,
    directory: Path,
    registry: Registry,
    opened: Opened,
    settings: Settings,
    policy: Policy,
) -> Completed:
    """Judges what the analyzers found and writes artifacts and document, of a pair as of a series."""
    run = Run(
        id=run_id,
        status="interrupted" if collected.interrupted else "complete",
        started_at=started,
        finished_at=now(),
        command=command,
        tool=Tool(name="afterburn", version=__version__),
        environment=environment(workers, device),
        components=opened.plan.components,
        seed=settings.seed,
        method=settings.method,
        configuration=configuration(settings),
    )
    artifacts = write_artifacts(directory, collected.producers, collected.payloads)
    result = assemble(run, subjects, collected, artifacts, directory, registry, opened, settings, policy)
    result = table.spill(result, directory)
    codec.write(directory / RESULT, result)
    registry.notify(RunFinished(run_id=run_id, status=run.status, document=codec.to_dict(result)))
    return Completed(result=result, directory=directory, remarks=opened.remarks)


def assemble(
    run: Run,
    subjects: tuple[Subject, ...],
    collected: Collected,
    artifacts: tuple[Artifact, ...],
    directory: Path,
    registry: Registry,
    opened: Opened,
    settings: Settings,
    policy: Policy,
) -> Result:
    """Judges what was collected and puts the document together."""
    evidence = Evidence(
        subjects=subjects,
        measurements=collected.measurements,
        executions=collected.executions,
        read_artifact=artifact_reader(directory, artifacts),
        metric_owners={metric.id: r.spec.name for r in opened.analyzers for metric in r.spec.metrics},
        excerpts=settings.excerpts,
    )
    judgement = detect(evidence, opened.detectors, policy.options_over(settings.options))
    executions = (*collected.executions, *judgement.executions)
    measurements = (*collected.measurements, *judgement.measurements)
    metrics, rules = metric_descriptors((*opened.analyzers, *opened.detectors)), rule_descriptors(opened.detectors)
    reference = policy.reference()
    problems = [attrs.asdict(problem) for problem in registry.problems]
    result = Result(
        schema_version=SCHEMA_VERSION,
        run=run,
        subjects=subjects,
        verdict=unsettled(policy),
        inputs=(
            Input(id="policy", kind="policy", label=reference.name, sha256=reference.sha256),
            *(asked.to_input() for asked in opened.asking.sets),
            *opened.material.inputs(),
            *collected.inputs,
        ),
        descriptors=Descriptors(
            metrics=metrics,
            rules=rules,
            plugins=tuple(registry.plugins[name].descriptor() for name in sorted(registry.plugins)),
        ),
        executions=executions,
        measurements=measurements,
        findings=judgement.findings,
        artifacts=artifacts,
        properties={**({"plugin_problems": problems} if problems else {}), **collected.properties},
    )
    return settle(result, policy)


def _digest(subjects: Sequence[OpenSubject], threads: int, progress: Progress) -> tuple[tuple[FileDigest, ...], ...]:
    files = [file for subject in subjects for file in subject.files]
    progress.begin("hashing files", sum(file.path.stat().st_size for file in files), "bytes")
    try:
        return digest_files(*(subject.files for subject in subjects), threads=threads, advance=progress.advance)
    finally:
        progress.end()


def _subjects(opened: Opened, digests: Sequence[tuple[FileDigest, ...]]) -> tuple[Subject, ...]:
    on = "base" if opened.trained.facts.kind == "adapter" else None
    return (
        describe(opened.base.facts, digests[0]),
        describe(opened.trained.facts, digests[1], base=on),
    )


def _device(name: str, plan: Plan) -> str:
    kinds = {planned.kind for planned in plan.passes}
    live = any(facts.kind in {"checkpoint", "adapter"} for facts in plan.subjects)
    if "weights" not in kinds and not (MODELS_RUN & kinds and live):
        return "none"
    return named_device(name)
