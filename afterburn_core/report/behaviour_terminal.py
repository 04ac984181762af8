"""Behaviour on a terminal: one line per question that shifted or stayed undecided, the others named."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from afterburn_core.report.behaviour_questions import Answer, Answers
from afterburn_core.report.inert import one_line
from afterburn_core.stats.verdicts import Decision

NARROW = 60
_STYLES: dict[Decision, str] = {"shifted": "blue", "inconclusive": "magenta", "equivalent": "cyan"}


def behaviour_block(answers: Answers, width: int) -> Group | None:
    """The questions of a run; `None` where it asked none."""
    if not answers:
        return None
    told = [a for outcome in ("shifted", "inconclusive") for a in answers.answers if a.decision == outcome]
    parts: list[Text | Table] = [Text("\nBehaviour", style="bold")]
    if told:
        parts.append(_stacked(told) if width < NARROW else _lines(told))
    equivalent = [a.title for a in answers.answers if a.decision == "equivalent"]
    if equivalent:
        parts.append(Text(f"Equivalent: {', '.join(equivalent)}"))
    missing = [f"{a.title} ({one_line(a.rows[0].note)})" for a in answers.answers if a.decision is None]
    if missing:
        parts.append(Text(f"Not measured: {'; '.join(missing)}", style="dim"))
    return Group(*parts)


def _lines(told: list[Answer]) -> Table:
    table = Table.grid(padding=(0, 2), expand=False)
    table.add_column(no_wrap=True, min_width=max(len(answer.word) for answer in told))
    table.add_column(no_wrap=True, min_width=max(len(answer.title) for answer in told))
    table.add_column(overflow="fold")  # a rich grid would cut a line that may not wrap, and leave no trace of it
    for answer in told:
        table.add_row(_word(answer), Text(answer.title, style="bold"), Text(_change(answer)))
    return table


def _stacked(told: list[Answer]) -> Text:
    lines = []
    for answer in told:
        lines.append(Text.assemble(_word(answer), " ", (answer.title, "bold")))
        lines.append(Text(f"  {_change(answer)}"))
    return Text("\n").join(lines)


def _word(answer: Answer) -> Text:
    return Text(answer.word, style=_STYLES.get(answer.decision, "") if answer.decision else "dim")


def _change(answer: Answer) -> str:
    """The leading contrast, the change first."""
    row = next((row for row in answer.rows if row.decision == answer.decision), answer.rows[0])
    others = sum(other.decision == row.decision for other in answer.rows) - 1
    text = " ".join(part for part in (row.change, row.bounds, one_line(row.label)) if part)
    return f"{text}, and {others} more" if others > 0 else text
