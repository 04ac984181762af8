"""How the change compares with rounding to the stored dtype.

    floor(W)  = √(mean ulp(w)²/12) / rms(w)        per side: the relative size of rounding every entry once
    ratio     = (‖Δ‖/‖W‖) / max(floor(W), floor(W'))

A pair that differs by one rounding of every entry has a ratio of about 1; a pair saved twice from the same weights
has 0. The floor's figures for Gaussian weights (bf16 1.66e-3, fp16 2.1e-4) do not depend on their scale.
"""

from __future__ import annotations

from collections.abc import Iterator

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.sums import PairSums, relative_change, rounding_floor
from afterburn_weight.rollup import roll_up


class Rounding:
    """Analyzer `weight.rounding`."""

    def __init__(self, options: None = None) -> None:
        self._tensors: dict[str, tuple[Scope, PairSums]] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Needs nothing to begin with."""

    def observe(self, item: WeightPair) -> None:
        """Keeps the sums of tensors that can be compared."""
        if item.sums is not None and item.sums.finite:
            self._tensors[item.name] = (item.scope, item.sums)

    def merge(self, other: Rounding) -> None:
        """Takes in tensors that another instance observed."""
        self._tensors.update(other._tensors)

    def finish(self) -> AnalyzerOutput:
        """Floors per side and the ratio, per tensor and per roll-up."""
        found: list[Measurement] = []
        for name in sorted(self._tensors):
            found += _measurements(*self._tensors[name])
        for place in roll_up(self._tensors):
            found += _measurements(place.scope, place.sums)
        return AnalyzerOutput(measurements=tuple(found))


def _measurements(scope: Scope, sums: PairSums) -> Iterator[Measurement]:
    base = rounding_floor(sums.base_step_sq, sums.base_sq)
    trained = rounding_floor(sums.trained_step_sq, sums.trained_sq)
    for subject, floor in (("base", base), ("trained", trained)):
        if floor is None:
            reason = "all weights are zero"
            yield undefined("weight.rounding.floor", reason, subjects=(subject,), scope=scope, n=sums.n)
        else:
            yield measure("weight.rounding.floor", floor, subjects=(subject,), scope=scope, n=sums.n)
    relative = relative_change(sums)
    floors = [floor for floor in (base, trained) if floor]
    if relative is None or not floors:
        yield undefined("weight.rounding.ratio", "a norm is zero", scope=scope, n=sums.n)
    else:
        yield measure("weight.rounding.ratio", relative / max(floors), scope=scope, n=sums.n)
