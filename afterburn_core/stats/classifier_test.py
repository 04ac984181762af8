"""Can a classifier tell the sides apart? A two-sample test on texts, cross-validated over prompts.

Revisiting Classifier Two-Sample Tests, arXiv 1610.06545, in a paired form. With z_i the difference of the features of
prompt i (trained − base), scaled to unit root mean square, an L2 least-squares classifier without intercept learns the
direction of the difference:

    w = argmin Σ_i (ε_i − w·z_i)² + λ|w|² = (ZᵀZ + λI)⁻¹ Zᵀ ε,      ε_i = 1,   λ = mean_i |z_i|²
    s_i = w_(−fold of i) · z_i                                      out of fold, all samples of a prompt in one fold
    AUROC = mean_{i,j} [s_i > −s_j] + ½[s_i = −s_j]

The AUROC is that of telling a difference trained − base from a difference base − trained; ½ is chance. For labels ±1
and balanced classes the fit is Fisher's discriminant with ridge. It is used in place of logistic regression because its
null costs nothing: swapping the sides of a prompt turns z_i into −z_i, which leaves ZᵀZ, the scaling, the choice of
features and λ untouched, so that refitting under B random swaps is one product of the same hat matrix with a matrix of
signs, and leaving a fold out is exact block algebra on it:

    residual of fold f = (C_ff)⁻¹ (C ε)_f,    C = (ZZᵀ + λI)⁻¹;      p = (1 + #{AUROC_b ≥ AUROC}) / (B + 1)

The p value is exact for sides that are exchangeable within prompts, with any features and any λ. Without length:
columns and differences are first regressed on the differences of the log lengths (words, characters, sentences), which
commutes with swapping as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from afterburn_core.result.model import Interval, Test
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.intervals import wilson
from afterburn_core.stats.text_features import pair_features

CHANCE = 0.5
_FEWEST = 8
_TIE = 1e-12
_REDUNDANT = 0.8


@attrs.frozen(kw_only=True)
class FeatureWeight:
    """One feature of the shift, in words."""

    name: str
    """`word: however`, `style: bullets per 100 words`."""
    weight: float
    """Coefficient on the scaled feature; positive: more of it in trained."""
    difference: float
    """Mean of trained − base of the feature, on its log scale."""
    prompts: int
    """Prompts in which the sides differ in it."""


@attrs.frozen(kw_only=True)
class Separation:
    """How well one set of features tells the sides apart."""

    contrast: Contrast
    """The AUROC (½ is chance), its interval given the fitted classifiers, and its permutation p value."""
    accuracy: float | None
    """Share of prompts for which the classifier says right which answer is trained's; ties count half."""
    features: tuple[FeatureWeight, ...]
    """Heaviest features whose sign is the same in every fold, near-copies of a heavier one left out."""
    margins: NDArray[np.float64] | None = attrs.field(default=None, eq=False, repr=False)
    """Out-of-fold score of each prompt, s_i, (n,): above 0 where the classifier is right on it; `None` without a test."""

    @property
    def excess(self) -> Contrast:
        """AUROC − ½: exactly 0 for equal texts."""
        contrast = self.contrast
        if contrast.estimate is None:
            return contrast
        interval = contrast.interval and attrs.evolve(
            contrast.interval, low=contrast.interval.low - CHANCE, high=contrast.interval.high - CHANCE
        )
        return attrs.evolve(contrast, estimate=contrast.estimate - CHANCE, interval=interval)


@attrs.frozen(kw_only=True)
class ClassifierTest:
    """The test with and without length."""

    everything: Separation
    without_length: Separation
    columns: int
    """Features that differ between the sides at all."""


def classifier_test(
    base: Sequence[Sequence[str]],
    trained: Sequence[Sequence[str]],
    *,
    seed: int,
    permutations: int = 199,
    folds: int = 10,
    clusters: Sequence[str] | None = None,
    top: int = 12,
    level: float = 0.95,
) -> ClassifierTest:
    """The test on texts.

    Args:
        base: for each prompt, the texts of its samples.
        trained: the same prompts in the same order.
        seed: of folds and swaps.
        permutations: B.
        folds: number of folds, at most the number of units.
        clusters: unit of each prompt where several belong together; they share a fold and are swapped together.
        top: how many features to name.
        level: of the interval.

    Raises:
        ValueError: The sides differ in their number of prompts, or a prompt lacks a sample.
    """
    found = pair_features(base, trained)
    settings = {
        "seed": seed,
        "permutations": permutations,
        "folds": folds,
        "clusters": clusters,
        "top": top,
        "level": level,
    }
    all_columns = np.concatenate([found.differences, found.lengths], axis=1)
    everything = separate(all_columns, (*found.names, *found.length_names), **settings)  # type: ignore[arg-type]
    residuals = without(found.differences, found.lengths)
    stripped = separate(residuals, found.names, **settings)  # type: ignore[arg-type]
    return ClassifierTest(
        everything=everything, without_length=stripped, columns=int(np.count_nonzero(all_columns.any(axis=0)))
    )


def without(differences: NDArray[np.float64], nuisance: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is left of the columns after regressing them, through the origin, on the nuisance columns; (n, p)."""
    size = np.sqrt(np.mean(nuisance * nuisance, axis=0))
    kept = nuisance[:, size > 0] / size[size > 0]
    if not kept.shape[1]:
        return differences
    fitted = kept @ np.linalg.lstsq(kept, differences, rcond=1e-10)[0]
    left = differences - fitted
    # a column that was nothing but length leaves rounding, which scaling would blow up
    scale = np.sqrt(np.mean(differences * differences, axis=0))
    return np.where(np.sqrt(np.mean(left * left, axis=0)) > 1e-7 * scale, left, 0.0)


def separate(
    differences: ArrayLike,
    names: Sequence[str],
    *,
    seed: int,
    permutations: int = 199,
    folds: int = 10,
    clusters: Sequence[str] | None = None,
    top: int = 12,
    level: float = 0.95,
) -> Separation:
    """The test on differences of features, whatever they are: text features, embeddings, readings of a probe.

    Args:
        differences: trained − base, one row per prompt, (n, p).
        names: of the columns, (p,).
        seed: of folds and swaps.
        permutations: B.
        folds: number of folds.
        clusters: see `classifier_test`.
        top: how many features to name.
        level: of the interval.
    """
    raw = np.asarray(differences, dtype=np.float64)
    n = len(raw)
    units = np.arange(n) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    count = int(units.max(initial=-1)) + 1
    if count < _FEWEST:
        return Separation(contrast=undefined(f"{count} units, of at least {_FEWEST}", count), accuracy=None, features=())
    size = np.sqrt(np.mean(raw * raw, axis=0))
    moving = np.flatnonzero(size > 0)
    if not moving.size:
        same = Interval(low=CHANCE, high=CHANCE, level=level, method="identical")
        test = Test(name="classifier_swap", p_value=1.0, statistic=CHANCE)
        contrast = Contrast(n=count, estimate=CHANCE, interval=same, test=test)
        return Separation(contrast=contrast, accuracy=CHANCE, features=(), margins=np.zeros(n))
    z = raw[:, moving] / size[moving]
    rng = np.random.default_rng(seed)
    fold_of = rng.permutation(count) % min(folds, count)
    parts = [np.flatnonzero(fold_of[units] == f) for f in range(min(folds, count))]
    signs = np.ones((n, permutations + 1))
    signs[:, 1:] = (rng.integers(0, 2, size=(count, permutations)) * 2 - 1)[units]
    residuals, weights = _ridge(z, signs, parts)
    scores = signs * (signs - residuals)  # what w says of the swapped difference
    scores[~z.any(axis=1)] = 0.0
    scores[np.abs(scores) < _TIE] = 0.0
    areas = np.array([_auroc(column) for column in scores.T])
    p = (1 + int(np.count_nonzero(areas[1:] >= areas[0] - _TIE))) / (permutations + 1)
    observed = scores[:, 0]
    contrast = Contrast(
        n=count,
        estimate=float(areas[0]),
        interval=_interval(observed, units, float(areas[0]), level),
        test=Test(name="classifier_swap", p_value=p, statistic=float(areas[0])),
    )
    return Separation(
        contrast=contrast,
        accuracy=float(np.mean((observed > 0) + 0.5 * (observed == 0))),
        features=_heaviest(z, raw[:, moving], weights, [names[j] for j in moving], top),
        margins=observed,
    )


def _ridge(
    z: NDArray[np.float64], y: NDArray[np.float64], parts: Sequence[NDArray[np.intp]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Out-of-fold residuals of every column of labels, (n, B + 1), and each fold's weights for the first, (folds, p)."""
    n, width = z.shape
    penalty = float(np.sum(z * z)) / n
    residuals = np.empty_like(y)
    # float32 halves the one expensive product; its 1e-7 is far below any ridge of this size
    slim = z.astype(np.float32)
    if n <= width:
        inverse = np.linalg.inv((slim @ slim.T).astype(np.float64) + penalty * np.eye(n))
        fitted = inverse @ y
        duals = np.repeat(fitted[:, :1], len(parts), axis=1)  # (n, folds)
        for f, part in enumerate(parts):
            residuals[part] = np.linalg.solve(inverse[np.ix_(part, part)], fitted[part])
            duals[:, f] -= inverse[:, part] @ residuals[part, 0]
        return residuals, duals.T @ z
    inverse = np.linalg.inv((slim.T @ slim).astype(np.float64) + penalty * np.eye(width))
    joint = inverse @ (z.T @ y)
    left = y - z @ joint
    weights = np.repeat(joint[:, :1], len(parts), axis=1).T.copy()
    for f, part in enumerate(parts):
        leverage = z[part] @ inverse
        residuals[part] = np.linalg.solve(np.eye(len(part)) - leverage @ z[part].T, left[part])
        weights[f] -= leverage.T @ residuals[part, 0]
    return residuals, weights


def _auroc(scores: NDArray[np.float64]) -> float:
    return float(_placements(scores).mean())


def _placements(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each i the share of j with s_i > −s_j, ties half, (n,)."""
    mirrored = np.sort(-scores)
    below = np.searchsorted(mirrored, scores, side="left")
    upto = np.searchsorted(mirrored, scores, side="right")
    return np.asarray((below + upto) / (2 * scores.size))


def _interval(scores: NDArray[np.float64], units: NDArray[np.intp], area: float, level: float) -> Interval:
    """Wilson's interval at the number of trials that would give the AUROC's standard error over units.

    The error is that of a V-statistic, 4 var(placements)/n, summed within units.
    """
    count = int(units.max()) + 1
    sums = np.bincount(units, weights=_placements(scores) - area, minlength=count)
    variance = 4 * float(np.sum(sums * sums)) / scores.size**2 * count / (count - 1)
    trials = area * (1 - area) / variance if variance > 0 else count
    low, high = wilson(area * trials, trials, level=level)
    return Interval(low=float(low), high=float(high), level=level, method="wilson_effective_n")


def _heaviest(
    z: NDArray[np.float64],
    raw: NDArray[np.float64],
    weights: NDArray[np.float64],
    names: Sequence[str],
    top: int,
) -> tuple[FeatureWeight, ...]:
    mean = weights.mean(axis=0)
    stable = np.all(np.sign(weights) == np.sign(mean), axis=0) & (mean != 0)
    strength = np.where(stable, np.abs(mean), 0.0)
    # of two names for one thing, the readable one
    strength *= np.array([0.7 if name.startswith("characters: ") else 1.0 for name in names])
    chosen: list[int] = []
    for j in np.argsort(-strength, kind="stable")[: 20 * top]:
        if len(chosen) == top or not strength[j]:
            break
        # columns have unit mean square, so the mean product is their correlation about 0
        if all(abs(float(z[:, j] @ z[:, k])) / len(z) < _REDUNDANT for k in chosen):
            chosen.append(int(j))
    return tuple(
        FeatureWeight(
            name=names[j],
            weight=float(mean[j]),
            difference=float(raw[:, j].mean()),
            prompts=int(np.count_nonzero(raw[:, j])),
        )
        for j in chosen
    )
