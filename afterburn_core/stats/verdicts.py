"""Shifted, equivalent or inconclusive: what one measurement says about a margin fixed beforehand.

Pure Python, so that a finished run can be judged again under another margin where numpy is not installed. With the
stored interval [l, h] of level 1 − a, the margin m > 0 and p the adjusted p value (the plain one where nothing was
adjusted):

- *equivalent*: −m < l and h < m. That is two one-sided tests at a/2 each (2.5 % for a 95 % interval), stricter than
  the usual two at 5 %, and needs nothing but what the document stores.
- *shifted*: p ≤ α and not equivalent; *material* where [l, h] lies wholly outside [−m, m].
- *inconclusive*: everything else, undefined measurements included.

From the interval's width comes the standard error se = (h − l)/(2 q), q being the quantile behind the interval
(Student's for intervals named `t`, else normal). Smallest difference seen with 80 % power: (q + 0.842) se. Units that
would decide: n ((q + 1.282) se/m)², at which a true difference of 0 is found equivalent with 80 % power; one of size m
is then found significant with more.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal

import attrs

from afterburn_core.result.model import Interval, Measurement

Decision = Literal["shifted", "equivalent", "inconclusive"]
Standing = Literal["not_worse", "worse", "inconclusive"]
POWER = 0.8


@attrs.frozen(kw_only=True)
class Decided:
    """The decision on one measurement, and what a reader needs beside it."""

    decision: Decision
    """What the measurement says about the margin."""
    material: bool = False
    """Whether the interval lies wholly outside the margin; only ever true for `shifted`."""
    detectable_below_margin: bool = False
    """Equivalent, and yet significantly different from 0: a difference that is real and too small to matter."""
    smallest: float | None = None
    """The smallest difference that would have been seen with 80 % power, in the measurement's unit."""
    needed: int | None = None
    """Units that would decide; only for `inconclusive`."""


def decide(measurement: Measurement, *, margin: float, alpha: float = 0.05) -> Decided:
    """What `measurement` says about `margin`, in the measurement's unit.

    Raises:
        ValueError: The margin is no positive number, or alpha does not lie between 0 and 1.
    """
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"the margin must be a positive number, not {margin!r}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha!r}")
    if measurement.status != "ok" or measurement.value is None:
        return Decided(decision="inconclusive")
    interval, test = measurement.interval, measurement.test
    p = None if test is None else test.p_value if test.p_adjusted is None else test.p_adjusted
    significant = p is not None and p <= alpha
    smallest = None if interval is None else smallest_detectable(interval, measurement.n)
    if interval is not None and -margin < interval.low and interval.high < margin:
        return Decided(decision="equivalent", detectable_below_margin=significant, smallest=smallest)
    if significant:
        material = interval is not None and (interval.low > margin or interval.high < -margin)
        return Decided(decision="shifted", material=material, smallest=smallest)
    needed = None if interval is None else units_needed(interval, measurement.n, margin)
    return Decided(decision="inconclusive", smallest=smallest, needed=needed)


def not_worse(measurement: Measurement, *, margin: float, higher_is_better: bool = True) -> Standing:
    """Non-inferiority by the stored interval: whether the trained side lost less than `margin`.

    *not_worse*: the interval lies above −margin (below +margin where lower is better), a one-sided test at 2.5 % for a
    95 % interval; *worse*: it lies wholly at or beyond the margin on the bad side; else *inconclusive*.

    Raises:
        ValueError: The margin is no positive number.
    """
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"the margin must be a positive number, not {margin!r}")
    interval = measurement.interval
    if measurement.status != "ok" or interval is None:
        return "inconclusive"
    low, high = (interval.low, interval.high) if higher_is_better else (-interval.high, -interval.low)
    if low > -margin:
        return "not_worse"
    return "worse" if high <= -margin else "inconclusive"


def smallest_detectable(interval: Interval, n: int | None) -> float | None:
    """The smallest true difference found significant with 80 % power at this precision; `None` without a width."""
    error = standard_error(interval, n)
    return None if error is None else (_quantile(interval, n) + NormalDist().inv_cdf(POWER)) * error


def units_needed(interval: Interval, n: int | None, margin: float) -> int | None:
    """Units at which a true difference of 0 would be found within the margin with 80 % power; more than `n`."""
    error = standard_error(interval, n)
    if error is None or not n:
        return None
    # both ends have to lie inside: each may fail with 10 %
    reach = _normal_quantile(interval) + NormalDist().inv_cdf((1 + POWER) / 2)
    return max(n + 1, math.ceil(n * (reach * error / margin) ** 2))


def standard_error(interval: Interval, n: int | None) -> float | None:
    """The standard error that the interval's width implies; `None` for an interval without a width."""
    width = interval.high - interval.low
    return width / (2 * _quantile(interval, n)) if width > 0 else None


def _quantile(interval: Interval, n: int | None) -> float:
    """Student's quantile where the interval was made with it, else the normal one."""
    if interval.method in ("t", "cluster_t") and n is not None and n > 1:
        return student_quantile((1 + interval.level) / 2, n - 1)
    return _normal_quantile(interval)


def _normal_quantile(interval: Interval) -> float:
    return NormalDist().inv_cdf((1 + interval.level) / 2)


def student_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t, for a probability of at least one half.

    Exact for 1 and 2 degrees of freedom; from 3 on the expansion of G. W. Hill (Algorithm 396, 1970), within 1e-4 at
    the levels of intervals.
    """
    if not 0.5 <= probability < 1 or degrees < 1:
        raise ValueError("student_quantile: a probability in [0.5, 1) and at least one degree of freedom")
    tail = 2 * (1 - probability)  # two-sided
    if degrees == 1:
        return 1 / math.tan(math.pi * tail / 2) if tail < 1 else 0.0
    if degrees == 2:
        return math.sqrt(2 / (tail * (2 - tail)) - 2)
    a = 1 / (degrees - 0.5)
    b = 48 / (a * a)
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * degrees
    y = (d * tail) ** (2 / degrees)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(tail / 2)
        y = x * x
        if degrees < 5:
            c += 0.3 * (degrees - 4.5) * (x + 0.6)
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        y = (
            (1 / (((degrees + 6) / (degrees * y) - 0.089 * d - 0.822) * (degrees + 2) * 3) + 0.5 / (degrees + 4)) * y
            - 1
        ) * (degrees + 1) / (degrees + 2) + 1 / y
    return math.sqrt(degrees * y)
