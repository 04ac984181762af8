"""Whose text surprises whom: the 2 × 2 table of answers, perplexity on plain text, and the most surprising answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report.behaviour_curves import SIDES, read
from afterburn_core.report.behaviour_values import Axis, Measured, Whisker, axis_for, chance, change, whisker
from afterburn_core.report.behaviour_values import bounds as ratio_bounds
from afterburn_core.report.forward_marks import Span
from afterburn_core.result.model import Measurement

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

DIFFERENCE = "behaviour.perplexity_difference"
CROSS = "behaviour.cross_scoring."
RATIO = "behaviour.perplexity.log_ratio"
_CONTRASTS = {
    "excess_trained": ("Excess of trained's answers", "under base − under trained: what base does not know of them"),
    "excess_base": ("Excess of base's answers", "under trained − under base: what trained no longer expects"),
    "base_surprise": ("Base's surprise", "under base: trained's answers − base's own"),
    "entropy": ("Change of entropy", "each side along its own answers; below 0, trained is surer"),
}
_ROOM = 13
"""Percent of an axis that a label takes."""
_TOKENS = 72
"""Tokens of a surprising answer on the page."""


@attrs.frozen(kw_only=True)
class Cell:
    """One side's answers under one side."""

    nll: str
    bounds: str
    end: str
    """The same of the end mark; empty where no answer ended."""


@attrs.frozen(kw_only=True)
class Square:
    """One row of the 2 × 2 table: answers of one side under both."""

    author: str
    n: int | None
    cells: tuple[Cell, Cell]
    entropy: str


@attrs.frozen(kw_only=True)
class Contrast:
    """A paired difference on an axis of margins."""

    label: str
    note: str
    base: str
    trained: str
    change: str
    bounds: str
    n: int | None
    chance: str
    whisker: Whisker | None
    first: bool = False
    """Whether it begins a group of rows."""


@attrs.frozen(kw_only=True)
class Contrasts:
    """Rows on one axis."""

    rows: tuple[Contrast, ...]
    axis: Axis

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Those of the axis, without the margins where they lie too close to 0 to be read."""
        near = abs(self.axis.place(1.0) - 50) < _ROOM
        return tuple((at, text) for at, text in self.axis.ticks if not near or "margin" not in text)


@attrs.frozen(kw_only=True)
class Answer:
    """One of trained's answers that base finds surprising."""

    label: str
    prompt: str
    numbers: str
    spans: tuple[Span, ...]
    cut: int
    withheld: str


@attrs.frozen(kw_only=True)
class Surprising:
    """The most surprising answers, or why they are not shown."""

    shown: tuple[Answer, ...] = ()
    total: int = 0
    problem: str | None = None


def squares(measured: Measured) -> tuple[Square, ...]:
    """The 2 × 2 table; empty where no answer was scored."""
    found = []
    for author in SIDES:
        part = f"author={author}"
        scored = [measured.side(f"{CROSS}nll", number, part) for number in (0, 1)]
        if not any(item is not None and item.value is not None for item in scored):
            continue
        ends = [measured.side(f"{CROSS}end_nll", number, part) for number in (0, 1)]
        entropy = measured.side(f"{CROSS}entropy", SIDES.index(author), part)
        cells = [
            Cell(
                nll=_value(item),
                bounds=_bounds(item),
                end="" if end is None or end.value is None else marks.short(end.value),
            )
            for item, end in zip(scored, ends, strict=True)
        ]
        n = next((item.n for item in scored if item is not None), None)
        found.append(Square(author=author, n=n, cells=(cells[0], cells[1]), entropy=_value(entropy)))
    return tuple(found)


def contrasts(measured: Measured, margin: float) -> Contrasts | None:
    """The contrasts of cross-scoring, the whole first, then by domain."""
    items = []
    for name, (label, note) in _CONTRASTS.items():
        metric = f"{CROSS}{name}"
        for part in (None, *measured.parts(metric)):
            item = measured.change(metric, part)
            if item is not None and item.value is not None and (part is None or part.startswith("domain=")):
                items.append((label if part is None else marks.part_name(part), note if part is None else "", item))
    return _table(items, margin)


def sequences(measured: Measured) -> tuple[tuple[str, str, str, int | None, str], ...]:
    """Sums over whole answers: name, value, interval, n, caveat."""
    found = []
    for name, label in (
        ("sequence_kl", "Σ KL(trained‖base) along trained's answers"),
        ("sequence_log_ratio", "Σ (ln p trained − ln p base) along trained's answers"),
    ):
        item = measured.change(f"{CROSS}{name}")
        if item is not None and item.value is not None:
            found.append((label, marks.short(item.value), _bounds(item), item.n, item.reason or ""))
    return tuple(found)


def perplexity(measured: Measured, margin: float) -> Contrasts | None:
    """The change on plain text, the whole first, then by domain, as ratios of perplexities."""
    rows = []
    for part in (None, *measured.parts(RATIO)):
        item = measured.change(RATIO, part)
        if item is not None and item.value is not None:
            rows.append((part, item))
    if not rows:
        return None
    axis = axis_for((item, 0.0, margin) for _, item in rows)
    drawn = []
    for part, item in rows:
        sides = [measured.side("behaviour.perplexity.nll", number, part) for number in (0, 1)]
        by_byte = [measured.side("behaviour.perplexity.nll_per_byte", number, part) for number in (0, 1)]
        told = [_value(one) for one in by_byte]
        drawn.append(
            Contrast(
                label="All texts" if part is None else marks.part_name(part),
                note=f"per byte {told[0]} base, {told[1]} trained" if "–" not in told else "",
                base=_value(sides[0]),
                trained=_value(sides[1]),
                change=change(item.value or 0.0, "log_ratio"),
                bounds=ratio_bounds(item.interval, "log_ratio"),
                n=item.n,
                chance=_chance(item),
                whisker=whisker(item, axis, margin),
                first=part is None,
            )
        )
    return Contrasts(rows=tuple(drawn), axis=axis)


def surprising(view: ResultView, *, limit: int) -> Surprising:
    """The first answers of the artifact."""
    content, problem = read(view, DIFFERENCE)
    rows = marks.rows_of(content, "examples")
    shown = [one for row in rows[:limit] if (one := _answer(row)) is not None]
    return Surprising(shown=tuple(shown), total=len(rows), problem=problem)


def _table(items: list[tuple[str, str, Measurement]], margin: float) -> Contrasts | None:
    if not items:
        return None
    axis = axis_for((item, 0.0, margin) for _, _, item in items)
    rows = [
        Contrast(
            label=label,
            note=note,
            base="",
            trained="",
            change=marks.signed(item.value),
            bounds=_bounds(item, sign=True),
            n=item.n,
            chance=_chance(item),
            whisker=whisker(item, axis, margin),
            first=bool(note),
        )
        for label, note, item in items
    ]
    return Contrasts(rows=tuple(rows), axis=axis)


def _answer(row: Mapping[str, Any]) -> Answer | None:
    ratios = row.get("log_ratio")
    if not isinstance(ratios, list) or not ratios:
        return None
    values = marks.column(row, "log_ratio", len(ratios))[:_TOKENS]
    tokens = row.get("tokens")
    hidden = not isinstance(tokens, list)
    texts = tokens[: len(values)] if isinstance(tokens, list) else []
    spans = tuple(
        Span(
            text=marks.token_text(text),
            colour=marks.leaning(value),
            title=f"ln p trained − ln p base {marks.signed(value)}",
        )
        for text, value in zip(texts, values, strict=False)
    )
    known = {key: marks.number_of(row.get(key)) for key in ("difference", "base_nll", "trained_nll", "n", "cut")}
    return Answer(
        label=marks.shortened(str(row.get("id", "–")), 120),
        prompt=marks.shortened(str(row.get("prompt") or ""), marks.TEXT),
        numbers=f"{marks.signed(known['difference'])} nats per token: −ln p {marks.short(known['base_nll'])} under "
        f"base, {marks.short(known['trained_nll'])} under trained, over {marks.short(known['n'])} tokens",
        spans=spans,
        cut=int(known["cut"] or 0) + max(0, len(ratios) - len(values)),
        withheld=marks.shortened(str(row.get("text") or "withheld"), 120) if hidden else "",
    )


def _chance(item: Measurement) -> str:
    """The p value that decides, without its name."""
    return (chance(item) or "–").removeprefix("p ").removeprefix("= ").split(" (")[0]


def _value(item: Measurement | None) -> str:
    return "–" if item is None else marks.short(item.value)


def _bounds(item: Measurement | None, *, sign: bool = False) -> str:
    interval = None if item is None else item.interval
    return "" if interval is None else marks.bounds(interval.low, interval.high, sign=sign)
