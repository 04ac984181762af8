"""Which tokens stand out: proposed by one half of the units, tested on the other.

Candidates of each sign are the tokens with the highest rates over the discovery half. On the confirmation half, with
passages p as rows and units as clusters, all candidates of both signs are tested together by step-down max-T over joint
sign flips of units (`afterburn_core.stats.maxt`), in two families:

- *swapped sides*: g_pv − l_pv, the share of positions at which v is among the gains less that among the losses.
  Swapping the names of the two models turns D into −D and gains into losses, so that this is its sign-flip test: it
  asks whether the token moves in one direction.
- *scrambled change*: r_pv − ν, with ν the largest rate that any token of the vocabulary reaches, among gains or among
  losses, under a scrambled change of the same size. It asks whether the token is an extreme more often than any would
  be under a change that knows nothing. Such a change has no direction, so both signs are one null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_behaviour.mining.passages import Kept
from afterburn_behaviour.mining.sums import Integers, Rates
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.maxt import MaxT, max_t

Floats: TypeAlias = NDArray[np.float64]
SMALLEST = 6
"""Fewest units of either half: with five the smallest sign-flip p value is above .05."""
DISCOVER, CONFIRM = 0, 1


@attrs.frozen(kw_only=True, eq=False)
class Table:
    """Rates of some tokens in some passages."""

    units: tuple[str, ...]
    """(P) unit of each passage."""
    tokens: Integers
    """(T), ascending."""
    rates: tuple[Floats, Floats]
    """(P, T) shares of the passage's positions, of gains and of losses."""
    unseen: tuple[Floats, Floats]
    """(T) by how much the mean rate may be larger, because lists are cut; of gains and of losses."""

    @property
    def count(self) -> int:
        """Independent units."""
        return len(set(self.units))

    def at(self, tokens: Integers) -> Integers:
        """(C) columns of these tokens."""
        found: Integers = np.searchsorted(self.tokens, tokens)
        return found


def table(passages: Sequence[Kept], tokens: Integers) -> Table:
    """The rates of `tokens` (ascending) in `passages`."""
    shape = (len(passages), len(tokens))
    rates, unseen = (np.zeros(shape), np.zeros(shape)), (np.zeros(len(tokens)), np.zeros(len(tokens)))
    for number, kept in enumerate(passages):
        for sign, one in enumerate(kept.signs):
            counts, listed = one.counts_of(tokens)
            rates[sign][number] = counts / kept.n
            unseen[sign][~listed] += one.cut / kept.n / len(passages)
    return Table(units=tuple(kept.unit for kept in passages), tokens=tokens, rates=rates, unseen=unseen)


def propose(rates: Rates, sign: int, most: int) -> Integers:
    """Tokens with the highest rates over the discovery half, best first; of equal ones the smaller ids."""
    total = rates.total[DISCOVER, sign]
    order = np.lexsort((np.arange(len(total)), -total))[:most]
    found: Integers = order[total[order] > 0]
    return found


@attrs.frozen(kw_only=True, eq=False)
class Tested:
    """Both families, on the confirmation half."""

    swapped: MaxT
    """Of every token of the table."""
    scrambled: tuple[MaxT, MaxT] | None
    """Of the candidates of each sign, in their order; corrected together. `None` without a scrambled change."""


def test(on: Table, candidates: tuple[Integers, Integers], null: float | None, seed: int) -> Tested:
    """Tests all candidates.

    Args:
        on: The confirmation half, with all candidates of both signs.
        null: ν; `None` without a scrambled change.
    """
    swapped = max_t(on.rates[0] - on.rates[1], seed=child_seed(seed, "swapped"), clusters=on.units)
    if null is None:
        return Tested(swapped=swapped, scrambled=None)
    excess = np.concatenate(
        [on.rates[sign][:, on.at(candidates[sign])] - null for sign in (0, 1)], axis=1
    )  # (P, C of gains + C of losses)
    both = max_t(excess, seed=child_seed(seed, "scrambled"), clusters=on.units)
    edge = len(candidates[0])
    return Tested(swapped=swapped, scrambled=(_part(both, slice(0, edge)), _part(both, slice(edge, None))))


def jaccard(rates: Rates, sign: int, most: int) -> tuple[float | None, int]:
    """Overlap |A ∩ B|/|A ∪ B| of the `most` commonest tokens of the two halves, and the size of the smaller set.

    `None` where a half has no token.
    """
    sets = []
    for half in (DISCOVER, CONFIRM):
        total = rates.total[half, sign]
        order = np.lexsort((np.arange(len(total)), -total))[:most]
        sets.append({int(v) for v in order if total[v] > 0})
    smaller = min(map(len, sets))
    return (len(sets[0] & sets[1]) / len(sets[0] | sets[1]) if smaller else None), smaller


def _part(whole: MaxT, part: slice) -> MaxT:
    return attrs.evolve(
        whole,
        statistic=whole.statistic[part],
        p_values=whole.p_values[part],
        p_adjusted=whole.p_adjusted[part],
    )
