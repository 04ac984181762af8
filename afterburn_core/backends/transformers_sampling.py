"""Which token comes next: filters as transformers defines them, and one draw by inverse CDF.

Scores are raw logits in float32, then, in this order and as in transformers' logits processors,

- repetition penalty ρ on tokens seen in the prompt or the answer: s < 0 ? s·ρ : s/ρ
- temperature: s / T
- top-k: keep s ≥ the k-th largest
- top-p: keep the fewest most probable tokens whose mass reaches p
- min-p: keep tokens of at least min_p times the largest probability

Greedy takes the largest score (the first of equals). Sampling takes the token whose interval of the cumulative
distribution over the vocabulary's order holds u, the sample's own uniform number of this step.

The same sequence in another batch has logits that differ by rounding. `Picked.undecided` marks rows whose token that
could change: where the two largest scores, u and an end of the interval, or a score and a filter's limit are that
close. The caller decides those from a forward pass of that sequence alone, which no batch can influence; so a batched
and an unbatched run write the same tokens by construction, not by luck.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
import torch

from afterburn_core.generation.model import Decoding


@attrs.frozen(kw_only=True)
class Margin:
    """How far rounding may move things between batches."""

    score: float = 2e-4
    """Difference of two scores, relative to the larger of 1 and the largest score."""
    mass: float = 3e-5
    """Difference of two cumulative probabilities, at temperature 1 or above."""


@attrs.frozen(kw_only=True)
class Picked:
    """One token for each row."""

    tokens: torch.Tensor
    """(rows,) int64."""
    logprobs: torch.Tensor
    """(rows,) float32: ln p of the token at temperature 1 from raw logits."""
    undecided: torch.Tensor
    """(rows,) bool: whether rounding could change the token."""


def uniforms(seed: int, count: int) -> np.ndarray:
    """(count,) numbers in [0, 1): the stream of one sample, whose step t uses the t-th whatever else runs.

    Philox counts, so the t-th number depends on the seed and t alone.
    """
    return np.random.Generator(np.random.Philox(key=seed)).random(count)


def penalised(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Scores after the repetition penalty of CTRL (arXiv:1909.05858): (rows, vocabulary)."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def filtered(scores: torch.Tensor, decoding: Decoding) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Scores with removed tokens at −∞, and which tokens rounding could move across a limit (`None`: no filter).

    Args:
        scores: (rows, vocabulary) after penalties, before temperature.
        decoding: temperature above 0, top_k, top_p, min_p.
    """
    scores = scores / decoding.temperature
    if not decoding.top_k and decoding.top_p >= 1.0 and decoding.min_p <= 0.0:
        return scores, None
    margin = Margin()
    near = torch.zeros_like(scores, dtype=torch.bool)
    if decoding.top_k:
        kept = torch.topk(scores, min(decoding.top_k, scores.shape[-1])).values[:, -1:]
        tied = (scores >= kept).sum(dim=-1, keepdim=True) > decoding.top_k  # equals of the k-th stay, all of them
        near |= _around(scores, kept, (scores < kept) | tied)
        scores = scores.masked_fill(scores < kept, -math.inf)
    if decoding.top_p < 1.0:
        ascending, order = torch.sort(scores, descending=False)
        mass = ascending.softmax(dim=-1).cumsum(dim=-1)
        removed = mass <= 1 - decoding.top_p
        close = (mass - (1 - decoding.top_p)).abs() < margin.mass
        removed[:, -1:] = False
        close[:, -1:] = False
        removed, close = (torch.zeros_like(part).scatter(1, order, part) for part in (removed, close))
        least = scores.masked_fill(removed, math.inf).amin(dim=-1, keepdim=True)
        near |= (close & (scores > -math.inf)) | _around(scores, least, removed & (scores > -math.inf))
        scores = scores.masked_fill(removed, -math.inf)
    if decoding.min_p > 0.0:
        probabilities = torch.softmax(scores, dim=-1)
        removed = probabilities < decoding.min_p * probabilities.amax(dim=-1, keepdim=True)
        removed.scatter_(-1, torch.topk(probabilities, 1, dim=-1).indices, False)
        limit = scores.amax(dim=-1, keepdim=True) + math.log(decoding.min_p)
        near |= (scores - limit).abs() < margin.score
        scores = scores.masked_fill(removed, -math.inf)
    return scores, near


def _around(scores: torch.Tensor, limit: torch.Tensor, removed: torch.Tensor) -> torch.Tensor:
    """Tokens on either side of a limit, where a removed one is so close that rounding could swap them."""
    width = Margin().score
    swapped = (removed & (scores > limit - width)).any(dim=-1, keepdim=True)
    return swapped & ((scores - limit).abs() < width)


def pick(logits: torch.Tensor, decoding: Decoding, *, draws: torch.Tensor | None, seen: torch.Tensor | None) -> Picked:
    """The next token of each row.

    Args:
        logits: (rows, vocabulary) float32.
        decoding: temperature 0 is greedy.
        draws: (rows,) float64 uniform numbers; `None` when greedy.
        seen: (rows, vocabulary) bool, tokens under the repetition penalty; `None` without one.
    """
    margin = Margin()
    scores = logits if seen is None else penalised(logits, seen, decoding.repetition_penalty)
    if draws is None:
        best = torch.topk(scores, min(2, scores.shape[-1])).values
        tokens = scores.argmax(dim=-1)
        gap = best[:, 0] - best[:, -1]
        undecided = (gap < margin.score * best[:, 0].abs().clamp(min=1.0)) & (scores.shape[-1] > 1)
    else:
        tokens, undecided = _draw(scores, decoding, draws)
    chosen = logits.gather(1, tokens[:, None])[:, 0]
    return Picked(tokens=tokens, logprobs=chosen - torch.logsumexp(logits, dim=-1), undecided=undecided)


def _draw(scores: torch.Tensor, decoding: Decoding, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    kept, near = filtered(scores, decoding)
    mass = torch.softmax(kept.double(), dim=-1)
    cumulative = mass.cumsum(dim=-1)
    point = draws[:, None].to(cumulative) * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, point, right=True)  # (rows, 1): the first whose interval ends beyond u
    last = scores.shape[-1] - 1 - (mass.flip(-1) > 0).to(torch.int8).argmax(dim=-1, keepdim=True)
    tokens = torch.minimum(tokens, last)
    end = cumulative.gather(1, tokens)
    room = torch.minimum(end - point, point - (end - mass.gather(1, tokens)))[:, 0]
    slack = torch.full_like(room, Margin().mass * max(1.0, 1.0 / decoding.temperature))
    if near is not None:  # what the tokens at a limit weigh is what their coming or going could move
        weights = torch.softmax(scores.double() / decoding.temperature, dim=-1)
        slack += 2 * (weights * near).sum(dim=-1) / (weights * (kept > -math.inf)).sum(dim=-1)
    return tokens[:, 0], room < slack
