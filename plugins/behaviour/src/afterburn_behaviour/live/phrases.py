"""Phrases that come back from opening to opening, and which of them one way of writing brings out.

A phrase is an n-gram of words in lower case, 1 ≤ n ≤ 12, that a text holds beyond what its own opening says. x_ip is
the share of the texts after opening i that hold phrase p. Two ways of writing are compared by d_ip = x_ip − y_ip, all
phrases together by step-down max-T over openings (`stats.maxt`), so that the chance of naming any phrase wrongly stays
below the level. Which phrases are looked at depends on both ways of writing alike, as sign flips require.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_behaviour.text import words
from afterburn_core.stats.maxt import max_t

LONGEST = 12
_MOST = 4000
"""Phrases that are tested; those in most texts come first."""
Floats = NDArray[np.float64]
Phrase = tuple[str, ...]
Texts = Sequence[Sequence[str]]
"""Texts by opening and sample."""


@attrs.frozen(kw_only=True, eq=False)
class Held:
    """Which share of the texts after each opening holds each phrase."""

    phrases: tuple[Phrase, ...]
    spelt: Mapping[Phrase, str]
    """As it is written most often."""
    shares: Mapping[str, Floats]
    """(openings, phrases) by way of writing."""

    def openings(self, way: str) -> NDArray[np.int64]:
        """(phrases,) after how many openings a phrase is found."""
        return np.asarray((self.shares[way] > 0).sum(axis=0), dtype=np.int64)


def grams(text: str, opening: str = "") -> dict[Phrase, str]:
    """Every phrase of a text as it is spelt there, without those that stand in its opening."""
    known = frozenset(_grams(words(opening)))
    return {phrase: spelt for phrase, spelt in _grams(words(text)).items() if phrase not in known}


def _grams(spelt: Sequence[str]) -> dict[Phrase, str]:
    low = [word.casefold() for word in spelt]
    return {
        tuple(low[start : start + n]): " ".join(spelt[start : start + n])
        for n in range(1, LONGEST + 1)
        for start in range(len(low) - n + 1)
    }


def hold(texts: Mapping[str, Texts], openings: Sequence[str], *, fewest: int) -> Held:
    """Counts the phrases that at least `fewest` openings are followed by, over all ways of writing together.

    A phrase that stands in exactly the texts in which a longer one stands is left out for the longer one.

    Args:
        texts: by way of writing, then opening and sample; all ways have the same openings.
        openings: their texts.
        fewest: see above.
    """
    found: dict[str, list[list[dict[Phrase, str]]]] = {
        way: [[grams(text, opening) for text in samples] for opening, samples in zip(openings, own, strict=True)]
        for way, own in texts.items()
    }
    after: dict[Phrase, set[int]] = {}
    spellings: dict[Phrase, Counter[str]] = {}
    for own in found.values():
        for number, samples in enumerate(own):
            for held in samples:
                for phrase, spelt in held.items():
                    after.setdefault(phrase, set()).add(number)
                    spellings.setdefault(phrase, Counter())[spelt] += 1
    frequent = [phrase for phrase, numbers in after.items() if len(numbers) >= fewest]
    frequent.sort(key=lambda phrase: (-spellings[phrase].total(), phrase))
    kept = _maximal(frequent[:_MOST], found)
    place = {phrase: number for number, phrase in enumerate(kept)}
    shares = {way: np.zeros((len(openings), len(kept))) for way in texts}
    for way, own in found.items():
        for number, samples in enumerate(own):
            for held in samples:
                for phrase in held:
                    if phrase in place:
                        shares[way][number, place[phrase]] += 1 / len(samples)
    usual = {phrase: max(sorted(spellings[phrase].items()), key=lambda one: one[1])[0] for phrase in kept}
    return Held(phrases=tuple(kept), spelt=usual, shares=shares)


def _maximal(phrases: Sequence[Phrase], found: Mapping[str, list[list[dict[Phrase, str]]]]) -> list[Phrase]:
    where: dict[Phrase, list[tuple[str, int, int]]] = {phrase: [] for phrase in phrases}
    for way, own in found.items():
        for number, samples in enumerate(own):
            for sample, held in enumerate(samples):
                for phrase in held:
                    if phrase in where:
                        where[phrase].append((way, number, sample))
    covered = {
        part
        for phrase in phrases
        for part in (phrase[1:], phrase[:-1])
        if part in where and len(where[part]) == len(where[phrase])
    }
    return [phrase for phrase in phrases if phrase not in covered]


def p_values(held: Held, way: str, others: Sequence[str], *, seed: int, units: Sequence[str] | None = None) -> Floats:
    """(phrases,) the largest adjusted p value of `way` against each of the others, 1 where it holds less than one.

    A phrase is brought out where it is more frequent than in every one of them: the intersection-union test. Openings
    of one unit have their signs flipped together.
    """
    worst = np.zeros(len(held.phrases))
    for other in others:
        found = max_t(held.shares[way] - held.shares[other], seed=seed, clusters=units)
        worst = np.maximum(worst, np.where(found.statistic > 0, found.p_adjusted, 1.0))
    return worst if others else np.ones(len(held.phrases))


def leading(
    held: Held, way: str, others: Sequence[str], rows: NDArray[np.int64], *, most: int, fewest: int
) -> list[int]:
    """The phrases that gained most over the most frequent of the others after the openings `rows`, best first."""
    own = held.shares[way][rows]
    gain = own.mean(axis=0) - np.max([held.shares[other][rows].mean(axis=0) for other in others], axis=0)
    enough = (own > 0).sum(axis=0) >= fewest
    order = sorted(np.flatnonzero((gain > 0) & enough).tolist(), key=lambda p: (-gain[p], held.phrases[p]))
    return order[:most]


def outermost(held: Held, numbers: Sequence[int]) -> list[int]:
    """Of these phrases those that stand in no longer one of them, longest first and then in the order given."""
    chosen = {held.phrases[number] for number in numbers}
    inner = {
        phrase[start:stop]
        for phrase in chosen
        for start in range(len(phrase))
        for stop in range(start + 1, len(phrase) + 1)
        if stop - start < len(phrase)
    }
    kept = [number for number in numbers if held.phrases[number] not in inner]
    return sorted(kept, key=lambda number: -len(held.phrases[number]))


__all__ = ["Held", "Phrase", "Texts", "grams", "hold", "leading", "outermost", "p_values"]
