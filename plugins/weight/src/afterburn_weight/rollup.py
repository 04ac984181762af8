"""The places a tensor counts towards: itself, its layer, its kind of module, their crossing, the whole model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import attrs

from afterburn_core.result.model import Scope
from afterburn_core.run.sums import PairSums, combine


@attrs.frozen(kw_only=True)
class Place:
    """A roll-up scope with the sums of all tensors in it."""

    scope: Scope
    sums: PairSums
    tensors: int


def roll_up(tensors: Mapping[str, tuple[Scope, PairSums]]) -> tuple[Place, ...]:
    """Sums by layer, module kind, layer × module kind, and for the model; energies are added, never norms.

    Tensors outside any layer (embeddings, the final norm) count towards their module kind and the model.
    """
    groups: dict[Scope, list[PairSums]] = defaultdict(list)
    for name in sorted(tensors):
        scope, sums = tensors[name]
        for place in places(scope):
            groups[place].append(sums)
    return tuple(
        Place(scope=scope, sums=combine(groups[scope]), tensors=len(groups[scope]))
        for scope in sorted(groups, key=order)
    )


def places(scope: Scope) -> Iterable[Scope]:
    """The scopes that a tensor counts towards besides its own."""
    yield Scope()
    yield Scope(module=scope.module)
    if scope.layer is not None:
        layer = Scope(layer=scope.layer, subset=scope.subset)
        yield layer
        yield attrs.evolve(layer, module=scope.module)


def order(scope: Scope) -> tuple[str, int, str]:
    """A key that sorts roll-up scopes."""
    return (scope.subset or "", -1 if scope.layer is None else scope.layer, scope.module or "")
