"""Noise and structure in one spectrum: the bulk's scale, its edge, and what stands out beyond it.

For an m × n matrix, m ≥ n, with singular values σ_i, of Gaussian noise of scale s plus a few strong directions:

    s = median(σ) / √(m μ_β)                                  the median does not feel the spikes
    spikes = #{σ_i > s √(μ + q τ)}                            q: Tracy–Widom quantile, widened for ŝ
    share = Σ_{spikes} σ² / ‖A‖²

s is estimated once more without the c spikes that the first estimate finds. What they leave behind is noise of an
(m − c) × (n − c) matrix, the directions orthogonal to theirs; scale and edge are that one's.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.run.spectra import Spectrum
from afterburn_weight import marchenko_pastur as mp

MINIMUM = 20
"""Singular values below which a median says too little about a scale."""


@attrs.frozen(kw_only=True, eq=False)
class NoiseFit:
    """A Marchenko–Pastur bulk and its spikes."""

    scale: float
    """s: standard deviation of the noise entries."""
    edge: float
    """Singular values beyond it are spikes."""
    spikes: NDArray[np.float64]
    """(c,) observed singular values beyond the edge, descending."""
    theta: NDArray[np.float64]
    """(c,) what was planted if the rest is noise: θ̂."""
    left: NDArray[np.float64]
    """(c,) expected |⟨u, û⟩|² between the planted and the observed left vector."""
    right: NDArray[np.float64]
    share: float
    """Share of ‖A‖² beyond the edge."""
    distance: float
    """sup |S − F| between the bulk's eigenvalues and the Marchenko–Pastur law: how far it is from pure noise."""
    bulk: int
    """Singular values that are no spikes."""
    statistic: float
    """(σ₁²/s² − μ)/τ"""
    p_value: float
    """Probability that noise of this scale has a σ₁ as large."""


def fit_noise(spectrum: Spectrum, *, level: float = 0.99) -> NoiseFit | str:
    """The bulk and the spikes of a spectrum, or why there is no telling.

    Args:
        spectrum: of a matrix that is not all zero.
        level: share of pure noise matrices that have no value beyond the edge; a key of
            `marchenko_pastur.TRACY_WIDOM`.
    """
    values = spectrum.values
    if spectrum.approximate:
        return "only the largest singular values are known, and the noise shows in the others"
    if values.size < MINIMUM:
        return f"the matrix has {values.size} singular values; {MINIMUM} are needed to tell noise from structure"
    rows, columns = spectrum.rows, spectrum.columns
    resolved = values > spectrum.floor * values[0]
    found, tall, wide, edge, scale = 0, rows, columns, 0.0, 0.0
    for _ in range(2):
        scale = _scale(values[found:], resolved[found:], tall, wide)
        if scale == 0:
            return (
                f"{int(np.count_nonzero(~resolved))} of {values.size} singular values are zero or not resolved: "
                "there is no bulk of noise"
            )
        edge = scale * mp.edge(tall, wide, level=level)
        beyond = int(np.count_nonzero(values > edge))
        if beyond == found or min(rows, columns) - beyond < MINIMUM:
            break
        found, tall, wide = beyond, rows - beyond, columns - beyond
    # the last count is the one that belongs to the scale
    spikes = values[values > edge]
    rest = spikes.size
    theta = mp.planted(spikes, scale, rows, columns)
    left, right = mp.overlaps(theta, scale, rows, columns)
    statistic, p_value = mp.exceedance(float(values[0]), scale, rows, columns)
    return NoiseFit(
        scale=scale,
        edge=edge,
        spikes=spikes,
        theta=theta,
        left=left,
        right=right,
        share=min(float(np.sum(spikes**2)) / spectrum.square, 1.0),
        distance=_distance(values[rest:], resolved[rest:], scale, rows - rest, columns - rest),
        bulk=values.size - rest,
        statistic=statistic,
        p_value=p_value,
    )


def _scale(values: NDArray[np.float64], resolved: NDArray[np.bool_], rows: int, columns: int) -> float:
    """s from the median; 0 where the median is not resolved."""
    if not values.size or not resolved[values.size // 2]:
        return 0.0
    tall, wide = max(rows, columns), min(rows, columns)
    return float(np.median(values)) / math.sqrt(tall * mp.median(wide / tall))


def _distance(values: NDArray[np.float64], resolved: NDArray[np.bool_], scale: float, rows: int, columns: int) -> float:
    """Kolmogorov–Smirnov distance at the resolved values; the others count as lying below them."""
    tall, wide = max(rows, columns), min(rows, columns)
    ascending = values[::-1]
    law = mp.cumulative(ascending**2 / (tall * scale * scale), wide / tall)
    steps = np.arange(ascending.size + 1) / ascending.size
    gaps = np.maximum(law - steps[:-1], steps[1:] - law)
    return float(gaps[resolved[::-1]].max(initial=0.0))
