"""Heat maps as drawings: a metric by layer and module or head, in the colours of the HTML report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from markupsafe import Markup

from afterburn_core.report.grids import OUTSIDE
from afterburn_core.report.numbers import number, percent
from afterburn_core.report.pdf_colours import Scale, code_of, is_dark, scale_of
from afterburn_core.report.pdf_frame import Chart, columns, cut, element, linear, svg, text

WHOLE, HALF = 660, 322
"""Widths of a drawing over the whole page and over half of it, in units of a screen's pixel."""
_UNIT = 5.6
"""Width of a character of a label."""
_LABEL = 20
"""Characters of a label."""
_WIDEST = 90.0
"""Width of a cell at most."""
_GAP = 0.6
_SHADES = 24

Values = Sequence[Sequence[float | None]]


@attrs.frozen(kw_only=True)
class _Layout:
    """Where the cells of a map lie and what they show."""

    values: Values
    states: Sequence[Sequence[int]]
    rows: Sequence[str]
    heads: Sequence[str]
    left: float
    top: float
    cell: float
    tall: float
    slanted: bool
    scale: Scale | None
    share: bool
    told: bool
    """Whether cells have room for their values."""

    @property
    def bottom(self) -> float:
        return self.top + len(self.rows) * self.tall


def heat_map(
    title: str,
    grid: Mapping[str, Any],
    *,
    share: bool = False,
    width: int = WHOLE,
    down: str = "layer",
    across: str = "",
    between: tuple[float, float] | None = None,
    marks: Sequence[tuple[int, int]] = (),
    flip: bool | None = None,
    note: str = "",
) -> Chart:
    """A map of `grid` with `rows`, `columns`, `values` and, where known, `states` (2: undefined, with a reason).

    Rows are drawn across where there are more of them than columns, as layers of a deep model are. `between` fixes
    what the first and the last colour mean, `marks` are cells to mark, `down` and `across` name the axes.
    """
    values: Values = grid["values"]
    states = grid.get("states") or [[0 if v is None else 1 for v in line] for line in values]
    rows, heads = list(grid["rows"]), list(grid["columns"])
    if len(rows) >= len(heads) if flip is None else flip:
        values, states = list(zip(*values, strict=True)), list(zip(*states, strict=True))
        rows, heads, down, across = heads, rows, across, down
        marks = [(j, i) for i, j in marks]
    layout = _layout(values, states, rows, heads, share, width, bool(down), scale_of(values, between))
    parts = [Markup("<title>{}</title>").format(f"{title}: map of {len(rows)} by {len(heads)}")]
    parts += [*_names(layout), *_cells(layout)]
    for i, j in marks:
        at = {"cx": layout.left + (j + 0.5) * layout.cell, "cy": layout.top + (i + 0.5) * layout.tall}
        parts.append(element("circle", {"class": "marked", **at, "r": 2.6}))
    end = layout.bottom
    if across:
        middle = layout.left + len(heads) * layout.cell / 2
        parts.append(text({"x": middle, "y": end + 12, "text-anchor": "middle"}, across))
    if down:
        middle = (layout.top + end) / 2
        turn = {"transform": f"rotate(-90 9 {middle:.1f})"}
        parts.append(text({"x": 9, "y": middle, "text-anchor": "middle", **turn}, down))
    end += 16 if across else 4
    parts += _key(layout, end, min(180.0, width - layout.left - 60))
    logarithmic = "Colours are logarithmic." if layout.scale is not None and layout.scale.log else ""
    return Chart(title=title, svg=svg(width, end + 30, parts, "map"), note=note or logarithmic)


def bars(title: str, data: Mapping[str, Any], *, share: bool, width: int = HALF, note: str = "") -> Chart:
    """One bar for each layer or module."""
    axis = linear(data["values"], zero=True, show=lambda value: shown(value, share))
    drawn = columns([_brief(name) for name in data["labels"]], data["values"], axis, label=title, width=width)
    return Chart(title=title, svg=drawn, note=note)


def shown(value: float, share: bool) -> str:
    """A cell's value in a few characters."""
    short = float(f"{value:.3g}")
    return percent(short) if share and value else number(short)


def _layout(
    values: Values,
    states: Sequence[Sequence[int]],
    rows: Sequence[str],
    heads: Sequence[str],
    share: bool,
    width: int,
    named: bool,
    scale: Scale | None,
) -> _Layout:
    rows, heads = [cut(_brief(name), _LABEL) for name in rows], [cut(_brief(name), _LABEL) for name in heads]
    left = max(map(len, rows), default=1) * _UNIT + (20 if named else 8)
    cell = min((width - left - 6) / max(len(heads), 1), _WIDEST)
    tall = 9.0 if len(rows) > 60 else 13.0 if len(rows) > 24 else 19.0
    longest = max(map(len, heads), default=1)
    slanted = cell < longest * _UNIT and any(not name.isdigit() for name in heads)
    said = max((len(shown(v, share)) for line in values for v in line if v), default=0)
    return _Layout(
        values=values,
        states=states,
        rows=rows,
        heads=heads,
        left=left,
        top=longest * 4.6 + 6 if slanted else 14.0,
        cell=cell,
        tall=tall,
        slanted=slanted,
        scale=scale,
        share=share,
        told=said * _UNIT * 0.92 < cell - 3 and tall > 12,
    )


def _names(layout: _Layout) -> Iterator[Markup]:
    """Labels of columns and rows; of numbers only those that do not touch."""
    every = max(1, math.ceil((9 if layout.slanted else 20) / layout.cell))
    for j, name in enumerate(layout.heads):
        if j % every and name.isdigit():
            continue
        x, y = layout.left + (j + 0.5) * layout.cell, layout.top - 4
        turn = {"transform": f"rotate(-50 {x:.1f} {y:.1f})"} if layout.slanted else {}
        yield text({"x": x, "y": y, "text-anchor": "start" if layout.slanted else "middle", **turn}, name)
    every = max(1, math.ceil(10 / layout.tall))
    for i, name in enumerate(layout.rows):
        if not (i % every and name.isdigit()):
            y = layout.top + (i + 0.5) * layout.tall + 3.5
            yield text({"x": layout.left - 5, "y": y, "text-anchor": "end"}, name)


def _cells(layout: _Layout) -> Iterator[Markup]:
    for i, line in enumerate(layout.values):
        for j, value in enumerate(line):
            x, y = layout.left + j * layout.cell, layout.top + i * layout.tall
            if value is not None:
                yield from _cell(layout, x, y, value)
            elif layout.states[i][j]:
                yield from _undefined(layout, x, y)


def _cell(layout: _Layout, x: float, y: float, value: float) -> Iterator[Markup]:
    scale = layout.scale
    if scale is None or (value == 0 and scale.low >= 0):
        yield element("rect", {"class": "empty", **_box(layout, x, y)})
        return
    colour = scale.colour(scale.part(value))
    yield element("rect", {"fill": code_of(colour), **_box(layout, x, y)})
    if layout.told:
        at = {"x": x + layout.cell / 2, "y": y + layout.tall / 2 + 3.4, "text-anchor": "middle"}
        yield text({"class": "cell light" if is_dark(colour) else "cell", **at}, shown(value, layout.share))


def _undefined(layout: _Layout, x: float, y: float) -> Iterator[Markup]:
    """A box with slanted lines, as many as it has room for."""
    yield element("rect", {"class": "empty", **_box(layout, x, y)})
    slope = min(layout.cell, layout.tall) - 2
    for k in range(max(1, int(layout.cell / (slope * 0.8 + 1)))):
        start = x + 1 + k * slope * 0.8
        ends = {"x1": start, "y1": y + layout.tall - 1, "x2": start + slope, "y2": y + 1}
        yield element("line", {"class": "hatch", **ends})


def _box(layout: _Layout, x: float, y: float) -> dict[str, object]:
    width, height = max(layout.cell - 2 * _GAP, _GAP), layout.tall - 2 * _GAP
    return {"x": x + _GAP, "y": y + _GAP, "width": width, "height": height}


def _key(layout: _Layout, top: float, width: float) -> Iterator[Markup]:
    """What the colours mean."""
    scale, left = layout.scale, layout.left
    if scale is None:
        yield text({"x": left, "y": top + 12, "text-anchor": "start"}, "every value is 0")
        return
    for k in range(_SHADES):
        box = {"x": left + k * width / _SHADES, "y": top + 3, "width": width / _SHADES + 0.4, "height": 7}
        yield element("rect", {"fill": code_of(scale.colour(k / (_SHADES - 1))), **box})
    for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        at = {"x": left + part * width, "y": top + 22, "text-anchor": anchor}
        yield text(at, shown(scale.value(part), layout.share))


def _brief(name: str) -> str:
    """`outside` for what lies outside the layers: the axis says layers of what."""
    return name.replace(OUTSIDE, OUTSIDE.split()[0])
