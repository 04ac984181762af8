"""Identities inside a document: ids of measurements and fingerprints of findings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from afterburn_core.result.model import Example, Finding, FindingKind, Level, Measurement, MeasurementStatus, Scope

__all__ = ["finding", "fingerprint", "measure", "measurement_id", "undefined"]


def measurement_id(metric: str, subjects: Iterable[str], scope: Scope) -> str:
    """`metric/subject+subject/scope`, the reference findings use."""
    return f"{metric}/{'+'.join(subjects)}/{scope.key()}"


def fingerprint(rule: str, subjects: Iterable[str], scope: Scope) -> str:
    """First 32 hex digits of sha256 over rule, subjects and place; the same from run to run."""
    text = "\n".join((rule, "+".join(subjects), scope.key()))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def finding(
    rule: str,
    kind: FindingKind,
    level: Level,
    message: str,
    measurements: Sequence[Measurement] = (),
    examples: Sequence[Example] = (),
    *,
    scope: Scope | None = None,
    subjects: tuple[str, ...] = ("base", "trained"),
    artifacts: tuple[str, ...] = (),
) -> Finding:
    """A finding with its fingerprint; a measurement that is cited twice stands once."""
    place = scope or Scope()
    return Finding(
        rule=rule,
        kind=kind,
        level=level,
        message=message,
        fingerprint=fingerprint(rule, subjects, place),
        subjects=subjects,
        scope=place,
        measurements=tuple(dict.fromkeys(m.id for m in measurements)),
        examples=tuple(examples),
        artifacts=artifacts,
    )


def measure(
    metric: str,
    value: float,
    *,
    subjects: tuple[str, ...] = ("base", "trained"),
    scope: Scope | None = None,
    n: int | None = None,
    reason: str | None = None,
) -> Measurement:
    """A measurement of a defined value, with its id filled in."""
    return _build(metric, "ok", float(value), subjects, scope or Scope(), n, reason)


def undefined(
    metric: str,
    reason: str,
    *,
    subjects: tuple[str, ...] = ("base", "trained"),
    scope: Scope | None = None,
    n: int | None = None,
) -> Measurement:
    """A measurement that has no value, with the reason why."""
    return _build(metric, "undefined", None, subjects, scope or Scope(), n, reason)


def _build(
    metric: str,
    status: MeasurementStatus,
    value: float | None,
    subjects: tuple[str, ...],
    scope: Scope,
    n: int | None,
    reason: str | None,
) -> Measurement:
    return Measurement(
        id=measurement_id(metric, subjects, scope),
        metric=metric,
        subjects=subjects,
        status=status,
        value=value,
        scope=scope,
        n=n,
        reason=reason,
    )
