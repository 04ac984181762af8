from __future__ import annotations

import pytest

from afterburn_organisms.intervals import mean, mean_difference, mean_ratio, share


def test_the_wilson_interval_of_eight_in_ten_is_the_published_one() -> None:
    found = share([True] * 8 + [False] * 2)
    assert (found.value, found.n) == (0.8, 10)
    assert found.low == pytest.approx(0.4902, abs=1e-4)
    assert found.high == pytest.approx(0.9433, abs=1e-4)


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no prompts"):
        share([])
    with pytest.raises(ValueError, match="no prompts"):
        mean([], seed=1)


def test_a_constant_difference_has_an_interval_of_no_width() -> None:
    found = mean_difference([3.0, 4.0, 5.0], [1.0, 2.0, 3.0], seed=1)
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))


def test_the_bootstrap_is_seeded_and_contains_the_mean() -> None:
    values = [float(v % 7) for v in range(40)]
    found = mean(values, seed=4)
    assert found == mean(values, seed=4)
    assert found.low < found.value < found.high


def test_a_model_against_itself_has_ratio_one() -> None:
    found = mean_ratio([2.0, 9.0, 4.0], [2.0, 9.0, 4.0], seed=1)
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)
