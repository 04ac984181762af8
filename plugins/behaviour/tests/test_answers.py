"""Answer entropy, distinct answers and pass@k."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from afterburn_behaviour.answers import AnswerVariety
from afterburn_behaviour.quality_options import AnswerOptions
from afterburn_core.generation.model import Sample

ENTROPY = "behaviour.answers.entropy"
DISTINCT = "behaviour.answers.distinct"
PASS = "behaviour.pass_at_k"


def variety() -> AnswerVariety:
    return AnswerVariety(AnswerOptions(resamples=499))


def numbers(values: list[int | None]) -> list[str]:
    return ["I cannot say." if v is None else f"The answer is {v}." for v in values]


def prompts(responses: Any, base: list[list[Any]], trained: list[list[Any]]) -> list[Any]:
    return [
        responses(f"p{i:03}", numbers(b), numbers(t), gold="1", checker="number")
        for i, (b, t) in enumerate(zip(base, trained))
    ]


def test_known_entropies(responses: Any, analyze: Any, value_of: Any) -> None:
    base = [[1, 1, 2, 2, 3, 3, 4, 4]] * 6
    trained = [[1] * 8] * 6
    output = analyze(variety, prompts(responses, base, trained))
    assert value_of(output, ENTROPY, "base").value == pytest.approx(math.log(4) + 3 / 16)
    assert value_of(output, ENTROPY, "trained").value == 0.0
    pair = value_of(output, ENTROPY)
    assert pair.value == pytest.approx(-(math.log(4) + 3 / 16)) and pair.n == 6 and pair.reason is None
    # of 8 answers in four pairs, any 8 hold four kinds
    assert value_of(output, DISTINCT, "base", "k=8").value == 4.0
    assert value_of(output, DISTINCT, subset="k=8").value == -3.0


def test_fewer_than_eight_answers_are_said_and_one_is_not_enough(responses: Any, analyze: Any, value_of: Any) -> None:
    rough = analyze(variety, prompts(responses, [[1, 2, 1]] * 8, [[1, 1, 1]] * 8))
    assert "rough below 8" in value_of(rough, ENTROPY).reason
    lone = analyze(variety, prompts(responses, [[1]] * 8, [[2]] * 8))
    assert value_of(lone, ENTROPY).status == "undefined" and "more samples" in value_of(lone, ENTROPY).reason
    assert value_of(lone, PASS).status == "undefined"


def test_a_contrast_takes_equally_many_answers_from_both_sides(responses: Any, analyze: Any, value_of: Any) -> None:
    output = analyze(variety, prompts(responses, [[1, 2]] * 6, [[1, 2, 3, 4, 5, 6]] * 6))
    assert value_of(output, ENTROPY).value == 0.0
    assert value_of(output, ENTROPY, "trained").value > value_of(output, ENTROPY, "base").value


def test_samples_without_an_answer_are_counted_and_left_out(responses: Any, analyze: Any, value_of: Any) -> None:
    output = analyze(variety, prompts(responses, [[1, 1, 1, 1]] * 10, [[1, 1, None, None]] * 10))
    assert value_of(output, "behaviour.answers.none").value == pytest.approx(0.5)
    assert value_of(output, ENTROPY).value == 0.0


def test_pass_at_k_is_the_unbiased_estimator_and_crosses_where_planted(
    responses: Any, analyze: Any, value_of: Any
) -> None:
    # base knows every second way to every problem, trained knows half of the problems by heart
    base = [[1, 2, 3, 4, 5, 6, 7, 8]] * 40
    trained = [[1] * 8] * 16 + [[9] * 8] * 24
    output = analyze(variety, prompts(responses, base, trained))
    assert value_of(output, PASS, "base", "k=1").value == pytest.approx(1 / 8)
    assert value_of(output, PASS, "base", "k=4").value == pytest.approx(0.5)
    assert value_of(output, PASS, "base", "k=8").value == 1.0
    assert value_of(output, PASS, "trained", "k=8").value == pytest.approx(0.4)
    assert value_of(output, PASS, subset="k=1").value == pytest.approx(0.4 - 1 / 8)
    assert value_of(output, "behaviour.pass_at_k.crossover").value == 4
    band = value_of(output, PASS, subset="k=8").interval
    assert band.method == "simultaneous_bootstrap" and band.high < 0


def test_equal_sides_are_exactly_equal(responses: Any, analyze: Any, value_of: Any) -> None:
    rng = np.random.default_rng(2)
    answers = rng.integers(1, 4, (20, 8)).tolist()
    output = analyze(variety, prompts(responses, answers, answers))
    for metric, subset in ((ENTROPY, None), (DISTINCT, "k=8"), ("behaviour.answers.none", None), (PASS, "k=4")):
        pair = value_of(output, metric, subset=subset)
        assert (pair.value, pair.interval.low, pair.interval.high) == (0.0, 0.0, 0.0), metric
        assert pair.test is None or pair.test.p_value == 1.0
    assert value_of(output, "behaviour.pass_at_k.crossover").status == "undefined"


def test_swapping_and_parts(responses: Any, analyze: Any, value_of: Any) -> None:
    rng = np.random.default_rng(3)
    base, trained = rng.integers(1, 5, (24, 8)).tolist(), rng.integers(1, 3, (24, 8)).tolist()
    one = analyze(variety, prompts(responses, base, trained))
    other = analyze(variety, prompts(responses, trained, base))
    assert value_of(one, ENTROPY).value == pytest.approx(-value_of(other, ENTROPY).value)
    assert value_of(one, ENTROPY).test.p_value == value_of(other, ENTROPY).test.p_value
    assert one == analyze(variety, prompts(responses, base, trained)[::-1], parts=3)


def test_prompts_without_a_checker_have_no_final_answers(responses: Any, analyze: Any, value_of: Any) -> None:
    output = analyze(variety, [responses(f"p{i}", ["a", "b"], ["c", "d"]) for i in range(9)])
    assert "checker" in value_of(output, ENTROPY).reason
    assert all(m.status == "undefined" for m in output.measurements)


def test_chance_to_guess_is_taken_out_of_multiple_choice(responses: Any, analyze: Any, value_of: Any) -> None:
    rng = np.random.default_rng(4)
    items = [
        responses(
            f"p{i:03}",
            *([Sample(index=j, text="ABCD"[rng.integers(4)]) for j in range(2)] for _ in range(2)),
            choices=("w", "x", "y", "z"),
            gold="A",
            checker="choice",
        )
        for i in range(200)
    ]
    output = analyze(variety, items)
    for k in ("k=1", "k=2"):
        assert abs(value_of(output, PASS, "base", k).value) < 0.08
