"""Whether the entries of a matrix lie on the grid of a quantiser, though they are stored as floats.

Two signs, each over groups of consecutive entries of a row. A code of 4 bits leaves at most 16 distinct values in a
group, where trained weights of 64 entries have nearly 64. A symmetric code of 8 bits puts every entry at a multiple of
max|w|/127; stored as bfloat16 it is off by at most half a unit in the last place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUPS = (32, 64, 128)
"""Group sizes in use; whole rows are tried too."""
_FOUR_BITS = 16
_EIGHT_BITS = 127
_MANTISSA = {"BF16": 8, "F16": 11, "F32": 24, "F64": 53}
_ENOUGH = 0.9
"""Share of the groups that may have at most 16 levels."""
_TELLING = 0.25
_SURPRISE = 100.0
"""Nats: trained weights would fit as well with probability e⁻¹⁰⁰."""
_ALL = 0.995


def on_grid(rows: NDArray[Any], dtype: str) -> bool:
    """Whether sampled rows (r, n) of a matrix stored as `dtype` look dequantised."""
    values = np.asarray(rows, dtype=np.float64)
    return _few_levels(values) or any(_multiples(group, dtype) for group in _grouped(values, (*GROUPS, 0)))


def _grouped(values: NDArray[np.float64], sizes: tuple[int, ...]) -> list[NDArray[np.float64]]:
    columns = values.shape[1]
    whole = [size or columns for size in sizes if (size or columns) <= columns and columns % (size or columns) == 0]
    return [values.reshape(-1, size) for size in dict.fromkeys(whole) if size >= min(GROUPS)]


def _few_levels(values: NDArray[np.float64]) -> bool:
    """At most 16 distinct values in nearly every group of 64 or more, most of them not zero: pruning is no grid."""
    for groups in _grouped(values, (64, 128)):
        groups = groups[np.count_nonzero(groups, axis=1) > groups.shape[1] // 2]
        if not len(groups):
            continue
        ordered = np.sort(groups, axis=1)
        levels = 1 + (np.diff(ordered, axis=1) > 0).sum(axis=1)
        if np.mean(levels <= _FOUR_BITS) >= _ENOUGH:
            return True
    return False


def _multiples(groups: NDArray[np.float64], dtype: str) -> bool:
    """Every entry within the stored rounding of a multiple of max|w|/127, beyond what chance can do."""
    largest = np.abs(groups).max(axis=1)
    live = largest > 0
    scaled = groups[live] * (_EIGHT_BITS / largest[live, None])
    off = np.abs(scaled - np.round(scaled))
    # rounding the entry, and rounding the largest, from which the step is taken: 2⁻ᵖ each
    slack = 2.0 ** (1 - _MANTISSA.get(dtype, 24)) * np.abs(scaled) + 1e-6
    telling = slack < _TELLING  # a large code tells nothing once its slack covers half the cell
    if not telling.any():
        return False
    surprise = -float(np.log(2 * slack[telling]).sum())  # what is uniform within its cell fits with probability 2·slack
    return surprise > _SURPRISE and float((off <= slack)[telling].mean()) > _ALL
