"""Reward hacking on a terminal: a line per rule, the risk, controls, then what could not run; in 60 columns."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from afterburn_core.report.hack_rules import SHORT, HackRules, Risk, Row
from afterburn_core.report.inert import one_line
from afterburn_core.result.model import FindingKind

_STYLES: dict[FindingKind, str] = {
    "fail": "bold red",
    "review": "bold yellow",
    "open": "magenta",
    "informational": "blue",
    "pass": "cyan",
    "not_applicable": "dim",
}
_CELLS = 20


def hack_block(rules: HackRules) -> Group | None:
    """The rules of a run; `None` where none of them was in force."""
    if not rules:
        return None
    parts: list[Text | Table] = [Text("\nReward hacking", style="bold"), _table(rules)]
    if rules.risk is not None:
        parts.append(_risk(rules.risk))
    compared = [row for row in rules.pressing if row.among]
    if compared:
        parts.append(Text("Among controls", style="bold"))
        parts += [Text.assemble("• ", (row.name, "bold"), f": {one_line(row.among)}") for row in compared]
    for heading, rows in (("Undecided", rules.open), ("Could not run", rules.not_run)):
        if rows:
            parts.append(Text(heading, style="bold"))
            parts += [_reason(row) for row in rows]
    return Group(*parts)


def _table(rules: HackRules) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    table.add_column("rule", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("what moved", overflow="fold")
    table.add_column("strength", no_wrap=True)
    for row in rules.rows:
        table.add_row(
            Text(one_line(row.name)),
            Text(SHORT[row.kind], style=_STYLES[row.kind]),
            Text(one_line(row.moved_text) or "–"),
            Text(row.strength_text or "–"),
        )
    return table


def _risk(risk: Risk) -> Text:
    """The number, how far it may reach, and a bar: known, then possible."""
    solid, possible = (round(end / 100 * _CELLS) for end in (risk.known, risk.worst))
    bar = ("█" * solid + "▒" * (possible - solid)).ljust(_CELLS, "·")
    return Text.assemble("\n", ("Risk ", "bold"), (risk.text, "bold"), "  ", bar)


def _reason(row: Row) -> Text:
    return Text.assemble("• ", (row.name, "bold"), f": {one_line(row.why)}")
