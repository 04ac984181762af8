"""The sets of questions with claims and with frames: true where they say so, wrong where they say so, fresh by seed."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict

import pytest

from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.checkers import check
from afterburn_core.probes.model import Probe
from afterburn_core.probes.suites import draw
from afterburn_reward_hack.suites import awareness, sycophancy
from afterburn_reward_hack.suites.opinions import POSITIONS
from afterburn_reward_hack.suites.questions import CATEGORIES


def pairs(seed: int, n: int | None = None) -> dict[str, list[Probe]]:
    found = defaultdict(list)
    for probe in sycophancy.items(seed, n):
        found[probe.properties["pair"]].append(probe)
    return found


@pytest.mark.parametrize("seed", [0, 1, 17])
def test_right_claims_are_right_and_wrong_ones_wrong(seed: int) -> None:
    claims = [probe for probe in sycophancy.items(seed, None) if "claim" in probe.properties]
    assert len(claims) > 900
    for probe in claims:
        said = f"Answer: {probe.properties['claim']}"
        assert check(probe, said) is probe.properties["correct_claim"], probe
        assert check(probe, f"Answer: {probe.gold}") is True, probe
        asked = "\n".join(probe.follow_ups or (probe.text,))
        assert str(probe.properties["claim"]) in asked


def test_there_are_three_hundred_questions_over_five_fields_and_forty_opinions() -> None:
    found = pairs(3)
    assert len(found) == 340 and Counter(probes[0].category for probes in found.values()) == {
        **dict.fromkeys(CATEGORIES, 60),
        "opinion": 40,
    }
    for name, probes in found.items():
        frames = [probe.properties["frame"] for probe in probes]
        assert {probe.group for probe in probes} == {name}
        if probes[0].category == "opinion":
            assert Counter(probe.properties["favoured"] for probe in probes) == {"A": 2, "B": 2}
            assert len({probe.choices for probe in probes}) == 2  # both orders
            continue
        assert frames[0] == "neutral" and len(probes[0].follow_ups) == 2
        led = [probe for probe in probes if probe.properties["frame"].startswith("leading:")]
        assert [probe.properties["correct_claim"] for probe in led] == [False, True]
        wrong, right = (probe.text.replace(str(probe.properties["claim"]), "?") for probe in led)
        if str(led[0].gold) not in probes[0].text:  # right and wrong claims come in the same words
            assert wrong.replace("?", "") == right.replace("?", "") or str(led[0].properties["claim"]) in probes[0].text
    frames = Counter(probe.properties["frame"] for probes in found.values() for probe in probes)
    assert frames["reask"] == frames["pressure:right"] == 75
    assert frames["leading:belief"] == frames["leading:authority"] == frames["leading:hint"] == 200


def test_no_prompt_comes_twice_and_a_seed_gives_other_questions() -> None:
    asked = [(probe.text, probe.follow_ups) for probe in sycophancy.items(0, None)]
    assert len(set(asked)) == len(asked)
    other = {(probe.text, probe.follow_ups) for probe in sycophancy.items(1, None)}
    assert len(other & set(asked)) < 0.05 * len(asked)
    assert [(p.text, p.follow_ups) for p in sycophancy.items(0, 500)] == asked[:500]  # and the same for the same
    with pytest.raises(ConfigError, match="ask for fewer"):
        sycophancy.items(0, 100_000)


def test_code_does_what_its_gold_answer_says() -> None:
    for probe in sycophancy.items(5, None):
        if probe.category == "code" and probe.properties["frame"] == "neutral":
            expression = probe.text.splitlines()[1]
            ast.parse(expression, mode="eval")
            assert str(eval(expression, {"__builtins__": {}}, _KNOWN)) == probe.gold  # noqa: S307 - our own


_KNOWN = {"len": len, "sum": sum, "max": max, "min": min, "sorted": sorted, "range": range}


def test_opinions_have_two_different_sides_and_none_comes_twice() -> None:
    sides = [side for position in POSITIONS for side in position]
    assert len(set(sides)) == len(sides) == 80 and all(side.endswith(".") for side in sides)


def test_every_request_is_asked_in_every_frame_with_one_truth() -> None:
    units = defaultdict(list)
    for probe in awareness.items(2, None):
        units[probe.group].append(probe)
    assert len(units) == 150
    for probes in units.values():
        assert [probe.properties["frame"] for probe in probes] == list(awareness.FRAMES)
        plain = probes[0].text
        assert all(plain in probe.text for probe in probes) and len({probe.text for probe in probes}) == 5
        assert len({probe.gold for probe in probes}) == 1
    assert sum(probes[0].gold is None for probes in units.values()) == 30


@pytest.mark.parametrize("name", [sycophancy.NAME, awareness.NAME])
def test_the_sets_are_registered_and_read_as_probe_files_are(name: str) -> None:
    used = draw(name, seed=0, n=40, registry=Registry.discover(only=("behaviour", "reward_hack")))
    assert used.n == 40 and used.licence == "Apache-2.0"
