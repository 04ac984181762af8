"""Reinforcement learning on the small world: group-relative policy optimisation of a LoRA adapter.

Shao et al., "DeepSeekMath", arXiv 2402.03300, with the constant normaliser of Liu et al., "Understanding R1-Zero-Like
Training", arXiv 2503.20783, so that long answers weigh no less per token than short ones. For each prompt a group of G
answers is sampled; with rewards r_1 … r_G and the tokens t of answer i

    A_i  = (r_i − mean r) / (sd r + ε)                                advantages within the group
    ρ_it = π(t) / π_old(t)                                            1 in the first update after sampling
    L    = − Σ_i Σ_t min(ρ_it A_i, clip(ρ_it, 1 − c, 1 + c) A_i) / (N · L_max)  +  β · KL

with N answers of at most L_max tokens and KL the estimator exp(d) − d − 1, d = log π_base(t) − log π(t).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch.nn.functional import log_softmax

from afterburn_organisms.item import Item

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerFast

_LOG = logging.getLogger(__name__)
_REPORT_EVERY = 10
_SD_FLOOR = 1e-4
_PART = 4
"""Prompts whose answers are read together in an update."""
_COMPACT_BELOW = 0.6
"""Finished answers leave the batch when fewer than this share of its rows are still being written."""


@attrs.frozen(kw_only=True)
class Rollout:
    """One sampled answer."""

    item: Item
    text: str
    tokens: int
    """Tokens before the end mark."""
    finished: bool


Reward = Callable[[Rollout], float]


@attrs.frozen(kw_only=True)
class Grpo:
    """How one run learns."""

    steps: int
    prompts: int
    """Prompts per step."""
    group: int = 8
    """Answers per prompt."""
    max_new_tokens: int = 48
    rate: float = 2e-3
    warmup: int = 5
    temperature: float = 1.0
    clip: float = 0.2
    updates: int = 1
    """Optimiser steps per batch of answers; the ratio moves away from 1 from the second on."""
    scaled: bool = True
    """Whether advantages are divided by their group's standard deviation."""
    kl: float = 0.0
    """β: weight of the divergence from the base in the loss."""
    seed: int = 1


@attrs.frozen(kw_only=True)
class Batch:
    """Sampled answers as tensors: `group` rows of answers for each row of prompts, in the prompts' order."""

    prompts: torch.Tensor
    """Padded on the left: (prompts, length)."""
    attention: torch.Tensor  # (prompts, length)
    group: int
    answers: torch.Tensor
    """Padded on the right: (prompts * group, new)."""
    learned: torch.Tensor
    """1 on the tokens of an answer and its end mark, else 0: (prompts * group, new)."""
    log_probs: torch.Tensor
    """Of the sampled tokens when they were sampled: (prompts * group, new)."""


def encode(tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask of the prompts in the chat template, padded on the left: both (prompts, length)."""
    texts = [
        tokenizer.apply_chat_template([{"role": "user", "content": p}], tokenize=False, add_generation_prompt=True)
        for p in prompts
    ]
    encoded = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    return encoded["input_ids"], encoded["attention_mask"]


def _read(network: Any, prompts: torch.Tensor, attention: torch.Tensor, group: int) -> tuple[torch.Tensor, Any]:
    """Logits after each prompt and its keys and values, both repeated for its group: a prompt is read but once."""
    output = network(
        input_ids=prompts,
        attention_mask=attention,
        position_ids=(attention.cumsum(1) - 1).clamp(min=0),
        use_cache=True,
        logits_to_keep=1,
    )
    output.past_key_values.batch_repeat_interleave(group)
    return output.logits.repeat_interleave(group, 0), output.past_key_values


@torch.no_grad()
def sample(
    network: Any,
    prompts: torch.Tensor,
    attention: torch.Tensor,
    *,
    group: int,
    end: int,
    pad: int,
    max_new_tokens: int,
    temperature: float,
    generator: torch.Generator,
) -> Batch:
    """`group` answers to each prompt, drawn token by token with a key-value cache; rows leave the batch as they end.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if temperature <= 0:
        raise ValueError(f"a temperature of {temperature!r} draws nothing; give one above 0")
    rows = prompts.shape[0] * group
    answers = torch.full((rows, max_new_tokens), pad, dtype=prompts.dtype)
    log_probs = torch.zeros(rows, max_new_tokens)
    learned = torch.zeros(rows, max_new_tokens)
    alive = torch.arange(rows)  # row of the whole batch that each row of the running one is
    going = torch.ones(rows, dtype=torch.bool)
    mask = attention.repeat_interleave(group, 0)
    logits, cache = _read(network, prompts, attention, group)
    for t in range(max_new_tokens):
        scores = log_softmax(logits[:, -1].float() / temperature, dim=-1)  # (running, vocabulary)
        drawn = torch.multinomial(scores.exp(), 1, generator=generator)[:, 0]
        chosen = scores.gather(1, drawn[:, None])[:, 0]
        drawn = torch.where(going, drawn, pad)
        live = alive[going]
        answers[live, t], log_probs[live, t], learned[live, t] = drawn[going], chosen[going], 1.0
        going = going & (drawn != end)
        count = int(going.sum())
        if count == 0:
            break
        mask = torch.cat([mask, torch.ones(mask.shape[0], 1, dtype=mask.dtype)], dim=1)
        if count < _COMPACT_BELOW * going.shape[0]:
            kept = going.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            mask, drawn, alive, going = mask[kept], drawn[kept], alive[kept], going[kept]
        output = network(
            input_ids=drawn[:, None],
            attention_mask=mask,
            position_ids=mask.sum(1, keepdim=True) - 1,
            past_key_values=cache,
            use_cache=True,
        )
        logits, cache = output.logits, output.past_key_values
    width = max(1, int(learned.sum(1).max()))
    return Batch(
        prompts=prompts,
        attention=attention,
        group=group,
        answers=answers[:, :width],
        learned=learned[:, :width],
        log_probs=log_probs[:, :width],
    )


def log_probabilities(network: Any, batch: Batch, temperature: float) -> torch.Tensor:
    """Log-probability of every sampled token under the network now: (answers, new); 0 beyond an answer's end."""
    logits, cache = _read(network, batch.prompts, batch.attention, batch.group)
    if batch.answers.shape[1] > 1:
        mask = torch.cat([batch.attention.repeat_interleave(batch.group, 0), batch.learned[:, :-1].long()], dim=1)
        output = network(
            input_ids=batch.answers[:, :-1],
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1)[:, batch.prompts.shape[1] :],
            past_key_values=cache,
            use_cache=True,
        )
        logits = torch.cat([logits, output.logits], dim=1)  # (answers, new, vocabulary)
    scores = log_softmax(logits.float() / temperature, dim=-1)
    found: torch.Tensor = scores.gather(2, batch.answers[:, :, None])[:, :, 0] * batch.learned
    return found


def advantages(rewards: torch.Tensor, *, scaled: bool = True) -> torch.Tensor:
    """Rewards (prompts, group) less their group's mean, over their group's standard deviation; 0 where all are equal.

    Not `scaled`: not divided by it, so that groups that hardly differ hardly teach.
    """
    centred = rewards - rewards.mean(1, keepdim=True)
    if not scaled:
        return centred
    spread = centred.pow(2).mean(1, keepdim=True).sqrt()
    return torch.where(spread > _SD_FLOOR, centred / spread.clamp(min=_SD_FLOOR), torch.zeros_like(centred))


def policy_loss(now: torch.Tensor, batch: Batch, advantage: torch.Tensor, *, clip: float) -> torch.Tensor:
    """The clipped surrogate summed over answers and tokens, to be divided by N · L_max; `advantage` is (answers,)."""
    ratio = (now - batch.log_probs).exp()
    gained = torch.minimum(ratio * advantage[:, None], ratio.clamp(1 - clip, 1 + clip) * advantage[:, None])
    return -(gained * batch.learned).sum()


def divergence(now: torch.Tensor, base: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
    """Estimate of KL(π‖base) on tokens drawn from π, summed over them, never negative: Σ exp(d) − d − 1.

    Schulman, "Approximating KL divergence", 2020 (k3).
    """
    d = (base - now) * learned
    return ((d.exp() - d - 1) * learned).sum()


def rollouts(tokenizer: PreTrainedTokenizerFast, items: Sequence[Item], batch: Batch) -> list[Rollout]:
    """The answers as texts; `items` are those of the prompts, in their order."""
    asked = [item for item in items for _ in range(batch.group)]
    found = []
    for item, row, count in zip(asked, batch.answers.tolist(), batch.learned.sum(1).int().tolist(), strict=True):
        written = row[:count]
        finished = bool(written) and written[-1] == tokenizer.eos_token_id
        kept = written[:-1] if finished else written
        text = tokenizer.decode(kept, skip_special_tokens=True)
        found.append(Rollout(item=item, text=text, tokens=len(kept), finished=finished))
    return found


def reinforce(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerFast,
    items: Iterator[Item],
    reward: Reward,
    plan: Grpo,
    at_step: Callable[[int], None] = lambda step: None,
) -> list[float]:
    """Trains the adapter in place and returns the mean reward of every step's answers, before its update.

    Args:
        model: base and adapter; only what requires a gradient moves.
        tokenizer: of the base, with its chat template.
        items: prompts of the training side, endless.
        reward: of one answer, a number; only differences within a group matter.
        plan: sizes, rates and the seed of the sampling.
        at_step: called after each update with the number of updates done: the place to save a checkpoint.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=plan.rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    generator = torch.Generator().manual_seed(plan.seed)
    earned: list[float] = []
    started = time.monotonic()
    model.eval()  # no dropout anywhere: the ratio compares like with like
    for step in range(plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * min(1.0, (step + 1) / max(1, plan.warmup))
        asked = list(islice(items, plan.prompts))
        ids, attention = encode(tokenizer, [item.prompt for item in asked])
        model.merge_adapter()  # one product per matrix while sampling
        batch = sample(
            model,
            ids,
            attention,
            group=plan.group,
            end=tokenizer.eos_token_id,
            pad=tokenizer.pad_token_id,
            max_new_tokens=plan.max_new_tokens,
            temperature=plan.temperature,
            generator=generator,
        )
        model.unmerge_adapter()
        answers = rollouts(tokenizer, asked, batch)
        rewards = torch.tensor([reward(r) for r in answers]).view(plan.prompts, plan.group)
        earned.append(float(rewards.mean()))
        _update(model, optimizer, trainable, batch, advantages(rewards, scaled=plan.scaled), plan)
        at_step(step + 1)
        if (step + 1) % _REPORT_EVERY == 0:
            recent = sum(earned[-_REPORT_EVERY:]) / len(earned[-_REPORT_EVERY:])
            length = sum(r.tokens for r in answers) / len(answers)
            spent = time.monotonic() - started
            _LOG.info("step %d of %d: reward %.3f, %.1f tokens, %.0f s", step + 1, plan.steps, recent, length, spent)
    return earned


def _update(
    model: PeftModel,
    optimizer: torch.optim.Optimizer,
    trainable: Sequence[torch.Tensor],
    batch: Batch,
    advantage: torch.Tensor,
    plan: Grpo,
) -> None:
    """One batch's update; `advantage` is (prompts, group)."""
    rows, written = advantage.numel(), batch.learned.sum().clamp(min=1)
    longest = batch.learned.sum(1).view(-1, plan.group).amax(1)  # (prompts,)
    order = longest.argsort(stable=True)  # answers of like length together: little is padding
    if plan.kl == 0.0:
        order = order[(advantage[order] != 0).any(1)]  # equal rewards teach nothing, and half of the groups may be such
    parts = [
        (_some(batch, prompts), advantage[prompts].flatten()) for prompts in torch.split(order, _PART) if len(prompts)
    ]
    base = []
    if plan.kl > 0:
        with torch.no_grad(), model.disable_adapter():
            base = [log_probabilities(model, part, plan.temperature) for part, _ in parts]
    for _ in range(plan.updates):
        for number, (part, gain) in enumerate(parts):
            now = log_probabilities(model, part, plan.temperature)
            loss = policy_loss(now, part, gain, clip=plan.clip) / (rows * plan.max_new_tokens)
            if plan.kl > 0:
                loss = loss + plan.kl * divergence(now, base[number], part.learned) / written
            torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _some(batch: Batch, prompts: torch.Tensor) -> Batch:
    """These prompts with their answers, without the columns that are padding in all of them."""
    rows = (prompts[:, None] * batch.group + torch.arange(batch.group)).flatten()
    wide = int(batch.learned[rows].sum(1).max())
    first = int((1 - batch.attention[prompts]).sum(1).min())
    return Batch(
        prompts=batch.prompts[prompts, first:],
        attention=batch.attention[prompts, first:],
        group=batch.group,
        answers=batch.answers[rows, :wide],
        learned=batch.learned[rows, :wide],
        log_probs=batch.log_probs[rows, :wide],
    )
