"""Tests and intervals that hold at every moment: look after each prompt, add prompts, stop when enough has been seen.

Betting martingale for d_t ∈ [−1, 1] and the hypothesis E[d] ≤ ε:

    E_t = Π_{s≤t} (1 + λ_s (d_s − ε)),   0 ≤ λ_s ≤ ½/(1 + ε),   P(E_t ≥ 1/α for any t) ≤ α       (Ville's inequality)
    λ_s = clip((μ̂ − ε)/(σ̂² + (μ̂ − ε)²), 0, ½/(1 + ε)),   μ̂ = Σd/s,   σ̂² = (1 + Σ(d − μ̂)²)/s     over the s − 1 before

Two-sided, |E[d]| ≤ ε: the average of the processes of d and −d. The stakes use the past alone, which is all that
validity asks for: units may come in any order fixed without looking, from any distribution whose conditional mean
keeps to the hypothesis.

Confidence sequence for the mean of x ∈ [0, 1]: all m whose hedged capital has never reached 2/α,

    K±_t(m) = Π (1 ± λ±_s (x_s − m)),   λ_s = √(2 ln(2/α) / (σ̂²_{s−1} s ln(1 + s))),   λ⁺ ≤ ½/m,   λ⁻ ≤ ½/(1 − m)

Sources: Estimating means of bounded random variables by betting, arXiv 2010.09686; An Auditing Test to Detect
Behavioral Shift in Language Models, arXiv 2410.19406 (the tolerance); False discovery rate control with e-values,
arXiv 2009.02824 (e-BH).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from afterburn_core.result.model import Interval, Test
from afterburn_core.stats.contrast import Contrast, undefined

Alternative = Literal["two-sided", "greater", "less"]
_GRID = 1000


@attrs.frozen(kw_only=True)
class SequentialTest:
    """What was known after each unit."""

    e_values: NDArray[np.float64] = attrs.field(eq=False, repr=False)
    """E_t after t = 1 … n units."""
    alpha: float
    """Error over all looks together."""
    tolerance: float
    """ε, in the unit of the differences."""
    stopped: int | None
    """Units after which E_t first reached 1/α; `None` where it never did."""
    contrast: Contrast
    """Mean of all units, its confidence sequence at the last one, and p = min(1, 1/max E_t), valid at any time."""


def e_process(d: ArrayLike, *, tolerance: float = 0.0, alternative: Alternative = "two-sided") -> NDArray[np.float64]:
    """E_t after each unit.

    Args:
        d: differences in [−1, 1], units along the last axis, in an order fixed without looking; (…, n).
        tolerance: ε in [0, 1), the mean that still counts as no shift.
        alternative: `greater` bets against E[d] ≤ ε, `less` against E[d] ≥ −ε, `two-sided` against both.

    Returns:
        (…, n)

    Raises:
        ValueError: A difference lies outside [−1, 1], or the tolerance outside [0, 1).
    """
    values = np.asarray(d, dtype=np.float64)
    if not np.all(np.abs(values) <= 1):
        raise ValueError("the e-process is defined for differences in [-1, 1]; scale them first")
    if not 0 <= tolerance < 1:
        raise ValueError(f"the tolerance must lie in [0, 1), not {tolerance!r}")
    if alternative == "greater":
        return _capital(values, tolerance)
    if alternative == "less":
        return _capital(-values, tolerance)
    if alternative != "two-sided":
        raise ValueError(f"unknown alternative {alternative!r}: choose two-sided, greater or less")
    return (_capital(values, tolerance) + _capital(-values, tolerance)) / 2


def _capital(d: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    s = np.arange(1, d.shape[-1] + 1)  # the unit that is bet on; s − 1 are known
    mean = _before(d) / s
    spread = (1 + _before(d * d) - 2 * mean * _before(d) + (s - 1) * mean * mean) / s
    edge = mean - tolerance
    stake = np.clip(edge / (spread + edge * edge), 0, 0.5 / (1 + tolerance))
    with np.errstate(over="ignore"):  # beyond 1e308 the evidence is infinite for every purpose
        return np.asarray(np.exp(np.cumsum(np.log1p(stake * (d - tolerance)), axis=-1)))


def _before(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of all that came before each unit, (…, n)."""
    return np.asarray(np.cumsum(values, axis=-1) - values)


def first_rejection(e_values: ArrayLike, alpha: float = 0.05) -> int | None:
    """How many units it took until E_t ≥ 1/α, or `None`."""
    reached = np.flatnonzero(np.asarray(e_values) >= 1 / alpha)
    return int(reached[0]) + 1 if reached.size else None


def sequential_test(
    d: ArrayLike,
    *,
    tolerance: float = 0.0,
    alternative: Alternative = "two-sided",
    alpha: float = 0.05,
) -> SequentialTest:
    """The e-process of one contrast, with the confidence sequence of its mean.

    Args:
        d: differences in [−1, 1], one per unit, in an order fixed without looking; (n,).
        tolerance: ε, the mean that still counts as no shift.
        alternative: see `e_process`.
        alpha: error over all looks together.

    Raises:
        ValueError: as `e_process`.
    """
    values = np.asarray(d, dtype=np.float64)
    e_values = e_process(values, tolerance=tolerance, alternative=alternative)
    if not values.size:
        contrast = undefined("no units")
    else:
        identical = not values.any()
        low, high = (0.0, 0.0) if identical else (float(end[-1]) for end in confidence_sequence(values, alpha=alpha))
        largest = float(e_values.max())
        contrast = Contrast(
            n=values.size,
            estimate=float(values.mean()),
            interval=Interval(
                low=low, high=high, level=1 - alpha, method="identical" if identical else "betting_confidence_sequence"
            ),
            test=Test(name="e_process", p_value=min(1.0, 1 / max(1.0, largest)), statistic=_finite(e_values[-1])),
        )
    return SequentialTest(
        e_values=e_values,
        alpha=alpha,
        tolerance=tolerance,
        stopped=first_rejection(e_values, alpha),
        contrast=contrast,
    )


def _finite(value: Any) -> float:
    return min(float(value), math.ldexp(1.0, 1000))  # a result document has no infinity


def confidence_sequence(
    values: ArrayLike, *, low: float = -1.0, high: float = 1.0, alpha: float = 0.05
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intervals for the mean of a bounded quantity that all cover it at once, with probability 1 − α.

    Args:
        values: in [low, high], one per unit; (n,).
        low: smallest possible value.
        high: largest possible value.
        alpha: probability that any of the intervals misses.

    Returns:
        Lower and upper ends after 1 … n units, each (n,); the intervals shrink and are nested. Ends are exact to a
        thousandth of the range, rounded outwards.

    Raises:
        ValueError: A value lies outside the bounds.
    """
    x = (np.asarray(values, dtype=np.float64) - low) / (high - low)
    if not np.all((x >= 0) & (x <= 1)):
        raise ValueError(f"a value lies outside [{low}, {high}]")
    s = np.arange(1, x.size + 1)
    mean = (0.5 + np.cumsum(x)) / (s + 1)
    spread = (0.25 + np.cumsum((x - mean) ** 2)) / (s + 1)
    known = np.concatenate([[0.25], spread[:-1]])  # σ̂² of the units before
    stake = np.sqrt(2 * math.log(2 / alpha) / (known * s * np.log1p(s)))
    m = (np.arange(_GRID) + 0.5) / _GRID  # centres of cells: the ends of a cell are excluded with it
    bound = math.log(2 / alpha)
    alive = np.ones(_GRID, dtype=bool)
    lows, highs = np.empty(x.size), np.empty(x.size)
    up, down = np.zeros(_GRID), np.zeros(_GRID)
    left, right = 0, _GRID
    for t in range(x.size):
        gap = x[t] - m
        up += np.log1p(np.minimum(stake[t], 0.5 / m) * gap)
        down += np.log1p(-np.minimum(stake[t], 0.5 / (1 - m)) * gap)
        # each side alone may spend α/2, so neither capital may reach 2/α
        alive &= np.maximum(up, down) < bound
        inside = np.flatnonzero(alive)
        if inside.size:  # a mean that drifts can empty the set; then the last interval stays
            left, right = int(inside[0]), int(inside[-1]) + 1
        # one cell outwards, since a mean between two centres shares the fate of neither
        lows[t], highs[t] = max(left - 1, 0) / _GRID, min(right + 1, _GRID) / _GRID
    return low + (high - low) * lows, low + (high - low) * highs


def e_bh(e_values: Sequence[float] | ArrayLike, alpha: float = 0.05) -> NDArray[np.bool_]:
    """Which hypotheses e-BH rejects: the k largest with e_(k) ≥ m/(kα), for the largest such k.

    Controls the false discovery rate at α under any dependence (arXiv 2009.02824).

    Args:
        e_values: one per hypothesis, (m,), each e-process stopped whenever one likes.
        alpha: false discovery rate.

    Raises:
        ValueError: A value is negative or not a number.
    """
    e = np.asarray(e_values, dtype=np.float64)
    if not np.all(e >= 0):
        raise ValueError("an e-value is a number of at least 0")
    order = np.argsort(-e, kind="stable")
    k = np.arange(1, e.size + 1)
    enough = np.flatnonzero(e[order] * k * alpha >= e.size)
    rejected = np.zeros(e.size, dtype=bool)
    if enough.size:
        rejected[order[: int(enough[-1]) + 1]] = True
    return rejected
