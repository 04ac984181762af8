"""Numbers of embedding models as rows of tables and places on an axis: vectors, geometry, an old index.

All from measurements of the document; what their metrics mean stands in the specs of `activation.embedding`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report.activation_drift import Chart, chart
from afterburn_core.report.numbers import MINUS
from afterburn_core.result.model import Measurement

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

FAMILIES = ("activation.embedding.", "activation.retrieval.", "activation.index.")
PAIR = ("base", "trained")
AS_IS, MAPPED = "as it is", "mapped"
MOST_FACTS = 40
"""Facts of pooling that a page shows."""
MOST_SITES = 400
_BY_CHANCE = re.compile(r"about ([0-9.e-]+) by chance")
_FACTS = {
    "pooling": "Pooling",
    "stated": "Stated by its files",
    "include_prompt": "Pools over the prompt too",
    "steps": "Steps after pooling",
    "normalise": "Scaled to length 1",
    "query_prompt": "Before a query",
    "document_prompt": "Before a document",
    "lower_case": "In lower case",
    "kept_dimensions": "Leading dimensions kept",
    "similarity": "Similarity",
    "max_tokens": "Longest text, tokens",
    "cut_texts": "Texts that were cut",
    "dimension": "Dimensions",
}
_OUTCOMES = {"cut_texts"}
"""What came of the settings; no setting itself."""


@attrs.frozen(kw_only=True)
class Number:
    """One measurement: in words, and on an axis from 0 to 1 in percent from the left."""

    text: str
    bounds: str = ""
    n: str = "–"
    p: str = ""
    note: str = ""
    """Why there is no number, or what must be known of it."""
    at: float | None = None
    low: float | None = None
    high: float | None = None


ABSENT = Number(text="–")


@attrs.frozen(kw_only=True)
class Row:
    """A name, and the numbers that stand beside it; `None` where nothing of the kind is asked."""

    label: str
    numbers: tuple[Number | None, ...]
    chance: float | None = None
    """Where chance lies, in percent of the axis."""
    note: str = ""


@attrs.frozen(kw_only=True)
class Fact:
    """How both sides turn texts into vectors, in one respect."""

    label: str
    base: str
    trained: str
    differs: bool


@attrs.frozen(kw_only=True)
class Layers:
    """Distances of pooled block outputs, by block."""

    chart: Chart
    rows: tuple[Row, ...]


class Found:
    """Measurements of embedding models by metric, subjects and subset, at the whole model."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self.all = tuple(m for m in measurements if m.metric.startswith(FAMILIES))
        self._by = {(m.metric, m.subjects, m.scope.subset): m for m in self.all if m.scope.site is None}

    def __bool__(self) -> bool:
        return any(m.value is not None for m in self.all)

    def one(self, metric: str, subset: str | None = None, subjects: Sequence[str] = PAIR) -> Measurement | None:
        """The measurement `activation.<metric>`."""
        return self._by.get((f"activation.{metric}", tuple(subjects), subset))

    def sides(self, metric: str, subset: str | None = None) -> tuple[Measurement | None, ...]:
        """Of base, of trained, and their contrast."""
        return tuple(self.one(metric, subset, subjects) for subjects in (("base",), ("trained",), PAIR))


def number(m: Measurement | None, *, digits: int | None = 3, sign: bool = False) -> Number:
    """The measurement with so many digits after the point; `digits` None: three significant ones."""
    if m is None:
        return ABSENT
    n = "–" if m.n is None else f"{m.n:,}"
    note = marks.shortened(m.reason or "", 200)
    if m.value is None:
        return Number(text="–", n=n, note=note)

    def told(value: float) -> str:
        if digits is None:
            return marks.signed(value) if sign else marks.short(value)
        rounded = round(value, digits) + 0.0
        return f"{rounded:{'+' if sign and rounded else ''}.{digits}f}".replace("-", MINUS)

    def main(value: float) -> str:
        """Nearly 1 is not 1, and a change that is not 0 does not look like it."""
        if digits is None or value in (0.0, 1.0) or round(value, digits) not in (0.0, 1.0):
            return told(value)
        if round(value, digits) == 0:
            return marks.signed(value) if sign else marks.short(value)
        return f"{'>' if value < 1 else '<'} {told(1 - 10.0**-digits if value < 1 else 1 + 10.0**-digits)}"

    def place(value: float) -> float:
        return round(100 * min(max(value, 0.0), 1.0), 3)

    ends = m.interval
    test = m.test
    p = None if test is None else test.p_value if test.p_adjusted is None else test.p_adjusted
    return Number(
        text=main(m.value),
        bounds=f"[{told(ends.low)}, {told(ends.high)}]" if ends else "",
        n=n,
        p="" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.3g}",
        note=note,
        at=place(m.value),
        low=place(ends.low) if ends else None,
        high=place(ends.high) if ends else None,
    )


def searched(found: Found) -> tuple[Row, ...]:
    """Recall@10 of queries on an index, whoever made either; and the difference from the base's queries on its own."""
    k = "k=10"
    own = found.sides("retrieval.recall", k)
    old = [found.one("index.recall", subset, ("trained",)) for subset in (AS_IS, MAPPED)]
    if not any(m is not None for m in (*own, *old)):
        return ()
    changes = (None, own[2], *(found.one("index.recall_change", subset) for subset in (AS_IS, MAPPED)))
    labels = (
        "Base’s queries on the base’s index",
        "Trained’s queries on the trained model’s index",
        "Trained’s queries on the base’s index",
        "The same after the map",
    )
    return tuple(
        Row(label=label, numbers=(number(m), None if change is None else number(change, sign=True)))
        for label, m, change in zip(labels, (own[0], own[1], *old), changes, strict=True)
    )


def selves(found: Found) -> tuple[Row, ...]:
    """Texts whose trained vector finds the base's vector of the same text in the old index."""
    rows = ((AS_IS, "Trained’s vectors as they are"), (MAPPED, "After the map"))
    known = [(label, found.one("index.self_found", subset)) for subset, label in rows]
    return tuple(Row(label=label, numbers=(number(m),)) for label, m in known if m is not None)


def vectors(found: Found) -> tuple[Row, ...]:
    """What became of the vectors of the same texts, and of their geometry: one number each."""
    rows = (
        ("embedding.distance", "1 − cos of a text’s two vectors", None, False, ""),
        ("embedding.distance_aligned", "The same after the map (Procrustes)", None, False, "held out"),
        ("embedding.log_norm_ratio", "ln of the ratio of lengths", None, True, ""),
        ("embedding.cka", "CKA", 4, False, "1: equal but for rotation and scale"),
        ("embedding.rsa", "RSA", 4, False, "Spearman’s correlation of cosines between pairs of texts"),
    )  # fmt: skip
    made = []
    for metric, label, digits, sign, note in rows:
        m = found.one(metric)
        if m is not None:
            made.append(Row(label=label, numbers=(number(m, digits=digits, sign=sign),), note=note))
    return tuple(made)


def neighbours(found: Found) -> tuple[Row, ...]:
    """Overlap of the nearest k by k with what chance gives, then the rank-biased overlap."""
    metric = "activation.embedding.neighbour_overlap"
    by_k = {_k(m.scope.subset): m for m in found.all if m.metric == metric}
    rows = []
    for k, m in sorted(by_k.items()):
        chance = _BY_CHANCE.search(m.reason or "")
        value = _float(chance.group(1)) if chance else None
        one = number(m)
        rows.append(
            Row(
                label="The nearest text" if k == 1 else f"The {k} nearest",
                numbers=(one if m.value is None else attrs.evolve(one, note=""),),
                chance=None if value is None else round(100 * min(value, 1.0), 3),
                note="" if value is None else f"{value:.2g}",
            )
        )
    biased = found.one("embedding.rank_biased_overlap")
    if biased is not None:
        one = number(biased)
        rows.append(Row(label="Ranked lists (RBO)", numbers=(one if one.at is None else attrs.evolve(one, note=""),)))
    return tuple(rows)


def spread(found: Found) -> tuple[Row, ...]:
    """How alike different texts are on each side, and whether that changed."""
    rows = []
    ratio = found.sides("embedding.participation_ratio")
    change = found.one("embedding.participation_log_ratio")
    if any(m is not None for m in (*ratio, change)):
        cells = (*(number(m, digits=None) for m in ratio[:2]), number(change, digits=None, sign=True))
        rows.append(Row(label="Directions that share the variance", numbers=cells, note="change: ln of the ratio"))
    for metric, label in (
        ("embedding.unrelated_similarity", "Mean cosine of different texts"),
        ("embedding.near_duplicates", "Texts with a near duplicate, share"),
    ):
        base, trained, change = found.sides(metric)
        if any(m is not None for m in (base, trained, change)):
            cells = (number(base), number(trained), number(change, sign=True))
            rows.append(Row(label=label, numbers=cells, note="cosine of at least .99" if "dup" in metric else ""))
    return tuple(rows)


def layers(found: Found) -> Layers | None:
    """Distances of mean-pooled block outputs; `None` where none was measured."""
    metric = "activation.embedding.layer_distance"
    known = [m for m in found.all if m.metric == metric and m.value is not None and m.scope.site is not None]
    known = sorted(known, key=lambda m: (-1 if m.scope.layer is None else m.scope.layer, m.id))[:MOST_SITES]
    sites = [m.scope.site or "" for m in known]
    ends = [(m.interval.low, m.interval.high) if m.interval else (None, None) for m in known]
    low, high = [a for a, _ in ends], [b for _, b in ends]
    made = chart(sites, [("1 − cos", "all", [m.value for m in known], low, high)]) if known else None
    if made is None:
        return None
    rows = [Row(label=_layer(m), numbers=(number(m, digits=None),)) for m in known]
    return Layers(chart=made, rows=tuple(rows))


def pooling(view: ResultView) -> tuple[Fact, ...]:
    """How both sides turn texts into vectors, as the run states it."""
    stated = marks.row_of(marks.row_of(view.result.properties).get("encode"))
    sides = [marks.row_of(stated.get(side)) for side in PAIR]
    if not any(sides):
        return ()
    names = [name for name in _FACTS if any(name in side for side in sides)]
    names += sorted({str(name) for side in sides for name in side} - set(_FACTS))
    return tuple(
        Fact(
            label=_FACTS.get(name, marks.shortened(name, 60)),
            base=_value(name, sides[0]),
            trained=_value(name, sides[1]),
            differs=name not in _OUTCOMES and sides[0].get(name) != sides[1].get(name),
        )
        for name in names[:MOST_FACTS]
    )


def _value(name: str, side: Mapping[str, Any]) -> str:
    value = side.get(name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return marks.short(float(value), 9)
    if name.endswith("prompt") and isinstance(value, str) and value:
        return f"“{marks.shortened(value, 200)}”"
    listed = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")
    return marks.shortened(listed, 200) or ("all" if name == "kept_dimensions" else "nothing")


def _k(subset: str | None) -> int:
    digits = (subset or "").removeprefix("k=")
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 9 else 0


def _float(text: str) -> float | None:
    try:
        return marks.number_of(float(text))
    except ValueError:
        return None


def _layer(m: Measurement) -> str:
    return f"Block {m.scope.layer}" if m.scope.layer is not None else marks.shortened(m.scope.site or "", 40)
