"""Prompts in two variants: how much more every feature changed under the first than under the second."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from afterburn_sae.features_tally import Table, Tally, table

Floats = NDArray[np.float64]


def contrasted(tallies: Mapping[str, Tally], first: str, second: str) -> Table:
    """The first variant of every prompt that was read in both; tested is its difference less that of the second."""
    by_variant = {v: {name: one for name, one in tallies.items() if one.variant == v} for v in (first, second)}
    shared = set.intersection(*({one.unit for one in own.values()} for own in by_variant.values()))
    left, right = (table({name: one for name, one in own.items() if one.unit in shared}) for own in by_variant.values())
    feature = np.concatenate([np.repeat(one.features, np.diff(one.starts)) for one in (left, right)])
    unit = np.r_[left.unit, right.unit]
    order = np.lexsort((unit, feature))
    new = np.r_[True, (np.diff(feature[order]) != 0) | (np.diff(unit[order]) != 0)] if len(order) else order > 0
    begin = np.flatnonzero(new)
    features, starts = np.unique(feature[order][begin], return_index=True)
    nothing = np.zeros(len(right.unit))

    def joined(of_first: Floats, of_second: Floats = nothing) -> Floats:
        values = np.r_[of_first, of_second][order]
        return np.add.reduceat(values, begin) if len(values) else values

    attribution = None
    if left.attribution is not None:
        attribution = np.zeros(len(features))
        attribution[np.searchsorted(features, left.features)] = left.attribution
    return Table(
        units=left.units,
        tokens=left.tokens + right.tokens,
        features=features,
        starts=np.r_[starts, len(begin)].astype(np.int64),
        unit=unit[order][begin],
        base=joined(left.base),
        difference=joined(left.difference),
        tested=joined(left.tested, -right.tested),
        base_frequency=joined(left.base_frequency),
        trained_frequency=joined(left.trained_frequency),
        attribution=attribution,
        attributed=left.attributed,
    )
