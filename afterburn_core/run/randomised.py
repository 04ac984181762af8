"""The largest singular values of a matrix whose Gram matrix does not fit into memory.

Finding Structure with Randomness, arXiv 0909.4061: a random range of q = k + 10 columns, two power iterations with
orthonormalisation, then the singular values of QᵀA. They never exceed the true ones; and for each, a true singular
value of A lies within ‖Av − σu‖ of it, which is computed and given as the error.
"""

from __future__ import annotations

import numpy as np

from afterburn_core.run.algebra import Kind, Stored
from afterburn_core.run.decompose import Algebra
from afterburn_core.run.spectra import VECTORS, Spectrum

_OVERSAMPLING = 10
_ITERATIONS = 2


def randomised_spectrum(stored: Stored, kind: Kind, square: float, algebra: Algebra, seed: int) -> Spectrum:
    """The top 16 singular values and vectors of one of the three matrices, marked as approximate.

    Args:
        stored: the whole matrix, which is read six times.
        kind: which of W, W' and Δ.
        square: its exact squared norm.
        algebra: does the products.
        seed: fixes the random range.
    """
    count = min(VECTORS, stored.rows, stored.columns)
    width = min(count + _OVERSAMPLING, stored.rows, stored.columns)
    rng = np.random.default_rng(seed)
    right = rng.standard_normal((stored.columns, width))

    def times(factors: np.ndarray, *, transposed: bool) -> np.ndarray:
        return algebra.apply(stored, {"x": (kind, factors)}, transposed=transposed)["x"]

    left, _ = np.linalg.qr(times(right, transposed=False))
    for _ in range(_ITERATIONS):
        right, _ = np.linalg.qr(times(left, transposed=True))
        left, _ = np.linalg.qr(times(right, transposed=False))
    back = times(left, transposed=True)  # AᵀQ, (columns, width)
    v, values, wt = np.linalg.svd(back, full_matrices=False)
    u = left @ wt.T
    product = times(v[:, :count], transposed=False)  # A v, to be compared with σ u
    errors = np.linalg.norm(product - u[:, :count] * values[:count], axis=0)
    return Spectrum(
        values=np.ascontiguousarray(values[:count]),
        rows=stored.rows,
        columns=stored.columns,
        square=square,
        method="randomised",
        left=u[:, :count].astype(np.float32),
        right=v[:, :count].astype(np.float32),
        error=float(errors.max(initial=0.0)),
    )
