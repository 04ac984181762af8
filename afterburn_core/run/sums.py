"""The float64 sums of a tensor pair from which every norm, ratio and roll-up is made.

Each is computed once per pair, by blocks that stay in the processor's cache, and combined with `math.fsum` in a fixed
order: the result does not depend on how many threads took part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

VERSION = 1
"""Raised when any of the numbers can change for equal inputs; part of every cache key."""


@attrs.frozen(kw_only=True)
class PairSums:
    """Sums over the compared elements w of base, w' of trained, δ = w' − w. Additive over disjoint parts."""

    n: int = 0
    """Elements compared."""
    base_sq: float = 0.0
    """Σ w²"""
    trained_sq: float = 0.0
    """Σ w'²"""
    delta_sq: float = 0.0
    """Σ δ²"""
    dot_base_delta: float = 0.0
    """Σ w·δ"""
    max_abs: float = 0.0
    """max |δ|"""
    changed: int = 0
    """Elements whose stored bits differ. Where the dtypes differ, base is first rounded to the trained dtype; an
    adapter's sum is rounded to the dtype it would be merged into."""
    base_step_sq: float = 0.0
    """Σ ulp(w)², the squared spacing of the stored dtype at each base element"""
    trained_step_sq: float = 0.0
    """Σ ulp(w')²"""
    base_nonfinite: int = 0
    """Elements of base that are NaN or infinite; where there are any, the sums are meaningless."""
    trained_nonfinite: int = 0

    @property
    def finite(self) -> bool:
        """Whether the sums mean anything: no element is NaN or infinite, and the squares fit into a float64."""
        squares = self.base_sq + self.trained_sq + self.delta_sq
        return self.base_nonfinite == 0 and self.trained_nonfinite == 0 and math.isfinite(squares)

    def to_dict(self) -> dict[str, Any]:
        return attrs.asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> PairSums:
        """The sums that `to_dict` gave.

        Raises:
            ValueError: these are no sums, or not all of them.
        """
        names = {field.name for field in attrs.fields(cls)}
        if not isinstance(values, Mapping) or values.keys() != names:
            raise ValueError("the sums of a tensor pair have other names")
        if not all(type(value) in (int, float) for value in values.values()):
            raise ValueError("the sums of a tensor pair are numbers")
        return cls(**values)


_MAXIMA = frozenset({"max_abs"})


def combine(parts: Iterable[PairSums]) -> PairSums:
    """The sums over the union of disjoint parts, exactly rounded; all zeros for none."""
    parts = tuple(parts)
    values: dict[str, Any] = {}
    for field in attrs.fields(PairSums):
        column = [getattr(part, field.name) for part in parts]
        if field.name in _MAXIMA:
            values[field.name] = max(column, default=0.0)
        elif field.type in ("int", int):
            values[field.name] = sum(column)
        else:
            values[field.name] = _sum(column)
    return PairSums(**values)


def _sum(column: list[float]) -> float:
    # fsum refuses to add infinities of both signs; one is enough to know that the sum is meaningless
    return math.fsum(column) if all(math.isfinite(value) for value in column) else math.nan


def relative_change(sums: PairSums) -> float | None:
    """‖Δ‖ / ‖W‖; `None` where ‖W‖ = 0 and Δ ≠ 0; 0 where nothing changed."""
    if sums.delta_sq == 0:
        return 0.0
    return math.sqrt(sums.delta_sq / sums.base_sq) if sums.base_sq else None


def cosine_distance(sums: PairSums) -> float | None:
    """1 − cos(W, W') = (‖Δ‖² − (‖W'‖ − ‖W‖)²) / (2 ‖W‖ ‖W'‖), in [0, 2]; `None` where either norm is 0.

    No term of size 1 is subtracted from another: for a change of relative size ε the error is some 1e-16 · ε², where
    1 − dot/(norms) loses everything below 1e-16. It is small beside the result unless the change is almost a mere
    scaling. The difference of norms is itself taken without cancellation: ‖W'‖ − ‖W‖ = (2⟨W, Δ⟩ + ‖Δ‖²) / (‖W'‖ + ‖W‖).
    """
    base, trained = math.sqrt(sums.base_sq), math.sqrt(sums.trained_sq)
    if base == 0 or trained == 0:
        return None
    growth = (2 * sums.dot_base_delta + sums.delta_sq) / (base + trained)
    distance = (sums.delta_sq - growth * growth) / (2 * base * trained)
    return min(max(distance, 0.0), 2.0)


def rounding_floor(step_sq: float, square: float) -> float | None:
    """√(mean ulp²/12) / rms(w): the relative size of one rounding to the stored dtype; `None` for a zero tensor.

    A rounding error is uniform over one spacing (ulp), so its variance is ulp²/12. The number of elements cancels.
    """
    return math.sqrt(step_sq / 12 / square) if square else None
