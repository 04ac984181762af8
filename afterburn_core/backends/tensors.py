"""How weights are named, sized and read, whatever file they lie in. Headers only: importing this needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    import torch

# bytes per element by safetensors dtype name
ITEM_SIZE: Mapping[str, int] = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "C64": 8,
}  # fmt: skip
# torch's own names for them
TORCH_DTYPES: Mapping[str, str] = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
    "U16": "uint16", "U32": "uint32", "U64": "uint64", "C64": "complex64",
}  # fmt: skip
FLOATING = frozenset({"F64", "F32", "F16", "BF16"})


@attrs.frozen(kw_only=True)
class Quantisation:
    """How a weight is stored, where that is not as plain floats."""

    method: str
    """`fp8`, `int8`, `bitsandbytes`, `gptq`, `awq`, `compressed-tensors`, `mxfp4`, `mlx` or `gguf`."""
    code: str
    """What one code stands for: `e4m3`, `e5m2`, `e2m1`, `nf4`, `fp4`, `int8`, `uint4`, `Q4_K`, …"""
    bits: int
    """Bits of one code, scales apart."""
    group: int | None = None
    """Consecutive inputs that share a scale; `None` where a whole row or tensor does."""
    rows: int | None = 1
    """Outputs that share a scale; `None` where the whole tensor does."""
    scale: str = "F32"
    """Stored dtype of the scales."""
    steps: bool = True
    """Whether the source knows how far apart the values are that it can store (`step_sq`)."""
    in_place: bool = True
    """Whether the blocks that share a scale lie in the tensor as they lie in the stored one; not so for a transpose,
    or for rows cut out of blocks of rows."""


@attrs.frozen(kw_only=True)
class TensorInfo:
    """One tensor as its file's header describes it or, where it is stored quantised, as it is read."""

    name: str
    dtype: str
    """safetensors name: `BF16`, `F32`, …"""
    shape: tuple[int, ...]
    quantisation: Quantisation | None = None
    """How it is stored, for a weight that is dequantised as it is read; `dtype` is then that of its values."""
    refusal: str | None = None
    """Why it cannot be read as a weight, for a quantised weight in a packing this version does not know."""

    @property
    def numel(self) -> int:
        """Number of elements; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * ITEM_SIZE.get(self.dtype, 1)


class WeightFile(Protocol):
    """One opened weight file."""

    @property
    def path(self) -> Path: ...

    @property
    def tensors(self) -> Mapping[str, TensorInfo]: ...

    @property
    def aliases(self) -> Mapping[str, str]:
        """Names that share another name's storage, by name."""
        ...

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements `start` to `stop` of the flattened tensor, in its stored dtype, as a fresh CPU tensor."""
        ...

    def close(self) -> None: ...


class WeightSource(Protocol):
    """All weights of a subject under one namespace."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]: ...

    @property
    def aliases(self) -> Mapping[str, str]: ...

    def read(self, name: str, start: int, stop: int) -> torch.Tensor: ...

    def position(self, name: str) -> tuple[int, int]:
        """File number and offset: reading in this order reads the disk in order."""
        ...
