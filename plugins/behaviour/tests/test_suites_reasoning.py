"""Gold answers of the suite `reasoning`: each puzzle is read from its prompt and solved by trying everything."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations, permutations, product

import pytest

from afterburn_behaviour.suites.reasoning import items
from afterburn_core.probes.model import Probe

SEEDS = (0, 1, 2)
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
RANKS = ("first", "second", "third", "fourth", "fifth")
HIGH = {"taller": "tallest", "faster": "winner", "older": "oldest", "stronger": "strongest"}
LOW = {"shorter": "shortest", "slower": "last to arrive", "younger": "youngest", "weaker": "weakest"}


def first_line(probe: Probe) -> str:
    return probe.text.split("\n")[0]


def said(probe: Probe) -> str:
    """The gold answer in words."""
    return probe.choices[ord(str(probe.gold)) - ord("A")] if probe.checker == "choice" else str(probe.gold)


def only(found: set[str]) -> str:
    assert len(found) == 1, found
    return found.pop()


def orders(text: str) -> tuple[list[str], list[tuple[str, ...]]]:
    """The names and the orders, first place first, that fit all clues."""
    names = sorted(set(re.findall(r"\b[A-Z][a-z]+\b", text.split(".")[0])))
    tests: list[Callable[[tuple[str, ...]], bool]] = []
    for x, word, y in re.findall(r"(\w+) is (\w+) than (\w+)\.", text):
        ahead, behind = (x, y) if word in HIGH else (y, x)
        assert word in HIGH or word in LOW
        tests.append(lambda o, a=ahead, b=behind: o.index(a) < o.index(b))
    for count, x, y in re.findall(r"(Exactly one person|Nobody) is between (\w+) and (\w+)\.", text):
        gap = 2 if count.startswith("Exactly") else 1
        tests.append(lambda o, x=x, y=y, gap=gap: abs(o.index(x) - o.index(y)) == gap)
    for x in re.findall(r"(\w+) is neither", text):
        tests.append(lambda o, x=x: o.index(x) not in (0, len(o) - 1))
    return names, [order for order in permutations(names) if all(test(order) for test in tests)]


def place(text: str) -> str:
    _, fitting = orders(text)
    counted = re.search(r"Counting from the [\w ]+, who is (\w+)\?", text)
    if counted:
        return only({order[RANKS.index(counted.group(1))] for order in fitting})
    asked = re.search(r"Who is the ([\w ]+)\?", text)
    assert asked
    end = 0 if asked.group(1) in HIGH.values() else -1
    assert asked.group(1) in (*HIGH.values(), *LOW.values())
    return only({order[end] for order in fitting})


def order(text: str) -> str:
    return only({", ".join(found) for found in orders(text)[1]})


def weekday(text: str) -> str:
    anchor = re.search(r"The (\w+) (?:is|takes place) on (\w+day)", text)
    assert anchor
    chain = re.findall(r"The (\w+) is (the day|two days|three days) (after|before) the (\w+)\.", text)
    events = sorted({anchor.group(1), *(x for a, _, _, b in chain for x in (a, b))})
    asked = re.findall(r"(?:is the|is the|weekday is the) (\w+)(?: on)?\?", text)[-1]
    steps = {"the day": 1, "two days": 2, "three days": 3}
    found = set()
    for days in product(range(7), repeat=len(events)):
        at = dict(zip(events, days, strict=True))
        if DAYS[at[anchor.group(1)]] == anchor.group(2) and all(
            at[a] == (at[b] + steps[n] * (1 if way == "after" else -1)) % 7 for a, n, way, b in chain
        ):
            found.add(DAYS[at[asked]])
    return only(found)


STATEMENTS: list[tuple[str, Callable[[set[int], set[int]], bool]]] = [
    (r"(?:all|every|each) (\w+?)s? (?:are|is)(?: also)?(?: an?)? (\w+?)s?$", lambda x, y: x <= y),
    (r"(?:some|at least one|there is an?) (\w+?)s? (?:are|is|that is) not(?: an?)? (\w+?)s?$", lambda x, y: not x <= y),
    (r"(?:no|not a single) (\w+?)s? (?:are|is)(?: an?)? (\w+?)s?$", lambda x, y: not x & y),
    (r"(?:some|at least one|there is an?) (\w+?)s? (?:are|is|that is)(?: an?)? (\w+?)s?$", lambda x, y: bool(x & y)),
]  # fmt: skip


def statement(text: str) -> Callable[[dict[str, set[int]]], bool]:
    for pattern, holds in STATEMENTS:
        match = re.match(pattern, text.strip().lower())
        if match:
            x, y = match.groups()
            return lambda world: holds(world[x], world[y])
    raise AssertionError(text)


def syllogism(text: str) -> str:
    given, *premises, asked = re.split(r"(?<=\.)\s", text)
    kinds = re.findall(r"one (\w+)", given)
    assert len(kinds) == 3 and len(premises) == 2
    claim = re.search(r"(?:the claim that|Is it then so that) (.*)\?", asked)
    assert claim
    tests, question = [statement(premise.rstrip(".")) for premise in premises], statement(claim.group(1))
    verdicts = set()
    individuals = range(8)  # individual i is of kind k if bit k of i is set
    for size in range(1, 9):
        for there in combinations(individuals, size):
            world = {kind: {i for i in there if i >> k & 1} for k, kind in enumerate(kinds)}
            if all(world.values()) and all(test(world) for test in tests):
                verdicts.add(question(world))
    assert verdicts
    if len(verdicts) == 2:
        return "It may be true or false."
    return "It must be true." if True in verdicts else "It must be false."


def knights(text: str) -> set[str]:
    spoken = re.findall(r'(\w+) says: "([^"]*)"', text)
    names = [name for name, _ in spoken]
    fitting = []
    for kinds in product((True, False), repeat=len(names)):
        honest = dict(zip(names, kinds, strict=True))
        if all(claimed(words, name, honest) == honest[name] for name, words in spoken):
            fitting.append({name for name in names if honest[name]})
    assert len(fitting) == 1
    return fitting[0]


def claimed(words: str, speaker: str, honest: dict[str, bool]) -> bool:
    if match := re.fullmatch(r"(\w+) is a (knight|knave)\.", words):
        return honest[match.group(1)] == (match.group(2) == "knight")
    if match := re.fullmatch(r"(\w+) and (\w+) are both knights\.", words):
        return honest[match.group(1)] and honest[match.group(2)]
    if match := re.fullmatch(r"(\w+) or (\w+) is a knave, or both are\.", words):
        return not honest[match.group(1)] or not honest[match.group(2)]
    if match := re.fullmatch(r"(\w+) and I are of the same kind\.", words):
        return honest[match.group(1)] == honest[speaker]
    match = re.fullmatch(r"Among us there are exactly (\d) knaves?\.", words)
    assert match, words
    return sum(not kind for kind in honest.values()) == int(match.group(1))


COMPASS = {"north": 1j, "east": 1, "south": -1j, "west": -1}


def walked(text: str) -> tuple[complex, complex]:
    """Where one ends up, and the direction one faces."""
    start = re.search(r"(?:facing|looks) (north|east|south|west)\.", text)
    assert start
    facing, position = complex(COMPASS[start.group(1)]), 0j
    for turn, steps in re.findall(r"turns (left|right|around) and walks (\d+) steps?", text):
        facing *= {"left": 1j, "right": -1j, "around": -1}[turn]
        position += facing * int(steps)
    return position, facing


def facing(text: str) -> str:
    _, direction = walked(text)
    return only({name for name, value in COMPASS.items() if complex(value) == direction})


def back(text: str) -> str:
    position, _ = walked(text)
    home = -position
    north = "north" if home.imag > 0 else "south" if home.imag < 0 else ""
    east = "east" if home.real > 0 else "west" if home.real < 0 else ""
    return "-".join(part for part in (north, east) if part)


def family(text: str) -> str:
    words = r"(mother|father|sister|brother|wife|husband)"
    facts = re.findall(rf"(\w+) is the {words} of (\w+)\.", text)
    asked = re.search(r"What is (\w+) to (\w+)\?|How is (\w+) related to (\w+)\?", text)
    assert asked and len(facts) == 7
    one, other = [name for name in asked.groups() if name]
    female = {name for name, word, _ in facts if word in ("mother", "sister", "wife")}
    female |= {b for _, word, b in facts if word == "husband"}
    married = {frozenset((a, b)) for a, word, b in facts if word in ("wife", "husband")}
    siblings = {frozenset((a, b)) for a, word, b in facts if word in ("sister", "brother")}
    parents = {(a, b) for a, word, b in facts if word in ("mother", "father")}
    size = -1
    while size != len(parents):  # spouses share children, siblings share parents
        size = len(parents)
        parents |= {(next(iter(pair - {a})), b) for a, b in parents for pair in married if a in pair}
        parents |= {(a, next(iter(pair - {b}))) for a, b in parents for pair in siblings if b in pair}
    people = {name for a, _, b in facts for name in (a, b)}

    def parent(a: str, b: str) -> bool:
        return (a, b) in parents

    def sibling(a: str, b: str) -> bool:
        return a != b and (frozenset((a, b)) in siblings or any(parent(p, a) and parent(p, b) for p in people))

    def spouse(a: str, b: str) -> bool:
        return frozenset((a, b)) in married

    def through(first: Callable[[str, str], bool], second: Callable[[str, str], bool]) -> bool:
        return any(first(one, x) and second(x, other) for x in people)

    def child(a: str, b: str) -> bool:
        return parent(b, a)

    holds = {
        ("mother", "father"): parent(one, other),
        ("daughter", "son"): child(one, other),
        ("sister", "brother"): sibling(one, other),
        ("wife", "husband"): spouse(one, other),
        ("grandmother", "grandfather"): through(parent, parent),
        ("granddaughter", "grandson"): through(child, child),
        ("aunt", "uncle"): through(sibling, parent),
        ("niece", "nephew"): through(child, sibling),
        ("cousin", "cousin"): any(child(one, x) and sibling(x, y) and parent(y, other) for x in people for y in people),
        ("mother-in-law", "father-in-law"): through(parent, spouse),
        ("daughter-in-law", "son-in-law"): through(spouse, child),
        ("sister-in-law", "brother-in-law"): through(spouse, sibling) or through(sibling, spouse),
    }
    pair = [words for words, true in holds.items() if true]
    assert len(pair) == 1, (text, pair)
    if one not in {name for name, _, _ in facts} | {b for _, w, b in facts if w in ("wife", "husband")}:
        return "/".join(pair[0])  # the facts do not say whether a woman or a man
    return pair[0][0] if one in female else pair[0][1]


def overlap(text: str) -> str:
    total, in_a, in_b, given = map(int, re.findall(r"\d+", text))
    both_given = "do both." in text.split("?")[0] and "do neither." not in text.split("How many")[0]
    found = set()
    for both in range(min(in_a, in_b) + 1):
        neither = total - (in_a + in_b - both)
        if neither >= 0 and (both if both_given else neither) == given:
            if "How many do neither" in text:
                found.add(neither)
            elif "How many do both" in text:
                found.add(both)
            elif "exactly one" in text:
                found.add(in_a + in_b - 2 * both)
            else:
                found.add(in_a - both)
    return only({str(value) for value in found})


SOLVERS: dict[str, Callable[[str], str]] = {
    "place": place, "order": order, "weekday": weekday, "syllogism": syllogism, "facing": facing, "back": back,
    "family": family, "overlap": overlap,
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_each_puzzle_has_one_answer_and_it_is_gold(seed: int) -> None:
    for probe in items(seed, None):
        kind, text = probe.properties["kind"], first_line(probe)
        if kind == "knights":
            assert set(str(probe.gold).split(", ")) == knights(text)
        elif kind == "knights_choice":
            assert set(re.findall(r"[A-Z]\w+", said(probe))) == knights(text)
            assert len({frozenset(re.findall(r"[A-Z]\w+", option)) for option in probe.choices}) == len(probe.choices)
        elif kind == "family" and "/" in SOLVERS[kind](text):
            assert said(probe) in SOLVERS[kind](text).split("/"), probe
        else:
            assert SOLVERS[kind](text) == said(probe), probe


def test_every_kind_comes_up() -> None:
    kinds = {probe.properties["kind"] for seed in SEEDS for probe in items(seed, None)}
    assert kinds == {*SOLVERS, "knights", "knights_choice"}


def test_rivals_are_the_other_answers() -> None:
    for probe in items(0, None):
        if probe.properties["kind"] in ("place", "weekday"):
            rivals = probe.properties["rivals"]
            assert probe.gold not in rivals and len(rivals) >= 3
            assert all(rival in probe.text or rival in DAYS for rival in rivals)
