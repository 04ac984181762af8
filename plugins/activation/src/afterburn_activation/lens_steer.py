"""Steering: the difference added to every token while the trained model writes, beside random directions.

    h ← h + α·m·u          m the mean norm of the trained activations at the block, u the direction of length 1

α is the largest of the given ones at which the texts stay coherent: their tokens cost the base at most `DEARER` nats
more than those of unsteered texts, and at most `REPEATED` more of their pairs of neighbours occurred before. Random
directions steer at the same α. What is counted is the share of written tokens that the lens lists for the direction:
with steering, less that with random directions, by prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.forward.live import Edit, Live, Steer, Written
from afterburn_core.stats.contrast import Contrast
from afterburn_core.stats.paired import paired_contrasts

Floats = NDArray[np.float64]
DEARER = 1.5
REPEATED = 0.3
PROMPTS = (
    "I think that",
    "Let me tell you about",
    "The most important thing is",
    "Today we will talk about",
    "It all began when",
    "What I know is that",
    "Here is a short story:",
    "People often say that",
    "In the end",
    "There is something about",
    "First of all",
    "Yesterday we saw",
)


@attrs.frozen(kw_only=True)
class Steered:
    """What steering did."""

    strength: float
    coherent: bool
    """Whether any strength stayed within the limits; else the least was taken."""
    nll: Mapping[float, float]
    """Mean cost of a written token to the base, by α; 0 is unsteered."""
    repetition: Mapping[float, float]
    contrast: Contrast
    """Share of the lens's tokens: steered − random, paired by prompt."""
    texts: tuple[Mapping[str, Any], ...]


def steer(
    live: Live,
    site: str,
    direction: Floats,
    random: Floats,
    *,
    norm: float,
    strengths: Sequence[float],
    tokens: int,
    listed: Sequence[int],
    seed: int,
) -> Steered:
    """Writes from all prompts, unsteered, steered at each strength, and steered at the one chosen by random directions.

    Args:
        direction: (d), of length 1.
        random: (R, d), of length 1.
        listed: tokens of the lens.
        seed: of the intervals; texts are written greedily.
    """
    prompts = [live.encode(text) for text in PROMPTS]

    def written(edits: Sequence[Edit]) -> Sequence[Written]:
        return live.write(prompts, max_new_tokens=tokens, seeds=[0] * len(prompts), edits=edits)

    def added(vector: Floats, strength: float) -> tuple[Steer]:
        return (Steer(site=site, vector=torch.from_numpy(vector * strength * norm).float()),)

    plain = written(())
    nll, repetition = {0.0: cost(plain)}, {0.0: repeats(plain)}
    kept: dict[float, Sequence[Written]] = {}
    for strength in sorted(strengths):
        kept[strength] = written(added(direction, strength))
        nll[strength], repetition[strength] = cost(kept[strength]), repeats(kept[strength])
    within = [a for a in kept if nll[a] <= nll[0.0] + DEARER and repetition[a] <= repetition[0.0] + REPEATED]
    chosen = max(within) if within else min(kept)
    others = [written(added(one, chosen)) for one in random]
    shares = shares_of(kept[chosen], listed)
    null = np.nanmean([shares_of(one, listed) for one in others], axis=0)
    differences = {"random": shares - null, "unsteered": shares - shares_of(plain, listed)}
    contrast = paired_contrasts(differences, seed=seed)["random"]
    texts = tuple(
        {"prompt": prompt, "unsteered": before.text, "steered": after.text, "random": by_chance.text}
        for prompt, before, after, by_chance in zip(PROMPTS, plain, kept[chosen], others[0], strict=True)
    )
    return Steered(
        strength=chosen, coherent=bool(within), nll=nll, repetition=repetition, contrast=contrast, texts=texts
    )


def cost(texts: Sequence[Written]) -> float:
    """Mean over texts of −ln p_base per written token; infinite where nothing was written."""
    costs = [-one.base_logprob / (len(one.token_ids) + one.ended) for one in texts if len(one.token_ids) + one.ended]
    return float(np.mean(costs)) if costs else float("inf")


def repeats(texts: Sequence[Written]) -> float:
    """Mean over texts of the share of pairs of neighbouring tokens that occurred before in the text."""
    shares = []
    for one in texts:
        pairs = list(zip(one.token_ids, one.token_ids[1:]))
        shares.append(1 - len(set(pairs)) / len(pairs) if pairs else 0.0)
    return float(np.mean(shares))


def shares_of(texts: Sequence[Written], listed: Sequence[int]) -> Floats:
    """Share of each text's tokens that are listed, 0 for an empty text."""
    wanted = frozenset(listed)
    return np.array([sum(t in wanted for t in one.token_ids) / max(len(one.token_ids), 1) for one in texts])
