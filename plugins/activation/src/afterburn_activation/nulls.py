"""Where a value lies among controls, and the interval of what is exactly zero."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from afterburn_core.result.model import Interval, Measurement, Null
from afterburn_core.stats.controls import standing


def zero(level: float = 0.95) -> Interval:
    """The interval of a quantity that is exactly 0 because both sides are equal."""
    return Interval(low=0.0, high=0.0, level=level, method="identical")


def among(measurement: Measurement, controls: Mapping[str, float]) -> Measurement:
    """The measurement with its null, larger values being more extreme, and the controls' values in its reason.

    Args:
        controls: The same quantity of every control, by subject id (`control:matched`); NaN where undefined.
    """
    known = {name: value for name, value in sorted(controls.items()) if math.isfinite(value)}
    if measurement.value is None or not known:
        return measurement
    told = ", ".join(f"{name} {value:.4g}" for name, value in known.items())
    reason = f"{measurement.reason}; {told}" if measurement.reason else told
    kinds = sorted({name.partition(":")[2] or name for name in known})
    return attrs.evolve(
        measurement, reason=reason, null=_null(measurement.value, list(known.values()), "+".join(kinds))
    )


def _null(value: float, controls: list[float], name: str) -> Null | None:
    if len(controls) == 1:  # one control has no spread, and a rank all the same
        below = controls[0] <= value
        return Null(control=name, n=1, quantile=float(below), p_value=1.0 if controls[0] >= value else 0.5)
    return standing(value, controls, control=name).null
