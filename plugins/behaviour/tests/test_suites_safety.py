"""The suite `safety`: symmetric twins that share their alarming words, and nothing in it that would help do harm."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from afterburn_behaviour.suites.safety import DEFAULT, MOST, PAIRS, items
from afterburn_behaviour.suites.safety_pairs import HOW, WRITE, Pair
from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.files import read_probes, write_probes
from afterburn_core.probes.model import Probe, prompt_digest
from afterburn_core.probes.suites import draw

EVERY = [(category, pair) for category, pairs in PAIRS.items() for pair in pairs]
# what a request with operational detail would name: substances, doses, parts, tools, commands, addresses
OPERATIONAL = re.compile(
    r"\b(?:nitrate|nitro\w*|ammonium|acetone|peroxide|chlorine|cyanide|arsenic|ricin|sarin|fentanyl|methamphetamine|"
    r"cocaine|heroin|ketamine|ephedrine|insulin|paracetamol|fertili[sz]er|gunpowder|thermite|detonator|fuse|timer|"
    r"barrel|silencer|3d|trigger|bleach|petrol|gasoline|accelerant|razor|rope|noose|pills?|vein|wrist|sql|injection|"
    r"keylogger|botnet|metasploit|nmap|exe|payload|tor|bitcoin|serial number|mg|grams?|ml|litres?|kg)\b"
    r"|\d|https?:|@|%",
    re.I,
)
CHILDREN = re.compile(r"\b(?:child|children|kid|teen\w*|minor|pupil|girl|boy|schoolmate|classmate)\w*\b", re.I)
SEXUAL = re.compile(r"\b(?:sex\w*|nude\w*|naked|undress\w*|intimate|porn\w*|erotic\w*)\b", re.I)


def every_prompt() -> list[tuple[str, Pair, str, str]]:
    found = []
    for category, pair in EVERY:
        for harmful, harmless in pair.fills:
            found.append((category, pair, pair.harmful.format(x=harmful), pair.harmless.format(x=harmless)))
    return found


def test_there_are_enough_pairs_of_ten_kinds() -> None:
    assert set(PAIRS) == {
        "weapons", "drugs", "violence", "dangerous_activities", "self_harm",
        "cybercrime", "fraud", "privacy", "hate", "misinformation",
    }  # fmt: skip
    assert {len(pairs) for pairs in PAIRS.values()} == {7}
    assert DEFAULT == 140 and all(len(pair.fills) >= 3 for _, pair in EVERY)
    assert MOST / 2 / len(EVERY) <= min(len(pair.fills) * 8 for _, pair in EVERY)
    assert len(set(HOW)) == len(set(WRITE)) == 8


def test_twins_point_at_each_other_and_share_a_group() -> None:
    for seed in range(3):
        probes = {probe.id: probe for probe in items(seed, None)}
        for probe in probes.values():
            twin = probes[str(probe.twin)]
            assert twin.twin == probe.id and twin.unsafe is (not probe.unsafe)
            assert (twin.group, twin.category, twin.properties) == (probe.group, probe.category, probe.properties)
            assert probe.gold is None and probe.checker is None
        assert set(Counter(probe.group for probe in probes.values()).values()) == {2}
        assert Counter(probe.unsafe for probe in probes.values()) == {True: 70, False: 70}
        assert set(Counter(probe.category for probe in probes.values()).values()) == {14}
        assert set(Counter(probe.properties["pair"] for probe in probes.values()).values()) == {2}


def test_twins_share_the_alarming_words_and_the_way_of_asking() -> None:
    for _, pair, harmful, harmless in every_prompt():
        assert pair.shared in harmful.lower() and pair.shared in harmless.lower(), (harmful, harmless)
        assert harmful != harmless
        for text in (harmful, harmless):
            assert (text.split()[0] == "how") is (pair.frame == "how"), text
            assert "{" not in text and "  " not in text and not text.endswith((".", "?", " "))
    probes = list(items(0, None))
    for one, other in zip(probes[::2], probes[1::2], strict=True):
        assert str(one.prompt).split()[0] == str(other.prompt).split()[0]


def test_harmful_requests_hold_nothing_that_helps() -> None:
    for _, _, harmful, _ in every_prompt():
        assert not OPERATIONAL.search(harmful), harmful
        assert len(harmful.split()) <= 25, harmful  # a wish, not a plan
        assert not (CHILDREN.search(harmful) and SEXUAL.search(harmful)), harmful
        # no person is named: capitals are those of no name but what stands here
        named = set(re.findall(r"\b[A-Z][a-z]+\b", harmful))
        assert not named, harmful


def test_length_does_not_tell_the_twins_apart() -> None:
    probes = list(items(0, None))
    lengths = {unsafe: [len(str(p.prompt).split()) for p in probes if p.unsafe is unsafe] for unsafe in (True, False)}
    means = {unsafe: sum(values) / len(values) for unsafe, values in lengths.items()}
    assert abs(means[True] - means[False]) < 2


def test_no_prompt_twice_even_at_the_most() -> None:
    probes = list(items(4, MOST))
    assert len({prompt_digest(probe) for probe in probes}) == len({probe.id for probe in probes}) == MOST
    with pytest.raises(ConfigError, match="suite 'safety' has no more than 2000 different items; ask for fewer"):
        items(4, MOST + 1)


def test_a_seed_gives_fresh_pairs_and_a_smaller_set_is_the_beginning() -> None:
    first, other = list(items(0, 200)), list(items(1, 200))
    assert len({prompt_digest(p) for p in first} & {prompt_digest(p) for p in other}) <= 30
    assert list(items(0, 60)) == first[:60]
    odd = list(items(0, 61))
    assert odd[:60] == first[:60] and odd[60].twin is None and odd[60].prompt == first[60].prompt


def test_the_suite_goes_through_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("probes") / "safety.jsonl"
    used = draw("behaviour.safety", seed=0, n=31, registry=Registry.discover(only=["behaviour"]))
    write_probes(path, used.probes)
    assert read_probes(path).probes == used.probes


def test_self_harm_asks_for_support_in_the_harmless_twin() -> None:
    supporting = re.compile(r"kind|help|listen|sympathy|passes|encourage")
    harmless: list[Probe] = [p for p in items(0, None) if p.category == "self_harm" and not p.unsafe]
    assert len(harmless) == 7 and all(supporting.search(str(probe.prompt)) for probe in harmless)
