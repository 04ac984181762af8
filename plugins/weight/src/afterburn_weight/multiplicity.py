"""Corrections for asking the same question of many tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from afterburn_core.result.model import Measurement, Test


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p values in the order given: p̃_(i) = min over j ≥ i of p_(j)·n/j (Benjamini, Hochberg 1995)."""
    count = len(p_values)
    adjusted = [1.0] * count
    least = 1.0
    for rank, index in sorted(enumerate(sorted(range(count), key=p_values.__getitem__), start=1), reverse=True):
        least = min(least, p_values[index] * count / rank)
        adjusted[index] = max(least, p_values[index])  # rounding must not lower it
    return tuple(adjusted)


def corrected(tests: Mapping[str, Test], family: str) -> dict[str, Test]:
    """The tests with p values adjusted over all of them."""
    names = sorted(tests)
    adjusted = benjamini_hochberg([tests[name].p_value for name in names])
    return {
        name: attrs.evolve(tests[name], p_adjusted=value, correction="bh", family=family)
        for name, value in zip(names, adjusted, strict=True)
    }


def binomial_p(successes: int, trials: int, chance: float) -> float:
    """P(X ≥ successes) for X ~ Binomial(trials, chance)."""
    logs = (math.log(chance), math.log1p(-chance))
    terms = (
        math.exp(
            math.lgamma(trials + 1) - math.lgamma(x + 1) - math.lgamma(trials - x + 1)
            + x * logs[0] + (trials - x) * logs[1]
        )
        for x in range(successes, trials + 1)
    )  # fmt: skip
    return min(math.fsum(terms), 1.0)


def survives(measurement: Measurement, level: float) -> bool:
    """Whether a measurement's test holds after its correction; true where it has no test to fail."""
    test = measurement.test
    if test is None:
        return True
    return (test.p_value if test.p_adjusted is None else test.p_adjusted) <= level
