"""Sign-flip tests of tens of thousands of columns, fine enough for a correction over all of them.

BH over m tests calls nothing whose p value lies above α R/m, R the number called; with B random flips no p value lies
below 1/(B + 1). So every column gets a few flips, and more go only to the columns of which few flips have reached what
was observed, until (B + 1) α R/m ≥ 10 (at the threshold of BH ten flips are expected to reach it), or until B is m/α.

    p = (1 + #{|Σ ε_i d_i| ≥ |Σ d_i|})/(B + 1), B the flips that the column has had

Columns with at most 14 values other than 0 are enumerated exactly. All columns share their flips, so that dependence
between them is kept; a column's own p value does not depend on which others are there, only on how many flips it had.
(Phipson and Smyth 2010 for "1 +"; Besag and Clifford 1991 for stopping where many have reached what was observed.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array

from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.multiplicity import adjusted
from afterburn_core.stats.resampling import ENUMERATED, flips, sign_patterns

FloatArray: TypeAlias = npt.NDArray[np.float64]
STAGES = (999, 9_999, 99_999, 999_999)
"""Flips in all after each round."""
MOST = 3_999_999
"""Flips beyond which no round goes; with m/α above it, one column alone cannot be called."""
REACHED = 20
"""So many flips that reached what was observed settle a column: its p value is known within a quarter of itself."""
EXPECTED = 10
"""So many flips are expected to reach a value at the threshold of BH where its resolution is enough."""
_ENTRIES = 1 << 21  # of a block of columns, and of the statistics of a block of flips


def many_sign_flip_p(values: csc_array | FloatArray, *, seed: int, alpha: float = 0.05) -> FloatArray:
    """Two-sided p values (m,) of "every value is as likely with the other sign", for the columns of (n, m).

    Args:
        values: one number per unit and column, without gaps; sparse where most are 0.
        seed: of the flips.
        alpha: level at which BH over all m columns will be read, which says how fine p values have to be.

    Raises:
        ValueError: a value is not finite: no flip of such a column could reach its sum, which would look significant.
    """
    columns = csc_array(values, dtype=np.float64, copy=True)
    if not np.isfinite(columns.data).all():
        raise ValueError("a value is not finite")
    columns.eliminate_zeros()
    m = columns.shape[1]
    p = np.ones(m)
    present = np.diff(columns.indptr)
    _enumerate(columns, present, p)
    waiting = np.flatnonzero(present > ENUMERATED)
    counts = np.zeros(m, dtype=np.int64)
    done = 0
    for stage in _stages(m, alpha):
        if not waiting.size:
            break
        _count(columns, waiting, counts, stage - done, child_seed(seed, f"many_flips/{stage}"))
        done = stage
        p[waiting] = (1 + counts[waiting]) / (done + 1)
        waiting = waiting[counts[waiting] < REACHED]
        called = sum(one <= alpha for one in adjusted(p.tolist()))
        if done >= STAGES[1] and called and (done + 1) * alpha * called / m >= EXPECTED:
            break
    return p


def _stages(m: int, alpha: float) -> Sequence[int]:
    """Flips in all after each round; the last may be what one column alone among m would need."""
    finest = min(MOST, int(np.ceil(m / alpha)))
    return (*(stage for stage in STAGES if stage < finest), finest) if finest > STAGES[1] else STAGES[:2]


def _enumerate(columns: csc_array, present: npt.NDArray[np.int64], p: FloatArray) -> None:
    """Exact p values of columns with few values, by how many."""
    for count in range(1, ENUMERATED + 1):
        alike = np.flatnonzero(present == count)
        patterns = sign_patterns(count)  # (2^(count − 1), count)
        step = max(1, _ENTRIES // len(patterns))
        for start in range(0, len(alike), step):
            part = alike[start : start + step]
            kept = np.stack([columns.data[columns.indptr[j] : columns.indptr[j + 1]] for j in part], axis=1)
            p[part] = (np.abs(patterns @ kept) >= _observed(kept)).mean(axis=0)


def _count(
    columns: csc_array, which: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], more: int, seed: int
) -> None:
    """Adds to `counts` how many of so many further flips reach what was observed."""
    n = columns.shape[0]
    width = max(1, _ENTRIES // n)
    rows = max(1, _ENTRIES // min(width, len(which)))
    for start in range(0, len(which), width):
        part = which[start : start + width]
        dense = columns[:, part].toarray()  # (n, c)
        observed = _observed(dense)
        for block in flips(n, more, seed):
            for first in range(0, len(block), rows):
                counts[part] += (np.abs(block[first : first + rows] @ dense) >= observed).sum(axis=0)


def _observed(values: FloatArray) -> FloatArray:
    """|Σ d| less what rounding can make of a tie, (m,)."""
    found: FloatArray = np.abs(values.sum(axis=0)) - 1e-12 * np.abs(values).sum(axis=0)
    return found
