"""Principal components of differences, centred and uncentred, from sums.

    C = mean δδᵀ (uncentred: keeps the mean difference)        S = C − δ̄δ̄ᵀ (centred)
    share_k = λ_k/tr            participation = tr²/‖·‖²_F, the number of equal directions that would be as spread out
    mean_share = ‖δ̄‖²/mean‖δ‖², 1 where every token moves alike
    overlap = ‖V₁ᵀV₂‖²_F/k of the leading k components of two halves of the units; k/d by chance
    held_out = mean over both halves of tr(V₁ᵀM₂V₁)/tr M₂: what the components of one half explain of the other

Only leading eigenpairs are computed, by Lanczos (ARPACK, a seeded start) above d = 256: seconds at d = 4096 where a
whole decomposition takes minutes. tr and ‖·‖_F need none.
"""

from __future__ import annotations

import attrs
import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from numpy.typing import NDArray

from afterburn_activation.moments import Sums

Floats = NDArray[np.float64]
_DENSE = 256
_NEGLIGIBLE = 1e-6
"""Eigenvalues below this share of the largest are rounding of float32 products."""


@attrs.frozen(kw_only=True, eq=False)
class Components:
    """Of one kind, centred or not."""

    eigenvalues: Floats
    """(k), descending, those above rounding."""
    vectors: Floats
    """(k, d), unit rows; the sign gives the mean difference a projection ≥ 0."""
    trace: float
    participation: float
    overlap: float | None
    """`None` where a half has no component."""
    compared: int
    """Components that the overlap compares."""
    held_out: float | None

    @property
    def shares(self) -> Floats:
        return np.asarray(self.eigenvalues / self.trace)


def components(sums: Sums, *, centred: bool, keep: int, compare: int) -> Components | None:
    """The leading components; `None` where nothing varies."""
    matrix = sums.second(centred=centred)
    trace = float(np.trace(matrix))
    if not trace > 0 or (centred and trace <= _NEGLIGIBLE * sums.energy):
        return None
    values, vectors = leading(matrix, keep)
    overlap, held_out, compared = _between_halves(sums, centred, compare)
    return Components(
        eigenvalues=values,
        vectors=_signed(vectors, sums.mean()),
        trace=trace,
        participation=trace * trace / float(np.sum(matrix * matrix)),
        overlap=overlap,
        compared=compared,
        held_out=held_out,
    )


def mean_share(sums: Sums) -> tuple[float, Floats]:
    """‖δ̄‖²/mean‖δ‖² over all tokens, and without each group of units (NaN where nothing is left)."""
    counts, totals, squares = sums.group_counts, sums.group_sums, sums.group_squares
    whole = _mean_share(totals.sum(axis=0), squares.sum(), int(counts.sum()))
    present = np.flatnonzero(counts)
    others = [
        _mean_share(totals.sum(axis=0) - totals[g], squares.sum() - squares[g], int(counts.sum() - counts[g]))
        for g in present
    ]
    return whole, np.array(others)


def leading(matrix: Floats, count: int) -> tuple[Floats, Floats]:
    """At most so many eigenpairs (k), (k, d) of a symmetric positive semidefinite matrix, descending."""
    d = len(matrix)
    count = min(count, d)
    if d <= _DENSE or 4 * count >= d:
        values, vectors = scipy.linalg.eigh(matrix, subset_by_index=(d - count, d - 1))
    else:
        start = np.random.default_rng(d).normal(size=d)
        scale = float(np.trace(matrix))  # tiny differences must not look converged at once
        try:
            values, vectors = scipy.sparse.linalg.eigsh(matrix / scale, k=count, v0=start, ncv=4 * count)
        except scipy.sparse.linalg.ArpackNoConvergence:
            values, vectors = scipy.linalg.eigh(matrix / scale, subset_by_index=(d - count, d - 1))
        values = values * scale
    order = np.argsort(values)[::-1]
    order = order[values[order] > _NEGLIGIBLE * values.max(initial=0.0)]
    return np.asarray(values[order]), np.ascontiguousarray(vectors[:, order].T)


def _mean_share(total: Floats, square: float, count: int) -> float:
    return float(total @ total) / (count * float(square)) if count and square > 0 else float("nan")


def _between_halves(sums: Sums, centred: bool, compare: int) -> tuple[float | None, float | None, int]:
    if not sums.counts.all():
        return None, None, 0
    matrices = [sums.second((h,), centred=centred) for h in (0, 1)]
    if not all(np.trace(matrix) > _NEGLIGIBLE * sums.energy for matrix in matrices):
        return None, None, 0
    vectors = [leading(matrix, compare)[1] for matrix in matrices]
    k = min(map(len, vectors))
    first, second = (one[:k] for one in vectors)
    overlap = float(np.sum((first @ second.T) ** 2)) / k
    explained = [
        float(np.einsum("kd,de,ke->", own, other, own)) / float(np.trace(other))
        for own, other in ((first, matrices[1]), (second, matrices[0]))
    ]
    return min(overlap, 1.0), min(sum(explained) / 2, 1.0), k


def _signed(vectors: Floats, mean: Floats) -> Floats:
    """Signs such that the mean difference lies on the positive side; where it is orthogonal, the largest entry does."""
    along = vectors @ mean
    largest = vectors[np.arange(len(vectors)), np.abs(vectors).argmax(axis=1)]
    decisive = np.abs(along) > 1e-9 * np.linalg.norm(mean)
    signs = np.sign(np.where(decisive, along, largest))
    return np.asarray(vectors * np.where(signs == 0, 1.0, signs)[:, None])
