"""Components of differences and shifts along trait directions, as rows of tables and small drawings.

From the artifacts `activation.component_shares` and `activation.trait_shifts` and the measurements of
`activation.traits`; the fields stand in the docstrings of the analyzers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report.activation_drift import Chart, chart, site_name
from afterburn_core.report.behaviour_curves import read
from afterburn_core.result.model import Measurement

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

SHARES = "activation.component_shares"
SHIFTS = "activation.trait_shifts"
BARS = 16
MOST = 60
"""Sites or traits that a page shows."""
_SLOT, _TALL = 12.0, 46.0


@attrs.frozen(kw_only=True)
class Bar:
    """One eigenvalue's share in a drawing `_TALL` high."""

    x: float
    y: float
    height: float
    title: str


@attrs.frozen(kw_only=True)
class Scree:
    """Shares of the leading components, centred or not."""

    bars: tuple[Bar, ...]
    first: str
    participation: str
    overlap: str
    chance: str
    held_out: str


@attrs.frozen(kw_only=True)
class Site:
    """Components at one site."""

    label: str
    relative: str
    """Root mean square of δ over that of the base."""
    mean_share: float | None
    mean_text: str
    uncentred: Scree | None
    centred: Scree | None


@attrs.frozen(kw_only=True)
class Trait:
    """One direction and the shift along it."""

    name: str
    site: str
    auroc: str
    usable: bool
    shift: str
    bounds: str
    p: str
    at: float | None
    low: float | None
    high: float | None
    random: tuple[float, float] | None
    """Where 95 % of random directions stay; places are percent of the axis."""
    controls: str
    chart: Chart | None


@attrs.frozen(kw_only=True)
class Traits:
    """All directions on one axis."""

    rows: tuple[Trait, ...]
    ticks: tuple[tuple[float, str], ...]
    prompts: str
    alike: tuple[str, ...]
    """Pairs of directions that are similar."""
    problem: str | None

    def __bool__(self) -> bool:
        return bool(self.rows)


def components(view: ResultView) -> tuple[tuple[Site, ...], str | None]:
    """Sites from bottom to top, or why there are none."""
    content, problem = read(view, SHARES)
    rows = [(str(name), marks.row_of(row)) for name, row in marks.row_of(content).items()]
    rows.sort(key=lambda pair: _number_in(pair[0]))
    return tuple(_site(name, row) for name, row in rows[:MOST] if row), problem if not rows else None


def traits(view: ResultView, measurements: Sequence[Measurement], *, auroc: float, alike: float) -> Traits:
    """The directions that were tested, the largest shift first.

    Args:
        measurements: of `activation.traits`.
        auroc: What a direction of ours needs to be usable.
        alike: Cosine from which two directions are named as similar.
    """
    content, problem = read(view, SHIFTS)
    content = marks.row_of(content)
    found = content.get("sites")
    sites = [str(site) for site in found] if isinstance(found, list) else []
    by_trait = marks.row_of(content.get("traits"))
    shifts = [m for m in measurements if m.metric == "activation.traits.shift" and m.value is not None]
    areas = {m.scope: m.value for m in measurements if m.metric == "activation.traits.auroc"}
    shifts.sort(key=lambda m: (-abs(m.value or 0.0), m.id))
    drawn = []
    for m in shifts[:MOST]:
        row = marks.row_of(by_trait.get(str(m.scope.subset)))
        drawn.append((m, row, *_random(row, m.scope.site, sites)))
    ends = [abs(v) for m, _, random, _ in drawn for v in (m.value, *_ends(m), random) if v is not None]
    reach = 1.06 * max([0.05, *ends])
    rows = tuple(
        _trait(m, row, sites, area=areas.get(m.scope), random=random, controls=controls, reach=reach, needed=auroc)
        for m, row, random, controls in drawn
    )
    prompts = marks.number_of(content.get("prompts"))
    return Traits(
        rows=rows,
        ticks=tuple((50 + 50 * k * _round(reach) / reach, marks.signed(k * _round(reach))) for k in (-1, 0, 1)),
        prompts="" if prompts is None else f"{prompts:,.0f}",
        alike=_alike(marks.row_of(content.get("cosines")), alike),
        problem=None if rows else problem,
    )


def _site(name: str, row: Mapping[str, Any]) -> Site:
    share = marks.number_of(row.get("mean_share"))
    delta, base = marks.number_of(row.get("delta_rms")), marks.number_of(row.get("base_rms"))
    relative = delta / base if delta is not None and base else None
    return Site(
        label=site_name(name),
        relative=marks.short(relative),
        mean_share=None if share is None else round(100 * min(max(share, 0.0), 1.0), 2),
        mean_text="–" if share is None else f"{100 * share:.3g} %",
        uncentred=_scree(row.get("uncentred")),
        centred=_scree(row.get("centred")),
    )


def _scree(row: Any) -> Scree | None:
    row = marks.row_of(row)
    shares = [v for v in marks.column(row, "shares", BARS) if v is not None]
    if not shares:
        return None
    bars = tuple(
        Bar(
            x=_SLOT * k,
            y=round(_TALL * (1 - min(share, 1.0)), 2),
            height=round(max(_TALL * min(share, 1.0), 0.5), 2),
            title=f"component {k + 1}: {100 * share:.3g} %",
        )
        for k, share in enumerate(shares)
    )
    overlap, chance, held = (marks.number_of(row.get(key)) for key in ("overlap", "chance", "held_out"))
    return Scree(
        bars=bars,
        first=f"{100 * shares[0]:.3g} %",
        participation=marks.short(marks.number_of(row.get("participation"))),
        overlap=marks.short(overlap),
        chance=marks.short(chance, 2),
        held_out="–" if held is None else f"{100 * held:.3g} %",
    )


def _ends(m: Measurement) -> tuple[float | None, float | None]:
    return (None, None) if m.interval is None else (m.interval.low, m.interval.high)


def _trait(
    m: Measurement,
    row: Mapping[str, Any],
    sites: Sequence[str],
    *,
    area: float | None,
    random: float | None,
    controls: Mapping[str, float],
    reach: float,
    needed: float,
) -> Trait:
    def place(value: float | None) -> float | None:
        return None if value is None else round(50 + 50 * max(-1.0, min(1.0, value / reach)), 3)

    low, high = _ends(m)
    p = None if m.test is None else m.test.p_value if m.test.p_adjusted is None else m.test.p_adjusted
    value, below, above, limit = (marks.column(row, key, len(sites)) for key in ("shift", "low", "high", "random95"))
    curves = [("Shift", "all", value, below, above)]
    if any(v is not None for v in limit):
        blank: list[float | None] = [None] * len(sites)
        curves.append(("95 % of random directions", "control", limit, blank, blank))
        curves.append(("", "control", [None if v is None else -v for v in limit], blank, blank))
    given = row.get("given") is True
    edge = place(random)
    return Trait(
        name=marks.shortened(str(m.scope.subset), 60),
        site=site_name(m.scope.site or ""),
        auroc="yours" if given else "–" if area is None else f"{area:.2f}",
        usable=given or (area is not None and area >= needed),
        shift=marks.signed(m.value),
        bounds=marks.bounds(low, high, sign=True),
        p="–" if p is None else f"{p:.3g}",
        at=place(m.value),
        low=place(low),
        high=place(high),
        random=None if edge is None else (round(100 - edge, 3), round(2 * edge - 100, 3)),
        controls=", ".join(f"{name} {marks.signed(number)}" for name, number in controls.items()),
        chart=chart(sites, curves) if sites and any(v is not None for v in value) else None,
    )


def _random(row: Mapping[str, Any], site: str | None, sites: Sequence[str]) -> tuple[float | None, dict[str, float]]:
    """95 % of random directions and the controls of a trait, at its site."""
    if site not in sites:
        return None, {}
    i = sites.index(site)
    controls = {}
    for name, values in sorted(marks.row_of(row.get("controls")).items()):
        number = marks.column({"": values}, "", len(sites))[i]
        if number is not None:
            controls[marks.shortened(str(name), 40)] = number
    return marks.column(row, "random95", len(sites))[i], controls


def _alike(cosines: Mapping[str, Any], least: float) -> tuple[str, ...]:
    found: dict[tuple[str, str], float] = {}
    for one, row in cosines.items():
        for other, value in marks.row_of(row).items():
            number = marks.number_of(value)
            if number is not None and abs(number) >= least:
                first, second = sorted((str(one), str(other)))
                if abs(number) > abs(found.get((first, second), 0.0)):
                    found[first, second] = number
    ranked = sorted(found.items(), key=lambda pair: -abs(pair[1]))[:MOST]
    return tuple(f"{marks.shortened(a, 40)} and {marks.shortened(b, 40)} ({marks.short(v, 2)})" for (a, b), v in ranked)


def _round(reach: float) -> float:
    """A round number near nine tenths of the reach."""
    return float(f"{0.9 * reach:.1g}") if float(f"{0.9 * reach:.1g}") <= reach else float(f"{0.5 * reach:.1g}")


def _number_in(site: str) -> tuple[int, str]:
    digits = "".join(c for c in site if c.isdigit())[:9]
    return (int(digits) if digits else -1, site)
