"""Which few of thousands of shifted features describe the shift.

One planted word moves its pairs with every neighbour and every three letters across its ends. Features are taken by
|t|, and one that those taken before explain is left out: with r_j what is left of column z_j after regressing it, with
an intercept, on the taken ones (the intercept kept),

    |Σ_i r_ij| / √Σ_i r_ij²  <  ½ |t_j|
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_REMAINS = 0.5
_ALIKE = 0.8
_CONSTANT = 1e-6


def heaviest(z: NDArray[np.float32], statistics: NDArray[np.float32], names: Sequence[str], top: int) -> list[int]:
    """Columns by |t|, without those that a heavier one explains.

    A column is explained when regressing it on the heavier ones, with an intercept, takes half of its t away; or, since
    a change in every prompt cannot be told from another by regression, when its name shares the other's letters.
    """
    # of two names for one thing, the readable one
    strength = np.abs(statistics) * np.array([0.8 if name.startswith("characters: ") else 1.0 for name in names])
    candidates = np.argsort(-strength, kind="stable")[: 20 * top]
    candidates = candidates[strength[candidates] > 0]
    whole = z[:, candidates].astype(np.float64)
    left = whole.copy()
    remaining = strength[candidates].copy()
    chosen: list[int] = []
    while len(chosen) < top and remaining.any():
        best = int(np.argmax(remaining))
        chosen.append(int(candidates[best]))
        remaining[best] = 0
        centred = left[:, best] - left[:, best].mean()
        spread = float(centred @ centred)
        if spread > _CONSTANT * len(z):
            left = left - np.outer(left[:, best], centred @ left / spread)
        squares = np.sum(left * left, axis=0)
        t = np.where(squares > _CONSTANT * len(z), left.sum(axis=0) / np.sqrt(np.maximum(squares, 1e-30)), 0.0)
        remaining[t * np.sign(statistics[candidates]) < _REMAINS * np.abs(statistics[candidates])] = 0
        for j in np.flatnonzero(remaining):
            # columns have unit mean square, so the mean product is their correlation about 0
            alike = abs(float(whole[:, j] @ whole[:, best])) / len(z)
            if alike > _ALIKE and _share_letters(names[int(candidates[j])], names[int(candidates[best])]):
                remaining[j] = 0
    return chosen


def _share_letters(name: str, other: str) -> bool:
    kinds, contents = zip(*(text.split(": ", 1) if ": " in text else ("", text) for text in (name, other)))
    if "style" in kinds or "length" in kinds:
        return bool(kinds[0] == kinds[1] == "length")
    if "characters" in kinds:
        cores = [content.strip("␣⏎⇥").casefold() for content in contents]
        return bool(cores[0] in cores[1] or cores[1] in cores[0])
    return not set(contents[0].split()).isdisjoint(contents[1].split())
