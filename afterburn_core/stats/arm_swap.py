"""Contrasts of a statistic of counts over prompts, tested by swapping the two sides within prompts.

Each prompt i contributes one kind per side, b_i and t_i. A statistic S of a side's counts (an entropy, the largest
share) is no mean over prompts, so signs cannot be flipped; the group is the same all the same:

    ε ∈ {0, 1}^n:  counts_T(ε) = Σ_i [ε_i b_i + (1 − ε_i) t_i],   counts_B(ε) = counts_T + counts_B − counts_T(ε)
    p = (1 + #{|S(counts_T(ε)) − S(counts_B(ε))| ≥ |S_T − S_B|}) / (B + 1)

Exact for sides that are exchangeable within a prompt. Prompts of one source (a conversation, a template) share ε, and
the interval sums what its prompts add.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from afterburn_core.result.model import Interval, Test
from afterburn_core.stats.contrast import Contrast
from afterburn_core.stats.intervals import normal_quantile

_TIE = 1e-12


def coded(base: Sequence[Hashable], trained: Sequence[Hashable]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Both sides' kinds as numbers from 0, and how many kinds there are."""
    known: dict[Hashable, int] = {}
    codes = [np.array([known.setdefault(x, len(known)) for x in side], dtype=np.int64) for side in (base, trained)]
    return codes[0], codes[1], len(known)


def arm_swap(
    base: NDArray[np.int64],
    trained: NDArray[np.int64],
    kinds: int,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    seed: int,
    name: str,
    permutations: int = 999,
    influence: NDArray[np.float64] | None = None,
    clusters: Sequence[str] | None = None,
    level: float = 0.95,
) -> Contrast:
    """The difference of a statistic of counts, trained − base, with its p value.

    Args:
        base: kind of each prompt under base, numbers below `kinds`; (n,).
        trained: the same under trained; (n,).
        kinds: number of kinds.
        statistic: from counts (…, kinds) to values (…).
        seed: of the swaps.
        name: of the test.
        permutations: B, the number of random swaps.
        influence: what each prompt adds to the difference, up to a constant, for a normal interval; (n,).
        clusters: unit of each prompt, where several belong together; (n,).
        level: of the interval.
    """
    n = base.size if clusters is None else len(set(clusters))
    if np.array_equal(base, trained):
        zero = Interval(low=0.0, high=0.0, level=level, method="identical")
        return Contrast(n=n, estimate=0.0, interval=zero, test=Test(name=name, p_value=1.0, statistic=0.0))
    counts_b = np.bincount(base, minlength=kinds).astype(np.float64)
    counts_t = np.bincount(trained, minlength=kinds).astype(np.float64)
    observed = float(statistic(counts_t) - statistic(counts_b))
    differ = np.flatnonzero(base != trained)  # swapping equal kinds changes nothing
    units = np.arange(base.size) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    moving, unit = np.unique(units[differ], return_inverse=True)
    rng = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, permutations, 64):
        width = min(64, permutations - start)
        swaps = rng.integers(0, 2, size=(width, moving.size), dtype=np.int8).astype(bool)[:, unit]
        rows = np.repeat(np.arange(width), differ.size).reshape(width, -1) * kinds
        moved = np.zeros(width * kinds)
        moved += np.bincount((rows + base[differ])[swaps], minlength=width * kinds)
        moved -= np.bincount((rows + trained[differ])[swaps], minlength=width * kinds)
        delta = moved.reshape(width, kinds)
        drawn = statistic(counts_t + delta) - statistic(counts_b - delta)
        extreme += int(np.count_nonzero(np.abs(drawn) >= abs(observed) - _TIE))
    interval = None
    if influence is not None and n > 1:
        sums = np.bincount(units, weights=influence - influence.mean())
        reach = normal_quantile(level) * float(np.sqrt(np.sum(sums**2) * n / (n - 1))) / base.size
        interval = Interval(low=observed - reach, high=observed + reach, level=level, method="delta")
    p = (1 + extreme) / (permutations + 1)
    return Contrast(n=n, estimate=observed, interval=interval, test=Test(name=name, p_value=p, statistic=observed))
