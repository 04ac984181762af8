"""The e-process, the confidence sequence and e-BH: error under optional stopping, and how soon they see a shift."""

from __future__ import annotations

import numpy as np
import pytest

from afterburn_core.stats.sequential import confidence_sequence, e_bh, e_process, first_rejection, sequential_test


def paired_outcomes(rng: np.random.Generator, up: float, down: float, shape: tuple[int, ...]) -> np.ndarray:
    """Differences of 0/1 outcomes: 1 with chance `up`, −1 with chance `down`."""
    u = rng.random(shape)
    return (u < up).astype(float) - (u > 1 - down)


def by_hand(d: np.ndarray, tolerance: float) -> list[float]:
    """The formula term by term, on past data only."""
    value, values = 1.0, []
    for t in range(len(d)):
        past = d[:t]
        mean = past.sum() / (t + 1)
        spread = (1 + ((past - mean) ** 2).sum()) / (t + 1)
        edge = mean - tolerance
        stake = min(max(edge / (spread + edge**2), 0), 0.5 / (1 + tolerance))
        value *= 1 + stake * (d[t] - tolerance)
        values.append(value)
    return values


def test_the_formula_term_by_term() -> None:
    d = np.random.default_rng(0).uniform(-1, 1, 60)
    np.testing.assert_allclose(e_process(d, tolerance=0.05, alternative="greater"), by_hand(d, 0.05), rtol=1e-12)
    np.testing.assert_allclose(e_process(d, tolerance=0.05, alternative="less"), by_hand(-d, 0.05), rtol=1e-12)
    both = (np.array(by_hand(d, 0.05)) + by_hand(-d, 0.05)) / 2
    np.testing.assert_allclose(e_process(d, tolerance=0.05), both, rtol=1e-12)


@pytest.mark.parametrize(("up", "down"), [(0.15, 0.10), (0.525, 0.475)])
def test_false_alarms_stay_below_alpha_however_often_one_looks(up: float, down: float) -> None:
    d = paired_outcomes(np.random.default_rng(1), up, down, (2000, 1000))  # the mean is the tolerance itself
    for alternative in ("two-sided", "greater"):
        e = e_process(d, tolerance=0.05, alternative=alternative)  # type: ignore[arg-type]
        assert (e >= 20).any(axis=1).mean() <= 0.05
    # the same without a tolerance, for heavy tails cut to [−1, 1]
    d = np.clip(np.random.default_rng(2).standard_t(2, (2000, 500)) / 4, -1, 1)
    assert (e_process(d) >= 20).any(axis=1).mean() <= 0.05


@pytest.mark.parametrize(("up", "median"), [(0.20, 160), (0.30, 52), (0.50, 24)])
def test_prompts_until_a_shift_is_seen(up: float, median: float) -> None:
    d = paired_outcomes(np.random.default_rng(3), up, 0.05, (1500, 900))
    e = e_process(d, tolerance=0.05, alternative="greater")
    stopped = np.where((e >= 20).any(axis=1), (e >= 20).argmax(axis=1) + 1, 10_000)
    assert np.median(stopped) == pytest.approx(median, rel=0.15)


def test_the_confidence_sequence_covers_at_every_moment_and_narrows() -> None:
    rng, missed = np.random.default_rng(4), 0
    for _ in range(150):
        low, high = confidence_sequence(paired_outcomes(rng, 0.2, 0.1, (250,)))
        missed += bool(((low > 0.1) | (high < 0.1)).any())
        assert np.all(np.diff(low) >= 0) and np.all(np.diff(high) <= 0)
    assert missed / 150 <= 0.05 + 2 * (0.05 * 0.95 / 150) ** 0.5
    assert high[-1] - low[-1] < 0.25
    with pytest.raises(ValueError, match="outside"):
        confidence_sequence([0.0, 1.5])


def test_swapped_sides_keep_e_values_and_mirror_the_interval() -> None:
    d = paired_outcomes(np.random.default_rng(5), 0.4, 0.1, (120,))
    one, other = sequential_test(d, tolerance=0.02), sequential_test(-d, tolerance=0.02)
    np.testing.assert_allclose(one.e_values, other.e_values)
    assert one.stopped == other.stopped == first_rejection(one.e_values)
    assert one.stopped is not None and one.contrast.test is not None and one.contrast.test.p_value <= 0.05
    assert one.contrast.interval is not None and other.contrast.interval is not None
    assert one.contrast.interval.low == pytest.approx(-other.contrast.interval.high, abs=1e-9)


def test_identity_and_absence() -> None:
    same = sequential_test(np.zeros(30))
    assert same.contrast.estimate == 0 and same.stopped is None
    assert same.contrast.interval is not None and same.contrast.test is not None
    assert (same.contrast.interval.low, same.contrast.interval.high) == (0, 0)
    assert same.contrast.interval.method == "identical" and same.contrast.test.p_value == 1
    assert sequential_test([]).contrast.estimate is None
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        e_process([0.0, 1.01])
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        e_process([0.0, float("nan")])


def test_e_bh_rejects_the_largest_k_that_carry_each_other() -> None:
    # m/(kα) = 100, 50, 33.3, 25, 20 for k = 1 … 5 of 5 at α = .05
    assert e_bh([60, 55, 10, 1, 0]).tolist() == [True, True, False, False, False]
    assert e_bh([60, 40, 10, 1, 0]).tolist() == [False] * 5
    assert e_bh([21, 22, 23, 24, 20]).tolist() == [True] * 5
    rng = np.random.default_rng(6)
    false_share = []
    for _ in range(300):
        d = paired_outcomes(rng, 0.1, 0.1, (20, 200))
        d[:5] = paired_outcomes(rng, 0.5, 0.1, (5, 200))
        rejected = e_bh(e_process(d)[:, -1])
        false_share.append(rejected[5:].sum() / max(rejected.sum(), 1))
    assert np.mean(false_share) <= 0.05
