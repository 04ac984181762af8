"""Did anything change? Maximum mean discrepancy of the answers, tested by permutation inside each prompt.

For prompt i with samples x_1 … x_K of trained and y_1 … y_M of base (Model Equality Testing, arXiv 2410.20247):

    MMD²_i = Σ_{a≠b} k(x_a, x_b)/(K(K − 1)) + Σ_{a≠b} k(y_a, y_b)/(M(M − 1)) − 2 Σ_{a,b} k(x_a, y_b)/(K M)
    T = mean_i MMD²_i,      p = (1 + #{T_b ≥ T})/(B + 1)

Kernels: Hamming on the first L tokens, k(x, y) = #{l ≤ L : x_l = y_l}/L, where padding counts as a token; or
exp(−‖x − y‖²/(2σ²)) on embeddings, σ the median distance within prompts over both sides, which no label enters.

Two permutation groups:

- *free*: the labels of a prompt's K + M samples in any order. Exact where all samples are independent. Where samples
  of equal index share a seed on both sides, equal models pair up, T is lower than its null, and the test is
  conservative; equal texts give p = 1.
- *paired* (`shared_seeds`): the labels of x_a and y_a alone are swapped, for each a. Exact with and without shared
  seeds. Statistic: the cross terms leave out a = b, so that it has mean 0 under shared seeds as well,

      T_i = Σ_{a≠b} ε_a ε_b h_ab/(K(K − 1)),   h_ab = k(x_a, x_b) + k(y_a, y_b) − k(x_a, y_b) − k(x_b, y_a),   ε_a = ±1
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from afterburn_core.result.model import Interval, Test
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.intervals import t_interval

_TIE = 1e-12
_CELLS = 4_000_000  # cells of the largest intermediate array


@attrs.frozen(kw_only=True)
class Discrepancy:
    """The omnibus contrast, with the prompts that carry it."""

    contrast: Contrast
    """Mean MMD² over prompts, its interval over prompts and its permutation p value."""
    per_prompt: NDArray[np.float64] = attrs.field(eq=False, repr=False)
    """MMD² of each prompt that counts, in the order of `used`."""
    used: tuple[int, ...] = attrs.field(repr=False)
    """Positions of the prompts that count."""
    dropped: int
    """Prompts with fewer than two samples on a side."""


def hamming_kernel(samples: Sequence[Sequence[Hashable]], length: int = 50) -> NDArray[np.float64]:
    """Share of equal tokens among the first `length`, (m, m); what follows the end counts as one more token.

    Args:
        samples: tokens, or words where nobody recorded tokens.
        length: L.
    """
    known: dict[Hashable, int] = {}
    codes = np.full((len(samples), length), -1, dtype=np.int64)
    for row, sample in enumerate(samples):
        for column, token in enumerate(sample[:length]):
            codes[row, column] = known.setdefault(token, len(known))
    return np.asarray((codes[:, None, :] == codes[None, :, :]).mean(axis=2))


def rbf_kernels(embeddings: Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    """Gaussian kernel matrices of each prompt's samples, with one bandwidth for all: the median distance in prompts.

    Args:
        embeddings: for each prompt (m_i, d), base's samples first.
    """
    squares = []
    for block in embeddings:
        x = np.asarray(block, dtype=np.float64)
        norms = np.sum(x * x, axis=1)
        squares.append(np.maximum(norms[:, None] + norms[None, :] - 2 * (x @ x.T), 0.0))
    off = [s[np.triu_indices(len(s), 1)] for s in squares]
    distances = np.sqrt(np.concatenate(off)) if off else np.zeros(0)
    positive = distances[distances > 0]
    sigma = float(np.median(positive)) if positive.size else 1.0
    return [np.exp(-s / (2 * sigma * sigma)) for s in squares]


def mmd_on_tokens(
    base: Sequence[Sequence[Sequence[Hashable]]],
    trained: Sequence[Sequence[Sequence[Hashable]]],
    *,
    seed: int,
    length: int = 50,
    permutations: int = 499,
    shared_seeds: bool = False,
    level: float = 0.95,
) -> Discrepancy:
    """The test with the Hamming kernel.

    Args:
        base: for each prompt, for each sample, its tokens or words.
        trained: the same prompts in the same order.
        seed: of the permutations.
        length: tokens that count.
        permutations: B.
        shared_seeds: whether samples of equal index were drawn with equal seeds on both sides.
        level: of the interval.

    Raises:
        ValueError: The sides differ in their number of prompts.
    """
    if len(base) != len(trained):
        raise ValueError("the same prompts on both sides: the two differ in length")
    kernels = [hamming_kernel([*b, *t], length) for b, t in zip(base, trained)]
    sizes = [(len(b), len(t)) for b, t in zip(base, trained)]
    return mmd(kernels, sizes, seed=seed, permutations=permutations, shared_seeds=shared_seeds, level=level)


def mmd(
    kernels: Sequence[NDArray[np.float64]],
    sizes: Sequence[tuple[int, int]],
    *,
    seed: int,
    permutations: int = 499,
    shared_seeds: bool = False,
    level: float = 0.95,
) -> Discrepancy:
    """The test on given kernel matrices.

    Args:
        kernels: for each prompt the matrix of all its samples, base's first, (M + K, M + K).
        sizes: for each prompt the samples of base and of trained, (M, K).
        seed: of the permutations.
        permutations: B.
        shared_seeds: see `mmd_on_tokens`; with unequal numbers of samples the surplus is left out.
        level: of the interval.

    Returns:
        A contrast without estimate where no prompt has two samples on both sides.
    """
    used = tuple(i for i, (m, k) in enumerate(sizes) if min(m, k) >= 2)
    dropped = len(sizes) - len(used)
    if not used:
        why = "no prompt has two samples on each side; the classifier test needs only one"
        return Discrepancy(contrast=undefined(why), per_prompt=np.zeros(0), used=(), dropped=dropped)
    rng = np.random.default_rng(seed)
    observed = np.zeros(len(used))
    drawn = np.zeros(permutations)
    alike: dict[tuple[int, int], list[int]] = {}
    oriented = []
    for position, i in enumerate(used):
        kernel, size = _oriented(np.asarray(kernels[i], dtype=np.float64), sizes[i])
        oriented.append(kernel)
        alike.setdefault(size, []).append(position)
    statistic = _paired if shared_seeds else _free
    for size in sorted(alike):
        positions = alike[size]
        width = max(1, _CELLS // (permutations * sum(size)))
        for start in range(0, len(positions), width):
            part = positions[start : start + width]
            stack = np.stack([oriented[p] for p in part])
            observed[part], sums = statistic(stack, size, permutations, rng)
            drawn += sums
    value = float(observed.mean())
    identical = all(_same(kernels[i], sizes[i]) for i in used)
    extreme = int(np.count_nonzero(drawn / len(used) >= value - _TIE))
    test = Test(
        name="mmd_paired_permutation" if shared_seeds else "mmd_permutation",
        p_value=1.0 if identical else (1 + extreme) / (permutations + 1),
        statistic=0.0 if identical else value,
    )
    return Discrepancy(
        contrast=Contrast(
            n=len(used),
            estimate=0.0 if identical else value,
            interval=_interval(observed, identical, level),
            test=test,
            reason=f"left out: {dropped} prompts with fewer than two samples on a side" if dropped else None,
        ),
        per_prompt=np.zeros(len(used)) if identical else observed,
        used=used,
        dropped=dropped,
    )


def _oriented(kernel: NDArray[np.float64], size: tuple[int, int]) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """The matrix with a side first that does not depend on which is called base: swapped sides draw the same p."""
    m, k = size
    if (m, kernel[:m, :m].tobytes()) <= (k, kernel[m:, m:].tobytes()):
        return kernel, size
    order = np.roll(np.arange(m + k), k)
    return kernel[np.ix_(order, order)], (k, m)


def _same(kernel: NDArray[np.float64], size: tuple[int, int]) -> bool:
    """Whether sample a of base and sample a of trained are the same to the kernel, for every a."""
    m, k = size
    return m == k and bool(np.array_equal(kernel[:m], kernel[m:]))


def _interval(observed: NDArray[np.float64], identical: bool, level: float) -> Interval | None:
    if identical:
        return Interval(low=0.0, high=0.0, level=level, method="identical")
    if observed.size < 2:
        return None
    error = float(observed.std(ddof=1)) / np.sqrt(observed.size)
    low, high = t_interval(float(observed.mean()), error, observed.size - 1, level=level)
    return Interval(low=float(low), high=float(high), level=level, method="t")


def _free(
    kernels: NDArray[np.float64], size: tuple[int, int], permutations: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """MMD² of each prompt, (P,), and its sum over prompts under each relabelling, (B,)."""
    m, k = size
    bare = kernels.copy()
    bare[:, np.arange(m + k), np.arange(m + k)] = 0
    rows = bare.sum(axis=2)  # (P, m + k)
    total = rows.sum(axis=1)
    trained = np.zeros((len(kernels), permutations + 1, m + k))
    trained[:, 0, m:] = 1
    # the k smallest of m + k random numbers: a uniform choice of k samples
    ranks = np.argsort(rng.random((len(kernels), permutations, m + k)), axis=2)
    np.put_along_axis(trained[:, 1:], ranks[:, :, :k], 1.0, axis=2)
    within = np.einsum("pbs,pbs->pb", trained @ bare, trained)  # Σ over pairs of trained
    leaving = np.einsum("pbs,ps->pb", trained, rows)  # Σ from trained to all others
    across = leaving - within
    rest = total[:, None] - 2 * leaving + within
    values = within / (k * (k - 1)) + rest / (m * (m - 1)) - 2 * across / (m * k)
    return values[:, 0], values[:, 1:].sum(axis=0)


def _paired(
    kernels: NDArray[np.float64], size: tuple[int, int], permutations: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same with swaps of equal indices alone."""
    m, k = size
    pairs = min(m, k)
    base, trained = slice(0, pairs), slice(m, m + pairs)
    cross = kernels[:, trained, base]
    h = kernels[:, trained, trained] + kernels[:, base, base] - cross - cross.transpose(0, 2, 1)
    h[:, np.arange(pairs), np.arange(pairs)] = 0
    scale = pairs * (pairs - 1)
    signs = rng.integers(0, 2, size=(len(kernels), permutations, pairs)) * 2.0 - 1
    drawn = np.einsum("pbs,pbs->b", signs @ h, signs) / scale
    return h.sum(axis=(1, 2)) / scale, drawn
