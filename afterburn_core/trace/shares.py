"""Shares of an effect with intervals, for any metric: a jackknife over groups of units and Fieller's interval.

Units (prompts, documents) are dealt into g ≤ 20 groups by a keyed hash. A metric is computed on all units, m, and g
times without one group, m_(−k). For the change of a blend t = m(blend) − m(∅) and that of the whole c = m(all) − m(∅),

    share = t / c,      v_xy = (g − 1)/g · Σ_k (x_(−k) − x̄)(y_(−k) − ȳ)

are the variances and the covariance of t and c (the delete-a-group jackknife), and the interval of their ratio is
Fieller's (1954) with Student's quantile at g − 1 degrees of freedom. It has no bounded interval where c cannot be told
from 0: then there is nothing to share out.

Imports SciPy when an interval is computed, so that stored traces can be shown without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import attrs

from afterburn_core.result.model import Interval

GROUPS = 20
"""Of the jackknife, at most."""
FEWEST = 5
"""With fewer units nothing is said."""
LEVEL = 0.95
METHOD = "jackknife_fieller"


@attrs.frozen(kw_only=True)
class Replicates:
    """A metric of one blend: on all units, and without each group of them in turn."""

    value: float
    without: tuple[float, ...] = attrs.field(repr=False)

    def minus(self, other: Replicates) -> Replicates:
        return Replicates(
            value=self.value - other.value,
            without=tuple(mine - theirs for mine, theirs in zip(self.without, other.without, strict=True)),
        )


@attrs.frozen(kw_only=True)
class Share:
    """A part of the effect, 1 for all of it."""

    value: float
    interval: Interval


def deal(units: Iterable[str], *, seed: int, groups: int = GROUPS) -> dict[str, int]:
    """The group of every unit: as many groups as units, at most `groups`, of sizes that differ by one at most.

    A function of the names and the seed alone, whatever their order.
    """
    keyed = sorted(set(units), key=lambda unit: (hashlib.sha256(f"{seed}/{unit}".encode()).digest(), unit))
    count = min(groups, len(keyed))
    return {unit: place % count for place, unit in enumerate(keyed)}


def share(change: Replicates, whole: Replicates, *, level: float = LEVEL) -> Share | None:
    """`change` as a share of `whole`; `None` where the whole cannot be told from 0."""
    from scipy.special import stdtrit

    from afterburn_core.stats.intervals import fieller

    quantile = float(stdtrit(len(whole.without) - 1, (1 + level) / 2))
    bounds = fieller(
        change.value,
        whole.value,
        _covariance(change.without, change.without),
        _covariance(whole.without, whole.without),
        _covariance(change.without, whole.without),
        quantile=quantile,
    )
    if bounds is None:
        return None
    return Share(
        value=float(change.value / whole.value),
        interval=Interval(low=float(bounds[0]) + 0.0, high=float(bounds[1]) + 0.0, level=level, method=METHOD),
    )


def own_interval(effect: Replicates, *, level: float = LEVEL) -> Interval:
    """Student's interval of an effect itself, by the same jackknife."""
    from scipy.special import stdtrit

    variance = _covariance(effect.without, effect.without)
    reach = float(stdtrit(len(effect.without) - 1, (1 + level) / 2) * variance**0.5)
    return Interval(low=effect.value - reach, high=effect.value + reach, level=level, method="jackknife_t")


def _covariance(left: Sequence[float], right: Sequence[float]) -> float:
    """Of two statistics, from their values without each group."""
    count = len(left)
    mean_left, mean_right = sum(left) / count, sum(right) / count
    products = sum((a - mean_left) * (b - mean_right) for a, b in zip(left, right, strict=True))
    return products * (count - 1) / count
