"""Can a classifier tell the sides apart? A two-sample test on texts, cross-validated over prompts.

Revisiting Classifier Two-Sample Tests, arXiv 1610.06545, in a paired form. With z_ij the difference of feature j at
prompt i (trained − base), the training prompts give each feature its t statistic about 0, and the classifier weighs a
feature by the cube of it:

    t_j = Σ_i z_ij / √Σ_i z_ij²,     w_j = t_j³ / √(mean_i z_ij²), scaled to Σ_j t_j⁶ = 1      over the other folds
    s_i = w · z_i                                            out of fold, all samples of a prompt in one fold
    AUROC = mean_{i,l} [s_i > −s_l] + ½[s_i = −s_l]

The AUROC is that of telling a difference trained − base from a difference base − trained; ½ is chance. The cube makes
a diagonal discriminant (independence rule) that hears one loud feature among thousands, and many faint ones together:
against ridge, which is to first order logistic regression, it found a word planted in 30 % of 100 pairs in .92 of the
trials instead of .50, and a shift spread over all words as often (.83 and .83).

Null: swapping the sides of a prompt turns z_i into −z_i. The features, their scaling and the folds depend on |z| alone,
so that refitting every fold under B random swaps is a few products with a matrix of signs, and

    p = (1 + #{AUROC_b ≥ AUROC}) / (B + 1)

is exact for sides that are exchangeable within prompts. Without length: the differences are regressed on those of the
log lengths (words, characters, sentences) in the training prompts of every fold, and what length leaves is swapped; see
`classifier_scores`. That asks whether the rest leans to one side where length does not differ, and is approximate: it
takes a rest that is symmetric given length, and features that go linearly with the logs of length. Where length tells
the sides apart in all prompts alike there is nothing to ask, and the outcome is undefined.

Features are named by their t statistics over all prompts, with a p value against the largest |t| of any feature under
the same swaps (max-T: family-wise, whatever their correlation).
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from afterburn_core.result.model import Interval, Test
from afterburn_core.stats.classifier_scores import (
    area_interval,
    areas_under,
    out_of_fold,
    scaled,
    units_beyond,
    without,
)
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.feature_choice import heaviest
from afterburn_core.stats.text_features import pair_features

CHANCE = 0.5
_FEWEST = 8
_TIE = 1e-12


@attrs.frozen(kw_only=True)
class FeatureWeight:
    """One feature of the shift, in words."""

    name: str
    """`word: however`, `style: bullets per 100 words`."""
    weight: float
    """Its t statistic about 0, whose cube is the classifier's weight; positive: more of it in trained."""
    p_adjusted: float
    """Family-wise over all features, by max-T; above the significance level the feature is a guess."""
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
    """Heaviest features whose sign is the same in every fold, without those that a heavier one explains."""
    margins: NDArray[np.float64] | None = attrs.field(default=None, eq=False, repr=False)
    """Out-of-fold score of each prompt, s_i in units of their root mean square, (n,): above 0 where the classifier is
    right on it; `None` without a test."""

    def named(self, alpha: float = 0.05) -> tuple[FeatureWeight, ...]:
        """The features that describe the shift beyond doubt: p_adjusted ≤ alpha."""
        return tuple(feature for feature in self.features if feature.p_adjusted <= alpha)

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
    count = len(base) if clusters is None else len(set(clusters))
    if count and all(sorted(b) == sorted(t) for b, t in zip(base, trained, strict=True)):
        same = _identical(count, level)
        return ClassifierTest(everything=same, without_length=same, columns=0)
    if count >= _FEWEST and not (found.differences.any() or found.lengths.any()):
        reason = "the answers differ, but in no feature that differs in enough prompts"
        rare = Separation(contrast=undefined(reason, count), accuracy=None, features=())
        return ClassifierTest(everything=rare, without_length=rare, columns=0)

    def test(
        columns: NDArray[np.float64], names: tuple[str, ...], nuisance: NDArray[np.float64] | None = None
    ) -> Separation:
        return separate(
            columns,
            names,
            nuisance=nuisance,
            seed=seed,
            permutations=permutations,
            folds=folds,
            clusters=clusters,
            top=top,
            level=level,
        )

    all_columns = np.concatenate([found.differences, found.lengths], axis=1)
    return ClassifierTest(
        everything=test(all_columns, (*found.names, *found.length_names)),
        without_length=test(found.differences, found.names, found.lengths),
        columns=int(np.count_nonzero(all_columns.any(axis=0))),
    )


def separate(
    differences: ArrayLike,
    names: Sequence[str],
    *,
    seed: int,
    nuisance: ArrayLike | None = None,
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
        nuisance: differences that must not count, (n, k): what goes linearly with them is taken out.
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
        return Separation(
            contrast=undefined(f"{count} units, of at least {_FEWEST}", count), accuracy=None, features=()
        )
    aside = scaled(np.zeros((n, 0)) if nuisance is None else np.asarray(nuisance, dtype=np.float64))
    raw = without(raw, aside)
    name = "classifier_swap_residuals" if aside.shape[1] else "classifier_swap"
    size = np.sqrt(np.mean(raw * raw, axis=0))
    moving = np.flatnonzero(size > 0)
    if not moving.size and aside.shape[1]:
        nothing = undefined("nothing is left of the differences once length is taken out", count)
        return Separation(contrast=nothing, accuracy=None, features=())
    if not moving.size:
        return _identical(count, level)
    if units_beyond(aside, units) < _FEWEST:
        alike = undefined(f"length changes so alike in all {count} units that nothing can be told beyond it", count)
        return Separation(contrast=alike, accuracy=None, features=())
    z = (raw[:, moving] / size[moving]).astype(np.float32)
    rng = np.random.default_rng(seed)
    number = min(folds, count)
    fold_of = (rng.permutation(count) % number)[units]
    signs = np.ones((n, permutations + 1), dtype=np.float32)
    signs[:, 1:] = (rng.integers(0, 2, size=(count, permutations)) * 2 - 1)[units]
    parts = [np.flatnonzero(fold_of == f) for f in range(number)]
    scores, statistics, stable = out_of_fold(z, aside.astype(np.float32), signs, parts)
    areas = areas_under(scores)
    p = (1 + int(np.count_nonzero(areas[1:] >= areas[0] - _TIE))) / (permutations + 1)
    observed = scores[:, 0]
    contrast = Contrast(
        n=count,
        estimate=float(areas[0]),
        interval=area_interval(observed, units, float(areas[0]), level),
        test=Test(name=name, p_value=p, statistic=float(areas[0])),
    )
    largest = np.abs(statistics[:, 1:]).max(axis=0)  # over features, per swap
    features = tuple(
        FeatureWeight(
            name=names[int(moving[j])],
            weight=float(statistics[j, 0]),
            p_adjusted=(1 + int(np.count_nonzero(largest >= abs(statistics[j, 0]) * (1 - 1e-6)))) / (permutations + 1),
            difference=float(raw[:, moving[j]].mean()),
            prompts=int(np.count_nonzero(raw[:, moving[j]])),
        )
        for j in heaviest(z, np.where(stable, statistics[:, 0], 0.0), [names[int(j)] for j in moving], top)
    )
    return Separation(
        contrast=contrast,
        accuracy=float(np.mean((observed > 0) + 0.5 * (observed == 0))),
        features=features,
        margins=observed.astype(np.float64) / max(float(np.sqrt(np.mean(observed.astype(np.float64) ** 2))), 1e-300),
    )


def _identical(count: int, level: float) -> Separation:
    same = Interval(low=CHANCE, high=CHANCE, level=level, method="identical")
    test = Test(name="classifier_swap", p_value=1.0, statistic=CHANCE)
    contrast = Contrast(n=count, estimate=CHANCE, interval=same, test=test)
    return Separation(contrast=contrast, accuracy=CHANCE, features=())
