"""The largest singular value that a change would have without structure: its own entries under random signs.

Δ∘R with independent signs R keeps every |entry|, and with it the scale of each row and column and every zero, and
destroys what is coherent. Whatever of Δ exceeds the largest σ₁ of 19 draws is structure, with p = 1/20, whether or not
all entries have one variance, which the Marchenko–Pastur edge assumes.

A dominant direction raises the null by its own energy. Directions well beyond a first null (3 draws, and the factor
1 + 2 min(m, n)^(−2/3), some three standard deviations of σ₁ of noise) are therefore taken out before the next; the
last null, on what is left, counts. Taking out what noise may show as well would lower the null of noise.

With k directions out, the rest has the energy of noise on (m − k)(n − k) of m n entries, spread over all of them, while
the noise that is left in Δ is that of an (m − k) × (n − k) matrix. σ₁ is corrected by the ratio of the two edges,
(√(m−k) + √(n−k)) / ((√m + √n) √((1 − k/m)(1 − k/n))).

σ₁ comes from the Lanczos process on AᵀA in float32. A Ritz value θ with residual r has an eigenvalue within r, so a
draw that can be the largest is iterated until r/θ ≤ 2e-3: σ₁ to 1e-3. A draw whose Ritz value gains so little that
twice the gain does not reach the largest so far is left: the error of the process falls faster than its gain.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.run.seeds import child_seed

DRAWS = 19
"""The largest of 19 draws is exceeded by a 20th with probability 0.05."""
_SCREENING = 3
_ROUNDS = 8
_MOST = 128
"""Directions that are taken out at most."""
_TOLERANCE = 1e-3
_STEPS = 80
_CHECK = 5
_CHUNK = 1 << 16
"""Elements that change their signs at a time."""
_BLOCK = 1 << 19
"""Elements multiplied at a time: few calls, and the second product still finds them in a cache."""


@attrs.frozen(kw_only=True)
class SignNull:
    """What the signed copies of a matrix say."""

    edge: float
    """Largest σ₁ of the draws; at least that, where `draws` is less than was asked for."""
    draws: int
    """Copies behind it. Fewer than asked for where no singular value exceeded the first ones."""
    removed: int
    """Directions taken out before the last draws."""


def sign_null(matrix: NDArray[np.float32], values: NDArray[np.float64], *, seed: int, draws: int = DRAWS) -> SignNull:
    """The edge that random signs give.

    Args:
        matrix: Δ (m, n), C-contiguous; it is overwritten.
        values: (k,) its singular values, descending.
        seed: of the signs and of the start vectors.
        draws: signed copies in the last round.
    """
    if matrix.shape[0] < matrix.shape[1]:
        matrix = np.ascontiguousarray(matrix.T)  # the process runs in the smaller space
    removed = 0
    margin = 1 + 2 * min(matrix.shape) ** (-2 / 3)
    most = min(_MOST, min(matrix.shape) // 2)
    for number in range(_ROUNDS):
        ratio = _correction(matrix.shape[0], matrix.shape[1], removed)
        screen = _largest(matrix.copy(), values / ratio, child_seed(seed, f"screen {number}"), min(_SCREENING, draws))
        beyond = min(int(np.count_nonzero(values > margin * ratio * screen.edge)), most)
        if beyond <= removed:
            break
        matrix = deflated(matrix, beyond - removed, child_seed(seed, f"deflate {number}"))
        removed = beyond
    ratio = _correction(matrix.shape[0], matrix.shape[1], removed)
    last = _largest(matrix, values / ratio, child_seed(seed, "null"), draws)
    return attrs.evolve(last, edge=ratio * last.edge, removed=removed)


def _correction(rows: int, columns: int, removed: int) -> float:
    """What the null of a matrix with directions taken out must be multiplied with; 1 where none are."""
    tall, wide = rows - removed, columns - removed
    spread = math.sqrt(tall / rows * wide / columns)
    return (math.sqrt(tall) + math.sqrt(wide)) / ((math.sqrt(rows) + math.sqrt(columns)) * spread)


def _largest(buffer: NDArray[np.float32], values: NDArray[np.float64], seed: int, draws: int) -> SignNull:
    """The largest σ₁ of copies under random signs; `buffer` holds one after another."""
    edge = 0.0
    for number in range(draws):
        generator = np.random.Generator(np.random.SFC64(child_seed(seed, str(number))))
        # signs on top of the last draw's signs are as random as any
        _flip(buffer, generator)
        edge = max(edge, _norm(buffer, generator, edge))
        if edge >= values[0]:
            return SignNull(edge=edge, draws=number + 1, removed=0)
    return SignNull(edge=edge, draws=draws, removed=0)


def _flip(matrix: NDArray[np.float32], generator: np.random.Generator) -> None:
    """Negates each entry with probability ½, in place: one random bit is added to each sign bit."""
    words = matrix.reshape(-1).view(np.uint32)
    for start in range(0, words.size, _CHUNK):
        part = words[start : start + _CHUNK]
        packed = np.frombuffer(generator.bytes((part.size + 7) // 8), dtype=np.uint8)
        bits = np.unpackbits(packed, count=part.size).astype(np.uint32)
        np.left_shift(bits, np.uint32(31), out=bits)
        np.bitwise_xor(part, bits, out=part)


def _norm(matrix: NDArray[np.float32], generator: np.random.Generator, floor: float) -> float:
    """σ₁ of a tall matrix to 1e-3 if it exceeds `floor`, else a lower bound that does not."""
    order = matrix.shape[1]
    steps = min(_STEPS, order)
    basis = np.empty((steps, order), dtype=np.float32)
    diagonal: list[float] = []
    off: list[float] = []
    start = generator.standard_normal(order, dtype=np.float32)
    vector: NDArray[Any] = np.asarray(start / np.linalg.norm(start))
    before = 0.0
    for step in range(steps):
        basis[step] = vector
        image = _image(matrix, vector)
        diagonal.append(float(vector @ image))
        known = basis[: step + 1]
        for _ in range(2):  # once is not enough in float32
            image -= (known @ image) @ known
        length = float(np.linalg.norm(image))
        last = step + 1 == steps or length <= 1e-6 * max(diagonal)
        if last or (step + 1) % _CHECK == 0:
            ritz, weight = _ritz(diagonal, off)
            if last or length * weight <= 2 * _TOLERANCE * ritz:
                return math.sqrt(ritz)
            largest = math.sqrt(ritz)
            if step + 1 > _CHECK and largest + 2 * (largest - before) < floor:
                return largest
            before = largest
        off.append(length)
        vector = image / np.float32(length)
    return before


def _image(matrix: NDArray[np.float32], vector: NDArray[Any]) -> NDArray[Any]:
    """AᵀA v by blocks of rows, each of which is read from memory once for both products."""
    image = np.zeros(matrix.shape[1], dtype=np.float32)
    step = max(1, _BLOCK // matrix.shape[1])
    for start in range(0, matrix.shape[0], step):
        block = matrix[start : start + step]
        image += (block @ vector) @ block
    return image


def _ritz(diagonal: list[float], off: list[float]) -> tuple[float, float]:
    """Largest eigenvalue of the tridiagonal matrix, and the last entry of its vector."""
    tridiagonal = np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1)
    values, vectors = np.linalg.eigh(tridiagonal)
    return max(float(values[-1]), 0.0), abs(float(vectors[-1, -1]))


def deflated(matrix: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """The matrix without its `count` leading directions: A − A V Vᵀ, V (n, count) from subspace iteration."""
    wide = matrix.shape[1] > matrix.shape[0]
    if wide:
        matrix = np.ascontiguousarray(matrix.T)
    generator = np.random.default_rng(seed)
    width = min(count + 8, matrix.shape[1])
    basis: NDArray[Any] = generator.standard_normal((matrix.shape[1], width), dtype=np.float32)
    for _ in range(4):
        basis = np.linalg.qr(matrix.T @ (matrix @ basis))[0]
    image = matrix @ basis  # (m, width): Rayleigh–Ritz
    vectors = np.linalg.svd(image, full_matrices=False)[2][:count].T  # (width, count)
    leading = basis @ vectors
    matrix = matrix - (image @ vectors) @ leading.T
    return np.ascontiguousarray(matrix.T) if wide else matrix
