"""The report's interactive charts in the one form that paper has: what each shows first, drawn as lines and maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.report import numbers
from afterburn_core.report.evidence import RELATIVE, Evidence
from afterburn_core.report.pdf_frame import Chart, Line, draw, legend_of, linear, logarithmic
from afterburn_core.report.pdf_maps import HALF, WHOLE, bars, heat_map
from afterburn_core.report.series import Place, Series
from afterburn_core.report.spectra import Spectra, is_spectral
from afterburn_core.report.weight_views import WeightViews

_SIZE_MAPS = ("changed_fraction", "cosine_distance", "norm", "max_abs", "rounding.ratio", "norms.relative")
"""Metrics of the size of a change that paper shows beside the relative one, by the ends of their names."""
MAPS, CURVES = 6, 6
"""Drawings of one kind."""
_SIDES = {"base": "W, base", "trained": "W′, trained", "delta": "Δ = W′ − W"}


@attrs.frozen(kw_only=True)
class Charts:
    """Drawings of one section, and the names of what is not drawn."""

    whole: tuple[Chart, ...] = ()
    """Over the width of the page."""
    halves: tuple[Chart, ...] = ()
    """Two beside each other."""
    left_out: tuple[str, ...] = ()


def size_maps(evidence: Evidence, views: WeightViews) -> Charts:
    """Maps of how much changed by layer and module: the relative change large, others small."""
    ours = [
        (k, grid)
        for k, grid in enumerate(evidence.grids)
        if k not in views.spectral and not grid.metric.startswith(("activation.", "sae."))
    ]
    first = next((grid for _, grid in ours if grid.metric == RELATIVE), ours[0][1] if ours else None)
    if first is None:
        return Charts()
    chart, share = first.chart(), _is_share(first.metric, evidence)
    whole = (_map(first.metric, chart, share, evidence, WHOLE),) if chart["rows"] else ()
    sides = []
    for key, name in (("by_layer", "layer"), ("by_module", chart["across"])):
        if len(chart[key]["labels"]) > 1:
            note = "The largest value found there." if chart[key]["derived"] else ""
            sides.append(bars(f"{first.metric} by {name}", chart[key], share=share, note=note))
    rest: list[Chart] = []
    left: list[str] = []
    ranked = sorted(ours, key=lambda entry: _rank(entry[1].metric))
    for _, grid in ranked:
        if grid is first or grid.subjects != evidence.contrast:
            continue
        made = grid.chart()
        if len(made["rows"]) < 2 or len(made["columns"]) < 2:
            continue
        if len(rest) < MAPS - 2 and _rank(grid.metric) < len(_SIZE_MAPS):
            rest.append(_map(grid.metric, made, _is_share(grid.metric, evidence), evidence, HALF))
        else:
            left.append(grid.metric)
    return Charts(whole=whole, halves=(*sides, *rest), left_out=tuple(dict.fromkeys(left)))


def spectral_maps(evidence: Evidence, views: WeightViews) -> Charts:
    """Maps of what the spectra of the change look like."""
    grids = [evidence.grids[k] for k in views.spectral]
    made: list[Chart] = []
    left: list[str] = []
    for grid in grids:
        if grid.subjects != evidence.contrast:
            continue
        chart = grid.chart()
        if len(made) < MAPS and len(chart["rows"]) > 1 and len(chart["columns"]) > 1:
            made.append(_map(grid.metric, chart, _is_share(grid.metric, evidence), evidence, HALF))
        else:
            left.append(grid.metric)
    return Charts(halves=tuple(made), left_out=tuple(dict.fromkeys(name for name in left if is_spectral(name))))


def head_maps(evidence: Evidence, views: WeightViews) -> Charts:
    """Maps of attention heads, every projection of the first figure before the others."""
    made: list[Chart] = []
    left: list[str] = []
    for one, chart in views.heads.maps:
        if len(made) >= MAPS or one.subjects != evidence.contrast:
            left.append(one.figure)
            continue
        states = [[0 if v is None else 1 for v in line] for line in chart["values"]]
        for cell in chart["undefined"]:
            i, j = map(int, cell.split(","))
            states[i][j] = 2
        of = one.projection.upper() if one.projection in ("qk", "ov") else one.projection or "whole head"
        title = f"{one.figure}, {of}"
        share = _is_share(one.metric, evidence)
        made.append(heat_map(title, {**chart, "states": states}, share=share, width=HALF, across="head"))
    drawn = {one.figure for one, _ in views.heads.maps[:MAPS]}
    return Charts(
        halves=tuple(made), left_out=tuple(dict.fromkeys(n for n in (*left, *views.heads.left_out) if n not in drawn))
    )


def spectrum_curves(spectra: Spectra, evidence: Evidence) -> Charts:
    """Singular values of the most changed matrices, both axes logarithmic."""
    ranked = [spectra.start, *(str(item.scope.tensor) for item in evidence.most_changed)]
    known = {entry["name"]: entry for entry in spectra.tensors}
    names = list(dict.fromkeys(name for name in (*ranked, *known) if name in known))[:CURVES]
    return Charts(halves=tuple(_spectrum(known[name], spectra.ladder) for name in names))


def _spectrum(entry: Mapping[str, Any], ladder: Sequence[int]) -> Chart:
    lines, values, last = [], [], 2.0
    for side, label in _SIDES.items():
        curve = entry["curves"].get(side)
        if not curve or not curve["known"]:
            continue
        ranks = [*(rank for rank in ladder if rank < curve["known"]), curve["known"]]
        points = [(float(rank), value) for rank, value in zip(ranks, curve["values"], strict=False)]
        lines.append(Line(kind=side, label=label, points=points, dots="all" if len(points) < 3 else "none"))
        values += [value for _, value in points]
        last = max(last, float(ranks[-1]))
    edge = entry.get("edge", {}).get("delta")
    if edge:
        lines.append(Line(kind="edge", label="edge of the noise", points=[(1.0, edge), (last, edge)]))
    x, y = logarithmic([1.0, last], title="rank"), logarithmic(values)
    told = [
        f"{word} {numbers.number(value)}"
        for word, value in (
            ("stable rank of Δ", entry.get("stable_rank", {}).get("delta")),
            ("spikes", entry.get("spikes", {}).get("delta")),
            ("α of trained", entry.get("alpha", {}).get("trained")),
        )
        if value is not None
    ]
    svg = draw(x, y, lines, label=f"Singular values of {entry['name']} by rank")
    return Chart(title=entry["name"], svg=svg, legend=legend_of(lines), note=", ".join(told))


def series_charts(series: Series) -> Charts:
    """How a trajectory moved, or how candidates relate."""
    return _trajectory(series) if series.kind == "trajectory" else _candidates(series)


def _trajectory(series: Series) -> Charts:
    steps, whole = series.steps, series.whole
    x = linear([0.0, *steps], zero=True, title="training step")
    relative = Line(kind="trained", points=[(0.0, 0.0), *_pairs(steps, whole.lines["relative"])], dots="all")
    marks = [
        (value, name)
        for name, value in (("onset", whole.facts["onset_step"]), ("change point", whole.facts["change_point"]))
        if value is not None
    ]
    y = linear([value for _, value in relative.points], zero=True, show=numbers.percent)
    made = [Chart(title="‖Δ‖ / ‖W‖, the size of the change", svg=draw(x, y, [relative], label="Size", marks=marks))]
    losses = list(_losses(series))
    if losses:
        y = linear([value for line in losses for _, value in line.points])
        svg = draw(x, y, losses, label="Loss by training step")
        made.append(Chart(title="Loss, as the trainer logged it", svg=svg, legend=legend_of(losses)))
    turns = [
        Line(kind="delta", label="step cosine", points=_pairs(steps, whole.lines["step_cosine"]), dots="all"),
        Line(kind="trained", label="cosine to the final change", points=_pairs(steps, whole.lines["cosine_to_final"])),
    ]
    low = -1.0 if any(value is not None and value < 0 for line in turns for _, value in line.points) else 0.0
    svg = draw(x, linear([low, 1.0], low=low, high=1.0), turns, label="Direction by training step")
    made.append(Chart(title="Direction", svg=svg, legend=legend_of(turns)))
    layers = series.layers
    whole_maps = (_layers(series, layers),) if len(layers) > 1 else ()
    return Charts(whole=whole_maps, halves=tuple(made))


def _layers(series: Series, layers: Sequence[Place]) -> Chart:
    rows = []
    for place in layers:
        last = place.lines["norm"][-1]
        rows.append([None if value is None or not last else (value / last) ** 2 for value in place.lines["norm"]])
    grid = {
        "rows": [place.name.removeprefix("layer ") for place in layers],
        "columns": [numbers.number(step) for step in series.steps],
        "values": rows,
    }
    found = [(i, series.steps.index(at)) for i, p in enumerate(layers) if (at := p.facts["onset_step"]) in series.steps]
    return heat_map(
        "Share of the final change, by layer",
        grid,
        share=True,
        across="training step",
        flip=False,
        marks=found,
        note="Energy ‖Δ‖² over that of the last checkpoint. A mark shows the first checkpoint with a tenth of it.",
    )


def _losses(series: Series) -> Iterator[Line]:
    for name, kind, label in (("loss", "delta", "loss"), ("eval_loss", "edge", "evaluation loss")):
        points: list[tuple[float, float | None]] = [(row["step"], row[name]) for row in series.log if name in row]
        if not points:
            values = series.whole.lines.get(name, [])
            points = [(x, y) for x, y in _pairs(series.steps, values) if y is not None]
        if points:
            yield Line(kind=kind, label=label, points=points)


def _candidates(series: Series) -> Charts:
    names = [f"{i + 1} {label}" for i, label in enumerate(series.labels)]
    made = []
    for key, title, low in (
        ("cosine", "Cosine of the changes", -1.0),
        ("sign_agreement", "Agreement of signs", 0.0),
        ("subspace_left", "Shared left subspaces", 0.0),
        ("subspace_right", "Shared right subspaces", 0.0),
    ):
        matrix = series.whole.pairs[key]
        if any(value is not None for i, line in enumerate(matrix) for value in line[:i]):
            grid = {"rows": names, "columns": [str(i + 1) for i in range(len(names))], "values": matrix}
            made.append(heat_map(title, grid, width=HALF, down="", flip=False, between=(low, 1.0)))
    return Charts(halves=tuple(made))


def _map(metric: str, chart: Mapping[str, Any], share: bool, evidence: Evidence, width: int) -> Chart:
    descriptor = evidence.metrics.get(metric)
    made = heat_map(metric, chart, share=share, width=width)
    words = [
        descriptor.summary.rstrip(".") + "." if descriptor and descriptor.summary and width == WHOLE else "",
        made.note,
    ]
    if width == WHOLE and any(n > 1 for line in chart["tensors"] for n in line):
        words.append("Where a place holds several tensors, the cell shows the largest of them.")
    return attrs.evolve(made, note=" ".join(word for word in words if word))


def _is_share(metric: str, evidence: Evidence) -> bool:
    descriptor = evidence.metrics.get(metric)
    return numbers.is_share(metric, descriptor.unit if descriptor else "1")


def _rank(metric: str) -> int:
    return next((k for k, end in enumerate(_SIZE_MAPS) if metric.endswith(end)), len(_SIZE_MAPS))


def _pairs(steps: Sequence[float], values: Sequence[float | None]) -> list[tuple[float, float | None]]:
    return list(zip(steps, values, strict=False))
