"""8-bit codes with scales over a grid of blocks: fp8 as DeepSeek, Qwen, compressed-tensors and fbgemm store it, int8.

    w[i, j] = (code[i, j] − zero) · scale[⌊i/h⌋, ⌊j/w⌋]

`weight_scale_inv` (DeepSeek-V3) is multiplied like `weight_scale`, its name notwithstanding. Scales may be one per
tensor, one per output, or one per block of h × w, by the shape of the tensor that holds them. int8 codes stand for
integers, with `weight_zero_point` where the quantiser was asymmetric.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.packed.codebooks import FP8, step_sq
from afterburn_core.backends.packed.contract import (
    Floats,
    PackedRows,
    PackedWeight,
    Stored,
    parts_of,
    refused,
    stem_of,
)
from afterburn_core.backends.tensors import Quantisation, TensorInfo

_SCALES = ("_scale_inv", "_scale")
_PARTS = ("", *_SCALES, "_zero_point", "_shape")
_INPUTS = ("input_scale", "input_scale_ub", "input_zero_point", "activation_scale")
_CODES = {"F8_E4M3": "e4m3", "F8_E5M2": "e5m2", "I8": "int8"}


def find(stored: Stored, config: Mapping[str, Any]) -> Iterator[PackedWeight]:
    """fp8 or int8 codes with a tensor of their name and `_scale` or `_scale_inv` beside them."""
    for name, info in stored.tensors.items():
        if info.dtype not in _CODES or len(info.shape) < 2 or not info.numel:
            continue
        scale = next((f"{name}{suffix}" for suffix in _SCALES if f"{name}{suffix}" in stored.tensors), None)
        if scale is None:
            continue
        parts = parts_of(stored, name, _PARTS) | parts_of(stored, stem_of(name, "weight") or f"{name}_", _INPUTS)
        blocks = _blocks(info.shape, stored.tensors[scale].shape, config)
        if blocks is None or stored.tensors[scale].dtype not in {"F32", "BF16", "F16", "F64"}:
            reason = f"{scale} of dtype {stored.tensors[scale].dtype} and shape {stored.tensors[scale].shape} does not "
            yield refused(stored, name, name, parts, f"{reason}fit its shape {info.shape}")
            continue
        yield _weight(stored, info, scale, parts, blocks)


def _blocks(
    shape: tuple[int, ...], scales: tuple[int, ...], config: Mapping[str, Any]
) -> tuple[int | None, int | None] | None:
    """(outputs, inputs) that share a scale, `None` for all of them; `None` where the shapes do not fit."""
    if math.prod(scales) == 1:
        return None, None
    if len(scales) == len(shape) - 1:
        scales = (*scales, 1)
    if len(scales) != len(shape) or scales[:-2] != shape[:-2]:
        return None
    configured = config.get("weight_block_size")
    sizes = configured if isinstance(configured, list) and len(configured) == 2 else [128, 128]
    found: list[int | None] = []
    for size, count, block in zip(shape[-2:], scales[-2:], sizes, strict=True):
        if count == 1:
            found.append(None if size > 1 else 1)
        elif count == size:
            found.append(1)
        elif type(block) is int and block > 0 and -(-size // block) == count:
            found.append(block)
        elif count and size % count == 0:
            found.append(size // count)
        else:
            return None
    return found[0], found[1]


def _weight(
    stored: Stored,
    info: TensorInfo,
    scale: str,
    parts: frozenset[str],
    blocks: tuple[int | None, int | None],
) -> PackedWeight:
    outputs, inputs = info.shape[-2:]
    height, width = blocks[0] or outputs, blocks[1] or inputs
    zero_point = f"{info.name}_zero_point" if f"{info.name}_zero_point" in parts else None
    table = FP8.get(info.dtype)
    steps = step_sq(table).astype(np.float32) if table is not None else None
    down, across = -(-outputs // height), -(-inputs // width)

    def grid(values: NDArray[Any], first: int, last: int) -> NDArray[Any]:
        """(rows, inputs), or (rows, 1) where a whole row shares its scale."""
        if values.size == 1:
            return values.reshape(1, 1)
        rows = np.arange(first, last)
        lines = values.reshape(-1, across)[rows // outputs * down + rows % outputs // height]
        return lines if across == 1 else np.repeat(lines, width, axis=1)[:, :inputs]

    def values(first: int, last: int) -> Floats:
        codes = stored.rows(info.name, first, last)
        found: Floats = np.take(table, codes) if table is not None else codes.astype(np.float32)
        if zero_point is not None:
            found -= grid(stored.whole(zero_point), first, last).astype(np.float32)
        found *= grid(stored.floats(scale), first, last)
        return found

    def squares(first: int, last: int) -> NDArray[Any]:
        scales = grid(stored.floats(scale), first, last) ** 2
        if steps is not None:
            return scales * np.take(steps, stored.rows(info.name, first, last))
        return np.broadcast_to(scales, (last - first, scales.shape[1]))

    quantisation = Quantisation(
        method="int8" if table is None else "fp8",
        code=_CODES[info.dtype],
        bits=8,
        group=blocks[1],
        rows=blocks[0],
        scale=stored.tensors[scale].dtype,
    )
    logical = TensorInfo(name=info.name, dtype="F32", shape=info.shape, quantisation=quantisation)
    rows = PackedRows(columns=inputs, values=values, step_sq=squares)
    return PackedWeight(info=logical, parts=parts, codes=info.name, rows=rows)
