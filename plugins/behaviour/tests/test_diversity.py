"""Diversity: formulas against independent code, planted collapse and synonyms, exact equality."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from afterburn_behaviour import across, within
from afterburn_behaviour.diversity import Diversity
from afterburn_behaviour.ngrams import grams, tokens
from afterburn_behaviour.specs.variety import DIVERSITY
from afterburn_behaviour.variety_judge import VarietyJudge
from afterburn_behaviour.variety_options import DiversityOptions, VarietyRules
from afterburn_core.generation.model import Responses
from afterburn_core.stats import diversity as reference
from afterburn_core.stats.unit_swap import Units, counted, mean_over_pairs, swaps

D = "behaviour.diversity."
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst"]  # 360 words that nobody speaks
RULE = "behaviour.diversity_shift"


def diversity() -> Diversity:
    return Diversity(DiversityOptions(encoder="none", permutations=199))


def sentence(rng: np.random.Generator, n: int = 30, words: list[str] = WORDS) -> str:
    return " ".join(words[i] for i in rng.integers(0, len(words), n))


@pytest.fixture
def written(responses: Callable[..., Responses]) -> Callable[..., list[Responses]]:
    """Prompts answered by functions of (generator, prompt, sample)."""

    def make(base: Any, trained: Any, *, n: int = 40, k: int = 4, seed: int = 1, **probe: Any) -> list[Responses]:
        rng = np.random.default_rng(seed)
        return [
            responses(f"p{i:04}", [base(rng, i, j) for j in range(k)], [trained(rng, i, j) for j in range(k)], **probe)
            for i in range(n)
        ]

    return make


def free(rng: np.random.Generator, i: int, j: int) -> str:
    return sentence(rng)


# the formulas


def test_ngrams_are_counted_as_by_hand() -> None:
    found = grams([("a", "b", "a", "b"), (), ("b", "a"), ("c",)], 3)
    assert [found[n].kinds for n in (1, 2, 3)] == [3, 2, 2]
    assert found[2].document.tolist() == [0, 0, 0, 2]
    assert found[2].kind[0] == found[2].kind[2] and found[2].kind[1] == found[2].kind[3]
    assert found[2].incidence().toarray().tolist() == [[1, 1], [0, 0], [0, 1], [0, 0]]


def test_ngram_counts_agree_with_those_of_the_core() -> None:
    rng = np.random.default_rng(2)
    texts = [tokens(sentence(rng, int(rng.integers(0, 40)), WORDS[:9]), 64) for _ in range(30)]
    for n, found in grams(texts).items():
        by_hand = [set(reference.ngrams(text, n)) for text in texts]
        assert found.kinds == len(set().union(*by_hand))
        assert np.bincount(found.document, minlength=30).tolist() == [len(reference.ngrams(t, n)) for t in texts]


def test_rarefaction_is_the_mean_over_all_draws() -> None:
    kinds = np.array([0, 0, 0, 1, 1, 2])
    expected = np.mean([len(set(kinds[list(draw)])) for draw in combinations(range(6), 3)])
    found = within.rarefied(np.zeros(6, dtype=np.int64), kinds, np.array([3]))
    assert found == pytest.approx([expected])


def test_distinct_is_adjusted_for_what_chance_repeats() -> None:
    (texts,) = [[["a b c d e f g h", "i j k l m n o p"]]]
    value = within.distinct((texts,), 64)[1][0][0]
    assert value == pytest.approx(16 / (50_000 * (1 - (1 - 1 / 50_000) ** 16)))
    assert reference.ead([tuple("abcdefgh"), tuple("ijklmnop")], n=1, vocabulary=50_000, budget=16) == pytest.approx(
        value
    )


def test_length_alone_does_not_change_distinct_in_a_contrast() -> None:
    rng = np.random.default_rng(3)
    short = [[sentence(rng, 20, WORDS[:40]) for _ in range(4)] for _ in range(200)]
    long = [[sentence(rng, 60, WORDS[:40]) for _ in range(4)] for _ in range(200)]
    base, trained = within.distinct((short, long), 64)[1]
    assert abs(np.mean(trained - base)) < 3 * np.std(trained - base) / math.sqrt(200) + 0.005
    assert within.distinct((short,), 64)[1][0].mean() - within.distinct((long,), 64)[1][0].mean() > 0.2


def test_similarity_vendi_and_duplicates_of_known_texts() -> None:
    side = [["a b", "a b", "c d"], ["only one"], ["x", "y"], ["", ""]]
    found = within.similarity(side, 64)
    assert found["self_similarity"] == pytest.approx([1 / 3, np.nan, 0, 1], nan_ok=True)
    assert found["duplicates"] == pytest.approx([1 / 3, np.nan, 0, 1], nan_ok=True)
    kernel = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1.0]])
    assert found["vendi"] == pytest.approx([reference.vendi(kernel), np.nan, 2, 1], nan_ok=True)


def test_compression_cuts_all_texts_of_a_prompt_to_equal_size() -> None:
    rng = np.random.default_rng(4)
    base, trained = sentence(rng, 60), "again and " * 90
    found = within.compression(([[base], ["short"]], [[trained], ["short"]]))
    size = min(len(base), len(trained))
    assert found[0][0] == pytest.approx(len(zlib.compress(base[:size].encode(), 6)) / size)
    assert found[1][0] < 0.1 < 0.4 < found[0][0] and np.isnan(found[0][1])


@pytest.mark.parametrize(
    ("text", "caught"),
    [("so it goes " * 12, True), ("no " * 30, True), (" ".join(WORDS[:60]), False), ("ha ha ha, very funny", False)],
)
def test_loops(text: str, caught: bool) -> None:
    assert within.loops(text) is caught


def test_quantities_across_prompts_agree_with_their_definitions() -> None:
    rng = np.random.default_rng(5)
    n = 24
    opening = ["once upon a time", "sure here is a", "the answer lies in"]
    sides = [
        [[f"{opening[rng.integers(3)]} {sentence(rng, 12)}" for _ in range(2)] for _ in range(n)] for _ in range(2)
    ]
    units = Units.of([f"u{i}" for i in range(n)])
    direct = across.openings(*sides, units, swaps(n, 99, 1), identical=False)
    mirrored = across.openings(sides[1], sides[0], units, swaps(n, 99, 1), identical=False)
    for side, found in ((sides[0], direct), (sides[1], mirrored)):
        prefixes = [[tokens(t, 4) for t in samples] for samples in side]
        kinds = sorted({p for samples in prefixes for p in samples})
        share = np.array([[samples.count(kind) / 2 for kind in kinds] for samples in prefixes])
        assert found["template_mass_4"].own.estimate == pytest.approx(share.sum(axis=0).max() / n)
        pairs = np.mean([share[i] @ share[j] for i in range(n) for j in range(n) if i != j])
        assert found["prefix_concentration_4"].own.estimate == pytest.approx(pairs)
        p = share.sum(axis=0) / n
        assert found["prefix_entropy_4"].own.estimate == pytest.approx(-np.sum(p * np.log(p)) / np.log(2 * n))


def test_swaps_and_the_jackknife_agree_with_doing_it_by_hand() -> None:
    rng = np.random.default_rng(6)
    names = ["a", "b", "c", "a", "d", "e", "b"]  # prompts of one source move together
    n, units = len(names), Units.of(names)
    x = [sparse.csr_matrix(rng.integers(0, 2, (n, 5)).astype(float)) for _ in range(2)]
    texts = [[sentence(rng, 6, WORDS[:5]) for _ in range(n)] for _ in range(2)]
    epsilon = swaps(units.count, 40, 2)
    by_unit = [
        sparse.csr_matrix(np.array([m.toarray()[units.of_prompt == u].sum(axis=0) for u in range(units.count)]))
        for m in x
    ]
    mass = counted(*by_unit, units, {"mass": across.mass}, epsilon, identical=False)["mass"].contrast
    distinct = across.distinct(*texts, units, epsilon, budget=64, identical=False)[2].contrast
    kernel = across.kernel(*texts, 64)
    alike = mean_over_pairs(kernel, units, epsilon, identical=False).contrast
    vendi = across.vendi(kernel, units, epsilon, identical=False).contrast

    def statistics(trained_from: np.ndarray, keep: np.ndarray) -> np.ndarray:
        """Contrasts where trained takes prompt i from side trained_from[i], over the prompts kept."""
        sides = []
        for pick in (1 - trained_from, trained_from):
            kept = np.flatnonzero(keep)
            counts = sum(x[pick[i]].toarray()[i] for i in kept)
            cut = [min(len(texts[s][i].split()) for s in (0, 1)) for i in range(n)]
            pairs = [reference.ngrams(texts[pick[i]][i].split()[: cut[i]], 2) for i in kept]
            ead = within.expectation_adjusted(
                np.array([len({g for p in pairs for g in p})]), np.array([sum(map(len, pairs))])
            )[0]
            rows = np.array([i + n * pick[i] for i in kept])
            block = kernel[np.ix_(rows, rows)]
            other = np.array([[names[i] != names[j] for j in kept] for i in kept])
            sides.append([counts.max() / len(kept), ead, block[other].mean(), len(kept) ** 2 / (block**2).sum()])
        return np.array(sides[1]) - np.array(sides[0])

    observed = statistics(np.ones(n, dtype=int), np.ones(n, dtype=bool))
    drawn = np.array([statistics(1 - e[units.of_prompt].astype(int), np.ones(n, dtype=bool)) for e in epsilon])
    p = (1 + (np.abs(drawn) >= np.abs(observed) - 1e-12).sum(axis=0)) / 41
    without = np.array([statistics(np.ones(n, dtype=int), units.of_prompt != u) for u in range(units.count)])
    error = np.sqrt(without.var(axis=0) * (units.count - 1))
    for i, found in enumerate((mass, distinct, alike, vendi)):
        assert found.estimate == pytest.approx(observed[i]), i
        assert found.test.p_value == pytest.approx(p[i]), i
        if error[i] > 1e-12:
            assert (found.interval.high - found.interval.low) / 2 == pytest.approx(error[i] * 2.776445, rel=1e-4), i


# what is planted


def test_a_planted_collapse_is_found_within_and_across_prompts(
    written: Any, analyze: Any, value_of: Any, judged: Any
) -> None:
    output = analyze(diversity, written(free, lambda rng, i, j: "As you wish: " + " ".join(WORDS[:30])))
    for metric, sign in (
        ("self_similarity", 1), ("duplicates", 1), ("distinct_2", -1), ("vendi", -1), ("template_mass_8", 1),
        ("prefix_concentration_4", 1), ("prefix_entropy_16", -1), ("across.distinct_2", -1),
        ("across.self_similarity", 1), ("across.vendi", -1),
    ):  # fmt: skip
        pair = value_of(output, D + metric)
        assert pair.value * sign > 0 and pair.test.p_adjusted <= 0.05, metric
    assert value_of(output, D + "template_mass_8", "trained").value == 1.0
    assert value_of(output, D + "vendi", "trained").value == pytest.approx(1.0)
    found = judged(VarietyJudge(VarietyRules()), output)[RULE]
    assert found.kind == "informational" and "share of the commonest 4-word opening +" in found.message
    assert "[2]" in found.examples[1].base and found.examples[1].note.startswith("self similarity +")
    assert found.examples[0].note == "trained's answer opens as 0.0 % of base's and 100.0 % of trained's do"


def test_a_template_that_opens_every_answer_is_found_with_one_sample_per_prompt(
    written: Any, analyze: Any, value_of: Any, judged: Any
) -> None:
    def opened(rng: np.random.Generator, i: int, j: int) -> str:
        return "I would be glad to help. " + sentence(rng)

    output = analyze(diversity, written(free, opened, k=1))
    mass = value_of(output, D + "template_mass_4")
    assert mass.value == pytest.approx(39 / 40) and mass.test.p_value == 1 / 200
    assert value_of(output, D + "self_similarity").reason == "needs at least 2 samples of a prompt on both sides"
    found = judged(VarietyJudge(VarietyRules()), output)[RULE]
    assert found.kind == "informational" and "within prompts nothing can be said" in found.message


def test_without_excerpts_no_text_is_kept(written: Any, analyze: Any) -> None:
    output = analyze(diversity, written(free, lambda rng, i, j: "As you wish: " + WORDS[0]), excerpts=False)
    kept = b"".join(a.content for a in output.artifacts)
    assert b"sha256:" in kept and b"wish" not in kept and b"Question" not in kept


def test_synonyms_are_varied_words(written: Any, analyze: Any, value_of: Any, judged: Any) -> None:
    """Base says the same in the same words, trained in changing ones: more diversity of words, not a collapse."""

    def said(rng: np.random.Generator, i: int, j: int) -> str:
        return " ".join(WORDS[(12 * i + 3 * w) % 360] for w in range(20))

    def reworded(rng: np.random.Generator, i: int, j: int) -> str:
        return " ".join(WORDS[(12 * i + 3 * w + int(rng.integers(3))) % 360] for w in range(20))

    output = analyze(diversity, written(said, reworded))
    assert value_of(output, D + "self_similarity").value < -0.5
    assert value_of(output, D + "distinct_1").value > 0
    assert judged(VarietyJudge(VarietyRules()), output)[RULE].kind == "informational"


def test_longer_answers_of_the_same_variety_are_no_shift(
    written: Any, analyze: Any, value_of: Any, judged: Any
) -> None:
    def longer(rng: np.random.Generator, i: int, j: int) -> str:
        return sentence(rng, 90)

    output = analyze(diversity, written(free, longer, n=80))
    for metric in ("distinct_1", "distinct_2", "across.distinct_1", "across.distinct_2", "template_mass_4"):
        assert value_of(output, D + metric).test.p_value > 0.01, metric
    assert judged(VarietyJudge(VarietyRules()), output)[RULE].kind != "informational"


# what holds always


def test_equal_sides_are_exactly_equal(written: Any, responses: Any, analyze: Any, judged: Any) -> None:
    items = [responses(i.probe.id, i.base, i.base) for i in written(free, free, n=12)]
    output = analyze(diversity, items)
    pairs = [m for m in output.measurements if m.subjects == ("base", "trained") and m.status == "ok"]
    assert len(pairs) >= 20
    for pair in pairs:
        assert (pair.value, pair.interval.low, pair.interval.high) == (0.0, 0.0, 0.0), pair.id
        assert pair.interval.method == "identical" and pair.test.p_value == 1.0, pair.id
    found = judged(VarietyJudge(VarietyRules()), output)[RULE]
    assert (found.kind, found.level) == ("pass", "none")


def test_swapping_the_sides_negates_every_contrast_and_keeps_p(written: Any, responses: Any, analyze: Any) -> None:
    items = written(free, lambda rng, i, j: "Well, " + sentence(rng, 20, WORDS[:60]), n=20, k=3)
    swapped = [responses(i.probe.id, i.trained, i.base) for i in items]
    one, other = analyze(diversity, items), analyze(diversity, swapped)
    for a, b in zip(one.measurements, other.measurements):
        if a.subjects == ("base", "trained") and a.value is not None:
            assert a.id == b.id and a.value == pytest.approx(-b.value, abs=1e-12), a.id
            assert a.test.p_value == pytest.approx(b.test.p_value, abs=1e-12), a.id


def test_a_side_s_own_value_does_not_depend_on_the_other_side(written: Any, analyze: Any, value_of: Any) -> None:
    items = written(free, free, n=10)
    other = written(free, lambda rng, i, j: "no", n=10)
    same_base = [Responses(probe=a.probe, base=a.base, trained=b.trained) for a, b in zip(items, other)]
    one, two = analyze(diversity, items), analyze(diversity, same_base)
    for metric in DIVERSITY:
        assert value_of(one, metric.id, "base") == value_of(two, metric.id, "base"), metric.id


def test_order_and_parts_of_the_stream_do_not_matter(written: Any, analyze: Any) -> None:
    items = written(free, free, n=11)
    assert analyze(diversity, items) == analyze(diversity, items[::-1], parts=3)


def test_prompts_of_one_source_are_one_unit(written: Any, responses: Any, analyze: Any, value_of: Any) -> None:
    items = written(free, free, n=12)
    grouped = [
        responses(item.probe.id, item.base, item.trained, group=f"g{number // 3}") for number, item in enumerate(items)
    ]
    output = analyze(diversity, grouped)
    assert value_of(output, D + "template_mass_4").n == 4
    assert value_of(output, D + "self_similarity").n == 4


def test_too_little_is_undefined_with_a_reason(responses: Any, analyze: Any, value_of: Any, judged: Any) -> None:
    for items in ([], [responses("p", ["a"], ["b"])], [responses("p", ["a"], [])]):
        output = analyze(diversity, items)
        for m in output.measurements:
            assert m.status == "ok" or m.reason
        assert value_of(output, D + "across.distinct_2").status == "undefined"
        assert judged(VarietyJudge(VarietyRules()), output)[RULE].kind == "open"


def test_empty_and_wordless_texts_are_texts(written: Any, analyze: Any) -> None:
    output = analyze(diversity, written(lambda *_: "", lambda rng, i, j: "…!" if j else "", n=8))
    assert all(m.value is None or math.isfinite(m.value) for m in output.measurements)


def test_every_measurement_is_declared_and_within_its_bounds(written: Any, analyze: Any) -> None:
    bounds = {m.id: (m.low, m.high) for m in DIVERSITY}
    output = analyze(diversity, written(free, lambda rng, i, j: "stop " * 40, n=9))
    assert {m.metric for m in output.measurements} == set(bounds)
    for m in output.measurements:
        low, high = bounds[m.metric]
        if m.value is not None:
            assert (low is None or m.value >= low) and (high is None or m.value <= high), m.id
            assert m.interval is None or m.interval.low <= m.value <= m.interval.high, m.id


@pytest.mark.slow
@pytest.mark.parametrize(("base", "trained"), [(0.2, 0.5), (0.05, 0.95), (0.4, 0.4)])
def test_intervals_across_prompts_cover_the_truth(base: float, trained: float) -> None:
    """Share of prompts with the template: its template mass is known, and n shrinks nothing but the interval."""
    rng = np.random.default_rng([31, int(100 * base)])
    n, runs, covered = 100, 600, 0
    units = Units.of([str(i) for i in range(n)])
    for _ in range(runs):
        sides = []
        for share in (base, trained):
            kind = np.where(rng.random(n) < share, 0, 1 + np.arange(n))
            sides.append(sparse.csr_matrix((np.ones(n), (np.arange(n), kind)), shape=(n, n + 1)))
        found = counted(*sides, units, {"mass": across.mass}, np.zeros((0, n)), identical=False)["mass"].contrast
        covered += found.interval.low <= trained - base <= found.interval.high
    assert 0.93 <= covered / runs <= 0.985
