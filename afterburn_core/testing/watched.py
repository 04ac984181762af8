"""Observations that note what an analyzer does with them. They are `WeightPair`s, so `isinstance` and `match` work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import attrs

from afterburn_core.run.needs import WeightsNeed
from afterburn_core.run.observations import WeightPair

if TYPE_CHECKING:
    import torch

_QUANTITIES = {
    "sums": "sums",
    "rows": "rows",
    "spectra": "spectra",
    "values": "tensors",
    "read_values": "tensors",
    "side": "tensors",
    "read_side": "tensors",
}

P = TypeVar("P", bound=WeightPair)


def rationed(pair: WeightPair, need: WeightsNeed, overreach: list[str]) -> WeightPair:
    """The same pair; reading a quantity that `need` does not list is refused and noted in `overreach`."""

    class RationedPair(WeightPair):
        def __getattribute__(self, name: str) -> Any:
            quantity = _QUANTITIES.get(name)
            if quantity is not None and quantity not in need.quantities:
                overreach.append(f"{name} of {object.__getattribute__(self, 'name')}, which needs {quantity!r}")
                raise RuntimeError(f"{name} was read, but the need lists only {need.quantities}")
            return super().__getattribute__(name)

    return _like(pair, RationedPair)


@attrs.define
class ValueLog:
    """Tensors that were handed out, each with a copy made at that moment."""

    entries: list[tuple[str, torch.Tensor, torch.Tensor]] = attrs.field(factory=list)

    def note(self, name: str, *values: torch.Tensor) -> None:
        self.entries.extend((name, value, value.clone()) for value in values)

    def altered(self) -> list[str]:
        """Names of tensors that no longer hold what was handed out."""
        import torch

        return [
            name
            for name, now, then in self.entries
            if now.shape != then.shape or not torch.equal(now.nan_to_num(7.5), then.nan_to_num(7.5))
        ]


def logged(pair: WeightPair, log: ValueLog) -> WeightPair:
    """The same pair; every tensor it hands out is noted in `log`, and handed out again at the next call."""

    class LoggedPair(WeightPair):
        handed: ClassVar[list[tuple[torch.Tensor, torch.Tensor]]] = []

        def values(self) -> tuple[torch.Tensor, torch.Tensor]:
            if not self.handed:
                base, trained = WeightPair.values(self)
                log.note(self.name, base, trained)
                self.handed.append((base, trained))
            return self.handed[0]

    return _like(pair, LoggedPair)


def _like(pair: WeightPair, kind: type[P]) -> P:
    fields = {field.name: getattr(pair, field.name) for field in attrs.fields(WeightPair)}
    return kind(**fields)
