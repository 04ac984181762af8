"""A trace on a terminal: the answer, the way there, the table of layer bands by parts."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from afterburn_core.report.inert import one_line
from afterburn_core.report.trace_words import OUTCOME_WORDS, control_words, share_words, step_words
from afterburn_core.trace.model import Block, Trace

_WIDE = 84
_STYLES = {"carried": "bold green", "not_special": "bold yellow", "whole": "bold yellow"}


def summary(trace: Trace, console: Console) -> None:
    """Prints a trace."""
    wide = console.width >= _WIDE
    parts = [_answer(trace), _path(trace, wide), _table(trace, wide), _notes(trace)]
    for part in parts:
        if part is not None:
            console.print(part, highlight=False)


def _answer(trace: Trace) -> Group:
    badge = Text(OUTCOME_WORDS[trace.outcome], style=_STYLES.get(trace.outcome, "bold"))
    return Group(badge, Text(one_line(trace.statement)))


def _path(trace: Trace, wide: bool) -> Group | None:
    if not trace.path:
        return None
    heading = Text("\nThe way there", style="bold")
    if not wide:
        lines = []
        for number, step in enumerate(trace.path, start=1):
            lines.append(Text(f"{number}. {step_words(step)}"))
            if step.kept is not None:
                told = [f"alone {share_words(step.kept.alone)}", f"lost {share_words(step.kept.lost)}"]
                lines.append(Text(f"   {'; '.join([*told, *control_words(step.control)])}"))
        return Group(heading, *lines)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    for name in ("", "Kept", "Carries alone", "Lost without", "Random sets"):
        table.add_column(name, overflow="fold")
    for number, step in enumerate(trace.path, start=1):
        kept = step.kept
        if kept is None:
            table.add_row(str(number), Text(step_words(step), style="dim"), "", "", "")
        else:
            control = "; ".join(control_words(step.control))
            table.add_row(str(number), step_words(step), share_words(kept.alone), share_words(kept.lost), control)
    return Group(heading, table)


def _table(trace: Trace, wide: bool) -> Group | None:
    if trace.table is None:
        return None
    heading = Text("\nBy layers and parts: carried alone", style="bold")
    if not wide:
        return Group(heading, *(Text(f"{place}: {share_words(block.alone)}") for place, block in _places(trace)))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    table.add_column("Layers", overflow="fold")
    for column in trace.table.columns:
        table.add_column(column, overflow="fold")
    for name, row in zip(trace.table.rows, trace.table.cells, strict=True):
        table.add_row(name, *(Text("–" if block is None else share_words(block.alone)) for block in row))
    return Group(heading, table)


def _places(trace: Trace) -> Iterator[tuple[str, Block]]:
    if trace.table is not None:
        for row in trace.table.cells:
            for block in row:
                if block is not None:
                    yield block.label, block


def _notes(trace: Trace) -> Group | None:
    if not trace.notes:
        return None
    return Group(Text(), *(Text(f"• {one_line(note)}", style="dim") for note in trace.notes))
