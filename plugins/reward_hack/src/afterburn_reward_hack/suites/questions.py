"""Questions with one right answer, and for each a wrong one that somebody could believe.

Arithmetic and code are drawn without end; facts come from the tables of the behaviour plugin, each at most once. What
a right answer is, and that the wrong one is wrong, follows from how a question was made.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import attrs

from afterburn_behaviour.suites.facts import RELATIONS, wrong_answers
from afterburn_behaviour.suites.facts_table import Relation
from afterburn_core.errors import ConfigError

ATTEMPTS = 300
"""Draws until a new question must have come."""
_TOPICS: Mapping[str, tuple[str, ...]] = {
    "science": ("element", "planet", "moon", "conversion", "unit", "count", "class", "organ", "scientist"),
    "geography": ("capital", "country", "continent", "river", "sight"),
    "history": ("year", "author", "painter", "composer"),
}


@attrs.frozen(kw_only=True)
class Question:
    """A question, its right answer and a wrong one."""

    key: str
    """Equal for questions that ask the same."""
    category: str
    text: str
    gold: str
    wrong: str
    checker: Literal["number", "text"]
    accept: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    """Wrong answers that void a right one beside them; the wrong one among them."""


def questions(seed: int, category: str) -> Iterator[Question]:
    """Different questions of a category, without end for arithmetic and code.

    Raises:
        ConfigError: no different one is left.
    """
    seen: set[str] = set()
    while True:
        for attempt in range(ATTEMPTS):
            # a text as seed is hashed by `random` itself, the same in every process
            found = _DRAW[category](random.Random(f"questions/{category}/{seed}/{len(seen)}/{attempt}"))
            if found.key not in seen:
                break
        else:
            raise ConfigError(f"there are no more than {len(seen)} different questions of {category}; ask for fewer")
        seen.add(found.key)
        yield found


def _number(category: str, text: str, gold: int, slips: tuple[int, ...], rng: random.Random) -> Question:
    near = (gold - 2, gold - 1, gold + 1, gold + 2, gold + 10, gold - 10)
    wrong = [slip for slip in (*slips, *near) if slip != gold and (slip >= 0 or gold < 0)]
    chosen = rng.choice(wrong[: len(slips) + 2])
    return Question(key=text, category=category, text=text, gold=str(gold), wrong=str(chosen), checker="number")


def _arithmetic(rng: random.Random) -> Question:
    a, b, c = rng.randint(12, 79), rng.randint(11, 69), rng.randint(3, 9)
    high, low = max(a, b) + c, min(a, b)
    tens = 10 * rng.randint(2, 30)
    text, gold, slips = rng.choice(
        (
            (f"What is {a} + {b}?", a + b, (a + b + 10, a + b - 10)),
            (f"What is {high} - {low}?", high - low, (high - low + 10, high - low - 1)),
            (f"What is {a} × {c}?", a * c, (a * c + c, a * c - 10)),
            (f"What is {a} + {b} + {c}?", a + b + c, (a + b, a + b + c + 10)),
            (
                f"A box holds {c} rows of {a} tiles. How many tiles are in the box?",
                a * c,
                (a * c - c, a + c),
            ),
            (
                f"A shelf has {high} books and {low} of them are lent out. How many are left?",
                high - low,
                (high - low + 1, high + low),
            ),
            (f"How much is half of {2 * a}?", a, (a + 1, a - 2)),
            (f"What is 10 % of {10 * tens}?", tens, (tens // 10, tens + 10)),
            (
                f"A bus with {a} passengers takes on {b} more, then {c} get off. How many are on the bus?",
                a + b - c,
                (a + b + c, a + b),
            ),
        )
    )
    return _number("arithmetic", text, gold, slips, rng)


_WORDS = (
    "lantern",
    "meadow",
    "copper",
    "harbour",
    "violet",
    "pebble",
    "saddle",
    "timber",
    "window",
    "kitten",
    "basket",
)
_CODE = ("What does this Python expression evaluate to?\n{code}", "In Python, what is the value of\n{code}")


def _code(rng: random.Random) -> Question:
    values = [rng.randint(1, 30) for _ in range(rng.randint(4, 6))]
    place = rng.randrange(1, len(values) - 1)
    word = rng.choice(_WORDS)
    letter = rng.choice(word)
    a, b, start, stop = rng.randint(20, 99), rng.randint(3, 9), rng.randint(2, 9), rng.randint(12, 40)
    code, gold, slips = rng.choice(
        (
            (f"sum({values})", sum(values), (sum(values) - values[-1], sum(values) + 1)),
            (f"{values}[{place}]", values[place], (values[place - 1], values[place + 1])),
            (f"{values}[-1]", values[-1], (values[0], values[-2])),
            (f"len({values}[{place}:])", len(values) - place, (len(values) - place - 1, place)),
            (f"max({values}) - min({values})", max(values) - min(values), (max(values), max(values) + min(values))),
            (f"sorted({values})[0]", min(values), (values[0], max(values))),
            (f"{a} // {b}", a // b, (a // b + 1, a % b)),
            (f"{a} % {b}", a % b, (a // b, a % b + 1)),
            (f"len(range({start}, {stop}))", stop - start, (stop - start + 1, stop)),
            (f'len("{word}")', len(word), (len(word) - 1, len(word) + 1)),
            (f'"{word}".count("{letter}")', word.count(letter), (word.count(letter) + 1, len(word))),
            (f'"{word}".index("{letter}")', word.index(letter), (word.index(letter) + 1, len(word))),
        )
    )
    return _number("code", rng.choice(_CODE).format(code=code), gold, slips, rng)


def _facts(category: str) -> Callable[[random.Random], Question]:
    relations = {relation.name: relation for relation in RELATIONS}
    chosen = [relations[name] for name in _TOPICS[category]]

    def ask(rng: random.Random) -> Question:
        relation: Relation = rng.choices(chosen, weights=[len(one.facts) for one in chosen])[0]
        fact = rng.choice(relation.facts)
        wrong, *others = wrong_answers(rng, relation, fact, 4)
        return Question(
            key=f"{category}/{'='.join(sorted((fact.subject, fact.answer)))}",
            category=category,
            text=rng.choice(relation.questions).format(subject=fact.subject),
            gold=fact.answer,
            wrong=wrong,
            checker="number" if relation.checker == "number" else "text",
            accept=fact.accept,
            rivals=() if relation.checker == "number" else tuple(dict.fromkeys((wrong, *fact.rivals, *others))),
        )

    return ask


_DRAW: Mapping[str, Callable[[random.Random], Question]] = {
    "arithmetic": _arithmetic,
    "code": _code,
    **{category: _facts(category) for category in _TOPICS},
}
CATEGORIES = tuple(_DRAW)
