"""How two sets of vectors of the same texts lie to each other: rows b_i of the base, f_i of the trained model.

    cosine distance    1 − cos(b, f) = (‖f − b‖² − (‖f‖ − ‖b‖)²)/(2‖b‖‖f‖), exactly 0 for equal vectors
    Procrustes         R = argmin ‖F R − B‖²_F + λ ‖R − I‖²_F over RᵀR = I:  R = U Vᵀ with FᵀB + λI = U S Vᵀ
                       (Schönemann 1966, with λ = 0)
    RSA                Spearman's correlation of cos(b_i, b_j) with cos(f_i, f_j) over all pairs i < j
    participation      (Σλ)²/Σλ², λ the eigenvalues of the covariance: 1 for one direction, d for d alike

λ is one of `RIDGES` times ‖FᵀB‖_F: the one that serves every other text best when fitted on those between. The least
leaves directions as they are that no text of the fit spans, the largest leaves nearly all as it is: with fewer texts
than dimensions, a free map would fit what is not there. Where the sides differ in dimension, R has orthonormal rows or
columns and λ is 0. All float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from afterburn_activation.jackknife import GROUPS, group_of

Floats = NDArray[np.float64]
RIDGES = (1e-6, 3e-2, 1.0)
WIDEST = 1536
"""With more dimensions the middle one is taken: each try costs a decomposition of d × d."""


def cosine_distance(base: Floats, trained: Floats) -> Floats:
    """1 − cos by row, (n), in [0, 2]; NaN where one of both vectors is zero."""
    b, f = np.linalg.norm(base, axis=1), np.linalg.norm(trained, axis=1)
    apart = ((trained - base) ** 2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        # ‖f‖ − ‖b‖ without cancelling: (‖f‖² − ‖b‖²)/(‖f‖ + ‖b‖)
        gap = ((trained - base) * (trained + base)).sum(axis=1) / (f + b)
        distance = np.clip((apart - gap**2) / (2 * b * f), 0.0, 2.0)
    return np.asarray(np.where(apart == 0, 0.0, np.where(b * f > 0, distance, np.nan)))


def log_norm_ratio(base: Floats, trained: Floats) -> Floats:
    """ln(‖f‖/‖b‖) by row, (n); NaN where one of them is zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        change = ((trained - base) * (trained + base)).sum(axis=1) / (base**2).sum(axis=1)
        ratio = np.log1p(change) / 2
    return np.asarray(np.where((trained == base).all(axis=1), 0.0, np.where(np.isfinite(ratio), ratio, np.nan)))


def procrustes(trained: Floats, base: Floats) -> Floats:
    """R (d_trained, d_base) that takes trained vectors nearest to the base's: trained @ R ≈ base."""
    if trained.shape[1] != base.shape[1]:
        return _orthogonal(trained, base, 0.0)
    if trained.shape[1] > WIDEST or len(trained) < 4:
        return _orthogonal(trained, base, RIDGES[1])

    def held_out(ridge: float) -> float:
        left = cosine_distance(base[1::2], trained[1::2] @ _orthogonal(trained[::2], base[::2], ridge))
        return float(np.nanmean(left)) if np.isfinite(left).any() else 0.0

    # rounding is no reason for another ridge
    return _orthogonal(trained, base, min(RIDGES, key=lambda ridge: round(held_out(ridge), 9)))


def _orthogonal(trained: Floats, base: Floats, ridge: float) -> Floats:
    cross = trained.T @ base
    if ridge:
        cross = cross + ridge * np.linalg.norm(cross) * np.eye(len(cross))
    left, _, right = np.linalg.svd(cross, full_matrices=False)
    return np.asarray(left @ right)


def unit(rows: Floats) -> Floats:
    """Rows of length 1; a zero row stays zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0))


def pairs(similarity: Floats, kept: NDArray[np.bool_] | None = None) -> Floats:
    """The upper triangle of a matrix of similarities, of the kept texts alone."""
    part = similarity if kept is None else similarity[np.ix_(kept, kept)]
    return np.asarray(part[np.triu_indices(len(part), 1)])


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's correlation, ties at their mean rank; NaN where a side does not vary."""
    a, b = rankdata(x), rankdata(y)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")


def participation(rows: Floats) -> float:
    """Participation ratio of the centred rows, from traces of the smaller Gram matrix; NaN without spread."""
    centred = rows - rows.mean(axis=0)
    gram = centred @ centred.T if len(centred) <= centred.shape[1] else centred.T @ centred
    squares = float((gram**2).sum())
    return float(np.trace(gram)) ** 2 / squares if squares > 0 else float("nan")


def left_out_groups(ids: tuple[str, ...], statistic: Callable[[NDArray[np.bool_]], float]) -> Floats:
    """A statistic without each of the groups of texts, (G)."""
    groups = np.array([group_of(name, key="embedding") for name in ids])
    return np.array([statistic(groups != group) for group in range(GROUPS) if (groups == group).any()])
