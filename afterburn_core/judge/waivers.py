"""Waivers: a policy's suppressions laid on findings, for one day.

A waiver covers findings of the one rule it names that fail or ask for review, at the one place it names if it names
one; or the one finding of a fingerprint. What was not decided cannot be waived. After its last day it does nothing.
A suppression that a document or a detector brings along counts for nothing: only the policy in force waives.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

import attrs

from afterburn_core.judge.policy_model import Suppression
from afterburn_core.result import model
from afterburn_core.result.model import Finding

__all__ = ["Waiver", "waive"]

_WAIVED = frozenset({"fail", "review"})


@attrs.frozen(kw_only=True)
class Waiver:
    """What became of one suppression of the policy."""

    about: str
    """The rule, or `finding` and the fingerprint; with the place if it names one."""
    owner: str
    """Who answers for it."""
    reason: str
    """Why the finding is accepted."""
    expires: str
    """Last day it holds, `YYYY-MM-DD`."""
    state: Literal["in_force", "unused", "expired"]
    """`unused`: in force, with nothing to waive. `expired`: does nothing."""
    days_left: int
    """Days after the day of the judgement; negative for those that it has been expired."""
    fingerprints: tuple[str, ...] = ()
    """The findings that it covers, or would cover if it had not expired."""


def waive(
    findings: Sequence[Finding], suppressions: Sequence[Suppression], today: date
) -> tuple[tuple[Finding, ...], tuple[Waiver, ...]]:
    """The findings with the waivers in force on them and no others, and what became of each waiver, in its order.

    Args:
        findings: whatever suppressions they bring along are taken off.
        suppressions: those of the policy. Of several that cover one finding, the first in force is put on it.
        today: the day of the judgement, the last on which a waiver that ends today holds.
    """
    on: dict[int, model.Suppression] = {}
    told = []
    for entry in suppressions:
        covered = [place for place, finding in enumerate(findings) if _covers(entry, finding)]
        held = today <= entry.expires
        for place in covered if held else ():
            on.setdefault(
                place,
                model.Suppression(owner=entry.owner, justification=entry.reason, expires=entry.expires.isoformat()),
            )
        told.append(
            Waiver(
                about=_about(entry),
                owner=entry.owner,
                reason=entry.reason,
                expires=entry.expires.isoformat(),
                state="expired" if not held else "in_force" if covered else "unused",
                days_left=(entry.expires - today).days,
                fingerprints=tuple(findings[place].fingerprint for place in covered),
            )
        )
    waived = tuple(
        finding if finding.suppression is None and place not in on else attrs.evolve(finding, suppression=on.get(place))
        for place, finding in enumerate(findings)
    )
    return waived, tuple(told)


def _covers(entry: Suppression, finding: Finding) -> bool:
    if finding.kind not in _WAIVED:
        return False
    if entry.fingerprint is not None:
        return finding.fingerprint == entry.fingerprint
    return finding.rule == entry.rule and entry.scope in (None, finding.scope)


def _about(entry: Suppression) -> str:
    if entry.fingerprint is not None:
        return f"finding {entry.fingerprint}"
    return f"{entry.rule}" if entry.scope is None else f"{entry.rule} at {entry.scope.key()}"
