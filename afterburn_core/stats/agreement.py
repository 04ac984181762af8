"""How well a classifier agrees with human labels.

    κ = (p_o − p_e)/(1 − p_e),   p_o = Σ p_ii,   p_e = Σ p_i. p_.i                                  (Cohen 1960)
    var κ = [Σ_i p_ii ((1 − p_e) − (p_i. + p_.i)(1 − p_o))² + (1 − p_o)² Σ_{i≠j} p_ij (p_.i + p_j.)²
             − (p_o p_e − 2p_e + p_o)²] / (n (1 − p_e)⁴)                                (Fleiss, Cohen, Everitt 1969)

Rates carry Wilson intervals over the items that are their denominator: the human positives for the true-positive
rate, the human negatives for the false-positive rate.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from afterburn_core.result.model import Interval
from afterburn_core.stats.arm_swap import coded
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.intervals import normal_quantile, wilson


@attrs.frozen(kw_only=True)
class Agreement:
    """A binary classifier against human labels."""

    n: int
    """Items labelled by both."""
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    kappa: Contrast
    """Agreement beyond chance."""
    accuracy: Contrast
    """Share of equal labels."""
    true_positive_rate: Contrast
    """Sensitivity: share of human positives that the classifier finds; `n` is their number."""
    false_positive_rate: Contrast
    """1 − specificity: share of human negatives that the classifier takes for positives; `n` is their number."""
    precision: Contrast
    """Share of the classifier's positives that humans call positive; `n` is their number."""


def agreement(predicted: ArrayLike, human: ArrayLike, *, level: float = 0.95) -> Agreement:
    """Every rate of a binary classifier, with its interval.

    Args:
        predicted: the classifier's labels, 0 or 1, (n,).
        human: the human labels of the same items, 0 or 1, (n,).
        level: of the intervals.

    Raises:
        ValueError: The two differ in length, or a label is neither 0 nor 1.
    """
    p, h = binary(predicted, "predicted"), binary(human, "human")
    if p.size != h.size:
        raise ValueError("one predicted and one human label per item: the two differ in length")
    tp, fp = int(np.sum(p & h)), int(np.sum(p & ~h))
    fn, tn = int(np.sum(~p & h)), int(np.sum(~p & ~h))
    return Agreement(
        n=p.size,
        true_positives=tp,
        false_positives=fp,
        true_negatives=tn,
        false_negatives=fn,
        kappa=cohens_kappa(p.tolist(), h.tolist(), level=level),
        accuracy=_share(tp + tn, p.size, "items", level),
        true_positive_rate=_share(tp, tp + fn, "human positives", level),
        false_positive_rate=_share(fp, fp + tn, "human negatives", level),
        precision=_share(tp, tp + fp, "positives of the classifier", level),
    )


def binary(labels: ArrayLike, name: str) -> NDArray[np.bool_]:
    """Labels as booleans, (n,).

    Raises:
        ValueError: A label is neither 0 nor 1.
    """
    values = np.asarray(labels, dtype=np.float64).reshape(-1)
    if not np.all((values == 0) | (values == 1)):
        raise ValueError(f"{name}: a label is neither 0 nor 1; leave out the items without one")
    return np.asarray(values == 1)


def _share(k: int, n: int, of: str, level: float) -> Contrast:
    if not n:
        return undefined(f"no {of}")
    low, high = wilson(k, n, level=level)
    return Contrast(
        n=n, estimate=k / n, interval=Interval(low=float(low), high=float(high), level=level, method="wilson")
    )


def cohens_kappa(first: Sequence[Hashable], second: Sequence[Hashable], *, level: float = 0.95) -> Contrast:
    """Agreement of two raters beyond chance, over any number of categories.

    Undefined where both raters gave one and the same label throughout: then agreement by chance is certain.

    Args:
        first: one rater's label of each item, (n,).
        second: the other's, (n,).
        level: of the normal interval, clipped to [−1, 1]. From about 30 items on it is to be trusted.

    Raises:
        ValueError: The two differ in length.
    """
    if len(first) != len(second):
        raise ValueError("one label per item and rater: the two lists differ in length")
    n = len(first)
    if not n:
        return undefined("no items")
    a, b, kinds = coded(first, second)
    table = np.bincount(a * kinds + b, minlength=kinds * kinds).reshape(kinds, kinds) / n
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    expected = float(rows @ columns)
    if kinds == 1:
        return undefined("both raters gave one and the same label throughout", n)
    observed = float(np.trace(table))
    kappa = (observed - expected) / (1 - expected)
    diagonal = np.diag(table)
    cells = table * (columns[:, None] + rows[None, :]) ** 2
    variance = (
        float(np.sum(diagonal * ((1 - expected) - (rows + columns) * (1 - observed)) ** 2))
        + (1 - observed) ** 2 * float(cells.sum() - np.trace(cells))
        - (observed * expected - 2 * expected + observed) ** 2
    ) / (n * (1 - expected) ** 4)
    reach = normal_quantile(level) * float(np.sqrt(max(variance, 0.0)))
    interval = Interval(low=max(kappa - reach, -1.0), high=min(kappa + reach, 1.0), level=level, method="delta")
    perfect = "every label agrees: the interval has no width" if observed == 1 else None
    return Contrast(n=n, estimate=kappa, interval=interval, reason=perfect)
