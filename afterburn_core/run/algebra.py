"""Matrix products of the weights pass on a CPU: Gram matrices and thin products of W, W' and Δ, by blocks.

A matrix A (rows × columns) is never widened as a whole. Its Gram matrix is taken on the smaller side,

    tall (rows ≥ columns)   G = AᵀA = Σ_b A_bᵀ A_b    over blocks of rows
    wide                    G = AAᵀ = Σ_b A_b A_bᵀ    over blocks of columns

each product by the symmetric rank-k update, which NumPy picks for `B.T @ B` and which halves the multiplications.
Blocks are multiplied in `precision` and summed in float64. Δ is subtracted in the wider of the two stored precisions,
so that nothing cancels twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.run.arrays import Raw, widen
from afterburn_core.run.eigen import eigenvalues, leading_eigenpairs

Kind = Literal["base", "trained", "delta"]
Precision = Literal["float32", "float64"]
BLOCK = 5 << 22
"""Bytes per block: enough rows for the update to run at full speed."""
_THIN_BLOCK = 1 << 20
"""Bytes per block of a product with a few vectors: it is over sooner than the block could be fetched from memory."""
_PIECE = 1 << 15
"""Elements widened and subtracted at a time, so that what passes through a block stays in a core's own cache."""
_SAFE = (1e-12, 1e12)
"""Root mean squares of entries whose squares, and sums of them, are far from the limits of float32."""


@attrs.frozen(kw_only=True, eq=False)
class Stored:
    """One stretch of whole rows of a matrix of both sides, as stored."""

    base: Raw
    """Flattened."""
    trained: Raw | None
    """`None` where it equals base."""
    rows: int
    columns: int

    @property
    def tall(self) -> bool:
        return self.rows >= self.columns


class ArrayAlgebra:
    """Products with buffers of its own; one instance serves one thread."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self._dtype = np.dtype(precision)
        self._buffers: dict[str, NDArray[Any]] = {}

    def grams(
        self, stored: Stored, kinds: frozenset[Kind], tall: bool, sizes: Mapping[Kind, float] | None = None
    ) -> dict[Kind, NDArray[Any]]:
        """Gram matrices (k, k) of the kinds asked for: sums over blocks in float64, one block's product as it is.

        Args:
            stored: rows of the matrix.
            kinds: which of W, W' and Δ.
            tall: whether the whole matrix is.
            sizes: root mean square of each, so that entries whose squares float32 cannot hold are scaled first.
        """
        order = stored.columns if tall else stored.rows
        totals: dict[Kind, NDArray[Any]] = {}
        product = self._buffer("product", order * order, self._dtype).reshape(order, order)
        scales = {} if self._dtype == np.float64 else {kind: _scale(size) for kind, size in (sizes or {}).items()}
        for blocks in self._blocks(stored, kinds, tall):
            for kind, block in blocks.items():
                scale = scales.get(kind, 1.0)
                if scale != 1.0:
                    block = block * self._dtype.type(scale)
                known = totals.get(kind)
                out = np.empty((order, order), dtype=self._dtype) if known is None else product
                if tall:
                    np.matmul(block.T, block, out=out)
                else:
                    np.matmul(block, block.T, out=out)
                if known is None:
                    totals[kind] = out
                else:
                    totals[kind] = known = known.astype(np.float64, copy=False)
                    known += out
        for kind, scale in scales.items():
            if scale != 1.0 and kind in totals:
                totals[kind] = totals[kind].astype(np.float64) / scale**2
        return totals

    def apply(
        self,
        stored: Stored,
        vectors: Mapping[str, tuple[Kind, NDArray[np.float64]]],
        *,
        transposed: bool,
        precision: Precision = "float64",
    ) -> dict[str, NDArray[np.float64]]:
        """A V for V (columns, q), or AᵀU for U (rows, q) if `transposed`, by the names given; float64 sums.

        Args:
            stored: the rows.
            vectors: for each name, which of the three matrices and its right or left factors.
            transposed: which side is multiplied.
            precision: of the products within a block.
        """
        dtype = np.dtype(precision)
        narrowed = {name: (kind, factors.astype(dtype)) for name, (kind, factors) in vectors.items()}
        kinds = frozenset(kind for kind, _ in vectors.values())
        found: dict[str, NDArray[np.float64]] = {
            name: np.zeros((stored.columns if transposed else stored.rows, factors.shape[1]))
            for name, (_, factors) in vectors.items()
        }
        start = 0
        for blocks in self._blocks(stored, kinds, True, dtype=dtype, size=_THIN_BLOCK):
            stop = start + next(iter(blocks.values())).shape[0]
            for name, (kind, factors) in narrowed.items():
                if transposed:
                    found[name] += blocks[kind].T @ factors[start:stop]
                else:
                    found[name][start:stop] = blocks[kind] @ factors
            start = stop
        return found

    def eigenvalues(self, gram: NDArray[np.float64]) -> NDArray[np.float64]:
        """All eigenvalues, descending, in this precision."""
        rounded, scale = self._rounded(gram)
        return eigenvalues(rounded, overwrite=True) * scale

    def leading(self, gram: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """All eigenvalues and the vectors (k, count) of the largest."""
        rounded, scale = self._rounded(gram)
        values, vectors = leading_eigenpairs(rounded, count, overwrite=True)
        return values * scale, vectors

    def basis(self, gram: NDArray[np.float64]) -> NDArray[np.float64]:
        """All eigenvectors (k, k) as columns, by descending eigenvalue."""
        return np.linalg.eigh(gram)[1][:, ::-1]

    def _rounded(self, gram: NDArray[np.float64]) -> tuple[NDArray[Any], float]:
        """A copy in this precision, divided by a power of two that keeps it in range, and that power."""
        copy = self._buffer("rounded", gram.size, self._dtype).reshape(gram.shape)
        if self._dtype == np.float64:
            np.copyto(copy, gram)
            return copy, 1.0
        largest = float(np.max(np.diagonal(gram), initial=0.0))
        scale = 2.0 ** math.frexp(largest)[1] if largest > 0 else 1.0
        np.multiply(gram, 1.0 / scale, out=copy, casting="same_kind")
        return copy, scale

    def _blocks(
        self,
        stored: Stored,
        kinds: frozenset[Kind],
        by_rows: bool,
        dtype: np.dtype[Any] | None = None,
        size: int = BLOCK,
    ) -> Iterator[dict[Kind, NDArray[Any]]]:
        """Blocks of the kinds asked for; what is yielded is overwritten by the next block."""
        dtype = dtype or self._dtype
        base = stored.base.reshape(stored.rows, stored.columns)
        trained = base if stored.trained is None else stored.trained.reshape(stored.rows, stored.columns)
        along, across = (stored.rows, stored.columns) if by_rows else (stored.columns, stored.rows)
        count = max(1, -(-along * across * dtype.itemsize // size))
        step = max(1, -(-along // count))  # blocks of one size: a short last one would run at a fraction of the speed
        wide = np.dtype(np.float64) if np.float64 in (base.dtype, trained.dtype) else dtype
        for start in range(0, along, step):
            part = slice(start, min(start + step, along))
            cut = (part, slice(None)) if by_rows else (slice(None), part)
            yield self._block(base[cut], trained[cut], kinds, dtype, wide)

    def _block(
        self, base: Raw, trained: Raw, kinds: frozenset[Kind], dtype: np.dtype[Any], wide: np.dtype[Any]
    ) -> dict[Kind, NDArray[Any]]:
        needed: list[Kind] = [kind for kind in ("base", "trained") if kind in kinds or "delta" in kinds]
        raw: dict[Kind, Raw] = {"base": base, "trained": trained}
        found = {
            kind: self._buffer(kind, base.size, wide).reshape(base.shape) for kind in (*needed, *kinds - {*needed})
        }
        step = max(1, _PIECE // base.shape[1])
        scratch = self._buffer("scratch", step * base.shape[1], np.dtype(np.uint32))
        for start in range(0, base.shape[0], step):
            piece = slice(start, start + step)
            for kind in needed:
                widen(raw[kind][piece], found[kind][piece], scratch)
            if "delta" in kinds:
                np.subtract(found["trained"][piece], found["base"][piece], out=found["delta"][piece])
        if wide != dtype:
            found = {kind: block.astype(dtype) for kind, block in found.items()}
        return {kind: found[kind] for kind in sorted(kinds)}

    def _buffer(self, name: str, size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        key = f"{name}-{dtype}"
        found = self._buffers.get(key)
        if found is None or found.size < size:
            found = self._buffers[key] = np.empty(size, dtype=dtype)
        return found[:size]


def _scale(size: float) -> float:
    """A power of two that brings entries of this root mean square near 1; 1 where their squares are safe already."""
    if size == 0 or _SAFE[0] < size < _SAFE[1]:
        return 1.0
    return 2.0 ** -math.frexp(size)[1]
