"""Contrasts of behaviour as a report writes and draws them: words, numbers and places on an axis.

Contrasts of different kinds share one axis, in units of the margin that was fixed for each: u = change / margin. It is
linear inside the margin and logarithmic beyond, f(u) = u for |u| ≤ 1 and sign(u) (1 + ln |u|) else, which is smooth at
the margin (f' = 1 on both sides).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import attrs

from afterburn_core.report import numbers
from afterburn_core.report.evidence import Evidence
from afterburn_core.result.model import FindingKind, Interval, Measurement
from afterburn_core.stats.verdicts import Decided, Decision, decide

FAMILY = "behaviour"
Scale = Literal["log_ratio", "rate", "number"]
WORDS: dict[Decision, str] = {"shifted": "Shifted", "equivalent": "Equivalent", "inconclusive": "Undecided"}
MARKS: dict[Decision, FindingKind] = {"shifted": "informational", "equivalent": "pass", "inconclusive": "open"}
NOT_MEASURED = "Not measured"
_WIDEST = 1000.0
"""Margins up to which the axis reaches."""


class Measured:
    """Measurements of behaviour by metric, subjects and part."""

    def __init__(self, evidence: Evidence) -> None:
        self.pair = evidence.contrast
        self.metrics = evidence.metrics
        self._found: dict[tuple[str, tuple[str, ...], str | None], Measurement] = {}
        self._parts: dict[str, dict[str, None]] = {}
        for item in evidence.families.get(FAMILY, ()):
            self._found.setdefault((item.metric, item.subjects, item.scope.subset), item)
            if item.scope.subset is not None:
                self._parts.setdefault(item.metric, {})[item.scope.subset] = None

    def __bool__(self) -> bool:
        return bool(self._found)

    def change(self, metric: str, part: str | None = None) -> Measurement | None:
        """The contrast of trained and base."""
        return self._found.get((metric, self.pair, part)) if len(self.pair) == 2 else None

    def side(self, metric: str, number: int, part: str | None = None) -> Measurement | None:
        """The value of base (0) or trained (1) alone."""
        return self._found.get((metric, self.pair[number : number + 1], part))

    def parts(self, metric: str) -> tuple[str, ...]:
        """Named parts at which the metric was measured, in the order of the document."""
        return tuple(self._parts.get(metric, ()))

    def below(self, prefix: str) -> Iterator[str]:
        """Metrics of contrasts whose id begins so, in the order of the document."""
        seen = dict.fromkeys(
            metric for metric, subjects, _ in self._found if subjects == self.pair and metric.startswith(prefix)
        )
        return iter(seen)


@attrs.frozen(kw_only=True)
class Whisker:
    """Places of a dot, its interval and the margins, in percent of the axis."""

    at: float
    low: float | None
    high: float | None
    band: tuple[float, float]


@attrs.frozen(kw_only=True)
class Axis:
    """The axis that all contrasts of one table share; reaches the same distance to both sides."""

    reach: float

    def place(self, margins: float) -> float:
        """Percent from the left of a change of so many margins."""
        bent = margins if abs(margins) <= 1 else math.copysign(1 + math.log(abs(margins)), margins)
        return round(50 + 50 * max(-1.0, min(1.0, bent / self.reach)), 3)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Places and labels, in margins."""
        far = [m for m in (10.0, 100.0) if 1 + math.log(m) <= 0.97 * self.reach][-1:]
        sizes = [-m for m in far] + [-1.0, 0.0, 1.0, *far]
        return tuple((self.place(m), _tick(m)) for m in sizes)


def axis_for(changes: Iterable[tuple[Measurement, float, float]]) -> Axis:
    """The axis on which all of these fit: measurement, value of no change, margin."""
    reach = 1 + math.log(2.5)
    for item, centre, margin in changes:
        ends = [item.value, *((item.interval.low, item.interval.high) if item.interval else ())]
        sizes = [abs(end - centre) / margin for end in ends if end is not None]
        far = min(max(sizes, default=0.0), _WIDEST)
        reach = max(reach, 1.06 * (1 + math.log(far)) if far > 1 else 0.0)
    return Axis(reach=reach)


def whisker(item: Measurement, axis: Axis, margin: float, *, centre: float = 0.0) -> Whisker | None:
    """Where a contrast lies; `None` where it has no value."""
    if item.value is None:
        return None
    interval = item.interval
    return Whisker(
        at=axis.place((item.value - centre) / margin),
        low=axis.place((interval.low - centre) / margin) if interval else None,
        high=axis.place((interval.high - centre) / margin) if interval else None,
        band=(axis.place(-1.0), axis.place(1.0)),
    )


def decided(item: Measurement, margin: float, alpha: float, *, centre: float = 0.0) -> Decided | None:
    """Shifted, equivalent or inconclusive; `None` where nothing was measured."""
    if item.value is None:
        return None
    if centre:
        ends = item.interval
        ends = None if ends is None else attrs.evolve(ends, low=ends.low - centre, high=ends.high - centre)
        item = attrs.evolve(item, value=item.value - centre, interval=ends)
    return decide(item, margin=margin, alpha=alpha)


def change(value: float, scale: Scale, unit: str = "") -> str:
    """A contrast in words: `×1.13`, `+4.2 points`, `−0.31 nats`."""
    if scale == "log_ratio":
        return f"{numbers.TIMES}{_ratio(value)}"
    text = _signed(100 * value, 1) if scale == "rate" else _signed(value, 3)
    return f"{text} points" if scale == "rate" else f"{text} {unit}".rstrip()


def margin_text(margin: float, scale: Scale) -> str:
    """`×1.11`, `±5 points`, `±0.05`."""
    if scale == "log_ratio":
        return change(margin, scale)
    return f"±{100 * margin:.3g} points" if scale == "rate" else f"±{margin:.3g}"


def bounds(interval: Interval | None, scale: Scale) -> str:
    """`[+1.2, +7.3]` in the unit of `change`; empty where there is none."""
    if interval is None:
        return ""
    low, high = (change(end, scale).removesuffix(" points") for end in (interval.low, interval.high))
    return f"[{low}, {high}]"


def level(item: Measurement | None, scale: Scale, unit: str = "") -> str | None:
    """One side's own value in words: `23.5 %`."""
    if item is None or item.value is None:
        return None
    if scale == "rate":
        return f"{100 * item.value:.1f} %".replace("-", numbers.MINUS)
    rounded = round(item.value) if abs(item.value) >= 100 else float(f"{item.value:.3g}")
    return f"{numbers.number(rounded)} {unit}".rstrip()


def chance(item: Measurement) -> str | None:
    """The p value that decides, and what it was corrected for: `p = 0.012 (bh)`."""
    test = item.test
    if test is None:
        return None
    p = test.p_value if test.p_adjusted is None else test.p_adjusted
    text = "p < 0.0001" if p < 1e-4 else f"p = {p:.3g}"
    return f"{text} ({test.correction})" if test.correction else text


def option(options: Mapping[str, Mapping[str, object]], component: str, name: str, default: float) -> float:
    """A positive number that the run was configured with, else the component's own default."""
    of_component = options.get(component)
    value = of_component.get(name) if isinstance(of_component, Mapping) else None
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    return float(value) if good else default  # type: ignore[arg-type]


def spoken(name: str, known: Mapping[str, str] | None = None) -> str:
    """A metric's last word as a person would write it: `Step by step`."""
    word = (known or {}).get(name, name.replace("_", " "))
    return word[:1].upper() + word[1:]


def largest(values: Sequence[float | None]) -> float:
    """The largest of what is known; 0 where nothing is."""
    return max((value for value in values if value is not None), default=0.0)


def _ratio(value: float) -> str:
    ratio = math.exp(max(min(value, 700.0), -700.0))
    return f"{ratio:.2f}" if 0.1 <= ratio < 100 else f"{ratio:.3g}"


def _signed(value: float, digits: int) -> str:
    rounded = round(value, digits) + 0.0  # no negative zero
    text = f"{rounded:+.1f}" if digits == 1 else f"{rounded:+.3g}"
    return "0" if rounded == 0 else text.replace("-", numbers.MINUS)


def _tick(margins: float) -> str:
    if margins == 0:
        return "0"
    sign = numbers.MINUS if margins < 0 else "+"
    return f"{sign}margin" if abs(margins) == 1 else f"{sign}{abs(margins):.0f}{numbers.TIMES}"
