"""Drift of activations by layer, as a drawing of one curve with its band for each kind of place, and as numbers.

From the artifact `activation.drift_by_layer`; its fields stand in `afterburn_activation.drift_numbers.stored`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report.behaviour_curves import read

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

ARTIFACT = "activation.drift_by_layer"
WIDTH, HEIGHT = 760.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 10.0, 10.0, 38.0
"""The drawing of curves and the room around it."""
MOST_SITES = 400
PLACES = {
    "all": "All tokens",
    "first": "First tokens of a text",
    "mean": "Mean vector of a passage",
    "last": "Last token of a prompt",
}
_COLUMNS = (
    ("relative", "all", "‖δ‖ / mean length"),
    ("cosine_distance", "all", "1 − cos"),
    ("log_norm_ratio", "all", "ln length ratio"),
    ("relative", "last", "last prompt token"),
    ("centred_cosine_distance", "mean", "1 − centred cos"),
    ("cka", "mean", "CKA"),
    ("mean_shift", "mean", "mean shift d′"),
)


@attrs.frozen(kw_only=True)
class Line:
    """One curve of a drawing by layer."""

    label: str
    kind: str
    """Class of the drawing."""
    line: str
    band: str = ""


@attrs.frozen(kw_only=True)
class Chart:
    """Curves over layers and their axes."""

    lines: tuple[Line, ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    zero: float | None = None
    """Height of the line at 0, where values have a sign."""


@attrs.frozen(kw_only=True)
class Drift:
    """The drawing, and the numbers behind it."""

    chart: Chart | None
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """Site, and value and interval of each column."""
    domains: tuple[tuple[str, str, str, str], ...]
    """Domain, units, the site with the largest drift and the drift there."""
    problem: str | None

    def __bool__(self) -> bool:
        return self.chart is not None


def drift(view: ResultView) -> Drift:
    """The drift of the run, as far as its artifact holds it."""
    content, problem = read(view, ARTIFACT)
    content = marks.row_of(content)
    found = content.get("sites")
    sites = [str(site) for site in found[:MOST_SITES]] if isinstance(found, list) else []
    metrics = marks.row_of(content.get("metrics"))
    relative = marks.row_of(metrics.get("relative"))
    curves: list[tuple[str, str, Sequence[float | None], Sequence[float | None], Sequence[float | None]]] = []
    for place, label in PLACES.items():
        lists = marks.row_of(relative.get(place))
        value, low, high = (marks.column(lists, key, len(sites)) for key in ("value", "low", "high"))
        if any(v is not None for v in value):
            curves.append((label, place, value, low, high))
        if place == "all":
            for name, values in sorted(marks.row_of(lists.get("controls")).items()):
                column = marks.column({"": values}, "", len(sites))
                label = f"Control: {marks.shortened(str(name).removeprefix('control:'), 40)}, all tokens"
                curves.append((label, "control", column, [None] * len(sites), [None] * len(sites)))
    if not sites or not curves:
        return Drift(chart=None, columns=(), rows=(), domains=(), problem=problem)
    columns = [(metric, place, label) for metric, place, label in _COLUMNS if _any(metrics, metric, place, len(sites))]
    rows = [
        (site_name(site), tuple(_cell(metrics, metric, place, i, len(sites)) for metric, place, _ in columns))
        for i, site in enumerate(sites)
    ]
    return Drift(
        chart=chart(sites, curves),
        columns=tuple(label for _, _, label in columns),
        rows=tuple(rows),
        domains=_domains(content, sites),
        problem=None,
    )


def chart(
    sites: Sequence[str],
    curves: Sequence[tuple[str, str, Sequence[float | None], Sequence[float | None], Sequence[float | None]]],
) -> Chart | None:
    """Curves (label, kind, value, low, high) over sites; `None` without a number."""
    ends = [v for _, _, *lists in curves for one in lists for v in one if v is not None]
    if not ends:
        return None
    scale = _Scale(count=len(sites), low=min(0.0, *ends), high=max(0.0, *ends))
    lines = tuple(_line(label, kind, value, low, high, scale) for label, kind, value, low, high in curves)
    return Chart(
        lines=lines,
        across=scale.across(sites),
        up=scale.up(),
        zero=scale.y(0.0) if scale.low < 0 < scale.high else None,
    )


_PLACES = {
    "in": "Input of block {}",
    "attn.heads": "Heads of block {}",
    "attn.out": "Attention of block {}",
    "mid": "Middle of block {}",
    "mlp.normed": "MLP input of block {} before the norm's gain",
    "mlp.in": "MLP input of block {}",
    "mlp.out": "MLP of block {}",
    "out": "Block {}",
}


def site_name(site: str) -> str:
    """`Block 3`, `Heads of block 3`, `Embedding`, `Final norm`; any other name as it is."""
    named = {"embed": "Embedding", "final_norm": "Final norm"}
    blocks, number, place = (*site.split(".", 2), "", "")[:3]
    if blocks == "blocks" and place in _PLACES:
        return _PLACES[place].format(marks.shortened(number, 8))
    return named.get(site, marks.shortened(site, 40))


def beside_site(site: str) -> str:
    """`after block 3`, `at the MLP input of block 3`."""
    name = site_name(site)
    name = name if name[1:2].isupper() else name[:1].lower() + name[1:]
    inside = site.startswith("blocks.") and site.count(".") > 1
    how = "in the" if site.endswith(".mid") else "at the" if inside and site.endswith((".in", ".normed")) else "after"
    return f"{how} {name}"


@attrs.frozen(kw_only=True)
class _Scale:
    """Sites along, values upwards."""

    count: int
    low: float
    high: float

    def x(self, i: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (i / max(self.count - 1, 1))

    def y(self, value: float) -> float:
        span = 1.04 * (self.high - self.low) or 1.0
        share = (value - self.low) / span
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(max(share, 0.0), 1.0)), 1)

    def across(self, sites: Sequence[str]) -> tuple[tuple[float, str], ...]:
        step = max(1, math.ceil(self.count / 16))
        shown = [i for i in range(self.count) if i % step == 0]
        return tuple((round(self.x(i), 1), _tick(sites[i])) for i in shown)

    def up(self) -> tuple[tuple[float, str], ...]:
        span = self.high - self.low or 1.0
        step = _nice(span / 4)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(1.04 * self.high / step + 1e-9)
        return tuple((self.y(k * step), marks.short(k * step, 2)) for k in range(first, last + 1))


def _line(
    label: str,
    kind: str,
    value: Sequence[float | None],
    low: Sequence[float | None],
    high: Sequence[float | None],
    scale: _Scale,
) -> Line:
    points = [f"{scale.x(i):.1f} {scale.y(v)}" for i, v in enumerate(value) if v is not None]
    sure = [(i, a, b) for i, (a, b) in enumerate(zip(low, high)) if a is not None and b is not None]
    band = ""
    if len(sure) > 1:
        up = [f"{scale.x(i):.1f} {scale.y(b)}" for i, _, b in sure]
        down = [f"{scale.x(i):.1f} {scale.y(a)}" for i, a, _ in reversed(sure)]
        band = f"M{'L'.join([*up, *down])}Z"
    return Line(label=label, kind=kind, line=f"M{'L'.join(points)}" if points else "", band=band)


def _any(metrics: Mapping[str, Any], metric: str, place: str, count: int) -> bool:
    lists = marks.row_of(marks.row_of(metrics.get(metric)).get(place))
    return any(v is not None for v in marks.column(lists, "value", count))


def _cell(metrics: Mapping[str, Any], metric: str, place: str, i: int, count: int) -> tuple[str, str]:
    lists = marks.row_of(marks.row_of(metrics.get(metric)).get(place))
    value, low, high = (marks.column(lists, key, count)[i] for key in ("value", "low", "high"))
    sign = metric == "log_norm_ratio"
    return (marks.signed(value) if sign else marks.short(value), marks.bounds(low, high, sign=sign))


def _domains(content: Mapping[str, Any], sites: Sequence[str]) -> tuple[tuple[str, str, str, str], ...]:
    found = []
    for name, row in sorted(marks.row_of(content.get("domains")).items()):
        row = marks.row_of(row)
        known = [(v, i) for i, v in enumerate(marks.column(row, "relative", len(sites))) if v is not None]
        if known:
            value, i = max(known, key=lambda pair: (pair[0], -pair[1]))
            n = marks.number_of(row.get("n"))
            units = "–" if n is None else f"{n:,.0f}"
            found.append((marks.shortened(str(name), 60), units, site_name(sites[i]), marks.short(value)))
    return tuple(found)


def _tick(site: str) -> str:
    name = site_name(site)
    return {"Embedding": "emb", "Final norm": "end"}.get(name, name.removeprefix("Block ")[:8])


def _nice(step: float) -> float:
    """1, 2 or 5 times a power of ten, not below `step`."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))
