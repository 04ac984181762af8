"""Intervals for the cards: Wilson for shares, paired bootstrap over prompts for means, differences and ratios."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import attrs

_Z = 1.959964  # two-sided 95 %
_RESAMPLES = 2000


@attrs.frozen(kw_only=True)
class Estimate:
    """A number with its 95 % interval and the count of prompts behind it."""

    value: float
    low: float
    high: float
    n: int

    def rounded(self, digits: int = 4) -> dict[str, float | int]:
        """The estimate as a plain mapping for JSON."""
        return {
            "value": round(self.value, digits),
            "low": round(self.low, digits),
            "high": round(self.high, digits),
            "n": self.n,
        }


def share(hits: Sequence[bool]) -> Estimate:
    """Share of true entries with the Wilson score interval.

    (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)
    """
    n = len(hits)
    if n == 0:
        raise ValueError("a share of no prompts is undefined; give at least one")
    p = sum(hits) / n
    centre = p + _Z**2 / (2 * n)
    spread = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    return Estimate(value=p, low=max(0.0, (centre - spread) / scale), high=min(1.0, (centre + spread) / scale), n=n)


def mean(values: Sequence[float], *, seed: int) -> Estimate:
    """Mean with a percentile bootstrap interval."""
    return _bootstrap([(v, 0.0) for v in values], lambda v, _: v, seed)


def mean_difference(trained: Sequence[float], base: Sequence[float], *, seed: int) -> Estimate:
    """Mean of ``trained - base``, paired on the prompt."""
    return _bootstrap(list(zip(trained, base, strict=True)), lambda t, b: t - b, seed)


def mean_ratio(trained: Sequence[float], base: Sequence[float], *, seed: int) -> Estimate:
    """``mean(trained) / mean(base)``, resampled in pairs."""
    return _bootstrap(list(zip(trained, base, strict=True)), lambda t, b: t / b, seed)


def _bootstrap(pairs: list[tuple[float, float]], statistic: Callable[[float, float], float], seed: int) -> Estimate:
    if not pairs:
        raise ValueError("a mean over no prompts is undefined; give at least one")
    n = len(pairs)

    def of(sample: Sequence[tuple[float, float]]) -> float:
        return statistic(sum(p[0] for p in sample) / n, sum(p[1] for p in sample) / n)

    rng = random.Random(f"{seed}/bootstrap")
    draws = sorted(of(rng.choices(pairs, k=n)) for _ in range(_RESAMPLES))
    return Estimate(value=of(pairs), low=draws[int(0.025 * _RESAMPLES)], high=draws[int(0.975 * _RESAMPLES)], n=n)
