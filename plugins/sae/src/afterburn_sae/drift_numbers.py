"""How far two models' means over prompts lie apart, with intervals over prompts. NumPy alone.

With b_i and f_i what prompt i gave on either side (mean activations, or mean codes of features), ā the mean over
prompts, and Δ_j = f̄_j − b̄_j:

    distance   1 − cos(f̄, b̄) = (‖Δ‖² − (‖f̄‖ − ‖b̄‖)²)/(2‖f̄‖‖b̄‖), which nothing cancels in
    mass       Σ_j |Δ_j| / Σ_j b̄_j

Neither is a mean over prompts, so that the interval is that of their influence values: with θ_(−i) the number without
prompt i, v_i = θ̂ + (n − 1)(mean_k θ_(−k) − θ_(−i)) has the mean θ̂, and its interval is the one of means
(`stats.one_side`: Student's, from 50 prompts on joined with the bootstrap's BCa). Both numbers are lengths, hence
larger on few prompts than on many: read them beside controls.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.result.model import Interval
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.one_side import mean

Floats = NDArray[np.float64]


def distance(base: Floats, delta: Floats, *, seed: int) -> Contrast:
    """1 − cos of mean vectors, from base (n, d) and differences (n, d)."""
    if not len(base):
        return undefined("no prompt was read")
    b, d = left_out(base), left_out(delta)
    f = b + d
    squares = [np.einsum("ij,ij->i", x, x) for x in (b, f, d)]
    if not (squares[0][0] > 0 and squares[1][0] > 0):
        return undefined("a side's mean has no length", len(base))
    gap = (2 * np.einsum("ij,ij->i", b, d) + squares[2]) / (np.sqrt(squares[0]) + np.sqrt(squares[1]))  # ‖f̄‖ − ‖b̄‖
    lengths = np.sqrt(squares[0] * squares[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.clip((squares[2] - gap * gap) / (2 * lengths), 0.0, 2.0)
    values = np.where(squares[2] == 0, 0.0, values)
    return with_interval(values, changed=bool(delta.any()), low=0.0, high=2.0, seed=seed)


def mass(base: Floats, delta: Floats, *, seed: int) -> Contrast:
    """Σ|Δ_j| over Σ b̄_j, from codes (n, m), which are not negative, and their differences (n, m)."""
    if not len(base):
        return undefined("no prompt was read")
    below = left_out(base.sum(axis=1, keepdims=True))[:, 0]
    if not below[0] > 0:
        return undefined("no feature is active on the base", len(base))
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.abs(left_out(delta)).sum(axis=1) / below
    return with_interval(values, changed=bool(delta.any()), low=0.0, seed=seed)


def left_out(values: Floats) -> Floats:
    """(n + 1, d): the mean of all rows, then that without each."""
    n, total = len(values), values.sum(axis=0)
    return np.concatenate([total[None] / n, (total - values) / max(n - 1, 1)])


def with_interval(
    values: Floats, *, changed: bool, seed: int, low: float = -math.inf, high: float = math.inf
) -> Contrast:
    """The number with the interval of its influence values.

    Args:
        values: (n + 1), the number, then the number without each prompt.
        changed: whether the sides differ at all; where not, the number is 0 and the interval is [0, 0].
        seed: of the bootstrap.
        low: end of the number's range.
        high: the other end.
    """
    estimate, others, n = float(values[0]), values[1:], len(values) - 1
    if not changed:
        return Contrast(n=n, estimate=0.0, interval=Interval(low=0.0, high=0.0, level=0.95, method="identical"))
    if n < 2 or not np.isfinite(others).all():
        why = "one prompt" if n < 2 else "the number rests on a single prompt"
        return Contrast(n=n, estimate=estimate, reason=f"no interval: {why}")
    influence = estimate + (n - 1) * (others.mean() - others)
    found = mean(influence, seed=seed)
    if found.interval is None:
        return Contrast(n=n, estimate=estimate, reason=found.reason)
    ends = found.interval
    return Contrast(
        n=n, estimate=estimate, interval=attrs.evolve(ends, low=max(low, ends.low), high=min(high, ends.high))
    )
