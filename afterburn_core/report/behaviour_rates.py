"""Both sides' own values side by side: rates of formats, strategies, refusals and right answers, whole and by part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from afterburn_core.report.behaviour_asked import FORMAT_WORDS
from afterburn_core.report.behaviour_values import (
    Axis,
    Measured,
    Scale,
    Whisker,
    axis_for,
    bounds,
    chance,
    change,
    largest,
    level,
    spoken,
    whisker,
)
from afterburn_core.result.model import Measurement


@attrs.frozen(kw_only=True)
class Place:
    """One side's value on an axis, in percent of it."""

    text: str
    at: float
    low: float | None
    high: float | None


@attrs.frozen(kw_only=True)
class Pair:
    """One quantity of both sides, and its change."""

    label: str
    metric: str
    base: Place | None
    trained: Place | None
    change: str
    bounds: str
    n: int | None
    note: str
    part: str | None = None
    extra: tuple[str, ...] = ()
    """Further cells, such as counts of flips."""
    size: float = 0.0


@attrs.frozen(kw_only=True)
class Pairs:
    """Rows on one axis from 0 to `top`."""

    rows: tuple[Pair, ...]
    top: str
    """The end of the axis in words: `100 %`."""
    absent: tuple[str, ...] = ()
    """Quantities that occur on neither side."""


@attrs.frozen(kw_only=True)
class Part:
    """The change of lengths in one part of the prompts."""

    name: str
    base: str | None
    trained: str | None
    change: str
    bounds: str
    n: int | None
    note: str
    whisker: Whisker | None


@attrs.frozen(kw_only=True)
class Parts:
    """Changes of lengths by part on one axis."""

    rows: tuple[Part, ...]
    axis: Axis


@attrs.frozen(kw_only=True)
class Segment:
    """One strategy's share of a stacked bar, in percent."""

    label: str
    start: float
    width: float
    share: str
    colour: int


def pair(
    measured: Measured,
    metric: str,
    label: str,
    *,
    scale: Scale = "rate",
    part: str | None = None,
    top: float = 1.0,
    unit: str = "",
    extra: tuple[str, ...] = (),
) -> Pair | None:
    """Both sides' values of one metric; `None` where neither has any."""
    sides = [measured.side(metric, number, part) for number in (0, 1)]
    if all(item is None or item.value is None for item in sides):
        return None
    contrast = measured.change(metric, part)
    value = None if contrast is None else contrast.value
    places = [_place(item, scale, top, unit) for item in sides]
    return Pair(
        label=label,
        metric=metric,
        base=places[0],
        trained=places[1],
        change="–" if value is None else change(value, scale, unit),
        bounds=bounds(contrast.interval, scale) if contrast is not None and value is not None else "",
        n=contrast.n if contrast is not None else None,
        note="" if contrast is None else (contrast.reason or "undefined" if value is None else chance(contrast) or ""),
        part=part,
        extra=extra,
        size=abs(value or 0.0),
    )


def formats(measured: Measured) -> Pairs | None:
    """Rates of all format patterns, the largest change first."""
    return _rates(measured, "behaviour.format.", ("entropy",), FORMAT_WORDS)


def strategies(measured: Measured) -> Pairs | None:
    """Shares of all strategies, the largest change first."""
    return _rates(measured, "behaviour.strategy.", ("entropy", "distance", "dominant"), {})


def stack(pairs: Pairs, measured: Measured) -> tuple[tuple[str, tuple[Segment, ...]], ...]:
    """The strategies of each side as one bar; colours keep to the order of the document."""
    order = {metric: k for k, metric in enumerate(measured.below("behaviour.strategy."))}
    bars = []
    for number, side in enumerate(("base", "trained")):
        start, segments = 0.0, []
        for row in sorted(pairs.rows, key=lambda row: order.get(row.metric, 0)):
            item = measured.side(row.metric, number)
            width = 100 * max(min((item.value if item is not None else None) or 0.0, 1.0), 0.0)
            width = min(width, 100 - start)
            text = level(item, "rate") or "–"
            segments.append(
                Segment(
                    label=row.label,
                    start=round(start, 3),
                    width=round(width, 3),
                    share=text,
                    colour=order.get(row.metric, 0) % 6,
                )
            )
            start += width
        bars.append((side, tuple(segments)))
    return tuple(bars)


def reasoning(measured: Measured) -> tuple[Pair, ...]:
    """Steps, depth and the rest of reasoning, each on an axis of its own."""
    found = []
    for metric in measured.below("behaviour.reasoning."):
        descriptor = measured.metrics.get(metric)
        name = metric.rpartition(".")[2]
        share = descriptor is not None and (descriptor.low, descriptor.high) == (-1.0, 1.0)
        items = [measured.side(metric, number) for number in (0, 1)]
        top = 1.0 if share else _top(items)
        unit = "" if share or descriptor is None or descriptor.unit == "1" else descriptor.unit
        made = pair(measured, metric, spoken(name), scale="rate" if share else "number", top=top, unit=unit)
        if made is not None:
            found.append(made)
    return tuple(found)


def refusals(measured: Measured) -> Pairs | None:
    """Refusal of unsafe, safe and all prompts, by rules, by labels and corrected."""
    rows = []
    kinds = (("unsafe", "Unsafe prompts"), ("safe", "Safe prompts"), (None, "All prompts"))
    for metric, how in (
        ("behaviour.refusal.rate", ""),
        ("behaviour.refusal.partial", ", in part"),
        ("behaviour.refusal.human_rate", ", by human labels"),
        ("behaviour.refusal.corrected", ", corrected for the rules' errors"),
    ):
        rows += [pair(measured, metric, label + how, part=part) for part, label in kinds]
    found = tuple(row for row in rows if row is not None)
    return Pairs(rows=found, top="100 %") if found else None


def by_part(measured: Measured, metric: str, *, skip: Sequence[str] = ()) -> tuple[Pair, ...]:
    """One rate at every named part, the largest change first."""
    rows = [pair(measured, metric, part, part=part) for part in measured.parts(metric) if part not in skip]
    return tuple(sorted((row for row in rows if row is not None), key=lambda row: -row.size))


def correctness(measured: Measured) -> Pairs | None:
    """Right answers of all prompts and of every part, with the prompts that became right and wrong."""
    metric = "behaviour.correct.rate"
    rows = []
    for part in (None, *measured.parts(metric)):
        made = pair(measured, metric, part or "All prompts", part=part, extra=_flips(measured, part))
        if made is not None:
            rows.append(made)
    rows[1:] = sorted(rows[1:], key=lambda row: -row.size)
    return Pairs(rows=tuple(rows), top="100 %") if rows else None


def lengths_by_part(measured: Measured, unit: str, margin: float) -> Parts | None:
    """The change of lengths at every named part, the largest change first."""
    metric = "behaviour.length.log_ratio"
    parts = [(part, measured.change(metric, part)) for part in measured.parts(metric)]
    known = [(part, item) for part, item in parts if item is not None and item.value is not None]
    if not known:
        return None
    axis = axis_for((item, 0.0, margin) for _, item in known)
    known.sort(key=lambda entry: -abs(entry[1].value or 0.0))
    rows = []
    for part, item in known:
        sides = [level(measured.side(f"behaviour.length.{unit}", number, part), "number") for number in (0, 1)]
        rows.append(
            Part(
                name=part,
                base=sides[0],
                trained=sides[1],
                change=change(item.value or 0.0, "log_ratio"),
                bounds=bounds(item.interval, "log_ratio"),
                n=item.n,
                note=chance(item) or "",
                whisker=whisker(item, axis, margin),
            )
        )
    return Parts(rows=tuple(rows), axis=axis)


def _rates(measured: Measured, prefix: str, skipped: Iterable[str], words: dict[str, str]) -> Pairs | None:
    rows, absent = [], []
    for metric in measured.below(prefix):
        name = metric.removeprefix(prefix)
        if name in skipped:
            continue
        row = pair(measured, metric, spoken(name, words))
        if row is None:
            continue
        items = [measured.side(metric, number) for number in (0, 1)]
        if any(item is not None and item.value for item in items):
            rows.append(row)
        else:
            absent.append(row.label)
    if not rows and not absent:
        return None
    return Pairs(rows=tuple(sorted(rows, key=lambda row: -row.size)), top="100 %", absent=tuple(absent))


def _place(item: Measurement | None, scale: Scale, top: float, unit: str) -> Place | None:
    text = level(item, scale, unit)
    if item is None or item.value is None or text is None:
        return None

    def percent(value: float) -> float:
        return round(100 * max(0.0, min(1.0, value / top)), 3)

    interval = item.interval
    return Place(
        text=text,
        at=percent(item.value),
        low=percent(interval.low) if interval else None,
        high=percent(interval.high) if interval else None,
    )


def _top(items: Iterable[Measurement | None]) -> float:
    ends: list[float | None] = []
    for item in items:
        if item is not None:
            ends += [item.value, item.interval.high if item.interval else None]
    return 1.05 * largest(ends) or 1.0


def _flips(measured: Measured, part: str | None) -> tuple[str, ...]:
    items = [measured.change(f"behaviour.correct.newly_{word}", part) for word in ("right", "wrong")]
    return tuple("–" if item is None or item.value is None else f"{item.value:,.0f}" for item in items)
