"""Standard errors of a mean whose units come in clusters (Adding Error Bars to Evals, arXiv 2411.00640).

    SE² = G/(G − 1) · (1/n²) Σ_c (Σ_{i∈c} (d_i − d̄))²                         from 20 clusters on
    SE² = (G − 1)/G · Σ_c (d̄_(−c) − d̄)²        the jackknife over clusters    below 20, where the first is too small

Without clusters (every unit its own) both are Σ (d_i − d̄)²/(n(n − 1)). Tests flip signs per cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
FEW = 20


def sums_by_cluster(values: FloatArray, clusters: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Sums (G,) and sizes (G,) of the clusters' values, clusters in order of their first member."""
    order: dict[str, int] = {}
    index = np.array([order.setdefault(name, len(order)) for name in clusters], dtype=np.intp)
    sizes = np.bincount(index, minlength=len(order)).astype(np.float64)
    sums = np.bincount(index, weights=values, minlength=len(order)).astype(np.float64)
    return sums, sizes


def leave_one_out(sums: FloatArray, sizes: FloatArray) -> FloatArray:
    """Means without each row, (G, m), of columns of sums and sizes (G, m); needs two rows."""
    rest = sizes.sum(axis=0) - sizes
    return np.asarray((sums.sum(axis=0) - sums) / rest)


def standard_error(sums: FloatArray, sizes: FloatArray) -> FloatArray:
    """Standard errors (m,) of the means Σ sums / Σ sizes of columns (G, m).

    A row is a cluster, or a unit of size 1; one of size 0 is missing and does not count.
    """
    groups = np.count_nonzero(sizes, axis=0)
    total = sizes.sum(axis=0)
    mean = sums.sum(axis=0) / total
    robust = ((sums - sizes * mean) ** 2).sum(axis=0) / total**2 * groups / (groups - 1)
    spread = leave_one_out(sums, sizes) - mean
    jackknife = (spread**2).sum(axis=0) * (groups - 1) / groups
    return np.asarray(np.sqrt(np.where(groups >= FEW, robust, jackknife)))


def clustered_error(values: npt.ArrayLike, clusters: Sequence[str]) -> float:
    """Standard error of the mean of `values`, whose clusters are named beside them.

    Raises:
        ValueError: Lengths differ, or there are fewer than two clusters.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) != len(clusters):
        raise ValueError(f"{array.shape} values and {len(clusters)} names of clusters")
    sums, sizes = sums_by_cluster(array, clusters)
    if len(sums) < 2:
        raise ValueError("a standard error needs at least two clusters")
    return float(standard_error(sums[:, None], sizes[:, None])[0])
