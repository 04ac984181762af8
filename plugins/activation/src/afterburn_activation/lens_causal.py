"""What the direction does: the trained model's loss on texts when its part along the direction is put back to base.

    x ← x − (x·u)u + c·u,  c = mean of b·u over the base's activations            at one block, every position
    ΔNLL = NLL(with that) − NLL(as it is), by passage, in nats per token

For random directions r the same is done with c = mean of b·r. A direction that carries what was learned costs more, or
gains more, than they do. (arXiv 2510.13900, section on causal effects.)
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.forward.live import Edit, Live, Project
from afterburn_core.result.model import Null
from afterburn_core.stats.contrast import Contrast
from afterburn_core.stats.controls import standing
from afterburn_core.stats.paired import paired_contrast

Floats = NDArray[np.float64]


@attrs.frozen(kw_only=True)
class Effect:
    """ΔNLL of the direction among random ones."""

    contrast: Contrast
    null: Null | None
    controls: tuple[float, ...]


def causal_effect(
    live: Live, site: str, direction: Floats, base: Floats, random: Floats, *, passages: int, tokens: int, seed: int
) -> Effect | None:
    """The effect on the passages that the run keeps; `None` where it keeps none.

    Args:
        direction: (d), of length 1.
        base: (d), mean of the base's activations.
        random: (R, d), of length 1.
    """
    chosen = [one for one in live.passages if one.length - one.leading > 2][:passages]
    if len(chosen) < 2:
        return None
    sequences = [one.ids[: one.leading + tokens] for one in chosen]

    def losses(edits: Sequence[Edit]) -> Floats:
        return np.array(
            [
                _nll(logs, ids, one.leading)
                for logs, ids, one in zip(live.log_probs(sequences, edits=edits), sequences, chosen, strict=True)
            ]
        )

    def without(vector: Floats) -> tuple[Project]:
        unit = torch.from_numpy(np.ascontiguousarray(vector)).float()
        return (Project(site=site, direction=unit / unit.norm(), mean=float(base @ vector)),)

    plain = losses(())
    differences = losses(without(direction)) - plain
    controls = tuple(float(np.mean(losses(without(one)) - plain)) for one in random)
    units = [one.passage.unit for one in chosen]
    contrast = paired_contrast(differences, seed=seed, clusters=units)
    value = 0.0 if contrast.estimate is None else contrast.estimate
    null = standing(value, controls, control="random_direction", alternative="two_sided").null
    return Effect(contrast=contrast, null=null, controls=controls)


def _nll(logs: torch.Tensor, ids: Sequence[int], leading: int) -> float:
    """Mean over the tokens after the beginning marks, or after the first."""
    start = max(leading, 1)
    targets = torch.tensor(ids[start:], device=logs.device)
    taken = logs[start - 1 : len(ids) - 1].gather(1, targets[:, None])
    return -float(taken.double().mean())
