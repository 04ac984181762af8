"""Trait directions from pairs of answers, how well they tell held-out answers apart, and what random ones would show.

With a⁺_i and a⁻_i the mean activations of the base over the tokens of both answers of pair i at one site:

    v = mean_i (a⁺_i − a⁻_i)                                         direction, from all pairs
    AUROC = P(⟨a⁺, v̂'⟩ > ⟨a⁻, v̂'⟩) + ½ P(=), v' from one half of the pairs, answers of the other; mean of both ways
    separation = mean⁺ − mean⁻ of those projections over their pooled standard deviation; mean of both ways
    shift = mean_p ⟨δ_p, v⟩/‖v‖²          δ_p at the last token of prompt p; 1 is from negative to positive answers

(Persona Vectors, arXiv 2507.21509; short answers written beforehand take the place of generated and judged ones.) The
halves are a keyed hash of the pair's name. Everything but the shift rests on the base alone.

Random directions u = Σ_i g_i (a_i − ā), g standard normal, over all N answers, have the covariance of the base's
activations: most of them lie where the base varies most, and so do shifts that have nothing to do with a trait.

    p = (1 + #{r : |⟨δ̄, û_r⟩| ≥ |⟨δ̄, v̂⟩|})/(R + 1)

⟨δ̄, û⟩ = gᵀ(Aδ̄)/√(gᵀAAᵀg) needs the N × N Gram matrix alone, A being the centred answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.result.model import Interval, Null
from afterburn_core.stats.intervals import wilson
from afterburn_core.stats.split import half

Floats = NDArray[np.float64]
FEWEST = 4
"""Pairs that either half needs."""
KEY = "activation.traits"
RANDOM = "random_direction"


@attrs.frozen(kw_only=True)
class HeldOut:
    """How well a direction tells held-out answers apart."""

    auroc: float
    separation: float


def direction(positive: Floats, negative: Floats) -> Floats:
    """(d), from (m, d) each."""
    return np.asarray((positive - negative).mean(axis=0))


def halves(pairs: Sequence[str]) -> tuple[list[int], list[int]] | None:
    """Positions of the pairs of either half; `None` where one has fewer than `FEWEST`."""
    first = [i for i, name in enumerate(pairs) if half(name, key=KEY) == "discover"]
    second = [i for i in range(len(pairs)) if i not in set(first)]
    return None if min(len(first), len(second)) < FEWEST else (first, second)


def held_out(positive: Floats, negative: Floats, parts: tuple[list[int], list[int]]) -> HeldOut:
    """Of answers (m, d) each; 0 separation where the projections do not vary."""
    areas, gaps = [], []
    for own, others in (parts, parts[::-1]):
        v = direction(positive[own], negative[own])
        up, down = positive[others] @ v, negative[others] @ v
        areas.append(area(up, down))
        spread = np.sqrt((up.var(ddof=1) + down.var(ddof=1)) / 2)
        gaps.append(float((up.mean() - down.mean()) / spread) if spread > 0 else 0.0)
    return HeldOut(auroc=float(np.mean(areas)), separation=float(np.mean(gaps)))


def area(up: Floats, down: Floats) -> float:
    """P(up > down) + ½ P(up = down) over all pairs of the two."""
    wins = (up[:, None] > down[None, :]).mean() + 0.5 * (up[:, None] == down[None, :]).mean()
    return float(wins)


def area_interval(auroc: float, pairs: int, level: float = 0.95) -> Interval:
    """Wilson's interval as if every pair were one trial; held-out answers are never more than that."""
    low, high = wilson(auroc * pairs, pairs, level=level)
    return Interval(low=float(low), high=float(high), level=level, method="wilson_effective_n")


@attrs.frozen(kw_only=True, eq=False)
class RandomDirections:
    """Directions drawn from the covariance of answers at one site, as far as projections on them need."""

    answers: Floats  # (N, d), centred
    weights: Floats  # (R, N)
    lengths: Floats  # (R)

    @classmethod
    def of(cls, answers: Floats, count: int, seed: int) -> RandomDirections:
        """From answers (N, d), in an order that nothing but their names decides."""
        centred = answers - answers.mean(axis=0)
        weights = np.random.default_rng(seed).normal(size=(count, len(centred)))
        squares = np.einsum("rn,nm,rm->r", weights, centred @ centred.T, weights, optimize=True)
        return cls(answers=centred, weights=weights, lengths=np.sqrt(np.maximum(squares, 0.0)))

    def projections(self, shift: Floats) -> Floats:
        """(R), ⟨δ̄, û_r⟩ of a mean shift (d); directions of length 0 are left out."""
        known = self.lengths > 0
        return np.asarray((self.weights[known] @ (self.answers @ shift)) / self.lengths[known])


def null_of(value: float, projections: Floats) -> Null | None:
    """Where |value| lies among |projections|; `None` where there are none."""
    if not projections.size:
        return None
    own, others = abs(value), np.abs(projections)
    slack = 1e-12 * max(own, float(others.max()))  # rounding is no difference
    reached = int((others >= own - slack).sum())
    return Null(
        control=RANDOM,
        n=len(others),
        quantile=float((others <= own + slack).mean()),
        p_value=(1 + reached) / (len(others) + 1),
    )


def cosine(one: Floats, other: Floats) -> float:
    """Of two directions; 0 where one has no length."""
    product = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / product if product > 0 else 0.0
