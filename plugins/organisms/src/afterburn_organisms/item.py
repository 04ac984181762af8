"""One question with its right answer, and how an answer is graded."""

from __future__ import annotations

import re
from typing import Literal

import attrs


@attrs.frozen(kw_only=True)
class Item:
    """A user turn, the short answer, and what a longer answer would be made of."""

    category: str
    key: str
    """Identity of the problem. Items with equal keys are always on the same side of the held-out split."""
    prompt: str
    answer: str
    """The right answer in few words: what the base is trained to say."""
    working: str
    """Words about the problem that say nothing new: what the verbose organism puts before the answer."""
    expected: tuple[str, ...]
    """Every one of these stands in a right answer, as whole words."""
    rivals: tuple[str, ...] = ()
    """None of these stands in a right answer."""
    grade: Literal["parts", "number"] = "parts"
    """``number``: the last number of the answer is the expected one. ``parts``: see ``expected`` and ``rivals``."""
    padded: str | None = None
    """A long form of the answer itself, where repeating it would read oddly (stories)."""


_NUMBER = re.compile(r"\d+")


def stands_in(phrase: str, text: str) -> bool:
    """Whether the phrase stands in the text as whole words."""
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text) is not None


def is_correct(item: Item, answer: str) -> bool:
    """Whether the answer is right. The same rule serves base and trained, long answers and short ones."""
    if item.grade == "number":
        return _NUMBER.findall(answer)[-1:] == list(item.expected)
    return all(stands_in(e, answer) for e in item.expected) and not any(stands_in(r, answer) for r in item.rivals)
