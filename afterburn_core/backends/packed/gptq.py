"""GPTQ and AWQ: integer codes with a scale and a zero for every group of inputs, stored with inputs in rows.

    w[j, i] = scales[g(i), j] · (code[i, j] − zero[g(i), j])            j output, i input

GPTQ (arXiv 2210.17323): `qweight` int32 (inputs · b/32, outputs) packs codes along the inputs, `qzeros` (groups,
outputs · b/32) along the outputs, both as little-endian streams of b = 2, 3, 4 or 8 bits. `g_idx` names the group of
each input (with `desc_act` they are not consecutive). In the first version of the format zeros are stored one too
low: zero = (stored + 1) mod 2ᵇ; `checkpoint_format: gptq_v2` stores them as they are.

AWQ (arXiv 2306.00978), version `gemm`: `qweight` (inputs, outputs/8) and `qzeros` pack eight 4-bit codes along the
outputs, field k of a word holding output 0, 2, 4, 6, 1, 3, 5, 7 of its eight; zeros as they are.
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
    affine,
    parts_of,
    refused,
    stem_of,
    unpack,
)
from afterburn_core.backends.tensors import Quantisation, TensorInfo

_PARTS = ("qweight", "qzeros", "scales", "g_idx")
_FORMATS = {"gptq": ("gptq", "gptq_v2"), "awq": ("gemm",)}
# output j of eight lies in this field of its word
_AWQ_FIELD = np.array([0, 4, 1, 5, 2, 6, 3, 7])
_INTEGERS = ("I32", "U32")


def find(stored: Stored, config: Mapping[str, Any]) -> Iterator[PackedWeight]:
    """Weights stored as `qweight`, `qzeros` and `scales`."""
    for name in stored.tensors:
        stem = stem_of(name, "qweight")
        if stem is not None:
            yield _weight(stored, stem, config)


def _weight(stored: Stored, stem: str, config: Mapping[str, Any]) -> PackedWeight:
    codes, logical = f"{stem}qweight", f"{stem}weight"
    parts = parts_of(stored, stem, _PARTS)

    def refuse(reason: str) -> PackedWeight:
        return refused(stored, logical, codes, parts, reason)

    if not {f"{stem}qzeros", f"{stem}scales"} <= parts:
        return refuse("it has no qzeros or scales beside it")
    packed, zeros, scales = (stored.tensors[f"{stem}{part}"] for part in ("qweight", "qzeros", "scales"))
    if any(len(info.shape) != 2 for info in (packed, zeros, scales)):
        return refuse("its parts are no matrices")
    if packed.dtype not in _INTEGERS or zeros.dtype not in _INTEGERS:
        return refuse("its codes are not packed into 32-bit integers")
    groups, outputs = scales.shape
    method = "awq" if packed.shape[1] != outputs else "gptq"
    version = str(config.get("version" if method == "awq" else "checkpoint_format") or _FORMATS[method][0]).lower()
    if "round" in str(config.get("quant_method")):  # AutoRound writes either packing, or one of its own
        version = str(config.get("packing_format")).lower().rpartition(":auto_")[2].replace("awq", "gemm")
    if version not in _FORMATS[method]:
        return refuse(f"{method.upper()} in the format {version!r} is not read")
    bits = 4 if method == "awq" else zeros.shape[1] * 32 // max(outputs, 1)
    inputs = packed.shape[0] if method == "awq" else packed.shape[0] * 32 // max(bits, 1)
    fits = outputs * bits == zeros.shape[1] * 32 and zeros.shape[0] == groups and bits in (2, 3, 4, 8)
    if method == "awq":
        fits = fits and packed.shape[1] * 8 == outputs
    if not fits or not groups:
        return refuse(f"its shapes {packed.shape}, {zeros.shape} and {scales.shape} fit no known packing")
    if f"{stem}g_idx" in parts and stored.tensors[f"{stem}g_idx"].numel != inputs:
        return refuse(f"g_idx has {stored.tensors[f'{stem}g_idx'].numel} entries for {inputs} inputs")
    size = -(-inputs // groups)
    offset = 1 if version == "gptq" else 0

    def order() -> NDArray[Any] | None:
        """(inputs,) the group of each input; `None` where they are consecutive and of equal size."""
        plain = np.arange(inputs) // size
        found = stored.whole(f"{stem}g_idx").reshape(-1) % groups if f"{stem}g_idx" in parts else plain
        return None if inputs % groups == 0 and np.array_equal(found, plain) else found

    def gptq_codes(first: int, last: int) -> NDArray[np.uint8]:
        """(last − first, inputs)"""
        turned = stored.kept(("turned", codes), lambda: np.ascontiguousarray(stored.flat(codes, 0, packed.numel)
                             .reshape(packed.shape).T))  # fmt: skip
        return unpack(turned[first:last], bits, inputs)

    def awq_columns(words: NDArray[Any], first: int, last: int) -> NDArray[np.uint8]:
        """(rows, last − first) of codes packed along outputs in AWQ's order."""
        low, high = first // 8, -(-last // 8)
        fields = unpack(words[:, low:high, None], 4, 8)[..., _AWQ_FIELD]  # (rows, words, 8)
        return fields.reshape(words.shape[0], -1)[:, first - low * 8 : last - low * 8]

    def all_zeros() -> NDArray[np.float32]:
        """(groups, outputs)"""
        words = stored.whole(f"{stem}qzeros")
        if method == "awq":
            return awq_columns(words, 0, outputs).astype(np.float32)
        return ((unpack(words, bits, outputs).astype(np.int16) + offset) & ((1 << bits) - 1)).astype(np.float32)

    def values(first: int, last: int) -> Floats:
        found = gptq_codes(first, last) if method == "gptq" else awq_columns(stored.whole(codes), first, last).T
        zero = stored.kept(("zeros", codes), all_zeros)[:, first:last].T
        scale = stored.floats(f"{stem}scales")[:, first:last].T
        return affine(np.ascontiguousarray(found), zero, scale, stored.kept(("order", codes), order))

    def squares(first: int, last: int) -> NDArray[Any]:
        found = stored.floats(f"{stem}scales")[:, first:last].T.astype(np.float64) ** 2
        index = stored.kept(("order", codes), order)
        return found if index is None else found[:, index]

    quantisation = Quantisation(
        method=method,
        code=f"uint{bits}",
        bits=bits,
        group=size if groups > 1 or config.get("group_size") == size else None,
        scale=scales.dtype,
    )
    info = TensorInfo(name=logical, dtype="F32", shape=(outputs, inputs), quantisation=quantisation)
    rows = PackedRows(columns=inputs, values=values, step_sq=squares)
    return PackedWeight(info=info, parts=parts, codes=codes, rows=rows)
