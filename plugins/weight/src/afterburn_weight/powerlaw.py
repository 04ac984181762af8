"""Power-law tail of a spectrum: exponent by maximum likelihood, its beginning by Kolmogorov–Smirnov distance.

For eigenvalues λ ≥ λ_min, n of them (Power-law distributions in empirical data, arXiv 0706.1062):

    α̂(λ_min) = 1 + n / Σ ln(λ_i / λ_min)                SE = (α̂ − 1) / √n
    D(λ_min) = sup |S(λ) − F(λ)|,   F(λ) = 1 − (λ/λ_min)^(1 − α̂),   both one-sided gaps of the step function S

λ_min is the eigenvalue of least D among those that leave n ≥ 50 and n ≥ 10 % of all. The search is exact: D over a
grid of points bounds D over all points from below, and a candidate whose bound exceeds the best D found cannot win.
"""

from __future__ import annotations

import itertools
import math

import attrs
import numpy as np
from numpy.typing import NDArray

MINIMUM = 50
"""Eigenvalues that a tail must hold."""
SHARE = 0.1
"""Share of all eigenvalues that a tail must hold."""
_GRID = 48
"""Points of the lower bound."""
_BATCH = 16
"""Candidates whose distance is computed exactly at once."""


@attrs.frozen(kw_only=True)
class TailFit:
    """A power law fitted to the upper end of a spectrum."""

    alpha: float
    """Exponent of the density, p(λ) ∝ λ^−α."""
    x_min: float
    """Where the tail begins, in units of λ = σ²."""
    distance: float
    """D at `x_min`."""
    n_tail: int
    """Eigenvalues in the tail, `x_min` included."""
    n: int
    """Eigenvalues given."""

    @property
    def error(self) -> float:
        """Standard error of `alpha`, for λ_min taken as given."""
        return (self.alpha - 1) / math.sqrt(self.n_tail)


def least_tail(count: int) -> int:
    """The shortest tail that may be fitted to `count` eigenvalues."""
    return max(MINIMUM, math.ceil(SHARE * count))


def fit(eigenvalues: NDArray[np.float64], *, x_min: float | None = None) -> TailFit | None:
    """The power law of least distance; `None` where no tail is long enough or its eigenvalues are all equal.

    Args:
        eigenvalues: (k,) λ = σ², positive, in any order.
        x_min: take this beginning instead of searching; the tail's length is then not checked.
    """
    ordered = np.sort(eigenvalues)
    logs = np.log(ordered)
    count = logs.size
    if x_min is not None:
        first = int(np.searchsorted(logs, math.log(x_min), side="left"))
        candidates = np.array([first] if first < count - 1 else [], dtype=np.intp)
    else:
        candidates = _candidates(logs)
    if not candidates.size:
        return None
    rates = _rates(logs, candidates, start=None if x_min is None else math.log(x_min))
    usable = np.isfinite(rates)
    candidates, rates = candidates[usable], rates[usable]
    if not candidates.size:
        return None
    start = logs[candidates] if x_min is None else np.array([math.log(x_min)])
    best, distance = _least(logs, candidates, rates, start)
    return TailFit(
        alpha=1 + float(rates[best]),
        x_min=float(ordered[candidates[best]]) if x_min is None else x_min,
        distance=distance,
        n_tail=count - int(candidates[best]),
        n=count,
    )


def exceedances(eigenvalues: NDArray[np.float64], tail: TailFit) -> NDArray[np.float64]:
    """ln(λ_i / λ_min) ≥ 0 of the tail, ascending (n_tail,): exponential with rate α − 1 if the law holds."""
    logs = np.sort(np.log(eigenvalues))[tail.n - tail.n_tail :]
    return np.maximum(logs - math.log(tail.x_min), 0.0)


def _candidates(logs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Positions at which a tail of sufficient length can begin; of equal eigenvalues the first."""
    last = logs.size - least_tail(logs.size)
    if last < 0:
        return np.array([], dtype=np.intp)
    fresh = np.ones(last + 1, dtype=bool)
    fresh[1:] = logs[1 : last + 1] > logs[:last]
    return np.flatnonzero(fresh)


def _rates(logs: NDArray[np.float64], candidates: NDArray[np.intp], start: float | None) -> NDArray[np.float64]:
    """α̂ − 1 at each candidate; infinite where the tail's eigenvalues are all equal."""
    centred = logs - logs[-1]  # small numbers near the end: the sums over short tails stay exact
    sums = np.cumsum(centred[::-1])[::-1]
    length = (logs.size - candidates).astype(np.float64)
    begin = centred[candidates] if start is None else start - logs[-1]
    excess = sums[candidates] - length * begin
    # sums of n rounded terms of size |centred|: below that, the excess is rounding
    noise = 1e-13 * length * np.maximum(np.abs(begin), 1e-3)
    return np.asarray(np.divide(length, excess, out=np.full(length.shape, np.inf), where=excess > noise))


def _least(
    logs: NDArray[np.float64],
    candidates: NDArray[np.intp],
    rates: NDArray[np.float64],
    start: NDArray[np.float64],
) -> tuple[int, float]:
    """Index of the candidate of least D, the first of equals, and its D."""
    grid = np.unique(np.linspace(candidates[0], logs.size - 1, _GRID).astype(np.intp))
    bounds = _distances(logs, candidates, rates, start, grid)
    best, distance = -1, math.inf
    order = np.argsort(bounds, kind="stable")
    # the likeliest first and alone, so that its distance prunes the rest
    for begin, end in _batches(order.size):
        batch = order[begin:end]
        batch = batch[bounds[batch] <= distance]
        if not batch.size:
            break
        points = np.arange(candidates[batch].min(), logs.size)
        found = _distances(logs, candidates[batch], rates[batch], start[batch], points)
        least = float(found.min())
        first = int(batch[found == least].min())
        if least < distance or (least == distance and first < best):
            best, distance = first, least
    return best, distance


def _batches(count: int) -> list[tuple[int, int]]:
    ends = [0, min(2, count), *range(2 + _BATCH, count, _BATCH), count]
    return [(a, b) for a, b in itertools.pairwise(ends) if b > a]


def _distances(
    logs: NDArray[np.float64],
    candidates: NDArray[np.intp],
    rates: NDArray[np.float64],
    start: NDArray[np.float64],
    points: NDArray[np.intp],
) -> NDArray[np.float64]:
    """max over `points` of both gaps between step function and law, for each candidate (c,)."""
    length = (logs.size - candidates).astype(np.float64)[:, None]
    steps = (points[None, :] - candidates[:, None]) / length  # S just below each point: (c, p)
    law = (logs[points][None, :] - start[:, None]) * -rates[:, None]
    np.exp(law, out=law)
    np.subtract(1.0, law, out=law)
    gap = law - steps
    above = np.subtract(1 / length, gap)  # S at the point minus F
    np.maximum(gap, above, out=gap)
    gap[points[None, :] < candidates[:, None]] = 0.0
    return np.asarray(gap.max(axis=1))
