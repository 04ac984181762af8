"""Drift by site and probe set as coloured tables, one for each measure, from the artifact `sae.drift`."""

from __future__ import annotations

import attrs

from afterburn_core.report import forward_marks as marks
from afterburn_core.report.activation_drift import beside_site, site_name
from afterburn_core.report.sae_features import set_name
from afterburn_core.report.sae_values import MEASURES, DriftMap, Estimate

SHADES = 5
MOST_SITES, MOST_SETS = 200, 24
TITLES = {"dense": "Dense", "features": "Features", "mass": "Mass moved"}
MEANINGS = {
    "dense": "1 − cosine of both sides’ mean activations: what the model holds, whatever a dictionary makes of it.",
    "features": "1 − cosine of both sides’ mean feature activations: which features are on, weighted by how much.",
    "mass": "Σ|Δ| over Σ of the base’s mean feature activations: how much feature activity came, went or moved.",
}


@attrs.frozen(kw_only=True)
class Cell:
    """One cell of a map."""

    shade: int
    """0 to 5; 0 where nothing moved."""
    value: str
    bounds: str
    n: str


@attrs.frozen(kw_only=True)
class HeatMap:
    """One measure by site and probe set."""

    measure: str
    title: str
    meaning: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    steps: tuple[str, ...]
    """Where each shade begins."""
    largest: str
    """The largest cell, in words."""


def heat_maps(found: DriftMap) -> tuple[HeatMap, ...]:
    """A map for each measure that has a number, sites as the file orders them; rows without numbers are left out."""
    cells = {(cell.site, cell.set): cell for cell in found.cells}
    made = []
    for measure in MEASURES:
        sites, sets = found.sites[:MOST_SITES], found.sets[:MOST_SETS]
        values: dict[tuple[str, str], Estimate] = {}
        for site in sites:
            for one in sets:
                cell = cells.get((site, one))
                estimate = None if cell is None else getattr(cell, measure)
                if estimate is not None:
                    values[site, one] = estimate
        if values:
            made.append(_map(measure, sites, sets, values))
    return tuple(made)


def _map(
    measure: str, sites: tuple[str, ...], sets: tuple[str, ...], values: dict[tuple[str, str], Estimate]
) -> HeatMap:
    (site, one), top = max(values.items(), key=lambda pair: pair[1].value)
    reach = max(top.value, 0.0)
    kept = [name for name in sets if any((site, name) in values for site in sites)]
    rows = tuple(
        (site_name(site), tuple(_cell(values.get((site, name)), reach) for name in kept))
        for site in sites
        if any((site, name) in values for name in kept)
    )
    return HeatMap(
        measure=measure,
        title=TITLES[measure],
        meaning=MEANINGS[measure],
        columns=tuple(map(set_name, kept)),
        rows=rows,
        steps=tuple(marks.short(reach * k / SHADES, 2) for k in range(1, SHADES)) if reach > 0 else (),
        largest=f"{marks.short(top.value)} {beside_site(site)} on {set_name(one)}",
    )


def _cell(estimate: Estimate | None, reach: float) -> Cell | None:
    if estimate is None:
        return None
    shade = 1 + min(SHADES - 1, int(SHADES * estimate.value / reach)) if estimate.value > 0 else 0
    return Cell(
        shade=shade,
        value=marks.short(estimate.value),
        bounds=marks.bounds(estimate.low, estimate.high),
        n="" if estimate.n is None else f"n = {estimate.n:,}",
    )
