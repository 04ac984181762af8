"""Whether quantising one side again gives the codes of the other.

    codes_changed = #{Q(w) ≠ Q(w')} / n

Q is the quantiser of the side that is stored quantised. A quantiser that depends on the weights alone is idempotent:
given the values that its codes stand for it returns those codes. So the stored codes need not be seen, and a copy that
was quantised and not trained has 0. The reverse does not hold: scaling a whole block changes its scale and no code.
"""

from __future__ import annotations

from collections import defaultdict

import attrs

from afterburn_core.backends.tensors import Quantisation
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import WeightPair
from afterburn_weight.quantisation import ADAPTER, NOT_QUANTISED, is_adapter, kind_of
from afterburn_weight.rollup import order, places

_METRIC = "weight.quantisation.codes_changed"


@attrs.frozen(kw_only=True)
class _Count:
    scope: Scope
    changed: int
    n: int


class Requantised:
    """Analyzer `weight.requantisation`."""

    def __init__(self, options: None = None) -> None:
        self._counts: dict[str, _Count] = {}
        self._left_out: dict[str, tuple[Scope, str]] = {}
        self._adapter = False
        self._packed = False

    def begin(self, context: AnalyzerContext) -> None:
        """Notes whether the trained subject is an adapter."""
        self._adapter = is_adapter(context)

    def observe(self, item: WeightPair) -> None:
        """Quantises both sides with the quantiser of the quantised one, by bands of rows."""
        base, trained = kind_of(item.base), kind_of(item.trained)
        kind = trained or base
        self._packed = self._packed or base is not None
        if self._adapter or kind is None or item.sums is None:
            return
        reason = _obstacle(item, base, trained)
        if reason is None:
            from afterburn_weight.quantisers import changed_codes, obstacle

            reason = obstacle(kind, item.base.shape if item.base is not None else ())
            if reason is None:
                changed = changed_codes(*item.values(), kind)
                self._counts[item.name] = _Count(scope=item.scope, changed=changed, n=item.compared)
                return
        self._left_out[item.name] = (item.scope, reason)

    def merge(self, other: Requantised) -> None:
        """Takes in tensors that another instance observed."""
        self._counts.update(other._counts)
        self._left_out.update(other._left_out)
        self._packed = self._packed or other._packed

    def finish(self) -> AnalyzerOutput:
        """The share per tensor and per roll-up."""
        found: list[Measurement] = []
        groups: dict[Scope, list[_Count]] = defaultdict(list)
        for name in sorted(self._counts):
            count = self._counts[name]
            found.append(measure(_METRIC, count.changed / count.n, scope=count.scope, n=count.n))
            for place in places(count.scope):
                groups[place].append(count)
        for name in sorted(self._left_out):
            scope, reason = self._left_out[name]
            found.append(undefined(_METRIC, reason, scope=scope))
        note = f"left out: {len(self._left_out)} quantised tensors" if self._left_out else None
        for place in sorted(groups, key=order):
            n = sum(count.n for count in groups[place])
            found.append(measure(_METRIC, sum(c.changed for c in groups[place]) / n, scope=place, n=n, reason=note))
        if not groups:
            reasons = sorted({reason for _, reason in self._left_out.values()})
            reason = ADAPTER if self._adapter and self._packed else "; ".join(reasons[:3]) or NOT_QUANTISED
            found.append(undefined(_METRIC, reason))
        return AnalyzerOutput(measurements=tuple(found))


def _obstacle(item: WeightPair, base: Quantisation | None, trained: Quantisation | None) -> str | None:
    """Why codes cannot be compared, before any quantiser is asked."""
    if base is not None and trained is not None and base != trained:
        return "the sides are quantised in different ways"
    if item.sums is not None and not item.sums.finite:
        return "the tensor holds NaN or infinite values"
    if item.base is None or item.compared != item.base.numel or item.state == "reshaped":
        return "rows were paired, so blocks differ"
    return None
