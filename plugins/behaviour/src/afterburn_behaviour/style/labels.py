"""Labels over prompts: entropy on each side and its change, and the distance between the sides' distributions.

Total variation with the prompts' shares P_ik (samples of prompt i with label k, averaged inside the prompt):

    TV = ½ Σ_k |mean_i (P^T_ik − P^B_ik)|,    p = (1 + #{TV(ε) ≥ TV})/(B + 1)

where ε swaps the two sides within prompts, all prompts of a cluster together. TV cannot be negative, so its expectation
without any shift is above 0: read its p value, not its size, for evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np

from afterburn_behaviour.units import SIDES, Side, UnitTable, clusters
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Test
from afterburn_core.stats.contrast import as_measurement
from afterburn_core.stats.entropy import entropy, label_entropy_shift
from afterburn_core.stats.resampling import RESAMPLES, flips

Labeller = Callable[[Mapping[str, float | None]], str]
_TIE = 1e-12


def labels(table: UnitTable, label: Labeller, side: Side, *, paired: bool = True) -> list[str]:
    """The label of each prompt's first sample, over the prompts in order of their ids."""
    found = []
    for row in table.rows():
        answered = row.side(side)
        if answered.texts and (row.paired or not paired):
            found.append(label({key: values[0] for key, values in answered.values.items()}))
    return found


def entropies(table: UnitTable, label: Labeller, metric: str, *, seed: int) -> list[Measurement]:
    """Entropy of the labels on each side, and the change with its test."""
    found = []
    for side in SIDES:
        own = labels(table, label, side, paired=False)
        value = entropy(own)
        if value is None:
            found.append(undefined(metric, "no prompt was answered", subjects=(side,), n=0))
        else:
            found.append(measure(metric, value, subjects=(side,), n=len(own)))
    base, trained = (labels(table, label, side) for side in SIDES)
    of = clusters([row.probe for row in table.rows() if row.paired])
    return [*found, as_measurement(label_entropy_shift(base, trained, seed=seed, clusters=of), metric)]


def distance(
    table: UnitTable, keys: Sequence[str], metric: str, *, seed: int, resamples: int = RESAMPLES
) -> Measurement:
    """Total variation between the sides' shares of labels, with the test by swapping sides.

    Args:
        keys: One key per label; each sample has 1 for its label and 0 for the others.
    """
    columns = [table.paired(key) for key in keys]
    n = len(columns[0].probes)
    if n < 2:
        return undefined(metric, "a distance over prompts needs two of them", n=n)
    d = np.stack([column.difference for column in columns], axis=1)  # (n, labels)
    if columns[0].clusters is not None:
        names = {name: index for index, name in enumerate(dict.fromkeys(columns[0].clusters))}
        sums = np.zeros((len(names), d.shape[1]))
        np.add.at(sums, [names[name] for name in columns[0].clusters], d)
        d = sums
    observed = float(np.abs(d.sum(axis=0)).sum())
    count = 0
    for signs in flips(len(d), resamples, seed):
        count += int((np.abs(signs @ d).sum(axis=1) >= observed * (1 - _TIE)).sum())
    p = (1 + count) / (resamples + 1)
    value = observed / (2 * n)
    test = Test(name="arm_swap", p_value=p, statistic=value)
    return attrs.evolve(measure(metric, value, n=len(d)), test=test)
