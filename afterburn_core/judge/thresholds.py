"""Thresholds of a policy held against measurements: a verdict rests on the end of an interval, never on its middle.

For a value with interval [low, high], or an exact value with low = high,

    at most b:   met where high ≤ b,   failed where low > b
    at least b:  met where low ≥ b,    failed where high < b

and inconclusive in between, or where the interval covers less than is asked: half of a narrow interval proves nothing.
A value that is missing or undefined was not run. A value that is approximate and has no
interval is inconclusive: nobody knows its ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import attrs

from afterburn_core.judge.policy_model import COVERAGE, EACH, Policy, Threshold
from afterburn_core.result.identity import measurement_id
from afterburn_core.result.model import Interval, Measurement, Scope

__all__ = ["Outcome", "Status", "compare", "outcomes", "sentence"]

Status = Literal["PASS", "FAIL", "INCONCLUSIVE", "NOT_RUN"]
_WORST: tuple[Status, ...] = ("FAIL", "INCONCLUSIVE", "NOT_RUN", "PASS")
_WORDS: Mapping[Status, str] = {
    "PASS": "is met",
    "FAIL": "is not met",
    "INCONCLUSIVE": "is undecided",
    "NOT_RUN": "could not be looked at",
}


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of one threshold. Of several places it tells the worst, and counts the others."""

    id: str
    """Its name in the policy."""
    metric: str
    """Id of the metric."""
    subjects: tuple[str, ...]
    """Ids of the subjects."""
    op: Literal["at_most", "at_least"]
    """Which bound it is."""
    bound: float
    """The number that is not to be passed, in the metric's unit."""
    status: Status
    """The answer, the worst of all places."""
    on: Literal["interval_bound", "exact_value"] | None = None
    """What was held against the bound; absent where nothing could be."""
    measurement: str | None = None
    """Id of the measurement that decides."""
    place: str = "model"
    """Where that is."""
    estimate: float | None = None
    """Its value."""
    low: float | None = None
    """Low end of its interval."""
    high: float | None = None
    """High end of its interval."""
    level: float | None = None
    """Coverage of its interval."""
    coverage: float = COVERAGE
    """The least coverage that is asked of it."""
    n: int | None = None
    """Independent units behind it."""
    places: int = 0
    """Places that were looked at."""
    counts: Mapping[str, int] = attrs.field(factory=dict)
    """Places by status."""
    why: str | None = None
    """What hinders an answer, where there is none."""
    reason: str | None = None
    """Why the policy has this bound, in its own words."""


def compare(op: Literal["at_most", "at_least"], bound: float, low: float, high: float) -> Status:
    """The status of a value that lies between `low` and `high`."""
    if op == "at_least":  # the mirror image
        low, high, bound = -high, -low, -bound
    return "PASS" if high <= bound else "FAIL" if low > bound else "INCONCLUSIVE"


def covers(interval: Interval | None, asked: float) -> bool:
    """Whether an interval covers as much as is asked; an exact value needs none."""
    return interval is None or interval.level >= asked - 1e-9


def outcomes(policy: Policy, measurements: Iterable[Measurement]) -> tuple[Outcome, ...]:
    """What comes of every threshold of a policy, in its order.

    Args:
        policy: whose thresholds they are.
        measurements: all of the run, those kept in tables among them.
    """
    wanted = {threshold.metric for threshold in policy.thresholds}
    if not wanted:
        return ()
    found: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        if measurement.metric in wanted:
            found.setdefault(measurement.metric, []).append(measurement)
    return tuple(_outcome(threshold, found.get(threshold.metric, ())) for threshold in policy.thresholds)


def sentence(outcome: Outcome) -> str:
    """The outcome in a sentence, with the numbers it rests on."""
    told = f"threshold {outcome.id} {_WORDS[outcome.status]}: "
    asked = f"{'at most' if outcome.op == 'at_most' else 'at least'} {outcome.bound:.4g} is asked"
    what = outcome.metric if outcome.place == "model" else f"{outcome.metric} at {outcome.place}"
    if outcome.estimate is None:
        told += f"{what} {outcome.why}; {asked}"
    else:
        n = "" if outcome.n is None else f" (n = {outcome.n})"
        why = f", {outcome.why}" if outcome.why else ""
        told += f"{what} {numbers(outcome)}{n}{why}, where {asked}"
    if outcome.places > 1:
        told += f"; the worst of {outcome.places} places, of which {outcome.counts.get('PASS', 0)} keep to it"
    return told


def numbers(outcome: Outcome) -> str:
    """`-0.21 [-0.279, -0.139]`, or nothing where there is no value."""
    if outcome.estimate is None:
        return ""
    interval = "" if outcome.low is None else f" [{outcome.low:.4g}, {outcome.high:.4g}]"
    return f"{outcome.estimate:.4g}{interval}"


def _outcome(threshold: Threshold, measurements: Sequence[Measurement]) -> Outcome:
    if threshold.scope == EACH:
        own = [m for m in measurements if m.subjects == threshold.subjects]
    else:
        place = threshold.scope if isinstance(threshold.scope, Scope) else Scope()
        identifier = measurement_id(threshold.metric, threshold.subjects, place)
        own = [m for m in measurements if m.id == identifier]
    if not own:
        return _plain(threshold, "NOT_RUN", place=threshold.place, why="was not measured")
    op, bound = threshold.op, threshold.bound
    statuses = [_status(op, bound, measurement, threshold.coverage) for measurement in own]
    counts = Counter(statuses)
    status = next(status for status in _WORST if counts[status])
    candidates = (m for m, found in zip(own, statuses) if found == status)
    worst = max(candidates, key=lambda m: (_beyond(op, bound, m), m.id))
    told = _told(threshold, worst, status)
    return attrs.evolve(told, places=len(own), counts=dict(sorted(counts.items())))


def _status(op: Literal["at_most", "at_least"], bound: float, measurement: Measurement, coverage: float) -> Status:
    value, interval = measurement.value, measurement.interval
    if value is None:
        return "NOT_RUN"
    if not covers(interval, coverage):
        return "INCONCLUSIVE"
    if interval is not None:
        return compare(op, bound, interval.low, interval.high)
    return "INCONCLUSIVE" if measurement.approximate else compare(op, bound, value, value)


def _beyond(op: Literal["at_most", "at_least"], bound: float, measurement: Measurement) -> float:
    """How far the worse end lies beyond the bound."""
    value, interval = measurement.value, measurement.interval
    if value is None:
        return 0.0
    if op == "at_most":
        return (value if interval is None else interval.high) - bound
    return bound - (value if interval is None else interval.low)


def _told(threshold: Threshold, measurement: Measurement, status: Status) -> Outcome:
    place, value, interval = measurement.scope.key(), measurement.value, measurement.interval
    if value is None:
        why = f"is undefined ({measurement.reason or 'no reason is given'})"
        return _plain(threshold, status, place=place, measurement=measurement.id, n=measurement.n, why=why)
    seen = _plain(threshold, status, place=place, measurement=measurement.id, estimate=value, n=measurement.n)
    if interval is not None:
        seen = attrs.evolve(seen, on="interval_bound", low=interval.low, high=interval.high, level=interval.level)
        if covers(interval, threshold.coverage):
            return seen
        why = f"an interval that covers {interval.level:.4g}, where {threshold.coverage:.4g} is needed"
        return attrs.evolve(seen, why=why)
    if measurement.approximate:
        return attrs.evolve(seen, why="approximate, without an interval")
    return attrs.evolve(seen, on="exact_value")


def _plain(
    threshold: Threshold,
    status: Status,
    *,
    place: str,
    measurement: str | None = None,
    estimate: float | None = None,
    n: int | None = None,
    why: str | None = None,
) -> Outcome:
    return Outcome(
        id=threshold.name,
        metric=threshold.metric,
        subjects=threshold.subjects,
        op=threshold.op,
        bound=threshold.bound,
        coverage=threshold.coverage,
        status=status,
        measurement=measurement,
        place=place,
        estimate=estimate,
        n=n,
        why=why,
        reason=threshold.reason,
    )
