"""A bounded sample of passages whose vectors are kept, the same whatever the order and the division of batches.

Kept are the passages of lowest rank, a keyed hash of their ids (`places.rank_of`): of any division, the lowest of the
lowest are the lowest of all. At most `most` passages, fewer where the vectors of all sites would take more than
`BUDGET` bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_activation.places import rank_of

Vectors = NDArray[np.float32]
BUDGET = 256 << 20
FEWEST = 32
"""Passages that are kept whatever they cost."""


def affordable(most: int, numbers: int) -> int:
    """How many passages are kept, where one has so many float32 numbers."""
    return min(most, max(FEWEST, BUDGET // max(4 * numbers, 1)))


@attrs.define
class Kept:
    """Vectors by passage."""

    key: str
    most: int
    _vectors: dict[str, Mapping[str, Vectors]] = attrs.field(factory=dict)
    _ranks: dict[str, tuple[int, str]] = attrs.field(factory=dict)
    _units: dict[str, str] = attrs.field(factory=dict)

    def wanted(self, names: Sequence[str]) -> list[int]:
        """Which of these passages would be kept, by position, as things stand."""
        ranks = {i: (rank_of(name, self.key), name) for i, name in enumerate(names)}
        every = sorted([*self._ranks.values(), *ranks.values()])[: self.most]
        worst = every[-1] if every else None
        return [i for i, rank in ranks.items() if worst is not None and rank <= worst]

    def add(self, name: str, unit: str, vectors: Mapping[str, Vectors]) -> None:
        """Keeps a passage's vectors, if it is among the lowest; without kinds that hold a number that is not finite."""
        finite = {kind: values for kind, values in vectors.items() if np.isfinite(values).all()}
        self._vectors[name], self._units[name] = finite, unit
        self._ranks[name] = (rank_of(name, self.key), name)
        if len(self._ranks) > self.most:
            last = max(self._ranks, key=lambda one: self._ranks[one])
            del self._ranks[last], self._vectors[last], self._units[last]

    def merge(self, other: Kept) -> None:
        """Takes in what another instance kept."""
        for name, vectors in other._vectors.items():
            self.add(name, other._units[name], vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    def names(self, kind: str) -> list[str]:
        """Passages that have vectors of this kind, sorted."""
        return sorted(name for name, vectors in self._vectors.items() if kind in vectors)

    def unit(self, name: str) -> str:
        return self._units[name]

    def vectors(self, name: str) -> Mapping[str, Vectors]:
        """Of one passage, by kind."""
        return self._vectors[name]

    def of_passages(self, kind: str) -> Vectors:
        """(n, …), in the order of `names`."""
        return np.stack([self._vectors[name][kind] for name in self.names(kind)])

    def units(self, kind: str) -> list[str]:
        """Units of these passages, sorted."""
        return sorted({self._units[name] for name in self.names(kind)})

    def averaging(self, kind: str) -> NDArray[np.float64]:
        """(U, n): takes vectors of passages to the means of their units."""
        names, units = self.names(kind), self.units(kind)
        place = {unit: i for i, unit in enumerate(units)}
        matrix = np.zeros((len(units), len(names)))
        for column, name in enumerate(names):
            matrix[place[self._units[name]], column] = 1.0
        return np.asarray(matrix / matrix.sum(axis=1, keepdims=True))
