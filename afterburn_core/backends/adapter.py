"""PEFT adapters as weight sources: W' is computed by blocks of rows from the factors, never materialised whole.

`adapter_factors` says what an adapter holds; here it is bound to a base: names are found, shapes checked, and the
orientation settled in which the base stores each weight (outputs are columns in GPT-2's Conv1D).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs

from afterburn_core.backends.adapter_binding import Bound, bind
from afterburn_core.backends.adapter_factors import Factors, parse_factors
from afterburn_core.backends.tensors import TensorInfo, WeightFile, WeightSource

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from afterburn_core.run.lowrank import LowRank
    from afterburn_core.run.observations import FactorItem
    from afterburn_core.run.spectra import Spectrum

    Array = NDArray[np.float64]

_HELD = 16  # tensors whose factors stay in memory: as many as a pass works on at once
_BLOCK = 256  # rows formed at once where norms over columns are needed


@attrs.define(eq=False)
class _Held:
    """Factors of the tensors in work, in the orientation in which the base stores them."""

    lock: threading.Lock = attrs.field(factory=threading.Lock)
    matrices: dict[str, LowRank] = attrs.field(factory=dict)
    vectors: dict[tuple[str, str], Array] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class AdapterSource:
    """Base weights with an adapter on them, under the base's names."""

    base: WeightSource
    file: WeightFile
    tensors: Mapping[str, TensorInfo]
    changes: Mapping[str, Bound]
    """What the adapter changes, by the base's name of the tensor; tensors stored whole are in `saved` alone."""
    saved: Mapping[str, str]
    """Tensors stored whole in the adapter: base name to adapter name."""
    tied_to: Mapping[str, str]
    """Names the base does not store because it ties them: the head's name to the embedding's."""
    factors: tuple[Factors, ...]
    description: Mapping[str, Any]
    _held: _Held = attrs.field(factory=_Held, repr=False, eq=False)

    @property
    def aliases(self) -> Mapping[str, str]:
        own = self.changes.keys() | self.saved.keys()  # what the adapter changes no longer shares storage
        return {name: target for name, target in self.base.aliases.items() if own.isdisjoint((name, target))}

    @property
    def shared(self) -> frozenset[str]:
        """Tensors that the adapter leaves as the base has them."""
        return frozenset(self.tensors.keys() - self.changes.keys() - self.saved.keys())

    def position(self, name: str) -> tuple[int, int]:
        stored = self.tied_to.get(name, name)
        return self.base.position(stored) if name not in self.saved and stored in self.base.tensors else (1 << 30, 0)

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements of W': stored dtype where stored whole or untouched, float64 where computed from factors."""
        if name not in self.changes:
            if name in self.saved:
                return self.file.read(self.saved[name], start, stop)
            return self.base.read(name, start, stop)
        import torch

        return torch.from_numpy(self._changed(name, start, stop))

    def read_array(self, name: str, start: int, stop: int) -> NDArray[Any] | None:
        """The same elements without torch, bfloat16 as its bits; see `run.arrays`."""
        if name in self.changes:
            return self._changed(name, start, stop)
        from afterburn_core.run.arrays import read_array

        if name in self.saved:
            return read_array(cast("WeightSource", self.file), self.saved[name], start, stop)
        return read_array(self.base, name, start, stop)

    def low_rank(self, name: str) -> LowRank | None:
        """Δ of a tensor as factors, in stored orientation; `None` where the factors are not the whole change."""
        bound = self.changes.get(name)
        return (
            self._matrix(name, bound) if bound is not None and bound.factors.exact and name not in self.saved else None
        )

    def spectrum(self, name: str, vectors: bool = False) -> Spectrum | None:
        """The exact spectrum of Δ from its factors; `None` where they are not the whole change (DoRA, IA3, saved) or
        hold NaN or infinities.

        Args:
            name: the base's name of the tensor.
            vectors: also give the top singular vectors, at most 16, left ones in the space of the stored rows.
        """
        from afterburn_core.run.lowrank import spectrum

        matrix = self.low_rank(name)
        try:
            return None if matrix is None else spectrum(matrix, vectors=vectors)
        except ValueError:  # not finite: the pass finds that in the values, and names the tensor
            return None

    def factor_items(self) -> tuple[FactorItem, ...]:
        """What the factors pass hands out, one per tensor that the adapter changes or stores whole."""
        from afterburn_core.run.naming import parse_name, scope_of
        from afterburn_core.run.observations import FactorItem

        def item(name: str, bound: Bound) -> FactorItem:
            one, canonical = bound.factors, parse_name(name).canonical
            return FactorItem(
                name=canonical,
                scope=scope_of(canonical),
                kind=one.kind,
                exact=one.exact and name not in self.saved,
                by_row=bound.by_row,
                rank=one.rank if one.low_rank else None,
                configured=one.configured if one.low_rank else None,
                alpha=one.alpha if one.low_rank else None,
                scale=one.scale if one.low_rank or one.kind == "bias" else None,
                formula=one.formula if one.low_rank or one.kind == "bias" else None,
                dtypes=one.dtypes if one.low_rank else None,
                read_matrix=(lambda: bound.oriented(one.matrix())) if one.low_rank else None,
                read_gain=bound.vector if one.kind == "ia3" else None,
            )

        saved = {one.tensor: one for one in self.factors if one.kind == "saved"}
        whole = [name for name in self.saved if name not in self.changes]
        named = {parse_name(name).canonical: name for name in whole}
        return (
            *(item(name, bound) for name, bound in self.changes.items()),
            *(item(name, Bound(factors=saved[canonical])) for canonical, name in named.items() if canonical in saved),
        )

    def _changed(self, name: str, start: int, stop: int) -> Array:
        info = self.tensors[name]
        width = info.numel // info.shape[0]
        first, last = start // width, -(-stop // width)
        values = self._rows(name, self.changes[name], first, last, width)  # (rows, width)
        return values.reshape(-1)[start - first * width : stop - first * width]

    def _rows(self, name: str, bound: Bound, first: int, last: int, width: int) -> Array:
        factors = bound.factors
        if factors.kind == "bias":
            return self._stored(name, first, last, width) + factors.scale * self._vector(name, bound)[first:last, None]
        if factors.kind == "ia3":
            gain = self._vector(name, bound)
            values = self._stored(name, first, last, width)
            return values * (gain[first:last, None] if bound.by_row else gain[None, :])
        if factors.kind == "tokens":
            return self._with_tokens(name, bound, first, last, width)
        values = self._sum(name, bound, first, last, width)
        if not factors.dora:
            return values
        magnitude = self._vector(name, bound)
        if bound.by_row:
            values *= (magnitude[first:last] / _norm(values, axis=1))[:, None]
        else:
            values *= (magnitude / self._column_norms(name, bound, width))[None, :]
        return values

    def _with_tokens(self, name: str, bound: Bound, first: int, last: int, width: int) -> Array:
        values = self._stored(name, first, last, width)
        inside = [(i, token) for i, token in enumerate(bound.factors.tokens) if first <= token < last]
        if inside:
            rows = self._vector(name, bound).reshape(-1, width)
            values[[token - first for _, token in inside]] = rows[[i for i, _ in inside]]
        return values

    def _stored(self, name: str, first: int, last: int, width: int) -> Array:
        """Rows of the weight that the adapter changes, as float64; zeros for a bias that the base lacks."""
        import numpy as np

        from afterburn_core.run.arrays import read_array, to_float64

        if name not in self.saved and self.tied_to.get(name, name) not in self.base.tensors:
            return np.zeros((last - first, width))
        if name in self.saved:
            raw = read_array(cast("WeightSource", self.file), self.saved[name], first * width, last * width)
        else:
            raw = read_array(self.base, self.tied_to.get(name, name), first * width, last * width)
        return to_float64(raw).reshape(last - first, width)

    def _sum(self, name: str, bound: Bound, first: int, last: int, width: int) -> Array:
        """Rows of W + s·B·A."""
        values = self._stored(name, first, last, width)
        values += self._matrix(name, bound).block(first, last)
        return values

    def _matrix(self, name: str, bound: Bound) -> LowRank:
        with self._held.lock:
            found = self._held.matrices.get(name)
            if found is None:
                found = bound.oriented(bound.factors.matrix())
                while len(self._held.matrices) >= _HELD:
                    del self._held.matrices[next(iter(self._held.matrices))]
                self._held.matrices[name] = found
            return found

    def _vector(self, name: str, bound: Bound) -> Array:
        """A gain, magnitude, bias or the trained rows: small enough to be kept."""
        return self._kept(name, "vector", bound.vector)

    def _column_norms(self, name: str, bound: Bound, width: int) -> Array:
        """Norms of the columns of W + s·B·A: DoRA's denominator where outputs are columns."""

        def compute() -> Array:
            import numpy as np

            rows, squares = self.tensors[name].shape[0], np.zeros(width)
            for first in range(0, rows, _BLOCK):
                values = self._sum(name, bound, first, min(first + _BLOCK, rows), width)
                squares += np.einsum("ij,ij->j", values, values)
            return np.sqrt(squares)

        return self._kept(name, "norms", compute)

    def _kept(self, name: str, what: str, compute: Any) -> Array:
        found = self._held.vectors.get((name, what))
        if found is None:  # two threads may both compute it, to the same values
            found = self._held.vectors[name, what] = compute()
        return found


def read_adapter(path: Path, config: Mapping[str, Any], file: WeightFile, base: WeightSource) -> AdapterSource:
    """Interprets an adapter's file against its base.

    Raises:
        SubjectError: a kind of adapter this version does not compute exactly, or factors that do not fit the base.
    """
    factors = parse_factors(path, config, file)
    bound = bind(path, file, factors, base)
    with_rank = [change.factors for change in bound.changes.values() if change.factors.low_rank]
    description = {
        "peft_type": str(config.get("peft_type", "LORA")),
        "rank": sorted({one.rank for one in with_rank if one.rank is not None}),
        "scaling": sorted({one.scale for one in with_rank}),
        "modules": len(bound.changes),
        "saved_whole": len(bound.saved),
        "dora": bool(config.get("use_dora")),
        "rslora": bool(config.get("use_rslora")),
    }
    return AdapterSource(
        base=base,
        file=file,
        tensors=bound.tensors,
        changes=bound.changes,
        saved=bound.saved,
        tied_to=bound.tied_to,
        factors=factors,
        description=description,
    )


def _norm(values: Array, axis: int) -> Array:
    import numpy as np

    norms: Array = np.linalg.norm(values, axis=axis)
    return norms
