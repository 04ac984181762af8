"""How alike two sets of vectors of the same units are: linear CKA with the unbiased HSIC, from Gram matrices.

    K = XXᵀ, L = YYᵀ with their diagonals set to 0, n units:
    HSIC(K, L) = [ tr(KL) + (1ᵀK1)(1ᵀL1)/((n−1)(n−2)) − 2/(n−2) 1ᵀKL1 ] / (n(n−3))
    CKA = HSIC(K, L)/√(HSIC(K, K) HSIC(L, L))

(Similarity of Neural Network Representations Revisited, arXiv 1905.00414; the unbiased HSIC is that of Song et al.
2012. The plain one grows towards 1 as d/n grows.) It is 1 for equal geometries, whatever rotation and scale lie between
them, has mean about 0 for unrelated ones, and may fall a little outside [0, 1]. Rows are units: passages' mean vectors,
averaged within their unit. All in float64.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FEWEST = 10
"""Units below which CKA is not given."""


@attrs.frozen(kw_only=True, eq=False)
class Alignment:
    """CKA with what its uncertainty needs."""

    value: float
    left_out: Floats
    """(n,), CKA without each unit; NaN where undefined."""
    identical: bool
    """Whether both sides are equal, bit for bit."""


def cka(x: NDArray[np.floating], y: NDArray[np.floating]) -> Alignment | None:
    """CKA of two sets of vectors; `None` below `FEWEST` units or where a side does not vary.

    Args:
        x: (n, d_x), one vector per unit.
        y: (n, d_y), of the same units in the same order.
    """
    if len(x) < FEWEST:
        return None
    same = x.shape == y.shape and bool(np.array_equal(x, y))
    k = _gram(x)
    both = _Products(k, k if same else _gram(y))
    kl, kk, ll = both.cross, both.first, both.second
    if not (kk.value > 0 and ll.value > 0):
        return None
    if same:
        return Alignment(value=1.0, left_out=np.ones(len(x)), identical=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        product = kk.left_out * ll.left_out
        left_out = np.where((kk.left_out > 0) & (ll.left_out > 0), kl.left_out / np.sqrt(product), np.nan)
    return Alignment(value=kl.value / float(np.sqrt(kk.value * ll.value)), left_out=left_out, identical=False)


def _gram(x: NDArray[np.floating]) -> Floats:
    """XXᵀ of centred rows without its diagonal; centring changes nothing but the rounding."""
    wide = np.asarray(x, dtype=np.float64)
    wide = wide - wide.mean(axis=0)
    gram = wide @ wide.T
    np.fill_diagonal(gram, 0.0)
    return np.asarray(gram)


@attrs.frozen(kw_only=True, eq=False)
class _Hsic:
    value: float
    left_out: Floats  # (n,)


class _Products:
    """HSIC of K with L, K with K and L with L, over all units and without each."""

    def __init__(self, k: Floats, l: Floats) -> None:  # noqa: E741  # the letter of the formula
        self.cross = _hsic(k, l)
        self.first = self.cross if l is k else _hsic(k, k)
        self.second = self.cross if l is k else _hsic(l, l)


def _hsic(k: Floats, l: Floats) -> _Hsic:  # noqa: E741
    """HSIC and its leave-one-out values in O(n²).

    Without unit i: tr(KL) loses 2 Σ_j K_ij L_ij, 1ᵀK1 loses 2 k_i with k = K1, and 1ᵀKL1 = Σ_j k_j l_j becomes
    Σ_{j≠i} (k_j − K_ij)(l_j − L_ij) = Σ_j k_j l_j − k_i l_i − (Kl)_i − (Lk)_i + Σ_j K_ij L_ij.
    """
    n = len(k)
    entries = np.einsum("ij,ij->i", k, l)
    k_sums, l_sums = k.sum(axis=1), l.sum(axis=1)
    trace, k_all, l_all, product = entries.sum(), k_sums.sum(), l_sums.sum(), k_sums @ l_sums
    value = _unbiased(trace, k_all, l_all, product, n)
    left_out = _unbiased(
        trace - 2 * entries,
        k_all - 2 * k_sums,
        l_all - 2 * l_sums,
        product - k_sums * l_sums - k @ l_sums - l @ k_sums + entries,
        n - 1,
    )
    return _Hsic(value=float(value), left_out=np.asarray(left_out))


def _unbiased(trace: Floats, k_all: Floats, l_all: Floats, product: Floats, n: int) -> Floats:
    return (trace + k_all * l_all / ((n - 1) * (n - 2)) - 2 / (n - 2) * product) / (n * (n - 3))
