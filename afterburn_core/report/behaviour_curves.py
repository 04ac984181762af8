"""Curves of behaviour from measurements and artifacts: distribution of lengths, pass@k, reliability, statistics.

Files beside the document are data of a stranger: whatever is not of the expected shape is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import numbers
from afterburn_core.report.attachments import Unusable, read_json
from afterburn_core.report.behaviour_values import Measured

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

DISTRIBUTION = "behaviour.length_distribution"
CURVE = "behaviour.calibration_curve"
MAX_BYTES = 20_000_000
MOST_PAIRS = 2000
SIDES = ("base", "trained")
STATISTICS = ("", "median", "sd", "p10", "p25", "p75", "p90", "skewness", "kurtosis")


@attrs.frozen(kw_only=True)
class Lengths:
    """Histograms of both sides over bins of equal ratio, and the mean length of each prompt."""

    unit: str
    edges: tuple[float, ...]
    base: tuple[int, ...]
    trained: tuple[int, ...]
    pairs: tuple[tuple[float, float], ...]
    prompts: int

    def packed(self) -> dict[str, Any]:
        """For the page's scripts."""
        return attrs.asdict(self)

    @property
    def bins(self) -> tuple[tuple[str, int, int], ...]:
        """Bins that hold anything: range in words and both counts."""
        found = []
        for k, (b, t) in enumerate(zip(self.base, self.trained, strict=True)):
            if b or t:
                low, high = math.ceil(self.edges[k]), math.ceil(self.edges[k + 1]) - 1
                high = int(self.edges[-1]) if k == len(self.base) - 1 else high
                found.append((f"{low:,}" if high <= low else f"{low:,}–{high:,}", b, t))
        return tuple(found)

    def outline(self, side: str) -> str:
        """The histogram as a path of a drawing 100 wide and 40 high, its highest bin at the top."""
        counts = self.base if side == "base" else self.trained
        totals = [max(sum(of), 1) for of in (self.base, self.trained)]
        highest = max(
            max((n / total for n in of), default=0.0)
            for of, total in zip((self.base, self.trained), totals, strict=True)
        )
        total, step = totals[SIDES.index(side)], 100 / max(len(counts), 1)
        points = ["M0 40"]
        for k, n in enumerate(counts):
            y = 40 - 38 * (n / total) / (highest or 1)
            points.append(f"L{k * step:.2f} {y:.2f}L{(k + 1) * step:.2f} {y:.2f}")
        return "".join([*points, "L100 40"])


@attrs.frozen(kw_only=True)
class Point:
    """One k of pass@k, or one bin of a reliability diagram."""

    x: float
    y: float
    low: float | None
    high: float | None
    n: int | None


@attrs.frozen(kw_only=True)
class Curves:
    """Both sides' points, and the difference where there is one."""

    base: tuple[Point, ...] = ()
    trained: tuple[Point, ...] = ()
    note: str = ""

    def __bool__(self) -> bool:
        return bool(self.base or self.trained)

    def packed(self) -> dict[str, Any]:
        """For the page's scripts."""
        return {side: [attrs.astuple(point) for point in getattr(self, side)] for side in SIDES}


def read(view: ResultView, identifier: str) -> tuple[Any, str | None]:
    """An artifact's JSON, and why it cannot be shown; both `None` where the run has none."""
    artifact = view.artifact(identifier)
    if artifact is None:
        return None, None
    try:
        return read_json(artifact, view.directory, max_bytes=MAX_BYTES), None
    except Unusable as reason:
        return None, str(reason)


def lengths(view: ResultView) -> tuple[Lengths | None, str | None]:
    """The distribution of lengths, or why there is none."""
    content, problem = read(view, DISTRIBUTION)
    if not isinstance(content, Mapping):
        return None, problem
    edges = numbers_of(content.get("edges"))
    base, trained = (numbers_of(content.get(side)) for side in SIDES)
    sound = len(edges) >= 2 and len(base) == len(trained) == len(edges) - 1
    if not sound or any(a >= b for a, b in pairwise(edges)) or edges[0] < 0:
        return None, "the file does not hold histograms of both sides"
    pairs = []
    for row in content.get("pairs") or ():
        values = numbers_of([row.get(side) for side in SIDES]) if isinstance(row, Mapping) else ()
        if len(values) == 2:
            pairs.append((values[0], values[1]))
    prompts = numbers_of([content.get("prompts")])
    unit = "tokens" if content.get("unit") == "tokens" else "words"
    return (
        Lengths(
            unit=unit,
            edges=edges,
            base=tuple(int(n) for n in base),
            trained=tuple(int(n) for n in trained),
            pairs=tuple(pairs[:MOST_PAIRS]),
            prompts=int(prompts[0]) if prompts else len(pairs),
        ),
        None,
    )


def statistics(measured: Measured) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Columns (unit and side) and rows (mean, median, …) of what describes the lengths of either side."""
    units = [u for u in ("tokens", "words", "sentences", "characters") if measured.side(f"behaviour.length.{u}", 0)]
    columns = tuple(f"{unit}, {side}" for unit in units for side in SIDES)
    rows = []
    for name in STATISTICS:
        cells = []
        for unit in units:
            metric = f"behaviour.length.{unit}" + (f".{name}" if name else "")
            for number in (0, 1):
                item = measured.side(metric, number)
                cells.append("–" if item is None or item.value is None else numbers.number(float(f"{item.value:.4g}")))
        if any(cell != "–" for cell in cells):
            rows.append((_STATISTIC_WORDS.get(name, name), tuple(cells)))
    return columns, tuple(rows)


def pass_at_k(measured: Measured) -> Curves:
    """The chance that one of k attempts is right, for every k that was measured."""
    metric = "behaviour.pass_at_k"
    sides: list[tuple[Point, ...]] = []
    for number in (0, 1):
        points = []
        for part in measured.parts(metric):
            item = measured.side(metric, number, part)
            k = part.removeprefix("k=")
            if item is not None and item.value is not None and k.isdecimal():
                ends = item.interval
                low, high = (ends.low, ends.high) if ends else (None, None)
                points.append(Point(x=float(k), y=item.value, low=low, high=high, n=item.n))
        sides.append(tuple(sorted(points, key=lambda point: point.x)))
    crossing = measured.change(f"{metric}.crossover")
    note = ""
    if crossing is not None and crossing.value is not None:
        note = f"Base solves at least as many prompts from k = {crossing.value:.0f} on."
    elif crossing is not None and crossing.reason:
        note = f"{crossing.reason[:1].upper()}{crossing.reason[1:]}."
    return Curves(base=sides[0], trained=sides[1], note=note if any(sides) else "")


def reliability(view: ResultView) -> tuple[Curves, str | None]:
    """Accuracy by confidence in bins of equal mass."""
    content, problem = read(view, CURVE)
    bins = content.get("bins") if isinstance(content, Mapping) else None
    if not isinstance(bins, Mapping):
        return Curves(), problem
    sides = []
    for side in SIDES:
        points = []
        for row in bins.get(side) or ():
            fields = (
                [row.get(name) for name in ("confidence", "accuracy", "low", "high", "n")]
                if isinstance(row, Mapping)
                else []
            )
            values = numbers_of(fields)
            if len(values) == 5:
                x, y, low, high, n = values
                points.append(Point(x=x, y=y, low=low, high=high, n=int(n)))
        sides.append(tuple(points))
    return Curves(base=sides[0], trained=sides[1]), None


def numbers_of(values: Any) -> tuple[float, ...]:
    """A list of finite numbers; empty where one is none."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        return ()
    fine = all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e300 for v in values)
    return tuple(float(v) for v in values) if fine else ()


_STATISTIC_WORDS = {
    "": "mean over prompts",
    "sd": "standard deviation",
    "p10": "10th percentile",
    "p25": "25th percentile",
    "p75": "75th percentile",
    "p90": "90th percentile",
    "kurtosis": "excess kurtosis",
}
