"""Sums over tokens that principal components are computed from; mergeable, float64, bounded by d².

For each half of the units (a keyed hash of the unit's name decides, `stats.split.half`): n, Σδ and Σδδᵀ. The product of
one batch is taken in float32, the precision of the activations, and added in float64. For each of `jackknife.GROUPS`
groups of units: n, Σδ and Σ‖δ‖². A site takes 16 d² bytes on the run's device: 13 MB at d = 896, 270 MB at d = 4096.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_activation.jackknife import GROUPS, group_of
from afterburn_core.stats.split import half

Floats = NDArray[np.float64]
HALVES = ("discover", "confirm")
KEY = "activation.components"


def half_of(unit: str) -> int:
    """0 or 1."""
    return HALVES.index(half(unit, key=KEY))


@attrs.define(eq=False)
class Moments:
    """The sums of one site."""

    counts: torch.Tensor
    """(2) int64, tokens by half."""
    sums: torch.Tensor
    """(2, d) float64."""
    products: torch.Tensor
    """(2, d, d) float64."""
    group_counts: torch.Tensor
    """(G) int64."""
    group_sums: torch.Tensor
    """(G, d) float64."""
    group_squares: torch.Tensor
    """(G) float64, Σ‖δ‖²."""
    base_square: torch.Tensor
    """() float64, Σ‖b‖²."""

    @classmethod
    def empty(cls, width: int, device: torch.device) -> Moments:
        """No token yet."""

        def zeros(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
            with torch.inference_mode(False):  # the pass ends before sums are merged
                return torch.zeros(shape, dtype=dtype, device=device)

        return cls(
            counts=zeros(2, dtype=torch.int64),
            sums=zeros(2, width),
            products=zeros(2, width, width),
            group_counts=zeros(GROUPS, dtype=torch.int64),
            group_sums=zeros(GROUPS, width),
            group_squares=zeros(GROUPS),
            base_square=zeros(),
        )

    def add(
        self,
        delta: torch.Tensor,
        delta_sq: torch.Tensor,
        base_sq: torch.Tensor,
        halves: torch.Tensor,
        groups: torch.Tensor,
    ) -> None:
        """Takes in tokens of one batch.

        Args:
            delta: (m, d) float32.
            delta_sq: (m) float64.
            base_sq: (m) float64.
            halves: (m) int64, the half of each token's unit.
            groups: (m) int64, its group.
        """
        for h in (0, 1):
            rows = delta[halves == h]
            if len(rows):
                self.counts[h] += len(rows)
                self.products[h] += (rows.T @ rows).double()
        wide = delta.double()
        self.sums.index_add_(0, halves, wide)
        self.group_sums.index_add_(0, groups, wide)
        self.group_squares.index_add_(0, groups, delta_sq)
        self.group_counts += torch.bincount(groups, minlength=GROUPS)
        self.base_square += base_sq.sum()

    def merge(self, other: Moments) -> None:
        """Adds the sums of another instance."""
        for field in attrs.fields(Moments):
            mine: torch.Tensor = getattr(self, field.name)
            mine += getattr(other, field.name).to(mine.device)

    def numbers(self) -> Sums:
        """Everything on the host."""
        return Sums(**{field.name: getattr(self, field.name).cpu().numpy() for field in attrs.fields(Moments)})


@attrs.frozen(kw_only=True, eq=False)
class Sums:
    """`Moments` as arrays."""

    counts: NDArray[np.int64]
    sums: Floats
    products: Floats
    group_counts: NDArray[np.int64]
    group_sums: Floats
    group_squares: Floats
    base_square: NDArray[np.float64]

    @property
    def tokens(self) -> int:
        return int(self.counts.sum())

    @property
    def energy(self) -> float:
        """mean ‖δ‖², from the groups, whose squares were summed in float64."""
        return float(self.group_squares.sum() / self.tokens)

    def mean(self, halves: Sequence[int] = (0, 1)) -> Floats:
        """(d), δ̄ over these halves."""
        chosen = list(halves)
        return np.asarray(self.sums[chosen].sum(axis=0) / self.counts[chosen].sum())

    def second(self, halves: Sequence[int] = (0, 1), *, centred: bool) -> Floats:
        """(d, d), mean δδᵀ over these halves, less δ̄δ̄ᵀ where centred."""
        chosen = list(halves)
        product = self.products[chosen].sum(axis=0) / self.counts[chosen].sum()
        if centred:
            mean = self.mean(halves)
            product = product - np.outer(mean, mean)
        return np.asarray((product + product.T) / 2)


def tokens_by(units: Sequence[str], passage: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Half and group of every token, from the units of the batch's passages and each token's passage."""
    halves = torch.tensor([half_of(unit) for unit in units], dtype=torch.int64, device=passage.device)
    groups = torch.tensor([group_of(unit) for unit in units], dtype=torch.int64, device=passage.device)
    return halves[passage], groups[passage]
