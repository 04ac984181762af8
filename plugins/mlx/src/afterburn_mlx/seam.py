"""The one place where numbers pass between MLX and torch: into MLX as ids and factors, out of it as CPU tensors.

Nothing is shared: what leaves is a copy, so that whoever writes into it changes no model.
"""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import numpy as np
import torch
from numpy.typing import NDArray

DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
"""MLX's dtypes by the names of `Serving.dtype`."""


def to_torch(array: mx.array) -> torch.Tensor:
    """A copy as a float32 CPU tensor, computed now."""
    wide = array.astype(mx.float32)
    mx.eval(wide)
    return torch.from_numpy(np.array(wide))


def from_torch(tensor: torch.Tensor, dtype: mx.Dtype) -> mx.array:
    """Floating-point numbers as an MLX array of a dtype."""
    return mx.array(tensor.detach().to("cpu", torch.float32).numpy()).astype(dtype)


def from_float64(values: NDArray[np.float64], dtype: mx.Dtype) -> mx.array:
    """An adapter's factors: MLX computes in float32 at most on a GPU."""
    return mx.array(np.asarray(values, dtype=np.float32)).astype(dtype)


def ids_from_torch(ids: torch.Tensor) -> mx.array:
    """Token ids of any shape."""
    return mx.array(ids.to("cpu").numpy().astype(np.int32))


def indices(values: Sequence[int]) -> mx.array:
    """Row numbers."""
    return mx.array(np.asarray(values, dtype=np.int32))
