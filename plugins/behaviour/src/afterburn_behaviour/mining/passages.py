"""What is kept of single passages: their commonest extremes, for statistics that need the unit.

Of a passage, up to 512 tokens of each sign are kept with how often they were among the extremes, and where most. That
is exact for tokens on the list; a token off it was an extreme at most as often as the commonest one left out, which
bounds what an estimate can miss. Of a run, the 2048 passages whose units have the smallest keyed hashes are kept, a
sample that does not depend on order or division. So the memory is bounded, by about 70 MB while a run reads and half of
that afterwards, however much is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_behaviour.mining.sums import GROUPS, Integers
from afterburn_core.stats.split import half

Ints: TypeAlias = NDArray[np.int32]
Floats32: TypeAlias = NDArray[np.float32]
KEPT = 512
MOST = 2048


@attrs.frozen(kw_only=True)
class Place:
    """Where a unit belongs: fixed by its name and the key alone."""

    confirm: bool
    """Which half."""
    group: int
    """0 … GROUPS − 1 on the confirmation half, GROUPS on the other."""
    order: bytes
    """Hash by which passages are sampled."""


def place(unit: str, key: str) -> Place:
    """The half, group and sampling order of a unit."""
    digest = hashlib.blake2b(f"{key}/{unit}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
    confirm = half(unit, key=key) == "confirm"
    return Place(confirm=confirm, group=digest[0] % GROUPS if confirm else GROUPS, order=digest[1:])


@attrs.frozen(kw_only=True, eq=False)
class Leading:
    """The commonest extremes of one sign in one passage, sorted by token; T ≤ KEPT of them."""

    tokens: Ints
    """(T)."""
    counts: Ints
    """(T) positions at which the token is among the extremes."""
    rows: Ints
    """(T) the row of the passage at which its difference is largest."""
    values: Floats32
    """(T) that difference."""
    cut: int
    """Count of the commonest token left out; 0 where none was."""

    def counts_of(self, wanted: Integers) -> tuple[Integers, NDArray[np.bool_]]:
        """(C) counts of the wanted tokens, 0 off the list, and (C) whether each is on it."""
        if not len(self.tokens):
            return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
        at = np.minimum(np.searchsorted(self.tokens, wanted), len(self.tokens) - 1)
        here = self.tokens[at] == wanted
        return np.where(here, self.counts[at], 0).astype(np.int64), here


@attrs.frozen(kw_only=True, eq=False)
class Kept:
    """One passage."""

    id: str
    unit: str
    place: Place
    n: int
    """Positions that counted."""
    tokens: Ints
    """Token ids of its rows, for contexts."""
    signs: tuple[Leading, Leading]
    """Gains and losses."""


class Sample:
    """At most `most` passages, those whose unit has the smallest hash."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: dict[str, Kept] = {}
        self._edge: tuple[bytes, str] | None = None

    def wants(self, order: bytes, passage: str) -> bool:
        """Whether a passage would still be kept."""
        return self._edge is None or (order, passage) < self._edge

    def add(self, passage: Kept) -> None:
        self._kept[passage.id] = passage
        if len(self._kept) >= 2 * self._most:
            self._prune()

    def take_in(self, other: Sample) -> None:
        self._kept |= other._kept
        self._prune()

    def __iter__(self) -> Iterator[Kept]:
        """By id."""
        self._prune()
        return iter(sorted(self._kept.values(), key=lambda kept: kept.id))

    def _prune(self) -> None:
        if len(self._kept) <= self._most:
            return
        ordered = sorted(self._kept.values(), key=lambda kept: (kept.place.order, kept.id))
        self._kept = {kept.id: kept for kept in ordered[: self._most]}
        last = ordered[self._most - 1]
        self._edge = (last.place.order, last.id)


def leading(tokens: Integers, counts: Integers, rows: Integers, values: Floats32, most: int = KEPT) -> Leading:
    """The `most` commonest tokens of a passage; of equally common ones those with the smaller ids."""
    cut = 0
    if len(tokens) > most:
        order = np.lexsort((tokens, -counts))
        cut = int(counts[order[most]])
        kept = np.sort(order[:most])  # tokens come sorted, and stay so
        tokens, counts, rows, values = tokens[kept], counts[kept], rows[kept], values[kept]
    return Leading(
        tokens=tokens.astype(np.int32),
        counts=counts.astype(np.int32),
        rows=rows.astype(np.int32),
        values=values.astype(np.float32),
        cut=cut,
    )
