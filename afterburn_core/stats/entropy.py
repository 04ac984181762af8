"""Entropy and number of kinds of answers.

For counts c_1 … c_m of the m kinds seen among n answers, in nats:

    plug-in        H = −Σ (c/n) ln(c/n)                     too low on average by about (m* − 1)/(2n), m* kinds existing
    Miller–Madow   H + (m − 1)/(2n)                         (Miller, Note on the bias of information estimates, 1955)
    distinct_k     Σ_g 1 − C(n − c_g, k)/C(n, k)            expected number of kinds among k of the n answers

distinct_k is the measure of NoveltyBench, arXiv 2504.05228, averaged over all choices of k answers instead of taken
on the first k.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from afterburn_core.stats.arm_swap import arm_swap, coded
from afterburn_core.stats.contrast import Contrast, undefined

Estimator = Literal["plugin", "miller_madow"]


def entropy_of_counts(counts: ArrayLike, estimator: Estimator = "miller_madow") -> NDArray[np.float64]:
    """Entropy in nats of each row of counts.

    Args:
        counts: counts by kind along the last axis, zeros allowed; (…, m).
        estimator: `plugin`, or `miller_madow`, which adds (kinds seen − 1)/(2n).

    Returns:
        (…), 0 for a row without counts.
    """
    c = np.asarray(counts, dtype=np.float64)
    n = np.maximum(c.sum(axis=-1), 1)
    safe = np.where(c > 0, c, 1)
    plain = np.log(n) - (c * np.log(safe)).sum(axis=-1) / n
    plain = np.where((c > 0).sum(axis=-1) > 1, np.maximum(plain, 0), 0.0)  # one kind: 0, whatever the rounding
    if estimator == "plugin":
        return np.asarray(plain)
    if estimator != "miller_madow":
        raise ValueError(f"unknown estimator {estimator!r}: choose plugin or miller_madow")
    return np.asarray(plain + np.maximum((c > 0).sum(axis=-1) - 1, 0) / (2 * n))


def entropy(labels: Sequence[Hashable], estimator: Estimator = "miller_madow") -> float | None:
    """Entropy in nats of one prompt's answers, each given by its kind; `None` without answers."""
    if not labels:
        return None
    return float(entropy_of_counts(list(Counter(labels).values()), estimator))


def distinct_k(labels: Sequence[Hashable], k: int) -> float | None:
    """Expected number of kinds among k answers drawn without repetition; `None` with fewer than k answers."""
    n = len(labels)
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if n < k:
        return None
    total = math.comb(n, k)
    return sum(1 - math.comb(n - c, k) / total for c in Counter(labels).values())


def label_entropy_shift(
    base: Sequence[Hashable],
    trained: Sequence[Hashable],
    *,
    seed: int,
    permutations: int = 999,
    clusters: Sequence[str] | None = None,
    level: float = 0.95,
) -> Contrast:
    """Change of the entropy of labels over prompts, one label per prompt and side: a collapse is negative.

    The p value swaps the sides within prompts, so that a label the prompt calls for counts for neither. The interval
    is a normal one with the influence of a prompt on H, −ln p(label) − H; it is wide of the mark when a side shows
    labels only once or twice.

    Args:
        base: label of each prompt under base, (n,).
        trained: label of the same prompts under trained, (n,).
        seed: of the swaps.
        permutations: number of random swaps.
        clusters: unit of each prompt, where several belong together, (n,).
        level: of the interval.

    Returns:
        Difference of Miller–Madow entropies, trained − base, in nats.
    """
    if len(base) != len(trained):
        raise ValueError("one label per prompt and side: the two lists differ in length")
    n = len(base)
    if n < 2:
        return undefined("an entropy over prompts needs two of them", n)
    b, t, kinds = coded(base, trained)

    def influence(codes: NDArray[np.int64]) -> NDArray[np.float64]:
        shares = np.bincount(codes, minlength=kinds) / n
        return np.asarray(-np.log(shares[codes]))

    return arm_swap(
        b,
        t,
        kinds,
        lambda counts: entropy_of_counts(counts),
        seed=seed,
        permutations=permutations,
        influence=influence(t) - influence(b),
        name="entropy_arm_swap",
        clusters=clusters,
        level=level,
    )
