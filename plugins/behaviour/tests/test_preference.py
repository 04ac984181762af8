"""Preferences between given continuations: formulas by hand, a tiny model against direct computation, identity."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("torch")
pytest.importorskip("afterburn_organisms")

from afterburn_behaviour.preference.analyzer import ARTIFACT, Preference
from afterburn_behaviour.preference.judge import PreferenceJudge
from afterburn_behaviour.preference.options import PreferenceJudgeOptions, PreferenceOptions
from afterburn_behaviour.preference.scores import Choice, Read, log_odds
from afterburn_behaviour.specs.preference import ANALYZERS
from afterburn_behaviour.suites.preferences import items
from afterburn_core.forward.continuations import continuation_passages
from afterburn_core.forward.encoded import Encoded
from afterburn_core.forward.model import CONTENT, TEMPLATE, Captured, ForwardBatch, Passage, TokenScores
from afterburn_core.forward.observing import scored_rows
from afterburn_core.forward.packing import pack
from afterburn_core.forward.rows import rows_of
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.probes.model import Probe
from afterburn_core.stats.contrast import Contrast, as_measurement
from afterburn_core.testing.forward import analyze_forward
from afterburn_organisms import demo_pair

PROMPT = 3  # tokens before every continuation
Scored = tuple[Encoded, Sequence[float], Sequence[float]]


def probe(number: int, preferred: int | None = 0, **fields: Any) -> Probe:
    """A prompt that lists its two continuations, so that both orders are read."""
    pair = {"continuations": [f"alpha{number}", f"omega{number}"]}
    said = pair if preferred is None else pair | {"preferred": preferred}
    prompt = f"Either alpha{number} or omega{number}?"
    return Probe(id=f"p{number:03d}", prompt=prompt, suite="s", properties=said, **fields)


def scored_passage(passage: Passage, base: Sequence[float], trained: Sequence[float]) -> Scored:
    """The passage with the −ln p of the tokens of its text under both sides."""
    ids = tuple(range(PROMPT + len(base)))
    encoded = Encoded(
        passage=passage, ids=ids, classes=bytes([TEMPLATE] * PROMPT + [CONTENT] * len(base)), text_start=PROMPT
    )
    return encoded, base, trained


def batches(scored: Sequence[Scored], budget: int = 40) -> list[ForwardBatch]:
    """Batches in which tokens of prompts score 50, so that none of them can go unnoticed."""
    by_id = {one.passage.id: (base, trained) for one, base, trained in scored}
    found = []
    for packed in pack([one for one, _, _ in scored], budget=budget):
        rows = rows_of(packed, "cpu", str)
        index = scored_rows(rows)
        nll = torch.full((2, len(index)), 50.0)
        for place, row in enumerate(index.tolist()):
            offset = int(rows.offset[row]) + 1
            if offset >= 0:
                for side in (0, 1):
                    nll[side, place] = by_id[rows.passages[int(rows.passage[row])].id][side][offset]
        none = torch.zeros(len(index))
        scores = TokenScores(
            **{
                **{name: none for name in TokenScores.__annotations__ if name != "bound"},
                "base_nll": nll[0],
                "trained_nll": nll[1],
            }
        )
        empty = Captured(sites={})
        found.append(ForwardBatch(rows=rows, base=empty, trained=empty, controls={}, scored=index, scores=scores))
    return found


def drawn(rng: np.random.Generator, count: int, move: float = 0.0, **fields: Any) -> list[Scored]:
    """Prompts whose continuations score at random; the preferred one gains `move` per token."""
    found = []
    for number in range(count):
        for passage in continuation_passages(probe(number, **fields)):
            length = 2 + passage.continuation if passage.continuation is not None else 0
            base = rng.uniform(1, 4, length)
            gain = move if passage.continuation == 0 else 0.0
            noise = rng.normal(0, 0.05, length) if move else np.zeros(length)
            found.append(scored_passage(passage, base.tolist(), (base - gain + noise).tolist()))
    return found


@pytest.fixture
def run(analyze: Callable[..., AnalyzerOutput]) -> Callable[..., AnalyzerOutput]:
    def go(observed: Sequence[ForwardBatch], **how: Any) -> AnalyzerOutput:
        return analyze(lambda: Preference(PreferenceOptions()), observed, **how)

    return go


def content(output: AnalyzerOutput) -> Mapping[str, Any]:
    (found,) = [a for a in output.artifacts if a.id == ARTIFACT]
    parsed: Mapping[str, Any] = json.loads(found.content)
    return parsed


def test_log_odds_are_the_logit_of_the_share_of_the_preferred() -> None:
    scores = [-1.0, -2.5, -0.3]
    share = [math.exp(s) / sum(map(math.exp, scores)) for s in scores]
    for p in range(3):
        assert log_odds(scores, p) == pytest.approx(math.log(share[p] / (1 - share[p])), rel=1e-12)
    assert log_odds([-900.0, -1000.0], 0) == pytest.approx(100.0)


def test_what_a_prompt_says_is_as_written_by_hand() -> None:
    def read(*sums: float, tokens: int) -> Read:
        return Read(tokens=tokens, sums=(sums[0], sums[1]))

    written = (read(-4.0, -2.0, tokens=2), read(-9.0, -9.0, tokens=3))
    reverse = (read(-6.0, -3.0, tokens=2), read(-6.0, -6.0, tokens=3))
    choice = Choice(probe=probe(1), orders=(written, reverse))
    assert choice.log_odds(0) == pytest.approx(((-2 + 3) + (-3 + 2)) / 2)
    assert choice.log_odds(1) == pytest.approx(((-1 + 3) + (-1.5 + 2)) / 2)
    assert choice.log_odds(0, whole=True) == pytest.approx(((-4 + 9) + (-6 + 6)) / 2)
    assert choice.order_effect(0) == pytest.approx(((-2 + 3) - (-3 + 2)) / 2)
    assert choice.values(1)["accuracy"] == 1.0 and choice.winner(1) == 0
    assert choice.values(0)["accuracy"] == 0.0  # equal means: the preferred one does not win
    one_order = Choice(probe=probe(1), orders=(written,))
    assert one_order.order_effect(0) is None


def test_the_change_of_odds_is_what_was_planted(
    run: Callable[..., AnalyzerOutput], value_of: Callable[..., Any]
) -> None:
    output = run(batches(drawn(np.random.default_rng(3), 40, move=0.4)))
    found = value_of(output, "behaviour.preference.log_odds")
    assert found.n == 40 and found.interval.low < 0.4 < found.interval.high and found.test.p_value < 1e-3
    assert value_of(output, "behaviour.preference.preferred_logprob").value == pytest.approx(0.4, abs=0.02)
    assert value_of(output, "behaviour.preference.other_logprob").value == pytest.approx(0.0, abs=0.02)
    accuracy = value_of(output, "behaviour.preference.accuracy")
    assert accuracy.value > 0.1 and accuracy.test.name == "mcnemar"
    order = value_of(output, "behaviour.preference.order_effect")
    assert order.interval.low < 0 < order.interval.high


def test_equal_sides_give_zero_and_nothing_is_found(
    run: Callable[..., AnalyzerOutput], judged: Callable[..., Any]
) -> None:
    output = run(batches(drawn(np.random.default_rng(4), 12)))
    pairs = [m for m in output.measurements if m.subjects == ("base", "trained")]
    assert {m.metric.split(".")[-1] for m in pairs} == {metric.id.split(".")[-1] for metric in ANALYZERS[0].metrics}
    for m in pairs:
        assert m.value == 0.0 and m.interval is not None and (m.interval.low, m.interval.high) == (0.0, 0.0)
        assert m.test is None or m.test.p_value == 1.0
    assert judged(PreferenceJudge(PreferenceJudgeOptions()), output)["behaviour.preference_shift"].kind == "pass"


def test_order_of_batches_division_and_merge_change_nothing(run: Callable[..., AnalyzerOutput]) -> None:
    scored = drawn(np.random.default_rng(5), 15, move=0.2)
    once = run(batches(scored, budget=10_000))
    other = run(batches(scored[::-1], budget=12)[::-1], parts=3)
    assert once.measurements == other.measurements
    assert [a.content for a in once.artifacts] == [a.content for a in other.artifacts]


def test_a_prompt_with_a_continuation_missing_is_left_out_and_counted(
    run: Callable[..., AnalyzerOutput], value_of: Callable[..., Any]
) -> None:
    scored = drawn(np.random.default_rng(6), 8, move=0.3)
    short = [one for one in scored if one[0].passage.id != "p003/continuation/1"]
    found = value_of(run(batches(short)), "behaviour.preference.log_odds")
    assert found.n == 7 and "1 prompt of which a continuation was not read" in (found.reason or "")
    swapped = [one for one in scored if one[0].passage.id != "p003/continuation/1/swapped"]
    assert value_of(run(batches(swapped)), "behaviour.preference.log_odds").n == 8


def test_prompts_of_one_unit_count_once(run: Callable[..., AnalyzerOutput], value_of: Callable[..., Any]) -> None:
    rng = np.random.default_rng(8)
    scored = drawn(rng, 12, move=0.3, group="g")
    assert value_of(run(batches(scored)), "behaviour.preference.log_odds").n == 1


def test_without_a_preferred_one_there_are_no_odds_but_flips(
    run: Callable[..., AnalyzerOutput], value_of: Callable[..., Any]
) -> None:
    output = run(batches(drawn(np.random.default_rng(7), 30, move=2.0, preferred=None)))
    found = value_of(output, "behaviour.preference.log_odds")
    assert found.status == "undefined" and "preferred" in (found.reason or "")
    flips = value_of(output, "behaviour.preference.flip_rate")
    assert flips.n == 30 and flips.value > 0.1 and flips.interval is not None
    assert value_of(run([]), "behaviour.preference.log_odds").status == "undefined"


def test_no_text_is_kept_without_excerpts(run: Callable[..., AnalyzerOutput]) -> None:
    observed = batches(drawn(np.random.default_rng(9), 6, move=0.3))
    assert "alpha3" in json.dumps(content(run(observed)))
    for output in (run(observed, excerpts=False),):
        written = json.dumps(content(output)) + repr(output.measurements)
        assert "alpha" not in written and "Either" not in written and "sha256:" in written


def test_the_finding_tells_the_shift_and_shows_the_prompts_that_moved_most(
    run: Callable[..., AnalyzerOutput], judged: Callable[..., Any]
) -> None:
    output = run(batches(drawn(np.random.default_rng(10), 40, move=0.6)))
    (finding,) = judged(PreferenceJudge(PreferenceJudgeOptions()), output).values()
    assert finding.kind == "informational" and "log-odds of the preferred" in finding.message
    assert finding.examples and finding.examples[0].label.startswith("p0")
    odds = [p["trained"]["log_odds"] - p["base"]["log_odds"] for p in content(output)["prompts"]]
    assert sorted(map(abs, odds), reverse=True) == list(map(abs, odds))


def test_a_tiny_model_agrees_with_direct_computation() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base, trained = demo_pair()
    probes = list(items(0, 12))
    passages = [passage for one in probes for passage in continuation_passages(one)]
    output = analyze_forward(ANALYZERS[0], base, trained, passages)
    prompts = {row["id"]: row for row in content(output)["prompts"]}
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    for name, path in (("base", base), ("trained", trained)):
        model = AutoModelForCausalLM.from_pretrained(path, local_files_only=True, dtype=torch.float64).eval()
        for one in probes:
            turns = [{"role": "user", "content": one.text}]
            prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            got = prompts[one.id]
            if got["orders"] == 2:  # the artifact holds means over both orders
                continue
            for text, row in zip(one.properties["continuations"], got["continuations"], strict=True):
                ids = tokenizer(prompt + text, add_special_tokens=False)["input_ids"]
                assert ids[: len(before)] == before
                with torch.inference_mode():
                    logs = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
                wanted = sum(float(logs[t - 1, ids[t]]) for t in range(len(before), len(ids)))
                assert row["tokens"] == len(ids) - len(before)
                assert row[name]["sum"] == pytest.approx(wanted, rel=2e-4)
                assert row[name]["mean"] == pytest.approx(wanted / row["tokens"], rel=2e-4)
    assert {row["orders"] for row in prompts.values()} == {1, 2}


def test_pairs_of_the_suite_are_balanced_and_differ() -> None:
    probes = list(items(2, 200))
    firsts = sum(one.properties["preferred"] == 0 for one in probes)
    assert 70 <= firsts <= 130
    assert {one.category for one in probes} == {"agreement", "candour", "facts", "brevity"}
    assert all(len(set(one.properties["continuations"])) == 2 for one in probes)


def test_artifact_is_small_and_finite(run: Callable[..., AnalyzerOutput], tmp_path: Path) -> None:
    output = run(batches(drawn(np.random.default_rng(11), 150, move=0.3)))
    (found,) = output.artifacts
    assert len(json.loads(found.content)["prompts"]) == PreferenceOptions().kept
    assert len(found.content) < 100_000 and b"NaN" not in found.content and b"Infinity" not in found.content


def test_how_models_were_served_is_no_caveat_of_texts_that_nobody_wrote(
    run: Callable[..., AnalyzerOutput], judged: Callable[..., Any]
) -> None:
    """Both sides read the same tokens, so a difference in decoding explains nothing."""
    output = run(batches(drawn(np.random.default_rng(12), 40, move=0.6)))
    differing = as_measurement(Contrast(n=1, estimate=2.0, reason="temperature"), "behaviour.decoding.differing")
    served = AnalyzerOutput(measurements=(*output.measurements, differing), artifacts=output.artifacts)
    (finding,) = judged(PreferenceJudge(PreferenceJudgeOptions()), served).values()
    assert finding.kind == "informational" and "serving" not in finding.message
