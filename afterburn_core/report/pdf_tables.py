"""Widths for the columns of tables, from how much text stands in them.

The layout engine can find widths by itself, but it sets every cell several times for that, which takes longer than all
the rest of a report. Counting characters is as good for tables of names, numbers and sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import attrs

_LINE = 132
"""Characters of a table's text in a line over the whole page."""
_BREAK = re.compile(r"[\s\-/.→·]+")
_WORD, _NAME, _SHORT = 15, 30, 15
"""Longest word, name in code and cell that are kept in one line where there is room; all break anywhere beyond."""
_MOST = 150
"""Characters from which a cell asks for no more room."""
_DIGITS = 1.15
"""Width of a digit in characters of text."""
_PADDING = 2.6
"""Characters that the space between columns takes the room of."""
_DRAWING, _BAR = 34.0, 14.0
"""Characters that a drawing, and a bar on no axis, take the room of."""


@attrs.define
class _Column:
    least: float = 3.0
    most: float = 3.0
    total: float = 0.0
    drawn: bool = False


def set_widths(root: Any) -> None:
    """Gives every data table below `root` a fixed layout, in place."""
    for table in list(root.iter("table")):
        if table.get("role") != "presentation":
            _set(table)


def _set(table: Any) -> None:
    rows = list(_rows(table))
    count = max((sum(_span(cell) for cell in row) for row in rows), default=0)
    if not count:
        return
    columns = [_Column() for _ in range(count)]
    drawing = _BAR if "hacks" in (table.get("class") or "").split() else _DRAWING
    taken: dict[int, int] = {}
    for row in rows:
        place = 0
        for cell in row:
            while taken.get(place, 0):
                taken[place] -= 1
                place += 1
            span = _span(cell)
            if span == 1 and place < count:
                _measure(cell, columns[place], drawing)
            down = int(cell.get("rowspan", "1")) - 1
            if down > 0:
                taken.update({place + k: down for k in range(span)})
            place += span
    group = Element("colgroup")
    for width in widths([(one.least, max(one.least, one.most)) for one in columns]):
        SubElement(group, "col", {"style": f"width:{width:.2f}%"})
    table.insert(1 if len(table) and table[0].tag == "caption" else 0, group)
    table.set("class", f"{table.get('class', '')} fixed".strip())


def widths(columns: Sequence[tuple[float, float]]) -> list[float]:
    """Percentages for columns that need at least and would like at most so many characters."""
    least, most = sum(low for low, _ in columns), sum(high for _, high in columns)
    if most <= _LINE:
        wanted = [high + (_LINE - most) * high / most for _, high in columns]
    elif least >= _LINE:
        wanted = [low for low, _ in columns]
    else:
        # Long texts get more than short ones, but less than their length asks for: a cell may have several lines.
        weights = [max(high - low, 0.0) ** 0.6 for low, high in columns]
        wanted = [low + (_LINE - least) * weight / (sum(weights) or 1.0) for (low, _), weight in zip(columns, weights)]
    total = sum(wanted)
    return [100 * one / total for one in wanted]


def _measure(cell: Any, column: _Column, drawing: float) -> None:
    names = (cell.get("class") or "").split()
    if "plotted" in names or "barcell" in names:
        column.drawn = True
        column.least = max(column.least, drawing if "plotted" in names else _BAR)
        return
    words = 0.0
    longest = 0.0
    for text, kept, name in _texts(cell):
        words += len(text)
        parts = [text] if kept or name else _BREAK.split(text)
        limit = 40 if kept else _NAME if name else _WORD
        longest = max(longest, *(min(len(part), limit) * (1.05 if name else 1.0) for part in parts))
    if words <= _SHORT:
        longest = max(longest, words)
    if "num" in names:
        longest *= _DIGITS
    column.least = max(column.least, longest + _PADDING)
    column.most = max(column.most, min(words, _MOST) + _PADDING, column.least)


def _texts(element: Any, kept: bool = False, name: bool = False) -> Iterator[tuple[str, bool, bool]]:
    """Texts of a cell, whether each has to stay in one line, and whether it is a name in code."""
    names = (element.get("class") or "").split()
    kept = kept or "bounds" in names or "badge" in names
    name = name or element.tag == "code"
    if element.text and element.text.strip():
        yield " ".join(element.text.split()), kept, name
    for child in element:
        if isinstance(child.tag, str) and not child.tag.startswith("{"):
            yield from _texts(child, kept, name)
        if child.tail and child.tail.strip():
            yield " ".join(child.tail.split()), kept, name


def _rows(table: Any) -> Iterator[list[Any]]:
    for part in table:
        if part.tag == "tr":
            yield list(part)
        elif part.tag in ("thead", "tbody", "tfoot"):
            for row in part.findall("tr"):
                yield list(row)


def _span(cell: Any) -> int:
    return int(cell.get("colspan", "1"))
