"""MXFP4 as gpt-oss stores its experts (OCP Microscaling Formats 1.0): `…_blocks` and `…_scales`.

`_blocks` uint8 (experts, outputs, inputs/32, 16) holds two E2M1 codes a byte, the first in the low half; `_scales`
uint8 (experts, outputs, inputs/32) an exponent biased by 127 for every 32 inputs:

    w[e, i, o] = E2M1[code[e, o, i]] · 2^(scale[e, o, ⌊i/32⌋] − 127)

The weight itself has inputs before outputs, as the unquantised model has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.packed.codebooks import E2M1, step_sq
from afterburn_core.backends.packed.contract import Floats, PackedRows, PackedWeight, Stored, refused, stem_of
from afterburn_core.backends.tensors import Quantisation, TensorInfo

_BLOCK = 32


def find(stored: Stored, config: Mapping[str, Any]) -> Iterator[PackedWeight]:
    """Weights stored as `_blocks` and `_scales`."""
    for name in stored.tensors:
        stem = stem_of(name, "_blocks")
        if stem is not None and stored.has(f"{stem}_scales") and stored.tensors[name].dtype == "U8":
            yield _weight(stored, stem)


def _weight(stored: Stored, stem: str) -> PackedWeight:
    codes, scale = f"{stem}_blocks", f"{stem}_scales"
    parts = frozenset({codes, scale})
    blocks = stored.tensors[codes]
    if len(blocks.shape) != 4 or blocks.shape[3] * 2 != _BLOCK or stored.tensors[scale].shape != blocks.shape[:3]:
        return refused(stored, stem, codes, parts, "MXFP4 needs blocks of 16 bytes with one scale each")
    if stored.tensors[scale].dtype != "U8":
        return refused(stored, stem, codes, parts, "MXFP4 needs exponents of 8 bits")
    experts, outputs, groups, _ = blocks.shape
    inputs = groups * _BLOCK

    def expert(number: int, low: int, high: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Codes (inputs of groups low to high, outputs) and exponents (groups, outputs) of one expert."""
        size = outputs * groups
        raw = stored.kept(
            (codes, number),
            lambda: stored.flat(codes, number * size * 16, (number + 1) * size * 16).reshape(outputs, groups, 16),
        )[:, low:high]
        powers = stored.flat(scale, number * size, (number + 1) * size).reshape(outputs, groups)[:, low:high]
        pairs = np.stack([raw & 15, raw >> 4], axis=-1).reshape(outputs, -1)
        return pairs.T, powers.T.astype(np.int32) - 127

    def walk(first: int, last: int, make: Any) -> NDArray[Any]:
        """Rows `first` to `last` of the (experts · inputs, outputs) matrix, by experts and blocks of inputs."""
        found = []
        for number in range(first // inputs, -(-last // inputs)):
            start, stop = max(first - number * inputs, 0), min(last - number * inputs, inputs)
            low, high = start // _BLOCK, -(-stop // _BLOCK)
            found.append(make(*expert(number, low, high))[start - low * _BLOCK : stop - low * _BLOCK])
        return np.concatenate(found)

    def values(first: int, last: int) -> Floats:
        return walk(first, last, lambda code, power: np.ldexp(E2M1[code], np.repeat(power, _BLOCK, axis=0)))

    def squares(first: int, last: int) -> NDArray[Any]:
        table = step_sq(E2M1)
        return walk(first, last, lambda code, power: np.ldexp(table[code], 2 * np.repeat(power, _BLOCK, axis=0)))

    quantisation = Quantisation(method="mxfp4", code="e2m1", bits=4, group=_BLOCK, scale="U8")
    info = TensorInfo(name=stem, dtype="F32", shape=(experts, inputs, outputs), quantisation=quantisation)
    rows = PackedRows(columns=outputs, values=values, step_sq=squares)
    return PackedWeight(info=info, parts=parts, codes=codes, rows=rows)
