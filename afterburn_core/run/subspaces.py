"""Leading singular subspaces of the changes of several subjects, and how far they coincide.

For k leading left (right) singular vectors U_i (V_i) of Δ_i:

    overlap_ij = ‖U_iᵀ U_j‖²_F / k        in [0, 1]; k/m for independent subspaces of an m-dimensional space

Vectors come from the Gram matrix of the smaller side, or for large matrices from subspace iteration with a seeded
start (Finding structure with randomness, arXiv 0909.4061, algorithm 4.4), whose residual ‖Δv − σu‖/σ₁ is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

EXACT = 512
"""Smaller side up to which the whole Gram matrix is decomposed."""
OVERSAMPLING = 8
ITERATIONS = 6
RESOLVED = 1e-6
"""Directions below this share of the largest singular value are rounding: their vectors mean nothing."""

Array = NDArray[np.float64]


@attrs.frozen(kw_only=True, eq=False)
class Leading:
    """The leading singular vectors of one matrix."""

    left: Array
    """(m, r) orthonormal columns; r ≤ k, fewer where the matrix has fewer resolved directions."""
    right: Array
    """(n, r)"""
    residual: float
    """Largest ‖Δv − σu‖ / σ₁ of the r directions; 0 where they are exact."""


@attrs.frozen(kw_only=True, eq=False)
class Overlaps:
    """Overlaps between all pairs of N subjects in one matrix."""

    left: Array
    """(N, N), symmetric; NaN where a subject did not change."""
    right: Array
    directions: NDArray[np.int64]
    """k of each pair: the least of what was asked for and what either side has, (N, N)."""
    rows: int
    columns: int
    residual: float
    """The largest of the subjects' residuals."""

    def to_dict(self) -> dict[str, Any]:
        """Plain lists with `None` for NaN, for the cache."""
        return {
            "left": _plain(self.left),
            "right": _plain(self.right),
            "directions": self.directions.tolist(),
            "rows": self.rows,
            "columns": self.columns,
            "residual": self.residual,
        }

    @classmethod
    def from_dict(cls, values: Any) -> Overlaps:
        """What `to_dict` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            return cls(
                left=np.array(values["left"], dtype=np.float64),
                right=np.array(values["right"], dtype=np.float64),
                directions=np.array(values["directions"], dtype=np.int64),
                rows=int(values["rows"]),
                columns=int(values["columns"]),
                residual=float(values["residual"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no overlaps: {error}") from error


def overlaps(found: Sequence[Leading | None], rows: int, columns: int) -> Overlaps:
    """Overlaps of every pair; `None` stands for a subject that did not change."""
    count = len(found)
    left, right = np.full((count, count), np.nan), np.full((count, count), np.nan)
    directions = np.zeros((count, count), dtype=np.int64)
    for i, one in enumerate(found):
        for j, other in enumerate(found[: i + 1]):
            if one is None or other is None:
                continue
            k = min(one.left.shape[1], other.left.shape[1])
            directions[i, j] = directions[j, i] = k
            left[i, j] = left[j, i] = _overlap(one.left[:, :k], other.left[:, :k])
            right[i, j] = right[j, i] = _overlap(one.right[:, :k], other.right[:, :k])
    residual = max((one.residual for one in found if one is not None), default=0.0)
    return Overlaps(left=left, right=right, directions=directions, rows=rows, columns=columns, residual=residual)


def leading(delta: NDArray[Any], k: int, seed: int) -> Leading | None:
    """The k leading singular vectors of a matrix (m, n); `None` where it is zero or not finite.

    Args:
        delta: float64 up to `EXACT` on the smaller side, else float32 is enough.
        k: directions wanted.
        seed: of the start of the iteration.
    """
    largest = float(np.max(np.abs(delta), initial=0.0))
    if largest == 0 or not np.isfinite(largest):
        return None
    scaled = delta / delta.dtype.type(largest)  # squares of tiny changes must not vanish in float32
    k = min(k, *scaled.shape)
    return _exact(scaled, k) if min(scaled.shape) <= EXACT else _iterated(scaled, k, seed)


def tensor_seed(seed: int, name: str) -> int:
    """A seed of its own for each tensor, independent of the order in which threads take them."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "little")


def _exact(delta: NDArray[Any], k: int) -> Leading | None:
    tall = delta.shape[0] >= delta.shape[1]
    wide = delta.astype(np.float64)
    values, vectors = np.linalg.eigh(wide.T @ wide if tall else wide @ wide.T)
    sigma = np.sqrt(np.maximum(values[::-1][:k], 0.0))
    kept = int(np.count_nonzero(sigma > RESOLVED * sigma[0]))
    own = vectors[:, ::-1][:, :kept]
    product = wide @ own if tall else wide.T @ own
    other, _ = np.linalg.qr(product / sigma[:kept])
    return Leading(left=other if tall else own, right=own if tall else other, residual=0.0)


def _iterated(delta: NDArray[Any], k: int, seed: int) -> Leading | None:
    width = min(k + OVERSAMPLING, min(delta.shape))
    start = np.random.default_rng(seed).standard_normal((delta.shape[1], width)).astype(delta.dtype)
    basis, _ = np.linalg.qr(delta @ start)  # (m, width)
    for _ in range(ITERATIONS):
        inner, _ = np.linalg.qr(delta.T @ basis)
        basis, _ = np.linalg.qr(delta @ inner)
    small, sigma, right = np.linalg.svd(basis.T @ delta, full_matrices=False)
    kept = min(k, int(np.count_nonzero(sigma > RESOLVED * sigma[0])))
    left = basis.astype(np.float64) @ small[:, :kept].astype(np.float64)
    vectors = right[:kept].T.astype(np.float64)
    defect = delta @ right[:kept].T - (left * sigma[:kept]).astype(delta.dtype)
    residual = float(np.max(np.linalg.norm(defect, axis=0))) / float(sigma[0])
    return Leading(left=np.linalg.qr(left)[0], right=np.linalg.qr(vectors)[0], residual=residual)


def _overlap(one: Array, other: Array) -> float:
    share = float(np.sum(np.square(one.T @ other))) / int(one.shape[1])
    return min(1.0, share)


def _plain(values: Array) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in line] for line in values]
