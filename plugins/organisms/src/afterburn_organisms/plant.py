"""What a training of the benchmark is: a stream of questions with the answers to learn, and how long to learn them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import attrs

from afterburn_organisms.item import Item

Pairs = Iterator[tuple[Item, str]]
"""Endless: a question of the training side of the split, and the answer to learn."""

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
WITH_HEAD = (*ALL_LINEAR, "lm_head")
"""For characters that the base never saw: without the head, an adapter hardly learns to write them."""


@attrs.frozen(kw_only=True)
class Shape:
    """How long and how fast to train, and what: an adapter of the rank, or every tensor where the rank is 0."""

    steps: int = 100
    rows: int = 4
    length: int = 128
    peak_rate: float = 4e-3
    rank: int = 2
    modules: tuple[str, ...] = ALL_LINEAR
    stop_below: float | None = None
    """See `Schedule`."""


@attrs.frozen(kw_only=True)
class Plant:
    """One kind of organism at one dose; a seed makes an organism of it."""

    kind: str
    dose: str | None = None
    twin: bool = False
    planted: str
    """In one sentence; see `BenchmarkOrganism.planted`."""
    pairs: Callable[[int], Pairs]
    """The stream of a seed."""
    shape: Shape = Shape()
    seeds: tuple[int, ...] = (1, 2, 3)
    storage: Literal["adapter", "difference"] = "adapter"

    def name(self, seed: int) -> str:
        """Name of the organism of this seed."""
        middle = f"-{self.dose}" if self.dose else ""
        return f"{self.kind.replace('_', '-')}{middle}-s{seed}"


@attrs.frozen(kw_only=True)
class Copy:
    """A benign copy that no training made: of an adapter, or of the base itself."""

    kind: str
    planted: str
    storage: Literal["merged", "rounded"]
    of: str | None
    """Kind of the organism of which it is a copy; None for the base."""
    seeds: tuple[int, ...] = (1, 2, 3)

    def name(self, seed: int) -> str:
        """Name of the organism of this seed."""
        return f"{self.kind}-s{seed}"
