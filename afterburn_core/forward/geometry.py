"""How two activations of the same token lie to each other; float64, and exactly zero where they are equal."""

from __future__ import annotations

import attrs
import torch


@attrs.frozen(kw_only=True, eq=False)
class Geometry:
    """Row by row, base b against trained f; δ = f − b. All (n) float64 but `delta`."""

    delta: torch.Tensor
    """(n, d) float32."""
    base_sq: torch.Tensor
    """‖b‖²."""
    trained_sq: torch.Tensor
    """‖f‖²."""
    delta_sq: torch.Tensor
    """‖δ‖²."""

    @property
    def base_norm(self) -> torch.Tensor:
        return self.base_sq.sqrt()

    @property
    def trained_norm(self) -> torch.Tensor:
        return self.trained_sq.sqrt()

    @property
    def delta_norm(self) -> torch.Tensor:
        return self.delta_sq.sqrt()

    @property
    def cosine_distance(self) -> torch.Tensor:
        """1 − cos(b, f) = (‖δ‖² − (‖f‖ − ‖b‖)²) / (2‖b‖‖f‖), which does not cancel for near-equal vectors.

        NaN where one of them is zero and the other is not; 0 where both are.
        """
        gap = (self.trained_sq - self.base_sq) / (self.trained_norm + self.base_norm)
        product = self.base_norm * self.trained_norm
        distance = ((self.delta_sq - gap.square()) / (2 * product)).clamp(0.0, 2.0)
        distance = torch.where(self.delta_sq == 0, torch.zeros_like(distance), distance)
        nan = torch.full_like(distance, torch.nan)
        return torch.where((product == 0) & (self.delta_sq > 0), nan, distance)

    @property
    def relative(self) -> torch.Tensor:
        """‖δ‖ / ½(‖b‖ + ‖f‖); 0 where both are zero."""
        mean = (self.base_norm + self.trained_norm) / 2
        return torch.where(self.delta_sq == 0, torch.zeros_like(mean), self.delta_norm / mean)


def geometry(base: torch.Tensor, trained: torch.Tensor) -> Geometry:
    """The geometry of two sets of rows.

    Args:
        base: (n, d) float32.
        trained: (n, d) float32.
    """
    delta = trained - base  # exact to one rounding of float32; what cancels was rounded by the models already
    return Geometry(
        delta=delta,
        base_sq=_squares(base),
        trained_sq=_squares(trained),
        delta_sq=_squares(delta),
    )


def _squares(rows: torch.Tensor) -> torch.Tensor:
    norms: torch.Tensor = torch.linalg.vector_norm(rows, dim=-1, dtype=torch.float64)
    return norms.square()
