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
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs
import numpy as np

from afterburn_core.result.model import Null

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


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
    null = np.array([_statistics(gram) for gram in _random_grams(count, dimensions, draws, generator)])
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
    one another is random. Only the span of the readers is turned: with readers = C F, F an orthonormal frame of r ≤ M
    rows, a random rotation of F is the Q factor of a Gaussian matrix.
    """
    value = float(np.abs(writers @ readers.T).mean())
    _, singular, frame = np.linalg.svd(readers, full_matrices=False)
    frame = frame[singular > 1e-9 * singular[0]]  # (r, d)
    coordinates = readers @ frame.T  # (M, r)
    generator = np.random.default_rng((seed, *readers.shape))
    null = []
    for _ in range(draws):
        turned, triangle = np.linalg.qr(generator.standard_normal((readers.shape[1], len(frame))))
        turned *= np.sign(np.diag(triangle))  # (d, r), uniform over frames
        null.append(float(np.abs((writers @ turned) @ coordinates.T).mean()))
    return value, _above(np.array(null), value, "random_rotation")


def common_direction(vectors: Array) -> Array:
    """The unit eigenvector of Σ u uᵀ with the largest eigenvalue."""
    direction: Array = np.linalg.svd(vectors, full_matrices=False)[2][0]
    return oriented(direction)


def oriented(vector: Array) -> Array:
    """The vector or its negative, whichever has its largest entry positive; a singular vector has no sign of its own."""
    turned: Array = vector * (1.0 if vector[np.argmax(np.abs(vector))] >= 0 else -1.0)
    return turned


def _statistics(gram: Array) -> tuple[float, float]:
    count = len(gram)
    largest = float(np.linalg.eigvalsh(gram)[-1]) / count
    pairs = np.abs(gram[np.triu_indices(count, 1)])
    return min(largest, 1.0), min(float(pairs.mean()), 1.0)


def _random_grams(count: int, dimensions: int, draws: int, generator: np.random.Generator) -> Iterator[Array]:
    for _ in range(draws):
        if count > dimensions:
            factor = generator.standard_normal((count, dimensions))
        else:
            factor = np.tril(generator.standard_normal((count, count)), -1)
            np.fill_diagonal(factor, np.sqrt(generator.chisquare(dimensions - np.arange(count))))
        factor /= np.linalg.norm(factor, axis=1, keepdims=True)
        yield factor @ factor.T


def _above(null: Array, value: float, control: str) -> Null:
    """Where a value lies among the null's; large ones are the extreme ones."""
    draws = len(null)
    slack = 1e-12  # equal up to rounding is equal
    as_large, within = int((null >= value - slack).sum()), int((null <= value + slack).sum())
    return Null(control=control, n=draws, quantile=within / draws, p_value=(1 + as_large) / (1 + draws))
