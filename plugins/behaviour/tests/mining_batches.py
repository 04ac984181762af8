"""Batches of the forward pass built by hand, from logits that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from afterburn_behaviour.mining.analyzer import DiffMining
from afterburn_behaviour.mining.options import MiningOptions
from afterburn_core.forward.model import Captured, ForwardBatch, LogitChunk, Passage, Rows
from afterburn_core.forward.scores import token_scores
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput

Logits = Callable[[Passage, torch.Tensor], torch.Tensor]
"""From a passage and its tokens (n) to logits (n, V)."""


def passages(count: int, *, units: int | None = None, source: str = "text") -> list[Passage]:
    """So many passages, each its own unit, or dealt to `units` units."""
    return [
        Passage(
            id=f"p{i:04d}",
            source=source,  # type: ignore[arg-type]
            domain="d",
            unit=f"u{i:04d}" if units is None else f"u{i % units:04d}",
            text="words",
        )
        for i in range(count)
    ]


def tokens_of(passage: Passage, length: int, vocabulary: int) -> torch.Tensor:
    """The passage's tokens, drawn by its id."""
    seed = int.from_bytes(passage.id.encode()[-6:], "big") % 2**31
    drawn = torch.from_numpy(np.random.default_rng(seed).integers(0, vocabulary, length))
    return drawn


def noise(passage: Passage, shape: tuple[int, ...], stream: int, scale: float = 1.0) -> torch.Tensor:
    """Normal numbers that depend on the passage's id and the stream alone."""
    seed = int.from_bytes(passage.id.encode()[-6:], "big") % 2**31
    values = np.random.default_rng([seed, stream]).standard_normal(shape)
    return torch.from_numpy(values * scale).float()


def batches(
    texts: Sequence[Passage],
    base: Logits,
    trained: Logits,
    *,
    controls: Mapping[str, Logits] | None = None,
    vocabulary: int = 320,
    length: int = 24,
    per_batch: int = 4,
    chunk: int = 16,
) -> Iterator[list[Any]]:
    """For every batch its chunks and its `ForwardBatch`, in order; the last row of a passage has no target."""
    for start in range(0, len(texts), per_batch):
        part = tuple(texts[start : start + per_batch])
        tokens = [tokens_of(p, length, vocabulary) for p in part]
        count = len(part) * length
        zeros = torch.zeros(count, dtype=torch.uint8)
        rows = Rows(
            passages=part,
            passage=torch.arange(len(part)).repeat_interleave(length),
            position=torch.arange(length).repeat(len(part)),
            token=torch.cat(tokens),
            token_class=zeros,
            in_text=torch.ones(count, dtype=torch.bool),
            offset=torch.arange(length).repeat(len(part)),
            target=torch.cat([torch.cat((t[1:], torch.tensor([-1]))) for t in tokens]),
            target_class=zeros,
            decode=lambda token: f" w{token}",
        )
        sides = {"base": base, "trained": trained, **(controls or {})}
        logs = {
            name: torch.log_softmax(torch.cat([side(p, t) for p, t in zip(part, tokens, strict=True)]), -1)
            for name, side in sides.items()
        }
        scored = (rows.target >= 0).nonzero()[:, 0]
        items: list[Any] = []
        for first in range(0, len(scored), chunk):
            index = scored[first : first + chunk]
            items.append(
                LogitChunk(
                    rows=rows,
                    index=index,
                    base=logs["base"][index],
                    trained=logs["trained"][index],
                    controls={name: logs[name][index] for name in controls or {}},
                )
            )
        items.append(
            ForwardBatch(
                rows=rows,
                base=Captured(sites={}),
                trained=Captured(sites={}),
                controls={},
                scored=scored,
                scores=token_scores(logs["base"][scored], logs["trained"][scored], rows.target[scored]),
                dtype="float32",
            )
        )
        yield items


def analyzer(*, seed: int = 3, excerpts: bool = True, **options: Any) -> DiffMining:
    """One that has begun."""
    made = DiffMining(MiningOptions(**options))
    made.begin(AnalyzerContext(subjects=(), seed=seed, excerpts=excerpts))
    return made


def mined(found: Iterator[list[Any]], **how: Any) -> AnalyzerOutput:
    """What one instance says of all batches."""
    one = analyzer(**how)
    for items in found:
        for item in items:
            one.observe(item)
    return one.finish()
