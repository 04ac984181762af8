"""Where along a training run quality was highest: gold against the distance from the base, over checkpoints.

With d = √KL(trained‖base) of whole answers and G(d) the gain of quality over the base, both laws of Scaling Laws for
Reward Model Overoptimization (arXiv 2210.10760) pass through the origin and are linear in their two parameters:

    G(d) = d (α − β d)         best-of-n                 highest at d* = α/(2β)
    G(d) = d (α − β ln d)      reinforcement learning    highest at d* = exp(α/β − 1)

They are fitted to the checkpoints by least squares. The interval of d* is that of a bootstrap over prompts, the same
prompts for all checkpoints, with d taken as known; where a resample has β ≤ 0, quality has no highest point and d* is
infinite. A checkpoint whose d lies above the interval is past the best one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.stats.paired import paired_contrast
from afterburn_core.stats.resampling import bootstrap_weights

Floats = NDArray[np.float64]
Law = Literal["reinforcement learning", "best of n"]
LAWS: tuple[Law, ...] = ("reinforcement learning", "best of n")
FEWEST = 3
"""Checkpoints: two parameters fit any two points."""
_RESAMPLES = 1_999


@attrs.frozen(kw_only=True)
class Checkpoint:
    """One run of a checkpoint against the common base."""

    label: str
    distance: float
    """√KL, in √nats."""
    reward: Mapping[str, float]
    """Gain of the reward by prompt."""
    gold: Mapping[str, float]
    """Gain of quality by prompt."""


@attrs.frozen(kw_only=True)
class Gain:
    """A mean gain with its interval."""

    value: float
    low: float | None
    high: float | None


@attrs.frozen(kw_only=True)
class Point:
    """What a checkpoint gained, over the prompts that all have."""

    label: str
    distance: float
    reward: Gain
    gold: Gain
    past: bool | None
    """Whether it lies beyond the best distance of the law that fits better; `None` where that is unknown."""


@attrs.frozen(kw_only=True)
class Fitted:
    """A law with its best distance."""

    law: Law
    alpha: float
    beta: float
    best: float
    """d*, infinite where quality still rises."""
    low: float
    high: float
    residual: float
    """Root mean square distance of the checkpoints from the law."""


@attrs.frozen(kw_only=True)
class Course:
    """The checkpoints in the order of their distance, and the laws, the better fit first."""

    n: int
    """Prompts that all checkpoints have."""
    points: tuple[Point, ...]
    laws: tuple[Fitted, ...]


def course(checkpoints: Sequence[Checkpoint], *, seed: int = 0) -> Course:
    """Fits both laws to checkpoints of one training run.

    Raises:
        ValueError: fewer than three checkpoints, two of equal distance, one without distance from the base, or fewer
            than two prompts with quality in common.
    """
    ordered = sorted(checkpoints, key=lambda one: one.distance)
    distances = np.array([one.distance for one in ordered])
    if len(ordered) < FEWEST:
        raise ValueError(f"{len(ordered)} checkpoints; a course needs at least {FEWEST}")
    if distances[0] <= 0 or np.min(np.diff(distances)) <= 0:
        raise ValueError("each checkpoint must lie at a distance of its own from the base")
    common = sorted(set.intersection(*(set(one.gold) for one in ordered)))
    if len(common) < 2:
        raise ValueError("the runs have fewer than two prompts with known quality in common; ask all the same prompts")
    gains = np.array([[one.gold[unit] for one in ordered] for unit in common])  # (n, k)
    weights = np.concatenate(list(bootstrap_weights(len(common), _RESAMPLES, seed)))
    drawn = weights @ gains / len(common)  # (resamples, k)
    laws = sorted((_fitted(law, distances, gains.mean(axis=0), drawn) for law in LAWS), key=lambda one: one.residual)
    better = laws[0]
    points = tuple(
        Point(
            label=one.label,
            distance=one.distance,
            reward=_gain([one.reward[u] for u in sorted(one.reward)], seed),
            gold=_gain(gains[:, k].tolist(), seed),
            past=one.distance > better.high,
        )
        for k, one in enumerate(ordered)
    )
    return Course(n=len(common), points=points, laws=tuple(laws))


def _fitted(law: Law, d: Floats, gains: Floats, drawn: Floats) -> Fitted:
    design = np.column_stack([d, -d * (np.log(d) if law == "reinforcement learning" else d)])  # (k, 2)
    solve = np.linalg.pinv(design)  # (2, k)
    alpha, beta = (float(x) for x in solve @ gains)
    best = sorted(_best(law, a, b) for a, b in (drawn @ solve.T).tolist())
    rank = (len(best) + 1) * 0.025
    return Fitted(
        law=law,
        alpha=alpha,
        beta=beta,
        best=_best(law, alpha, beta),
        low=best[math.floor(rank) - 1],
        high=best[len(best) - math.floor(rank)],
        residual=float(np.sqrt(np.mean((design @ np.array([alpha, beta]) - gains) ** 2))),
    )


def _best(law: Law, alpha: float, beta: float) -> float:
    """Where the law is highest; 0 where it only falls."""
    if law == "best of n":
        return math.inf if beta <= 0 else max(0.0, alpha / (2 * beta))
    return math.inf if beta <= 0 else math.exp(min(alpha / beta - 1, 700.0))


def _gain(differences: Sequence[float], seed: int) -> Gain:
    contrast = paired_contrast(np.array(differences), seed=seed)
    interval = contrast.interval
    return Gain(
        value=float(contrast.estimate or 0.0),
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
    )
