"""What every packing offers: float32 values of a weight by rows, and how far apart the values are that it can store.

The spacing matters because a quantised value stands for every weight that is rounded to it. For a code of value v
with neighbours v⁻ and v⁺ those weights lie between the midpoints, a = (v − v⁻)/2 below and b = (v⁺ − v)/2 above.
Where they are spread evenly the mean square error is (a³ + b³) / (3 (a + b)). A uniform quantiser of step s has
a = b = s/2 and the error s²/12, so

    step² = 4 (a³ + b³) / (a + b)

is the step of the uniform quantiser with the same error; outermost values have one neighbour only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.packed.codebooks import FP8
from afterburn_core.backends.tensors import TensorInfo, WeightSource
from afterburn_core.run.arrays import to_float64

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
T = TypeVar("T")

BUDGET = 1 << 28
"""Bytes of packed weights kept in memory per subject, for packings whose rows do not lie together in the file."""
_SLICE = 1 << 18  # elements whose squared steps are added at once
_DTYPES: dict[str, Any] = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "F8_E4M3": np.uint8,
    "F8_E5M2": np.uint8, "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8,
    "U16": np.uint16, "U32": np.uint32, "U64": np.uint64, "BOOL": np.bool_,
}  # fmt: skip


@attrs.frozen(kw_only=True)
class PackedRows:
    """A weight as a matrix of rows that can be dequantised by themselves."""

    columns: int
    values: Callable[[int, int], Floats]
    """(first, last) → (last − first, columns) float32"""
    step_sq: Callable[[int, int], NDArray[Any]] | None
    """(first, last) → (last − first, k) squared steps, each for columns/k consecutive elements of its row; `None` where
    they are not known."""

    def read(self, start: int, stop: int) -> Floats:
        """Elements `start` to `stop` of the flattened weight."""
        first, last = start // self.columns, -(-stop // self.columns)
        offset = first * self.columns
        if stop <= start:
            return np.empty(0, dtype=np.float32)
        return np.ascontiguousarray(self.values(first, last)).reshape(-1)[start - offset : stop - offset]

    def sum_step_sq(self, start: int, stop: int) -> float | None:
        """Σ step² over elements `start` to `stop`."""
        if self.step_sq is None:
            return None
        rows, total = max(1, _SLICE // self.columns), 0.0
        end = -(-stop // self.columns)
        for first in range(start // self.columns, end, rows):
            last = min(first + rows, end)
            steps = self.step_sq(first, last)
            each = self.columns // steps.shape[1]
            low, high = max(start - first * self.columns, 0), min(stop, last * self.columns) - first * self.columns
            if high - low == (last - first) * self.columns:
                total += each * float(steps.sum(dtype=np.float64))
            else:  # rows are cut at either end
                total += float(np.repeat(steps, each, axis=1).reshape(-1)[low:high].sum(dtype=np.float64))
        return total


@attrs.frozen(kw_only=True)
class PackedWeight:
    """One weight and the stored tensors it is made of."""

    info: TensorInfo
    """Logical name, shape and dtype of its values; with a `refusal` where it cannot be read."""
    parts: frozenset[str]
    """Names of all stored tensors that belong to it."""
    codes: str
    """The stored tensor that holds its codes; its place in the file is that of the weight."""
    rows: PackedRows | None = None


class Stored:
    """The stored tensors of a checkpoint as arrays; what is read whole is kept within a budget. Safe for threads."""

    def __init__(self, source: WeightSource) -> None:
        self.source = source
        self.tensors = source.tensors
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.RLock()

    def has(self, name: str, *dtypes: str) -> bool:
        """Whether there is a tensor of that name, in one of the dtypes if any are given."""
        info = self.tensors.get(name)
        return info is not None and (not dtypes or info.dtype in dtypes)

    def flat(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Elements of a flattened tensor, in stored bits: bfloat16 as uint16, 8-bit floats as uint8."""
        import torch

        found: torch.Tensor = self.source.read(name, start, stop)
        dtype = _DTYPES[self.tensors[name].dtype]
        if stop <= start:
            return np.empty(0, dtype=dtype)
        return found.contiguous().view(torch.uint8).numpy().view(dtype)

    def rows(self, name: str, first: int, last: int) -> NDArray[Any]:
        """(last − first, columns) of the stored tensor as a matrix whose columns are its last axis."""
        columns = self.tensors[name].shape[-1]
        return self.flat(name, first * columns, last * columns).reshape(last - first, columns)

    def whole(self, name: str) -> NDArray[Any]:
        """A tensor in its shape, in stored bits; kept."""
        info = self.tensors[name]
        return self.kept(("whole", name), lambda: self.flat(name, 0, info.numel).reshape(info.shape))

    def floats(self, name: str) -> Floats:
        """A tensor of scales in its shape, in float32; kept."""
        return self.kept(("floats", name), lambda: self._floats(name))

    def _floats(self, name: str) -> Floats:
        info = self.tensors[name]
        raw = self.flat(name, 0, info.numel).reshape(info.shape)
        if info.dtype in FP8:
            found: Floats = FP8[info.dtype][raw]
            return found
        return (to_float64(raw) if info.dtype == "BF16" else raw).astype(np.float32)

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once and kept while the budget lasts; the array used last always is."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                found: T = self._kept[key][0]
                return found
            value = make()
            self._kept[key] = (value, int(getattr(value, "nbytes", 0)))
            while len(self._kept) > 1 and sum(size for _, size in self._kept.values()) > BUDGET:
                self._kept.popitem(last=False)
            return value


def stem_of(name: str, suffix: str) -> str | None:
    """What stands before `suffix`; `None` where the name does not end in it."""
    return name.removesuffix(suffix) if name.endswith(suffix) and len(name) > len(suffix) else None


def parts_of(stored: Stored, stem: str, suffixes: tuple[str, ...]) -> frozenset[str]:
    """The names `stem` + suffix that are there."""
    return frozenset(f"{stem}{suffix}" for suffix in suffixes if f"{stem}{suffix}" in stored.tensors)


def refused(stored: Stored, name: str, codes: str, parts: frozenset[str], reason: str) -> PackedWeight:
    """A weight that is there and cannot be read, under its logical name and in the shape of its codes."""
    info = stored.tensors[codes]
    refusal = f"a quantised weight of dtype {info.dtype}: {reason}; dequantise it to compare it"
    logical = TensorInfo(name=name, dtype=info.dtype, shape=info.shape, refusal=refusal)
    return PackedWeight(info=logical, parts=parts | {codes}, codes=codes)


def unpack(words: NDArray[Any], bits: int, count: int) -> NDArray[np.uint8]:
    """Codes of a little-endian stream of bits: code k lies in bits k·b to k·b + b − 1, across words where need be.

    Args:
        words: (…, w) 32-bit integers.
        bits: b, at most 8.
        count: codes per stream.

    Returns:
        (…, count) uint8.
    """
    stream = np.ascontiguousarray(words)
    mask = (1 << bits) - 1
    if 8 % bits == 0:
        octets = stream.view(np.uint8)
        if bits == 8:
            return octets[..., :count]
        per = 8 // bits
        found = np.empty((*octets.shape, per), dtype=np.uint8)
        for k in range(per):
            found[..., k] = (octets >> (k * bits)) & mask
        return found.reshape(*octets.shape[:-1], -1)[..., :count]
    # b words hold 32 codes
    missing = -stream.shape[-1] % bits
    wide = np.pad(stream.view(np.uint32), [(0, 0)] * (stream.ndim - 1) + [(0, missing)])
    wide = wide.reshape(*stream.shape[:-1], -1, bits)
    found = np.empty((*wide.shape[:-1], 32), dtype=np.uint8)
    for k in range(32):
        word, shift = divmod(k * bits, 32)
        value = wide[..., word] >> np.uint32(shift)
        if shift + bits > 32:
            value = value | (wide[..., word + 1] << np.uint32(32 - shift))
        found[..., k] = value & np.uint32(mask)
    return found.reshape(*stream.shape[:-1], -1)[..., :count]


def affine(codes: NDArray[Any], zeros: Floats | float, scales: Floats, order: NDArray[Any] | None) -> Floats:
    """(code − zero) · scale in float32, groups of inputs having zeros and scales of their own.

    Args:
        codes: (rows, inputs) integers.
        zeros: (rows, groups), or one for all.
        scales: (rows, groups).
        order: (inputs,) the group of each input; `None` where groups are consecutive and of equal size.
    """
    found = codes.astype(np.float32)
    if order is not None:
        found -= zeros if isinstance(zeros, float) else zeros[:, order]
        found *= scales[:, order]
        return found
    grouped = found.reshape(*scales.shape, -1)
    grouped -= zeros if isinstance(zeros, float) else zeros[..., None]
    grouped *= scales[..., None]
    return found


def pairs(octets: NDArray[np.uint8], values: NDArray[np.float32], *, high_first: bool = False) -> Floats:
    """The values of two 4-bit codes a byte, (…, 2n) for (…, n) bytes: one look-up per byte finds both."""
    byte = np.arange(256)
    first, second = (byte >> 4, byte & 15) if high_first else (byte & 15, byte >> 4)
    table = np.stack([values[first], values[second]], axis=1).view(np.float64)[:, 0]  # two float32 as one number
    return np.take(table, octets).view(np.float32)
