"""Two texts side by side with the words that differ marked."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

import attrs

LIMIT = 4000
"""Characters per side up to which words are compared: the comparison is quadratic in the worst case."""


@attrs.frozen
class Run:
    """A stretch of text of one side."""

    text: str
    differs: bool

    @property
    def marked(self) -> str:
        """The text with line breaks, and spaces where nothing else differs, as visible signs."""
        text = self.text if self.text.strip(" ") else self.text.replace(" ", "\u00b7")
        return text.replace("\n", "\u21b5\n")


@attrs.frozen(kw_only=True)
class Contrast:
    """Base and trained as runs."""

    base: tuple[Run, ...]
    trained: tuple[Run, ...]


def contrast(base: str, trained: str) -> Contrast:
    """Splits both texts into equal and differing runs; texts beyond `LIMIT` come back unmarked."""
    if max(len(base), len(trained)) > LIMIT:
        return Contrast(base=(Run(base, False),), trained=(Run(trained, False),))
    left, right = _words(base), _words(trained)
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    sides: tuple[list[Run], list[Run]] = ([], [])
    for tag, a, b, c, d in matcher.get_opcodes():
        for side, words in ((sides[0], left[a:b]), (sides[1], right[c:d])):
            if words:
                side.append(Run("".join(words), tag != "equal"))
    return Contrast(base=tuple(sides[0]), trained=tuple(sides[1]))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", text)
