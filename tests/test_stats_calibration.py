"""Calibration: exact decomposition, known answers, and the bias that plain binning has."""

from __future__ import annotations

import numpy as np
import pytest

from afterburn_core.stats.calibration import brier, calibration, choice_probabilities
from afterburn_core.stats.intervals import wilson


def drawn(rng: np.random.Generator, n: int, off: float) -> tuple[np.ndarray, np.ndarray]:
    """Confidences whose accuracy is `off` higher: the true error is |off| in every bin."""
    c = rng.uniform(0.15, 0.85, n)
    return c, rng.random(n) < c + off


def test_known_answers() -> None:
    # 10 items at .9 of which 5 are right, 10 at .6 of which 6 are: errors .4 and 0
    c, y = np.r_[np.full(10, 0.9), np.full(10, 0.6)], np.r_[np.ones(5), np.zeros(5), np.ones(6), np.zeros(4)]
    found = calibration(c, y)
    assert found.plain_ece == pytest.approx(0.2) and found.overconfidence.estimate == pytest.approx(0.75 - 0.55)
    assert found.brier.estimate == pytest.approx((5 * 0.01 + 5 * 0.81 + 6 * 0.16 + 4 * 0.36) / 20)
    assert found.squared == pytest.approx((0.16 - 0.25 / 9 + 0 - 0.24 / 9) / 2)
    assert found.parts is not None
    assert (found.parts.reliability, found.parts.within_variance, found.parts.within_covariance) == pytest.approx(
        (0.08, 0, 0)
    )
    assert found.parts.resolution == pytest.approx(0.05**2) and found.parts.uncertainty == pytest.approx(0.55 * 0.45)
    low, high = found.points
    assert (low.n, low.confidence, low.accuracy, high.accuracy) == pytest.approx((10, 0.6, 0.6, 0.5))
    assert (high.interval.low, high.interval.high) == pytest.approx(tuple(float(x) for x in wilson(5, 10)))


def test_the_parts_add_up_to_the_score() -> None:
    rng = np.random.default_rng(0)
    for n in (20, 57, 400):
        c, y = drawn(rng, n, -0.1)
        found = calibration(c, y)
        assert found.parts is not None
        assert found.parts.score == pytest.approx(float(np.mean((c - y) ** 2)), abs=1e-12)
        assert found.parts.score == pytest.approx(found.brier.estimate)


def test_the_debiased_error_is_near_zero_for_a_calibrated_model_and_the_plain_one_is_not() -> None:
    rng = np.random.default_rng(1)
    results = [calibration(*drawn(rng, 200, 0.0)) for _ in range(500)]
    plain = np.mean([r.plain_ece for r in results if r.plain_ece is not None])
    debiased = np.mean([r.ece.estimate for r in results if r.ece.estimate is not None])
    squared = np.array([r.squared for r in results], dtype=float)
    assert plain > 0.07 and debiased < 0.02
    assert abs(squared.mean()) < 2.5 * squared.std() / 500**0.5


def test_a_large_error_is_kept() -> None:
    found = calibration(*drawn(np.random.default_rng(2), 2000, -0.15))
    assert found.ece.estimate == pytest.approx(0.15, abs=0.03) and found.plain_ece == pytest.approx(0.15, abs=0.03)
    assert found.overconfidence.estimate == pytest.approx(0.15, abs=0.03)
    assert found.squared == pytest.approx(0.0225, abs=0.008)


@pytest.mark.parametrize(("n", "off"), [(60, 0.0), (60, 0.1), (250, 0.05), (1000, 0.03), (1000, 0.1)])
def test_the_interval_of_the_error_covers(n: int, off: float) -> None:
    rng, covered = np.random.default_rng(3), 0
    for _ in range(300):
        interval = calibration(*drawn(rng, n, off)).ece.interval
        assert interval is not None
        covered += interval.low <= off <= interval.high
    assert covered / 300 >= 0.93  # conservative by construction


def test_equal_confidences_share_a_bin_and_order_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    c, y = rng.choice([0.2, 0.5, 0.9], 90), rng.random(90) < 0.5
    order = rng.permutation(90)
    one, other = calibration(c, y), calibration(c[order], y[order])
    assert len(one.points) == 3 and one.points == other.points
    assert one.ece.estimate == pytest.approx(other.ece.estimate)
    assert len(calibration(np.full(50, 0.7), np.arange(50) % 2).points) == 1


def test_nothing_is_made_up() -> None:
    found = calibration([0.9] * 19, [1] * 19)
    assert found.ece.estimate is None and found.plain_ece is None and found.points == ()
    assert found.ece.reason == "19 items with a confidence and a gold answer, of at least 20"
    with pytest.raises(ValueError, match="outside"):
        calibration([1.2] * 20, [1] * 20)
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        calibration([0.5] * 20, [0.5] * 20)


def test_choices() -> None:
    p = choice_probabilities([[np.log(0.2), np.log(0.1), -np.inf], [-1000.0, -1000.0, -1000.0]])
    np.testing.assert_allclose(p, [[2 / 3, 1 / 3, 0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(brier([[1, 0], [0, 1], [0.5, 0.5]], [0, 0, 1]), [0, 2, 0.5])
    with pytest.raises(ValueError, match="no finite"):
        choice_probabilities([[-np.inf, -np.inf]])
    with pytest.raises(ValueError, match="add up"):
        brier([[0.5, 0.2]], [0])
