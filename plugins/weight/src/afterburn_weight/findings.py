"""Findings on a pair of models."""

from __future__ import annotations

from collections.abc import Sequence

from afterburn_core.result.identity import fingerprint
from afterburn_core.result.model import Example, Finding, FindingKind, Level, Measurement, Scope

PAIR = ("base", "trained")


def finding(
    rule: str,
    kind: FindingKind,
    level: Level,
    message: str,
    measurements: Sequence[Measurement] = (),
    examples: Sequence[Example] = (),
    *,
    scope: Scope | None = None,
    subjects: tuple[str, ...] = PAIR,
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
