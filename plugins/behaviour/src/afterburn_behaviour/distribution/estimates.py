"""From unit means to measurements: intervals over units, identity, error bounds, controls.

Distances (KL and the like) are estimated by themselves: a mean over units with its interval, held within the possible
values, and no test, since any two models that differ at all have a distance above 0. What can go either way (entropy,
NLL) is a paired contrast over units with the sign-flip test, corrected over the parts of one quantity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from afterburn_behaviour.distribution.table import Floats, Part
from afterburn_core.result.model import Interval, Measurement, Null, Scope
from afterburn_core.stats.contrast import Contrast, as_measurement, undefined
from afterburn_core.stats.controls import ENOUGH, standing
from afterburn_core.stats.estimates import SPARSE
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.paired import means, paired_contrasts, rate

LEVEL = 0.95
KINDS = ("matched", "scrambled", "rounding")
"""Of the kinds of controls that were read, the first of these becomes a measurement's null."""
INFINITE = "infinite: one side gives a token no probability at all that the other side gives some"


@attrs.frozen(kw_only=True, eq=False)
class Asked:
    """One number that is wanted: the mean over units of values (U), NaN where a unit has none."""

    metric: str
    values: Floats
    of: Part | None = None
    subjects: tuple[str, ...] = ("base", "trained")
    scope: Scope = attrs.field(factory=Scope)
    low: float | None = None
    """Smallest possible value."""
    high: float | None = None
    share: bool = False
    """Whether a unit's value is a share of its tokens."""
    identical: bool = False
    """Whether the two distributions were seen to be equal at every one of the tokens."""
    bound: float | None = None
    """Largest error that keeping base's distribution as a sketch can have made of the mean."""
    approximate: bool = False
    notes: tuple[str, ...] = ()
    missing: str = "no such token was read"
    """Why it is undefined where no unit has a value."""


def estimated(asked: Sequence[Asked], *, seed: int) -> list[Measurement]:
    """The means with their intervals, in the order given."""
    finite = {str(i): one.values for i, one in enumerate(asked) if not np.isinf(one.values).any()}
    found = means(finite, seed=seed, level=LEVEL)
    measured = []
    for i, one in enumerate(asked):
        contrast = found.get(str(i), undefined(INFINITE, _count(one.values)))
        if contrast.estimate is None and str(i) in found:
            contrast = undefined(one.missing)
        elif contrast.estimate is not None:
            contrast = _shaped(contrast, one, seed)
        measured.append(_measurement(contrast, one))
    return measured


def contrasted(asked: Sequence[Asked], *, seed: int, family: str) -> list[Measurement]:
    """Paired contrasts of differences (U), corrected together, in the order given."""
    finite = {str(i): one.values for i, one in enumerate(asked) if not np.isinf(one.values).any()}
    same = [str(i) for i, one in enumerate(asked) if one.identical]
    found = adjust(paired_contrasts(finite, seed=seed, level=LEVEL, identical=same), family=family)
    measured = []
    for i, one in enumerate(asked):
        contrast = found.get(str(i), undefined(INFINITE, _count(one.values)))
        if contrast.estimate is None and str(i) in found:
            contrast = undefined(one.missing)
        measured.append(_measurement(contrast, one))
    return measured


def among(value: float, controls: Mapping[str, Sequence[float]]) -> Null | None:
    """Where a value lies among the controls of one kind; `None` without controls.

    Below 19 controls no rank reaches .05; it is stored all the same, with its p value (1 + #{T_k ≥ T})/(K + 1).
    """
    for kind in sorted(controls, key=lambda name: (KINDS.index(name) if name in KINDS else len(KINDS), name)):
        known = [v for v in controls[kind] if math.isfinite(v)]
        if not known:
            continue
        if len(known) >= ENOUGH:
            found = standing(value, known, control=kind).null
            if found is not None:
                return found
            continue
        k = len(known)
        below = sum(v <= value for v in known)
        return Null(control=kind, n=k, quantile=below / k, p_value=(1 + sum(v >= value for v in known)) / (k + 1))
    return None


def _shaped(contrast: Contrast, one: Asked, seed: int) -> Contrast:
    """The estimate with the interval that its kind deserves."""
    if one.identical:
        zero = Interval(low=0.0, high=0.0, level=LEVEL, method="identical")
        return attrs.evolve(contrast, estimate=0.0, interval=zero, reason=None)
    if one.share:
        known = one.values[~np.isnan(one.values)]
        informative = min(np.count_nonzero(known), np.count_nonzero(known != 1))
        if informative < SPARSE:
            return rate(one.values, seed=seed, level=LEVEL)
    interval = contrast.interval
    if interval is not None:
        # the sketch's error comes on top of chance, and is no part of the method
        reach = one.bound or 0.0
        low, high = interval.low - reach, interval.high + reach
        if one.low is not None:
            low = max(low, one.low)
        if one.high is not None:
            high = min(high, one.high)
        interval = attrs.evolve(interval, low=low, high=high)
    return attrs.evolve(contrast, interval=interval)


def _measurement(contrast: Contrast, one: Asked) -> Measurement:
    notes = [note for note in (contrast.reason, *one.notes) if note]
    if one.approximate and contrast.estimate is not None:
        error = "without a bound" if one.bound is None else f"off by at most {one.bound:.2g}, which the interval holds"
        notes.append(f"base's distributions were kept as their most probable tokens: {error}")
    told = attrs.evolve(contrast, reason="; ".join(notes) or None)
    measured = as_measurement(told, one.metric, subjects=one.subjects, scope=one.of.scope if one.of else one.scope)
    return attrs.evolve(measured, approximate=one.approximate and contrast.estimate is not None)


def _count(values: Floats) -> int:
    return int(np.count_nonzero(~np.isnan(values)))
