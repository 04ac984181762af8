"""Rates and shifts behind the labels of a judge that errs.

With sensitivity se and specificity sp measured on gold items, J = se + sp − 1, and q̂ the share that the judge calls
positive:

    π̂ = (q̂ + sp − 1)/J                                      (Rogan and Gladen 1978); one shift: (q̂_T − q̂_B)/J
    var π̂ = [var q̂ + π̂² var se + (1 − π̂)² var sp] / J²        delta method; gold items apart from the judged prompts

Small gold sets make the plain normal interval too short. For one rate the interval is that of Lang and Reiczigel
(Confidence limits for prevalence of disease adjusted for estimated sensitivity and specificity, 2014): z²/2 added to
successes and failures of q̂, one success and one failure to either gold rate, and the centre moved by
2z² (π̂ se(1 − se)/n_se − (1 − π̂) sp(1 − sp)/n_sp). A judge with J < .2 is refused: it hardly knows the answer.

PPI++ (Efficient Prediction-Powered Inference, arXiv 2311.01453) needs gold on some of the very prompts, not error
rates: with f the judge, y the gold, n labelled and N other units,

    θ̂ = λ mean_N f + mean_n (y − λ f),   λ = Cov(y, f)/((1 + n/N) Var f),   var θ̂ = λ² Var f/N + Var(y − λ f)/n

and for a shift y and f are differences of the sides.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from afterburn_core.result.model import Interval, Test
from afterburn_core.stats.agreement import binary
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.intervals import normal_quantile, t_interval

SMALLEST_INFORMEDNESS = 0.2
_FEWEST_LABELLED = 10


@attrs.frozen(kw_only=True)
class JudgeErrors:
    """A judge against gold labels."""

    positives: int
    """Gold positives judged."""
    true_positives: int
    """Those the judge calls positive."""
    negatives: int
    """Gold negatives judged."""
    true_negatives: int
    """Those the judge calls negative."""

    @property
    def sensitivity(self) -> float:
        """se: share of gold positives called positive; 0 where there are none."""
        return self.true_positives / self.positives if self.positives else 0.0

    @property
    def specificity(self) -> float:
        """sp: share of gold negatives called negative; 0 where there are none."""
        return self.true_negatives / self.negatives if self.negatives else 0.0

    @property
    def informedness(self) -> float:
        """J = se + sp − 1: 1 for a judge without error, 0 for one that guesses."""
        return self.sensitivity + self.specificity - 1

    @property
    def refusal(self) -> str | None:
        """Why nothing can be corrected with these errors; `None` where it can."""
        if not self.positives or not self.negatives:
            return "the gold set lacks positives or negatives: the judge's errors are unknown"
        if self.informedness < SMALLEST_INFORMEDNESS:
            return (
                f"the judge hardly knows the answer: sensitivity {self.sensitivity:.2f} + specificity "
                f"{self.specificity:.2f} - 1 is below {SMALLEST_INFORMEDNESS}"
            )
        return None


def judge_errors(judged: ArrayLike, gold: ArrayLike) -> JudgeErrors:
    """Errors of a judge on gold items, both 0 or 1, (n,).

    Raises:
        ValueError: The two differ in length, or a label is neither 0 nor 1.
    """
    f, y = binary(judged, "judged"), binary(gold, "gold")
    if f.size != y.size:
        raise ValueError("one judged and one gold label per item: the two differ in length")
    return JudgeErrors(
        positives=int(y.sum()),
        true_positives=int(np.sum(f & y)),
        negatives=int(np.sum(~y)),
        true_negatives=int(np.sum(~f & ~y)),
    )


def corrected_rate(judged: ArrayLike, errors: JudgeErrors, *, level: float = 0.95) -> Contrast:
    """The rate behind the judge's labels (Rogan–Gladen), with the interval of Lang and Reiczigel.

    Args:
        judged: share of each unit's samples that the judge calls positive, in [0, 1], (n,).
        errors: the judge's errors on gold items that are not among the units.
        level: of the interval.

    Returns:
        Estimate and interval clipped to [0, 1].
    """
    f = np.asarray(judged, dtype=np.float64)
    if f.size < 2:
        return undefined("a corrected rate needs two units", f.size)
    if errors.refusal:
        return undefined(errors.refusal, f.size)
    share = float(f.mean())
    estimate = (share + errors.specificity - 1) / errors.informedness
    low, high = _lang_reiczigel(f, errors, normal_quantile(level))
    outside = None if 0 <= estimate <= 1 else f"the correction lies outside [0, 1] ({estimate:.3f}) and is clipped"
    return Contrast(
        n=f.size,
        estimate=min(max(estimate, 0.0), 1.0),
        interval=Interval(low=low, high=high, level=level, method="lang_reiczigel"),
        reason=outside,
    )


def _lang_reiczigel(f: NDArray[np.float64], errors: JudgeErrors, z: float) -> tuple[float, float]:
    n, share = f.size + z * z, (float(f.sum()) + z * z / 2) / (f.size + z * z)
    # shares of samples vary less inside a unit than 0/1 labels do: the spread seen, in units of the binomial one
    plain = float(f.mean()) * (1 - float(f.mean()))
    inflation = min(1.0, float(f.var(ddof=1)) / plain) if plain > 0 else 1.0
    se, n_se, sp, n_sp = _smoothed(errors)
    j = se + sp - 1
    rate = (share + sp - 1) / j
    var_se, var_sp = se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    centre = rate + 2 * z * z * (rate * var_se - (1 - rate) * var_sp)
    spread = inflation * share * (1 - share) / n + rate**2 * var_se + (1 - rate) ** 2 * var_sp
    reach = z * math.sqrt(spread) / j
    return min(max(centre - reach, 0.0), 1.0), max(min(centre + reach, 1.0), 0.0)


def _smoothed(errors: JudgeErrors) -> tuple[float, int, float, int]:
    """se, its n, sp, its n with one success and one failure added, so that no variance is 0."""
    n_se, n_sp = errors.positives + 2, errors.negatives + 2
    return (errors.true_positives + 1) / n_se, n_se, (errors.true_negatives + 1) / n_sp, n_sp


def corrected_shift(
    base: ArrayLike,
    trained: ArrayLike,
    errors: JudgeErrors,
    trained_errors: JudgeErrors | None = None,
    *,
    level: float = 0.95,
) -> Contrast:
    """The shift of a rate behind the judge's labels, trained − base.

    A judge that likes one side's style has other errors there; then give each side its own gold set. With one set of
    errors for both, the test of no shift does not depend on them.

    Args:
        base: share of each unit's samples that the judge calls positive under base, in [0, 1], (n,).
        trained: the same units under trained, (n,).
        errors: the judge's errors on gold answers of both sides; of base alone where `trained_errors` is given.
        trained_errors: the judge's errors on gold answers of trained.
        level: of the normal interval.

    Raises:
        ValueError: The two sides differ in length.
    """
    b, t = np.asarray(base, dtype=np.float64), np.asarray(trained, dtype=np.float64)
    if b.shape != t.shape:
        raise ValueError("one judged share per unit and side: the two differ in length")
    n = b.size
    other = trained_errors or errors
    refusal = errors.refusal or other.refusal
    if refusal or n < 2:
        return undefined(refusal or "a corrected shift needs two units", n)
    if trained_errors is None and np.array_equal(b, t):
        return _identical(n, level)
    side = [_arm(b, errors), _arm(t, other)]
    estimate = side[1][0] - side[0][0]
    outside = trained_errors is not None and any(not 0 <= rate <= 1 for rate, _ in side)
    if outside:  # no side has a rate below 0: a shift must not count what cannot be
        estimate = min(max(side[1][0], 0.0), 1.0) - min(max(side[0][0], 0.0), 1.0)
    d = t / other.informedness - b / errors.informedness
    sampling = float(d.var(ddof=1)) / n
    if trained_errors is None:
        # both arms err alike: se and sp cancel but for the common scale 1/J
        se, n_se, sp, n_sp = _smoothed(errors)
        gold = (estimate / errors.informedness) ** 2 * (se * (1 - se) / n_se + sp * (1 - sp) / n_sp)
        null = sampling
    else:
        gold = side[0][1] + side[1][1]
        null = sampling + gold
    reach = normal_quantile(level) * math.sqrt(sampling + gold)
    return Contrast(
        n=n,
        estimate=estimate,
        interval=Interval(low=estimate - reach, high=estimate + reach, level=level, method="delta"),
        test=_wald(estimate, null),
        reason="a side's correction lies outside [0, 1] and is clipped" if outside else None,
    )


def _arm(f: NDArray[np.float64], errors: JudgeErrors) -> tuple[float, float]:
    """π̂ of one side, and the part of its variance that comes from the gold set."""
    rate = (float(f.mean()) + errors.specificity - 1) / errors.informedness
    se, n_se, sp, n_sp = _smoothed(errors)
    gold = rate**2 * se * (1 - se) / n_se + (1 - rate) ** 2 * sp * (1 - sp) / n_sp
    return rate, gold / errors.informedness**2


def _identical(n: int, level: float) -> Contrast:
    zero = Interval(low=0.0, high=0.0, level=level, method="identical")
    return Contrast(n=n, estimate=0.0, interval=zero, test=Test(name="wald", p_value=1.0, statistic=0.0))


def _wald(estimate: float, variance: float) -> Test:
    if variance <= 0:
        return Test(name="wald", p_value=1.0)
    z = estimate / math.sqrt(variance)
    return Test(name="wald", p_value=math.erfc(abs(z) / math.sqrt(2)), statistic=z)


def _student(estimate: float, variance: float, degrees: int) -> Test:
    """The test that the interval inverts: with few gold labels a normal one calls too much."""
    t = estimate / math.sqrt(variance)
    return Test(name="wald_t", p_value=float(2 * special.stdtr(degrees, -abs(t))), statistic=t)


def prediction_powered(
    gold: ArrayLike, judged: ArrayLike, unlabelled: ArrayLike, *, level: float = 0.95, shift: bool = False
) -> Contrast:
    """A mean from few gold labels and many judged ones (PPI++); never judge-biased, whatever the judge's errors.

    The labelled units must be a random part of all units. A judge without use gets λ near 0, and the estimate falls
    back on the gold labels alone.

    Args:
        gold: gold value of each labelled unit, for a shift the difference trained − base, (n,).
        judged: the judge's value of the same units, (n,).
        unlabelled: the judge's value of all other units, (N,).
        level: of the interval, Student's with n − 1 degrees of freedom.
        shift: whether the values are differences of the sides; then the result carries a test of no shift.

    Raises:
        ValueError: `gold` and `judged` differ in length.
    """
    y, f, rest = (np.asarray(x, dtype=np.float64) for x in (gold, judged, unlabelled))
    if y.shape != f.shape:
        raise ValueError("one gold and one judged value per labelled unit: the two differ in length")
    n, others = y.size, rest.size
    if n < _FEWEST_LABELLED:
        return undefined(f"{n} labelled units, of at least {_FEWEST_LABELLED}", n + others)
    if shift and not (y.any() or f.any() or rest.any()):
        return _identical(n + others, level)
    weight = 0.0
    if others > 1:
        spread = float(np.concatenate([f, rest]).var(ddof=1))
        if spread > 0:
            weight = float(np.cov(y, f)[0, 1]) / ((1 + n / others) * spread)
            weight = min(max(weight, 0.0), 1.0)
    residual = y - weight * f
    estimate = float(residual.mean()) + (weight * float(rest.mean()) if others else 0.0)
    variance = float(residual.var(ddof=1)) / n
    if weight:
        variance += weight**2 * float(rest.var(ddof=1)) / others
    if variance == 0:
        return undefined("every labelled value is the same: the spread is unknown", n + others)
    low, high = t_interval(estimate, math.sqrt(variance), n - 1, level=level)
    return Contrast(
        n=n + others,
        estimate=estimate,
        interval=Interval(low=float(low), high=float(high), level=level, method="ppi++"),
        test=_student(estimate, variance, n - 1) if shift else None,
        reason=f"{n} gold labels, {others} judged; weight of the judge {weight:.2f}",
    )
