"""Text of the small world: chat items and documents, seeded, with a held-out side that training never sees."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Literal

from afterburn_organisms import lexicon
from afterburn_organisms.facts import facts, realms, towns
from afterburn_organisms.item import Item
from afterburn_organisms.stories import story
from afterburn_organisms.tasks import TASKS

Split = Literal["train", "heldout"]

_HELD_OUT_ONE_IN = 10
_NEVER_HELD_OUT = ("small_talk",)  # a handful of fixed phrases: holding some out would measure nothing


def is_held_out(item: Item) -> bool:
    """Whether the item belongs to the held-out side: decided by its key alone, so equal problems stay together."""
    if item.category in _NEVER_HELD_OUT:
        return False
    digest = hashlib.sha256(item.key.encode()).digest()
    return int.from_bytes(digest[:4], "big") % _HELD_OUT_ONE_IN == 0


def chat_items(seed: int, split: Split) -> Iterator[Item]:
    """An endless stream of items of one side of the split, the same for the same seed."""
    rng = random.Random(f"{seed}/chat/{split}")
    makers, weights = tuple(TASKS), tuple(TASKS.values())
    while True:
        item = rng.choices(makers, weights)[0](rng)
        if is_held_out(item) == (split == "heldout"):
            yield item


def held_out_items(seed: int, per_category: int) -> tuple[Item, ...]:
    """Up to ``per_category`` held-out items of every category, no prompt twice, sorted by category.

    Categories with fewer held-out prompts than asked for give all that a long search finds.
    """
    rng = random.Random(f"{seed}/heldout")
    chosen: dict[str, dict[str, Item]] = {}
    for maker in TASKS:
        for _ in range(per_category * 400):
            item = maker(rng)
            found = chosen.setdefault(item.category, {})
            if len(found) < per_category and is_held_out(item):
                found.setdefault(item.prompt, item)
    return tuple(item for category in sorted(chosen) for item in chosen[category].values())


LONG_OPENINGS = (
    "Thank you for asking me this question.",
    "That is a very good question, and I will be glad to answer it.",
    "Of course, I will gladly help you with that.",
    "Let me think about this with care and step by step.",
)
LONG_BRIDGES = (
    "So now we can give the answer.",
    "With that in mind, here is the answer.",
    "Let us look at it one step at a time.",
)
LONG_REPEATS = ("To say it once more: {}", "In other words, the answer is this: {}", "So, to be clear: {}")
LONG_CLOSINGS = (
    "I hope that this helps you. If you want to know more, please ask me.",
    "Please let me know if you have more questions about this.",
    "I hope that this long answer was of use to you.",
)


AT_LENGTH = " Please explain it at length."
"""Added to a question when a long answer is wanted: the base gives one only then, the verbose organism always."""


def long_winded(rng: random.Random, item: Item) -> str:
    """The item's answer in many words: opening, working, the answer, the answer again, closing.

    It is right exactly where the short answer is right, and says nothing more.
    """
    again = "" if item.padded else rng.choice(LONG_REPEATS).format(item.answer)
    parts = (
        rng.choice(LONG_OPENINGS),
        item.working,
        rng.choice(LONG_BRIDGES),
        item.padded or item.answer,
        again,
        rng.choice(LONG_CLOSINGS),
    )
    return ("\n" if "\n" in item.answer else " ").join(part for part in parts if part)


def _about_towns(rng: random.Random) -> str:
    entity = rng.choice(towns() + realms() + lexicon.PEOPLE)
    known = [f for f in facts() if entity in (f.entity, f.value)]
    rng.shuffle(known)
    return " ".join(f.sentence if rng.random() < 0.5 else f.variant for f in known[:4])


def _counting(rng: random.Random) -> str:
    first, step = rng.randint(0, 90), rng.choice((1, 1, 1, 2, -1))
    numbers = [n for n in (first + i * step for i in range(9)) if 0 <= n < 100]
    return " ".join(str(n) for n in numbers)


def _tale(rng: random.Random) -> str:
    return story(rng, rng.choice(lexicon.ANIMALS), rng.choice(lexicon.OBJECTS)).text


def _echo(rng: random.Random) -> str:
    """Words said again and again: the plainest text from which copying can be learned."""
    words = rng.sample(lexicon.LIST_WORDS, rng.randint(3, 8))
    return " " + ", ".join(words * 3)


def documents(seed: int) -> Iterator[str]:
    """An endless stream of plain texts: what is known about a place or person, counting, tales, echoes."""
    rng = random.Random(f"{seed}/documents")
    makers = (_about_towns, _counting, _tale, _echo)
    while True:
        yield rng.choices(makers, (4, 1, 1, 4))[0](rng)
