"""The float64 sums of one tensor over a base and N further subjects, from which every norm and cosine is made.

With w an entry of the base, θ_i the same entry of subject i, Δ_i = θ_i − w and D_i = θ_i − θ_{i−1} (D_1 = θ_1 − w):

    tasks_ij = ⟨Δ_i, Δ_j⟩        steps_ij = ⟨D_i, D_j⟩        same_ij = #{sgn Δ_i = sgn Δ_j ≠ 0}
    squares_ij = ⟨Δ_i², Δ_j²⟩    the variance of ⟨Δ_i, Δ_j⟩ under independent signs

Both Gram matrices are accumulated from the differences themselves, so that neither a short step after a long way nor
a return to the base is the small difference of two large numbers. Every entry of every file is read once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dgemm, sgemm

from afterburn_core.run.arrays import NUMPY_DTYPES, Raw, bits_of, narrow, widen

VERSION = 2
"""Raised when any of the numbers can change for equal inputs; part of every cache key."""
_CACHED = 3 << 17  # float64 entries of all working blocks together: about a core's second-level cache
_FEW = 12  # rows up to which the general product beats the symmetric one, which has more to set up

Array = NDArray[np.float64]


@attrs.frozen(kw_only=True, eq=False)
class SeriesSums:
    """Sums over the entries of one place that all N + 1 subjects share. Additive over disjoint places."""

    n: int
    """Entries."""
    base_sq: float
    """Σ w²"""
    tasks: Array
    """⟨Δ_i, Δ_j⟩, (N, N)."""
    steps: Array
    """⟨D_i, D_j⟩, (N, N); zeros where steps were not asked for."""
    same: Array
    """Entries in which both differences are non-zero and of one sign, (N, N); zeros where not asked for."""
    both: Array
    """Entries in which both differences are non-zero, (N, N); zeros where not asked for."""
    squares: Array
    """⟨Δ_i², Δ_j²⟩, (N, N); zeros where signs were not asked for."""
    changed: Array
    """Entries whose stored bits differ from the base's, in each subject's own dtype, (N,)."""
    nonfinite: Array
    """NaN and infinite entries of the base and of each subject, (N + 1,)."""

    @property
    def finite(self) -> bool:
        """Whether the sums mean anything."""
        return not self.nonfinite.any() and math.isfinite(self.base_sq + float(np.trace(self.tasks)))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, for the cache."""
        values = attrs.asdict(self)
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Any, count: int) -> SeriesSums:
        """The sums of `count` subjects that `to_dict` gave.

        Raises:
            ValueError: these are no such sums.
        """
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
            ("tasks", "steps", "same", "both", "squares"), (count, count)
        )
        shapes |= {"changed": (count,), "nonfinite": (count + 1,)}
        if not isinstance(values, Mapping) or values.keys() != {*shapes, "n", "base_sq"}:
            raise ValueError("the sums of a series have other names")
        arrays = {name: np.asarray(values[name], dtype=np.float64) for name in shapes}
        if any(array.shape != shapes[name] for name, array in arrays.items()):
            raise ValueError("the sums of a series have other sizes")
        return cls(n=int(values["n"]), base_sq=float(values["base_sq"]), **arrays)


def combine(parts: Iterable[SeriesSums]) -> SeriesSums:
    """The sums over the union of disjoint places, in the order given.

    Raises:
        ValueError: there are none.
    """
    parts = tuple(parts)
    if not parts:
        raise ValueError("no sums to combine")
    arrays = ("tasks", "steps", "same", "both", "squares", "changed", "nonfinite")
    return SeriesSums(
        n=sum(part.n for part in parts),
        base_sq=_sum([part.base_sq for part in parts]),
        **{name: np.sum([getattr(part, name) for part in parts], axis=0) for name in arrays},
    )


def _sum(values: list[float]) -> float:
    return math.fsum(values) if all(map(math.isfinite, values)) else math.nan


@attrs.frozen(kw_only=True, eq=False)
class Entries:
    """The entries of one subject that stand beside a stretch of the base."""

    stored: Raw | None = None
    """As stored; `None` where they are the base's own, or known by their difference."""
    delta: Array | None = None
    """Δ itself, where it is known without the base: an adapter's product of factors."""
    dtype: str = "F32"
    """The dtype the subject is stored in, or would be merged into."""

    def part(self, start: int, stop: int) -> Entries:
        """Entries `start` to `stop`."""
        return attrs.evolve(
            self,
            stored=None if self.stored is None else self.stored[start:stop],
            delta=None if self.delta is None else self.delta[start:stop],
        )


class SeriesKernel:
    """Computes `SeriesSums` with buffers of its own; one instance serves one thread."""

    def __init__(self, count: int, *, steps: bool, signs: bool) -> None:
        """
        Args:
            count: subjects besides the base, N.
            steps: whether to take the Gram matrix of the steps.
            signs: whether to count equal signs.
        """
        self._count, self._steps, self._signs = count, steps, signs
        self.block = max(1 << 10, _CACHED // (3 * count + 1))
        self._base = np.empty(self.block)
        self._values, self._moves = np.empty((count, self.block)), np.empty((count, self.block))
        self._scratch, self._mask = np.empty(self.block, dtype=np.uint32), np.empty(self.block, dtype=bool)

    def sums(self, base: Raw, subjects: Sequence[Entries]) -> SeriesSums:
        """Sums over corresponding entries.

        Args:
            base: entries of the base, 1-D, as stored.
            subjects: as many entries of each subject.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not finite, and is reported as such
            parts = [
                self._block(base[i : i + self.block], [entries.part(i, i + self.block) for entries in subjects])
                for i in range(0, base.size, self.block)
            ]
        return combine(parts)

    def _block(self, raw: Raw, subjects: Sequence[Entries]) -> SeriesSums:
        count, n = self._count, raw.size
        base = self._base[:n]
        widen(raw, base, self._scratch)
        base_sq = float(base @ base)
        unequal = [self._unequal(raw, entries) for entries in subjects]  # None: known only from the values
        found = SeriesSums(
            n=n,
            base_sq=base_sq,
            tasks=np.zeros((count, count)),
            steps=np.zeros((count, count)),
            same=np.zeros((count, count)),
            both=np.zeros((count, count)),
            squares=np.zeros((count, count)),
            changed=np.zeros(count),
            nonfinite=np.zeros(count + 1),
        )
        if not any(count != 0 for count in unequal):
            lost = 0 if math.isfinite(base_sq) else int(n - np.count_nonzero(np.isfinite(base)))
            return attrs.evolve(found, nonfinite=np.array([float(lost), *[0.0] * count])) if lost else found
        values = self._values[:, :n]  # (N, n) θ, then Δ
        changed = found.changed
        for i, entries in enumerate(subjects):
            self._fill(values[i], base, entries)
            count_of = unequal[i]
            changed[i] = self._changed(raw, entries, values[i]) if count_of is None else count_of
        moves = self._moves[:, :n]  # (N, n) D
        if self._steps:
            np.subtract(values[0], base, out=moves[0])
            np.subtract(values[1:], values[:-1], out=moves[1:])
        np.subtract(values, base, out=values)
        for i, entries in enumerate(subjects):
            if entries.delta is not None:
                values[i] = entries.delta
        if self._steps:
            for i, entries in enumerate(subjects):
                if entries.delta is not None:  # the sum with the base has lost what the factors still hold
                    moves[i] = values[i] - (values[i - 1] if i else 0.0)
            found = attrs.evolve(found, steps=_gram(moves))
        found = attrs.evolve(found, tasks=_gram(values))
        if self._signs:
            same, both = _signs(values)
            squares = values * values
            found = attrs.evolve(found, same=same, both=both, squares=_gram(squares))
        if not found.finite:
            found = attrs.evolve(found, nonfinite=_nonfinite(base, values))
        return found

    def _unequal(self, base: Raw, entries: Entries) -> int | None:
        """Entries whose bits differ from the base's, where both are stored in one dtype; else `None`."""
        if entries.delta is not None:
            return None
        if entries.stored is None:
            return 0
        if entries.stored.dtype != base.dtype or entries.dtype not in NUMPY_DTYPES:
            return None
        if base.dtype != NUMPY_DTYPES[entries.dtype]:
            return None
        mask = np.not_equal(bits_of(base), bits_of(entries.stored), out=self._mask[: base.size])
        return int(np.count_nonzero(mask))

    def _changed(self, base: Raw, entries: Entries, values: Array) -> int:
        """Entries whose bits differ in the subject's own dtype."""
        before = bits_of(narrow(base, entries.dtype))
        after = bits_of(narrow(values if entries.stored is None else entries.stored, entries.dtype))
        return int(np.count_nonzero(before != after))

    def _fill(self, out: Array, base: Array, entries: Entries) -> None:
        """θ in float64."""
        if entries.stored is not None:
            widen(entries.stored, out, self._scratch)
        elif entries.delta is not None:
            np.add(base, entries.delta, out=out)
        else:
            np.copyto(out, base)


def _gram(rows: NDArray[Any]) -> NDArray[Any]:
    """⟨row_i, row_j⟩ for all pairs, (N, N)."""
    if len(rows) > _FEW:
        product: NDArray[Any] = rows @ rows.T
    else:
        product = (dgemm if rows.dtype == np.float64 else sgemm)(1.0, rows.T, rows.T, trans_a=1)
    return product


def _signs(values: Array) -> tuple[Array, Array]:
    """Counts of equal and of non-zero signs; exact in float32, because a block has fewer than 2²⁴ entries.

    With s = sgn Δ: both = Σ|s_i||s_j|, and Σ s_i s_j is the equal signs less the opposite ones.
    """
    up, down = (values > 0).astype(np.float32), (values < 0).astype(np.float32)
    both, balance = _gram(up + down), _gram(up - down)
    return ((both + balance) / 2).astype(np.float64), both.astype(np.float64)


def _nonfinite(base: Array, deltas: Array) -> Array:
    """Broken entries of the base and of each subject; a subject's entries are not counted where the base's are broken.

    The differences are what is at hand: w + Δ is broken exactly where Δ is, unless w itself is.
    """
    whole = np.isfinite(base)
    own = [float(np.count_nonzero(~np.isfinite(row) & whole)) for row in deltas]
    return np.array([float(base.size - np.count_nonzero(whole)), *own])
