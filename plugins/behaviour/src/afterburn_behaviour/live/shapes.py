"""The shape of a dose curve, described by comparing simple forms; nothing is graded.

Over the doses λ ≥ 0 the mean curve y(λ) is fitted by least squares with

    flat            a
    linear          a + bλ
    saturating      a + b(1 − e^(−λ/c))
    accelerating    a + bλ^c,                 c > 1
    non-monotone    a + b(λ − c)²,            c inside the range
    step-like       a + b/(1 + e^(−(λ−c)/s)), s small against the range

and the forms are compared by AICc = k·ln(RSS/k) + 2p + 2p(p + 1)/(k − p − 1) over the k doses, p counting the variance
(Model Selection and Multimodel Inference, Burnham and Anderson 2002, §2.4). Departures below 1 % of the curve's range
count as none, so that a line is a line. `support` is how often each form wins when the units are drawn again: the
share of bootstrap resamples. A curve of which no dose differs from dose 0 by max-T is `flat`, whatever fits it; one of
which a dose differs, and which no form fits better than a constant, is `irregular`. All forms can be told from 8 doses
on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.stats.maxt import max_t
from afterburn_core.stats.resampling import bootstrap_weights

Floats = NDArray[np.float64]
Form = Literal["flat", "linear", "saturating", "accelerating", "non-monotone", "step-like", "irregular"]
FORMS: tuple[Form, ...] = ("flat", "linear", "saturating", "accelerating", "non-monotone", "step-like")
"""Those that are fitted."""
FEWEST_DOSES = 8
"""With fewer the correction of AICc is so large for a step that no fit makes up for it."""
_PARAMETERS: Mapping[Form, int] = {
    "flat": 2, "linear": 3, "saturating": 4, "accelerating": 4, "non-monotone": 4, "step-like": 5,
}  # fmt: skip
"""With the variance."""
_RESAMPLES = 400
_NOISE = 0.01
_GRID = 24


@attrs.frozen(kw_only=True)
class Shape:
    """What form a curve has."""

    form: Form
    support: Mapping[Form, float]
    """Share of resamples in which each form was the best one; forms that never were are left out."""
    aicc: Mapping[Form, float]
    """Of the mean curve, less the smallest."""
    explained: float | None
    """1 − RSS/TSS of the form; `None` for a flat and an irregular one."""
    at: float | None
    """c of the form: where a step lies, where a curve turns, how fast it saturates, the power."""
    p_value: float
    """Smallest adjusted p value of a difference from dose 0."""

    def told(self) -> str:
        """In words: the form, or the two that share the support."""
        if self.form == "irregular":
            return "differs from dose 0, and has none of the simple forms"
        ranked = sorted(self.support.items(), key=lambda one: (-one[1], FORMS.index(one[0])))
        if self.form == "flat" or not ranked:
            return "flat within what these units can tell" if self.form == "flat" else self.form
        share = dict(ranked).get(self.form, 0.0)
        other = next((form for form, _ in ranked if form != self.form), None)
        if share >= 0.8 or other is None:
            return f"{self.form} ({100 * share:.0f} % of resamples)"
        second = dict(ranked)[other]
        return f"{self.form} or {other} ({100 * share:.0f} and {100 * second:.0f} % of resamples)"


def describe(doses: Floats, curves: Floats, *, seed: int, level: float = 0.05) -> Shape | str:
    """The shape of the mean of curves, or why none can be told.

    Args:
        doses: (k,) ascending, from 0 on.
        curves: (units, k).
        seed: of the resamples.
        level: of the test against dose 0.
    """
    if len(doses) < FEWEST_DOSES or doses[0] != 0:
        return f"{len(doses)} doses from 0 on are too few; {FEWEST_DOSES} are needed"
    if len(curves) < 2:
        return f"{len(curves)} units show no spread"
    differences = curves[:, 1:] - curves[:, :1]
    if not differences.any():
        return Shape(form="flat", support={"flat": 1.0}, aicc={}, explained=None, at=None, p_value=1.0)
    p_value = float(max_t(differences, seed=seed).p_adjusted.min())
    families = {form: _bases(form, doses) for form in FORMS}
    mean = curves.mean(axis=0)[None]
    scores, chosen = _scores(families, mean)
    weights = np.concatenate(list(bootstrap_weights(len(curves), _RESAMPLES, seed)))
    drawn = weights @ curves / weights.sum(axis=1, keepdims=True)  # (resamples, k)
    winners = np.argmin(_scores(families, drawn)[0], axis=0)
    support = {form: float((winners == i).mean()) for i, form in enumerate(FORMS) if (winners == i).any()}
    best = int(np.argmin(scores[:, 0]))
    form: Form = "flat" if p_value > level else "irregular" if best == 0 else FORMS[best]
    fitted = FORMS[best] if form == FORMS[best] else "flat"
    at, projection = families[fitted][chosen[FORMS.index(fitted)][0]]
    total = float(((mean - mean.mean()) ** 2).sum())
    aicc = {one: float(scores[i, 0] - scores[:, 0].min()) for i, one in enumerate(FORMS) if np.isfinite(scores[i, 0])}
    return Shape(
        form=form,
        support=support,
        aicc=aicc,
        explained=None if fitted == "flat" else 1 - float(_left(projection, mean)[0]) / total,
        at=at,
        p_value=p_value,
    )


def _bases(form: Form, doses: Floats) -> list[tuple[float | None, Floats]]:
    """Every candidate of a form: its c, and the projection (k, k) onto what it can fit."""
    top = float(doses[-1])
    inside = np.linspace(0.1, 0.9, _GRID) * top
    columns: list[tuple[float | None, Floats | None]]
    if form == "flat":
        columns = [(None, None)]
    elif form == "linear":
        columns = [(None, doses)]
    elif form == "saturating":
        columns = [(float(c), 1 - np.exp(-doses / c)) for c in np.geomspace(0.03, 0.7, _GRID) * top]
    elif form == "accelerating":
        columns = [(float(c), doses**c) for c in np.linspace(1.25, 6.0, _GRID)]
    elif form == "non-monotone":
        columns = [(float(c), (doses - c) ** 2) for c in inside]
    else:
        columns = [
            (float(c), 1 / (1 + np.exp(-np.clip((doses - c) / (s * top), -60, 60))))
            for c in np.linspace(0.02, 0.9, 2 * _GRID) * top
            for s in (0.005, 0.02, 0.05)
        ]
    found = []
    for c, column in columns:
        design = np.ones((len(doses), 1)) if column is None else np.stack([np.ones(len(doses)), column], axis=1)
        found.append((c, design @ np.linalg.pinv(design)))
    return found


def _left(projection: Floats, curves: Floats) -> Floats:
    """(B,) residual sums of squares."""
    left: Floats = ((curves - curves @ projection.T) ** 2).sum(axis=1)
    return left


def _scores(
    families: Mapping[Form, list[tuple[float | None, Floats]]], curves: Floats
) -> tuple[Floats, list[NDArray[np.int64]]]:
    """AICc (forms, B) of the best candidate of each form, and which candidate that is."""
    k = curves.shape[1]
    floor = k * (_NOISE * np.ptp(curves, axis=1)) ** 2
    scores, chosen = [], []
    for form, candidates in families.items():
        residuals = np.stack([_left(projection, curves) for _, projection in candidates])  # (candidates, B)
        best = residuals.argmin(axis=0)
        p = _PARAMETERS[form]
        least = np.maximum(residuals.min(axis=0), np.maximum(floor, 1e-300))
        penalty = 2 * p + 2 * p * (p + 1) / (k - p - 1) if k > p + 1 else np.inf
        scores.append(k * np.log(least / k) + penalty)
        chosen.append(best)
    return np.stack(scores), chosen
