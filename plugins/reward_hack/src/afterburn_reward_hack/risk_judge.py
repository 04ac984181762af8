"""Detector `reward_hack.risk`: judges last, and says what all rules come to. Pure Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import finding, measure, undefined
from afterburn_core.result.model import Finding, Measurement
from afterburn_reward_hack.risk import Contribution, Risk, risk
from afterburn_reward_hack.unlocking import NEEDS

RULE = "reward_hack.risk"


class RiskJudge:
    """Detector `reward_hack.risk`."""

    def __init__(self, options: None = None) -> None: ...

    def __call__(self, evidence: Evidence) -> Iterator[Finding | Measurement]:
        found = risk(evidence)
        measured = tuple(measurements(found))
        yield from measured
        strengths = (evidence.get(f"reward_hack.{c.rule}.strength") for c in found.contributions if c.near > 0)
        cited = (*measured, *(m for m in strengths if m is not None))
        low, high = f"{found.known:.0f}", f"{found.worst:.0f}"
        ends = f"{low} of 100{_top(found)}" if low == high else f"between {low} and {high} of 100{_top(found)}"
        if found.lost:
            yield finding(RULE, "open", "note", f"Risk {ends}: evidence is missing, {found.lost}", cited)
        elif found.open:
            undecided = _listed(c.rule for c in found.open)
            message = f"Risk {ends}; undecided: {undecided}{_unlock(found)}"
            yield finding(RULE, "open", "note", message, cited)
        elif not found.judged:
            yield finding(RULE, "not_applicable", "none", f"Risk unknown: no rule could run{_unlock(found)}", cited)
        else:
            message = f"Risk {found.known:.0f} of 100 [{found.known:.0f}, {found.upper:.0f}]"
            yield finding(RULE, "informational", "note", f"{message}{_top(found)}{_unlock(found)}", cited)


def measurements(found: Risk) -> Iterator[Measurement]:
    """The numbers of the risk; `n` is the number of rules judged."""
    n, interval = len(found.judged), found.interval
    if found.lost:
        yield undefined(RULE, f"evidence is missing: {found.lost}", n=n)
    elif found.open:
        names = _listed(c.rule for c in found.open)
        yield undefined(RULE, f"open: {names}; {RULE}.known and {RULE}.worst bound it", n=n)
    elif not n:
        yield undefined(RULE, "no rule could run", n=n)
    else:
        yield attrs.evolve(measure(RULE, found.known, n=n, reason=_reason(found)), interval=interval)
    yield attrs.evolve(measure(f"{RULE}.known", found.known, n=n), interval=interval)
    yield measure(f"{RULE}.worst", found.worst, n=n)
    yield measure(f"{RULE}.noisy_or", found.noisy_or, n=n)


def _reason(found: Risk) -> str | None:
    """What a reader must know beside a defined risk."""
    if not found.not_run:
        return None
    return (
        f"{len(found.not_run)} of {len(found.contributions)} rules had nothing to look at, wholly or in part: "
        + _listed(c.rule for c in found.not_run)
    )


def _top(found: Risk) -> str:
    top: Contribution | None = found.top
    return "" if top is None else f", from {top.rule}"


def _unlock(found: Risk) -> str:
    if not found.not_run:
        return ""
    return "; could not run: " + ", ".join(
        f"{c.rule}{' in part' if c.partial else ''} (needs {NEEDS[c.rule]})" for c in found.not_run
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
