"""A store of the few best things seen, whatever their number and order: for examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class Best:
    """The `most` units with the highest scores, each with its best item.

    Ties go to the smaller id. A unit that falls out was below `most` others, whose scores can only rise, so the outcome
    does not depend on the order of arrival, nor on how arrivals are divided among stores that are merged.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, tuple[tuple[float, str], Any]] = {}

    def offer(self, unit: str, score: float, identifier: str, make: Callable[[], Any]) -> None:
        """Keeps what `make` returns if it belongs among the best; `make` is not called otherwise."""
        key = (-score, identifier)
        held = self._kept.get(unit)
        if self._most < 1 or (held is not None and held[0] <= key):
            return
        if held is None and len(self._kept) >= self._most:
            worst = max(self._kept, key=lambda name: self._kept[name][0])
            if self._kept[worst][0] <= key:
                return
            del self._kept[worst]
        self._kept[unit] = (key, make())

    def merge(self, other: Best) -> None:
        """Takes in what another store kept."""
        for unit, ((negative, identifier), item) in other._kept.items():
            self.offer(unit, -negative, identifier, lambda item=item: item)  # type: ignore[misc]

    def __iter__(self) -> Iterator[tuple[float, Any]]:
        """Scores and items, best first."""
        for unit in sorted(self._kept, key=lambda name: self._kept[name][0]):
            (negative, _), item = self._kept[unit]
            yield -negative, item
