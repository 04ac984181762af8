"""compressed-tensors' `pack-quantized`: 4- or 8-bit integers packed along the inputs, and its 4-bit floats.

    w[j, i] = scale[j, ⌊i/g⌋] · (code[j, i] − zero[j, ⌊i/g⌋])

`weight_packed` int32 (outputs, inputs · b/32) holds codes shifted by 2^(b−1) to be unsigned, so a symmetric
quantiser's zero is 2^(b−1) in stored terms; `weight_zero_point` packs zeros, shifted alike, along the outputs.
`weight_shape` holds (outputs, inputs) and `weight_g_idx` the group of each input.

NVFP4, by compressed-tensors (`weight_packed` bytes, `weight_global_scale`) and ModelOpt (`weight` bytes,
`weight_scale_2`): two E2M1 codes a byte, the first in the low half, with an E4M3 scale for every 16 inputs:

    w[j, i] = E2M1[code] · scale[j, ⌊i/16⌋] / global_scale               ModelOpt: · scale_2
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.packed.codebooks import E2M1, block_step_sq
from afterburn_core.backends.packed.contract import (
    Floats,
    PackedRows,
    PackedWeight,
    Stored,
    affine,
    pairs,
    parts_of,
    refused,
    stem_of,
    unpack,
)
from afterburn_core.backends.tensors import Quantisation, TensorInfo

_PARTS = (
    "weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx", "weight_global_scale",
    "input_global_scale",
)  # fmt: skip
_MODELOPT = ("weight", "weight_scale", "weight_scale_2", "input_scale")


def find(stored: Stored, config: Mapping[str, Any]) -> Iterator[PackedWeight]:
    """Weights stored as `weight_packed`, and bytes with `weight_scale_2`."""
    for name, info in stored.tensors.items():
        stem = stem_of(name, "weight_packed")
        if stem is not None:
            if info.dtype == "U8" and stored.has(f"{stem}weight_global_scale"):
                yield _float4(stored, stem, name, f"{stem}weight_global_scale", parts_of(stored, stem, _PARTS))
            else:
                yield _integers(stored, stem, config)
        stem = stem_of(name, "weight_scale_2")
        if stem is not None and stored.has(f"{stem}weight", "U8"):
            yield _float4(stored, stem, f"{stem}weight", name, parts_of(stored, stem, _MODELOPT))


def _integers(stored: Stored, stem: str, config: Mapping[str, Any]) -> PackedWeight:
    codes, logical, scale = f"{stem}weight_packed", f"{stem}weight", f"{stem}weight_scale"
    parts = parts_of(stored, stem, _PARTS)
    packed = stored.tensors[codes]
    two = stored.has(f"{stem}weight_shape", "I64", "I32") and stored.tensors[f"{stem}weight_shape"].numel == 2
    if packed.dtype != "I32" or len(packed.shape) != 2 or scale not in parts or not two:
        return refused(stored, logical, codes, parts, "only 32-bit words with weight_scale and weight_shape are read")
    outputs, inputs = (int(size) for size in stored.flat(f"{stem}weight_shape", 0, 2))
    scales = stored.tensors[scale]
    groups = scales.numel // max(outputs, 1)
    bits = packed.shape[1] * 32 // max(inputs, 1)  # the last word of a row may not be full
    fits = packed.shape[0] == outputs and bits in (4, 8) and packed.shape[1] == -(-inputs * bits // 32)
    if not fits or groups * outputs != scales.numel or not groups or inputs % groups:
        return refused(stored, logical, codes, parts, f"{packed.shape} and scales {scales.shape} fit no known packing")
    half, size = 1 << (bits - 1), inputs // groups
    zero_point, order = f"{stem}weight_zero_point", f"{stem}weight_g_idx"

    def group() -> NDArray[Any] | None:
        """(inputs,) the group of each input; `None` where they are consecutive."""
        index: NDArray[Any] | None = stored.whole(order).reshape(-1) if order in parts else None
        return None if index is None or (index < 0).any() else index  # −1 throughout: inputs were not reordered

    def zeros() -> NDArray[np.float32]:
        """(outputs, groups)"""
        raw = stored.whole(zero_point)
        if raw.dtype == np.int8:
            return raw.reshape(outputs, groups).astype(np.float32) + np.float32(half)
        return np.ascontiguousarray(unpack(raw.T, bits, outputs).T).astype(np.float32)

    def values(first: int, last: int) -> Floats:
        zero = stored.kept(("zeros", codes), zeros)[first:last] if zero_point in parts else float(half)
        scales = stored.floats(scale).reshape(outputs, groups)[first:last]
        found = unpack(stored.rows(codes, first, last), bits, inputs)
        return affine(found, zero, scales, stored.kept(("group", codes), group))

    def squares(first: int, last: int) -> NDArray[Any]:
        found = stored.floats(scale).reshape(outputs, groups)[first:last].astype(np.float64) ** 2
        index = stored.kept(("group", codes), group)
        return found if index is None else found[:, index]

    quantisation = Quantisation(
        method="compressed-tensors", code=f"int{bits}", bits=bits, group=size if groups > 1 else None,
        scale=scales.dtype,
    )  # fmt: skip
    info = TensorInfo(name=logical, dtype="F32", shape=(outputs, inputs), quantisation=quantisation)
    rows = PackedRows(columns=inputs, values=values, step_sq=squares)
    return PackedWeight(info=info, parts=parts, codes=codes, rows=rows)


def _float4(stored: Stored, stem: str, codes: str, whole: str, parts: frozenset[str]) -> PackedWeight:
    logical, scale = f"{stem}weight", f"{stem}weight_scale"
    packed = stored.tensors[codes]
    inputs = 2 * packed.shape[-1] if packed.shape else 0
    fits = stored.has(scale, "F8_E4M3") and stored.tensors[scale].shape == (*packed.shape[:-1], inputs // 16)
    if not fits or inputs % 16 or stored.tensors[whole].numel != 1 or stored.tensors[whole].dtype != "F32":
        return refused(stored, logical, codes, parts, "4-bit floats need an E4M3 scale for every 16 inputs")

    def scales(first: int, last: int) -> Floats:
        """(last − first, inputs / 16)"""
        factor = stored.floats(whole).reshape(())
        own = stored.floats(scale).reshape(-1, inputs // 16)[first:last]
        return own * factor if whole.endswith("_2") else own / factor

    def indices(first: int, last: int) -> NDArray[np.uint8]:
        raw = stored.rows(codes, first, last)
        return np.stack([raw & 15, raw >> 4], axis=-1).reshape(last - first, inputs)

    def values(first: int, last: int) -> Floats:
        found = pairs(stored.rows(codes, first, last), E2M1).reshape(last - first, -1, 16)
        found *= scales(first, last)[..., None]
        return found.reshape(last - first, inputs)

    def squares(first: int, last: int) -> NDArray[Any]:
        own = scales(first, last).reshape(-1, 1) ** 2
        return (block_step_sq(E2M1, indices(first, last).reshape(-1, 16)) * own).reshape(last - first, inputs)

    quantisation = Quantisation(method="nvfp4", code="e2m1", bits=4, group=16, scale="F8_E4M3")
    info = TensorInfo(name=logical, dtype="F32", shape=(*packed.shape[:-1], inputs), quantisation=quantisation)
    rows = PackedRows(columns=inputs, values=values, step_sq=squares)
    return PackedWeight(info=info, parts=parts, codes=codes, rows=rows)
