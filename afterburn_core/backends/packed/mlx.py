"""MLX's affine quantisation: `weight` uint32 (outputs, inputs · b/32), `scales` and `biases` (outputs, inputs/g).

    w[j, i] = scales[j, ⌊i/g⌋] · code[j, i] + biases[j, ⌊i/g⌋]

Codes of b = 2 to 8 bits are a little-endian stream along the inputs. The group size g is in the configuration under
`quantization`; 64 is MLX's default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.packed.contract import (
    Floats,
    PackedRows,
    PackedWeight,
    Stored,
    parts_of,
    refused,
    stem_of,
    unpack,
)
from afterburn_core.backends.tensors import Quantisation, TensorInfo

_PARTS = ("weight", "scales", "biases")


def find(stored: Stored, config: Mapping[str, Any]) -> Iterator[PackedWeight]:
    """uint32 weights with `scales` beside them."""
    for name, info in stored.tensors.items():
        stem = stem_of(name, "weight")
        if stem is not None and info.dtype == "U32" and stored.has(f"{stem}scales") and len(info.shape) >= 2:
            yield _weight(stored, stem, info, config)


def _weight(stored: Stored, stem: str, info: TensorInfo, config: Mapping[str, Any]) -> PackedWeight:
    parts = parts_of(stored, stem, _PARTS)
    own = config.get(stem.removesuffix("."))  # layers may differ from the rest
    settings = {**config, **(own if isinstance(own, Mapping) else {})}
    size = settings.get("group_size", 64)
    scales, biases = f"{stem}scales", f"{stem}biases"
    if biases not in parts or settings.get("mode", "affine") != "affine":
        return refused(stored, info.name, info.name, parts, "of MLX's modes only 'affine' is read")
    shape = stored.tensors[scales].shape
    inputs = shape[-1] * size if shape and type(size) is int else 0
    bits = info.shape[-1] * 32 // inputs if inputs else 0
    fits = shape[:-1] == info.shape[:-1] and stored.tensors[biases].shape == shape and 2 <= bits <= 8
    if not fits or bits * inputs != info.shape[-1] * 32:
        return refused(stored, info.name, info.name, parts, f"scales {shape} do not fit codes {info.shape}")

    def group(name: str, first: int, last: int) -> Floats:
        return stored.floats(name).reshape(-1, shape[-1])[first:last]

    def values(first: int, last: int) -> Floats:
        found = unpack(stored.rows(info.name, first, last), bits, inputs).astype(np.float32)
        grouped = found.reshape(last - first, -1, size)
        grouped *= group(scales, first, last)[..., None]
        grouped += group(biases, first, last)[..., None]
        return found

    def squares(first: int, last: int) -> NDArray[Any]:
        return group(scales, first, last).astype(np.float64) ** 2

    quantisation = Quantisation(
        method="mlx", code=f"uint{bits}", bits=bits, group=size, scale=stored.tensors[scales].dtype
    )
    logical = TensorInfo(name=info.name, dtype="F32", shape=(*shape[:-1], inputs), quantisation=quantisation)
    rows = PackedRows(columns=inputs, values=values, step_sq=squares)
    return PackedWeight(info=logical, parts=parts, codes=info.name, rows=rows)
