"""The analyzers of style: known answers, identity, swapped sides, missing answers, order of observation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from afterburn_behaviour.specs.style import ANALYZERS, DETECTORS
from afterburn_behaviour.style.decoding import DecodingIdentity, compare
from afterburn_behaviour.style.formats import Format
from afterburn_behaviour.style.judge import StyleJudge
from afterburn_behaviour.style.length import Length
from afterburn_behaviour.style.options import LengthOptions, StyleOptions
from afterburn_behaviour.style.strategies import Strategies
from afterburn_behaviour.style.wording import Boilerplate, Hedging, Language
from afterburn_core.generation.model import GenerationFacts, Responses, Sample
from afterburn_core.plugin.registry import build_options, load_factory
from afterburn_core.plugin.roles import AnalyzerOutput

Fixture = Callable[..., Any]
SPECS = {spec.name: spec for spec in ANALYZERS}
SENTENCES = (
    "Sure! Here is a list:\n- tea\n- milk",
    "**Note:** the train leaves at nine, so we have 60 - 45 = 15 minutes. Therefore hurry!",
    "# Plan\n1. Open the box.\n2. Take the key.\n3. Close the box.",
    "I'm sorry, but I can't help with that.",
    "It may rain, perhaps. I think you should consult a doctor.",
    "La maison est dans la rue, et le chat est sur le toit.",
    "The answer is 42. Let me check: 6 * 7 = 42.",
    "A quiet evening by the river with a book and a lamp.",
)


def _make(name: str) -> Callable[[], Any]:
    spec = SPECS[name]
    return lambda: load_factory(spec.factory)(build_options(spec.options, {}, spec.name))


def _items(responses: Fixture, n: int = 48, *, same: bool = False, samples: int = 2) -> list[Responses]:
    rng = np.random.default_rng(5)

    def texts() -> list[str]:
        return [
            " ".join(SENTENCES[k] for k in rng.integers(0, len(SENTENCES), rng.integers(1, 4))) for _ in range(samples)
        ]

    items = []
    for i in range(n):
        base, trained = texts(), texts()
        items.append(
            responses(
                f"p{i:03}",
                base,
                base if same else trained,
                prompt="What is the plan for the day?",
                category=("a", "b")[i % 2],
                unsafe=(True, False)[i % 2],
                requests=("bullets",) if i % 3 == 0 else (),
            )
        )
    return items


def _swapped(item: Responses) -> Responses:
    return attrs.evolve(item, base=item.trained, trained=item.base)


@pytest.mark.parametrize("name", SPECS)
def test_equal_texts_have_no_effect(name: str, responses: Fixture, analyze: Fixture) -> None:
    output = analyze(_make(name), _items(responses, same=True))
    contrasts = [m for m in output.measurements if len(m.subjects) == 2 and m.value is not None]
    assert contrasts
    for m in contrasts:
        assert m.value == 0, m.id
        assert m.interval is None or (m.interval.low, m.interval.high, m.interval.method) == (0, 0, "identical"), m.id
        assert m.test is None or m.test.p_value == 1, m.id
    assert not [a for a in output.artifacts if a.id.endswith("_examples")]


@pytest.mark.parametrize("name", SPECS)
def test_swapped_sides_negate_and_keep_p(name: str, responses: Fixture, analyze: Fixture) -> None:
    items = _items(responses)
    ours = {m.id: m for m in analyze(_make(name), items).measurements if len(m.subjects) == 2}
    theirs = {m.id: m for m in analyze(_make(name), map(_swapped, items)).measurements if len(m.subjects) == 2}
    assert ours.keys() == theirs.keys() and ours
    for identifier, m in ours.items():
        other = theirs[identifier]
        if m.value is None:
            assert other.value is None
            continue
        sign = 1 if m.metric in {"behaviour.strategy.distance", "behaviour.decoding.unknown"} else -1
        assert other.value == pytest.approx(sign * m.value, abs=1e-12), identifier
        if m.test is not None:
            assert other.test.p_value == pytest.approx(m.test.p_value), identifier


@pytest.mark.parametrize("name", SPECS)
def test_order_and_division_of_prompts_do_not_matter(name: str, responses: Fixture, analyze: Fixture) -> None:
    items = _items(responses, 30)
    whole = analyze(_make(name), items)
    assert analyze(_make(name), items[::-1], parts=3) == whole
    declared = {metric.id for metric in SPECS[name].metrics}
    assert {m.metric for m in whole.measurements} <= declared
    identifiers = [m.id for m in whole.measurements]
    assert len(set(identifiers)) == len(identifiers)


@pytest.mark.parametrize("name", SPECS)
def test_prompts_of_one_side_are_left_out_and_counted(name: str, responses: Fixture, analyze: Fixture) -> None:
    items = _items(responses, 20)
    alone = [responses(f"q{i}", ["Only here! " * 50], []) for i in range(5)]
    before = {m.id: m for m in analyze(_make(name), items).measurements if len(m.subjects) == 2}
    after = {m.id: m for m in analyze(_make(name), [*items, *alone]).measurements if len(m.subjects) == 2}
    counted = 0
    for identifier, m in before.items():
        if m.metric == "behaviour.answered.rate":
            assert after[identifier].value == -0.2
        elif m.scope.subset is None and m.metric != "behaviour.boilerplate.share":
            assert after[identifier].value == m.value, identifier
            counted += "left out: 5 answered by base alone" in (after[identifier].reason or "")
    assert counted or name in {"behaviour.boilerplate"}


@pytest.mark.parametrize("name", SPECS)
def test_nothing_observed_is_undefined(name: str, analyze: Fixture) -> None:
    for m in analyze(_make(name), []).measurements:
        assert m.value is None and m.reason and m.n == 0


@pytest.mark.parametrize("name", SPECS)
def test_withheld_texts_are_in_no_artifact(name: str, responses: Fixture, analyze: Fixture) -> None:
    output = analyze(_make(name), _items(responses), excerpts=False)
    for artifact in output.artifacts:
        assert b"tea" not in artifact.content and b"river" not in artifact.content


def test_length_is_the_mean_log_ratio(responses: Fixture, analyze: Fixture, value_of: Fixture) -> None:
    items = [responses(f"p{i}", ["a b c"], ["a b c d e f g"]) for i in range(10)]
    items += [responses(f"q{i}", ["a", "a b c"], ["a b c"]) for i in range(10)]
    output = analyze(lambda: Length(LengthOptions()), items)
    expected = (math.log(8 / 4) + (math.log(4) - (math.log(2) + math.log(4)) / 2)) / 2
    measured = value_of(output, "behaviour.length.log_ratio")
    assert measured.value == pytest.approx(expected)
    assert measured.n == 20 and measured.interval.low < expected < measured.interval.high
    assert "in words" in measured.reason and measured.test.family == "behaviour.length"
    assert value_of(output, "behaviour.length.words", "base").value == 2.5
    assert value_of(output, "behaviour.length.words.median", "base").n == 30
    assert not [m for m in output.measurements if "words_log_ratio" in m.metric or ".tokens" in m.metric]


def test_tokens_count_where_every_answer_has_them(responses: Fixture, analyze: Fixture, value_of: Fixture) -> None:
    def item(i: int, tokens: int | None) -> Responses:
        made: Responses = responses(
            f"p{i}", [Sample(index=0, text="a b", tokens=9)], [Sample(index=0, text="a b c d e", tokens=tokens)]
        )
        return made

    counted = analyze(lambda: Length(LengthOptions()), [item(i, 19) for i in range(8)])
    assert value_of(counted, "behaviour.length.log_ratio").value == pytest.approx(math.log(2))
    assert value_of(counted, "behaviour.length.log_ratio").reason.startswith("in tokens")
    assert value_of(counted, "behaviour.length.words_log_ratio").value == pytest.approx(math.log(2))
    assert value_of(counted, "behaviour.length.tokens", "trained").value == 19
    partly = analyze(lambda: Length(LengthOptions()), [item(i, None if i == 3 else 19) for i in range(8)])
    assert "in words" in value_of(partly, "behaviour.length.log_ratio").reason


def test_cut_answers_make_lengths_censored(responses: Fixture, analyze: Fixture, value_of: Fixture) -> None:
    def item(i: int) -> Responses:
        cut = Sample(index=0, text="w " * 100, tokens=100, finish="length")
        whole = Sample(index=0, text="w " * 50, tokens=50, finish="stop")
        made: Responses = responses(f"p{i}", [whole], [cut])
        return made

    output = analyze(lambda: Length(LengthOptions()), [item(i) for i in range(10)])
    assert "censored: 0.0 % of base and 100.0 % of trained" in value_of(output, "behaviour.length.log_ratio").reason
    restricted = value_of(output, "behaviour.length.restricted_log_ratio")
    assert restricted.value == pytest.approx(math.log(101 / 51)) and "min(length, 100)" in restricted.reason


def test_equal_lengths_up_to_a_limit_prove_nothing_of_what_lies_beyond(
    responses: Fixture, analyze: Fixture, judged: Fixture
) -> None:
    def item(i: int, trained: str) -> Responses:
        sides = [Sample(index=0, text=f"{word} " * 100, tokens=100, finish="length") for word in ("w", trained)]
        made: Responses = responses(f"p{i}", *([side] for side in sides))
        return made

    for trained, kind in (("v", "open"), ("w", "pass")):
        output = analyze(lambda: Length(LengthOptions()), [item(i, trained) for i in range(60)])
        found = judged(StyleJudge(StyleOptions()), output)["behaviour.length_shift"]
        assert found.kind == kind, found.message
        assert ("beyond the limit are unknown" in found.message) == (kind == "open")


def test_other_texts_of_equal_length_are_not_called_identical(
    responses: Fixture, analyze: Fixture, value_of: Fixture, judged: Fixture
) -> None:
    """A few prompts whose answers happen to have as many words decide nothing; sixty do."""
    for n, kind, method in ((3, "open", None), (20, "open", None), (60, "pass", "constant")):
        items = [responses(f"p{i:02}", ["a b c d"], ["e f g h"]) for i in range(n)]
        output = analyze(lambda: Length(LengthOptions()), items)
        m = value_of(output, "behaviour.length.log_ratio")
        assert m.value == 0 and m.test.p_value == 1 and (m.interval.method if m.interval else None) == method
        found = judged(StyleJudge(StyleOptions()), output)["behaviour.length_shift"]
        assert found.kind == kind and "no difference in any" not in found.message


@pytest.mark.parametrize("taken", ["behaviour.format.bold", "behaviour.strategy.direct"])
def test_a_measurement_taken_away_leaves_its_rule_open(
    taken: str, responses: Fixture, analyze: Fixture, judged: Fixture
) -> None:
    outputs = _all(_items(responses, same=True), analyze)
    rule = f"behaviour.{taken.split('.')[1]}_shift"
    assert judged(StyleJudge(StyleOptions()), *outputs)[rule].kind == "pass"
    less = [attrs.evolve(o, measurements=tuple(m for m in o.measurements if m.metric != taken)) for o in outputs]
    found = judged(StyleJudge(StyleOptions()), *less)[rule]
    assert found.kind == "open" and taken in found.message


def test_distribution_is_for_plots(responses: Fixture, analyze: Fixture) -> None:
    items = _items(responses, 40)
    output = analyze(lambda: Length(LengthOptions(pairs=7)), items)
    (payload,) = [a for a in output.artifacts if a.id == "behaviour.length_distribution"]
    content = json.loads(payload.content)
    assert sum(content["base"]) == sum(content["trained"]) == 80
    assert len(content["edges"]) == len(content["base"]) + 1
    assert content["edges"] == sorted(content["edges"]) and len(content["pairs"]) == 7 and content["prompts"] == 40


def test_formats_are_contrasted_by_whether_they_were_asked_for(
    responses: Fixture, analyze: Fixture, value_of: Fixture
) -> None:
    listed, plain = "- a\n- b", "a and b"
    items = [responses(f"r{i}", [listed], [listed + "\n- c"], requests=("bullets",)) for i in range(10)]
    items += [responses(f"u{i}", [plain], [listed if i < 4 else plain]) for i in range(10)]
    output = analyze(Format, items)
    metric = "behaviour.format.list"
    assert value_of(output, metric).value == 0.2
    assert value_of(output, metric, subset="requested").value == 0
    assert value_of(output, metric, subset="unrequested").value == 0.4
    assert value_of(output, metric, "trained").value == 0.7
    assert value_of(output, "behaviour.format_density.list", "base").value == pytest.approx(50.0)
    assert value_of(output, "behaviour.format.entropy", "base").n == 20


def test_strategies_add_up_and_their_distance_is_total_variation(
    responses: Fixture, analyze: Fixture, value_of: Fixture
) -> None:
    code, plain = "```python\nprint(1)\n```", "It is one."
    items = [responses(f"p{i}", [plain], [code if i < 12 else plain]) for i in range(20)]
    output = analyze(Strategies, items)
    assert value_of(output, "behaviour.strategy.code").value == 0.6
    assert value_of(output, "behaviour.strategy.direct").value == -0.6
    distance = value_of(output, "behaviour.strategy.distance")
    assert distance.value == pytest.approx(0.6) and distance.test.p_value < 0.002
    assert value_of(output, "behaviour.strategy.dominant", "trained").reason == "label code"


def test_boilerplate_is_what_prompts_share_and_did_not_say(
    responses: Fixture, analyze: Fixture, value_of: Fixture
) -> None:
    rng = np.random.default_rng(3)

    def free(n: int) -> str:
        return " ".join(f"w{k}" for k in rng.integers(0, 10**9, n))

    stock = "i hope that this answer helps you very much"  # 9 words
    items = [responses(f"p{i}", [free(31)], [f"{free(31)} {stock}"]) for i in range(20)]
    output = analyze(Boilerplate, items)
    assert value_of(output, "behaviour.boilerplate.share", "base").value == 0
    assert value_of(output, "behaviour.boilerplate.share", "trained").value == pytest.approx(9 / 40)
    said = [responses(f"p{i}", [free(31)], [f"{free(31)} {stock}"], prompt=f"Say: {stock}") for i in range(20)]
    assert value_of(analyze(Boilerplate, said), "behaviour.boilerplate.share", "trained").value == 0


def test_language_switches_count_where_nobody_asked(responses: Fixture, analyze: Fixture, value_of: Fixture) -> None:
    english, german = "The house is on the hill and it is old.", "Das Haus ist auf dem Berg und es ist alt."
    items = [
        responses(f"p{i}", [english], [german], prompt="What is the house like, and where is it?") for i in range(6)
    ]
    items += [
        responses(f"t{i}", [german], [german], prompt="Translate to German: the house is on the hill.")
        for i in range(4)
    ]
    output = analyze(Language, items)
    switch = value_of(output, "behaviour.language.switch")
    assert (switch.value, switch.n) == (1, 6)
    assert value_of(output, "behaviour.language.de", "base").value == 0.4
    assert value_of(output, "behaviour.language.de").value == 0.6


def test_hedges_are_per_hundred_words(responses: Fixture, analyze: Fixture, value_of: Fixture) -> None:
    output = analyze(
        Hedging,
        [
            responses(f"p{i}", ["It is a fine day."], ["It may perhaps be a fine day. As an AI, I hope so."])
            for i in range(6)
        ],
    )
    assert value_of(output, "behaviour.hedging.density", "base").value == 0
    assert value_of(output, "behaviour.hedging.density", "trained").value == pytest.approx(100 * 2 / 13)
    assert value_of(output, "behaviour.hedging.self_reference").value == 1


FACTS = GenerationFacts(
    engine="e 1",
    template="chat",
    template_sha256="t",
    tokenizer_sha256="k",
    decoding={"temperature": 0.0, "top_p": 1.0, "max_new_tokens": 64},
    context=2048,
    properties={"dtype": "bfloat16"},
)


def _decoded(
    responses: Fixture, base: GenerationFacts | None, trained: GenerationFacts | None, **ends: Any
) -> list[Any]:
    facts = {name: side for name, side in (("base", base), ("trained", trained)) if side is not None}
    cut = ends.get("cut", 0)
    return [
        attrs.evolve(
            responses(
                f"p{i}",
                [Sample(index=0, text="a b c", finish="stop")],
                [Sample(index=0, text="a b d", finish="length" if i < cut else "stop")],
            ),
            facts=facts,
        )
        for i in range(30)
    ]


@pytest.mark.parametrize(
    ("base", "trained", "cut", "kind", "told"),
    [
        (FACTS, FACTS, 0, "pass", "equal on both sides in all 9 recorded facts"),
        (FACTS, attrs.evolve(FACTS, engine="e 2"), 0, "review", "engine e 1 and e 2"),
        (FACTS, attrs.evolve(FACTS, template="plain"), 0, "review", "template chat and plain"),
        (FACTS, attrs.evolve(FACTS, properties={"dtype": "float8"}), 0, "review", "dtype bfloat16 and float8"),
        (
            FACTS,
            attrs.evolve(FACTS, decoding={**(FACTS.decoding or {}), "max_new_tokens": 32}),
            0,
            "review",
            "64 and 32",
        ),
        (FACTS, attrs.evolve(FACTS, decoding={**(FACTS.decoding or {}), "top_p": 0.9}), 0, "pass", "equal"),
        (FACTS, FACTS, 12, "review", "0.0 % of base, 40.0 % of trained"),
        (FACTS, attrs.evolve(FACTS, tokenizer_sha256="x"), 0, "informational", "tokenizer k and x"),
        (
            FACTS,
            attrs.evolve(FACTS, template_sha256=None),
            0,
            "informational",
            "not recorded on both sides: chat_template",
        ),
        (
            GenerationFacts(engine="e", decoding={"max_tokens": 9}),
            GenerationFacts(engine="e", decoding={"max_tokens": 9}),
            0,
            "informational",
            "not recorded on both sides: temperature",
        ),
        (None, None, 0, "informational", "not recorded"),
        (GenerationFacts(engine="recorded"), GenerationFacts(engine="recorded"), 0, "informational", "on either side"),
    ],
)
def test_decoding_is_compared_fact_by_fact(
    base: Any, trained: Any, cut: int, kind: str, told: str, responses: Fixture, analyze: Fixture, judged: Fixture
) -> None:
    output = analyze(DecodingIdentity, _decoded(responses, base, trained, cut=cut))
    finding = judged(StyleJudge(StyleOptions()), output)["behaviour.decoding_mismatch"]
    assert (finding.kind, told in finding.message) == (kind, True), finding.message
    assert finding.level == {"review": "warning", "informational": "note", "pass": "none"}[kind]


def test_sampled_top_p_counts_and_token_limits_have_one_name() -> None:
    sampled = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 9}
    one = attrs.evolve(FACTS, decoding=sampled)
    other = attrs.evolve(FACTS, decoding={"temperature": 1.0, "top_p": 0.9, "max_new_tokens": 9})
    states = {fact.name: fact.state for fact in compare(one, other)}
    assert states["top_p"] == "differs" and states["max_new_tokens"] == "equal"


def test_shifts_carry_the_caveat_of_serving(responses: Fixture, analyze: Fixture, judged: Fixture) -> None:
    items = [
        attrs.evolve(item, trained=(Sample(index=0, text="a b c d e f g h"),), facts={"base": FACTS, "trained": side})
        for item in [responses(f"p{i}", ["a b"], ["x"]) for i in range(30)]
        for side in [attrs.evolve(FACTS, engine="e 2")]
    ]
    outputs = [analyze(lambda: Length(LengthOptions()), items), analyze(DecodingIdentity, items)]
    length = judged(StyleJudge(StyleOptions()), *outputs)["behaviour.length_shift"]
    assert length.kind == "informational" and "must not be put down to training" in length.message
    assert length.examples and length.examples[0].trained == "a b c d e f g h"
    without = judged(StyleJudge(StyleOptions()), outputs[0])["behaviour.length_shift"]
    assert "serving differs" not in without.message


def _all(responses_: list[Responses], analyze: Fixture) -> list[AnalyzerOutput]:
    return [analyze(_make(name), responses_) for name in SPECS]


def test_comparing_a_model_with_itself_passes_every_rule(responses: Fixture, analyze: Fixture, judged: Fixture) -> None:
    items = [attrs.evolve(i, facts={"base": FACTS, "trained": FACTS}) for i in _items(responses, same=True)]
    findings = judged(StyleJudge(StyleOptions()), *_all(items, analyze))
    assert set(findings) == {rule.id for rule in DETECTORS[0].rules}
    assert {f.kind for f in findings.values()} == {"pass"} and {f.level for f in findings.values()} == {"none"}


def test_few_prompts_are_undecided_and_say_what_would_decide(
    responses: Fixture, analyze: Fixture, judged: Fixture
) -> None:
    items = _items(responses, 8, samples=1)
    findings = judged(StyleJudge(StyleOptions()), *_all(items, analyze))
    for rule in ("behaviour.length_shift", "behaviour.format_shift", "behaviour.refusal_shift"):
        assert findings[rule].kind == "open", findings[rule].message
    message = findings["behaviour.length_shift"].message
    assert "smallest detectable effect ×" in message and "prompts would decide" in message


def test_planted_shifts_are_found_with_examples(responses: Fixture, analyze: Fixture, judged: Fixture) -> None:
    items = [
        responses(
            f"p{i:03}",
            ["It is a fine day for a walk in the park."],
            [
                "# Answer\n\n1. Open the door.\n2. Take a walk.\n3. Close the door."
                if i % 4
                else "I can't help with that."
            ],
            unsafe=i % 2 == 0,
        )
        for i in range(60)
    ]
    findings = judged(StyleJudge(StyleOptions()), *_all(items, analyze))
    told = {
        "behaviour.format_shift": "header +75.0 points",
        "behaviour.strategy_shift": "the most common was direct (100.0 %) and is step by step (75.0 %)",
        "behaviour.refusal_shift": "refusals of unsafe prompts +50.0 points",
    }
    for rule, text in told.items():
        assert findings[rule].kind == "informational" and text in findings[rule].message, findings[rule].message
        assert len(findings[rule].examples) == 3 and findings[rule].artifacts
    assert "I can't help" in str(findings["behaviour.refusal_shift"].examples[0].trained)
    withheld = judged(StyleJudge(StyleOptions()), *_all(items, analyze), excerpts=False)
    for finding in withheld.values():
        assert all(str(e.base).startswith("sha256:") for e in finding.examples)
        assert "park" not in repr(finding)
