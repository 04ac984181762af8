"""Size and direction of the change.

Per tensor, with w an entry of the base W, w' of the trained W' and Δ = W' − W:

    norm              ‖Δ‖ = √Σδ²
    relative          ‖Δ‖ / ‖W‖                                  undefined where ‖W‖ = 0 and Δ ≠ 0
    cosine_distance   1 − cos(W, W')                             undefined where either norm is 0
    max_abs           max |δ|
    changed_fraction  #{stored bits differ} / n

A roll-up takes the same formulas over the summed squares of its tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.sums import PairSums, cosine_distance, relative_change
from afterburn_weight.rollup import roll_up

_METRICS = ("norm", "relative", "cosine_distance", "max_abs", "changed_fraction")


class Delta:
    """Analyzer `weight.delta`."""

    def __init__(self, options: None = None) -> None:
        self._tensors: dict[str, tuple[Scope, PairSums]] = {}
        self._uncompared: dict[str, tuple[Scope, str]] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Needs nothing to begin with."""

    def observe(self, item: WeightPair) -> None:
        """Keeps the tensor's sums; a few numbers per tensor, however large it is."""
        if item.sums is not None:
            self._tensors[item.name] = (item.scope, item.sums)
        elif item.union:
            self._uncompared[item.name] = (item.scope, item.reason or item.state)

    def merge(self, other: Delta) -> None:
        """Takes in tensors that another instance observed."""
        self._tensors.update(other._tensors)
        self._uncompared.update(other._uncompared)

    def finish(self) -> AnalyzerOutput:
        """Measurements per tensor, then per roll-up, in a fixed order."""
        found: list[Measurement] = []
        for name in sorted(self._tensors):
            scope, sums = self._tensors[name]
            found += _measurements(scope, sums)
            found += _nonfinite(scope, sums)
        for name in sorted(self._uncompared):
            scope, reason = self._uncompared[name]
            found += [undefined(f"weight.delta.{metric}", reason, scope=scope) for metric in _METRICS]
        finite = {name: entry for name, entry in self._tensors.items() if entry[1].finite}
        left_out = len(self._tensors) - len(finite)
        note = f"left out: {left_out} of {len(self._tensors)} tensors, whose sums are not finite" if left_out else None
        for place in roll_up(finite):
            found += _measurements(place.scope, place.sums, note=note)
        broken = sum(sums.base_nonfinite + sums.trained_nonfinite for _, sums in self._tensors.values())
        if self._tensors:
            entries = sum(sums.n for _, sums in self._tensors.values())
            found.append(measure("weight.nonfinite", broken, n=2 * entries))
        return AnalyzerOutput(measurements=tuple(found))


def _measurements(scope: Scope, sums: PairSums, note: str | None = None) -> Iterator[Measurement]:
    if not sums.finite:
        broken = sums.base_nonfinite or sums.trained_nonfinite
        reason = "the tensor holds NaN or infinite values" if broken else "the squares exceed the range of float64"
        for metric in _METRICS:
            yield undefined(f"weight.delta.{metric}", reason, scope=scope, n=sums.n)
        return
    values = {
        "norm": math.sqrt(sums.delta_sq),
        "relative": relative_change(sums),
        "cosine_distance": cosine_distance(sums),
        "max_abs": sums.max_abs,
        "changed_fraction": sums.changed / sums.n if sums.n else None,
    }
    for metric, value in values.items():
        name = f"weight.delta.{metric}"
        if value is None:
            yield undefined(name, "a norm is zero", scope=scope, n=sums.n)
        else:
            yield measure(name, value, scope=scope, n=sums.n, reason=note)


def _nonfinite(scope: Scope, sums: PairSums) -> Iterator[Measurement]:
    """By subject, for the tensors that have any."""
    for subject, count in (("base", sums.base_nonfinite), ("trained", sums.trained_nonfinite)):
        if count:
            yield measure("weight.nonfinite", count, subjects=(subject,), scope=scope, n=sums.n)
