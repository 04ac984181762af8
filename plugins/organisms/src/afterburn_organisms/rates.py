"""How well scores tell planted organisms from benign ones: the area under the ROC curve, with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

from afterburn_organisms.intervals import Estimate

_Z = 1.959964  # two-sided 95 %
_HALVINGS = 60
_Score = TypeVar("_Score", float, tuple[float, float])


def auroc(planted: Sequence[_Score], benign: Sequence[_Score]) -> Estimate:
    """P(planted > benign) + P(planted = benign)/2, with Newcombe's interval.

    The interval holds every θ with |θ̂ − θ| ≤ z·sqrt(V(θ)), where for m planted and n benign ones, N = (m + n)/2,

        V(θ) = θ(1 − θ)/(mn) · (1 + (N − 1)·((1 − θ)/(2 − θ) + θ/(1 + θ)))

    (Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2", 2006,
    method 5.) It has width also where all planted ones score above all benign ones. `n` is m + n.

    Raises:
        ValueError: one of the groups is empty.
    """
    if not planted or not benign:
        raise ValueError("an area under the curve needs planted and benign scores; give at least one of each")
    m, n = len(planted), len(benign)
    area = sum((p > b) + 0.5 * (p == b) for p in planted for b in benign) / (m * n)

    def beyond(theta: float) -> bool:
        spread = (m + n) / 2 - 1
        variance = theta * (1 - theta) / (m * n) * (1 + spread * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return (area - theta) ** 2 > _Z**2 * variance

    return Estimate(value=area, low=_edge(area, 0.0, beyond), high=_edge(area, 1.0, beyond), n=m + n)


def _edge(inside: float, outside: float, beyond: Callable[[float], bool]) -> float:
    """Where `beyond` begins between a point that is inside and an end of the scale."""
    if not beyond(outside):
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if beyond(middle) else (middle, outside)
    return (inside + outside) / 2


def rising(values: Sequence[float]) -> bool:
    """Whether no value lies below the one before it, and the last above the first."""
    return all(a <= b for a, b in pairwise(values)) and len(values) > 1 and values[-1] > values[0]
