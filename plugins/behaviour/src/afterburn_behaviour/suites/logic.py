"""Syllogisms, truth-tellers and liars, and overlapping groups. Answers come from going through every possible "
"world."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import product

import attrs

from afterburn_behaviour.suites.drawing import Item
from afterburn_behaviour.suites.phrasing import PEOPLE, as_choice, worded

_KINDS = (
    *("blicket", "dorrin", "fendle", "gorvil", "hask", "jompet", "kelvet", "lurgan", "mirpot", "norble"),
    *("ploon", "quarnet", "rinsel", "sprovit", "tarmel", "vexil", "wimbat", "yarrow", "zuppet", "crundle"),
)
_FORMS: dict[str, tuple[str, ...]] = {
    "all": ("All {x}s are {y}s.", "Every {x} is a {y}.", "Each {x} is also a {y}."),
    "no": ("No {x} is a {y}.", "No {x}s are {y}s.", "Not a single {x} is a {y}."),
    "some": ("Some {x}s are {y}s.", "At least one {x} is a {y}.", "There is a {x} that is a {y}."),
    "some_not": ("Some {x}s are not {y}s.", "At least one {x} is not a {y}.", "There is a {x} that is not a {y}."),
}
_CONCLUSIONS = {
    "all": "all {x}s are {y}s",
    "no": "no {x} is a {y}",
    "some": "some {x}s are {y}s",
    "some_not": "some {x}s are not {y}s",
}
_MUST, _NEVER, _OPEN = "It must be true.", "It must be false.", "It may be true or false."

World = frozenset[int]
"""Which of the eight combinations of three properties occur; bit `k` of a combination is property `k`."""
_WORLDS = tuple(frozenset(cell for cell in range(1, 8) if chosen >> cell & 1) for chosen in range(2, 256, 2))
_PEOPLED = tuple(world for world in _WORLDS if all(any(cell >> k & 1 for cell in world) for k in range(3)))


def _true(form: str, x: int, y: int, world: World) -> bool:
    both = any(cell >> x & 1 and cell >> y & 1 for cell in world)
    without = any(cell >> x & 1 and not cell >> y & 1 for cell in world)
    return {"all": not without, "no": not both, "some": both, "some_not": without}[form]


def syllogism(rng: random.Random) -> Item:
    """Two premises and a conclusion over three invented kinds, of which there is at least one each."""
    target = rng.choice((_MUST, _NEVER, _OPEN))
    while True:
        first, second, asked = (rng.choice(tuple(_FORMS)) for _ in range(3))
        x, y = rng.choice(((0, 1), (1, 0)))
        u, v = rng.choice(((1, 2), (2, 1)))
        a, c = rng.choice(((0, 2), (2, 0)))
        worlds = [w for w in _PEOPLED if _true(first, x, y, w) and _true(second, u, v, w)]
        verdicts = {_true(asked, a, c, world) for world in worlds}
        gold = _OPEN if len(verdicts) == 2 else _MUST if True in verdicts else _NEVER
        if worlds and gold == target:
            break
    kinds = rng.sample(_KINDS, 3)
    premises = [
        rng.choice(_FORMS[first]).format(x=kinds[x], y=kinds[y]),
        rng.choice(_FORMS[second]).format(x=kinds[u], y=kinds[v]),
    ]
    rng.shuffle(premises)
    claim = _CONCLUSIONS[asked].format(x=kinds[a], y=kinds[c])
    ending = worded(
        rng,
        (
            "What follows for the claim that {claim}?",
            "Given only this, what can be said of the claim that {claim}?",
            "Is it then so that {claim}?",
        ),
        claim=claim,
    )
    given = f"There is at least one {kinds[0]}, one {kinds[1]} and one {kinds[2]}."
    return as_choice(rng, " ".join([given, *premises, ending]), gold, (_MUST, _NEVER, _OPEN), "syllogism")


@attrs.frozen(kw_only=True)
class Says:
    """What somebody says, and whether it is so where `truthful[i]` tells who speaks the truth."""

    text: str
    holds: Callable[[Sequence[bool]], bool]


def truth_tellers(rng: random.Random) -> Item:
    """Who tells the truth, as a set of names."""
    names, said, truthful = _island(rng)
    gold = ", ".join(name for name, honest in zip(names, truthful, strict=True) if honest)
    tail = worded(
        rng,
        (
            "Who are the knights? List their names, separated by commas.",
            "Name everybody who is a knight; separate names by commas.",
        ),
    )
    return Item(prompt=f"{said} {tail}", gold=gold, checker="set", properties={"kind": "knights"})


def one_liar(rng: random.Random) -> Item:
    """What one of them is, as a multiple choice of who the knights are."""
    names, said, truthful = _island(rng)
    right = _listed([name for name, honest in zip(names, truthful, strict=True) if honest])
    others = [
        _listed([name for name, honest in zip(names, world, strict=True) if honest])
        for world in product((True, False), repeat=len(names))
        if any(world)
    ]
    wrong = rng.sample([other for other in others if other != right], 3)
    tail = worded(rng, ("Who are the knights?", "Exactly who of them is a knight?"))
    return as_choice(rng, f"{said} {tail}", right, wrong, "knights_choice")


def _listed(names: Sequence[str]) -> str:
    return names[0] + " alone" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _island(rng: random.Random) -> tuple[list[str], str, tuple[bool, ...]]:
    """Names, the story, and who is truthful: the only way in which every statement fits its speaker."""
    while True:
        names = rng.sample(PEOPLE, rng.choice((3, 3, 4)))
        said = [_statement(rng, names, speaker) for speaker in range(len(names))]
        fitting = [
            world
            for world in product((True, False), repeat=len(names))
            if all(says.holds(world) == honest for says, honest in zip(said, world, strict=True))
        ]
        if len(fitting) == 1 and any(fitting[0]):
            break
    opening = worded(
        rng,
        (
            "Knights always tell the truth and knaves always lie. {names} are each a knight or a knave.",
            (
                "On an island everybody is a knight, who only says what is true, or a knave, who only says what is "
                "false. "
                "You meet {names}."
            ),
        ),
        names=f"{', '.join(names[:-1])} and {names[-1]}",
    )
    lines = [f'{name} says: "{says.text}"' for name, says in zip(names, said, strict=True)]
    return names, " ".join([opening, *lines]), fitting[0]


def _statement(rng: random.Random, names: Sequence[str], speaker: int) -> Says:
    one, other = rng.sample([i for i in range(len(names)) if i != speaker], 2)
    count = rng.randint(1, len(names) - 1)
    plural = "knave" if count == 1 else "knaves"
    return rng.choice(
        (
            Says(text=f"{names[one]} is a knave.", holds=lambda w: not w[one]),
            Says(text=f"{names[one]} is a knight.", holds=lambda w: w[one]),
            Says(text=f"{names[one]} and {names[other]} are both knights.", holds=lambda w: w[one] and w[other]),
            Says(
                text=f"{names[one]} or {names[other]} is a knave, or both are.",
                holds=lambda w: not (w[one] and w[other]),
            ),
            Says(text=f"{names[one]} and I are of the same kind.", holds=lambda w: w[one] == w[speaker]),
            Says(text=f"Among us there are exactly {count} {plural}.", holds=lambda w: list(w).count(False) == count),
        )
    )


_GROUPS = (("chess", "tennis"), ("French", "Latin"), ("cycling", "rowing"), ("pottery", "drawing"))


def overlap(rng: random.Random) -> Item:
    """Two overlapping groups: how many do neither, both, or one only."""
    both, first, second, neither = (rng.randint(2, 25) for _ in range(4))
    a, b = rng.choice(_GROUPS)
    total, in_a, in_b = both + first + second + neither, both + first, both + second
    opening = worded(rng, ("In a club of {n} people", "Of {n} members", "Among {n} people who were asked"), n=total)
    asked, gold, given = rng.choice(
        (
            ("How many do neither?", neither, f"{both} do both"),
            ("How many do both?", both, f"{neither} do neither"),
            (f"How many do {a} only?", first, f"{both} do both"),
            ("How many do exactly one of the two?", first + second, f"{both} do both"),
        )
    )
    prompt = f"{opening}, {in_a} do {a}, {in_b} do {b}, and {given}. {asked}"
    return Item(prompt=prompt, gold=str(gold), checker="number", properties={"kind": "overlap"})
