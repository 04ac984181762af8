"""Diversity of one side's texts, and templates with their tests."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from afterburn_core.stats.diversity import (
    compression_ratio,
    cosine_kernel,
    cross_similarity,
    ead,
    loop_share,
    ngrams,
    prefix_entropy,
    self_similarity,
    vendi,
)
from afterburn_core.stats.templates import boilerplate, boilerplate_shift, template, template_shift


def test_ead_by_hand_and_under_its_null() -> None:
    assert ead([["a", "b", "a", "b"]], n=2, vocabulary=10, budget=3) == pytest.approx(2 / (10 * (1 - 0.9**3)))
    assert ead([["a", "b"], ["a", "b"]], n=2, vocabulary=10, budget=3) is None
    # tokens drawn uniformly from the vocabulary: 1 at every length, where distinct-1 falls
    rng = np.random.default_rng(0)
    for budget in (50, 500, 5000):
        values = [ead([rng.integers(0, 300, 6000).tolist()], n=1, vocabulary=300, budget=budget) for _ in range(30)]
        assert np.mean(np.array(values, dtype=float)) == pytest.approx(1, abs=0.02)
    # n-grams never reach from one text into the next
    assert ead([["a"], ["b"], ["a"]], n=2, vocabulary=10, budget=1) is None


def pairwise(texts: list[list[str]], n: int) -> float:
    def cosine(a: list[str], b: list[str]) -> float:
        x, y = ngrams(a, n), ngrams(b, n)
        dot = sum(x.count(g) * y.count(g) for g in set(x))
        return dot / (sum(x.count(g) ** 2 for g in set(x)) * sum(y.count(g) ** 2 for g in set(y))) ** 0.5

    return float(np.mean([cosine(a, b) for a, b in combinations(texts, 2)]))


def test_similarities_equal_the_mean_over_all_pairs() -> None:
    rng = np.random.default_rng(1)
    prompts = [[[str(w) for w in rng.integers(0, 6, 20)] for _ in range(k)] for k in (3, 1, 2, 4)]
    for n in (1, 2):
        assert self_similarity(prompts[3], n=n) == pytest.approx(pairwise(prompts[3], n))
        every = [(i, text) for i, prompt in enumerate(prompts) for text in prompt]
        apart = [pairwise([a, b], n) for (i, a), (j, b) in combinations(every, 2) if i != j]
        assert cross_similarity(prompts, n=n) == pytest.approx(np.mean(apart))
    assert self_similarity([["a", "b"], ["a", "b"]]) == 1 and self_similarity([["a", "b"], ["c", "d"]]) == 0
    assert self_similarity([["a", "b"]]) is None and cross_similarity([[["a"], ["b"]]]) is None
    assert self_similarity([["a"], []]) == 1  # neither has a pair of words
    assert self_similarity([["a", "b", "c"], ["a", "b", "d"]], budget=2) == 1


def test_vendi_known_answers() -> None:
    assert vendi(np.eye(7)) == pytest.approx(7)
    assert vendi(np.ones((7, 7))) == pytest.approx(1)
    assert vendi(np.kron(np.eye(3), np.ones((2, 2)))) == pytest.approx(3)
    assert vendi([[1, 0.5], [0.5, 1]]) == pytest.approx(np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))))
    assert vendi(cosine_kernel([[1, 0], [2, 0], [0, 3], [0, 0]])) == pytest.approx(
        np.exp(-(0.5 * np.log(0.5) + 2 * 0.25 * np.log(0.25)))
    )
    with pytest.raises(ValueError, match="diagonal"):
        vendi([[2.0]])


def test_compression_and_prefixes() -> None:
    rng = np.random.default_rng(2)
    varied = ["".join(map(chr, rng.integers(97, 123, 400))) for _ in range(60)]
    assert compression_ratio(["the same line"] * 3000) > 20 > 2 > compression_ratio(varied)  # type: ignore[operator]
    assert compression_ratio(["short"]) is None
    assert prefix_entropy([["a", "b"], ["a", "c"]], 1) == 0
    assert prefix_entropy([["a", "b"], ["a", "c"]], 2) == pytest.approx(np.log(2) + 1 / 4)
    assert prefix_entropy([], 1) is None


def test_loops() -> None:
    line = ["we", "go", "round", "and", "round", "the", "house", "again"]
    assert loop_share(line * 6) == pytest.approx(5 / 6)
    assert loop_share(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r"]) == 0
    assert loop_share(line * 2 + ["end"]) == 0  # said twice is no loop
    assert loop_share(["ha"] * 5 + line) == 0
    assert loop_share(["0"] * 40) == pytest.approx(39 / 40)
    head = [str(i) for i in range(48)]
    assert loop_share(head + line * 6) == pytest.approx(40 / 96)
    assert loop_share([]) == 0


def opened(rng: np.random.Generator, n: int, share: float) -> list[list[str]]:
    return [
        ["Sure", "here", "you", "are", *map(str, rng.integers(0, 50, 12))]
        if rng.random() < share
        else [*map(str, rng.integers(0, 50, 16))]
        for _ in range(n)
    ]


def test_template_mass() -> None:
    found = template([["a", "b", "c"], ["a", "b", "d"], ["b", "a", "c"], ["a", "x"]], 2)
    assert found is not None and found.mass == 0.5 and found.opening == ("a", "b")
    assert found.members.tolist() == [True, True, False, False] and template([], 4) is None


def phrased(rng: np.random.Generator, n: int, share: float) -> list[list[str]]:
    phrase = ["please", "remember", "to", "talk", "to", "a", "professional", "about", "this"]
    return [[*map(str, rng.integers(0, 10**6, 10)), *(phrase if rng.random() < share else ())] for _ in range(n)]


def test_boilerplate_by_hand() -> None:
    phrase = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    texts = [["x", *phrase], [*phrase, "y"], [*phrase], ["z", *phrase], ["unrelated"] * 9]
    prompts = [["q"], ["q"], ["q"], ["repeat", *phrase], ["q"]]
    found = boilerplate(texts, prompts)
    assert found is not None and found.threshold == 3 and found.rate == pytest.approx(3 / 5)
    assert found.members.tolist() == [True, True, True, False, False]  # the fourth was asked for it
    assert found.phrases == ((tuple(phrase), 3),)
    assert boilerplate(texts[1:], prompts[1:]).rate == 0  # type: ignore[union-attr]
    many = boilerplate(phrased(np.random.default_rng(3), 200, 0.3), [["q"]] * 200)
    assert many is not None and many.threshold == 10 and many.rate == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("kind", ["template", "boilerplate"])
def test_shifts_keep_their_level_and_are_found(kind: str) -> None:
    def p(seed: int, base_share: float, trained_share: float) -> float:
        rng = np.random.default_rng(seed)
        if kind == "template":
            found = template_shift(
                opened(rng, 40, base_share), opened(rng, 40, trained_share), 4, seed=seed, permutations=99
            )
        else:
            base, trained = phrased(rng, 40, base_share), phrased(rng, 40, trained_share)
            found = boilerplate_shift(base, trained, [["q"]] * 40, seed=seed, permutations=99)
        assert found.test is not None
        return found.test.p_value

    null = np.array([p(seed, 0.2, 0.2) for seed in range(300)])
    assert (null <= 0.05).mean() <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5
    assert np.mean([p(seed, 0.1, 0.5) <= 0.05 for seed in range(20)]) > 0.9


def test_shifts_of_equal_and_swapped_sides() -> None:
    rng = np.random.default_rng(5)
    prompts = [["q"]] * 50
    for base, trained in ((opened(rng, 50, 0.1), opened(rng, 50, 0.5)), (phrased(rng, 50, 0.1), phrased(rng, 50, 0.6))):
        for shift in (
            lambda b, t: template_shift(b, t, 4, seed=1),
            lambda b, t: boilerplate_shift(b, t, prompts, seed=1),
        ):
            same = shift(base, base)
            assert same.estimate == 0 and same.interval.method == "identical" and same.test.p_value == 1
            one, other = shift(base, trained), shift(trained, base)
            assert one.estimate == pytest.approx(-other.estimate) and one.test.p_value == other.test.p_value
            assert one.interval.low <= one.estimate <= one.interval.high


def test_one_sides_numbers_do_not_depend_on_the_other_side() -> None:
    """The shift is the difference of what each side's texts give alone."""
    rng = np.random.default_rng(6)
    base, prompts = phrased(rng, 60, 0.2), [["q"]] * 60
    alone, alone_template = boilerplate(base, prompts), template(base, 4)
    for share in (0.0, 0.9):
        trained = phrased(rng, 60, share)
        other, other_template = boilerplate(trained, prompts), template(trained, 4)
        assert alone is not None and other is not None and alone_template is not None and other_template is not None
        assert boilerplate_shift(base, trained, prompts, seed=0).estimate == pytest.approx(other.rate - alone.rate)
        expected = other_template.mass - alone_template.mass
        assert template_shift(base, trained, 4, seed=0).estimate == pytest.approx(expected)
