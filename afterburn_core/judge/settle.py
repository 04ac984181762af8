"""From findings to a verdict, and what of the judgement is kept in the document's properties.

- `core.policy`: the canonical form of the policy. Its digest is `verdict.policy.sha256`, so that a certificate can bind
  the thresholds and waivers themselves and not their digest alone.
- `core.judgement`: `date` (the day on which waivers were held against their expiry), and `thresholds`, `requirements`
  and `waivers`: what came of each. Absent where the policy has none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import attrs

from afterburn_core.judge import thresholds
from afterburn_core.judge.policy import PROPERTY
from afterburn_core.judge.policy_model import Policy
from afterburn_core.judge.requirements import Requirement, requirements
from afterburn_core.judge.thresholds import Outcome
from afterburn_core.judge.verdict import decide
from afterburn_core.judge.waivers import Waiver, waive
from afterburn_core.result.model import Measurement, Reason, Result, Verdict

__all__ = ["JUDGEMENT", "day_of", "required_by", "settle", "unsettled"]

JUDGEMENT = "core.judgement"
_PROBLEMS = "plugin_problems"


def day_of(result: Result) -> date:
    """The day on which the run ended, in UTC: the day of its judgement unless another is given."""
    return date.fromisoformat(result.run.finished_at[:10])


def unsettled(policy: Policy) -> Verdict:
    """What stands in a document until `settle` has judged it."""
    return Verdict(status="incomplete", policy=policy.reference(), summary="Incomplete: not judged yet")


def settle(
    result: Result,
    policy: Policy,
    *,
    today: date | None = None,
    tabled: Sequence[Measurement] = (),
    doubts: Sequence[Reason] = (),
) -> Result:
    """The document with waivers on its findings, the verdict, and the properties that the verdict rests on.

    Args:
        result: everything else of the document.
        policy: what fails and what may be missing.
        today: the day that waivers are held against; the day of the run unless given.
        tabled: measurements kept in tables beside the document.
        doubts: what else speaks against the findings.
    """
    day = today or day_of(result)
    findings, waivers = waive(result.findings, policy.suppressions, day)
    problems = _problems(result.properties)
    verdict = decide(
        run=result.run,
        executions=result.executions,
        measurements=result.measurements,
        findings=findings,
        rules=result.descriptors.rules,
        artifacts=result.artifacts,
        policy=policy,
        metrics=result.descriptors.metrics,
        subjects=result.subjects,
        plugins=result.descriptors.plugins,
        tabled=tabled,
        problems=problems,
        doubts=doubts,
    )
    held = thresholds.outcomes(policy, (*result.measurements, *tabled))
    required = required_by(policy, attrs.evolve(result, findings=findings))
    properties = {name: value for name, value in result.properties.items() if name != JUDGEMENT}
    properties[PROPERTY] = policy.canonical()
    if held or required or waivers:
        properties[JUDGEMENT] = _kept(day, held, required, waivers)
    return attrs.evolve(result, findings=findings, verdict=verdict, properties=properties)


def required_by(policy: Policy, result: Result) -> tuple[Requirement, ...]:
    """What comes of each requirement of a policy in a document, whose findings carry their waivers."""
    return requirements(
        policy,
        run=result.run,
        subjects=result.subjects,
        executions=result.executions,
        findings=result.findings,
        measurements=result.measurements,
        plugins=result.descriptors.plugins,
        problems=_problems(result.properties),
    )


def _kept(
    day: date, held: Sequence[Outcome], required: Sequence[Requirement], waivers: Sequence[Waiver]
) -> dict[str, Any]:
    kept: dict[str, Sequence[Any]] = {"thresholds": held, "requirements": required, "waivers": waivers}
    return {"date": day.isoformat()} | {
        name: [attrs.asdict(entry, filter=lambda _, value: value is not None) for entry in entries]
        for name, entries in kept.items()
        if entries
    }


def _problems(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Plugins that could not be loaded, as the run noted them."""
    noted = properties.get(_PROBLEMS, ())
    entries = [entry for entry in noted if isinstance(entry, Mapping)] if isinstance(noted, (list, tuple)) else []
    return tuple(f"{entry.get('plugin')}: failed at {entry.get('stage')} ({entry.get('error')})" for entry in entries)
