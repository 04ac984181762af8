"""Executes a plan: opens nothing itself, runs the passes, keeps every component apart from the others' faults."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.errors import AfterburnError, PluginError
from afterburn_core.plugin.registry import Registered, Registry, build_options, load_factory
from afterburn_core.plugin.roles import Analyzer, AnalyzerContext, AnalyzerOutput, ArtifactPayload, Executor
from afterburn_core.plugin.specs import AnalyzerSpec, ComponentFinished, MetricSpec
from afterburn_core.result.model import Execution, ExecutionStatus, Measurement, Notification, Produced, Subject
from afterburn_core.run.align import AlignedTensor, Refusal, Side, align, states
from afterburn_core.run.caches import Caches
from afterburn_core.run.factors_pass import hand_out
from afterburn_core.run.needs import Preset, SeriesNeed, WeightsNeed
from afterburn_core.run.observations import DocumentPair
from afterburn_core.run.plan import Plan, PlannedPass
from afterburn_core.run.progress import Progress
from afterburn_core.run.seeds import child_seed
from afterburn_core.run.subjects import OpenSubject, require_comparable

if TYPE_CHECKING:
    from afterburn_core.backends.tensors import WeightSource
    from afterburn_core.run.tensor_work import Spectral

DocumentReader = Callable[[str, str], Mapping[str, Any] | None]


class Guarded:
    """An analyzer that cannot harm the others: its first exception is kept, and it is left alone from then on."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self.error: str | None = None
        self.seconds = 0.0

    def begin(self, context: AnalyzerContext) -> None:
        self._call(self._analyzer.begin, context)

    def observe(self, item: Any) -> None:
        self._call(self._analyzer.observe, item)

    def merge(self, other: Guarded) -> None:
        self.error = self.error or other.error
        self.seconds += other.seconds
        self._call(self._analyzer.merge, other._analyzer)

    def finish(self) -> AnalyzerOutput:
        output = self._call(self._analyzer.finish)
        return output if isinstance(output, AnalyzerOutput) else AnalyzerOutput()

    def _call(self, method: Any, *arguments: Any) -> Any:
        if self.error is not None:
            return None
        started = time.perf_counter()
        try:
            return method(*arguments)
        except Exception as error:  # a third party's analyzer may raise anything
            # a fault of a file or of the disk is everybody's, and is not the analyzer's
            if isinstance(error, AfterburnError) and not isinstance(error, PluginError):
                raise
            self.error = f"{type(error).__name__}: {' '.join(str(error).split())}"
            return None
        finally:
            self.seconds += time.perf_counter() - started


@attrs.frozen(kw_only=True)
class Collected:
    """What the analyzers of a run produced."""

    measurements: tuple[Measurement, ...]
    payloads: tuple[ArtifactPayload, ...]
    producers: Mapping[str, str]
    """Analyzer that made each payload, by payload id."""
    executions: tuple[Execution, ...]
    interrupted: bool


@attrs.frozen(kw_only=True)
class Swept:
    """How one pass went."""

    counters: Mapping[str, int] = attrs.field(factory=dict)
    notes: tuple[Notification, ...] = ()
    stopped: str | None = None
    """Why it ended early, if it did."""


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
        name: [_instance(specs[name].spec, subjects, documents, bench) for _ in range(bench.executor.workers)]
        for name in plan.analyzers
    }
    executions: list[Execution] = []
    interrupted: str | None = None
    for planned in plan.passes:
        riders = [instances[name] for name in planned.analyzers]
        if interrupted is not None:
            executions.append(_pass_execution(planned, "interrupted", 0.0, interrupted))
            continue
        started = time.perf_counter()
        sweep = {"documents": _documents, "factors": _factors}.get(planned.kind, _weights)
        swept = sweep(planned, base, trained, riders, bench)
        interrupted = swept.stopped
        status: ExecutionStatus = "ok" if swept.stopped is None else "interrupted"
        executions.append(_pass_execution(planned, status, time.perf_counter() - started, swept.stopped, swept))
        _tell(bench, run_id, executions[-1])
    measurements: list[Measurement] = []
    payloads: list[ArtifactPayload] = []
    producers: dict[str, str] = {}
    for name in plan.analyzers:
        output, execution = _finish(specs[name], instances[name], interrupted)
        measurements += output.measurements
        payloads += output.artifacts
        producers.update({payload.id: name for payload in output.artifacts})
        executions.append(execution)
        _tell(bench, run_id, execution)
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


def _instance(spec: AnalyzerSpec, subjects: tuple[Subject, ...], documents: DocumentReader, bench: Bench) -> Guarded:
    options = build_options(spec.options, bench.options.get(spec.name, {}), spec.name)
    guarded = Guarded(load_factory(spec.factory)(options))
    guarded.begin(
        AnalyzerContext(
            subjects=subjects,
            seed=child_seed(bench.seed, spec.name),
            device=bench.device,
            excerpts=bench.excerpts,
            documents=documents,
        )
    )
    return guarded


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


def _factors(
    planned: PlannedPass, base: OpenSubject, trained: OpenSubject, riders: Sequence[Sequence[Guarded]], bench: Bench
) -> Swept:
    return Swept(counters={"modules": hand_out(trained, (rider[0] for rider in riders))})


def _weights(
    planned: PlannedPass, base: OpenSubject, trained: OpenSubject, riders: Sequence[Sequence[Guarded]], bench: Bench
) -> Swept:
    from afterburn_core.run.layout import present
    from afterburn_core.run.weights_pass import WeightsPass

    shown = present(base.weights(), trained.weights(), _config_reader(base), _config_reader(trained))
    aligned = align(_side(base, shown.base, shown.base_refused), _side(trained, shown.trained, shown.trained_refused))
    compared = sum(tensor.compared for tensor in aligned)
    require_comparable(base.facts, trained.facts, compared)
    bench.progress.begin("comparing weights", compared, "parameters")
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


def _side(subject: OpenSubject, source: WeightSource, refused: Mapping[str, Refusal]) -> Side:
    return Side(
        tensors=source.tensors,
        aliases=source.aliases,
        tied=bool(subject.facts.properties.get("tied", False)) or subject.facts.kind == "adapter",
        vocabulary=lambda: subject.documents().get("vocabulary"),
        refused=refused,
    )


def _config_reader(subject: OpenSubject) -> Callable[[], Mapping[str, Any] | None]:
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


def _finish(
    registered: Registered, instances: Sequence[Guarded], interrupted: str | None
) -> tuple[AnalyzerOutput, Execution]:
    spec: AnalyzerSpec = registered.spec
    merged = instances[0]
    for other in instances[1:]:
        merged.merge(other)
    output = merged.finish()
    reason = merged.error or _fault(output, spec)
    status: ExecutionStatus = "ok"
    if reason is not None:
        output, status = AnalyzerOutput(), "failed"
    elif interrupted is not None and any(isinstance(need, (WeightsNeed, SeriesNeed)) for need in spec.needs):
        whole = tuple(m for m in output.measurements if m.scope.tensor is not None)
        output, status, reason = attrs.evolve(output, measurements=whole), "interrupted", interrupted
    execution = Execution(
        component=spec.name,
        kind="analyzer",
        plugin=registered.plugin.name,
        status=status,
        seconds=round(merged.seconds, 3),
        reason=reason,
        produced=Produced(measurements=len(output.measurements), artifacts=len(output.artifacts)),
        notifications=output.notifications,
    )
    return output, execution


def _fault(output: AnalyzerOutput, spec: AnalyzerSpec) -> str | None:
    """What makes an analyzer's output unusable, and would make the whole document invalid."""
    declared = {metric.id: metric for metric in spec.metrics}
    seen: set[str] = set()
    for measurement in output.measurements:
        metric = declared.get(measurement.metric)
        if metric is None:
            return f"measured {measurement.metric!r}, which {spec.name} does not declare"
        if measurement.id in seen:
            return f"gave {measurement.id!r} twice"
        if measurement.value is not None and not math.isfinite(measurement.value):
            return f"gave {measurement.value} for {measurement.id!r}; undefined values need a reason instead"
        if measurement.value is not None and not _within(measurement.value, metric):
            return f"gave {measurement.value} for {measurement.id!r}, outside its range"
        seen.add(measurement.id)
    return None


def _within(value: float, metric: MetricSpec) -> bool:
    slack = 1e-9  # what validation allows for rounding
    above = metric.low is None or value >= metric.low - slack
    return above and (metric.high is None or value <= metric.high + slack)


def _pass_execution(
    planned: PlannedPass,
    status: ExecutionStatus,
    seconds: float,
    reason: str | None,
    swept: Swept | None = None,
) -> Execution:
    return Execution(
        component=planned.component,
        kind="pass",
        plugin="core",
        status=status,
        seconds=round(seconds, 3),
        reason=reason,
        counters=dict(swept.counters) if swept else {},
        notifications=swept.notes if swept else (),
    )


def _tell(bench: Bench, run_id: str, execution: Execution) -> None:
    bench.registry.notify(
        ComponentFinished(
            run_id=run_id, component=execution.component, status=execution.status, seconds=execution.seconds
        )
    )
