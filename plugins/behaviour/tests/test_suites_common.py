"""What holds for every generated suite: size, freshness, determinism, balance, and no prompt twice."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import pytest

from afterburn_behaviour.suites import PROBE_SETS
from afterburn_core.plugin.registry import Registry, load_factory
from afterburn_core.probes.checkers import check
from afterburn_core.probes.model import Probe, probes_digest, prompt_digest
from afterburn_core.probes.suites import draw

GENERATED = ("code", "math", "reasoning")
SPECS = {spec.name.split(".")[1]: spec for spec in PROBE_SETS}
# what these versions of the suites hold; a change of wording changes what earlier runs asked
DIGESTS = {
    "code": "9c109d8f70b9175c0f6f6fdc8fd3f2b13f5ed8242383a7bebd29c76101395a51",
    "math": "4362c3c109867bd4ef6caabc28de5dabbbda782a904ec5a3aef1436ece976b90",
    "reasoning": "cd515e255b28e2a9423fb0e800640bb746c5046aa86361cebdf5500efdc2ca2b",
}


def drawn(name: str, seed: int = 0, n: int | None = None) -> list[Probe]:
    return list(load_factory(SPECS[name].factory)(seed, n))


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_suite_has_enough_different_prompts(name: str) -> None:
    probes = drawn(name)
    assert len(probes) >= 120
    assert len({prompt_digest(probe) for probe in probes}) == len(probes)
    assert len({probe.id for probe in probes}) == len(probes)
    assert {probe.suite for probe in probes} == {f"behaviour.{name}"}
    assert all(probe.category for probe in probes)
    assert SPECS[name].licence == "Apache-2.0"


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_suite_is_accepted_by_the_core(name: str) -> None:
    used = draw(f"behaviour.{name}", seed=0, n=None, registry=Registry.discover(only=["behaviour"]))
    assert used.n >= 120
    assert len({probe.category for probe in used.probes}) >= 3


@pytest.mark.parametrize("name", GENERATED)
def test_generation_is_the_same_in_every_process_and_version(name: str) -> None:
    code = (
        "from afterburn_core.plugin.registry import load_factory\n"
        "from afterburn_core.probes.model import probes_digest\n"
        f"print(probes_digest(load_factory({SPECS[name].factory!r})(0, None)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == probes_digest(drawn(name)) == DIGESTS[name]


@pytest.mark.parametrize("name", GENERATED)
def test_seeds_give_fresh_items_and_smaller_sets_are_beginnings(name: str) -> None:
    first, other = drawn(name), drawn(name, seed=1)
    shared = {prompt_digest(probe) for probe in first} & {prompt_digest(probe) for probe in other}
    assert len(shared) <= 0.05 * len(first)
    assert not {probe.id for probe in first} & {probe.id for probe in other}
    assert drawn(name, n=30) == first[:30]
    assert len(drawn(name, seed=3, n=400)) == 400


@pytest.mark.parametrize("name", GENERATED)
def test_categories_are_balanced(name: str) -> None:
    counts = Counter(probe.category for probe in drawn(name))
    assert max(counts.values()) <= 2.2 * min(counts.values())


@pytest.mark.parametrize("name", ["math", "reasoning"])
def test_enough_items_are_multiple_choice_and_no_letter_is_a_safe_guess(name: str) -> None:
    choices = [probe for probe in drawn(name, n=600) if probe.checker == "choice"]
    assert sum(probe.checker == "choice" for probe in drawn(name)) >= 40
    letters = Counter(probe.gold for probe in choices)
    assert max(letters.values()) <= 0.45 * len(choices)
    for probe in choices:
        assert len(set(probe.choices)) == len(probe.choices) >= 3
        assert all(option in probe.text for option in probe.choices)


@pytest.mark.parametrize("name", GENERATED)
def test_the_gold_answer_passes_its_checker_and_another_does_not(name: str) -> None:
    for probe in drawn(name):
        if probe.checker == "code":
            continue
        gold = str(probe.gold)
        for text in (gold, f"The answer is {gold}.", f"Let me think.\n\n**Answer: {gold}**"):
            assert check(probe, text) is True, (probe.prompt, text)
        for text in ("I do not know.", "The answer is 987654321.5.", ""):
            assert check(probe, text) is False, (probe.prompt, text)


def test_global_randomness_is_neither_used_nor_changed() -> None:
    state = random.getstate()
    before = {name: probes_digest(drawn(name)) for name in GENERATED}
    assert random.getstate() == state
    assert before == {name: probes_digest(drawn(name)) for name in GENERATED}
