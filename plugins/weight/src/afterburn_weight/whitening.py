"""Bi-whitening: rows and columns are scaled to one root mean square before the Marchenko–Pastur law is asked.

X = diag(r)^½ Δ diag(c)^½ with r, c ≥ 0 such that all rows and all columns of the noise in X have mean square 1
(Sinkhorn's alternation on its squares). For noise whose variance is a product of a row's and a column's factor, X is
structure of the same rank in noise of one variance. Source: Biwhitening reveals the rank of a count matrix (Landa,
Zhang, Kluger, arXiv 2103.13840).

The factors must be the noise's. A strong direction would give its own profile to the rows it loads on, and leave behind
it noise of many variances; so spikes found in X are taken out of the matrix from which the factors are computed, and
the whitening is repeated.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.run.seeds import child_seed
from afterburn_core.run.spectra import Spectrum
from afterburn_weight.sign_null import deflated
from afterburn_weight.spikes import NoiseFit, fit_noise

_ALTERNATIONS = 5
_ROUNDS = 4
_MOST = 128


@attrs.frozen(kw_only=True, eq=False)
class Factors:
    """Scales of rows and columns."""

    left: NDArray[np.float32]
    """(m,) √r"""
    right: NDArray[np.float32]
    """(n,) √c"""

    def applied(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """X (m, n)."""
        return np.asarray(matrix * self.left[:, None] * self.right[None, :])

    def undone(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """The matrix whose X is given."""
        return np.asarray(matrix * _reciprocal(self.left)[:, None] * _reciprocal(self.right)[None, :])


def factors(matrix: NDArray[np.float32]) -> Factors:
    """Factors that whiten a matrix (m, n), after five alternations."""
    rows, columns = matrix.shape
    square = matrix * matrix
    right: NDArray[Any] = np.ones(columns, dtype=np.float32)
    left: NDArray[Any] = np.ones(rows, dtype=np.float32)
    for _ in range(_ALTERNATIONS):
        left = _inverse(square @ right, columns)
        right = _inverse(left @ square, rows)
    return Factors(left=np.sqrt(left), right=np.sqrt(right))


def whitened_noise(matrix: NDArray[np.float32], *, removed: int, seed: int, level: float = 0.99) -> NoiseFit | str:
    """The Marchenko–Pastur bulk and the spikes of the whitened matrix, or why there is no telling.

    Args:
        matrix: Δ (m, n), not all zero; its rows and columns without an entry are left out.
        removed: directions known to be structure; the first factors are computed without them.
        seed: of the subspace iteration that takes directions out.
        level: as in `fit_noise`.
    """
    rows, columns = matrix.any(axis=1), matrix.any(axis=0)
    if not (rows.all() and columns.all()):  # what nothing was added to takes no part in the noise
        matrix = np.ascontiguousarray(matrix[np.ix_(rows, columns)])
    unit = matrix / np.float32(np.abs(matrix).max())  # the squares of small changes leave the range of float32
    rest = deflated(unit, removed, child_seed(seed, "before")) if removed else unit
    scaled, found = factors(rest), -1
    noise: NoiseFit | str = ""
    for number in range(_ROUNDS):
        whitened = scaled.applied(unit)
        noise = fit_noise(_spectrum(whitened), level=level)
        if isinstance(noise, str) or noise.spikes.size in (0, found):
            break
        found = noise.spikes.size
        rest = scaled.undone(deflated(whitened, min(found, _MOST), child_seed(seed, str(number))))
        scaled = factors(rest)
    return noise


def _spectrum(matrix: NDArray[np.float32]) -> Spectrum:
    """All singular values by the float32 Gram matrix of the smaller side."""
    gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1].astype(np.float64), 0.0))
    square = float(np.sum(values**2))
    return Spectrum(values=values, rows=matrix.shape[0], columns=matrix.shape[1], square=square, method="float32")


def _inverse(sums: NDArray[Any], count: int) -> NDArray[np.float32]:
    return np.asarray(np.divide(np.float32(count), sums, out=np.zeros_like(sums), where=sums > 0))


def _reciprocal(scale: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0))
