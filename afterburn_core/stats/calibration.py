"""Whether stated confidence is earned: calibration error, Brier score and its parts, reliability diagram.

Confidence c_i ∈ [0, 1] and outcome y_i ∈ {0, 1}; bins of equal mass, equal confidences never torn apart; in bin b with
n_b items δ_b = ȳ_b − c̄_b:

    ECE        Σ_b (n_b/n) |δ_b|                                        too high: noise alone gives |δ_b| > 0
    debiased   Σ_b (n_b/n) [|δ_b| (2Φ(x_b) − 1) − 2 s_b φ(x_b)],   x_b = |δ_b|/s_b
    squared    Σ_b (n_b/n) (δ_b² − ȳ_b(1 − ȳ_b)/(n_b − 1))     debiased; Verified Uncertainty Calibration, 1909.10155

with s_b the standard error of δ_b. The debiased ECE (ours) is what taking the sign of δ_b from one half of the bin and
its size from the other gives on average over all ways to halve it. Its expectation is 0 for a calibrated model and
Σ (n_b/n) |δ_b| (2Φ(|δ_b|/(√2 s_b)) − 1) otherwise: never above the true binned error, and at most .48 s_b per bin below
it (√2 times the largest value of 2xΦ(−x)). The interval is normal, with its upper end moved up by that much. Only then
is the estimate clipped at 0. Bins can hide error inside them: a binned error is a lower bound of the true one.

Brier score and its decomposition, with the within-bin terms that make it exact (Stephenson, Coelho and Jolliffe, Two
extra components in the Brier score decomposition, 2008):

    mean (c − y)² = reliability − resolution + uncertainty + within-bin variance − within-bin covariance
    Σ (n_b/n) δ_b²,   Σ (n_b/n)(ȳ_b − ȳ)²,   ȳ(1 − ȳ),   (1/n) Σ (c_i − c̄_b)²,   (2/n) Σ (y_i − ȳ_b)(c_i − c̄_b)

Contrasts of two models take `brier` item by item; an ECE is no mean over items and only describes one side.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from afterburn_core.result.model import Interval
from afterburn_core.stats.agreement import binary
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.intervals import normal_quantile, t_interval, wilson

_FEWEST = 20
_PER_BIN = 10
_LARGEST_BIAS = 0.4808  # √2 times the maximum over x of 2 x Φ(−x)


@attrs.frozen(kw_only=True)
class ReliabilityPoint:
    """One bin of the reliability diagram."""

    n: int
    """Items."""
    lowest: float
    """Smallest confidence in the bin."""
    highest: float
    """Largest confidence in the bin."""
    confidence: float
    """Mean confidence."""
    accuracy: float
    """Share of right answers."""
    interval: Interval
    """Wilson's interval of the accuracy."""


@attrs.frozen(kw_only=True)
class BrierParts:
    """The five parts of the Brier score."""

    reliability: float
    """Squared distance of confidence and accuracy over bins: smaller is better."""
    resolution: float
    """How far the bins' accuracies spread: larger is better."""
    uncertainty: float
    """Variance of the outcomes: the same for every model on the same outcomes."""
    within_variance: float
    """Spread of confidences inside bins."""
    within_covariance: float
    """Twice the covariance of confidence and outcome inside bins."""

    @property
    def score(self) -> float:
        """The Brier score that the parts add up to."""
        return self.reliability - self.resolution + self.uncertainty + self.within_variance - self.within_covariance


@attrs.frozen(kw_only=True)
class Calibration:
    """Calibration of one side."""

    n: int
    """Items with a confidence and an outcome."""
    ece: Contrast
    """The debiased expected calibration error, at least 0, with its interval."""
    plain_ece: float | None
    """The usual estimate, biased upwards; for comparison with numbers from elsewhere."""
    squared: float | None
    """Debiased mean squared calibration error; below 0 where noise is larger than error."""
    overconfidence: Contrast
    """Mean confidence − accuracy: what is left of miscalibration when bins cancel; positive is overconfident."""
    brier: Contrast
    """Mean squared error of the confidences: smaller is better."""
    parts: BrierParts | None
    points: tuple[ReliabilityPoint, ...]
    """The reliability diagram, by rising confidence."""


def calibration(confidence: ArrayLike, outcome: ArrayLike, *, bins: int = 10, level: float = 0.95) -> Calibration:
    """Everything about one side's calibration.

    Args:
        confidence: stated probability of being right, in [0, 1], one per item, (n,).
        outcome: whether it was right, 0 or 1, from a gold answer, (n,).
        bins: most bins; fewer where a bin would have fewer than 10 items.
        level: of the intervals.

    Returns:
        Undefined contrasts, with the reason, below 20 items.

    Raises:
        ValueError: The two differ in length, a confidence is outside [0, 1], or an outcome neither 0 nor 1.
    """
    c = np.asarray(confidence, dtype=np.float64).reshape(-1)
    y = binary(outcome, "outcome").astype(np.float64)
    if c.size != y.size:
        raise ValueError("one confidence and one outcome per item: the two differ in length")
    if not np.all((c >= 0) & (c <= 1)):
        raise ValueError("a confidence lies outside [0, 1]")
    if c.size < _FEWEST:
        why = undefined(f"{c.size} items with a confidence and a gold answer, of at least {_FEWEST}", c.size)
        return Calibration(
            n=c.size,
            ece=why,
            plain_ece=None,
            squared=None,
            overconfidence=why,
            brier=why,
            parts=None,
            points=(),
        )
    member = _equal_mass(c, max(2, min(bins, c.size // _PER_BIN)))
    order = np.argsort(c, kind="stable")
    c, y, member = c[order], y[order], member[order]
    size = np.bincount(member).astype(np.float64)
    mean_c, mean_y = np.bincount(member, weights=c) / size, np.bincount(member, weights=y) / size
    gap = mean_y - mean_c
    lonely = size < 2
    noise = np.where(lonely, 0.0, mean_y * (1 - mean_y) / np.maximum(size - 1, 1))
    return Calibration(
        n=c.size,
        ece=_debiased(c, y, member, size, level),
        plain_ece=float(np.sum(size * np.abs(gap)) / c.size),
        squared=float(np.sum((size * (gap * gap - noise))[~lonely]) / c.size),
        overconfidence=_mean(c - y, level),
        brier=_mean((c - y) ** 2, level),
        parts=_parts(c, y, member, size, mean_c, mean_y),
        points=_points(c, y, member, level),
    )


def brier(probabilities: ArrayLike, gold: ArrayLike) -> NDArray[np.float64]:
    """Brier score of each item over all choices, Σ_k (p_k − [k is gold])², in [0, 2]: what two models are compared by.

    Args:
        probabilities: of each choice, (n, choices), rows adding up to 1.
        gold: index of the right choice, (n,).

    Raises:
        ValueError: A row does not add up to 1.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if not np.allclose(p.sum(axis=1), 1, atol=1e-6):
        raise ValueError("the probabilities of an item do not add up to 1; renormalise over the choices")
    right = np.zeros_like(p)
    right[np.arange(len(p)), np.asarray(gold, dtype=np.int64)] = 1
    return np.asarray(((p - right) ** 2).sum(axis=1))


def choice_probabilities(logprobs: ArrayLike) -> NDArray[np.float64]:
    """Probabilities over the choices alone, from the log-probability of each choice's label as the first token.

    Args:
        logprobs: ln p, (n, choices); −inf for a choice that the engine did not list.

    Returns:
        (n, choices)

    Raises:
        ValueError: An item has no finite log-probability.
    """
    x = np.asarray(logprobs, dtype=np.float64)
    top = x.max(axis=1, keepdims=True)
    if not np.all(np.isfinite(top)):
        raise ValueError("an item has no finite log-probability; leave it out")
    raised = np.exp(x - top)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _equal_mass(c: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Bin of each item, by the middle rank of its confidence, numbered without gaps; (n,)."""
    ordered = np.sort(c)
    middle = (np.searchsorted(ordered, c, side="left") + np.searchsorted(ordered, c, side="right")) / 2
    rough = np.minimum((middle * bins / c.size).astype(np.int64), bins - 1)
    return np.asarray(np.unique(rough, return_inverse=True)[1])


def _debiased(
    c: NDArray[np.float64], y: NDArray[np.float64], member: NDArray[np.int64], size: NDArray[np.float64], level: float
) -> Contrast:
    error = y - c
    gap = np.bincount(member, weights=error) / size
    centred = error - gap[member]
    spread = np.bincount(member, weights=centred**2) / np.maximum(size * (size - 1), 1)  # s_b²
    # a bin of equal outcomes and confidences, or of one item, says nothing of its noise: at least one failure's worth
    noise = np.sqrt(np.maximum(spread, 1 / (4 * (size + 1) ** 2)))
    x = np.abs(gap) / noise
    share = size / c.size
    halved = np.abs(gap) * (2 * special.ndtr(x) - 1) - 2 * noise * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    estimate = float(np.sum(share * halved))
    reach = normal_quantile(level) * math.sqrt(float(np.sum((share * noise) ** 2)))
    bias = _LARGEST_BIAS * float(np.sum(share * noise))
    value = max(estimate, 0.0)
    return Contrast(
        n=c.size,
        estimate=value,
        interval=Interval(
            low=max(estimate - reach, 0.0),
            high=max(min(estimate + reach + bias, 1.0), value),
            level=level,
            method="debiased_normal",
        ),
        reason="below 0 before clipping: no more than noise" if estimate < 0 else None,
    )


def _mean(values: NDArray[np.float64], level: float) -> Contrast:
    centre, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(values.size)
    low, high = t_interval(centre, error, values.size - 1, level=level)
    return Contrast(
        n=values.size,
        estimate=centre,
        interval=Interval(low=float(low), high=float(high), level=level, method="t"),
    )


def _parts(
    c: NDArray[np.float64],
    y: NDArray[np.float64],
    member: NDArray[np.int64],
    size: NDArray[np.float64],
    mean_c: NDArray[np.float64],
    mean_y: NDArray[np.float64],
) -> BrierParts:
    share, base = size / c.size, float(y.mean())
    return BrierParts(
        reliability=float(np.sum(share * (mean_c - mean_y) ** 2)),
        resolution=float(np.sum(share * (mean_y - base) ** 2)),
        uncertainty=base * (1 - base),
        within_variance=float(np.mean((c - mean_c[member]) ** 2)),
        within_covariance=2 * float(np.mean((y - mean_y[member]) * (c - mean_c[member]))),
    )


def _points(
    c: NDArray[np.float64], y: NDArray[np.float64], member: NDArray[np.int64], level: float
) -> tuple[ReliabilityPoint, ...]:
    points = []
    for b in range(int(member.max()) + 1):
        inside = member == b
        n, right = int(inside.sum()), int(y[inside].sum())
        low, high = wilson(right, n, level=level)
        points.append(
            ReliabilityPoint(
                n=n,
                lowest=float(c[inside].min()),
                highest=float(c[inside].max()),
                confidence=float(c[inside].mean()),
                accuracy=right / n,
                interval=Interval(low=float(low), high=float(high), level=level, method="wilson"),
            )
        )
    return tuple(points)
