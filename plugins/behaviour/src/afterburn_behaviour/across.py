"""Diversity across prompts: how alike the answers to different prompts are, at a fixed budget of words.

    template_mass_k         max_g c_g/n                              c_g prompts whose answer opens with the k words g
    prefix_concentration_k  Σ_g (c_g² − Σ_i x_ig²)/(n² − n)          chance that two prompts' answers open alike
    prefix_entropy_k        −Σ_g (c_g/n) ln(c_g/n)/ln(texts)         1 where all openings differ
    distinct_n              D/(V (1 − (1 − 1/V)^C))                  D distinct n-grams of all C
    self_similarity         mean over pairs of prompts of |A ∩ B|/|A ∪ B|, sets of words and word pairs
    vendi                   n²/Σ_ij K_ij², the score of order 2 of these similarities

x_ig is the share of prompt i's samples that open with g; the last three take the first sample of each prompt. In a
contrast of distinct_n both texts of a prompt are cut to the shorter one's words, so that both sides have C n-grams
under every swap. Sources: expectation adjustment arXiv 2202.13587, scores of other orders Cousins of the Vendi Score
(arXiv 2310.12952); one word opening everything is how collapse shows (`docs/behaviour-variety.md`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afterburn_behaviour.ngrams import Grams, grams, jaccard_matrix, tokens, unit_sum
from afterburn_behaviour.within import expectation_adjusted
from afterburn_core.stats.unit_swap import Corpus, Floats, Quantity, Units, conclude, counted

PREFIXES = (4, 8, 16)
Samples = Sequence[Sequence[str]]
_CHUNK = 64


def mass(counts: Floats, own: Floats, prompts: Floats, pairs: Floats) -> Floats:
    """max_g c_g/n."""
    return np.asarray(counts.max(axis=1) / prompts)


def concentration(counts: Floats, own: Floats, prompts: Floats, pairs: Floats) -> Floats:
    """Chance that the answers to two prompts of different units open alike."""
    alike = np.maximum(np.square(counts).sum(axis=1) - own, 0.0)
    return np.asarray(np.divide(alike, pairs, out=np.zeros_like(alike), where=np.asarray(pairs) > 0))


def evenness(texts: int) -> Quantity:
    """Entropy of openings as a share of the largest possible over so many texts."""
    largest = np.log(max(texts, 2))

    def entropy(counts: Floats, own: Floats, prompts: Floats, pairs: Floats) -> Floats:
        share = np.maximum(counts, 0.0) / np.reshape(prompts, (-1, 1))
        plogp = share * np.log(np.where(share > 1e-12, share, 1.0))
        return np.asarray(np.clip(-plogp.sum(axis=1) / largest, 0.0, 1.0))

    return entropy


def openings(base: Samples, trained: Samples, units: Units, epsilon: Floats, *, identical: bool) -> dict[str, Corpus]:
    """template_mass, prefix_concentration and prefix_entropy for each length of `PREFIXES`."""
    found: dict[str, Corpus] = {}
    cut = [[[tokens(text, max(PREFIXES)) for text in samples] for samples in side] for side in (base, trained)]
    texts = max(sum(map(len, side)) for side in cut)
    for k in PREFIXES:
        known: dict[tuple[str, ...], int] = {}
        for side in cut:
            for samples in side:
                for text in samples:
                    known.setdefault(text[:k], len(known))
        x_b, x_t = (unit_sum(_shares(side, k, known), units.of_prompt, units.count) for side in cut)
        quantities: dict[str, Quantity] = {
            f"template_mass_{k}": mass,
            f"prefix_concentration_{k}": concentration,
            f"prefix_entropy_{k}": evenness(texts),
        }
        found |= counted(x_b, x_t, units, quantities, epsilon, identical=identical, maxima=[f"template_mass_{k}"])
    return found


def _shares(side: Sequence[Sequence[tuple[str, ...]]], k: int, known: dict[tuple[str, ...], int]) -> sparse.csr_matrix:
    rows = [i for i, samples in enumerate(side) for _ in samples]
    columns = [known[text[:k]] for samples in side for text in samples]
    weights = [1 / len(samples) for samples in side for _ in samples]
    return sparse.csr_matrix((weights, (rows, columns)), shape=(len(side), len(known)), dtype=np.float64)


def distinct(
    base: Sequence[str], trained: Sequence[str], units: Units, epsilon: Floats, *, budget: int, identical: bool
) -> dict[int, Corpus]:
    """distinct_n by n, one text per prompt and side; n for which no text is long enough are left out."""
    words = [[tokens(text, budget) for text in side] for side in (base, trained)]
    common = [min(len(b), len(t)) for b, t in zip(*words)]
    cut = [text[:size] for side in words for text, size in zip(side, common)]
    found = {}
    for n, occurrences in grams(cut).items():
        if occurrences.document.size:
            found[n] = _distinct(occurrences, len(base), units, epsilon, identical=identical)
    return found


def _distinct(found: Grams, prompts: int, units: Units, epsilon: Floats, *, identical: bool) -> Corpus:
    incidence = found.incidence()
    holds = [unit_sum(incidence[rows], units.of_prompt, units.count) > 0 for rows in _halves(prompts)]
    base, trained = (sparse.csr_matrix(x, dtype=np.float64) for x in holds)
    of_prompt = np.bincount(found.document, minlength=2 * prompts)[:prompts]
    size = np.bincount(units.of_prompt, weights=of_prompt, minlength=units.count)  # n-grams of each unit, on each side
    total = np.array([size.sum()])

    def adjusted(count: Floats, of: Floats) -> Floats:
        return expectation_adjusted(count, np.broadcast_to(of, np.shape(count)))

    spread = np.asarray(((base + trained) > 0).sum(axis=0)).ravel()  # units that hold an n-gram
    shared, lone = np.flatnonzero(spread > 1), np.flatnonzero(spread == 1)
    alone = [np.asarray(x[:, lone].sum(axis=1)).ravel() for x in (base, trained)]
    b, t = base[:, shared], trained[:, shared]
    held = [np.asarray(x.sum(axis=0)).ravel() for x in (b, t)]
    change = sparse.csr_matrix((b - t).T)
    drawn = []
    for start in range(0, len(epsilon), _CHUNK):
        part = epsilon[start : start + _CHUNK]
        moved = np.asarray(change @ part.T).T
        lent = part @ (alone[0] - alone[1])
        of_trained = (held[1] + moved > 0.5).sum(axis=1) + alone[1].sum() + lent
        of_base = (held[0] - moved > 0.5).sum(axis=1) + alone[0].sum() - lent
        drawn.append(adjusted(of_trained, total) - adjusted(of_base, total))
    whole: list[float] = []
    without: list[Floats] = []
    for x in (base, trained):
        count = np.asarray(x.sum(axis=0)).ravel()
        only = np.asarray(x[:, np.flatnonzero(count == 1)].sum(axis=1)).ravel()  # lost with the unit
        kinds = float((count > 0).sum())
        whole.append(float(adjusted(np.array([kinds]), total)[0]))
        without.append(adjusted(kinds - only, total[0] - size))
    rest = (without[0], without[1]) if units.count > 1 and np.all(size < total) else (np.zeros(0), np.zeros(0))
    under = np.concatenate([np.zeros(0), *drawn])
    return conclude((whole[0], whole[1]), under, rest, identical=identical, n=units.count)


def kernel(base: Sequence[str], trained: Sequence[str], budget: int) -> NDArray[np.float64]:
    """Similarities of all texts, base's before trained's, (2n, 2n)."""
    found = grams([tokens(text, budget) for text in (*base, *trained)], 2)
    return jaccard_matrix(sparse.csr_matrix(sparse.hstack([found[1].incidence(), found[2].incidence()])))


def vendi(similarities: Floats, units: Units, epsilon: Floats, *, identical: bool) -> Corpus:
    """n²/Σ K² of each side, the pairs inside a unit included."""
    n = units.of_prompt.size
    squares = np.square(similarities)
    select = np.concatenate([np.zeros((1, n)), epsilon[:, units.of_prompt]])
    chosen = np.concatenate([select, 1 - select], axis=1)
    reached = chosen @ squares
    inside = (reached * chosen).sum(axis=1)
    outside = squares.sum() - 2 * reached.sum(axis=1) + inside
    t, b = n * n / inside, n * n / outside
    left = []
    for side, whole in ((slice(0, n), outside[0]), (slice(n, 2 * n), inside[0])):
        block = squares[side, side]
        gather = sparse.csr_matrix((np.ones(n), (units.of_prompt, np.arange(n))), shape=(units.count, n))
        own = np.asarray(gather.multiply(np.asarray(gather @ block)).sum(axis=1)).ravel()
        rows = np.bincount(units.of_prompt, weights=block.sum(axis=1), minlength=units.count)
        remaining = whole - 2 * rows + own
        left.append(
            np.divide(units.prompts(units.sizes) ** 2, remaining, out=np.ones_like(remaining), where=remaining > 0)
        )
    rest = (left[0], left[1]) if units.count > 1 else (np.zeros(0), np.zeros(0))
    return conclude((float(b[0]), float(t[0])), t[1:] - b[1:], rest, identical=identical, n=units.count)


def _halves(n: int) -> tuple[slice, slice]:
    return slice(0, n), slice(n, 2 * n)
