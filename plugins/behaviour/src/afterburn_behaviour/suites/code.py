"""The suite `code`: functions to write with tests, outputs to predict, and one wrong line to find."""

from __future__ import annotations

from collections.abc import Iterable

from afterburn_behaviour.suites import functions, programs
from afterburn_behaviour.suites.drawing import Family, draw
from afterburn_core.probes.model import Probe

DEFAULT = 125

FAMILIES = (
    Family(category="write_function", draw=functions.write),
    Family(category="predict_output", draw=programs.predict),
    Family(category="find_bug", draw=functions.find_bug),
    Family(category="write_function", draw=functions.write),
    Family(category="predict_output", draw=programs.predict),
)


def items(seed: int, n: int | None) -> Iterable[Probe]:
    """`n` items (125 by default); two fifths are functions to write, which only run where code may be executed."""
    return draw("code", FAMILIES, seed, DEFAULT if n is None else n)
