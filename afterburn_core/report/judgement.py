"""What came of a policy's thresholds, requirements and waivers, for every format: read from the document, in words."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from afterburn_core.judge.requirements import Requirement
from afterburn_core.judge.settle import JUDGEMENT
from afterburn_core.judge.thresholds import Outcome, Status, numbers
from afterburn_core.judge.waivers import Waiver
from afterburn_core.result.model import Result
from afterburn_core.run.configuration import structure

STATUS_WORDS: Mapping[Status, str] = {
    "PASS": "Met",
    "FAIL": "Not met",
    "INCONCLUSIVE": "Undecided",
    "NOT_RUN": "Not measured",
}
STATUS_KINDS: Mapping[Status, str] = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open", "NOT_RUN": "open"}
"""The kind of finding that looks like it."""
STATE_WORDS = {"in_force": "Waived", "unused": "Unused", "expired": "Expired"}


@attrs.frozen(kw_only=True)
class Judgement:
    """What a verdict rests on besides findings; empty where the policy asks for nothing more."""

    date: str = ""
    """Day of the judgement, `YYYY-MM-DD`."""
    thresholds: tuple[Outcome, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.thresholds or self.requirements or self.waivers)


def judgement(result: Result) -> Judgement:
    """What the document keeps of it; nothing where it keeps none, or something that is not of this form."""
    kept = result.properties.get(JUDGEMENT)
    if not isinstance(kept, Mapping):
        return Judgement()
    try:
        read: Judgement = structure(kept, Judgement, JUDGEMENT)
    except Exception:  # noqa: BLE001 - a stranger's property of this name; readers may ignore properties
        return Judgement()
    return read


def measured(outcome: Outcome) -> str:
    """`-0.21 [-0.279, -0.139], n = 300`, or what hinders."""
    if outcome.estimate is None:
        return outcome.why or "not measured"
    n = "" if outcome.n is None else f", n = {outcome.n:,}"
    why = f", {outcome.why}" if outcome.why else ""
    return f"{numbers(outcome)}{n}{why}"


def asked(outcome: Outcome) -> str:
    """`at least -0.05`."""
    return f"{'at most' if outcome.op == 'at_most' else 'at least'} {outcome.bound:.4g}"


def where(outcome: Outcome) -> str:
    """Metric, subjects and place, and how many places were looked at."""
    parts = [outcome.metric]
    if outcome.subjects != ("base", "trained"):
        parts.append("+".join(outcome.subjects))
    if outcome.place != "model":
        parts.append(outcome.place)
    several = f" (worst of {outcome.places:,} places)" if outcome.places > 1 else ""
    return " · ".join(parts) + several


def lasting(waiver: Waiver) -> str:
    """`until 2027-01-31, 70 days left`."""
    days = abs(waiver.days_left)
    count = f"{days:,} day{'' if days == 1 else 's'}"
    if waiver.state == "expired":
        return f"expired {waiver.expires}, {count} ago: does nothing"
    left = "its last day" if waiver.days_left == 0 else f"{count} left"
    return f"until {waiver.expires}, {left}"


def covering(waiver: Waiver) -> str:
    """How many findings it covers."""
    n = len(waiver.fingerprints)
    count = f"{n} finding{'' if n == 1 else 's'}" if n else "nothing"
    return f"would cover {count}" if waiver.state == "expired" else f"covers {count}"


def unmet(read: Judgement) -> tuple[Requirement, ...]:
    """The requirements that the run does not meet."""
    return tuple(requirement for requirement in read.requirements if not requirement.met)


def tally(read: Judgement) -> str:
    """`4 of 5 thresholds met, 3 of 3 requirements met, 1 waiver in force, 1 expired`."""
    parts = []
    if read.thresholds:
        met = sum(outcome.status == "PASS" for outcome in read.thresholds)
        parts.append(f"{met} of {len(read.thresholds)} thresholds met")
    if read.requirements:
        parts.append(f"{len(read.requirements) - len(unmet(read))} of {len(read.requirements)} requirements met")
    for state, words in (("in_force", "in force"), ("unused", "unused"), ("expired", "expired")):
        count = sum(waiver.state == state for waiver in read.waivers)
        if count:
            parts.append(f"{count} waiver{'' if count == 1 else 's'} {words}")
    return ", ".join(parts)
