"""From values to the colours of the report's heat maps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache

import attrs

from afterburn_core.resources import template_dir

RGB = tuple[float, float, float]
_RAMP = ("heat-0", "heat-1", "heat-2", "heat-3", "heat-4")
_SIGNED = ("low", "middle", "high")
_WIDE = 300
"""Ratio of the largest value to the median from which colours are logarithmic: else all but one cell look alike."""
_LIGHTNESS = 140
"""Brightness (0 to 255) under which a colour carries light text."""


@attrs.frozen(kw_only=True)
class Scale:
    """A ramp of colours between two values."""

    low: float
    high: float
    ramp: tuple[RGB, ...]
    log: bool = False

    def part(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        here = math.log(max(value, self.low)) if self.log else value
        return min(max((here - low) / ((high - low) or 1.0), 0.0), 1.0)

    def value(self, part: float) -> float:
        """The value at a part of the ramp, for its key."""
        if self.log:
            return math.exp(math.log(self.low) + part * (math.log(self.high) - math.log(self.low)))
        return self.low + part * (self.high - self.low)

    def colour(self, part: float) -> RGB:
        """The colour at a part of the ramp."""
        place = part * (len(self.ramp) - 1)
        k = min(int(place), len(self.ramp) - 2)
        (r, g, b), (red, green, blue), w = self.ramp[k], self.ramp[k + 1], place - k
        return r + (red - r) * w, g + (green - g) * w, b + (blue - b) * w


def scale_of(values: Sequence[Sequence[float | None]], between: tuple[float, float] | None = None) -> Scale | None:
    """The scale of a map, signed where it holds values below 0; `None` where it holds nothing but 0.

    Args:
        values: the map.
        between: what the first and the last colour mean, instead of the smallest and largest value.
    """
    palette = colours()
    if between is not None:
        names = _SIGNED if between[0] < 0 else _RAMP
        return Scale(low=between[0], high=between[1], ramp=tuple(palette[name] for name in names))
    known = [v for line in values for v in line if v is not None and v != 0 and math.isfinite(v)]
    if not known:
        return None
    sizes = sorted(map(abs, known))
    if any(v < 0 for v in known):
        return Scale(low=-sizes[-1], high=sizes[-1], ramp=tuple(palette[name] for name in _SIGNED))
    log = sizes[-1] > _WIDE * sizes[len(sizes) // 2]
    return Scale(low=sizes[0] if log else 0.0, high=sizes[-1], ramp=tuple(palette[n] for n in _RAMP), log=log)


@cache
def colours() -> Mapping[str, RGB]:
    """The light palette of the report, parts from 0 to 255."""
    sheet = (template_dir("report") / "styles" / "light.css").read_text(encoding="utf-8")
    found = re.findall(r"--([\w-]+): #([0-9a-f]{6})\b", sheet)
    return {name: (int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)) for name, code in found}


def code_of(colour: RGB) -> str:
    """`#2a6ca8`."""
    return "#" + "".join(f"{round(part):02x}" for part in colour)


def is_dark(colour: RGB) -> bool:
    """Whether text on the colour has to be light (luma of Rec. 601)."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue < _LIGHTNESS
