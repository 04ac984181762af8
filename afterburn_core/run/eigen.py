"""Eigenvalues of a symmetric matrix, all of them, with the eigenvectors of the largest, for one tridiagonalisation.

LAPACK's drivers give either all vectors (three times the work) or only the selected values. Here the matrix is reduced
once, `G = Q T Qᵀ`; all eigenvalues of T come from the QL iteration, the wanted vectors of T from inverse iteration at
those values, and are turned back by Q.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALL = 64
"""Below this order all vectors cost nothing."""


def eigenvalues(matrix: NDArray[Any], *, overwrite: bool = False) -> NDArray[np.float64]:
    """All eigenvalues of a symmetric matrix (n, n), descending; computed in its own precision.

    Args:
        matrix: C-contiguous.
        overwrite: whether its memory may be worked in.
    """
    if matrix.shape[0] <= 2:
        return _descending(np.linalg.eigvalsh(matrix))
    from afterburn_core.run import lapack  # loads SciPy: a fifth of a second that a quick run need not spend

    # whichever triangle OpenBLAS reduces faster
    lower = bool(matrix.dtype == np.float64)
    _, diagonal, off, _ = lapack.tridiagonalise(matrix, lower=lower, overwrite=overwrite)
    values = lapack.tridiagonal_values(diagonal, off)
    return _descending(np.linalg.eigvalsh(_dense(diagonal, off)) if values is None else values)


def leading_eigenpairs(
    matrix: NDArray[Any], count: int, *, overwrite: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All eigenvalues (n,), descending, and the eigenvectors (n, count) of the largest.

    Args:
        matrix: symmetric (n, n), float32 or float64, C-contiguous.
        count: vectors wanted; at most n of them are given.
        overwrite: whether the matrix's memory may be worked in.
    """
    order = matrix.shape[0]
    count = min(count, order)
    if order <= _SMALL or count > order // 2:
        _, vectors = np.linalg.eigh(matrix)
        return eigenvalues(matrix, overwrite=overwrite), np.asarray(vectors[:, ::-1][:, :count], dtype=np.float64)
    from afterburn_core.run import lapack

    reflectors, diagonal, off, scales = lapack.tridiagonalise(matrix, lower=True, overwrite=overwrite)
    values = lapack.tridiagonal_values(diagonal, off)
    inner = None if values is None else lapack.tridiagonal_vectors(diagonal, off, values[-count:])
    if values is None or inner is None:  # rare: a driver with other algorithms then
        values, vectors = np.linalg.eigh(_dense(diagonal, off))
        inner = np.asfortranarray(vectors[:, -count:])
    turned = lapack.turn_back(reflectors, scales, inner, lower=True)
    return _descending(values), np.asarray(turned[:, ::-1], dtype=np.float64)


def _dense(diagonal: NDArray[Any], off: NDArray[Any]) -> NDArray[Any]:
    """The tridiagonal matrix."""
    return np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1)


def _descending(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.ascontiguousarray(values[::-1], dtype=np.float64)
