"""The series pass: streams one base and N subjects side by side and hands every tensor to all analyzers.

Each byte of each file is read once. The unit of work is a stretch of all N + 1 files of bounded size, or a whole
matrix where its singular vectors are wanted and it fits; whoever finishes a tensor's last stretch lets its own
analyzers observe it. Sums are combined in a fixed order, so the numbers do not depend on the threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from threadpoolctl import threadpool_limits

from afterburn_core.backends.tensors import WeightSource
from afterburn_core.plugin.roles import Analyzer, Executor
from afterburn_core.run.arrays import Raw, read_array, to_float64
from afterburn_core.run.cache import RowCache
from afterburn_core.run.lowrank import LowRank
from afterburn_core.run.needs import SeriesNeed
from afterburn_core.run.observations import WeightSeries
from afterburn_core.run.series_align import Run, SeriesTensor
from afterburn_core.run.series_sums import Entries, SeriesKernel, SeriesSums, combine
from afterburn_core.run.subspaces import EXACT, Leading, Overlaps, leading, overlaps, tensor_seed

if TYPE_CHECKING:
    from afterburn_core.run.progress import Progress

STRETCH = 1 << 24
"""Entries of all files together per task: 32 MiB of bf16."""
WHOLE = 1 << 30
"""Bytes of one matrix in all files together up to which its singular vectors are computed."""
_LARGE = 1 << 27
"""Bytes above which only two whole matrices are held at once, however many threads there are."""
_BLOCK = 1 << 20


@attrs.frozen(kw_only=True)
class Task:
    """One stretch of one tensor: runs that are read and summed together."""

    tensor: int
    part: int
    runs: tuple[Run, ...]
    whole: bool
    """Whether the runs are the whole matrix, and its singular vectors are wanted."""


@attrs.define(kw_only=True)
class SeriesOutcome:
    """What the pass leaves behind."""

    interrupted: bool = False
    tensors: int = 0
    """Tensors handed to analyzers."""
    from_cache: int = 0
    bytes_read: int = 0


class SeriesPass:
    """One sweep over a base and N subjects."""

    def __init__(
        self,
        base: WeightSource,
        subjects: Sequence[WeightSource],
        tensors: Sequence[SeriesTensor],
        need: SeriesNeed,
        *,
        executor: Executor,
        analyzers: Sequence[Sequence[Analyzer]],
        seed: int = 0,
        cache: RowCache | None = None,
        progress: Progress | None = None,
    ) -> None:
        """
        Args:
            base: weights of the base.
            subjects: weights of the others, in the order of the series.
            tensors: the fate of every tensor, from `align_series`.
            need: which quantities to compute.
            executor: runs the stretches.
            analyzers: for each worker, its own analyzer instances, already begun.
            seed: of the starts of subspace iterations.
            cache: rows of finished tensors by name.
            progress: told of parameters as they are compared.
        """
        self._base, self._subjects, self._tensors, self._need = base, subjects, tensors, need
        self._executor, self._analyzers, self._seed = executor, analyzers, seed
        self._cache, self._progress = cache, progress
        self._kernels: list[SeriesKernel] = []
        self._lock, self._room = threading.Lock(), threading.Semaphore(2)
        self._parts: dict[int, list[SeriesSums | None]] = {}
        self._done = SeriesOutcome()

    def run(self) -> SeriesOutcome:
        """Sweeps; afterwards each tensor has been observed by exactly one worker's analyzers."""
        steps, signs = "steps" in self._need.quantities, "signs" in self._need.quantities
        count, workers = len(self._subjects), self._executor.workers
        self._kernels = [SeriesKernel(count, steps=steps, signs=signs) for _ in range(workers)]
        tasks = self._tasks()
        with threadpool_limits(1):  # parallel over stretches, not within them
            self._done.interrupted = self._executor.run(tasks, self._work) == "interrupted"
        return self._done

    def _tasks(self) -> list[Task]:
        """Stretches in the order the base lies on disk; what needs no reading is observed at once."""
        rows: Mapping[str, Any] = self._cache.load() if self._cache else {}
        readable = []
        for number, tensor in enumerate(self._tensors):
            stored = self._stored(rows.get(tensor.name), tensor)
            if not tensor.runs:
                self._observe(0, tensor, None, None)
            elif stored is not None:
                self._done.from_cache += 1
                self._advance(tensor.compared)
                self._observe(0, tensor, *stored)
            else:
                readable.append(number)
        tasks: list[Task] = []
        for number in sorted(readable, key=self._position):
            whole = self._whole(self._tensors[number])
            parts = [self._tensors[number].runs] if whole else list(self._stretches(self._tensors[number].runs))
            self._parts[number] = [None] * len(parts)
            tasks += [Task(tensor=number, part=i, runs=runs, whole=whole) for i, runs in enumerate(parts)]
        return tasks

    def _position(self, number: int) -> tuple[int, int]:
        info = self._tensors[number].base
        return self._base.position(info.name) if info is not None else (0, 0)

    def _whole(self, tensor: SeriesTensor) -> bool:
        """Whether singular vectors are wanted and the matrix of all files fits."""
        if "subspaces" not in self._need.quantities or tensor.matrix is None or min(tensor.matrix) == 1:
            return False
        return self._size(tensor) <= WHOLE

    def _size(self, tensor: SeriesTensor) -> int:
        return sum(info.nbytes for info in (tensor.base, *tensor.subjects) if info is not None)

    def _stretches(self, runs: Sequence[Run]) -> Iterator[tuple[Run, ...]]:
        size = max(1, STRETCH // (len(self._subjects) + 1))
        for run in runs:
            for start in range(0, run.count, size):
                yield (run.part(start, min(size, run.count - start)),)

    def _work(self, worker: int, task: Task) -> None:
        if task.whole and self._size(self._tensors[task.tensor]) > _LARGE:
            with self._room:
                self._measure(worker, task)
        else:
            self._measure(worker, task)

    def _measure(self, worker: int, task: Task) -> None:
        tensor = self._tensors[task.tensor]
        base = self._read(self._base, tensor.base, [(run.base, run.count) for run in task.runs])
        subjects = [self._entries(i, tensor, task.runs) for i in range(len(self._subjects))]
        sums = self._kernels[worker].sums(base, subjects)
        shared = self._overlaps(tensor, base, subjects) if task.whole and sums.finite else None
        read = base.nbytes + sum(entries.stored.nbytes for entries in subjects if entries.stored is not None)
        with self._lock:
            parts = self._parts[task.tensor]
            parts[task.part] = sums
            complete = all(part is not None for part in parts)
            self._done.bytes_read += read
        self._advance(sums.n)
        if complete:
            del self._parts[task.tensor]
            total = combine(part for part in parts if part is not None)
            if self._cache:
                self._cache.append(
                    tensor.name, {"sums": total.to_dict(), "subspaces": shared.to_dict() if shared else None}
                )
            self._observe(worker, tensor, total, shared)

    def _read(self, source: WeightSource, info: Any, places: Sequence[tuple[int, int]]) -> Raw:
        parts = [read_array(source, info.name, start, start + count) for start, count in places]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _entries(self, number: int, tensor: SeriesTensor, runs: Sequence[Run]) -> Entries:
        """The entries of one subject, by the cheapest exact way its source offers."""
        source, info = self._subjects[number], tensor.subjects[number]
        if info is None or tensor.base is None:
            raise RuntimeError(f"{tensor.name}: has runs but not all sides")
        places = [(run.subjects[number], run.count) for run in runs]
        aligned = info.name == tensor.base.name and all(run.base == run.subjects[number] for run in runs)
        if aligned and info.name in getattr(source, "shared", frozenset()):
            return Entries(dtype=tensor.base.dtype)
        factored = getattr(source, "low_rank", None)
        factors = factored(info.name) if factored is not None and aligned else None
        if factors is not None:
            deltas = [_product(factors, start, start + count) for start, count in places]
            return Entries(delta=np.concatenate(deltas), dtype=info.dtype)
        return Entries(stored=self._read(source, info, places), dtype=info.dtype)

    def _overlaps(self, tensor: SeriesTensor, base: Raw, subjects: Sequence[Entries]) -> Overlaps | None:
        if tensor.matrix is None:
            return None
        rows, columns = tensor.matrix
        seed = tensor_seed(self._seed, tensor.name)
        found: list[Leading | None] = []
        for entries in subjects:  # one difference at a time: N of them would not fit
            if entries.stored is None and entries.delta is None:
                found.append(None)
                continue
            if entries.stored is None:
                delta = np.asarray(entries.delta)
            else:
                exact = min(rows, columns) <= EXACT
                delta = _difference(base, entries.stored, np.float64 if exact else np.float32)
            found.append(leading(delta.reshape(rows, columns), self._need.top, seed))
        return overlaps(found, rows, columns)

    def _stored(self, row: Any, tensor: SeriesTensor) -> tuple[SeriesSums, Overlaps | None] | None:
        """What a cached row holds; `None` where there is none, or damage made it that of something else."""
        try:
            sums = SeriesSums.from_dict(row["sums"], len(self._subjects))
            shared = None if row["subspaces"] is None else Overlaps.from_dict(row["subspaces"])
        except (KeyError, TypeError, ValueError):
            return None
        return (sums, shared) if sums.n == tensor.compared else None

    def _observe(self, worker: int, tensor: SeriesTensor, sums: SeriesSums | None, shared: Overlaps | None) -> None:
        item = WeightSeries(
            name=tensor.name,
            scope=tensor.scope,
            compared=tensor.compared,
            union=tensor.union,
            compared_by=tensor.compared_by,
            union_by=tensor.union_by,
            explained=tensor.explained,
            reason=tensor.reason,
            matrix=tensor.matrix is not None and min(tensor.matrix) > 1,
            sums=sums,
            subspaces=shared,
        )
        for analyzer in self._analyzers[worker]:
            analyzer.observe(item)
        with self._lock:
            self._done.tensors += 1

    def _advance(self, entries: int) -> None:
        if self._progress:
            self._progress.advance(entries)


def _product(factors: LowRank, start: int, stop: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Entries of s·B·A as an adapter's factors give them, without the base."""
    width = factors.columns
    first, last = start // width, -(-stop // width)
    rows = factors.block(first, last).reshape(-1)
    flat: np.ndarray[Any, np.dtype[np.float64]] = rows[start - first * width : stop - first * width]
    return flat


def _difference(base: Raw, stored: Raw, dtype: type[np.floating[Any]]) -> np.ndarray[Any, Any]:
    """θ − w, subtracted in float64 by blocks and kept in `dtype`."""
    out = np.empty(base.size, dtype=dtype)
    for start in range(0, base.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        out[part] = to_float64(stored[part]) - to_float64(base[part])
    return out
