"""Stretches of tensors as NumPy arrays, in the bits they are stored in. bfloat16, which NumPy lacks, travels as uint16.

The passes on a CPU work on these and never import torch, whose import alone takes longer than comparing a small model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from afterburn_core.backends.tensors import WeightSource

Raw = NDArray[Any]
"""float64, float32, float16, or uint16 for bfloat16."""

NUMPY_DTYPES: dict[str, type[np.generic]] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
}


def read_array(source: WeightSource, name: str, start: int, stop: int) -> Raw:
    """Elements `start` to `stop` of a flattened tensor, fresh; without torch where the source can do without."""
    direct = getattr(source, "read_array", None)
    found: Raw | None = direct(name, start, stop) if direct is not None else None
    return found if found is not None else from_torch(source.read(name, start, stop))


def from_torch(values: torch.Tensor) -> Raw:
    """A CPU tensor's memory as an array."""
    import torch

    if values.dtype == torch.bfloat16:
        return values.contiguous().view(torch.int16).numpy().view(np.uint16)
    return values.contiguous().numpy()


def to_torch(raw: Raw) -> torch.Tensor:
    """The same memory as a tensor."""
    import torch

    if raw.dtype == np.uint16:
        return torch.from_numpy(raw.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(raw)


def widen(raw: Raw, out: NDArray[Any], scratch: NDArray[np.uint32]) -> None:
    """Writes the values of `raw` into the float array `out` of the same shape.

    Args:
        raw: stored elements.
        out: float32 or float64.
        scratch: at least as many uint32 elements; holds nothing afterwards.
    """
    if raw.dtype != np.uint16:
        np.copyto(out, raw, casting="same_kind")
        return
    bits = out.view(np.uint32) if out.dtype == np.float32 and out.flags.c_contiguous else None
    wide = bits if bits is not None else scratch[: raw.size].reshape(raw.shape)
    np.copyto(wide, raw)
    np.left_shift(wide, 16, out=wide)
    if bits is None:
        np.copyto(out, wide.view(np.float32))


def to_float64(raw: Raw) -> NDArray[np.float64]:
    """All values in float64; a fresh array."""
    out = np.empty(raw.shape, dtype=np.float64)
    widen(raw, out, np.empty(raw.size, dtype=np.uint32))
    return out


def to_float(raw: Raw) -> NDArray[Any]:
    """All values in float32, or in float64 where they are stored so; a fresh array."""
    out = np.empty(raw.shape, dtype=np.float64 if raw.dtype == np.float64 else np.float32)
    widen(raw, out, np.empty(raw.size, dtype=np.uint32))
    return out


def narrow(raw: Raw, dtype: str) -> Raw:
    """Elements rounded to nearest, ties to even, to the stored dtype `dtype`; as they are where they have it."""
    wanted = NUMPY_DTYPES[dtype]
    if raw.dtype == wanted:
        return raw
    values = to_float64(raw) if raw.dtype == np.uint16 else raw
    with np.errstate(over="ignore"):
        if dtype == "F16":  # by way of float32, as torch does
            return values.astype(np.float32).astype(wanted)
        if dtype != "BF16":
            return values.astype(wanted)
        bits = values.astype(np.float32).view(np.uint32)
    rounded = (bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) >> 16
    broken = (bits & 0x7FFFFFFF) > 0x7F800000  # the carry would turn some NaN into an infinity
    return np.where(broken, (bits >> 16) | 0x40, rounded).astype(np.uint16)


def bits_of(raw: Raw) -> Raw:
    """The same memory as unsigned integers, for comparing bits."""
    return raw.view(f"u{raw.dtype.itemsize}")
