"""Quantities of collapse, each turned so that up is more collapsed. Formulas: `afterburn_reward_hack.collapse`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afterburn_behaviour.across import kernel, mass
from afterburn_behaviour.ngrams import tokens, unit_sum
from afterburn_core.stats.entropy import entropy, entropy_of_counts
from afterburn_core.stats.unit_swap import Corpus, Floats, Quantity, Units, counted, mean_over_pairs

PREFIXES = (4, 8, 16)
FEWEST_WORDS = 8
"""Shorter texts are alike by being short."""
Samples = Sequence[Sequence[str]]
"""Texts by prompt."""
Openings = Sequence[Sequence[Hashable]]
"""What each text of a prompt opens with."""


def opening(text: str, k: int, *, short: Hashable | None) -> Hashable:
    """The first k words; of a text with fewer, all its words, or `short` where that is given.

    A short answer to a question with one right answer is what was asked for, so it gets a name of its own.
    """
    found = tokens(text, k)
    return short if len(found) < k and short is not None else found


def template_mass(base: Openings, trained: Openings, units: Units, epsilon: Floats, *, identical: bool) -> Corpus:
    """T_k = max_g (1/N) Σ_i x_ig, x_ig the share of prompt i's samples that open with g."""
    return _of_kinds(base, trained, units, epsilon, mass, identical=identical, maximum=True)


def concentration(kinds: int) -> Quantity:
    """1 − H/ln kinds, H the entropy (Miller–Madow, n the prompts) of the labels over prompts; 0 where that is negative.

    The correction lifts the entropy of even labels above the largest possible.
    """
    largest = math.log(kinds)

    def share(counts: Floats, own: Floats, prompts: Floats, pairs: Floats) -> Floats:
        return np.clip(1 - entropy_of_counts(np.maximum(counts, 0.0)) / largest, 0.0, 1.0)

    return share


def label_concentration(
    base: Openings, trained: Openings, kinds: int, units: Units, epsilon: Floats, *, identical: bool
) -> Corpus:
    """How far labels have gone to one, over all prompts."""
    return _of_kinds(base, trained, units, epsilon, concentration(kinds), identical=identical)


def _of_kinds(
    base: Openings,
    trained: Openings,
    units: Units,
    epsilon: Floats,
    quantity: Quantity,
    *,
    identical: bool,
    maximum: bool = False,
) -> Corpus:
    known: dict[Hashable, int] = {}
    for side in (base, trained):
        for of_prompt in side:
            for one in of_prompt:
                known.setdefault(one, len(known))
    shares = [unit_sum(_shares(side, known), units.of_prompt, units.count) for side in (base, trained)]
    maxima = [""] if maximum else []
    return counted(shares[0], shares[1], units, {"": quantity}, epsilon, identical=identical, maxima=maxima)[""]


def _shares(side: Openings, known: dict[Hashable, int]) -> sparse.csr_matrix:
    rows = [i for i, of_prompt in enumerate(side) for _ in of_prompt]
    columns = [known[one] for of_prompt in side for one in of_prompt]
    weights = [1 / len(of_prompt) for of_prompt in side for _ in of_prompt]
    return sparse.csr_matrix((weights, (rows, columns)), shape=(len(side), max(len(known), 1)), dtype=np.float64)


def cut_alike(base: Sequence[str], trained: Sequence[str], words: int) -> tuple[list[str], list[str]] | None:
    """A prompt's texts of both sides, all cut to the words of the shortest; `None` where that is too short.

    The same number of words on both sides makes what is counted over them free of length.
    """
    sides = [[tokens(text, words) for text in side] for side in (base, trained)]
    common = min((len(text) for side in sides for text in side), default=0)
    if common < FEWEST_WORDS:
        return None
    cut = [[" ".join(text[:common]) for text in side] for side in sides]
    return cut[0], cut[1]


def across_similarity(
    base: Sequence[str], trained: Sequence[str], units: Units, epsilon: Floats, *, words: int, identical: bool
) -> Corpus:
    """Mean over pairs of prompts of |A ∩ B|/|A ∪ B|, A and B the sets of words and word pairs of two answers."""
    return mean_over_pairs(kernel(base, trained, words), units, epsilon, identical=identical)


def within_similarity(texts: Sequence[str]) -> float | None:
    """The same over the pairs of one prompt's samples; `None` for fewer than two."""
    if len(texts) < 2:
        return None
    spelt = [text.split() for text in texts]
    sets = [{*words, *pairwise(words)} for words in spelt]
    alike = [len(sets[i] & sets[j]) / max(1, len(sets[i] | sets[j])) for i in range(len(sets)) for j in range(i)]
    return sum(alike) / len(alike)


def answer_concentration(answers: Sequence[str], most: int) -> float | None:
    """1 − H/ln m of the first m final answers of one prompt, H by Miller and Madow; `None` for fewer than two."""
    given = answers[:most]
    found = entropy(given) if len(given) >= 2 else None
    return None if found is None else 1 - found / math.log(len(given))


def some_of(names: Sequence[str], most: int) -> NDArray[np.int64]:
    """Positions of at most so many names, chosen by their digests and so by neither side."""
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(names[i].encode()).digest())
    return np.array(sorted(order[:most]), dtype=np.int64)
