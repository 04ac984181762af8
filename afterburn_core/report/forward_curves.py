"""Divergence by position, as a drawing of one curve with its band for texts and for each side's answers.

From the artifact `behaviour.divergence_positions`; its fields stand in `afterburn_behaviour.distribution.positions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report import numbers
from afterburn_core.report.behaviour_curves import read

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

POSITIONS = "behaviour.divergence_positions"
WIDTH, HEIGHT = 760.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 10.0, 34.0
"""The drawing of curves and the room around it."""


@attrs.frozen(kw_only=True)
class Curve:
    """Mean KL by position of one kind of text."""

    label: str
    kind: str
    """Class of the drawing: `text`, `base`, `trained`."""
    line: str
    band: str
    points: tuple[tuple[str, ...], ...]
    """Position, KL, interval, flips and n, in words."""


@attrs.frozen(kw_only=True)
class Curves:
    """The drawing and its axes."""

    curves: tuple[Curve, ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]


def curves(view: ResultView) -> tuple[Curves | None, str | None]:
    """The curves by position, or why there are none."""
    content, problem = read(view, POSITIONS)
    series = [one for row in marks.rows_of(content, "series") if (one := _points(row)) is not None]
    if not series:
        return None, problem
    highest = max((p[3] if p[3] is not None else p[1]) or 0.0 for _, _, points in series for p in points)
    first = min(points[0][0] for _, _, points in series)
    last = max(points[-1][0] for _, _, points in series)
    scale = _Scale(first=first, last=max(last, first + 1), top=highest * 1.04 or 1.0)
    drawn = tuple(_curve(label, kind, points, scale) for label, kind, points in series)
    return Curves(curves=drawn, across=scale.across(), up=scale.up()), None


_Point = tuple[float, float | None, float | None, float | None, float | None, float | None]


def _points(row: Mapping[str, Any]) -> tuple[str, str, list[_Point]] | None:
    """Label, kind and points of a series: position, KL, its ends, flips, n."""
    positions = row.get("position")
    if not isinstance(positions, list) or not positions:
        return None
    length = len(positions)
    columns = [marks.column(row, key, length) for key in ("position", "kl", "low", "high", "flip_rate", "n")]
    points: list[_Point] = [(x, *rest) for x, *rest in zip(*columns, strict=True) if x is not None]
    points = [point for point in points if point[1] is not None]
    if not points:
        return None
    author = row.get("author")
    kind = author if author in ("base", "trained") else "text"
    return ("Texts" if kind == "text" else f"Answers of {kind}", str(kind), sorted(points, key=lambda p: p[0]))


@attrs.frozen(kw_only=True)
class _Scale:
    """Positions along, KL upwards."""

    first: float
    last: float
    top: float

    def x(self, position: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (position - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(max(value / self.top, 0.0), 1.0))

    def across(self) -> tuple[tuple[float, str], ...]:
        wanted = [self.first, *(p for p in (5, 10, 20, 30, 40, 50, 64, 100, 200, 400) if self.first < p < self.last)]
        room = 0.05 * (self.last - self.first)
        kept = [p for p in wanted if self.last - p > room]
        return tuple((round(self.x(p), 1), f"{p:.0f}") for p in [*kept, self.last])

    def up(self) -> tuple[tuple[float, str], ...]:
        step = _nice(self.top / 4)
        count = int(self.top / step + 1e-9)
        return tuple((round(self.y(k * step), 1), marks.short(k * step, 2)) for k in range(count + 1))


def _curve(label: str, kind: str, points: list[_Point], scale: _Scale) -> Curve:
    line = "M" + "L".join(f"{scale.x(p[0]):.1f} {scale.y(p[1] or 0.0):.1f}" for p in points)
    sure = [p for p in points if p[2] is not None and p[3] is not None]
    band = ""
    if len(sure) > 1:
        up = [f"{scale.x(p[0]):.1f} {scale.y(p[3] or 0.0):.1f}" for p in sure]
        down = [f"{scale.x(p[0]):.1f} {scale.y(p[2] or 0.0):.1f}" for p in reversed(sure)]
        band = f"M{'L'.join([*up, *down])}Z"
    told = tuple(
        (
            f"{p[0]:.0f}",
            marks.short(p[1]),
            marks.bounds(p[2], p[3]),
            "–" if p[4] is None else numbers.percent(float(f"{p[4]:.3g}")),
            "–" if p[5] is None else f"{p[5]:,.0f}",
        )
        for p in points
    )
    return Curve(label=label, kind=kind, line=line, band=band, points=told)


def _nice(step: float) -> float:
    """1, 2 or 5 times a power of ten, not below `step`."""
    power = 10.0 ** len(str(int(step))) if step >= 1 else 1.0
    while power > step:
        power /= 10
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))
