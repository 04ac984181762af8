"""What the measurements of a run say against their controls, one row for each metric and kind of control."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from afterburn_core.result.model import Subject

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

_BEYOND = 0.95


@attrs.define
class Row:
    """One metric against one kind of control."""

    control: str
    metric: str
    count: int = 0
    beyond: int = 0
    """Measurements above all but 5 % of their controls."""
    least: float = 1.0
    """Smallest p value."""
    n: int = 0
    """Most controls that one of them was set against."""


@attrs.frozen(kw_only=True)
class Controls:
    """Subjects that served as controls, and what was set against controls of any kind."""

    subjects: tuple[Subject, ...]
    nulls: tuple[Row, ...]


def controls_of(view: ResultView) -> Controls:
    """Walks the measurements once."""
    rows: dict[tuple[str, str], Row] = {}
    for item in view.measurements():
        null = item.null
        if null is None:
            continue
        row = rows.setdefault((null.control, item.metric), Row(null.control, item.metric))
        row.count += 1
        row.beyond += null.quantile > _BEYOND
        row.least = min(row.least, null.p_value)
        row.n = max(row.n, null.n)
    subjects = tuple(subject for subject in view.result.subjects if subject.role == "control")
    return Controls(subjects=subjects, nulls=tuple(rows[key] for key in sorted(rows)))
