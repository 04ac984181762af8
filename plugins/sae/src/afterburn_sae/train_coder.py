"""The dictionary that is being trained, in normalised units, and the constants that lead there.

Each side's activations are centred and scaled once, by constants of the first block:

    x̃ = (x − μ)·s,  s = √d / rms,  rms² = mean ‖x − μ‖²        so that mean ‖x̃‖² = d

With codes a = f((x̃ − b_d)·W_e + b_e) and x̃̂ = a·W_d + b_d, the same dictionary in the activations' own units is

    W_e,  b_e/s,  θ/s,  W_d,  b_d/s + μ        (x − b_dec)·W_e + b_enc = p/s, and relu and thresholds scale with it

Rows of a crosscoder are both sides one after the other: one dictionary of width 2d.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs
import torch


@attrs.define(kw_only=True, eq=False)
class Coder:
    """Weights, written in place by training. D = d times sides."""

    w_enc: torch.Tensor
    """(n, D): one row per latent, as the gradient comes."""
    b_enc: torch.Tensor
    """(n)."""
    w_dec: torch.Tensor
    """(n, D)."""
    b_dec: torch.Tensor
    """(D)."""

    @property
    def latents(self) -> int:
        return int(self.w_dec.shape[0])

    def tensors(self) -> dict[str, torch.Tensor]:
        """By name."""
        return {name: getattr(self, name) for name in ("w_enc", "b_enc", "w_dec", "b_dec")}

    @classmethod
    def drawn(cls, latents: int, d: int, sides: int, seed: int, device: str) -> Coder:
        """Random unit decoder rows, the same for every side; the encoder starts as the decoder's transpose."""
        generator = torch.Generator().manual_seed(seed)
        w_dec = torch.randn(latents, d, generator=generator).repeat(1, sides)
        w_dec /= w_dec.norm(dim=1, keepdim=True)
        w_dec = w_dec.to(device)
        return cls(
            w_enc=w_dec.clone(),
            b_enc=torch.zeros(latents, device=device),
            w_dec=w_dec,
            b_dec=torch.zeros(sides * d, device=device),
        )

    def pre(self, x: torch.Tensor) -> torch.Tensor:
        """p (t, n) of normalised rows x (t, D)."""
        return torch.addmm(self.b_enc, x - self.b_dec, self.w_enc.t())

    def encode(self, x: torch.Tensor, threshold: float) -> torch.Tensor:
        """Codes (t, n): p where it exceeds the threshold, at least 0."""
        return torch.nn.functional.threshold(self.pre(x), max(threshold, 0.0), 0.0)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Normalised reconstruction (t, D)."""
        return torch.addmm(self.b_dec, codes, self.w_dec)


@attrs.frozen(kw_only=True, eq=False)
class Scale:
    """The constants of every side. D = d times sides."""

    mean: torch.Tensor
    """μ (D)."""
    factors: tuple[float, ...]
    """s of each side."""

    @property
    def sides(self) -> int:
        return len(self.factors)

    def row(self) -> torch.Tensor:
        """s of every column, (D)."""
        d = self.mean.numel() // self.sides
        return torch.cat([self.mean.new_full((d,), factor) for factor in self.factors])

    def apply_(self, x: torch.Tensor) -> torch.Tensor:
        """Normalises rows (t, D) in place."""
        x.sub_(self.mean)
        d = self.mean.numel() // self.sides
        for side, factor in enumerate(self.factors):
            x[:, side * d : (side + 1) * d].mul_(factor)
        return x

    def tensors(self) -> dict[str, torch.Tensor]:
        """For a checkpoint."""
        return {"mean": self.mean, "factors": torch.tensor(self.factors, dtype=torch.float64)}

    @classmethod
    def from_tensors(cls, found: Mapping[str, torch.Tensor], device: str) -> Scale:
        return cls(mean=found["mean"].to(device), factors=tuple(map(float, found["factors"])))


def scale_of(rows: torch.Tensor, sides: int) -> Scale:
    """Constants from rows (t, D), summed in float64. A side without spread gets the factor 0.

    Its rows are then 0 for ever: the caller refuses them.
    """
    d = rows.shape[1] // sides
    mean = torch.cat([part.sum(dim=0, dtype=torch.float64)[None] for part in torch.split(rows, 4096)]).sum(dim=0) / len(
        rows
    )
    squares = torch.zeros(sides, dtype=torch.float64, device=rows.device)
    for part in torch.split(rows, 4096):
        squares += (part.double() - mean).square_().view(len(part), sides, d).sum(dim=(0, 2))
    rms = (squares / len(rows)).sqrt().tolist()
    size = mean.view(sides, d).norm(dim=1).tolist()
    factors = (
        math.sqrt(d) / own if own > 1e-6 * max(centre, 1e-30) else 0.0 for own, centre in zip(rms, size, strict=True)
    )
    return Scale(mean=mean.float(), factors=tuple(factors))
