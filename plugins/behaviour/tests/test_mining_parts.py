"""The parts of diff mining: bounded lists, sampling, topics, stretches of text."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from afterburn_behaviour.mining import analyzer as analyzer_module
from afterburn_behaviour.mining.candidates import table
from afterburn_behaviour.mining.passages import Kept, Leading, Sample, leading, place
from afterburn_behaviour.mining.sums import GROUPS, UNIT, Rates, weights
from afterburn_behaviour.mining.topics import factorise
from afterburn_behaviour.mining.windows import Extreme, look, windows

hand = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("mining_batches.py"))))
V = 320


def empty() -> Leading:
    nothing = np.zeros(0, dtype=np.int64)
    return leading(nothing, nothing, nothing, np.zeros(0, dtype=np.float32))


def kept(number: int, key: str = "k") -> Kept:
    return Kept(
        id=f"p{number:05d}",
        unit=f"u{number // 2}",
        place=place(f"u{number // 2}", key),
        n=4,
        tokens=np.zeros(4, dtype=np.int32),
        signs=(empty(), empty()),
    )


def test_a_list_keeps_the_commonest_tokens_and_says_what_it_left_out() -> None:
    tokens, counts = np.arange(10), np.array([3, 9, 1, 9, 5, 2, 2, 8, 2, 1])
    found = leading(tokens, counts, np.arange(10) * 10, np.arange(10, dtype=np.float32), most=5)
    assert found.tokens.tolist() == [0, 1, 3, 4, 7]
    assert found.counts.tolist() == [3, 9, 9, 5, 8]
    assert found.rows.tolist() == [0, 10, 30, 40, 70]
    assert found.cut == 2
    counted, listed = found.counts_of(np.array([1, 2, 7, 9]))
    assert counted.tolist() == [9, 0, 8, 0] and listed.tolist() == [True, False, True, False]
    assert leading(tokens, counts, tokens, np.zeros(10, dtype=np.float32), most=10).cut == 0


def test_what_cut_lists_may_hide_is_bounded() -> None:
    """True rates lie between the estimate and the estimate with its bound."""
    rng = np.random.default_rng(4)
    true = rng.integers(0, 30, (50, 40))  # (passages, tokens)
    passages = []
    for number, row in enumerate(true):
        tokens = np.flatnonzero(row)
        cut = leading(tokens, row[tokens], tokens, np.zeros(len(tokens), dtype=np.float32), most=15)
        passages.append(attrs.evolve(kept(number), n=30, signs=(cut, empty())))
    found = table(passages, np.arange(40))
    exact = (true / 30).mean(axis=0)
    estimate, bound = found.rates[0].mean(axis=0), found.unseen[0]
    assert (estimate <= exact + 1e-12).all() and (exact <= estimate + bound + 1e-12).all()
    assert (bound > 0).all() and (found.unseen[1] == 0).all()


def test_the_sample_is_of_the_smallest_hashes_whatever_the_order_or_division() -> None:
    everything = [kept(number) for number in range(1000)]
    expected = sorted(sorted(everything, key=lambda k: (k.place.order, k.id))[:50], key=lambda k: k.id)
    rng = np.random.default_rng(1)
    for _ in range(3):
        shards = [Sample(most=50) for _ in range(3)]
        for number in rng.permutation(1000).tolist():
            one, shard = everything[number], shards[int(rng.integers(3))]
            if shard.wants(one.place.order, one.id):
                shard.add(one)
                assert len(shard._kept) <= 100
        for other in shards[1:]:
            shards[0].take_in(other)
        assert [k.id for k in shards[0]] == [k.id for k in expected]


def test_units_are_dealt_to_halves_and_groups_by_name_and_key_alone() -> None:
    places = [place(f"u{i}", "k") for i in range(2000)]
    confirm = [p for p in places if p.confirm]
    assert 0.45 < len(confirm) / 2000 < 0.55
    assert {p.group for p in places if not p.confirm} == {GROUPS}
    sizes = np.bincount([p.group for p in confirm], minlength=GROUPS)
    assert sizes.min() > 0.5 * sizes.mean() and sizes.max() < 1.7 * sizes.mean()
    assert places[3] == place("u3", "k") != place("u3", "another")


def test_rates_in_fixed_point_have_the_same_sum_in_every_order() -> None:
    rng = np.random.default_rng(2)
    n = rng.integers(1, 500, 300)
    counts = np.array([rng.integers(0, size + 1) for size in n])
    worth = weights(n)
    totals = []
    for order in (np.arange(300), rng.permutation(300)):
        rates = Rates.empty(1)
        for p in order.tolist():
            rates.add(0, 0, np.array([0]), np.array([counts[p] * worth[p]]))
        rates.passages[0] = 300
        totals.append(rates)
    assert totals[0].total[0, 0, 0] == totals[1].total[0, 0, 0]
    assert totals[0].of_half(0, 0)[0] == pytest.approx((counts / n).mean(), abs=1e-9)
    assert weights(np.array([0, 1])).tolist() == [0, UNIT]


def test_a_matrix_of_three_topics_is_found_again() -> None:
    rng = np.random.default_rng(5)
    w, h = rng.random((60, 3)), np.zeros((3, 30))
    for k in range(3):  # each topic has tokens of its own, so that the factors are unique
        h[k, 10 * k : 10 * k + 10] = 0.2 + rng.random(10)
    x = w @ h
    found = factorise(x, 3, seed=1, iterations=2000, tolerance=1e-12)
    assert found is not None and found.error < 1e-5
    assert (found.w >= 0).all() and (found.h >= 0).all()
    assert np.allclose(found.h.sum(axis=1), 1.0) and found.share.sum() == pytest.approx(1.0)
    assert np.abs(found.w @ found.h - x).max() < 1e-2 * x.max()
    blocks = {tuple(np.argsort(-row)[:10] // 10) for row in found.h}
    assert blocks == {(k,) * 10 for k in range(3)}
    assert found.share.tolist() == sorted(found.share.tolist(), reverse=True)


def test_topics_of_noise_keep_the_error_falling_and_repeat_with_their_seed() -> None:
    x = np.random.default_rng(6).random((40, 25))
    errors = []
    for iterations in (10, 40, 160):
        one = factorise(x, 3, seed=2, starts=1, iterations=iterations, tolerance=0.0)
        assert one is not None
        errors.append(one.error)
    assert errors == sorted(errors, reverse=True)
    a, b = factorise(x, 3, seed=2), factorise(x, 3, seed=2)
    assert a is not None and b is not None and np.array_equal(a.h, b.h)


def test_no_topics_where_there_is_nothing_to_divide() -> None:
    assert factorise(np.zeros((5, 5)), 3, seed=1) is None
    assert factorise(np.ones((2, 5)), 3, seed=1) is None
    with pytest.raises(ValueError, match="negative"):
        factorise(np.array([[1.0, -1.0]]), 1, seed=1)


def test_windows_are_sums_over_stretches_and_a_short_passage_is_one() -> None:
    ratios = np.array([1.0, -2.0, 3.0, 4.0, -1.0])
    sums, length = windows(ratios, 2)
    assert sums.tolist() == [-1.0, 1.0, 7.0, 3.0] and length == 2
    sums, length = windows(ratios, 9)
    assert sums.tolist() == [5.0] and length == 5


def test_the_most_extreme_stretches_are_kept_of_whatever_was_seen_first() -> None:
    rng = np.random.default_rng(7)
    passages = [(f"p{i}", rng.standard_normal(30)) for i in range(60)]
    tokens = np.arange(30)
    expected = sorted(((max(windows(r, 8)[0]), p) for p, r in passages), reverse=True)[:5]
    for order in (passages, passages[::-1]):
        stores = Extreme(largest=True), Extreme(largest=False)
        for name, ratios in order:
            look(name, ratios, tokens, tokens + 1, 8, stores)
        assert [(w.total, w.passage) for w in stores[0].kept] == expected
        assert all(w.total < 0 for w in stores[1].kept) and len(stores[1].kept) == 5
    best = stores[0].kept[0]
    assert best.tokens == tuple(range(best.start + 1, best.start + 9))
    assert sum(best.ratios) == pytest.approx(best.total)
    assert best.before[-1] == best.start  # the token just before the window


def test_a_stretch_that_was_made_likelier_is_shown() -> None:
    """One passage whose actual tokens 8 … 15 the trained side expects."""

    def base(p: Any, tokens: torch.Tensor) -> torch.Tensor:
        return hand.noise(p, (len(tokens), V), 0)

    def trained(p: Any, tokens: torch.Tensor) -> torch.Tensor:
        logits = base(p, tokens) + hand.noise(p, (len(tokens), V), 1, 0.05)
        if p.id == "p0005":
            for row in range(7, 15):
                logits[row, tokens[row + 1]] += 4.0
        return logits

    found = hand.mined(hand.batches(hand.passages(12), base, trained), window=8)
    (artifact,) = found.artifacts
    first = json.loads(artifact.content)["windows"]["raised"][0]
    assert (first["passage"], first["start"]) == ("p0005", 7)
    tokens = hand.tokens_of(hand.passages(12)[5], 24, V)
    assert [t["text"] for t in first["tokens"]] == [f" w{v}" for v in tokens[8:16].tolist()]
    assert first["log_ratio"] == pytest.approx(sum(t["log_ratio"] for t in first["tokens"]))
    assert first["log_ratio"] > 25


def test_tokens_that_rise_together_are_a_topic() -> None:
    groups = ((3, 4, 5, 6), (100, 101, 102, 103), (200, 201, 202, 203))

    def base(p: Any, tokens: torch.Tensor) -> torch.Tensor:
        return hand.noise(p, (len(tokens), V), 0)

    def trained(p: Any, tokens: torch.Tensor) -> torch.Tensor:
        logits = base(p, tokens) + hand.noise(p, (len(tokens), V), 1, 0.05)
        logits[:, list(groups[int(p.id[1:]) % 3])] += 2.0
        return logits

    found = hand.mined(hand.batches(hand.passages(36), base, trained))
    (artifact,) = found.artifacts
    topics = json.loads(artifact.content)["gains"]["topics"]
    assert {frozenset(t["id"] for t in topic["tokens"][:4]) for topic in topics} == {frozenset(g) for g in groups}


def test_no_list_grows_with_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for 20 passages, 120 leave sums of the size of the vocabulary, 20 lists and 10 stretches."""
    monkeypatch.setattr(analyzer_module, "Sample", lambda: Sample(most=20))

    def base(p: Any, tokens: torch.Tensor) -> torch.Tensor:
        return hand.noise(p, (len(tokens), V), 0)

    def trained(p: Any, tokens: torch.Tensor) -> torch.Tensor:
        logits = base(p, tokens) + hand.noise(p, (len(tokens), V), 1, 0.3)
        logits[:, 7] += 2.0
        return logits

    sizes = []
    for count in (60, 120):
        made = hand.analyzer()
        for items in hand.batches(hand.passages(count), base, trained, length=10):
            for item in items:
                made.observe(item)
        arrays = made._rates["trained"].total.size + made._differences.by_group.size + made._differences.squares.size
        sizes.append((arrays, len(list(made._sample)), sum(len(s.kept) for s in made._windows)))
        (artifact,) = made.finish().artifacts
        content = json.loads(artifact.content)
        assert content["passages"] == {"read": count, "kept": 20}
        assert content["gains"]["tokens"][0]["id"] == 7
    assert sizes[0] == sizes[1] == (4 * V + (GROUPS + 2) * V, 20, 10)
