"""Entropy estimators, distinct_k, and the shift of the entropy of labels over prompts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from afterburn_core.stats.entropy import distinct_k, entropy, entropy_of_counts, label_entropy_shift


def test_known_answers() -> None:
    assert entropy(["a"] * 8) == 0 and entropy([]) is None
    assert entropy(["a", "b"] * 4, "plugin") == pytest.approx(np.log(2))
    assert entropy(["a", "b"] * 4) == pytest.approx(np.log(2) + 1 / 16)
    np.testing.assert_allclose(entropy_of_counts([[1, 1, 1, 1], [4, 0, 0, 0]], "plugin"), [np.log(4), 0])
    with pytest.raises(ValueError, match="estimator"):
        entropy_of_counts([1, 2], "best")  # type: ignore[arg-type]


def test_miller_madow_removes_most_of_the_bias() -> None:
    rng, p = np.random.default_rng(0), np.array([0.4, 0.3, 0.2, 0.1])
    true = -float(np.sum(p * np.log(p)))
    counts = rng.multinomial(20, p, size=20_000)
    plain = entropy_of_counts(counts, "plugin").mean() - true
    better = entropy_of_counts(counts).mean() - true
    assert plain == pytest.approx(-3 / 40, abs=0.01) and abs(better) < 0.15 * abs(plain)


def test_distinct_k_is_the_mean_over_all_choices() -> None:
    labels = list("aabbbcd")
    for k in range(1, 8):
        expected = np.mean([len(set(chosen)) for chosen in combinations(labels, k)])
        assert distinct_k(labels, k) == pytest.approx(expected)
    assert distinct_k(["a"], 2) is None and distinct_k(["a"] * 10, 10) == 1


def labels(rng: np.random.Generator, n: int, collapse: float) -> tuple[list[str], list[str]]:
    """What the prompt calls for, and with some chance one label for everything."""
    called_for = rng.choice(list("abcd"), n)
    sides = [np.where(rng.random(n) < 0.3, rng.choice(list("abcd"), n), called_for) for _ in range(2)]
    sides[1] = np.where(rng.random(n) < collapse, "a", sides[1])
    return sides[0].tolist(), sides[1].tolist()


@pytest.mark.parametrize("n", [20, 100])
def test_false_alarms_of_the_label_entropy_shift(n: int) -> None:
    rng, alarms = np.random.default_rng(1), 0
    for seed in range(600):
        test = label_entropy_shift(*labels(rng, n, 0.0), seed=seed, permutations=199).test
        assert test is not None
        alarms += test.p_value <= 0.05
    assert alarms / 600 <= 0.05 + 2 * (0.05 * 0.95 / 600) ** 0.5


def test_prompts_of_one_source_swap_together() -> None:
    """Conversations whose eight turns share a label: swapping turn by turn finds shifts that are not there."""
    rng, clustered, naive, covered = np.random.default_rng(5), 0, 0, 0
    units = [f"c{i}" for i in range(20) for _ in range(8)]
    for seed in range(300):
        base, trained = ([one for one in side for _ in range(8)] for side in labels(rng, 20, 0.0))
        kept = label_entropy_shift(base, trained, seed=seed, permutations=99, clusters=units)
        lost = label_entropy_shift(base, trained, seed=seed, permutations=99)
        assert kept.test is not None and lost.test is not None and kept.n == 20 and kept.interval is not None
        clustered += kept.test.p_value <= 0.05
        naive += lost.test.p_value <= 0.05
        covered += kept.interval.low <= 0 <= kept.interval.high
    assert clustered / 300 <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5 and naive / 300 > 0.2
    assert covered / 300 >= 0.9


def test_a_collapse_is_found_and_its_interval_covers() -> None:
    rng, found, covered = np.random.default_rng(2), 0, 0
    mixed = np.array([0.625, 0.125, 0.125, 0.125])  # half of the labels collapse into a
    true = -float(np.sum(mixed * np.log(mixed))) - np.log(4)
    for seed in range(300):
        contrast = label_entropy_shift(*labels(rng, 150, 0.5), seed=seed, permutations=99)
        assert contrast.test is not None and contrast.interval is not None and contrast.estimate is not None
        found += contrast.test.p_value <= 0.05 and contrast.estimate < 0
        covered += contrast.interval.low <= true <= contrast.interval.high
    assert found / 300 > 0.95
    assert covered / 300 == pytest.approx(0.95, abs=0.035)


def test_identity_swapped_sides_and_absence() -> None:
    base, trained = labels(np.random.default_rng(3), 60, 0.5)
    same = label_entropy_shift(base, base, seed=0)
    assert same.estimate == 0 and same.test is not None and same.test.p_value == 1
    assert same.interval is not None and same.interval.method == "identical"
    one, other = label_entropy_shift(base, trained, seed=0), label_entropy_shift(trained, base, seed=0)
    assert one.estimate == pytest.approx(-(other.estimate or 0)) and one.test is not None and other.test is not None
    assert one.test.p_value == other.test.p_value
    assert label_entropy_shift(["a"], ["b"], seed=0).estimate is None
