"""The Marchenko–Pastur law, its edge for finite matrices, and what a planted direction looks like in noise.

For m × n matrices (m ≥ n, β = n/m) of independent entries with variance s², the eigenvalues x of XᵀX/(m s²) have

    density   f(x) = √((b − x)(x − a)) / (2πβx)    on [a, b] = [(1 − √β)², (1 + √β)²]

and a rank-one term θ u vᵀ added to the noise is visible beyond the edge iff θ > s (mn)^{1/4}, as the singular value
y = √((θ² + s²m)(θ² + s²n)) / θ. Sources: Phase transition of the largest eigenvalue for nonnull complex sample
covariance matrices (Baik, Ben Arous, Péché); The singular values and vectors of low rank perturbations of large
rectangular random matrices (Benaych-Georges, Nadakuditi, arXiv 1103.2221); The Optimal Hard Threshold for Singular
Values is 4/√3 (Gavish, Donoho, arXiv 1305.5870); On the distribution of the largest eigenvalue in principal components
analysis (Johnstone 2001) for centre and scale of the edge.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

TRACY_WIDOM = {0.95: 0.9793, 0.99: 2.0234, 0.999: 3.2724}
"""Quantiles of the Tracy–Widom law of real matrices (β = 1)."""
# Γ(k) scaled by θ and moved by α has the first three moments of the law: Distribution of the largest eigenvalue for
# real Wishart and GOE matrices and a simple approximation for the Tracy-Widom distribution (Chiani, arXiv 1209.3394)
_SHAPE, _SCALE, _SHIFT = 46.446, 0.186054, 9.84801
_MEAN, _DEVIATION = -1.2065, 1.268  # of the Tracy–Widom law
_TINY = 1e-6


def cumulative(x: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """F(x) of the law with unit variance and ratio β in (0, 1], for any x.

    With x = 1 + β − 2√β cos φ:  F = [2√β sin φ + (1 + β) φ − (1 − β) ψ] / (2πβ),  tan(ψ/2) = (1+√β)/(1−√β) tan(φ/2).
    """
    root = math.sqrt(beta)
    angle = np.arccos(np.clip((1 + beta - x) / (2 * root), -1.0, 1.0))
    return np.clip(_at_angle(angle, beta), 0.0, 1.0)


def _at_angle(angle: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    root = math.sqrt(beta)
    # atan2 instead of tan: at φ = π the tangent is infinite, at β = 1 so is its factor
    inner = 2 * np.arctan2((1 + root) * np.sin(angle / 2), (1 - root) * np.cos(angle / 2))
    total = 2 * root * np.sin(angle) + (1 + beta) * angle - (1 - beta) * inner
    return np.asarray(total / (2 * math.pi * beta))


@lru_cache(maxsize=4096)
def median(beta: float) -> float:
    """μ_β: the median of the law with unit variance, to 1e-10.

    Below β = 1e-6 the law is a narrow semicircle around 1 and its median 1 − β/3 to within β².
    """
    if beta < _TINY:
        return 1 - beta / 3
    low, high = 0.0, math.pi
    for _ in range(60):
        middle = (low + high) / 2
        below = float(_at_angle(np.array([middle]), beta)[0]) < 0.5
        low, high = (middle, high) if below else (low, middle)
    return 1 + beta - 2 * math.sqrt(beta) * math.cos((low + high) / 2)


def edge_moments(rows: int, columns: int) -> tuple[float, float]:
    """Centre μ and scale τ of σ₁²/s² of pure noise: (σ₁²/s² − μ)/τ follows the Tracy–Widom law.

    μ = (√(m−1) + √n)²,  τ = (√(m−1) + √n)(1/√(m−1) + 1/√n)^{1/3},  m = max, n = min of the sides, m > 1.
    """
    m, n = max(rows, columns), min(rows, columns)
    both = math.sqrt(m - 1) + math.sqrt(n)
    return both * both, both * (1 / math.sqrt(m - 1) + 1 / math.sqrt(n)) ** (1 / 3)


def widening(rows: int, columns: int) -> float:
    """How much wider than Tracy–Widom (σ₁²/ŝ² − μ)/τ is because ŝ comes from the median: √(1 + (ε μ/(1.268 τ))²).

    The number of eigenvalues below a point fluctuates by √(ln n + 0.8)/π (real matrices; the constant by simulation for
    24 ≤ n ≤ 400), which moves the median x of the law by ε = √(ln n + 0.8) / (π n f(x) x) of itself.
    """
    beta = min(rows, columns) / max(rows, columns)
    middle, root = median(beta), math.sqrt(beta)
    density = math.sqrt(((1 + root) ** 2 - middle) * (middle - (1 - root) ** 2)) / (2 * math.pi * beta * middle)
    count = min(rows, columns)
    error = math.sqrt(math.log(count) + 0.8) / (math.pi * count * density * middle)
    centre, scale = edge_moments(rows, columns)
    return math.sqrt(1 + (error * centre / (_DEVIATION * scale)) ** 2)


def edge(rows: int, columns: int, *, level: float = 0.99, known: bool = False) -> float:
    """The singular value, in units of s, that pure noise exceeds with probability 1 − `level`.

    √(μ + q τ) with the Tracy–Widom quantile q where s is known; where it comes from the median, with the quantile
    of the law widened about its mean.

    Args:
        rows: of the matrix.
        columns: of the matrix.
        level: a key of `TRACY_WIDOM`.
        known: whether s is known.
    """
    centre, scale = edge_moments(rows, columns)
    wide = 1.0 if known else widening(rows, columns)
    quantile = _MEAN + (TRACY_WIDOM[level] - _MEAN) * wide
    return math.sqrt(centre + quantile * scale)


def exceedance(largest: float, noise: float, rows: int, columns: int, *, known: bool = False) -> tuple[float, float]:
    """(σ₁²/s² − μ)/τ, and the probability that noise of this scale has a larger one; arguments as in `edge`."""
    centre, scale = edge_moments(rows, columns)
    statistic = ((largest / noise) ** 2 - centre) / scale
    standard = statistic if known else _MEAN + (statistic - _MEAN) / widening(rows, columns)
    return statistic, float(gammaincc(_SHAPE, max(standard + _SHIFT, 0.0) / _SCALE))


def visible_from(noise: float, rows: int, columns: int) -> float:
    """θ_c = s (mn)^{1/4}: a planted direction of less strength does not leave the bulk."""
    return float(noise * (rows * columns) ** 0.25)


def observed(theta: float, noise: float, rows: int, columns: int) -> float:
    """The singular value that a planted θ > θ_c shows: √((θ² + s²m)(θ² + s²n)) / θ."""
    square = noise * noise
    return math.sqrt((theta**2 + square * rows) * (theta**2 + square * columns)) / theta


def planted(observed: NDArray[np.float64], noise: float, rows: int, columns: int) -> NDArray[np.float64]:
    """θ̂ of observed singular values y beyond the edge: the inverse of `observed`.

    θ̂² = ½ [y² − s²(m+n) + √((y² − s²(m+n))² − 4mns⁴)]; at and below the edge of the bulk θ_c.
    """
    excess = observed**2 - noise**2 * (rows + columns)
    limit = 2 * math.sqrt(rows * columns) * noise**2
    excess = np.maximum(excess, limit)
    # x² − y² = (x − y)(x + y): the squares themselves cancel near the edge
    return np.sqrt((excess + np.sqrt((excess - limit) * (excess + limit))) / 2)


def overlaps(
    theta: NDArray[np.float64], noise: float, rows: int, columns: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected |⟨u, û⟩|² and |⟨v, v̂⟩|² between planted and observed singular vectors; 0 at and below θ_c.

    |⟨u, û⟩|² = 1 − s²m(θ² + s²n) / (θ²(θ² + s²m)),   |⟨v, v̂⟩|² = 1 − s²n(θ² + s²m) / (θ²(θ² + s²n)).
    """
    strength, square = theta**2, noise * noise
    tall, wide = square * rows, square * columns
    left = 1 - tall * (strength + wide) / (strength * (strength + tall))
    right = 1 - wide * (strength + tall) / (strength * (strength + wide))
    return np.maximum(left, 0.0), np.maximum(right, 0.0)
