"""How much of a crosscoder another starting point finds again.

Two latents match if each is the other's nearest by the cosine of their decoder rows, both models' halves together, and
that cosine is at least .7. The share of matched latents among the living ones says which part of the dictionary is in
the data and which is chance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from afterburn_core.stats.one_side import rate

LEAST = 0.7
_ROWS = 2048


def matched_share(first: torch.Tensor, second: torch.Tensor, seed: int) -> dict[str, Any]:
    """Share of the rows (n, D) of the first that match one of the second (m, D), with Wilson's interval.

    Also the mean of the best cosines.
    """
    one, other = (rows.double() / rows.double().norm(dim=1, keepdim=True).clamp(min=1e-30) for rows in (first, second))
    if not len(one) or not len(other):
        return {"value": None, "low": None, "high": None, "n": len(one), "mean_best_cosine": None}
    best, nearest = _nearest(one, other)
    _, back = _nearest(other, one)
    mutual = (back[nearest] == np.arange(len(one))) & (best >= LEAST)
    found = rate((int(mutual.sum()), len(one)), seed=seed)
    interval = found.interval
    return {
        "value": found.estimate,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "n": len(one),
        "mean_best_cosine": float(best.mean()),
    }


def _nearest(one: torch.Tensor, other: torch.Tensor) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Largest cosine with, and index of, a row of the other, for every row."""
    parts = [(part @ other.t()).max(dim=1) for part in torch.split(one, _ROWS)]
    return (
        torch.cat([part.values for part in parts]).cpu().numpy(),
        torch.cat([part.indices for part in parts]).cpu().numpy(),
    )
