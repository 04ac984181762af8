"""How far a set of unit vectors points one way, and what random ones do.

For N unit vectors u in d dimensions, signs without meaning:

    coherence     λ_max of (1/N) Σ u uᵀ            1 where all are one line, about (1 + √(N/d))² / N at random
    mean cosine   mean |⟨u_i, u_j⟩| over i < j     √(2/(πd)) at random

The first expectation is the Marchenko–Pastur edge; the second is the mean |cos| for large d. Both depend only on the
N × N Gram matrix. That of random directions is drawn by Bartlett's decomposition of a Wishart matrix, its diagonal
normalised to 1, which is exact and costs nothing for large d.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import attrs
import numpy as np

from afterburn_core.result.model import Null

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_TOGETHER = 32
"""Random sets whose eigenvalues are found in one call."""


@attrs.frozen(kw_only=True)
class Coherence:
    """One set of directions against random ones."""

    value: float
    value_null: Null
    cosine: float
    cosine_null: Null
    count: int
    dimensions: int


def coherence(vectors: Array, *, draws: int, seed: int) -> Coherence:
    """Coherence and mean |cos| of unit vectors (N, d), N ≥ 2, with their place among `draws` random sets."""
    count, dimensions = vectors.shape
    value, cosine = _statistics(vectors @ vectors.T)
    generator = np.random.default_rng((seed, count, dimensions))
    grams = _random_grams(count, dimensions, draws, generator)
    with ThreadPoolExecutor(max_workers=1) as pool:  # draws the next sets while LAPACK is at the last
        stacks = iter(lambda: list(islice(grams, _TOGETHER)), [])
        null = np.concatenate(list(pool.map(_stack_statistics, stacks)))
    return Coherence(
        value=value,
        value_null=_above(null[:, 0], value, "random_directions"),
        cosine=cosine,
        cosine_null=_above(null[:, 1], cosine, "random_directions"),
        count=count,
        dimensions=dimensions,
    )


def expected_coherence(count: int, dimensions: int) -> float:
    """(1 + √(N/d))² / N, at most 1."""
    return min(1.0, (1 + math.sqrt(count / dimensions)) ** 2 / count)


def expected_cosine(dimensions: int) -> float:
    """√(2/(πd)), at most 1."""
    return min(1.0, math.sqrt(2 / (math.pi * dimensions)))


def cross_cosine(writers: Array, readers: Array, *, draws: int, seed: int) -> tuple[float, Null]:
    """Mean |cos| between all writers (N, d) and all readers (M, d), and its place among random rotations.

    The null turns all readers together by a random rotation: each set keeps its own coherence, and only how they lie to
    one another is random. With writers = A E and readers = C F, E and F orthonormal frames of n and r rows, cosines are
    A (E Qᵀ) Cᵀ for a random frame Q of r rows, of which only the part E Qᵀ (n, r) is drawn.
    """
    value = float(np.abs(writers @ readers.T).mean())
    (left, rows), (right, columns) = _framed(writers), _framed(readers)
    generator = np.random.default_rng((seed, *readers.shape))
    parts = _rotations(rows, columns, writers.shape[1], draws, generator)
    null = np.array([float(np.abs(left @ part @ right.T).mean()) for part in parts])
    return value, _above(null, value, "random_rotation")


def _framed(vectors: Array) -> tuple[Array, int]:
    """Coordinates (N, r) in an orthonormal frame of the span, and its dimension r."""
    triangle: Array = np.asarray(np.linalg.qr(vectors.T, mode="r"))  # far fewer columns, equal singular values
    left, singular, _ = np.linalg.svd(triangle.T, full_matrices=False)
    rank = int((singular > 1e-9 * singular[0]).sum())
    return left[:, :rank] * singular[:rank], rank


def _rotations(rows: int, columns: int, dimensions: int, draws: int, generator: np.random.Generator) -> Iterator[Array]:
    """The first `rows` rows of random orthonormal columns (dimensions, columns).

    Q = G L⁻ᵀ with G normal and GᵀG = LLᵀ. The other rows of G enter through their Gram matrix alone, a Wishart matrix.
    """
    rest = dimensions - rows
    for _ in range(draws):
        first = generator.standard_normal((rows, columns))
        if rest >= columns:
            factor = _bartlett(columns, rest, generator)
            gram = first.T @ first + factor @ factor.T
        else:
            other = generator.standard_normal((rest, columns))
            gram = first.T @ first + other.T @ other
        yield np.linalg.solve(np.linalg.cholesky(gram), first.T).T


def _bartlett(order: int, freedom: int, generator: np.random.Generator) -> Array:
    """Lower triangular L with LLᵀ a Wishart matrix of this order and at least as many degrees of freedom."""
    factor = np.tril(generator.standard_normal((order, order)), -1)
    np.fill_diagonal(factor, np.sqrt(generator.chisquare(freedom - np.arange(order))))
    return factor


def common_direction(vectors: Array) -> Array:
    """The unit eigenvector of Σ u uᵀ with the largest eigenvalue."""
    weights = np.linalg.eigh(vectors @ vectors.T)[1][:, -1]  # of N × N: the vectors are fewer than they are long
    direction: Array = weights @ vectors
    direction /= np.linalg.norm(direction)
    return oriented(direction)


def oriented(vector: Array) -> Array:
    """The vector or its negative, whichever has its largest entry positive, as singular vectors have no sign."""
    turned: Array = vector * (1.0 if vector[np.argmax(np.abs(vector))] >= 0 else -1.0)
    return turned


def _statistics(gram: Array) -> tuple[float, float]:
    coherent, cosine = _stack_statistics([gram])[0]
    return float(coherent), float(cosine)


def _stack_statistics(grams: Sequence[Array]) -> Array:
    """(B, 2): coherence and mean |cos| of each of B Gram matrices."""
    stack = np.stack(grams)
    count = stack.shape[1]
    largest = np.linalg.eigvalsh(stack)[:, -1] / count
    sums = np.abs(stack).sum(axis=(1, 2)) - np.abs(np.diagonal(stack, axis1=1, axis2=2)).sum(axis=1)
    found: Array = np.minimum(np.stack([largest, sums / (count * (count - 1))], axis=1), 1.0)
    return found


def _random_grams(count: int, dimensions: int, draws: int, generator: np.random.Generator) -> Iterator[Array]:
    for _ in range(draws):
        if count > dimensions:
            factor = generator.standard_normal((count, dimensions))
        else:
            factor = _bartlett(count, dimensions, generator)
        factor /= np.linalg.norm(factor, axis=1, keepdims=True)
        yield factor @ factor.T


def _above(null: Array, value: float, control: str) -> Null:
    """Where a value lies among the null's; large ones are the extreme ones."""
    draws = len(null)
    slack = 1e-12  # equal up to rounding is equal
    as_large, within = int((null >= value - slack).sum()), int((null <= value + slack).sum())
    return Null(control=control, n=draws, quantile=within / draws, p_value=(1 + as_large) / (1 + draws))
