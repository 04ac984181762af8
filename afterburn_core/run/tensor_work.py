"""One tensor on its way through the weights pass: what is wanted of it, what its parts gave, what is known already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.tensors import WeightSource
from afterburn_core.run.algebra import Kind, Precision
from afterburn_core.run.align import AlignedTensor, Span
from afterburn_core.run.decompose import Algebra, Matrix, decompose
from afterburn_core.run.matrix_parts import Extent
from afterburn_core.run.parts import PartResult, Wanted, both
from afterburn_core.run.randomised import randomised_spectrum
from afterburn_core.run.seeds import child_seed
from afterburn_core.run.spectra import PairSpectra, RowSums, Spectrum
from afterburn_core.run.spectra_cache import (
    SpectraCache,
    pack,
    pack_fields,
    unpack,
    unpack_principal,
    unpack_rows,
)
from afterburn_core.run.sums import PairSums

_KINDS: frozenset[Kind] = frozenset({"base", "trained", "delta"})


@attrs.frozen(kw_only=True)
class Spectral:
    """How spectra are computed, and where they are kept."""

    precision: Precision
    """Of the Gram matrices."""
    vectors: bool
    trained: WeightSource
    """Asked for spectra that it knows from factors."""
    max_order: int
    """Largest Gram matrix that fits into memory here; a larger one gives way to a randomised decomposition."""
    seed: int = 0
    base_cache: SpectraCache | None = None
    pair_cache: SpectraCache | None = None

    def wanted(self, tensor: AlignedTensor, extent: Extent | None) -> Wanted:
        """What has to be computed of a matrix, given what cache and factors know."""
        if extent is None:
            return Wanted.none()
        if extent.order > self.max_order:
            return Wanted(kinds=frozenset(), gram=False)
        base = self.known_base(tensor)
        delta = self._factors(tensor)
        known: set[Kind] = set()
        if base is not None:
            known.add("base")
        if delta is not None:
            known.add("delta")
        return Wanted(kinds=_KINDS - known, base_known=base, delta_known=delta)

    def known_base(self, tensor: AlignedTensor) -> Spectrum | None:
        """Base's spectrum from the cache, if it is that of the whole tensor."""
        if self.base_cache is None or not _whole(tensor):
            return None
        arrays = self.base_cache.load(_place(tensor))
        found = unpack("base", arrays, vectors=self.vectors) if arrays else None
        return found if found is not None and found.method == self.precision else None

    def _factors(self, tensor: AlignedTensor) -> Spectrum | None:
        offered = getattr(self.trained, "spectrum", None)
        if offered is None or tensor.trained is None or not _whole(tensor):
            return None
        found: Spectrum | None = offered(tensor.trained.name, vectors=self.vectors)
        return found


@attrs.define(kw_only=True, eq=False)
class TensorWork:
    """A tensor that is being read."""

    tensor: AlignedTensor
    extent: Extent | None
    parts: Sequence[tuple[Span, ...]]
    results: list[PartResult | None]
    by_row: bool
    spectral: bool
    wanted: Wanted


def finish(
    work: TensorWork, parts: Sequence[PartResult], total: PairSums, algebra: Algebra, spectral: Spectral | None
) -> tuple[PairSpectra | None, RowSums | None]:
    """Spectra and sums by row of a tensor whose parts are all there; both go into the cache."""
    rows = _row_sums(work, parts) if work.by_row else None
    spectra = None
    if spectral is not None and work.spectral and total.finite and work.extent is not None:
        spectra = _spectra(work, parts, total, algebra, spectral)
        if spectra is not None and not all(part.rounded for part in parts):
            spectra = attrs.evolve(spectra, rounded=False)
    if spectral is not None and spectral.pair_cache is not None and (spectra is not None or rows is not None):
        arrays: dict[str, NDArray[Any]] = {}
        if spectra is not None:
            arrays |= pack("delta", spectra.delta) | {"rounded": np.array([spectra.rounded])}
            if spectra.trained is not spectra.base:
                arrays |= pack("trained", spectra.trained)
            if spectra.principal is not None:
                arrays |= pack_fields("principal", spectra.principal)
            if work.wanted.base_known is None and spectral.base_cache is not None:
                if _whole(work.tensor) and not spectra.base.approximate:
                    spectral.base_cache.store(_place(work.tensor), pack("base", spectra.base))
                else:
                    arrays |= pack("base", spectra.base)
        if rows is not None:
            arrays |= pack_fields("tokens", rows)
        spectral.pair_cache.store(work.tensor.name, arrays)
    return spectra, rows


def recalled(
    work: TensorWork, spectral: Spectral | None, sums: PairSums
) -> tuple[PairSpectra | None, RowSums | None] | None:
    """What an earlier run left of a tensor; `None` where anything that is wanted is lacking."""
    wants_spectra = spectral is not None and work.spectral and sums.finite
    if not wants_spectra and not work.by_row:
        return None, None
    cache = spectral.pair_cache if spectral is not None else None
    arrays = cache.load(work.tensor.name) if cache is not None else None
    if arrays is None or spectral is None:
        return None
    rows = unpack_rows(arrays) if work.by_row else None
    if work.by_row and rows is None:
        return None
    if not wants_spectra:
        return None, rows
    vectors = spectral.vectors and sums.delta_sq > 0
    base = work.wanted.base_known or unpack("base", arrays, vectors=spectral.vectors)
    delta = unpack("delta", arrays, vectors=vectors)
    trained = unpack("trained", arrays, vectors=spectral.vectors) if sums.delta_sq > 0 else base
    if base is None or delta is None or trained is None:
        return None
    principal = unpack_principal(arrays) if spectral.vectors else None  # as a run without vectors finds it
    rounded = bool(arrays.get("rounded", np.array([True])).reshape(-1)[0])
    return PairSpectra(base=base, trained=trained, delta=delta, principal=principal, rounded=rounded), rows


def _spectra(
    work: TensorWork, parts: Sequence[PartResult], total: PairSums, algebra: Algebra, spectral: Spectral
) -> PairSpectra | None:
    if work.extent is None:
        return None
    stored = parts[0].stored if len(parts) == 1 else None
    if not work.wanted.gram:
        return _approximate(work, parts, total, algebra, spectral)
    grams: dict[Kind, NDArray[np.float64]] = {}
    for part in parts:  # in the order of the parts, whoever computed them
        for kind, gram in part.grams.items():
            grams[kind] = grams[kind] + gram if kind in grams else gram
    matrix = Matrix(
        rows=work.extent.rows,
        columns=work.extent.columns,
        sums=total,
        grams=grams,
        stored=stored,
        base=work.wanted.base_known,
        delta=work.wanted.delta_known,
    )
    return decompose(matrix, algebra, vectors=spectral.vectors)


def _approximate(
    work: TensorWork, parts: Sequence[PartResult], total: PairSums, algebra: Algebra, spectral: Spectral
) -> PairSpectra | None:
    """Top values only; nothing where the matrix is not in memory as a whole."""
    stored = parts[0].stored if len(parts) == 1 else None
    if stored is None:
        return None
    seed = child_seed(spectral.seed, work.tensor.name)
    base = randomised_spectrum(stored, "base", total.base_sq, algebra, seed)
    if total.delta_sq == 0:
        still = attrs.evolve(base, values=np.zeros_like(base.values), square=0.0, left=None, right=None, error=0.0)
        return PairSpectra(base=base, trained=base, delta=still)
    return PairSpectra(
        base=base,
        trained=randomised_spectrum(stored, "trained", total.trained_sq, algebra, seed),
        delta=randomised_spectrum(stored, "delta", total.delta_sq, algebra, seed),
    )


def _row_sums(work: TensorWork, parts: Sequence[PartResult]) -> RowSums | None:
    left, right = both(work.tensor)
    columns = work.extent.columns if work.extent is not None else 1
    sums = [part.by_row for part in parts]
    if any(found is None for found in sums):
        return None
    joined = np.concatenate([found for found in sums if found is not None], axis=1)
    runs = [(s.base // columns, s.trained // columns, s.count // columns) for s in work.tensor.spans]
    return RowSums(
        base_row=np.concatenate([np.arange(b, b + n) for b, _, n in runs]),
        trained_row=np.concatenate([np.arange(t, t + n) for _, t, n in runs]),
        base_sq=joined[0],
        trained_sq=joined[1],
        delta_sq=joined[2],
        dot_base_delta=joined[3],
        base_rows=left.shape[0],
        trained_rows=right.shape[0],
    )


def _whole(tensor: AlignedTensor) -> bool:
    """Whether all of base's tensor is compared in its own order, so that its spectrum is that of the tensor."""
    spans = tensor.spans
    return tensor.base is not None and len(spans) == 1 and spans[0].base == 0 and spans[0].count == tensor.base.numel


def _place(tensor: AlignedTensor) -> str:
    """Under which base's spectrum is cached: a layout may present one stored tensor in more than one way."""
    name, shape = (tensor.base.name, tensor.base.shape) if tensor.base else (tensor.name, ())
    return f"{name} {'x'.join(map(str, shape))}"
