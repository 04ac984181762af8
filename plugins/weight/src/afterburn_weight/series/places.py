"""What both analyzers of a series share: collecting tensors, rolling sums up, and what every place is measured by.

Energies and products are added over tensors, never norms or cosines.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope, Subject
from afterburn_core.run.observations import WeightSeries
from afterburn_core.run.series_sums import SeriesSums, combine

Kind = Literal["model", "layer", "module", "cell", "tensor"]


@attrs.frozen(kw_only=True)
class Place:
    """One scope with the sums of everything in it."""

    scope: Scope
    kind: Kind
    sums: SeriesSums


@attrs.define
class Collected:
    """The tensors that one analyzer instance observed."""

    items: dict[str, WeightSeries] = attrs.field(factory=dict)

    def add(self, item: WeightSeries) -> None:
        """Keeps a tensor's sums; some hundred numbers, however large it is."""
        self.items[item.name] = item

    def merge(self, other: Collected) -> None:
        """Takes in what another instance observed."""
        self.items.update(other.items)

    @property
    def compared(self) -> dict[str, WeightSeries]:
        """By name, those of which anything was compared, in a fixed order."""
        return {name: self.items[name] for name in sorted(self.items) if self.items[name].sums is not None}

    @property
    def finite(self) -> dict[str, WeightSeries]:
        """Those whose sums mean anything."""
        return {name: item for name, item in self.compared.items() if item.sums is not None and item.sums.finite}

    def places(self) -> Iterator[Place]:
        """Tensors, then layers × modules, layers, modules and the model, each over the finite tensors in it."""
        groups: dict[tuple[Kind, Scope], list[SeriesSums]] = defaultdict(list)
        for item in self.finite.values():
            if item.sums is None:
                continue
            yield Place(scope=item.scope, kind="tensor", sums=item.sums)
            for place in roll_ups(item.scope):
                groups[place].append(item.sums)
        for kind, scope in sorted(groups, key=_order):
            yield Place(scope=scope, kind=kind, sums=combine(groups[kind, scope]))


def roll_ups(scope: Scope) -> Iterator[tuple[Kind, Scope]]:
    """The places a tensor counts towards besides itself."""
    yield "model", Scope()
    yield "module", Scope(module=scope.module)
    if scope.layer is not None:
        layer = Scope(layer=scope.layer, subset=scope.subset)
        yield "layer", layer
        yield "cell", attrs.evolve(layer, module=scope.module)


def _order(place: tuple[Kind, Scope]) -> tuple[str, int, str]:
    scope = place[1]
    return (scope.subset or "", -1 if scope.layer is None else scope.layer, scope.module or "")


def sizes(prefix: str, subjects: Sequence[Subject], place: Place) -> Iterator[Measurement]:
    """Norm and relative change of each subject, and its share of changed entries, at one place."""
    sums, scope = place.sums, place.scope
    for number, subject in enumerate(subjects):
        pair = ("base", subject.id)
        square = float(sums.tasks[number, number])
        if place.kind in {"model", "layer", "module"}:
            yield measure(f"{prefix}.norm", math.sqrt(square), subjects=pair, scope=scope, n=sums.n)
            share = float(sums.changed[number]) / sums.n
            yield measure(f"{prefix}.changed_fraction", share, subjects=pair, scope=scope, n=sums.n)
        if sums.base_sq or not square:
            ratio = math.sqrt(square / sums.base_sq) if square else 0.0
            yield measure(f"{prefix}.relative", ratio, subjects=pair, scope=scope, n=sums.n)
        else:
            reason = "the norm of the base is zero"
            yield undefined(f"{prefix}.relative", reason, subjects=pair, scope=scope, n=sums.n)


def cosine(gram: NDArray[np.float64], i: int, j: int) -> float | None:
    """G_ij / √(G_ii G_jj), within [−1, 1]; `None` where either is zero."""
    one, other = math.sqrt(float(gram[i, i])), math.sqrt(float(gram[j, j]))
    if one == 0 or other == 0:
        return None
    return min(1.0, max(-1.0, float(gram[i, j]) / one / other))


def broken(prefix: str, subjects: Sequence[Subject], tensors: Mapping[str, WeightSeries]) -> Iterator[Measurement]:
    """NaN and infinite entries: of every model, and at the tensors that have any."""
    totals = np.zeros(len(subjects) + 1)
    entries = 0
    ids = ["base", *(subject.id for subject in subjects)]
    for item in tensors.values():
        if item.sums is None:
            continue
        totals += item.sums.nonfinite
        entries += item.sums.n
        for identifier, count in zip(ids, item.sums.nonfinite, strict=True):
            if count:
                yield measure(f"{prefix}.nonfinite", count, subjects=(identifier,), scope=item.scope, n=item.sums.n)
        if not item.sums.finite:
            reason = "a model holds NaN or infinite values here, or squares exceed the range of float64"
            for subject in subjects:
                yield undefined(
                    f"{prefix}.relative", reason, subjects=("base", subject.id), scope=item.scope, n=item.sums.n
                )
    if tensors:
        for identifier, count in zip(ids, totals, strict=True):
            yield measure(f"{prefix}.nonfinite", count, subjects=(identifier,), n=entries)


def coverage(prefix: str, subjects: Sequence[Subject], items: Mapping[str, WeightSeries]) -> Iterator[Measurement]:
    """Shares of parameters compared: by each model alone, and by all of them."""
    union = sum(item.union for item in items.values())
    if not union:
        return
    compared = sum(item.compared for item in items.values() if item.union)
    lost = sum(item.union - item.compared for item in items.values() if not item.explained and item.union)
    yield measure(f"{prefix}.coverage", compared / union, subjects=("base",), n=union)
    yield measure(f"{prefix}.coverage.unexplained", lost / union, subjects=("base",), n=union)
    for number, subject in enumerate(subjects):
        own = sum(item.union_by[number] for item in items.values())
        shared = sum(item.compared_by[number] for item in items.values() if item.union_by[number])
        if own:
            yield measure(f"{prefix}.coverage", shared / own, subjects=("base", subject.id), n=own)
