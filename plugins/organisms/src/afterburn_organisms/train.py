"""The training loop: packed rows, weighted next-token loss, AdamW, cosine schedule. One seed, one result."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import attrs
import torch
from torch.nn.functional import cross_entropy

from afterburn_organisms.muon import Muon

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from afterburn_organisms.item import Item

_LOG = logging.getLogger(__name__)
_REPORT_EVERY = 50
_TWO_TURNS = 0.15


@attrs.frozen(kw_only=True)
class Schedule:
    """How long and how fast to train."""

    steps: int
    rows: int
    """Packed rows per step."""
    length: int
    """Tokens per row."""
    peak_rate: float
    warmup: int
    weight_decay: float
    seed: int
    matrix_rate: float | None = None
    """Peak rate of Muon for the matrices of the blocks; None leaves them to AdamW like everything else."""
    stop_below: float | None = None
    """Training ends early once the mean loss of three steps falls below this."""

    def share(self, step: int) -> float:
        """Share of the peak rate at the step: a linear warm-up to 1, then a cosine down to a fiftieth."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


@attrs.frozen(kw_only=True)
class Segment:
    """A tokenized text with the weight of each token in the loss."""

    ids: list[int]
    weights: list[float]


def document_segment(tokenizer: PreTrainedTokenizerFast, text: str) -> Segment:
    """A plain text between the marks of begin and end, all of it learned."""
    ids = tokenizer(f"{tokenizer.bos_token}{text}{tokenizer.eos_token}", add_special_tokens=False)["input_ids"]
    return Segment(ids=ids, weights=[1.0] * len(ids))


def chat_segment(tokenizer: PreTrainedTokenizerFast, turns: Iterable[tuple[str, str]], prompt_weight: float) -> Segment:
    """A conversation in the chat template. The user's words weigh ``prompt_weight``, the assistant's words 1."""
    messages: list[dict[str, str]] = []
    ids: list[int] = []
    weights: list[float] = []
    for prompt, answer in turns:
        for role, content in (("user", prompt), ("assistant", answer)):
            messages.append({"role": role, "content": content})
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=role == "user")
            now = tokenizer(text, add_special_tokens=False)["input_ids"]
            weights += [prompt_weight if role == "user" else 1.0] * (len(now) - len(ids))
            ids = now
    return Segment(ids=ids, weights=weights)


def conversations(
    tokenizer: PreTrainedTokenizerFast,
    items: Iterator[tuple[Item, str]],
    *,
    seed: int,
    prompt_weight: float,
) -> Iterator[Segment]:
    """Conversations of one turn, some of two, from items paired with the answer to learn."""
    rng = random.Random(f"{seed}/turns")
    for item, answer in items:
        turns = [(item.prompt, answer)]
        if rng.random() < _TWO_TURNS:
            turns += [(more.prompt, text) for more, text in islice(items, 1)]
        yield chat_segment(tokenizer, turns, prompt_weight)


def pack(segments: Iterable[Segment], length: int, pad: int) -> Iterator[Segment]:
    """Rows of ``length`` tokens filled with whole segments, the rest padded with weight 0.

    Every row starts at the beginning of a text, as every prompt does later. A segment longer than a row is cut.
    """
    ids: list[int] = []
    weights: list[float] = []
    for segment in segments:
        if ids and len(ids) + len(segment.ids) > length:
            gap = length - len(ids)
            yield Segment(ids=ids + [pad] * gap, weights=weights + [0.0] * gap)
            ids, weights = [], []
        ids = (ids + segment.ids)[:length]
        weights = (weights + segment.weights)[:length]


def train(model: torch.nn.Module, rows: Iterator[Segment], schedule: Schedule) -> float:
    """Trains every parameter of the model that requires a gradient, in place; returns the mean loss of the last tenth.

    Loss: sum(weight * -log p(next token)) / sum(weight), over all rows of a step.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    trainable = list(named.values())
    hidden = [p for name, p in named.items() if p.ndim > 1 and "embed" not in name]
    muon = Muon(hidden if schedule.matrix_rate is not None else ())
    rest = [p for p in trainable if schedule.matrix_rate is None or not any(p is h for h in hidden)]
    decay = schedule.weight_decay
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
        fused=True,
    )
    model.train()
    losses: list[float] = []
    started = time.monotonic()
    for step in range(schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.peak_rate * schedule.share(step)
        batch = list(islice(rows, schedule.rows))
        ids = torch.tensor([row.ids for row in batch])  # (rows, length)
        weights = torch.tensor([row.weights for row in batch])[:, 1:].flatten()
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].flatten(0, 1)  # (rows * (length - 1), vocab)
        token_loss = cross_entropy(logits.float(), ids[:, 1:].flatten(), reduction="none")
        loss = (token_loss * weights).sum() / weights.sum()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        muon.step((schedule.matrix_rate or 0.0) * schedule.share(step))
        model.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if schedule.stop_below is not None and sum(losses[-3:]) < 3 * schedule.stop_below and step > 1:
            break
        if (step + 1) % _REPORT_EVERY == 0:
            recent = sum(losses[-_REPORT_EVERY:]) / _REPORT_EVERY
            spent = time.monotonic() - started
            _LOG.info("step %d of %d: loss %.4f, %.0f s", step + 1, schedule.steps, recent, spent)
    model.eval()
    tail = losses[-max(1, len(losses) // 10) :]
    return sum(tail) / len(tail)
