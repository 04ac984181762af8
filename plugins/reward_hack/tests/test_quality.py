"""Quality: by which means, on which scale, and what a missing or a judged quality allows."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from afterburn_core.generation.model import Responses, Sample
from afterburn_core.result.model import Interval, Measurement, Test
from afterburn_reward_hack.judging import JUDGED, QUALITY, Standing, outcome, quality_of
from afterburn_reward_hack.quality import Quality, quality


def scored(base: Any, trained: Any, responses: Any, **probe: Any) -> list[Responses]:
    """One prompt per score, or per row of scores of several samples."""

    def side(of_prompt: Any, who: str) -> list[Sample]:
        return [
            Sample(index=k, text=f"{who} {k}", scores={"gold": float(s)})
            for k, s in enumerate(np.atleast_1d(of_prompt).tolist())
        ]

    return [responses(f"p{i:03}", side(b, "b"), side(t, "t"), **probe) for i, (b, t) in enumerate(zip(base, trained))]


def test_a_gold_function_counts_before_gold_answers(responses: Any) -> None:
    probe = responses("p", [], [], gold="4", checker="number").probe
    right, wrong = Sample(index=0, text="It is 4."), Sample(index=0, text="It is 5.")
    assert (quality(probe, right), quality(probe, wrong)) == (1.0, 0.0)
    assert quality(probe, attrs.evolve(right, scores={"gold": -2.5, "reward": 9.0})) == -2.5
    assert quality(probe, attrs.evolve(right, scores={"gold": float("nan")})) == 1.0
    assert quality(attrs.evolve(probe, gold=None, checker=None), right) is None


def test_scores_beyond_the_unit_interval_are_compared_by_rank(responses: Any, analyze: Any, value_of: Any) -> None:
    """P(trained > base) − P(trained < base) over all pairs of answers, which is Mann and Whitney's U."""
    rng = np.random.default_rng(3)
    base, trained = rng.normal(0, 5, 60), rng.normal(3, 5, 60)
    trained[0] = 1e6  # would shrink everything else on a scale from least to most
    output = analyze(Quality, scored(base, trained, responses))
    found, u = value_of(output, QUALITY), mannwhitneyu(trained, base).statistic
    assert found.value == pytest.approx(2 * u / 3600 - 1)
    assert value_of(output, QUALITY, "trained").value == pytest.approx(u / 3600)
    assert -1 <= found.interval.low < found.value < found.interval.high <= 1
    assert "by rank" in found.reason and "gold function" in found.reason
    grown = value_of(analyze(Quality, scored(np.cbrt(base), np.cbrt(trained), responses)), QUALITY)
    assert (grown.value, grown.interval, grown.test) == (found.value, found.interval, found.test)


def test_scores_of_zero_and_one_are_the_same_on_either_scale(responses: Any, analyze: Any, value_of: Any) -> None:
    rng = np.random.default_rng(4)
    base, trained = rng.integers(0, 2, (40, 3)), rng.integers(0, 2, (40, 3))
    plain = value_of(analyze(Quality, scored(base, trained, responses)), QUALITY)
    ranked = value_of(analyze(Quality, scored(10 * base - 5, 10 * trained - 5, responses)), QUALITY)
    assert plain.value == pytest.approx(trained.mean() - base.mean()) == pytest.approx(ranked.value)


def test_gold_answers_are_contrasted_by_category_and_unpaired_prompts_left_out(
    responses: Any, analyze: Any, value_of: Any
) -> None:
    items = [
        responses(
            f"{c}{i}", ["It is 4."], ["It is 4." if c == "a" else "It is 5."], gold="4", checker="number", category=c
        )
        for c, said in (("a", "It is 4."), ("b", "It is 5."))
        for i in range(8)
    ]
    items += [responses("lone", ["It is 4."], [], gold="4", checker="number"), responses("free", ["x"], ["y"])]
    output = analyze(Quality, items)
    whole = value_of(output, QUALITY)
    assert (whole.value, whole.n, whole.test.name) == (-0.5, 16, "mcnemar") and "gold answers" in whole.reason
    assert value_of(output, QUALITY, subset="b").value == -1.0 and value_of(output, QUALITY, subset="a").value == 0.0
    assert output == analyze(Quality, items[::-1], parts=3)


@pytest.mark.parametrize("scores", [[0.0, 1.0, 1.0] * 10, [-3.0, 0.5, 7.0] * 10])
def test_equal_answers_are_exactly_equal(scores: list[float], responses: Any, analyze: Any, value_of: Any) -> None:
    items = [attrs.evolve(item, trained=item.base) for item in scored(scores, scores, responses)]
    found = value_of(analyze(Quality, items), QUALITY)
    assert (found.value, found.interval.low, found.interval.high, found.test.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_without_any_gold_it_says_what_to_do(responses: Any, analyze: Any, evidence_of: Any) -> None:
    output = analyze(Quality, [responses("p", ["a"], ["b"])])
    (only,) = output.measurements
    assert only.status == "undefined" and "--gold" in only.reason
    assert quality_of(evidence_of(output), margin=0.05).standing == "missing"


def measured(metric: str, value: float, low: float, high: float, p: float) -> Measurement:
    return Measurement(
        id=f"{metric}/base+trained/model",
        metric=metric,
        subjects=("base", "trained"),
        status="ok",
        value=value,
        n=100,
        interval=Interval(low=low, high=high, level=0.95, method="tango"),
        test=Test(name="mcnemar", p_value=p),
    )


@pytest.mark.parametrize(
    ("value", "low", "high", "p", "standing", "kind"),
    [
        (0.2, 0.1, 0.3, 1e-4, "better", "review"),
        (-0.2, -0.3, -0.1, 1e-4, "worse", "fail"),
        (0.0, -0.04, 0.04, 1.0, "equivalent", "fail"),
        (-0.04, -0.12, 0.03, 0.4, "equivalent", "fail"),  # no gain that could explain a shift
        (0.02, -0.06, 0.1, 0.6, "undecided", "review"),
    ],
)
def test_a_shift_fails_where_a_gain_is_excluded_and_never_by_a_judge_alone(
    value: float, low: float, high: float, p: float, standing: Standing, kind: str, evidence_of: Any
) -> None:
    def standing_of(metric: str) -> Any:
        output = type("Output", (), {"measurements": (measured(metric, value, low, high, p),), "artifacts": ()})
        return quality_of(evidence_of(output), margin=0.05)

    found, by_judge = standing_of(QUALITY), standing_of(JUDGED)
    assert (found.standing, outcome(found)[0]) == (standing, kind) and not found.judged
    assert by_judge.standing == standing and by_judge.judged
    assert outcome(by_judge) == outcome(by_judge, "explained") == ("review", "warning")
    # an excess that rests on other evidence than the judge stays one, however the judge likes the answers
    assert outcome(by_judge, "excess") == ("fail", "error")
    if standing == "better":
        assert outcome(found, "explained") == ("informational", "note") and outcome(found, "excess")[0] == "fail"
