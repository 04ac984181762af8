"""Whose a crosscoder's latent is, by the norms of its two decoder rows.

    Δnorm_j = ½((‖d_j^f‖ − ‖d_j^b‖)/max(‖d_j^f‖, ‖d_j^b‖) + 1)        0 base-only, ½ shared, 1 trained-only

in normalised units, in which both models' activations have one size (arXiv 2504.02922, which orients it the other way).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt
import torch

EDGE = 0.1
"""Δnorm below it is base-only, above 1 − it trained-only, shared between."""
BINS = 40


class Side(IntEnum):
    """Which of the two models; the order of the halves of a row."""

    BASE = 0
    TRAINED = 1


def halves(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Base's and trained's columns of rows (t, 2d)."""
    d = rows.shape[1] // 2
    return rows[:, :d], rows[:, d:]


def delta_norms(w_dec: torch.Tensor) -> npt.NDArray[np.float64]:
    """Δnorm (n) of decoder rows (n, 2d); ½ where both are 0."""
    base, trained = (part.double().norm(dim=1) for part in halves(w_dec))
    largest = torch.maximum(base, trained)
    found: npt.NDArray[np.float64] = (0.5 * ((trained - base) / largest.clamp(min=1e-30) + 1)).cpu().numpy()
    return found


def classes(deltas: npt.NDArray[np.float64]) -> dict[str, int]:
    """How many latents are whose."""
    base_only, trained_only = int((deltas < EDGE).sum()), int((deltas > 1 - EDGE).sum())
    return {"base_only": base_only, "shared": len(deltas) - base_only - trained_only, "trained_only": trained_only}


def histogram(deltas: npt.NDArray[np.float64]) -> dict[str, list[float] | list[int]]:
    """Counts of Δnorm in equal bins."""
    counts, edges = np.histogram(deltas, bins=BINS, range=(0.0, 1.0))
    return {"edges": [round(float(edge), 6) for edge in edges], "counts": [int(count) for count in counts]}
