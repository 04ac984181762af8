"""A series on a terminal: a table that fits 60 columns, sparklines, and the layers in the order they set in."""

from __future__ import annotations

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from afterburn_core.report import numbers
from afterburn_core.report.inert import one_line
from afterburn_core.report.series import Place, Series, pair_table, sparkline, table_of

_ROWS = 40
_LAYERS = 8
_WIDTH = 24  # cells of a sparkline


def series_block(series: Series) -> Group:
    """Everything a terminal shows of a series besides verdict and findings."""
    parts: list[Text | Padding] = [_table(*table_of(series), first="left" if series.kind == "candidates" else "right")]
    if series.kind == "candidates":
        parts.append(Text("\nHow the changes relate", style="bold"))
        parts.append(_table(*pair_table(series), first="left"))
        random = series.whole.facts.get("cosine_random")
        if random is not None:
            parts.append(Text(f"independent changes: cosine 0 ± {random:.1g}, signs 0.5", style="dim"))
        return Group(*parts)
    whole = series.whole
    parts.append(Text(""))
    parts.append(_spark("change", whole.lines["relative"]))
    if any(value is not None for value in whole.lines["loss"]):
        parts.append(_spark("loss", whole.lines["loss"]))
    parts.append(_facts(whole))
    if series.layers:
        parts += _onsets(series)
    return Group(*parts)


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]], first: str) -> Padding:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, head in enumerate(heads):
        left = number == 0 and first == "left"
        table.add_column(head, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for row in _thinned(rows):
        table.add_row(*(Text(one_line(cell)) for cell in row))
    left_out = len(rows) - _ROWS
    note = Text(f"{left_out} more rows are in the report", style="dim") if left_out > 0 else Text("")
    return Padding(Group(table, note) if left_out > 0 else table, (1, 0, 0, 0))


def _thinned(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The first rows and the last ones."""
    return rows if len(rows) <= _ROWS else [*rows[: _ROWS // 2], *rows[-_ROWS // 2 :]]


def _spark(name: str, values: list[float | None]) -> Text:
    known = [value for value in values if value is not None]
    shown = values[:: max(1, -(-len(values) // _WIDTH))]
    ends = f"{numbers.number(float(f'{known[0]:.3g}'))} → {numbers.number(float(f'{known[-1]:.3g}'))}" if known else ""
    return Text.assemble((f"{name:<8}", "dim"), sparkline(shown), "  ", (ends, "dim"))


def _facts(place: Place) -> Text:
    words = {
        "path_length": "path",
        "straightness": "straightness",
        "onset_step": "onset",
        "change_point": "change point",
    }
    parts = [
        f"{word} {numbers.number(float(f'{value:.4g}'))}"
        for name, word in words.items()
        if (value := place.facts.get(name)) is not None
    ]
    return Text(" · ".join(parts))


def _onsets(series: Series) -> list[Text | Padding]:
    """Layers by the step at which they set in; the middle is left out of a long list, and counted."""
    known = [place for place in series.layers if place.facts.get("onset_step") is not None]
    if not known:
        return [Text("no layer changed", style="dim")]
    ordered = sorted(known, key=lambda place: (place.facts["onset_step"] or 0.0, place.scope.layer or 0))
    kept = ordered if len(ordered) <= _LAYERS else [*ordered[: _LAYERS // 2], *ordered[-_LAYERS // 2 :]]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("Layer", "Onset", "Change", ""):
        table.add_column(head, justify="left" if head == "" else "right", no_wrap=True)
    for place in kept:
        values = place.lines["relative"]
        last = values[-1]
        table.add_row(
            f"{place.scope.subset} {place.scope.layer}" if place.scope.subset else str(place.scope.layer),
            numbers.number(place.facts["onset_step"] or 0.0),
            "–" if last is None else numbers.percent(last),
            sparkline(values[:: max(1, -(-len(values) // _WIDTH))]),
        )
    found: list[Text | Padding] = [Text("\nWhere it set in first and last", style="bold"), Padding(table, 0)]
    if len(ordered) > len(kept):
        found.append(Text(f"{len(ordered) - len(kept)} layers between are in the report", style="dim"))
    return found
