"""The rows of one block in memory, handed out in a random order.

A block is filled, learned from in small batches and emptied; nothing of it waits on disk. Its rows come from passages
in a random order, and their order within the block follows from the seed and the block's number: a training that goes
on at the beginning of a block goes on exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from afterburn_core.run.seeds import child_seed


class Buffer:
    """At most `rows` rows, one or two sides of width d beside each other."""

    def __init__(self, rows: int, sides: int, d: int, device: torch.device | str) -> None:
        self._rows = torch.empty(rows, sides * d, device=device)
        self._d = d
        self.filled = 0

    def add(self, sides: Sequence[torch.Tensor]) -> None:
        """Takes a copy of rows (m, d) of every side."""
        stop = self.filled + sides[0].shape[0]
        for number, side in enumerate(sides):
            self._rows[self.filled : stop, number * self._d : (number + 1) * self._d].copy_(side)
        self.filled = stop

    @property
    def rows(self) -> torch.Tensor:
        """What it holds, (filled, D); a view."""
        return self._rows[: self.filled]

    def batches(self, count: int, seed: int, number: int) -> Iterator[torch.Tensor]:
        """The rows of block `number` in `count` batches of equal size, give or take one, and then none any more.

        Each batch is a copy, valid until the next.
        """
        generator = torch.Generator().manual_seed(child_seed(seed, f"block/{number}"))
        order = torch.randperm(self.filled, generator=generator).to(self._rows.device)
        scratch = self._rows.new_empty(-(-self.filled // count), self._rows.shape[1])
        for part in order.tensor_split(count):
            yield torch.index_select(self._rows, 0, part, out=scratch[: len(part)])
        self.filled = 0
