"""False alarms: under the null every test rejects at 5 % in 3 to 7 % of at least 2 000 seeded draws.

Discrete tests (McNemar, few units, ties) cannot spend all of their 5 %: they may reject less, never more than 7 %. Each
test prints its rate (`pytest -s`), which is what the table of `docs/statistics.md` is made of.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats as scipy_stats

from afterburn_core.result.model import Interval, Measurement, Test
from afterburn_core.stats.controls import standing
from afterburn_core.stats.equivalence import rate_tost, ttost
from afterburn_core.stats.estimates import column, mean_intervals
from afterburn_core.stats.maxt import max_t
from afterburn_core.stats.multiplicity import Method, adjusted
from afterburn_core.stats.paired import mcnemar_p, paired_contrasts
from afterburn_core.stats.resampling import sign_flip_p
from afterburn_core.stats.signed_rank import signed_ranks
from afterburn_core.stats.verdicts import decide, not_worse

Draw = Callable[[np.random.Generator, tuple[int, ...]], npt.NDArray[np.float64]]
DRAWS = 2_000

SYMMETRIC: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "cauchy": lambda rng, shape: rng.standard_cauchy(shape),
    "t3": lambda rng, shape: rng.standard_t(3, shape),
    # two sides of one skewed distribution are exchangeable, whatever its skew
    "lognormal sides": lambda rng, shape: rng.lognormal(sigma=1.5, size=shape) - rng.lognormal(sigma=1.5, size=shape),
    "ties": lambda rng, shape: (rng.integers(0, 5, shape) - rng.integers(0, 5, shape)) / 4.0,
}
DISCRETE: dict[str, Draw] = {
    "binary": lambda rng, shape: (rng.random(shape) < 0.3).astype(float) - (rng.random(shape) < 0.3),
    "mostly zero": lambda rng, shape: rng.choice([-0.25, 0.0, 0.25], p=[0.1, 0.8, 0.1], size=shape),
}


def report(name: str, share: float) -> None:
    print(f"\nnull | {name} | {share:.3f}")


def seeded(*name: object) -> np.random.Generator:
    return np.random.default_rng([len(name), *map(ord, repr(name))])


@pytest.mark.parametrize("n", [12, 20, 50, 200])
@pytest.mark.parametrize("kind", SYMMETRIC)
def test_sign_flips_hold_their_level_and_are_uniform(kind: str, n: int) -> None:
    p = sign_flip_p(SYMMETRIC[kind](seeded(kind, n), (n, DRAWS)), seed=n, resamples=1_999)
    report(f"sign flip, {kind}, n = {n}", np.mean(p <= 0.05))
    # sums of 12 quarters take few values: such a discrete test cannot spend all of its level
    assert (0.03 if n >= 20 or kind != "ties" else 0.02) <= np.mean(p <= 0.05) <= 0.07
    if kind != "ties":
        assert scipy_stats.kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("n", [12, 20, 50, 200])
@pytest.mark.parametrize("kind", DISCRETE)
def test_sign_flips_of_discrete_differences_are_at_most_uniform(kind: str, n: int) -> None:
    p = sign_flip_p(DISCRETE[kind](seeded(kind, n), (n, DRAWS)), seed=n, resamples=1_999)
    report(f"sign flip, {kind}, n = {n}", np.mean(p <= 0.05))
    for level in (0.01, 0.05, 0.1, 0.2, 0.5):
        assert np.mean(p <= level) <= level + 4 * np.sqrt(level * (1 - level) / DRAWS)


def test_a_skewed_difference_of_mean_zero_is_another_null_and_is_met_only_by_many_units() -> None:
    # what `docs/statistics.md` warns of: the arms are not exchangeable here
    rates = {}
    for n in (12, 200):
        d = seeded("skewed", n).exponential(size=(n, DRAWS)) - 1
        rates[n] = np.mean(sign_flip_p(d, seed=n, resamples=1_999) <= 0.05)
        report(f"sign flip, exponential minus its mean, n = {n}", rates[n])
    assert 0.07 < rates[12] < 0.14 and 0.03 <= rates[200] <= 0.07


@pytest.mark.parametrize("n", [12, 20, 50, 200])
@pytest.mark.parametrize("kind", ["normal", "cauchy", "ties"])
def test_signed_ranks_hold_their_level(kind: str, n: int) -> None:
    d = SYMMETRIC[kind](seeded("ranks", kind, n), (n, DRAWS))
    p = sign_flip_p(np.apply_along_axis(signed_ranks, 0, d), seed=n, resamples=1_999)
    report(f"signed rank, {kind}, n = {n}", np.mean(p <= 0.05))
    assert 0.03 <= np.mean(p <= 0.05) <= 0.07


@pytest.mark.parametrize(("n", "discordant"), [(20, 0.3), (50, 0.1), (200, 0.1), (200, 0.4)])
def test_mcnemar_never_exceeds_its_level(n: int, discordant: float) -> None:
    # exact and discrete: below 5 %, far below with few discordant pairs
    rng = seeded("mcnemar", n, discordant)
    differing = rng.binomial(n, discordant, size=20_000)
    gained = rng.binomial(differing, 0.5)
    p = mcnemar_p(gained, differing - gained)
    report(f"McNemar, n = {n}, discordant {discordant}", np.mean(p <= 0.05))
    for level in (0.01, 0.05, 0.1, 0.2, 0.5):
        assert np.mean(p <= level) <= level + 0.005
    assert np.mean(mcnemar_p(gained, differing - gained, mid=True) <= 0.05) <= 0.07


@pytest.mark.parametrize("groups", [7, 12, 30, 80])
def test_flips_per_cluster_hold_their_level_where_flips_per_prompt_do_not(groups: int) -> None:
    rng = seeded("clusters", groups)
    sizes = rng.integers(2, 8, groups)
    member = np.repeat(np.arange(groups), sizes)
    d = rng.normal(size=(groups, DRAWS))[member] + 0.7 * rng.normal(size=(len(member), DRAWS))
    sums = np.stack([np.bincount(member, weights=one) for one in d.T], axis=1)
    right = np.mean(sign_flip_p(sums, seed=1, resamples=1_999) <= 0.05)
    wrong = np.mean(sign_flip_p(d, seed=1, resamples=1_999) <= 0.05)
    report(f"sign flip per cluster, {groups} clusters", right)
    report(f"sign flip per prompt in {groups} clusters", wrong)
    assert 0.03 <= right <= 0.07 and wrong > 0.15


@pytest.mark.parametrize("n", [10, 20, 100])
def test_equivalence_at_the_margin_is_claimed_at_the_level(n: int) -> None:
    d = seeded("tost", n).normal(size=(DRAWS, n)) * 0.3 + 0.2
    outcomes = [ttost(one, margin=0.2) for one in d]
    inferior = [ttost(-one, margin=0.2) for one in d]
    wrong = np.mean([one.p_value <= 0.05 for one in outcomes])
    report(f"TOST at the margin, n = {n}", wrong)
    # with few units both tests seldom succeed together: below the level
    assert wrong <= 0.07 and (n < 100 or wrong >= 0.03)
    lost = np.mean([one.p_above <= 0.05 for one in inferior])
    report(f"non-inferiority at the margin, n = {n}", lost)
    assert 0.03 <= lost <= 0.07


@pytest.mark.parametrize("n", [200, 600])
def test_equivalence_of_rates_at_the_margin_is_claimed_at_the_level(n: int) -> None:
    counts = seeded("rate tost", n).multinomial(n, [0.15, 0.05, 0.8], size=DRAWS)
    wrong = np.mean([rate_tost(int(b), int(c), n, margin=0.1).p_value <= 0.05 for b, c, _ in counts])
    report(f"TOST of rates at the margin, n = {n}", wrong)
    assert 0.03 <= wrong <= 0.07


@pytest.mark.parametrize("n", [20, 60])
def test_decisions_hold_their_levels(n: int) -> None:
    rng = seeded("decide", n)
    margin = 0.5
    for truth in (0.0, margin):
        d = rng.standard_t(5, size=(n, DRAWS)) + truth
        p = sign_flip_p(d, seed=n, resamples=1_999)
        intervals = mean_intervals({str(j): column(d[:, j]) for j in range(DRAWS)}, seed=n, level=0.95)
        decided = [
            decide(measurement(float(d[:, j].mean()), intervals[str(j)], float(p[j]), n), margin=margin)
            for j in range(DRAWS)
        ]
        if truth == 0:
            share = np.mean([one.decision == "shifted" or one.detectable_below_margin for one in decided])
            report(f"decide: a difference where there is none, n = {n}", share)
            assert 0.03 <= share <= 0.07
            assert np.mean([one.material for one in decided]) <= 0.005
        else:
            # two one-sided tests at 2.5 %
            share = np.mean([one.decision == "equivalent" for one in decided])
            report(f"decide: equivalent at the margin, n = {n}", share)
            assert share <= 0.04
            safe = [
                not_worse(measurement(-1.0, mirrored(intervals[str(j)]), 1.0, n), margin=margin) for j in range(DRAWS)
            ]
            assert np.mean([one == "not_worse" for one in safe]) <= 0.04


def measurement(value: float, interval: Interval | None, p: float, n: int) -> Measurement:
    test = Test(name="sign_flip", p_value=p)
    return Measurement(
        id="m", metric="m", subjects=("base", "trained"), status="ok", value=value, n=n, interval=interval, test=test
    )


def mirrored(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    return Interval(low=-interval.high, high=-interval.low, level=interval.level, method=interval.method)


def correlated(rng: np.random.Generator, n: int, m: int) -> npt.NDArray[np.float64]:
    """Metrics that share half of their variance, with heavy tails."""
    return rng.standard_t(4, size=(n, 1)) + rng.standard_t(4, size=(n, m))


@pytest.mark.parametrize("n", [12, 20, 60])
def test_max_t_holds_the_family_wise_level(n: int) -> None:
    rng = seeded("max-t", n)
    hits, alone = 0, 0
    for i in range(DRAWS):
        found = max_t(correlated(rng, n, 25), seed=i, resamples=199)
        hits += bool((found.p_adjusted <= 0.05).any())
        alone += bool((found.p_values <= 0.05).any())
    report(f"max-T over 25 correlated metrics, n = {n}", hits / DRAWS)
    assert 0.03 <= hits / DRAWS <= 0.07 and alone / DRAWS > 0.15


@pytest.mark.parametrize("method", ["holm", "bh", "by"])
def test_corrections_hold_the_level_when_all_nulls_are_true(method: Method) -> None:
    # with no true difference the false discovery rate is the family-wise error
    rng = seeded("family", method)
    wrong = np.mean([min(adjusted(rng.random(20).tolist(), method)) <= 0.05 for _ in range(DRAWS)])
    report(f"{method} over 20 independent tests", wrong)
    assert wrong <= 0.07 and (method == "by" or wrong >= 0.03)


def test_the_false_discovery_rate_holds_among_true_differences() -> None:
    rng = seeded("discoveries")
    shares = []
    for _ in range(DRAWS):
        z = rng.normal(size=40)
        z[:10] += 3
        hits = np.array(adjusted((2 * scipy_stats.norm.sf(abs(z))).tolist(), "bh")) <= 0.05
        shares.append(hits[10:].sum() / max(hits.sum(), 1))
    report("false discovery rate of bh, 30 of 40 nulls true", np.mean(shares))
    assert 0.03 * 0.75 <= np.mean(shares) <= 0.05


@pytest.mark.parametrize("controls", [19, 39, 99])
def test_ranks_among_controls_hold_their_level(controls: int) -> None:
    values = seeded("rank", controls).standard_t(3, size=(DRAWS, controls + 1))
    places = [standing(one[0], one[1:].tolist()).null for one in values]
    share = np.mean([place is not None and place.p_value <= 0.05 for place in places])
    report(f"rank among {controls} controls", share)
    assert 0.03 <= share <= 0.07


@pytest.mark.parametrize("controls", [3, 5, 10])
def test_the_t_among_few_normal_controls_holds_its_level(controls: int) -> None:
    values = seeded("t", controls).normal(size=(DRAWS, controls + 1))
    tails = [standing(one[0], one[1:].tolist()).t_p_value for one in values]
    share = np.mean([tail is not None and tail <= 0.05 for tail in tails])
    report(f"t among {controls} normal controls", share)
    assert 0.03 <= share <= 0.07


def test_a_family_of_contrasts_of_one_model_with_itself_finds_nothing_more_often_than_nominal() -> None:
    # whole chain: contrasts of 10 metrics, exact for 12 prompts, adjusted together
    rng = seeded("chain")
    hits = 0
    for i in range(400):
        found = paired_contrasts({str(j): one for j, one in enumerate(correlated(rng, 12, 10).T)}, seed=i)
        hits += min(adjusted([one.test.p_value for one in found.values() if one.test is not None], "holm")) <= 0.05
    assert hits / 400 <= 0.07
