"""Candidates with all their numbers: rates, intervals, nulls, mean log ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_behaviour.mining.candidates import DISCOVER, Table
from afterburn_behaviour.mining.sums import GROUPS, Differences, Integers, Rates
from afterburn_core.result.model import Interval, Null, Test
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.clusters import standard_error
from afterburn_core.stats.estimates import SPARSE, clipped, column, difference_interval, rate_interval
from afterburn_core.stats.intervals import t_interval
from afterburn_core.stats.one_side import means

Floats: TypeAlias = NDArray[np.float64]
LEVEL = 0.95


@attrs.frozen(kw_only=True)
class Token:
    """One candidate of one sign."""

    id: int
    text: str
    sign: int
    overall: float
    """Rate over all passages."""
    discovered: float
    """Over the half that proposed it: biased by the choice."""
    confirmed: float | None
    """Over the other half, with its interval."""
    interval: Interval | None
    opposite: float
    """Rate among the extremes of the other sign, over all passages."""
    unseen: float
    """By how much `confirmed` may be too small, because lists of passages are cut."""
    balance: float | None
    """Rate of gains less rate of losses on the confirmation half."""
    balance_interval: Interval | None
    swapped: Test | None
    scrambled: Test | None
    null_rate: float | None
    """Rate of the same token under the scrambled change."""
    null: Null | None
    """Where `confirmed` lies among the rates of all tokens, of either sign, under the scrambled change."""
    log_ratio: float | None
    """Mean of D on the confirmation half."""
    log_interval: Interval | None
    spread: float
    """Standard deviation of D over positions."""
    found: bool


@attrs.frozen(kw_only=True)
class Candidate:
    """A candidate with its tests, before it is known whether it is listed."""

    id: int
    overall: float
    swapped: Test | None
    scrambled: Test | None
    found: bool


def described(
    chosen: Sequence[Sequence[Candidate]],
    trained: Rates,
    controls: Mapping[str, Rates],
    differences: Differences,
    rates: Table,
    seed: int,
    decode: Callable[[int], str],
) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
    """The chosen candidates with all their numbers."""
    estimates = _estimates(rates, chosen, seed)
    spread = differences.spread()
    signs: list[tuple[Token, ...]] = []
    for sign, candidates in enumerate(chosen):
        ids = np.array([one.id for one in candidates], dtype=np.int64)
        ratio, bounds = _log_ratios(differences, ids)
        opposite, discovered = trained.overall(1 - sign), trained.of_half(DISCOVER, sign)
        same = [one.overall(sign) for one in controls.values()]
        every = [one.overall(either) for one in controls.values() for either in (0, 1)]
        told = []
        for j, one in enumerate(candidates):
            (mean, interval), (balance, both) = estimates[sign, one.id], estimates[2, one.id]
            told.append(
                Token(
                    id=one.id,
                    text=decode(one.id),
                    sign=sign,
                    overall=one.overall,
                    discovered=float(discovered[one.id]),
                    confirmed=mean,
                    interval=clipped(interval, 0.0, 1.0),
                    opposite=float(opposite[one.id]),
                    unseen=float(rates.unseen[sign][np.searchsorted(rates.tokens, one.id)]),
                    balance=balance,
                    balance_interval=clipped(both, -1.0, 1.0),
                    swapped=one.swapped,
                    scrambled=one.scrambled,
                    null_rate=max((float(r[one.id]) for r in same), default=None),
                    null=_rank(every, mean),
                    log_ratio=None if ratio is None else float(ratio[j]),
                    log_interval=None if bounds is None else bounds[j],
                    spread=float(spread[one.id]),
                    found=one.found,
                )
            )
        signs.append(tuple(told))
    return signs[0], signs[1]


def _rank(rates: Sequence[Floats], value: float | None) -> Null | None:
    """Where a rate lies among the rates of all tokens under the scrambled changes."""
    if not rates or value is None:
        return None
    every = np.concatenate(rates)
    beyond = int((every >= value).sum())
    return Null(
        control="scrambled",
        n=len(every),
        quantile=float((every <= value).mean()),
        p_value=(1 + beyond) / (1 + len(every)),
    )


def _estimates(
    rates: Table, chosen: Sequence[Sequence[Candidate]], seed: int
) -> dict[tuple[int, int], tuple[float | None, Interval | None]]:
    """By kind (0 gains, 1 losses, 2 gains less losses) and token, the mean over passages with its interval."""
    columns: dict[tuple[int, int], Floats] = {}
    for sign, candidates in enumerate(chosen):
        for one in candidates:
            j = int(np.searchsorted(rates.tokens, one.id))
            columns[sign, one.id] = rates.rates[sign][:, j]
            columns[2, one.id] = rates.rates[0][:, j] - rates.rates[1][:, j]
    named = {f"{kind} {token}": column for (kind, token), column in columns.items()}
    clusters = None if rates.count == len(rates.units) else dict.fromkeys(named, rates.units)
    found = means(named, clusters=clusters, seed=child_seed(seed, "rates"), level=LEVEL)
    estimates = {}
    for (kind, token), values in columns.items():
        shares = column(values, None if clusters is None else rates.units)
        mean, interval = found[f"{kind} {token}"].estimate, found[f"{kind} {token}"].interval
        if (
            shares.groups
            and min(np.count_nonzero(shares.sums), np.count_nonzero(np.abs(shares.sums) != shares.sizes)) < SPARSE
        ):
            # shares that are all 0 or all 1 show no spread, and yet leave room for others
            interval = (difference_interval if kind == 2 else rate_interval)(shares, level=LEVEL)
        estimates[kind, token] = (mean, interval)
    return estimates


def _log_ratios(differences: Differences, tokens: Integers) -> tuple[Floats | None, list[Interval] | None]:
    """Means of D on the confirmation half, with Student's interval over random groups of units."""
    here = differences.passages[:GROUPS] > 0
    sizes = differences.passages[:GROUPS][here].astype(np.float64)
    if not len(sizes):
        return None, None
    sums = differences.by_group[:GROUPS][here][:, tokens]  # (groups, T)
    mean = sums.sum(axis=0) / sizes.sum()
    if len(sizes) < 2 or not len(tokens):
        return mean, None
    error = standard_error(sums, np.repeat(sizes[:, None], len(tokens), axis=1))
    low, high = t_interval(mean, error, np.full(len(tokens), len(sizes) - 1), level=LEVEL)
    bounds = [
        Interval(low=float(a), high=float(b), level=LEVEL, method="cluster_t") for a, b in zip(low, high, strict=True)
    ]
    return mean, bounds
