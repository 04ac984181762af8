"""Topics: groups of tokens that rise in the same passages, by non-negative matrix factorisation.

    X (P, T) ≈ W (P, k) H (k, T),  W, H ≥ 0,  least ‖X − W H‖²

by the multiplicative updates of Lee and Seung (2001), under which the error never grows:

    H ← H · (WᵀX)/(WᵀW H),   W ← W · (X Hᵀ)/(W H Hᵀ)

from several seeded starts, of which the best is kept.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
_TINY = 1e-12


@attrs.frozen(kw_only=True, eq=False)
class Factors:
    """X ≈ W H. The rows of H have sum 1, and topics come in the order of their share."""

    w: Floats
    """(P, k)."""
    h: Floats
    """(k, T)."""
    share: Floats
    """(k) share of each topic in the total of W H."""
    error: float
    """‖X − W H‖²/‖X‖²."""


def factorise(
    x: Floats, k: int, *, seed: int, starts: int = 4, iterations: int = 400, tolerance: float = 1e-6
) -> Factors | None:
    """The best factorisation of a non-negative matrix; `None` where X is 0 or smaller than k × k.

    Args:
        x: (P, T), non-negative.
        tolerance: Iteration ends where the relative error fell by less over ten updates.

    Raises:
        ValueError: A negative entry.
    """
    if (x < 0).any():
        raise ValueError("a matrix with a negative entry has no non-negative factors")
    size = float((x**2).sum())
    if min(x.shape) < k or size == 0.0:
        return None
    rng = np.random.default_rng(seed)
    scale = np.sqrt(x.mean() / k)
    best: tuple[float, Floats, Floats] | None = None
    for _ in range(starts):
        w = scale * (0.1 + rng.random((x.shape[0], k)))
        h = scale * (0.1 + rng.random((k, x.shape[1])))
        last = np.inf
        for step in range(iterations):
            h *= (w.T @ x) / np.maximum((w.T @ w) @ h, _TINY)
            w *= (x @ h.T) / np.maximum(w @ (h @ h.T), _TINY)
            if step % 10 == 9:
                error = float(((x - w @ h) ** 2).sum()) / size
                if last - error < tolerance:
                    break
                last = error
        error = float(((x - w @ h) ** 2).sum()) / size
        if best is None or error < best[0]:
            best = (error, w, h)
    if best is None:
        return None
    error, w, h = best
    lengths = h.sum(axis=1)
    w, h = w * lengths, h / np.maximum(lengths, _TINY)[:, None]
    mass = w.sum(axis=0)
    order = np.argsort(-mass, kind="stable")
    return Factors(w=w[:, order], h=h[order], share=mass[order] / max(float(mass.sum()), _TINY), error=error)
