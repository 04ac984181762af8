"""The share of a gain that remains between answers of the same length (non-length gain).

With S strata of equal mass of the lengths of both sides' answers together, w_s the mass of stratum s and r̄ the mean
score of a side's answers in it,

    NRG = Σ_s w_s (r̄_trained,s − r̄_base,s) / Σ_s w_s / (r̄_trained − r̄_base)

(A Long Way to Go: Investigating Length Correlations in RLHF, arXiv 2310.03716). 1: the gain is the same at every
length; 0: all of it is length. Samples of a prompt and side share the weight 1. A stratum counts where both sides have
answers worth at least 5 prompts in it. Undefined where the interval of the raw gain includes 0, or where less than half
of the answers lie in strata that count. The interval is BCa over prompts, strata made anew in every resample.

Strata compare answers to different prompts, so a prompt's difficulty does not cancel as it does in `quality_control`.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.resampling import bca
from afterburn_reward_hack.quality_control import FEWEST, RESAMPLES, bounded, by_cluster

Floats = NDArray[np.float64]
LEAST_OVERLAP = 0.5


@attrs.frozen(kw_only=True, eq=False)
class Scored:
    """Answers of both sides with lengths and scores, one entry per answer."""

    prompt: NDArray[np.intp]
    """(m,), number of its prompt, from 0."""
    trained: NDArray[np.bool_]
    """(m,), whether it is trained's."""
    length: Floats
    """(m,)."""
    score: Floats
    """(m,)."""
    weight: Floats
    """(m,), 1 over the number of answers of its prompt and side."""


def non_length_gain(
    answers: Scored, *, strata: int, raw: Contrast, seed: int, clusters: Sequence[str] | None = None
) -> Contrast:
    """NRG of some answers.

    Args:
        strata: how many, at least 5.
        raw: the gain that is taken apart, with its interval.
        clusters: of each prompt.
    """
    prompts = int(answers.prompt.max()) + 1 if answers.prompt.size else 0
    index, units = by_cluster(prompts, clusters)
    if raw.estimate is None or raw.interval is None or raw.interval.low <= 0:
        return undefined("the interval of the gain does not lie above 0: there is no gain to take apart", units)
    order = np.argsort(answers.length, kind="stable")
    of_unit = index[answers.prompt[order]]
    length, score, weight = answers.length[order], answers.score[order], answers.weight[order]
    side = answers.trained[order].astype(np.float64)
    starts = np.flatnonzero(np.r_[True, np.diff(length) > 0])
    group = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(length)]))

    def statistic(weights: Floats) -> Floats:
        mass = weights[:, of_unit] * weight  # (b, m)
        groups = np.add.reduceat(mass, starts, axis=1)
        total = groups.sum(axis=1, keepdims=True)
        # equal lengths share a stratum: that of the middle of their mass
        stratum = np.minimum(((np.cumsum(groups, axis=1) - groups / 2) / total * strata).astype(np.int64), strata - 1)
        place = stratum[:, group]
        top, kept = np.zeros(len(mass)), np.zeros(len(mass))
        sums = [np.zeros(len(mass)) for _ in range(4)]
        for s in range(strata):
            inside = np.where(place == s, mass, 0.0)
            n1, n0 = inside @ side, inside @ (1 - side)
            g1, g0 = inside @ (side * score), inside @ ((1 - side) * score)
            counts = (n1 >= FEWEST) & (n0 >= FEWEST)
            difference = g1 / np.maximum(n1, 1e-12) - g0 / np.maximum(n0, 1e-12)
            top += np.where(counts, (n1 + n0) * difference, 0.0)
            kept += np.where(counts, n1 + n0, 0.0)
            sums = [a + b for a, b in zip(sums, (n1, n0, g1, g0), strict=True)]
        whole = sums[2] / sums[0] - sums[3] / sums[1]
        gain = np.divide(top, kept, out=np.zeros_like(top), where=kept > 0)
        return np.column_stack([gain / np.where(whole == 0, np.nan, whole), kept / total[:, 0]])

    found, low, high = bca(statistic, units, seed=seed, resamples=RESAMPLES)
    if found[1] < LEAST_OVERLAP:
        why = f"lengths overlap too little: {100 * found[1]:.0f} % of the answers lie where both sides have some"
        return undefined(why, units)
    return bounded(float(found[0]), float(low[0]), float(high[0]), units)
