"""Executes a plan: opens nothing itself, runs the passes, keeps every component apart from the others' faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.generation.judging import Judge
from afterburn_core.generation.sides import Side
from afterburn_core.plugin.registry import Registered, Registry
from afterburn_core.plugin.roles import ArtifactPayload, Executor
from afterburn_core.plugin.specs import AnalyzerSpec, ComponentFinished
from afterburn_core.result.model import Execution, ExecutionStatus, Input, Measurement, Notification, Produced, Subject
from afterburn_core.run import align as alignment
from afterburn_core.run.align import AlignedTensor, Refusal, align, states
from afterburn_core.run.analyzers import DocumentReader, Guarded, begin_analyzer, finish_analyzer
from afterburn_core.run.caches import Caches
from afterburn_core.run.factors_pass import hand_out
from afterburn_core.run.model_passes import ModelPasses
from afterburn_core.run.needs import ForwardNeed, Preset, WeightsNeed
from afterburn_core.run.observations import DocumentPair
from afterburn_core.run.plan import Plan, PlannedPass
from afterburn_core.run.progress import Progress
from afterburn_core.run.seeds import child_seed
from afterburn_core.run.subjects import OpenSubject, require_comparable
from afterburn_core.run.swept import Swept
from afterburn_core.run.threads import single_threaded
from afterburn_core.run.workload import MODELS_RUN

if TYPE_CHECKING:
    from afterburn_core.backends.tensors import WeightSource
    from afterburn_core.run.tensor_work import Spectral


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
            swept = bench.models.sweep(planned, needs, sides, riders)
        else:
            sweep = {"documents": _documents, "factors": _factors}.get(planned.kind, _weights)
            swept = sweep(planned, base, trained, riders, bench)
        interrupted = swept.stopped
        payloads += [(planned.component, payload) for payload in swept.payloads]
        properties |= swept.properties
        status: ExecutionStatus = "ok" if swept.stopped is None else "interrupted"
        executions.append(pass_execution(planned, status, time.perf_counter() - started, swept.stopped, swept))
        tell(bench, run_id, executions[-1])
    collected = collect(plan, specs, instances, executions, interrupted, bench, run_id)
    return attrs.evolve(
        collected,
        payloads=(*collected.payloads, *(payload for _, payload in payloads)),
        producers={**collected.producers, **{payload.id: component for component, payload in payloads}},
        properties=properties,
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


def _documents(
    planned: PlannedPass, base: OpenSubject, trained: OpenSubject, riders: Sequence[Sequence[Guarded]], bench: Bench
) -> Swept:
    left, right = base.documents(), trained.documents()
    names = sorted(left.keys() | right.keys())
    for name in names:
        pair = DocumentPair(name=name, base=left.get(name), trained=right.get(name))
        for rider in riders:
            rider[0].observe(pair)
    return Swept(counters={"documents": len(names)})


def _forward_need(spec: AnalyzerSpec) -> ForwardNeed | None:
    return next((need for need in spec.needs if isinstance(need, ForwardNeed)), None)


def _factors(
    planned: PlannedPass, base: OpenSubject, trained: OpenSubject, riders: Sequence[Sequence[Guarded]], bench: Bench
) -> Swept:
    return Swept(counters={"modules": hand_out(trained, (rider[0] for rider in riders))})


def _weights(
    planned: PlannedPass, base: OpenSubject, trained: OpenSubject, riders: Sequence[Sequence[Guarded]], bench: Bench
) -> Swept:
    from afterburn_core.run.layout import present
    from afterburn_core.run.weights_pass import WeightsPass

    shown = present(base.weights(), trained.weights(), config_reader(base), config_reader(trained))
    aligned = align(
        side_of(base, shown.base, shown.base_refused), side_of(trained, shown.trained, shown.trained_refused)
    )
    compared = sum(tensor.compared for tensor in aligned)
    require_comparable(base.facts, trained.facts, compared)
    quantities = planned.need.quantities if isinstance(planned.need, WeightsNeed) else ()
    sweep = WeightsPass(
        shown.base,
        shown.trained,
        aligned,
        executor=bench.executor,
        analyzers=[[rider[worker] for rider in riders] for worker in range(bench.executor.workers)],
        cache=bench.cache.rows if bench.cache else None,
        device=bench.device,
        with_values="tensors" in quantities,
        with_rows="rows" in quantities,
        spectral=_spectral(quantities, shown.trained, bench),
        progress=bench.progress,
        begun=lambda: bench.progress.begin("comparing weights", compared, "parameters"),
    )
    try:
        outcome = sweep.run()
    finally:
        bench.progress.end()
    counters = {
        "tensors": len(aligned),
        "from_cache": outcome.from_cache,
        "bytes_read": outcome.bytes_read,
        "spectra": outcome.spectra,
        "spectra_from_cache": outcome.spectra_from_cache,
        **dict(sorted(states(aligned).items())),
    }
    stopped = None
    if outcome.interrupted:
        stopped = f"stopped by the user after {outcome.pairs} of {len(aligned)} tensors; run again to go on from there"
    notes = (*_layout_notes(shown.notes), *_alignment_notes(aligned), *_approximations(outcome.approximate))
    return Swept(counters=counters, notes=notes, stopped=stopped)


def _spectral(quantities: Sequence[str], trained: WeightSource, bench: Bench) -> Spectral | None:
    """How the pass computes spectra; `None` where nobody asked for any."""
    from afterburn_core.run.memory import largest_order
    from afterburn_core.run.tensor_work import Spectral

    if not {"spectra", "vectors"} & set(quantities):
        return None
    return Spectral(
        precision="float64" if bench.preset == "full" else "float32",
        vectors="vectors" in quantities,
        trained=trained,
        max_order=largest_order(bench.executor.workers),
        seed=child_seed(bench.seed, "core.weights_pass"),
        base_cache=bench.cache.base if bench.cache else None,
        pair_cache=bench.cache.pair if bench.cache else None,
    )


def _approximations(names: Sequence[str]) -> tuple[Notification, ...]:
    return tuple(
        Notification(
            level="warning",
            message=f"{name}: too large for an exact spectrum in this machine's memory; its top singular values are "
            "approximate, with the error bound given",
        )
        for name in sorted(names)
    )


def side_of(subject: OpenSubject, source: WeightSource, refused: Mapping[str, Refusal]) -> alignment.Side:
    """What alignment needs to know of a subject whose weights are presented by `source`."""
    return alignment.Side(
        tensors=source.tensors,
        aliases=source.aliases,
        tied=bool(subject.facts.properties.get("tied", False)) or subject.facts.kind == "adapter",
        vocabulary=lambda: subject.documents().get("vocabulary"),
        refused=refused,
    )


def config_reader(subject: OpenSubject) -> Callable[[], Mapping[str, Any] | None]:
    """Reads the configuration when a layout has to be known; a subject without documents has none."""
    if "documents" not in subject.facts.capabilities:
        return lambda: None
    return lambda: subject.documents().get("config")


def _layout_notes(notes: Sequence[str]) -> tuple[Notification, ...]:
    return tuple(Notification(level="note", message=note) for note in notes)


def _alignment_notes(aligned: Sequence[AlignedTensor]) -> tuple[Notification, ...]:
    return tuple(
        Notification(level="note", message=f"{tensor.name}: {tensor.reason}")
        for tensor in aligned
        if tensor.state == "reshaped" and tensor.explained
    )


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
