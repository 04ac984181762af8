"""Tables of places against metrics: one row per matrix, module or named part, one column per metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from afterburn_core.report.evidence import Evidence
from afterburn_core.report.numbers import number
from afterburn_core.report.presentation import details, place, shown, who
from afterburn_core.result.model import Measurement


@attrs.frozen(kw_only=True)
class Column:
    """One metric for one combination of subjects."""

    label: str
    metric: str
    summary: str


@attrs.frozen(kw_only=True)
class Entry:
    """One cell: a value, and what says how sure it is."""

    value: str
    details: tuple[str, ...]
    defined: bool
    chance: str | None
    """The p value it was given against controls or in a test."""
    measured: Measurement


@attrs.frozen(kw_only=True)
class Row:
    """One place."""

    place: str
    entries: tuple[Entry | None, ...]


@attrs.frozen(kw_only=True)
class Pivot:
    """The table, and how many rows there would be without its limit."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    total: int


def pivot(
    items: Iterable[Measurement],
    evidence: Evidence,
    *,
    limit: int,
    columns: Callable[[str], Any] = str,
    first: Sequence[str] = (),
) -> Pivot | None:
    """The table of `items`, or `None` where there are none.

    Args:
        items: what to show; places keep the order in which they first occur.
        evidence: for units, summaries and the contrast that needs no label.
        limit: rows at most.
        columns: sort key of the columns by metric.
        first: places to show before all others, in this order.
    """
    heads: dict[tuple[str, tuple[str, ...]], None] = {}
    lines: dict[str, dict[tuple[str, tuple[str, ...]], Measurement]] = {name: {} for name in first}
    for item in items:
        key = (item.metric, item.subjects)
        heads[key] = None
        lines.setdefault(place(item.scope), {})[key] = item
    filled = [(name, found) for name, found in lines.items() if found]
    if not filled:
        return None
    known = evidence.contrast
    ordered = sorted(
        heads, key=lambda h: (columns(h[0]), len(h[1]), [known.index(s) if s in known else 9 for s in h[1]])
    )
    rows = (
        Row(place=name, entries=tuple(entry(found.get(key), evidence) for key in ordered))
        for name, found in filled[:limit]
    )
    return Pivot(
        columns=columns_of(ordered, evidence),
        rows=tuple(rows),
        total=len(filled),
    )


def columns_of(heads: Sequence[tuple[str, tuple[str, ...]]], evidence: Evidence) -> tuple[Column, ...]:
    """Heads of columns: a metric's last word, with those before it where two would read alike; subjects if not both."""
    metrics = {metric for metric, _ in heads}
    last = Counter(metric.rsplit(".", 1)[-1] for metric in metrics)
    return tuple(
        _column(metric, subjects, last[metric.rsplit(".", 1)[-1]] == 1, evidence) for metric, subjects in heads
    )


def _column(metric: str, subjects: tuple[str, ...], alone: bool, evidence: Evidence) -> Column:
    parts = metric.split(".")
    words = " ".join(parts[-1:] if alone else parts[1:] or parts).replace("_", " ")
    label = words[:1].upper() + words[1:]
    descriptor = evidence.metrics.get(metric)
    return Column(
        label=label if subjects == evidence.contrast else f"{label} · {who(subjects)}",
        metric=metric,
        summary=descriptor.summary if descriptor else "",
    )


def entry(item: Measurement | None, evidence: Evidence) -> Entry | None:
    """The cell of a measurement; `None` where there is none."""
    if item is None:
        return None
    p_value = item.null.p_value if item.null else item.test.p_value if item.test else None
    return Entry(
        value=shown(item, evidence),
        details=details(item, evidence),
        defined=item.value is not None,
        chance=None if p_value is None else f"p = {number(p_value)}",
        measured=item,
    )
