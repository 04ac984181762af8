"""Structure of Δ against nulls that ask less of the noise than the Marchenko–Pastur law.

    sign_edge        largest σ₁ of Δ under random signs of its entries          sign_spikes      #{σ_i beyond it}
    whitened_spikes  beyond the Marchenko–Pastur edge once rows and columns are scaled to one variance
    rounding_edge    s_r(√m + √n) with a margin, s_r² = mean ulp(w')²/12        rounding_spikes  #{σ_i beyond it}

The first two ask whether there is structure, the last whether it can be told from the arithmetic: a rank-64 change
below the rounding of its dtype has spikes beyond the sign edge and none beyond the rounding edge. A flat change of
nearly full rank has none beyond the sign edge. Matrices that are noise by the Marchenko–Pastur edge are not drawn.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Null, Scope
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.seeds import child_seed
from afterburn_core.run.spectra import PairSpectra, Spectrum
from afterburn_core.run.sums import PairSums
from afterburn_weight.options import NullOptions
from afterburn_weight.rollup import order, places
from afterburn_weight.sign_null import SignNull, sign_null
from afterburn_weight.spectrum import rounding_edge
from afterburn_weight.spikes import NoiseFit, fit_noise
from afterburn_weight.whitening import whitened_noise

_COUNTS = ("sign_spikes", "whitened_spikes", "rounding_spikes")
_TABLES = frozenset({"embed", "head"})
"""Their rows are paired by token."""
_NOT_DRAWN = "no singular value lies beyond the Marchenko–Pastur edge, so no null was drawn"


@attrs.frozen(kw_only=True)
class Matrix:
    """What is kept of one matrix: counts, or why there are none."""

    scope: Scope
    count: int
    """Singular values."""
    counts: dict[str, int | str]
    sign: SignNull | str
    rounding: float | str


class NullAnalyzer:
    """Analyzer `weight.null`."""

    def __init__(self, options: NullOptions) -> None:
        self._options = options
        self._seed = 0
        self._matrices: dict[str, Matrix] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Takes the seed of all nulls."""
        self._seed = context.seed

    def observe(self, item: WeightPair) -> None:
        """Draws the nulls of one change where there is something to explain."""
        if item.spectra is None or item.sums is None:
            return
        delta = item.spectra.delta
        values = delta.values
        rounding = _rounding(item.spectra, item.sums)
        sign, signed, whitened = self._drawn(item, delta)
        self._matrices[item.name] = Matrix(
            scope=item.scope,
            count=min(delta.rows, delta.columns),
            counts={
                "sign_spikes": signed,
                "whitened_spikes": whitened,
                "rounding_spikes": rounding if isinstance(rounding, str) else int(np.count_nonzero(values > rounding)),
            },
            sign=sign,
            rounding=rounding,
        )

    def merge(self, other: NullAnalyzer) -> None:
        """Takes in matrices that another instance observed."""
        self._matrices.update(other._matrices)

    def finish(self) -> AnalyzerOutput:
        """Per matrix; counts add by place."""
        found: list[Measurement] = []
        for name in sorted(self._matrices):
            found += _measurements(self._matrices[name])
        groups: dict[Scope, list[Matrix]] = defaultdict(list)
        for name in sorted(self._matrices):
            for place in places(self._matrices[name].scope):
                groups[place].append(self._matrices[name])
        for place in sorted(groups, key=order):
            found += _rolled_up(place, groups[place])
        return AnalyzerOutput(measurements=tuple(found))

    def _drawn(self, item: WeightPair, delta: Spectrum) -> tuple[SignNull | str, int | str, int | str]:
        """The sign null, and the spikes beyond it and after whitening."""
        if delta.square == 0:
            return "nothing changed", 0, 0
        if delta.approximate:
            reason = "only the largest singular values are known"
            return reason, reason, reason
        noise = fit_noise(delta)
        if isinstance(noise, NoiseFit) and not noise.spikes.size and not self._options.always:
            return _NOT_DRAWN, 0, 0
        if delta.rows * delta.columns > self._options.most_entries:
            reason = f"the matrix has more than {self._options.most_entries} entries (option most_entries)"
            return reason, reason, reason
        matrix = _difference(item)
        seed = child_seed(self._seed, item.name)
        sign = sign_null(matrix.copy(), delta.values, seed=seed, draws=self._options.draws)
        resolved = delta.values[delta.values > delta.floor * delta.values[0]]
        signed = int(np.count_nonzero(resolved > sign.edge))
        removed = min(sign.removed, signed)
        white = whitened_noise(matrix, removed=removed, seed=child_seed(seed, "whitening"))
        return sign, signed, white if isinstance(white, str) else white.spikes.size


def _difference(item: WeightPair) -> NDArray[np.float32]:
    """Δ (m, n) in float32: the exact difference of the stored values, rounded once."""
    base, trained = _sides(item)
    delta = np.empty((base.shape[0], base[0].size), dtype=np.float32)
    np.subtract(trained.reshape(delta.shape), base.reshape(delta.shape), out=delta, casting="same_kind")
    return delta


def _sides(item: WeightPair) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both sides, rows aligned, as wide as they are stored; in float64 and by way of torch where rows were paired."""
    left, right = item.base, item.trained
    paired = left is None or right is None or left.shape != right.shape or item.compared != left.numel
    if left is None or paired or item.read_side is None or item.scope.module in _TABLES:
        base, trained = item.values()
        return base.numpy(), trained.numpy()
    return item.side("base", 0, left.shape[0]), item.side("trained", 0, left.shape[0])


def _rounding(spectra: PairSpectra, sums: PairSums) -> float | str:
    delta = spectra.delta
    if not spectra.rounded:
        return "the change is an adapter's and was rounded to no dtype"
    return rounding_edge(sums, delta.rows, delta.columns)


def _measurements(matrix: Matrix) -> Iterator[Measurement]:
    scope, count = matrix.scope, matrix.count
    sign = matrix.sign
    if isinstance(sign, str):
        yield undefined("weight.null.sign_edge", sign, scope=scope, n=count)
    else:
        note = f"{sign.removed} dominant directions were taken out first" if sign.removed else None
        yield measure("weight.null.sign_edge", sign.edge, scope=scope, n=sign.draws, reason=note)
    if isinstance(matrix.rounding, str):
        yield undefined("weight.null.rounding_edge", matrix.rounding, scope=scope, n=count)
    else:
        yield measure("weight.null.rounding_edge", matrix.rounding, scope=scope, n=count)
    for metric in _COUNTS:
        value = matrix.counts[metric]
        if isinstance(value, str):
            yield undefined(f"weight.null.{metric}", value, scope=scope, n=count)
            continue
        one = measure(f"weight.null.{metric}", value, scope=scope, n=count)
        if metric == "sign_spikes":
            one = _with_null(one, sign)
        yield one


def _with_null(one: Measurement, sign: SignNull | str) -> Measurement:
    if isinstance(sign, str):
        return attrs.evolve(one, reason=sign)
    if not one.value:  # at least one of the draws reached σ₁
        return one
    # of σ₁: none of the draws reached it
    return attrs.evolve(one, null=Null(control="signs", n=sign.draws, quantile=1.0, p_value=1 / (sign.draws + 1)))


def _rolled_up(place: Scope, matrices: list[Matrix]) -> Iterator[Measurement]:
    for metric in _COUNTS:
        name = f"weight.null.{metric}"
        known = [value for m in matrices if not isinstance(value := m.counts[metric], str)]
        unknown = sorted({value for m in matrices if isinstance(value := m.counts[metric], str)})
        if not known:
            yield undefined(name, unknown[0], scope=place, n=len(matrices))
            continue
        left = len(matrices) - len(known)
        note = f"left out: {left} of {len(matrices)} matrices ({unknown[0]})" if left else None
        yield measure(name, math.fsum(known), scope=place, n=len(known), reason=note)
