"""Closed forms, corrections, effect sizes, max-T, bands, ranks: known answers and independent references."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats as scipy_stats

from afterburn_core.result.model import Test
from afterburn_core.stats.bands import ratio_of_means, simultaneous_band
from afterburn_core.stats.clusters import clustered_error
from afterburn_core.stats.contrast import Contrast
from afterburn_core.stats.controls import standing
from afterburn_core.stats.effects import cliffs_delta, cohens_dz, dominance, hodges_lehmann
from afterburn_core.stats.intervals import (
    binomial_cdf,
    clopper_pearson,
    fieller,
    newcombe,
    newcombe_paired,
    t_interval,
    tango,
    wilson,
    zero_events_bound,
)
from afterburn_core.stats.maxt import max_t
from afterburn_core.stats.multiplicity import Method, adjust, adjusted
from afterburn_core.stats.paired import mcnemar_p


class TestIntervals:
    @pytest.mark.parametrize(
        ("gained", "lost", "n", "low", "high"),
        [(18, 5, 200, 0.0196, 0.1165), (9, 3, 44, -0.0201, 0.2948), (0, 0, 30, -0.1135, 0.1135)],
    )
    def test_tango(self, gained: int, lost: int, n: int, low: float, high: float) -> None:
        assert tango(gained, lost, n) == pytest.approx((low, high), abs=5e-5)

    def test_tango_solves_his_equation(self) -> None:
        # the score written out with the constrained estimate by brute force: q maximises the likelihood at Δ
        gained, lost, n = 12, 4, 60
        for delta, sign in zip(tango(gained, lost, n), (1, -1)):
            q = np.linspace(max(0.0, -float(delta)) + 1e-9, (1 - float(delta)) / 2 - 1e-9, 2_000_001)
            with np.errstate(divide="ignore"):
                log_likelihood = gained * np.log(q + delta) + lost * np.log(q) + (n - 16) * np.log1p(-2 * q - delta)
            best = q[np.argmax(log_likelihood)]
            score = (gained - lost - n * delta) / math.sqrt(n * (2 * best + delta * (1 - delta)))
            assert score == pytest.approx(sign * 1.959964, abs=1e-4)

    def test_tango_keeps_within_bounds_and_mirrors(self) -> None:
        for gained, lost, n in ((10, 0, 10), (0, 10, 10), (1, 0, 1), (5, 5, 10), (0, 0, 1), (300, 2, 5000)):
            low, high = tango(gained, lost, n)
            assert -1 <= low <= (gained - lost) / n <= high <= 1
            assert tango(lost, gained, n) == pytest.approx((-high, -low), abs=1e-12)

    def test_one_rate_is_scipys(self) -> None:
        for k, n in ((0, 30), (1, 7), (13, 40), (40, 40)):
            test = scipy_stats.binomtest(k, n)
            for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
                theirs = test.proportion_ci(method=method)
                assert ours(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)

    def test_no_event_in_30(self) -> None:
        assert zero_events_bound(30) == pytest.approx(0.095, abs=5e-4)
        assert clopper_pearson(0, 30)[1] == pytest.approx(0.116, abs=5e-4)

    def test_newcombe_1998(self) -> None:
        # his table of unpaired examples, method 10: 56/70 against 48/80, and 10/10 against 0/10
        assert newcombe(48, 80, 56, 70) == pytest.approx((0.0524, 0.3339), abs=5e-5)
        assert newcombe(0, 10, 10, 10) == pytest.approx((0.6075, 1.0), abs=5e-5)
        # the paired paper: 36, 12, 2, 0 pairs, method 10
        assert newcombe_paired(36, 12, 2, 0) == pytest.approx((0.0569, 0.3404), abs=5e-4)

    def test_student_is_scipys(self) -> None:
        expected = scipy_stats.t.interval(0.95, 9, loc=1.0, scale=0.2)
        assert t_interval(1.0, 0.2, 9) == pytest.approx(expected, abs=1e-12)

    def test_the_binomial_distribution_is_scipys(self) -> None:
        for k, n, share in ((-1, 5, 0.3), (0, 5, 0.3), (3, 5, 0.3), (5, 5, 0.3), (0, 0, 0.5), (40, 100, 0.5)):
            assert binomial_cdf(k, n, share) == pytest.approx(scipy_stats.binom.cdf(k, n, share), abs=1e-13)

    def test_mcnemar_is_the_binomial_test(self) -> None:
        assert mcnemar_p([18, 26, 0], [5, 4, 0]) == pytest.approx([0.0106, 5.9e-5, 1.0], rel=0.01)
        for b, c in ((18, 5), (26, 4), (3, 3), (0, 6), (1, 0)):
            assert mcnemar_p(b, c) == pytest.approx(scipy_stats.binomtest(min(b, c), b + c).pvalue, abs=1e-12)
        assert mcnemar_p(8, 1, mid=True) == pytest.approx(0.039 - scipy_stats.binom.pmf(1, 9, 0.5), abs=5e-4)

    def test_fieller_contains_exactly_the_ratios_that_are_not_rejected(self) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.normal(3, 1, 20), rng.normal(2, 0.5, 20)
        cov = np.cov(x, y) / 20
        quantile = scipy_stats.t.ppf(0.975, 19)
        bounds = fieller(x.mean(), y.mean(), cov[0, 0], cov[1, 1], cov[0, 1], quantile=quantile)
        assert bounds is not None
        for end in bounds:
            assert scipy_stats.ttest_1samp(x - end * y, 0).pvalue == pytest.approx(0.05, abs=1e-9)
        assert fieller(1.0, 0.1, 0.1, 0.1, 0.0, quantile=2.0) is None


class TestClusteredErrors:
    def test_the_formula_written_out(self) -> None:
        rng = np.random.default_rng(1)
        d, names = rng.normal(size=90), [str(i) for i in rng.integers(0, 25, 90)]
        total = sum((d[i] - d.mean()) * (d[j] - d.mean()) for i in range(90) for j in range(90) if names[i] == names[j])
        groups = len(set(names))
        assert clustered_error(d, names) == pytest.approx(math.sqrt(total / 90**2 * groups / (groups - 1)))

    def test_few_clusters_take_the_jackknife(self) -> None:
        d, names = np.array([1.0, 2.0, 4.0, 0.0, 3.0]), ["a", "a", "a", "b", "c"]
        without = [d[[name != out for name in names]].mean() for out in "abc"]
        expected = math.sqrt(2 / 3 * sum((value - d.mean()) ** 2 for value in without))
        assert clustered_error(d, names) == pytest.approx(expected)

    def test_prompts_of_their_own_have_the_plain_error(self) -> None:
        d = np.random.default_rng(2).normal(size=30)
        assert clustered_error(d, [str(i) for i in range(30)]) == pytest.approx(d.std(ddof=1) / math.sqrt(30))

    def test_one_cluster_has_no_error(self) -> None:
        with pytest.raises(ValueError, match="two clusters"):
            clustered_error([1.0, 2.0], ["a", "a"])
        with pytest.raises(ValueError, match="names of clusters"):
            clustered_error([1.0, 2.0], ["a"])


class TestEffects:
    def test_dz(self) -> None:
        d = [1.0, 2.0, 3.0, 6.0]
        assert cohens_dz(d) == pytest.approx(3.0 / math.sqrt(14 / 3) * (1 - 3 / 11))
        assert cohens_dz([0.0, 0.0]) == 0.0 and cohens_dz([2.0, 2.0]) is None and cohens_dz([1.0]) is None
        assert cohens_dz([1.0, 2.0, 3.0, 6.0, np.nan]) == cohens_dz(d)

    def test_the_small_sample_factor_removes_the_bias(self) -> None:
        d = np.random.default_rng(0).normal(size=(20_000, 10)) + 0.5
        found = [cohens_dz(one) for one in d]
        raw = float(np.mean(d.mean(axis=1) / d.std(axis=1, ddof=1)))
        assert np.mean([f for f in found if f is not None]) == pytest.approx(0.5, abs=0.01) and raw > 0.53

    def test_dominance_and_cliffs_delta(self) -> None:
        assert dominance([1.0, 5.0, -2.0, 0.0]) == 0.25 and dominance([np.nan]) is None
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 6, 40).astype(float), rng.integers(0, 8, 30).astype(float)
        assert cliffs_delta(x, y) == pytest.approx(np.sign(y[:, None] - x).mean())
        assert cliffs_delta(x, x) == 0.0 and cliffs_delta([], y) is None

    def test_hodges_lehmann_is_the_median_of_walsh_averages(self) -> None:
        d = np.random.default_rng(0).normal(size=12)
        walsh = [(d[i] + d[j]) / 2 for i in range(12) for j in range(i, 12)]
        found = hodges_lehmann(d)
        assert found is not None and found[0] == pytest.approx(np.median(walsh)) and found[1] < found[0] < found[2]
        mirrored = hodges_lehmann(-d)
        assert mirrored is not None and mirrored == pytest.approx((-found[0], -found[2], -found[1]))


class TestCorrections:
    def test_known_answers(self) -> None:
        p = [0.01, 0.04, 0.03, 0.005]
        assert adjusted(p, "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])
        assert adjusted(p, "bh") == pytest.approx([0.02, 0.04, 0.04, 0.02])
        assert adjusted(p, "by") == pytest.approx([x * (25 / 12) for x in (0.02, 0.04, 0.04, 0.02)])
        assert adjusted([], "bh") == []

    @pytest.mark.parametrize("method", ["bh", "by"])
    def test_false_discovery_control_is_scipys(self, method: Method) -> None:
        p = np.random.default_rng(0).random(37) ** 2
        p[5] = p[6]
        expected = scipy_stats.false_discovery_control(p, method=method)
        assert adjusted(p.tolist(), method) == pytest.approx(expected, abs=1e-12)

    def test_a_family_is_corrected_together_and_named(self) -> None:
        family = {name: contrast(p) for name, p in (("a", 0.01), ("b", 0.04), ("c", None))}
        found = adjust(family, family="behaviour.format", method="holm")
        assert found["a"].test == Test(
            name="t", p_value=0.01, p_adjusted=0.02, correction="holm", family="behaviour.format"
        )
        assert found["b"].test is not None and found["b"].test.p_adjusted == 0.04 and found["c"] == family["c"]
        assert list(found) == ["a", "b", "c"]

    def test_a_family_of_one_is_uncorrected(self) -> None:
        found = adjust({"a": contrast(0.03), "b": contrast(None)}, family="f")["a"].test
        assert found == Test(name="t", p_value=0.03, family="f")

    def test_nonsense_is_refused(self) -> None:
        with pytest.raises(ValueError, match="outside"):
            adjusted([0.5, 1.2])
        with pytest.raises(ValueError, match="unknown correction"):
            adjusted([0.5, 0.2], "sidak")  # type: ignore[arg-type]


def contrast(p: float | None) -> Contrast:
    return Contrast(n=5, estimate=1.0, test=None if p is None else Test(name="t", p_value=p))


class TestMaxT:
    def test_it_is_the_algorithm_written_out(self) -> None:
        rng = np.random.default_rng(0)
        d = rng.normal(size=(8, 5)) + np.array([2.0, 0.0, 0.6, -1.0, 0.1])
        found = max_t(d, seed=0)
        patterns = np.array([[1 - 2 * (code >> i & 1) for i in range(8)] for code in range(256)])
        t = np.abs(patterns @ d) / np.sqrt((d**2).sum(axis=0))
        order = np.argsort(-t[0])
        expected, running = np.empty(5), 0.0
        for rank, j in enumerate(order):
            share = np.mean(t[:, order[rank:]].max(axis=1) >= t[0, j] - 1e-12)
            running = max(running, float(share))
            expected[j] = running
        assert found.p_adjusted == pytest.approx(expected, abs=1e-12) and found.resamples == 128
        assert found.p_values == pytest.approx(np.mean(t >= t[0] - 1e-12, axis=0))
        assert (found.p_adjusted >= found.p_values).all()

    def test_it_beats_holm_where_metrics_are_copies(self) -> None:
        one = np.random.default_rng(1).normal(size=(40, 1)) + 0.45
        found = max_t(np.repeat(one, 500, axis=1), seed=0, resamples=1_999)
        assert found.p_adjusted == pytest.approx(found.p_values) and found.p_adjusted[0] < 0.05

    def test_gaps_zeros_and_clusters(self) -> None:
        d = np.random.default_rng(2).normal(size=(12, 3)) + 0.8
        d[:, 1] = 0
        d[3, 2] = np.nan
        found = max_t(d, seed=0)
        assert found.p_values[1] == found.p_adjusted[1] == 1.0 and np.isfinite(found.statistic).all()
        copied = max_t(np.repeat(d, 3, axis=0), seed=0, clusters=[str(i) for i in np.repeat(np.arange(12), 3)])
        assert copied.p_adjusted == pytest.approx(found.p_adjusted)

    def test_random_flips_come_near_to_all_of_them(self) -> None:
        d = np.random.default_rng(3).normal(size=(14, 6)) + 0.5
        exact = max_t(d, seed=0).p_adjusted
        padded = np.vstack([d, np.zeros((1, 6))])  # a 15th unit of zeros changes nothing but the method
        assert max_t(padded, seed=0, resamples=20_000).p_adjusted == pytest.approx(exact, abs=0.015)

    def test_thousands_of_features_fit_in_little_memory(self) -> None:
        d = np.random.default_rng(4).normal(size=(40, 16_000))
        tracemalloc.start()
        found = max_t(d, seed=0, resamples=499)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 150e6 and len(found.p_adjusted) == 16_000  # more flips only mean more blocks

    def test_nonsense_is_refused(self) -> None:
        with pytest.raises(ValueError, match="units by metrics"):
            max_t([1.0, 2.0], seed=0)
        with pytest.raises(ValueError, match="infinite"):
            max_t([[np.inf]], seed=0)
        with pytest.raises(ValueError, match="names of clusters"):
            max_t([[1.0]], seed=0, clusters=["a", "b"])


class TestBands:
    def test_a_curve_of_one_point_has_about_students_interval(self) -> None:
        x = np.random.default_rng(0).normal(size=(200, 1))
        band = simultaneous_band(x, seed=0)
        assert band is not None and band.critical == pytest.approx(1.97, abs=0.05)
        reach = 1.97 * x.std(ddof=1) / math.sqrt(200)
        assert band.high[0] - band.estimate[0] == pytest.approx(reach, rel=0.03)

    def test_points_without_spread_and_missing_rows(self) -> None:
        curves = np.random.default_rng(0).normal(size=(60, 3))
        curves[:, 1] = 2.0
        curves[5, 0] = np.nan
        band = simultaneous_band(curves, seed=0)
        assert band is not None and band.n == 59 and band.low[1] == band.high[1] == 2.0
        flat = simultaneous_band(np.ones((9, 2)), seed=0)
        assert flat is not None and flat.critical == 0.0
        assert simultaneous_band(np.ones((1, 2)), seed=0) is None

    def test_clusters_widen_it(self) -> None:
        one = np.random.default_rng(1).normal(size=(30, 4))
        copied = simultaneous_band(
            np.repeat(one, 4, axis=0), seed=0, clusters=[str(i) for i in np.repeat(np.arange(30), 4)]
        )
        plain = simultaneous_band(one, seed=0)
        assert copied is not None and plain is not None and copied.n == 30
        assert copied.high == pytest.approx(plain.high, abs=1e-9)

    def test_ratios(self) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.gamma(5, size=80), rng.gamma(5, size=80)
        found = ratio_of_means(x, y, seed=0)
        assert found.estimate == pytest.approx(x.mean() / y.mean())
        assert found.interval is not None and found.interval.method == "bca"
        few = ratio_of_means(x[:20], y[:20], seed=0)
        assert few.interval is not None and few.interval.method == "fieller"
        vague = ratio_of_means(x[:20], rng.normal(size=20), seed=0)
        assert vague.interval is None and vague.reason == "the interval of the mean below the line includes 0"
        assert ratio_of_means([1.0], [1.0], seed=0).estimate is None
        assert ratio_of_means([1.0, 2.0], [0.0, 0.0], seed=0).reason == "the mean below the line is 0"


class TestStanding:
    def test_ranks(self) -> None:
        controls = [float(i) for i in range(19)]
        top = standing(18.5, controls, control="matched")
        assert top.null is not None and (top.null.p_value, top.null.quantile, top.null.n) == (0.05, 1.0, 19)
        assert top.t is None and top.reason is None
        tie = standing(18.0, controls).null
        assert tie is not None and tie.p_value == 0.1
        both = standing(18.5, controls, alternative="two_sided").null
        less = standing(-1.0, controls, alternative="less").null
        assert both is not None and both.p_value == 0.1 and less is not None and less.p_value == 0.05

    @pytest.mark.parametrize(("k", "five", "one"), [(3, 3.37, 8.04), (5, 2.34, 4.10), (10, 1.92, 2.96)])
    def test_few_controls_give_a_t_with_its_assumption(self, k: int, five: float, one: float) -> None:
        controls = np.random.default_rng(k).normal(size=k)
        controls = (controls - controls.mean()) / controls.std(ddof=1)
        for distance, p in ((five, 0.05), (one, 0.01)):
            found = standing(distance, controls.tolist())
            assert found.t_p_value == pytest.approx(p, rel=0.02)
            assert found.reason is not None and "assumes normal controls" in found.reason
            assert found.null is not None and found.null.p_value == 1 / (k + 1)

    def test_three_sigma_against_three_controls_is_no_evidence(self) -> None:
        found = standing(3.0, [-1.224745, 0.0, 1.224745])  # sd 1 with ddof 0
        assert found.t_p_value == pytest.approx(0.084, abs=1e-3)

    def test_degenerate_and_missing_controls_say_nothing(self) -> None:
        assert standing(5.0, [1.0, 1.0, 1.0]).reason == "degenerate control: 3 controls without spread"
        assert standing(5.0, [0.0] * 20).null is None and standing(5.0, []).reason == "no control"
        assert standing(float("nan"), [1.0, 2.0]).null is None


class TestAgainstStatsmodels:
    def test_the_functions_that_both_have(self) -> None:
        pytest.importorskip("statsmodels", reason="statsmodels is not installed")
        from statsmodels.api import OLS
        from statsmodels.stats.contingency_tables import mcnemar
        from statsmodels.stats.multitest import multipletests
        from statsmodels.stats.power import TTestPower
        from statsmodels.stats.proportion import proportion_confint
        from statsmodels.stats.weightstats import ttost_paired

        from afterburn_core.stats.equivalence import ttost
        from afterburn_core.stats.power import paired_t_power

        rng = np.random.default_rng(0)
        p = rng.random(23) ** 2
        for ours, theirs in (("holm", "holm"), ("bh", "fdr_bh"), ("by", "fdr_by")):
            assert adjusted(p.tolist(), ours) == pytest.approx(multipletests(p, method=theirs)[1], abs=1e-12)  # type: ignore[arg-type]
        assert mcnemar_p(18, 5) == pytest.approx(mcnemar([[90, 5], [18, 87]], exact=True).pvalue, abs=1e-12)
        x, y = rng.normal(size=40), rng.normal(size=40)
        assert ttost(y - x, margin=0.3).p_value == pytest.approx(ttost_paired(y, x, -0.3, 0.3)[0], abs=1e-12)
        assert wilson(7, 31) == pytest.approx(proportion_confint(7, 31, method="wilson"), abs=1e-12)
        assert clopper_pearson(7, 31) == pytest.approx(proportion_confint(7, 31, method="beta"), abs=1e-12)
        assert paired_t_power(0.3, 1.0, 50) == pytest.approx(TTestPower().power(0.3, 50, 0.05), abs=1e-9)
        groups = rng.integers(0, 30, 200)
        d = rng.normal(size=200)
        fit = OLS(d, np.ones(200)).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False})
        scale = math.sqrt(len(set(groups.tolist())) / (len(set(groups.tolist())) - 1))
        assert clustered_error(d, [str(g) for g in groups]) == pytest.approx(float(fit.bse[0]) * scale, abs=1e-12)
