"""Paired contrasts with the prompt as unit: d_i = trained_i − base_i, samples averaged inside the prompt first.

What is computed for differences: the mean, Student's interval (from 50 units on joined with BCa's), the sign-flip test
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
    ALIKE,
    REACHABLE,
    SPARSE,
    Column,
    clipped,
    column,
    difference_interval,
    is_outcomes,
    mean_intervals,
    rates,
    spreadless,
)
from afterburn_core.stats.intervals import binomial_cdf
from afterburn_core.stats.one_side import mean, means, rate
from afterburn_core.stats.resampling import RESAMPLES, sign_flip_p

__all__ = [
    "mcnemar_p",
    "mean",
    "means",
    "paired_contrast",
    "paired_contrasts",
    "paired_rate_contrasts",
    "paired_rates",
    "rate",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]
_NOTHING = "no unit was answered by both sides"


def paired_contrasts(
    differences: Mapping[str, npt.ArrayLike],
    *,
    seed: int,
    clusters: Mapping[str, Sequence[str]] | None = None,
    level: float = 0.95,
    identical: bool | Collection[str] = True,
    resamples: int = RESAMPLES,
) -> dict[str, Contrast]:
    """Contrasts of many metrics at once; a metric's outcome does not depend on which others come along.

    Args:
        differences: By name, one difference per unit, NaN where the unit is missing for that name.
        clusters: By name, the cluster of each unit; names that are absent have none.
        identical: Whether differences that are all 0 mean equal sides (for all names, or some). A caller who knows that
            texts differ and only a quantity agrees says no: then they are equal differences like any others, which
            have no interval below 59 units.
        resamples: Sign flips where the patterns are too many to enumerate.

    Raises:
        ValueError: Values that are infinite or not one-dimensional, or clusters of another length.
    """
    columns = {name: column(values, (clusters or {}).get(name)) for name, values in differences.items()}
    found = _contrasts(columns, seed=seed, level=level, resamples=resamples)
    if identical is True:
        return found
    return {name: one if name in (identical or ()) else _agreeing(one, columns[name]) for name, one in found.items()}


def _agreeing(contrast: Contrast, one: Column) -> Contrast:
    """The contrast, where a quantity agrees in every pair although the sides differ, without the claim of identity."""
    if contrast.interval is None or contrast.interval.method != "identical":
        return contrast
    if one.groups < ALIKE:
        return attrs.evolve(contrast, interval=None, reason=spreadless(one))
    return attrs.evolve(contrast, interval=attrs.evolve(contrast.interval, method="constant"))


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
    intervals of `paired_contrasts`, or Tango's over shares where fewer than 10 units differ or all differ alike.

    Rates that agree in every pair do not prove equality: with (b, c, n) = (0, 0, 30) the interval is ±.1135. Only a
    caller who has seen the same *texts* on both sides can say so, by `identical` (all names, or some): then the
    interval is [0, 0], method `identical`.

    Raises:
        ValueError: Rates outside [0, 1], sides of different lengths or names, or as in `paired_contrasts`.
    """
    if base.keys() != trained.keys():
        raise ValueError(f"rates of one side only: {', '.join(sorted(base.keys() ^ trained.keys()))}")
    same = frozenset(base) if identical is True else frozenset(identical or ())
    sides = {name: (rates(base[name]), rates(trained[name])) for name in base}
    columns: dict[str, Column] = {}
    for name, (x, y) in sides.items():
        if x.shape != y.shape:
            raise ValueError(f"{x.shape[0]} rates of the base and {y.shape[0]} of the trained model")
        columns[name] = column(y - x, (clusters or {}).get(name))
    plain = {name for name, one in columns.items() if is_outcomes(*sides[name]) and not one.clustered and one.groups}
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


def mcnemar_p(gained: npt.ArrayLike, lost: npt.ArrayLike, *, mid: bool = False) -> FloatArray:
    """Exact two-sided p value of McNemar's test: min(1, 2 P(Bin(b + c, ½) ≤ min(b, c))) (McNemar 1947).

    `mid` takes half of the probability of what was observed away on either side (Fagerland 2013): less conservative,
    not exact, and to be named wherever it is used.
    """
    b, c = np.asarray(gained, dtype=np.float64), np.asarray(lost, dtype=np.float64)
    small, both = np.minimum(b, c), b + c
    p = 2 * binomial_cdf(small, both)
    if mid:
        logs = special.gammaln(both + 1) - special.gammaln(small + 1) - special.gammaln(both - small + 1)
        p = p - np.exp(logs - both * np.log(2))
    return np.asarray(np.minimum(1.0, p))


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


def _caveat(one: Column, interval: Interval | None) -> str | None:
    if interval is None:
        return spreadless(one)
    return None if interval.method == "identical" else _reachable(int(np.count_nonzero(one.sums)), one.groups)


def _reachable(differing: int, n: int) -> str | None:
    """What no data with so few differing units could reach."""
    if differing >= REACHABLE:
        return None
    smallest = min(1.0, 2.0 ** (1 - differing))
    return f"only {differing} of {n} units differ: no p value below {smallest:.3g} is possible"


def _bounded(interval: Interval | None, one: Column, level: float) -> Interval | None:
    """The interval of a difference of shares: Tango's where few units differ or all alike, and never beyond ±1."""
    if np.count_nonzero(one.sums) < SPARSE or one.constant:
        return difference_interval(one, level=level)
    return clipped(interval, -1.0, 1.0)
