"""Charts as drawings: axes, lines with bands, bars and points, as SVG with classes that a style sheet colours.

Numbers are laid out here and nowhere else; what a chart means is the concern of those who ask for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import attrs
from markupsafe import Markup, escape

from afterburn_core.report import numbers
from afterburn_core.report.inert import one_line

Dots = Literal["none", "all", "only"]
Point = tuple[float, float | None]
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 10, 8, 38
_LABEL = 26
"""Characters of a label beside an axis."""


@attrs.frozen(kw_only=True)
class Axis:
    """One axis of a chart."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    title: str = ""
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, 0 to 1; values beyond the ends lie at the ends."""
        low, high, here = (
            (math.log(v) for v in (self.low, self.high, value))
            if self.log
            else (
                self.low,
                self.high,
                value,
            )
        )
        return min(max((here - low) / ((high - low) or 1.0), 0.0), 1.0)


@attrs.frozen(kw_only=True)
class Line:
    """A line or a set of points."""

    kind: str
    """Class for the style sheet: base, trained, delta, …"""
    points: Sequence[Point]
    label: str = ""
    dots: Dots = "none"
    band: Sequence[tuple[float, float, float]] = ()
    """x, low and high."""
    bars: bool = False
    """Whether the band is drawn as a bar at every point."""


@attrs.frozen(kw_only=True)
class Chart:
    """A drawing and what its lines are called."""

    title: str
    svg: Markup
    legend: tuple[tuple[str, str], ...] = ()
    """Class and name of each line, for a key beside the drawing."""
    note: str = ""


def linear(
    values: Iterable[float | None],
    *,
    zero: bool = False,
    show: Callable[[float], str] = numbers.number,
    title: str = "",
    low: float | None = None,
    high: float | None = None,
) -> Axis:
    """An axis around `values` with round ticks; `zero` keeps 0 on it, `low` and `high` fix its ends."""
    known = [value for value in values if value is not None and math.isfinite(value)] or [0.0, 1.0]
    start, end = min(known), max(known)
    if zero:
        start, end = min(start, 0.0), max(end, 0.0)
    start, end = (start if low is None else low), (end if high is None else high)
    if end <= start:
        end = start + (abs(start) or 1.0)
    step = _step((end - start) / 4)
    first = math.ceil(start / step - 1e-9)
    if low is None and start != 0:
        first = math.floor(start / step + 1e-9)
        start = first * step
    if high is None and end != 0:
        end = math.ceil(end / step - 1e-9) * step
    last = math.floor(end / step + 1e-9)
    ticks = [round(k * step, 12) for k in range(first, last + 1)]
    return Axis(low=start, high=end, ticks=tuple((tick, show(tick)) for tick in ticks), title=title)


def logarithmic(values: Iterable[float | None], *, title: str = "") -> Axis:
    """A logarithmic axis with ticks at powers of ten, or at 1, 2 and 5 where there are few decades."""
    known = [value for value in values if value is not None and value > 0 and math.isfinite(value)] or [1.0, 10.0]
    low, high = min(known), max(known)
    if high / low < 1.5:
        low, high = low / 1.25, high * 1.25
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, -(-(last - first) // 6))
    ticks = [10.0**k for k in range(first, last + 1, every)]
    if last - first <= 2:
        ticks = sorted(10.0**k * m for k in range(first, last + 1) for m in (1, 2, 5))
    if high < 4 * low:
        ticks = [tick for tick, _ in linear([low, high], low=low, high=high).ticks]
    kept = tuple((tick, _short(tick)) for tick in ticks if low * 0.999 <= tick <= high * 1.001)
    return Axis(low=low, high=high, ticks=kept, title=title, log=True)


def draw(
    x: Axis,
    y: Axis,
    lines: Sequence[Line],
    *,
    label: str,
    width: int = 320,
    height: int = 190,
    marks: Sequence[tuple[float, str]] = (),
) -> Markup:
    """The chart; `marks` are named vertical lines, `label` says in words what is drawn."""
    right, bottom = width - _RIGHT, height - _BOTTOM

    def across(value: float) -> float:
        return _LEFT + x.at(value) * (right - _LEFT)

    def down(value: float) -> float:
        return bottom - y.at(value) * (bottom - _TOP)

    parts = [_text("title", {}, label)]
    for value, text in y.ticks:
        at = down(value)
        parts.append(_element("line", {"class": "rule", "x1": _LEFT, "x2": right, "y1": at, "y2": at}))
        parts.append(_text("text", {"x": _LEFT - 5, "y": at + 3.5, "text-anchor": "end"}, text))
    for value, text in thinned(x.ticks, lambda tick: across(tick[0])):
        anchor = "end" if across(value) > right - 8 and len(text) > 3 else "middle"
        parts.append(_text("text", {"x": across(value), "y": bottom + 14, "text-anchor": anchor}, text))
    parts.append(_element("path", {"class": "frame", "d": f"M{_LEFT} {_TOP}V{bottom}H{right}"}))
    if x.title:
        parts.append(_text("text", {"x": (_LEFT + right) / 2, "y": height - 6, "text-anchor": "middle"}, x.title))
    for at, name in marks:
        parts.append(_element("line", {"class": "mark", "x1": across(at), "x2": across(at), "y1": _TOP, "y2": bottom}))
        parts.append(_text("text", {"x": across(at) + 3, "y": _TOP + 9, "text-anchor": "start"}, name))
    for line in lines:
        if line.band and not line.bars:
            edge = [(px, high) for px, _, high in line.band] + [(px, low) for px, low, _ in reversed(line.band)]
            points = "L".join(f"{across(px):.1f} {down(py):.1f}" for px, py in edge)
            parts.append(_element("path", {"class": f"band {line.kind}", "d": f"M{points}Z"}))
        for px, low, high in line.band if line.bars else ():
            place = {"class": f"bar {line.kind}", "x1": across(px), "x2": across(px), "y1": down(low), "y2": down(high)}
            parts.append(_element("line", place))
    for line in lines:
        if line.dots != "only":
            path = _path([(across(px), None if py is None else down(py)) for px, py in line.points])
            if path:
                parts.append(_element("path", {"class": f"curve {line.kind}", "d": path}))
        if line.dots != "none":
            for px, py in line.points:
                if py is not None:
                    spot = {"class": f"dot {line.kind}", "cx": across(px), "cy": down(py), "r": 2.2}
                    parts.append(_element("circle", spot))
    return svg(width, height, parts, "chart")


def columns(labels: Sequence[str], values: Sequence[float | None], axis: Axis, *, label: str, width: int) -> Markup:
    """Upright bars, one for each label; a cross where there is no value."""
    height, right = 150, width - _RIGHT
    bottom = height - 28
    room = (right - _LEFT) / max(len(labels), 1)
    parts = [_text("title", {}, label)]
    for value, text in axis.ticks:
        at = bottom - axis.at(value) * (bottom - _TOP)
        parts.append(_element("line", {"class": "rule", "x1": _LEFT, "x2": right, "y1": at, "y2": at}))
        parts.append(_text("text", {"x": _LEFT - 5, "y": at + 3.5, "text-anchor": "end"}, text))
    base = bottom - axis.at(0.0) * (bottom - _TOP)
    for k, one in enumerate(values):
        start = _LEFT + k * room
        if one is None:
            parts.append(_text("text", {"x": start + room / 2, "y": base - 3, "text-anchor": "middle"}, "×"))
            continue
        end = bottom - axis.at(one) * (bottom - _TOP)
        size = {"x": start + room * 0.14, "width": room * 0.72, "y": min(base, end), "height": abs(end - base)}
        parts.append(_element("rect", {"class": "column", **size}))
    parts.append(_element("line", {"class": "frame", "x1": _LEFT, "x2": right, "y1": base, "y2": base}))
    places = [(_LEFT + (k + 0.5) * room, cut(name)) for k, name in enumerate(labels)]
    for at, text in thinned(places, lambda place: place[0]):
        parts.append(_text("text", {"x": at, "y": bottom + 14, "text-anchor": "middle"}, text))
    return svg(width, height, parts, "chart")


def legend_of(lines: Sequence[Line]) -> tuple[tuple[str, str], ...]:
    """Class and name of every named line, for the key of a chart."""
    return tuple((line.kind, line.label) for line in lines if line.label)


def thinned(ticks: Sequence[tuple[float, str]], at: Callable[[tuple[float, str]], float]) -> list[tuple[float, str]]:
    """The ticks whose labels do not touch the one kept before."""
    kept: list[tuple[float, str]] = []
    end = -math.inf
    for tick in ticks:
        half = 3.1 * len(tick[1])
        if at(tick) - half > end + 3:
            kept.append(tick)
            end = at(tick) + half
    return kept


def svg(width: float, height: float, parts: Iterable[Markup], kind: str) -> Markup:
    """The drawing around its parts, whose sizes are in units of `width` and `height`."""
    head = Markup('<svg class="{}" viewBox="0 0 {:g} {:g}" role="img">').format(kind, width, height)
    return head + Markup("").join(parts) + Markup("</svg>")


def cut(text: str, longest: int = _LABEL) -> str:
    """A label of one line and a length that leaves room for the chart."""
    line = one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def element(name: str, attributes: dict[str, object]) -> Markup:
    """One part of a drawing; lengths are written to a tenth of a unit."""
    return _element(name, attributes)


def text(attributes: dict[str, object], content: str) -> Markup:
    """A label."""
    return _text("text", attributes, content)


def _element(name: str, attributes: dict[str, object]) -> Markup:
    return Markup("<{}{}/>").format(Markup(name), _attributes(attributes))


def _text(name: str, attributes: dict[str, object], content: str) -> Markup:
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), _attributes(attributes), one_line(content))


def _attributes(attributes: dict[str, object]) -> Markup:
    written = (
        f' {name}="{f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else escape(value)}"'
        for name, value in attributes.items()
    )
    return Markup("".join(written))


def _path(points: Sequence[tuple[float, float | None]]) -> str:
    """A path through the points, broken where one is missing."""
    path, pen = [], "M"
    for at, height in points:
        if height is None:
            pen = "M"
            continue
        path.append(f"{pen}{at:.1f} {height:.1f}")
        pen = "L"
    return "".join(path) if len(path) > 1 else ""


def _step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= rough * 0.999)


def _short(value: float) -> str:
    """`0.01`, `100`, `1e-5`: powers of ten in the fewest characters."""
    return f"{value:g}" if 1e-3 <= value < 1e5 else numbers.scientific(value)
