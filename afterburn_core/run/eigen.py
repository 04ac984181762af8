"""Eigenvalues of a symmetric matrix, all of them, with the eigenvectors of the largest, for one tridiagonalisation.

LAPACK's drivers give either all vectors (three times the work) or only the selected values. Here the matrix is reduced
once, `G = Q T Qᵀ`; all eigenvalues of T come from the QL iteration, the wanted vectors from the relatively robust
representations of T, and are turned back by Q.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALL = 64
"""Below this order all vectors cost nothing."""


def eigenvalues(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """All eigenvalues of a symmetric matrix (n, n), descending; computed in its own precision."""
    if matrix.shape[0] <= 2:
        return _descending(np.linalg.eigvalsh(matrix))
    from afterburn_core.run import lapack  # loads SciPy: a fifth of a second that a quick run need not spend

    lower = bool(matrix.dtype == np.float64)  # whichever triangle OpenBLAS reduces faster
    _, diagonal, off, _ = lapack.tridiagonalise(matrix, lower=lower)
    values = lapack.tridiagonal_values(diagonal, off)
    return _descending(np.linalg.eigvalsh(matrix) if values is None else values)


def leading_eigenpairs(matrix: NDArray[Any], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All eigenvalues (n,), descending, and the eigenvectors (n, count) of the largest.

    Args:
        matrix: symmetric (n, n), float32 or float64; only its lower triangle is read. It is not changed.
        count: vectors wanted; at most n of them are given.
    """
    order = matrix.shape[0]
    count = min(count, order)
    if order <= _SMALL or count > order // 2:
        _, vectors = np.linalg.eigh(matrix)
        return eigenvalues(matrix), np.asarray(vectors[:, ::-1][:, :count], dtype=np.float64)
    from afterburn_core.run import lapack

    reflectors, diagonal, off, scales = lapack.tridiagonalise(matrix, lower=True)
    values = lapack.tridiagonal_values(diagonal, off)
    inner = lapack.tridiagonal_vectors(diagonal, off, count)
    if values is None or inner is None:  # rare: a driver with other algorithms then
        values, vectors = np.linalg.eigh(matrix)
        return _descending(values), np.asarray(vectors[:, ::-1][:, :count], dtype=np.float64)
    turned = lapack.turn_back(reflectors, scales, inner, lower=True)
    return _descending(values), np.asarray(turned[:, ::-1], dtype=np.float64)


def _descending(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.ascontiguousarray(values[::-1], dtype=np.float64)
