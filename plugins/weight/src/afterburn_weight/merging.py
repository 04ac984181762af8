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

Array = NDArray[np.float64]
Dtype = Literal["BF16", "F16", "F32", "F64"]
NAMES: dict[str, str] = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
"""Names of dtypes as people write them."""
_STRETCH = 1 << 15  # elements whose copies stay in a core's second-level cache
# significant bits, smallest normal number, largest number
_FORMAT = {"BF16": (8, 2.0**-126, (2 - 2.0**-7) * 2.0**127), "F16": (11, 2.0**-14, 65504.0)}


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


def rounding_loss(base: Array, merged: Array, dtypes: Sequence[str], *, unmoved: bool = True) -> Loss:
    """The loss of one block.

    Args:
        base: W in float64.
        merged: W + Δ in float64, of the same shape.
        dtypes: safetensors names of the dtypes to round to.
        unmoved: also count the entries that the merge does not move.
    """
    before, after = base.reshape(-1), merged.reshape(-1)
    return combined(
        _stretch(before[i : i + _STRETCH], after[i : i + _STRETCH], dtypes, unmoved)
        for i in range(0, before.size, _STRETCH)
    )


def _stretch(base: Array, merged: Array, dtypes: Sequence[str], count: bool) -> Loss:
    delta = merged - base
    delta_sq, meant = float(np.vdot(delta, delta)), delta != 0
    errors: dict[str, float] = {}
    unmoved: dict[str, int] = {}
    for dtype in dtypes:
        stored = rounded(merged, dtype)
        if count:
            unmoved[dtype] = int(np.count_nonzero((stored == rounded(base, dtype)) & meant))
        # of an overflow the error is infinite: a merge into this dtype breaks the model
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.subtract(stored, merged, out=stored)
            errors[dtype] = float(np.vdot(error, error))
    return Loss(
        delta_sq=delta_sq,
        error_sq=errors,
        unmoved=unmoved,
        changed=int(np.count_nonzero(meant)),
        n=base.size,
    )


def rounded(values: Array, dtype: str) -> Array:
    """Float64 values rounded to nearest in a stored dtype, still as float64.

    Dekker's splitting: with c = (2ˢ + 1)·x, c − (c − x) is x rounded to 53 − s bits (A Floating-Point Technique for
    Extending the Available Precision, Numerische Mathematik 18, 1971). Three vector operations, several times faster
    than a cast to a dtype that NumPy lacks; ties may go either way, which no error depends on. Below the normal range
    the spacing stays that of its smallest number.
    """
    if dtype == "F64":
        return values.copy()
    if dtype == "F32":
        with np.errstate(over="ignore"):
            return values.astype(np.float32).astype(np.float64)
    bits, smallest, largest = _FORMAT[dtype]
    scaled = values * (2.0 ** (53 - bits) + 1)
    found: Array = np.subtract(scaled, scaled - values, out=scaled)
    size = np.abs(values)
    if size.min(initial=1.0) < smallest:
        tiny = size < smallest
        step = smallest * 2.0 ** (1 - bits)
        found[tiny] = np.rint(values[tiny] / step) * step
    if size.max(initial=0.0) > largest:
        beyond = np.abs(found) > largest
        found[beyond] = np.copysign(math.inf, found[beyond])
    return found


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
