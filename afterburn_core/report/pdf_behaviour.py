"""Behaviour's interactive charts as drawings: distribution of lengths, pass@k, reliability."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from afterburn_core.report import numbers
from afterburn_core.report.behaviour_curves import SIDES, Curves, Lengths
from afterburn_core.report.behaviour_views import BehaviourViews
from afterburn_core.report.pdf_frame import Axis, Chart, Line, draw, legend_of, linear, logarithmic

SCATTER = 400
"""Prompts in a scatter plot."""
_LENGTHS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 1_000_000, 10_000_000)


def behaviour_plots(behaviour: BehaviourViews) -> Mapping[str, tuple[Chart, ...]]:
    """Drawings by the id of the place that the HTML report's scripts fill."""
    found: dict[str, tuple[Chart, ...]] = {}
    if behaviour.lengths:
        found["length-plot"] = _lengths(behaviour.lengths)
    if behaviour.pass_at_k:
        points = [*behaviour.pass_at_k.base, *behaviour.pass_at_k.trained]
        x = logarithmic([point.x for point in points], title="attempts k")
        ks = sorted({point.x for point in points})
        x = attrs.evolve(x, ticks=tuple((k, f"{k:g}") for k in ks))
        found["pass-plot"] = (_curves(behaviour.pass_at_k, x, "Solved within k attempts", bars_=False),)
    if behaviour.reliability:
        x = linear([0.0, 1.0], low=0.0, high=1.0, show=numbers.percent, title="confidence")
        found["reliability-plot"] = (_curves(behaviour.reliability, x, "Right, by confidence", bars_=True),)
    return found


def _curves(curves: Curves, x: Axis, title: str, *, bars_: bool) -> Chart:
    lines = [Line(kind="even", points=[(0.0, 0.0), (1.0, 1.0)])] if bars_ else []
    for side in SIDES:
        points = getattr(curves, side)
        band = [(p.x, p.low, p.high) for p in points if p.low is not None and p.high is not None]
        lines.append(
            Line(kind=side, label=side, points=[(p.x, p.y) for p in points], dots="all", band=band, bars=bars_)
        )
    y = linear([0.0, 1.0], low=0.0, high=1.0, show=numbers.percent)
    return Chart(title=title, svg=draw(x, y, lines, label=title), legend=legend_of(lines))


def _lengths(lengths: Lengths) -> tuple[Chart, ...]:
    edges = [math.log1p(edge) for edge in lengths.edges]
    held = [k for k, pair in enumerate(zip(lengths.base, lengths.trained, strict=True)) if any(pair)]
    first = held[0] if held else 0
    last = held[-1] + 1 if held else len(edges) - 1
    ticks = tuple((math.log1p(n), f"{n:,}") for n in _LENGTHS if edges[first] <= math.log1p(n) <= edges[last])
    x = Axis(low=edges[first], high=edges[last], ticks=ticks, title=f"{lengths.unit} per answer")
    shares, sums = [], []
    for side in SIDES:
        counts = getattr(lengths, side)
        total = max(sum(counts), 1)
        stairs: list[tuple[float, float | None]] = []
        running, line = 0, [(edges[first], 0.0)]
        for k in range(first, last):
            stairs += [(edges[k], counts[k] / total), (edges[k + 1], counts[k] / total)]
            running += counts[k]
            line.append((edges[k + 1], running / total))
        shares.append(Line(kind=side, label=side, points=stairs))
        sums.append(Line(kind=side, label=side, points=line))
    tall = linear([v for line in shares for _, v in line.points], zero=True, show=numbers.percent)
    whole = linear([0.0, 1.0], low=0.0, high=1.0, show=numbers.percent)
    made = [
        Chart(
            title="Share of answers by length",
            svg=draw(x, tall, shares, label="Share of answers by length"),
            legend=legend_of(shares),
        ),
        Chart(
            title="Share of answers up to a length",
            svg=draw(x, whole, sums, label="Share of answers up to a length"),
            legend=legend_of(sums),
        ),
    ]
    if lengths.pairs:
        every = -(-len(lengths.pairs) // SCATTER)
        spots = [(math.log1p(b), math.log1p(t)) for b, t in lengths.pairs[::every]]
        own = attrs.evolve(x, title=f"base, {lengths.unit}")
        lines = [
            Line(kind="even", points=[(x.low, x.low), (x.high, x.high)]),
            Line(kind="prompt", points=spots, dots="only"),
        ]
        note = "Mean length of each prompt's answers; above the dotted line trained writes more."
        if every > 1:
            note += f" {len(spots):,} of {len(lengths.pairs):,} prompts, evenly taken."
        svg = draw(own, attrs.evolve(x, title=""), lines, label="Lengths by prompt, trained against base")
        made.append(Chart(title="Trained against base, by prompt", svg=svg, note=note))
    return tuple(made)
