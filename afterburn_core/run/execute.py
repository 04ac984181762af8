"""Executes a plan: opens nothing itself, runs the passes, keeps every component apart from the others' faults."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.generation.judging import Judge
from afterburn_core.generation.sides import Side
from afterburn_core.plugin.registry import Registered, Registry
from afterburn_core.plugin.roles import ArtifactPayload, Executor
from afterburn_core.plugin.specs import AnalyzerSpec, ComponentFinished
from afterburn_core.result.model import Execution, ExecutionStatus, Input, Measurement, Produced, Subject
from afterburn_core.run import nulls
from afterburn_core.run.analyzers import DocumentReader, Guarded, begin_analyzer, finish_analyzer
from afterburn_core.run.caches import Caches
from afterburn_core.run.control_plan import COMPONENT
from afterburn_core.run.file_passes import over_files
from afterburn_core.run.model_passes import ModelPasses
from afterburn_core.run.needs import ForwardNeed, Preset
from afterburn_core.run.plan import Plan, PlannedPass
from afterburn_core.run.progress import Progress
from afterburn_core.run.shadows import Companion, Shadow, as_trained_subject, cast_shadows
from afterburn_core.run.subjects import OpenSubject
from afterburn_core.run.swept import Swept
from afterburn_core.run.threads import single_threaded
from afterburn_core.run.workload import MODELS_RUN

if TYPE_CHECKING:
    pass


@attrs.frozen(kw_only=True)
class Collected:
    """What the analyzers of a run produced."""

    measurements: tuple[Measurement, ...]
    payloads: tuple[ArtifactPayload, ...]
    producers: Mapping[str, str]
    """Analyzer that made each payload, by payload id."""
    executions: tuple[Execution, ...]
    interrupted: bool
    properties: Mapping[str, Any] = attrs.field(factory=dict)
    """What passes add to the document's properties."""
    inputs: tuple[Input, ...] = ()
    """What shaped the numbers besides subjects, probes and policy."""


@attrs.frozen(kw_only=True)
class Bench:
    """What the passes work with."""

    registry: Registry
    executor: Executor
    seed: int
    device: str
    options: Mapping[str, Mapping[str, Any]]
    progress: Progress
    preset: Preset = "full"
    cache: Caches | None = None
    excerpts: bool = True
    models: ModelPasses | None = None
    """The passes on which models run; `None` where none does."""
    judge: Judge | None = None
    companions: tuple[Companion, ...] = ()
    """The run's controls."""


def execute(
    plan: Plan, analyzers: Sequence[Registered], base: OpenSubject, trained: OpenSubject, subjects: tuple[Subject, ...],
    bench: Bench, run_id: str,
) -> Collected:  # fmt: skip
    """Runs every pass of a plan and finishes its analyzers.

    Ctrl-C during a pass keeps what tensors and documents were finished; roll-ups over part of a model are dropped,
    because they would look like statements about the whole.

    Raises:
        ConfigError: options name unknown keys.
        SubjectError: a file turned out unreadable, or nothing of the two subjects can be compared.
    """
    specs: dict[str, Registered] = {registered.spec.name: registered for registered in analyzers}
    documents = _document_reader(base, trained)
    instances = {
        name: [begin_analyzer(specs[name].spec, subjects, documents, bench) for _ in range(bench.executor.workers)]
        for name in plan.analyzers
    }
    shadows = _shadows(plan, specs, base, trained, subjects[0], bench)
    executions: list[Execution] = []
    payloads: list[tuple[str, ArtifactPayload]] = []
    properties: dict[str, Any] = {}
    interrupted: str | None = None
    for planned in plan.passes:
        riders = [instances[name] for name in planned.analyzers]
        if interrupted is not None:
            executions.append(pass_execution(planned, "interrupted", 0.0, interrupted))
            continue
        started = time.perf_counter()
        if planned.kind in MODELS_RUN and bench.models is not None:
            sides = (Side(subject=subjects[0], opened=base), Side(subject=subjects[1], opened=trained))
            needs = [_forward_need(specs[name].spec) for name in planned.analyzers]
            swept = bench.models.sweep(planned, needs, sides, riders, shadows)
        else:
            swept = over_files(planned, base, trained, riders, bench, shadows)
        interrupted = swept.stopped
        payloads += [(planned.component, payload) for payload in swept.payloads]
        properties |= swept.properties
        status: ExecutionStatus = "ok" if swept.stopped is None else "interrupted"
        executions.append(pass_execution(planned, status, time.perf_counter() - started, swept.stopped, swept))
        tell(bench, run_id, executions[-1])
    collected = collect(plan, specs, instances, executions, interrupted, bench, run_id)
    if plan.controls:
        collected = _among_controls(collected, shadows, specs, interrupted)
        tell(bench, run_id, collected.executions[-1])
    return attrs.evolve(
        collected,
        payloads=(*collected.payloads, *(payload for _, payload in payloads)),
        producers={**collected.producers, **{payload.id: component for component, payload in payloads}},
        properties=properties,
    )


def _shadows(
    plan: Plan,
    specs: Mapping[str, Registered],
    base: OpenSubject,
    trained: OpenSubject,
    subject: Subject,
    bench: Bench,
) -> tuple[Shadow, ...]:
    unjudged = attrs.evolve(bench, judge=None)

    def begin(registered: Registered, companion: Companion) -> list[Guarded]:
        known = (subject, as_trained_subject(companion.subject))
        documents = _document_reader(base, companion.beside.opened if companion.beside.given else trained)
        workers = range(bench.executor.workers)
        return [begin_analyzer(registered.spec, known, documents, unjudged) for _ in workers]

    return cast_shadows(plan, specs, bench.companions, begin)


def _among_controls(
    collected: Collected, shadows: Sequence[Shadow], specs: Mapping[str, Registered], interrupted: str | None
) -> Collected:
    """What was measured, with where it lies among the controls; after an interruption, without."""
    if interrupted is not None:
        told = nulls.interrupted(COMPONENT, interrupted)
        return attrs.evolve(collected, executions=(*collected.executions, told))
    with single_threaded():
        compared = nulls.compare(collected.measurements, shadows, specs, COMPONENT)
    return attrs.evolve(
        collected,
        measurements=compared.measurements,
        payloads=(*collected.payloads, compared.payload),
        producers={**collected.producers, compared.payload.id: COMPONENT},
        executions=(*collected.executions, compared.execution),
    )


def collect(
    plan: Plan,
    specs: Mapping[str, Registered],
    instances: Mapping[str, Sequence[Guarded]],
    passes: Sequence[Execution],
    interrupted: str | None,
    bench: Bench,
    run_id: str,
) -> Collected:
    """Finishes the analyzers of a plan and records those it left out.

    Args:
        plan: what was executed.
        specs: the analyzers by name.
        instances: one of each per worker, by name.
        passes: the records of the passes.
        interrupted: why the passes ended early, if they did.
        bench: what they worked with.
        run_id: of the run, for observers.
    """
    executions = list(passes)
    measurements: list[Measurement] = []
    payloads: list[ArtifactPayload] = []
    producers: dict[str, str] = {}
    with single_threaded():  # what is left are small matrices
        for name in plan.analyzers:
            output, execution = finish_analyzer(specs[name], instances[name], interrupted)
            measurements += output.measurements
            payloads += output.artifacts
            producers.update({payload.id: name for payload in output.artifacts})
            executions.append(execution)
            tell(bench, run_id, execution)
    for skipped in plan.skipped:
        executions.append(
            Execution(
                component=skipped.component,
                kind="analyzer",
                plugin=skipped.plugin,
                status="skipped",
                seconds=0.0,
                reason=skipped.reason,
                applicable=skipped.applicable,
            )
        )
    return Collected(
        measurements=tuple(measurements),
        payloads=tuple(payloads),
        producers=producers,
        executions=tuple(executions),
        interrupted=interrupted is not None,
    )


def _document_reader(base: OpenSubject, trained: OpenSubject) -> DocumentReader:
    """Documents by role and name; a subject without any has none, and a file is parsed when first asked for."""
    opened = {"base": base, "trained": trained}

    def read(role: str, name: str) -> Mapping[str, Any] | None:
        subject = opened.get(role)
        if subject is None or "documents" not in subject.facts.capabilities:
            return None
        return subject.documents().get(name)

    return read


def _forward_need(spec: AnalyzerSpec) -> ForwardNeed | None:
    return next((need for need in spec.needs if isinstance(need, ForwardNeed)), None)


def pass_execution(
    planned: PlannedPass,
    status: ExecutionStatus,
    seconds: float,
    reason: str | None,
    swept: Swept | None = None,
) -> Execution:
    """The record of a pass."""
    return Execution(
        component=planned.component,
        kind="pass",
        plugin="core",
        status=status,
        seconds=round(seconds, 3),
        reason=reason,
        produced=Produced(artifacts=len(swept.payloads) if swept else 0),
        counters=dict(swept.counters) if swept else {},
        notifications=swept.notes if swept else (),
    )


def tell(bench: Bench, run_id: str, execution: Execution) -> None:
    """Lets observers know that a component ended."""
    bench.registry.notify(
        ComponentFinished(
            run_id=run_id, component=execution.component, status=execution.status, seconds=execution.seconds
        )
    )
