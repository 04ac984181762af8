"""The weights pass: streams base and trained once, side by side, and hands every aligned tensor to all analyzers.

The unit of work is a stretch of at most `CHUNK` elements, so that one huge embedding keeps every core busy. Whoever
finishes a tensor's last stretch combines its sums, stores them in the cache and lets its own analyzers observe it;
instances are merged at the end. Sums are combined in a fixed order, so the numbers do not depend on the threads.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import torch

from afterburn_core.backends.tensors import TORCH_DTYPES, TensorInfo, WeightSource
from afterburn_core.plugin.roles import Analyzer, Executor
from afterburn_core.run.align import AlignedTensor, Span
from afterburn_core.run.cache import RowCache
from afterburn_core.run.kernels import SumsKernel
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.sums import PairSums, combine

if TYPE_CHECKING:
    from afterburn_core.run.progress import Progress

CHUNK = 1 << 22
"""Elements per task: 8 MiB of bf16 per side, a few hundredths of a second."""


@attrs.frozen(kw_only=True)
class Task:
    """One stretch of one tensor."""

    tensor: int
    part: int
    span: Span


@attrs.define(kw_only=True)
class PassOutcome:
    """What the pass leaves behind."""

    interrupted: bool
    pairs: int
    """Tensors handed to analyzers."""
    from_cache: int
    bytes_read: int


class WeightsPass:
    """One sweep over two weight sources."""

    def __init__(
        self,
        base: WeightSource,
        trained: WeightSource,
        aligned: Sequence[AlignedTensor],
        *,
        executor: Executor,
        analyzers: Sequence[Sequence[Analyzer]],
        cache: RowCache | None = None,
        device: str = "cpu",
        with_values: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """
        Args:
            base: weights of the base.
            trained: weights of the trained subject.
            aligned: the fate of every tensor, from `align`.
            executor: runs the stretches.
            analyzers: for each worker, its own analyzer instances, already begun.
            cache: rows of sums by tensor name.
            device: torch device of the arithmetic.
            with_values: whether analyzers may read values.
            progress: told of elements as they are compared.
        """
        self._base, self._trained, self._aligned = base, trained, aligned
        self._executor, self._cache, self._with_values, self._progress = executor, cache, with_values, progress
        self._device = torch.device(device)
        self._analyzers = analyzers
        self._kernels: list[SumsKernel] = []
        self._shared: frozenset[str] = getattr(trained, "shared", frozenset())
        self._lock = threading.Lock()
        self._parts: dict[int, list[PairSums | None]] = {}
        self._done = PassOutcome(interrupted=False, pairs=0, from_cache=0, bytes_read=0)

    def run(self) -> PassOutcome:
        """Sweeps; afterwards each tensor has been observed by exactly one worker's analyzers."""
        self._kernels = [SumsKernel(self._device) for _ in range(self._executor.workers)]
        tasks = self._tasks()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # parallel over stretches, not within them
        try:
            self._done.interrupted = self._executor.run(tasks, self._work) == "interrupted"
        finally:
            torch.set_num_threads(threads)
        return self._done

    def _tasks(self) -> list[Task]:
        """Stretches in the order the base lies on disk; what needs no reading is observed at once."""
        rows: Mapping[str, Any] = self._cache.load() if self._cache else {}
        tasks: list[Task] = []
        readable = []
        for number, tensor in enumerate(self._aligned):
            stored = _stored(rows.get(tensor.name), tensor)
            if not tensor.spans:
                self._observe(0, tensor, None)
            elif stored is not None:
                self._done.from_cache += 1
                self._advance(tensor.compared)
                self._observe(0, tensor, stored)
            else:
                readable.append(number)
        for number in sorted(readable, key=lambda n: self._position(self._aligned[n])):
            stretches = list(_stretches(self._aligned[number].spans))
            self._parts[number] = [None] * len(stretches)
            tasks += [Task(tensor=number, part=i, span=span) for i, span in enumerate(stretches)]
        return tasks

    def _position(self, tensor: AlignedTensor) -> tuple[int, int]:
        return self._base.position(tensor.base.name) if tensor.base else (0, 0)

    def _work(self, worker: int, task: Task) -> None:
        tensor = self._aligned[task.tensor]
        sums, read = self._sums(self._kernels[worker], tensor, task.span)
        with self._lock:
            parts = self._parts[task.tensor]
            parts[task.part] = sums
            complete = all(part is not None for part in parts)
            self._done.bytes_read += read
        self._advance(task.span.count)
        if complete:
            del self._parts[task.tensor]
            total = combine(part for part in parts if part is not None)
            if self._cache:
                self._cache.append(tensor.name, total.to_dict())
            self._observe(worker, tensor, total)

    def _sums(self, kernel: SumsKernel, tensor: AlignedTensor, span: Span) -> tuple[PairSums, int]:
        left, right = _both(tensor)
        stored = (getattr(torch, TORCH_DTYPES[left.dtype]), getattr(torch, TORCH_DTYPES[right.dtype]))
        base = self._base.read(left.name, span.base, span.base + span.count)
        if right.name in self._shared and left.name == right.name and span.base == span.trained:
            return kernel.single(base, stored[0]), base.nbytes
        trained = self._trained.read(right.name, span.trained, span.trained + span.count)
        return kernel.pair(base, trained, stored), base.nbytes + span.count * stored[1].itemsize

    def _observe(self, worker: int, tensor: AlignedTensor, sums: PairSums | None) -> None:
        pair = WeightPair(
            name=tensor.name,
            scope=tensor.scope,
            state=tensor.state,
            base=tensor.base,
            trained=tensor.trained,
            compared=tensor.compared,
            union=tensor.union,
            explained=tensor.explained,
            reason=tensor.reason,
            sums=sums,
            read_values=(lambda: self._values(tensor)) if self._with_values and tensor.spans else None,
            read_side=partial(self._side, tensor) if self._with_values and tensor.spans else None,
        )
        for analyzer in self._analyzers[worker]:
            analyzer.observe(pair)
        with self._lock:
            self._done.pairs += 1

    def _values(self, tensor: AlignedTensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both sides in float64; rows in the order of the spans where rows were paired."""
        left, right = _both(tensor)
        base = [self._base.read(left.name, s.base, s.base + s.count) for s in tensor.spans]
        trained = [self._trained.read(right.name, s.trained, s.trained + s.count) for s in tensor.spans]
        shape = left.shape if tensor.compared == left.numel else (-1, *left.shape[1:])
        return torch.cat(base).double().view(shape), torch.cat(trained).double().view(shape)

    def _side(self, tensor: AlignedTensor, role: str, start: int, stop: int) -> torch.Tensor:
        """Rows of one side as stored."""
        left, right = _both(tensor)
        info, source = (left, self._base) if role == "base" else (right, self._trained)
        width = info.numel // info.shape[0] if info.shape and info.shape[0] else 1
        return source.read(info.name, start * width, stop * width).view(stop - start, *info.shape[1:])

    def _advance(self, elements: int) -> None:
        if self._progress:
            self._progress.advance(elements)


def _stored(row: Any, tensor: AlignedTensor) -> PairSums | None:
    """The sums in a cached row; `None` where there are none, or where damage made them those of something else."""
    try:
        sums = PairSums.from_dict(row)
    except ValueError:
        return None
    return sums if sums.n == tensor.compared else None


def _both(tensor: AlignedTensor) -> tuple[TensorInfo, TensorInfo]:
    if tensor.base is None or tensor.trained is None:
        raise RuntimeError(f"{tensor.name}: has spans but not both sides")
    return tensor.base, tensor.trained


def _stretches(spans: Sequence[Span]) -> list[Span]:
    return [
        Span(base=span.base + i, trained=span.trained + i, count=min(CHUNK, span.count - i))
        for span in spans
        for i in range(0, span.count, CHUNK)
    ]
