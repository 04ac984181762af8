"""Generators of nulls: other weights stand in a resident model while it writes (`transformers_controls`).

- A LoRA adapter's nulls are other factors in its place, on the model that base and adapter share.
- Those of a full fine-tune are other values of its parameters. Base and fine-tune are loaded once for all of them; one
  null exists at a time, so three models have to fit into memory.
- `rounding` is the base with its weights rounded.

Nulls are drawn as the forward pass draws them: `control:matched:3` has the same weights in both passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from afterburn_core.backends.transformers_controls import (
    Change,
    Swaps,
    adapter_changes,
    adapter_parameters,
    control_of,
    paired_changes,
    rounded,
)
from afterburn_core.backends.transformers_loading import Origin, ResidentModel, load_model, network_of
from afterburn_core.errors import SubjectError

if TYPE_CHECKING:
    from afterburn_core.generation.model import Serving
    from afterburn_core.run.needs import Drawn

Making = Callable[[Any], Swaps]
"""From the loaded model to the values of a null."""


class NullModel:
    """A resident model with a null's weights in place while it is in use (`transformers_loading.ResidentModel`)."""

    def __init__(self, resident: ResidentModel, make: Making, *, adapted: bool) -> None:
        """Args:
        resident: the model, shared with other generators that write before or after, never between.
        make: draws the null when it is first used.
        adapted: whether an adapter is on meanwhile.
        """
        self._resident, self._make, self._adapted = resident, make, adapted
        self._own: Swaps | None = None

    def model(self) -> Any:
        """The loaded model."""
        return self._resident.model()

    @property
    def loaded(self) -> bool:
        """Whether the weights are in memory."""
        return self._resident.loaded

    def use(self, adapted: bool) -> None:
        """Puts the null's weights in their places, if they are not there yet."""
        self._resident.use(self._adapted)
        if self._own is None:
            swaps = self._make(self._resident.model())
            self._own = {parameter: parameter.data for parameter in swaps}
            for parameter, value in swaps.items():
                parameter.data = value

    def release(self) -> None:
        """Puts the model's own weights back and lets go of it."""
        for parameter, value in (self._own or {}).items():
            parameter.data = value
        self._own = None
        self._resident.release()


def nulls_on_adapter(resident: ResidentModel, drawn: Sequence[Drawn]) -> list[NullModel]:
    """Nulls of an adapter on the model that it shares with its base, a holder of `resident` each."""
    return [NullModel(resident, _of_adapter(one), adapted=one.kind != "rounding") for one in drawn]


def nulls_of_pair(base: Origin, trained: Origin, serving: Serving, drawn: Sequence[Drawn]) -> list[NullModel]:
    """Nulls of a full fine-tune, in the order given.

    Args:
        base: where the base lies.
        trained: where the fine-tune lies.
        serving: device and dtype.
        drawn: which nulls.
    """
    moved = sum(one.kind != "rounding" for one in drawn)
    pair = _Pair(base, trained, serving)
    resident = ResidentModel(pair.load, holders=moved)
    found = []
    for one in drawn:
        if one.kind == "rounding":
            alone = ResidentModel(lambda: load_model(base, device=serving.device, dtype=serving.dtype))
            found.append(NullModel(alone, _rounding(one), adapted=True))
        else:
            found.append(NullModel(resident, pair.making(one), adapted=True))
    return found


class _Pair:
    """What a full fine-tune changed, found once when it is loaded."""

    def __init__(self, base: Origin, trained: Origin, serving: Serving) -> None:
        self._base, self._trained, self._serving = base, trained, serving
        self._changes: list[Change] = []

    def load(self) -> Any:
        device, dtype = self._serving.device, self._serving.dtype
        trained = load_model(self._trained, device=device, dtype=dtype)
        base = load_model(self._base, device=device, dtype=dtype)
        self._changes = paired_changes(network_of(base), network_of(trained))
        return trained

    def making(self, one: Drawn) -> Making:
        return lambda model: control_of(one.kind, self._changes, one.seed)


def _of_adapter(one: Drawn) -> Making:
    if one.kind == "rounding":
        return _rounding(one)
    return lambda model: control_of(one.kind, adapter_changes(model), one.seed)


def _rounding(one: Drawn) -> Making:
    def make(model: Any) -> Swaps:
        swaps = rounded(network_of(model), one.seed, skip=adapter_parameters(model))
        if not swaps:
            raise SubjectError("the models run in bfloat16 already, so that rounding changes nothing")
        return swaps

    return make
