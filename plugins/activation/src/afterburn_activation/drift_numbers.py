"""From what `activation.drift` read to measurements, and to the artifact that its view is drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_activation.cka import FEWEST, cka
from afterburn_activation.jackknife import interval
from afterburn_activation.kept import Kept
from afterburn_activation.nulls import among, zero
from afterburn_activation.places import KINDS
from afterburn_activation.sites import scope_of
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Interval, Measurement
from afterburn_core.stats.contrast import as_measurement
from afterburn_core.stats.paired import means

Floats = NDArray[np.float64]
PREFIX = "activation.drift."
SCALARS = ("cosine_distance", "relative", "log_norm_ratio")
_ABSENT = {
    "all": "no passage with a counted token was read",
    "first": "no passage has a text of its own",
    "mean": "no passage with a counted token was read",
    "last": "no prompt was read",
}


@attrs.frozen(kw_only=True)
class Layout:
    """The sites, bottom to top."""

    sites: tuple[str, ...]
    widths: tuple[int, ...]
    """d of each."""
    seed: int

    def cut(self, rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Rows (…, Σd) by site."""
        return np.split(rows, np.cumsum(self.widths)[:-1], axis=-1)


def of_passages(
    layout: Layout, *, units: Sequence[str], numbers: Floats, controls: Mapping[str, Floats]
) -> list[Measurement]:
    """Means over passages of what every passage has a number for, with the controls' means as null.

    Args:
        units: (n), the unit of every passage.
        numbers: (n, sites, kinds, scalars).
        controls: The same by subject.
    """
    if not len(units):
        return [
            undefined(PREFIX + name, "no passage of text and no prompt was read", n=0)
            for name in (*SCALARS, "centred_cosine_distance", "cka", "mean_shift")
        ]
    places = [
        (s, k, q)
        for s in range(len(layout.sites))
        for k in range(len(KINDS))
        for q in range(len(SCALARS))
        if not np.isnan(numbers[:, :, k]).all() or s == len(layout.sites) - 1
    ]
    columns = {str(place): numbers[:, place[0], place[1], place[2]] for place in places}
    clusters = None if len(set(units)) == len(units) else {name: list(units) for name in columns}
    found = means(columns, seed=layout.seed, clusters=clusters)
    of_control = {
        name: {str(p): _mean(values[:, p[0], p[1], p[2]]) for p in places} for name, values in controls.items()
    }
    measured = []
    for place in places:
        contrast, name = found[str(place)], SCALARS[place[2]]
        if contrast.estimate is None:
            contrast = attrs.evolve(contrast, reason=_ABSENT[KINDS[place[1]]])
        elif not columns[str(place)][~np.isnan(columns[str(place)])].any():
            contrast = attrs.evolve(contrast, interval=zero(), reason=None)
        scope = scope_of(layout.sites[place[0]], KINDS[place[1]])
        nulls = {control: values[str(place)] for control, values in of_control.items()}
        measured.append(among(as_measurement(contrast, PREFIX + name, scope=scope), nulls))
    return measured


def of_vectors(layout: Layout, kept: Kept, spread: Mapping[str, Floats]) -> list[Measurement]:
    """What needs vectors: centred cosine, CKA and, of mean vectors, the mean shift.

    Args:
        spread: By passage, (sites), the mean squared distance of its tokens from their mean.
    """
    measured: list[Measurement] = []
    for kind in ("mean", "last"):
        names = kept.names(kind)
        if not names:
            continue
        rows = kept.of_passages(kind)  # (n, 2, Σd)
        averaging = kept.averaging(kind)  # (U, n)
        units = [kept.unit(name) for name in names]
        distances: dict[str, Floats] = {}
        for s, (site, vectors) in enumerate(zip(layout.sites, layout.cut(rows))):
            base, delta = vectors[:, 0].astype(np.float64), vectors[:, 1].astype(np.float64)
            distances[site] = _centred_distance(base, delta, averaging)
            measured.append(_cka(site, kind, averaging @ base, averaging @ delta))
            if kind == "mean":
                within = averaging @ np.array([spread[name][s] for name in names])
                measured.append(_mean_shift(site, averaging @ delta, within))
        clusters = None if len(set(units)) == len(units) else dict.fromkeys(distances, units)
        for site, contrast in means(distances, seed=layout.seed, clusters=clusters).items():
            if contrast.estimate is not None and not distances[site].any():
                contrast = attrs.evolve(contrast, interval=zero(), reason=None)
            measured.append(as_measurement(contrast, PREFIX + "centred_cosine_distance", scope=scope_of(site, kind)))
    return measured


def stored(
    layout: Layout,
    measured: Sequence[Measurement],
    passages: Sequence[tuple[str, str, Floats]],
    controls: Mapping[str, Floats],
) -> dict[str, Any]:
    """What a view needs, without NumPy.

    `sites`: names bottom to top. `metrics`: by metric and place, `value`, `low`, `high`, `n` lists over sites (null
    where undefined) and, where there are controls, `controls`: the controls' values by name. `domains`: by domain,
    `n` units and `relative`, the mean over passages of the relative difference over all tokens, by site.
    """
    table: dict[str, dict[str, Any]] = {}
    place = {site: i for i, site in enumerate(layout.sites)}
    for one in measured:
        if one.scope.site is None:
            continue
        kinds = table.setdefault(one.metric.removeprefix(PREFIX), {})
        empty = {name: [None] * len(place) for name in ("value", "low", "high", "n")}
        lists = kinds.setdefault(str(one.scope.subset), empty)
        i = place[one.scope.site]
        lists["value"][i], lists["n"][i] = _short(one.value), one.n
        if one.interval is not None:
            lists["low"][i], lists["high"][i] = _short(one.interval.low), _short(one.interval.high)
    for q, name in enumerate(SCALARS):
        for k, kind in enumerate(KINDS):
            if controls and kind in table.get(name, {}):
                table[name][kind]["controls"] = {
                    subject: [_short(_mean(column)) for column in values[:, :, k, q].T]
                    for subject, values in sorted(controls.items())
                }
    domains: dict[str, Any] = {}
    for domain in sorted({name for name, _, _ in passages}):
        inside = [(unit, numbers) for name, unit, numbers in passages if name == domain]
        values = np.array([numbers[:, 0, SCALARS.index("relative")] for _, numbers in inside])  # (n, sites)
        domains[domain] = {
            "n": len({unit for unit, _ in inside}),
            "relative": [_short(_mean(column)) for column in values.T],
        }
    return {"sites": list(layout.sites), "metrics": table, "domains": domains}


def _cka(site: str, kind: str, base: Floats, delta: Floats) -> Measurement:
    """CKA of (U, d) unit means."""
    metric, scope, count = PREFIX + "cka", scope_of(site, kind), len(base)
    found = cka(base, base if not delta.any() else base + delta)
    if found is None:
        why = f"{count} units, of at least {FEWEST}" if count < FEWEST else "a side does not vary over units"
        return undefined(metric, why, scope=scope, n=count)
    band: Interval | None
    if found.identical:
        band = Interval(low=1.0, high=1.0, level=0.95, method="identical")
    else:
        band = interval(found.value, found.left_out)
    return attrs.evolve(measure(metric, found.value, scope=scope, n=count), interval=band)


def _mean_shift(site: str, delta: Floats, within: Floats) -> Measurement:
    """d′ of (U, d) mean differences and (U) spreads.

    Without unit i, with G = δδᵀ: Σ_{u≠v} G_uv loses 2 Σ_v G_iv less the diagonal. The interval is that of d′², rooted.
    """
    metric, scope, count = PREFIX + "mean_shift", scope_of(site, "mean"), len(delta)
    if count < 2 or not within.sum() > 0:
        why = "one unit" if count < 2 else "tokens inside passages do not vary"
        return undefined(metric, why, scope=scope, n=count)
    gram = delta @ delta.T
    rest = gram.sum(axis=1) - np.diag(gram)
    pairs = rest.sum()
    value = _ratio(pairs / (count * (count - 1)), within.mean())
    if not delta.any():
        return attrs.evolve(measure(metric, 0.0, scope=scope, n=count), interval=zero())
    if count < 3:
        return measure(metric, value, scope=scope, n=count, reason="no interval: fewer than 3 units")
    left = (pairs - 2 * rest) / ((count - 1) * (count - 2))
    others = (within.sum() - within) / (count - 1)
    # of the square: near 0 the root is so steep that leaving out units understates how far it can be off
    band = interval(pairs / (count * (count - 1)) / within.mean(), left / others)
    if band is not None:
        band = attrs.evolve(band, low=_ratio(band.low, 1.0), high=_ratio(band.high, 1.0))
    return attrs.evolve(measure(metric, value, scope=scope, n=count), interval=band)


def _ratio(square: float, within: float) -> float:
    return math.sqrt(max(0.0, float(square)) / float(within))


def _centred_distance(base: Floats, delta: Floats, averaging: Floats) -> Floats:
    """(n) 1 − cos after the mean over units of base is taken from both sides; cancellation-free, NaN where one is 0.

    1 − cos(a, a + δ) = (‖δ‖² − (‖a + δ‖ − ‖a‖)²)/(2‖a‖‖a + δ‖)
    """
    centred = base - averaging.mean(axis=0) @ base
    a, f, d = ((x * x).sum(axis=1) for x in (centred, centred + delta, delta))
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = (2 * (centred * delta).sum(axis=1) + d) / (np.sqrt(a) + np.sqrt(f))  # ‖f‖ − ‖a‖
        distance = np.clip((d - gap * gap) / (2 * np.sqrt(a * f)), 0.0, 2.0)
    return np.where(d == 0, 0.0, distance)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _short(value: float | None) -> float | None:
    """Six significant digits, which is more than a page shows."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
