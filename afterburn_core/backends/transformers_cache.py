"""Keys and values of a running batch, in place: rows come and go, columns grow, nothing is concatenated.

Row i holds its sequence in columns [start_i, columns), all rows ending at the same column, so the padding is on the
left whatever joined when. A row that ends gives its place to the last one; one that joins is written up to the current
column. Columns that no row needs any more are dropped from the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

_BLOCK = 64
"""Columns by which storage grows."""


class ColumnLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values: views of storage (rows, heads, columns, width) that is written in place."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.dtype, self.device = keys.dtype, keys.device
        self.storage = [keys, values]
        self.is_initialized = True
        self.show(0, 0)

    def show(self, rows: int, columns: int) -> None:
        """Makes the first rows and columns the layer's content."""
        self.keys, self.values = (part[:rows, :, :columns] for part in self.storage)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes the new columns and gives all of them."""
        rows, _, columns, _ = self.keys.shape
        new = columns + key_states.shape[-2]
        self.show(rows, new)
        self.keys[:, :, columns:] = key_states
        self.values[:, :, columns:] = value_states
        return self.keys, self.values


class Columns:
    """The cache of a batch of at most `capacity` rows; a model gets it as `cache`."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.cache: Any = None
        self.starts: list[int] = []
        self.columns = 0
        self._room = 0

    @property
    def rows(self) -> int:
        return len(self.starts)

    @property
    def layers(self) -> Sequence[ColumnLayer]:
        return self.cache.layers if self.cache is not None else ()

    def admit(self, filled: Any, source: torch.Tensor, lengths: Sequence[int]) -> None:
        """Adds rows behind the present ones.

        Args:
            filled: cache of a left-padded prefill.
            source: (rows,) row of `filled` that each new row copies; rows with one prompt share one.
            lengths: tokens of each new row.
        """
        width = filled.layers[0].keys.shape[-2]
        if not self.rows:
            self.columns = width
        elif width > self.columns:
            self._move_columns(width - self.columns)
        self._reserve(filled, self.columns + 1)
        first, last = self.rows, self.rows + len(lengths)
        for own, other in zip(self.layers, filled.layers, strict=True):
            for part, states in zip(own.storage, (other.keys, other.values), strict=True):
                part[first:last, :, self.columns - width : self.columns] = states[source]
        self.starts += [self.columns - length for length in lengths]
        self._show()

    def drop(self, ended: Sequence[int]) -> list[tuple[int, int]]:
        """Takes rows out; returns the (from, to) moves of the rows that took their places."""
        gone = set(ended)
        left = [row for row in range(self.rows) if row not in gone]
        holes = [row for row in sorted(gone) if row < len(left)]
        moved = [row for row in left if row >= len(left)]
        moves = list(zip(moved, holes, strict=True))
        for layer in self.layers if moves else ():
            for part in layer.storage:
                for origin, target in moves:
                    part[target, :, : self.columns] = part[origin, :, : self.columns]
        for origin, target in moves:
            self.starts[target] = self.starts[origin]
        del self.starts[len(left) :]
        self._show()
        return moves

    def prepare(self) -> None:
        """Makes room for one more column, and drops columns that no row needs once they are a quarter of all."""
        unused = min(self.starts)
        if unused > max(_BLOCK, self.columns // 4):
            self._move_columns(-unused)
            self._show()
        if self.columns >= self._room:
            self._grow(self.columns + _BLOCK)
            self._show()

    def advance(self) -> None:
        """Counts the column that the model has just written."""
        self.columns += 1

    def clear(self) -> None:
        """Forgets rows and storage."""
        self.cache, self.starts, self.columns, self._room = None, [], 0, 0

    def _show(self) -> None:
        for layer in self.layers:
            layer.show(self.rows, self.columns)

    def _reserve(self, filled: Any, columns: int) -> None:
        if self.cache is None:
            self._room = columns + _BLOCK

            def empty(states: torch.Tensor) -> torch.Tensor:
                _, heads, _, width = states.shape
                return states.new_zeros((self.capacity, heads, self._room, width))  # zeros: padding must be finite

            self.cache = Cache(layers=[ColumnLayer(empty(one.keys), empty(one.values)) for one in filled.layers])
        elif columns > self._room:
            self._grow(columns + _BLOCK)

    def _grow(self, room: int) -> None:
        for layer in self.layers:
            layer.show(0, 0)
            for number, part in enumerate(layer.storage):
                rows, heads, columns, width = part.shape
                wider = part.new_zeros((rows, heads, max(room, columns * 5 // 4), width))
                wider[: self.rows, :, :columns] = part[: self.rows]
                layer.storage[number] = wider
        self._room = self.layers[0].storage[0].shape[-2]

    def _move_columns(self, by: int) -> None:
        """Moves every row to the right, or to the left by as many columns as none uses."""
        columns = self.columns + by
        if columns > self._room:
            self._grow(columns + _BLOCK)
        for layer in self.layers:
            for part in layer.storage:
                rows = part[: self.rows]
                if by < 0:
                    rows[:, :, :columns] = rows[:, :, -by : self.columns].clone()
                else:
                    rows[:, :, by:columns] = rows[:, :, : self.columns].clone()
                    rows[:, :, :by] = 0
        self.columns = columns
        self.starts = [start + by for start in self.starts]
