"""Tables of places against metrics: one row per matrix, module or named part, one column per metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from afterburn_core.report import numbers
from afterburn_core.report.evidence import Evidence
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
    """Heads of columns: a metric without plugin and family, or without the plugin alone where two would read alike.

    Subjects are named unless all columns of the metric speak of the contrast.
    """
    metrics = {metric for metric, _ in heads}
    short = Counter(_words(metric, 2) for metric in metrics)
    plain = metrics - {metric for metric, subjects in heads if subjects != evidence.contrast}
    return tuple(
        _column(metric, 2 if short[_words(metric, 2)] == 1 else 1, "" if metric in plain else who(subjects), evidence)
        for metric, subjects in heads
    )


def _words(metric: str, skipped: int) -> str:
    parts = metric.split(".")
    return " ".join(parts[skipped:] or parts).replace("_", " ")


def _column(metric: str, skipped: int, subjects: str, evidence: Evidence) -> Column:
    words = _words(metric, skipped)
    label = words[:1].upper() + words[1:]
    descriptor = evidence.metrics.get(metric)
    summary = descriptor.summary if descriptor else ""
    if descriptor and descriptor.unit != "1":
        summary = f"{summary} ({descriptor.unit})"
    return Column(label=f"{label} · {subjects}" if subjects else label, metric=metric, summary=summary)


def entry(item: Measurement | None, evidence: Evidence) -> Entry | None:
    """The cell of a measurement, without the unit that its column names; `None` where there is none."""
    if item is None:
        return None
    descriptor = evidence.metrics.get(item.metric)
    plain = descriptor is None or item.value is None or numbers.is_share(item.metric, descriptor.unit)
    return Entry(
        value=shown(item, evidence) if plain else numbers.number(item.value or 0.0),
        details=details(item, evidence),
        defined=item.value is not None,
        chance=_chance(item),
        measured=item,
    )


def _chance(item: Measurement) -> str | None:
    p_value = item.null.p_value if item.null else item.test.p_value if item.test else None
    if p_value is None:
        return None
    return f"p = {numbers.number(p_value)}" if p_value else "p < 1e-300"  # a double ends there; no p is zero
