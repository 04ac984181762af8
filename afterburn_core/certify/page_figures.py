"""The drawing beside a number: where its interval lies against the bound, or against no difference.

All lengths are in the units of the drawing (a box of 120 × 16), so the page only has to place lines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

WIDTH, HEIGHT = 120.0, 16.0
_MARGIN = 6.0


@attrs.frozen(kw_only=True)
class Figure:
    """An interval on a line, with one mark to hold it against."""

    low: str
    high: str
    value: str
    mark: str | None
    """Where the bound is, or zero."""
    keep: tuple[str, str] | None
    """Left end and width of the side that the bound asks for."""
    is_bound: bool
    title: str
    """The same in words, for those who do not see it."""


def figure(number: Mapping[str, Any], threshold: Mapping[str, Any] | None, words: str) -> Figure | None:
    """The drawing of one number, or `None` where there is nothing to compare it with.

    Args:
        number: `value`, `interval`, `subjects`.
        threshold: `op` and `value`; without one a contrast of two models is held against zero.
        words: what the drawing shows, in words.
    """
    value = number.get("value")
    if value is None:
        return None
    mark = threshold["value"] if threshold else 0.0 if number.get("subjects") == ["base", "trained"] else None
    interval = number.get("interval")
    if interval is None and threshold is None:  # an exact number beside zero says nothing
        return None
    low, high = (interval["low"], interval["high"]) if interval else (value, value)
    if mark is None or not all(math.isfinite(one) for one in (low, high, value, mark)):
        return None
    begin, end = min(low, value, mark), max(high, value, mark)
    span = (end - begin) or abs(end) or 1.0
    begin, end = begin - 0.12 * span, end + 0.12 * span

    def place(position: float) -> float:
        return float(_MARGIN + (WIDTH - 2 * _MARGIN) * (position - begin) / (end - begin))

    keep = None
    if threshold is not None:
        left, right = (0.0, place(mark)) if threshold["op"] == "at_most" else (place(mark), WIDTH)
        keep = (_length(left), _length(right - left))
    return Figure(
        low=_length(place(low)),
        high=_length(place(high)),
        value=_length(place(value)),
        mark=_length(place(mark)),
        keep=keep,
        is_bound=threshold is not None,
        title=words,
    )


def _length(value: float) -> str:
    return f"{value:.2f}"
