"""From answers and shifts to measurements of `activation.traits`, and to the artifact that its view is drawn from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_activation.direction_files import Given
from afterburn_activation.directions import (
    FEWEST,
    HeldOut,
    RandomDirections,
    area_interval,
    cosine,
    direction,
    halves,
    held_out,
    null_of,
)
from afterburn_activation.sites import scope_of
from afterburn_activation.specs.traits import FAMILY
from afterburn_activation.trait_texts import SIDES
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Null, Test
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import Contrast, as_measurement
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.paired import means

Floats = NDArray[np.float64]
PREFIX = "activation.traits."


@attrs.frozen(kw_only=True, eq=False)
class Answers:
    """The base's mean activations of answers."""

    sites: tuple[str, ...]
    pairs: Mapping[str, tuple[str, ...]]
    """Pairs of which both answers were read, by trait, sorted."""
    positive: Mapping[str, NDArray[np.float32]]
    """(m, S, d) by trait."""
    negative: Mapping[str, NDArray[np.float32]]

    @classmethod
    def of(cls, found: Mapping[tuple[str, str, str], NDArray[np.float32]], sites: tuple[str, ...]) -> Answers:
        """From vectors by trait, pair and side."""
        pairs: dict[str, tuple[str, ...]] = {}
        for trait in sorted({trait for trait, _, _ in found}):
            both = {pair for name, pair, _ in found if name == trait}
            pairs[trait] = tuple(sorted(p for p in both if all((trait, p, side) in found for side in SIDES)))
        pairs = {trait: names for trait, names in pairs.items() if names}
        sides = [
            {trait: np.stack([found[trait, pair, side] for pair in names]) for trait, names in pairs.items()}
            for side in SIDES
        ]
        return cls(sites=sites, pairs=pairs, positive=sides[0], negative=sides[1])

    @property
    def traits(self) -> tuple[str, ...]:
        return tuple(self.pairs)

    def all_at(self, s: int) -> Floats:
        """(N, d), every answer at a site."""
        every = [side[trait][:, s] for trait in self.traits for side in (self.positive, self.negative)]
        return np.concatenate(every).astype(np.float64)


@attrs.frozen(kw_only=True, eq=False)
class Shifts:
    """δ at the last token of prompts."""

    units: tuple[str, ...]
    of: Mapping[str, NDArray[np.float32]]
    """(n, S, d) by subject: `trained`, `control:matched`."""


@attrs.frozen(kw_only=True, eq=False)
class Tables:
    """Everything by trait and site."""

    sites: tuple[str, ...]
    units: tuple[str, ...]
    directions: Mapping[tuple[str, str], Floats]
    """(d)."""
    shifts: Mapping[tuple[str, str], Floats]
    """(n), ⟨δ_p, v⟩/‖v‖²."""
    nulls: Mapping[tuple[str, str], Null | None]
    random95: Mapping[tuple[str, str], float]
    controls: Mapping[tuple[str, str], Mapping[str, float]]
    told_apart: Mapping[tuple[str, str], HeldOut]
    chosen: Mapping[str, str]
    """Site of each of our own traits."""
    pairs: Mapping[str, int]
    given: Given | None

    @classmethod
    def of(cls, answers: Answers, shifts: Shifts, *, given: Given | None, randoms: int, seed: int) -> Tables:
        """Computes all of it."""
        directions: dict[tuple[str, str], Floats] = {}
        told_apart: dict[tuple[str, str], HeldOut] = {}
        for trait in answers.traits:
            parts = halves(answers.pairs[trait])
            for s, site in enumerate(answers.sites):
                up, down = (side[trait][:, s].astype(np.float64) for side in (answers.positive, answers.negative))
                directions[trait, site] = direction(up, down)
                if parts is not None:
                    told_apart[trait, site] = held_out(up, down, parts)
        for trait, by_site in {} if given is None else given.traits.items():
            directions |= {(trait, site): vector for site, vector in by_site.items()}
        chosen = {
            trait: max(
                answers.sites,
                key=lambda site: (told_apart[trait, site].auroc, told_apart[trait, site].separation),
            )
            for trait in answers.traits
            if (trait, answers.sites[0]) in told_apart
        }
        return cls(
            sites=answers.sites,
            units=shifts.units,
            directions=directions,
            told_apart=told_apart,
            chosen=chosen,
            pairs={trait: len(names) for trait, names in answers.pairs.items()},
            given=given,
            **_projected(answers, shifts, directions, randoms, seed),
        )

    @property
    def tested(self) -> list[tuple[str, str]]:
        """Traits with the sites at which they are tested: the chosen one, or all that a user named."""
        own = list(self.chosen.items())
        if self.given is not None:
            own += [(trait, site) for trait, by_site in self.given.traits.items() for site in by_site]
        return own


def measured(tables: Tables, *, seed: int) -> list[Measurement]:
    """AUROC and shift of every trait at its site."""
    found = _contrasts(tables, seed)
    out: list[Measurement] = []
    for trait, count in tables.pairs.items():
        if trait not in tables.chosen:
            why = f"{count} pairs of answers, of which each half needs {FEWEST}"
            out += [undefined(PREFIX + name, why, scope=scope_of(tables.sites[-1], trait), n=count) for name in _BOTH]
    for place in tables.tested:
        trait, site = place
        scope = scope_of(site, trait)
        if place in tables.told_apart:
            area, pairs = tables.told_apart[place].auroc, tables.pairs[trait]
            one = measure(PREFIX + "auroc", area, subjects=("base",), scope=scope, n=pairs)
            out.append(attrs.evolve(one, interval=area_interval(area, pairs)))
        notes = [f"{name} {value:.3g}" for name, value in sorted(tables.controls[place].items())]
        if tables.given is not None and trait in tables.given.traits:
            notes.append(f"direction from the file sha256:{tables.given.digest}")
        contrast = found[place]
        reason = "; ".join(filter(None, [contrast.reason, *notes])) or None
        shift = as_measurement(attrs.evolve(contrast, reason=reason), PREFIX + "shift", scope=scope)
        out.append(attrs.evolve(shift, null=tables.nulls[place]))
    return out


def stored(tables: Tables) -> bytes:
    """The artifact `activation.trait_shifts`."""
    every = {str(place): values for place, values in tables.shifts.items()}
    intervals = means(every, seed=0, clusters=_clusters(tables.units, every))
    traits: dict[str, Any] = {}
    for trait in dict.fromkeys(trait for trait, _ in tables.directions):
        lists: dict[str, list[float | None]] = {
            name: [] for name in ("auroc", "separation", "shift", "low", "high", "random95")
        }
        controls: dict[str, list[float | None]] = {}
        for site in tables.sites:
            place = (trait, site)
            apart, contrast = tables.told_apart.get(place), intervals.get(str(place))
            band = None if contrast is None else contrast.interval
            numbers = {
                "auroc": None if apart is None else apart.auroc,
                "separation": None if apart is None else apart.separation,
                "shift": None if contrast is None else contrast.estimate,
                "low": None if band is None else band.low,
                "high": None if band is None else band.high,
                "random95": tables.random95.get(place),
            }
            for name, number in numbers.items():
                lists[name].append(_short(number))
            for name in sorted({name for of_place in tables.controls.values() for name in of_place}):
                controls.setdefault(name, []).append(_short(tables.controls.get(place, {}).get(name)))
        given = tables.given is not None and trait in tables.given.traits
        traits[trait] = {"site": tables.chosen.get(trait), "given": given, "controls": controls} | lists
    content = {
        "sites": list(tables.sites),
        "prompts": len(set(tables.units)),
        "traits": traits,
        "cosines": _cosines(tables),
    }
    return json.dumps(content, sort_keys=True, allow_nan=False).encode()


_BOTH = ("auroc", "shift")


def _projected(
    answers: Answers, shifts: Shifts, directions: Mapping[tuple[str, str], Floats], randoms: int, seed: int
) -> dict[str, Any]:
    """Shifts along all directions, site by site, with what random directions and controls show there."""
    found: dict[str, dict[tuple[str, str], Any]] = {"shifts": {}, "nulls": {}, "random95": {}, "controls": {}}
    for s, site in enumerate(answers.sites):
        delta = shifts.of["trained"][:, s].astype(np.float64)
        mean = delta.mean(axis=0)
        controls = {
            name: values[:, s].astype(np.float64).mean(axis=0)
            for name, values in shifts.of.items()
            if name != "trained"
        }
        projections = np.zeros(0)
        if answers.traits:
            drawn = RandomDirections.of(answers.all_at(s), randoms, child_seed(seed, site))
            projections = drawn.projections(mean)
        for place, vector in directions.items():
            if place[1] != site:
                continue
            square = float(vector @ vector)
            if not square > 0:  # answers that read alike have no direction
                found["shifts"][place], found["nulls"][place] = np.full(len(delta), np.nan), None
                found["random95"][place], found["controls"][place] = math.nan, {}
                continue
            length = math.sqrt(square)
            found["shifts"][place] = delta @ vector / square
            found["nulls"][place] = null_of(float(mean @ vector) / length, projections)
            found["random95"][place] = (
                float(np.quantile(np.abs(projections), 0.95)) / length if projections.size else math.nan
            )
            found["controls"][place] = {name: float(one @ vector) / square for name, one in controls.items()}
    return found


def _contrasts(tables: Tables, seed: int) -> dict[tuple[str, str], Contrast]:
    """Means over prompts with their intervals, and the test against random directions."""
    tested = {str(place): tables.shifts[place] for place in tables.tested}
    found = means(tested, seed=seed, clusters=_clusters(tables.units, tested))
    contrasts: dict[tuple[str, str], Contrast] = {}
    for place in tables.tested:
        contrast, null = found[str(place)], tables.nulls[place]
        if contrast.estimate is None:
            contrasts[place] = attrs.evolve(contrast, reason="both answers of every pair read alike here")
            continue
        if contrast.interval is not None and not tables.shifts[place].any():
            contrast = attrs.evolve(contrast, interval=attrs.evolve(contrast.interval, method="identical"))
        if null is not None:
            test = Test(name="random_directions", p_value=null.p_value, statistic=contrast.estimate)
            contrast = attrs.evolve(contrast, test=test)
        contrasts[place] = contrast
    return adjust(contrasts, family=FAMILY)


def _clusters(units: Sequence[str], names: Mapping[str, Floats]) -> dict[str, Sequence[str]] | None:
    return None if len(set(units)) == len(units) else dict.fromkeys(names, units)


def _cosines(tables: Tables) -> dict[str, dict[str, float | None]]:
    """Between the direction of a trait at its site and those of the others there."""
    return {
        trait: {
            other: _short(cosine(tables.directions[trait, site], tables.directions[other, site]))
            for other in tables.chosen
            if other != trait
        }
        for trait, site in tables.chosen.items()
    }


def _short(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")
