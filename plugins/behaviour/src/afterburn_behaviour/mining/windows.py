"""Stretches of text whose likelihood training changed most: Σ over w tokens of ln p_trained(x) − ln p_base(x).

Of every passage the window with the largest and the one with the least sum are looked at, and of all passages the few
most extreme are kept. A passage of fewer than w tokens is one window.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
_BEFORE = 12  # tokens of context before a window


@attrs.frozen(kw_only=True, eq=False)
class Window:
    """One stretch of a passage."""

    passage: str
    start: int
    """Index of its first token among those of the passage that follow another."""
    total: float
    """Sum of the log-likelihood ratios, in nats."""
    before: tuple[int, ...]
    """Token ids before it."""
    tokens: tuple[int, ...]
    ratios: tuple[float, ...]
    """ln p_trained − ln p_base of each of its tokens."""


class Extreme:
    """The `most` windows with the largest sums, or the least, over everything observed."""

    def __init__(self, *, largest: bool, most: int = 5) -> None:
        self._sign = -1.0 if largest else 1.0
        self._most = most
        self.kept: list[Window] = []

    def add(self, found: list[Window]) -> None:
        """Takes in windows; of equal sums those of the passages whose ids come first."""
        ranked = sorted([*self.kept, *found], key=lambda w: (self._sign * w.total, w.passage))
        self.kept = ranked[: self._most]

    def enters(self, total: float) -> bool:
        """Whether a window with this sum may be kept."""
        return len(self.kept) < self._most or self._sign * total <= self._sign * self.kept[-1].total


def windows(ratios: Floats, w: int) -> tuple[Floats, int]:
    """Sums (n − w' + 1) of all windows of w' = min(w, n) of a passage's n ratios, and w'."""
    length = min(w, len(ratios))
    summed = np.concatenate(([0.0], np.cumsum(ratios)))
    return summed[length:] - summed[:-length], length


def look(
    passage: str, ratios: Floats, current: Integers, target: Integers, w: int, kept: tuple[Extreme, Extreme]
) -> None:
    """Offers a passage's best windows to the stores of largest and of least sums.

    Args:
        ratios: (n) log-likelihood ratios of its tokens, in order.
        current: (n) the tokens that precede them.
        target: (n) the tokens themselves.
    """
    sums, length = windows(ratios, w)
    for store, at in zip(kept, (int(sums.argmax()), int(sums.argmin())), strict=True):
        total = float(sums[at])
        if total == 0.0 or (total > 0) != (store is kept[0]) or not store.enters(total):
            continue
        found = Window(
            passage=passage,
            start=at,
            total=total,
            before=tuple(current[max(0, at + 1 - _BEFORE) : at + 1].tolist()),
            tokens=tuple(target[at : at + length].tolist()),
            ratios=tuple(ratios[at : at + length].tolist()),
        )
        store.add([found])
