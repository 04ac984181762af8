"""Quantisers that depend on nothing but the weights, as their libraries compute them, in float32.

Each takes blocks x (blocks, n) whose elements share a scale and returns their codes, with m = max|x| of the block:

    LLM.int8()  round(x · 127/m) after rounding x to float16                (arXiv 2208.07339)
    NF4, FP4    the value of the codebook nearest to x/m                    (QLoRA, arXiv 2305.14314)
    fp8         x / (m / largest value), rounded to the 8-bit float         (FP8 Formats for Deep Learning, 2209.05433)
    Q8_0        round(x · 127/m)                                            (ggml)
    Q4_0, Q5_0  ⌊x/d + 8.5⌋ with d = −(x of largest |x|)/8                  Q5_0: 16.5 and 16
    Q4_1, Q5_1  ⌊(x − min)/d + .5⌋ with d = (max − min)/15                  Q5_1: 31
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch

from afterburn_core.backends.tensors import Quantisation

_BAND = 1 << 22  # elements quantised at once
_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
_FP4 = (0.0, 1 / 192, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1.0)  # magnitudes
_SCALES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float32}


def _largest(x: torch.Tensor) -> torch.Tensor:
    """(blocks, 1) max|x|, 1 for blocks of zeros."""
    largest = x.abs().amax(1, keepdim=True)
    return torch.where(largest == 0, torch.ones_like(largest), largest)


def _int8(x: torch.Tensor, kind: Quantisation) -> torch.Tensor:
    x = x.half().float()
    return torch.round(x * (127 / _largest(x)))


def _nearest(x: torch.Tensor, levels: tuple[float, ...]) -> torch.Tensor:
    """Index of the nearest level, the lower one of two that are equally near."""
    table = torch.tensor(levels, dtype=torch.float32)
    return torch.bucketize(x, (table[1:] + table[:-1]) / 2)


def _nf4(x: torch.Tensor, kind: Quantisation) -> torch.Tensor:
    return _nearest(x / _largest(x), _NF4)


def _fp4(x: torch.Tensor, kind: Quantisation) -> torch.Tensor:
    return _nearest(x.abs() / _largest(x), _FP4) * torch.sign(x).int()


def _fp8(x: torch.Tensor, kind: Quantisation, dtype: torch.dtype) -> torch.Tensor:
    top = torch.finfo(dtype).max
    scale = (_largest(x) / top).to(_SCALES.get(kind.scale, torch.float32)).float()
    return (x / scale).clamp(-top, top).to(dtype).float()  # −0 and 0 are one code


def _q8_0(x: torch.Tensor, kind: Quantisation) -> torch.Tensor:
    scaled = x * (1 / (_largest(x) / 127))
    return torch.copysign(torch.floor(scaled.abs() + 0.5), scaled)  # halves away from zero


def _signed(x: torch.Tensor, kind: Quantisation, half: int) -> torch.Tensor:
    peak = x.gather(1, x.abs().argmax(1, keepdim=True))
    step = torch.where(peak == 0, torch.ones_like(peak), peak) / -half
    return torch.trunc(x * (1 / step) + (half + 0.5)).clamp(0, 2 * half - 1)


def _ranged(x: torch.Tensor, kind: Quantisation, top: int) -> torch.Tensor:
    low = x.amin(1, keepdim=True)
    width = x.amax(1, keepdim=True) - low
    step = torch.where(width == 0, torch.ones_like(width), width) / top
    return torch.trunc((x - low) * (1 / step) + 0.5).clamp(0, top)


Quantiser = Callable[[torch.Tensor, Quantisation], torch.Tensor]
_QUANTISERS: Mapping[tuple[str, str], Quantiser] = {
    ("bitsandbytes", "int8"): _int8,
    ("bitsandbytes", "nf4"): _nf4,
    ("bitsandbytes", "fp4"): _fp4,
    ("fp8", "e4m3"): partial(_fp8, dtype=torch.float8_e4m3fn),
    ("fp8", "e5m2"): partial(_fp8, dtype=torch.float8_e5m2),
    ("gguf", "Q8_0"): _q8_0,
    ("gguf", "Q4_0"): partial(_signed, half=8),
    ("gguf", "Q5_0"): partial(_signed, half=16),
    ("gguf", "Q4_1"): partial(_ranged, top=15),
    ("gguf", "Q5_1"): partial(_ranged, top=31),
}


def obstacle(kind: Quantisation, shape: tuple[int, ...]) -> str | None:
    """Why a tensor of this shape cannot be quantised again; `None` where it can."""
    if (kind.method, kind.code) not in _QUANTISERS:
        return f"{kind.method} {kind.code} depends on more than the weights"
    if not kind.in_place:
        return "the blocks that share a scale are cut or turned"
    return None if len(shape) >= 2 else "not a matrix"


def changed_codes(base: torch.Tensor, trained: torch.Tensor, kind: Quantisation) -> int:
    """How many codes differ between two tensors (outputs, inputs) quantised alike.

    Args:
        base: any floating dtype; float32 is enough.
        trained: of the same shape.
        kind: the quantiser, for which `obstacle` found none.
    """
    quantise = _QUANTISERS[kind.method, kind.code]
    pairs = zip(_blocks(base, kind), _blocks(trained, kind), strict=True)
    return sum(int(torch.count_nonzero(quantise(left, kind) != quantise(right, kind))) for left, right in pairs)


def _blocks(values: torch.Tensor, kind: Quantisation) -> Iterator[torch.Tensor]:
    """The tensor as blocks (blocks, n) that share a scale, a band of rows at a time; missing elements are zeros."""
    columns = values.shape[-1]
    group = kind.group or columns
    if kind.rows == 1:
        # bitsandbytes runs its blocks over the ends of rows; the others start anew in each
        flat = values.reshape(1, -1) if kind.method == "bitsandbytes" and kind.group else values.reshape(-1, columns)
        for band in torch.split(flat, max(1, _BAND // flat.shape[1])):
            yield _padded(band.float(), group).reshape(-1, group)
        return
    stacked = values.reshape(-1, *values.shape[-2:])
    rows = kind.rows or stacked.shape[1]
    if kind.rows is None and kind.group is None:
        yield values.float().reshape(1, -1)
        return
    for matrix in stacked:
        for band in torch.split(matrix, max(1, _BAND // (columns * rows)) * rows):
            wide = _padded(_padded(band.float(), group).T, rows).T
            down, across = wide.shape[0] // rows, wide.shape[1] // group
            yield wide.reshape(down, rows, across, group).transpose(1, 2).reshape(down * across, rows * group)


def _padded(values: torch.Tensor, multiple: int) -> torch.Tensor:
    """Columns filled up with zeros to a multiple."""
    missing = math.ceil(values.shape[1] / multiple) * multiple - values.shape[1]
    return torch.nn.functional.pad(values, (0, missing)) if missing else values
