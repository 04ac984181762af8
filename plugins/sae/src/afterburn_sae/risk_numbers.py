"""From mean codes by prompt to signed multiples, intervals, paired tests and nulls. NumPy alone.

With a_i ≥ 0 the mean code of a feature over the tokens of prompt i, on either side, over one probe set:

    multiple  m = (mean_i a_i^f + ε)/(mean_i a_i^b + ε)         told signed: m where m ≥ 1, −1/m where it fell
    shift     s = ±log₂ m, + where the feature moved the way that the pack calls a concern

ε is the noise floor: the median, over comparison latents that are active on the base, of how far their mean codes on
two halves of the prompts lie apart; what is new and as loud as that noise has the multiple 2. Interval: that of
influence values over prompts (`drift_numbers`).
Test: sign flips of f − b over prompts (`stats.paired`), corrected over all features and sets of all packs (BH). Null:
the shifts of comparison latents, drawn by a seed of the dictionary's digest, as they would count for the pack.

A direction v has the shift ±mean_i ⟨f̄_i − b̄_i, v⟩/‖v‖², the share of the way that v leads, and as null random
directions: combinations of the base's mean vectors of the same prompts, less their mean, with normal weights, so that
they vary as the base does (as `activation.traits` has it).
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.result.model import Effect, Interval, Null
from afterburn_core.stats.contrast import Contrast
from afterburn_core.stats.paired import paired_contrasts
from afterburn_sae.drift_numbers import left_out, with_interval

Floats = NDArray[np.float64]
FEATURE, DIRECTION = "random_feature", "random_direction"
ENOUGH = 19
"""Active comparison latents without which there is no null."""


@attrs.frozen(kw_only=True)
class Shift:
    """A feature or a direction over one probe set."""

    contrast: Contrast
    """Of the shift towards concern: estimate, interval, test of the difference, d_z."""
    base: float | None
    """Mean code on the base; `None` of a direction."""
    trained: float | None
    multiple: float | None
    """Signed; `None` of a direction."""
    low: float | None
    high: float | None
    null: Null | None
    null95: float | None
    """The shift that 95 % of the comparisons stay under."""


def floor_of(base: Floats) -> float:
    """ε, from the base's codes (n, K) of comparison latents; 0 where none is active, or for a single prompt."""
    active = base.any(axis=0)
    if len(base) < 2 or not active.any():
        return 0.0
    halves = base[::2].mean(axis=0) - base[1::2].mean(axis=0)
    return float(np.median(np.abs(halves[active])))


def feature_shifts(
    base: Floats,
    trained: Floats,
    signs: Floats,
    *,
    compared: tuple[Floats, Floats],
    seed: int,
) -> list[Shift]:
    """Shifts of m features over the prompts of one set.

    Args:
        base: (n, m) mean codes by prompt.
        trained: (n, m).
        signs: (m), + 1 where a rise is the concern, − 1 where a fall is.
        compared: (n, K) mean codes of comparison latents on either side.
        seed: of the sign flips.
    """
    epsilon = floor_of(compared[0])
    others = _log_multiples(*compared, epsilon)
    tests = paired_contrasts({str(j): trained[:, j] - base[:, j] for j in range(base.shape[1])}, seed=seed)
    found = []
    for j, sign in enumerate(signs):
        test, b, f = tests[str(j)], float(base[:, j].mean()), float(trained[:, j].mean())
        contrast, ends = _log_ratio(base[:, j] + epsilon, trained[:, j] + epsilon, float(sign), test, seed)
        null, null95 = _among(contrast.estimate, float(sign) * others, FEATURE)
        plain = [None if one is None else _signed(float(sign) * one) for one in (contrast.estimate, *ends)]
        multiple, low, high = plain
        if sign < 0:
            low, high = high, low
        found.append(
            Shift(contrast=contrast, base=b, trained=f, multiple=multiple, low=low, high=high, null=null, null95=null95)
        )
    return found


def direction_shift(base: Floats, delta: Floats, vector: Floats, sign: float, *, randoms: int, seed: int) -> Shift:
    """The shift along a direction, from mean vectors (n, d) of base and of the difference."""
    square = float(vector @ vector)
    along = sign * (delta @ vector) / square
    contrast = paired_contrasts({"": along}, seed=seed)[""]
    null = null95 = None
    centred = base - base.mean(axis=0)
    if len(base) > 1 and centred.any():
        drawn = np.random.default_rng(seed).normal(size=(randoms, len(base))) @ centred
        lengths = np.linalg.norm(drawn, axis=1)
        kept = lengths > 0
        projections = (drawn[kept] @ delta.mean(axis=0)) / lengths[kept] / math.sqrt(square)
        null, null95 = _among(contrast.estimate, np.abs(projections), DIRECTION)
    return Shift(
        contrast=contrast, base=None, trained=None, multiple=None, low=None, high=None, null=null, null95=null95
    )


def _log_multiples(base: Floats, trained: Floats, epsilon: float) -> Floats:
    """log₂ of the multiples of comparison latents that are active on either side."""
    b, f = base.mean(axis=0), trained.mean(axis=0)
    active = (b > 0) | (f > 0)
    return np.asarray(np.log2((f[active] + epsilon) / (b[active] + epsilon))) if epsilon > 0 else np.zeros(0)


def _log_ratio(
    base: Floats, trained: Floats, sign: float, test: Contrast, seed: int
) -> tuple[Contrast, tuple[float | None, float | None]]:
    """The shift with its interval and the test of the difference; ends apart, as low and high of the shift."""
    n = len(base)
    if not (base.mean() > 0 and trained.mean() > 0):
        silent = not base.any() and not trained.any()
        if silent:
            zero = Interval(low=0.0, high=0.0, level=0.95, method="identical")
            return attrs.evolve(test, estimate=0.0, interval=zero, reason="active on neither side"), (0.0, 0.0)
        why = "active on one side alone, and no comparison latent is active: no multiple"
        return Contrast(n=n, estimate=None, reason=why), (None, None)
    if test.interval is not None and test.interval.method == "identical":
        return attrs.evolve(test, estimate=0.0), (0.0, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = sign * np.log2(left_out(trained[:, None])[:, 0] / left_out(base[:, None])[:, 0])
    found = with_interval(values, changed=True, seed=seed)
    effect = None if test.effect is None else Effect(name=test.effect.name, value=sign * test.effect.value)
    contrast = attrs.evolve(
        test, estimate=found.estimate, interval=found.interval, effect=effect, reason=found.reason or test.reason
    )
    ends = found.interval
    return contrast, (None, None) if ends is None else (ends.low, ends.high)


def _signed(log: float) -> float:
    """2^log, told as −k where it is a k-th."""
    return float(2.0**log if log >= 0 else -(2.0**-log))


def _among(value: float | None, others: Floats, name: str) -> tuple[Null | None, float | None]:
    """Where a shift towards concern lies among others, one-sided, and what 95 % of these stay under."""
    if value is None or others.size < ENOUGH:
        return None, None
    slack = 1e-12 * max(abs(value), float(np.abs(others).max()))
    null = Null(
        control=name,
        n=int(others.size),
        quantile=float((others <= value + slack).mean()),
        p_value=(1 + int((others >= value - slack).sum())) / (others.size + 1),
    )
    return null, max(0.0, float(np.quantile(others, 0.95)))
