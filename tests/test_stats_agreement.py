"""Cohen's kappa and the rates of a classifier, by known answers and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest

from afterburn_core.stats.agreement import agreement, cohens_kappa
from afterburn_core.stats.intervals import wilson


def test_known_kappa_and_rates() -> None:
    predicted = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    human = [1] * 25 + [0] * 25
    found = agreement(predicted, human)
    assert (found.true_positives, found.false_negatives, found.false_positives, found.true_negatives) == (20, 5, 10, 15)
    assert found.kappa.estimate == pytest.approx(0.4)  # p_o = .7, p_e = .5
    assert found.accuracy.estimate == pytest.approx(0.7)
    assert found.true_positive_rate.estimate == 0.8 and found.true_positive_rate.n == 25
    assert found.false_positive_rate.estimate == 0.4 and found.false_positive_rate.n == 25
    assert found.precision.estimate == pytest.approx(2 / 3) and found.precision.n == 30
    interval = found.true_positive_rate.interval
    assert interval is not None and interval.method == "wilson"
    assert (interval.low, interval.high) == pytest.approx(tuple(float(x) for x in wilson(20, 25)))


def test_fleiss_cohen_everitt_variance() -> None:
    """The worked example of the 1969 paper: three categories, κ = .429, standard error .054 at n = 200."""
    table = np.array([[0.53, 0.05, 0.02], [0.11, 0.14, 0.05], [0.01, 0.06, 0.03]]) * 200
    first, second = [], []
    for (i, j), count in np.ndenumerate(table):
        first += [i] * round(count)
        second += [j] * round(count)
    found = cohens_kappa(first, second)
    assert found.estimate == pytest.approx(0.429, abs=5e-4) and found.n == 200
    assert found.interval is not None
    assert (found.interval.high - found.interval.low) / (2 * 1.959964) == pytest.approx(0.0540, abs=5e-4)


def test_kappa_is_symmetric_and_chance_gives_zero() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 3000).tolist(), rng.integers(0, 3, 3000).tolist()
    assert cohens_kappa(a, b).estimate == pytest.approx(cohens_kappa(b, a).estimate)
    assert abs(cohens_kappa(a, b).estimate or 1) < 0.05
    assert cohens_kappa(a, a).estimate == 1
    assert cohens_kappa(["no"] * 9, ["no"] * 9).estimate is None


def test_coverage_of_kappa() -> None:
    rng, covered = np.random.default_rng(1), 0
    rate, sensitivity, specificity = 0.4, 0.85, 0.8
    share = rate * sensitivity + (1 - rate) * (1 - specificity)
    chance = rate * share + (1 - rate) * (1 - share)
    true = (rate * sensitivity + (1 - rate) * specificity - chance) / (1 - chance)
    for _ in range(1500):
        y = rng.random(150) < rate
        f = np.where(y, rng.random(150) < sensitivity, rng.random(150) > specificity)
        interval = cohens_kappa(f.tolist(), y.tolist()).interval
        assert interval is not None
        covered += interval.low <= true <= interval.high
    assert covered / 1500 == pytest.approx(0.95, abs=0.02)


def test_no_denominator_no_rate() -> None:
    found = agreement([0, 0, 1], [0, 0, 0])
    assert found.true_positive_rate.estimate is None and found.true_positive_rate.reason == "no human positives"
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        agreement([0, 2], [0, 1])
