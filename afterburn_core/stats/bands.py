"""Simultaneous bands of curves, and ratios of means: bootstrap statements beyond one mean.

Band: θ̂_k ± q se_k with q the quantile of max_k |θ*_k − θ̂_k|/se_k over bootstrap resamples of the units, so that the
whole curve lies inside with the level's probability (pass@k over k, a dose over steps). se_k is the standard deviation
of θ*_k times √(n/(n − 1)); for q, a normal quantile, stands Student's of the same probability.

Ratio of two means on the same units: Fieller's interval below 50 units, BCa of the ratio from 50 on; none where the
interval of the denominator includes 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt
from scipy import special

from afterburn_core.result.model import Interval
from afterburn_core.stats.clusters import sums_by_cluster
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.estimates import MANY
from afterburn_core.stats.intervals import fieller
from afterburn_core.stats.resampling import RESAMPLES, bca, bootstrap_means

FloatArray: TypeAlias = npt.NDArray[np.float64]


@attrs.frozen(kw_only=True, eq=False)
class Band:
    """A mean curve and its simultaneous band."""

    n: int
    """Units, or clusters."""
    estimate: FloatArray
    """(k,), the mean curve."""
    low: FloatArray
    """(k,), lower edge."""
    high: FloatArray
    """(k,), upper edge."""
    critical: float
    """The quantile q; about 2 for a curve of one point."""


def simultaneous_band(
    curves: npt.ArrayLike,
    *,
    seed: int,
    clusters: Sequence[str] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Band | None:
    """The band of the mean of curves (n, k), one row per unit; `None` for fewer than two units or clusters.

    Rows with a NaN are left out. Points at which all rows agree have a band of no width.

    Raises:
        ValueError: Not two-dimensional, or clusters of another length.
    """
    values = np.asarray(curves, dtype=np.float64)
    if values.ndim != 2 or (clusters is not None and len(clusters) != len(values)):
        raise ValueError("one curve per unit and one cluster per curve are needed")
    kept = np.asarray(~np.isnan(values).any(axis=1))
    values = values[kept]
    sums, sizes = values, np.ones_like(values)
    if clusters is not None and len(values):
        names = [name for name, here in zip(clusters, kept) if here]
        pairs = [sums_by_cluster(one, names) for one in values.T]
        sums, sizes = (np.stack([pair[i] for pair in pairs], axis=1) for i in range(2))
    n = len(sums)
    if n < 2:
        return None
    estimate = values.mean(axis=0)
    replicates = bootstrap_means(sums, sizes if clusters is not None else None, seed=seed, resamples=resamples)
    spread = replicates.std(axis=0) * np.sqrt(n / (n - 1))
    varies = spread > 1e-12 * np.abs(values).max(axis=0)
    if not varies.any():
        return Band(n=n, estimate=estimate, low=estimate, high=estimate, critical=0.0)
    largest = (np.abs(replicates - estimate)[:, varies] / spread[varies]).max(axis=1)
    # the bootstrap's spread is √((n − 1)/n) of the truth's: undone in the width, not in the quantile, which is normal
    # where Student's is due: exchanged for the one of the same probability
    normal = float(np.quantile(largest, level)) * np.sqrt(n / (n - 1))
    critical = float(special.stdtrit(n - 1, min(special.ndtr(normal), 1 - 1e-15)))
    reach = np.where(varies, critical * spread, 0.0)
    return Band(n=n, estimate=estimate, low=estimate - reach, high=estimate + reach, critical=critical)


def ratio_of_means(
    top: npt.ArrayLike, bottom: npt.ArrayLike, *, seed: int, level: float = 0.95, resamples: int = RESAMPLES
) -> Contrast:
    """mean(top)/mean(bottom) over the units that have both.

    Raises:
        ValueError: Arrays of different shapes or not one-dimensional.
    """
    x, y = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"two numbers per unit are needed, not arrays of shapes {x.shape} and {y.shape}")
    kept = ~(np.isnan(x) | np.isnan(y))
    x, y = x[kept], y[kept]
    n = len(x)
    if n < 2:
        return undefined("fewer than two units", n)
    covariance = np.cov(x, y) / n
    quantile = float(special.stdtrit(n - 1, (1 + level) / 2))
    bounds = fieller(
        float(x.mean()), float(y.mean()), covariance[0, 0], covariance[1, 1], covariance[0, 1], quantile=quantile
    )
    if y.mean() == 0:
        return undefined("the mean below the line is 0", n)
    estimate = float(x.mean() / y.mean())
    if bounds is None:
        return Contrast(n=n, estimate=estimate, reason="the interval of the mean below the line includes 0")
    method = "fieller"
    if n >= MANY:
        both = np.stack([x, y], axis=1)

        def ratio(weights: FloatArray) -> FloatArray:
            sums = weights @ both
            return np.asarray(sums[:, :1] / sums[:, 1:])

        with np.errstate(divide="ignore", invalid="ignore"):
            _, low, high = bca(ratio, n, seed=seed, level=level, resamples=resamples)
        if np.isfinite(low[0]) and np.isfinite(high[0]):
            bounds, method = (float(low[0]), float(high[0])), "bca"
    return Contrast(
        n=n, estimate=estimate, interval=Interval(low=bounds[0], high=bounds[1], level=level, method=method)
    )
