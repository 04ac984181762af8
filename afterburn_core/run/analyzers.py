"""Analyzers in a run: begun with options and context, kept apart from one another's faults, finished and checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.errors import AfterburnError, PluginError
from afterburn_core.plugin.measured import fault
from afterburn_core.plugin.registry import Registered, build_options, load_factory
from afterburn_core.plugin.roles import Analyzer, AnalyzerContext, AnalyzerOutput
from afterburn_core.plugin.specs import AnalyzerSpec
from afterburn_core.result.model import Execution, ExecutionStatus, Produced, Subject
from afterburn_core.run.needs import EncodeNeed, ForwardNeed, GenerationNeed, LiveNeed, SeriesNeed, WeightsNeed
from afterburn_core.run.seeds import child_seed

if TYPE_CHECKING:
    from afterburn_core.run.execute import Bench

_SWEEPING = (
    WeightsNeed,
    SeriesNeed,
    GenerationNeed,
    ForwardNeed,
    EncodeNeed,
    LiveNeed,
)  # passes that end early leave part of a model unseen

DocumentReader = Callable[[str, str], Mapping[str, Any] | None]
"""A parsed document by role and name; `None` where the subject has none."""


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


def begin_analyzer(
    spec: AnalyzerSpec, subjects: tuple[Subject, ...], documents: DocumentReader, bench: Bench
) -> Guarded:
    options = build_options(spec.options, bench.options.get(spec.name, {}), spec.name)
    guarded = Guarded(load_factory(spec.factory)(options))
    guarded.begin(
        AnalyzerContext(
            subjects=subjects,
            seed=child_seed(bench.seed, spec.name),
            device=bench.device,
            excerpts=bench.excerpts,
            ask=bench.judge,
            documents=documents,
        )
    )
    return guarded


def finish_analyzer(
    registered: Registered, instances: Sequence[Guarded], interrupted: str | None
) -> tuple[AnalyzerOutput, Execution]:
    """What the instances found together, checked, with the record of the analyzer.

    After an interruption only statements on single tensors are kept: a roll-up would look like one on the whole.
    """
    spec: AnalyzerSpec = registered.spec
    merged = instances[0]
    for other in instances[1:]:
        merged.merge(other)
    output = merged.finish()
    reason = merged.error or fault(output.measurements, spec)
    status: ExecutionStatus = "ok"
    if reason is not None:
        output, status = AnalyzerOutput(), "failed"
    elif interrupted is not None and any(isinstance(need, _SWEEPING) for need in spec.needs):
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
