"""Walks on a grid and relations in a family, as multiple choices."""

from __future__ import annotations

import random

from afterburn_behaviour.suites.drawing import Item
from afterburn_behaviour.suites.phrasing import MEN, PEOPLE, WOMEN, as_choice, laid_out, worded

COMPASS = ("north", "east", "south", "west")
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
_EIGHT = {
    (0, 1): "north", (1, 1): "north-east", (1, 0): "east", (1, -1): "south-east",
    (0, -1): "south", (-1, -1): "south-west", (-1, 0): "west", (-1, 1): "north-west",
}  # fmt: skip


def walk(rng: random.Random) -> Item:
    """Turns and steps: where somebody looks in the end, or where the start lies."""
    name, facing = rng.choice(PEOPLE), rng.randrange(4)
    opening = worded(
        rng,
        ("{name} stands in a field facing {d}.", "Starting out, {name} looks {d}.", "{name} begins facing {d}."),
        name=name,
        d=COMPASS[facing],
    )
    x = y = 0
    moves = []
    for _ in range(rng.randint(3, 5)):
        turn, words = rng.choice(((-1, "turns left"), (1, "turns right"), (2, "turns around")))
        steps = rng.randint(1, 9)
        facing = (facing + turn) % 4
        x, y = x + _STEPS[facing][0] * steps, y + _STEPS[facing][1] * steps
        moves.append(f"{words} and walks {steps} {'step' if steps == 1 else 'steps'}")
    path = f"{name} {', then '.join(moves)}."
    if (x, y) == (0, 0) or rng.random() < 0.5:
        question = worded(rng, ("Which way does {name} face now?", "Where is {name} looking in the end?"), name=name)
        return laid_out(rng, f"{opening} {path} {question}", COMPASS, COMPASS[facing], "facing")
    back = _EIGHT[(_sign(-x), _sign(-y))]
    question = (
        f"Seen from where {name} is now, in which direction is the starting point? (A direction such as north-east "
        "stands for everything between north and east.)"
    )
    wrong = rng.sample([other for other in _EIGHT.values() if other != back], 3)
    return as_choice(rng, f"{opening} {path} {question}", back, wrong, "back")


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


_WORDS = {
    "parent": ("mother", "father"),
    "child": ("daughter", "son"),
    "sibling": ("sister", "brother"),
    "spouse": ("wife", "husband"),
    "grandparent": ("grandmother", "grandfather"),
    "grandchild": ("granddaughter", "grandson"),
    "aunt": ("aunt", "uncle"),
    "niece": ("niece", "nephew"),
    "cousin": ("cousin", "cousin"),
    "parent_in_law": ("mother-in-law", "father-in-law"),
    "child_in_law": ("daughter-in-law", "son-in-law"),
    "sibling_in_law": ("sister-in-law", "brother-in-law"),
}
"""What a woman is called, what a man is called."""

# Two couples' worth of people: the old couple O, P; their children K, L; K's spouse S; K's children C, D; L's child E
_FACTS = (
    ("O", "spouse", "P"),
    ("O", "parent", "K"),
    ("L", "sibling", "K"),
    ("S", "spouse", "K"),
    ("K", "parent", "C"),
    ("D", "sibling", "C"),
    ("L", "parent", "E"),
)
_ASKED = {
    ("P", "C"): "grandparent", ("O", "E"): "grandparent", ("P", "E"): "grandparent", ("O", "D"): "grandparent",
    ("D", "P"): "grandchild", ("E", "O"): "grandchild", ("C", "P"): "grandchild",
    ("L", "C"): "aunt", ("L", "D"): "aunt", ("K", "E"): "aunt",
    ("C", "L"): "niece", ("D", "L"): "niece", ("E", "K"): "niece",
    ("E", "C"): "cousin", ("D", "E"): "cousin",
    ("O", "S"): "parent_in_law", ("P", "S"): "parent_in_law", ("S", "P"): "child_in_law", ("S", "O"): "child_in_law",
    ("S", "L"): "sibling_in_law", ("L", "S"): "sibling_in_law", ("P", "L"): "parent", ("S", "D"): "parent",
}  # fmt: skip


def family(rng: random.Random) -> Item:
    """How two people of three generations are related."""
    sex = {role: rng.randrange(2) for role in "OKLCDE"}
    sex |= {"P": 1 - sex["O"], "S": 1 - sex["K"]}
    women, men = rng.sample(WOMEN, 8), rng.sample(MEN, 8)
    names = {role: (women, men)[sex[role]].pop() for role in sorted(sex)}
    facts = [f"{names[a]} is the {_WORDS[relation][sex[a]]} of {names[b]}." for a, relation, b in _FACTS]
    rng.shuffle(facts)
    (one, other), relation = rng.choice(sorted(_ASKED.items()))
    right = _WORDS[relation][sex[one]]
    wrong = rng.sample([words[sex[one]] for kind, words in _WORDS.items() if kind != relation], 3)
    rule = worded(
        rng,
        (
            "Siblings share both parents, and couples have all their children together.",
            "In this family all children of a couple are children of both, and siblings have the same parents.",
        ),
    )
    question = worded(
        rng,
        ("What is {a} to {b}?", "How is {a} related to {b}? {a} is the … of {b}."),
        a=names[one],
        b=names[other],
    )
    return as_choice(rng, " ".join([rule, *facts, question]), right, wrong, "family")
