"""Intervals hold their level: simulated coverage within 2 points of 95 %, exceptions named where they are.

Each test prints its coverage (`pytest -s`), which is what the table of `docs/statistics.md` is made of.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from afterburn_core.stats.bands import ratio_of_means, simultaneous_band
from afterburn_core.stats.effects import hodges_lehmann
from afterburn_core.stats.estimates import column, mean_intervals
from afterburn_core.stats.intervals import clopper_pearson, newcombe, newcombe_paired, tango, wilson
from afterburn_core.stats.paired import paired_rates

Draw = Callable[[np.random.Generator, tuple[int, ...]], npt.NDArray[np.float64]]
DRAWS = 2_000
LAWS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, shape: rng.normal(size=shape), 0.0),
    "t3": (lambda rng, shape: rng.standard_t(3, shape), 0.0),
    "laplace": (lambda rng, shape: rng.laplace(size=shape), 0.0),
    "exponential": (lambda rng, shape: rng.exponential(size=shape), 1.0),
    "ties": (lambda rng, shape: rng.integers(-2, 3, shape).astype(float), 0.0),
    "quarters": (lambda rng, shape: (rng.binomial(4, 0.3, shape) - rng.binomial(4, 0.2, shape)) / 4, 0.1),
}


def seeded(*name: object) -> np.random.Generator:
    return np.random.default_rng([len(name), *map(ord, repr(name))])


def report(name: str, share: float) -> None:
    print(f"\ncoverage | {name} | {share:.3f}")


def mean_coverage(
    values: npt.NDArray[np.float64], truth: float, clusters: list[str] | None = None
) -> tuple[float, set[str]]:
    columns = {str(j): column(one, clusters) for j, one in enumerate(values.T)}
    found = [interval for interval in mean_intervals(columns, seed=7, level=0.95).values() if interval is not None]
    assert len(found) == values.shape[1]
    return float(np.mean([i.low <= truth <= i.high for i in found])), {i.method for i in found}


@pytest.mark.parametrize("n", [12, 20, 49])
@pytest.mark.parametrize("law", LAWS)
def test_students_interval(law: str, n: int) -> None:
    draw, truth = LAWS[law]
    share, methods = mean_coverage(draw(seeded(law, n), (n, DRAWS)), truth)
    report(f"t, {law}, n = {n}", share)
    assert methods == {"t"}
    # skew without a logarithm: the exception that the page names
    lowest = {12: 0.87, 20: 0.89, 49: 0.92}[n] if law == "exponential" else 0.93
    assert lowest <= share <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 100])
@pytest.mark.parametrize("law", LAWS)
def test_bca_joined_with_student(law: str, n: int) -> None:
    draw, truth = LAWS[law]
    share, methods = mean_coverage(draw(seeded(law, n), (n, DRAWS)), truth)
    report(f"bca_t, {law}, n = {n}", share)
    assert methods == {"bca_t"} and 0.93 <= share <= 0.97


@pytest.mark.parametrize("groups", [8, 15, 25, pytest.param(60, marks=pytest.mark.slow)])
def test_clustered_intervals(groups: int) -> None:
    rng = seeded("clusters", groups)
    member = np.repeat(np.arange(groups), rng.integers(1, 9, groups))
    d = rng.normal(size=(groups, DRAWS))[member] + rng.normal(size=(len(member), DRAWS))
    share, methods = mean_coverage(d, 0.0, [str(i) for i in member])
    report(f"{methods.copy().pop()}, {groups} clusters of 1 to 8", share)
    assert methods == {"cluster_bca_t" if groups >= 50 else "cluster_t"} and 0.93 <= share <= 0.97
    alone, _ = mean_coverage(d[:, :500], 0.0)
    assert alone < 0.85  # what ignoring the clusters would have claimed


def averaged(
    bounds: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], truth: npt.NDArray[np.float64] | float
) -> float:
    return float(np.mean((bounds[0] <= truth) & (truth <= bounds[1])))


@pytest.mark.parametrize("n", [20, 50, 200])
def test_rates_of_one_side_on_average_over_the_true_rate(n: int) -> None:
    # a discrete interval's coverage swings with the true rate; what is nominal is its mean
    rng = seeded("rate", n)
    truth = rng.uniform(0.02, 0.98, 20_000)
    successes = rng.binomial(n, truth)
    score, exact = averaged(wilson(successes, n), truth), averaged(clopper_pearson(successes, n), truth)
    report(f"Wilson, n = {n}", score)
    report(f"Clopper–Pearson, n = {n}", exact)
    assert 0.93 <= score <= 0.97 and exact >= 0.95
    for share in (0.01, 0.1, 0.5, 0.97):
        fixed = rng.binomial(n, share, 20_000)
        assert averaged(clopper_pearson(fixed, n), share) >= 0.945


@pytest.mark.parametrize(
    ("n", "gained", "lost"), [(30, 0.2, 0.1), (100, 0.12, 0.06), (100, 0.3, 0.05), (400, 0.03, 0.02)]
)
def test_paired_differences_of_rates(n: int, gained: float, lost: float) -> None:
    rng = seeded("tango", n, gained)
    b, c, both, neither = rng.multinomial(n, [gained, lost, 0.3, 0.7 - gained - lost], size=20_000).T
    truth = gained - lost
    ours, hybrid = averaged(tango(b, c, n), truth), averaged(newcombe_paired(both, b, c, neither), truth)
    report(f"Tango, n = {n}, {gained} up, {lost} down", ours)
    report(f"Newcombe paired, n = {n}, {gained} up, {lost} down", hybrid)
    assert 0.93 <= ours <= 0.97
    assert 0.93 <= hybrid <= 0.98  # conservative by design


@pytest.mark.parametrize("n", [30, 100])
def test_unpaired_differences_of_rates(n: int) -> None:
    rng = seeded("newcombe", n)
    base, trained = rng.binomial(n, 0.2, 20_000), rng.binomial(2 * n, 0.35, 20_000)
    share = averaged(newcombe(base, n, trained, 2 * n), 0.15)
    report(f"Newcombe unpaired, n = {n} and {2 * n}", share)
    assert 0.93 <= share <= 0.97


@pytest.mark.parametrize("chance", [0.002, 0.01])
def test_rare_shares_do_not_feign_precision(chance: float) -> None:
    # 4 samples per prompt, 80 prompts, events so rare that s/√n would be far too short
    rng = seeded("rare", chance)
    base, trained = (rng.binomial(4, chance, (250, 80)) / 4 for _ in range(2))
    found = [paired_rates(x, y, seed=0).interval for x, y in zip(base, trained)]
    share = float(np.mean([i is not None and i.low <= 0 <= i.high for i in found]))
    report(f"rare shares, chance {chance}", share)
    assert share >= 0.95


@pytest.mark.parametrize("n", [12, 40, 100])
@pytest.mark.parametrize("law", ["normal", "t3", "laplace"])
def test_hodges_lehmann(law: str, n: int) -> None:
    found = [hodges_lehmann(one) for one in LAWS[law][0](seeded("hl", law, n), (DRAWS, n))]
    share = float(np.mean([f is not None and f[1] <= 0 <= f[2] for f in found]))
    report(f"Hodges–Lehmann, {law}, n = {n}", share)
    assert 0.93 <= share <= 0.97


@pytest.mark.parametrize("n", [20, pytest.param(80, marks=pytest.mark.slow)])
def test_ratios_of_means(n: int) -> None:
    rng = seeded("ratio", n)
    x = rng.gamma(4.0, size=(DRAWS, n)) * 1.3
    y = 0.5 * x / 1.3 + 0.5 * rng.gamma(4.0, size=(DRAWS, n))
    found = [ratio_of_means(a, b, seed=0, resamples=1_999).interval for a, b in zip(x, y)]
    share = float(np.mean([i is not None and i.low <= 1.3 <= i.high for i in found]))
    report(f"ratio of means, {found[0].method if found[0] else ''}, n = {n}", share)
    assert 0.93 <= share <= 0.97


@pytest.mark.parametrize("n", [20, 60])
def test_bands_hold_over_the_whole_curve(n: int) -> None:
    rng = seeded("band", n)
    whole, pointwise = 0, 0
    for i in range(1_000):
        curves = np.cumsum(rng.normal(size=(n, 12)), axis=1) + rng.normal(size=(n, 12))
        band = simultaneous_band(curves, seed=i, resamples=999)
        assert band is not None
        whole += bool(((band.low <= 0) & (band.high >= 0)).all())
        error = curves.std(axis=0, ddof=1) / np.sqrt(n)
        pointwise += bool((np.abs(curves.mean(axis=0)) <= 2 * error).all())
    report(f"simultaneous band, n = {n}", whole / 1_000)
    assert (0.93 if n >= 50 else 0.92) <= whole / 1_000 <= 0.97 and pointwise / 1_000 < 0.9
