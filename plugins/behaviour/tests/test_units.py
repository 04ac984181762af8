"""Samples are averaged inside prompts, prompts are paired, and parts of the prompts have names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from afterburn_behaviour.examples import artifact, best
from afterburn_behaviour.units import UnitTable
from afterburn_core.generation.model import Sample
from afterburn_core.result.excerpts import withhold

Make = Callable[..., Any]


def _number(sample: Sample) -> dict[str, float | None]:
    return {"v": float(sample.text) if sample.text else None}


def _table(items: list[Any]) -> UnitTable:
    table = UnitTable()
    for item in items:
        table.observe(item, _number)
    return table


def test_samples_are_averaged_inside_their_prompt_and_pairs_are_aligned(responses: Make) -> None:
    table = _table(
        [
            responses("b", ["1", "3"], ["10"]),
            responses("a", ["5"], ["6", "8", ""]),
            responses("c", ["1"], []),
            responses("d", [], ["1"]),
            responses("e", [""], ["1"]),
        ]
    )
    paired = table.paired("v")
    assert paired.probes == ("a", "b")
    np.testing.assert_array_equal(paired.base, [5, 2])
    np.testing.assert_array_equal(paired.trained, [7, 10])
    assert paired.clusters is None
    assert table.one_side("v", "base").probes == ("a", "b", "c")
    answers = table.answers()
    assert (answers.paired, answers.base_only, answers.trained_only) == (3, 1, 1)
    assert answers.note == "left out: 1 answered by base alone, 1 answered by trained alone"


def test_prompts_of_one_group_share_a_cluster(responses: Make) -> None:
    table = _table([responses("a", ["1"], ["2"], group="g"), responses("b", ["1"], ["2"], group="g")])
    assert table.paired("v").clusters == ("g", "g")
    assert len(table.paired("v").base) == 2


def test_parts_are_suites_and_categories(responses: Make) -> None:
    items = [responses(f"m{i}", ["1"], ["2"], suite="s.m", category=["sum", "shared"][i % 2]) for i in range(12)]
    items += [responses(f"w{i}", ["1"], ["2"], suite="s.w", category=["shared", "safe"][i % 2]) for i in range(12)]
    items += [responses(f"x{i}", ["1"], ["2"], suite="s.w", category="rare") for i in range(4)]
    names = [scope.subset for scope, _ in _table(items).subsets()]
    assert names == [None, "s.m", "s.m/shared", "s.w", "s.w/safe", "s.w/shared", "sum"]


def test_one_category_alone_is_no_part(responses: Make) -> None:
    items = [responses(f"p{i}", ["1"], ["2"], category="only") for i in range(9)]
    assert [scope.subset for scope, _ in _table(items).subsets()] == [None]


def test_identical_speaks_of_texts(responses: Make) -> None:
    assert _table([responses("a", ["1"], ["1"]), responses("b", ["2"], [])]).identical
    assert not _table([responses("a", ["1.0"], ["1"])]).identical
    assert not UnitTable().identical


def test_examples_show_what_is_typical(responses: Make) -> None:
    items = [responses(f"p{i:03}", ["0"], [str(i)]) for i in range(1, 41)]
    items.append(responses("against", ["50"], ["0"]))
    pairs = best(_table(items), "v", note="{base} and {trained}", count=3)
    # 40 moved up, the two that moved most are left out, and what moved down is no example
    assert [pair.trained for pair in pairs] == ["38", "37", "36"]
    assert pairs[0].note == "0 and 38"
    assert best(_table([responses("a", ["1"], ["1"])]), "v", note="") == []


def test_an_example_shows_the_sample_nearest_to_its_side(responses: Make) -> None:
    (pair,) = best(_table([responses("a", ["0", "1", "8"], ["9", "20", "10"])]), "v", note="")
    assert (pair.base, pair.trained) == ("1", "10")


def test_withheld_texts_appear_nowhere(responses: Make) -> None:
    items = [responses("a", ["11"], ["22"], prompt="a secret")]
    (payload,) = artifact("x", best(_table(items), "v", note="n"), excerpts=False)
    assert b"secret" not in payload.content and b'"11"' not in payload.content
    assert withhold("a secret").encode() in payload.content
    assert withhold("a secret").endswith("(8 characters)")
