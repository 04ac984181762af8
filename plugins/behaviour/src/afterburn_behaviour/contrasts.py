"""From a table of prompts to measurements: each side's own value, and the paired contrast, by category and overall.

Under one metric id, subjects `("base",)` and `("trained",)` carry the sides' own values, over the prompts that the side
answered; subjects `("base", "trained")` carry the paired difference, over the prompts that both answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import attrs

from afterburn_behaviour.units import SIDES, UnitTable
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.stats.contrast import Contrast, as_measurement
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.paired import means, paired_contrasts, paired_rate_contrasts, rate

Part = tuple[Scope, UnitTable]
NOTHING = "no prompt was answered"


@attrs.frozen(kw_only=True)
class Asked:
    """One quantity to measure."""

    key: str
    """Of the table's values."""
    metric: str
    scale: Literal["rate", "mean"]
    """`rate`: values in [0, 1]."""
    sides: bool = True
    """Whether each side's own value is measured as well."""
    contrast: bool = True
    note: str | None = None
    """A caveat that its measurements carry."""


@attrs.frozen(kw_only=True)
class Family:
    """Tests that are corrected together."""

    name: str
    asked: tuple[Asked, ...]
    parts: tuple[Part, ...]


def measure_families(families: Iterable[Family], *, seed: int) -> list[Measurement]:
    """Every quantity of every family in every part of its table, in that order.

    Args:
        seed: of resampling; the value of one metric does not depend on what else is asked.
    """
    found: list[Measurement] = []
    for family in families:
        contrasts = adjust(_contrasts(family, seed), family=family.name)
        sides = _sides(family, seed)
        for index, (scope, table) in enumerate(family.parts):
            left_out = table.answers().note if scope == Scope() else None
            for asked in family.asked:
                for side in SIDES:
                    own = sides.get((asked.key, index, side))
                    if own is not None:
                        found.append(_measurement(own, asked.metric, (side,), scope, asked.note))
                contrast = contrasts.get((asked.key, index))
                if contrast is not None:
                    note = "; ".join(part for part in (asked.note, left_out) if part) or None
                    found.append(_measurement(contrast, asked.metric, SIDES, scope, note))
    return found


def nothing(metrics: Iterable[str]) -> list[Measurement]:
    """What is said of metrics where nothing was observed."""
    return [undefined(metric, NOTHING, n=0) for metric in metrics]


def find(
    measurements: Sequence[Measurement],
    metric: str,
    subjects: tuple[str, ...] = ("base", "trained"),
    scope: Scope | None = None,
) -> Measurement | None:
    """The measurement of `metric` at a place, among those just made."""
    place = scope or Scope()
    return next((m for m in measurements if m.metric == metric and m.subjects == subjects and m.scope == place), None)


def _measurement(
    contrast: Contrast, metric: str, subjects: tuple[str, ...], scope: Scope, note: str | None
) -> Measurement:
    if note is not None:
        reason = f"{contrast.reason}; {note}" if contrast.reason else note
        contrast = attrs.evolve(contrast, reason=reason)
    return as_measurement(contrast, metric, subjects=subjects, scope=scope)


def _contrasts(family: Family, seed: int) -> dict[tuple[str, int], Contrast]:
    """By key and part; all of one scale in one call, so that resampling is paid for once."""
    scales: dict[tuple[str, int], str] = {}
    base, trained, groups = {}, {}, {}
    same: set[str] = set()
    names: dict[str, tuple[str, int]] = {}
    for index, (_, table) in enumerate(family.parts):
        equal = table.identical
        for asked in family.asked:
            if not asked.contrast:
                continue
            paired = table.paired(asked.key)
            name = f"{asked.key} {index}"
            names[name] = (asked.key, index)
            scales[asked.key, index] = asked.scale
            base[name], trained[name] = paired.base, paired.trained
            if paired.clusters is not None:
                groups[name] = paired.clusters
            if equal:
                same.add(name)
    found: dict[str, Contrast] = {}
    rates = [name for name, place in names.items() if scales[place] == "rate"]
    if rates:
        found |= paired_rate_contrasts(
            {name: base[name] for name in rates},
            {name: trained[name] for name in rates},
            seed=seed,
            clusters=_of(groups, rates),
            identical=same,
        )
    other = [name for name in names if name not in found]
    if other:
        differences = {name: trained[name] - base[name] for name in other}
        found |= paired_contrasts(differences, seed=seed, clusters=_of(groups, other), identical=same)
    return {place: found[name] for name, place in names.items()}


def _sides(family: Family, seed: int) -> dict[tuple[str, int, str], Contrast]:
    found: dict[tuple[str, int, str], Contrast] = {}
    values, groups = {}, {}
    places: dict[str, tuple[str, int, str]] = {}
    for index, (_, table) in enumerate(family.parts):
        for asked in family.asked:
            if not asked.sides:
                continue
            for side in SIDES:
                one = table.one_side(asked.key, side)
                place = (asked.key, index, side)
                if asked.scale == "rate":
                    found[place] = rate(one.values, seed=seed, clusters=one.clusters)
                    continue
                name = " ".join(map(str, place))
                places[name], values[name] = place, one.values
                if one.clusters is not None:
                    groups[name] = one.clusters
    if values:
        computed = means(values, seed=seed, clusters=groups)
        found |= {places[name]: contrast for name, contrast in computed.items()}
    return found


def _of(groups: Mapping[str, Sequence[str]], names: Iterable[str]) -> dict[str, Sequence[str]]:
    return {name: groups[name] for name in names if name in groups}
