"""Retrieval on both sides: scores and their paired differences, ranks, the queries that lost most; texts that moved.

From measurements and the artifacts `activation.embedding_retrieval` and `activation.embedding_texts`; their fields
stand in `afterburn_activation.embedding_artifacts`. Files beside the document are data of a stranger: whatever is not
of the expected shape is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report.behaviour_curves import read
from afterburn_core.report.embedding_parts import PAIR, Found, Row, number

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

QUERIES, TEXTS = "activation.embedding_retrieval", "activation.embedding_texts"
LONGEST = 400
MOST_POINTS = 300
WIDTH, TALLEST, ROOM = 760.0, 420.0, 12.0
"""The drawing of the plane and the room around its points."""
_SCORES = (
    ("retrieval.ndcg", None, "nDCG@10"),
    ("retrieval.mrr", None, "MRR@10"),
    ("retrieval.recall", "k=1", "Recall@1"),
    ("retrieval.recall", "k=5", "Recall@5"),
    ("retrieval.recall", "k=10", "Recall@10"),
)


@attrs.frozen(kw_only=True)
class Outcomes:
    """Shares of queries that won, tied and lost, in percent and in words."""

    shares: tuple[tuple[str, float, str], ...]
    n: str
    ranks: str
    """What became of the rank of the best relevant document."""


@attrs.frozen(kw_only=True)
class Query:
    """One query that lost."""

    text: str
    ranks: tuple[str, str, str]
    """Of the best relevant document: base, trained, trained on the old index after the map."""
    ndcg: tuple[str, str]
    tops: tuple[tuple[str, bool | None], ...]
    """The first document on each side, and whether it answers the query."""


@attrs.frozen(kw_only=True)
class Bin:
    """Queries whose best relevant document has such a rank."""

    label: str
    counts: tuple[tuple[float, str], ...]
    """By side: percent for a bar, and the count."""


@attrs.frozen(kw_only=True)
class Retrieval:
    """The part on retrieval; empty where no query was judged."""

    rows: tuple[Row, ...] = ()
    outcomes: Outcomes | None = None
    queries: tuple[Query, ...] = ()
    total: str = ""
    bins: tuple[Bin, ...] = ()
    problem: str | None = None

    def __bool__(self) -> bool:
        return bool(self.rows or self.queries)


@attrs.frozen(kw_only=True)
class Point:
    """A text in the plane: where the base puts it and where the trained model does."""

    base: tuple[float, float]
    trained: tuple[float, float]


@attrs.frozen(kw_only=True)
class Texts:
    """Texts that moved most, and all of them in a plane."""

    moved: tuple[tuple[str, str], ...] = ()
    points: tuple[Point, ...] = ()
    height: float = 0.0
    """Of the drawing of the points."""
    explained: str = ""
    problem: str | None = None


def retrieval(view: ResultView, found: Found, *, shown: int) -> Retrieval:
    """Scores of both sides, and at most so many queries, those that lost most."""
    content, problem = read(view, QUERIES)
    rows = []
    for metric, subset, label in _SCORES:
        base, trained, change = found.sides(metric, subset)
        if any(m is not None and m.value is not None for m in (base, trained, change)):
            cells = (number(base), number(trained), number(change, sign=True))
            rows.append(Row(label=label, numbers=cells))
    listed = [row for row in marks.rows_of(content, "queries") if _lost(row)][:shown]
    total = marks.number_of(marks.row_of(content).get("total"))
    return Retrieval(
        rows=tuple(rows),
        outcomes=_outcomes(found),
        queries=tuple(_query(row) for row in listed),
        total="" if total is None else f"{total:,.0f}",
        bins=_bins(marks.row_of(marks.row_of(content).get("histogram"))),
        problem=problem,
    )


def texts(view: ResultView, *, shown: int) -> Texts:
    """At most so many of the texts that moved most, and the plane."""
    content, problem = read(view, TEXTS)
    moved = []
    for row in marks.rows_of(content, "moved")[:shown]:
        distance = marks.number_of(row.get("distance"))
        if distance is not None:
            moved.append((_text(row.get("text")), marks.short(distance)))
    points, height = _points(marks.rows_of(content, "plane")[:MOST_POINTS])
    shares = marks.column(marks.row_of(content), "explained", 2)
    known = [f"{100 * share:.3g} %" for share in shares if share is not None]
    return Texts(
        moved=tuple(moved),
        points=points,
        height=height,
        explained=" and ".join(known),
        problem=problem,
    )


def _lost(row: Mapping[str, Any]) -> bool:
    base, trained = (marks.number_of(row.get(f"ndcg_{side}")) for side in PAIR)
    return base is not None and trained is not None and trained < base


def _query(row: Mapping[str, Any]) -> Query:
    relevant = row.get("relevant")
    names = relevant if isinstance(relevant, list) else None
    tops = []
    for side in PAIR:
        top = row.get(f"top_{side}")
        tops.append((_text(row.get(f"top_{side}_text")), None if names is None or top is None else top in names))
    ranks = [marks.number_of(row.get(f"rank_{which}")) for which in (*PAIR, "old_index_mapped")]
    first, second, third = ("–" if rank is None else f"{rank:,.0f}" for rank in ranks)
    base, trained = (marks.number_of(row.get(f"ndcg_{side}")) for side in PAIR)
    return Query(
        text=_text(row.get("text")),
        ranks=(first, second, third),
        ndcg=(_fixed(base), _fixed(trained)),
        tops=tuple(tops),
    )


def _outcomes(found: Found) -> Outcomes | None:
    win, loss = found.one("retrieval.win_rate"), found.one("retrieval.loss_rate")
    if win is None or loss is None or win.value is None or loss.value is None:
        return None
    tie = max(1 - win.value - loss.value, 0.0)
    told = []
    for kind, value, m in (("won", win.value, win), ("tied", tie, None), ("lost", loss.value, loss)):
        ends = None if m is None else m.interval
        bounds = f" [{100 * ends.low:.1f}, {100 * ends.high:.1f}]" if ends else ""
        told.append((kind, round(100 * min(max(value, 0.0), 1.0), 3), f"{100 * value:.1f} %{bounds}"))
    ranks = ""
    change = found.one("retrieval.log_rank_change")
    if change is not None and change.value is not None:
        one = number(change, digits=None, sign=True)
        ranks = f"log₂ of its rank changed by {one.text} {one.bounds}".rstrip() + (f", p = {one.p}" if one.p else "")
    return Outcomes(shares=tuple(told), n="–" if win.n is None else f"{win.n:,}", ranks=ranks.replace("p = <", "p <"))


def _bins(histogram: Mapping[str, Any]) -> tuple[Bin, ...]:
    edges = [e for e in marks.column(histogram, "edges", 4) if e is not None]
    if len(edges) != 4 or any(a >= b for a, b in pairwise(edges)):
        return ()
    sides = [marks.column(histogram, side, 5) for side in PAIR]
    totals = [sum(v or 0.0 for v in side) for side in sides]
    if not all(total > 0 for total in totals):
        return ()
    labels = []
    for k, edge in enumerate(edges):
        first = 1 if k == 0 else int(edges[k - 1]) + 1
        labels.append(f"{first}" if first == int(edge) else f"{first}–{edge:.0f}")
    labels.append(f"beyond {edges[-1]:.0f}")
    counts = [
        tuple(
            (round(100 * min(max((side[k] or 0.0) / total, 0.0), 1.0), 2), f"{side[k] or 0:,.0f}")
            for side, total in zip(sides, totals, strict=True)
        )
        for k in range(5)
    ]
    return tuple(Bin(label=label, counts=pair) for label, pair in zip(labels, counts, strict=True))


def _points(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[Point, ...], float]:
    """Points and the height of their drawing, with one scale for both directions: distances are distances."""
    pairs = []
    for row in rows:
        values = [v for side in PAIR for v in marks.column(row, side, 2)]
        if all(v is not None for v in values):
            pairs.append([v or 0.0 for v in values])
    if len(pairs) < 3:
        return (), 0.0
    x, y = ([v for pair in pairs for v in pair[axis::2]] for axis in (0, 1))
    wide, tall = max(x) - min(x), max(y) - min(y)
    if not 1e-30 < max(wide, tall) < 1e30:
        return (), 0.0
    room = 2 * ROOM
    scale = min((WIDTH - room) / max(wide, 1e-30), (TALLEST - room) / max(tall, 1e-30))
    left = (WIDTH - scale * wide) / 2

    def place(a: float, b: float) -> tuple[float, float]:
        return round(left + scale * (a - min(x)), 1), round(ROOM + scale * (max(y) - b), 1)

    points = tuple(Point(base=place(*pair[:2]), trained=place(*pair[2:])) for pair in pairs)
    return points, round(scale * tall + room, 1)


def _fixed(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _text(value: Any) -> str:
    return marks.shortened(value, LONGEST) if isinstance(value, str) else "–"
