"""Intervals in closed form or by root finding: means, one rate, differences of rates.

- t: x̄ ± t_{1−a/2, n−1} s/√n.
- Wilson (1927): (p̂ + z²/2n ± z √(p̂(1 − p̂)/n + z²/4n²)) / (1 + z²/n).
- Clopper–Pearson (1934): quantiles of Beta(k, n − k + 1) and Beta(k + 1, n − k).
- Newcombe (1998): hybrid of two Wilson intervals; unpaired (method 10) and paired, with the correlation φ of the pairs
  (method 10 of the paired paper).
- Tango (1998), paired difference Δ = (b − c)/n with b pairs 0→1 and c pairs 1→0: the Δ at which
  (b − c − nΔ)/√(n(2q + Δ(1 − Δ))) = ±z, q = (√(B² − 4AC) − B)/(2A), A = 2n, B = −b − c + (2n − b + c)Δ,
  C = −cΔ(1 − Δ).

z is the normal quantile of (1 + level)/2. Functions take numbers or arrays and return (low, high) of the same shape.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray: TypeAlias = npt.NDArray[np.float64]
Bounds: TypeAlias = tuple[FloatArray, FloatArray]


def normal_quantile(level: float) -> float:
    """z of a two-sided interval."""
    return float(special.ndtri((1 + level) / 2))


def binomial_cdf(k: npt.ArrayLike, n: npt.ArrayLike, share: npt.ArrayLike = 0.5) -> FloatArray:
    """P(Bin(n, share) ≤ k) for whole numbers, I_{1−share}(n − k, k + 1)."""
    low, size = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    inside = (low >= 0) & (low < size)
    value = special.betainc(np.where(inside, size - low, 1.0), np.where(inside, low + 1, 1.0), 1 - np.asarray(share))
    return np.where(inside, value, (low >= size).astype(np.float64))


def t_interval(
    mean: npt.ArrayLike, standard_error: npt.ArrayLike, degrees: npt.ArrayLike, *, level: float = 0.95
) -> Bounds:
    """Student's interval around `mean`, with `degrees` of freedom (units − 1)."""
    centre = np.asarray(mean, dtype=np.float64)
    reach = special.stdtrit(np.asarray(degrees, dtype=np.float64), (1 + level) / 2) * np.asarray(standard_error)
    return centre - reach, centre + reach


def wilson(successes: npt.ArrayLike, n: npt.ArrayLike, *, level: float = 0.95) -> Bounds:
    """Score interval of one rate; `successes` may be a sum of shares."""
    k, size, z = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64), normal_quantile(level)
    share = k / size
    centre = share + z**2 / (2 * size)
    reach = z * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    scale = 1 + z**2 / size
    # exactly 0 and 1 at the ends, where rounding would leave 1e-17
    low = np.where(k <= 0, 0.0, (centre - reach) / scale)
    high = np.where(k >= size, 1.0, (centre + reach) / scale)
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def clopper_pearson(successes: npt.ArrayLike, n: npt.ArrayLike, *, level: float = 0.95) -> Bounds:
    """Exact interval of one rate: coverage never below the level."""
    k, size, tail = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64), (1 - level) / 2
    low = special.betaincinv(np.maximum(k, 1e-300), size - k + 1, tail)
    high = special.betaincinv(k + 1, np.maximum(size - k, 1e-300), 1 - tail)
    return np.where(k <= 0, 0.0, low), np.where(k >= size, 1.0, high)


def newcombe(
    base: npt.ArrayLike, base_n: npt.ArrayLike, trained: npt.ArrayLike, trained_n: npt.ArrayLike, *, level: float = 0.95
) -> Bounds:
    """Hybrid score interval of p_trained − p_base for unpaired counts."""
    k0, n0 = np.asarray(base, dtype=np.float64), np.asarray(base_n, dtype=np.float64)
    k1, n1 = np.asarray(trained, dtype=np.float64), np.asarray(trained_n, dtype=np.float64)
    low0, high0 = wilson(k0, n0, level=level)
    low1, high1 = wilson(k1, n1, level=level)
    p0, p1 = k0 / n0, k1 / n1
    down = np.sqrt((p1 - low1) ** 2 + (high0 - p0) ** 2)
    up = np.sqrt((high1 - p1) ** 2 + (p0 - low0) ** 2)
    return p1 - p0 - down, p1 - p0 + up


def newcombe_paired(
    both: npt.ArrayLike, gained: npt.ArrayLike, lost: npt.ArrayLike, neither: npt.ArrayLike, *, level: float = 0.95
) -> Bounds:
    """Hybrid score interval of the paired difference (gained − lost)/n, from the four counts of pairs."""
    a, b, c, d = (np.asarray(x, dtype=np.float64) for x in (both, gained, lost, neither))
    n = a + b + c + d
    p1, p0 = (a + b) / n, (a + c) / n
    low1, high1 = wilson(a + b, n, level=level)
    low0, high0 = wilson(a + c, n, level=level)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    raw = a * d - b * c
    # Newcombe's continuity correction of φ where it is positive
    numerator = np.where(raw > n / 2, raw - n / 2, np.where(raw >= 0, 0.0, raw))
    phi = np.where(margins > 0, numerator / np.sqrt(np.where(margins > 0, margins, 1.0)), 0.0)
    l1, u1, l0, u0 = p1 - low1, high1 - p1, p0 - low0, high0 - p0
    down = np.sqrt(np.maximum(l1**2 - 2 * phi * l1 * u0 + u0**2, 0.0))
    up = np.sqrt(np.maximum(u1**2 - 2 * phi * u1 * l0 + l0**2, 0.0))
    return np.maximum(p1 - p0 - down, -1.0), np.minimum(p1 - p0 + up, 1.0)


def tango(gained: npt.ArrayLike, lost: npt.ArrayLike, n: npt.ArrayLike, *, level: float = 0.95) -> Bounds:
    """Score interval of the paired difference (gained − lost)/n, by bisection; counts may be sums of shares."""
    b, c, size = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (gained, lost, n)))
    z = normal_quantile(level)
    centre = (b - c) / size
    # swapping the sides mirrors the interval, exactly
    return -_tango_end(c, b, size, -centre, z), _tango_end(b, c, size, centre, z)


def _tango_end(b: FloatArray, c: FloatArray, n: FloatArray, centre: FloatArray, z: float) -> FloatArray:
    """The upper end: where the score of Δ falls to −z, or 1."""
    low, high = centre.copy(), np.ones_like(centre)
    for _ in range(60):
        middle = (low + high) / 2
        inside = tango_score(b, c, n, middle) > -z
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return np.asarray((low + high) / 2)


def tango_score(b: FloatArray, c: FloatArray, n: FloatArray, delta: FloatArray) -> FloatArray:
    """Score statistic of Δ = `delta` for b pairs up and c down of n, about standard normal if Δ is the truth."""
    a2 = 2 * n
    b2 = -b - c + (2 * n - b + c) * delta
    c2 = -c * delta * (1 - delta)
    q = (np.sqrt(np.maximum(b2**2 - 4 * a2 * c2, 0.0)) - b2) / (2 * a2)
    variance = n * (2 * q + delta * (1 - delta))
    distance = b - c - n * delta
    with np.errstate(divide="ignore", invalid="ignore"):
        score = distance / np.sqrt(variance)
    return np.where(variance > 0, score, np.where(distance < 0, -np.inf, np.where(distance > 0, np.inf, 0.0)))


def fieller(
    mean_top: float, mean_bottom: float, var_top: float, var_bottom: float, covariance: float, *, quantile: float
) -> tuple[float, float] | None:
    """Interval of the ratio of two means (Fieller 1954), given variances and covariance of the two *means*.

    The set of ρ with (x̄ − ρȳ)² ≤ q² (v_x − 2ρ v_xy + ρ² v_y); `None` where it is no bounded interval, which is where
    the denominator is not significantly different from 0.
    """
    squared = quantile**2
    a = mean_bottom**2 - squared * var_bottom
    b = mean_top * mean_bottom - squared * covariance
    c = mean_top**2 - squared * var_top
    if a <= 0:
        return None
    root = float(np.sqrt(max(b * b - a * c, 0.0)))
    return (b - root) / a, (b + root) / a


def zero_events_bound(n: int, *, level: float = 0.95) -> float:
    """One-sided upper bound of a rate of which no event was seen: 1 − (1 − level)^{1/n}, about 3/n."""
    return 1.0 - float((1.0 - level) ** (1.0 / n))
