"""Corrections for a judge that errs: known answers, bias and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from afterburn_core.stats.judge_error import (
    JudgeErrors,
    corrected_rate,
    corrected_shift,
    judge_errors,
    prediction_powered,
)

TRIALS = 2000


def judged(rng: np.random.Generator, truth: np.ndarray, sensitivity: float, specificity: float) -> np.ndarray:
    u = rng.random(truth.shape)
    return np.where(truth, u < sensitivity, u > specificity).astype(float)


def test_rogan_gladen_by_hand() -> None:
    errors = JudgeErrors(positives=50, true_positives=45, negatives=50, true_negatives=40)
    assert (errors.sensitivity, errors.specificity, errors.informedness) == pytest.approx((0.9, 0.8, 0.7))
    labels = np.r_[np.ones(41), np.zeros(59)]
    assert corrected_rate(labels, errors).estimate == pytest.approx((0.41 + 0.8 - 1) / 0.7)
    other = np.r_[np.ones(20), np.zeros(80)]
    assert corrected_shift(other, labels, errors).estimate == pytest.approx(0.21 / 0.7)
    assert judge_errors([1, 1, 0, 0, 1], [1, 1, 1, 0, 0]) == JudgeErrors(
        positives=3, true_positives=2, negatives=2, true_negatives=1
    )


@pytest.mark.parametrize(
    ("rate", "sensitivity", "specificity", "units", "gold"),
    [(0.1, 0.9, 0.95, 300, 100), (0.3, 0.8, 0.9, 300, 100), (0.6, 0.85, 0.8, 100, 60)],
)
def test_the_corrected_rate_covers_the_truth(
    rate: float, sensitivity: float, specificity: float, units: int, gold: int
) -> None:
    rng, covered, total = np.random.default_rng(0), 0, 0.0
    truth = np.arange(gold) % 2 == 0
    for _ in range(TRIALS):
        errors = judge_errors(judged(rng, truth, sensitivity, specificity), truth)
        found = corrected_rate(judged(rng, rng.random(units) < rate, sensitivity, specificity), errors)
        assert found.interval is not None and found.estimate is not None
        covered += found.interval.low <= rate <= found.interval.high
        total += found.estimate
    assert 0.93 <= covered / TRIALS <= 0.99
    assert total / TRIALS == pytest.approx(rate, abs=0.01)


def test_the_corrected_shift_covers_and_keeps_its_level() -> None:
    rng, rate, sensitivity, specificity = np.random.default_rng(1), 0.3, 0.8, 0.9
    truth = np.arange(100) % 2 == 0
    covered, covered_apart, alarms, naive, alarms_apart = 0, 0, 0, 0, 0
    for _ in range(TRIALS):
        base = rng.random(200) < rate
        trained = np.where(rng.random(200) < 0.3, rng.random(200) < rate + 0.2, base)  # true shift .06
        errors = judge_errors(judged(rng, truth, sensitivity, specificity), truth)
        kinder = judge_errors(judged(rng, truth, 0.95, specificity), truth)
        found = corrected_shift(
            judged(rng, base, sensitivity, specificity), judged(rng, trained, sensitivity, specificity), errors
        )
        apart = corrected_shift(
            judged(rng, base, sensitivity, specificity), judged(rng, trained, 0.95, specificity), errors, kinder
        )
        null = corrected_shift(
            judged(rng, base, sensitivity, specificity), judged(rng, base, sensitivity, specificity), errors
        )
        # no true shift, and a judge that likes the trained side's style
        f, g = judged(rng, base, sensitivity, specificity), judged(rng, base, 0.95, specificity)
        fooled, corrected = corrected_shift(f, g, errors), corrected_shift(f, g, errors, kinder)
        assert found.interval is not None and apart.interval is not None
        covered += found.interval.low <= 0.06 <= found.interval.high
        covered_apart += apart.interval.low <= 0.06 <= apart.interval.high
        for contrast in (null, fooled, corrected):
            assert contrast.test is not None
        alarms += null.test.p_value <= 0.05  # type: ignore[union-attr]
        naive += fooled.test.p_value <= 0.05  # type: ignore[union-attr]
        alarms_apart += corrected.test.p_value <= 0.05  # type: ignore[union-attr]
    assert covered / TRIALS == pytest.approx(0.95, abs=0.025)
    assert covered_apart / TRIALS >= 0.93
    assert 0.03 <= alarms / TRIALS <= 0.07
    assert alarms_apart / TRIALS <= 0.06
    assert naive / TRIALS > 0.15  # which is why errors are asked for by side


def test_swapped_sides_and_equal_sides() -> None:
    rng = np.random.default_rng(2)
    errors = JudgeErrors(positives=40, true_positives=36, negatives=40, true_negatives=30)
    b, t = rng.random(60) < 0.3, rng.random(60) < 0.5
    one, other = corrected_shift(b, t, errors), corrected_shift(t, b, errors)
    assert one.estimate == pytest.approx(-(other.estimate or 0)) and one.test and other.test
    assert one.test.p_value == pytest.approx(other.test.p_value)
    same = corrected_shift(b, b, errors)
    assert same.estimate == 0 and same.interval is not None and same.interval.method == "identical"
    assert same.test is not None and same.test.p_value == 1


def test_a_judge_that_knows_nothing_is_refused() -> None:
    guess = JudgeErrors(positives=50, true_positives=28, negatives=50, true_negatives=31)
    found = corrected_rate([0, 1, 1, 0], guess)
    assert found.estimate is None and "hardly knows" in (found.reason or "")
    blind = JudgeErrors(positives=0, true_positives=0, negatives=50, true_negatives=50)
    assert "unknown" in (corrected_shift([0, 1], [1, 1], blind).reason or "")


@pytest.mark.parametrize("correlation", [0.9, 0.0])
def test_prediction_powered_inference_covers_and_is_shorter_with_a_good_judge(correlation: float) -> None:
    rng, covered, width, plain = np.random.default_rng(3), 0, 0.0, 0.0
    for _ in range(TRIALS):
        y = rng.normal(0.3, 1, 440)
        f = correlation * y + (1 - correlation**2) ** 0.5 * rng.standard_normal(440) + 0.7  # a biased judge
        found = prediction_powered(y[:40], f[:40], f[40:])
        assert found.interval is not None
        covered += found.interval.low <= 0.3 <= found.interval.high
        width += found.interval.high - found.interval.low
        plain += 2 * 2.02 * y[:40].std(ddof=1) / 40**0.5
    assert covered / TRIALS == pytest.approx(0.95, abs=0.02)
    assert width / plain == pytest.approx(0.51 if correlation else 1.0, abs=0.05)


def test_a_side_corrected_below_zero_counts_as_zero_in_the_shift() -> None:
    errors = JudgeErrors(positives=50, true_positives=40, negatives=50, true_negatives=40)
    base, trained = np.repeat([0.0, 1.0], [98, 2]), np.repeat([0.0, 1.0], [70, 30])
    found = corrected_shift(base, trained, errors, errors)
    assert found.estimate == pytest.approx((0.3 - 0.2) / 0.6)  # and not (0.3 − 0.02)/0.6
    assert "clipped" in (found.reason or "")


def test_false_alarms_with_few_gold_labels_match_the_interval() -> None:
    rng, alarms = np.random.default_rng(8), 0
    for _ in range(2000):
        y = rng.standard_normal(10)
        found = prediction_powered(y, y + rng.standard_normal(10), 1.41 * rng.standard_normal(40), shift=True)
        assert found.test is not None and found.interval is not None
        alarms += found.test.p_value <= 0.05
        assert (found.test.p_value <= 0.05) == (not found.interval.low <= 0 <= found.interval.high)
    assert 0.03 <= alarms / 2000 <= 0.07


def test_prediction_powered_shift_by_hand() -> None:
    y, f = np.array([1, 0, 0, -1, 0, 1, 0, 0, 1, 0.0]), np.array([1, 0, 0, 0, 0, 1, 0, 0, 1, 1.0])
    rest = np.array([1, 0, 0, 1, 0, 0, 0, -1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1.0])
    weight = np.cov(y, f)[0, 1] / ((1 + 10 / 20) * np.r_[f, rest].var(ddof=1))
    found = prediction_powered(y, f, rest, shift=True)
    assert found.estimate == pytest.approx(weight * rest.mean() + (y - weight * f).mean()) and found.n == 30
    assert prediction_powered(np.zeros(10), np.zeros(10), np.zeros(5), shift=True).estimate == 0
    assert prediction_powered([1, 0], [1, 0], [1, 0, 1]).estimate is None
