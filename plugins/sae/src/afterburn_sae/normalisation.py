"""What a dictionary does to activations before it encodes them, and takes back after it has decoded.

With x (t, d_in) the activations and y (t, d_out) what the decoder gives, by `kind`:

- `none`: x̃ = x, x̂ = y
- `centre`: x̃ = x − mean over the entries of x; x̂ = y + that mean. Dictionaries of a model whose writing weights were
  centred (TransformerLens) see every activation like this.
- `constant_norm`: x̃ = x·√d/‖x‖, x̂ = y·‖x‖/√d
- `layer_norm`: x̃ = (x − mean)/(std + 1e-5) with the unbiased std over the entries, x̂ = y·std + mean (SAELens)
- `fixed`: x̃ = (x − mean)·scale, x̂ = y/out_scale + out_mean, with constants of the training data. One scale folded
  into W_enc (·s), W_dec and b_dec (/s) gives the same codes; kept apart, weights stay as they are stored.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import attrs
import torch

from afterburn_core.errors import ConfigError

NormalisationKind = Literal["none", "centre", "constant_norm", "layer_norm", "fixed"]
BY_TOKEN: tuple[NormalisationKind, ...] = ("centre", "constant_norm", "layer_norm")
"""Those whose constants are the token's own: nothing is taken back without the activation itself."""
_EPSILON = 1e-5


@attrs.frozen(kw_only=True, eq=False)
class Normalisation:
    """One of the kinds above, with its constants."""

    kind: NormalisationKind = "none"
    mean: torch.Tensor | None = None
    """(d_in), of `fixed`."""
    scale: float = 1.0
    """Of `fixed`."""
    out_mean: torch.Tensor | None = None
    """(d_out), of `fixed`; that of the input unless a transcoder has its own."""
    out_scale: float = 1.0
    """Of `fixed`."""
    one_way: bool = False
    """Whether it is put on what is read alone: SAELens's transcoders write activations as they are, and their linear
    path reads them as they are."""

    @classmethod
    def fixed(cls, *, mean: torch.Tensor | None = None, scale: float = 1.0) -> Normalisation:
        """Constants of one site, put on and taken back alike."""
        return cls(kind="fixed", mean=mean, scale=scale, out_mean=mean, out_scale=scale)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """x̃ (t, d_in) of x (t, d_in)."""
        match self.kind:
            case "centre":
                return x - x.mean(dim=-1, keepdim=True)
            case "constant_norm":
                return x * (math.sqrt(x.shape[-1]) / _norms(x))
            case "layer_norm":
                centred = x - x.mean(dim=-1, keepdim=True)
                return centred / (x.std(dim=-1, keepdim=True) + _EPSILON)
            case "fixed":
                moved = x if self.mean is None else x - self.mean
                return moved if self.scale == 1.0 else moved * self.scale
            case _:
                return x

    def undo(self, y: torch.Tensor, x: torch.Tensor | None) -> torch.Tensor:
        """x̂ (t, d_out) of y (t, d_out), given the activations x (t, d_in) as they were before `apply`.

        Raises:
            ConfigError: `x` is missing where its own constants are needed.
        """
        if self.one_way:
            return y
        if self.kind in BY_TOKEN and x is None:
            raise ConfigError(f"decoding with {self.kind} normalisation needs the activations that were encoded")
        match self.kind:
            case "centre" if x is not None:
                return y + x.mean(dim=-1, keepdim=True)
            case "constant_norm" if x is not None:
                return y * (_norms(x) / math.sqrt(x.shape[-1]))
            case "layer_norm" if x is not None:
                return y * x.std(dim=-1, keepdim=True) + x.mean(dim=-1, keepdim=True)
            case "fixed":
                scaled = y if self.out_scale == 1.0 else y / self.out_scale
                return scaled if self.out_mean is None else scaled + self.out_mean
            case _:
                return y

    def beside(self, x: torch.Tensor) -> torch.Tensor:
        """What a linear path beside the latents reads of x (t, d_in)."""
        return x if self.one_way else self.apply(x)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Normalisation:
        """The same with its constants on another device."""
        moved: dict[str, Any] = {
            name: None if value is None else value.to(device, dtype)
            for name, value in (("mean", self.mean), ("out_mean", self.out_mean))
        }
        return attrs.evolve(self, **moved)


def _norms(x: torch.Tensor) -> torch.Tensor:
    norms: torch.Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return norms
