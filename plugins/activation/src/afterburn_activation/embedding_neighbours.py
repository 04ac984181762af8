"""Whose neighbours a text has: overlap of the nearest k, rank-biased overlap, texts that became alike.

    Jaccard@k    |N_k^b ∩ N_k^f| / |N_k^b ∪ N_k^f|
    RBO          (1 − p) Σ_{d=1}^{D} p^{d−1} A_d + p^D A_D, A_d the share that the first d of both lists have in common
                 (extrapolated from depth D; A Similarity Measure for Indefinite Rankings, Webber et al. 2010), p = .9
    near duplicate   a text with another one at a cosine of at least `bar`

Neighbours are by cosine; of equal ones the earlier. Similarities exist a block of texts at a time.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
PERSISTENCE = 0.9
_BLOCK = 1 << 22  # similarities at once: 32 MB


def nearest(rows: Floats, k: int) -> tuple[Indices, Floats]:
    """For unit rows (n, d): the k nearest others (n, k), nearest first, and the nearest one's similarity (n)."""
    n = len(rows)
    found, closest = np.empty((n, k), dtype=np.intp), np.empty(n)
    step = max(1, _BLOCK // max(n, 1))
    for start in range(0, n, step):
        stop = min(n, start + step)
        block = rows[start:stop] @ rows.T
        block[np.arange(stop - start), np.arange(start, stop)] = -np.inf
        order = np.argsort(-block, axis=1, kind="stable")[:, :k]
        found[start:stop] = order
        closest[start:stop] = np.take_along_axis(block, order[:, :1], axis=1)[:, 0]
    return found, closest


@attrs.frozen(kw_only=True, eq=False)
class Overlap:
    """How far two lists of neighbours (n, D), without repetitions, agree by text."""

    common: Floats
    """(n, D): how many the first d of both lists have in common, d = 1 … D."""

    @classmethod
    def of(cls, first: Indices, second: Indices) -> Overlap:
        n, depth = first.shape
        common = np.zeros((n, depth))
        step = max(1, _BLOCK // (depth * depth))
        for start in range(0, n, step):
            match = first[start : start + step, :, None] == second[start : start + step, None, :]
            rows, i, j = np.nonzero(match)
            np.add.at(common, (rows + start, np.maximum(i, j)), 1.0)  # in both from the later of its ranks on
        return cls(common=np.cumsum(common, axis=1))

    def jaccard(self, k: int) -> Floats:
        """Jaccard@k, (n)."""
        common = self.common[:, k - 1]
        return np.asarray(common / (2 * k - common))

    def rank_biased(self, p: float = PERSISTENCE) -> Floats:
        """Extrapolated RBO, (n)."""
        depth = self.common.shape[1]
        agreement = self.common / np.arange(1, depth + 1)
        weights = (1 - p) * p ** np.arange(depth)
        return np.asarray(agreement @ weights + p**depth * agreement[:, -1])
