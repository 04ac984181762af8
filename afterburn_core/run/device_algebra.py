"""`algebra.ArrayAlgebra` on a GPU: the same products and eigenvalues with torch, on any device it has.

Stored bits cross the bus as they are, through pinned memory, and are widened on the device. Gram matrices are taken in
float64 where that is asked for, and stay on the device until they are decomposed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.run.algebra import Kind, Precision, Stored
from afterburn_core.run.arrays import Raw, to_torch
from afterburn_core.run.device_kernels import SumsKernel
from afterburn_core.run.sums import PairSums

BLOCK = 1 << 25
"""Elements per block: 256 MiB of float64."""

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class DeviceSums:
    """Sums over elements on a device; one instance serves one thread."""

    def __init__(self, device: str) -> None:
        self._kernel = SumsKernel(torch.device(device))

    def pair(self, base: Raw, trained: Raw, stored: tuple[str, str]) -> PairSums:
        """See `kernels.ArraySums.pair`."""
        return self._kernel.pair(to_torch(base), to_torch(trained), (_DTYPES[stored[0]], _DTYPES[stored[1]]))

    def single(self, values: Raw, stored: str) -> PairSums:
        """See `kernels.ArraySums.single`."""
        return self._kernel.single(to_torch(values), _DTYPES[stored])


class DeviceAlgebra:
    """Products on a device; one instance serves one thread."""

    def __init__(self, precision: Precision, device: str) -> None:
        self.precision = precision
        self._device = torch.device(device)
        self._dtype = torch.float32 if precision == "float32" else torch.float64

    def grams(
        self, stored: Stored, kinds: frozenset[Kind], tall: bool, sizes: Mapping[Kind, float] | None = None
    ) -> dict[Kind, Any]:
        """Gram matrices (k, k) of the kinds asked for, float64 tensors on the device."""
        order = stored.columns if tall else stored.rows
        totals = {kind: torch.zeros(order, order, dtype=torch.float64, device=self._device) for kind in sorted(kinds)}
        for blocks in self._blocks(stored, kinds, tall, self._dtype):
            for kind, block in blocks.items():
                size = (sizes or {}).get(kind, 1.0) or 1.0
                scaled = block if self._dtype == torch.float64 else block / size
                product = (scaled.T @ scaled if tall else scaled @ scaled.T).double()
                totals[kind] += product if self._dtype == torch.float64 else product * size**2
        return totals

    def apply(
        self,
        stored: Stored,
        vectors: Mapping[str, tuple[Kind, NDArray[np.float64]]],
        *,
        transposed: bool,
        precision: Precision = "float64",
    ) -> dict[str, NDArray[np.float64]]:
        """See `algebra.ArrayAlgebra.apply`."""
        dtype = torch.float32 if precision == "float32" else torch.float64
        factors = {
            name: (kind, torch.from_numpy(np.ascontiguousarray(values)).to(self._device, dtype))
            for name, (kind, values) in vectors.items()
        }
        kinds = frozenset(kind for kind, _ in vectors.values())
        parts: dict[str, list[torch.Tensor]] = {name: [] for name in vectors}
        start = 0
        for blocks in self._blocks(stored, kinds, True, dtype):
            stop = start + next(iter(blocks.values())).shape[0]
            for name, (kind, values) in factors.items():
                product = blocks[kind].T @ values[start:stop] if transposed else blocks[kind] @ values
                parts[name].append(product.double())
            start = stop
        return {
            name: (torch.stack(found).sum(dim=0) if transposed else torch.cat(found)).cpu().numpy()
            for name, found in parts.items()
        }

    def eigenvalues(self, gram: Any) -> NDArray[np.float64]:
        """All eigenvalues, descending."""
        return self._descending(torch.linalg.eigvalsh(self._tensor(gram)))

    def leading(self, gram: Any, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """All eigenvalues and the vectors (k, count) of the largest."""
        values, vectors = torch.linalg.eigh(self._tensor(gram))
        chosen = vectors.flip(1)[:, : min(count, vectors.shape[1])]
        return self._descending(values), chosen.double().cpu().numpy()

    def basis(self, gram: Any) -> NDArray[np.float64]:
        """All eigenvectors (k, k) as columns, by descending eigenvalue."""
        found: NDArray[np.float64] = torch.linalg.eigh(self._tensor(gram))[1].flip(1).double().cpu().numpy()
        return found

    def _tensor(self, gram: Any) -> torch.Tensor:
        """float64 always: a device that multiplies in float32 still has the few n² entries in full precision."""
        return torch.as_tensor(gram, dtype=torch.float64, device=self._device)

    def _descending(self, values: torch.Tensor) -> NDArray[np.float64]:
        found: NDArray[np.float64] = values.flip(0).double().cpu().numpy()
        return found

    def _blocks(
        self, stored: Stored, kinds: frozenset[Kind], by_rows: bool, dtype: torch.dtype
    ) -> Iterator[dict[Kind, torch.Tensor]]:
        base = self._moved(stored.base).view(stored.rows, stored.columns)
        trained = base if stored.trained is None else self._moved(stored.trained).view(stored.rows, stored.columns)
        along, across = (stored.rows, stored.columns) if by_rows else (stored.columns, stored.rows)
        step = max(1, BLOCK // max(1, across))
        wide = torch.float64 if torch.float64 in (base.dtype, trained.dtype) else dtype
        for start in range(0, along, step):
            cut = (slice(start, start + step), slice(None)) if by_rows else (slice(None), slice(start, start + step))
            found: dict[Kind, torch.Tensor] = {}
            if "base" in kinds or "delta" in kinds:
                found["base"] = base[cut].to(wide)
            if "trained" in kinds or "delta" in kinds:
                found["trained"] = trained[cut].to(wide)
            if "delta" in kinds:
                found["delta"] = found["trained"] - found["base"]
            yield {kind: found[kind].to(dtype) for kind in sorted(kinds)}

    def _moved(self, raw: Raw) -> torch.Tensor:
        """The stored elements on the device; through pinned memory, so that the copy overlaps other threads' work."""
        host = to_torch(raw)
        if self._device.type == "cpu":
            return host
        return host.pin_memory().to(self._device, non_blocking=True)
