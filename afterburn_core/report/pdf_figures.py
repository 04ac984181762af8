"""Charts that plugins leave as Plotly figures, drawn for paper: lines, points, bars, histograms and heat maps.

Plotly draws far more than that; what is not among these is named instead, and the HTML report draws it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from afterburn_core.report.drawings import Drawing
from afterburn_core.report.pdf_frame import Axis, Chart, Line, columns, draw, legend_of, linear, logarithmic
from afterburn_core.report.pdf_maps import WHOLE, heat_map

MOST = 5_000
"""Numbers of one trace that go to paper."""
_TONES = ("base", "trained", "delta", "edge", "prompt")


class Undrawable(Exception):
    """Why paper shows no such figure."""


def static(drawing: Drawing) -> tuple[Chart | None, str]:
    """The figure for paper, or why there is none."""
    if drawing.figure is None:
        return None, drawing.problem or "the run left no figure"
    try:
        return _chart(drawing.title, drawing.figure["data"], drawing.figure["layout"]), ""
    except Undrawable as reason:
        return None, f"{reason}; the HTML report draws it"


def _chart(title: str, data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> Chart:
    kinds = {str(trace.get("type", "scatter")) for trace in data}
    if kinds == {"scatter"}:
        return _lines(title, data, layout)
    if kinds == {"bar"} and len(data) == 1 and data[0].get("orientation") != "h":
        labels, values = _texts(data[0].get("x")), _numbers(data[0].get("y"))
        if len(labels) == len(values):
            axis = linear(values, zero=True)
            return Chart(title=title, svg=columns(labels, values, axis, label=title, width=WHOLE))
    if kinds == {"histogram"}:
        return _histogram(title, data, layout)
    if kinds == {"heatmap"} and len(data) == 1:
        return _map(title, data[0])
    raise Undrawable(f"a figure of {', '.join(sorted(kinds)) or 'nothing'} cannot be drawn on paper")


def _lines(title: str, data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> Chart:
    lines = []
    for k, trace in enumerate(islice(data, 8)):
        values = _numbers(trace.get("y"))
        places = _numbers(trace.get("x")) if trace.get("x") is not None else [float(i) for i in range(len(values))]
        if len(places) != len(values) or any(place is None for place in places):
            raise Undrawable("a line without numbers across cannot be drawn on paper")
        mode = str(trace.get("mode", "lines"))
        lines.append(
            Line(
                kind=_TONES[k % len(_TONES)],
                label=str(trace.get("name", "")) if len(data) > 1 else "",
                points=[(x, y) for x, y in zip(places, values, strict=True) if x is not None],
                dots="only" if "lines" not in mode else "all" if "markers" in mode else "none",
            )
        )
    x = _axis([x for line in lines for x, _ in line.points], layout.get("xaxis"))
    y = _axis([y for line in lines for _, y in line.points], layout.get("yaxis"))
    svg = draw(x, y, lines, label=title, width=WHOLE, height=260)
    return Chart(title=title, svg=svg, legend=legend_of(lines))


def _histogram(title: str, data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> Chart:
    """Counts in bins of equal width, as many as the square root of the largest trace's numbers; traces over another."""
    found = [[value for value in _numbers(trace.get("x")) if value is not None] for trace in islice(data, 4)]
    values = [value for trace in found for value in trace]
    if not values:
        raise Undrawable("its histogram holds no numbers")
    low, high = min(values), max(values)
    count = min(max(math.isqrt(max(map(len, found))), 5), 40)
    width = (high - low) / count or 1.0
    lines = []
    for k, trace in enumerate(found):
        counts = [0] * count
        for value in trace:
            counts[min(int((value - low) / width), count - 1)] += 1
        stairs = [(low + (i + side) * width, float(n)) for i, n in enumerate(counts) for side in (0, 1)]
        points = [(low, 0.0), *stairs, (low + count * width, 0.0)]
        lines.append(Line(kind=_TONES[k % len(_TONES)], label=str(data[k].get("name", "")), points=points))
    x = _axis([low, high], layout.get("xaxis"))
    svg = draw(x, linear([y for line in lines for _, y in line.points], zero=True), lines, label=title, width=WHOLE)
    return Chart(title=title, svg=svg, legend=legend_of(lines))


def _map(title: str, trace: Mapping[str, Any]) -> Chart:
    rows = trace.get("z")
    if not isinstance(rows, list) or not rows or sum(len(row) for row in rows if isinstance(row, list)) > MOST:
        raise Undrawable("its map is empty or too large for paper")
    values = [_numbers(row) for row in rows]
    if len({len(row) for row in values}) != 1 or not values[0]:
        raise Undrawable("its map is not a table of numbers")
    names = _texts(trace.get("x")) or [str(k) for k in range(len(values[0]))]
    labels = _texts(trace.get("y")) or [str(k) for k in range(len(values))]
    if len(names) != len(values[0]) or len(labels) != len(values):
        raise Undrawable("its map is not a table of numbers")
    return heat_map(title, {"rows": labels, "columns": names, "values": values}, down="", flip=False)


def _axis(values: Sequence[float | None], layout: Any) -> Axis:
    found = layout if isinstance(layout, dict) else {}
    title = found.get("title")
    text = title.get("text", "") if isinstance(title, dict) else title if isinstance(title, str) else ""
    if found.get("type") == "log" and all(value is None or value > 0 for value in values):
        return logarithmic(values, title=str(text))
    return linear(values, title=str(text))


def _numbers(values: Any) -> list[float | None]:
    if not isinstance(values, list) or len(values) > MOST:
        raise Undrawable("its numbers are missing, packed or too many for paper")
    return [float(v) if _is_number(v) else None for v in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _texts(values: Any) -> list[str]:
    return [str(value) for value in values[:MOST]] if isinstance(values, list) else []
