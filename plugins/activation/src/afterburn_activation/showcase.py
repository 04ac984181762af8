"""Passages that are worth a look, in a store of fixed size that no order of batches changes.

A passage competes with the value at its peak token; equal values are ordered by the passage's id. Kept is a stretch of
at most `WINDOW` tokens around the peak with a value for every token that counts.
"""

from __future__ import annotations

import bisect
from typing import Any

import attrs

from afterburn_core.result.excerpts import withhold

WINDOW = 96


@attrs.frozen(kw_only=True)
class Stretch:
    """A stretch of one passage."""

    passage: str
    domain: str
    source: str
    score: float
    start: int
    """Position of the first token shown."""
    peak: int
    """Index of the peak among the tokens shown."""
    tokens: tuple[str, ...] = attrs.field(repr=False)
    values: tuple[tuple[float | None, ...], ...] = attrs.field(repr=False)
    """Lists of one value per token shown, `None` where the token does not count."""

    @property
    def order(self) -> tuple[float, str]:
        return (-self.score, self.passage)


@attrs.define
class Showcase:
    """The stretches of highest score."""

    most: int
    stretches: list[Stretch] = attrs.field(factory=list)

    def wants(self, score: float, passage: str) -> bool:
        """Whether such a stretch would be kept, as things stand."""
        return self.most > 0 and (len(self.stretches) < self.most or (-score, passage) < self.stretches[-1].order)

    def add(self, stretch: Stretch) -> None:
        """Keeps it, if it is among the highest."""
        if self.wants(stretch.score, stretch.passage):
            bisect.insort(self.stretches, stretch, key=lambda one: one.order)
            del self.stretches[self.most :]

    def merge(self, other: Showcase) -> None:
        """Takes in what another instance kept."""
        for stretch in other.stretches:
            self.add(stretch)


def window(length: int, peak: int) -> tuple[int, int]:
    """First and past-the-last token to show: two thirds of them before the peak, which is what the token knew."""
    if length <= WINDOW:
        return 0, length
    first = min(max(0, peak - 2 * WINDOW // 3), length - WINDOW)
    return first, first + WINDOW


def shown(stretch: Stretch, names: tuple[str, ...], scales: tuple[float, ...], *, excerpts: bool) -> dict[str, Any]:
    """As an artifact keeps it; without excerpts only the token at the peak is spelt out.

    Args:
        names: What the lists of values are called.
        scales: What each of them is divided by.
    """
    text = "".join(stretch.tokens)
    tokens = [token if excerpts or i == stretch.peak else None for i, token in enumerate(stretch.tokens)]
    return {
        "passage": stretch.passage,
        "domain": stretch.domain,
        "source": stretch.source,
        "start": stretch.start,
        "peak": stretch.peak,
        "tokens": tokens,
        "withheld": None if excerpts else withhold(text),
    } | {
        name: [None if value is None else float(f"{value / scale:.3g}") for value in values]
        for name, values, scale in zip(names, stretch.values, scales, strict=True)
    }
