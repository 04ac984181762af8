"""The weights pass: streams base and trained once, side by side, and hands every aligned tensor to all analyzers.

The unit of work is a part of a tensor, so that one huge embedding keeps every core busy. Whoever finishes a tensor's
last part combines its sums, decomposes its Gram matrices, stores both in the cache and lets its own analyzers observe
it; instances are merged at the end. Parts are combined in a fixed order, so the numbers do not depend on the threads.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends.tensors import WeightSource
from afterburn_core.plugin.roles import Analyzer, Executor
from afterburn_core.run import sums_processes
from afterburn_core.run.algebra import Stored
from afterburn_core.run.align import AlignedTensor
from afterburn_core.run.cache import RowCache
from afterburn_core.run.matrix_parts import matrix_of, segments, stretches
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.parts import PartReader, PartResult, Wanted
from afterburn_core.run.spectra import PairSpectra, RowSums
from afterburn_core.run.sums import PairSums, combine
from afterburn_core.run.tensor_work import Spectral, TensorWork, finish, recalled
from afterburn_core.run.threads import single_threaded
from afterburn_core.run.values import Elements

if TYPE_CHECKING:
    from afterburn_core.run.progress import Progress

_ATTENTION = frozenset({"q", "k", "v", "o", "qkv", "kv"})


@attrs.frozen(kw_only=True)
class Task:
    """One part of one tensor."""

    tensor: int
    part: int


@attrs.define(kw_only=True)
class PassOutcome:
    """What the pass leaves behind."""

    interrupted: bool
    pairs: int
    """Tensors handed to analyzers."""
    from_cache: int
    bytes_read: int
    spectra: int = 0
    """Matrices decomposed in this run."""
    spectra_from_cache: int = 0
    """Spectra of base that an earlier run had left."""
    approximate: list[str] = attrs.field(factory=list)
    """Matrices too large for an exact spectrum here."""


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
        with_rows: bool = False,
        spectral: Spectral | None = None,
        progress: Progress | None = None,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            base: weights of the base.
            trained: weights of the trained subject.
            aligned: the fate of every tensor, from `align`.
            executor: runs the parts.
            analyzers: for each worker, its own analyzer instances, already begun.
            cache: rows of sums by tensor name.
            device: torch device of the arithmetic.
            with_values: whether analyzers may read values.
            with_rows: whether sums by row are wanted for token tables.
            spectral: how spectra are computed; absent where none are wanted.
            progress: told of elements as they are compared.
            begun: called before the first of them is; what it starts may have threads.
        """
        self._begun = begun
        self._base, self._trained, self._aligned = base, trained, aligned
        self._executor, self._cache, self._with_values, self._progress = executor, cache, with_values, progress
        self._with_rows, self._spectral, self._device = with_rows, spectral, device
        self._analyzers = analyzers
        self._readers: list[PartReader] = []
        self._lock = threading.Lock()
        self._work: dict[int, TensorWork] = {}
        self._groups = _attention_groups(aligned) if with_values else {}
        self._waiting: dict[str, list[tuple[WeightPair, Elements | None]]] = defaultdict(list)
        self._done = PassOutcome(interrupted=False, pairs=0, from_cache=0, bytes_read=0)

    def run(self) -> PassOutcome:
        """Sweeps; afterwards each tensor has been observed by exactly one worker's analyzers."""
        if self._spectral is not None:
            from scipy.linalg import cython_lapack  # noqa: F401 - its BLAS has to be there to be kept on one thread
        with single_threaded():  # parallel over parts, not within them
            self._readers = self._make_readers()
            try:
                self._begun()
                self._done.interrupted = self._executor.run(self._tasks(), self._do) == "interrupted"
                for prefix in sorted(self._waiting):  # left over by an interruption: what was computed is kept
                    self._observe(0, self._waiting[prefix])
            finally:
                for reader in self._readers:
                    reader.close()
        return self._done

    def _make_readers(self) -> list[PartReader]:
        """One for each worker; with processes of their own where sums alone are wanted of much."""
        workers = self._executor.workers
        compared = sum(tensor.compared for tensor in self._aligned)
        lean = self._spectral is None and not self._with_rows and self._device == "cpu"
        lean = lean and workers > 1 and compared >= sums_processes.WORTHWHILE
        if lean and sums_processes.can_fork(self._base, self._trained):
            return [sums_processes.ProcessReader(self._base, self._trained, self._aligned) for _ in range(workers)]
        precision = self._spectral.precision if self._spectral else None
        return [PartReader(self._base, self._trained, self._device, precision) for _ in range(workers)]

    def _tasks(self) -> list[Task]:
        """Parts in the order the base lies on disk; what needs no reading is observed at once."""
        rows: Mapping[str, Any] = self._cache.load() if self._cache else {}
        readable = []
        for number, tensor in enumerate(self._aligned):
            if not tensor.spans:
                self._deliver(0, number, self._pair(tensor, None, None, None, None))
                continue
            work = self._plan(tensor)
            stored = _stored(rows.get(tensor.name), tensor)
            known = recalled(work, self._spectral, stored) if stored is not None else None
            if stored is None or known is None:
                self._work[number] = work
                readable.append(number)
                continue
            self._done.from_cache += 1
            self._advance(tensor.compared)
            self._deliver(0, number, self._pair(tensor, stored, *known, None))
        readable.sort(key=lambda n: self._position(self._aligned[n]))
        return [Task(tensor=n, part=i) for n in readable for i in range(len(self._work[n].parts))]

    def _plan(self, tensor: AlignedTensor) -> TensorWork:
        """What has to be computed of a tensor."""
        extent = matrix_of(tensor)
        by_row = self._with_rows and tensor.scope.module in {"embed", "head"} and extent is not None
        spectral = self._spectral if extent is not None else None
        if extent is not None and (spectral is not None or by_row):
            parts = segments(tensor.spans, extent)
        else:
            parts = stretches(tensor.spans)
        return TensorWork(
            tensor=tensor,
            extent=extent,
            parts=parts,
            results=[None] * len(parts),
            by_row=by_row,
            spectral=spectral is not None,
            wanted=Wanted.none() if spectral is None else spectral.wanted(tensor, extent),
        )

    def _position(self, tensor: AlignedTensor) -> tuple[int, int]:
        return self._base.position(tensor.base.name) if tensor.base else (0, 0)

    def _do(self, worker: int, task: Task) -> None:
        work, reader = self._work[task.tensor], self._readers[worker]
        result = reader.read(work, work.parts[task.part], keep=len(work.parts) == 1)
        with self._lock:
            work.results[task.part] = result
            complete = all(part is not None for part in work.results)
            self._done.bytes_read += result.bytes_read
        if complete:
            self._complete(worker, task.tensor, work)
        self._advance(result.sums.n)

    def _complete(self, worker: int, number: int, work: TensorWork) -> None:
        parts: list[PartResult] = [part for part in work.results if part is not None]
        total = combine(part.sums for part in parts)
        spectra, rows = finish(work, parts, total, self._readers[worker].algebra, self._spectral)
        if self._cache:
            self._cache.append(work.tensor.name, total.to_dict())
        kept = parts[0].stored if len(parts) == 1 and self._with_values else None
        with self._lock:
            del self._work[number]
            self._done.spectra += spectra is not None
            self._done.spectra_from_cache += work.wanted.base_known is not None
            if spectra is not None and spectra.base.approximate:
                self._done.approximate.append(work.tensor.name)
        self._deliver(worker, number, self._pair(work.tensor, total, spectra, rows, kept))

    def _pair(
        self,
        tensor: AlignedTensor,
        sums: PairSums | None,
        spectra: PairSpectra | None,
        rows: RowSums | None,
        kept: Stored | None,
    ) -> tuple[WeightPair, Elements | None]:
        elements = None
        if self._with_values and tensor.spans:
            elements = Elements(base=self._base, trained=self._trained, tensor=tensor, stored=kept)
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
            spectra=spectra,
            rows=rows,
            read_values=elements.values if elements else None,
            read_side=elements.side if elements else None,
        )
        return pair, elements

    def _deliver(self, worker: int, number: int, found: tuple[WeightPair, Elements | None]) -> None:
        """Observes a tensor, or all of an attention's once the last of them is there."""
        group = self._groups.get(number)
        ready = [found]
        if group is not None:
            prefix, size = group
            with self._lock:
                self._waiting[prefix].append(found)
                if len(self._waiting[prefix]) < size:
                    return
                ready = sorted(self._waiting.pop(prefix), key=lambda waiting: waiting[0].name)
        self._observe(worker, ready)

    def _observe(self, worker: int, ready: Sequence[tuple[WeightPair, Elements | None]]) -> None:
        for pair, elements in ready:
            for analyzer in self._analyzers[worker]:
                analyzer.observe(pair)
            if elements is not None:
                elements.release()
        with self._lock:
            self._done.pairs += len(ready)

    def _advance(self, elements: int) -> None:
        if self._progress:
            self._progress.advance(elements)


def _attention_groups(aligned: Sequence[AlignedTensor]) -> dict[int, tuple[str, int]]:
    """For tensors of an attention: their common prefix and how many they are, by number."""
    prefixes = {
        t.name.removesuffix(".weight").rpartition(".")[0]
        for t in aligned
        if t.scope.module in _ATTENTION and t.scope.layer is not None
    }
    members: dict[str, list[int]] = defaultdict(list)
    for number, tensor in enumerate(aligned):
        prefix = tensor.name.removesuffix(".weight").removesuffix(".bias").rpartition(".")[0]
        if prefix in prefixes:
            members[prefix].append(number)
    return {number: (prefix, len(numbers)) for prefix, numbers in members.items() for number in numbers}


def _stored(row: Any, tensor: AlignedTensor) -> PairSums | None:
    """The sums in a cached row; `None` where there are none, or where damage made them those of something else."""
    try:
        sums = PairSums.from_dict(row)
    except ValueError:
        return None
    return sums if sums.n == tensor.compared else None
