"""Out-of-fold scores of the classifier test under every swap, with or without length taken out.

With z_ij the differences (n, p), s_ib = ±1 the swaps, L (n, k) the differences of log length, and T the prompts outside
the fold of i:

    without L:   S_jb = Σ_T s_ib z_ij                       Q_jb = Σ_T z_ij²                     r_ijb = s_ib z_ij
    with L:      C_jb = (L_TᵀL_T)⁻¹ Σ_T L_i s_ib e_ij       S_jb = Σ_T s_ib e_ij − C_jb·Σ_T L_i
                 Q_jb = Σ_T e_ij² − C_jbᵀ(L_TᵀL_T)C_jb      r_ijb = s_ib e_ij − L_i·C_jb

t = S/√Q, weights t³ scaled to length 1, score Σ_j t_jb³ r_ijb; e is what regressing z on L over all prompts leaves.

The regression that takes length out is fitted anew on the training prompts of every fold and every swap, and only then
applied to the fold. One fit over all prompts would force the rest to sum to 0 against L: where answers grow in every
prompt, what the training prompts have too much of the fold then has too little of, and the scores fall below chance.
Swaps turn the rest e and leave length as it is (permutation of residuals under the reduced model: Freedman and Lane
1983; compared with others by Winkler et al. 2014, Permutation inference for the general linear model). Since C is
linear, the observed scores are those without a swap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afterburn_core.result.model import Interval
from afterburn_core.stats.intervals import wilson

Floats = NDArray[np.float32]
_ROUNDING = 1e-9


def without(differences: NDArray[np.float64], nuisance: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is left of the columns after regressing them, through the origin, on the nuisance columns; (n, p)."""
    kept = scaled(nuisance)
    if not kept.shape[1]:
        return differences
    fitted = kept @ np.linalg.lstsq(kept, differences, rcond=1e-10)[0]
    left = differences - fitted
    # a column that was nothing but length leaves rounding, which scaling would blow up
    scale = np.sqrt(np.mean(differences * differences, axis=0))
    return np.where(np.sqrt(np.mean(left * left, axis=0)) > 1e-7 * scale, left, 0.0)


def scaled(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The columns that are not all 0, at a mean square of 1."""
    size = np.sqrt(np.mean(columns * columns, axis=0))
    return np.asarray(columns[:, size > 0] / size[size > 0])


def units_beyond(nuisance: NDArray[np.float64], units: NDArray[np.intp]) -> float:
    """Units that the direction trained − base is worth once the nuisance is taken out: n(1 − R²) of a constant.

    R² is that of regressing 1 on the nuisance columns, through the origin. Where answers grow alike in every prompt,
    length and side are the same thing, and nothing is left.
    """
    count = int(units.max(initial=-1)) + 1
    ones = np.ones((len(nuisance), 1))
    return float(np.mean(without(ones, nuisance) ** 2)) * count


def out_of_fold(
    z: Floats, nuisance: Floats, signs: Floats, parts: Sequence[NDArray[np.intp]]
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Scores of every prompt under every swap, t over all prompts, and which features keep their sign in all folds.

    Args:
        z: differences of unit mean square, the nuisance taken out over all prompts, (n, p).
        nuisance: columns of unit mean square, (n, k); k may be 0.
        signs: swaps, the first column all 1, (n, B + 1).
        parts: rows of each fold.

    Returns:
        (n, B + 1), (p, B + 1), (p,)
    """
    whole = _Sums(z, nuisance, signs)
    overall = whole.statistics(whole.squares)[0]
    scores = np.empty_like(signs)
    stable = np.ones(z.shape[1], dtype=bool)
    for part in parts:
        inside, length = z[part], nuisance[part]
        t, fitted = whole.less(_Sums(inside, length, signs[part])).statistics(whole.squares)
        stable &= t[:, 0] * overall[:, 0] > 0
        cubes = t * t * t  # several times as fast as a power
        # scores of all folds are compared with each other, so every fold speaks equally loud
        loudness = np.sqrt(np.sum(cubes * cubes, axis=0))
        raw = signs[part] * (inside @ cubes)
        for k, slopes in enumerate(fitted):
            raw -= length[:, [k]] * np.sum(slopes * cubes, axis=0)
        scores[part] = raw / np.where(loudness > 0, loudness, 1)
    return scores, overall, stable


class _Sums:
    """What the statistics of some rows need, additive over rows."""

    def __init__(self, z: Floats, nuisance: Floats, signs: Floats) -> None:
        self.sums = z.T @ signs  # (p, B + 1)
        self.squares = np.sum(z * z, axis=0)  # (p,)
        self.products = [(z * nuisance[:, [k]]).T @ signs for k in range(nuisance.shape[1])]  # k of (p, B + 1)
        wide = nuisance.astype(np.float64)
        self.gram, self.totals = wide.T @ wide, wide.sum(axis=0)

    def less(self, other: _Sums) -> _Sums:
        """The rows of this without those of the other."""
        rest = object.__new__(_Sums)
        rest.sums, rest.squares = self.sums - other.sums, self.squares - other.squares
        rest.products = [mine - its for mine, its in zip(self.products, other.products, strict=True)]
        rest.gram, rest.totals = self.gram - other.gram, self.totals - other.totals
        return rest

    def statistics(self, all_squares: Floats) -> tuple[Floats, list[Floats]]:
        """t (p, B + 1), and the slopes on each nuisance column (p, B + 1)."""
        sums, squares = self.sums, self.squares[:, None]
        slopes: list[Floats] = []
        if self.products:
            inverse = np.linalg.pinv(self.gram, rcond=1e-7, hermitian=True).astype(np.float32)
            for row in inverse:
                slope = np.zeros_like(sums)
                for weight, product in zip(row, self.products, strict=True):
                    slope += weight * product
                slopes.append(slope)
            for slope, total, product in zip(slopes, self.totals, self.products, strict=True):
                sums = sums - np.float32(total) * slope
                squares = squares - slope * product
        # a feature that no training prompt shows has no weight; float32 leaves a rest of about 1e-7 of the sum
        scale = np.where(squares > 1e-5 * all_squares[:, None], 1 / np.sqrt(np.maximum(squares, 1e-30)), 0)
        return np.asarray(sums * scale, dtype=np.float32), slopes


def leanings(scores: Floats) -> NDArray[np.float64]:
    """sign(s_i) (2 r_i − 1)/n with r the middle rank of |s_i| in its column, (n, columns).

    Their mean is that of sign(s_i + s_l) over all pairs, which is 2 AUROC − 1: the signed-rank statistic.
    """
    n = len(scores)
    size = np.abs(scores)
    order = np.argsort(size, axis=0, kind="stable")
    ordered = np.take_along_axis(size, order, axis=0)
    place = np.arange(n)[:, None]
    starts = np.ones(size.shape, dtype=bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    ends = np.ones(size.shape, dtype=bool)
    ends[:-1] = starts[1:]
    smaller = np.maximum.accumulate(np.where(starts, place, 0), axis=0)
    last = np.flip(np.minimum.accumulate(np.flip(np.where(ends, place, n), axis=0), axis=0), axis=0)
    twice = np.empty(size.shape)
    np.put_along_axis(twice, order, (smaller + last + 1).astype(np.float64), axis=0)  # 2 r − 1
    return np.asarray(np.sign(scores) * twice / n)


def areas_under(scores: Floats) -> NDArray[np.float64]:
    """AUROC of each column of scores, exactly ½, 0 and 1 where it is that up to rounding."""
    areas = 0.5 + leanings(scores).mean(axis=0) / 2
    nearest = np.round(2 * areas) / 2
    return np.asarray(np.where(np.abs(areas - nearest) < _ROUNDING, nearest, areas))


def area_interval(scores: Floats, units: NDArray[np.intp], area: float, level: float) -> Interval:
    """Wilson's interval at the number of trials that would give the AUROC's standard error over units.

    The error is that of a V-statistic, 4 var(placements)/n, summed within units; the placement of i is the share of l
    with s_i > −s_l. Never more trials than units: near 0 and 1 the placements show next to no spread, and units are
    all that was seen.
    """
    count = int(units.max()) + 1
    mirrored = np.sort(-scores)
    below = np.searchsorted(mirrored, scores, side="left") + np.searchsorted(mirrored, scores, side="right")
    sums = np.bincount(units, weights=below / (2 * scores.size) - area, minlength=count)
    variance = 4 * float(np.sum(sums * sums)) / scores.size**2 * count / (count - 1)
    trials = area * (1 - area) / variance if variance > 0 else count
    trials = min(trials, count) if 0 < area < 1 else count
    low, high = wilson(area * trials, trials, level=level)
    return Interval(low=float(low), high=float(high), level=level, method="wilson_effective_n")
