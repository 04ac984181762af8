"""Wording that comes back from prompt to prompt.

An 8-gram of words (lower case, prose only) is boilerplate of a side when that side's answers to at least
max(3, 2 % of the prompts) different prompts hold it, and the prompt at hand does not. The quantity of a response is the
share of its words that lie in such 8-grams. Each side's own value is measured against its own answers alone.

The contrast measures both sides against one list: the 8-grams that come back in what both sides wrote together. Two
lists would move many prompts at once when an 8-gram is just above the least number of prompts on one side and just
below it on the other, and a test over prompts would take that for as many independent changes: at 500 prompts and a
phrase in 2 % of either side's answers, half of all comparisons without a change had p ≤ .05. The joint list is the same
whichever side wrote what, so that swapping the sides of a prompt turns its difference and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from afterburn_behaviour.text import prose_of, split_thinking, words

N = 8
FEWEST_PROMPTS = 3
SHARE_OF_PROMPTS = 0.02


def grams(text: str, n: int = N) -> list[int]:
    """Hashes of the word n-grams of a text in their order; the same in every process."""
    spoken = [word.lower() for word in words(prose_of(split_thinking(text).answer))]
    codes = [_code(word) for word in spoken]
    found = []
    for start in range(len(codes) - n + 1):
        value = 0
        for code in codes[start : start + n]:
            value = (value * 1_000_003 + code) & 0xFFFF_FFFF_FFFF_FFFF
        found.append(value)
    return found


def shared_shares(prompts: Sequence[str], responses: Sequence[Sequence[str]]) -> list[tuple[float | None, ...]]:
    """Share of each response's words that lie in boilerplate of its side, by prompt and sample.

    Args:
        prompts: One text per prompt.
        responses: One side's samples of each prompt, aligned.

    Returns:
        Shares in [0, 1] in the same shape; `None` for a response of fewer than `N` words.
    """
    return _shares(prompts, [responses])[0]


def joint_shares(
    prompts: Sequence[str], base: Sequence[Sequence[str]], trained: Sequence[Sequence[str]]
) -> tuple[list[tuple[float | None, ...]], list[tuple[float | None, ...]]]:
    """The same of both sides, in 8-grams that at least the least number of prompts hold in an answer of either side.

    Args:
        prompts: One text per prompt that both sides answered.
        base: Base's samples of each prompt, aligned.
        trained: Trained's.
    """
    first, second = _shares(prompts, [base, trained])
    return first, second


def _shares(prompts: Sequence[str], sides: Sequence[Sequence[Sequence[str]]]) -> list[list[tuple[float | None, ...]]]:
    found = [[[grams(text) for text in samples] for samples in side] for side in sides]
    homes: dict[int, int] = {}
    answered = 0
    for of_prompt in zip(*found, strict=True):
        held = {gram for samples in of_prompt for of_sample in samples for gram in of_sample}
        answered += any(of_prompt)
        for gram in held:
            homes[gram] = homes.get(gram, 0) + 1
    fewest = max(FEWEST_PROMPTS, math.ceil(SHARE_OF_PROMPTS * answered))
    common = {gram for gram, n in homes.items() if n >= fewest}
    said = [common & set(grams(prompt)) if common else common for prompt in prompts]
    asked = [common - own if own else common for own in said]
    return [
        [tuple(_covered(one, of) for one in samples) for of, samples in zip(asked, side, strict=True)] for side in found
    ]


def _covered(of_sample: list[int], common: set[int]) -> float | None:
    if not of_sample:
        return None
    length = len(of_sample) + N - 1
    covered = reach = 0
    for place, gram in enumerate(of_sample):
        if gram in common:
            covered += place + N - max(place, reach)
            reach = place + N
    return covered / length


def _code(word: str) -> int:
    value = 14_695_981_039_346_656_037  # FNV-1a: Python's own hash differs from process to process
    for byte in word.encode():
        value = ((value ^ byte) * 1_099_511_628_211) & 0xFFFF_FFFF_FFFF_FFFF
    return value
