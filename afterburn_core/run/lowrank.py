"""Exact algebra of Δ = s·L·R, L (m, r) and R (r, n), in O((m+n)r²): the m × n matrix itself is never formed.

With the triangular factors of L = Q_L R_L and Rᵀ = Q_R R_R, the singular values of Δ are those of the r × r core
s·R_L R_Rᵀ = U₀ΣV₀ᵀ, and its vectors are Q_L U₀ and Q_R V₀. Products need no factorisation at all:

    ‖Δ‖²      = s² tr((LᵀL)(RRᵀ))
    ⟨W, Δ⟩    = s tr(Lᵀ W Rᵀ)
    ⟨Δ₁, Δ₂⟩  = s₁s₂ tr((L₂ᵀL₁)(R₁R₂ᵀ))
    row i of ‖W + Δ‖²  =  Σw² + 2s Σ((WRᵀ) ∘ L) + s² Σ((L(RRᵀ)) ∘ L)

The norm is taken from the core, which unlike the trace loses nothing where L and R are large and their product small.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.run.spectra import Spectrum

Array = NDArray[np.float64]
TOP = 16
"""Singular vectors that a `Spectrum` carries at most."""
_SQUARED = 1.5e-8  # √u of float64: the reference's floor for exact factors
# rms(round(w) − w) / rms(w) of Gaussian weights by stored dtype
_ROUNDING = {"F64": 4.7e-17, "F32": 2.54e-8, "F16": 2.1e-4, "BF16": 1.66e-3}


@attrs.frozen(kw_only=True, eq=False)
class LowRank:
    """Δ = scale · left · right."""

    left: Array  # (m, r)
    right: Array  # (r, n)
    scale: float = 1.0

    @property
    def rows(self) -> int:
        return int(self.left.shape[0])

    @property
    def columns(self) -> int:
        return int(self.right.shape[1])

    @property
    def width(self) -> int:
        """r, the number of rank-one terms; an upper bound of the rank."""
        return int(self.left.shape[1])

    def block(self, first: int, last: int) -> Array:
        """Rows `first` to `last` of Δ, formed; for checks and for what no factor formula gives."""
        product: Array = self.scale * (self.left[first:last] @ self.right)
        return product


@attrs.frozen(kw_only=True, eq=False)
class Reduced:
    """The triangular factors of one change; whatever depends on singular values alone needs no more."""

    left: Array  # (min(m, r), r)
    right: Array  # (min(n, r), r)
    scale: float
    rows: int
    columns: int


def reduce(matrix: LowRank) -> Reduced:
    """R_L and R_R. The only step that touches every entry of the factors."""
    return Reduced(
        left=_triangle(matrix.left),
        right=_triangle(matrix.right.T),
        scale=matrix.scale,
        rows=matrix.rows,
        columns=matrix.columns,
    )


def singular_values(reduced: Reduced) -> Array:
    """(min(m, r, n),) descending; all other singular values of Δ are exactly 0.

    Raises:
        ValueError: a factor holds NaN or infinities.
    """
    values = np.linalg.svd(_core(reduced.left, reduced.right, reduced.scale), compute_uv=False)
    return values.astype(np.float64, copy=False)


def _triangle(factor: Array) -> Array:
    triangle: Array = np.linalg.qr(factor, mode="r")  # type: ignore[assignment]  # an array in this mode
    return triangle


def _core(left: Array, right: Array, scale: float) -> Array:
    small: Array = scale * (left @ right.T)
    if not np.isfinite(small).all():
        raise ValueError("a factor holds NaN or infinite values, or their product exceeds the range of float64")
    return small


def spectrum(matrix: LowRank, *, vectors: bool = False) -> Spectrum:
    """The whole spectrum of Δ, with exact zeros beyond its width.

    Args:
        matrix: the factors.
        vectors: also give the top left and right singular vectors, at most `TOP`. Those of a value 0 are left out.

    Raises:
        ValueError: a factor holds NaN or infinities.
    """
    k = min(matrix.rows, matrix.columns)
    left = right = None
    if vectors:
        q_left, r_left = np.linalg.qr(matrix.left)
        q_right, r_right = np.linalg.qr(matrix.right.T)
        u, found, vt = np.linalg.svd(_core(r_left, r_right, matrix.scale), full_matrices=False)
        top = min(TOP, int(np.count_nonzero(found > 0)))
        left = (q_left @ u[:, :top]).astype(np.float32)  # (m, top)
        right = (q_right @ vt[:top].T).astype(np.float32)  # (n, top)
    else:
        found = singular_values(reduce(matrix))
    values = np.zeros(k)
    values[: found.size] = found[:k]
    return Spectrum(
        values=values,
        rows=matrix.rows,
        columns=matrix.columns,
        square=float(found @ found),
        method="factors",
        left=left,
        right=right,
    )


def norm_squared(matrix: LowRank) -> float:
    """‖Δ‖²."""
    reduced = reduce(matrix)
    small = _core(reduced.left, reduced.right, reduced.scale)
    return float(np.vdot(small, small))


def inner(first: LowRank, second: LowRank) -> float:
    """⟨Δ₁, Δ₂⟩ = s₁s₂ tr((L₂ᵀL₁)(R₁R₂ᵀ)).

    Raises:
        ValueError: the shapes differ.
    """
    if (first.rows, first.columns) != (second.rows, second.columns):
        raise ValueError(f"shapes {first.rows}x{first.columns} and {second.rows}x{second.columns} differ")
    left, right = second.left.T @ first.left, first.right @ second.right.T  # (r₂, r₁), (r₁, r₂)
    return first.scale * second.scale * float(np.sum(left * right.T))


def inner_dense(weight: Array, matrix: LowRank, first: int = 0) -> float:
    """⟨W, Δ⟩ = s Σ (W Rᵀ) ∘ L over a block of W's rows; sums over disjoint blocks add up.

    Args:
        weight: (b, n) rows `first` to `first + b` of W.
        matrix: the factors of Δ.
        first: the first row of the block.
    """
    projected = weight @ matrix.right.T  # (b, r)
    return matrix.scale * float(np.sum(projected * matrix.left[first : first + weight.shape[0]]))


def row_squares(weight: Array, matrix: LowRank, first: int = 0) -> Array:
    """(b,) squared norms of the rows of W + Δ, for rows `first` to `first + b` of W, without forming the sum."""
    left = matrix.left[first : first + weight.shape[0]]  # (b, r)
    cross = np.sum((weight @ matrix.right.T) * left, axis=1)
    own = np.sum((left @ (matrix.right @ matrix.right.T)) * left, axis=1)
    total: Array = np.sum(weight * weight, axis=1) + 2 * matrix.scale * cross + matrix.scale**2 * own
    return np.maximum(total, 0.0)


def stacked(matrices: Sequence[LowRank]) -> LowRank:
    """Δ₁ + Δ₂ + … as one product: [s₁L₁ s₂L₂ …] · [R₁; R₂; …].

    Raises:
        ValueError: there are none, or their shapes differ.
    """
    if not matrices or len({(m.rows, m.columns) for m in matrices}) > 1:
        raise ValueError("a sum of low-rank changes needs at least one, and equal shapes")
    return LowRank(
        left=np.concatenate([m.scale * m.left for m in matrices], axis=1),
        right=np.concatenate([m.right for m in matrices], axis=0),
    )


def rounding_edge(reduced: Reduced, dtypes: tuple[str, str]) -> float:
    """Singular values of Δ up to here can come from rounding the stored factors alone.

    Independent errors of size s_L per entry of L have a largest singular value of about s_L(√m + √r), so
    s·(L + δL)(R + δR) differs from s·L·R by at most s·(s_L(√m + √r)·‖R‖₂ + s_R(√n + √r)·‖L‖₂) to first order. The size
    is that of Gaussian entries, rms(δL) = c·rms(L), with c = .00166 (bf16), .00021 (fp16), 2.5e-8 (fp32).

    Args:
        reduced: the triangular factors.
        dtypes: safetensors names of the dtypes in which left and right are stored.
    """
    width, total = reduced.left.shape[1], 0.0
    if not width:
        return 0.0
    sides = ((reduced.left, reduced.right, reduced.rows), (reduced.right, reduced.left, reduced.columns))
    for (own, other, long), dtype in zip(sides, dtypes, strict=True):
        rms = float(np.linalg.norm(own)) / math.sqrt(long * width)
        spread = math.sqrt(long) + math.sqrt(width)
        total += _ROUNDING.get(dtype, 0.0) * rms * spread * float(np.linalg.norm(other, 2))
    return abs(reduced.scale) * total


def used_rank(values: Iterable[float] | Array, edge: float = 0.0) -> int:
    """#{σ_i > max(1.5e-8·σ₁, edge)}: the numeric rank of a change known by its factors; 0 for no change."""
    found = np.asarray(values, dtype=np.float64)
    if not found.size or found[0] <= 0:
        return 0
    return int(np.count_nonzero(found > max(_SQUARED * float(found[0]), edge)))


def stable_rank(values: Array) -> float | None:
    """‖Δ‖²/σ₁²; `None` for no change."""
    return float(values @ values) / float(values[0]) ** 2 if values.size and values[0] > 0 else None


def effective_rank(values: Array) -> float | None:
    """exp(−Σp ln p), p_i = σ_i²/Σσ²: the number of equally strong directions of the same entropy; `None` for none."""
    energy = (values / values[0]) ** 2 if values.size and values[0] > 0 else np.zeros(0)
    if not energy.size:
        return None
    share = energy / energy.sum()
    share = share[share > 0]
    return float(np.exp(-np.sum(share * np.log(share))))
