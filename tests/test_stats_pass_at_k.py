"""pass@k: the unbiased estimator, its simultaneous band and the crossover."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from afterburn_core.stats.pass_at_k import compare_pass_at_k, doubling, pass_at_k


def test_known_answers() -> None:
    assert pass_at_k(100, 3, [10])[0, 0] == pytest.approx(0.27347, abs=5e-6)
    np.testing.assert_allclose(pass_at_k([5, 5, 5], [0, 5, 4], [1, 2, 5]), [[0, 0, 0], [1, 1, 1], [0.8, 1, 1]])
    for n, c, k in [(7, 2, 3), (200, 11, 64), (12, 12, 1)]:
        assert pass_at_k(n, c, [k])[0, 0] == pytest.approx(1 - comb(n - c, k) / comb(n, k), abs=1e-12)


def test_it_is_the_mean_over_all_choices_of_k() -> None:
    right = [True, False, False, True, False, False]
    for k in range(1, 7):
        expected = np.mean([any(right[i] for i in chosen) for chosen in combinations(range(6), k)])
        assert pass_at_k(6, 2, [k])[0, 0] == pytest.approx(expected)


def test_it_is_unbiased_where_the_plug_in_is_not() -> None:
    rng, chance, n, k = np.random.default_rng(0), 0.1, 16, 8
    c = rng.binomial(n, chance, size=40_000)
    true = 1 - (1 - chance) ** k
    assert pass_at_k(np.full(c.size, n), c, [k]).mean() == pytest.approx(true, abs=0.004)
    assert abs(np.mean(1 - (1 - c / n) ** k) - true) > 0.015


def test_refusals() -> None:
    with pytest.raises(ValueError, match="k must be"):
        pass_at_k([8, 4], [1, 1], [5])
    with pytest.raises(ValueError, match="between 0 and all"):
        pass_at_k(4, 5, [1])
    assert compare_pass_at_k(([4], [1]), ([4], [2]), seed=0).reason == "a curve needs two problems"
    assert (doubling(1), doubling(2), doubling(16), doubling(20)) == (
        (1,),
        (1, 2),
        (1, 2, 4, 8, 16),
        (1, 2, 4, 8, 16, 20),
    )


def drawn(rng: np.random.Generator, problems: int, n: int, base: tuple[float, float], trained: tuple[float, float]):
    """Counts under chances from two Beta distributions."""
    counts = [rng.binomial(n, rng.beta(*shape, size=problems)) for shape in (base, trained)]
    return (np.full(problems, n), counts[0]), (np.full(problems, n), counts[1])


def test_a_sharpened_model_crosses_over_and_an_improved_one_does_not() -> None:
    rng = np.random.default_rng(1)
    # trained: right more often, yet on fewer problems
    base, trained = drawn(rng, 150, 64, (1.0, 3.0), (0.12, 0.2))
    found = compare_pass_at_k(base, trained, seed=2)
    assert found.ks == (1, 2, 4, 8, 16, 32, 64)
    assert found.difference.low[0] > 0 > found.difference.high[-1]
    assert found.crossover is not None and found.below_from is not None and found.crossover <= found.below_from
    assert found.difference.values == pytest.approx(np.subtract(found.trained.values, found.base.values))
    mirrored = compare_pass_at_k(trained, base, seed=2)
    assert mirrored.crossover is None and mirrored.difference.values == pytest.approx(
        np.negative(found.difference.values)
    )
    base, trained = drawn(rng, 150, 64, (1.0, 3.0), (1.5, 3.0))
    assert compare_pass_at_k(base, trained, seed=2).crossover is None


def test_identity_is_a_band_of_no_width() -> None:
    base, _ = drawn(np.random.default_rng(3), 30, 16, (1, 2), (1, 2))
    found = compare_pass_at_k(base, base, seed=1)
    assert set(found.difference.values) == set(found.difference.low) == set(found.difference.high) == {0.0}
    assert found.crossover is None and found.below_from is None


def test_the_band_covers_the_whole_curve_at_once() -> None:
    rng, n, covered, pointwise = np.random.default_rng(4), 16, 0, 0
    ks = np.array(doubling(n))
    p = rng.beta(1, 3, size=400_000)
    truth = [(1 - (1 - p) ** k).mean() for k in ks]
    for _ in range(300):
        base, trained = drawn(rng, 80, n, (1, 3), (1, 3))
        found = compare_pass_at_k(base, trained, seed=5, resamples=500)
        low, high = np.array(found.trained.low), np.array(found.trained.high)
        inside = (low <= truth) & (truth <= high)
        covered += bool(inside.all())
        pointwise += bool(inside[2])
    assert covered / 300 == pytest.approx(0.95, abs=0.035)
    assert pointwise >= covered


def test_guesses_are_taken_out() -> None:
    """Problems known with chance .3 and otherwise guessed at 1 in 10: corrected, the curve is flat at .3."""
    rng, n, problems, chance = np.random.default_rng(6), 16, 4000, 0.1
    known = rng.random(problems) < 0.3
    counts = np.where(known, n, rng.binomial(n, chance, size=problems))
    side = (np.full(problems, n), counts)
    found = compare_pass_at_k(side, side, seed=1, guess=chance, resamples=50)
    assert found.ks == (1, 2, 4) and "more than half" in (found.reason or "")
    assert found.base.values == pytest.approx((0.3, 0.3, 0.3), abs=0.03)
    assert compare_pass_at_k(side, side, seed=1, resamples=50).base.values[2] > 0.45
