"""Maps of attention heads: one metric by layer and head, for each product or projection it was measured on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from afterburn_core.report.grids import Row, row_label, row_of, row_order
from afterburn_core.result.model import Measurement

PROJECTIONS = ("", "q", "k", "v", "o", "qk", "ov")
_PRODUCTS = frozenset({"qk", "ov"})
_FULL = 0.5
"""A map with a smaller share of the fullest one's cells is a list of a few heads, not a map."""

Place = tuple[Row, int]


@attrs.define
class HeadMap:
    """One metric of one kind of projection by layer and head."""

    metric: str
    figure: str
    """The metric without the name of a product of projections, so that `x.relative` and `x.qk.relative` go together."""
    subjects: tuple[str, ...]
    projection: str
    """q, k, v, o, qk, ov or what else the plugin says; empty where a head is measured as a whole."""
    cells: dict[Place, Measurement] = attrs.field(factory=dict)
    tensors: dict[Place, int] = attrs.field(factory=dict)
    """How many measurements fell on a place, where more than one did: decoders also attend to their encoder."""

    def add(self, item: Measurement) -> None:
        """Places one measurement whose scope names a layer and a head; of several the largest stays."""
        place = (row_of(item.scope), item.scope.head or 0)
        known = self.cells.get(place)
        if known is not None:
            self.tensors[place] = self.tensors.get(place, 1) + 1
        if known is None or known.value is None or (item.value is not None and abs(item.value) > abs(known.value)):
            self.cells[place] = item

    def chart(self) -> dict[str, Any]:
        """The map as plain lists, values to four digits: `values[row][head]`, `null` where nothing is defined.

        `undefined` gives the cells that were measured without a value, as `row,head` to an index into `reasons`;
        `several` those that are the largest of so many.
        """
        rows = sorted({row for row, _ in self.cells}, key=row_order)
        heads = sorted({head for _, head in self.cells})
        reasons: dict[str, int] = {}
        missing: dict[str, int] = {}
        values: list[list[float | None]] = []
        for i, row in enumerate(rows):
            line = [self.cells.get((row, head)) for head in heads]
            values.append([None if cell is None or cell.value is None else short(cell.value) for cell in line])
            for j, cell in enumerate(line):
                if cell is not None and cell.value is None:
                    missing[f"{i},{j}"] = reasons.setdefault(cell.reason or "no reason given", len(reasons))
        several = {f"{rows.index(row)},{heads.index(head)}": n for (row, head), n in self.tensors.items()}
        return {
            "rows": [row_label(row) for row in rows],
            "columns": [str(head) for head in heads],
            "values": values,
            "undefined": missing,
            "reasons": list(reasons),
            "several": several,
        }


@attrs.frozen(kw_only=True)
class HeadCharts:
    """The maps that fit the page."""

    maps: tuple[tuple[HeadMap, dict[str, Any]], ...]
    left_out: tuple[str, ...]
    """Metrics whose maps were too many, in the order they were left out."""


def collect_head(maps: dict[tuple[str, tuple[str, ...], str], HeadMap], item: Measurement) -> None:
    """Adds a measurement of one head to its map, which is made when first met."""
    words = item.metric.split(".")
    products = [word for word in words if word in _PRODUCTS]
    projection = item.scope.module or "".join(products)
    if item.scope.site is not None:
        projection = f"{projection} {item.scope.site}".strip()
    key = (item.metric, item.subjects, projection)
    if key not in maps:
        figure = ".".join(word for word in words if word not in _PRODUCTS)
        maps[key] = HeadMap(metric=item.metric, figure=figure, subjects=item.subjects, projection=projection)
    maps[key].add(item)


def short(value: float) -> float:
    """The value to four significant digits: enough for a colour and a label, half the bytes."""
    return float(f"{value:.4g}")


def order(maps: Sequence[HeadMap], contrast: tuple[str, ...]) -> list[HeadMap]:
    """The maps of the contrast first, relative changes before other metrics, projections as attention uses them."""
    return sorted(
        maps,
        key=lambda m: (m.subjects != contrast, not m.figure.endswith("relative"), m.figure, m.subjects, _place(m)),
    )


def charts(maps: Sequence[HeadMap], *, max_bytes: int) -> HeadCharts:
    """As many maps, in their order, as fit into `max_bytes` of the page; lists of a few heads are no maps."""
    fullest: dict[str, int] = {}
    for one in maps:
        fullest[one.projection] = max(fullest.get(one.projection, 0), len(one.cells))
    kept: list[tuple[HeadMap, dict[str, Any]]] = []
    left_out: dict[str, None] = {}
    room = max_bytes
    for one in maps:
        if len(one.cells) < _FULL * fullest[one.projection]:
            continue
        chart = one.chart()
        room -= len(json.dumps(chart, separators=(",", ":")))
        if room < 0 and kept:
            left_out[one.metric] = None
        else:
            kept.append((one, chart))
    return HeadCharts(maps=tuple(kept), left_out=tuple(left_out))


def ranking(maps: Sequence[HeadMap], *, limit: int) -> tuple[tuple[str, Measurement], ...]:
    """Projection and measurement of the heads with the largest value of the first figure; unchanged ones left out."""
    if not maps:
        return ()
    first = (maps[0].figure, maps[0].subjects)
    pool = [
        (one.projection, cell)
        for one in maps
        if (one.figure, one.subjects) == first
        for cell in one.cells.values()
        if cell.value
    ]
    return tuple(sorted(pool, key=lambda entry: -abs(entry[1].value or 0.0))[:limit])


def beside(maps: Sequence[HeadMap], projection: str, item: Measurement) -> tuple[Measurement, ...]:
    """Everything measured of the same head for the same subjects, in the order of the maps."""
    place = (row_of(item.scope), item.scope.head or 0)
    fitting = (one for one in maps if one.projection == projection and one.subjects == item.subjects)
    return tuple(one.cells[place] for one in fitting if place in one.cells)


def _place(one: HeadMap) -> tuple[int, str]:
    name = one.projection.lower()
    return PROJECTIONS.index(name) if name in PROJECTIONS else len(PROJECTIONS), name
