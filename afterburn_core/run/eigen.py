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
    from scipy.linalg import eigh, get_lapack_funcs  # a fifth of a second that a quick run need not spend

    order = matrix.shape[0]
    if order <= 2:
        return _descending(np.linalg.eigvalsh(matrix))
    # what LAPACK's drivers do as well, without their second copy and their scaling
    sytrd, sytrd_lwork, sterf = get_lapack_funcs(("sytrd", "sytrd_lwork", "sterf"), (matrix,))
    lower = int(matrix.dtype == np.float64)  # whichever triangle OpenBLAS reduces faster
    work = int(sytrd_lwork(order, lower=lower)[0])
    _, diagonal, off, _, failed = sytrd(matrix, lower=lower, lwork=work)
    values, unfinished = sterf(diagonal, off)
    if failed or unfinished:  # rare: a driver with another algorithm then
        values = eigh(matrix, eigvals_only=True, driver="evd", check_finite=False)
    return _descending(values)


def leading_eigenpairs(matrix: NDArray[Any], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All eigenvalues (n,), descending, and the eigenvectors (n, count) of the largest.

    Args:
        matrix: symmetric (n, n), float32 or float64; only its lower triangle is read. It is not changed.
        count: vectors wanted; at most n of them are given.
    """
    from scipy.linalg import eigh, get_lapack_funcs

    order = matrix.shape[0]
    count = min(count, order)
    if order <= _SMALL or count > order // 2:
        _, vectors = eigh(matrix, driver="evr" if order > 1 else "ev", check_finite=False)
        # that driver's own values are up to three times as far off where many are equal
        return eigenvalues(matrix), np.asarray(vectors[:, ::-1][:, :count], dtype=np.float64)
    sytrd, sytrd_lwork, sterf, stemr, stemr_lwork, ormqr = get_lapack_funcs(
        ("sytrd", "sytrd_lwork", "sterf", "stemr", "stemr_lwork", "ormqr"), (matrix,)
    )
    work = int(sytrd_lwork(order, lower=1)[0])
    reflectors, diagonal, off, scales, failed = sytrd(matrix, lower=1, lwork=work)
    values, unfinished = sterf(diagonal, off)
    padded = np.append(off, off.dtype.type(0))
    low, high = order - count + 1, order
    works, integers, stopped = stemr_lwork(diagonal, padded, 2, 0.0, 1.0, low, high, compute_v=1)
    found, _, inner, broken = stemr(
        diagonal, padded, 2, 0.0, 1.0, low, high, compute_v=1, lwork=int(works), liwork=int(integers)
    )
    if failed or unfinished or stopped or broken or found < count:  # rare: a driver with other algorithms then
        values, vectors = eigh(matrix, driver="evd", check_finite=False)
        return _descending(values), np.asarray(vectors[:, ::-1][:, :count], dtype=np.float64)
    tail = np.asfortranarray(inner[1:, :count])
    basis = np.asfortranarray(reflectors[1:, :-1])
    _, best, _ = ormqr("L", "N", basis, scales, tail, -1)
    turned, _, _ = ormqr("L", "N", basis, scales, tail, int(best[0]))
    vectors = np.concatenate([inner[:1, :count], turned])
    return _descending(values), np.asarray(vectors[:, ::-1], dtype=np.float64)


def _descending(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.ascontiguousarray(values[::-1], dtype=np.float64)
