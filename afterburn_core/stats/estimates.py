"""Means of many columns with their intervals: the part that contrasts and one side's numbers share.

A column is one number per unit. Its interval is Student's below 50 units. From 50 on each end is the outer one of BCa's
and Student's, `bca_t`: BCa alone covers .92 with heavy tails, Student's alone misses on one side with skew; together
they cover .95 to .96 in both cases, at 2 to 10 % more width (`docs/statistics.md`). Clusters take the place of units
where units come in clusters.

Prompts are what is resampled: a prompt without a value for a metric drops out of the resamples that draw it, so that
metrics with different gaps share their resamples. A metric that lacks more than half of the units is resampled alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from afterburn_core.result.model import Interval
from afterburn_core.stats.clusters import leave_one_out, standard_error, sums_by_cluster
from afterburn_core.stats.intervals import clopper_pearson, t_interval, tango, wilson
from afterburn_core.stats.resampling import RESAMPLES, acceleration, bca_bounds, bootstrap_means

FloatArray: TypeAlias = npt.NDArray[np.float64]
MANY = 50
"""From so many units on BCa joins Student's interval."""
REACHABLE = 6
"""So many units are needed for a two-sided sign-flip p value of .05: 2/2^6 = .031."""
ALIKE = 59
"""So many units without a difference show that it is rare: below 5 % of them, with 95 % confidence (1 − .05^(1/59))."""
SPARSE = 10
"""Rates with fewer informative units get score intervals, which do not shrink to nothing as s/√n does."""
_WIDTH = 64  # columns that are resampled together


@attrs.frozen(kw_only=True, eq=False)
class Column:
    """The values of one metric, without gaps."""

    values: FloatArray
    """(n,), one number per unit."""
    sums: FloatArray
    """(G,), sums over clusters; the values themselves where every unit is its own, 0 where a unit is missing."""
    sizes: FloatArray
    """(G,), units per cluster, 0 where missing."""
    clustered: bool
    """Whether a cluster holds more than one unit."""

    @property
    def groups(self) -> int:
        """Independent units: clusters, or units where every unit is its own."""
        return int(np.count_nonzero(self.sizes))

    @property
    def mean(self) -> float:
        """Mean over units, (n,)."""
        return float(self.values.mean())

    @property
    def constant(self) -> bool:
        """Whether all independent units have the same mean, up to rounding."""
        present = self.sizes > 0
        means = self.sums[present] / self.sizes[present]
        return bool(np.ptp(means) <= 1e-12 * np.abs(means).max())

    @property
    def effective(self) -> float:
        """Clusters of equal size that would be worth as much: (Σ n_c)²/Σ n_c²."""
        return float(self.sizes.sum() ** 2 / (self.sizes**2).sum())


def column(values: npt.ArrayLike, clusters: Sequence[str] | None = None) -> Column:
    """A column without the units that are NaN.

    Raises:
        ValueError: Not one-dimensional, infinite values, or another number of clusters than of values.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"one number per unit is needed, not an array of shape {array.shape}")
    if clusters is not None and len(clusters) != len(array):
        raise ValueError(f"{len(array)} units and {len(clusters)} names of clusters")
    present = ~np.isnan(array)
    kept = array[present]
    if np.isinf(kept).any():
        raise ValueError("a unit's value is infinite: leave the unit out (NaN) or bound the statistic")
    if clusters is not None and kept.size:
        names = [name for name, here in zip(clusters, present) if here]
        sums, sizes = sums_by_cluster(kept, names)
        if len(sums) < len(kept):
            return Column(values=kept, sums=sums, sizes=sizes, clustered=True)
    if 2 * len(kept) < len(array):
        return Column(values=kept, sums=kept, sizes=np.ones(len(kept)), clustered=False)
    return Column(values=kept, sums=np.where(present, array, 0.0), sizes=present.astype(np.float64), clustered=False)


def mean_intervals(columns: Mapping[str, Column], *, seed: int, level: float) -> dict[str, Interval | None]:
    """The interval of each column's mean; `None` where fewer than two units, or too few equal ones, show no spread."""
    result: dict[str, Interval | None] = {}
    alike: dict[int, list[str]] = defaultdict(list)
    for name, one in columns.items():
        result[name] = None
        if one.groups < 2:
            continue
        if one.constant:
            if one.groups >= REACHABLE:
                result[name] = Interval(low=one.mean, high=one.mean, level=level, method="constant")
        else:
            alike[len(one.sums)].append(name)
    for names in alike.values():
        for start in range(0, len(names), _WIDTH):
            part = names[start : start + _WIDTH]
            sums = np.stack([columns[name].sums for name in part], axis=1)
            sizes = np.stack([columns[name].sizes for name in part], axis=1)
            mean = sums.sum(axis=0) / sizes.sum(axis=0)
            groups = np.count_nonzero(sizes, axis=0)
            low, high = t_interval(mean, standard_error(sums, sizes), groups - 1, level=level)
            better = groups >= MANY
            if better.any():
                s, w = sums[:, better], sizes[:, better]
                replicates = bootstrap_means(s, w, seed=seed, resamples=RESAMPLES)
                ends = bca_bounds(mean[better], replicates, acceleration(leave_one_out(s, w)), level, groups[better])
                usable = np.isfinite(ends[0]) & np.isfinite(ends[1])
                better[better] = usable
                low[better] = np.minimum(low[better], ends[0][usable])
                high[better] = np.maximum(high[better], ends[1][usable])
            for j, name in enumerate(part):
                method = ("cluster_" if columns[name].clustered else "") + ("bca_t" if better[j] else "t")
                result[name] = _interval(low[j], high[j], level, method)
    return result


def rate_interval(one: Column, *, level: float) -> Interval:
    """Wilson's interval of a rate, Clopper–Pearson's where at most two units are on one side."""
    n = one.effective if one.clustered else float(one.groups)
    successes = one.mean * n
    exact = min(successes, n - successes) <= 2
    low, high = (clopper_pearson if exact else wilson)(successes, n, level=level)
    return _interval(low, high, level, "clopper_pearson" if exact else "wilson")


def difference_interval(one: Column, *, level: float) -> Interval:
    """Tango's interval of a paired difference of rates; differences of shares count as shares of a pair."""
    n = one.effective if one.clustered else float(one.groups)
    scale = n / float(one.sizes.sum())
    gained, lost = np.maximum(one.sums, 0.0).sum() * scale, np.maximum(-one.sums, 0.0).sum() * scale
    low, high = tango(gained, lost, n, level=level)
    return _interval(low, high, level, "tango")


def _interval(low: npt.ArrayLike, high: npt.ArrayLike, level: float, method: str) -> Interval:
    # no negative zero
    return Interval(low=float(np.asarray(low)) + 0.0, high=float(np.asarray(high)) + 0.0, level=level, method=method)


def clipped(interval: Interval | None, low: float, high: float) -> Interval | None:
    """The interval without what lies beyond the possible values."""
    if interval is None:
        return None
    return attrs.evolve(interval, low=max(interval.low, low), high=min(interval.high, high))


def spreadless(one: Column) -> str:
    """Why a column has no interval."""
    noun = "cluster" if one.clustered else "unit"
    return f"one {noun} shows no spread" if one.groups == 1 else f"{one.groups} equal {noun}s show no spread"


def rates(values: npt.ArrayLike) -> FloatArray:
    """One rate per unit, checked.

    Raises:
        ValueError: Not one-dimensional, or a rate outside [0, 1].
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"one rate per unit is needed, not an array of shape {array.shape}")
    if ((array < 0) | (array > 1)).any():
        raise ValueError("a rate lies outside [0, 1]")
    return array


def is_outcomes(*sides: FloatArray) -> bool:
    """Whether every present value is 0 or 1."""
    return all(bool(np.isin(side[~np.isnan(side)], (0.0, 1.0)).all()) for side in sides)
