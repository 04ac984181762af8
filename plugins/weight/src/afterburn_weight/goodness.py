"""How well a power law describes the tail it was fitted to, and whether a lognormal describes it better.

- `tail_p`: the logarithms of a power-law tail are exponential. √n·D is set against its simulated null for a tail that
  begins at λ_min (a Lilliefors test: the rate is fitted as well). λ_min was chosen to make D small, so the p value is
  an upper bound: a rejection stands, a large p is no proof.
- `bootstrap_p`: the semi-parametric bootstrap of arXiv 0706.1062, section 4.1: a draw takes each eigenvalue from the
  fitted law with probability n_tail/k, else from the body, and searches its own λ_min. p ≤ 0.1 rejects.
- `lognormal_ratio`: log-likelihood ratio of power law and lognormal, both truncated at λ_min, with Vuong's test. The
  power law is a limit of truncated lognormals (σ → ∞), so R ≤ 0, and R = 0 where that limit is the best lognormal:
  exactly where the logarithms' coefficient of variation reaches 1. As the models are nested, p is conservative.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

from afterburn_weight.powerlaw import TailFit, exceedances, fit

# from plugins/weight/tests/tail_quantiles.py, 100 000 draws each; `LEVELS`: how probable a larger one is
LEVELS = (0.99, 0.95, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2, 0.15, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001)
QUANTILES = {
    50: (0.388, 0.45, 0.491, 0.549, 0.618, 0.685, 0.76, 0.861, 0.907, 0.969, 1.069, 1.162, 1.271, 1.35, 1.509),
    70: (0.388, 0.453, 0.494, 0.551, 0.62, 0.688, 0.763, 0.865, 0.913, 0.976, 1.074, 1.162, 1.271, 1.347, 1.508),
    100: (0.393, 0.456, 0.497, 0.553, 0.622, 0.69, 0.766, 0.867, 0.916, 0.979, 1.078, 1.17, 1.279, 1.356, 1.522),
    150: (0.393, 0.458, 0.5, 0.557, 0.626, 0.693, 0.77, 0.874, 0.921, 0.984, 1.082, 1.174, 1.288, 1.362, 1.529),
    200: (0.395, 0.459, 0.501, 0.558, 0.627, 0.696, 0.772, 0.874, 0.922, 0.984, 1.083, 1.176, 1.284, 1.359, 1.525),
    300: (0.398, 0.462, 0.503, 0.56, 0.629, 0.696, 0.773, 0.875, 0.923, 0.985, 1.086, 1.177, 1.284, 1.359, 1.523),
    500: (0.4, 0.463, 0.504, 0.561, 0.631, 0.699, 0.774, 0.876, 0.925, 0.988, 1.089, 1.179, 1.289, 1.367, 1.526),
    1000: (0.402, 0.467, 0.508, 0.564, 0.633, 0.701, 0.778, 0.881, 0.928, 0.99, 1.088, 1.176, 1.285, 1.36, 1.528),
    2000: (0.403, 0.468, 0.509, 0.566, 0.635, 0.702, 0.778, 0.881, 0.927, 0.991, 1.089, 1.182, 1.293, 1.365, 1.527),
    4000: (0.403, 0.467, 0.508, 0.566, 0.636, 0.703, 0.78, 0.882, 0.928, 0.989, 1.089, 1.18, 1.288, 1.367, 1.525),
}
"""Quantiles of √n·D under the null at `LEVELS`, by tail length n."""
SMALLEST = LEVELS[-1]
"""No p value is given below it."""
_FAR = 50.0


@attrs.frozen(kw_only=True)
class Ratio:
    """A power law against a lognormal on the same tail."""

    log_likelihood: float
    """R = Σ ln p_power(λ) − ln p_lognormal(λ) ≤ 0; negative speaks for the lognormal."""
    statistic: float
    """R / (√n · sd of the summands), Vuong's z; 0 where the two laws coincide."""
    p_value: float
    """Two-sided."""


def tail_p(tail: TailFit) -> float:
    """An upper bound of the p value of the power law, in [`SMALLEST`, 1]."""
    root = math.sqrt(tail.n_tail)
    sizes = np.array(list(QUANTILES), dtype=np.float64)
    table = np.array(list(QUANTILES.values()))  # (sizes, levels)
    # the null converges like 1/√n: linear in that, constant beyond the table
    place = 1 / np.sqrt(np.clip(tail.n_tail, sizes[0], sizes[-1]))
    row = np.array([np.interp(-place, -1 / np.sqrt(sizes), column) for column in table.T])
    # below the first level p is 0.99 or more, and 1 is its upper bound
    value = root * tail.distance
    if value < row[0]:
        return 1.0
    return float(np.exp(np.interp(value, row, np.log(LEVELS))))


def bootstrap_p(eigenvalues: NDArray[np.float64], tail: TailFit, *, draws: int, seed: int) -> float:
    """Share of draws, the spectrum itself counted among them, whose best fit has at least the distance of `tail`.

    Args:
        eigenvalues: (k,) the spectrum that `tail` was fitted to.
        tail: its fit.
        draws: spectra to draw.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    body = eigenvalues[eigenvalues < tail.x_min]
    share = tail.n_tail / tail.n
    worse = 0
    for _ in range(draws):
        above = int(generator.binomial(tail.n, share))
        drawn = tail.x_min * np.exp(generator.standard_exponential(above) / (tail.alpha - 1))
        rest = tail.n - above
        # where there is no body the share is 1, and so is every draw
        spectrum = np.concatenate([drawn, generator.choice(body, rest)]) if rest else drawn
        other = fit(spectrum)
        worse += other is not None and other.distance >= tail.distance
    return (worse + 1) / (draws + 1)


def lognormal_ratio(eigenvalues: NDArray[np.float64], tail: TailFit) -> Ratio:
    """The power law against the lognormal truncated at λ_min of greatest likelihood."""
    excess = exceedances(eigenvalues, tail)  # (n,)
    mean = float(excess.mean())
    variation = float(excess.var()) / mean**2
    start = _truncation(variation)
    if start is None:
        return Ratio(log_likelihood=0.0, statistic=0.0, p_value=1.0)
    spread = mean / (_hazard(start) - start)  # σ of ln λ
    power = math.log(tail.alpha - 1) - (tail.alpha - 1) * excess
    scaled = excess / spread + start
    constant = -0.5 * math.log(2 * math.pi) - math.log(spread) - float(log_ndtr(-start))
    terms = power - (constant - scaled**2 / 2)
    total, deviation = float(terms.sum()), float(terms.std())
    if deviation == 0 or total >= 0:
        return Ratio(log_likelihood=0.0, statistic=0.0, p_value=1.0)
    statistic = total / (math.sqrt(excess.size) * deviation)
    return Ratio(log_likelihood=total, statistic=statistic, p_value=math.erfc(abs(statistic) / math.sqrt(2)))


def _hazard(start: float) -> float:
    """φ(t) / (1 − Φ(t)) of the standard normal."""
    return math.sqrt(2 / math.pi) / float(erfcx(start / math.sqrt(2)))


def _truncation(variation: float) -> float | None:
    """t for which a standard normal above t has (sd/mean)² of its excess over t equal to `variation`.

    Moment equations are likelihood equations in an exponential family. The ratio grows from 0 to 1 with t; `None` where
    it is reached beyond `_FAR`, where the truncated normal is an exponential to within 1e-3 of its variance.
    """

    def ratio(start: float) -> float:
        hazard = _hazard(start)
        return (1 - hazard * (hazard - start)) / (hazard - start) ** 2

    low, high = -_FAR / 2, _FAR
    if variation >= ratio(high):
        return None
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if ratio(middle) < variation else (low, middle)
    return (low + high) / 2
