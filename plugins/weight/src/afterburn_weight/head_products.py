"""Products of two heads' matrices and their change, from d_h × d_h Gram matrices in float64.

With A and B the rows of two parts of a head (query and key; output, transposed, and value), each d_h × D:

    M = AᵀB       ‖M‖² = tr((AAᵀ)(BBᵀ))
    ΔM = ΔAᵀB' + AᵀΔB
    ‖ΔM‖² = tr((ΔAΔAᵀ)(B'B'ᵀ)) + tr((AAᵀ)(ΔBΔBᵀ)) + 2 tr((ΔAAᵀ)(ΔBB'ᵀ))

Nothing of size ‖M‖² is subtracted. What is left is that the two terms of ΔM may cancel, as they do when A is scaled by
c and B by 1/c: a ‖ΔM‖ below 1.2e-7 times their size is not resolved and is 0. So a product does not change under a
rescaling that attention cannot see. The one of queries and keys is for tokens at equal positions, without biases.

Where a norm with gains g acts on queries or keys (Qwen3, Gemma 3), A stands for diag(g)A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_RESOLVED = 64 * 2.0**-52  # of the squared terms


@attrs.frozen(kw_only=True, eq=False)
class Grams:
    """Gram matrices of one part of all heads of a layer, each (heads, d_h, d_h)."""

    base: Array
    """AAᵀ"""
    mixed: Array
    """ΔAAᵀ"""
    delta: Array
    """ΔAΔAᵀ"""
    columns: int
    """D"""

    @property
    def trained(self) -> Array:
        """A'A'ᵀ"""
        return self.base + self.mixed + np.swapaxes(self.mixed, 1, 2) + self.delta


def grams(base: Array, trained: Array, *, changed: bool) -> Grams:
    """Gram matrices of two arrays (heads, d_h, D); the changed ones are zeros where nothing changed."""
    square = base @ np.swapaxes(base, 1, 2)
    if not changed:
        nothing = np.zeros_like(square)
        return Grams(base=square, mixed=nothing, delta=nothing, columns=base.shape[2])
    delta = trained - base
    return Grams(
        base=square,
        mixed=delta @ np.swapaxes(base, 1, 2),
        delta=delta @ np.swapaxes(delta, 1, 2),
        columns=base.shape[2],
    )


def folded(part: Grams, base_gain: Array, trained_gain: Array) -> Grams:
    """The Gram matrices of diag(g)A and diag(g')A'; gains are (d_h,) for all heads or (heads, d_h).

    diag(g')A' − diag(g)A = diag(g')ΔA + diag(g' − g)A.
    """
    before, after = (np.broadcast_to(gain, part.base.shape[:2]) for gain in (base_gain, trained_gain))
    moved = after - before
    turned = np.swapaxes(part.mixed, 1, 2)
    return Grams(
        base=_scaled(before, part.base, before),
        mixed=_scaled(after, part.mixed, before) + _scaled(moved, part.base, before),
        delta=_scaled(after, part.delta, after)
        + _scaled(after, part.mixed, moved)
        + _scaled(moved, turned, after)
        + _scaled(moved, part.base, moved),
        columns=part.columns,
    )


def product_change(left: Grams, right: Grams) -> Array:
    """‖ΔM_h‖ / ‖M_h‖ for every head of `left`, whose heads share those of `right` in even groups.

    0 where neither side changed, NaN where ‖M_h‖ = 0.
    """
    group = np.arange(len(left.base)) // (len(left.base) // len(right.base))
    # of symmetric matrices, tr(XY) = Σ X∘Y
    size = (left.base * right.base[group]).sum((1, 2))
    first = (left.delta * right.trained[group]).sum((1, 2))
    second = (left.base * right.delta[group]).sum((1, 2))
    turned = np.swapaxes(right.mixed + right.delta, 1, 2)[group]  # (ΔBB'ᵀ)ᵀ = (ΔBBᵀ + ΔBΔBᵀ)ᵀ
    both = first + second
    change = both + 2 * (left.mixed * turned).sum((1, 2))
    change = np.where(change > _RESOLVED * both, change, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(size > 0, np.sqrt(change / size), np.nan)


def _scaled(rows: Array, gram: Array, columns: Array) -> Array:
    return rows[:, :, None] * gram * columns[:, None, :]
