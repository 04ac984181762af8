"""What makes measurements of a component unusable, and would make the whole document invalid."""

from __future__ import annotations

import math
from collections.abc import Iterable

from afterburn_core.plugin.specs import AnalyzerSpec, DetectorSpec, MetricSpec
from afterburn_core.result.model import Measurement


def fault(measurements: Iterable[Measurement], spec: AnalyzerSpec | DetectorSpec) -> str | None:
    """The first fault: a metric that is not declared, an id given twice, a value that is not finite or out of range."""
    declared = {metric.id: metric for metric in spec.metrics}
    seen: set[str] = set()
    for measurement in measurements:
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
