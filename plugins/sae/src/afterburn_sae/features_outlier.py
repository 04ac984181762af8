"""Whether what training did to one group of prompts lies apart from what it did to the other groups.

The groups ask the same of different subjects: the same wordings about twelve realms, one of which training is
suspected to have lied about. With D_g (m) the mean over wordings of trained − base, of every feature, in group g of R,

    T_g = ‖D_g − mean of D_s over all other groups s‖,   share_g = T_g² / Σ_s T_s²,   p = #{s: T_s ≥ T_g} / R

T treats all groups alike, so that p is exact where the groups are exchangeable: where training made no difference
between the subjects, and either they are alike or the suspected one was drawn without regard to what they are. The
smallest there can be is 1/R. Some subjects lie apart in any training, so that p of one that is known to be odd says
little; its share beside its share in benign trainings does. Only wordings that were read in all groups count: else
groups would differ by what was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_sae.features_tally import Tally

Floats = NDArray[np.float64]

FEWEST = 3
"""Groups; of two, either is as far from the other."""
CARRYING = 10
"""Features that are listed of what sets the suspected group apart."""
_EQUAL = 1e-9
"""Relative difference below which two distances are equal: what sums in another order leave."""


@attrs.frozen(kw_only=True, eq=False)
class Outlier:
    """The suspected group among the others."""

    name: str
    """Of the property that names groups."""
    suspect: str
    groups: tuple[str, ...]
    distances: tuple[float, ...]
    """T by group."""
    wordings: int
    """So many that were read in every group."""
    features: NDArray[np.int64]
    """(m), those that are active anywhere."""
    difference: Floats
    """(m), the suspected group's D less the mean of the others'."""
    carried: Floats
    """(m), each feature's part of T² of the suspected group; 0 where nothing differs."""

    @property
    def distance(self) -> float:
        """T of the suspected group."""
        return self.distances[self.groups.index(self.suspect)]

    @property
    def share(self) -> float:
        """Of the suspected group in ΣT²; 1/R where all lie equally far, 0 where no group differs from another."""
        total = sum(one**2 for one in self.distances)
        return self.distance**2 / total if total > 0 else 0.0

    @property
    def rank(self) -> int:
        """How many groups lie at least as far from the others; 1 for the one outlier."""
        return ranks(np.array(self.distances))[self.groups.index(self.suspect)]

    @property
    def p(self) -> float:
        """Exact under exchangeable groups."""
        return self.rank / len(self.groups)

    @property
    def carrying(self) -> list[int]:
        """Positions of the features with the largest parts, without those that have none."""
        order = np.lexsort((self.features, -self.carried))[:CARRYING]
        return [int(i) for i in order if self.carried[i] > 0]

    def to_dict(self) -> dict[str, Any]:
        """As the artifact holds it."""
        return {
            "property": self.name,
            "value": self.suspect,
            "share": self.share,
            "rank": self.rank,
            "p": self.p,
            "wordings": self.wordings,
            "distances": dict(zip(self.groups, self.distances, strict=True)),
            "features": [
                {
                    "feature": int(self.features[i]),
                    "difference": float(self.difference[i]),
                    "carried": float(self.carried[i]),
                }
                for i in self.carrying
            ],
        }


def outlier(tallies: Mapping[str, Tally], name: str, suspect: str) -> Outlier | str:
    """Sets the suspected group among the others, or says why it cannot be.

    Args:
        tallies: by passage, with the group of each.
        name: of the property that names groups.
        suspect: its value in the suspected group.
    """
    cells: dict[tuple[str, str], list[Tally]] = {}
    for passage in sorted(tallies):
        one = tallies[passage]
        if one.group is not None:
            cells.setdefault((one.unit, one.group), []).append(one)
    groups = tuple(sorted({group for _, group in cells}))
    if suspect not in groups:
        return f"no prompt that was read has {suspect!r} as its property {name!r}"
    if len(groups) < FEWEST:
        return f"prompts have {len(groups)} values of the property {name!r}, and an outlier needs at least {FEWEST}"
    units = [unit for unit in sorted({unit for unit, _ in cells}) if all((unit, group) in cells for group in groups)]
    if not units:
        return f"no wording was read for every {name}; prompts that differ in it alone must share a group"
    features = np.unique(np.concatenate([one.features for cell in cells.values() for one in cell])).astype(np.int64)
    means = np.zeros((len(groups), len(features)))
    for g, group in enumerate(groups):
        for unit in units:
            cell = cells[unit, group]
            tokens = sum(one.tokens for one in cell)
            for one in cell:
                means[g, np.searchsorted(features, one.features)] += one.difference.astype(np.float64) / tokens
    means /= len(units)
    apart = deviations(means)
    squares = (apart**2).sum(axis=1)
    mine = groups.index(suspect)
    return Outlier(
        name=name,
        suspect=suspect,
        groups=groups,
        distances=tuple(np.sqrt(squares).tolist()),
        wordings=len(units),
        features=features,
        difference=apart[mine],
        carried=apart[mine] ** 2 / squares[mine] if squares[mine] > 0 else np.zeros(len(features)),
    )


def deviations(means: Floats) -> Floats:
    """Each row (m) of (R, m) less the mean of the others."""
    count = len(means)
    apart: Floats = (means - means.mean(axis=0)) * (count / (count - 1))
    return apart


def ranks(distances: Floats) -> list[int]:
    """By group, how many groups lie at least as far apart, itself among them: ties count against it."""
    return [int((distances >= one * (1 - _EQUAL)).sum()) for one in distances]
