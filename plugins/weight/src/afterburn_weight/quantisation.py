"""How much of a change the quantisation of a side explains.

A quantised weight is off by up to half the spacing of the values that its code could have stood for. Where errors are
spread evenly over that spacing they have the variance step²/12, whatever the weights are:

    floor    = √(Σ step²/12) / ‖W‖                over the quantised sides
    excess   = √max(0, (‖Δ‖/‖W‖)² − floor²)       errors of quantisation and changes of training are independent
    ratio    = (‖Δ‖/‖W‖) / floor

`step` is a property of the stored codes and scales, so nothing is estimated. Spacings of non-uniform codes are replaced
by the step of the uniform quantiser of equal error. Two sides quantised alike share most of their errors; the floor is
then an upper bound. An adapter rests on its base as it is, so the base's quantisation is no part of its change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs

from afterburn_core.backends.tensors import Quantisation, TensorInfo
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.sums import PairSums, relative_change
from afterburn_weight.rollup import roll_up

_METRICS = ("floor", "excess", "ratio")
NOT_QUANTISED = "no compared weight is stored quantised"
ADAPTER = "the adapter rests on its quantised base as it is: quantisation is no part of the change"


class Quantised:
    """Analyzer `weight.quantisation`."""

    def __init__(self, options: None = None) -> None:
        self._tensors: dict[str, tuple[Scope, PairSums]] = {}
        self._unknown: dict[str, tuple[Scope, str]] = {}
        self._adapter = False
        self._packed = False

    def begin(self, context: AnalyzerContext) -> None:
        """Notes whether the trained subject is an adapter."""
        self._adapter = is_adapter(context)

    def observe(self, item: WeightPair) -> None:
        """Keeps the sums of tensors that either side stores quantised, with steps of the other side left out."""
        base, trained = kind_of(item.base), kind_of(item.trained)
        self._packed = self._packed or base is not None
        if self._adapter or item.sums is None or (base is None and trained is None):
            return
        unknown = [kind.code for kind in (base, trained) if kind is not None and not kind.steps]
        if unknown:
            self._unknown[item.name] = (item.scope, f"the steps of {unknown[0]} are not known")
        elif not item.sums.finite:
            self._unknown[item.name] = (item.scope, "the sums are not finite")
        else:
            sums = item.sums if base is not None else attrs.evolve(item.sums, base_step_sq=0.0)
            sums = sums if trained is not None else attrs.evolve(sums, trained_step_sq=0.0)
            self._tensors[item.name] = (item.scope, sums)

    def merge(self, other: Quantised) -> None:
        """Takes in tensors that another instance observed."""
        self._tensors.update(other._tensors)
        self._unknown.update(other._unknown)
        self._packed = self._packed or other._packed

    def finish(self) -> AnalyzerOutput:
        """Floor, excess and ratio per quantised tensor and per roll-up over those."""
        found: list[Measurement] = []
        for name in sorted(self._tensors):
            found += _measurements(*self._tensors[name])
        for name in sorted(self._unknown):
            scope, reason = self._unknown[name]
            found += [undefined(f"weight.quantisation.{metric}", reason, scope=scope) for metric in _METRICS]
        note = f"left out: {len(self._unknown)} tensors whose steps are not known" if self._unknown else None
        for place in roll_up(self._tensors):
            found += _measurements(place.scope, place.sums, note)
        if not self._tensors:
            reason = ADAPTER if self._adapter and self._packed else note or NOT_QUANTISED
            found += [undefined(f"weight.quantisation.{metric}", reason) for metric in _METRICS]
        return AnalyzerOutput(measurements=tuple(found))


def kind_of(info: TensorInfo | None) -> Quantisation | None:
    """How a side of a pair is stored quantised, if it is."""
    return None if info is None else info.quantisation


def is_adapter(context: AnalyzerContext) -> bool:
    """Whether the trained subject is an adapter."""
    return any(subject.role == "trained" and subject.kind == "adapter" for subject in context.subjects)


def _measurements(scope: Scope, sums: PairSums, note: str | None = None) -> Iterator[Measurement]:
    relative = relative_change(sums)
    if relative is None or not sums.base_sq:
        for metric in _METRICS:
            yield undefined(f"weight.quantisation.{metric}", "all weights of base are zero", scope=scope, n=sums.n)
        return
    floor = math.sqrt((sums.base_step_sq + sums.trained_step_sq) / 12 / sums.base_sq)
    excess = math.sqrt(max(0.0, relative**2 - floor**2))
    yield measure("weight.quantisation.floor", floor, scope=scope, n=sums.n, reason=note)
    yield measure("weight.quantisation.excess", excess, scope=scope, n=sums.n, reason=note)
    if floor:
        yield measure("weight.quantisation.ratio", relative / floor, scope=scope, n=sums.n, reason=note)
    else:
        yield undefined("weight.quantisation.ratio", "every step is zero", scope=scope, n=sums.n)
