"""Latent scaling: does the other model really lack a latent that a crosscoder gave to one model alone?

For latent j of one model with decoder row d_j and codes f_{t,j}, and a target x' of model m,

    β_m = argmin_β Σ_t ‖x'_t − β f_{t,j} d_j‖² = d_j·(Σ_t f_{t,j} x'_t) / (Σ_t f²_{t,j} · ‖d_j‖²)

    ν_r = β_other / β_own for x' = x̂_m                      what the reconstruction of m holds of it (decoupling)
    ν_ε = β_other / β_own for x' = x_m − x̂_m + f_j d_j^m    what m has besides its other latents (shrinkage)

(Overcoming Sparsity Artifacts in Crosscoders, arXiv 2504.02922). The latent is one model's alone only if ν_r < .5 and
ν_ε < .2. Sums over rows are taken in float64, and nothing kept grows with rows or with the width.
"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt
import torch

from afterburn_sae.crosscoder_norms import Side, halves

NU_RECONSTRUCTION, NU_ERROR = 0.5, 0.2


@attrs.frozen(kw_only=True)
class Scaled:
    """One latent's ν; `None` where no row switched it on, or its own model does not show it."""

    feature: int
    nu_reconstruction: float | None
    nu_error: float | None

    @property
    def kept(self) -> bool:
        """Whether it is the one model's alone."""
        nus = self.nu_reconstruction, self.nu_error
        return all(nu is not None and nu < bar for nu, bar in zip(nus, (NU_RECONSTRUCTION, NU_ERROR), strict=True))


class LatentScaling:
    """Accumulates the sums of β for some latents of one side."""

    def __init__(self, w_dec: torch.Tensor, features: torch.Tensor, own: Side) -> None:
        """
        Args:
            w_dec: (n, 2d), base's half before trained's.
            features: (m) int64, latents that seem to be of one side.
            own: that side.
        """
        rows = w_dec[features].double()
        self._features = features
        self._own = own
        self._parts = halves(rows)  # d_j^m, (m, d) each
        self._directions = self._parts[own]
        self._top = torch.zeros(2, 2, len(features), dtype=torch.float64, device=w_dec.device)
        """d_j·Σ f x' by target (reconstruction, error) and model (base, trained)."""
        self._squares = torch.zeros(len(features), dtype=torch.float64, device=w_dec.device)
        """Σ f²."""

    @property
    def count(self) -> int:
        """Latents that are examined."""
        return len(self._features)

    def add(self, x: torch.Tensor, codes: torch.Tensor, reconstruction: torch.Tensor) -> None:
        """Takes rows: x and x̂ (t, 2d), codes (t, n)."""
        f = codes[:, self._features].double()  # (t, m)
        self._squares += f.square().sum(dim=0)
        for model, (real, made) in enumerate(zip(halves(x), halves(reconstruction), strict=True)):
            made = made.double()
            for target, rows in enumerate((made, real.double() - made)):
                self._top[target, model] += (f * (rows @ self._directions.t())).sum(dim=0)

    def merge(self, other: LatentScaling) -> None:
        """Takes in sums over other rows."""
        self._top += other._top
        self._squares += other._squares

    def betas(self) -> npt.NDArray[np.float64]:
        """β (2, 2, m) by target (reconstruction, error) and model (base, trained); NaN for a latent never on."""
        own = torch.stack([(part * self._directions).sum(dim=1) for part in self._parts])  # d_j^m·d_j
        size = self._directions.square().sum(dim=1)
        top = self._top.clone()
        top[1] += self._squares * own  # the latent's own share of the reconstruction is no error
        found: npt.NDArray[np.float64] = (top / (self._squares * size)).cpu().numpy()
        return found

    def finish(self) -> list[Scaled]:
        """Every latent's ν, in the order given."""
        betas, own = self.betas(), int(self._own)
        found = []
        for number, feature in enumerate(self._features.tolist()):
            nus = [
                float(target[1 - own, number] / target[own, number])
                if np.isfinite(target[:, number]).all() and target[own, number] > 0
                else None
                for target in betas
            ]
            found.append(Scaled(feature=feature, nu_reconstruction=nus[0], nu_error=nus[1]))
        return found
