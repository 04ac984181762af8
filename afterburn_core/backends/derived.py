"""Logical tensors cut from stored ones: the parts of a fused matrix, one expert of a stack, a transposed projection.

A view takes a block of consecutive elements of a stored tensor, reads it as a matrix (rows, columns), picks runs of
rows or a slice of columns, and may transpose the result. Where the parts lie in a row on disk, only they are read;
otherwise the block is read once, and the last few blocks are kept for the views that share them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends.tensors import ITEM_SIZE, TensorInfo, WeightSource

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from afterburn_core.run.lowrank import LowRank
    from afterburn_core.run.spectra import Spectrum

    Raw = NDArray[Any]

HELD_BLOCKS = 2
"""Blocks kept in memory: gate and up, or q, k and v, are read one after another from the same block."""


@attrs.frozen(kw_only=True)
class View:
    """Where a logical tensor lies in a stored one."""

    source: str
    """Stored name."""
    shape: tuple[int, ...]
    """Shape of the logical tensor."""
    rows: int
    columns: int
    """The block is a matrix (rows, columns) in row-major order."""
    start: int = 0
    """First element of the block."""
    picked: tuple[tuple[int, int], ...] | None = None
    """Runs of rows (first, count) in the order of the logical tensor; absent means all."""
    cut: tuple[int, int, int] | None = None
    """Columns (first, stop, step); absent means all."""
    transposed: bool = False
    """Whether the logical tensor is the transpose of what was picked."""

    @property
    def in_runs(self) -> bool:
        """Whether the logical tensor consists of consecutive stretches of the stored one."""
        return self.cut is None and not self.transposed

    @property
    def stretches(self) -> tuple[tuple[int, int], ...]:
        """(first element, count) of the stored tensor, of a view that is `in_runs`."""
        runs = ((0, self.rows),) if self.picked is None else self.picked
        return tuple((self.start + first * self.columns, count * self.columns) for first, count in runs)

    def of_matrix(self, block: Raw) -> Raw:
        """The logical matrix, given the block (rows, columns); shares memory with it where it can."""
        if self.picked is not None:
            block = _rows(block, self.picked)
        if self.cut is not None:
            block = block[:, slice(*self.cut)]
        return block.T if self.transposed else block


def renamed(info: TensorInfo) -> View:
    """A view of a whole stored tensor, which differs from it by name alone."""
    return View(source=info.name, shape=info.shape, rows=info.numel, columns=1)


class DerivedSource:
    """A weight source with some stored tensors replaced by views of them; safe from several threads at once."""

    def __init__(self, inner: WeightSource, views: Mapping[str, View]) -> None:
        """
        Args:
            inner: where the stored tensors come from, all that views take from being of floating dtypes.
            views: logical tensors by name. A stored tensor that a view takes from is not presented itself.
        """
        self.inner, self.views = inner, views
        self._blocks = _Blocks()
        self._step_sums: dict[tuple[str, int], float | None] = {}
        hidden = {view.source for view in views.values()}
        self.tensors: Mapping[str, TensorInfo] = {
            **{name: info for name, info in inner.tensors.items() if name not in hidden},
            **{name: _presented(inner.tensors[view.source], name, view) for name, view in views.items()},
        }

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Shared storage among what is presented: views of two names for one tensor share it part by part."""
        found = {a: b for a, b in self.inner.aliases.items() if a in self.tensors and b in self.tensors}
        by_view = {view: name for name, view in self.views.items()}
        for name, view in self.views.items():
            target = self.inner.aliases.get(view.source)
            twin = by_view.get(attrs.evolve(view, source=target)) if target is not None else None
            if twin is not None:
                found[name] = twin
        return found

    @cached_property
    def shared(self) -> frozenset[str]:
        """Tensors that an adapter below leaves as its base has them."""
        below: frozenset[str] = getattr(self.inner, "shared", frozenset())
        return frozenset(
            name for name in self.tensors if (self.views[name].source if name in self.views else name) in below
        )

    def position(self, name: str) -> tuple[int, int]:
        """File number and offset of the first byte that a tensor needs."""
        view = self.views.get(name)
        if view is None:
            return self.inner.position(name)
        number, offset = self.inner.position(view.source)
        first = view.stretches[0][0] if view.in_runs else view.start
        return number, offset + first * ITEM_SIZE.get(self.tensors[name].dtype, 1)

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements `start` to `stop` of the flattened logical tensor, as a fresh CPU tensor."""
        if name not in self.views:
            return self.inner.read(name, start, stop)
        from afterburn_core.run.arrays import to_torch

        return to_torch(self.read_array(name, start, stop))

    def read_array(self, name: str, start: int, stop: int) -> Raw:
        """The same elements as a fresh array, bfloat16 as its bits; see `run.arrays`."""
        from afterburn_core.run.arrays import read_array

        view = self.views.get(name)
        if view is None:
            return read_array(self.inner, name, start, stop)
        if view.in_runs:
            return self._read_runs(view, start, stop)
        size = view.rows * view.columns
        block = self._blocks.get(
            (view.source, view.start), lambda: read_array(self.inner, view.source, view.start, view.start + size)
        )
        matrix = view.of_matrix(block.reshape(view.rows, view.columns))
        width = max(1, matrix.shape[1])
        first = start // width
        values = matrix[first : -(-stop // width)].flatten()  # a copy, row by row
        return values[start - first * width : stop - first * width]

    def step_sq(self, name: str, start: int, stop: int) -> float | None:
        """Σ step² of the quantiser over these elements; `None` where what lies below is not quantised.

        For views whose elements do not lie together the mean step of the block stands for theirs.
        """
        below = getattr(self.inner, "step_sq", None)
        if below is None:
            return None
        view = self.views.get(name)
        if view is None:
            found: float | None = below(name, start, stop)
            return found
        if view.in_runs:
            parts = [below(view.source, low, high) for low, high in _within(view.stretches, start, stop)]
            return None if None in parts else sum(parts)
        size, key = view.rows * view.columns, (view.source, view.start)
        if key not in self._step_sums:
            self._step_sums[key] = below(view.source, view.start, view.start + size)
        total = self._step_sums[key]
        return None if total is None else total * (stop - start) / size

    def low_rank(self, name: str) -> LowRank | None:
        """Δ of a tensor as factors, cut as the tensor is; `None` where no adapter below knows it by its factors."""
        known = getattr(self.inner, "low_rank", None)
        view = self.views.get(name)
        if known is None:
            return None
        if view is not None and self.inner.tensors[view.source].shape != (view.rows, view.columns):
            return None  # factors are those of a matrix, not of a stack
        factors: LowRank | None = known(name if view is None else view.source)
        return factors if factors is None or view is None else _cut(factors, view)

    def spectrum(self, name: str, vectors: bool = False) -> Spectrum | None:
        """The exact spectrum of Δ from its factors; `None` where they are not the whole change."""
        from afterburn_core.run.lowrank import spectrum

        factors = self.low_rank(name)
        return None if factors is None else spectrum(factors, vectors=vectors)

    def _read_runs(self, view: View, start: int, stop: int) -> Raw:
        import numpy as np

        from afterburn_core.run.arrays import read_array

        spans = _within(view.stretches, start, stop)
        parts = [read_array(self.inner, view.source, low, high) for low, high in spans]
        if not parts:
            return read_array(self.inner, view.source, view.start, view.start)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _presented(stored: TensorInfo, name: str, view: View) -> TensorInfo:
    """What a view is of; the blocks of a quantiser stay in place where whole rows do, and every row has its own."""
    kind = stored.quantisation
    if kind is not None:
        own = kind.rows == 1 and view.columns % (kind.group or view.columns) == 0
        kept = view.in_runs and (own or view.picked is None)
        kind = attrs.evolve(kind, in_place=kind.in_place and kept)
    return attrs.evolve(stored, name=name, shape=view.shape, quantisation=kind)


def _within(stretches: tuple[tuple[int, int], ...], start: int, stop: int) -> list[tuple[int, int]]:
    """The stored elements (first, stop) that logical elements `start` to `stop` are, of stretches laid end to end."""
    found = []
    done = 0  # logical elements before the current stretch
    for first, count in stretches:
        low, high = max(start - done, 0), min(stop - done, count)
        if low < high:
            found.append((first + low, first + high))
        done += count
    return found


class _Blocks:
    """The blocks read last. A block that several threads ask for at once is read by the first of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: OrderedDict[tuple[str, int], Future[Raw]] = OrderedDict()

    def get(self, key: tuple[str, int], read: Callable[[], Raw]) -> Raw:
        with self._lock:
            block = self._held.get(key)
            mine = block is None
            if block is None:
                block = self._held[key] = Future()
                while len(self._held) > HELD_BLOCKS:
                    self._held.popitem(last=False)
            else:
                self._held.move_to_end(key)
        if mine:
            try:
                block.set_result(read())
            except BaseException as error:
                with self._lock:
                    self._held.pop(key, None)
                block.set_exception(error)
                raise
        return block.result()


def _cut(factors: LowRank, view: View) -> LowRank:
    """Factors of a view: rows of the left one, columns of the right one; a transpose swaps them."""
    left, right = factors.left, factors.right
    if view.picked is not None:
        left = _rows(left, view.picked)
    if view.cut is not None:
        right = right[:, slice(*view.cut)]
    if view.transposed:
        left, right = right.T, left.T
    return attrs.evolve(factors, left=left, right=right)


def _rows(values: Raw, runs: tuple[tuple[int, int], ...]) -> Raw:
    import numpy as np

    return np.concatenate([values[first : first + count] for first, count in runs])
