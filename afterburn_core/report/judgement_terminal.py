"""Thresholds, requirements and waivers on a terminal, under the verdict. Reads at 60 columns."""

from __future__ import annotations

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from afterburn_core.judge.thresholds import Outcome, Status
from afterburn_core.judge.waivers import Waiver
from afterburn_core.report import judgement
from afterburn_core.report.inert import one_line
from afterburn_core.result.model import Result

_WIDE = 90
_STYLES: dict[Status, str] = {"PASS": "cyan", "FAIL": "bold red", "INCONCLUSIVE": "magenta", "NOT_RUN": "magenta"}
_STATES = {"in_force": "yellow", "unused": "dim", "expired": "bold red"}


def judgement_block(result: Result, width: int, *, limit: int | None = None, missing: bool = True) -> Group | None:
    """What came of the policy's thresholds, requirements and waivers; nothing where it has none.

    Args:
        result: the document.
        width: of the terminal, in characters.
        limit: most thresholds that are listed, unmet ones first; the rest is counted.
        missing: whether requirements that are not met are listed; else they are counted.
    """
    read = judgement.judgement(result)
    parts: list[Text | Table | Padding] = []
    if read.thresholds:
        parts.append(Text("\nThresholds", style="bold"))
        listed = read.thresholds
        if limit is not None and len(listed) > limit:
            listed = tuple(sorted(listed, key=lambda outcome: outcome.status == "PASS")[:limit])
        parts.append(_thresholds(listed, width))
        if len(listed) < len(read.thresholds):
            parts.append(Text(f"and {len(read.thresholds) - len(listed)} more in the reports", style="dim"))
    unmet = judgement.unmet(read)
    if read.requirements:
        met = len(read.requirements) - len(unmet)
        parts.append(Text.assemble(("\nRequired  ", "bold"), f"{met} of {len(read.requirements)} are there"))
        parts += [_item(Text("Missing", style="magenta"), one_line(one.message)) for one in unmet if missing]
    if read.waivers:
        parts.append(Text.assemble(("\nWaivers  ", "bold"), (f"held against {read.date}", "dim")))
        parts += [_waiver(one) for one in read.waivers]
    return Group(*parts) if parts else None


def _thresholds(outcomes: tuple[Outcome, ...], width: int) -> Table | Text:
    if width < _WIDE:
        return Text("\n").join(_stacked(outcome) for outcome in outcomes)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    table.add_column("Outcome", no_wrap=True)
    table.add_column("Threshold", overflow="fold", max_width=34)
    table.add_column("Asked", no_wrap=True)
    table.add_column("Measured", overflow="fold")
    for outcome in outcomes:
        table.add_row(
            _status(outcome),
            Text(one_line(outcome.id)),
            judgement.asked(outcome),
            Text.assemble(one_line(judgement.measured(outcome)), "\n", (one_line(judgement.where(outcome)), "dim")),
        )
    return table


def _stacked(outcome: Outcome) -> Text:
    return Text.assemble(
        _status(outcome),
        "  ",
        (one_line(outcome.id), "bold"),
        f"\n  {one_line(judgement.measured(outcome))}; {judgement.asked(outcome)} asked",
        (f"\n  {one_line(judgement.where(outcome))}", "dim"),
    )


def _status(outcome: Outcome) -> Text:
    return Text(judgement.STATUS_WORDS[outcome.status], style=_STYLES[outcome.status])


def _waiver(waiver: Waiver) -> Table:
    style = _STATES[waiver.state]
    text = f"{one_line(waiver.about)}: {judgement.lasting(waiver)}; {judgement.covering(waiver)}. "
    text += f"{one_line(waiver.reason)} ({one_line(waiver.owner)})"
    return _item(Text(judgement.STATE_WORDS[waiver.state], style=style), text)


def _item(head: Text, text: str) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(head, Text(text))
    return table
