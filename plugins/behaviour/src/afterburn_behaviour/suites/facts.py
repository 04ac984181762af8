"""The suite `facts`: questions from tables of well-established facts, a third of them multiple choice.

A seed draws which facts are asked, in which words, and with which wrong options. Options come from the same relation:
the capitals of other countries, the numbers nearest to the right one. In a cycle every place is right equally often.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from afterburn_behaviour.suites.drawing import Family, Item, draw, refuse_more
from afterburn_behaviour.suites.facts_culture import CULTURE
from afterburn_behaviour.suites.facts_nature import NATURE
from afterburn_behaviour.suites.facts_places import PLACES
from afterburn_behaviour.suites.facts_table import Fact, Relation
from afterburn_behaviour.suites.phrasing import laid_out
from afterburn_core.probes.model import Probe

RELATIONS: tuple[Relation, ...] = (*PLACES, *CULTURE, *NATURE)
OPTIONS = 4
_FEW = 10
_NEAR = 6  # numbers on offer as wrong options

_BRIEF = {
    "text": ("", " Answer in a few words.", " Give only the name.", " One short answer is enough."),
    "number": (" Reply with the number only.", " Answer with one number.", " Give just the number."),
    "exact": (" Reply with the symbol only.", " Answer with the symbol alone.", " Write nothing but the symbol."),
}


def wrong_answers(rng: random.Random, relation: Relation, fact: Fact, n: int) -> list[str]:
    """`n` answers to other subjects of the relation that are none to this one; common mistakes first, near numbers."""
    right = {fact.answer, *fact.accept}
    same = {one.subject for one in relation.facts if right & {one.answer, *one.accept}}
    others = sorted({one.answer for one in relation.facts if one.subject not in same})
    if relation.checker == "number":
        others = sorted(others, key=lambda other: (abs(float(other) - float(fact.answer)), other))[:_NEAR]
    rng.shuffle(others)
    return list(dict.fromkeys([*rng.sample(fact.rivals, min(len(fact.rivals), n - 1)), *others]))[:n]


def _rivals(rng: random.Random, relation: Relation, fact: Fact) -> list[str]:
    """Wrong answers that void a right one beside them: all where there are few, so that a list of all is no answer."""
    few = len({one.answer for one in relation.facts}) <= _FEW
    listed = wrong_answers(rng, relation, fact, _FEW if few else OPTIONS - 1)
    wordings = [text for one in relation.facts if few and one.answer in listed for text in one.accept]
    return list(dict.fromkeys([*fact.rivals, *listed, *wordings]))


def _direct(relations: Sequence[Relation]) -> Callable[[random.Random], Item]:
    def ask(rng: random.Random) -> Item:
        relation, fact = _drawn(rng, relations)
        question = rng.choice(relation.questions).format(subject=fact.subject)
        properties: dict[str, object] = {"kind": relation.name}
        if fact.accept:
            properties["accept"] = list(fact.accept)
        if relation.checker == "text":
            properties["rivals"] = _rivals(rng, relation, fact)
        return Item(
            prompt=question + rng.choice(_BRIEF[relation.checker]),
            gold=fact.answer,
            checker=relation.checker,
            properties=properties,
            key=_key(relation, fact),
        )

    return ask


def _choice(relations: Sequence[Relation], place: int) -> Callable[[random.Random], Item]:
    def ask(rng: random.Random) -> Item:
        relation, fact = _drawn(rng, relations)
        options = wrong_answers(rng, relation, fact, OPTIONS - 1)
        options.insert(place, fact.answer)
        question = rng.choice(relation.questions).format(subject=fact.subject)
        item = laid_out(rng, question, options, fact.answer, relation.name)
        return Item(
            prompt=item.prompt,
            gold=item.gold,
            checker=item.checker,
            choices=item.choices,
            properties=item.properties,
            key=_key(relation, fact),
        )

    return ask


def _drawn(rng: random.Random, relations: Sequence[Relation]) -> tuple[Relation, Fact]:
    (relation,) = rng.choices(relations, weights=[len(one.facts) for one in relations])
    return relation, rng.choice(relation.facts)


def _key(relation: Relation, fact: Fact) -> str:
    """The same for a fact and its reverse: who was asked one knows the other."""
    return f"{relation.category}/{'='.join(sorted((fact.subject, fact.answer)))}"


def _families() -> tuple[Family, ...]:
    """Two direct questions and one choice of each category, four times: once with each place right."""
    grouped: dict[str, list[Relation]] = {}
    for relation in RELATIONS:
        grouped.setdefault(relation.category, []).append(relation)
    found = []
    for turn in range(OPTIONS):
        for number, (category, relations) in enumerate(grouped.items()):
            direct = Family(category=category, draw=_direct(relations))
            choice = Family(category=category, draw=_choice(relations, (number + turn) % OPTIONS))
            found += [direct, direct, choice]
    return tuple(found)


FAMILIES = _families()
DEFAULT = len(FAMILIES)
MOST = 1200
"""A category has a few hundred different questions; beyond this, drawing would repeat them."""


def items(seed: int, n: int | None) -> Iterable[Probe]:
    """`n` items (156 by default), a third of them multiple choice.

    Raises:
        ConfigError: `n` is more than `MOST`.
    """
    n = DEFAULT if n is None else n
    refuse_more("facts", n, MOST)
    return draw("facts", FAMILIES, seed, n)
