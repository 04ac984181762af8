"""Singular values and top singular vectors as the weights pass hands them to analyzers.

Values come from the Gram matrix of the smaller side. That squares the condition: values below `floor · σ₁` are not
resolved and are reported as 0 (`floor_of`). Shapes: a matrix is (rows, columns) with rows = outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 5
"""Raised when any of the numbers can change for equal inputs; part of every cache key."""
VECTORS = 16
"""Singular vectors kept per matrix."""
INTRUDERS = 10
"""Trained vectors that are looked for among all of base's (LoRA vs Full Fine-tuning, arXiv 2410.21228)."""

Method = Literal["float32", "float64", "factors", "randomised"]
"""float32, float64: of the Gram matrix; factors: exact, from an adapter's factors; randomised: the top only."""

_UNITS = {"float32": 2.0**-24, "float64": 2.0**-53}
_FIXED = {"factors": 1e-12, "randomised": 6e-4}


def floor_of(method: Method, order: int) -> float:
    """Singular values below this share of the largest are not resolved.

    An eigenvalue of a Gram matrix of this order k is off by about √k · u of the largest, u the unit roundoff; so zeros
    come out as k^¼ √u, at most 1.1 times that in simulation (8 ≤ k ≤ 1536). The floor is 1.5 times: 2e-3 in float32
    and 9e-8 in float64 for k = 1024.
    """
    return 1.5 * order**0.25 * _UNITS[method] ** 0.5 if method in _UNITS else _FIXED[method]


@attrs.frozen(kw_only=True, eq=False)
class Spectrum:
    """The singular values of one matrix."""

    values: NDArray[np.float64]
    """(k,) descending; k = min(rows, columns), fewer where `approximate`."""
    rows: int
    columns: int
    square: float
    """‖A‖² = Σσ² over the whole spectrum, exact also where `values` holds only the top."""
    method: Method
    left: NDArray[np.float32] | None = None
    """(rows, q) top left singular vectors, by descending value, zeros for a value 0; `None` unless asked for."""
    right: NDArray[np.float32] | None = None
    """(columns, q) top right singular vectors."""
    error: float = 0.0
    """Where `approximate`: a true singular value lies within this distance of each one given."""

    @property
    def floor(self) -> float:
        """Values below this share of the largest are not resolved."""
        return floor_of(self.method, min(self.rows, self.columns))

    @property
    def approximate(self) -> bool:
        """Whether only the largest values are known."""
        return self.method == "randomised"


@attrs.frozen(kw_only=True, eq=False)
class Principal:
    """Where the change lies relative to the top singular vectors u_i, v_i of W; k = min(16, rows, columns)."""

    core: NDArray[np.float64]
    """(k, k) U_kᵀ Δ V_k"""
    left: NDArray[np.float64]
    """(k,) ‖u_iᵀΔ‖²"""
    right: NDArray[np.float64]
    """(k,) ‖Δv_i‖²"""
    left_overlap: NDArray[np.float64]
    """(≤ 10,) max_j |⟨u'_i, u_j⟩| over all left singular vectors of W, for the top ones of W'."""
    right_overlap: NDArray[np.float64]
    """(≤ 10,) the same for right vectors."""


@attrs.frozen(kw_only=True, eq=False)
class PairSpectra:
    """Spectra of one matrix of both checkpoints and of their difference."""

    base: Spectrum
    trained: Spectrum
    """The same object as `base` where no entry differs."""
    delta: Spectrum
    rounded: bool = True
    """Whether W' was stored in its dtype; False for the sum of a base and an adapter, which nothing has rounded."""
    principal: Principal | None = None
    """`None` unless vectors are asked for, where no entry differs, and where the spectrum is approximate."""


@attrs.frozen(kw_only=True, eq=False)
class RowSums:
    """Sums over each row of an embedding or output head; one entry per compared row, in base's order."""

    base_row: NDArray[np.int64]
    """Row in base."""
    trained_row: NDArray[np.int64]
    """Row in trained."""
    base_sq: NDArray[np.float64]
    """Σ w²"""
    trained_sq: NDArray[np.float64]
    """Σ w'²"""
    delta_sq: NDArray[np.float64]
    """Σ δ²"""
    dot_base_delta: NDArray[np.float64]
    """Σ w·δ"""
    base_rows: int
    """Rows in base altogether; those not compared were removed."""
    trained_rows: int
    """Rows in trained altogether; those not compared were added."""
