"""Diff mining: known answers, planted tokens, identity, noise, and results that no order or division changes."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from afterburn_behaviour.mining.extremes import extremes, finite
from afterburn_behaviour.mining.judge import MiningJudge
from afterburn_behaviour.mining.measures import SIGNS
from afterburn_behaviour.mining.options import MiningRules
from afterburn_behaviour.mining.passages import place
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.result.model import Finding, Measurement, Scope

hand = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("mining_batches.py"))))
V = 320
PLANTED = (7, 41, 300)
"""Tokens whose logits the planted pair raises by 2; 12 is lowered."""


def base(passage: Any, tokens: torch.Tensor) -> torch.Tensor:
    return hand.noise(passage, (len(tokens), V), 0, 2.0)


def noisy(stream: int, scale: float = 0.3) -> Callable[[Any, torch.Tensor], torch.Tensor]:
    """The base with fresh noise at every position."""
    return lambda p, t: base(p, t) + hand.noise(p, (len(t), V), stream, scale)


def planted(p: Any, tokens: torch.Tensor) -> torch.Tensor:
    logits = noisy(1)(p, tokens)
    logits[:, list(PLANTED)] += 2.0
    logits[:, 12] -= 2.0
    return logits


def content(output: AnalyzerOutput) -> dict[str, Any]:
    (artifact,) = output.artifacts
    loaded: dict[str, Any] = json.loads(artifact.content)
    return loaded


def one(output: AnalyzerOutput, metric: str, token: int | None = None) -> Measurement:
    scope = Scope(token=token)
    (found,) = [m for m in output.measurements if m.metric == f"behaviour.diff_mining.{metric}" and m.scope == scope]
    return found


def judged(output: AnalyzerOutput, *, excerpts: bool = True, artifact: bool = True) -> Finding:
    read = {"behaviour.diff_mining": content(output)} if artifact and output.artifacts else {}
    evidence = Evidence(subjects=(), measurements=output.measurements, read_artifact=read.get, excerpts=excerpts)
    (found,) = MiningJudge(MiningRules())(evidence)
    return found


@pytest.mark.parametrize(("size", "k"), [(5000, 20), (4999, 20), (300, 20), (64, 64)])
@pytest.mark.parametrize("largest", [True, False])
def test_the_extremes_of_a_row_are_those_of_a_sort(size: int, k: int, largest: bool) -> None:
    rows = torch.randn(7, size, generator=torch.Generator().manual_seed(size))
    values, columns = extremes(rows, k, largest=largest)
    assert torch.equal(rows.gather(1, columns), values)
    expected = rows.sort(dim=1, descending=largest).values[:, :k]
    assert torch.equal(values.sort(dim=1, descending=largest).values, expected)
    assert all(len(set(row.tolist())) == k for row in columns)


def test_extremes_that_crowd_into_few_blocks_are_all_found() -> None:
    """All of the largest numbers in the columns of one block, where a shortcut by blocks could lose them."""
    rows = torch.zeros(1, 4096)
    rows[0, 5::256] = torch.arange(1.0, 17.0)  # 16 interleaved blocks of 256 columns: these 16 share one
    values, columns = extremes(rows, 10, largest=True)
    assert sorted(values[0].tolist()) == [float(v) for v in range(7, 17)]
    assert {c % 256 for c in columns[0].tolist()} == {5}


def test_a_token_that_one_side_rules_out_is_bounded_and_one_that_both_do_counts_for_nothing() -> None:
    inf = float("inf")
    d = torch.tensor([[-inf - -inf, 0.0 - -inf, -inf - 0.0, 0.25]])
    assert finite(d).tolist() == [[0.0, 104.0, -104.0, 0.25]]


def test_rates_means_and_spreads_are_those_of_a_reference_in_float64() -> None:
    texts = hand.passages(40, units=20)
    sides: dict[str, list[np.ndarray[Any, Any]]] = {"base": [], "trained": []}
    for p in texts:
        tokens = hand.tokens_of(p, 24, V)
        for name, side in (("base", base), ("trained", planted)):
            logits = side(p, tokens)[:-1].double().numpy()  # the last token has no target
            sides[name].append(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
    d = [t - b for b, t in zip(sides["base"], sides["trained"], strict=True)]
    k = V // 64
    gains = np.stack([(np.argsort(-x, axis=1)[:, :k, None] == np.arange(V)).any(1).mean(0) for x in d])  # (P, V)
    losses = np.stack([(np.argsort(x, axis=1)[:, :k, None] == np.arange(V)).any(1).mean(0) for x in d])
    mean = np.stack([x.mean(0) for x in d])
    squares = np.stack([(x**2).mean(0) for x in d])
    confirm = np.array([place(p.unit, "behaviour.diff_mining/3").confirm for p in texts])

    output = hand.mined(hand.batches(texts, base, planted))
    found = content(output)
    assert (found["extreme"], found["positions"], found["vocabulary"]) == (k, 40 * 23, V)
    assert found["units"] == {
        "discover": 20 - len({p.unit for p, c in zip(texts, confirm) if c}),
        "confirm": len({p.unit for p, c in zip(texts, confirm) if c}),
    }
    assert len(found["gains"]["tokens"]) == 40
    for token in found["gains"]["tokens"]:
        v = token["id"]
        assert token["rate"] == pytest.approx(gains[:, v].mean(), abs=1e-11)
        assert token["discovered"] == pytest.approx(gains[~confirm, v].mean(), abs=1e-11)
        assert token["confirmed"] == pytest.approx(gains[confirm, v].mean(), abs=1e-11)
        assert token["opposite"] == pytest.approx(losses[:, v].mean(), abs=1e-11)
        assert token["balance"] == pytest.approx((gains - losses)[confirm, v].mean(), abs=1e-11)
        assert token["log_ratio"] == pytest.approx(mean[confirm, v].mean(), abs=1e-6)
        assert token["spread"] == pytest.approx(np.sqrt(squares[:, v].mean() - mean[:, v].mean() ** 2), rel=1e-5)
    assert [t["rate"] for t in found["gains"]["tokens"]] == sorted(
        (t["rate"] for t in found["gains"]["tokens"]), reverse=True
    )
    # random groups of units: the interval of a mean holds it, and is about as wide as one over units
    low, high = next(t for t in found["gains"]["tokens"] if t["id"] == 7)["log_interval"]
    by_unit = [mean[[i for i, p in enumerate(texts) if p.unit == u], 7].mean() for u in {p.unit for p in texts}]
    width = 2 * 2.1 * np.std(by_unit, ddof=1) / np.sqrt(confirm.sum() / 2)
    assert low < mean[confirm, 7].mean() < high
    assert 0.3 * width < high - low < 3 * width


def test_planted_tokens_lead_the_list_and_are_found() -> None:
    output = hand.mined(hand.batches(hand.passages(40), base, planted))
    found = content(output)
    assert {t["id"] for t in found["gains"]["tokens"][:3]} == set(PLANTED)
    assert {t["id"] for t in found["gains"]["tokens"] if t["found"]} == set(PLANTED)
    assert found["losses"]["tokens"][0]["id"] == 12
    assert (one(output, "found_gains").value, one(output, "found_losses").value) == (3.0, 1.0)
    for v in PLANTED:
        rate, balance, ratio = (one(output, name, v) for name in ("gain_rate", "balance", "log_ratio"))
        assert rate.value is not None and rate.value > 0.9
        assert balance.test is not None and balance.test.p_adjusted is not None and balance.test.p_adjusted < 0.001
        assert ratio.interval is not None and 1.5 < ratio.interval.low < ratio.interval.high < 2.2
        assert rate.interval is not None and rate.interval.low <= rate.value <= rate.interval.high
    lost = one(output, "loss_rate", 12)
    assert lost.value is not None and lost.value > 0.9
    assert "no scrambled change was read" in (one(output, "found_gains").reason or "")


def test_a_scrambled_change_is_the_null_that_planted_tokens_stand_out_from() -> None:
    def scrambled(p: Any, tokens: torch.Tensor) -> torch.Tensor:
        """As large a change, of tokens that are moved all alike but less surely."""
        logits = noisy(2)(p, tokens)
        logits[:, 100:110] += 0.4
        return logits

    how = {"controls": {"control:scrambled": scrambled}}
    output = hand.mined(hand.batches(hand.passages(40), base, planted, **how))
    found = content(output)
    assert {t["id"] for t in found["gains"]["tokens"] if t["found"]} == set(PLANTED)
    rate = one(output, "gain_rate", 7)
    assert rate.null is not None and (rate.null.control, rate.null.n, rate.null.quantile) == ("scrambled", 2 * V, 1.0)
    assert rate.null.p_value == pytest.approx(1 / (2 * V + 1))
    assert rate.test is not None and rate.test.family == "behaviour.diff_mining.scrambled"
    null = found["scrambled"]
    assert null["gains"] == null["losses"]
    assert 0.05 < null["gains"] < 0.5  # the scrambled change's own favourites
    # against itself, a scrambled change has nothing that stands out, though its favourites move one way
    same = hand.mined(hand.batches(hand.passages(40), base, scrambled, **how))
    assert (one(same, "found_gains").value, one(same, "found_losses").value) == (0.0, 0.0)
    assert content(same)["gains"]["tokens"][0]["p_swapped"] < 0.05
    assert judged(same).kind == "pass"


def test_a_token_that_moves_both_ways_is_found_against_a_scrambled_change_and_said_to() -> None:
    def torn(p: Any, tokens: torch.Tensor) -> torch.Tensor:
        logits = noisy(1)(p, tokens)
        logits[:, 7] += 3.0 * torch.sign(hand.noise(p, (len(tokens),), 9))
        return logits

    texts = hand.passages(40)
    alone = hand.mined(hand.batches(texts, base, torn))
    assert 7 not in {t["id"] for t in content(alone)["gains"]["tokens"] if t["found"]}
    beside = hand.mined(hand.batches(texts, base, torn, controls={"control:scrambled": noisy(2)}))
    token = next(t for t in content(beside)["gains"]["tokens"] if t["id"] == 7)
    assert token["found"] and token["share_positive"] == pytest.approx(0.5, abs=0.1)
    assert "in both directions" in judged(beside).message


def test_equal_models_differ_in_nothing() -> None:
    output = hand.mined(hand.batches(hand.passages(30), base, base, controls={"control:scrambled": base}))
    for sign in SIGNS:
        assert one(output, f"found_{sign}").value == 0.0
        top = one(output, f"top_{sign}")
        assert top.value == 0.0 and top.interval is not None and (top.interval.low, top.interval.high) == (0.0, 0.0)
        assert top.test is not None and top.test.p_value == 1.0
        assert one(output, f"stability_{sign}").value is None
        assert content(output)[sign]["tokens"] == []
    assert content(output)["windows"] == {"raised": [], "lowered": []}
    finding = judged(output)
    assert (finding.kind, finding.level) == ("pass", "none")


def test_noise_is_found_no_more_often_than_the_level_says() -> None:
    """Forty runs at 5 %: more than six false alarms have a probability of .3 %."""
    alarms = 0
    for run in range(40):
        texts = hand.passages(24)
        pair = noisy(10 + run)
        output = hand.mined(
            hand.batches(texts, base, pair, length=10, per_batch=24, chunk=256), seed=run, candidates=20, topics=1
        )
        alarms += any((one(output, f"found_{sign}").value or 0.0) > 0 for sign in SIGNS)
    assert alarms <= 6


def test_an_additive_constant_in_the_logits_changes_nothing() -> None:
    texts = hand.passages(24)
    plain = content(hand.mined(hand.batches(texts, base, planted)))
    moved = content(
        hand.mined(hand.batches(texts, base, lambda p, t: planted(p, t) + 8.0 * torch.arange(len(t))[:, None]))
    )
    assert [t["id"] for t in plain["gains"]["tokens"][:3]] == [t["id"] for t in moved["gains"]["tokens"][:3]]
    for a, b in zip(plain["gains"]["tokens"][:3], moved["gains"]["tokens"][:3], strict=True):
        assert a["log_ratio"] == pytest.approx(b["log_ratio"], abs=1e-4)


def test_neither_the_order_of_batches_nor_their_division_changes_anything() -> None:
    texts = hand.passages(48, units=24)
    scrambled = {"control:scrambled": noisy(2)}
    parts = list(hand.batches(texts, base, planted, controls=scrambled))
    whole = hand.mined(iter(parts))
    backwards = hand.mined(reversed(parts))
    shards = [hand.analyzer(), hand.analyzer(), hand.analyzer()]
    for number, items in enumerate(parts):
        for item in items:
            shards[number % 3].observe(item)
    first, second, third = shards
    third.merge(first)
    third.merge(second)
    for other in (backwards, third.finish()):
        assert [m.id for m in other.measurements] == [m.id for m in whole.measurements]
        for mine, theirs in zip(whole.measurements, other.measurements, strict=True):
            assert theirs.value == pytest.approx(mine.value, rel=1e-12)
            assert theirs.test == mine.test and theirs.null == mine.null
            if mine.interval is not None and theirs.interval is not None:
                assert theirs.interval.low == pytest.approx(mine.interval.low, rel=1e-9)
        assert _rounded(content(other)) == _rounded(content(whole))


def _rounded(value: Any) -> Any:
    """Numbers to ten digits: sums over groups may differ in their last bits."""
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def test_chunks_of_any_size_give_the_same() -> None:
    texts = hand.passages(24)
    small, large = (content(hand.mined(hand.batches(texts, base, planted, chunk=size))) for size in (3, 500))
    for a, b in zip(small["gains"]["tokens"], large["gains"]["tokens"], strict=True):
        assert (a["id"], a["rate"], a["p_swapped"]) == (b["id"], b["rate"], b["p_swapped"])
        assert a["log_ratio"] == pytest.approx(b["log_ratio"], abs=1e-6)


def test_statistics_count_units_and_not_passages() -> None:
    output = hand.mined(hand.batches(hand.passages(60, units=20), base, planted))
    units = content(output)["units"]
    assert units["discover"] + units["confirm"] == 20
    assert one(output, "gain_rate", 7).n == units["confirm"]
    # raised at every position of every passage: what 20 units that agree leave open, not 60 passages
    interval = one(output, "gain_rate", 7).interval
    assert interval is not None and interval.method == "clopper_pearson"
    assert interval.low == pytest.approx(0.025 ** (1 / units["confirm"]))
    leading = next(t for t in content(output)["gains"]["tokens"] if not t["found"])
    assert leading["interval"][0] < leading["confirmed"] < leading["interval"][1]


def test_only_plain_text_is_mined() -> None:
    output = hand.mined(hand.batches(hand.passages(24, source="answer"), base, planted))
    assert not output.artifacts
    assert {m.status for m in output.measurements} == {"undefined"}
    assert judged(output).kind == "open"
    mixed = [*hand.passages(24), *(p for p in hand.passages(48, source="answer")[24:])]
    both = hand.mined(hand.batches(mixed, base, planted, per_batch=7))
    alone = hand.mined(hand.batches(hand.passages(24), base, planted))
    assert content(both)["positions"] == content(alone)["positions"] == 24 * 23
    assert [t["rate"] for t in content(both)["gains"]["tokens"]] == [
        t["rate"] for t in content(alone)["gains"]["tokens"]
    ]


def test_a_corpus_too_small_to_confirm_anything_leaves_the_question_open() -> None:
    output = hand.mined(hand.batches(hand.passages(8), base, planted))
    found = one(output, "found_gains")
    assert found.value is None and "of at least 6 each" in (found.reason or "")
    assert judged(output).kind == "open"
    assert not [m for m in output.measurements if m.scope.token is not None]


def test_no_more_than_one_token_in_sixty_four_counts_as_an_extreme() -> None:
    assert content(hand.mined(hand.batches(hand.passages(12), base, planted)))["extreme"] == V // 64
    assert content(hand.mined(hand.batches(hand.passages(12), base, planted), top=2))["extreme"] == 2


def test_the_finding_names_the_tokens_and_shows_them_in_context() -> None:
    output = hand.mined(hand.batches(hand.passages(40), base, planted))
    finding = judged(output)
    assert (finding.kind, finding.level) == ("informational", "note")
    assert "3 raised" in finding.message and "1 lowered" in finding.message
    assert all(f"‘ w{v}’" in finding.message for v in (*PLANTED, 12))
    assert finding.artifacts == ("behaviour.diff_mining",)
    assert finding.examples[0].trained is not None and finding.examples[0].trained.endswith("⟩")
    assert {m.id for m in output.measurements} >= set(finding.measurements)
    # judged again without the artifact: ids stand in for texts
    bare = judged(output, artifact=False)
    assert "token 7 at" in bare.message and not bare.examples


def test_contexts_are_the_text_before_the_position_where_a_token_rose_most() -> None:
    texts = hand.passages(24)
    found = content(hand.mined(hand.batches(texts, base, planted)))
    token = found["gains"]["tokens"][0]
    assert len(token["examples"]) == 3
    best = token["examples"][0]
    p = next(p for p in texts if p.id == best["passage"])
    tokens = hand.tokens_of(p, 24, V)
    d = torch.log_softmax(planted(p, tokens), -1) - torch.log_softmax(base(p, tokens), -1)
    row = int(d[:-1, token["id"]].argmax())
    assert best["log_ratio"] == pytest.approx(float(d[row, token["id"]]), abs=1e-5)
    assert best["context"] == "".join(f" w{v}" for v in tokens[max(0, row - 23) : row + 1].tolist())


def test_without_excerpts_no_text_but_single_tokens_appears() -> None:
    output = hand.mined(hand.batches(hand.passages(24), base, planted), excerpts=False)
    found = content(output)
    for sign in SIGNS:
        for token in found[sign]["tokens"]:
            assert all(e["context"].startswith("sha256:") for e in token["examples"])
    for window in (*found["windows"]["raised"], *found["windows"]["lowered"]):
        assert window["before"].startswith("sha256:")
        assert [t["text"][:7] for t in window["tokens"]] == ["sha256:"]
    assert "‘ w7’" in judged(output).message
    open_texts = hand.mined(hand.batches(hand.passages(24), base, planted))
    assert all(
        e.trained is not None and e.trained.startswith("sha256:") for e in judged(open_texts, excerpts=False).examples
    )


def test_a_sketch_of_the_base_marks_the_numbers_as_approximate() -> None:
    import attrs

    made = hand.analyzer()
    for items in hand.batches(hand.passages(24), base, planted):
        for item in items:
            made.observe(attrs.evolve(item, approximate=True) if hasattr(item, "approximate") else item)
    output = made.finish()
    assert all(m.approximate and "sketch" in (m.reason or "") for m in output.measurements if m.value is not None)
