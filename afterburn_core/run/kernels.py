"""The inner loop of the weights pass: blocks of base and trained elements in, `PairSums` out.

A block is small enough that the float64 copies of both sides and of their difference stay in a core's second-level
cache, and all buffers are allocated once per worker: fresh ones would cost a page fault per 4 KiB, several times the
arithmetic.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afterburn_core.run.arrays import NUMPY_DTYPES, Raw, bits_of, narrow, widen
from afterburn_core.run.sums import PairSums, combine

CPU_BLOCK = 1 << 17

# (bits of the fraction, exponent of the smallest normal number): ulp(w) = 2^(max(⌊log2|w|⌋, emin) − fraction)
_FORMAT = {"F64": (52, -1022), "F32": (23, -126), "F16": (10, -14), "BF16": (7, -126)}
_EXPONENT_MASK = np.int64(0x7FF0000000000000)  # of a float64


class ArraySums:
    """Computes `PairSums` with buffers of its own; one instance serves one thread."""

    def __init__(self) -> None:
        self.block = CPU_BLOCK
        self._base, self._trained, self._work = (np.empty(self.block) for _ in range(3))
        self._scratch = np.empty(self.block, dtype=np.uint32)
        self._mask = np.empty(self.block, dtype=bool)

    def pair(self, base: Raw, trained: Raw, stored: tuple[str, str]) -> PairSums:
        """Sums over corresponding elements.

        Args:
            base: base elements, 1-D, as `arrays.read_array` gives them.
            trained: as many trained elements. float64 where `stored[1]` is narrower: an adapter's sum before rounding.
            stored: dtypes of the checkpoints, in which bits are compared and rounding steps taken.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not finite, and is reported as such
            steps = range(0, base.size, self.block)
            return combine(self._block(base[i : i + self.block], trained[i : i + self.block], stored) for i in steps)

    def single(self, values: Raw, stored: str) -> PairSums:
        """Sums of a tensor that both sides share, so that its difference is zero without being computed."""
        with np.errstate(over="ignore", invalid="ignore"):
            steps = range(0, values.size, self.block)
            return combine(self._equal(values[i : i + self.block], stored) for i in steps)

    def _block(self, left: Raw, right: Raw, stored: tuple[str, str]) -> PairSums:
        n = left.size
        changed = self._changed(left, right, stored[1])
        if changed == 0 and left.dtype == right.dtype == NUMPY_DTYPES[stored[1]]:  # compared as they are, not rounded
            return self._equal(left, stored[0])
        base, trained, work = self._base[:n], self._trained[:n], self._work[:n]
        widen(left, base, self._scratch)
        widen(right, trained, self._scratch)
        base_sq, trained_sq = float(base @ base), float(trained @ trained)
        base_step_sq, trained_step_sq = _step_sq(base, work, stored[0]), _step_sq(trained, work, stored[1])
        delta = np.subtract(trained, base, out=work)
        lost = not (math.isfinite(base_sq) and math.isfinite(trained_sq))
        return PairSums(
            n=n,
            base_sq=base_sq,
            trained_sq=trained_sq,
            delta_sq=float(delta @ delta),
            dot_base_delta=float(base @ delta),
            max_abs=max(abs(float(delta.max())), abs(float(delta.min()))),
            changed=changed,
            base_step_sq=base_step_sq,
            trained_step_sq=trained_step_sq,
            base_nonfinite=_nonfinite(base) if lost else 0,
            trained_nonfinite=_nonfinite(trained) if lost else 0,
        )

    def _equal(self, values: Raw, stored: str) -> PairSums:
        n = values.size
        wide = self._base[:n]
        widen(values, wide, self._scratch)
        square, step = float(wide @ wide), _step_sq(wide, self._work[:n], stored)
        lost = 0 if math.isfinite(square) else _nonfinite(wide)
        return PairSums(
            n=n,
            base_sq=square,
            trained_sq=square,
            base_step_sq=step,
            trained_step_sq=step,
            base_nonfinite=lost,
            trained_nonfinite=lost,
        )

    def _changed(self, left: Raw, right: Raw, stored: str) -> int:
        """Elements whose bits differ in the dtype the trained checkpoint is stored in."""
        before, after = bits_of(narrow(left, stored)), bits_of(narrow(right, stored))
        return int(np.count_nonzero(np.not_equal(before, after, out=self._mask[: left.size])))


def _nonfinite(values: NDArray[np.float64]) -> int:
    return values.size - int(np.count_nonzero(np.isfinite(values)))


def _step_sq(wide: NDArray[np.float64], work: NDArray[Any], stored: str) -> float:
    """Σ ulp(w)² for float64 values `wide` whose stored dtype is `stored`; overwrites `work`.

    Clearing sign and fraction of a float64 leaves 2^⌊log2|w|⌋. Scaling by the fraction's width is exact, so it is
    done once, on the sum. Only float16 has subnormals large enough to matter: there the spacing stops shrinking at
    the smallest normal exponent; elsewhere what is left out is below 1e-76 per element.
    """
    fraction, smallest = _FORMAT[stored]
    np.bitwise_and(wide.view(np.int64), _EXPONENT_MASK, out=work.view(np.int64))
    if stored == "F16":
        np.maximum(work, 2.0**smallest, out=work)
    return math.ldexp(float(work @ work), -2 * fraction)
