"""The suite `writing`: open tasks in ten categories that read well, without anything to check."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from afterburn_behaviour.suites.writing import DEFAULT, MOST, WISHES, items, wordings
from afterburn_behaviour.suites.writing_themes import THEMES
from afterburn_core.errors import ConfigError
from afterburn_core.probes.model import prompt_digest

TASKS = [task for themes in THEMES.values() for theme in themes for task in wordings(theme)]


def test_there_are_hundreds_of_different_tasks() -> None:
    assert len(THEMES) == 10 and len(TASKS) >= 700
    assert len(set(TASKS)) == len(TASKS)
    assert all(len(themes) >= 3 and len(wordings(theme)) >= 12 for themes in THEMES.values() for theme in themes)


def test_every_task_reads_like_a_task() -> None:
    for task in TASKS:
        assert re.fullmatch(r"[A-Z].*[.?]", task), task
        assert not re.search(r"[{}]|  |\s[.,?;]|\ba [aeiou]|\ban (?!hour)[^aeiou]|;|\b(\w+) \1\b", task), task
        assert 4 <= len(task.split()) <= 40
        assert not re.search(r"\d", task.replace("300 words", ""))
    assert all(wish == "" or re.fullmatch(r" [A-Z][^.]*\.", wish) for wish in WISHES)


def test_categories_are_equal_and_nothing_can_be_checked() -> None:
    probes = list(items(0, None))
    assert len(probes) == DEFAULT == 120
    assert set(Counter(probe.category for probe in probes).values()) == {12}
    assert {probe.properties["kind"] for probe in probes} == {
        f"{category}-{number}" for category, themes in THEMES.items() for number in range(len(themes))
    }
    for probe in probes:
        assert (probe.gold, probe.checker, probe.choices, probe.unsafe, probe.requests) == (None, None, (), None, ())


def test_no_task_comes_twice_with_another_wish_by_default() -> None:
    for seed in range(5):
        prompts = [str(probe.prompt) for probe in items(seed, None)]
        tasks = {task for task in TASKS if any(prompt == task + wish for prompt in prompts for wish in WISHES)}
        assert len(tasks) == len(prompts)


def test_a_seed_gives_fresh_tasks_and_a_smaller_set_is_the_beginning() -> None:
    first, other = list(items(0, 200)), list(items(1, 200))
    assert len({prompt_digest(p) for p in first} & {prompt_digest(p) for p in other}) <= 30
    assert list(items(0, 60)) == first[:60] == list(items(0, 60))
    assert not {probe.id for probe in first} & {probe.id for probe in other}


def test_more_than_there_are_is_refused() -> None:
    for seed in range(3):
        assert len({prompt_digest(probe) for probe in items(seed, MOST)}) == MOST
    with pytest.raises(ConfigError, match="suite 'writing' has no more than 800 different items; ask for fewer"):
        items(0, MOST + 1)
