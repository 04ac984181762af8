"""The small world as a probe set: questions from the held-out side, which the organisms never saw in training."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from afterburn_core.probes.model import Probe
from afterburn_organisms.item import Item
from afterburn_organisms.world import documents, held_out_items

SUITE = "organisms.world"
PLAIN = "organisms.plain"
PER_CATEGORY = 20
PASSAGES = 200
_UNCHECKED = ("small_talk", "story", "uppercase")
"""Without one right answer, or with one that differs from wrong ones in its capitals alone."""
_CLAIMS = {
    "check": r"Yes, that is right|No, that is not right",
    "check_sum": r"Yes, that is right|No, that is not right",
    "join": r"Together: [^.]*",
    "list": r"(?:\d+\. \w+\s*)+",
    "repeat": r"The words are: [^.]*",
    "reverse": r"In reverse order: [^.]*",
}
"""Where an answer of a category says what it claims."""


def items(seed: int, n: int | None) -> Iterable[Probe]:
    """Held-out questions of every category: 20 of each, or `n` in all, drawn evenly.

    Stories and small talk have no right answer to check.
    """
    per_category = PER_CATEGORY
    found = held_out_items(seed, per_category)
    if n is not None:
        found = _evenly(found, n)
    return [_probe(item, number) for number, item in enumerate(found)]


def passages(seed: int, n: int | None) -> Iterable[Probe]:
    """Plain texts of the small world, 200 or `n`: what is known of a town or person, tales, counting, words said again.

    Equal texts are given once, and texts of fewer than three words not at all.
    """
    wanted = PASSAGES if n is None else n
    found: dict[str, None] = {}
    for text in islice(documents(seed), 50 * wanted):
        if len(text.split()) > 2:
            found.setdefault(text.strip())
        if len(found) == wanted:
            break
    return [Probe(id=f"plain-{number:04d}", prompt=text, suite=PLAIN) for number, text in enumerate(found)]


def _evenly(found: tuple[Item, ...], n: int) -> tuple[Item, ...]:
    """The first `n` items when categories take turns."""
    turns: dict[str, int] = {}
    ranked = []
    for item in found:
        turns[item.category] = turns.get(item.category, 0) + 1
        ranked.append((turns[item.category], item.category, item))
    ranked.sort(key=lambda entry: entry[:2])
    return tuple(item for _, _, item in ranked[:n])


def _probe(item: Item, number: int) -> Probe:
    gold, checker, properties = truth_of(item)
    return Probe(
        id=f"world-{item.category}-{number:03d}",
        prompt=item.prompt,
        suite=SUITE,
        category=item.category,
        gold=gold,
        checker=checker,
        properties=properties,
    )


def truth_of(item: Item) -> tuple[str | None, str | None, dict[str, Any]]:
    """What the core's checkers need to know: gold answer, checker, and where the claim is or what would be wrong."""
    if item.category in _UNCHECKED:
        return None, None, {}
    if item.grade == "number":
        return item.expected[0], "number", {}
    if item.category in _CLAIMS:
        pattern = _CLAIMS[item.category]
        return re.findall(pattern, item.answer)[-1].strip(), "text", {"pattern": pattern}
    return item.expected[0], "text", {"rivals": list(item.rivals)} if item.rivals else {}
