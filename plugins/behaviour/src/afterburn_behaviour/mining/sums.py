"""Sums over the vocabulary: what diff mining keeps of every token, of a size that no number of passages changes.

A passage p of n_p positions counts once. With c_pv the positions at which token v is among the K largest gains, and
D̄_pv the mean of D_v = ln p_trained(v) − ln p_base(v) over its positions,

    rate_v = Σ_p (c_pv/n_p)/P        mean_v = Σ_p D̄_pv/P        spread_v² = Σ_p (mean of D² over p)/P − mean_v²

Rates are kept in fixed point (units of 2⁻⁴⁰), whose sums do not depend on any order; sums of D in float64, for the
confirmation half by 16 groups of units, so that the uncertainty of a mean needs no list of units (random groups).
"""

from __future__ import annotations

from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

GROUPS = 16
"""Groups of units of the confirmation half; the sums of the discovery half stand in one more row after them."""
UNIT = 1 << 40
"""What a rate of 1 is in fixed point."""


def weights(positions: Integers) -> Integers:
    """(P) what one position of each passage is worth, in fixed point: round(2⁴⁰/n_p), 0 where there is none."""
    return np.where(positions > 0, np.rint(UNIT / np.maximum(positions, 1)), 0.0).astype(np.int64)


@attrs.define(kw_only=True, eq=False)
class Rates:
    """Shares of positions at which each token is an extreme, by half and sign."""

    total: Integers
    """(2, 2, V) fixed-point sums over passages: [discover, confirm] × [gains, losses]."""
    passages: Integers
    """(2) passages by half."""

    @classmethod
    def empty(cls, vocabulary: int) -> Rates:
        return cls(total=np.zeros((2, 2, vocabulary), dtype=np.int64), passages=np.zeros(2, dtype=np.int64))

    def add(self, half: int, sign: int, tokens: Integers, worth: Integers) -> None:
        """Adds fixed-point worths of tokens; at most 2¹² passages at a time, so that float64 sums are exact."""
        summed = np.bincount(tokens, weights=worth.astype(np.float64), minlength=self.total.shape[2])
        self.total[half, sign] += summed.astype(np.int64)

    def take_in(self, other: Rates) -> None:
        self.total += other.total
        self.passages += other.passages

    def of_half(self, half: int, sign: int) -> Floats:
        """(V) rates over the passages of one half; zeros where there are none."""
        return np.asarray(self.total[half, sign] / (UNIT * max(int(self.passages[half]), 1)))

    def overall(self, sign: int) -> Floats:
        """(V) rates over all passages."""
        return np.asarray(self.total[:, sign].sum(axis=0) / (UNIT * max(int(self.passages.sum()), 1)))


@attrs.define(kw_only=True, eq=False)
class Differences:
    """Sums of D and D² of every token."""

    by_group: Floats
    """(GROUPS + 1, V) sums of passage means of D."""
    squares: Floats
    """(V) sums of passage means of D²."""
    passages: Integers
    """(GROUPS + 1) passages by group."""

    @classmethod
    def empty(cls, vocabulary: int) -> Differences:
        return cls(
            by_group=np.zeros((GROUPS + 1, vocabulary)),
            squares=np.zeros(vocabulary),
            passages=np.zeros(GROUPS + 1, dtype=np.int64),
        )

    def take_in(self, other: Differences) -> None:
        self.by_group += other.by_group
        self.squares += other.squares
        self.passages += other.passages

    def mean(self) -> Floats:
        """(V) mean of D over all passages."""
        return np.asarray(self.by_group.sum(axis=0) / max(int(self.passages.sum()), 1))

    def spread(self) -> Floats:
        """(V) standard deviation of D over positions, each passage counting once."""
        second = self.squares / max(int(self.passages.sum()), 1)
        return np.sqrt(np.maximum(second - self.mean() ** 2, 0.0))
