"""Measurements that live in a table beside the document, packed for the page's own table.

The page reads the document it carries; spilled rows have to be carried as well, and there may be half a million. The
tensors of largest relative change come along whole, up to a stated number of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report.evidence import RELATIVE
from afterburn_core.result.model import Measurement, Scope

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView


@attrs.frozen(kw_only=True)
class Spilled:
    """Rows to embed and how many there are."""

    rows: tuple[Measurement, ...]
    total: int

    def packed(self) -> dict[str, Any]:
        """Columns with repeated strings written once: `rows` holds indices into `metrics`, `subjects`, `scopes`."""
        metrics: dict[str, int] = {}
        subjects: dict[tuple[str, ...], int] = {}
        scopes: dict[Scope, int] = {}
        rows = [
            [
                metrics.setdefault(row.metric, len(metrics)),
                subjects.setdefault(row.subjects, len(subjects)),
                scopes.setdefault(row.scope, len(scopes)),
                row.value,
                row.n,
                row.reason,
                row.approximate,
            ]
            for row in self.rows
        ]
        return {
            "metrics": list(metrics),
            "subjects": [list(ids) for ids in subjects],
            "scopes": [attrs.asdict(scope, filter=lambda _, value: value is not None) for scope in scopes],
            "rows": rows,
            "total": self.total,
        }


def pick(view: ResultView, *, limit: int) -> Spilled:
    """The spilled rows of the most changed places, at most `limit`, in the order of the table."""
    tables = view.measurements()[len(view.result.measurements) :]  # the document's own come first
    sizes: dict[str, float] = {}
    counts: dict[str, int] = {}
    for item in tables:
        key = item.scope.key()
        counts[key] = counts.get(key, 0) + 1
        if item.metric == RELATIVE and item.value is not None:
            sizes[key] = max(sizes.get(key, 0.0), item.value)
    room, chosen = limit, set()
    # Python's sort is stable, so places of equal size keep the order of the table.
    for key in sorted(counts, key=lambda name: -sizes.get(name, -1.0)):
        if counts[key] > room:
            break
        room -= counts[key]
        chosen.add(key)
    rows = (item for item in tables if item.scope.key() in chosen)
    return Spilled(rows=tuple(rows), total=len(tables))
