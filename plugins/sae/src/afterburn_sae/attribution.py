"""What the change of a feature does to the next token, by the direct path through the final norm and the head.

At a row t with next token y, with x_t the trained model's residual stream behind its last block,

    g_t = ∂ ln p(y) / ∂x_t,  p = softmax(head(norm(x_t)))        the model's own norm and head, soft caps and all
    attribution_tj = (a^trained_tj − a^base_tj) · ⟨s_t W_dec,j, g_t⟩     in nats

W_dec,j is the feature's direction, s_t undoes the normalisation of the token's activation (1 for most dictionaries). It
is the first-order effect on the log-probability of the token that does follow, with everything between the site and
the last block left out: what later blocks make of the feature is not counted. Positive: the change makes the actual
text more likely. Tokens are averaged inside a prompt, then prompts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from afterburn_sae.dictionary import Dictionary
from afterburn_sae.features_tally import Paired

Readout = Callable[[torch.Tensor], torch.Tensor]
_LOGITS = 1 << 24
"""Logits that exist at once: 64 MB, and as much for what a gradient needs."""
_PRODUCTS = 1 << 24


def gradients(readout: Readout, last: torch.Tensor, target: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """g (m, d) float32.

    Args:
        readout: logits of residual states behind the last block.
        last: (m, d), these states.
        target: (m) int64, the next tokens.
        vocabulary: V, for how much is done at once.
    """
    parts = []
    step = max(1, _LOGITS // vocabulary)
    with torch.inference_mode(False), torch.enable_grad():
        for start in range(0, len(last), step):
            states = last[start : start + step].clone().requires_grad_()
            following = target[start : start + step].clone()
            logs = readout(states).float().log_softmax(dim=-1)
            chosen = logs.gather(1, following[:, None]).sum()
            parts.append(torch.autograd.grad(chosen, states)[0].float())
    return torch.cat(parts) if parts else torch.empty_like(last)


def attributions(both: Paired, g: torch.Tensor, x: torch.Tensor, dictionary: Dictionary) -> torch.Tensor:
    """(a) float64, 0 at rows without a gradient.

    Args:
        both: codes of either side.
        g: (n, d) gradients, 0 at rows that are left out.
        x: (n, d_in) the trained model's activations at the site.
        dictionary: whose directions these are.
    """
    found = torch.zeros(len(both.row), dtype=torch.float64, device=both.row.device)
    delta = both.trained - both.base
    live = ((g != 0).any(dim=1)[both.row] & (delta != 0)).nonzero()[:, 0]
    scaled = g * _scale(dictionary, x)[:, None]
    step = max(1, _PRODUCTS // dictionary.d_out)
    for start in range(0, len(live), step):
        part = live[start : start + step]
        directions = dictionary.w_dec[both.feature[part]].float()
        if dictionary.rescale_by_decoder_norm:
            directions = directions / dictionary.decoder_norms()[both.feature[part], None]
        found[part] = delta[part] * (directions * scaled[both.row[part]]).sum(dim=1).double()
    return found


def directions_of(dictionary: Dictionary, features: torch.Tensor) -> torch.Tensor:
    """W_dec (m, d_out) float32 of some features, of length 1."""
    rows = dictionary.w_dec[features].float()
    found: torch.Tensor = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-30)
    return found


def _scale(dictionary: Dictionary, x: torch.Tensor) -> torch.Tensor:
    """s (n): what one unit of the decoder's output is in the model's activations."""
    kind = "none" if dictionary.normalisation.one_way else dictionary.normalisation.kind
    if kind == "constant_norm":
        norms: torch.Tensor = torch.linalg.vector_norm(x.float(), dim=-1)
        return norms / math.sqrt(x.shape[-1])
    if kind == "layer_norm":
        return x.float().std(dim=-1)
    scale = dictionary.normalisation.out_scale if kind == "fixed" else 1.0
    return torch.full((len(x),), 1.0 / scale, device=x.device)
