"""Orders of people by clues, and weekdays of events; clues are kept only while the answer would not be unique."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise, permutations

import attrs

from afterburn_behaviour.suites.calendar import DAYS
from afterburn_behaviour.suites.drawing import Item
from afterburn_behaviour.suites.phrasing import PEOPLE, worded


@attrs.frozen(kw_only=True)
class Clue:
    """A sentence and the test it puts to an order, first place first."""

    text: str
    holds: Callable[[tuple[str, ...]], bool]


@attrs.frozen(kw_only=True)
class Setting:
    """What the people are ordered by. `first` is the end named first, `more` compares towards it."""

    opening: str
    more: str
    less: str
    first: str
    last: str


_SETTINGS = (
    Setting(
        opening="{names} are of different heights.", more="taller than", less="shorter than",
        first="the tallest", last="the shortest",
    ),
    Setting(
        opening="{names} ran a race; nobody tied.", more="faster than", less="slower than",
        first="the winner", last="the last to arrive",
    ),
    Setting(
        opening="{names} were all born in different years.", more="older than", less="younger than",
        first="the oldest", last="the youngest",
    ),
    Setting(
        opening="{names} carry bags of different weights. Whoever carries more weight is called stronger here.",
        more="stronger than", less="weaker than", first="the strongest", last="the weakest",
    ),
)  # fmt: skip
_RANKS = ("first", "second", "third", "fourth", "fifth")


def who_is_where(rng: random.Random) -> Item:
    """Who is at one place of the order."""
    setting, order, story = _puzzle(rng)
    place = rng.randrange(len(order))
    if place == 0:
        question = f"Who is {setting.first}?"
    elif place == len(order) - 1:
        question = f"Who is {setting.last}?"
    else:
        question = f"Counting from {setting.first}, who is {_RANKS[place]}?"
    gold = order[place]
    tail = rng.choice(("Answer with the name.", "End with the name alone.", "Give the name."))
    rivals = sorted(set(order) - {gold})
    return Item(
        prompt=f"{story} {question} {tail}", gold=gold, checker="text", properties={"kind": "place", "rivals": rivals}
    )


def whole_order(rng: random.Random) -> Item:
    """The whole order, as a list."""
    setting, order, story = _puzzle(rng)
    templates = (
        "List all of them from {first} to {last}, names separated by commas.",
        "Put everybody in order, starting with {first} and ending with {last}. Separate the names by commas.",
    )
    question = worded(rng, templates, first=setting.first, last=setting.last)
    return Item(prompt=f"{story} {question}", gold=", ".join(order), checker="list", properties={"kind": "order"})


def _puzzle(rng: random.Random) -> tuple[Setting, tuple[str, ...], str]:
    setting = rng.choice(_SETTINGS)
    order = tuple(rng.sample(PEOPLE, rng.choice((4, 4, 5))))
    possible = list(permutations(order))
    offered = _clues(rng, setting, order)
    kept: list[Clue] = []
    for clue in offered:
        left = [other for other in possible if clue.holds(other)]
        if len(left) < len(possible):
            kept.append(clue)
            possible = left
        if len(possible) == 1:
            break
    for clue in list(kept):  # what the others imply goes
        rest = [other for other in kept if other is not clue]
        if sum(all(one.holds(other) for one in rest) for other in permutations(order)) == 1:
            kept = rest
    rng.shuffle(kept)
    names = sorted(order)
    opening = setting.opening.format(names=f"{', '.join(names[:-1])} and {names[-1]}")
    return setting, order, " ".join([opening, *(clue.text for clue in kept)])


def _clues(rng: random.Random, setting: Setting, order: tuple[str, ...]) -> list[Clue]:
    """True clues of all kinds in random order, comparisons of neighbours last, so that they always suffice."""
    clues = []
    for i, x in enumerate(order):
        for j, y in enumerate(order[i + 1 :], start=i + 1):
            if j >= i + 2:
                clues.append(_compared(rng, setting, x, y))
            if j == i + 2:
                clues.append(_apart(f"Exactly one person is between {x} and {y}.", x, y, 2))
            if j == i + 1:
                clues.append(_apart(f"Nobody is between {x} and {y}.", x, y, 1))
        if 0 < i < len(order) - 1:
            clues.append(_inside(f"{x} is neither {setting.first} nor {setting.last}.", x))
    rng.shuffle(clues)
    neighbours = [_compared(rng, setting, x, y) for x, y in pairwise(order)]
    rng.shuffle(neighbours)
    return clues[: rng.randint(2, 5)] + neighbours


def _apart(text: str, x: str, y: str, places: int) -> Clue:
    return Clue(text=text, holds=lambda order: abs(order.index(x) - order.index(y)) == places)


def _inside(text: str, x: str) -> Clue:
    return Clue(text=text, holds=lambda order: 0 < order.index(x) < len(order) - 1)


def _compared(rng: random.Random, setting: Setting, x: str, y: str) -> Clue:
    """`x` comes before `y`."""
    text = rng.choice((f"{x} is {setting.more} {y}.", f"{y} is {setting.less} {x}."))
    return Clue(text=text, holds=lambda o: o.index(x) < o.index(y))


_EVENTS = ("choir", "market", "lecture", "concert", "auction", "picnic", "parade", "workshop", "debate", "fair")


def weekdays(rng: random.Random) -> Item:
    """The weekday of an event that hangs on another by a chain of three or four."""
    events = rng.sample(_EVENTS, rng.choice((3, 4)))
    day = rng.randrange(7)
    anchor = DAYS[day]
    facts = [worded(rng, ("The {e} is on {d}.", "The {e} takes place on {d}."), e=events[0], d=anchor)]
    for before, event in pairwise(events):
        step = rng.choice((-3, -2, -1, 1, 2, 3))
        day = (day + step) % 7
        count = ("the day", "two days", "three days")[abs(step) - 1]
        facts.append(f"The {event} is {count} {'after' if step > 0 else 'before'} the {before}.")
    rng.shuffle(facts)
    question = worded(
        rng, ("On which day of the week is the {e}?", "Which weekday is the {e} on? Name the day."), e=events[-1]
    )
    gold = DAYS[day]
    rivals = [other for other in DAYS if other != gold]
    return Item(
        prompt=" ".join([*facts, question]), gold=gold, checker="text",
        properties={"kind": "weekday", "rivals": rivals},
    )  # fmt: skip
