"""Step-down max-T over many correlated metrics by joint sign flips (Westfall and Young 1993, algorithm 4.1).

With differences d_ij of unit i and metric j, r_j = |Σ_i ε_i d_ij|/√(Σ_i d_ij²) is a monotone function of the metric's
t, the same for all metrics. Signs are flipped for all metrics of a unit together, so that their correlation is kept.
With metrics in decreasing order of observed r_(1) ≥ … ≥ r_(m):

    p̃_(j) = (1 + #{b : max_{l ≥ j} r_(l)^b ≥ r_(j)})/(B + 1),   made monotone in j

controls the family-wise error without any assumption of independence. Flips come in blocks: memory stays near 100 MB
for 16 000 metrics and any number of flips.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from afterburn_core.stats.clusters import sums_by_cluster
from afterburn_core.stats.resampling import ENUMERATED, RESAMPLES, flips, sign_patterns

FloatArray: TypeAlias = npt.NDArray[np.float64]
_BLOCK = 1 << 21  # entries of one block of statistics: 16 MB, held about four times


@attrs.frozen(kw_only=True, eq=False)
class MaxT:
    """p values of m metrics tested together."""

    statistic: FloatArray
    """(m,), Σ d/√(Σ d²), with the sign of the difference; about standard normal under the null."""
    p_values: FloatArray
    """(m,), sign-flip p values of each metric alone."""
    p_adjusted: FloatArray
    """(m,), step-down max-T p values: family-wise error at most α where p ≤ α is called."""
    resamples: int
    """Sign patterns compared, the observed one not counted; all of them where units are few."""


def max_t(
    differences: npt.ArrayLike, *, seed: int, clusters: Sequence[str] | None = None, resamples: int = RESAMPLES
) -> MaxT:
    """Tests all columns of (n, m) differences together; NaN where a unit lacks a metric.

    Columns that are all 0 have p = 1. With clusters, signs are flipped per cluster.

    Raises:
        ValueError: Not two-dimensional, infinite values, or clusters of another length.
    """
    values = np.array(differences, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"units by metrics are needed, not an array of shape {values.shape}")
    if np.isinf(values).any():
        raise ValueError("a difference is infinite: leave it out (NaN) or bound the statistic")
    np.nan_to_num(values, copy=False)
    if clusters is not None:
        if len(clusters) != len(values):
            raise ValueError(f"{len(values)} units and {len(clusters)} names of clusters")
        values = np.stack([sums_by_cluster(one, clusters)[0] for one in values.T], axis=1)
    n, m = values.shape
    lengths = np.sqrt((values**2).sum(axis=0))
    statistic = np.divide(values.sum(axis=0), lengths, out=np.zeros(m), where=lengths > 0)
    # ascending, so that a running maximum goes through the step-down's nested sets
    order = np.argsort(np.abs(statistic), kind="stable")
    scaled = np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)[:, order]
    observed = np.abs(statistic)[order] - 1e-10  # rounding is no difference
    alone, together = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    every = n <= ENUMERATED
    for signs in _blocks(n, m, resamples, seed):
        permuted = np.abs(signs @ scaled)
        alone += (permuted >= observed).sum(axis=0)
        np.maximum.accumulate(permuted, axis=1, out=permuted)
        together += (permuted >= observed).sum(axis=0)
    if every:  # the observed pattern is among them
        count = max(1, 1 << max(n - 1, 0))
        p_alone, p_together = alone / count, together / count
    else:
        p_alone, p_together = (1 + alone) / (resamples + 1), (1 + together) / (resamples + 1)
    p_together = np.maximum.accumulate(p_together[::-1])[::-1]
    p_values, p_adjusted = np.ones(m), np.ones(m)
    p_values[order], p_adjusted[order] = p_alone, p_together
    p_values[lengths == 0] = p_adjusted[lengths == 0] = 1.0
    total = (1 << max(n - 1, 0)) if every else resamples
    return MaxT(statistic=statistic, p_values=p_values, p_adjusted=p_adjusted, resamples=total)


def _blocks(n: int, m: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    rows = max(1, _BLOCK // max(m, 1))
    for block in [sign_patterns(n)] if n <= ENUMERATED else flips(n, resamples, seed):
        for start in range(0, len(block), rows):
            yield block[start : start + rows]
