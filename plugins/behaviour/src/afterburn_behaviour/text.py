"""Units of text: words, sentences, paragraphs, code and prose, thinking and answer. Pure Python.

Words are runs of letters and digits, inner apostrophes and hyphens included; an ideograph, a kana or a Thai, Lao, Khmer
or Burmese letter cluster without spaces between words counts by the character, so that lengths mean something there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import attrs

# scripts written without spaces between words: each character counts
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W_{_UNSPACED}]"
_WORD = re.compile(rf"[{_UNSPACED}]|{_LETTER}+(?:(?:['’\-]|(?<=\d)[.,](?=\d)){_LETTER}+)*")
_FENCE = re.compile(
    r"^[ \t]*(?P<mark>`{3,}|~{3,})[^\n`]*\n(?P<code>.*?)(?:^[ \t]*(?P=mark)[`~]*[ \t]*$|\Z)", re.M | re.S
)
_INLINE = re.compile(r"(?<!`)`[^`\n]+`(?!`)")
_THINK_NAMES = r"(?:think|thinking|thought|thoughts|reasoning|scratchpad)"
_THINK = re.compile(rf"<(?P<tag>{_THINK_NAMES})>(?P<inner>.*?)(?:</(?P=tag)>|\Z)", re.S | re.I)
_THINK_END = re.compile(rf"</{_THINK_NAMES}>", re.I)
_MARKER = re.compile(r"^[ \t]*(?:[-*+•–]\s+|\(?\d{1,3}[.)]\s+|#{1,6}\s+|>\s*)")
_STOP = re.compile(r"[.!?…]{1,8}[\"'”’»)\]*_]{0,6}(?=\s)|[。！？]+[」』”’）]*")
_ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:mr|mrs|ms|dr|prof|st|jr|sr|vs|etc|e\.g|i\.e|cf|no|fig|eq|approx|inc|ltd|u\.s|u\.k|a\.m|p\.m|(?-i:[A-Z]))\.$",
    re.I,
)


_WINDOW = 12
"""Longer than every abbreviation."""


def words(text: str) -> list[str]:
    """The words in their order, as they are spelt."""
    return _WORD.findall(text)


def first_words(text: str, count: int) -> list[str]:
    """The first `count` of its words; what comes after is not read."""
    return [match.group() for match in islice(_WORD.finditer(text), count)]


def sentences(text: str) -> list[str]:
    """Sentences in their order: a line ends one, so does a full stop, question or exclamation mark before a space.

    Marks of lists and headers do not count as text, and neither do the stops of abbreviations and numbers.
    """
    found = []
    for line in text.splitlines():
        line = _MARKER.sub("", line).strip()
        start = 0
        for stop in _STOP.finditer(line):
            if stop.group().startswith(".") and _ABBREVIATED.search(
                line[max(start, stop.start() - _WINDOW) : stop.start() + 1]
            ):
                continue
            piece = line[start : stop.end()].strip()
            if _WORD.search(piece):
                found.append(piece)
            start = stop.end()
        rest = line[start:].strip()
        if _WORD.search(rest):
            found.append(rest)
    return found


def paragraphs(text: str) -> list[str]:
    """Blocks separated by blank lines."""
    return [block.strip() for block in re.split(r"\n[ \t]*\n", text) if block.strip()]


def code_blocks(text: str) -> list[str]:
    """Contents of fenced code blocks; one that was cut off counts to the end of the text."""
    return [match["code"] for match in _FENCE.finditer(text)]


def without_code(text: str) -> str:
    """The text without fenced blocks and inline code: what a person wrote as prose."""
    return _INLINE.sub(" ", _FENCE.sub("\n", text))


def prose_of(answer: str) -> str:
    """What a person or a model says in an answer: JSON gives its texts, other code is left out.

    Models that were told to answer in JSON reason inside its strings; those words are theirs like any others.
    """
    spoken = _said(answer.strip())
    if spoken is not None:
        return spoken
    return without_code(_FENCE.sub(lambda match: f"\n{_said(match['code'].strip()) or ''}\n", answer))


def _said(text: str) -> str | None:
    """The texts of a JSON object or list, line by line; `None` where the text is neither."""
    if not (text.startswith(("{", "[")) and text.endswith(("}", "]"))):
        return None
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return "\n".join(_texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


@attrs.frozen(kw_only=True)
class Parts:
    """A response cut into what the model thought aloud and what it answered."""

    thinking: str | None
    """Content of its thinking tags, joined; `None` where it has none."""
    answer: str


def split_thinking(text: str) -> Parts:
    """Separates `<think>…</think>` (also thinking, thought, reasoning, scratchpad) from the answer.

    A tag that is never closed reaches to the end: the model was cut while thinking. A text that only closes one had
    its opening in the prompt, so everything before is thinking.
    """
    first = _THINK.search(text)
    opening = len(text) if first is None else first.start()
    stray = list(_THINK_END.finditer(text, 0, opening))
    if first is None and not stray:
        return Parts(thinking=None, answer=text)
    inner = [text[: stray[-1].start()]] if stray else []
    rest = text[stray[-1].end() :] if stray else text
    inner += [match["inner"] for match in _THINK.finditer(rest)]
    return Parts(thinking="\n".join(part.strip() for part in inner).strip(), answer=_THINK.sub("", rest).strip())
