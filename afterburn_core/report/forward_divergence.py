"""How far next-token distributions lie apart: a row for every part of the tokens, and the texts that differ most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report import numbers
from afterburn_core.report.behaviour_curves import read
from afterburn_core.report.behaviour_values import Measured
from afterburn_core.report.forward_marks import LogAxis, Span
from afterburn_core.result.model import Measurement

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

CONTEXTS = "behaviour.divergence_contexts"
PREFIX = "behaviour.divergence."
_LOUDEST = 5
"""Tokens of a stretch that are also told in numbers."""


@attrs.frozen(kw_only=True)
class Row:
    """The divergence of one part of the tokens."""

    label: str
    group: str
    """Kind of part; a new group begins with a wider line."""
    kl: str
    bounds: str
    reverse: str
    jsd: str
    flips: str
    n: int | None
    note: str
    at: float | None
    low: float | None
    high: float | None


@attrs.frozen(kw_only=True)
class Line:
    """A value drawn across all rows."""

    label: str
    at: float
    kind: str


@attrs.frozen(kw_only=True)
class Parts:
    """The table of parts on one logarithmic axis."""

    rows: tuple[Row, ...]
    axis: LogAxis
    lines: tuple[Line, ...]


@attrs.frozen(kw_only=True)
class Context:
    """One stretch of text, coloured token by token."""

    label: str
    total: str
    mean: str
    lead: str
    spans: tuple[Span, ...]
    withheld: str
    loudest: tuple[tuple[str, ...], ...]
    """Token, KL, −ln p of both sides, ranks of both sides."""


@attrs.frozen(kw_only=True)
class Contexts:
    """The most diverging stretches, or why they are not shown."""

    shown: tuple[Context, ...] = ()
    steps: tuple[float, ...] = ()
    """Where one colour ends and the next begins, in nats."""
    problem: str | None = None
    window: int = 0


def parts(measured: Measured, margin: float) -> Parts | None:
    """Every part whose divergence was measured, sources first; `None` where none was."""
    metric = f"{PREFIX}kl"
    found = [(part, measured.change(metric, part)) for part in (None, *measured.parts(metric))]
    known = [(part, item) for part, item in found if item is not None and item.value is not None]
    if not known:
        return None
    controls = []
    for part in measured.parts(f"{PREFIX}control_kl"):
        item = measured.change(f"{PREFIX}control_kl", part)
        if item is not None and item.value is not None:
            controls.append((part.removeprefix("control="), item.value))
    ends = [end for _, item in known for end in (item.value, *_ends(item))]
    axis = marks.log_axis([*ends, margin, *(value for _, value in controls)])
    if axis is None:
        return None
    lines = [Line(label=f"margin {margin:g}", at=axis.place(margin), kind="margin")]
    lines += [Line(label=f"control: {name}", at=axis.place(v), kind="control") for name, v in controls if v > 0]
    return Parts(rows=tuple(_row(measured, part, item, axis) for part, item in known), axis=axis, lines=tuple(lines))


def contexts(view: ResultView) -> Contexts:
    """The coloured stretches of the artifact."""
    content, problem = read(view, CONTEXTS)
    rows = marks.rows_of(content, "contexts")
    window = marks.number_of(marks.row_of(content).get("window"))
    lists = [row.get("kl") for row in rows]
    steps = marks.heat_steps(marks.number_of(kl) for kls in lists if isinstance(kls, list) for kl in kls)
    shown = [one for row in rows if (one := _context(row, steps)) is not None]
    return Contexts(shown=tuple(shown), steps=steps, problem=problem, window=int(window or 0))


def _row(measured: Measured, part: str | None, item: Measurement, axis: LogAxis) -> Row:
    low, high = _ends(item)
    flips = measured.change(f"{PREFIX}flip_rate", part)
    others = {name: measured.change(f"{PREFIX}{name}", part) for name in ("jsd", "kl_reverse")}
    values = {name: None if other is None else other.value for name, other in others.items()}
    null = item.null
    notes = [item.reason] if item.reason else []
    if null is not None:
        notes.append(
            f"{numbers.percent(null.quantile)} of {numbers.count(null.n, f'{null.control} control')} lie at or below it"
        )
    return Row(
        label=marks.part_name(part),
        group=_group(part),
        kl=marks.short(item.value),
        bounds=marks.bounds(low, high),
        reverse=marks.short(values["kl_reverse"]),
        jsd=marks.short(values["jsd"]),
        flips="–" if flips is None or flips.value is None else numbers.percent(float(f"{flips.value:.3g}")),
        n=item.n,
        note="; ".join(notes),
        at=axis.place(item.value or 0.0),
        low=None if low is None else axis.place(low),
        high=None if high is None else axis.place(high),
    )


def _group(part: str | None) -> str:
    if part is None or not part.startswith("source="):
        return "" if part is None else part.split("=", 1)[0]
    return part.split(",", 1)[0]


def _ends(item: Measurement) -> tuple[float | None, float | None]:
    return (None, None) if item.interval is None else (item.interval.low, item.interval.high)


def _context(row: Mapping[str, Any], steps: Sequence[float]) -> Context | None:
    kl = row.get("kl")
    if not isinstance(kl, list) or not kl:
        return None
    n = len(kl)
    keys = ("kl", "flipped", "base_nll", "trained_nll", "base_rank", "trained_rank")
    columns = {key: marks.column(row, key, n) for key in keys}
    tokens = row.get("tokens")
    hidden = not isinstance(tokens, list) or len(tokens) != n
    texts = [None] * n if hidden or not isinstance(tokens, list) else tokens
    spans = []
    for i, text in enumerate(texts):
        own = {key: values[i] for key, values in columns.items()}
        shown = "what follows" if text is None else marks.token_text(text)
        spans.append(
            Span(text=shown, colour=marks.heat(own["kl"], steps), title=_title(own), mark=bool(own["flipped"]))
        )
    order = sorted(range(n), key=lambda i: (-(columns["kl"][i] or 0.0), i))[:_LOUDEST]
    loudest = tuple(
        (
            spans[i].text.strip() or "white space",
            marks.short(columns["kl"][i]),
            marks.short(columns["base_nll"][i]),
            marks.short(columns["trained_nll"][i]),
            _rank(columns["base_rank"][i]),
            _rank(columns["trained_rank"][i]),
        )
        for i in order
    )
    author = f"answer of {row['author']}" if row.get("author") in ("base", "trained") else str(row.get("source", ""))
    label = " · ".join(part for part in (marks.shortened(str(row.get("id", "–")), 120), author) if part)
    return Context(
        label=label,
        total=marks.short(marks.number_of(row.get("total"))),
        mean=marks.short(marks.number_of(row.get("mean"))),
        lead=marks.shortened(str(row.get("lead") or ""), marks.TEXT),
        spans=() if hidden else tuple(spans),
        withheld=marks.shortened(str(row.get("text") or "withheld"), 120) if hidden else "",
        loudest=() if hidden else loudest,
    )


def _title(own: Mapping[str, float | None]) -> str:
    told = [f"KL {marks.short(own['kl'])} nats"]
    if own["base_nll"] is not None:
        told.append(f"−ln p {marks.short(own['base_nll'])} base, {marks.short(own['trained_nll'])} trained")
        told.append(f"rank {_rank(own['base_rank'])} base, {_rank(own['trained_rank'])} trained")
    if own["flipped"]:
        told.append("another most probable token")
    return "; ".join(told)


def _rank(value: float | None) -> str:
    return "–" if value is None else f"{value + 1:,.0f}"
