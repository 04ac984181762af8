"""Estimates of one side alone: rates and means with intervals and without a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from afterburn_core.result.model import Interval
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.estimates import (
    ALIKE,
    SPARSE,
    clipped,
    column,
    is_outcomes,
    mean_intervals,
    rate_interval,
    rates,
    spreadless,
)


def rate(
    values: npt.ArrayLike | tuple[int, int], *, seed: int, level: float = 0.95, clusters: Sequence[str] | None = None
) -> Contrast:
    """One side's rate: Wilson's interval, Clopper–Pearson's where at most two units are on one side.

    Args:
        values: One rate in [0, 1] per unit, NaN where missing; or a *tuple* of two numbers, (successes, n).

    Raises:
        ValueError: Rates outside [0, 1], or as in `paired_contrasts`.
    """
    if isinstance(values, tuple) and len(values) == 2:
        successes, n = int(values[0]), int(values[1])
        if (successes, n) != values or not 0 <= successes <= n:
            raise ValueError(
                f"{values[0]} successes of {values[1]}: a tuple of two holds counts, other rates go in a list"
            )
        one = column(np.repeat([1.0, 0.0], [successes, n - successes]))
    else:
        one = column(rates(values), clusters)
    if not one.groups:
        return undefined("no unit")
    informative = min(np.count_nonzero(one.sums), np.count_nonzero(one.sums != one.sizes))
    if (is_outcomes(one.values) and not one.clustered) or informative < SPARSE or one.constant:
        interval: Interval | None = rate_interval(one, level=level)
    else:
        interval = clipped(mean_intervals({"": one}, seed=seed, level=level)[""], 0.0, 1.0)
    return Contrast(n=one.groups, estimate=one.mean, interval=interval)


def means(
    values: Mapping[str, npt.ArrayLike],
    *,
    seed: int,
    clusters: Mapping[str, Sequence[str]] | None = None,
    level: float = 0.95,
) -> dict[str, Contrast]:
    """One side's means of many metrics at once, with the intervals of `estimates` and without a test.

    Units that are all alike have an interval from `ALIKE` of them on: fewer would pass any bound with no width at all.
    """
    columns = {name: column(array, (clusters or {}).get(name)) for name, array in values.items()}
    intervals = mean_intervals(columns, seed=seed, level=level)
    intervals |= {name: None for name, one in columns.items() if one.groups and one.constant and one.groups < ALIKE}
    return {
        name: Contrast(
            n=one.groups,
            estimate=one.mean,
            interval=intervals[name],
            reason=None if intervals[name] else spreadless(one),
        )
        if one.groups
        else undefined("no unit")
        for name, one in columns.items()
    }


def mean(values: npt.ArrayLike, *, seed: int, clusters: Sequence[str] | None = None, level: float = 0.95) -> Contrast:
    """One side's mean, see `means`."""
    return means({"": values}, seed=seed, clusters=None if clusters is None else {"": clusters}, level=level)[""]
