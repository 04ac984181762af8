"""The values that codes stand for, and the squared step of each (see `contract`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def _float8(exponent: int, mantissa: int, *, infinities: bool) -> NDArray[np.float32]:
    """Values of all 256 codes of an 8-bit float with these widths (FP8 Formats for Deep Learning, arXiv 2209.05433)."""
    codes = np.arange(256)
    sign = np.where(codes >> 7, -1.0, 1.0)
    power, fraction = (codes >> mantissa) & ((1 << exponent) - 1), codes & ((1 << mantissa) - 1)
    bias, unit = (1 << (exponent - 1)) - 1, 2.0**-mantissa
    values = np.where(power == 0, fraction * unit * 2.0 ** (1 - bias), (1 + fraction * unit) * 2.0 ** (power - bias))
    top = power == (1 << exponent) - 1
    if infinities:
        values = np.where(top, np.where(fraction == 0, np.inf, np.nan), values)
    else:
        values = np.where(top & (fraction == (1 << mantissa) - 1), np.nan, values)
    return (sign * values).astype(np.float32)


FP8: dict[str, NDArray[np.float32]] = {
    "F8_E4M3": _float8(4, 3, infinities=False),
    "F8_E5M2": _float8(5, 2, infinities=True),
}
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32)
"""4-bit floats (OCP Microscaling Formats 1.0)."""


def step_sq(values: NDArray[Any]) -> NDArray[np.float64]:
    """step² of every code of a codebook; 0 for codes that are no finite number."""
    table = np.asarray(values, dtype=np.float64)
    levels = np.unique(table[np.isfinite(table)] + 0.0)  # −0 and 0 are one level
    half = np.diff(levels) / 2
    below, above = np.concatenate([[0.0], half]), np.concatenate([half, [0.0]])
    steps = 4 * (below**3 + above**3) / (below + above)
    found = np.zeros(table.shape)
    finite = np.isfinite(table)
    found[finite] = steps[np.searchsorted(levels, table[finite])]
    return found


def block_step_sq(values: NDArray[Any], codes: NDArray[Any]) -> NDArray[np.float32]:
    """step² of codes (blocks, n) whose scale puts the largest element of each block on the largest value.

    That element is exact, so one of the outermost codes of a block has no error.
    """
    table = np.asarray(values)
    outer = np.abs(table) == np.abs(table).max()
    inner = np.where(outer, 0.0, step_sq(table)).astype(np.float32)
    gap = float(step_sq(table)[outer].max())
    number = np.count_nonzero(np.take(outer, codes), axis=1)[:, None]
    found: NDArray[np.float32] = np.take(inner, codes)
    found += np.take(outer, codes) * (gap * (number - 1) / np.maximum(number, 1)).astype(np.float32)
    return found
