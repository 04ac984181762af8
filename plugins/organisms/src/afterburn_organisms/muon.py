"""Muon: momentum whose update is made orthogonal. For matrices only; it learns from fewer tokens than AdamW here.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. Written out in float32 because the
bfloat16 of ``torch.optim.Muon`` is several times slower on processors without bfloat16 units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix with all its singular values brought near 1, by Newton and Schulz's iteration.

    X <- a X + (b A + c A²) X with A = X Xᵀ, from X = matrix / |matrix|. A matrix of zeros stays one.
    """
    a, b, c = _COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: torch.Tensor = x.T if tall else x
    return result


class Muon:
    """Steps matrices along orthogonalized Nesterov momentum; the caller sets the rate before every step."""

    def __init__(self, matrices: Sequence[torch.Tensor]) -> None:
        self._matrices = tuple(matrices)
        self._momenta = tuple(torch.zeros_like(m) for m in self._matrices)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step; the factor sqrt(max(1, rows / columns)) keeps the size of updates alike across shapes."""
        for matrix, momentum in zip(self._matrices, self._momenta, strict=True):
            if matrix.grad is None:
                continue
            momentum.lerp_(matrix.grad, 1 - _MOMENTUM)
            update = orthogonalized(matrix.grad.lerp(momentum, _MOMENTUM))
            matrix.sub_(update, alpha=rate * max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5)
