"""Paired contrasts with the prompt as unit: d_i = trained_i − base_i, samples averaged inside the prompt first.

What is computed for differences: the mean, Student's interval below 50 units and BCa from 50 on, the sign-flip test
(exact for few units), d_z. For 0/1 outcomes: (b − c)/n, Tango's interval, the exact McNemar test, b and c. Clusters of
units (documents, conversations) count as one where tests and intervals are concerned. Sources and simulated error
rates: `docs/statistics.md`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt
from scipy import special

from afterburn_core.result.model import Effect, Interval, Test
from afterburn_core.stats.clusters import standard_error
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.effects import cohens_dz
from afterburn_core.stats.estimates import (
    REACHABLE,
    SPARSE,
    Column,
    column,
    difference_interval,
    mean_intervals,
    rate_interval,
)
from afterburn_core.stats.resampling import RESAMPLES, sign_flip_p

FloatArray: TypeAlias = npt.NDArray[np.float64]
_NOTHING = "no unit was answered by both sides"


def paired_contrasts(
    differences: Mapping[str, npt.ArrayLike],
    *,
    seed: int,
    clusters: Mapping[str, Sequence[str]] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> dict[str, Contrast]:
    """Contrasts of many metrics at once; a metric's outcome does not depend on which others come along.

    Args:
        differences: By name, one difference per unit, NaN where the unit is missing for that name.
        clusters: By name, the cluster of each unit; names that are absent have none.
        resamples: Sign flips where the patterns are too many to enumerate.

    Raises:
        ValueError: Values that are infinite or not one-dimensional, or clusters of another length.
    """
    columns = {name: column(values, (clusters or {}).get(name)) for name, values in differences.items()}
    return _contrasts(columns, seed=seed, level=level, resamples=resamples)


def paired_contrast(
    differences: npt.ArrayLike,
    *,
    seed: int,
    clusters: Sequence[str] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Contrast:
    """The contrast of one metric, see `paired_contrasts`."""
    return _contrasts({"": column(differences, clusters)}, seed=seed, level=level, resamples=resamples)[""]


def paired_rate_contrasts(
    base: Mapping[str, npt.ArrayLike],
    trained: Mapping[str, npt.ArrayLike],
    *,
    seed: int,
    clusters: Mapping[str, Sequence[str]] | None = None,
    level: float = 0.95,
    identical: bool | Collection[str] = False,
    resamples: int = RESAMPLES,
) -> dict[str, Contrast]:
    """Contrasts of many rates at once, each unit's rate in [0, 1], NaN where a side did not answer.

    Outcomes that are all 0 or 1, without clusters: exact McNemar and Tango's interval. Else the sign-flip test with
    Student's or BCa interval, or Tango's over shares where fewer than 10 units differ.

    Rates that agree in every pair do not prove equality: with (b, c, n) = (0, 0, 30) the interval is ±.1135. Only a
    caller who has seen the same *texts* on both sides can say so, by `identical` (all names, or some): then the
    interval is [0, 0], method `identical`.

    Raises:
        ValueError: Rates outside [0, 1], sides of different lengths or names, or as in `paired_contrasts`.
    """
    if base.keys() != trained.keys():
        raise ValueError(f"rates of one side only: {', '.join(sorted(base.keys() ^ trained.keys()))}")
    same = frozenset(base) if identical is True else frozenset(identical or ())
    sides = {name: (_rates(base[name]), _rates(trained[name])) for name in base}
    columns: dict[str, Column] = {}
    for name, (x, y) in sides.items():
        if x.shape != y.shape:
            raise ValueError(f"{x.shape[0]} rates of the base and {y.shape[0]} of the trained model")
        columns[name] = column(y - x, (clusters or {}).get(name))
    plain = {name for name, one in columns.items() if _outcomes(*sides[name]) and not one.clustered and one.groups}
    result = _contrasts(
        {name: one for name, one in columns.items() if name not in plain}, seed=seed, level=level, resamples=resamples
    )
    for name in plain:
        result[name] = _mcnemar(columns[name], level)
    for name, contrast in result.items():
        one = columns[name]
        if contrast.estimate is None:
            continue
        if name in same and not one.values.any():
            zero = Interval(low=0.0, high=0.0, level=level, method="identical")
            result[name] = attrs.evolve(contrast, interval=zero, reason=None)
        elif name not in plain:
            result[name] = attrs.evolve(contrast, interval=_bounded(contrast.interval, one, level))
    return {name: result[name] for name in base}


def paired_rates(
    base: npt.ArrayLike,
    trained: npt.ArrayLike,
    *,
    seed: int,
    clusters: Sequence[str] | None = None,
    level: float = 0.95,
    identical: bool = False,
    resamples: int = RESAMPLES,
) -> Contrast:
    """The contrast of one rate, see `paired_rate_contrasts`; `identical` says that the texts themselves are equal."""
    named = None if clusters is None else {"": clusters}
    return paired_rate_contrasts(
        {"": base}, {"": trained}, seed=seed, clusters=named, level=level, identical=identical, resamples=resamples
    )[""]


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
        if not 0 <= successes <= n:
            raise ValueError(f"{successes} successes of {n}")
        one = column(np.repeat([1.0, 0.0], [successes, n - successes]))
    else:
        one = column(_rates(values), clusters)
    if not one.groups:
        return undefined("no unit")
    informative = min(np.count_nonzero(one.sums), np.count_nonzero(one.sums != one.sizes))
    if (_outcomes(one.values) and not one.clustered) or informative < SPARSE:
        interval: Interval | None = rate_interval(one, level=level)
    else:
        interval = _clipped(mean_intervals({"": one}, seed=seed, level=level)[""], 0.0, 1.0)
    return Contrast(n=one.groups, estimate=one.mean, interval=interval)


def means(
    values: Mapping[str, npt.ArrayLike],
    *,
    seed: int,
    clusters: Mapping[str, Sequence[str]] | None = None,
    level: float = 0.95,
) -> dict[str, Contrast]:
    """One side's means of many metrics at once, with Student's or BCa intervals and without a test."""
    columns = {name: column(array, (clusters or {}).get(name)) for name, array in values.items()}
    intervals = mean_intervals(columns, seed=seed, level=level)
    return {
        name: Contrast(
            n=one.groups,
            estimate=one.mean,
            interval=intervals[name],
            reason=_caveat(one, intervals[name], tested=False),
        )
        if one.groups
        else undefined("no unit")
        for name, one in columns.items()
    }


def mean(values: npt.ArrayLike, *, seed: int, clusters: Sequence[str] | None = None, level: float = 0.95) -> Contrast:
    """One side's mean, see `means`."""
    return means({"": values}, seed=seed, clusters=None if clusters is None else {"": clusters}, level=level)[""]


def mcnemar_p(gained: npt.ArrayLike, lost: npt.ArrayLike) -> FloatArray:
    """Exact two-sided p value of McNemar's test: min(1, 2 P(Bin(b + c, ½) ≤ min(b, c))) (McNemar 1947)."""
    b, c = np.asarray(gained, dtype=np.float64), np.asarray(lost, dtype=np.float64)
    return np.asarray(np.minimum(1.0, 2 * special.bdtr(np.minimum(b, c), b + c, 0.5)))


def _contrasts(columns: Mapping[str, Column], *, seed: int, level: float, resamples: int) -> dict[str, Contrast]:
    defined = {name: one for name, one in columns.items() if one.groups}
    intervals = mean_intervals(defined, seed=seed, level=level)
    p_values: dict[str, float] = {}
    alike: dict[int, list[str]] = {}
    for name, one in defined.items():
        alike.setdefault(len(one.sums), []).append(name)
    for names in alike.values():
        stacked = np.stack([defined[name].sums for name in names], axis=1)
        p_values.update(zip(names, sign_flip_p(stacked, seed=seed, resamples=resamples).tolist()))
    result = {}
    for name, one in columns.items():
        if name not in defined:
            result[name] = undefined(_NOTHING)
            continue
        interval = intervals[name]
        if not one.values.any():
            interval = Interval(low=0.0, high=0.0, level=level, method="identical")
        size = cohens_dz(one.values)
        result[name] = Contrast(
            n=one.groups,
            estimate=one.mean + 0.0,  # no negative zero
            interval=interval,
            test=Test(name="sign_flip", p_value=p_values[name], statistic=_studentised(one)),
            effect=None if size is None else Effect(name="cohens_dz", value=size),
            reason=_caveat(one, interval),
        )
    return result


def _mcnemar(one: Column, level: float) -> Contrast:
    gained, lost, n = int((one.values > 0).sum()), int((one.values < 0).sum()), one.groups
    size = cohens_dz(one.values)
    return Contrast(
        n=n,
        estimate=(gained - lost) / n,
        interval=difference_interval(one, level=level),
        test=Test(name="mcnemar", p_value=float(mcnemar_p(gained, lost)), statistic=float(gained)),
        effect=None if size is None else Effect(name="cohens_dz", value=size),
        reason=_reachable(gained + lost, n),
        gained=gained,
        lost=lost,
    )


def _studentised(one: Column) -> float | None:
    """d̄/SE, which orders sign flips as the mean does; `None` without spread."""
    if one.groups < 2 or one.constant:
        return None
    error = float(standard_error(one.sums[:, None], one.sizes[:, None])[0])
    return one.mean / error if error > 0 else None


def _caveat(one: Column, interval: Interval | None, *, tested: bool = True) -> str | None:
    if interval is None:
        noun = "cluster" if one.clustered else "unit"
        return f"one {noun} shows no spread" if one.groups == 1 else f"{one.groups} equal {noun}s show no spread"
    if interval.method == "identical" or not tested:
        return None
    return _reachable(int(np.count_nonzero(one.sums)), one.groups)


def _reachable(differing: int, n: int) -> str | None:
    """What no data with so few differing units could reach."""
    if differing >= REACHABLE:
        return None
    smallest = min(1.0, 2.0 ** (1 - differing))
    return f"only {differing} of {n} units differ: no p value below {smallest:.3g} is possible"


def _bounded(interval: Interval | None, one: Column, level: float) -> Interval | None:
    """The interval of a difference of shares: Tango's where few units differ, and never beyond ±1."""
    if np.count_nonzero(one.sums) < SPARSE and (one.clustered or one.values.any()):
        return difference_interval(one, level=level)
    return _clipped(interval, -1.0, 1.0)


def _clipped(interval: Interval | None, low: float, high: float) -> Interval | None:
    if interval is None:
        return None
    return attrs.evolve(interval, low=max(interval.low, low), high=min(interval.high, high))


def _rates(values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"one rate per unit is needed, not an array of shape {array.shape}")
    if ((array < 0) | (array > 1)).any():
        raise ValueError("a rate lies outside [0, 1]")
    return array


def _outcomes(*sides: FloatArray) -> bool:
    """Whether every present value is 0 or 1."""
    return all(bool(np.isin(side[~np.isnan(side)], (0.0, 1.0)).all()) for side in sides)
