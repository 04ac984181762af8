"""What a blend makes of plain text, against both models: divergences at some positions, likelihood at all.

Both models' log-probabilities are kept at the positions where distributions are compared, at most `_KEPT` numbers a
side, so that every blend costs one reading of the passages and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_behaviour.live.options import ScalingOptions
from afterburn_core.forward.live import BASE, TRAINED, Blend, Live
from afterburn_core.forward.scores import token_scores

Floats = NDArray[np.float64]
_KEPT = 1 << 26
"""Log-probabilities kept of each model: 256 MiB."""
QUANTITIES = ("kl_base", "kl_trained", "nll")


@attrs.frozen(kw_only=True, eq=False)
class _Read:
    """A passage as it is read."""

    unit: str
    ids: tuple[int, ...]
    first: int
    """Position from which on tokens count: after beginning marks."""
    positions: torch.Tensor
    """(m) where distributions are compared."""


class Reference:
    """Both models' readings of the passages."""

    def __init__(self, live: Live, options: ScalingOptions) -> None:
        self._passages = _passages(live, options)
        self.units = tuple(sorted({one.unit for one in self._passages}))
        both = (self._kept(live, BASE), self._kept(live, TRAINED)) if self._passages else ([], [])
        self._base, self._trained = both

    def values(self, live: Live, blend: Blend) -> dict[str, Floats]:
        """(units,) each quantity of `QUANTITIES`, passages of a unit averaged."""
        rows: list[tuple[float, float, float]] = []
        logs = live.log_probs([one.ids for one in self._passages], blend=blend)
        for one, base, trained, found in zip(self._passages, self._base, self._trained, logs, strict=True):
            here = found[one.positions.to(found.device)]
            nobody = torch.full((len(here),), -1, dtype=torch.int64, device=here.device)
            rows.append(
                (
                    float(token_scores(base, here, nobody).kl.mean()),
                    float(token_scores(trained, here, nobody).kl.mean()),
                    _nll(one, found),
                )
            )
        table = np.array(rows, dtype=np.float64).reshape(-1, len(QUANTITIES))
        return {name: self._by_unit(table[:, column]) for column, name in enumerate(QUANTITIES)}

    def _kept(self, live: Live, blend: Blend) -> list[torch.Tensor]:
        logs = live.log_probs([one.ids for one in self._passages], blend=blend)
        return [found[one.positions.to(found.device)].clone() for one, found in zip(self._passages, logs, strict=True)]

    def _by_unit(self, values: Floats) -> Floats:
        of = [one.unit for one in self._passages]
        return np.array([np.mean([v for v, unit in zip(values, of) if unit == name]) for name in self.units])


def _nll(one: _Read, logs: torch.Tensor) -> float:
    """Mean −ln p of the tokens that follow counted tokens."""
    targets = torch.tensor(one.ids[one.first + 1 :], dtype=torch.int64, device=logs.device)
    rows = logs[one.first : len(one.ids) - 1]
    return -float(rows.gather(1, targets[:, None]).double().mean())


def _passages(live: Live, options: ScalingOptions) -> tuple[_Read, ...]:
    """Passages of at least two counted tokens, evenly chosen, cut to the first `tokens`."""
    fit: list[Any] = [one for one in live.passages if one.length - one.leading > 1]
    chosen = [fit[i] for i in _spread(len(fit), options.passages)]
    most = min(options.positions, _KEPT // max(1, live.vocabulary * max(1, len(chosen))))
    found = []
    for one in chosen:
        ids = tuple(one.ids[: options.tokens + one.leading])
        places = range(one.leading, len(ids))
        positions = torch.tensor([places[i] for i in _spread(len(places), max(1, most))], dtype=torch.int64)
        found.append(_Read(unit=one.passage.unit, ids=ids, first=one.leading, positions=positions))
    return tuple(found)


def _spread(count: int, most: int) -> Sequence[int]:
    """At most `most` of `count` indices, evenly spread."""
    if count <= most:
        return range(count)
    return [int((2 * number + 1) * count / (2 * most)) for number in range(most)]
