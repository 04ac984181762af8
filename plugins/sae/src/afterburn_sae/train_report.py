"""How well a dictionary fits passages that it never learned from: FVU, L0 and dead latents, with intervals.

    FVU = Σ‖x − x̂‖² / Σ‖x − x̄‖²        L0 = mean number of active latents of a token

over all rows, x̄ their mean. The passage (or the document it was cut from) is the unit: BCa intervals resample units
with all their rows. A latent is dead here if no row switched it on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch

from afterburn_core.stats.one_side import rate
from afterburn_core.stats.resampling import bca
from afterburn_sae.train_coder import Coder, Scale

LEVEL = 0.95
FEWEST = 6
"""Units below which there is no interval."""


@attrs.frozen(kw_only=True)
class Estimate:
    """A number with its interval; without one where too few units show no spread."""

    value: float
    low: float | None
    high: float | None
    n: int

    def to_dict(self) -> dict[str, Any]:
        return attrs.asdict(self)


class Fit:
    """Sums over held-out rows, by unit. Sides of a crosscoder are kept apart."""

    def __init__(self, coder: Coder, scale: Scale, threshold: float, *, sides: int) -> None:
        self._coder, self._scale, self._threshold, self._sides = coder, scale, threshold, sides
        self._units: dict[str, int] = {}
        self._sums: list[npt.NDArray[np.float64]] = []
        """By unit: (sides, 2 + d): Σ‖e‖², Σ‖x̃‖², Σx̃."""
        self._counts: list[tuple[int, int]] = []
        """By unit: rows, active latents."""
        self.uses = torch.zeros(coder.latents, dtype=torch.int64, device=coder.w_dec.device)
        """(n) rows that each latent was on at."""

    def encode(self, sides: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Normalised rows (t, D), codes (t, n) and reconstruction (t, D) of rows (t, d) of every side."""
        x = self._scale.apply_(torch.cat([side.float() for side in sides], dim=1))
        codes = self._coder.encode(x, self._threshold)
        return x, codes, self._coder.decode(codes)

    def add(
        self,
        x: torch.Tensor,
        codes: torch.Tensor,
        reconstruction: torch.Tensor,
        index: torch.Tensor,
        names: Sequence[str],
    ) -> None:
        """Takes what `encode` gave; `index` (t) says to which of the units `names` each row belongs."""
        t, m = len(x), len(names)
        d = x.shape[1] // self._sides
        on = codes > 0
        self.uses += on.sum(dim=0)
        by_row = torch.empty(t, self._sides, 2 + d, dtype=torch.float64, device=x.device)
        parts = x.view(t, self._sides, d)
        by_row[..., 0] = (reconstruction.view_as(parts) - parts).double().square().sum(dim=2)
        by_row[..., 1] = parts.double().square().sum(dim=2)
        by_row[..., 2:] = parts
        zeros = torch.zeros(m, self._sides, 2 + d, dtype=torch.float64, device=x.device)
        sums = zeros.index_add_(0, index, by_row).cpu().numpy()
        rows = torch.bincount(index, minlength=m).tolist()
        active = torch.bincount(index, weights=on.sum(dim=1).double(), minlength=m).tolist()
        for number, name in enumerate(names):
            at = self._units.setdefault(name, len(self._units))
            if at == len(self._sums):
                self._sums.append(np.zeros_like(sums[0]))
                self._counts.append((0, 0))
            self._sums[at] += sums[number]
            self._counts[at] = (self._counts[at][0] + rows[number], self._counts[at][1] + int(active[number]))

    @property
    def tokens(self) -> int:
        return sum(rows for rows, _ in self._counts)

    @property
    def alive(self) -> npt.NDArray[np.bool_]:
        """(n) whether any row switched the latent on."""
        found: npt.NDArray[np.bool_] = (self.uses > 0).cpu().numpy()
        return found

    def fvu(self, side: int, seed: int) -> Estimate:
        """Of one side; of a row as a whole where there is one."""
        sums = np.stack([one[side] for one in self._sums])
        rows = np.array([count for count, _ in self._counts], dtype=np.float64)
        mean = sums[:, 2:].sum(axis=0) / rows.sum()
        spread = sums[:, 1] - 2 * sums[:, 2:] @ mean + rows * (mean @ mean)
        return _ratio(sums[:, 0], spread, seed)

    def l0(self, seed: int) -> Estimate:
        """Active latents of a token."""
        counts = np.array(self._counts, dtype=np.float64)
        return _ratio(counts[:, 1], counts[:, 0], seed)

    def dead(self, seed: int) -> Estimate:
        """Share of the latents that no row switched on; Wilson's interval over latents."""
        n = len(self.uses)
        found = rate((int(n - self.alive.sum()), n), seed=seed, level=LEVEL)
        interval = found.interval
        ends = (None, None) if interval is None else (interval.low, interval.high)
        return Estimate(value=float(found.estimate or 0.0), low=ends[0], high=ends[1], n=n)

    def summary(self, seed: int) -> dict[str, Any]:
        """As the metadata of a dictionary holds it."""
        fitted: Mapping[str, Any] = (
            {"fvu": self.fvu(0, seed).to_dict()}
            if self._sides == 1
            else {"fvu": {name: self.fvu(side, seed).to_dict() for side, name in enumerate(("base", "trained"))}}
        )
        return {
            **fitted,
            "l0": self.l0(seed).to_dict(),
            "dead": self.dead(seed).to_dict(),
            "passages": len(self._units),
            "tokens": self.tokens,
        }


def _ratio(top: npt.NDArray[np.float64], bottom: npt.NDArray[np.float64], seed: int) -> Estimate:
    """Σ top / Σ bottom over units, with BCa's interval."""
    pairs = np.stack([top, bottom], axis=1)

    def ratio(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        sums = weights @ pairs
        return np.asarray((sums[:, 0] / np.maximum(sums[:, 1], np.finfo(np.float64).tiny))[:, None])

    n = len(top)
    if n < FEWEST:
        return Estimate(value=float(ratio(np.ones((1, n)))[0, 0]), low=None, high=None, n=n)
    estimate, low, high = (float(one[0]) for one in bca(ratio, n, seed=seed, level=LEVEL))
    known = np.isfinite(low) and np.isfinite(high)
    return Estimate(value=estimate, low=low if known else None, high=high if known else None, n=n)
