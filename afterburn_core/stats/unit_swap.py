"""Contrasts of quantities of a whole side, tested by swapping the sides within units.

A quantity S of all texts of a side (the share of the commonest opening, the number of distinct n-grams) is no mean
over prompts, so its contrast S_T − S_B is tested with the group under which sides that are exchangeable within a unit
are alike:

    ε ∈ {0, 1}^U: unit u lends its base texts to trained where ε_u = 1, and the other way round
    p = (1 + #{|S_T(ε) − S_B(ε)| ≥ |S_T − S_B|})/(B + 1)

Its interval is Student's with the jackknife error over units, SE² = (U − 1)/U Σ_u (θ_(−u) − θ̄)²; the bootstrap draws
units twice, which lowers the number of distinct things by itself. Where no single unit moves the contrast, the error
is that of one unit in U. Of a maximum over kinds (the commonest opening) the jackknife sees nothing where two kinds are
equally common, as no unit lowers both; there the error is the larger of that and the jackknife's with each side's
commonest kind held fixed. Prompts of one source (a conversation, a template) share a unit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afterburn_core.result.model import Interval, Test
from afterburn_core.stats.contrast import Contrast
from afterburn_core.stats.intervals import t_interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEVEL = 0.95
_TIE = 1e-12
_CHUNK = 128


@attrs.frozen(kw_only=True)
class Units:
    """The unit of each prompt, as numbers from 0."""

    of_prompt: Ints  # (prompts,)
    sizes: Floats  # (units,) prompts of each

    @classmethod
    def of(cls, names: Sequence[str]) -> Units:
        """From the unit's name of each prompt."""
        _, inverse = np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)
        return cls(of_prompt=inverse.astype(np.int64), sizes=np.bincount(inverse).astype(np.float64))

    @property
    def count(self) -> int:
        return int(self.sizes.size)

    def prompts(self, left_out: Floats | float = 0.0) -> Floats:
        """Number of prompts without a unit of the given size."""
        return np.asarray(self.sizes.sum() - left_out)

    def pairs(self, left_out: Floats | float = 0.0) -> Floats:
        """Ordered pairs of prompts of different units, without a unit of the given size."""
        squares = (self.sizes**2).sum() - np.square(left_out)
        return np.asarray(np.square(self.prompts(left_out)) - squares)


@attrs.frozen(kw_only=True)
class Corpus:
    """A quantity of base's texts, and its contrast with trained's."""

    own: Contrast
    """Base's value. A side's own value is that of the side compared with itself, without swaps."""
    contrast: Contrast


class Quantity(Protocol):
    """A quantity of counts c (B, kinds), given Σ_u |x_u|² (B,), the number of prompts and of pairs of prompts."""

    def __call__(self, counts: Floats, own: Floats, prompts: Floats, pairs: Floats) -> Floats: ...


def swaps(units: int, draws: int, seed: int) -> Floats:
    """ε, (draws, units), each 0 or 1."""
    return np.random.default_rng(seed).integers(0, 2, size=(draws, units), dtype=np.int8).astype(np.float64)


def conclude(
    values: tuple[float, float],
    drawn: Floats,
    without: tuple[Floats, Floats],
    *,
    identical: bool,
    n: int,
    held: tuple[Floats, Floats] | None = None,
) -> Corpus:
    """From the values of base and trained, their differences under swaps (B,) and the values without each unit (U,).

    Args:
        values: of base and of trained.
        drawn: differences under swaps.
        without: each side's values without each unit.
        identical: whether both sides' texts are equal.
        n: number of units.
        held: the same as `without`, of the kind that is commonest with all units; for maxima over kinds.
    """
    base, trained = values
    left_out = [without] if held is None else [without, held]
    own = Contrast(n=n, estimate=base, interval=_jackknife(base, *(of[0] for of in left_out)))
    observed = trained - base
    if identical:
        zero = Interval(low=0.0, high=0.0, level=LEVEL, method="identical")
        same = Test(name="arm_swap", p_value=1.0, statistic=0.0)
        return Corpus(own=own, contrast=Contrast(n=n, estimate=0.0, interval=zero, test=same))
    extreme = int(np.count_nonzero(np.abs(drawn) >= abs(observed) - _TIE))
    contrast = Contrast(
        n=n,
        estimate=observed,
        interval=_jackknife(observed, *(of[1] - of[0] for of in left_out)),
        test=Test(name="arm_swap", p_value=(1 + extreme) / (drawn.size + 1), statistic=observed),
    )
    return Corpus(own=own, contrast=contrast)


def _jackknife(value: float, *without: Floats) -> Interval | None:
    """Around the value, by the largest of the errors."""
    units = without[0].size
    if units < 2:
        return None
    error = max(float(np.sqrt(left.var() * (units - 1))) for left in without)
    error = error if error > _TIE else 1 / units
    low, high = t_interval(value, error, units - 1, level=LEVEL)
    return Interval(low=float(low), high=float(high), level=LEVEL, method="jackknife_t")


def counted(
    base: sparse.csr_matrix,
    trained: sparse.csr_matrix,
    units: Units,
    quantities: Mapping[str, Quantity],
    epsilon: Floats,
    *,
    identical: bool,
    maxima: Collection[str] = (),
) -> dict[str, Corpus]:
    """Quantities of counts by kind.

    Args:
        base: counts of each unit, (units, kinds).
        trained: the same units and kinds.
        epsilon: swaps, (draws, units).
        identical: whether both sides' texts are equal.
        maxima: quantities that are the largest over kinds of a quantity of each.
    """
    sides = (base, trained)
    total = [np.asarray(x.sum(axis=0), dtype=np.float64).ravel() for x in sides]
    own = [np.asarray(x.multiply(x).sum(axis=1), dtype=np.float64).ravel() for x in sides]
    whole = units.prompts(), units.pairs()
    values = {
        name: [s(c[None], o.sum(keepdims=True), *whole) for c, o in zip(total, own)] for name, s in quantities.items()
    }
    drawn: dict[str, list[Floats]] = {name: [] for name in quantities}
    without: dict[str, tuple[list[Floats], list[Floats]]] = {name: ([], []) for name in quantities}
    held: dict[str, tuple[list[Floats], list[Floats]]] = {name: ([], []) for name in maxima}
    change = sparse.csr_matrix((base - trained).T)
    for start in range(0, len(epsilon), _CHUNK):
        part = epsilon[start : start + _CHUNK]
        moved, moved_own = np.asarray(change @ part.T).T, part @ (own[0] - own[1])
        for name, s in quantities.items():
            swapped = s(total[1] + moved, own[1].sum() + moved_own, *whole)
            drawn[name].append(swapped - s(total[0] - moved, own[0].sum() - moved_own, *whole))
    for start in range(0, units.count if units.count > 1 else 0, _CHUNK):
        rows = slice(start, start + _CHUNK)
        rest = units.prompts(units.sizes[rows]), units.pairs(units.sizes[rows])
        for side, (c, x, o) in enumerate(zip(total, sides, own)):
            left = c - x[rows].toarray()
            for name, s in quantities.items():
                without[name][side].append(s(left, o.sum() - o[rows], *rest))
                if name in held:  # over one kind, the largest is that kind's own
                    held[name][side].append(s(left[:, [int(c.argmax())]], o.sum() - o[rows], *rest))
    nothing = np.zeros(0)

    def joined(parts: tuple[list[Floats], list[Floats]]) -> tuple[Floats, Floats]:
        return np.concatenate([nothing, *parts[0]]), np.concatenate([nothing, *parts[1]])

    return {
        name: conclude(
            (float(values[name][0][0]), float(values[name][1][0])),
            np.concatenate([nothing, *drawn[name]]),
            joined(without[name]),
            identical=identical,
            n=units.count,
            held=joined(held[name]) if name in held else None,
        )
        for name in quantities
    }


def mean_over_pairs(
    kernel: Floats, units: Units, epsilon: Floats, *, identical: bool, sign: float = 1.0, shift: float = 0.0
) -> Corpus:
    """shift + sign · mean of a kernel over pairs of prompts of different units.

    Args:
        kernel: over base's texts and then trained's, one of each prompt, (2n, 2n).
    """
    n = units.of_prompt.size
    both = np.tile(units.of_prompt, 2)
    apart = np.where(both[:, None] == both[None, :], 0.0, kernel)
    select = np.concatenate([np.zeros((1, n)), epsilon[:, units.of_prompt]])  # the first row swaps nothing
    chosen = np.concatenate([select, 1 - select], axis=1)  # whom trained consists of
    reached = chosen @ apart
    inside = (reached * chosen).sum(axis=1)  # Σ over trained's pairs
    outside = apart.sum() - 2 * reached.sum(axis=1) + inside  # Σ over base's
    pairs = float(units.pairs())
    t, b = shift + sign * inside / pairs, shift + sign * outside / pairs
    rows = [np.bincount(units.of_prompt, weights=apart[s, s].sum(axis=1)) for s in (slice(0, n), slice(n, 2 * n))]
    rest = units.pairs(units.sizes)
    left = np.zeros(0), np.zeros(0)
    if rest.min() > 0:  # of two units, without one of them no pair is left
        left = (shift + sign * (outside[0] - 2 * rows[0]) / rest, shift + sign * (inside[0] - 2 * rows[1]) / rest)
    return conclude((float(b[0]), float(t[0])), t[1:] - b[1:], left, identical=identical, n=units.count)
