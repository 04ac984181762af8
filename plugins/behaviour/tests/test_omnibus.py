"""Whether anything changed: planted changes are found and named, equal texts are exactly equal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from afterburn_behaviour.features import in_words, shown_name
from afterburn_behaviour.omnibus import Omnibus
from afterburn_behaviour.variety_judge import VarietyJudge
from afterburn_behaviour.variety_options import OmnibusOptions, VarietyRules
from afterburn_core.generation.model import Responses
from afterburn_core.result.model import Interval

MMD = "behaviour.omnibus.mmd"
AUROC = "behaviour.omnibus.auroc"
BARE = "behaviour.omnibus.auroc_without_length"
RULE = "behaviour.any_shift"
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst"]


def omnibus() -> Omnibus:
    return Omnibus(OmnibusOptions(permutations=199))


def sentence(rng: np.random.Generator, n: int = 25) -> str:
    return " ".join(WORDS[i] for i in rng.integers(0, 60, n))


@pytest.fixture
def written(responses: Callable[..., Responses]) -> Callable[..., list[Responses]]:
    def make(base: Any, trained: Any, *, n: int = 40, k: int = 3, seed: int = 1, **probe: Any) -> list[Responses]:
        rng = np.random.default_rng(seed)
        return [
            responses(f"p{i:04}", [base(rng) for _ in range(k)], [trained(rng) for _ in range(k)], **probe)
            for i in range(n)
        ]

    return make


def test_a_planted_word_is_found_and_named(written: Any, analyze: Any, value_of: Any, judged: Any) -> None:
    output = analyze(omnibus, written(sentence, lambda rng: sentence(rng, 12) + " certainly " + sentence(rng, 12)))
    auroc = value_of(output, AUROC)
    assert auroc.value > 0.9 and auroc.test.p_adjusted <= 0.01 and auroc.test.correction == "holm"
    found = judged(VarietyJudge(VarietyRules()), output)[RULE]
    assert found.kind == "informational" and "more “certainly”" in found.message
    assert len(found.examples) == 3 and "certainly" in found.examples[0].trained
    assert found.artifacts == ("behaviour.omnibus_features", "behaviour.omnibus_examples")


def test_length_alone_is_found_and_named_as_length(written: Any, analyze: Any, value_of: Any, judged: Any) -> None:
    output = analyze(omnibus, written(sentence, lambda rng: sentence(rng, 50), n=60))
    assert value_of(output, AUROC).value > 0.95
    assert value_of(output, BARE).status == "undefined"  # every answer doubles: length and side are one thing
    message = judged(VarietyJudge(VarietyRules()), output)[RULE].message
    assert "more length" in message and "AUROC without length undefined: length changes so alike" in message


def test_a_collapse_that_keeps_every_word_s_rate_is_seen_by_mmd(written: Any, analyze: Any, value_of: Any) -> None:
    """Each prompt's samples become copies of one another: single words stay as frequent, only repetition changes."""

    def copies(items: list[Responses]) -> list[Responses]:
        return [
            attrs.evolve(i, trained=tuple(attrs.evolve(s, text=i.trained[0].text) for s in i.trained)) for i in items
        ]

    output = analyze(omnibus, copies(written(sentence, sentence, k=4)))
    assert value_of(output, MMD).value > 0.1 and value_of(output, MMD).test.p_adjusted <= 0.02
    assert value_of(output, AUROC).test.p_value > 0.01


def test_one_sample_per_prompt_leaves_the_classifier(written: Any, analyze: Any, value_of: Any, judged: Any) -> None:
    output = analyze(omnibus, written(sentence, lambda rng: "Sure! " + sentence(rng), k=1))
    assert value_of(output, MMD).status == "undefined" and "two samples" in value_of(output, MMD).reason
    assert value_of(output, AUROC).test.correction is None
    assert judged(VarietyJudge(VarietyRules()), output)[RULE].kind == "informational"


def test_equal_sides_are_exactly_equal_and_pass(
    written: Any, responses: Any, analyze: Any, value_of: Any, judged: Any
) -> None:
    items = [responses(i.probe.id, i.base, i.base) for i in written(sentence, sentence)]
    output = analyze(omnibus, items)
    for metric, value in ((MMD, 0.0), (AUROC, 0.5), (BARE, 0.5)):
        pair = value_of(output, metric)
        assert (pair.value, pair.interval.low, pair.interval.high) == (value, value, value), metric
        assert pair.interval.method == "identical" and pair.test.p_value == 1.0, metric
    found = judged(VarietyJudge(VarietyRules()), output)[RULE]
    assert (found.kind, found.level) == ("pass", "none") and found.message.startswith("Nothing changed")
    assert not output.artifacts


def test_swapping_the_sides_keeps_every_number(written: Any, responses: Any, analyze: Any) -> None:
    items = written(
        lambda rng: sentence(rng, int(rng.integers(15, 35))), lambda rng: sentence(rng, int(rng.integers(20, 40)))
    )
    one = analyze(omnibus, items)
    other = analyze(omnibus, [responses(i.probe.id, i.trained, i.base) for i in items])
    for a, b in zip(one.measurements, other.measurements):
        assert a.value == pytest.approx(b.value), a.id
        assert a.test.p_value == pytest.approx(b.test.p_value, abs=0.06), a.id


def test_order_and_parts_of_the_stream_do_not_matter(written: Any, analyze: Any) -> None:
    items = written(sentence, sentence, n=12)
    assert analyze(omnibus, items) == analyze(omnibus, items[::-1], parts=3)


def test_a_silent_test_is_open_until_the_interval_is_narrow(
    written: Any, analyze: Any, value_of: Any, judged: Any
) -> None:
    output = analyze(omnibus, written(sentence, sentence, n=30))
    found = judged(VarietyJudge(VarietyRules()), output)[RULE]
    assert found.kind == "open" and "would be missed" in found.message
    narrow = [
        attrs.evolve(m, value=0.505, interval=Interval(low=0.47, high=0.54, level=0.95, method="x"))
        if m.metric == AUROC
        else m
        for m in output.measurements
    ]
    passed = judged(VarietyJudge(VarietyRules()), attrs.evolve(output, measurements=tuple(narrow)))[RULE]
    assert passed.kind == "pass" and "within 0.5 ± 0.05" in passed.message


def test_prompts_of_one_source_are_one_unit(written: Any, responses: Any, analyze: Any, value_of: Any) -> None:
    items = written(sentence, sentence, n=40)
    grouped = [responses(i.probe.id, i.base, i.trained, group=f"g{n // 4}") for n, i in enumerate(items)]
    output = analyze(omnibus, grouped)
    assert value_of(output, MMD).n == value_of(output, AUROC).n == 10


def test_no_answers_is_open_and_says_why(responses: Any, analyze: Any, judged: Any) -> None:
    output = analyze(omnibus, [responses("p", ["a"], [])])
    assert {m.status for m in output.measurements} == {"undefined"}
    found = judged(VarietyJudge(VarietyRules()), output)[RULE]
    assert found.kind == "open" and "both sides" in found.message
    assert judged(VarietyJudge(VarietyRules()))[RULE].kind == "open"


def test_without_excerpts_no_word_of_an_answer_is_kept(written: Any, analyze: Any, judged: Any) -> None:
    items = written(sentence, lambda rng: sentence(rng) + " certainly")
    output = analyze(omnibus, items, excerpts=False)
    kept = b"".join(a.content for a in output.artifacts)
    assert b"certainly" not in kept and b"withheld" in kept
    found = judged(VarietyJudge(VarietyRules()), output, excerpts=False)[RULE]
    assert "certainly" not in found.message + "".join(f"{e.base}{e.trained}" for e in found.examples)


def test_features_in_words() -> None:
    rows = [
        {"name": "word: however", "difference": 0.2},
        {"name": "style: bullets per 100 words", "difference": -1.0},
        {"name": "opens with: sure", "difference": 0.1},
        {"name": "word: nothing", "difference": 0.0},
    ]
    told = in_words(rows, excerpts=True, limit=3)
    assert told == "more “however”, less bullets per 100 words, more “sure” as first word"
    assert in_words(rows, excerpts=False, limit=3) == "less bullets per 100 words"
    assert in_words([], excerpts=True, limit=3) is None
    assert shown_name("words: my secret", excerpts=False) == "words: withheld"


def test_the_features_listed_add_up_with_their_prompts(written: Any, analyze: Any) -> None:
    output = analyze(omnibus, written(sentence, lambda rng: sentence(rng) + " certainly", k=1))
    (features,) = [json.loads(a.content) for a in output.artifacts if a.id.endswith("features")]
    planted = [row for row in features["features"] if "certainly" in row["name"]]
    assert planted and all(row["difference"] > 0 and row["prompts"] == 40 for row in planted)
