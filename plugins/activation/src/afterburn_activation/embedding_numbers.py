"""Measurements of geometry, neighbours and spread, with intervals over texts.

Means over texts have the intervals of `afterburn_core.stats`. CKA, RSA, the participation ratio and the similarity of
unrelated texts are no means: theirs are jackknife intervals over groups of texts (CKA: over texts).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import special

from afterburn_activation.cka import cka
from afterburn_activation.embedding_geometry import left_out_groups, pairs, participation, spearman, unit
from afterburn_activation.embedding_neighbours import Overlap, nearest
from afterburn_activation.jackknife import interval
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Interval, Measurement, Scope, Test
from afterburn_core.stats.contrast import Contrast, as_measurement
from afterburn_core.stats.one_side import rate
from afterburn_core.stats.paired import paired_rate_contrasts

if TYPE_CHECKING:
    from afterburn_activation.embedding import Sides

Floats = NDArray[np.float64]
KS = (1, 5, 10, 50)
PAIR = ("base", "trained")


def described(
    contrast: Contrast,
    metric: str,
    *,
    identical: bool,
    subjects: tuple[str, ...] = PAIR,
    scope: Scope | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Measurement:
    """The measurement; of equal sides its interval has no width, else it ends at the possible values."""
    found, value = contrast.interval, contrast.estimate
    if value is not None and identical:
        found = Interval(low=value, high=value, level=0.95, method="identical")
        contrast = attrs.evolve(contrast, reason=None)
    elif found is not None:
        found = attrs.evolve(
            found,
            low=found.low if low is None else max(low, found.low),
            high=found.high if high is None else min(high, found.high),
        )
    return as_measurement(attrs.evolve(contrast, interval=found), metric, subjects=subjects, scope=scope)


def _jackknifed(
    metric: str,
    value: float,
    left_out: Floats,
    n: int,
    *,
    identical: bool = False,
    subjects: tuple[str, ...] = PAIR,
    low: float | None = None,
    high: float | None = None,
    tested: bool = False,
) -> Measurement:
    """The measurement of a statistic that is no mean; `tested` against 0 by its jackknife error."""
    if not np.isfinite(value):
        return undefined(metric, "the texts do not vary", subjects=subjects, n=n)
    ends = interval(value, left_out, low=low, high=high)
    test = Test(name="jackknife_t", p_value=1.0 if identical else _p_value(value, left_out)) if tested else None
    reason = None if ends is not None else "too few texts for an interval"
    contrast = Contrast(n=n, estimate=value + 0.0, interval=ends, test=test, reason=reason)
    return described(contrast, metric, identical=identical, subjects=subjects)


def _p_value(value: float, left_out: Floats) -> float:
    """Two-sided p of 0, by Student's t with the jackknife error."""
    count = left_out.size
    error = float(np.sqrt((count - 1) / count * np.sum((left_out - left_out.mean()) ** 2))) if count else 0.0
    if error == 0 or not np.isfinite(error):
        return 1.0
    return float(2 * special.stdtr(count - 1, -abs(value) / error))


def geometry(ids: tuple[str, ...], base: Floats, trained: Floats, *, identical: bool) -> list[Measurement]:
    """CKA, RSA, participation ratios and their log ratio, over these texts."""
    n = len(ids)
    found = []
    aligned = cka(base, trained)
    if aligned is None:
        found.append(undefined("activation.embedding.cka", "a side's vectors do not vary", n=n))
    else:
        found.append(
            _jackknifed("activation.embedding.cka", aligned.value, aligned.left_out, n, identical=identical, high=1.0)
        )
    similar = unit(base) @ unit(base).T, unit(trained) @ unit(trained).T

    def rsa(kept: NDArray[np.bool_] | None) -> float:
        return spearman(pairs(similar[0], kept), pairs(similar[1], kept))

    value = 1.0 if identical and np.isfinite(rsa(None)) else rsa(None)
    found.append(
        _jackknifed(
            "activation.embedding.rsa",
            value,
            left_out_groups(ids, rsa) if not identical else np.full(16, value),
            n,
            identical=identical,
            low=-1.0,
            high=1.0,
        )
    )
    sides = {"base": (participation(base), left_out_groups(ids, lambda kept: participation(base[kept])))}
    sides["trained"] = (
        sides["base"]
        if identical
        else (participation(trained), left_out_groups(ids, lambda kept: participation(trained[kept])))
    )
    for side, (own, without) in sides.items():
        metric = "activation.embedding.participation_ratio"
        found.append(_jackknifed(metric, own, without, n, subjects=(side,), low=1.0))
    with np.errstate(invalid="ignore"):
        ratio, without = (np.log(sides["trained"][i]) - np.log(sides["base"][i]) for i in (0, 1))
    metric = "activation.embedding.participation_log_ratio"
    found.append(_jackknifed(metric, float(ratio), np.asarray(without), n, identical=identical, tested=True))
    return found


def neighbours(base: Floats, trained: Floats, *, identical: bool, seed: int) -> list[Measurement]:
    """Overlap of the nearest texts at several k, and rank-biased overlap."""
    n = len(base)
    depth = min(max(KS), n - 1)
    first = nearest(unit(base), depth)[0]
    overlap = Overlap.of(first, first if identical else nearest(unit(trained), depth)[0])
    found = []
    for k in KS:
        metric, scope = "activation.embedding.neighbour_overlap", Scope(subset=f"k={k}")
        if 2 * k > n - 1:
            found.append(undefined(metric, f"{n} texts are too few for {k} neighbours", scope=scope, n=n))
            continue
        chance = k / (2 * (n - 1) - k)  # Jaccard of k and k of n − 1 where k²/(n − 1) of them agree
        contrast = attrs.evolve(rate(overlap.jaccard(k), seed=seed), reason=f"about {chance:.2g} by chance")
        found.append(described(contrast, metric, identical=identical, scope=scope))
    contrast = attrs.evolve(rate(np.clip(overlap.rank_biased(), 0.0, 1.0), seed=seed), reason=f"to depth {depth}")
    found.append(described(contrast, "activation.embedding.rank_biased_overlap", identical=identical))
    return found


def spread(small: Sides, wide: Sides, *, bar: float, seed: int) -> list[Measurement]:
    """How alike different texts are on each side: mean similarity, near duplicates, and their changes."""
    similar = [unit(side) @ unit(side).T for side in (small.base, small.trained)]
    metric = "activation.embedding.unrelated_similarity"
    values, without = [], []
    for one in similar:

        def mean_of_pairs(kept: NDArray[np.bool_], one: Floats = one) -> float:
            return float(pairs(one, kept).mean())

        values.append(float(pairs(one).mean()))
        without.append(left_out_groups(small.ids, mean_of_pairs))
    n, same = len(small.ids), small.identical
    found = [
        _jackknifed(metric, value, left, n, subjects=(side,), low=-1.0, high=1.0)
        for side, value, left in zip(PAIR, values, without, strict=True)
    ]
    change = (values[1] - values[0], without[1] - without[0])
    found.append(_jackknifed(metric, *change, n, identical=same, low=-2.0, high=2.0, tested=True))
    metric = "activation.embedding.near_duplicates"
    alike = [(nearest(unit(side), 1)[1] >= bar).astype(np.float64) for side in (wide.base, wide.trained)]
    for side, outcomes in zip(PAIR, alike, strict=True):
        found.append(as_measurement(rate(outcomes, seed=seed), metric, subjects=(side,)))
    contrast = paired_rate_contrasts({"": alike[0]}, {"": alike[1]}, seed=seed, identical=same)[""]
    found.append(described(contrast, metric, identical=same))
    return found
