"""How much of a gain in quality remains where the shifted feature is the same on both sides.

With y_i the gain of prompt i (trained − base), x_i its shift (log ratio of lengths, change of a pattern's rate), and a
term t_i that is 0 where nothing shifted,

    raw = mean_i y_i        controlled = θ of the fit of y on t, the gain at t = 0        excess = raw − controlled

- scores: y_i = θ + φ t_i by least squares, so that excess = φ t̄;
- a judge's wins w_i in [0, 1], y_i = 2 w_i − 1: logit P(win) = θ + φ t_i, controlled = 2 σ(θ) − 1 (Length-Controlled
  AlpacaEval, arXiv 2404.04475, without its term for difficulty, which two models alone do not show). A ridge of 10⁻³
  keeps the fit finite where wins are separated.

Lengths enter as t_i = tanh(x_i/s), s = √(mean_i x_i²): the standard deviation about 0, the point that is controlled
to. An excess above 0 is gain that was bought with the feature; at or below 0 the feature explains none of it. Intervals
are BCa over prompts (or clusters); s and the fit are made anew in every resample.

Nothing is said of a point beyond the data: at least 5 prompts, and a share given by the caller, must not have shifted
upwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.result.model import Interval
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.resampling import bca

Floats = NDArray[np.float64]
FEWEST = 5
RESAMPLES = 1999
_RIDGE = 1e-3
_STEPS = 12  # of Newton's method; it settles in about six
LEVEL = 0.95


@attrs.frozen(kw_only=True)
class Gains:
    """One gain, taken apart."""

    raw: Contrast
    controlled: Contrast
    excess: Contrast
    """raw − controlled."""


def score_gains(
    gain: Floats,
    shift: Floats,
    *,
    seed: int,
    clusters: Sequence[str] | None = None,
    saturating: bool,
    least: float,
) -> Gains:
    """Gains of a score, by least squares.

    Args:
        gain: y, shape (n,).
        shift: x, shape (n,).
        saturating: whether the term is tanh(x/s); else it is x itself.
        least: share of prompts that must not have shifted upwards.
    """

    def fit(weights: Floats) -> Floats:
        """(raw, controlled) by resample, shape (b, 2)."""
        t = _term(shift, weights, saturating)
        total = weights.sum(axis=1)
        raw = weights @ gain / total
        mean = (weights * t).sum(axis=1) / total
        centred = t - mean[:, None]
        spread = (weights * centred**2).sum(axis=1)
        slope = np.divide((weights * centred) @ gain, spread, out=np.zeros_like(raw), where=spread > 1e-12)
        return np.stack([raw, raw - slope * mean], axis=1)

    return _gains(fit, gain, shift, seed=seed, clusters=clusters, least=least)


def win_gains(wins: Floats, shift: Floats, *, seed: int, clusters: Sequence[str] | None = None, least: float) -> Gains:
    """Gains of a judge's preference, by logistic regression on tanh(x/s).

    Args:
        wins: w in [0, 1], 1 where trained's answer is preferred, shape (n,).
        shift: x, shape (n,).
        least: share of prompts that must not have shifted upwards.
    """

    def fit(weights: Floats) -> Floats:
        t = _term(shift, weights, saturating=True)
        total = weights.sum(axis=1)
        raw = 2 * (weights @ wins) / total - 1
        theta, phi = np.zeros_like(total), np.zeros_like(total)
        for _ in range(_STEPS):
            p = 1 / (1 + np.exp(-np.clip(theta[:, None] + phi[:, None] * t, -30, 30)))
            off, weight = weights * (wins - p), weights * p * (1 - p)
            g0, g1 = off.sum(axis=1) - _RIDGE * theta, (off * t).sum(axis=1) - _RIDGE * phi
            h00, h01 = weight.sum(axis=1) + _RIDGE, (weight * t).sum(axis=1)
            h11 = (weight * t**2).sum(axis=1) + _RIDGE
            determinant = h00 * h11 - h01**2
            theta = np.clip(theta + (h11 * g0 - h01 * g1) / determinant, -15, 15)
            phi = np.clip(phi + (h00 * g1 - h01 * g0) / determinant, -15, 15)
        return np.stack([raw, 2 / (1 + np.exp(-theta)) - 1], axis=1)

    return _gains(fit, 2 * wins - 1, shift, seed=seed, clusters=clusters, least=least)


def by_cluster(n: int, clusters: Sequence[str] | None) -> tuple[NDArray[np.intp], int]:
    """For each prompt the number of its cluster, and how many there are; every prompt its own where there are none."""
    if clusters is None:
        return np.arange(n), n
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in clusters], dtype=np.intp), len(numbers)


def bounded(estimate: float, low: float, high: float, n: int) -> Contrast:
    """A statistic with its BCa interval, or without one where resampling it shows no spread."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return Contrast(n=n, estimate=estimate + 0.0, reason=f"resampling {n} units gives no interval")
    interval = Interval(low=float(low) + 0.0, high=float(high) + 0.0, level=LEVEL, method="bca")
    return Contrast(n=n, estimate=estimate + 0.0, interval=interval)


def _gains(
    fit: Callable[[Floats], Floats],
    gain: Floats,
    shift: Floats,
    *,
    seed: int,
    clusters: Sequence[str] | None,
    least: float,
) -> Gains:
    index, units = by_cluster(len(gain), clusters)
    if units < 2:
        return _nothing("fewer than two prompts", units)
    if not gain.any() and not shift.any():
        zero = Contrast(n=units, estimate=0.0, interval=Interval(low=0.0, high=0.0, level=LEVEL, method="identical"))
        return Gains(raw=zero, controlled=zero, excess=zero)

    def statistic(weights: Floats) -> Floats:
        both = fit(np.ascontiguousarray(weights[:, index]))
        return np.column_stack([both, both[:, 0] - both[:, 1]])

    values, low, high = bca(statistic, units, seed=seed, level=LEVEL, resamples=RESAMPLES)
    raw, controlled, excess = (
        bounded(float(value), float(bottom), float(top), units)
        for value, bottom, top in zip(values, low, high, strict=True)
    )
    level = int((shift <= 0).sum())
    if level < max(FEWEST, least * len(shift)):
        why = (
            f"in only {level} of {len(shift)} prompts the feature did not rise: what the gain would be without a rise "
            "lies beyond the data"
        )
        return Gains(raw=raw, controlled=undefined(why, units), excess=undefined(why, units))
    return Gains(raw=raw, controlled=controlled, excess=excess)


def _nothing(why: str, n: int) -> Gains:
    none = undefined(why, n)
    return Gains(raw=none, controlled=none, excess=none)


def _term(shift: Floats, weights: Floats, saturating: bool) -> Floats:
    """t, shape (b, n)."""
    if not saturating:
        return np.broadcast_to(shift, weights.shape)
    scale = np.sqrt(weights @ shift**2 / weights.sum(axis=1))
    return np.tanh(shift / np.where(scale > 0, scale, 1.0)[:, None])
