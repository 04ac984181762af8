"""Reads one part of a tensor of both sides and reduces it: sums, sums by row, Gram matrices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.tensors import TensorInfo, WeightSource
from afterburn_core.run.algebra import ArrayAlgebra, Kind, Precision, Stored
from afterburn_core.run.align import AlignedTensor, Span
from afterburn_core.run.arrays import NUMPY_DTYPES, Raw, read_array, widen
from afterburn_core.run.decompose import Algebra
from afterburn_core.run.kernels import ArraySums
from afterburn_core.run.matrix_parts import Extent
from afterburn_core.run.spectra import Spectrum
from afterburn_core.run.sums import PairSums, combine

PIECE = 1 << 17
"""Elements read at a time where they are only added up."""
_ROW_BLOCK = 1 << 18


class Sums(Protocol):
    """Computes sums over elements, on a CPU or a GPU."""

    def pair(self, base: Raw, trained: Raw, stored: tuple[str, str]) -> PairSums: ...

    def single(self, values: Raw, stored: str) -> PairSums: ...


@attrs.frozen(kw_only=True, eq=False)
class Wanted:
    """Which spectra of a matrix have to be computed and which are known."""

    kinds: frozenset[Kind]
    base_known: Spectrum | None = None
    """From the cache."""
    delta_known: Spectrum | None = None
    """From an adapter's factors."""
    gram: bool = True
    """False where the Gram matrix does not fit into memory."""

    @classmethod
    def none(cls) -> Wanted:
        return cls(kinds=frozenset())


@attrs.frozen(kw_only=True, eq=False)
class PartResult:
    """What is kept of one part."""

    sums: PairSums
    grams: Mapping[Kind, NDArray[np.float64]]
    by_row: NDArray[np.float64] | None
    """(4, rows): Σw², Σw'², Σδ², Σw·δ of each row."""
    stored: Stored | None
    bytes_read: int
    rounded: bool = True
    """False where the trained side came wider than it is stored: a sum that nothing has rounded."""


class Assignment(Protocol):
    """What a part belongs to."""

    @property
    def tensor(self) -> AlignedTensor: ...

    @property
    def extent(self) -> Extent | None: ...

    @property
    def by_row(self) -> bool: ...

    @property
    def wanted(self) -> Wanted: ...


class PartReader:
    """Reads and reduces parts with buffers of its own; one instance serves one worker."""

    def __init__(self, base: WeightSource, trained: WeightSource, device: str, precision: Precision | None) -> None:
        self._base, self._trained = base, trained
        self._shared: frozenset[str] = getattr(trained, "shared", frozenset())
        self._sums: Sums
        self.algebra: Algebra
        if device != "cpu":  # `cpu:0` is torch's CPU: the GPU's path on a machine without one
            from afterburn_core.run.device_algebra import DeviceAlgebra, DeviceSums

            self._sums, self.algebra = DeviceSums(device), DeviceAlgebra(precision or "float64", device)
        else:
            self._sums, self.algebra = ArraySums(), ArrayAlgebra(precision or "float64")

    def read(self, work: Assignment, spans: Sequence[Span], *, keep: bool) -> PartResult:
        """Both sides of some spans, reduced.

        Args:
            work: what they belong to.
            spans: what to read.
            keep: whether the elements stay with the result, for vectors and values.
        """
        left, right = both(work.tensor)
        bases: list[Raw] = []
        trains: list[Raw | None] = []
        found: list[PairSums] = []
        count, rounded = 0, True
        light = not (keep or work.by_row or work.wanted.kinds)
        for span in pieces(spans) if light else spans:
            base = read_array(self._base, left.name, span.base, span.base + span.count)
            trained = None
            if not (right.name in self._shared and left.name == right.name and span.base == span.trained):
                trained = read_array(self._trained, right.name, span.trained, span.trained + span.count)
                count += span.count * _size(right.dtype)
            count += span.count * _size(left.dtype)
            sums = (
                self._sums.single(base, left.dtype)
                if trained is None
                else self._sums.pair(base, trained, (left.dtype, right.dtype))
            )
            found.append(self._with_steps(sums, left, right, span))
            rounded = rounded and (trained is None or trained.dtype == NUMPY_DTYPES.get(right.dtype))
            if not light:
                bases.append(base)
                trains.append(trained)
        total = combine(found)
        stored = None
        if work.extent is not None and not light:
            stored = _joined(bases, trains, work.extent, equal=total.delta_sq == 0)
        grams: Mapping[Kind, NDArray[np.float64]] = {}
        if stored is not None and work.extent is not None and work.wanted.gram and total.finite:
            grams = self._grams(stored, work.wanted, work.extent.tall, total, whole=keep)
        return PartResult(
            sums=total,
            grams=grams,
            by_row=by_row(stored) if work.by_row and stored is not None else None,
            stored=stored if keep else None,
            bytes_read=count,
            rounded=rounded,
        )

    def close(self) -> None:
        """Gives back what it holds besides memory: nothing here."""

    def _grams(
        self, stored: Stored, wanted: Wanted, tall: bool, sums: PairSums, *, whole: bool
    ) -> dict[Kind, NDArray[np.float64]]:
        """Those wanted; where both sides are equal one product serves both, and Δ needs none."""
        if not wanted.kinds:
            return {}
        squares: dict[Kind, float] = {"base": sums.base_sq, "trained": sums.trained_sq, "delta": sums.delta_sq}
        sizes = {kind: math.sqrt(square / sums.n) for kind, square in squares.items()}
        if stored.trained is not None:
            return self.algebra.grams(stored, wanted.kinds, tall, sizes)
        if whole and "base" not in wanted.kinds:
            return {}  # nothing changed and base is known
        one = self.algebra.grams(stored, frozenset({"base"}), tall, sizes)["base"]
        return {kind: one for kind in wanted.kinds if kind != "delta"}

    def _with_steps(self, sums: PairSums, left: TensorInfo, right: TensorInfo, span: Span) -> PairSums:
        """The sums with the rounding steps that a quantised source knows better than its dtype tells."""
        base = _steps(self._base, left.name, span.base, span.count)
        trained = _steps(self._trained, right.name, span.trained, span.count)
        if base is not None:
            sums = attrs.evolve(sums, base_step_sq=base)
        return sums if trained is None else attrs.evolve(sums, trained_step_sq=trained)


def pieces(spans: Sequence[Span]) -> Iterator[Span]:
    """The same elements in stretches that are still in the cache when they are added up."""
    for span in spans:
        for i in range(0, span.count, PIECE):
            yield Span(base=span.base + i, trained=span.trained + i, count=min(PIECE, span.count - i))


def by_row(stored: Stored) -> NDArray[np.float64]:
    """(4, rows): Σw², Σw'², Σδ², Σw·δ of each row, in float64."""
    found = np.zeros((4, stored.rows))
    columns = stored.columns
    step = max(1, _ROW_BLOCK // columns)
    scratch = np.empty(step * columns, dtype=np.uint32)
    base, trained = np.empty((step, columns)), np.empty((step, columns))
    for start in range(0, stored.rows, step):
        stop = min(start + step, stored.rows)
        part = slice(start * columns, stop * columns)
        w, w2 = base[: stop - start], trained[: stop - start]
        widen(stored.base[part].reshape(w.shape), w, scratch)
        if stored.trained is None:
            found[0, start:stop] = found[1, start:stop] = np.einsum("ij,ij->i", w, w)
            continue
        widen(stored.trained[part].reshape(w.shape), w2, scratch)
        found[0, start:stop] = np.einsum("ij,ij->i", w, w)
        found[1, start:stop] = np.einsum("ij,ij->i", w2, w2)
        w2 -= w
        found[2, start:stop] = np.einsum("ij,ij->i", w2, w2)
        found[3, start:stop] = np.einsum("ij,ij->i", w, w2)
    return found


def both(tensor: AlignedTensor) -> tuple[TensorInfo, TensorInfo]:
    """Base's and trained's side of a tensor that is compared."""
    if tensor.base is None or tensor.trained is None:
        raise RuntimeError(f"{tensor.name}: has spans but not both sides")
    return tensor.base, tensor.trained


def _joined(bases: list[Raw], trains: list[Raw | None], extent: Extent, *, equal: bool) -> Stored:
    base = bases[0] if len(bases) == 1 else np.concatenate(bases)
    trained = None
    if not equal:
        pieces = [own if other is None else other for own, other in zip(bases, trains, strict=True)]
        trained = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    return Stored(base=base, trained=trained, rows=base.size // extent.columns, columns=extent.columns)


def _steps(source: WeightSource, name: str, start: int, count: int) -> float | None:
    offered = getattr(source, "step_sq", None)
    found: float | None = offered(name, start, start + count) if offered is not None else None
    return found


def _size(dtype: str) -> int:
    from afterburn_core.backends.tensors import ITEM_SIZE

    return ITEM_SIZE[dtype]
