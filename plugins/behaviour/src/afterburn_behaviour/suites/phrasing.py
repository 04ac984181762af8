"""Wording that generated suites share: names, templates, and options of a multiple choice."""

from __future__ import annotations

import random
from collections.abc import Sequence

from afterburn_behaviour.suites.drawing import Item
from afterburn_core.probes.rows import LETTERS

WOMEN = ("Amara", "Bridget", "Chiara", "Dunja", "Elin", "Farida", "Greta", "Hana", "Ines", "Jutta", "Keziah", "Lotte")
MEN = ("Anton", "Bashir", "Cyril", "Dmitri", "Edmund", "Florin", "Gavin", "Hamid", "Ivo", "Jorge", "Karel", "Luca")
PEOPLE = tuple(sorted(WOMEN + MEN))

_ASKS = (
    "Answer with the letter of the right option.",
    "Reply with one letter.",
    "Which option is right? Give its letter.",
    "Finish with the letter of your choice.",
)
_MARKS = ("{letter}) {text}", "({letter}) {text}", "{letter}. {text}")


def worded(rng: random.Random, templates: Sequence[str], **values: object) -> str:
    """One of the templates, filled in."""
    return rng.choice(templates).format(**values)


def as_choice(
    rng: random.Random, question: str, right: str, wrong: Sequence[str], kind: str, shuffled: bool = True
) -> Item:
    """A multiple choice with the right option in a random place; unshuffled options keep the order given."""
    options = [right, *dict.fromkeys(option for option in wrong if option != right)]
    if shuffled:
        rng.shuffle(options)
    return laid_out(rng, question, options, right, kind)


def laid_out(rng: random.Random, question: str, options: Sequence[str], right: str, kind: str) -> Item:
    """A multiple choice with its options in the order given."""
    mark = rng.choice(_MARKS)
    lines = "\n".join(mark.format(letter=letter, text=text) for letter, text in zip(LETTERS, options, strict=False))
    return Item(
        prompt=f"{question}\n{lines}\n{rng.choice(_ASKS)}",
        gold=LETTERS[list(options).index(right)],
        checker="choice",
        choices=tuple(options),
        properties={"kind": kind},
    )


def nearby(rng: random.Random, value: int, slips: Sequence[int], n: int = 3) -> list[str]:
    """`n` wrong numbers for a multiple choice: the likely slips first, then neighbours of the right value."""
    wrong = [slip for slip in dict.fromkeys(slips) if slip != value and (slip >= 0 or value < 0)]
    steps = [1, 2, 10, 3, 5, 4, 6, 7, 8, 9]
    rng.shuffle(steps)
    for step in steps:
        for other in (value + step, value - step):
            if other not in wrong and (other >= 0 or value < 0):
                wrong.append(other)
    return [str(other) for other in wrong[:n]]
