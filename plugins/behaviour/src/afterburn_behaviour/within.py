"""Diversity among a prompt's own samples, at a fixed budget of words.

With the first m samples of a side, m the smaller number of samples of the two sides where both are compared:

    distinct_n       E[D_c] / (V (1 − (1 − 1/V)^c))     D_c distinct n-grams among c drawn from the C of all m samples;
                                                        E[D_c] = Σ_g 1 − C(C − c_g, c)/C(C, c), the rarefaction curve
    self_similarity  mean over pairs of |A ∩ B|/|A ∪ B|, A and B the sets of words and word pairs of two samples
    vendi            exp(−Σ λ ln λ), λ the eigenvalues of that matrix of similarities divided by m
    duplicates       share of pairs of samples with equal words
    compression      bytes after DEFLATE / bytes, of each text cut to the same number of bytes
    loops            share of samples caught in a loop (`stats.diversity.loop_share` above 0)

The same c and m on both sides make contrasts free of length. Sources: distinct_n expectation-adjusted as in Rethinking
and Refining the Distinct Metric, arXiv 2202.13587, with V fixed; vendi: The Vendi Score, arXiv 2210.02410.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import gammaln

from afterburn_behaviour.ngrams import LONGEST, grams, jaccard, tokens
from afterburn_core.stats.diversity import loop_share

Floats = NDArray[np.float64]
Texts = Sequence[Sequence[str]]
"""Samples by prompt."""
VOCABULARY = 50_000
"""V: a constant, so that no number depends on the other model's or tokenizer's."""
_FEWEST_BYTES = 200
_MOST_BYTES = 2048
_MOST_WORDS = 4096
_RUN = 5
_LOOPING = 12


def expectation_adjusted(distinct: Floats, drawn: Floats) -> Floats:
    """Distinct n-grams over the number expected of `drawn` uniform draws from V kinds; NaN without a draw."""
    expected = VOCABULARY * -np.expm1(drawn * np.log1p(-1 / VOCABULARY))
    return np.asarray(np.divide(distinct, expected, out=np.full(np.shape(distinct), np.nan), where=drawn > 0))


def rarefied(groups: NDArray[np.int64], kinds: NDArray[np.int64], drawn: NDArray[np.int64]) -> Floats:
    """Expected distinct kinds among `drawn[g]` of the occurrences of each group, drawn without replacement.

    Args:
        groups: group of each occurrence, below len(drawn); (occurrences,).
        kinds: kind of each occurrence; (occurrences,).
        drawn: how many are drawn of each group, at most as many as it has; (groups,).
    """
    width = int(kinds.max()) + 1 if kinds.size else 1
    pairs, counts = np.unique(groups * width + kinds, return_counts=True)
    group = pairs // width
    total = np.bincount(groups, minlength=drawn.size)
    c, draw = total[group].astype(np.float64), drawn[group].astype(np.float64)
    rest = c - counts
    # ln of C(C − c_g, c)/C(C, c), which is 0 where fewer than c others are left
    fits = rest >= draw
    log_none = np.where(
        fits,
        gammaln(rest + 1) - gammaln(np.where(fits, rest - draw, 0) + 1) - gammaln(c + 1) + gammaln(c - draw + 1),
        -np.inf,
    )
    expected = np.bincount(group, weights=-np.expm1(log_none), minlength=drawn.size)
    return np.asarray(expected, dtype=np.float64)


def distinct(sides: Sequence[Texts], budget: int) -> dict[int, list[Floats]]:
    """distinct_n by n of each side, one value per prompt, all sides rarefied to the same count of each prompt.

    Args:
        sides: one side for its own value, both for a contrast; each a list of prompts with their samples.
        budget: words of each sample.
    """
    prompts = len(sides[0])
    texts, group = [], []
    for s, side in enumerate(sides):
        for p, samples in enumerate(side):
            for text in samples:
                texts.append(tokens(text, budget))
                group.append(s * prompts + p)
    of_text = np.array(group, dtype=np.int64)
    found: dict[int, list[Floats]] = {}
    for n, counted in grams(texts, LONGEST).items():
        groups = of_text[counted.document]
        total = np.bincount(groups, minlength=len(sides) * prompts).reshape(len(sides), prompts)
        common = total.min(axis=0)
        drawn = np.tile(common, len(sides))
        kept = rarefied(groups, counted.kind, drawn).reshape(len(sides), prompts)
        found[n] = [expectation_adjusted(row, common.astype(np.float64)) for row in kept]
    return found


def similarity(side: Texts, budget: int) -> dict[str, Floats]:
    """self_similarity, vendi and duplicates of one side, one value per prompt with at least two samples, else NaN."""
    cut = [[tokens(text, budget) for text in samples] for samples in side]
    counted = grams([text for samples in cut for text in samples], 2)
    incidence = sparse.csr_matrix(sparse.hstack([counted[1].incidence(), counted[2].incidence()]))
    sizes = np.array([len(samples) for samples in cut])
    starts = np.cumsum(sizes) - sizes
    result = {name: np.full(sizes.size, np.nan) for name in ("self_similarity", "vendi", "duplicates")}
    for m in np.unique(sizes[sizes >= 2]):
        of_size = np.flatnonzero(sizes == m)
        i, j = np.triu_indices(int(m), 1)
        left = (starts[of_size][:, None] + i).ravel()
        right = (starts[of_size][:, None] + j).ravel()
        alike = jaccard(incidence, left, right).reshape(of_size.size, -1)  # (prompts, pairs)
        result["self_similarity"][of_size] = alike.mean(axis=1)
        equal = [[cut[p][a] == cut[p][b] for a, b in zip(i, j)] for p in of_size]
        result["duplicates"][of_size] = np.mean(equal, axis=1)
        kernel = np.tile(np.eye(int(m)), (of_size.size, 1, 1))
        kernel[:, i, j] = kernel[:, j, i] = alike
        shares = np.clip(np.linalg.eigvalsh(kernel / m), 0, None)
        plogp = shares * np.log(np.where(shares > 1e-12, shares, 1.0))
        result["vendi"][of_size] = np.exp(-plogp.sum(axis=1))
    return result


def compression(sides: Sequence[Texts]) -> list[Floats]:
    """Compressed size over size, averaged over the samples of each prompt, one array per side.

    All texts of a prompt are cut to the bytes of its shortest, at most 2048; NaN where that has fewer than 200.
    """
    result = [np.full(len(sides[0]), np.nan) for _ in sides]
    for p, of_prompt in enumerate(zip(*sides)):
        raw = [[text.encode("utf-8", "replace") for text in samples] for samples in of_prompt]
        if not all(raw):
            continue
        size = min(_MOST_BYTES, min(len(text) for samples in raw for text in samples))
        if size < _FEWEST_BYTES:
            continue
        for s, samples in enumerate(raw):
            result[s][p] = np.mean([len(zlib.compress(text[:size], 6)) / size for text in samples])
    return result


def loops(text: str) -> bool:
    """Whether the text is caught in a loop: at least three equal blocks in a row that repeat 12 words or more."""
    spelt = tokens(text, _MOST_WORDS)
    runs = list(zip(*(spelt[i:] for i in range(_RUN))))
    # every such loop repeats at least 12 − 4 runs of 5 words, which is quicker to see than the loop
    return len(runs) - len(set(runs)) >= _LOOPING - _RUN + 1 and loop_share(spelt) > 0
