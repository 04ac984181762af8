"""What the views of the forward pass share: coloured tokens, a logarithmic axis, and names for parts of the tokens.

Artifacts are data of a stranger: whatever is not of the expected shape is left out, and every text is cut to a length
before it reaches a page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.report import numbers
from afterburn_core.result.model import FindingKind

LONGEST = 80
"""Characters shown of one token."""
TEXT = 1500
"""Characters shown of a prompt or of what stands before a stretch."""
COLOURS = 5
"""Of a distance, beside none: each begins at twice the one before, the last at what five tokens in a hundred reach."""
LEANING = (0.3, 1.0, 3.0)
"""The same of a difference, to either side of 0."""
WORDS: dict[FindingKind, str] = {
    "informational": "Shifted",
    "pass": "Equivalent",
    "open": "Undecided",
    "not_applicable": "Not measured",
}
_SOURCES = {"text": "Texts", "prompt": "Prompts", "answer": "Answers"}
_CLASSES = {
    "content": "Content tokens",
    "first": "First five tokens of texts and answers",
    "template": "Template marks",
    "end": "End marks",
}


@attrs.frozen(kw_only=True)
class Span:
    """One token of a text, with its colour and what to say of it."""

    text: str
    colour: str
    """Class: `heat-0` … `heat-5`, `more-1` … `more-3`, `less-1` … `less-3`, or empty."""
    title: str
    mark: bool = False
    """Whether it is underlined."""


@attrs.frozen(kw_only=True)
class LogAxis:
    """Decades from `low` to `high`; whatever is smaller lies at the left end."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Percent from the left."""
        if value <= self.low:
            return 0.0
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(100 * min(share, 1.0), 3)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Places and labels, at most seven."""
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        step = max(1, math.ceil((last - first) / 6))
        return tuple((self.place(10.0**k), _power(k)) for k in range(first, last + 1, step))


def log_axis(values: Iterable[float | None]) -> LogAxis | None:
    """The axis of whole decades on which the positive ones of these lie; `None` where there is none."""
    positive = [value for value in values if value is not None and value > 0 and math.isfinite(value)]
    if not positive:
        return None
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    return LogAxis(low=10.0 ** max(low, high - 8), high=10.0 ** max(high, low + 1))


def part_name(subset: str | None) -> str:
    """A part of the tokens as a row of a table names it; domains by their own name."""
    if subset is None:
        return "All tokens"
    if subset.startswith("domain="):
        return shortened(subset.removeprefix("domain="), LONGEST)
    named = dict(pair.split("=", 1) for pair in subset.split(",") if "=" in pair)
    if "class" in named:
        return _CLASSES.get(named["class"], named["class"])
    source = _SOURCES.get(named.get("source", ""), subset)
    if "author" in named:
        return f"{source} of {named['author']}"
    if "at" in named:
        return "What follows prompts"
    if "first" in named:
        n = named["first"]
        return f"{source}: first {'token' if n == '1' else f'{n} tokens'}"
    return f"{source}: after {named['after']} tokens" if "after" in named else source


def heat_steps(values: Iterable[float | None]) -> tuple[float, ...]:
    """Where one colour of a distance ends and the next begins; empty where there is nothing to colour."""
    ordered = sorted(value for value in values if value is not None and value > 0)
    if not ordered:
        return ()
    top = ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)]
    return tuple(float(f"{top / 2**k:.1g}") for k in reversed(range(COLOURS)))


def heat(value: float | None, steps: Sequence[float]) -> str:
    """The colour of a distance."""
    return "" if value is None else f"heat-{sum(value >= step for step in steps)}"


def leaning(value: float | None) -> str:
    """The colour of a difference; empty near 0."""
    if value is None:
        return ""
    level = sum(abs(value) >= step for step in LEANING)
    return f"{'more' if value > 0 else 'less'}-{level}" if level else ""


def token_text(value: Any) -> str:
    """A token as it is shown: line breaks marked, the rest as it is."""
    return shortened(str(value), LONGEST).replace("\n", "↵\n")


def shortened(text: str, longest: int) -> str:
    """At most so many characters; half a pair of surrogates becomes a question mark."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= longest else f"{text[:longest]}…"


def row_of(entry: Any) -> Mapping[str, Any]:
    """An object of a JSON list; empty where it is none."""
    return entry if isinstance(entry, Mapping) else {}


def rows_of(content: Any, key: str) -> list[Mapping[str, Any]]:
    """The objects of a list inside an object."""
    found = row_of(content).get(key)
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


def number_of(value: Any) -> float | None:
    """A finite number, or `None`."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if good else None


def column(row: Mapping[str, Any], key: str, length: int) -> list[float | None]:
    """A list of so many numbers, each `None` where it is none."""
    found = row.get(key)
    listed: Sequence[Any] = found if isinstance(found, list) else ()
    return [number_of(value) for value in [*listed, *[None] * length][:length]]


def short(value: float | None, digits: int = 3) -> str:
    """So many significant digits, with a sign that people read; a dash where there is no number."""
    if value is None:
        return "–"
    return numbers.number(float(f"{value:.{digits}g}"))


def signed(value: float | None) -> str:
    """`short` with a sign in front."""
    text = short(value)
    return f"+{text}" if value is not None and value > 0 else text


def bounds(low: float | None, high: float | None, *, sign: bool = False) -> str:
    """`[0.12, 0.2]`; empty where an end is missing."""
    if low is None or high is None:
        return ""
    how = signed if sign else short
    return f"[{how(low)}, {how(high)}]"


def _power(k: int) -> str:
    return f"{10.0**k:g}" if -3 <= k <= 3 else f"1e{k}"
