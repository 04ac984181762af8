"""Dose curves of the change of the weights as drawings: by λ with their bands, by rank, by band of layers and module.

From the artifact `behaviour.scaling`; its fields stand in `afterburn_behaviour.live.scaling`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report import numbers
from afterburn_core.report.behaviour_curves import read

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

SCALING = "behaviour.scaling"
WIDTH, HEIGHT = 380.0, 210.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 12.0, 12.0, 40.0
"""The drawing of one chart and the room around it."""
_CHARTS = (
    ("divergence", "Divergence, nats per token", (("kl_base", "from the base", "trained"),
                                                    ("kl_trained", "from the trained model", "base")), "kl_base"),
    ("nll", "Likelihood of plain text: nats per token lost", (("nll", "less the base's", "trained"),), "nll"),
    ("tokens", "Length of answers, tokens", (("tokens", "mean over prompts", "trained"),), "length"),
    ("right", "Right answers", (("right", "share of prompts", "trained"),), "correct"),
)  # fmt: skip
_CENSORED = 0.05
_MOST = 1000.0
"""Largest λ of a drawing; nothing beyond is from us."""
_PARTS = {"attention": "attention", "mlp": "MLP", "rest": "all else"}


@attrs.frozen(kw_only=True)
class Line:
    """One curve of a chart."""

    label: str
    kind: str
    """Class of the drawing."""
    path: str
    band: str
    dots: tuple[tuple[float, float], ...]


@attrs.frozen(kw_only=True)
class Chart:
    """Curves over λ, and what form the first of them has."""

    title: str
    shape: str
    lines: tuple[Line, ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    zero: float | None
    """Height of 0, where it lies inside."""


@attrs.frozen(kw_only=True)
class Share:
    """How much a part of the change carries."""

    label: str
    at: float | None
    """Percent from the left, 0 to 100 for shares of 0 to 1; `None` where undefined."""
    low: float | None
    high: float | None
    told: str
    cells: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Scaling:
    """The section; empty where the run has no such artifact."""

    charts: tuple[Chart, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    """λ, and by quantity its mean and interval in words."""
    columns: tuple[str, ...] = ()
    ranks: tuple[Share, ...] = ()
    bands: tuple[Share, ...] = ()
    passages: int = 0
    prompts: int = 0
    problem: str | None = None

    def __bool__(self) -> bool:
        return bool(self.charts or self.problem)


def scaling(view: ResultView) -> Scaling:
    """The artifact as drawings, or why there are none."""
    content, problem = read(view, SCALING)
    curves = _doses(content, "curves")
    if not curves:
        return Scaling(problem=problem)
    shapes, units = marks.row_of(marks.row_of(content).get("shapes")), marks.row_of(marks.row_of(content).get("units"))
    charts = [_chart(curves, *one, shapes=shapes) for one in _CHARTS]
    shown = tuple(chart for chart in charts if chart is not None)
    named = [(quantity, label) for _, title, lines, _ in _CHARTS for quantity, label in _columns(title, lines)]
    known = [(quantity, label) for quantity, label in named if any(_value(one, quantity) for one in curves)]
    return Scaling(
        charts=shown,
        columns=tuple(label for _, label in known),
        rows=tuple((_scale(one), *(_told(_value(one, quantity)) for quantity, _ in known)) for one in curves),
        ranks=tuple(
            _share(one, f"rank {marks.short(marks.number_of(one.get('rank')))}") for one in _carried(content, "ranks")
        ),
        bands=tuple(_share(one, _place(one)) for one in _carried(content, "bands")),
        passages=int(marks.number_of(units.get("passages")) or 0),
        prompts=int(marks.number_of(units.get("prompts")) or 0),
    )


def _columns(title: str, lines: Sequence[tuple[str, str, str]]) -> list[tuple[str, str]]:
    if len(lines) == 1:
        return [(lines[0][0], title)]
    return [(quantity, f"{title.split(',')[0]} {label}") for quantity, label, _ in lines]


def _doses(content: Any, key: str) -> list[Mapping[str, Any]]:
    found = [one for one in marks.rows_of(content, key) if abs(marks.number_of(one.get("lambda")) or 0.0) <= _MOST]
    found = [one for one in found if marks.number_of(one.get("lambda")) is not None]
    return sorted(found, key=lambda one: marks.number_of(one.get("lambda")) or 0.0)


def _carried(content: Any, key: str) -> list[Mapping[str, Any]]:
    """Parts of the change at λ = 1, in the order of the artifact."""
    return [one for one in marks.rows_of(content, key) if _value(one, "recovered") is not None]


_Value = tuple[float, float | None, float | None, float | None]


def _value(dose: Mapping[str, Any], quantity: str) -> _Value | None:
    """Mean, ends of the interval and n of a quantity at a dose."""
    entry = marks.row_of(marks.row_of(dose.get("values")).get(quantity))
    mean, low, high, n = (marks.number_of(entry.get(key)) for key in ("mean", "low", "high", "n"))
    return None if mean is None or abs(mean) > 1e100 else (mean, low, high, n)


def _chart(
    curves: Sequence[Mapping[str, Any]],
    key: str,
    title: str,
    lines: Sequence[tuple[str, str, str]],
    shape: str,
    *,
    shapes: Mapping[str, Any],
) -> Chart | None:
    drawn = []
    for quantity, label, kind in lines:
        points = [
            (marks.number_of(one.get("lambda")) or 0.0, value)
            for one in curves
            if (value := _value(one, quantity)) is not None
        ]
        if len(points) > 1:
            drawn.append((label, kind, points))
    if not drawn:
        return None
    ends = [end for _, _, points in drawn for _, (mean, low, high, _) in points for end in (mean, low, high)]
    known = [end for end in ends if end is not None]
    bottom, top = (0.0, 1.0) if key == "right" else (min(0.0, *known), max(0.0, *known))
    scales = [x for _, _, points in drawn for x, _ in points]
    frame = _Frame(first=min(scales), last=max(scales), bottom=bottom, top=top if top > bottom else bottom + 1)
    return Chart(
        title=title,
        shape="; ".join(one for one in (_shape(shapes.get(shape), key), _cut(curves, key)) if one),
        lines=tuple(_line(label, kind, points, frame) for label, kind, points in drawn),
        across=tuple((frame.x(x), marks.short(x, 2)) for x in _steps(frame.first, frame.last)),
        up=frame.ticks(),
        zero=frame.y(0.0) if frame.bottom < 0 < frame.top else None,
    )


def _shape(entry: Any, key: str) -> str:
    row = marks.row_of(entry)
    told = row.get("told")
    if not isinstance(told, str):
        reason = row.get("reason")
        return f"shape not told: {marks.shortened(reason, 120)}" if isinstance(reason, str) else ""
    of = "√KL from the base: " if key == "divergence" else "from λ = 0 on: "
    return of + marks.shortened(told, 120)


def _cut(curves: Sequence[Mapping[str, Any]], key: str) -> str:
    """Which share of answers was cut at the token limit, where that hides how long they are."""
    shares = [value[0] for one in curves if (value := _value(one, "cut")) is not None] if key == "tokens" else []
    most = max(shares, default=0.0)
    return f"up to {100 * most:.0f} % of the answers were cut at the limit" if most > _CENSORED else ""


@attrs.frozen(kw_only=True)
class _Frame:
    """λ along, the quantity upwards."""

    first: float
    last: float
    bottom: float
    top: float

    def x(self, value: float) -> float:
        share = (value - self.first) / ((self.last - self.first) or 1.0)
        return round(LEFT + (WIDTH - LEFT - RIGHT) * share, 1)

    def y(self, value: float) -> float:
        share = min(max((value - self.bottom) / (self.top - self.bottom), 0.0), 1.0)
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - share), 1)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        return tuple((self.y(value), marks.short(value, 2)) for value in _steps(self.bottom, self.top))


def _steps(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from `low` to `high`, at most six."""
    if high - low <= 0 or not math.isfinite(high - low):
        return []
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next((m * power for m in (1, 2, 5, 10) if m * power >= (high - low) / 5 * (1 - 1e-9)), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, min(last, first + 6) + 1)]


def _line(label: str, kind: str, points: Sequence[tuple[float, _Value]], frame: _Frame) -> Line:
    sure = [(x, low, high) for x, (_, low, high, _) in points if low is not None and high is not None]
    band = ""
    if len(sure) > 1:
        up = [f"{frame.x(x)} {frame.y(high)}" for x, _, high in sure]
        down = [f"{frame.x(x)} {frame.y(low)}" for x, low, _ in reversed(sure)]
        band = f"M{'L'.join([*up, *down])}Z"
    dots = tuple((frame.x(x), frame.y(mean)) for x, (mean, *_) in points)
    return Line(label=label, kind=kind, path="M" + "L".join(f"{x} {y}" for x, y in dots), band=band, dots=dots)


def _share(dose: Mapping[str, Any], label: str) -> Share:
    mean, low, high, _ = _value(dose, "recovered") or (0.0, None, None, None)
    inside = [None if end is None else round(100 * min(max(end, 0.0), 1.0), 2) for end in (mean, low, high)]
    told = numbers.percent(float(f"{mean:.2g}"))
    bounds = "" if low is None or high is None else f"[{100 * low:.0f}, {100 * high:.0f}]"
    cells = tuple(_told(_value(dose, quantity)) for quantity in ("kl_base", "tokens", "right"))
    return Share(label=label, at=inside[0], low=inside[1], high=inside[2], told=f"{told} {bounds}".strip(), cells=cells)


def _place(dose: Mapping[str, Any]) -> str:
    part = str(dose.get("part"))
    name = _PARTS.get(part, marks.shortened(part, 40))
    given = dose.get("layers")
    layers = [marks.number_of(value) for value in given] if isinstance(given, list) else []
    if len(layers) != 2 or None in layers:
        return f"{name[:1].upper()}{name[1:]}"
    first, last = (f"{value:.0f}" for value in layers if value is not None)
    return f"Layer {first}, {name}" if first == last else f"Layers {first}–{last}, {name}"


def _scale(dose: Mapping[str, Any]) -> str:
    return marks.short(marks.number_of(dose.get("lambda")))


def _told(value: _Value | None) -> str:
    if value is None:
        return "–"
    return f"{marks.short(value[0])} {marks.bounds(value[1], value[2])}".strip()
