"""Which blends of a pair are looked at: all of the change scaled, its leading directions, and its parts alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import attrs

from afterburn_behaviour.live.options import ScalingOptions
from afterburn_core.forward.live import BASE, TRAINED, Blend, Live, Place
from afterburn_core.result.model import Scope

PARTS = ("attention", "mlp")


@attrs.frozen(kw_only=True, eq=False)
class Dose:
    """One blend, and where its numbers stand."""

    scale: float
    blend: Blend
    rank: int | None = None
    layers: tuple[int, int] | None = None
    """First and last of the band."""
    part: str | None = None
    """`attention` or `mlp` of the band, or `rest`: all that is neither."""

    @property
    def whole(self) -> bool:
        """Whether all of the change is scaled alike."""
        return self.rank is None and self.part is None

    @property
    def name(self) -> str:
        """As in `Scope.subset`."""
        if self.rank is not None:
            return f"rank={self.rank}"
        if self.layers is not None:
            return f"layers {self.layers[0]}-{self.layers[1]} lambda={self.scale:g}"
        return f"lambda={self.scale:g}"

    @property
    def scope(self) -> Scope:
        return Scope(subset=self.name, module=self.part)


def doses(live: Live, options: ScalingOptions) -> tuple[Dose, ...]:
    """Every dose, all of the change first in ascending λ, then ranks, then bands."""
    scales = sorted({0.0, 1.0, *options.scales})
    found = [Dose(scale=scale, blend=_scaled(scale)) for scale in scales]
    largest = max((min(place.shape) for place in live.places if len(place.shape) > 1), default=0)
    found += [Dose(scale=1.0, blend=Blend(rank=rank), rank=rank) for rank in sorted(options.ranks) if rank < largest]
    for layers, part, names in _parts(live.places, live.layers, options.bands):
        for scale in sorted(options.band_scales):
            blend = Blend(default=0.0, scales=dict.fromkeys(names, scale))
            found.append(Dose(scale=scale, blend=blend, layers=layers, part=part))
    return tuple(found)


def bands(layers: int, count: int) -> list[tuple[int, int]]:
    """First and last layer of at most `count` bands of equal size, up to one."""
    count = max(1, min(count, layers))
    edges = [round(number * layers / count) for number in range(count + 1)]
    return [(first, last - 1) for first, last in itertools.pairwise(edges)]


def _parts(
    places: Sequence[Place], layers: int, count: int
) -> list[tuple[tuple[int, int] | None, str, tuple[str, ...]]]:
    """Bands × parts that hold a change, and all that is in none."""
    found: list[tuple[tuple[int, int] | None, str, tuple[str, ...]]] = []
    taken: set[str] = set()
    for first, last in bands(layers, count) if layers else []:
        for part in PARTS:
            names = tuple(
                place.name
                for place in places
                if place.part == part and place.layer is not None and first <= place.layer <= last
            )
            taken.update(names)
            if names:
                found.append(((first, last), part, names))
    rest = tuple(place.name for place in places if place.name not in taken)
    if rest and found:  # where nothing else changed, the rest is the whole change
        found.append((None, "rest", rest))
    return found


def _scaled(scale: float) -> Blend:
    return BASE if scale == 0 else TRAINED if scale == 1 else Blend(default=scale)
