"""From the states of a text's tokens to one vector.

With states h_t, t = 1 … T of the tokens that count (neither padding nor, where the model leaves it out, the prompt):

    mean  Σ h_t / T      mean_sqrt_len_tokens  Σ h_t / √T      weightedmean  Σ p_t h_t / Σ p_t, p_t the position from 1
    cls   the first h    lasttoken  the last h                 max  the largest entry per dimension

Several are joined in the order given. Sums are float64, so that equal texts get equal vectors beside any others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def pool(states: torch.Tensor, mask: torch.Tensor, modes: Sequence[str], *, skip: int = 0) -> torch.Tensor:
    """Pooled vectors (B, d·len(modes)) float32.

    Args:
        states: (B, T, d), padded on the right.
        mask: (B, T), true at tokens.
        modes: names as in `encoder_folder.POOLINGS`.
        skip: leading tokens of every text that do not count, those of its prompt.
    """
    counted = mask.bool().clone()
    counted[:, :skip] = False
    bare = ~counted.any(dim=1)  # nothing but its prompt
    counted[bare] = mask[bare].bool()
    return torch.cat([_pooled(states, counted, mode) for mode in modes], dim=-1).float()


def _pooled(states: torch.Tensor, counted: torch.Tensor, mode: str) -> torch.Tensor:
    width = counted.shape[1]
    if mode == "max":
        return states.masked_fill(~counted[:, :, None], -torch.inf).amax(dim=1)
    if mode in ("cls", "lasttoken"):
        places = torch.arange(width, device=counted.device)
        place = (
            torch.where(counted, places, width).amin(dim=1)
            if mode == "cls"
            else torch.where(counted, places, -1).amax(dim=1)
        )
        return states[torch.arange(states.shape[0], device=counted.device), place.clamp(0, width - 1)]
    weights = counted.double()
    if mode == "weightedmean":
        weights = weights * torch.arange(1, width + 1, device=counted.device, dtype=torch.float64)
    total = torch.einsum("btd,bt->bd", states.double(), weights)
    size = weights.sum(dim=1, keepdim=True).clamp(min=1e-9)
    return total / (size.sqrt() if mode == "mean_sqrt_len_tokens" else size)
