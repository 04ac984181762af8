"""The choice of a token: filters equal transformers' own processors, draws follow the distribution, ties are seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from afterburn_core.backends.transformers_sampling import filtered, penalised, pick, uniforms
from afterburn_core.generation.model import Decoding

_CASES: list[dict[str, Any]] = [
    {"temperature": 0.3},
    {"temperature": 1.0, "top_k": 5},
    {"temperature": 1.0, "top_k": 500},
    {"temperature": 0.7, "top_p": 0.9},
    {"temperature": 1.3, "min_p": 0.05},
    {"temperature": 0.9, "top_k": 40, "top_p": 0.8, "min_p": 0.1},
    {"temperature": 1.0, "top_p": 0.001},
    {"temperature": 1.0, "top_k": 20, "repetition_penalty": 1.3},
    {"temperature": 1.5, "top_p": 0.95, "repetition_penalty": 0.8},
]


def logits(rows: int = 40, vocabulary: int = 200, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, scale, (rows, vocabulary)).astype(np.float32))


def theirs(scores: torch.Tensor, ids: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """The same decoding through transformers' processors, in the order in which `generate` applies them."""
    if decoding.repetition_penalty != 1.0:
        scores = RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty)(ids, scores)
    scores = TemperatureLogitsWarper(decoding.temperature)(ids, scores)
    if decoding.top_k:
        scores = TopKLogitsWarper(decoding.top_k)(ids, scores)
    if decoding.top_p < 1:
        scores = TopPLogitsWarper(decoding.top_p)(ids, scores)
    if decoding.min_p > 0:
        scores = MinPLogitsWarper(decoding.min_p)(ids, scores)
    return scores


@pytest.mark.parametrize("case", _CASES, ids=lambda case: "-".join(f"{k}={v}" for k, v in case.items()))
@pytest.mark.parametrize("ties", [False, True])
def test_filtered_scores_are_those_of_transformers(case: dict[str, Any], ties: bool) -> None:
    decoding = Decoding(**case)
    raw = logits().round() if ties else logits()
    ids = torch.from_numpy(np.random.default_rng(1).integers(0, 200, (40, 30)))
    seen = torch.zeros(raw.shape, dtype=torch.bool).scatter(1, ids, True)
    scores = raw if decoding.repetition_penalty == 1.0 else penalised(raw, seen, decoding.repetition_penalty)
    kept, _ = filtered(scores, decoding)
    assert torch.equal(kept, theirs(raw, ids, decoding))


@pytest.mark.parametrize("case", _CASES[:6])
def test_draws_follow_the_filtered_distribution(case: dict[str, Any]) -> None:
    decoding = Decoding(**case)
    row = logits(rows=1, vocabulary=30)
    wanted = theirs(row, torch.zeros((1, 1), dtype=torch.long), decoding).softmax(-1)[0].double().numpy()
    n = 20_000
    draws = torch.from_numpy(uniforms(5, n))
    tokens = pick(row.expand(n, -1), decoding, draws=draws, seen=None).tokens.numpy()
    counts = np.bincount(tokens, minlength=30)
    assert counts[wanted == 0].sum() == 0
    expected = wanted[wanted > 0] * n
    frequent = expected >= 5
    statistic = float(((counts[wanted > 0] - expected)[frequent] ** 2 / expected[frequent]).sum())
    assert statistic < frequent.sum() + 5 * math.sqrt(2 * frequent.sum())


def test_the_logprob_is_that_of_the_raw_logits_at_temperature_one() -> None:
    scores = logits()
    decoding = Decoding(temperature=0.2, top_k=3, repetition_penalty=1.2)
    seen = torch.zeros(scores.shape, dtype=torch.bool)
    picked = pick(scores, decoding, draws=torch.full((40,), 0.5, dtype=torch.float64), seen=seen)
    wanted = torch.log_softmax(scores.double(), -1).gather(1, picked.tokens[:, None])[:, 0]
    assert torch.allclose(picked.logprobs.double(), wanted, atol=1e-5)


def test_greedy_takes_the_largest_and_the_penalty_counts() -> None:
    scores = torch.tensor([[2.0, 1.9, -1.0], [-1.0, -1.5, -3.0]])
    assert pick(scores, Decoding(), draws=None, seen=None).tokens.tolist() == [0, 0]
    seen = torch.tensor([[True, False, False], [True, False, False]])
    penalised_once = pick(scores, Decoding(repetition_penalty=2.0), draws=None, seen=seen)
    assert penalised_once.tokens.tolist() == [1, 1]


def test_every_choice_that_rounding_changes_was_marked() -> None:
    """Scores are moved as much as batches move them; each row that then picks another token must be undecided."""
    rng = np.random.default_rng(3)
    for case in [{"temperature": 0.0}, *_CASES[:6], _CASES[1]] * 2:
        decoding = Decoding(**case)
        scores = logits(rows=3000, vocabulary=60, seed=4, scale=1.0)
        scores[:, 1] = scores[:, 0] + torch.from_numpy(rng.normal(0, 3e-5, 3000).astype(np.float32))
        draws = None
        if decoding.temperature > 0:
            draws = torch.from_numpy(rng.random(3000))
        first = pick(scores, decoding, draws=draws, seen=None)
        moved = scores + torch.from_numpy(rng.uniform(-1e-5, 1e-5, scores.shape).astype(np.float32))
        second = pick(moved, decoding, draws=draws, seen=None)
        changed = first.tokens != second.tokens
        assert bool((~changed | (first.undecided & second.undecided)).all()), case
        if decoding.temperature == 0:
            assert int(changed.sum()) > 0  # otherwise nothing was tested
        assert float(first.undecided.float().mean()) < 0.2


def test_the_stream_of_a_sample_depends_on_its_seed_and_step_alone() -> None:
    long, short = uniforms(12, 100), uniforms(12, 10)
    assert np.array_equal(long[:10], short)
    assert not np.array_equal(uniforms(13, 10), short)
    assert ((long >= 0) & (long < 1)).all()
