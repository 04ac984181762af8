"""From Gram matrices to spectra, singular vectors and the place of the change within the base's.

With G of the smaller side and its eigenpairs (λ_i, n_i): σ_i = √max(λ_i, 0), and n_i are singular vectors of the near
side (right ones of a tall matrix). Those of the far side are f_i = A n_i / σ_i, or Aᵀ n_i / σ_i for a wide one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.run.algebra import Kind, Precision, Stored
from afterburn_core.run.spectra import INTRUDERS, VECTORS, PairSpectra, Principal, Spectrum, floor_of
from afterburn_core.run.sums import PairSums

Vectors = NDArray[np.float64]


class Algebra(Protocol):
    """Products and eigenvalues, on a CPU or a GPU; Gram matrices stay where they were made."""

    precision: Precision

    def grams(
        self, stored: Stored, kinds: frozenset[Kind], tall: bool, sizes: Mapping[Kind, float] | None = None
    ) -> dict[Kind, NDArray[np.float64]]: ...

    def apply(
        self,
        stored: Stored,
        vectors: Mapping[str, tuple[Kind, Vectors]],
        *,
        transposed: bool,
        precision: Precision = "float64",
    ) -> dict[str, Vectors]: ...

    def eigenvalues(self, gram: NDArray[np.float64]) -> NDArray[np.float64]: ...

    def leading(self, gram: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], Vectors]: ...

    def basis(self, gram: NDArray[np.float64]) -> Vectors: ...


@attrs.frozen(kw_only=True, eq=False)
class Matrix:
    """What is known of one matrix when its sums and Gram matrices are complete."""

    rows: int
    columns: int
    sums: PairSums
    grams: Mapping[Kind, NDArray[np.float64]]
    stored: Stored | None
    """The whole matrix, where it is in memory at once."""
    base: Spectrum | None = None
    """From the cache."""
    delta: Spectrum | None = None
    """From an adapter's factors."""

    @property
    def tall(self) -> bool:
        return self.rows >= self.columns

    @property
    def changed(self) -> bool:
        return self.sums.delta_sq > 0


def decompose(matrix: Matrix, algebra: Algebra, *, vectors: bool) -> PairSpectra:
    """Spectra of W, W' and Δ, each by one eigendecomposition.

    Args:
        matrix: sums and Gram matrices; those of base and Δ may be absent where their spectra are given.
        algebra: does the arithmetic.
        vectors: also the top singular vectors, and where the change lies relative to them. Where the matrix is too
            large to be in memory at once, only vectors of the smaller side are given.
    """
    base = matrix.base or _spectrum(matrix, "base", matrix.sums.base_sq, algebra, vectors)
    if not matrix.changed:
        none = np.zeros(min(matrix.rows, matrix.columns))
        still = Spectrum(values=none, rows=matrix.rows, columns=matrix.columns, square=0.0, method=algebra.precision)
        base = _finished(base, matrix, algebra) if vectors else base
        return PairSpectra(base=base, trained=base, delta=still)
    trained = _spectrum(matrix, "trained", matrix.sums.trained_sq, algebra, vectors)
    delta = matrix.delta or _spectrum(matrix, "delta", matrix.sums.delta_sq, algebra, vectors)
    if not vectors or matrix.stored is None:
        return PairSpectra(base=base, trained=trained, delta=delta)
    return _located(matrix, algebra, base, trained, delta)


def _spectrum(matrix: Matrix, kind: Kind, square: float, algebra: Algebra, vectors: bool) -> Spectrum:
    gram = matrix.grams[kind]
    near = None
    if vectors:
        eigen, found = algebra.leading(gram, VECTORS)
    else:
        eigen, found = algebra.eigenvalues(gram), None
    values = singular_values(eigen, floor_of(algebra.precision, eigen.size))
    if found is not None:  # any vector will do for a value 0, so that none means anything
        near = np.where(values[: found.shape[1]] > 0, found, 0.0).astype(np.float32)
    return Spectrum(
        values=values,
        rows=matrix.rows,
        columns=matrix.columns,
        square=square,
        method=algebra.precision,
        left=None if matrix.tall else near,
        right=near if matrix.tall else None,
    )


def singular_values(eigen: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """√ of a Gram matrix's eigenvalues (k,), descending; 0 for what lies below `floor` times the largest."""
    values = np.sqrt(np.maximum(eigen, 0.0))
    values[values < floor * values[0]] = 0.0
    return values


def _located(matrix: Matrix, algebra: Algebra, base: Spectrum, trained: Spectrum, delta: Spectrum) -> PairSpectra:
    """Fills in the vectors of the far side and says where Δ lies relative to those of W."""
    if matrix.stored is None:
        return PairSpectra(base=base, trained=trained, delta=delta)
    tall, stored = matrix.tall, matrix.stored
    near: dict[Kind, Vectors] = {
        "base": _near(base, tall), "trained": _near(trained, tall), "delta": _near(delta, tall)
    }  # fmt: skip
    wanted: dict[str, tuple[Kind, Vectors]] = {
        "trained": ("trained", near["trained"]), "moved": ("delta", near["base"])
    }  # fmt: skip
    if _far(base, tall) is None:
        wanted["base"] = ("base", near["base"])
    if _far(delta, tall) is None:
        wanted["delta"] = ("delta", near["delta"])
    # vectors are kept in float32, so their products need no more
    products = algebra.apply(stored, wanted, transposed=not tall, precision="float32")
    base = _with_far(base, products.get("base"), tall)
    trained = _with_far(trained, products["trained"], tall)
    delta = _with_far(delta, products.get("delta"), tall)
    far = _required(_far(base, tall)).astype(np.float64)
    # back from the base's far side: ΔᵀU_k of a tall matrix, ΔV_k of a wide one
    returned = algebra.apply(stored, {"delta": ("delta", far)}, transposed=tall, precision="float32")["delta"]
    moved = products["moved"]  # Δ V_k of a tall matrix, ΔᵀU_k of a wide one
    here, there = (moved * moved).sum(axis=0), (returned * returned).sum(axis=0)
    core = far.T @ moved if tall else moved.T @ far
    overlaps = _overlaps(matrix, algebra, base, trained)
    principal = Principal(
        core=core,
        left=there if tall else here,
        right=here if tall else there,
        left_overlap=overlaps[1] if tall else overlaps[0],
        right_overlap=overlaps[0] if tall else overlaps[1],
    )
    return PairSpectra(base=base, trained=trained, delta=delta, principal=principal)


def _overlaps(
    matrix: Matrix, algebra: Algebra, base: Spectrum, trained: Spectrum
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """max_j |⟨n'_i, n_j⟩| and max_j |⟨f'_i, f_j⟩| over all vectors of W, near side and far side.

    The squares of one vector's overlaps sum to at most 1. So where the top vectors already give ½ or more, no other
    can give more; only where some do not, all vectors of W are computed.
    """
    tall = matrix.tall
    near, moved = _near(base, tall), _near(trained, tall)[:, :INTRUDERS]
    far, carried = (_required(_far(s, tall)).astype(np.float64) for s in (base, trained))
    carried = carried[:, :INTRUDERS]
    nearest = np.abs(near.T @ moved).max(axis=0)
    farthest = np.abs(far.T @ carried).max(axis=0)
    known = base.values[0] > 0
    if known and (min(nearest.min(), farthest.min()) >= math.sqrt(0.5) or matrix.stored is None):
        return nearest, farthest
    if matrix.stored is None:
        return np.zeros_like(nearest), np.zeros_like(farthest)
    gram = matrix.grams.get("base")
    if gram is None:
        gram = algebra.grams(matrix.stored, frozenset({"base"}), tall)["base"]
    basis = algebra.basis(gram)  # (k, k)
    back = algebra.apply(matrix.stored, {"base": ("base", carried)}, transposed=tall)["base"]  # Aᵀf' or A f'
    resolved = base.values > base.floor * base.values[0]
    if not resolved.any():  # W is zero: no direction of it is like any other
        return np.zeros(moved.shape[1]), np.zeros(moved.shape[1])
    values = base.values[resolved, None]
    nearest = np.abs(basis[:, resolved].T @ moved).max(axis=0)
    farthest = (np.abs(basis[:, resolved].T @ back) / values).max(axis=0)
    return np.minimum(nearest, 1.0), np.minimum(farthest, 1.0)


def _finished(spectrum: Spectrum, matrix: Matrix, algebra: Algebra) -> Spectrum:
    """With vectors of the far side, where they are absent and the matrix is at hand."""
    tall = matrix.tall
    if matrix.stored is None or _far(spectrum, tall) is not None:
        return spectrum
    # in the precision in which a changed matrix has them, so that the cache holds the same whoever filled it
    wanted: dict[str, tuple[Kind, Vectors]] = {"base": ("base", _near(spectrum, tall))}
    product = algebra.apply(matrix.stored, wanted, transposed=not tall, precision="float32")["base"]
    return _with_far(spectrum, product, tall)


def _near(spectrum: Spectrum, tall: bool) -> Vectors:
    return _required(spectrum.right if tall else spectrum.left).astype(np.float64)


def _far(spectrum: Spectrum, tall: bool) -> NDArray[np.float32] | None:
    return spectrum.left if tall else spectrum.right


def _with_far(spectrum: Spectrum, product: Vectors | None, tall: bool) -> Spectrum:
    """The spectrum with A n_i / σ_i; zero vectors where σ_i is not resolved."""
    if product is None:
        return spectrum
    lengths = np.linalg.norm(product, axis=0)
    resolved = spectrum.values[: product.shape[1]] > 0
    far = np.where(resolved, product / np.where(lengths > 0, lengths, 1.0), 0.0).astype(np.float32)
    return attrs.evolve(spectrum, left=far) if tall else attrs.evolve(spectrum, right=far)


def _required(vectors: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if vectors is None:
        raise RuntimeError("singular vectors of this side were not computed")
    return vectors
