"""The classifier two-sample test: exact null, what it finds, and what it calls it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from afterburn_core.stats.classifier_scores import without
from afterburn_core.stats.classifier_test import ClassifierTest, classifier_test, separate
from afterburn_core.stats.text_features import pair_features, words_of

WORDS = [f"{a}{b}{c}" for a in "bdfgkl" for b in "aeiou" for c in "mnrst"]
COMMON = 1 / np.arange(1, len(WORDS) + 1)


def written(rng: np.random.Generator, topic: np.ndarray, size: float, planted: float) -> str:
    words = [WORDS[i] for i in rng.choice(len(WORDS), size=rng.poisson(size) + 5, p=topic)]
    if rng.random() < planted:
        words.insert(int(rng.integers(0, len(words))), "however")
    return " ".join(words).capitalize() + "."


def sides(
    seed: int, prompts: int, *, planted: float = 0.1, longer: float = 1.0, samples: int = 1, size: float = 60
) -> tuple[list[list[str]], list[list[str]]]:
    """Texts whose words depend on the prompt; the base says `however` in a tenth of them."""
    rng, base, trained = np.random.default_rng(seed), [], []
    for _ in range(prompts):
        topic = COMMON * rng.gamma(0.5, size=len(WORDS))
        topic /= topic.sum()
        base.append([written(rng, topic, size, 0.1) for _ in range(samples)])
        trained.append([written(rng, topic, size * longer, planted) for _ in range(samples)])
    return base, trained


def p_of(found: ClassifierTest) -> float:
    assert found.everything.contrast.test is not None
    return found.everything.contrast.test.p_value


def test_false_alarms_on_differences_without_a_direction() -> None:
    """Correlated, heavy-tailed features, many more than prompts; 2000 null draws."""
    rng, alarms = np.random.default_rng(0), 0
    mixing = rng.standard_normal((8, 60))
    for seed in range(2000):
        z = rng.standard_t(2, (24, 8)) @ mixing + rng.standard_normal((24, 60))
        test = separate(z, [str(j) for j in range(60)], seed=seed, permutations=99, top=0).contrast.test
        assert test is not None
        alarms += test.p_value <= 0.05
    assert 0.03 <= alarms / 2000 <= 0.06


def test_false_alarms_with_clusters_that_share_a_source() -> None:
    rng, clustered, naive = np.random.default_rng(1), 0, 0
    names = [str(j) for j in range(20)]
    units = [str(i // 5) for i in range(60)]
    for seed in range(400):
        z = np.repeat(rng.standard_normal((12, 20)), 5, axis=0) + 0.3 * rng.standard_normal((60, 20))
        kept = separate(z, names, seed=seed, permutations=99, clusters=units, top=0).contrast
        lost = separate(z, names, seed=seed, permutations=99, top=0).contrast
        assert kept.test is not None and lost.test is not None and kept.n == 12
        clustered += kept.test.p_value <= 0.05
        naive += lost.test.p_value <= 0.05
    assert clustered / 400 <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5
    assert naive / 400 > 0.5


@pytest.mark.slow
def test_false_alarms_on_texts() -> None:
    p = np.array([p_of(classifier_test(*sides(seed, 40, size=30), seed=seed, permutations=99)) for seed in range(200)])
    assert (p <= 0.05).mean() <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5


def test_a_planted_word_is_found_and_named() -> None:
    found = 0
    for seed in range(10):
        result = classifier_test(*sides(seed, 100, planted=0.4), seed=seed, permutations=99)
        found += p_of(result) <= 0.05
        named = [feature.name for feature in result.everything.named()]
        assert named[0] == "word: however" and len(named) <= 2
        assert result.everything.features[0].weight > 0 and result.everything.features[0].difference > 0
    assert found >= 9


def test_a_shift_of_length_is_named_and_goes_away_without_length() -> None:
    kept, gone = 0, 0
    for seed in range(12):
        result = classifier_test(*sides(seed, 80, longer=1.3), seed=seed, permutations=99)
        assert p_of(result) <= 0.05
        kept += any(feature.name.startswith("length: ") for feature in result.everything.features[:3])
        assert result.without_length.contrast.test is not None
        gone += result.without_length.contrast.test.p_value > 0.05
    assert kept >= 11 and gone >= 10


def test_style_is_named_in_words() -> None:
    base, trained = sides(3, 60)
    trained = [[text.replace(" ba", "\n- ba") + " Sure!" for text in prompt] for prompt in trained]
    named = [feature.name for feature in classifier_test(base, trained, seed=1).everything.named()]
    assert {"style: bullets per 100 words", "style: exclamation marks per 100 words"} <= set(named)
    assert len([name for name in named if "sure" in name]) == 1  # not once more as a closing, a pair and three letters


def test_swapped_sides_negate_weights_and_keep_p() -> None:
    base, trained = sides(4, 60, planted=0.5, samples=2)
    one = classifier_test(base, trained, seed=2)
    other = classifier_test(trained, base, seed=2)
    assert p_of(one) == p_of(other)
    assert one.everything.contrast.estimate == pytest.approx(other.everything.contrast.estimate, abs=1e-9)
    assert [f.name for f in one.everything.features] == [f.name for f in other.everything.features]
    assert one.everything.features[0].weight == pytest.approx(-other.everything.features[0].weight, rel=1e-5)


def test_identity_and_too_few() -> None:
    base, trained = sides(5, 20)
    same = classifier_test(base, base, seed=0)
    for side in (same.everything, same.without_length):
        assert side.contrast.estimate == 0.5 and side.excess.estimate == 0 and side.features == ()
        assert side.excess.interval is not None and (side.excess.interval.low, side.excess.interval.high) == (0, 0)
        assert side.contrast.test is not None and side.contrast.test.p_value == 1
    lone = classifier_test(base[:1], base[:1], seed=0).everything.contrast
    assert (lone.n, lone.estimate, lone.interval and lone.interval.method) == (1, 0.5, "identical")
    few = classifier_test(base[:5], trained[:5], seed=0)
    assert few.everything.contrast.estimate is None and few.everything.accuracy is None
    with pytest.raises(ValueError, match="lacks a sample"):
        pair_features([["a"], []], [["b"], ["c"]])


def test_texts_that_differ_in_nothing_that_recurs_are_not_called_identical() -> None:
    base = [[f"The answer to question {i} is 7, for sure."] for i in range(60)]
    trained = [[base[i][0].replace("7", "4")] if i < 3 else base[i] for i in range(60)]
    found = classifier_test(base, trained, seed=0).everything.contrast
    assert found.estimate is None and found.n == 60 and "in no feature" in (found.reason or "")


def test_a_perfect_separation_has_area_one_and_an_interval_with_a_width() -> None:
    z = np.abs(np.random.default_rng(6).standard_normal((40, 3))) + 1
    found = separate(z, ["a", "b", "c"], seed=0)
    assert found.contrast.estimate == 1 and found.accuracy == 1 and found.contrast.interval is not None
    assert found.contrast.interval.low == pytest.approx(40 / (40 + 1.959964**2))  # Wilson at 40 of 40
    assert found.margins is not None and np.all(found.margins > 0)


def test_the_interval_has_the_standard_error_of_the_scores() -> None:
    """One feature with weight of one sign: the area is that of the feature itself, known in closed form."""
    rng, covered = np.random.default_rng(7), 0
    true = 0.7602499  # P(z + z' > 0) for two independent N(.5, 1): Φ(1/√2)
    for seed in range(300):
        z = rng.standard_normal((80, 1)) + 0.5
        interval = separate(z, ["a"], seed=seed, permutations=1).contrast.interval
        assert interval is not None
        covered += interval.low <= true <= interval.high
    assert covered / 300 == pytest.approx(0.95, abs=0.03)


def grown(rng: np.random.Generator, spread: float = 0.6, planted: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Sixty features of 100 prompts whose answers grow nearly everywhere, linear in length; one may shift beside it."""
    length = 1.5 + spread * rng.standard_normal((100, 1))
    length = np.hstack([length, length + 0.2 * rng.standard_normal((100, 1))])
    z = rng.standard_t(3, (100, 8)) @ rng.standard_normal((8, 60)) + rng.standard_normal((100, 60))
    z[:, 0] += planted * z[:, 0].std()
    return z + length @ rng.standard_normal((2, 60)), length


def test_length_that_grows_in_every_prompt_leaves_chance_and_not_less() -> None:
    """One regression over all prompts makes the rest sum to 0 against length, and the scores anti-learn: .25."""
    rng, areas, alarms, covered, before = np.random.default_rng(10), [], 0, 0, []
    names = [str(j) for j in range(60)]
    for seed in range(300):
        z, length = grown(rng)
        found = separate(z, names, nuisance=length, seed=seed, permutations=99, top=0).contrast
        assert found.estimate is not None and found.test is not None and found.interval is not None
        areas.append(found.estimate)
        alarms += found.test.p_value <= 0.05
        covered += found.interval.low <= 0.5 <= found.interval.high
        if seed < 20:
            before.append(separate(without(z, length), names, seed=seed, permutations=1, top=0).contrast.estimate)
    assert np.mean(areas) == pytest.approx(0.5, abs=0.015) and np.mean(before) < 0.35
    assert 0.02 <= alarms / 300 <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5
    assert covered / 300 >= 0.93


def test_what_shifts_beside_length_is_found_and_named() -> None:
    rng, found = np.random.default_rng(11), 0
    for seed in range(10):
        z, length = grown(rng, spread=2.0, planted=1.0)
        result = separate(z, [str(j) for j in range(60)], nuisance=length, seed=seed, permutations=99)
        assert result.contrast.test is not None
        found += result.contrast.test.p_value <= 0.05 and "0" in [feature.name for feature in result.named()]
    assert found >= 8


def test_nothing_is_said_beyond_a_length_that_grows_alike_everywhere() -> None:
    z, length = grown(np.random.default_rng(12), spread=0.05)
    result = separate(z, [str(j) for j in range(60)], nuisance=length, seed=0)
    assert result.contrast.estimate is None and result.contrast.n == 100
    assert "alike" in (result.contrast.reason or "")
    result = separate(length @ np.ones((2, 3)), ["a", "b", "c"], nuisance=length, seed=0)
    assert result.contrast.estimate is None and "nothing is left" in (result.contrast.reason or "")


def test_no_interval_is_narrower_than_so_many_units_allow() -> None:
    """Rounding of an area of 1 must not pass for a spread of its scores, nor one wrong prompt of many."""
    rng = np.random.default_rng(13)
    for wrong in (0, 1):
        z = np.abs(rng.standard_normal((340, 3))) + 1
        z[:wrong] = -1e-3
        contrast = separate(z, ["a", "b", "c"], seed=0, permutations=9).contrast
        assert contrast.estimate is not None and contrast.interval is not None
        assert (contrast.estimate == 1) == (not wrong)
        assert contrast.interval.high >= contrast.estimate and contrast.interval.low < 0.9895


def test_residuals_carry_no_length() -> None:
    rng = np.random.default_rng(8)
    length = rng.standard_normal((50, 2))
    left = without(rng.standard_normal((50, 4)) + length @ rng.standard_normal((2, 4)), length)
    np.testing.assert_allclose(length.T @ left, 0, atol=1e-9)
    np.testing.assert_array_equal(without(3 * length[:, :1], length), 0)


def test_features_by_hand() -> None:
    base = [["Yes. Yes, we can."]] * 4
    trained = [["No, we can't!\n- one\n- two", "yes"]] * 4
    found = pair_features(base, trained)
    column = dict(zip(found.names, found.differences[0]))
    assert column["word: yes"] == pytest.approx(np.log(2) / 2 - np.log(3))
    assert column["word: can't"] == pytest.approx(np.log(2) / 2)
    assert column["words: we can"] == pytest.approx(-np.log(2))
    assert column["opens with: yes"] == pytest.approx(-np.log(2) / 2)
    assert column["style: bullets per 100 words"] == pytest.approx(np.log(1 + 2 * 100 / 5) / 2)
    assert column["characters: ⏎-␣"] == pytest.approx(np.log(3) / 2)
    assert "word: we" in column and words_of("Don’t _stop_ now") == ["don’t", "stop", "now"]
    assert found.lengths[0, 0] == pytest.approx((np.log(6) + np.log(2)) / 2 - np.log(5))


@pytest.mark.slow
def test_speed_at_full_size() -> None:
    base, trained = sides(9, 1319, planted=0.2, size=150)
    started = time.process_time()
    assert p_of(classifier_test(base, trained, seed=0, permutations=199)) == 1 / 200
    assert time.process_time() - started < 15  # about 3 s on a free core
