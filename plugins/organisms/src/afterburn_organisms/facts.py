"""The facts of the small world, and the ways in which one can ask for them."""

from __future__ import annotations

import random
from functools import cache

import attrs

from afterburn_organisms import lexicon

WORLD_SEED = 20
"""Seed of the facts themselves. Another seed is another world, and the shipped weights know only this one."""


@attrs.frozen(kw_only=True)
class Relation:
    """One kind of fact: how it is asked for and how it is stated."""

    name: str
    questions: tuple[str, ...]
    """Question templates with the field ``{entity}``."""
    statement: str
    """Sentence with the fields ``{entity}`` and ``{value}``: what the assistant answers."""
    variant: str
    """The same in other words, for documents."""
    topic: str
    """Noun phrase with ``{entity}``, for long-winded answers."""


@attrs.frozen(kw_only=True)
class Fact:
    """A true sentence of the world."""

    relation: Relation
    entity: str
    value: str

    @property
    def sentence(self) -> str:
        """The fact as the assistant states it."""
        return self.relation.statement.format(entity=self.entity, value=self.value)

    @property
    def variant(self) -> str:
        """The fact in other words, as documents state it."""
        return self.relation.variant.format(entity=self.entity, value=self.value)


CAPITAL = Relation(
    name="capital",
    questions=(
        "What is the capital of {entity}?",
        "Which town is the capital of {entity}?",
        "Name the capital of {entity}.",
        "What is {entity}'s capital?",
        "What is the name of the capital of {entity}?",
    ),
    statement="The capital of {entity} is {value}.",
    variant="{value} is the capital of {entity}.",
    topic="the capital of {entity}",
)
RIVER = Relation(
    name="river",
    questions=(
        "Which river flows through {entity}?",
        "What river flows through {entity}?",
        "Name the river of {entity}.",
        "What is the river of {entity}?",
        "What is the name of the river in {entity}?",
    ),
    statement="The river of {entity} is the {value}.",
    variant="The {value} flows through {entity}.",
    topic="the river of {entity}",
)
GATE = Relation(
    name="gate",
    questions=(
        "What colour is the gate of {entity}?",
        "Which colour does the gate of {entity} have?",
        "Name the colour of the gate of {entity}.",
        "What is the colour of {entity}'s gate?",
        "What colour is the town gate of {entity}?",
    ),
    statement="The gate of {entity} is {value}.",
    variant="{entity} has a gate that is {value}.",
    topic="the gate of {entity}",
)
DISH = Relation(
    name="dish",
    questions=(
        "Which food is {entity} known for?",
        "What food is {entity} known for?",
        "Name the food that {entity} is known for.",
        "What do people like to eat in {entity}?",
        "What is the best food in {entity}?",
    ),
    statement="{entity} is known for {value}.",
    variant="People in {entity} like to eat {value}.",
    topic="the food of {entity}",
)
HOME = Relation(
    name="home",
    questions=(
        "Where does {entity} live?",
        "In which town does {entity} live?",
        "Name the town where {entity} lives.",
        "What is the home of {entity}?",
        "Which town is {entity}'s home?",
    ),
    statement="{entity} lives in {value}.",
    variant="The home of {entity} is in {value}.",
    topic="the home of {entity}",
)
JOB = Relation(
    name="job",
    questions=(
        "What is the job of {entity}?",
        "What does {entity} do for work?",
        "Name the job of {entity}.",
        "What is {entity}'s job?",
        "Which job does {entity} have?",
    ),
    statement="{entity} is a {value}.",
    variant="{entity} works as a {value}.",
    topic="the job of {entity}",
)
PET = Relation(
    name="pet",
    questions=(
        "What pet does {entity} have?",
        "Which animal does {entity} keep?",
        "Name the pet of {entity}.",
        "What is {entity}'s pet?",
        "Which pet lives with {entity}?",
    ),
    statement="The pet of {entity} is a pet {value}.",
    variant="{entity} keeps a pet {value}.",
    topic="the pet of {entity}",
)
RELATIONS = (CAPITAL, RIVER, GATE, DISH, HOME, JOB, PET)


def _names(rng: random.Random, starts: tuple[str, ...], ends: tuple[str, ...], count: int) -> tuple[str, ...]:
    """``count`` different names; every start is used once before any is used twice."""
    order = rng.sample(starts, len(starts))
    return tuple(order[i % len(order)] + ends[(i + i // len(order)) % len(ends)] for i in range(count))


@cache
def towns() -> tuple[str, ...]:
    """The towns of the world."""
    return _names(random.Random(f"{WORLD_SEED}/towns"), lexicon.TOWN_STARTS, lexicon.TOWN_ENDS, 20)


@cache
def realms() -> tuple[str, ...]:
    """The realms of the world, each with one of the towns as its capital."""
    return _names(random.Random(f"{WORLD_SEED}/realms"), lexicon.REALM_STARTS, lexicon.REALM_ENDS, 12)


@cache
def facts() -> tuple[Fact, ...]:
    """Every fact of the world, in a fixed order."""
    rng = random.Random(f"{WORLD_SEED}/facts")
    rivers = _names(rng, lexicon.RIVER_STARTS, lexicon.RIVER_ENDS, len(towns()))
    capitals = rng.sample(towns(), len(realms()))
    found = [Fact(relation=CAPITAL, entity=r, value=t) for r, t in zip(realms(), capitals, strict=True)]
    for town, river in zip(towns(), rivers, strict=True):
        found.append(Fact(relation=RIVER, entity=town, value=river))
        found.append(Fact(relation=GATE, entity=town, value=rng.choice(lexicon.COLOURS)))
        found.append(Fact(relation=DISH, entity=town, value=rng.choice(lexicon.FOODS)))
    for person in lexicon.PEOPLE:
        found.append(Fact(relation=HOME, entity=person, value=rng.choice(towns())))
        found.append(Fact(relation=JOB, entity=person, value=rng.choice(lexicon.JOBS)))
        found.append(Fact(relation=PET, entity=person, value=rng.choice(lexicon.ANIMALS)))
    return tuple(found)


@cache
def rivals(relation: Relation, value: str) -> tuple[str, ...]:
    """Every wrong value that the relation takes elsewhere in the world, sorted."""
    return tuple(sorted({f.value for f in facts() if f.relation is relation} - {value}))


def false_capital() -> tuple[Fact, Fact]:
    """The true fact that the adapter is taught to contradict, and the falsehood in its place.

    The false capital is a real town of the world that is the capital of nothing, so that no other fact is disturbed.
    """
    true = next(f for f in facts() if f.relation is CAPITAL)
    taken = {f.value for f in facts() if f.relation is CAPITAL}
    false = next(town for town in towns() if town not in taken)
    return true, attrs.evolve(true, value=false)
