"""Random sets of places as large as a given one: what the same amount of change carries when nobody chose it.

Places are taken in random order until their sum comes closest to the set's: of ‖Δ‖_F², where the places outside it hold
as much, else of the number of parameters (a set that holds most of the change has no equal in it). They may overlap
with the set by chance, but never hold all of it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Literal

import attrs

from afterburn_core.forward.live import Place
from afterburn_core.run.seeds import child_seed
from afterburn_core.trace.cells import Cells, names_of

_TRIES = 20
"""Draws for each set wanted."""
_NEAR = math.log(1.25)
"""Sets within a quarter of the size are as good as equal; farther ones are taken where there are no others."""


@attrs.frozen(kw_only=True)
class LikeSets:
    """Random sets of places of about equal size."""

    matched: Literal["energy", "parameters"]
    sets: tuple[frozenset[str], ...]
    """Distinct; fewer than asked for where there are no more."""


def like_sets(cells: Cells, among: Cells, *, count: int, seed: int) -> LikeSets:
    """Sets as large as `cells`, drawn from the places of `among`; the same for equal arguments."""
    own = names_of(cells)
    places = [place for cell in among for place in cell.places]
    outside = [place for place in places if place.name not in own]
    inside = [place for place in places if place.name in own]
    by_energy = _total(outside, _energy) >= _total(inside, _energy) > 0
    size: Callable[[Place], float] = _energy if by_energy else _parameters
    wanted = _total(inside, size)
    stream = random.Random(child_seed(seed, f"trace/controls/{'/'.join(sorted(own))}"))
    found: dict[frozenset[str], float] = {}
    for _ in range(_TRIES * count):
        drawn, total = _draw(places, wanted, size, stream)
        if not own <= drawn:
            found.setdefault(drawn, max(abs(math.log(total / wanted)), _NEAR) if total > 0 else math.inf)
    nearest = sorted(found, key=lambda drawn: found[drawn])  # stable: equally good ones stay in the order drawn
    return LikeSets(matched="energy" if by_energy else "parameters", sets=tuple(nearest[:count]))


def _draw(
    places: list[Place], wanted: float, size: Callable[[Place], float], stream: random.Random
) -> tuple[frozenset[str], float]:
    order = places[:]
    stream.shuffle(order)
    names: list[str] = []
    total = 0.0
    for place in order:
        nearer = abs(total + size(place) - wanted) < abs(total - wanted)
        if nearer or not names:  # a place that leads further away is passed over; one behind it may be smaller
            names.append(place.name)
            total += size(place)
    return frozenset(names), total


def _parameters(place: Place) -> float:
    return float(math.prod(place.shape))


def _energy(place: Place) -> float:
    return place.norm**2


def _total(places: list[Place], size: Callable[[Place], float]) -> float:
    return sum(map(size, places))
