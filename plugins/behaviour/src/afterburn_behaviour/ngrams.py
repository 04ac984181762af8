"""Words and word n-grams as numbers, counted over many texts at once.

Words stand for tokens, so that models with different tokenizers are compared alike: lower case, punctuation left out.
Every count of n-grams grows with the length of a text, so all of them are taken over a fixed budget of words.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afterburn_behaviour.text import first_words

Ints = NDArray[np.int64]
LONGEST = 5
"""Longest n-gram that is counted."""


def tokens(text: str, budget: int) -> tuple[str, ...]:
    """The first `budget` words of a text in lower case."""
    return tuple(word.casefold() for word in first_words(text, budget))


@attrs.frozen(kw_only=True)
class Grams:
    """Every occurrence of an n-gram in a list of texts."""

    document: Ints  # (occurrences,) index of the text
    kind: Ints  # (occurrences,) number of the n-gram, from 0
    kinds: int
    documents: int

    def incidence(self) -> sparse.csr_matrix:
        """1 where a text holds an n-gram, (documents, kinds)."""
        pairs = np.sort(self.document * max(self.kinds, 1) + self.kind)
        pairs = pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])] if pairs.size else pairs
        rows, columns = pairs // max(self.kinds, 1), pairs % max(self.kinds, 1)
        return sparse.csr_matrix(
            (np.ones(pairs.size), (rows, columns)), shape=(self.documents, self.kinds), dtype=np.float64
        )


def grams(texts: Sequence[Sequence[str]], longest: int = LONGEST) -> dict[int, Grams]:
    """The n-grams of tokenised texts for n = 1 … `longest`, numbered alike in all texts."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    numbers: dict[str, int] = {}
    ids = np.array([numbers.setdefault(word, len(numbers)) for text in texts for word in text], dtype=np.int64)
    document = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    starts = np.cumsum(lengths) - lengths
    left = lengths[document] - (np.arange(ids.size) - starts[document])  # words from here to the end of the text
    found: dict[int, Grams] = {}
    code = ids.copy()
    for n in range(1, longest + 1):
        at = np.flatnonzero(left >= n)
        if n > 1:  # number of the (n−1)-gram that starts here, and of its next word
            code = code.copy()
            code[at] = code[at] * max(len(numbers), 1) + ids[at + n - 1]
        kinds, inverse = np.unique(code[at], return_inverse=True)
        code[at] = inverse
        found[n] = Grams(document=document[at], kind=code[at].copy(), kinds=kinds.size, documents=len(texts))
    return found


def unit_sum(matrix: sparse.csr_matrix, units: Ints, count: int) -> sparse.csr_matrix:
    """Rows of a matrix summed by unit, (count, columns)."""
    rows = np.arange(units.size)
    gather = sparse.csr_matrix((np.ones(units.size), (units, rows)), shape=(count, units.size))
    return sparse.csr_matrix(gather @ matrix)


def jaccard(incidence: sparse.csr_matrix, left: Ints, right: Ints) -> NDArray[np.float64]:
    """|A ∩ B| / |A ∪ B| of the rows `left` and `right`; two empty rows are alike."""
    sizes = np.asarray(incidence.sum(axis=1)).ravel()
    common = np.asarray(incidence[left].multiply(incidence[right]).sum(axis=1)).ravel()
    union = sizes[left] + sizes[right] - common
    return np.where(union > 0, common / np.maximum(union, 1), 1.0)


def jaccard_matrix(incidence: sparse.csr_matrix) -> NDArray[np.float64]:
    """The same for all pairs of rows, (documents, documents)."""
    sizes = np.asarray(incidence.sum(axis=1)).ravel()
    common = np.asarray((incidence @ incidence.T).todense())
    union = sizes[:, None] + sizes[None, :] - common
    return np.where(union > 0, common / np.maximum(union, 1), 1.0)
