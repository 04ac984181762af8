"""How far the singular values moved, ‖σ(W') − σ(W)‖, and how much of that a Gram matrix cannot tell.

The sum goes over values that are resolved on both sides: one that is cut off on one of them alone has not gone. By
‖σ(W') − σ(W)‖ ≤ ‖Δ‖ and |σ'_i − σ_i| ≤ σ₁(Δ) (Mirsky, Weyl) it has an upper bound, and so has what was left out.
"""

from __future__ import annotations

import math

import attrs
import numpy as np

from afterburn_core.run.spectra import PairSpectra


@attrs.frozen(kw_only=True)
class Drift:
    """How far singular values moved; energies, which add up."""

    moved: float
    """Σ (σ'_i − σ_i)² over the values resolved on both sides, at most ‖Δ‖²"""
    blind: float
    """What those that are not could add at most, and rounding, to first order."""
    square: float
    """‖W‖²"""


def drift(spectra: PairSpectra) -> Drift | None:
    """The drift from W to W'; `None` where only the top of a spectrum is known."""
    base, trained, delta = spectra.base, spectra.trained, spectra.delta
    if base.approximate or trained.approximate:
        return None
    if trained is base:
        return Drift(moved=0.0, blind=0.0, square=base.square)
    both = (base.values > 0) & (trained.values > 0)
    difference = (trained.values - base.values)[both]
    largest = max(float(base.values[0]), float(trained.values[0]))
    reach = min(base.floor * largest, float(delta.values[0]))
    # an eigenvalue of the Gram matrix is off by some √k units in the last place of the largest
    unit = np.finfo(np.float32 if base.method == "float32" else np.float64).eps / 2
    error = math.sqrt(base.values.size) * unit * largest**2 / (2 * base.values[both])
    blind = int(np.count_nonzero(~both)) * reach**2 + float(error @ error)
    return Drift(
        moved=min(float(difference @ difference), delta.square), blind=min(blind, delta.square), square=base.square
    )
