"""The inner loop of the weights pass on a GPU: `kernels.ArraySums` written for torch tensors on any device.

It runs on a CPU as well, which is how it is tested against the other.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from afterburn_core.run.sums import PairSums, combine

CPU_BLOCK = 1 << 16
DEVICE_BLOCK = 1 << 22

_BITS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
}
# (bits of the fraction, exponent of the smallest normal number): ulp(w) = 2^(max(⌊log2|w|⌋, emin) − fraction)
_FORMAT = {
    torch.float64: (52, -1022),
    torch.float32: (23, -126),
    torch.float16: (10, -14),
    torch.bfloat16: (7, -126),
}
_EXPONENT_MASK = 0x7FF0000000000000  # of a float64


class SumsKernel:
    """Computes `PairSums` with buffers of its own; one instance serves one thread."""

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device or torch.device("cpu")
        self.block = CPU_BLOCK if self._device.type == "cpu" else DEVICE_BLOCK
        self._base, self._trained, self._work = (
            torch.empty(self.block, dtype=torch.float64, device=self._device) for _ in range(3)
        )
        self._mask = torch.empty(self.block, dtype=torch.bool, device=self._device)

    def pair(self, base: torch.Tensor, trained: torch.Tensor, stored: tuple[torch.dtype, torch.dtype]) -> PairSums:
        """Sums over corresponding elements.

        Args:
            base: base elements, 1-D, in their stored dtype.
            trained: as many trained elements. float64 where `stored[1]` is narrower: an adapter's sum before rounding.
            stored: dtypes of the checkpoints, in which bits are compared and rounding steps taken.
        """
        steps = range(0, base.numel(), self.block)
        return combine(self._block(base[i : i + self.block], trained[i : i + self.block], stored) for i in steps)

    def single(self, values: torch.Tensor, stored: torch.dtype) -> PairSums:
        """Sums of elements that both sides share, such as those an adapter leaves alone; 1-D."""
        steps = range(0, values.numel(), self.block)
        return combine(self._equal(values[i : i + self.block], stored) for i in steps)

    def _block(self, left: torch.Tensor, right: torch.Tensor, stored: tuple[torch.dtype, torch.dtype]) -> PairSums:
        left, right = left.to(self._device), right.to(self._device)
        if left.dtype == right.dtype and torch.equal(_bits(left), _bits(right)):
            return self._equal(left, stored[0])
        n = left.numel()
        base, trained, work = self._base[:n].copy_(left), self._trained[:n].copy_(right), self._work[:n]
        base_sq, trained_sq = _dot(base, base), _dot(trained, trained)
        base_step_sq, trained_step_sq = _step_sq(base, work, stored[0]), _step_sq(trained, work, stored[1])
        delta = torch.sub(trained, base, out=work)
        low, high = torch.aminmax(delta)
        lost = not (math.isfinite(base_sq) and math.isfinite(trained_sq))
        return PairSums(
            n=n,
            base_sq=base_sq,
            trained_sq=trained_sq,
            delta_sq=_dot(delta, delta),
            dot_base_delta=_dot(base, delta),
            max_abs=max(abs(float(low)), abs(float(high))),
            changed=self._changed(left, right, stored[1]),
            base_step_sq=base_step_sq,
            trained_step_sq=trained_step_sq,
            base_nonfinite=_nonfinite(left) if lost else 0,
            trained_nonfinite=_nonfinite(right) if lost else 0,
        )

    def _equal(self, values: torch.Tensor, stored: torch.dtype) -> PairSums:
        n = values.numel()
        wide = self._base[:n].copy_(values)
        square, step = _dot(wide, wide), _step_sq(wide, self._work[:n], stored)
        lost = 0 if math.isfinite(square) else _nonfinite(values)
        return PairSums(
            n=n,
            base_sq=square,
            trained_sq=square,
            base_step_sq=step,
            trained_step_sq=step,
            base_nonfinite=lost,
            trained_nonfinite=lost,
        )

    def _changed(self, left: torch.Tensor, right: torch.Tensor, stored: torch.dtype) -> int:
        """Elements whose bits differ in the dtype the trained checkpoint is stored in."""
        before, after, mask = _bits(left.to(stored)), _bits(right.to(stored)), self._mask[: left.numel()]
        if self._device.type != "cpu":
            return int(torch.count_nonzero(torch.ne(before, after, out=mask)))
        # NumPy's comparison of 16-bit integers is vectorised; torch's takes eight times as long
        return int(np.count_nonzero(np.not_equal(before.numpy(), after.numpy(), out=mask.numpy())))


def _dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.dot(a, b))


def _bits(values: torch.Tensor) -> torch.Tensor:
    return values.view(_BITS[values.dtype])


def _nonfinite(values: torch.Tensor) -> int:
    return values.numel() - int(torch.isfinite(values).sum())


def _step_sq(wide: torch.Tensor, work: torch.Tensor, stored: torch.dtype) -> float:
    """Σ ulp(w)² for float64 values `wide` whose stored dtype is `stored`; overwrites `work`.

    Clearing sign and fraction of a float64 leaves 2^⌊log2|w|⌋. Scaling by the fraction's width is exact, so it is
    done once, on the sum. Only float16 has subnormals large enough to matter: there the spacing stops shrinking at
    the smallest normal exponent; elsewhere what is left out is below 1e-76 per element.
    """
    fraction, smallest = _FORMAT[stored]
    torch.bitwise_and(wide.view(torch.int64), _EXPONENT_MASK, out=work.view(torch.int64))
    if stored == torch.float16:
        work.clamp_(min=2.0**smallest)
    return math.ldexp(_dot(work, work), -2 * fraction)
