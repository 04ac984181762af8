"""Sparse dictionaries on a terminal: fit, changed features, risky ones, and the channels. Reads at 60 columns."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from afterburn_core.report.inert import one_line
from afterburn_core.report.sae_channels import HEADS, Channels
from afterburn_core.report.sae_features import Row
from afterburn_core.report.sae_features import Table as FeatureRows
from afterburn_core.report.sae_risks import RiskTable
from afterburn_core.report.sae_views import SaeViews

_WIDE = 90
_STYLES = {"beyond": "bold yellow", "not beyond": "cyan", "not measured": "magenta"}


def sae_block(views: SaeViews, width: int, *, top: int = 5) -> Group | None:
    """The dictionaries of a run; `None` where it has none.

    Args:
        views: what reports show.
        width: of the terminal, in characters.
        top: features that are listed, of each dictionary and of all risk packs.
    """
    parts: list[Text | Table] = []
    for one in views.tables:
        parts += _dictionary(one, width, top)
    parts += [Text(f"Drift, {one.title.lower()}: largest {one_line(one.largest)}") for one in views.maps]
    parts += _risks(views.risks, width, top)
    if views.crosscoder is not None:
        told = ", ".join(f"{label.lower()} {value}" for label, value, _ in views.crosscoder.facts)
        parts.append(Text(one_line(f"Crosscoder {views.crosscoder.site}: {told}")))
    parts += [Text(f"Not shown: {one_line(problem)}", style="dim") for problem in views.problems]
    return Group(Text("\nFeatures", style="bold"), *parts) if parts else None


def channel_block(found: Channels, width: int) -> Group | None:
    """The table of channels, which stands wherever the finding does; `None` where the run has none."""
    if not found:
        return None
    heading = Text.assemble(("\nChannels of misalignment  ", "bold"), one_line(found.summary))
    reasons = [Text(one_line(f"{name}: {why}"), style="dim") for name, why in found.reasons]
    if width < _WIDE:
        lines = []
        for row in found.rows:
            name, effect, null, reference, gain, p, _, _ = row.cells
            lines.append(Text.assemble((one_line(name), "bold"), "  ", (row.word, _STYLES[row.word])))
            lines.append(Text("  " + one_line(f"effect {effect}, 95 % of controls {null}")))
            lines.append(Text("  " + one_line(f"reference {reference}, g {gain}, p {p}")))
        return Group(heading, *lines, *reasons)
    table = _table()
    for head in HEADS:
        table.add_column(head, no_wrap=head not in ("Channel", "Effect, 95 %"), overflow="fold")
    for row in found.rows:
        *cells, _ = row.cells
        table.add_row(*(Text(one_line(cell)) for cell in cells), Text(row.word, style=_STYLES[row.word]))
    return Group(heading, table, *reasons)


def _dictionary(one: FeatureRows, width: int, top: int) -> list[Text | Table]:
    card = one.card
    fit = ("valid here", "cyan") if card.valid else ("not valid here", "magenta")
    fvu = " → ".join(value for value, _ in card.gauges[0].told)
    parts: list[Text | Table] = [Text.assemble((one_line(card.name), "bold"), "  ", fit, f"  FVU {fvu}")]
    if not card.valid and card.why:
        parts.append(Text(f"  {one_line(card.why)}"))
    if card.changed:
        parts.append(Text(f"  {one_line(card.changed)}", style="dim"))
    changed = [row for row in one.rows if row.way][:top]
    if changed and width < _WIDE:
        for row in changed:
            parts.append(Text.assemble("  ", _way(row), "  ", one_line(f"#{row.number} {row.title}")))
            told = one_line(f"{row.multiple}, active on {' → '.join(row.frequencies)}, p {row.p}")
            parts.append(Text(f"  {told}", style="dim"))
    elif changed:
        table = _table()
        for head in ("Feature", "Change", "Multiple", "Active on tokens", "p, corrected"):
            table.add_column(head, no_wrap=head != "Feature", overflow="fold")
        for row in changed:
            cells = (row.multiple, " → ".join(row.frequencies), row.p)
            name = Text(one_line(f"#{row.number} {row.title}"))
            table.add_row(name, _way(row), *(Text(one_line(cell)) for cell in cells))
        parts.append(table)
    return parts


def _risks(packs: tuple[RiskTable, ...], width: int, top: int) -> list[Text | Table]:
    parts: list[Text | Table] = []
    for pack in packs:
        head = f"Risk pack {one_line(pack.name)} {one_line(pack.version)}: "
        parts.append(Text.assemble((head, "bold"), one_line(pack.told)))
        for row in [row for row in pack.rows if row.moved in ("further", "moved")][:top]:
            told = f"{row.feature} {row.label}, {row.multiple} on {row.set}, moved {row.word}"
            parts.append(Text(f"  {one_line(told)}", overflow="fold" if width < _WIDE else None))
    return parts


def _way(row: Row) -> Text:
    return Text("rose", style="blue") if row.way == "up" else Text("fell", style="red")


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
