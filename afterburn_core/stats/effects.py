"""Effect sizes of paired differences d_i = trained − base.

- d_z = d̄/sd(d), sd with n − 1, times the small-sample factor J = 1 − 3/(4(n − 1) − 1) (Hedges 1981).
- Dominance: mean sign(d_i), Cliff's delta for paired data, in [−1, 1] (Cliff 1993).
- Cliff's delta of two independent samples: mean over all pairs of sign(y − x).
- Hodges–Lehmann shift: median of (d_i + d_j)/2 over i ≤ j, with the interval that inverts the signed rank test (Hodges
  and Lehmann 1963).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray: TypeAlias = npt.NDArray[np.float64]


def small_sample_factor(n: npt.ArrayLike) -> FloatArray:
    """Hedges' J for n paired units; 1 below 3 units, where the formula has no sense."""
    size = np.asarray(n, dtype=np.float64)
    return np.where(size >= 3, 1 - 3 / (4 * np.maximum(size - 1, 2) - 1), 1.0)


def cohens_dz(differences: npt.ArrayLike) -> float | None:
    """Standardised paired effect with the small-sample factor; `None` for fewer than two units or no spread."""
    d = _present(differences)
    if len(d) < 2:
        return None
    spread = float(d.std(ddof=1))
    if spread <= 1e-12 * float(np.abs(d).max()):
        return 0.0 if not d.any() else None
    return float(small_sample_factor(len(d)) * d.mean() / spread)


def dominance(differences: npt.ArrayLike) -> float | None:
    """Share of units that went up minus share that went down; `None` without units."""
    d = _present(differences)
    return float(np.sign(d).mean()) if len(d) else None


def cliffs_delta(base: npt.ArrayLike, trained: npt.ArrayLike) -> float | None:
    """P(trained > base) − P(trained < base) for two independent samples, in O(n log n); `None` if one is empty."""
    x, y = np.sort(_present(base)), _present(trained)
    if not len(x) or not len(y):
        return None
    below = np.searchsorted(x, y, side="left")
    above = len(x) - np.searchsorted(x, y, side="right")
    return float((below - above).sum() / (len(x) * len(y)))


def hodges_lehmann(differences: npt.ArrayLike, *, level: float = 0.95) -> tuple[float, float, float] | None:
    """The shift and its distribution-free interval (estimate, low, high); `None` without units.

    The interval takes the k-th smallest and largest Walsh average, k from the normal approximation of the signed rank
    statistic; for n too small to reach the level it is the whole range. Needs n(n + 1)/2 numbers of memory.
    """
    d = _present(differences)
    n = len(d)
    if not n:
        return None
    rows, columns = np.triu_indices(n)
    walsh = np.sort((d[rows] + d[columns]) / 2)
    z = float(special.ndtri((1 + level) / 2))
    half = n * (n + 1) / 4
    k = int(np.floor(half - 0.5 - z * np.sqrt(n * (n + 1) * (2 * n + 1) / 24)))
    k = min(max(k, 0), len(walsh) - 1)
    return float(np.median(walsh)), float(walsh[k]), float(walsh[len(walsh) - 1 - k])


def _present(values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[~np.isnan(array)]
