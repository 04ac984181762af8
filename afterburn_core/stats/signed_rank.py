"""Wilcoxon's signed rank test with Pratt's treatment of zeros, for heavy tails and ordinal scores.

The sign-flip test of the signed ranks: |d_i| are ranked with zeros included and ties averaged, zeros are dropped
afterwards (Pratt 1959), and signs are flipped; exact with ties where at most 14 differences are not 0. The null
hypothesis is that the differences lie symmetrically around 0, which is more than a median of 0. Estimate: the
Hodges–Lehmann shift.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from afterburn_core.result.model import Effect, Interval, Test
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.effects import dominance, hodges_lehmann
from afterburn_core.stats.estimates import REACHABLE
from afterburn_core.stats.resampling import RESAMPLES, sign_flip_p

FloatArray: TypeAlias = npt.NDArray[np.float64]


def signed_ranks(differences: npt.ArrayLike) -> FloatArray:
    """Ranks of |d| with the signs of d, zeros ranked and then 0, ties averaged; without NaN."""
    d = np.asarray(differences, dtype=np.float64).ravel()
    d = d[~np.isnan(d)]
    _, place, counts = np.unique(np.abs(d), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray(np.sign(d) * ((2 * last - counts + 1) / 2)[place.ravel()])


def signed_rank_contrast(
    differences: npt.ArrayLike, *, seed: int, level: float = 0.95, resamples: int = RESAMPLES
) -> Contrast:
    """The Hodges–Lehmann shift with its distribution-free interval, Wilcoxon's test and the dominance.

    Args:
        differences: One difference per unit, NaN where missing.
    """
    ranks = signed_ranks(differences)
    n = len(ranks)
    shift = hodges_lehmann(differences, level=level)
    size = dominance(differences)
    if shift is None or size is None:
        return undefined("no unit was answered by both sides")
    p = float(sign_flip_p(ranks[:, None], seed=seed, resamples=resamples)[0])
    estimate, low, high = shift
    if not ranks.any():
        interval: Interval | None = Interval(low=0.0, high=0.0, level=level, method="identical")
    elif n < REACHABLE:
        interval = None
    else:
        interval = Interval(low=low, high=high, level=level, method="walsh")
    return Contrast(
        n=n,
        estimate=estimate + 0.0,
        interval=interval,
        test=Test(name="wilcoxon", p_value=p, statistic=float(ranks[ranks > 0].sum())),
        effect=Effect(name="dominance", value=size),
        reason=f"{n} units are too few for a distribution-free interval" if interval is None else None,
    )
