"""Sign flips and bootstrap resamples of many columns at once: one matrix product serves all metrics.

Every column holds one value per unit (a prompt, or a cluster's sum). All columns of a call share the same flips and the
same resamples, so that joint statements (max-T, bands) stay valid and one draw is paid for once.

- Sign flip: p = (1 + #{|Σ ε_i d_i| ≥ |Σ d_i|}) / (B + 1), ε_i fair coins; over all 2^k sign patterns without the "1 +"
  where only k ≤ 14 values differ from 0, so that the p value is exact (Fisher 1935; Phipson and Smyth 2010 for "1 +").
- BCa: quantiles of θ* at Φ(z0 + (z0 + z)/(1 − a (z0 + z))), z0 = Φ⁻¹(#{θ* < θ̂} + ½ #{θ* = θ̂} over B),
  a = Σu³/(6 (Σu²)^{3/2}), u_i = θ̄_(·) − θ_(−i) (Efron 1987). z = ±√(n/(n − 1)) t_{n−1} instead of the normal quantile:
  bootstrap distributions are too narrow by that much (expanded percentiles, Hesterberg, arXiv 1411.5279).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

from afterburn_core.run.seeds import child_seed

FloatArray: TypeAlias = npt.NDArray[np.float64]
RESAMPLES = 9_999
ENUMERATED = 14
_CHUNK = 1 << 21  # entries of one block of flips or weights: 16 MB


def flips(n: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Blocks (b, n) of fair signs ±1, `resamples` rows in all; the same for equal arguments."""
    rng = np.random.default_rng(child_seed(seed, "sign_flip"))
    rows = max(1, _CHUNK // max(n, 1))
    width = -(-n // 8)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        octets = np.frombuffer(rng.bytes(count * width), dtype=np.uint8).reshape(count, width)
        bits = np.unpackbits(octets, axis=1, count=n)
        yield bits.astype(np.float64) * 2 - 1


def bootstrap_weights(n: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Blocks (b, n) of multinomial counts: how often each unit is drawn in each resample of n."""
    rng = np.random.default_rng(child_seed(seed, "bootstrap"))
    rows = max(1, _CHUNK // max(n, 1))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = rng.integers(0, n, size=(count, n), dtype=np.int32)
        drawn += np.arange(count, dtype=np.int32)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


@functools.cache
def sign_patterns(n: int) -> FloatArray:
    """Half of all 2^n sign patterns, (2^(n−1), n), read-only; the other half are their negatives."""
    codes = np.arange(1 << max(n - 1, 0), dtype=np.int64)
    patterns = 1 - 2 * ((codes[:, None] >> np.arange(n)) & 1).astype(np.float64)
    patterns.flags.writeable = False
    return patterns


def sign_flip_p(values: FloatArray, *, seed: int, resamples: int = RESAMPLES) -> FloatArray:
    """Two-sided p values (m,) of "every value is as likely with the other sign", for columns (n, m) without gaps."""
    n, m = values.shape
    p = np.ones(m)
    observed = np.abs(values.sum(axis=0))
    observed -= 1e-12 * np.abs(values).sum(axis=0)  # rounding is no difference
    nonzero = values != 0
    few = nonzero.sum(axis=0) <= ENUMERATED
    for j in np.flatnonzero(few):
        kept = values[nonzero[:, j], j]
        if kept.size:
            p[j] = np.mean(np.abs(sign_patterns(kept.size) @ kept) >= observed[j])
    many = np.flatnonzero(~few)
    if many.size:
        columns = np.ascontiguousarray(values[:, many])
        counts = np.zeros(many.size, dtype=np.int64)
        for block in flips(n, resamples, seed):
            counts += (np.abs(block @ columns) >= observed[many]).sum(axis=0)
        p[many] = (1 + counts) / (resamples + 1)
    return p


def bootstrap_means(
    sums: FloatArray, sizes: FloatArray | None = None, *, seed: int, resamples: int = RESAMPLES
) -> FloatArray:
    """Bootstrap replicates (B, m) of the means of columns (n, m) without gaps.

    With `sizes` (n, m) a row is a cluster: `sums` holds sums over its members, `sizes` how many they are, and a
    replicate is Σ w S / Σ w n; a row of size 0 is missing. Replicates without any unit are the plain mean.
    """
    n, m = sums.shape
    replicates = np.empty((resamples, m))
    start = 0
    for block in bootstrap_weights(n, resamples, seed):
        stop = start + len(block)
        np.matmul(block, sums, out=replicates[start:stop])
        if sizes is None:
            replicates[start:stop] /= n
        else:
            drawn = block @ sizes
            empty = drawn == 0
            if empty.any():
                whole = sums.sum(axis=0) / sizes.sum(axis=0)
                replicates[start:stop] = np.where(empty, whole, replicates[start:stop])
                drawn[empty] = 1.0
            replicates[start:stop] /= drawn
        start = stop
    return replicates


def acceleration(leave_one_out: FloatArray) -> FloatArray:
    """BCa's a (m,) from jackknife values (n, m); 0 where they do not vary."""
    u = leave_one_out.mean(axis=0) - leave_one_out
    squares = (u**2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (u**3).sum(axis=0) / (6 * squares**1.5)
    return np.where(np.isfinite(a), a, 0.0)


def bca_bounds(
    estimate: FloatArray, replicates: FloatArray, a: FloatArray, level: float, units: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """BCa end points (m,), (m,) of statistics of so many units.

    NaN where the replicates lie on one side of the estimate or do not vary.
    """
    count, n = len(replicates), np.asarray(units, dtype=np.float64)
    reach = stdtrit(n - 1, (1 + level) / 2) * np.sqrt(n / (n - 1))
    tolerance = 1e-12 * np.abs(replicates).max(axis=0)
    below = (replicates < estimate - tolerance).sum(axis=0)
    equal = (np.abs(replicates - estimate) <= tolerance).sum(axis=0)
    share = (below + 0.5 * equal) / count
    ordered = np.sort(replicates, axis=0)
    ends = []
    with np.errstate(divide="ignore", invalid="ignore"):
        z0 = ndtri(share)
        for z in (-reach, reach):
            shifted = z0 + z
            ends.append(_quantiles(ordered, ndtr(z0 + shifted / (1 - a * shifted))))
    usable = np.isfinite(z0) & (ordered[-1] > ordered[0])
    return np.where(usable, ends[0], np.nan), np.where(usable, ends[1], np.nan)


def _quantiles(ordered: FloatArray, probability: FloatArray) -> FloatArray:
    """One quantile per sorted column, at its own probability, linear between order statistics."""
    position = np.nan_to_num(probability) * (len(ordered) - 1)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, len(ordered) - 1)
    columns = np.arange(ordered.shape[1])
    return np.asarray(ordered[low, columns] + (position - low) * (ordered[high, columns] - ordered[low, columns]))


def bca(
    statistic: Callable[[FloatArray], FloatArray],
    n: int,
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Estimates and BCa end points of any statistic of weighted units.

    Args:
        statistic: From weights (b, n), how often each unit counts, to values (b, m).
        n: Units.

    Returns:
        Estimates, lower and upper ends, each (m,); ends are NaN where the statistic does not vary.
    """
    estimate = np.asarray(statistic(np.ones((1, n))), dtype=np.float64)[0]
    replicates = np.concatenate([np.asarray(statistic(block)) for block in bootstrap_weights(n, resamples, seed)])
    rows = max(1, _CHUNK // n)
    left_out = []
    for start in range(0, n, rows):
        stop = min(n, start + rows)
        weights = np.ones((stop - start, n))
        weights[np.arange(stop - start), np.arange(start, stop)] = 0.0
        left_out.append(np.asarray(statistic(weights)))
    low, high = bca_bounds(estimate, replicates, acceleration(np.concatenate(left_out)), level, n)
    return estimate, low, high
