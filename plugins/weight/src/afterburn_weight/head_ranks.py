"""Ranks of what changed in one head, and what they are for a change without structure.

With σ the singular values of a head's ΔW_h (d_h × D), from the eigenvalues of its d_h × d_h Gram matrix:

    stable rank      Σσ² / σ₁²
    effective rank   exp(−Σ p ln p),  p = σ² / Σσ²        (Roy & Vetterli, The effective rank, EUSIPCO 2007)
    used rank        #{σ > s (√d_h + √D)},  s the root mean square rounding step of the stored dtype

The null is a matrix of the same shape with independent normal entries, its rows scaled by the gains of the norm that
follows, where there is one. Its Gram matrix is drawn by Bartlett's decomposition: LLᵀ with L lower triangular, standard
normal below the diagonal and √χ²(D − i) on it (i from 0).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DRAWS = 99
_BITS = {"F64": 53, "F32": 24, "F16": 11, "BF16": 8}
_EXPONENT = np.uint64(0x7FF0_0000_0000_0000)
_FLOOR = 2 * 2.0**-26.5
"""Times d_h^¼: what a Gram matrix in float64 resolves of the largest singular value, see `run.spectra.floor_of`."""


@attrs.frozen(kw_only=True, eq=False)
class Ranks:
    """One number per matrix."""

    stable: Array
    effective: Array


def singular_values(gram: Array) -> Array:
    """Singular values, descending, from Gram matrices (…, d, d); those that are not resolved are 0."""
    values = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))[..., ::-1]
    resolved: Array = np.where(values > _FLOOR * values.shape[-1] ** 0.25 * values[..., :1], values, 0.0)
    return resolved


def ranks(values: Array) -> Ranks:
    """Stable and effective rank of descending singular values (…, d), of which the first is not 0."""
    squares = np.square(values / values[..., :1])
    total = squares.sum(-1, keepdims=True)
    shares = squares / total
    logarithms = np.log(np.where(shares > 0, shares, 1.0))
    return Ranks(stable=total[..., 0], effective=np.exp(-(shares * logarithms).sum(-1)))


def used_rank(values: Array, columns: int, steps: Array) -> Array:
    """How many singular values stand above the largest that rounding alone gives.

    Args:
        values: (heads, d_h), descending.
        columns: D.
        steps: (heads,) root mean square rounding step of an entry; 0 for a change known exactly.
    """
    width = values.shape[-1]
    edge = np.maximum(steps * (math.sqrt(width) + math.sqrt(columns)), _FLOOR * width**0.25 * values[..., 0])
    used: Array = (values > edge[..., None]).sum(-1).astype(np.float64)
    return used


def rounding_steps(weights: Array, dtype: str) -> Array:
    """√mean(ulp²/12) over each head's entries (heads, d_h, D); ulp is the spacing of the stored dtype at the entry."""
    bits = _BITS.get(dtype, 24)
    # a float64 without its mantissa is the power of two below it; the spacing lies `bits` − 1 below that
    powers = (np.ascontiguousarray(weights).view(np.uint64) & _EXPONENT).view(np.float64)
    squares = np.einsum("hij,hij->h", powers, powers) / powers[0].size
    steps: Array = np.sqrt(squares / 12) * 2.0 ** (1 - bits)
    return steps


def gaussian_ranks(rows: int, columns: int, seed: int, gains: Array | None = None) -> Ranks:
    """Ranks of `DRAWS` matrices with independent normal entries and rows scaled by `gains` (rows,)."""
    if gains is None:
        return _plain(rows, columns, seed)
    gram = _wisharts(rows, columns, seed) * (gains[:, None] * gains[None, :])
    return ranks(singular_values(gram))


@lru_cache(maxsize=16)
def _plain(rows: int, columns: int, seed: int) -> Ranks:
    return ranks(singular_values(_wisharts(rows, columns, seed)))


@lru_cache(maxsize=4)
def _wisharts(rows: int, columns: int, seed: int) -> Array:
    """(draws, rows, rows)"""
    generator = np.random.default_rng((seed, rows, columns))
    if columns < rows:
        drawn = generator.standard_normal((DRAWS, rows, columns))
    else:
        drawn = np.tril(generator.standard_normal((DRAWS, rows, rows)), -1)
        diagonal = np.arange(rows)
        drawn[:, diagonal, diagonal] = np.sqrt(generator.chisquare(columns - diagonal, (DRAWS, rows)))
    gram: Array = drawn @ np.swapaxes(drawn, 1, 2)
    return gram
