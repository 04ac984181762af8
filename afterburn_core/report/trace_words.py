"""What the formats of a trace say alike."""

from __future__ import annotations

from afterburn_core.report import numbers
from afterburn_core.trace.model import Control, Outcome, Step
from afterburn_core.trace.shares import Share
from afterburn_core.trace.statement import percent

OUTCOME_WORDS: dict[Outcome, str] = {
    "carried": "Found where it sits",
    "not_special": "No better than random places",
    "whole": "Spread over the whole change",
    "nothing": "Nothing to localise",
    "unchanged": "Nothing changed",
    "interrupted": "Interrupted",
}


def share_words(share: Share | None) -> str:
    """`80 % [70, 90]`, or that it was not evaluated."""
    return "not evaluated" if share is None else percent(share)


def step_words(step: Step) -> str:
    """What was made of a division."""
    if step.kept is not None:
        return step.kept.label
    return f"no {step.division} carries enough"


def control_words(control: Control | None) -> list[str]:
    """What random sets of like size carry."""
    if control is None:
        return []
    most = numbers.percent(round(max(control.alone), 2))
    return [f"at most {most} (p = {control.p_value:.2g})"]
