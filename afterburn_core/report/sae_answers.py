"""What a notebook asks of sparse dictionaries: drift of one layer over the domains, and the riskiest features.

Both come from artifacts beside the document and show themselves: as text in a terminal, as a table in a notebook. The
`Diagnoser`'s report makes them (`afterburn_core.api`). Nothing here imports torch or numpy.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.report import forward_marks as marks
from afterburn_core.report.sae_artifacts import read_drift, read_risk
from afterburn_core.report.sae_features import signed_multiple
from afterburn_core.report.sae_values import DriftMap, Estimate, RiskyFeature

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

Measure = Literal["dense", "features", "mass"]
_BLOCK = re.compile(r"blocks\.(\d+)\.out")


@attrs.frozen(kw_only=True)
class DriftRow:
    """Drift at one site over every probe set."""

    site: str
    measure: Measure
    sets: tuple[str, ...]
    values: tuple[float | None, ...]
    """In the order of `sets`; `None` where it was not measured."""
    intervals: tuple[tuple[float, float] | None, ...]
    """Low and high end at 95 %."""
    n: tuple[int | None, ...]
    """Prompts."""

    @property
    def layer(self) -> int | None:
        """Number of the block; `None` of another site."""
        match = _BLOCK.fullmatch(self.site)
        return None if match is None else int(match[1])

    def _repr_html_(self) -> str:
        return _html(("probe set", f"{self.measure} drift", "95 %", "prompts"), self._lines())

    def __str__(self) -> str:
        return _text((self.site, f"{self.measure} drift", "95 %", "prompts"), self._lines())

    def _lines(self) -> list[tuple[str, ...]]:
        return [
            (name, marks.short(value), _ends(ends), "–" if n is None else str(n))
            for name, value, ends, n in zip(self.sets, self.values, self.intervals, self.n)
        ]


@attrs.frozen(kw_only=True)
class DriftHeatmap:
    """Drift by site, from bottom to top, and probe set."""

    measure: Measure
    sets: tuple[str, ...]
    rows: tuple[DriftRow, ...]

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(row.site for row in self.rows)

    @property
    def values(self) -> tuple[tuple[float | None, ...], ...]:
        """By site and set."""
        return tuple(row.values for row in self.rows)

    @property
    def intervals(self) -> tuple[tuple[tuple[float, float] | None, ...], ...]:
        """By site and set."""
        return tuple(row.intervals for row in self.rows)

    def __iter__(self) -> Iterator[DriftRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def _repr_html_(self) -> str:
        return _html((f"{self.measure} drift", *self.sets), self._lines())

    def __str__(self) -> str:
        return _text((f"{self.measure} drift", *self.sets), self._lines())

    def _lines(self) -> list[tuple[str, ...]]:
        return [(row.site, *(marks.short(value) for value in row.values)) for row in self.rows]


@attrs.frozen(kw_only=True)
class RiskyRow:
    """A feature or a direction of a pack over one probe set."""

    pack: str
    feature: int | str
    """Number in the pack's dictionary, or the name of a direction."""
    label: str | None
    concern: str | None
    """Which way of moving the pack calls risky: `up` or `down`."""
    set: str | None
    multiple: float | None
    """Signed: 3 where it became three times as active, −3 where it fell to a third; `None` of a direction."""
    interval: tuple[float, float] | None
    """Of the multiple at 95 %."""
    shift: float | None
    """log₂ of the multiple, or the share of the way along a direction; + towards concern."""
    p: float | None
    """Corrected over all features and sets of the run's packs."""


@attrs.frozen(kw_only=True)
class RiskyFeatures:
    """Rows in order: those that are known to have moved towards concern first, then by how far they did."""

    rows: tuple[RiskyRow, ...]

    def __iter__(self) -> Iterator[RiskyRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> RiskyRow:
        return self.rows[index]

    def _repr_html_(self) -> str:
        return _html(_RISKY, self._lines())

    def __str__(self) -> str:
        return _text(_RISKY, self._lines())

    def _lines(self) -> list[tuple[str, ...]]:
        return [
            (
                f"{row.pack}/{row.feature}",
                row.label or "–",
                row.concern or "–",
                row.set or "–",
                signed_multiple(row.multiple) if row.multiple is not None else marks.signed(row.shift),
                _ends(row.interval),
                marks.short(row.p, 2),
            )
            for row in self.rows
        ]


_RISKY = ("feature", "label", "concern", "probe set", "multiple", "95 %", "p, corrected")


def drift_heatmap(view: ResultView, layer: int | str | None, measure: Measure) -> DriftRow | DriftHeatmap:
    """The drift of one layer, or of all.

    Args:
        view: the run's document.
        layer: number of a block, name of a site, or `None` for all of them.
        measure: `dense`, `features` or `mass`.

    Raises:
        ConfigError: the run measured no drift, the file is damaged, or there is no such layer or measure.
    """
    found, problem = read_drift(view)
    if found is None:
        raise ConfigError(
            f"sae.drift: {problem}"
            if problem
            else "this run measured no drift over probe sets; name a dictionary with --sae, or run `afterburn sae diff`"
        )
    if measure not in ("dense", "features", "mass"):
        raise ConfigError(f"there is no drift called {measure!r}; there are dense, features and mass")
    rows = tuple(_row(found, site, measure) for site in found.sites)
    if layer is None:
        return DriftHeatmap(measure=measure, sets=found.sets, rows=rows)
    for row in rows:
        if row.site == (f"blocks.{layer}.out" if isinstance(layer, int) else layer):
            return row
    raise ConfigError(f"no drift was measured at layer {layer!r}; there are {', '.join(found.sites)}")


def risky_features(view: ResultView, topk: int, alpha: float = 0.05) -> RiskyFeatures:
    """The first `topk` features and directions of the run's risk packs.

    Raises:
        ConfigError: the run read no risk pack, the file is damaged, or `topk` is below 1.
    """
    if topk < 1:
        raise ConfigError(f"topk: {topk} is not at least 1")
    found, problem = read_risk(view)
    if found is None:
        raise ConfigError(f"sae.risk: {problem}" if problem else "this run read no risk pack; name one with --pack")
    rows = [_risky(pack.name, one) for pack in found for one in pack.features]
    rows.sort(key=lambda row: (not _known(row, alpha), -(row.shift or 0.0), row.pack, str(row.feature), row.set or ""))
    return RiskyFeatures(rows=tuple(rows[:topk]))


def _known(row: RiskyRow, alpha: float) -> bool:
    return row.p is not None and row.p <= alpha and (row.shift or 0.0) > 0


def _row(found: DriftMap, site: str, measure: Measure) -> DriftRow:
    cells: list[Estimate | None] = [found.value(measure, site, name) for name in found.sets]
    return DriftRow(
        site=site,
        measure=measure,
        sets=found.sets,
        values=tuple(None if cell is None else cell.value for cell in cells),
        intervals=tuple(None if cell is None else _pair(cell.low, cell.high) for cell in cells),
        n=tuple(None if cell is None else cell.n for cell in cells),
    )


def _risky(pack: str, one: RiskyFeature) -> RiskyRow:
    return RiskyRow(
        pack=pack,
        feature=one.feature,
        label=one.label,
        concern=one.direction,
        set=one.set,
        multiple=one.multiple,
        interval=_pair(one.low, one.high),
        shift=one.shift,
        p=one.p if one.p_adjusted is None else one.p_adjusted,
    )


def _pair(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)


def _ends(ends: tuple[float, float] | None) -> str:
    return "–" if ends is None else marks.bounds(*ends)


def _text(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns side by side: the first to the left, the others to the right."""
    every = [heads, *lines]
    widths = [max(len(line[i]) for line in every) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(line, widths)))
        for line in every
    )


def _html(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A plain table, without scripts; every text is escaped."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return f"<table><tr>{head}</tr>{body}</table>"
