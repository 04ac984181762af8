"""How the changes of several trained models of one base relate to one another.

With Δ_i = θ_i − W, and U_i the k leading left singular vectors of Δ_i in one matrix:

    cosine            ⟨Δ_i, Δ_j⟩ / (‖Δ_i‖ ‖Δ_j‖)                       random signs: 0 ± √Σδ_i²δ_j² / (‖Δ_i‖ ‖Δ_j‖)
    sign_agreement    #{sgn Δ_i = sgn Δ_j ≠ 0} / #{Δ_i ≠ 0, Δ_j ≠ 0}   independent: .5
    subspace_left     ‖U_iᵀ U_j‖² / k                                   independent: k/m
    subspace_right    ‖V_iᵀ V_j‖² / k                                   independent: k/n

Task vectors: Editing Models with Task Arithmetic, arXiv 2212.04089. Signs: TIES-Merging, arXiv 2306.01708. Deltas of
emergently misaligned tasks share subspaces (overlap .75–.80 at cosines of .25–.35, arXiv 2511.02022).
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator

import attrs
import numpy as np

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Notification, Scope, Subject
from afterburn_core.run.observations import WeightSeries
from afterburn_core.run.series_sums import SeriesSums
from afterburn_core.run.subspaces import Overlaps
from afterburn_weight.series.places import Collected, Kind, Place, broken, cosine, coverage, roll_ups, sizes

_PREFIX = "weight.candidates"
EXACT = 1e-6
"""Residual of singular vectors up to which an overlap is as good as exact."""


class Candidates:
    """Analyzer `weight.candidates`."""

    def __init__(self, options: None = None) -> None:
        self._found = Collected()
        self._subjects: tuple[Subject, ...] = ()

    def begin(self, context: AnalyzerContext) -> None:
        """Takes the candidates in the order of the command."""
        self._subjects = tuple(subject for subject in context.subjects if subject.role == "trained")

    def observe(self, item: WeightSeries) -> None:
        """Keeps the tensor's sums and overlaps."""
        self._found.add(item)

    def merge(self, other: Candidates) -> None:
        """Takes in tensors that another instance observed."""
        self._found.merge(other._found)

    def finish(self) -> AnalyzerOutput:
        """Measurements of each candidate, then of each pair, per tensor and roll-up."""
        if not self._subjects or not self._found.items:
            return AnalyzerOutput()
        found: list[Measurement] = []
        for place in self._found.places():
            found += sizes(_PREFIX, self._subjects, place)
            found += self._pairs(place)
            if place.kind in {"model", "layer", "module"}:
                found += self._random(place)
        found += self._subspaces()
        found += broken(_PREFIX, self._subjects, self._found.compared)
        found += coverage(_PREFIX, self._subjects, self._found.items)
        return AnalyzerOutput(measurements=tuple(found), notifications=tuple(self._notes()))

    def _random(self, place: Place) -> Iterator[Measurement]:
        """What cosines would be by chance: the widest spread of any pair, so that it serves for all."""
        pairs = itertools.combinations(range(len(self._subjects)), 2)
        spreads = [spread for i, j in pairs if (spread := random_cosine(place.sums, i, j)) is not None]
        if spreads:
            metric = f"{_PREFIX}.cosine_random"
            yield measure(metric, max(spreads), subjects=("base",), scope=place.scope, n=place.sums.n)

    def _of(self, i: int, j: int) -> tuple[str, str]:
        return self._subjects[i].id, self._subjects[j].id

    def _pairs(self, place: Place) -> Iterator[Measurement]:
        sums, scope = place.sums, place.scope
        for i, j in itertools.combinations(range(len(self._subjects)), 2):
            pair = self._of(i, j)
            value = cosine(sums.tasks, i, j)
            if value is None:
                reason = "one of the two did not change"
                yield undefined(f"{_PREFIX}.cosine", reason, subjects=pair, scope=scope, n=sums.n)
            else:
                yield measure(f"{_PREFIX}.cosine", value, subjects=pair, scope=scope, n=sums.n)
            if place.kind == "cell":
                continue
            both = float(sums.both[i, j])
            if both:
                share = float(sums.same[i, j]) / both
                yield measure(f"{_PREFIX}.sign_agreement", share, subjects=pair, scope=scope, n=int(both))
            else:
                reason = "no entry was changed by both"
                yield undefined(f"{_PREFIX}.sign_agreement", reason, subjects=pair, scope=scope, n=0)

    def _subspaces(self) -> Iterator[Measurement]:
        """Overlaps per matrix, then their means; matrices that a candidate left alone are not counted."""
        groups: dict[tuple[Kind, Scope], list[Overlaps]] = defaultdict(list)
        for item in self._found.finite.values():
            if item.subspaces is None:
                continue
            yield from self._overlaps(item.scope, [item.subspaces], means=False)
            for kind, scope in roll_ups(item.scope):
                if kind != "cell":
                    groups[kind, scope].append(item.subspaces)
        for kind, scope in sorted(groups, key=lambda place: place[1].key()):
            yield from self._overlaps(scope, groups[kind, scope], means=True)

    def _overlaps(self, scope: Scope, found: list[Overlaps], *, means: bool) -> Iterator[Measurement]:
        for i, j in itertools.combinations(range(len(self._subjects)), 2):
            pair = self._of(i, j)
            known = [one for one in found if one.directions[i, j]]
            if not known:
                reason = "one of the two did not change any matrix here"
                for side in ("left", "right"):
                    yield undefined(f"{_PREFIX}.subspace_{side}", reason, subjects=pair, scope=scope, n=0)
                continue
            n = len(known) if means else int(known[0].directions[i, j])
            residual = max(one.residual for one in known)
            note = None if residual <= EXACT else f"by subspace iteration, residual up to {residual:.1g} of σ₁"
            for side, dimension in (("left", "rows"), ("right", "columns")):
                overlap = float(np.mean([getattr(one, side)[i, j] for one in known]))
                random = float(np.mean([one.directions[i, j] / getattr(one, dimension) for one in known]))
                measured = measure(f"{_PREFIX}.subspace_{side}", overlap, subjects=pair, scope=scope, n=n, reason=note)
                yield attrs.evolve(measured, approximate=note is not None)
                yield measure(f"{_PREFIX}.subspace_{side}_random", random, subjects=pair, scope=scope, n=n)

    def _notes(self) -> Iterator[Notification]:
        left_out = len(self._found.compared) - len(self._found.finite)
        if left_out:
            message = f"left out of every roll-up: {left_out} tensors, whose sums are not finite in some candidate"
            yield Notification(level="warning", message=message)
        large = [item.name for item in self._found.finite.values() if item.subspaces is None and item.matrix]
        if large:
            more = f" and {len(large) - 3} more" if len(large) > 3 else ""
            message = f"no subspaces of {', '.join(large[:3])}{more}: too large to hold in all models at once"
            yield Notification(level="note", message=message)


def random_cosine(sums: SeriesSums, i: int, j: int) -> float | None:
    """√Σδᵢ²δⱼ² / (‖Δᵢ‖ ‖Δⱼ‖): the standard deviation of the cosine if every entry had a random sign.

    1/√n for entries of even size, and more where a few rows or entries hold most of both changes. `None` where either
    did not change.
    """
    norms = sums.tasks[i, i] * sums.tasks[j, j]
    return min(1.0, math.sqrt(sums.squares[i, j] / norms)) if norms > 0 else None
