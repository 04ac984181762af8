"""The suite `facts`: its tables against each other and against what can be computed, and its questions."""

from __future__ import annotations

import calendar
import math
import random
from collections import Counter
from itertools import pairwise

import pytest

from afterburn_behaviour.suites.facts import FAMILIES, MOST, RELATIONS, items, wrong_answers
from afterburn_behaviour.suites.facts_table import Relation, facts_of, reversed_facts
from afterburn_core.errors import ConfigError
from afterburn_core.probes.checkers import check
from afterburn_core.probes.claims import plain
from afterburn_core.probes.model import Probe, prompt_digest

BY_NAME = {relation.name: relation for relation in RELATIONS}
IDS = [relation.name for relation in RELATIONS]
MANY_TO_ONE = {
    "river", "continent", "sight", "currency", "spoken", "author", "composer", "year", "moon", "star", "conversion",
    "count", "class", "shape", "scientist",
}  # fmt: skip


def table(name: str) -> dict[str, str]:
    return {fact.subject: fact.answer for fact in BY_NAME[name].facts}


def test_there_are_hundreds_of_facts() -> None:
    assert len(BY_NAME) == len(RELATIONS)
    assert len({(plain(f.subject), plain(f.answer)) for r in RELATIONS for f in r.facts}) >= 600


@pytest.mark.parametrize("relation", RELATIONS, ids=IDS)
def test_no_table_contradicts_itself(relation: Relation) -> None:
    subjects = [plain(fact.subject) if relation.name != "element" else fact.subject for fact in relation.facts]
    assert len(set(subjects)) == len(subjects)
    answers = Counter(fact.answer for fact in relation.facts)
    assert relation.name in MANY_TO_ONE or max(answers.values()) == 1
    assert len(answers) >= 5
    for fact in relation.facts:
        right = {plain(text) for text in (fact.answer, *fact.accept)}
        assert fact.subject and fact.answer and all(right)
        assert not right & {plain(rival) for rival in fact.rivals}
        for other in relation.facts:  # one wording stands for one thing
            theirs = {plain(text) for text in (other.answer, *other.accept)}
            assert other.answer == fact.answer or not right & theirs, (fact, other)
    assert len(relation.questions) >= 2
    assert len({question.format(subject="x") for question in relation.questions}) == len(relation.questions)
    assert all("{subject}" in question for question in relation.questions)


def test_tables_agree_with_each_other() -> None:
    assert {answer: subject for subject, answer in table("capital").items()} == table("country")
    symbols, names, numbers = table("symbol"), table("element"), table("atomic_number")
    assert {names[symbol]: symbol for symbol in names} == symbols
    assert symbols.keys() == numbers.keys()
    light = [name for name, number in sorted(numbers.items(), key=lambda pair: int(pair[1])) if int(number) <= 36]
    known = "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr"
    assert " ".join(symbols[name] for name in light) == known
    assert table("greek_god") == {answer: subject for subject, answer in table("roman_god").items()}
    shared = {plain(subject): answer for subject, answer in table("capital").items()}
    for relation in ("river", "thanks"):
        assert not shared.keys() & {plain(subject) for subject in table(relation)}
    years = table("year")
    for earlier, later in [
        ("the American Civil War began", "the American Civil War ended"),
        ("the First World War began", "the First World War ended with an armistice"),
        ("the Berlin Wall was built", "the Berlin Wall fell"),
        ("Pluto was discovered", "Pluto was reclassified as a dwarf planet"),
        ("Sputnik 1 was launched", "Gagarin flew into space"),
        ("Herschel discovered Uranus", "the planet Neptune was first seen through a telescope as predicted"),
    ]:
        assert int(years[earlier]) < int(years[later])
    assert all(1000 < int(year) < 2010 for year in years.values())


def test_numbers_are_those_that_can_be_computed() -> None:
    values = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
    for numeral, number in table("numeral").items():
        digits = [values[letter] for letter in numeral] + [0]
        told = sum(-one if one < after else one for one, after in pairwise(digits))
        assert told == int(number), numeral
    shapes = {subject: int(answer) for subject, answer in table("shape").items()}
    assert (
        shapes["faces does a cube have"] + shapes["vertices does a cube have"] - shapes["edges does a cube have"] == 2
    )
    assert shapes["diagonals does a pentagon have"] == math.comb(5, 2) - 5
    units = {subject: float(answer) for subject, answer in table("conversion").items()}
    assert units["seconds are there in an hour"] == 60 * units["seconds are there in a minute"]
    assert units["hours are there in a week"] == 24 * len(list(calendar.day_name))
    assert units["minutes are there in a day of 24 hours"] == 24 * 60
    assert units["feet are there in a mile"] == 3 * units["yards are there in a mile"]
    assert units["things are there in a gross"] == units["things are there in a dozen"] ** 2
    low, high = (units[f"degrees Fahrenheit does water {what} at under normal pressure"] for what in ("freeze", "boil"))
    assert (low, high) == (0 * 9 / 5 + 32, 100 * 9 / 5 + 32)


def test_a_right_answer_passes_and_a_wrong_one_does_not() -> None:
    for seed in range(3):
        for probe in items(seed, 300):
            gold = str(probe.gold)
            for text in (gold, f"The answer is {gold}.", f"Let me think.\n\n**Answer: {gold}**"):
                assert check(probe, text) is True, (probe.prompt, text)
            accept = [text for text in probe.properties.get("accept", ()) if probe.checker == "text"]
            assert all(check(probe, f"It is {text}.") for text in accept), probe.prompt
            for text in (*probe.properties.get("rivals", ()), "I do not know.", "987654321.5", ""):
                assert check(probe, text) is False, (probe.prompt, text)
            if probe.checker in ("text", "exact"):
                assert check(probe, probe.text) is False, probe.prompt  # repeating the question answers nothing


def test_choices_are_balanced_and_come_from_the_relation() -> None:
    probes = list(items(0, None))
    choices = [probe for probe in probes if probe.checker == "choice"]
    assert len(choices) >= 40 and len(probes) >= 120
    assert set(Counter(probe.gold for probe in choices).values()) == {len(choices) // 4}
    for category in {probe.category for probe in probes}:
        of_category = [probe for probe in choices if probe.category == category]
        assert {probe.gold for probe in of_category} == {"A", "B", "C", "D"}
    for probe in choices:
        relation = BY_NAME[probe.properties["kind"]]
        right = probe.choices["ABCD".index(str(probe.gold))]
        asked = [
            f for f in relation.facts if any(q.format(subject=f.subject) in probe.text for q in relation.questions)
        ]
        assert right in {fact.answer for fact in asked}
        known = {fact.answer for fact in relation.facts} | {rival for fact in relation.facts for rival in fact.rivals}
        assert set(probe.choices) <= known and len(set(probe.choices)) == 4


def test_wrong_options_are_wrong() -> None:
    for relation in RELATIONS:
        for fact in relation.facts:
            wrong = wrong_answers(random.Random(1), relation, fact, 3)
            assert len(set(wrong)) == 3, (relation.name, fact)
            assert not {plain(text) for text in wrong} & {plain(text) for text in (fact.answer, *fact.accept)}


def test_a_seed_gives_fresh_questions_and_a_smaller_set_is_the_beginning() -> None:
    first, other = list(items(0, 200)), list(items(1, 200))
    assert len({prompt_digest(p) for p in first} & {prompt_digest(p) for p in other}) <= 20
    assert list(items(0, 50)) == first[:50] == list(items(0, 50))
    assert len({prompt_digest(probe) for probe in items(2, 600)}) == 600
    counts = Counter(probe.category for probe in items(0, None))
    assert set(counts.values()) == {len(FAMILIES) // len(counts)}


def test_no_fact_is_asked_twice_by_default() -> None:
    asked: Counter[tuple[str, str]] = Counter()
    for probe in items(5, None):
        for fact in BY_NAME[probe.properties["kind"]].facts:
            questions = BY_NAME[probe.properties["kind"]].questions
            if any(probe.text.startswith(question.format(subject=fact.subject)) for question in questions):
                asked[str(probe.category), "=".join(sorted((fact.subject, fact.answer)))] += 1
    assert len(asked) >= 150 and max(asked.values()) == 1


def test_more_than_there_are_is_refused() -> None:
    assert len({prompt_digest(probe) for probe in items(3, MOST)}) == MOST
    with pytest.raises(ConfigError, match="suite 'facts' has no more than 1200 different items; ask for fewer"):
        list(items(0, MOST + 1))


def test_tables_are_read_with_other_wordings_and_mistakes() -> None:
    one, two = facts_of("a|aa = b | c ! d;\n e=f;", plural=True)
    assert (one.subject, one.aliases, one.answer, one.accept, one.rivals) == (
        "a",
        ("aa",),
        "b",
        ("c", "bs", "cs"),
        ("d",),
    )
    assert (two.subject, two.answer, two.accept) == ("e", "f", ("fs",))
    assert isinstance(reversed_facts([one])[0].subject, str) and reversed_facts([one])[0].accept == ("aa",)


def test_probes_are_of_the_suite() -> None:
    probes: list[Probe] = list(items(7, 5))
    assert [probe.id for probe in probes] == [f"facts-s7-0000{i}" for i in range(5)]
    assert {probe.suite for probe in probes} == {"behaviour.facts"}
