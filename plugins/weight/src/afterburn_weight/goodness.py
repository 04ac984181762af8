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

# from plugins/weight/tools/tail_quantiles.py, 100 000 draws each
LEVELS = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05, 0.025, 0.01, 0.005, 0.002, 0.001)
QUANTILES = {
    50: (
        0.3883,
        0.4503,
        0.491,
        0.5486,
        0.5958,
        0.64,
        0.6848,
        0.7337,
        0.7899,
        0.8608,
        0.9071,
        0.9694,
        1.0689,
        1.1617,
        1.2711,
        1.3496,
        1.439,
        1.5092,
    ),
    70: (
        0.3883,
        0.4532,
        0.4936,
        0.5509,
        0.5982,
        0.6421,
        0.6877,
        0.7368,
        0.7937,
        0.8655,
        0.9125,
        0.9761,
        1.0738,
        1.1624,
        1.2712,
        1.3468,
        1.4435,
        1.5084,
    ),
    100: (
        0.3928,
        0.4563,
        0.4971,
        0.5532,
        0.6,
        0.6441,
        0.6897,
        0.7384,
        0.796,
        0.8674,
        0.9156,
        0.9789,
        1.0775,
        1.1695,
        1.2788,
        1.3555,
        1.4542,
        1.5219,
    ),
    150: (
        0.3927,
        0.4581,
        0.4996,
        0.557,
        0.6035,
        0.6478,
        0.6931,
        0.7423,
        0.8002,
        0.8737,
        0.9213,
        0.9844,
        1.0825,
        1.1741,
        1.2876,
        1.3622,
        1.4587,
        1.5288,
    ),
    200: (
        0.3946,
        0.4592,
        0.5006,
        0.5581,
        0.6051,
        0.6501,
        0.6958,
        0.7452,
        0.8019,
        0.8741,
        0.9225,
        0.9844,
        1.0828,
        1.1763,
        1.2838,
        1.3587,
        1.4657,
        1.5255,
    ),
    300: (
        0.3977,
        0.4625,
        0.5026,
        0.5598,
        0.6066,
        0.6508,
        0.6962,
        0.7458,
        0.8023,
        0.8749,
        0.9231,
        0.9855,
        1.0858,
        1.1768,
        1.2843,
        1.3591,
        1.456,
        1.5225,
    ),
    500: (
        0.4002,
        0.4632,
        0.5044,
        0.5613,
        0.6091,
        0.6533,
        0.6988,
        0.7477,
        0.8044,
        0.8758,
        0.9248,
        0.9881,
        1.0891,
        1.1789,
        1.2888,
        1.3673,
        1.4581,
        1.5257,
    ),
    1000: (
        0.4018,
        0.4666,
        0.5075,
        0.5636,
        0.6106,
        0.6556,
        0.7015,
        0.7506,
        0.8084,
        0.881,
        0.9284,
        0.9896,
        1.0884,
        1.1758,
        1.2855,
        1.3598,
        1.4574,
        1.5281,
    ),
    2000: (
        0.4035,
        0.4684,
        0.5092,
        0.5662,
        0.6127,
        0.6571,
        0.7022,
        0.7517,
        0.8078,
        0.8815,
        0.9269,
        0.9909,
        1.0886,
        1.1818,
        1.2934,
        1.3646,
        1.457,
        1.5275,
    ),
    4000: (
        0.4029,
        0.467,
        0.5084,
        0.5658,
        0.6131,
        0.6583,
        0.703,
        0.7522,
        0.81,
        0.8818,
        0.9281,
        0.9894,
        1.0885,
        1.1797,
        1.2884,
        1.3669,
        1.4571,
        1.5249,
    ),
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
