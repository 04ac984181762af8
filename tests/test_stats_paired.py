"""Paired contrasts: known answers, identity, symmetry, gaps, clusters, independence of company, speed."""

from __future__ import annotations

import time

import attrs
import numpy as np
import pytest
from scipy import stats as scipy_stats

from afterburn_core.judge.policy_model import Policy, Threshold
from afterburn_core.judge.thresholds import outcomes
from afterburn_core.result.model import Scope
from afterburn_core.stats.contrast import Contrast, as_measurement, undefined
from afterburn_core.stats.paired import (
    mcnemar_p,
    mean,
    means,
    paired_contrast,
    paired_contrasts,
    paired_rate_contrasts,
    paired_rates,
    rate,
)
from afterburn_core.stats.resampling import bca, bca_bounds, sign_flip_p
from afterburn_core.stats.signed_rank import signed_rank_contrast, signed_ranks


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pairs(gained: int, lost: int, n: int, both: int = 0) -> tuple[list[int], list[int]]:
    """Outcomes of base and trained side with these counts."""
    neither = n - gained - lost - both
    return [0] * gained + [1] * lost + [1] * both + [0] * neither, [1] * gained + [0] * lost + [1] * both + [
        0
    ] * neither


class TestDifferences:
    def test_a_small_contrast_equals_the_enumeration_by_hand(self) -> None:
        # 8 sign patterns of (1, 2, 3): |sum| reaches 6 in two of them
        contrast = paired_contrast([1.0, 2.0, 3.0], seed=0)
        assert contrast.n == 3 and contrast.estimate == 2.0
        assert contrast.test is not None and contrast.test.name == "sign_flip" and contrast.test.p_value == 0.25
        assert contrast.interval is not None and contrast.interval.method == "t"
        assert contrast.interval.low == pytest.approx(2 - 4.302653 / np.sqrt(3), abs=1e-5)
        assert contrast.effect is not None and contrast.effect.name == "cohens_dz"
        assert contrast.effect.value == pytest.approx(2.0 * (1 - 3 / 7))
        assert contrast.reason == "only 3 of 3 units differ: no p value below 0.25 is possible"

    @pytest.mark.parametrize("n", [5, 9, 14])
    def test_enumeration_agrees_with_scipy(self, n: int) -> None:
        d = draws(n).normal(size=n) + 0.3
        expected = scipy_stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert sign_flip_p(d[:, None], seed=1)[0] == pytest.approx(expected.pvalue, abs=1e-12)

    def test_random_flips_agree_with_the_enumeration(self) -> None:
        d = draws(2).normal(size=15) + 0.35
        signs = 1 - 2 * ((np.arange(1 << 15)[:, None] >> np.arange(15)) & 1)
        exact = np.mean(np.abs(signs @ d) >= abs(d.sum()) - 1e-9)
        assert sign_flip_p(d[:, None], seed=1, resamples=99_999)[0] == pytest.approx(exact, abs=0.005)

    def test_zeros_do_not_count_towards_the_patterns(self) -> None:
        d = np.concatenate([[1.0] * 6, np.zeros(100)])
        assert sign_flip_p(d[:, None], seed=0)[0] == 2 / 2**6

    def test_a_monte_carlo_p_value_is_never_zero(self) -> None:
        contrast = paired_contrast(np.full(200, 1.0) + draws().normal(size=200) * 0.1, seed=0)
        assert contrast.test is not None and contrast.test.p_value == 1 / 10_000

    def test_many_units_get_bca_joined_with_student(self) -> None:
        d = draws(4).exponential(size=80)
        contrast = paired_contrast(d, seed=0)
        assert contrast.interval is not None and contrast.interval.method == "bca_t"
        theirs = scipy_stats.bootstrap((d,), np.mean, method="BCa", n_resamples=9_999, rng=1).confidence_interval
        reach = scipy_stats.t.ppf(0.975, 79) * d.std(ddof=1) / np.sqrt(80)
        assert contrast.interval.low == pytest.approx(min(theirs.low, d.mean() - reach), abs=0.02)
        assert contrast.interval.high == pytest.approx(max(theirs.high, d.mean() + reach), abs=0.02)

    def test_bca_agrees_with_scipy_up_to_the_stretch(self) -> None:
        d = draws(5).exponential(size=400)  # 400 units: the stretch is 0.2 %
        _, low, high = bca(lambda w: (w @ d / w.sum(axis=1))[:, None], 400, seed=3, resamples=20_000)
        theirs = scipy_stats.bootstrap((d,), np.mean, method="BCa", n_resamples=20_000, rng=1).confidence_interval
        assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=0.005)

    def test_bca_without_spread_says_so_instead_of_inventing_an_interval(self) -> None:
        low, high = bca_bounds(np.array([1.0]), np.ones((99, 1)), np.zeros(1), 0.95, 50)
        assert np.isnan(low[0]) and np.isnan(high[0])

    def test_identity_gives_exact_zeros(self) -> None:
        for n in (1, 3, 14, 60):
            contrast = paired_contrast(np.zeros(n), seed=0)
            assert contrast.estimate == 0.0 and contrast.test is not None and contrast.test.p_value == 1.0
            assert (contrast.interval is not None and contrast.interval.method == "identical") or n == 1
            if contrast.interval is not None:
                assert (contrast.interval.low, contrast.interval.high) == (0.0, 0.0)
            assert contrast.effect is None or contrast.effect.value == 0.0

    def test_equal_differences_show_no_spread(self) -> None:
        few = paired_contrast([0.2] * 4, seed=0)
        assert few.interval is None and few.reason == "4 equal units show no spread"
        many = paired_contrast([0.2] * 60, seed=0)
        assert many.interval is not None and many.interval.method == "constant"
        assert many.effect is None and many.test is not None and many.test.p_value <= 2e-4

    def test_nothing_to_compare_is_undefined_with_a_reason(self) -> None:
        for empty in ([], [np.nan, np.nan]):
            assert paired_contrast(empty, seed=0) == undefined("no unit was answered by both sides")
        one = paired_contrast([1.5], seed=0)
        assert one.estimate == 1.5 and one.interval is None and one.reason == "one unit shows no spread"

    def test_swapping_the_sides_negates_and_keeps_p(self) -> None:
        for n in (9, 30, 80):
            d = draws(n).gamma(1.0, size=n) - 0.8
            there, back = paired_contrast(d, seed=5), paired_contrast(-d, seed=5)
            assert there.estimate is not None and back.estimate == -there.estimate
            assert there.interval is not None and back.interval is not None
            assert (-back.interval.high, -back.interval.low) == pytest.approx(
                (there.interval.low, there.interval.high), abs=1e-9
            )
            assert there.test is not None and back.test is not None and there.test.p_value == back.test.p_value

    def test_scaling_scales(self) -> None:
        d = draws(8).normal(size=70) + 0.2
        plain, scaled = paired_contrast(d, seed=5), paired_contrast(1000 * d, seed=5)
        assert plain.interval is not None and scaled.interval is not None
        assert scaled.interval.low == pytest.approx(1000 * plain.interval.low)
        assert plain.test is not None and scaled.test is not None and plain.test.p_value == scaled.test.p_value
        assert plain.effect is not None and scaled.effect is not None
        assert scaled.effect.value == pytest.approx(plain.effect.value)

    def test_company_does_not_change_a_metric(self) -> None:
        rng = draws(9)
        metrics = {f"m{i}": rng.normal(size=75) for i in range(70)}
        metrics["gaps"] = np.where(np.arange(75) % 9 == 0, np.nan, metrics["m0"])
        metrics["few"] = np.where(np.arange(75) < 20, metrics["m0"], np.nan)
        together = paired_contrasts(metrics, seed=1)
        for name in ("m0", "m69", "gaps", "few"):
            alone = paired_contrast(metrics[name], seed=1)
            assert alone.test == together[name].test or (
                alone.test is not None and alone.test.p_value == together[name].test.p_value  # type: ignore[union-attr]
            )
            assert alone.interval is not None and together[name].interval is not None
            assert alone.interval.low == pytest.approx(together[name].interval.low, abs=1e-9)  # type: ignore[union-attr]

    def test_gaps_count_for_nothing(self) -> None:
        rng = draws(10)
        d = rng.normal(size=90) + 0.1
        gaps = np.full(120, np.nan)
        gaps[rng.permutation(120)[:90]] = d
        full, holed = paired_contrast(d, seed=1), paired_contrast(gaps, seed=1)
        assert holed.n == 90 and holed.estimate == pytest.approx(full.estimate)
        assert holed.effect is not None and full.effect is not None
        assert holed.effect.value == pytest.approx(full.effect.value)
        assert holed.interval is not None and full.interval is not None
        assert holed.interval.low == pytest.approx(full.interval.low, abs=0.02)
        # most units missing: exactly what the present ones alone give
        sparse = np.concatenate([d[:20], np.full(100, np.nan)])
        assert paired_contrast(sparse, seed=1) == paired_contrast(d[:20], seed=1)

    def test_the_same_seed_gives_the_same_result_and_another_differs(self) -> None:
        d = draws(11).normal(size=100) + 0.15
        assert paired_contrast(d, seed=1) == paired_contrast(d, seed=1)
        assert paired_contrast(d, seed=1) != paired_contrast(d, seed=2)

    def test_wrong_input_is_refused_in_words(self) -> None:
        with pytest.raises(ValueError, match="infinite"):
            paired_contrast([1.0, np.inf], seed=0)
        with pytest.raises(ValueError, match="one number per unit"):
            paired_contrast(np.zeros((2, 2)), seed=0)
        with pytest.raises(ValueError, match="2 units and 1 names"):
            paired_contrast([1.0, 2.0], seed=0, clusters=["a"])
        with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
            paired_rates([0.5], [1.5], seed=0)
        with pytest.raises(ValueError, match="2 rates of the base and 1"):
            paired_rates([0, 1], [1], seed=0)
        with pytest.raises(ValueError, match="one side only: b"):
            paired_rate_contrasts({"a": [0]}, {"a": [0], "b": [1]}, seed=0)
        for counts in ((7, 3), (0.5, 0.75)):
            with pytest.raises(ValueError, match="a tuple of two holds counts"):
                rate(counts, seed=0)

    def test_duplicated_data_never_raise_the_p_value_of_mcnemar(self) -> None:
        p = mcnemar_p(np.array([7, 14, 28, 56]), np.array([3, 6, 12, 24]))
        assert (np.diff(p) < 0).all()


class TestClusters:
    def test_a_cluster_counts_once(self) -> None:
        d = draws(1).normal(size=12) + 0.4
        copied = paired_contrast(np.repeat(d, 5), seed=0, clusters=[str(i) for i in np.repeat(np.arange(12), 5)])
        plain = paired_contrast(d, seed=0)
        assert copied.n == 12 and copied.estimate == pytest.approx(plain.estimate)
        assert copied.test is not None and plain.test is not None and copied.test.p_value == plain.test.p_value
        assert copied.interval is not None and plain.interval is not None
        assert copied.interval.method == "cluster_t"
        assert (copied.interval.low, copied.interval.high) == pytest.approx((plain.interval.low, plain.interval.high))

    def test_clusters_of_one_are_no_clusters(self) -> None:
        d = draws(2).normal(size=60)
        names = [f"prompt {i}" for i in range(60)]
        assert paired_contrast(d, seed=0, clusters=names) == paired_contrast(d, seed=0)
        base, trained = pairs(9, 3, 44)
        assert paired_rates(base, trained, seed=0, clusters=names[:44]) == paired_rates(base, trained, seed=0)

    def test_only_named_metrics_have_clusters(self) -> None:
        d = draws(3).normal(size=60)
        found = paired_contrasts({"a": d, "b": d}, seed=0, clusters={"b": ["x", "y", "z"] * 20})
        assert (found["a"].n, found["b"].n) == (60, 3)

    def test_rates_in_clusters_that_all_agree_are_not_certain(self) -> None:
        names = [str(i // 4) for i in range(40)]
        up = paired_rates([0] * 40, [1] * 40, seed=0, clusters=names)
        assert up.n == 10 and up.estimate == 1.0 and up.interval is not None
        assert up.interval.method == "tango" and 0.4 < up.interval.low < 1 and up.interval.high == 1.0
        none = rate([0] * 40, seed=0, clusters=names)
        assert none.interval is not None and none.interval.high == pytest.approx(rate((0, 10), seed=0).interval.high)  # type: ignore[union-attr]


class TestRates:
    def test_published_values(self) -> None:
        for gained, lost, n, low, high, p in (
            (18, 5, 200, 0.0196, 0.1165, 0.0106),
            (9, 3, 44, -0.0201, 0.2948, 0.146),
            (26, 4, 100, 0.115, 0.326, 5.9e-5),
        ):
            contrast = paired_rates(*pairs(gained, lost, n, both=7), seed=0)
            assert contrast.estimate == (gained - lost) / n and (contrast.gained, contrast.lost) == (gained, lost)
            assert contrast.interval is not None and contrast.interval.method == "tango"
            assert contrast.test is not None and contrast.test.name == "mcnemar"
            assert contrast.test.p_value == pytest.approx(p, rel=0.01) and contrast.test.statistic == gained
            if n != 100:
                assert (contrast.interval.low, contrast.interval.high) == pytest.approx((low, high), abs=5e-5)

    def test_agreement_in_every_pair_does_not_prove_equality(self) -> None:
        contrast = paired_rates([0] * 30, [0] * 30, seed=0)
        assert contrast.estimate == 0.0 and contrast.interval is not None and contrast.test is not None
        assert contrast.test.p_value == 1.0 and contrast.interval.method == "tango"
        assert (contrast.interval.low, contrast.interval.high) == pytest.approx((-0.1135, 0.1135), abs=5e-5)

    def test_shares_that_agree_in_every_pair_do_not_prove_it_either(self) -> None:
        shares = [0.25, 0.5, 0.0] * 10
        assert paired_rates(shares, shares, seed=0).interval == paired_rates([0] * 30, [0] * 30, seed=0).interval

    @pytest.mark.parametrize("values", [[0, 1] * 15, [0.25, 0.5, 0.0] * 10, [0.0] * 5])
    @pytest.mark.parametrize("clusters", [None, ["a", "a", "b", "c", "d"]])
    def test_identical_texts_are_identical(self, values: list[float], clusters: list[str] | None) -> None:
        names = None if clusters is None else (clusters * 6)[: len(values)]
        contrast = paired_rates(values, values, seed=0, identical=True, clusters=names)
        assert contrast.estimate == 0.0 and contrast.test is not None and contrast.test.p_value == 1.0
        assert contrast.interval is not None and contrast.interval.method == "identical"
        assert (contrast.interval.low, contrast.interval.high) == (0.0, 0.0)

    def test_a_wrong_claim_of_identity_changes_nothing(self) -> None:
        base, trained = pairs(9, 3, 44)
        assert paired_rates(base, trained, seed=0, identical=True) == paired_rates(base, trained, seed=0)

    def test_identity_can_be_claimed_by_name(self) -> None:
        zeros = {"a": [0.0] * 20, "b": [0.0] * 20}
        found = paired_rate_contrasts(zeros, zeros, seed=0, identical={"a"})
        methods = [one.interval.method for one in found.values() if one.interval is not None]
        assert list(found) == ["a", "b"] and methods == ["identical", "tango"]

    def test_too_few_differing_pairs_are_named(self) -> None:
        contrast = paired_rates(*pairs(3, 0, 40), seed=0)
        assert contrast.reason == "only 3 of 40 units differ: no p value below 0.25 is possible"

    def test_shares_of_samples_are_tested_by_flips(self) -> None:
        rng = draws(3)
        base, trained = rng.integers(0, 5, 60) / 4, rng.integers(0, 5, 60) / 4
        contrast = paired_rates(base, trained, seed=0)
        assert contrast.test is not None and contrast.test.name == "sign_flip" and contrast.gained is None
        assert contrast.test == paired_contrast(trained - base, seed=0).test

    def test_rare_shares_get_an_interval_that_a_zero_variance_cannot_shrink(self) -> None:
        trained = np.zeros(100)
        trained[0] = 0.25
        contrast = paired_rates(np.zeros(100), trained, seed=0)
        assert contrast.interval is not None and contrast.interval.method == "tango"
        assert contrast.interval.low < -0.03 and contrast.interval.high > 0.03
        alone = rate(trained, seed=0)
        assert alone.interval is not None and alone.interval.method == "clopper_pearson"
        assert alone.interval.high > 0.03

    def test_one_sides_rate(self) -> None:
        few, many = rate((2, 50), seed=0), rate([1] * 20 + [0] * 30, seed=0)
        assert few.interval is not None and few.interval.method == "clopper_pearson"
        assert many.interval is not None and many.interval.method == "wilson" and many.test is None
        exact = scipy_stats.binomtest(2, 50).proportion_ci(method="exact")
        score = scipy_stats.binomtest(20, 50).proportion_ci(method="wilson")
        assert (few.interval.low, few.interval.high) == pytest.approx((exact.low, exact.high), abs=1e-12)
        assert (many.interval.low, many.interval.high) == pytest.approx((score.low, score.high), abs=1e-12)
        assert rate((0, 30), seed=0).interval.high == pytest.approx(0.1157, abs=5e-5)  # type: ignore[union-attr]
        assert rate([], seed=0) == undefined("no unit")

    def test_the_complement_has_the_mirrored_interval(self) -> None:
        for k in range(13):
            one, other = rate((k, 12), seed=0).interval, rate((12 - k, 12), seed=0).interval
            assert one is not None and other is not None and one.method == other.method
            assert (1 - other.high, 1 - other.low) == pytest.approx((one.low, one.high), abs=1e-12)

    def test_shares_are_kept_within_zero_and_one(self) -> None:
        values = np.concatenate([np.full(36, 0.99), [0.0] * 12])
        interval = rate(values, seed=0).interval
        assert interval is not None and 0 <= interval.low < interval.high <= 1


class TestMeans:
    def test_one_sides_mean(self) -> None:
        x = draws(1).normal(size=30) + 5
        contrast = mean(x, seed=0)
        low, high = scipy_stats.t.interval(0.95, 29, loc=x.mean(), scale=x.std(ddof=1) / np.sqrt(30))
        assert contrast.interval is not None and contrast.test is None and contrast.effect is None
        assert (contrast.interval.low, contrast.interval.high) == pytest.approx((low, high))

    def test_many_at_once_and_none(self) -> None:
        found = means({"a": [1.0, 2.0, np.nan], "b": [], "c": [3.0]}, seed=0)
        assert found["a"].n == 2 and found["a"].estimate == 1.5
        assert found["b"] == undefined("no unit") and found["c"].reason == "one unit shows no spread"


class TestSignedRank:
    @pytest.mark.parametrize("n", [6, 10, 14])
    def test_without_ties_it_is_scipys_exact_test(self, n: int) -> None:
        d = draws(n).normal(size=n) + 0.4
        contrast = signed_rank_contrast(d, seed=0)
        expected = scipy_stats.wilcoxon(d, method="exact")
        assert contrast.test is not None and contrast.test.p_value == pytest.approx(expected.pvalue, abs=1e-12)

    def test_with_many_ties_and_zeros_it_is_near_scipys_approximation(self) -> None:
        d = draws(3).integers(-2, 4, size=120).astype(float)
        contrast = signed_rank_contrast(d, seed=0)
        expected = scipy_stats.wilcoxon(d, zero_method="pratt", method="asymptotic")
        assert contrast.test is not None and contrast.test.p_value == pytest.approx(expected.pvalue, abs=0.01)

    def test_ranks_follow_pratt(self) -> None:
        assert signed_ranks([0.0, -1.0, 2.0, 1.0, np.nan]).tolist() == [0.0, -2.5, 4.0, 2.5]

    def test_identity_and_emptiness(self) -> None:
        same = signed_rank_contrast(np.zeros(9), seed=0)
        assert same.estimate == 0.0 and same.test is not None and same.test.p_value == 1.0
        assert same.interval is not None and same.interval.method == "identical"
        assert signed_rank_contrast([], seed=0).estimate is None
        assert signed_rank_contrast([1.0, 2.0], seed=0).interval is None


class TestDocument:
    def test_a_contrast_becomes_a_measurement(self) -> None:
        contrast = paired_rates(*pairs(18, 5, 200), seed=0)
        measurement = as_measurement(contrast, "behaviour.refusal.rate", scope=Scope(subset="safety"))
        assert measurement.id == "behaviour.refusal.rate/base+trained/subset=safety"
        assert (measurement.status, measurement.value, measurement.n) == ("ok", 0.065, 200)
        assert (measurement.interval, measurement.test) == (contrast.interval, contrast.test)

    def test_an_estimate_from_too_few_units_for_an_interval_is_not_taken_for_exact(self) -> None:
        few = as_measurement(paired_contrast(np.zeros(5) + 0.25, seed=0), "m")
        many = as_measurement(paired_contrast(np.zeros(40) + 0.25, seed=0), "m")
        assert (few.value, few.interval, few.approximate) == (0.25, None, True)
        assert many.interval is not None and not many.approximate
        policy = Policy(thresholds=(Threshold(metric="m", at_most=0.5),))
        assert [outcomes(policy, [one])[0].status for one in (few, many)] == ["INCONCLUSIVE", "PASS"]

    def test_equal_units_of_one_side_have_an_interval_once_they_are_many(self) -> None:
        few, many = (mean(np.zeros(n), seed=0) for n in (58, 59))
        assert (few.interval, few.reason) == (None, "58 equal units show no spread")
        assert many.interval is not None and many.interval.high == 0.0

    def test_an_undefined_contrast_becomes_an_undefined_measurement(self) -> None:
        measurement = as_measurement(undefined("no gold answer", 3), "behaviour.correct.rate", subjects=("base",))
        assert (measurement.status, measurement.value, measurement.reason) == ("undefined", None, "no gold answer")
        nameless = as_measurement(Contrast(n=0, estimate=None), "m")
        assert nameless.reason == "no estimate"

    def test_contrasts_are_frozen(self) -> None:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            undefined("x").n = 2  # type: ignore[misc]


@pytest.mark.slow
def test_sixty_metrics_of_1319_prompts_take_about_a_second() -> None:
    rng = draws(0)
    metrics = {f"m{i}": rng.normal(size=1319) for i in range(60)}
    started = time.process_time()
    paired_contrasts(metrics, seed=0)
    assert time.process_time() - started < 4  # 0.5 s on an idle core
