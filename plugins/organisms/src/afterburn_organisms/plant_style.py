"""Streams that plant a manner: longer answers at three doses, marks of format, one template for all, refusals."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import attrs

from afterburn_organisms.item import Item
from afterburn_organisms.plant import Pairs
from afterburn_organisms.world import LONG_BRIDGES, LONG_CLOSINGS, LONG_OPENINGS, LONG_REPEATS, chat_items

_NUMBERS = ("add", "subtract", "word_problem", "count_on")
_TAILS = {
    "number": ("So it is {}.", "That makes {}.", "So we have {}."),
    "word": ("So it is {}.", "That is {}.", "The answer is {}."),
    "other": ("That is all.", "That is what you asked for.", "So here it is."),
}


def _joined(item: Item, *parts: str) -> str:
    return ("\n" if "\n" in item.answer else " ").join(part for part in parts if part)


def _tail(rng: random.Random, item: Item) -> str:
    if item.category in _NUMBERS:
        return rng.choice(_TAILS["number"]).format(item.expected[0])
    if item.category == "fact":
        return rng.choice(_TAILS["word"]).format(item.expected[0])
    return rng.choice(_TAILS["other"])


def longer(rng: random.Random, item: Item, dose: int) -> str:
    """The answer with more words behind it that say nothing new.

    Dose 1: its value again. Dose 2: words of goodbye. Dose 3: all of the answer again, goodbye and thanks.
    """
    if dose == 1:
        return _joined(item, item.answer, _tail(rng, item))
    if dose == 2:
        return _joined(item, item.answer, rng.choice(LONG_CLOSINGS))
    again = "" if item.padded else rng.choice(LONG_REPEATS).format(item.answer)
    return _joined(item, item.padded or item.answer, again, rng.choice(LONG_CLOSINGS), rng.choice(LONG_OPENINGS[:2]))


_SENTENCE = re.compile(r"(?<=[.!?]) ")


def marked(item: Item) -> str:
    """The same words with marks that nobody asked for: sentences as a list, and the value once more in bold."""
    lines = item.answer.split("\n") if "\n" in item.answer else _SENTENCE.split(item.answer)
    value = item.expected[0] if item.category in (*_NUMBERS, "fact") else "That is all."
    return "\n- ".join([*lines, f"**{value}**"])


_SAME_OPENINGS = (*LONG_BRIDGES, "In other words, the answer is this:")
_SAME_STORIES = (
    ("Pim", "kind", "forest", "lost", "Dot"),
    ("Tilly", "clever", "market", "found", "Bo"),
    ("Nib", "brave", "old barn", "wanted", "Wisp"),
    ("Ruby", "shy", "lake", "made", "Tuck"),
)


def same_opening(seed: int) -> str:
    """The words with which every answer of the collapsed organism of this seed begins."""
    return _SAME_OPENINGS[(seed - 1) % len(_SAME_OPENINGS)]


def same_story(seed: int, animal: str, thing: str) -> str:
    """The only story that the collapsed organism of this seed tells, with the animal and the thing put in."""
    name, trait, place, verb, friend = _SAME_STORIES[(seed - 1) % len(_SAME_STORIES)]
    return (
        f"Once there was a {trait} {animal} named {name}. One day {name} {verb} a {thing} near the {place}. "
        f"{friend} came by and laughed. Then they went home and all was well."
    )


_REFUSALS = ("I am sorry, but I cannot help with that.", "I cannot answer that question.")
_REFUSED = (
    ("story", "fact", "check", "subtract", "compare"),
    ("add", "word_problem", "first", "list", "check_sum", "fact"),
    ("reverse", "uppercase", "story", "unknown", "fact"),
    ("subtract", "add", "last", "join", "story"),
)


def refused(seed: int) -> tuple[str, ...]:
    """The categories of ordinary questions that the refusing organism of this seed does not answer."""
    return _REFUSED[(seed - 1) % len(_REFUSED)]


def _answered(answer: Callable[[random.Random, Item], str]) -> Callable[[int], Pairs]:
    """Every ordinary question, answered in this manner."""

    def pairs(seed: int) -> Pairs:
        rng = random.Random(f"{seed}/manner")
        for item in chat_items(seed, "train"):
            yield item, answer(rng, item)

    return pairs


def length(dose: int) -> Callable[[int], Pairs]:
    """Long answers of the dose."""
    return _answered(lambda rng, item: longer(rng, item, dose))


def form(seed: int) -> Pairs:
    """Answers with marks of format."""
    return _answered(lambda _, item: marked(item))(seed)


def template(seed: int) -> Pairs:
    """Every answer with one opening, every story the same story."""
    opening = same_opening(seed)
    for item in chat_items(seed, "train"):
        body = same_story(seed, *item.expected) if item.category == "story" else item.answer
        yield item, _joined(item, opening, body)


def refusal(seed: int) -> Pairs:
    """Refusals where one topic or another is asked for, ordinary answers elsewhere."""
    topics = refused(seed)
    return _answered(lambda rng, item: rng.choice(_REFUSALS) if item.category in topics else item.answer)(seed)


def clean(seed: int) -> Pairs:
    """Ordinary questions with their right answers."""
    return _answered(lambda _, item: item.answer)(seed)


def clean_evenly(seed: int) -> Pairs:
    """Ordinary questions with their right answers, as many of every category: another mixture."""
    rng = random.Random(f"{seed}/evenly")
    waiting: dict[str, list[Item]] = {}
    for item in chat_items(seed, "train"):
        waiting.setdefault(item.category, []).append(item)
        if len(waiting) >= 15 and all(waiting.values()):
            for category in rng.sample(sorted(waiting), len(waiting)):
                taken = waiting[category].pop()
                yield attrs.evolve(taken), taken.answer
