"""How values spread over tokens: an exact histogram of their logarithms, mergeable, of fixed size.

A value x > 0 falls into bin ⌊32 log₂ x⌋: 2.2 % wide, from 2^−64 to 2^64; what lies beyond falls into the outermost
bin, and 0 has a bin of its own. A quantile is the geometric middle of its bin, off by at most 1.1 %. Counts and Σx² are
kept by group of units, so that intervals come from leaving out groups (`jackknife`).
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_activation.jackknife import GROUPS

Floats = NDArray[np.float64]
PER_OCTAVE = 32
_OCTAVES = 64
BINS = 2 * _OCTAVES * PER_OCTAVE + 1
"""The first bin holds zeros."""


def _counts() -> NDArray[np.int64]:
    return np.zeros((GROUPS, BINS), dtype=np.int64)


def _sums() -> Floats:
    return np.zeros((GROUPS, BINS))


@attrs.define(eq=False)
class Spread:
    """Counts and sums of squares by group and bin."""

    counts: NDArray[np.int64] = attrs.field(factory=_counts)
    squares: Floats = attrs.field(factory=_sums)

    def add(self, values: Floats, groups: NDArray[np.int64]) -> None:
        """Takes in values ≥ 0, each with the group of its unit."""
        with np.errstate(divide="ignore"):
            bins = np.floor(np.log2(values) * PER_OCTAVE) + _OCTAVES * PER_OCTAVE + 1
        bins = np.where(values > 0, np.clip(bins, 1, BINS - 1), 0).astype(np.int64)
        places = groups * BINS + bins
        self.counts += np.bincount(places, minlength=GROUPS * BINS).reshape(GROUPS, BINS)
        self.squares += np.bincount(places, weights=values * values, minlength=GROUPS * BINS).reshape(GROUPS, BINS)

    def merge(self, other: Spread) -> None:
        """Adds what another instance counted."""
        self.counts += other.counts
        self.squares += other.squares

    @property
    def present(self) -> NDArray[np.intp]:
        """Groups with a value."""
        return np.flatnonzero(self.counts.sum(axis=1))

    def without(self, group: int | None) -> tuple[NDArray[np.int64], Floats]:
        """Counts and sums of squares by bin over all groups but this one."""
        counts, squares = self.counts.sum(axis=0), self.squares.sum(axis=0)
        if group is not None:
            counts, squares = counts - self.counts[group], squares - self.squares[group]
        return counts, squares


def quantile(counts: NDArray[np.int64], share: float) -> float:
    """The value below which this share of the values lies; NaN where there is none."""
    total = int(counts.sum())
    if not total:
        return float("nan")
    place = int(np.searchsorted(np.cumsum(counts), max(1.0, share * total)))
    return _middle(place)


def top_share(counts: NDArray[np.int64], squares: Floats, share: float) -> float:
    """Share of Σx² that this share of the values, the largest ones, holds; NaN where all are 0."""
    total = float(squares.sum())
    if not total > 0:
        return float("nan")
    above, held = np.cumsum(counts[::-1]), np.cumsum(squares[::-1])
    wanted = share * float(above[-1])
    place = int(np.searchsorted(above, wanted))
    before = float(above[place - 1]) if place else 0.0
    inside = (wanted - before) / max(float(above[place]) - before, 1.0)  # of the bin at the edge
    below = float(held[place - 1]) if place else 0.0
    return (below + inside * (float(held[place]) - below)) / total


def _middle(place: int) -> float:
    return 0.0 if place == 0 else float(2.0 ** ((place - 1 - _OCTAVES * PER_OCTAVE + 0.5) / PER_OCTAVE))
