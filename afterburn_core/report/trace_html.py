"""A trace as one page: the answer, the heat map of layers by parts, the way of halving with its intervals.

The page holds no script and asks nothing of any network.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from afterburn_core.report import numbers
from afterburn_core.report.inert import visible
from afterburn_core.report.trace_words import OUTCOME_WORDS, control_words, share_words, step_words
from afterburn_core.resources import template_dir
from afterburn_core.trace.model import Block, Step, Trace
from afterburn_core.trace.shares import Share
from afterburn_core.trace.statement import size

_LOWEST, _HIGHEST = -0.5, 1.5
"""Shares beyond are drawn at the edge; the words beside them say the number."""
_SHADES = 5
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@attrs.frozen(kw_only=True)
class Bar:
    """One share as it is drawn: positions in percent of the width."""

    words: str
    at: float
    left: float
    width: float


@attrs.frozen(kw_only=True)
class Line:
    """One block of a step: its name, what it carries alone, what is lost without it."""

    label: str
    kept: bool
    size: str
    alone: Bar | None
    lost: Bar | None


@attrs.frozen(kw_only=True)
class Division:
    """One step of the search."""

    number: int
    told: str
    kept: bool
    lines: tuple[Line, ...]
    controls: tuple[float, ...]
    """What random sets carry, in percent of the width."""
    control: str


@attrs.frozen(kw_only=True)
class HeatCell:
    """One cell of the heat map."""

    shade: int | None
    """0 to 4; `None` where nothing changed."""
    alone: str
    lost: str
    title: str
    chosen: bool
    """Whether it belongs to the answer by its name."""


def render(trace: Trace) -> bytes:
    """The page of a trace; the same trace always gives the same bytes."""
    scale = _Scale.of(trace)
    headline, stop, rest = trace.statement.partition(". ")
    page = (
        _environment()
        .get_template("trace.html.j2")
        .render(
            trace=trace,
            policy=_POLICY,
            outcome=OUTCOME_WORDS[trace.outcome],
            headline=headline + (stop.strip() if rest else ""),
            rest=rest,
            good=trace.outcome == "carried",
            effect=None if trace.effect is None else size(trace.effect),
            divisions=[_division(number, step, scale) for number, step in enumerate(trace.path, start=1)],
            heat=_heat(trace),
            ticks=scale.ticks(),
            least=scale.place(float(trace.settings.get("share", 0.8))),
            numbers=numbers,
        )
    )
    return page.encode()


@attrs.frozen(kw_only=True)
class _Scale:
    """From a share to percent of the width."""

    low: float
    high: float

    @classmethod
    def of(cls, trace: Trace) -> _Scale:
        ends = [0.0, 1.0]
        for step in trace.path:
            for block in (*step.blocks, *([step.kept] if step.kept else [])):
                for share in (block.alone, block.lost):
                    if share is not None:
                        ends += [share.interval.low, share.interval.high]
            ends += step.control.alone if step.control else ()
        margin = 0.03
        return cls(low=max(min(ends), _LOWEST) - margin, high=min(max(ends), _HIGHEST) + margin)

    def place(self, share: float) -> float:
        inside = min(max(share, self.low), self.high)
        return round(100 * (inside - self.low) / (self.high - self.low), 2)

    def ticks(self) -> list[tuple[float, str]]:
        every = 0.25 if self.high - self.low <= 1.25 else 0.5  # labels beside each other need the room
        steps = [k * every for k in range(round(-0.5 / every), round(1.5 / every) + 1)]
        return [(self.place(s), f"{round(100 * s)} %".replace("-", "−")) for s in steps if self.low <= s <= self.high]


def _division(number: int, step: Step, scale: _Scale) -> Division:
    blocks = list(step.blocks)
    if step.kept is not None and all(block.label != step.kept.label for block in blocks):
        blocks.append(step.kept)
    return Division(
        number=number,
        told=step_words(step),
        kept=step.kept is not None,
        lines=tuple(_line(block, step, scale) for block in blocks),
        controls=tuple(scale.place(value) for value in step.control.alone) if step.control else (),
        control="; ".join(control_words(step.control)),
    )


def _line(block: Block, step: Step, scale: _Scale) -> Line:
    return Line(
        label=block.label,
        kept=step.kept is not None and block.label == step.kept.label,
        size=_sized(block),
        alone=_bar(block.alone, scale),
        lost=_bar(block.lost, scale),
    )


def _bar(share: Share | None, scale: _Scale) -> Bar | None:
    if share is None:
        return None
    left, right = scale.place(share.interval.low), scale.place(share.interval.high)
    return Bar(words=share_words(share), at=scale.place(share.value), left=left, width=round(max(right - left, 0.4), 2))


def _sized(block: Block) -> str:
    return f"{numbers.percent(block.parameters)} of the changed parameters, {numbers.percent(block.energy)} of ‖Δ‖²"


def _heat(trace: Trace) -> list[tuple[str, list[HeatCell]]]:
    if trace.table is None:
        return []
    chosen = trace.answer.label if trace.answer else None
    return [
        (name, [_cell(block, chosen) for block in row])
        for name, row in zip(trace.table.rows, trace.table.cells, strict=True)
    ]


def _cell(block: Block | None, chosen: str | None) -> HeatCell:
    if block is None:
        return HeatCell(shade=None, alone="–", lost="", title="nothing changed here", chosen=False)
    value = 0.0 if block.alone is None else block.alone.value
    return HeatCell(
        shade=min(max(int(value * _SHADES), 0), _SHADES - 1),
        alone=share_words(block.alone),
        lost=share_words(block.lost),
        title=f"{block.label}: {_sized(block)}",
        chosen=block.label == chosen,
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(template_dir("report")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: Any) -> Any:
    """Every text passes through `visible`; markup of ours is left alone."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


__all__: Sequence[str] = ["render"]
