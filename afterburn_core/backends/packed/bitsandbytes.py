"""bitsandbytes, 8 and 4 bits, as transformers saves them.

8 bits (LLM.int8(), arXiv 2208.07339): `weight` int8 (outputs, inputs), `SCB` the largest magnitude of each row:

    w[i, j] = code[i, j] · SCB[i] / 127

4 bits (QLoRA, arXiv 2305.14314): `weight` two codes a byte, the first in the high half; `weight.quant_map` the value
of each code; `weight.absmax` one scale per block of `blocksize` elements of the flattened weight; and the shape in the
JSON of `weight.quant_state.bitsandbytes__nf4` (or `__fp4`):

    w[k] = quant_map[code[k]] · absmax[⌊k / blocksize⌋]

With double quantisation absmax is stored as bytes: nested_quant_map[byte] · nested_absmax[block of 256] + offset.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.packed.codebooks import block_step_sq
from afterburn_core.backends.packed.contract import Floats, PackedRows, PackedWeight, Stored, pairs, refused, stem_of
from afterburn_core.backends.tensors import Quantisation, TensorInfo

_STATE = ".quant_state.bitsandbytes__"
_NESTED = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
_RECIPROCAL = np.float32(1 / 127)  # bitsandbytes multiplies by it


def find(stored: Stored, config: Mapping[str, Any]) -> Iterator[PackedWeight]:
    """Weights with `SCB` beside them, and weights with a 4-bit quantisation state."""
    for name, info in stored.tensors.items():
        stem = stem_of(name, "SCB")
        weight = f"{stem}weight"
        if stem is not None and stored.has(weight, "I8"):
            yield _eight(stored, stem, stored.tensors[weight])
        if info.dtype == "U8" and _STATE in name:
            weight = name.partition(_STATE)[0]
            if stored.has(weight, "U8", "BF16", "F16", "F32"):  # quant_storage may be a float dtype: bytes all the same
                yield _four(stored, weight, name)


def _eight(stored: Stored, stem: str, info: TensorInfo) -> PackedWeight:
    scale, layout = f"{stem}SCB", f"{stem}weight_format"
    parts = frozenset({info.name, scale} | ({layout} if layout in stored.tensors else set()))
    if len(info.shape) != 2 or stored.tensors[scale].numel != info.shape[0]:
        return refused(stored, info.name, info.name, parts, f"{scale} does not have one scale per row")
    if layout in parts and stored.flat(layout, 0, stored.tensors[layout].numel).any():
        return refused(stored, info.name, info.name, parts, "bitsandbytes stored it in the layout of one kind of GPU")

    def values(first: int, last: int) -> Floats:
        found = stored.rows(info.name, first, last).astype(np.float32)
        found *= stored.floats(scale).reshape(-1)[first:last, None]
        found *= _RECIPROCAL
        return found

    def squares(first: int, last: int) -> NDArray[Any]:
        return (stored.floats(scale).reshape(-1)[first:last, None].astype(np.float64) / 127) ** 2

    quantisation = Quantisation(method="bitsandbytes", code="int8", bits=8, scale=stored.tensors[scale].dtype)
    logical = TensorInfo(name=info.name, dtype="F32", shape=info.shape, quantisation=quantisation)
    rows = PackedRows(columns=info.shape[1], values=values, step_sq=squares)
    return PackedWeight(info=logical, parts=parts, codes=info.name, rows=rows)


def _four(stored: Stored, weight: str, state_name: str) -> PackedWeight:
    own = {f"{weight}.{part}" for part in _NESTED}
    parts = frozenset({weight, state_name} | own & stored.tensors.keys())
    kind = state_name.partition(_STATE)[2]
    try:
        state = json.loads(stored.flat(state_name, 0, stored.tensors[state_name].numel).tobytes())
        shape, block = tuple(int(size) for size in state["shape"]), int(state["blocksize"])
        nested = f"{weight}.nested_absmax" in parts
        offset = np.float32(state["nested_offset"]) if nested else np.float32(0)
        nested_block = int(state["nested_blocksize"]) if nested else 1
    except (ValueError, KeyError, TypeError) as error:
        return refused(stored, weight, weight, parts, f"its quantisation state is malformed ({error})")
    count = math.prod(shape)
    blocks = -(-count // block) if block > 0 else 0
    absmax, table_name = f"{weight}.absmax", f"{weight}.quant_map"
    whole = absmax in parts and table_name in parts and stored.tensors[absmax].numel == blocks
    if not whole or block % 2 or stored.tensors[weight].nbytes != -(-count // 2) or blocks == 0:
        return refused(stored, weight, weight, parts, f"its parts do not fit the shape {shape} in blocks of {block}")
    if stored.tensors[table_name].numel != 16:
        return refused(stored, weight, weight, parts, "its codebook does not have 16 values")

    def scales() -> Floats:
        """(blocks,)"""
        if not nested:
            return stored.floats(absmax).reshape(-1)
        outer = np.repeat(stored.floats(f"{weight}.nested_absmax").reshape(-1), nested_block)[:blocks]
        table: Floats = stored.floats(f"{weight}.nested_quant_map").reshape(-1)
        found: Floats = table[stored.flat(absmax, 0, blocks)] * outer + offset
        return found

    def octets(first: int, last: int) -> NDArray[np.uint8]:
        """(last − first, block / 2); what lies beyond the last element is 0."""
        size = stored.tensors[weight].nbytes
        begin, end = first * block // 2, min(last * block // 2, size)
        item = stored.tensors[weight].nbytes // stored.tensors[weight].numel
        raw = stored.flat(weight, begin // item, -(-end // item)).view(np.uint8)[begin % item :][: end - begin]
        missing = (last - first) * block // 2 - raw.size
        return (np.pad(raw, (0, missing)) if missing else raw).reshape(last - first, block // 2)

    def values(first: int, last: int) -> Floats:
        found = pairs(octets(first, last), stored.floats(table_name).reshape(-1), high_first=True)
        found *= stored.kept(("absmax", weight), scales)[first:last, None]
        return found

    def squares(first: int, last: int) -> NDArray[Any]:
        raw = octets(first, last)
        codes = np.stack([raw >> 4, raw & 15], axis=-1).reshape(last - first, block)
        absolute = stored.kept(("absmax", weight), scales)[first:last, None]
        return block_step_sq(stored.floats(table_name).reshape(-1), codes) * absolute**2

    quantisation = Quantisation(
        method="bitsandbytes", code=kind, bits=4, group=block, scale="U8" if nested else stored.tensors[absmax].dtype
    )
    logical = TensorInfo(name=weight, dtype="F32", shape=shape, quantisation=quantisation)
    rows = PackedRows(columns=block, values=values, step_sq=squares)
    return PackedWeight(info=logical, parts=parts, codes=weight, rows=rows)
