"""What a design can see: power, smallest detectable differences, units needed, smallest p values.

- Paired t: power = P(|t'| > t_{1−α/2, n−1}), t' noncentral with √n δ/sd; approximately δ = 2.80 sd/√n at 80 % and 5 %.
- Exact McNemar with discordant share ψ and difference δ: K ~ Bin(n, ψ) discordant pairs, of which
  b ~ Bin(K, (ψ + δ)/(2ψ)) go up; power = Σ_k P(K = k) P(reject | k).
- Equivalence of means at a true difference of 0: P(|d̄| < m − t_{1−α, n−1} s/√n), integrated over s; approximately
  n = ((1.645 + 1.282) sd/m)² at 80 % and 5 %. Of rates: the same with sd = √ψ.

Simulated in `tests/test_stats_power.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special
from scipy.optimize import brentq

from afterburn_core.stats.intervals import binomial_cdf
from afterburn_core.stats.paired import mcnemar_p

_MOST = 10**7


def paired_t_power(difference: float, sd: float, n: int, *, alpha: float = 0.05) -> float:
    """Chance that the two-sided paired t test of `n` units finds `difference`, sd being that of d."""
    if n < 2:
        return 0.0
    critical = float(special.stdtrit(n - 1, 1 - alpha / 2))
    shift = math.sqrt(n) * abs(difference) / sd
    upper = 1 - float(special.nctdtr(n - 1, shift, critical))
    lower = float(special.nctdtr(n - 1, shift, -critical))
    return min(1.0, upper + (lower if math.isfinite(lower) else 0.0))


def smallest_difference(sd: float, n: int, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The smallest mean difference found with `power`; `None` below two units."""
    if n < 2:
        return None
    if sd == 0:
        return 0.0
    high = 1.0
    while paired_t_power(high, 1.0, n, alpha=alpha) < power:
        high *= 2
    return sd * float(brentq(lambda x: paired_t_power(x, 1.0, n, alpha=alpha) - power, 1e-9, high, xtol=1e-10))


def units_for_difference(difference: float, sd: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Units at which a mean difference is found with `power`."""
    return _first(lambda n: paired_t_power(difference, sd, n, alpha=alpha) >= power, 2)


def mcnemar_power(difference: float, discordant: float, n: int, *, alpha: float = 0.05) -> float:
    """Chance that the exact McNemar test of `n` pairs finds a difference of rates.

    Args:
        difference: p_trained − p_base, at most `discordant` in size.
        discordant: Share of pairs that differ, ψ.
    """
    if abs(difference) > discordant:
        raise ValueError(f"a difference of {difference} needs more discordant pairs than {discordant}")
    share = (discordant + abs(difference)) / (2 * discordant)
    k = np.arange(n + 1)
    chance = _binomial(k, n, discordant)
    kept = k[chance > 1e-12]
    # the test rejects with k discordant pairs where min(b, k − b) is at most the critical count
    critical = _mcnemar_critical(kept, alpha)
    low, high = binomial_cdf(critical, kept, share), binomial_cdf(critical, kept, 1 - share)
    return float(np.sum(chance[kept] * (low + high)))


def smallest_rate_difference(discordant: float, n: int, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The smallest difference of rates that the exact McNemar test finds with `power`; `None` where none does."""
    if mcnemar_power(discordant, discordant, n, alpha=alpha) < power:
        return None
    return float(brentq(lambda x: mcnemar_power(x, discordant, n, alpha=alpha) - power, 0.0, discordant, xtol=1e-8))


def equivalence_power(margin: float, sd: float, n: int, *, difference: float = 0.0, alpha: float = 0.05) -> float:
    """Chance that two one-sided t tests at `alpha` show a true difference to lie within ±margin."""
    if n < 2:
        return 0.0
    probabilities = (np.arange(2_000) + 0.5) / 2_000
    spread = sd * np.sqrt(2 * special.gammaincinv((n - 1) / 2, probabilities) / (n - 1))  # quantiles of s
    error = sd / math.sqrt(n)
    reach = margin - special.stdtrit(n - 1, 1 - alpha) * spread / math.sqrt(n)
    inside = special.ndtr((reach - difference) / error) - special.ndtr((-reach - difference) / error)
    return float(np.mean(np.maximum(inside, 0.0)))


def units_for_equivalence(margin: float, sd: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Units at which a true mean difference of 0 is shown to lie within ±margin with `power`."""
    return _first(lambda n: equivalence_power(margin, sd, n, alpha=alpha) >= power, 2)


def units_for_rate_equivalence(margin: float, discordant: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Units at which equal rates are shown to differ by less than `margin`: (z_{1−α} + z_{(1+power)/2})² ψ/margin²."""
    z = float(special.ndtri(1 - alpha) + special.ndtri((1 + power) / 2))
    return math.ceil(z**2 * discordant / margin**2)


def smallest_sign_flip_p(n: int) -> float:
    """The smallest two-sided p value of a sign-flip, signed rank or McNemar test whose `n` units differ: 2/2^n."""
    return min(1.0, 2.0 ** (1 - n))


def smallest_rank_p(controls: int) -> float:
    """The smallest p value of a rank among so many controls or resamples: 1/(K + 1)."""
    return 1 / (controls + 1)


def controls_needed(alpha: float = 0.05, tests: int = 1) -> int:
    """Controls whose smallest rank p value reaches alpha/tests: ⌈tests/alpha⌉ − 1."""
    return math.ceil(round(tests / alpha, 9)) - 1


def _binomial(k: np.ndarray, n: int, share: float) -> np.ndarray:
    logs = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return np.asarray(np.exp(logs + special.xlogy(k, share) + special.xlog1py(n - k, -share)))


def _mcnemar_critical(discordant: np.ndarray, alpha: float) -> np.ndarray:
    """The largest count on the smaller side that is significant, −1 where none is."""
    low, high = np.full(len(discordant), -1), discordant // 2
    while (low < high).any():
        middle = (low + high + 1) // 2
        significant = mcnemar_p(discordant - middle, middle) <= alpha
        low, high = np.where(significant, middle, low), np.where(significant, high, middle - 1)
    return np.asarray(low)


def _first(reached: Callable[[int], bool], start: int) -> int:
    """The smallest n from `start` on at which a monotone condition holds.

    Raises:
        ValueError: No n up to ten million does.
    """
    low, high = start - 1, start
    while not reached(high):
        low, high = high, 2 * high
        if high > _MOST:
            raise ValueError(f"more than {_MOST} units would be needed")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
