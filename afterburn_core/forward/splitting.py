"""Documents cut into passages of whole sentences.

A passage is a stretch of the document as it stands, line breaks included, from the start of one sentence to the end of
another. Its size is counted in characters of alphabetic scripts; one of a script without spaces counts as three, which
brings passages of all languages to about the same number of tokens: `LEAST` to `MOST` are 30 to 130 tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LEAST = 120
"""A passage goes on until it is as long, beyond the end of a paragraph too."""
AIM = 360
"""A passage ends with the first sentence that reaches it."""
MOST = 520
"""A longer sentence is cut at white space."""

_ABBREVIATIONS = r"(?<!\b[A-Z]\.)(?<!\b(?:Mr|Ms|Dr|St|vs|No)\.)(?<!\b(?:Mrs|Jun|Sen|Inc|Ltd|e\.g|i\.e|etc)\.)"
_END = re.compile(rf"(?:[.!?…]{_ABBREVIATIONS}[\"'”’»)\]]*\s+(?![a-z])|[。！？][」』”]*\s*|\n[ \t]*\n\s*)")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


def split(text: str) -> Iterator[str]:
    """The passages of a document in their order; short rests go with the passage before, so that nothing is lost."""
    pieces = list(_pieces(text))
    start = 0
    while start < len(pieces):
        end, size, ended = start, 0, False
        while end < len(pieces) and not ended:
            size += _size(pieces[end])
            paragraph = _PARAGRAPH.search(pieces[end][len(pieces[end].rstrip()) :]) is not None
            end += 1
            following = _size(pieces[end]) if end < len(pieces) else 0
            ended = size >= AIM or (size >= LEAST and (paragraph or size + following > MOST))
        rest = sum(map(_size, pieces[end:]))
        if rest < LEAST and size + rest <= MOST:
            end = len(pieces)
        passage = "".join(pieces[start:end]).strip()
        if passage:
            yield passage
        start = end


def _pieces(text: str) -> Iterator[str]:
    """Sentences with the white space behind them; all of them together are the text."""
    start = 0
    for match in _END.finditer(text):
        yield from _cut(text[start : match.end()])
        start = match.end()
    if start < len(text):
        yield from _cut(text[start:])


def _cut(sentence: str) -> Iterator[str]:
    """The sentence, or stretches of it of at most `MOST` where it is longer."""
    while _size(sentence) > MOST:
        width = max(1, round(len(sentence) * AIM / _size(sentence)))
        place = max(sentence.rfind(" ", 1, width), sentence.rfind("\n", 1, width)) + 1
        place = place or width
        yield sentence[:place]
        sentence = sentence[place:]
    yield sentence


def _size(text: str) -> int:
    return len(text) if text.isascii() else sum(3 if ord(c) >= 0x2E80 else 1 for c in text)
