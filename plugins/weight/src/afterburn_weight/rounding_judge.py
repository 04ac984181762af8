"""The finding on the size of a change against rounding: of a stored dtype, of the codes of a quantiser, of a merge."""

from __future__ import annotations

import math
from collections.abc import Sequence

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.model import Finding, FindingKind, Measurement
from afterburn_weight.findings import PAIR, finding
from afterburn_weight.quantisation_options import BEYOND

_RULE = "weight.below_rounding"


def judge_rounding(evidence: Evidence, least: float) -> Finding:
    """Finding of `weight.below_rounding`; a ratio below `least` is for review."""
    ratio = evidence.get("weight.rounding.ratio")
    if ratio is None or ratio.value is None:
        return _finding("open", "The change cannot be set against rounding: a norm is zero")
    floors = [m for s in PAIR if (m := evidence.get("weight.rounding.floor", subjects=(s,))) is not None]
    if ratio.value == 0:
        return _finding("pass", "Nothing changed, so nothing is near rounding", [ratio, *floors])
    sides = quantised_sides(evidence)
    if is_adapter(evidence) and "base" in sides:
        message = "The adapter is applied beside its quantised base, whose steps take nothing from it"
        return _finding("pass", message, [ratio, *floors])
    fraction = evidence.get("weight.delta.changed_fraction")
    if fraction is not None and fraction.value == 0:
        message = (
            "Merging the adapter into the stored dtype would round all of it away"
            if is_adapter(evidence)
            else "The trained weights are the base re-encoded in another dtype: rounding alone explains the change"
        ) + beside(fraction)
        return _finding("review", message, [ratio, *floors])
    if is_adapter(evidence):
        message = f"The adapter's change is {ratio.value:.2g} times the rounding floor of its base's dtype"
        if ratio.value < least:
            message += ": exact while it is apart, much of it lost in a merge"
            return _finding("review", message, [ratio, *floors])
        return _finding("pass", message, [ratio, *floors])
    if sides:
        return _quantised(ratio, floors, sides, least)
    times = f"{ratio.value:.2g} times the rounding floor of the stored dtype"
    if ratio.value < least:
        message = f"The change is {times}: by size alone it cannot be told from rounding"
        return _finding("review", message, [ratio, *floors])
    return _finding("pass", f"The change is {times}", [ratio, *floors])


def _quantised(ratio: Measurement, floors: Sequence[Measurement], sides: frozenset[str], least: float) -> Finding:
    """The errors of two quantised sides add up; the steps of codes foretell them less exactly than ulps do."""
    known = [m.value for m in floors if m.value]
    if len(floors) < len(PAIR) or not known:
        return _finding("open", "The change cannot be set against quantisation: a floor is missing", [ratio, *floors])
    both = len(sides) == len(PAIR)
    value = (ratio.value or 0.0) * max(known) / (math.hypot(*known) if both else max(known))
    whose = "both models" if both else f"the {next(iter(sides))} model"
    message = f"The change is {value:.2g} times what rounding to the codes of {whose} makes"
    if value < max(least, BEYOND):
        return _finding("review", f"{message}: by size alone it is nothing more", [ratio, *floors])
    return _finding("pass", message, [ratio, *floors])


def is_adapter(evidence: Evidence) -> bool:
    """Whether the trained weights are computed from factors, so that an unchanged rounding is no re-encoding."""
    return any(subject.kind == "adapter" for subject in evidence.subjects)


def quantised_sides(evidence: Evidence) -> frozenset[str]:
    """Roles of the subjects that are stored quantised."""
    return frozenset(s.role for s in evidence.subjects if s.role in PAIR and s.properties.get("quantisation"))


def beside(measurement: Measurement) -> str:
    """What a model-wide number does not speak of, to be said with it."""
    return f"; {measurement.reason}" if measurement.reason else ""


def _finding(kind: FindingKind, message: str, cited: Sequence[Measurement] = ()) -> Finding:
    return finding(_RULE, kind, "none" if kind == "pass" else "note", message, cited)
