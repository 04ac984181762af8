"""The places that training changed, by layer and part; sets of them, their halves, and what people call them.

A *cell* holds the changed parameters of one layer and one part: attention, MLP, or the rest (norms and what belongs to
neither). What lies outside the layers makes cells of its own: the embeddings before them, the final norm and the head
behind them. Cells stand in the order of the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import attrs

from afterburn_core.forward.live import Part, Place

Column = Literal["attention", "mlp", "rest"]
MOST_ROWS, MOST_CELLS = 16, 24
"""So many layers, or cells, are tried one by one."""
COLUMNS: tuple[Column, ...] = ("attention", "mlp", "rest")
COLUMN_WORDS: dict[Column, str] = {"attention": "attention", "mlp": "MLP", "rest": "norms and others"}
_OUTSIDE: dict[Part, tuple[int, str]] = {
    "embed": (-1, "embeddings"),
    "norm": (1, "final norm"),
    "head": (2, "output head"),
    "attention": (3, "attention outside the layers"),
    "mlp": (3, "MLP outside the layers"),
    "other": (3, "others outside the layers"),
}
"""Where a part that belongs to no layer stands, before or behind the layers, and its name."""


@attrs.frozen(kw_only=True)
class Cell:
    """The changed places of one layer and one part, or of one part outside the layers."""

    layer: int | None
    column: Column
    name: str | None
    """Of a part outside the layers; `None` inside."""
    places: tuple[Place, ...] = attrs.field(repr=False)

    @property
    def parameters(self) -> int:
        return sum(math.prod(place.shape) for place in self.places)

    @property
    def energy(self) -> float:
        """‖Δ‖_F² over the places."""
        return sum(place.norm**2 for place in self.places)


Cells: TypeAlias = tuple[Cell, ...]
"""A set of cells, in the order of the network."""
Partition: TypeAlias = tuple[Cells, ...]


def cells_of(places: Iterable[Place]) -> Cells:
    """The cells of all changed places."""
    grouped: dict[tuple[int | None, str], list[Place]] = {}
    for place in places:
        grouped.setdefault((place.layer, _column(place.part) if place.layer is not None else place.part), []).append(
            place
        )
    cells = []
    for (layer, part), members in grouped.items():
        outside = _OUTSIDE[members[0].part][1] if layer is None else None
        column: Column = "rest" if layer is None else part  # type: ignore[assignment]
        cells.append(Cell(layer=layer, column=column, name=outside, places=tuple(members)))
    return tuple(sorted(cells, key=_order))


def names_of(cells: Iterable[Cell]) -> frozenset[str]:
    """Names of all places of the cells."""
    return frozenset(place.name for cell in cells for place in cell.places)


def partitions(cells: Cells) -> Iterator[tuple[str, Partition]]:
    """Ever finer divisions of a set, and what a block of each is called: halves of the layers, parts, quarters and
    eighths of the layers, layers, cells.

    Divisions into a single block, those that came before, and those into very many blocks are left out: an effect that
    needs more than six eighths of the layers is not concentrated in a few of them.
    """
    rows = _rows(cells)
    divided = [("half of the layers", _stretches(rows, 2)), ("kind of part", _by_column(cells))]
    for count, called in ((4, "quarter"), (8, "eighth")):
        if count < len(rows):
            divided.append((f"{called} of the layers", _stretches(rows, count)))
    if len(rows) <= MOST_ROWS:
        divided.append(("layer", rows))
    if len(cells) <= MOST_CELLS:
        divided.append(("part of a layer", tuple((cell,) for cell in cells)))
    seen: set[Partition] = set()
    for called, partition in divided:
        if len(partition) > 1 and partition not in seen:
            seen.add(partition)
            yield called, partition


def bands(cells: Cells, most: int) -> tuple[Cells, ...]:
    """The rows of the table: what lies before the layers, at most `most` stretches of layers, what lies behind them."""
    before = tuple(cell for cell in cells if _order(cell)[0] < 0)
    inside = tuple(cell for cell in cells if cell.layer is not None)
    behind = tuple(cell for cell in cells if cell.layer is None and cell not in before)
    rows = _rows(inside)
    stretches = _stretches(rows, min(most, len(rows))) if rows else ()
    return tuple(band for band in (before, *stretches, behind) if band)


def union(blocks: Iterable[Cells]) -> Cells:
    """The cells of several blocks, in the order of the network."""
    return tuple(sorted({id(cell): cell for block in blocks for cell in block}.values(), key=_order))


def label(cells: Cells, among: Cells) -> str:
    """What people call a set: `layers 12–15 MLP`; a part is named only where `among` holds more of these layers."""
    if len(cells) == len(among):
        return "all changed weights"
    whole = _whole_layers(cells, among)
    parts = [_layers(whole)] if whole else []
    by_layers: dict[tuple[int, ...], list[Column]] = {}
    for column in COLUMNS:
        own = (cell.layer for cell in cells if cell.column == column and cell.layer is not None)
        left = tuple(layer for layer in own if layer not in whole)
        if left:
            by_layers.setdefault(left, []).append(column)
    for layers, found in by_layers.items():
        parts.append(f"{_layers(layers)} {' and '.join(COLUMN_WORDS[column] for column in found)}")
    parts += [cell.name for cell in cells if cell.name is not None]
    return ", ".join(parts)


def layer_range(cells: Cells) -> str:
    """The layers of a band as its row says them: `0–3`, or the names of what lies outside."""
    layers = sorted({cell.layer for cell in cells if cell.layer is not None})
    if not layers:
        return ", ".join(cell.name for cell in cells if cell.name is not None)
    return _ranges(layers)


def _column(part: Part) -> Column:
    return "attention" if part == "attention" else "mlp" if part == "mlp" else "rest"


def _order(cell: Cell) -> tuple[float, int, str]:
    if cell.layer is not None:
        return cell.layer, COLUMNS.index(cell.column), ""
    place, name = _OUTSIDE[cell.places[0].part]
    return (-1.0 if place < 0 else math.inf), place, name


def _rows(cells: Cells) -> tuple[Cells, ...]:
    """The cells by layer; those outside the layers by what they are."""
    grouped: dict[object, list[Cell]] = {}
    for cell in sorted(cells, key=_order):
        grouped.setdefault(cell.layer if cell.layer is not None else cell.name, []).append(cell)
    return tuple(tuple(row) for row in grouped.values())


def _stretches(rows: Sequence[Cells], count: int) -> Partition:
    """So many stretches of whole rows, as equal in number of rows as can be."""
    if count >= len(rows):
        return tuple(rows)
    ends = [round(len(rows) * k / count) for k in range(count + 1)]
    return tuple(union(rows[low:high]) for low, high in pairwise(ends))


def _by_column(cells: Cells) -> Partition:
    """Attention, MLP and the rest, across all layers."""
    return tuple(block for column in COLUMNS if (block := tuple(cell for cell in cells if cell.column == column)))


def _whole_layers(cells: Cells, among: Cells) -> tuple[int, ...]:
    """Layers of which the set holds everything that changed, where that is more than one part."""
    held = {(cell.layer, cell.column) for cell in cells}
    layers = sorted({cell.layer for cell in cells if cell.layer is not None})
    changed = {layer: [cell.column for cell in among if cell.layer == layer] for layer in layers}
    return tuple(
        layer
        for layer, columns in changed.items()
        if len(columns) > 1 and all((layer, column) in held for column in columns)
    )


def _layers(layers: Sequence[int]) -> str:
    return f"{'layer' if len(layers) == 1 else 'layers'} {_ranges(layers)}"


def _ranges(layers: Sequence[int]) -> str:
    """`0–3, 7`."""
    stretches: list[list[int]] = []
    for layer in sorted(layers):
        if stretches and layer == stretches[-1][-1] + 1:
            stretches[-1].append(layer)
        else:
            stretches.append([layer])
    return ", ".join(str(s[0]) if len(s) == 1 else f"{s[0]}–{s[-1]}" for s in stretches)
