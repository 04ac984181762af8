"""Corrections over declared families of tests, with m p values p_(1) ≤ … ≤ p_(m).

- Holm: p̃_(i) = max over j ≤ i of (m − j + 1) p_(j); family-wise error, any dependence (Holm 1979).
- BH: p̃_(i) = min over j ≥ i of m p_(j)/j; false discovery rate, independence or positive dependence (Benjamini and
  Hochberg 1995).
- BY: BH times Σ 1/k for k ≤ m; false discovery rate, any dependence (Benjamini and Yekutieli 2001).

All are clipped at 1. A family of one stays uncorrected and says so: `correction` is absent. Many correlated statistics
are better served by `max_t` of `afterburn_core.stats.maxt`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Literal, TypeVar

import attrs

from afterburn_core.stats.contrast import Contrast

Method = Literal["bh", "by", "holm"]
K = TypeVar("K", bound=Hashable)


def adjusted(p_values: Sequence[float], method: Method = "bh") -> list[float]:
    """The p values after the correction, in the order given.

    Raises:
        ValueError: A value lies outside [0, 1], or the method is unknown.
    """
    if any(not 0 <= p <= 1 for p in p_values):
        raise ValueError("a p value lies outside [0, 1]")
    m = len(p_values)
    order = sorted(range(m), key=lambda i: p_values[i])
    result = [1.0] * m
    if method == "holm":
        running = 0.0
        for rank, i in enumerate(order):
            running = max(running, (m - rank) * p_values[i])
            result[i] = min(1.0, running)
        return result
    if method not in ("bh", "by"):
        raise ValueError(f"unknown correction {method!r}: choose bh, by or holm")
    factor = sum(1 / k for k in range(1, m + 1)) if method == "by" else 1.0
    running = 1.0
    for rank in range(m, 0, -1):
        i = order[rank - 1]
        # equal p values come out equal, and never below what they were
        running = min(running, max(p_values[i], factor * m * p_values[i] / rank))
        result[i] = running
    return result


def adjust(contrasts: Mapping[K, Contrast], *, family: str, method: Method = "bh") -> dict[K, Contrast]:
    """The contrasts with `p_adjusted`, `correction` and `family` filled in.

    Contrasts without a test pass through untouched and do not count towards the family's size. A family of one test
    keeps its name, and neither `p_adjusted` nor `correction`: it is uncorrected.
    """
    tested = {key: contrast.test for key, contrast in contrasts.items() if contrast.test is not None}
    corrected = dict(zip(tested, adjusted([test.p_value for test in tested.values()], method)))
    result = dict(contrasts)
    for key, test in tested.items():
        if len(tested) == 1:
            new = attrs.evolve(test, family=family, p_adjusted=None, correction=None)
        else:
            new = attrs.evolve(test, family=family, p_adjusted=corrected[key], correction=method)
        result[key] = attrs.evolve(contrasts[key], test=new)
    return result
