"""Tokens that training made likelier or less likely over neutral text, their topics, and where they rose and fell most.

From the artifact `behaviour.diff_mining`; its fields stand in `afterburn_behaviour.mining.artifact`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report import numbers
from afterburn_core.report.behaviour_curves import read
from afterburn_core.report.forward_marks import Span

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

MINING = "behaviour.diff_mining"
_SIGNS = (
    ("gains", "raised", "Made likelier", "Largest rises"),
    ("losses", "lowered", "Made less likely", "Largest falls"),
)


@attrs.frozen(kw_only=True)
class Token:
    """One token that stands out, or does not."""

    id: str
    text: str
    rate: str
    bounds: str
    share: float
    """Rate over the table's largest, in percent, for a bar."""
    null: str
    log_ratio: str
    opposite: str
    found: bool
    examples: tuple[tuple[str, str], ...]
    """Text before, and the difference there."""


@attrs.frozen(kw_only=True)
class Topic:
    """Tokens that rise or fall in the same passages."""

    share: str
    tokens: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Stretch:
    """A stretch of text with the largest rise or fall."""

    label: str
    total: str
    before: str
    spans: tuple[Span, ...]


@attrs.frozen(kw_only=True)
class Direction:
    """What rose, or what fell."""

    key: str
    title: str
    stretches_title: str
    found: str
    stability: str
    null: float | None
    """Largest rate of a token under the scrambled change, in percent of the bars."""
    tokens: tuple[Token, ...]
    total: int
    topics: tuple[Topic, ...]
    stretches: tuple[Stretch, ...]


@attrs.frozen(kw_only=True)
class Mining:
    """Diff mining as the page shows it."""

    directions: tuple[Direction, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    scrambled: bool = False
    problem: str | None = None

    def __bool__(self) -> bool:
        return bool(self.directions or self.problem)


def mining(view: ResultView, *, tokens: int) -> Mining:
    """The artifact, with so many tokens of either sign; empty where the run has none."""
    content, problem = read(view, MINING)
    if not isinstance(content, Mapping):
        return Mining(problem=problem)
    directions = [_direction(content, *sign, most=tokens) for sign in _SIGNS]
    shown = tuple(one for one in directions if one.tokens)
    if not shown:
        return Mining()
    passages, units = marks.row_of(content.get("passages")), marks.row_of(content.get("units"))
    known = (
        ("positions", _count(content.get("positions"))),
        ("passages", _count(passages.get("read"))),
        ("units that proposed", _count(units.get("discover"))),
        ("units that judged", _count(units.get("confirm"))),
        ("extremes per position", _count(content.get("extreme"))),
        ("tokens of the vocabulary", _count(content.get("vocabulary"))),
    )
    return Mining(
        directions=shown,
        facts=tuple((name, text) for name, text in known if text != "–"),
        scrambled=isinstance(content.get("scrambled"), Mapping),
    )


def _direction(
    content: Mapping[str, Any], key: str, window: str, title: str, stretches: str, *, most: int
) -> Direction:
    own = marks.row_of(content.get(key))
    rows = marks.rows_of(own, "tokens")
    null = marks.number_of(marks.row_of(content.get("scrambled")).get(key))
    highest = max([marks.number_of(row.get("rate")) or 0.0 for row in rows] + [null or 0.0], default=0.0) or 1.0
    found = marks.number_of(own.get("found"))
    stability = marks.number_of(marks.row_of(content.get("stability")).get(key))
    return Direction(
        key=key,
        title=title,
        stretches_title=stretches,
        found="" if found is None else numbers.count(int(found), "token stands", "tokens stand") + " out",
        stability="" if stability is None else f"{stability:.2f}",
        null=None if null is None else round(100 * null / highest, 3),
        tokens=tuple(_token(row, highest) for row in rows[:most]),
        total=len(rows),
        topics=tuple(_topic(row) for row in marks.rows_of(own, "topics")),
        stretches=tuple(_stretch(row) for row in marks.rows_of(content.get("windows"), window)),
    )


def _token(row: Mapping[str, Any], highest: float) -> Token:
    ends = row.get("interval")
    low, high = (marks.number_of(end) for end in ends) if isinstance(ends, list) and len(ends) == 2 else (None, None)
    rate, confirmed = marks.number_of(row.get("rate")) or 0.0, marks.number_of(row.get("confirmed"))
    examples = [
        (
            marks.shortened(str(one.get("context") or ""), marks.TEXT),
            _where(one),
        )
        for one in marks.rows_of(row, "examples")
    ]
    return Token(
        id=_count(row.get("id")).replace(",", ""),
        text=marks.token_text(row.get("text", "")),
        rate=_percent(confirmed if confirmed is not None else rate),
        bounds="" if low is None or high is None else f"[{_points(low)}, {_points(high)}]",
        share=round(100 * min(rate / highest, 1.0), 3),
        null=_percent(marks.number_of(row.get("null_rate"))),
        log_ratio=marks.signed(marks.number_of(row.get("log_ratio"))),
        opposite=_percent(marks.number_of(row.get("opposite"))),
        found=row.get("found") is True,
        examples=tuple(examples),
    )


def _where(example: Mapping[str, Any]) -> str:
    value = marks.signed(marks.number_of(example.get("log_ratio")))
    return f"{value} nats · {marks.shortened(str(example.get('passage', '–')), 80)}"


def _topic(row: Mapping[str, Any]) -> Topic:
    texts = [marks.token_text(token.get("text", "")) for token in marks.rows_of(row, "tokens")]
    return Topic(share=_percent(marks.number_of(row.get("share"))), tokens=tuple(texts))


def _stretch(row: Mapping[str, Any]) -> Stretch:
    spans = []
    for token in marks.rows_of(row, "tokens"):
        value = marks.number_of(token.get("log_ratio"))
        spans.append(
            Span(
                text=marks.token_text(token.get("text", "")),
                colour=marks.leaning(value),
                title=f"ln p trained − ln p base {marks.signed(value)}",
            )
        )
    return Stretch(
        label=marks.shortened(str(row.get("passage", "–")), 120),
        total=marks.signed(marks.number_of(row.get("log_ratio"))),
        before=marks.shortened(str(row.get("before") or ""), marks.TEXT),
        spans=tuple(spans),
    )


def _count(value: Any) -> str:
    number = marks.number_of(value)
    return "–" if number is None else f"{number:,.0f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else numbers.percent(float(f"{value:.2g}"))


def _points(value: float) -> str:
    return _percent(value).removesuffix(" %")
