"""Shifted, equivalent, inconclusive: the table of decisions, their monotonicity, and what they promise."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats as scipy_stats

from afterburn_core.result.model import Interval, Measurement, Test
from afterburn_core.stats.equivalence import rate_tost, ttost
from afterburn_core.stats.intervals import tango
from afterburn_core.stats.resampling import sign_flip_p
from afterburn_core.stats.verdicts import (
    decide,
    not_worse,
    smallest_detectable,
    standard_error,
    student_quantile,
    units_needed,
)


def measured(
    low: float, high: float, p: float | None, *, adjusted: float | None = None, n: int = 100, method: str = "bca_t"
) -> Measurement:
    return Measurement(
        id="m/base+trained/model",
        metric="m",
        subjects=("base", "trained"),
        status="ok",
        value=(low + high) / 2,
        n=n,
        interval=Interval(low=low, high=high, level=0.95, method=method),
        test=None if p is None else Test(name="sign_flip", p_value=p, p_adjusted=adjusted),
    )


@pytest.mark.parametrize(
    ("low", "high", "p", "adjusted", "decision", "material", "detectable"),
    [
        (-0.02, 0.03, 0.7, None, "equivalent", False, False),
        (0.01, 0.04, 0.001, None, "equivalent", False, True),
        (0.02, 0.09, 0.001, None, "shifted", False, False),
        (0.06, 0.09, 0.001, None, "shifted", True, False),
        (-0.09, -0.06, 0.001, None, "shifted", True, False),
        (0.06, 0.20, 0.001, 0.2, "inconclusive", False, False),
        (0.06, 0.20, 0.2, 0.001, "shifted", True, False),
        (-0.02, 0.09, 0.2, None, "inconclusive", False, False),
        (-0.05, 0.05, 1.0, None, "inconclusive", False, False),  # on the margin is not within it
        (0.06, 0.09, None, None, "inconclusive", False, False),
    ],
)
def test_the_table_of_decisions(
    low: float, high: float, p: float | None, adjusted: float | None, decision: str, material: bool, detectable: bool
) -> None:
    found = decide(measured(low, high, p, adjusted=adjusted), margin=0.05)
    assert (found.decision, found.material, found.detectable_below_margin) == (decision, material, detectable)
    assert (found.needed is not None) == (decision == "inconclusive")
    mirrored = decide(measured(-high, -low, p, adjusted=adjusted), margin=0.05)
    assert mirrored == found


def test_nothing_measured_is_inconclusive_and_never_equivalent() -> None:
    missing = Measurement(id="m", metric="m", subjects=("base",), status="undefined", value=None, reason="no data")
    found = decide(missing, margin=0.05)
    assert (found.decision, found.smallest, found.needed) == ("inconclusive", None, None)
    assert not_worse(missing, margin=0.05) == "inconclusive"


def test_identical_texts_are_equivalent_at_any_margin() -> None:
    found = decide(measured(0.0, 0.0, 1.0, n=3, method="identical"), margin=1e-9)
    assert (found.decision, found.smallest, found.detectable_below_margin) == ("equivalent", None, False)


def test_a_margin_or_level_without_sense_is_refused() -> None:
    for margin in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="margin must be a positive number"):
            decide(measured(0, 1, 0.5), margin=margin)
        with pytest.raises(ValueError, match="margin must be a positive number"):
            not_worse(measured(0, 1, 0.5), margin=margin)
    with pytest.raises(ValueError, match="alpha"):
        decide(measured(0, 1, 0.5), margin=0.1, alpha=1.0)


@pytest.mark.parametrize("mean", [0.0, 0.02, 0.05, 0.2])
@pytest.mark.parametrize("sd", [0.05, 0.3, 1.0])
def test_fewer_units_never_decide_what_more_left_open(mean: float, sd: float) -> None:
    order = {"inconclusive": 0, "equivalent": 1, "shifted": 1}
    seen = []
    for n in (4, 6, 10, 20, 49, 100, 300, 1000, 5000):
        reach = scipy_stats.t.ppf(0.975, n - 1) * sd / np.sqrt(n)
        p = 2 * scipy_stats.t.sf(mean / (sd / np.sqrt(n)), n - 1)
        seen.append(order[decide(measured(mean - reach, mean + reach, p, n=n, method="t"), margin=0.05).decision])
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.01, 0.04, "not_worse"), (-0.03, 0.04, "inconclusive"), (-0.08, -0.03, "worse"), (-0.08, -0.02, "worse")],
)
def test_non_inferiority(low: float, high: float, expected: str) -> None:
    assert not_worse(measured(low, high, 0.5), margin=0.02) == expected
    assert not_worse(measured(-high, -low, 0.5), margin=0.02, higher_is_better=False) == expected


def test_students_quantile_is_close_to_scipys() -> None:
    for probability in (0.5, 0.9, 0.95, 0.975, 0.995):
        for degrees in (*range(1, 60), 100, 1000):
            expected = scipy_stats.t.ppf(probability, degrees)
            assert student_quantile(probability, degrees) == pytest.approx(expected, abs=1e-4)
    with pytest.raises(ValueError, match="at least one degree"):
        student_quantile(0.9, 0)


def test_the_standard_error_comes_back_from_the_interval() -> None:
    for n, method, quantile in ((20, "t", scipy_stats.t.ppf(0.975, 19)), (400, "bca_t", 1.959964)):
        interval = Interval(low=-quantile * 0.1, high=quantile * 0.1, level=0.95, method=method)
        assert standard_error(interval, n) == pytest.approx(0.1, rel=1e-5)
    assert smallest_detectable(Interval(low=-0.196, high=0.196, level=0.95, method="bca_t"), 100) == pytest.approx(
        0.280, abs=1e-3
    )
    assert units_needed(Interval(low=-0.196, high=0.196, level=0.95, method="bca_t"), 100, 0.3242) == 101
    assert units_needed(Interval(low=-0.196, high=0.196, level=0.95, method="bca_t"), 100, 0.1621) == 400
    assert units_needed(Interval(low=-0.196, high=0.196, level=0.95, method="bca_t"), None, 0.1) is None


def test_the_smallest_difference_is_seen_with_80_percent_power_and_the_units_decide() -> None:
    rng = np.random.default_rng(3)
    n, margin = 40, 0.25
    d = rng.normal(size=(n, 2_000))
    reach = scipy_stats.t.ppf(0.975, n - 1) * d.std(axis=0, ddof=1) / np.sqrt(n)
    found = [decide(measured(-r, r, 1.0, n=n, method="t"), margin=margin) for r in reach]
    smallest = float(np.mean([one.smallest for one in found if one.smallest is not None]))
    seen = np.mean(sign_flip_p(d + smallest, seed=0, resamples=999) <= 0.05)
    assert seen == pytest.approx(0.8, abs=0.04)
    needed = round(float(np.mean([one.needed for one in found if one.needed is not None])))
    again = rng.normal(size=(needed, 2_000))
    half = 1.96 * again.std(axis=0, ddof=1) / np.sqrt(needed)
    inside = np.mean((np.abs(again.mean(axis=0)) + half) < margin)
    assert inside == pytest.approx(0.8, abs=0.04)


def test_the_decision_needs_no_numpy() -> None:
    code = (
        "import sys\n"
        "sys.modules['numpy'] = sys.modules['scipy'] = None\n"
        "from afterburn_core.stats.verdicts import decide\n"
        "from afterburn_core.stats.multiplicity import adjusted\n"
        "assert adjusted([.01, .04]) == [.02, .04]\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


class TestEquivalence:
    def test_two_one_sided_t_tests_are_scipys(self) -> None:
        d = np.random.default_rng(0).normal(size=30) * 0.2 + 0.05
        found = ttost(d, margin=0.15)
        above = scipy_stats.ttest_1samp(d, -0.15, alternative="greater").pvalue
        below = scipy_stats.ttest_1samp(d, 0.15, alternative="less").pvalue
        assert (found.p_above, found.p_below) == pytest.approx((above, below), abs=1e-12)
        assert found.p_value == max(found.p_above, found.p_below) and found.n == 30

    def test_p_is_5_percent_where_the_90_percent_interval_touches_the_margin(self) -> None:
        _, high = tango(18, 5, 200, level=0.9)
        assert rate_tost(18, 5, 200, margin=float(high)).p_value == pytest.approx(0.05, abs=1e-9)
        low, _ = tango(5, 18, 200, level=0.9)
        assert rate_tost(5, 18, 200, margin=-float(low)).p_value == pytest.approx(0.05, abs=1e-9)

    def test_without_spread_and_without_units(self) -> None:
        assert ttost([0.1] * 5, margin=0.2).p_value == 0.0 and ttost([0.3] * 5, margin=0.2).p_value == 1.0
        assert ttost([0.1], margin=0.2).p_value == 1.0

    def test_clusters_count_once(self) -> None:
        d = np.random.default_rng(1).normal(size=12) * 0.1
        copied = ttost(np.repeat(d, 4), margin=0.1, clusters=[str(i) for i in np.repeat(np.arange(12), 4)])
        assert copied.p_value == pytest.approx(ttost(d, margin=0.1).p_value) and copied.n == 12

    def test_counts_without_sense_are_refused(self) -> None:
        for counts in ((3, 3, 5), (-1, 0, 5), (0, 0, 0)):
            with pytest.raises(ValueError, match="counts of pairs"):
                rate_tost(*counts, margin=0.1)
        with pytest.raises(ValueError, match="margin"):
            ttost([0.1, 0.2], margin=0.0)
