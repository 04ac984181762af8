"""What the factors of one module say: how much it changes, and in how many directions.

    used rank       #{σ_i > max(1.5e-8·σ₁, edge)}, edge: what rounding the stored factors alone can give
    effective rank  exp(−Σp ln p), p = σ²/Σσ²
    stable rank     ‖Δ‖²/σ₁²
    rank use        (effective rank − 1)/(r − 1): 0 for one direction, 1 for r equally strong ones; none for r = 1

All from the r × r core of `run.lowrank`, in O((m+n)r²).
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.run.lowrank import (
    LowRank,
    effective_rank,
    reduce,
    rounding_edge,
    singular_values,
    stable_rank,
    used_rank,
)


@attrs.frozen(kw_only=True, eq=False)
class Profile:
    """One module's change s·B·A in numbers."""

    values: NDArray[np.float64]
    """Its singular values that can differ from 0, descending."""
    rows: int
    columns: int
    configured: int
    square: float
    """‖s·B·A‖²"""
    used: int
    effective: float | None
    stable: float | None

    @property
    def norm(self) -> float:
        return math.sqrt(self.square)

    @property
    def untrained(self) -> bool:
        """Whether it changes nothing: B is still zero."""
        return self.square == 0

    @property
    def rank_use(self) -> float | None:
        """Share of the rank beyond the first direction; `None` where there is none, or no change."""
        if self.effective is None or self.configured < 2:
            return None
        return min(max((self.effective - 1) / (self.configured - 1), 0.0), 1.0)

    def collapsed(self, threshold: float) -> bool:
        """Whether it uses less than this share of its rank beyond the first direction."""
        return self.rank_use is not None and self.rank_use < threshold


def profile(matrix: LowRank, configured: int, dtypes: tuple[str, str]) -> Profile:
    """The numbers of one module.

    Args:
        matrix: s·B·A.
        configured: its rank in the configuration.
        dtypes: safetensors names of the dtypes in which the left and the right factor are stored.

    Raises:
        ValueError: a factor holds NaN or infinities.
    """
    reduced = reduce(matrix)
    values = singular_values(reduced)
    return Profile(
        values=values,
        rows=matrix.rows,
        columns=matrix.columns,
        configured=configured,
        square=float(values @ values),
        used=used_rank(values, rounding_edge(reduced, dtypes)),
        effective=effective_rank(values),
        stable=stable_rank(values),
    )
