"""Correctness: rates, flips in both directions, and the rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from afterburn_behaviour.correct import Correct
from afterburn_behaviour.quality_judge import QualityJudge
from afterburn_behaviour.quality_options import CorrectOptions, QualityRules
from afterburn_core.generation.model import Responses, Sample

RATE = "behaviour.correct.rate"


def correct() -> Correct:
    return Correct(CorrectOptions())


@pytest.fixture
def marked(responses: Callable[..., Responses]) -> Callable[..., list[Responses]]:
    """Prompts with so many right samples of K on each side."""

    def make(base: list[int], trained: list[int], k: int = 1, **probe: Any) -> list[Responses]:
        def side(right: int, who: str, i: int) -> list[Sample]:
            return [Sample(index=j, text=f"{who} {i} {j}", labels={"is_correct": j < right}) for j in range(k)]

        return [
            responses(f"p{i:04}", side(b, "b", i), side(t, "t", i), **probe)
            for i, (b, t) in enumerate(zip(base, trained))
        ]

    return make


def test_flips_are_reported_in_both_directions_and_tested_by_mcnemar(
    marked: Any, analyze: Any, value_of: Any, judged: Any
) -> None:
    base = [1] * 60 + [0] * 40
    trained = [1] * 42 + [0] * 18 + [1] * 5 + [0] * 35  # 18 lost, 5 gained
    output = analyze(correct, marked(base, trained))
    assert value_of(output, RATE, "base").value == 0.6 and value_of(output, RATE, "trained").value == 0.47
    pair = value_of(output, RATE)
    assert pair.value == pytest.approx(-0.13) and pair.n == 100
    assert pair.test.p_value == pytest.approx(binomtest(5, 23).pvalue)
    assert value_of(output, "behaviour.correct.newly_right").value == 5
    assert value_of(output, "behaviour.correct.newly_wrong").value == 18
    found = judged(QualityJudge(QualityRules()), output)["behaviour.correct_shift"]
    assert (found.kind, found.level) == ("informational", "note")
    assert "-13.0 points" in found.message and "lower after training" in found.message
    assert "5 prompts became right and 18 wrong" in found.message
    assert found.examples[0].base.startswith("b ") and len(found.examples) == 3


def test_equal_sides_are_exactly_equal_and_pass(
    marked: Any, responses: Any, analyze: Any, value_of: Any, judged: Any
) -> None:
    items = []
    for item in marked([1, 0, 1, 1, 0, 1, 1, 0, 1, 1], [0] * 10):
        items.append(responses(item.probe.id, item.base, item.base))
    output = analyze(correct, items)
    pair = value_of(output, RATE)
    assert (pair.value, pair.interval.low, pair.interval.high, pair.interval.method) == (0.0, 0.0, 0.0, "identical")
    assert pair.test.p_value == 1.0
    assert value_of(output, "behaviour.correct.newly_right").value == 0
    assert judged(QualityJudge(QualityRules()), output)["behaviour.correct_shift"].kind == "pass"


def test_swapping_the_sides_negates_the_contrast_and_keeps_p(marked: Any, analyze: Any, value_of: Any) -> None:
    rng = np.random.default_rng(3)
    base, trained = rng.integers(0, 4, 40).tolist(), rng.integers(0, 4, 40).tolist()
    one = value_of(analyze(correct, marked(base, trained, k=3)), RATE)
    other = value_of(analyze(correct, marked(trained, base, k=3)), RATE)
    assert one.value == pytest.approx(-other.value) and one.test.p_value == other.test.p_value


def test_samples_are_averaged_inside_their_prompt_first(
    marked: Any, responses: Any, analyze: Any, value_of: Any
) -> None:
    many = marked([8], [0], k=8)
    few = [
        responses(
            f"q{i}",
            [Sample(index=0, text="x", labels={"is_correct": False})],
            [Sample(index=0, text="y", labels={"is_correct": True})],
        )
        for i in range(7)
    ]
    output = analyze(correct, [*many, *few])
    assert value_of(output, RATE, "base").value == pytest.approx(1 / 8)
    assert value_of(output, RATE).n == 8


def test_order_and_parts_of_the_stream_do_not_matter(marked: Any, analyze: Any) -> None:
    rng = np.random.default_rng(5)
    items = marked(rng.integers(0, 3, 30).tolist(), rng.integers(0, 3, 30).tolist(), k=2, category="a")
    assert analyze(correct, items) == analyze(correct, items[::-1], parts=3)


def test_categories_are_tested_apart_from_the_whole(marked: Any, responses: Any, analyze: Any, value_of: Any) -> None:
    rng = np.random.default_rng(7)
    items = [
        responses(
            f"{c}{i}",
            *([Sample(index=0, text=f"{s}{c}{i}", labels={"is_correct": bool(rng.integers(2))})] for s in "bt"),
            category=c,
        )
        for c in ("sums", "words")
        for i in range(20)
    ]
    output = analyze(correct, items)
    whole, part = value_of(output, RATE), value_of(output, RATE, subset="sums")
    assert whole.test.family == RATE and whole.test.correction is None
    assert part.test.correction == "bh" and part.n == 20


def test_nothing_is_invented_without_gold_answers(responses: Any, analyze: Any, value_of: Any, judged: Any) -> None:
    output = analyze(correct, [responses(f"p{i}", ["a"], ["b"]) for i in range(10)])
    pair = value_of(output, RATE)
    assert pair.status == "undefined" and pair.reason == "no gold answer"
    assert judged(QualityJudge(QualityRules()), output)["behaviour.correct_shift"].kind == "open"


def test_sides_that_were_marked_by_different_means_carry_a_caveat(responses: Any, analyze: Any, value_of: Any) -> None:
    items = [
        responses(
            f"p{i}",
            [Sample(index=0, text="It is 4.", labels={"is_correct": True})],
            [Sample(index=0, text=f"It is {4 + i % 2}.")],
            gold="4",
            checker="number",
        )
        for i in range(10)
    ]
    assert "different means" in value_of(analyze(correct, items), RATE).reason


def test_prompts_of_one_side_are_left_out_and_counted(marked: Any, responses: Any, analyze: Any, value_of: Any) -> None:
    items = marked([1, 0] * 5, [1] * 10)
    lone = responses("z", [Sample(index=0, text="x", labels={"is_correct": True})], [])
    pair = value_of(analyze(correct, [*items, lone]), RATE)
    assert pair.n == 10 and "1 answered by base alone" in pair.reason


def test_without_excerpts_no_text_is_kept(marked: Any, analyze: Any) -> None:
    output = analyze(correct, marked([1] * 10, [0] * 10), excerpts=False)
    kept = b"".join(a.content for a in output.artifacts)
    assert b"sha256:" in kept and b"b 0 0" not in kept and b"Question" not in kept


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 3])
def test_the_rule_is_silent_where_both_sides_are_alike(marked: Any, analyze: Any, judged: Any, k: int) -> None:
    runs, shifted = 400, 0
    for seed in range(runs):
        rng = np.random.default_rng([23, k, seed])
        easy = rng.beta(0.6, 0.6, 40)
        sides = [rng.binomial(k, easy).tolist() for _ in range(2)]
        found = judged(QualityJudge(QualityRules()), analyze(correct, marked(*sides, k=k), seed=seed))
        shifted += found["behaviour.correct_shift"].kind == "informational"
    print(f"\nnull | behaviour.correct_shift | {k} samples | {shifted / runs:.3f}")
    assert shifted <= 0.05 * runs + 2 * np.sqrt(runs * 0.05 * 0.95)
