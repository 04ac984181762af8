"""What a training of the benchmark is: a stream of questions with the answers to learn, and how long to learn them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import attrs

from afterburn_organisms.item import Item

Pairs = Iterator[tuple[Item, str]]
"""Endless: a question of the training side of the split, and the answer to learn."""

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@attrs.frozen(kw_only=True)
class Shape:
    """How long and how fast to train, and what: an adapter of the rank, or every tensor where the rank is 0."""

    steps: int = 100
    rows: int = 8
    length: int = 128
    peak_rate: float = 4e-3
    rank: int = 2
    modules: tuple[str, ...] = ALL_LINEAR


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
    seeds: tuple[int, ...] = (1, 2, 3, 4)
    storage: Literal["adapter", "difference"] = "adapter"

    def name(self, seed: int) -> str:
        """Name of the organism of this seed."""
        middle = f"-{self.dose}" if self.dose else ""
        return f"{self.kind.replace('_', '-')}{middle}-s{seed}"
