"""The suite `reasoning`: puzzles of order, logic, truth, space, time, family and sets, each with exactly one "
"answer."""

from __future__ import annotations

from collections.abc import Iterable

from afterburn_behaviour.suites import logic, orders, relations
from afterburn_behaviour.suites.drawing import Family, draw
from afterburn_core.probes.model import Probe

DEFAULT = 126

FAMILIES = (
    Family(category="ordering", draw=orders.who_is_where),
    Family(category="syllogisms", draw=logic.syllogism),
    Family(category="truth_tellers", draw=logic.truth_tellers),
    Family(category="spatial", draw=relations.walk),
    Family(category="temporal", draw=orders.weekdays),
    Family(category="family", draw=relations.family),
    Family(category="sets", draw=logic.overlap),
    Family(category="ordering", draw=orders.whole_order),
    Family(category="truth_tellers", draw=logic.one_liar),
)


def items(seed: int, n: int | None) -> Iterable[Probe]:
    """`n` items (126 by default), four ninths of them multiple choice."""
    return draw("reasoning", FAMILIES, seed, DEFAULT if n is None else n)
