"""What two next-token distributions say of each other, token by token.

With b and f the base's and the other's log-probabilities, u = f − b, p = e^b, q = e^f:

    KL(p‖q) = Σ p·φ(u),                φ(u) = e^u − 1 − u
    KL(q‖p) = Σ (q − p)·u − KL(p‖q)
    JSD     = Σ p·γ(u),                γ(u) = ½ [e^u·(u − s) − s],  s = ln((1 + e^u) / 2)
    TV      = ½ Σ |q − p|

φ and γ are non-negative, so nothing cancels in their sums; equal distributions give exactly zero. The plain sum
Σ q·(f − b) in float32 is off by 1e-8 and may be negative. For small u the two are computed as Taylor series, and for
large u directly. Both are computed for all tokens and the larger taken, as a series at u held within ±¼ lies below
the function outside, and the direct form, lowered by its own rounding error, below it inside: a selection would be
slower.
"""

from __future__ import annotations

import torch
from torch.nn.functional import softplus

from afterburn_core.forward.model import TokenScores

_HELD = 0.25
_PHI = (1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720)
_GAMMA = (1 / 8, 1 / 16, 1 / 64, 1 / 384, 1 / 2304)
"""φ(u)/u² and γ(u)/u² as series in u; what they leave out is below 1e-6 of the value within ±¼."""
_ROUNDING = 2.0**-21
"""Four units in the last place of float32."""
_LN2 = 0.6931471805599453
_BLOCK = 64


def token_scores(
    base: torch.Tensor, trained: torch.Tensor, target: torch.Tensor, *, bound: torch.Tensor | None = None
) -> TokenScores:
    """Compares two sets of distributions row by row.

    Args:
        base: (m, V) float32 log-probabilities.
        trained: (m, V) float32 log-probabilities.
        target: (m) int64, the token that follows; −1 where none does.
        bound: (m) largest error of KL(trained‖base), where `base` is a sketch.
    """
    u = trained - base
    p, q = base.exp(), trained.exp()
    kl, reverse, jsd, variation = _divergences(u, p, q)
    base_top, base_margin = _top(base)
    trained_top, trained_margin = _top(trained)
    known = target >= 0
    place = target.clamp(min=0)[:, None]
    base_target, trained_target = base.gather(1, place), trained.gather(1, place)
    missing = torch.full_like(place[:, 0], -1)
    nan = torch.full_like(base_target[:, 0], torch.nan)
    return TokenScores(
        kl=kl,
        kl_reverse=reverse,
        jsd=jsd,
        total_variation=variation,
        flipped=base_top != trained_top,
        top_rank=_rank(trained, base_top, trained_top),
        base_rank=torch.where(known, _rank(base, place[:, 0], base_top), missing),
        trained_rank=torch.where(known, _rank(trained, place[:, 0], trained_top), missing),
        base_entropy=_entropy(p, base),
        trained_entropy=_entropy(q, trained),
        base_nll=torch.where(known, -base_target[:, 0], nan),
        trained_nll=torch.where(known, -trained_target[:, 0], nan),
        base_margin=base_margin,
        trained_margin=trained_margin,
        bound=bound,
    )


def joined(parts: list[TokenScores]) -> TokenScores:
    """The scores of several chunks as one."""

    def of(name: str) -> torch.Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    bounds = [part.bound for part in parts if part.bound is not None]
    names = (name for name in TokenScores.__annotations__ if name != "bound")
    return TokenScores(**{name: of(name) for name in names}, bound=torch.cat(bounds) if bounds else None)


def _divergences(
    u: torch.Tensor, p: torch.Tensor, q: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """KL(q‖p), KL(p‖q), JSD and TV of every row, float64."""
    gained = q - p
    held = u.clamp(-_HELD, _HELD)
    squared = held.square().mul_(p)  # p·u² within the range of the series
    reverse = torch.maximum(_series(_PHI, held).mul_(squared), torch.addcmul(gained, p, u + _ROUNDING, value=-1))
    s = softplus(u).sub_(_LN2)
    direct = (u - s).sub_(_ROUNDING).mul_(q).addcmul_(p, s.add_(_ROUNDING), value=-1).mul_(0.5)
    halves = torch.maximum(_series(_GAMMA, held).mul_(squared), direct)
    backward = reverse.sum(-1).double()
    variation = 0.5 * gained.abs().sum(-1).double()
    both = gained.mul_(u).sum(-1).double()
    return (both - backward).clamp_(min=0), backward, halves.sum(-1).double(), variation


def _series(coefficients: tuple[float, ...], u: torch.Tensor) -> torch.Tensor:
    """The polynomial in u with these coefficients, the constant first, by Horner's rule."""
    value = u * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        value.add_(coefficient).mul_(u)
    return value.add_(coefficients[0])


def _entropy(p: torch.Tensor, logs: torch.Tensor) -> torch.Tensor:
    """−Σ p ln p in nats; log-probabilities are finite, so tokens of probability 0 count for nothing."""
    return -(p * logs).sum(-1).double()


def _rank(logs: torch.Tensor, token: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """How many entries of each row (m, V) lie above that of its token (m); 0 where the token is the top one."""
    rest = (token != top).nonzero()[:, 0]
    if 2 * rest.numel() > token.numel():  # to copy the rows would cost more than to count all
        return torch.count_nonzero(logs > logs.gather(1, token[:, None]), dim=-1)
    ranks = torch.zeros_like(token)
    if rest.numel():
        chosen = logs[rest]
        ranks[rest] = torch.count_nonzero(chosen > chosen.gather(1, token[rest, None]), dim=-1)
    return ranks


def _top(logs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The first of the largest entries of each row, and by how much it leads the next; (m) each.

    Both lie in the blocks with the two largest maxima, or in one of them, or in the rest at the end: a sort of a large
    vocabulary for two numbers would cost more than everything else here.
    """
    width = logs.shape[1]
    whole = width - width % _BLOCK
    if whole <= 2 * _BLOCK:
        values, found = logs.topk(min(2, width), dim=-1)
        first = logs.argmax(-1)
        return first, values[:, 0] - values[:, -1] if found.shape[1] > 1 else torch.zeros_like(values[:, 0])
    blocks = logs[:, :whole].reshape(len(logs), -1, _BLOCK)  # (m, blocks, 64)
    maxima = blocks.amax(-1)
    leading = maxima.topk(2, dim=-1).indices  # (m, 2)
    first_block = maxima.argmax(-1)
    candidates = torch.cat(
        [blocks.gather(1, leading[:, :, None].expand(-1, -1, _BLOCK)).flatten(1), logs[:, whole:]], 1
    )
    values = candidates.topk(2, dim=-1).values
    inside = blocks.gather(1, first_block[:, None, None].expand(-1, 1, _BLOCK))[:, 0].argmax(-1)
    top = first_block * _BLOCK + inside
    if whole < width:
        tail = logs[:, whole:].max(-1)
        top = torch.where(tail.values > maxima.amax(-1), whole + tail.indices, top)
    return top, values[:, 0] - values[:, 1]
