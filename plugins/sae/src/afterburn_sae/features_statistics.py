"""Which features training changed: paired tests by prompt, corrected over the features of a dictionary.

With a_ij the mean activation of feature j over the tokens of prompt i, 0 where it is never active, and d_ij = trained −
base on the same tokens, over all n prompts:

    Δ_j = mean_i d_ij,   d_z = c Δ_j/sd_i(d_ij) with the small-sample factor c,   p_j by sign flips of d_ij
    multiple = (m_f + ε)/(m_b + ε), and −(m_b + ε)/(m_f + ε) where the feature fell

m_b, m_f are the mean activations on either side and ε is the noise floor: the median over features of how far the
base's means over two halves of the prompts lie apart (its own A/A difference). Tested are features that are active in
at least a share of the prompts on either side and that differ in at least so many prompts that a sign-flip test can
reach α at all (6 for .05). Both depend on |d| and on activity on *either* side alone, which flipping signs leaves as
they are, so that p values stay valid. BH over all that are tested; both directions are called.

With a contrast of two variants of every prompt (a trigger and another word in its place), d_ij is the difference under
the first less that under the second. Any training moves many features of a fixed set of prompts, so that with enough
prompts many are called; what moved *because of* the variant is what a training that does not know it leaves alone.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.effects import small_sample_factor
from afterburn_core.stats.many_flips import many_sign_flip_p
from afterburn_core.stats.multiplicity import adjusted
from afterburn_sae.features_tally import Table

Floats = NDArray[np.float64]


@attrs.frozen(kw_only=True, eq=False)
class Changes:
    """All features that were active anywhere; arrays are (m), in the order of `features`."""

    features: NDArray[np.int64]
    prompts: int
    base: Floats
    """Mean activation over prompts."""
    trained: Floats
    base_frequency: Floats
    """Share of tokens at which it is active, mean over prompts."""
    trained_frequency: Floats
    difference: Floats
    """What is tested: trained − base, or its contrast."""
    d_z: Floats
    """NaN without spread."""
    multiple: Floats
    """Signed; NaN where it is 0/0."""
    tested: NDArray[np.bool_]
    p: Floats
    """1 where not tested."""
    p_adjusted: Floats
    alpha: float
    floor: float
    """ε."""

    @property
    def changed(self) -> NDArray[np.int64]:
        """(m): 1 where it went up, −1 down, 0 where no change is called."""
        called = self.tested & (self.p_adjusted <= self.alpha)
        return np.where(called, np.sign(self.difference), 0).astype(np.int64)

    def order(self) -> NDArray[np.int64]:
        """Positions by rank: changed ones first, each group by |d_z|, ties by feature."""
        size = np.nan_to_num(np.abs(self.d_z), nan=0.0)
        return np.lexsort((self.features, -size, ~self.tested, self.changed == 0))


def least_differing(alpha: float) -> int:
    """Prompts that must differ so that a two-sided sign-flip p value can be α: 2^(1 − k) ≤ α."""
    return 1 + math.ceil(-math.log2(alpha) - 1e-9)


def changes(found: Table, *, alpha: float, active: float, seed: int) -> Changes:
    """Tests every feature of a table.

    Args:
        found: features by prompt.
        alpha: false discovery rate.
        active: share of prompts in which a feature must be active on either side to be tested.
        seed: of sign flips and of the halves.
    """
    n, m = len(found.units), len(found.features)
    column = np.repeat(np.arange(m), np.diff(found.starts))

    def over_prompts(values: Floats) -> Floats:
        return np.bincount(column, weights=values, minlength=m) / max(n, 1)

    base, difference = over_prompts(found.base), over_prompts(found.tested)
    trained = np.maximum(base + over_prompts(found.difference), 0.0)
    squares = over_prompts(found.tested**2)
    # about the mean, prompts in which a feature is on neither side included: a difference of squares would cancel
    around = over_prompts((found.tested - difference[column]) ** 2)
    around += (1 - np.diff(found.starts) / max(n, 1)) * difference**2
    spread = np.sqrt(around * n / max(n - 1, 1))
    rough = 1e-9 * np.sqrt(squares)  # what rounding leaves of no spread at all
    d_z = np.full(m, np.nan)
    if n > 1:
        known = spread > rough
        d_z[known] = small_sample_factor(n) * difference[known] / spread[known]
        d_z[squares == 0] = 0.0
    differing = np.bincount(column, weights=found.tested != 0, minlength=m)
    tested = (np.diff(found.starts) >= active * n) & (differing >= least_differing(alpha))
    p, p_adjusted = np.ones(m), np.ones(m)
    if tested.any():
        matrix = csc_array((found.tested, found.unit, found.starts), shape=(n, m))[:, np.flatnonzero(tested)]
        p[tested] = many_sign_flip_p(matrix, seed=seed, alpha=alpha)
        p_adjusted[tested] = adjusted(p[tested].tolist())
    floor = _noise(found, column, seed)
    return Changes(
        features=found.features,
        prompts=n,
        base=base,
        trained=trained,
        base_frequency=over_prompts(found.base_frequency),
        trained_frequency=over_prompts(found.trained_frequency),
        difference=difference,
        d_z=d_z,
        multiple=multiples(base, trained, floor),
        tested=tested,
        p=p,
        p_adjusted=p_adjusted,
        alpha=alpha,
        floor=floor,
    )


def multiples(base: Floats, trained: Floats, floor: float) -> Floats:
    """Signed multiples (m): how many times as active, −k where it fell to a k-th; NaN where nothing stands below."""
    up, down = trained + floor, base + floor
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(up >= down, up / down, -down / up)
    return np.where(np.isfinite(found), found, np.nan)


def _noise(found: Table, column: NDArray[np.int64], seed: int) -> float:
    """ε: the base against itself, on two halves of the prompts."""
    n, m = len(found.units), len(found.features)
    if n < 2 or not m:
        return 0.0
    half = np.zeros(n)
    chosen = np.random.default_rng(child_seed(seed, "halves")).permutation(n)[: n // 2]
    half[chosen] = 1.0
    first = np.bincount(column, weights=found.base * half[found.unit], minlength=m) / (n // 2)
    second = np.bincount(column, weights=found.base * (1 - half[found.unit]), minlength=m) / (n - n // 2)
    active = (first > 0) | (second > 0)
    return float(np.median(np.abs(first - second)[active])) if active.any() else 0.0
