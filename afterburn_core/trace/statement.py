"""What a trace found, as one sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

from afterburn_core.report import numbers
from afterburn_core.trace.model import Block, Control, Effect, Outcome, Step
from afterburn_core.trace.shares import Share

_MATERIAL = 0.1
"""By so much the two shares have to differ to be called different."""


def outcome_of(answer: Block | None, control: Control | None) -> Outcome:
    """What kind of answer a search gave that found an effect."""
    if answer is None:
        return "whole"
    return "carried" if control is None or control.exceeded else "not_special"


def statement(
    outcome: Outcome,
    metric: str,
    effect: Effect | None,
    *,
    least: float,
    answer: Block | None = None,
    control: Control | None = None,
    path: Sequence[Step] = (),
    finished: bool = True,
) -> str:
    """The answer in words.

    Args:
        outcome: what kind of answer it is.
        metric: what was traced, as people call it: with its subset.
        effect: its size.
        least: the share that was asked for.
        answer: the smallest set that carries it.
        control: of the answer.
        path: the steps that led there.
        finished: whether the search came to its end.
    """
    if outcome == "unchanged":
        return f"Nothing to trace: both models have the same weights, and {metric} is unchanged."
    if effect is None:
        return f"Interrupted before the change in {metric} was measured; the same command goes on from there."
    told = f"the change in {metric} ({size(effect)})"
    if outcome == "nothing":
        more = "Trace a metric that shifted, or more prompts (--prompts-limit)."
        return f"Nothing to localise: {told} cannot be told from none at n = {effect.n}. {more}"
    if outcome == "interrupted":
        return f"Interrupted before any part of {told} could be placed; the same command goes on from there."
    if answer is None:
        return _whole(told, least, path, finished)
    parts = [_carries(answer, told), *_lost(answer), *_against(control)]
    if not finished:
        parts.append("The search ended early: a smaller set may carry it too.")
    return " ".join(parts)


def size(effect: Effect) -> str:
    """`+1.95 [1.81, 2.09]`, with its unit."""
    unit = "" if effect.unit == "1" else f" {effect.unit}"
    return f"{numbers.signed(effect.value)} [{numbers.number(effect.low)}, {numbers.number(effect.high)}]{unit}"


def percent(found: Share) -> str:
    """`80 % [70, 90]`."""
    low, high = (_points(end) for end in (found.interval.low, found.interval.high))
    return f"{_points(found.value)} % [{low}, {high}]"


def _points(value: float) -> str:
    rounded = round(100 * value) + 0  # no negative zero
    return str(rounded).replace("-", numbers.MINUS)


def _carries(answer: Block, told: str) -> str:
    share = "an unknown share" if answer.alone is None else percent(answer.alone)
    return f"{_upper(answer.label)} {'carries' if _singular(answer.label) else 'carry'} {share} of {told} alone."


def _lost(answer: Block) -> list[str]:
    alone, lost = answer.alone, answer.lost
    if alone is None or lost is None:
        return []
    told = f"Put back to base, {percent(lost)} of it is lost"
    if lost.interval.low > alone.interval.high and lost.value - alone.value > _MATERIAL:
        told += f", more than {_pronoun(answer.label)} alone: the rest of the change works only together with that"
    elif alone.interval.low > lost.interval.high and alone.value - lost.value > _MATERIAL:
        told += ", less than that: the rest of the change carries part of it too"
    return [f"{told}."]


def _against(control: Control | None) -> list[str]:
    if control is None:
        return ["There are no other places of that size to compare with."]
    most = _points(max(control.alone))
    equal = "as much change" if control.matched == "energy" else "as many parameters"
    sets = f"of {numbers.count(len(control.alone), 'random set')} with {equal}"
    if control.exceeded:
        told = f"That is more than any {sets} carries: {most} % at the most"
    else:
        told = f"That may be no more than its size would do: one {sets} carries {most} %"
    return [f"{told} (p = {control.p_value:.2g})."]


def _whole(told: str, least: float, path: Sequence[Step], finished: bool) -> str:
    reason = "it is spread over the whole change, or comes about only together"
    parts = [f"No part carries {_points(least)} % of {told} alone: {reason}."]
    blocks = [block for step in path for block in step.blocks]
    alone = [(block.alone.value, block) for block in blocks if block.alone is not None]
    lost = [(block.lost.value, block) for block in blocks if block.lost is not None]
    best = max(alone, key=lambda one: one[0])[1] if alone else None
    needed = max(lost, key=lambda one: one[0])[1] if lost else None
    if best is not None and best.alone is not None:
        parts.append(f"Most is in {best.label}, with {percent(best.alone)}.")
    if needed is not None and needed.lost is not None and needed is not best:
        parts.append(f"Putting {needed.label} back to base loses most, {percent(needed.lost)}.")
    if not finished:
        parts.append("The search ended early, so smaller parts were not all tried.")
    return " ".join(parts)


def _singular(label: str) -> bool:
    one_layer = label.startswith("layer ") and " and " not in label and ", " not in label
    return one_layer or label in {"final norm", "output head"}


def _pronoun(label: str) -> str:
    return "it carries" if _singular(label) else "they carry"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
