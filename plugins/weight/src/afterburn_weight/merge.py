"""What merging the adapter into its base would lose, per tensor and rolled up; and how far DoRA moved its magnitudes.

    merge_error        ‖round(W + Δ) − (W + Δ)‖ / ‖Δ‖ in the base's dtype, in bfloat16 and in float16
    magnitude_change   √mean(ρ²), ρ = g/‖W‖ − 1 per output: ‖W'‖ = g, so both norms are those of the rows

Rolled up over energies: √(Σ‖error‖² / Σ‖Δ‖²). The values pass by in blocks of rows; nothing is held.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import attrs
import numpy as np

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import FactorItem, WeightPair
from afterburn_weight.merging import NAMES, Array, Loss, combined, rounding_loss
from afterburn_weight.rollup import order, places

_BLOCK = 1 << 20  # elements at once
_TARGETS = ("BF16", "F16")
NOTHING = "nothing changes"
"""The reason given where there is no change that a merge could lose."""


@attrs.frozen(kw_only=True)
class Merged:
    """One tensor's merge."""

    scope: Scope
    dtype: str
    """Of the base."""
    loss: Loss
    magnitudes: dict[bool, tuple[float, float]]
    """Root mean square and largest |‖W'‖/‖W‖ − 1| over rows (True) and columns (False); no entry where ‖W‖ = 0."""


class Merge:
    """Analyzer `weight.merge`."""

    def __init__(self, options: None = None) -> None:
        self._tensors: dict[str, Merged] = {}
        self._dora: dict[str, bool] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Needs nothing to begin with."""

    def observe(self, item: FactorItem | WeightPair) -> None:
        """Rounds one tensor's merge, by blocks of rows; of factors, notes which modules are DoRA."""
        if isinstance(item, FactorItem):
            if item.read_matrix is not None and not item.exact:
                self._dora[item.name] = item.by_row
            return
        if item.sums is None or not item.sums.finite or item.base is None or item.sums.delta_sq == 0:
            return
        if item.base.dtype in NAMES:
            self._tensors[item.name] = _merged(item, item.base.dtype)

    def merge(self, other: Merge) -> None:
        """Takes in tensors that another instance observed."""
        self._tensors.update(other._tensors)
        self._dora.update(other._dora)

    def finish(self) -> AnalyzerOutput:
        """Measurements per tensor, then per roll-up."""
        found: list[Measurement] = []
        groups: dict[Scope, list[Merged]] = defaultdict(list)
        for name in sorted(self._tensors):
            one = self._tensors[name]
            found += _errors(one.scope, [one])
            if name in self._dora:
                found += _magnitudes(one, self._dora[name])
            for place in places(one.scope):
                groups[place].append(one)
        for scope in sorted(groups, key=order):
            found += _errors(scope, groups[scope])
        if not self._tensors:
            found.append(undefined("weight.adapter.merge_error", NOTHING, n=0))
        return AnalyzerOutput(measurements=tuple(found))


def _errors(scope: Scope, group: list[Merged]) -> Iterator[Measurement]:
    whole = combined(one.loss for one in group)
    own = [one.loss.error_sq[one.dtype] for one in group]
    dtypes = ", ".join(sorted({NAMES[one.dtype] for one in group}))
    yield _error("weight.adapter.merge_error", math.fsum(own), whole, scope, f"into {dtypes}")
    for dtype in _TARGETS:
        yield _error(f"weight.adapter.merge_error.{NAMES[dtype]}", whole.error_sq[dtype], whole, scope)


def _error(metric: str, error_sq: float, whole: Loss, scope: Scope, note: str | None = None) -> Measurement:
    if not math.isfinite(error_sq):
        return undefined(metric, "a merged weight exceeds the range of the dtype", scope=scope, n=whole.n)
    if not whole.delta_sq:
        return undefined(metric, NOTHING, scope=scope, n=whole.n)
    return measure(metric, math.sqrt(error_sq / whole.delta_sq), scope=scope, n=whole.n, reason=note)


def _magnitudes(one: Merged, by_row: bool) -> Iterator[Measurement]:
    found = one.magnitudes.get(by_row)
    if found is None:
        yield undefined(
            "weight.adapter.magnitude_change", "an output of the base is zero", scope=one.scope, n=one.loss.n
        )
        return
    yield measure("weight.adapter.magnitude_change", found[0], scope=one.scope, n=one.loss.n)
    yield measure("weight.adapter.magnitude_change_max", found[1], scope=one.scope, n=one.loss.n)


def _merged(item: WeightPair, dtype: str) -> Merged:
    losses: list[Loss] = []
    rows: list[tuple[Array, Array]] = []
    columns: list[tuple[Array, Array]] = []
    dtypes = tuple(dict.fromkeys((dtype, *_TARGETS)))
    for base, trained in _blocks(item):
        losses.append(rounding_loss(base, trained, dtypes, unmoved=False))
        rows.append((np.einsum("ij,ij->i", base, base), np.einsum("ij,ij->i", trained, trained)))
        columns.append((np.einsum("ij,ij->j", base, base), np.einsum("ij,ij->j", trained, trained)))
    magnitudes = {}
    for by_row, before, after in (
        (True, np.concatenate([b for b, _ in rows]), np.concatenate([t for _, t in rows])),
        (False, np.sum([b for b, _ in columns], axis=0), np.sum([t for _, t in columns], axis=0)),
    ):
        if before.all():
            change = np.abs(np.sqrt(after / before) - 1)
            magnitudes[by_row] = float(np.sqrt(np.mean(change**2))), float(change.max())
    return Merged(scope=item.scope, dtype=dtype, loss=combined(losses), magnitudes=magnitudes)


def _blocks(item: WeightPair) -> Iterator[tuple[Array, Array]]:
    """Base and trained in float64, some rows at a time.

    Rows are those of each side's own file where that pairs them rightly, which the sums of the pass tell; token tables
    whose tokens moved are read whole, with rows aligned.
    """
    if _same_rows(item):
        yield from _sides(item)
        return
    base, trained = (np.asarray(side.numpy()) for side in item.values())
    yield base.reshape(base.shape[0], -1), trained.reshape(trained.shape[0], -1)


def _same_rows(item: WeightPair) -> bool:
    if item.read_side is None or item.base is None or item.trained is None or item.base.shape != item.trained.shape:
        return False
    if item.scope.module not in {"embed", "head"}:
        return item.compared == item.base.numel
    square = math.fsum(float(np.vdot(b - t, b - t)) for b, t in _sides(item))
    return item.sums is not None and math.isclose(square, item.sums.delta_sq, rel_tol=1e-9)


def _sides(item: WeightPair) -> Iterator[tuple[Array, Array]]:
    shape = item.base.shape if item.base is not None else ()
    count = shape[0] if shape else 1
    width = math.prod(shape[1:])
    step = max(1, _BLOCK // max(width, 1))
    for first in range(0, count, step):
        last = min(first + step, count)
        base, trained = (
            np.asarray(item.side(role, first, last), dtype=np.float64).reshape(last - first, -1)
            for role in ("base", "trained")
        )
        yield base, trained
