"""What a run asks about behaviour, one answer per question: the contrasts that decide, against their margins.

The rules judge; this table draws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import attrs

from afterburn_core.report import numbers
from afterburn_core.report.behaviour_asked import ALPHA, MARGINS, Asked, questions
from afterburn_core.report.behaviour_values import (
    MARKS,
    NOT_MEASURED,
    WORDS,
    Axis,
    Measured,
    Scale,
    Whisker,
    axis_for,
    bounds,
    chance,
    change,
    decided,
    level,
    margin_text,
    option,
    whisker,
)
from afterburn_core.report.evidence import Evidence
from afterburn_core.result.model import Finding, FindingKind, Measurement, Result
from afterburn_core.stats.verdicts import Decided, Decision

SHOWN = 4
"""Contrasts of one question that get a row of their own."""


@attrs.frozen(kw_only=True)
class Row:
    """One contrast as the table shows it."""

    label: str
    metric: str
    base: str | None
    trained: str | None
    change: str
    bounds: str
    n: int | None
    decision: Decision | None
    note: str
    whisker: Whisker | None
    margin: str
    size: float = 0.0
    """Change in margins, for sorting."""

    @property
    def word(self) -> str:
        """The decision in a word."""
        return NOT_MEASURED if self.decision is None else WORDS[self.decision]

    @property
    def mark(self) -> FindingKind:
        """The kind of finding whose sign and colour the decision takes."""
        return "not_applicable" if self.decision is None else MARKS[self.decision]


@attrs.frozen(kw_only=True)
class Answer:
    """One question with its rows."""

    title: str
    rule: str
    rows: tuple[Row, ...]
    """Those worth a row: everything that shifted, else what came nearest."""
    tally: str
    """`1 of 18 shifted, 17 equivalent`; empty where each contrast has its row."""
    finding: Finding | None

    decision: Decision | None
    """What the rule found; without a finding shifted if one contrast is, equivalent if all are."""

    @property
    def word(self) -> str:
        """The decision in a word."""
        return NOT_MEASURED if self.decision is None else WORDS[self.decision]

    @property
    def mark(self) -> FindingKind:
        """The kind of finding whose sign and colour the decision takes."""
        return "not_applicable" if self.decision is None else MARKS[self.decision]


@attrs.frozen(kw_only=True)
class Answers:
    """All questions of a run, and the axis that their rows share."""

    answers: tuple[Answer, ...]
    axis: Axis

    def __bool__(self) -> bool:
        return bool(self.answers)

    @property
    def counts(self) -> dict[str, int]:
        """How many questions ended in each word."""
        words = Counter(answer.word for answer in self.answers)
        return {word: words[word] for word in (*WORDS.values(), NOT_MEASURED) if words[word]}


def answers(result: Result, evidence: Evidence, measured: Measured | None = None) -> Answers:
    """The questions about behaviour that this run measured anything for."""
    found = Measured(evidence) if measured is None else measured
    by_rule = {finding.rule: finding for finding in reversed(result.findings)}
    asked = [(title, rule, detector, list(_known(of, found))) for title, rule, detector, of in questions(found)]
    options = options_of(result)
    margins = {key: option(options, *key, default) for key, default in MARGINS.items()}
    axis = axis_for(
        (item, one.centre, margins[detector, one.option])
        for _, _, detector, of in asked
        for one, item in of
        if item.value is not None
    )
    made = []
    for title, rule, detector, of in asked:
        alpha = option(options, detector, "alpha", ALPHA)
        rows = [_row(one, item, found, axis, margins[detector, one.option], alpha) for one, item in of]
        if rows:
            shown = _telling(rows)
            alone = len(shown) == len(rows) or all(row.decision is None for row in rows)
            tally = "" if alone else _tally(rows)
            finding = by_rule.get(rule)
            made.append(
                Answer(
                    title=title,
                    rule=rule,
                    rows=tuple(shown),
                    tally=tally,
                    finding=finding,
                    decision=_decision(rows, finding),
                )
            )
    return Answers(answers=tuple(made), axis=axis)


def options_of(result: Result) -> dict[str, dict[str, object]]:
    """Options of components, as the run was configured."""
    options = result.run.configuration.get("options")
    return options if isinstance(options, dict) else {}


def _known(asked: Sequence[Asked], measured: Measured) -> Iterator[tuple[Asked, Measurement]]:
    for one in asked:
        item = measured.change(one.metric, one.part)
        if item is not None and not (one.optional and item.value is None):
            yield one, item


def _row(one: Asked, item: Measurement, measured: Measured, axis: Axis, margin: float, alpha: float) -> Row:
    sides = [measured.side(one.sides or one.metric, number, one.part) for number in (0, 1)]
    unit = one.sides.rsplit(".", 1)[-1] if one.sides else ""
    scale: Scale = "number" if one.scale == "log_ratio" else one.scale
    value, found = item.value, decided(item, margin, alpha, centre=one.centre)
    plain = one.centre == 0
    text = NOT_MEASURED if value is None else change(value, one.scale) if plain else f"{value:.3f}"
    interval = item.interval
    ends = bounds(interval, one.scale)
    if interval is not None and not plain:
        ends = f"[{interval.low:.3f}, {interval.high:.3f}]"
    return Row(
        label=one.label,
        metric=one.metric,
        base=level(sides[0], scale, unit),
        trained=level(sides[1], scale, unit),
        change=text,
        bounds=ends if value is not None else "",
        n=item.n,
        decision=None if found is None else found.decision,
        note=_note(item, one, found, measured.change(one.also) if one.also else None),
        whisker=whisker(item, axis, margin, centre=one.centre),
        margin=margin_text(margin, one.scale),
        size=0.0 if value is None else (value - one.centre) / margin,
    )


def _note(item: Measurement, one: Asked, found: Decided | None, also: Measurement | None) -> str:
    """How sure: p, and for what is undecided the smallest change that would have been seen."""
    if found is None:
        return item.reason or "no reason given"
    parts = [chance(item)]
    if found.decision == "inconclusive" and found.smallest is not None:
        size = change(found.smallest, one.scale) if not one.centre else f"{one.centre + found.smallest:.2f}"
        parts.append(f"smallest detectable {size.removeprefix('+')}")
    if found.needed is not None:
        parts.append(f"about {found.needed:,} prompts would decide")
    if found.detectable_below_margin:
        parts.append("detectable, but below the margin")
    if found.material:
        parts.append("wholly beyond the margin")
    if also is not None and also.value is not None:
        parts.append(f"MMD² {numbers.number(float(f'{also.value:.3g}'))}, {chance(also) or 'not tested'}")
    return "; ".join(part for part in parts if part)


def _decision(rows: Sequence[Row], finding: Finding | None) -> Decision | None:
    outcomes = {row.decision for row in rows}
    if outcomes == {None}:
        return None
    said = next((outcome for outcome, kind in MARKS.items() if finding is not None and finding.kind == kind), None)
    if said is not None:
        return said
    if "shifted" in outcomes:
        return "shifted"
    return "equivalent" if outcomes == {"equivalent"} else "inconclusive"


def _telling(rows: list[Row]) -> list[Row]:
    """Few contrasts all; of many those that shifted, else the one that came nearest to it."""
    if len({(row.decision, row.note) for row in rows}) == 1 and rows[0].decision is None:
        return rows[:1]  # one reason for all
    if len(rows) <= 3:
        return rows
    ranked = sorted(rows, key=lambda row: -abs(row.size))
    for outcome in ("shifted", "inconclusive", "equivalent"):
        found = [row for row in ranked if row.decision == outcome]
        if found:
            return found[:SHOWN] if outcome == "shifted" else found[:1]
    return rows[:1]


def _tally(rows: list[Row]) -> str:
    counts = Counter(row.word.lower() for row in rows)
    order = [word.lower() for word in (*WORDS.values(), NOT_MEASURED)]
    return f"{len(rows)} contrasts: " + ", ".join(f"{counts[word]} {word}" for word in order if counts[word])
