"""How varied texts are, within a prompt and across prompts, at a fixed budget of tokens.

Every function takes one side's texts alone; no number changes with the other model's data. Texts come as sequences of
tokens (words, or token ids), each cut to its first `budget` tokens, since longer texts repeat themselves more.

    EAD_n        D/(V (1 − ((V − 1)/V)^C))      D distinct among C n-grams, V the vocabulary; arXiv 2202.13587
    similarity   mean over pairs of texts of the cosine of their n-gram counts, by |Σu|² and never pair by pair
    Vendi        exp(H(eigenvalues of K/n)), K_ii = 1: the effective number of different texts; arXiv 2210.02410
    compression  bytes/bytes after DEFLATE
    loops        share of tokens that repeat a block of up to 64 tokens for at least the third time in a row
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from afterburn_core.stats.entropy import entropy_of_counts

Tokens = Sequence[Hashable]
_LONGEST_PERIOD = 64
_SHORTEST_LOOP = 12  # tokens of repetition: "ha ha ha" and rows of zeros in a table are no loops


def ngrams(tokens: Tokens, n: int) -> list[tuple[Hashable, ...]]:
    """The n-grams in order; none where there are fewer than n tokens."""
    return list(zip(*(tokens[i:] for i in range(n)))) if len(tokens) >= n else []


def ead(texts: Iterable[Tokens], *, n: int, vocabulary: int, budget: int) -> float | None:
    """Expectation-adjusted distinct n-grams of the texts' first tokens taken together.

    Args:
        texts: tokens of each text; n-grams do not reach from one into the next.
        n: order of the n-grams.
        vocabulary: V, the size of the tokenizer's vocabulary (or of the language's): fixed, never counted in the data.
        budget: n-grams that are drawn, text after text, so that every side is measured on equally many.

    Returns:
        `None` where the texts have fewer n-grams than the budget.
    """
    if vocabulary < 2 or n < 1 or budget < 1:
        raise ValueError("ead: a vocabulary of at least 2, n and a budget of at least 1")
    seen: set[tuple[Hashable, ...]] = set()
    left = budget
    for tokens in texts:
        grams = ngrams(tokens, n)[:left]
        seen.update(grams)
        left -= len(grams)
        if not left:
            break
    if left:
        return None
    expected = -vocabulary * float(np.expm1(budget * np.log1p(-1 / vocabulary)))  # V (1 − (1 − 1/V)^C)
    return len(seen) / expected


def self_similarity(texts: Sequence[Tokens], *, n: int = 2, budget: int = 100) -> float | None:
    """Mean cosine of the n-gram counts over all pairs of one prompt's texts, in [0, 1]; `None` for fewer than two.

    Texts without an n-gram resemble each other fully and everything else not at all.
    """
    rows = _directions(texts, n, budget)
    return None if len(texts) < 2 else _mean_cosine(rows, np.arange(len(texts)))


def cross_similarity(prompts: Sequence[Sequence[Tokens]], *, n: int = 2, budget: int = 100) -> float | None:
    """The same over all pairs of texts from different prompts; `None` for fewer than two prompts with texts."""
    texts = [tokens for prompt in prompts for tokens in prompt]
    owner = np.repeat(np.arange(len(prompts)), [len(prompt) for prompt in prompts])
    if len(set(owner.tolist())) < 2:
        return None
    return _mean_cosine(_directions(texts, n, budget), owner)


def _directions(
    texts: Sequence[Tokens], n: int, budget: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """n-gram counts of each text at unit length, as (text, n-gram, value)."""
    known: dict[Hashable, int] = {}
    row: list[int] = []
    column: list[int] = []
    for i, tokens in enumerate(texts):
        grams = ngrams(tokens[:budget], n) or [("",) * n]
        row += [i] * len(grams)
        column += [known.setdefault(gram, len(known)) for gram in grams]
    width = max(len(known), 1)
    cells, counts = np.unique(
        np.array(row, dtype=np.int64) * width + np.array(column, dtype=np.int64), return_counts=True
    )
    rows, columns = np.divmod(cells, width)
    lengths = np.sqrt(np.bincount(rows, weights=counts.astype(np.float64) ** 2, minlength=len(texts)))
    return rows, columns, counts / lengths[rows]


def _mean_cosine(
    entries: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]], owner: NDArray[np.int64]
) -> float:
    """Mean over pairs of texts with different owners: (|Σ_i u_i|² − Σ_o |Σ_{i of o} u_i|²)/pairs."""
    rows, columns, values = entries
    width = int(columns.max(initial=0)) + 1
    total = np.bincount(columns, weights=values)
    _, place = np.unique(owner[rows] * width + columns, return_inverse=True)
    own = np.bincount(place, weights=values)
    sizes = np.bincount(owner).astype(np.float64)
    pairs = sizes.sum() ** 2 - np.sum(sizes**2)
    mean = float((np.sum(total**2) - np.sum(own**2)) / pairs)
    return min(max(mean, 0.0), 1.0)


def vendi(kernel: ArrayLike) -> float:
    """Vendi score of a positive semi-definite kernel with ones on the diagonal, (n, n): between 1 and n.

    Raises:
        ValueError: The matrix is empty or its diagonal is not 1.
    """
    k = np.asarray(kernel, dtype=np.float64)
    if not k.size or not np.allclose(np.diag(k), 1, atol=1e-6):
        raise ValueError("the Vendi score needs a kernel with ones on its diagonal")
    values = np.maximum(np.linalg.eigvalsh(k / len(k)), 0.0)
    values = values[values > 1e-15]
    values /= values.sum()
    return float(np.exp(-np.sum(values * np.log(values))))


def cosine_kernel(embeddings: ArrayLike) -> NDArray[np.float64]:
    """Cosines of the rows, (n, n), with ones on the diagonal; a kernel for `vendi`. Rows of zeros are like nothing."""
    x = np.asarray(embeddings, dtype=np.float64)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    unit = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
    kernel = unit @ unit.T
    np.fill_diagonal(kernel, 1.0)
    return np.asarray(kernel)


def compression_ratio(texts: Iterable[str], *, budget: int = 20_000) -> float | None:
    """Size of the first `budget` bytes of the joined texts over their size after DEFLATE; `None` where they are fewer.

    Larger is more repetitive. Zlib's level is fixed; builds of zlib may differ in the last per cent.
    """
    raw = "\n".join(texts).encode("utf-8", "surrogatepass")[:budget]
    return None if len(raw) < budget else len(raw) / len(zlib.compress(raw, 9))


def prefixes(texts: Iterable[Tokens], k: int) -> list[tuple[Hashable, ...]]:
    """First k tokens of each text; a text that ends before is its own shorter prefix."""
    return [tuple(tokens[:k]) for tokens in texts]


def prefix_entropy(texts: Sequence[Tokens], k: int) -> float | None:
    """Miller–Madow entropy in nats of the first k tokens over texts; `None` without texts."""
    if not texts:
        return None
    counts: dict[Hashable, int] = {}
    for prefix in prefixes(texts, k):
        counts[prefix] = counts.get(prefix, 0) + 1
    return float(entropy_of_counts(list(counts.values())))


def loop_share(tokens: Tokens) -> float:
    """Share of the tokens of one text that are caught in a loop; 0 for a text without loops.

    A token is caught where it belongs to a run of at least two equal repetitions after the first block (three blocks in
    all) that repeats at least 12 tokens; the first block does not count.
    """
    n = len(tokens)
    if n < _SHORTEST_LOOP:
        return 0.0
    known: dict[Hashable, int] = {}
    codes = np.array([known.setdefault(token, len(known)) for token in tokens], dtype=np.int64)
    caught = np.zeros(n, dtype=bool)
    for period in range(1, min(_LONGEST_PERIOD, n // 3) + 1):
        equal = np.concatenate([[False], codes[period:] == codes[:-period], [False]])
        edges = np.flatnonzero(equal[1:] != equal[:-1])
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist()):
            if end - start >= max(2 * period, _SHORTEST_LOOP):
                caught[start + period : end + period] = True
    return float(caught.mean())
