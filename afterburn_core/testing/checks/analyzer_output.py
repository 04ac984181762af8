"""Rules for what an analyzer hands over."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.result.identity import measurement_id
from afterburn_core.result.model import Measurement
from afterburn_core.testing.checks.subjects import output_of, present
from afterburn_core.testing.kit import Target, expect, fail

PAIRS = ("identity", "scaled", "noise", "dropped", "added", "reshaped", "cast", "nonfinite", "edited", "adapter")
"""What the rules below are put to; between them they reach every usual branch of an analyzer."""


def check_only_declared_metrics_are_measured(target: Target) -> None:
    """Every measurement is of a metric in the spec, and its value lies within the metric's bounds.

    The spec is what reports, thresholds and the reference pages rely on.
    """
    declared = {metric.id: metric for metric in target.spec.metrics}
    for name, measurement in _measurements(target):
        metric, value = declared.get(measurement.metric), measurement.value
        if metric is None:
            fail(f"on the {name} pair {measurement.metric!r} is measured, which the spec does not declare")
        if value is None:
            continue
        low = -math.inf if metric.low is None else metric.low
        high = math.inf if metric.high is None else metric.high
        expect(low <= value <= high, f"on the {name} pair {measurement.id} is {value}, outside [{low}, {high}]")


def check_measurements_are_well_formed(target: Target) -> None:
    """A measurement has the id of its place, and a finite value with `n` or no value with a reason. No id occurs twice.

    NaN and infinity are not numbers in JSON. An absent value is a statement like any other and needs its reason; a
    present one needs the number of entries behind it. A place that names a tensor also names its layer and kind of
    module, so that readers can group without parsing names.
    """
    for name in present(target, PAIRS):
        seen: set[str] = set()
        scopes = {item.name: item.scope for item in target.workbench.weight_pairs(name)}
        for measurement in output_of(target, name).measurements:
            where = f"on the {name} pair {measurement.id}"
            check_value(measurement, where)
            made = measurement_id(measurement.metric, measurement.subjects, measurement.scope)
            expect(measurement.id == made, f"{where}: its metric, subjects and scope make the id {made!r}")
            expect(measurement.id not in seen, f"{where}: measured twice")
            seen.add(measurement.id)
            expect(
                measurement.subjects and set(measurement.subjects) <= {"base", "trained"},
                f"{where}: there are no subjects {measurement.subjects}",
            )
            scope = measurement.scope
            place = scopes.get(scope.tensor or "")
            if place is not None:
                expect(
                    (scope.layer, scope.module) == (place.layer, place.module),
                    f"{where}: its scope must name layer {place.layer} and module {place.module!r}; use `item.scope`",
                )


def check_statistics_are_coherent(target: Target) -> None:
    """An interval contains its value, probabilities lie in [0, 1], and a correction never lowers a p value.

    These are the mistakes that make a result look surer than it is.
    """
    for name, measurement in _measurements(target):
        where = f"on the {name} pair {measurement.id}"
        interval, test, null, value = measurement.interval, measurement.test, measurement.null, measurement.value
        if interval is not None:
            expect(value is not None, f"{where}: has an interval but no value")
            expect(interval.low <= (value or 0.0) <= interval.high, f"{where}: {value} lies outside its interval")
            expect(0 < interval.level < 1, f"{where}: interval level {interval.level} is not between 0 and 1")
        if test is not None:
            expect(0 <= test.p_value <= 1, f"{where}: p value {test.p_value} is not in [0, 1]")
            if test.p_adjusted is not None:
                expect(test.p_value <= test.p_adjusted <= 1, f"{where}: the correction lowered the p value")
                expect(test.correction and test.family, f"{where}: corrected, but without naming method and family")
        if null is not None:
            expect(null.n > 0, f"{where}: compared with {null.n} controls")
            expect(0 <= null.quantile <= 1 and 0 < null.p_value <= 1, f"{where}: null quantile or p out of range")


def check_artifacts_are_well_formed(target: Target) -> None:
    """An artifact's id lies inside the plugin's namespace, its suffix starts with a dot, and it has a summary.

    Artifacts become files beside the document, named by their ids. Reports offer them by their summaries.
    """
    for name, output in _outputs(target):
        for artifact in output.artifacts:
            where = f"on the {name} pair artifact {artifact.id!r}"
            named = re.fullmatch(rf"{re.escape(target.plugin.name)}(\.[a-z0-9_]+)+", artifact.id)
            expect(named, f"{where}: the id must have the form '{target.plugin.name}.<name>'")
            expect(re.fullmatch(r"(\.[a-z0-9]+)+", artifact.suffix), f"{where}: odd suffix {artifact.suffix!r}")
            expect(artifact.summary.strip(), f"{where}: the summary is empty")
            expect("/" in artifact.media_type, f"{where}: {artifact.media_type!r} is no media type")


def check_value(measurement: Measurement, where: str) -> None:
    """Fails unless there is a finite value with `n`, or none with a reason."""
    if measurement.status == "undefined":
        expect(measurement.value is None, f"{where}: undefined, and yet {measurement.value}")
        expect((measurement.reason or "").strip(), f"{where}: undefined without a reason")
        return
    expect(measurement.status == "ok", f"{where}: unknown status {measurement.status!r}")
    value = measurement.value
    expect(isinstance(value, float), f"{where}: the value is {value!r}, not a float")
    expect(value is not None and math.isfinite(value), f"{where}: {value} is not finite; make it undefined")
    expect(measurement.n is not None and measurement.n >= 0, f"{where}: n is {measurement.n}; say how many entries")


def _outputs(target: Target) -> Iterator[tuple[str, AnalyzerOutput]]:
    for name in present(target, PAIRS):
        yield name, output_of(target, name)


def _measurements(target: Target) -> Iterator[tuple[str, Measurement]]:
    for name, output in _outputs(target):
        yield from ((name, measurement) for measurement in output.measurements)


CHECKS = (
    check_only_declared_metrics_are_measured,
    check_measurements_are_well_formed,
    check_statistics_are_coherent,
    check_artifacts_are_well_formed,
)
