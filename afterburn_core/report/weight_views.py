"""What the page shows of the weights beyond the size of the change, gathered once for all its sections.

Every part is empty where the run has no data for it, and the page then has no such section.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import heads as head_maps
from afterburn_core.report import numbers
from afterburn_core.report.evidence import RELATIVE, Evidence
from afterburn_core.report.pivots import Entry, Pivot, Row, columns_of, entry, pivot
from afterburn_core.report.presentation import place, shown, who
from afterburn_core.report.spectra import ARTIFACT, Spectra, is_spectral, spectra
from afterburn_core.report.tokens import Shown, directions, tokens
from afterburn_core.result.model import Measurement

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

_MATRIX = (
    RELATIVE,
    "weight.delta.stable_rank",
    "weight.delta.effective_rank",
    "weight.noise.spikes",
    "weight.noise.edge",
    "weight.tail.alpha",
)
_SPECTRAL_FIRST = _MATRIX[1:]
_SHARE = "weight.adapter.share"
_ADAPTER_FIRST = (_SHARE, *(f"weight.adapter.{name}" for name in ("rank", "used_rank", "rank_use", "scaling", "norm")))
_FAINT = 1e-3
"""Likelihoods are no finer than this."""
_LIKELY = ("likelihood", "probability")


@attrs.frozen(kw_only=True)
class ViewLimits:
    """How much of each view a page carries."""

    spectra_bytes: int = 200_000
    heads_bytes: int = 250_000
    rows: int = 12
    """Matrices, heads and directions in the tables below the charts."""
    tokens: int = 25
    modules: int = 30
    """Modules of an adapter."""


@attrs.frozen(kw_only=True)
class Update:
    """What kind of update the weights look like, and from what that is read."""

    likelihoods: tuple[tuple[str, Entry], ...]
    """Kinds of update, the likeliest first."""
    evidence: tuple[tuple[str, Entry], ...]


@attrs.frozen(kw_only=True)
class WeightViews:
    """Spectra, heads, tokens, directions, adapter and kind of update."""

    spectra: Spectra
    spectral: tuple[int, ...]
    """Places in `evidence.grids` of the metrics of spectra."""
    matrices: Pivot | None
    heads: head_maps.HeadCharts
    top_heads: Pivot | None
    tokens: Shown
    directions: Shown
    adapter: Pivot | None
    update: Update | None

    def figures(self, evidence: Evidence) -> dict[str, Any]:
        """The numbers behind the charts, for the page's scripts."""
        maps = []
        for one, chart in self.heads.maps:
            descriptor = evidence.metrics.get(one.metric)
            unit = descriptor.unit if descriptor else "1"
            maps.append(
                {
                    "metric": one.metric,
                    "subjects": who(one.subjects),
                    "figure": one.figure,
                    "projection": one.projection,
                    "summary": descriptor.summary if descriptor else "",
                    "unit": unit,
                    "share": numbers.is_share(one.metric, unit),
                    **chart,
                }
            )
        return {"heads": maps, "spectra": self.spectra.packed(), "spectral": list(self.spectral)}


def weight_views(view: ResultView, evidence: Evidence, limits: ViewLimits) -> WeightViews:
    """Everything the sections of the weights need; reads the artifacts it shows and nothing else."""
    maps = head_maps.order(evidence.heads, evidence.contrast)
    return WeightViews(
        spectra=spectra(view, evidence, max_bytes=limits.spectra_bytes),
        spectral=_spectral(evidence),
        matrices=_matrices(view, evidence, limits.rows),
        heads=head_maps.charts(maps, max_bytes=limits.heads_bytes),
        top_heads=_top_heads(maps, evidence, limits.rows),
        tokens=tokens(view, limit=limits.tokens),
        directions=directions(view, limit=limits.rows),
        adapter=_adapter(view, evidence, limits.modules),
        update=_update(view, evidence),
    )


def summary_lines(view: ResultView, evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """One line per view for formats without charts: its name and what it shows, as plain text of the document."""
    return tuple(_lines(view, evidence))


def _lines(view: ResultView, evidence: Evidence) -> Iterator[tuple[str, str]]:
    update = _update(view, evidence)
    if update is not None and update.likelihoods:
        yield (
            "Kind of update",
            ", ".join(f"{name} {likely.value}" for name, likely in update.likelihoods[:3] if likely.measured.value),
        )
    ranks = sorted(_measured(view, evidence, _SPECTRAL_FIRST[0]), key=lambda item: item.value or 0.0)
    if ranks:
        low, high = ranks[0], ranks[-1]
        many = numbers.count(len(ranks), "matrix", "matrices")
        text = f"stable rank of the change from {_at(low)} to {_at(high)}, {many}"
        spiked = [item for item in _measured(view, evidence, "weight.noise.spikes") if item.value]
        if spiked:
            most = max(spiked, key=lambda item: item.value or 0.0)
            text += f"; spikes above the noise in {len(spiked):,}, most: {_at(most)}"
        artifact = view.artifact(ARTIFACT)
        yield "Spectra", text + (f"; every singular value in {artifact.path}" if artifact else "")
    top = head_maps.ranking(head_maps.order(evidence.heads, evidence.contrast), limit=3)
    if top:
        listed = ", ".join(f"{_head(projection, item)} {shown(item, evidence)}" for projection, item in top)
        yield "Heads", f"largest change in {listed}"
    moves = tokens(view, limit=5)
    for table in moves.tables:
        moved = ", ".join(f"{token.text} {token.relative}" for token in table.moved)
        counts = f"{table.added_total:,} added, {table.removed_total:,} removed"
        yield "Tokens", f"{table.title}: {f'most moved {moved}; ' if moved else ''}{counts}"
    read = directions(view, limit=1, words=5)
    for direction in read.directions:
        yield "Directions", f"{direction.tensor}: {' '.join(direction.plus)} against {' '.join(direction.minus)}"
    adapter = _adapter(view, evidence, 1)
    if adapter is not None:
        yield "Adapter", f"{numbers.count(adapter.total, 'module')} measured"
    yield from ((name, part.problem) for name, part in (("Tokens", moves), ("Directions", read)) if part.problem)


def _top_heads(maps: Sequence[head_maps.HeadMap], evidence: Evidence, limit: int) -> Pivot | None:
    """The heads with the largest value of the first figure, and whatever else was measured of them."""
    top = head_maps.ranking(maps, limit=limit)
    if not top:
        return None
    figures = {one.metric: one.figure for one in maps}
    rows = [(name, item, head_maps.beside(maps, name, item)) for name, item in top]
    known = {figures[found.metric] for _, _, items in rows for found in items}
    columns = [figure for figure in dict.fromkeys(figures.values()) if figure in known]
    return Pivot(
        columns=columns_of([(figure, evidence.contrast) for figure in columns], evidence),
        rows=tuple(
            Row(place=_head(name, item), entries=tuple(_under(columns, figures, items, evidence)))
            for name, item, items in rows
        ),
        total=len(rows),
    )


def _under(
    columns: Sequence[str], figures: Mapping[str, str], items: Sequence[Measurement], evidence: Evidence
) -> Iterator[Entry | None]:
    by_figure = {figures[item.metric]: item for item in items}
    return (entry(by_figure.get(figure), evidence) for figure in columns)


def _head(projection: str, item: Measurement) -> str:
    scope = item.scope
    name = projection.upper() if projection in ("qk", "ov") else projection
    words = (scope.subset, f"layer {scope.layer}", name, f"head {scope.head}")
    return " · ".join(word for word in words if word)


def _at(item: Measurement) -> str:
    return f"{numbers.number(item.value or 0.0)} ({place(item.scope)})"


def _measured(view: ResultView, evidence: Evidence, metric: str) -> list[Measurement]:
    found = view.measurements(metric, scope_has=("tensor",), subjects=evidence.contrast)
    return [item for item in found if item.value is not None and item.scope.head is None]


def _spectral(evidence: Evidence) -> tuple[int, ...]:
    chosen = [k for k, grid in enumerate(evidence.grids) if is_spectral(grid.metric)]
    return tuple(sorted(chosen, key=lambda k: (_rank(evidence.grids[k].metric, _SPECTRAL_FIRST), k)))


def _rank(metric: str, known: tuple[str, ...]) -> int:
    return known.index(metric) if metric in known else len(known)


def _matrices(view: ResultView, evidence: Evidence, limit: int) -> Pivot | None:
    """The most changed matrices; `None` unless something of a spectrum was measured of one."""
    found = [
        item
        for metric in _MATRIX
        for item in view.measurements(metric, scope_has=("tensor",))
        if item.scope.head is None and (item.subjects == evidence.contrast or metric == "weight.tail.alpha")
    ]
    spectral = {item.scope.tensor for item in found if item.metric != RELATIVE and item.value is not None}
    first = [str(item.scope.tensor) for item in evidence.most_changed if item.scope.tensor in spectral]
    shown_here = [item for item in found if item.scope.tensor in first]
    defined = {(item.metric, item.subjects) for item in shown_here if item.value is not None}
    kept = [item for item in shown_here if (item.metric, item.subjects) in defined]
    made = pivot(kept, evidence, limit=limit, columns=lambda metric: _rank(metric, _MATRIX), first=first)
    return None if made is None else attrs.evolve(made, total=len(spectral))


def _adapter(view: ResultView, evidence: Evidence, limit: int) -> Pivot | None:
    """Modules of an adapter, those that contribute most first."""
    items = [item for item in _family(view, evidence, "weight.adapter.") if item.scope.tensor is not None]
    shares = [item for item in items if item.metric == _SHARE and item.value is not None]
    first = [place(item.scope) for item in sorted(shares, key=lambda item: -(item.value or 0.0))]
    return pivot(items, evidence, limit=limit, columns=lambda m: (_rank(m, _ADAPTER_FIRST), m), first=first)


def _update(view: ResultView, evidence: Evidence) -> Update | None:
    items = [
        item
        for item in _family(view, evidence, "weight.update.")
        if item.scope.tensor is None and item.scope.layer is None and item.scope.module is None
    ]
    if not items:
        return None
    likely = [item for item in items if any(word in item.metric for word in _LIKELY)]
    ordered = sorted(likely, key=lambda item: -(item.value if item.value is not None else -1.0))
    rest = (entry(item, evidence) for item in items if item not in likely)
    return Update(
        likelihoods=tuple(_kinds(ordered, evidence)),
        evidence=tuple((_words(cell.measured), _in_percent(cell, evidence)) for cell in rest if cell is not None),
    )


def _kinds(items: Iterable[Measurement], evidence: Evidence) -> Iterator[tuple[str, Entry]]:
    for item in items:
        cell = entry(item, evidence)
        if cell is not None and item.value is not None:
            share = (
                numbers.percent(item.value)
                if item.value >= _FAINT or not item.value
                else f"< {numbers.percent(_FAINT)}"
            )
            cell = attrs.evolve(cell, value=share)
        if cell is not None:
            yield _words(item), cell


def _words(item: Measurement) -> str:
    """The named part that a measurement speaks of, else the metric's last word, as a person would write it."""
    words = (item.scope.subset or item.metric.rsplit(".", 1)[-1]).replace("_", " ")
    words = words.replace("fine tuning", "fine-tuning").replace("rl like", "RL-like")
    return words[:1].upper() + words[1:]


def _in_percent(cell: Entry, evidence: Evidence) -> Entry:
    descriptor = evidence.metrics.get(cell.measured.metric)
    value = cell.measured.value
    share = value is not None and descriptor is not None and (descriptor.low, descriptor.high) == (0, 1)
    return attrs.evolve(cell, value=numbers.percent(value or 0.0)) if share else cell


def _family(view: ResultView, evidence: Evidence, prefix: str) -> list[Measurement]:
    return [item for metric in evidence.metrics if metric.startswith(prefix) for item in view.measurements(metric)]
