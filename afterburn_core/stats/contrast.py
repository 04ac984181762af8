"""The outcome of one statistical question, before it becomes a measurement of the result document."""

from __future__ import annotations

import attrs

from afterburn_core.result.identity import measurement_id
from afterburn_core.result.model import Effect, Interval, Measurement, Scope, Test


@attrs.frozen(kw_only=True)
class Contrast:
    """One estimate with its uncertainty: a paired contrast of two sides, or one side's mean or rate."""

    n: int
    """Independent units that count: prompts, or clusters of prompts where clusters are given."""
    estimate: float | None
    """The estimate; `None` where undefined."""
    interval: Interval | None = None
    """Its interval, named by method."""
    test: Test | None = None
    """The test of no difference; the estimate of one side alone has none."""
    effect: Effect | None = None
    """Standardised size, `cohens_dz` with the small-sample factor."""
    reason: str | None = None
    """Why there is no estimate, or a caveat."""
    gained: int | None = None
    """Pairs that went from 0 to 1; only for a contrast of 0/1 outcomes."""
    lost: int | None = None
    """Pairs that went from 1 to 0; only for a contrast of 0/1 outcomes."""


def undefined(reason: str, n: int = 0) -> Contrast:
    """A contrast without an estimate, and why."""
    return Contrast(n=n, estimate=None, reason=reason)


def as_measurement(
    contrast: Contrast, metric: str, *, subjects: tuple[str, ...] = ("base", "trained"), scope: Scope | None = None
) -> Measurement:
    """The contrast as a measurement of `metric`; one without an estimate becomes `undefined`, with its reason.

    An estimate without an interval is approximate: a few equal units say nothing of how far off it is, and without that
    mark a threshold would take it for exact.
    """
    place = Scope() if scope is None else scope
    known = contrast.estimate is not None
    return Measurement(
        id=measurement_id(metric, subjects, place),
        metric=metric,
        subjects=subjects,
        status="ok" if known else "undefined",
        value=contrast.estimate,
        scope=place,
        reason=contrast.reason if known else contrast.reason or "no estimate",
        n=contrast.n,
        interval=contrast.interval if known else None,
        test=contrast.test if known else None,
        effect=contrast.effect if known else None,
        approximate=known and contrast.interval is None,
    )
