"""Heat maps and bars: one metric laid out by layer and by module, head or site.

A measurement made at layer and module fills its cell. Where only tensors were measured, a cell shows the
largest of them, never their mean, and says so: one strongly changed expert must not disappear among a hundred
still ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import attrs

from afterburn_core.result.model import Measurement, Scope

MODULES = (
    "embed", "position", "q", "k", "v", "kv", "qkv", "o", "ssm", "router", "gate", "up", "gate_up", "down",
    "norm", "bias", "head", "other",
)  # fmt: skip
OUTSIDE = "outside layers"

Row = tuple[str, int]
"""Subset (empty for the only one) and layer; layer -1 stands for everything outside the layers."""


@attrs.define
class Cell:
    """What one place of a grid shows."""

    value: float | None = None
    tensors: int = 0
    """Tensors the value was taken from; 0 when it was measured at this very place."""
    undefined: int = 0
    reason: str | None = None

    def set(self, item: Measurement) -> None:
        """Takes the value measured at exactly this place."""
        self.value, self.tensors, self.reason = item.value, 0, item.reason
        self.undefined = int(item.value is None)

    def widen(self, item: Measurement) -> None:
        """Takes a tensor's value if it is the largest in size so far."""
        self.tensors += 1
        if item.value is None:
            self.undefined += 1
            self.reason = self.reason or item.reason
        elif self.value is None or abs(item.value) > abs(self.value):
            self.value = item.value


@attrs.define
class Grid:
    """One metric by layer and across."""

    metric: str
    subjects: tuple[str, ...]
    _measured: dict[tuple[Row, str], Cell] = attrs.field(factory=dict)
    _derived: dict[tuple[Row, str], Cell] = attrs.field(factory=dict)
    _layers: dict[Row, Cell] = attrs.field(factory=dict)
    _modules: dict[str, Cell] = attrs.field(factory=dict)
    _kinds: set[str] = attrs.field(factory=set)

    def add(self, item: Measurement) -> None:
        """Places one measurement that names a layer, a module or a site."""
        scope = item.scope
        if scope.token is not None or scope.input is not None:
            return
        row = row_of(scope)
        across = _across(scope)
        self._kinds.add("head" if scope.head is not None else "site" if scope.site is not None else "module")
        if scope.tensor is not None and scope.head is None:
            self._derived.setdefault((row, across or "other"), Cell()).widen(item)
        elif across is None:
            self._layers.setdefault(row, Cell()).set(item)
        elif scope.layer is None and scope.site is None and scope.head is None:
            self._modules.setdefault(across if not row[0] else f"{row[0]} {across}", Cell()).set(item)
        else:
            self._measured.setdefault((row, across), Cell()).set(item)

    @property
    def drawable(self) -> bool:
        """Whether there is anything to draw: a single bar is not a chart."""
        return bool(self._measured or self._derived) or len(self._layers) > 1 or len(self._modules) > 1

    def cells(self) -> dict[tuple[Row, str], Cell]:
        """The cells, measured ones over derived ones."""
        return {**self._derived, **self._measured}

    def chart(self) -> dict[str, Any]:
        """The grid as plain lists: `values[row][column]` is `null` where nothing is defined.

        `states` tells absent (0), defined (1) and undefined (2) apart, `tensors` is how many tensors a
        cell's value was taken from (0: measured there), `reasons` says why a cell is undefined, by
        `row,column`.
        """
        cells = self.cells()
        rows = sorted({row for row, _ in cells}, key=row_order)
        columns = sorted({across for _, across in cells}, key=across_order)
        table = [[cells.get((row, across)) for across in columns] for row in rows]
        return {
            "across": min(self._kinds) if len(self._kinds) == 1 else "module",
            "rows": [row_label(row) for row in rows],
            "columns": columns,
            "values": [[cell.value if cell else None for cell in line] for line in table],
            "states": [[_state(cell) for cell in line] for line in table],
            "tensors": [[cell.tensors if cell else 0 for cell in line] for line in table],
            "reasons": {
                f"{i},{j}": cell.reason
                for i, line in enumerate(table)
                for j, cell in enumerate(line)
                if cell is not None and cell.value is None and cell.reason
            },
            "by_layer": _bars(
                {row_label(row): self._layers[row] for row in sorted(self._layers, key=row_order)},
                ((row_label(r), cells[r, a]) for r in rows for a in columns if (r, a) in cells),
            ),
            "by_module": _bars(
                {name: self._modules[name] for name in sorted(self._modules, key=across_order)},
                ((a, cells[r, a]) for a in columns for r in rows if (r, a) in cells),
            ),
        }


def _bars(measured: dict[str, Cell], cells: Iterable[tuple[str, Cell]]) -> dict[str, Any]:
    """Bars as measured, else the largest cell of each group, marked as derived."""
    if measured:
        labels = list(measured)
        return {"labels": labels, "values": [measured[label].value for label in labels], "derived": False}
    largest: dict[str, float | None] = {}
    for label, cell in cells:
        known = largest.setdefault(label, None)
        if cell.value is not None and (known is None or abs(cell.value) > abs(known)):
            largest[label] = cell.value
    return {"labels": list(largest), "values": list(largest.values()), "derived": True}


def _state(cell: Cell | None) -> int:
    return 0 if cell is None else 2 if cell.value is None else 1


def _across(scope: Scope) -> str | None:
    if scope.head is not None:
        return f"{scope.module} head {scope.head}" if scope.module else f"head {scope.head}"
    if scope.module is not None:
        return scope.module
    if scope.site is not None:
        return re.sub(r"^blocks\.\d+\.", "", scope.site)
    return None


def _layer(scope: Scope) -> int:
    if scope.layer is not None:
        return scope.layer
    found = re.match(r"blocks\.(\d+)\.", scope.site or "")
    return int(found[1]) if found else -1


def row_of(scope: Scope) -> Row:
    """The row of a heat map that a place belongs to."""
    return scope.subset or "", _layer(scope)


def row_label(row: Row) -> str:
    """What stands beside the row: the layer's number, or that it lies outside the layers."""
    subset, layer = row
    name = OUTSIDE if layer < 0 else str(layer)
    return f"{subset} {name}" if subset else name


def row_order(row: Row) -> tuple[str, bool, int]:
    """Sorts rows by layer, those outside the layers last."""
    return row[0], row[1] < 0, row[1]


def across_order(name: str) -> tuple[int, list[tuple[bool, int, str]]]:
    """Sorts kinds of module in the order a block computes them, unknown ones by name."""
    known = MODULES.index(name) if name in MODULES else len(MODULES)
    parts = [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]
    return known, parts
