"""Patchscope: the model itself says what a direction means, put in place of a word in prompts that repeat words.

In prompts of the form `lamp lamp, green green, 3 3, ?` the residual of the placeholder `?` at one block is replaced by
λ·m·u, u the direction, m the mean norm of the trained model's activations; the next token is what it says. Of every
prompt the k likeliest tokens are kept.

    agreement(u, λ) = mean over pairs of prompts of the Jaccard overlap of their k tokens
    λ* = argmax over λ of agreement(u, λ) − mean over random directions r of agreement(r, λ)

No judge is asked. A random direction is scored in the same way against the others, which is the null. (Patchscopes,
arXiv 2401.06102; of activation differences in arXiv 2510.13900; the choice of λ is ours.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.forward.live import Live, Replace

Floats = NDArray[np.float64]
PLACEHOLDER = "?"
PROMPTS = (
    "lamp lamp\ngreen green\n3 3\nwalk walk\n? ",
    "stone = stone; seven = seven; Monday = Monday; ? =",
    "river -> river\n12 -> 12\nsoft -> soft\n? ->",
)


@attrs.frozen(kw_only=True)
class Prompt:
    """A prompt in tokens, and where its placeholder is."""

    ids: tuple[int, ...]
    position: int


def usable_prompts(live: Live, texts: Sequence[str] = PROMPTS) -> tuple[Prompt, ...]:
    """The prompts whose placeholder is a token of its own for this tokenizer."""
    found = []
    for text in texts:
        text = text.rstrip()
        cut = text.rindex(PLACEHOLDER)
        ids, before = live.encode(text), live.encode(text[: cut + 1])
        if before and ids[: len(before)] == before and live.spelling(before[-1]).strip() == PLACEHOLDER:
            found.append(Prompt(ids=ids, position=len(before) - 1))
    return tuple(found)


@attrs.frozen(kw_only=True)
class Said:
    """What a direction says."""

    scale: float
    """λ*."""
    advantage: float
    """agreement − mean agreement of random directions, at λ*."""
    tokens: tuple[int, ...]
    """In at least two prompts, by how many prompts and then by how much likelier than under random directions."""
    prompts: tuple[int, ...]
    """How many prompts have each."""


@attrs.frozen(kw_only=True, eq=False)
class Patched:
    """All directions' k likeliest tokens, by prompt and strength."""

    scales: tuple[float, ...]
    named: int
    """The first directions are those asked about, the others are random."""
    tops: NDArray[np.int64]
    """(D, S, prompts, k)."""
    log_probs: Floats
    """(D, S, prompts, k)."""

    def agreement(self) -> Floats:
        """(D, S)."""
        directions, scales, prompts, _ = self.tops.shape
        pairs = list(combinations(range(prompts), 2))
        found = np.zeros((directions, scales))
        for d in range(directions):
            for s in range(scales):
                sets = [set(self.tops[d, s, p].tolist()) for p in range(prompts)]
                found[d, s] = np.mean([len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in pairs])
        return found

    def said(self, direction: int, agreement: Floats) -> Said:
        """The best strength of a direction, and its tokens."""
        others = [i for i in range(self.named, len(agreement)) if i != direction]
        advantage = agreement[direction] - agreement[others].mean(axis=0)
        best = int(np.argmax(advantage))
        counts: dict[int, list[float]] = {}
        for tokens, logs in zip(self.tops[direction, best], self.log_probs[direction, best], strict=True):
            for token, log in zip(tokens.tolist(), logs.tolist(), strict=True):
                counts.setdefault(token, []).append(log)
        usual = self._usual(best, others)
        kept = sorted(
            (token for token, logs in counts.items() if len(logs) >= 2),
            key=lambda token: (-len(counts[token]), usual.get(token, 0.0) - float(np.mean(counts[token])), token),
        )
        return Said(
            scale=self.scales[best],
            advantage=float(advantage[best]),
            tokens=tuple(kept),
            prompts=tuple(len(counts[token]) for token in kept),
        )

    def _usual(self, scale: int, others: Sequence[int]) -> Mapping[int, float]:
        """How often random directions have a token among their k, so that it counts for less."""
        counts: dict[int, float] = {}
        size = len(others) * self.tops.shape[2]
        for tokens in self.tops[others, scale].reshape(-1).tolist():
            counts[tokens] = counts.get(tokens, 0.0) + 10.0 / size
        return counts


def patch(
    live: Live,
    prompts: Sequence[Prompt],
    site: str,
    directions: Floats,
    *,
    named: int,
    norm: float,
    scales: Sequence[float],
    k: int,
) -> Patched:
    """Patches every direction (D, d), of length 1, at every strength into every prompt."""
    vectors = torch.from_numpy(
        np.ascontiguousarray((directions[:, None] * np.asarray(scales)[None, :, None] * norm).reshape(-1, live.width))
    ).float()
    shape = (len(directions), len(scales))
    tops = [list(_tops(live, one, site, vectors, k)) for one in prompts]
    indices = np.stack([np.stack([top for top, _ in one]) for one in tops], axis=1)  # (D·S, prompts, k)
    logs = np.stack([np.stack([log for _, log in one]) for one in tops], axis=1)
    return Patched(
        scales=tuple(scales),
        named=named,
        tops=indices.reshape(*shape, len(prompts), k).astype(np.int64),
        log_probs=logs.reshape(*shape, len(prompts), k).astype(np.float64),
    )


def _tops(
    live: Live, prompt: Prompt, site: str, vectors: torch.Tensor, k: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    edit = Replace(site=site, position=prompt.position, vector=vectors)
    for logs in live.log_probs([prompt.ids] * len(vectors), edits=(edit,)):
        top = logs[-1].topk(k)
        yield top.indices.cpu().numpy(), top.values.cpu().numpy()
