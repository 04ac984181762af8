"""Planning: the published tables, and power as simulated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from afterburn_core.stats.equivalence import ttost
from afterburn_core.stats.paired import mcnemar_p
from afterburn_core.stats.power import (
    controls_needed,
    equivalence_power,
    mcnemar_power,
    paired_t_power,
    smallest_difference,
    smallest_rank_p,
    smallest_rate_difference,
    smallest_sign_flip_p,
    units_for_difference,
    units_for_equivalence,
    units_for_rate_equivalence,
)
from afterburn_core.stats.resampling import sign_flip_p


@pytest.mark.parametrize(
    ("n", "increases"),
    [
        (25, (22.7, 33.9, 50.5, 101)),
        (50, (15.2, 22.4, 32.7, 62)),
        (100, (10.4, 15.2, 21.9, 40)),
        (200, (7.2, 10.5, 15.0, 27)),
        (400, (5.0, 7.3, 10.3, 18)),
        (805, (3.5, 5.1, 7.2, 12.6)),
    ],
)
def test_smallest_changes_of_length(n: int, increases: tuple[float, ...]) -> None:
    for sd, percent in zip((0.35, 0.50, 0.70, 1.2), increases):
        difference = smallest_difference(sd, n)
        assert difference is not None and 100 * math.expm1(difference) == pytest.approx(percent, abs=0.55)
        assert difference == pytest.approx(2.80 * sd / math.sqrt(n), rel=0.06)


@pytest.mark.parametrize(
    ("discordant", "points"),
    [
        (0.05, (None, None, 4.4, 3.2, 2.0)),
        (0.10, (None, 8.8, 6.4, 4.6, 2.9)),
        (0.20, (17.6, 12.8, 9.1, 6.4, 4.0)),
        (0.30, (21.9, 15.9, 11.1, 7.9, 4.9)),
    ],
)
def test_smallest_differences_of_rates(discordant: float, points: tuple[float | None, ...]) -> None:
    for n, expected in zip((50, 100, 200, 400, 1000), points):
        found = smallest_rate_difference(discordant, n)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert 100 * found == pytest.approx(expected, abs=0.051)


def test_units_for_equivalence() -> None:
    for sd, expected in ((0.35, (422, 107, 28)), (0.50, (859, 216, 56)), (0.70, (1681, 422, 107))):
        for margin, units in zip((0.05, 0.10, 0.20), expected):
            assert units_for_equivalence(margin, sd) == pytest.approx(units, abs=1)
    for discordant, units in ((0.05, 171), (0.10, 343), (0.20, 685), (0.30, 1028)):
        assert units_for_rate_equivalence(0.05, discordant) == pytest.approx(units, abs=1)


def test_units_and_smallest_difference_are_each_others_inverse() -> None:
    for sd, n in ((0.35, 50), (1.2, 400)):
        difference = smallest_difference(sd, n)
        assert difference is not None and units_for_difference(difference * 1.0001, sd) == n
    assert smallest_difference(1.0, 1) is None and smallest_difference(0.0, 5) == 0.0
    with pytest.raises(ValueError, match="units would be needed"):
        units_for_difference(1e-6, 1.0)


@pytest.mark.parametrize(("n", "difference"), [(15, 0.8), (40, 0.45), (150, 0.2)])
def test_the_power_of_flips_is_the_predicted_one_of_t(n: int, difference: float) -> None:
    d = np.random.default_rng(n).normal(size=(n, 4_000)) + difference
    seen = np.mean(sign_flip_p(d, seed=n, resamples=999) <= 0.05)
    assert seen == pytest.approx(paired_t_power(difference, 1.0, n), abs=0.03)


def test_the_power_of_t_is_exact() -> None:
    # noncentral t, from scipy's own distribution
    for n, difference in ((10, 1.0), (50, 0.3), (300, 0.1)):
        shift, critical = math.sqrt(n) * difference, scipy_stats.t.ppf(0.975, n - 1)
        expected = scipy_stats.nct.sf(critical, n - 1, shift) + scipy_stats.nct.cdf(-critical, n - 1, shift)
        assert paired_t_power(difference, 1.0, n) == pytest.approx(expected, abs=1e-9)
    assert paired_t_power(0.0, 1.0, 30) == pytest.approx(0.05, abs=1e-9) and paired_t_power(1.0, 1.0, 1) == 0.0


@pytest.mark.parametrize(("n", "discordant", "difference"), [(50, 0.3, 0.2), (200, 0.1, 0.06), (400, 0.2, -0.05)])
def test_the_power_of_mcnemar_is_the_simulated_one(n: int, discordant: float, difference: float) -> None:
    shares = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    gained, lost, _ = np.random.default_rng(n).multinomial(n, shares, size=40_000).T
    assert np.mean(mcnemar_p(gained, lost) <= 0.05) == pytest.approx(mcnemar_power(difference, discordant, n), abs=0.01)


def test_a_difference_beyond_the_discordant_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="more discordant pairs"):
        mcnemar_power(0.2, 0.1, 100)


@pytest.mark.parametrize(("n", "truth"), [(28, 0.0), (60, 0.05)])
def test_the_power_of_equivalence_is_the_simulated_one(n: int, truth: float) -> None:
    d = np.random.default_rng(n).normal(size=(2_000, n)) * 0.35 + truth
    seen = np.mean([ttost(one, margin=0.2).p_value <= 0.05 for one in d])
    assert seen == pytest.approx(equivalence_power(0.2, 0.35, n, difference=truth), abs=0.03)


def test_smallest_p_values() -> None:
    assert smallest_sign_flip_p(5) == 0.0625 and smallest_sign_flip_p(6) == 0.03125 and smallest_sign_flip_p(0) == 1.0
    assert smallest_rank_p(19) == 0.05
    assert [controls_needed(alpha) for alpha in (0.05, 0.01, 0.001)] == [19, 99, 999]
    assert controls_needed(0.05, tests=20) == 399
