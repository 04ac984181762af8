"""What merging an adapter loses: W + Δ is rounded to the dtype the merged model is stored in.

    merge loss  =  ‖round(W + Δ) − (W + Δ)‖ / ‖Δ‖

A weight moves only where its change exceeds half a rounding step, so a small change is mostly lost and replaced by
rounding noise: in bf16, of a relative update of 1e-3 four fifths of its norm (Gaussian weights). Computed in float64
from blocks of rows; energies add up over blocks and tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.run.arrays import narrow, to_float64

Array = NDArray[np.float64]
Dtype = Literal["BF16", "F16", "F32", "F64"]
NAMES: dict[str, str] = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
"""Names of dtypes as people write them."""


@attrs.frozen(kw_only=True)
class Loss:
    """Energies of one merge; additive over disjoint parts."""

    delta_sq: float = 0.0
    """‖Δ‖²"""
    error_sq: dict[str, float] = attrs.field(factory=dict)
    """‖round(W + Δ) − (W + Δ)‖² by safetensors dtype; infinite where the merged weights exceed its range."""
    unmoved: dict[str, int] = attrs.field(factory=dict)
    """Entries that a change was meant for and that the merge leaves as rounding of W alone would."""
    changed: int = 0
    """Entries that a change was meant for."""
    n: int = 0

    def relative(self, dtype: str) -> float | None:
        """The merge loss; `None` where nothing changes, infinite where a merged weight overflows."""
        return math.sqrt(self.error_sq[dtype] / self.delta_sq) if self.delta_sq else None


def rounding_loss(base: Array, merged: Array, dtypes: Sequence[str]) -> Loss:
    """The loss of one block.

    Args:
        base: W in float64.
        merged: W + Δ in float64, of the same shape.
        dtypes: safetensors names of the dtypes to round to.
    """
    delta = merged - base
    errors: dict[str, float] = {}
    unmoved: dict[str, int] = {}
    meant = delta != 0
    for dtype in dtypes:
        stored = narrow(merged, dtype)
        rounded = to_float64(stored)
        # x − round(x) of an overflow is infinite, and so is the loss: a merge into this dtype breaks the model
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.subtract(rounded, merged, out=rounded)
            errors[dtype] = float(np.vdot(error, error))
        unmoved[dtype] = int(np.count_nonzero((stored == narrow(base, dtype)) & meant))
    return Loss(
        delta_sq=float(np.vdot(delta, delta)),
        error_sq=errors,
        unmoved=unmoved,
        changed=int(np.count_nonzero(meant)),
        n=base.size,
    )


def combined(parts: Iterable[Loss]) -> Loss:
    """The loss over the union of disjoint parts. Parts that lack a dtype count as not losing anything in it."""
    parts = tuple(parts)
    dtypes = sorted({dtype for part in parts for dtype in part.error_sq})
    return Loss(
        delta_sq=math.fsum(part.delta_sq for part in parts),
        error_sq={dtype: _sum([part.error_sq.get(dtype, 0.0) for part in parts]) for dtype in dtypes},
        unmoved={dtype: sum(part.unmoved.get(dtype, 0) for part in parts) for dtype in dtypes},
        changed=sum(part.changed for part in parts),
        n=sum(part.n for part in parts),
    )


def _sum(values: list[float]) -> float:
    return math.fsum(values) if all(map(math.isfinite, values)) else math.inf
