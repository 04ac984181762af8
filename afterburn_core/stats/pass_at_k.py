"""pass@k: the chance that at least one of k answers is right, and where base overtakes trained.

With c of n answers to a problem right (Evaluating Large Language Models Trained on Code, arXiv 2107.03374):

    pass@k = 1 − C(n − c, k)/C(n, k) = 1 − Π_{i<k} (n − c − i)/(n − i)          unbiased for k ≤ n

The curve is the mean over problems. Its band is simultaneous over k: problems are resampled for all k and both sides
together, and the band is θ̂_k ± q se_k with q the 95 % quantile of max_k |θ*_k − θ̂_k|/se_k.

An answer that can be guessed with chance g is right among k guesses with chance G_k = 1 − (1 − g)^k; a problem known
with chance π and guessed otherwise passes with π + (1 − π) G_k, so the corrected value is (pass@k − G_k)/(1 − G_k).
Where G_k exceeds ½ little but guessing is left, and the curve ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

_RESAMPLES = 1999
_MOST_GUESSED = 0.5


def pass_at_k(n: ArrayLike, c: ArrayLike, ks: Sequence[int]) -> NDArray[np.float64]:
    """pass@k of each problem.

    Args:
        n: answers to each problem, (problems,).
        c: right ones among them, (problems,).
        ks: values of k, each at most the smallest n.

    Returns:
        (problems, len(ks))

    Raises:
        ValueError: k is below 1 or above some n, or c is not within [0, n].
    """
    total, right = np.atleast_1d(np.asarray(n, dtype=np.int64)), np.atleast_1d(np.asarray(c, dtype=np.int64))
    total, right = np.broadcast_arrays(total, right)
    if np.any(right < 0) or np.any(right > total):
        raise ValueError("the right answers must be between 0 and all answers")
    if not len(ks) or min(ks) < 1 or max(ks) > int(total.min(initial=np.iinfo(np.int64).max)):
        raise ValueError("k must be at least 1 and at most the number of answers to every problem")
    i = np.arange(max(ks))
    wrong = np.maximum(total[:, None] - right[:, None] - i, 0) / (total[:, None] - i)
    return np.asarray(1 - np.cumprod(wrong, axis=1)[:, np.asarray(ks) - 1])


def doubling(largest: int) -> tuple[int, ...]:
    """1, 2, 4 … and `largest` itself."""
    ks = [1]
    while ks[-1] * 2 < largest:
        ks.append(ks[-1] * 2)
    return tuple(ks) if largest <= ks[-1] else (*ks, largest)


@attrs.frozen(kw_only=True)
class Curve:
    """Values over k with a simultaneous band: all of them lie inside at once with the level's probability."""

    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@attrs.frozen(kw_only=True)
class PassAtK:
    """Both sides' curves on the same problems."""

    n: int
    """Problems."""
    ks: tuple[int, ...]
    base: Curve
    trained: Curve
    difference: Curve
    """trained − base."""
    level: float
    crossover: int | None
    """The smallest k from which base is at least as good at every larger k, while trained leads before and the band
    excludes 0 at the last k; `None` where there is no such k."""
    below_from: int | None
    """The smallest k from which the whole band lies below 0: base is better for certain."""
    reason: str | None = None
    """Why there are no curves, or why they end early."""


def compare_pass_at_k(
    base: tuple[ArrayLike, ArrayLike],
    trained: tuple[ArrayLike, ArrayLike],
    *,
    seed: int,
    ks: Sequence[int] | None = None,
    guess: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = _RESAMPLES,
) -> PassAtK:
    """Curves of both sides with simultaneous bands, and the crossover.

    Args:
        base: answers and right answers of each problem under base, each (problems,).
        trained: the same problems under trained.
        seed: of the bootstrap over problems.
        ks: values of k; 1, 2, 4 … up to the smallest number of answers where absent.
        guess: chance to guess each problem's answer, (problems,); the curves are corrected for it where given.
        level: of the bands.
        resamples: number of bootstrap draws.

    Raises:
        ValueError: as `pass_at_k`, or the sides differ in their number of problems.
    """
    n_b, c_b, n_t, c_t = (np.atleast_1d(np.asarray(x, dtype=np.int64)) for x in (*base, *trained))
    if not n_b.size == c_b.size == n_t.size == c_t.size:
        raise ValueError("both sides must have answered the same problems")
    problems = n_b.size
    if problems < 2:
        return _nothing(problems, level, "a curve needs two problems")
    most = int(min(n_b.min(), n_t.min()))
    if most < 1:
        return _nothing(problems, level, "a problem has no answers")
    chosen = tuple(sorted(set(ks))) if ks is not None else doubling(most)
    reason = None
    if guess is not None:
        g = np.broadcast_to(np.asarray(guess, dtype=np.float64), (problems,))
        kept = tuple(k for k in chosen if float(np.max(1 - (1 - g) ** k)) <= _MOST_GUESSED)
        if kept != chosen:
            reason = f"ends at k = {kept[-1]}" if kept else "no curve"
            reason += ": beyond, guessing alone passes more than half of the time on some problem"
        if not kept:
            return _nothing(problems, level, reason or "")
        chosen = kept
    sides = [pass_at_k(n_b, c_b, chosen), pass_at_k(n_t, c_t, chosen)]
    if guess is not None:
        lucky = 1 - (1 - g[:, None]) ** np.asarray(chosen)
        sides = [(values - lucky) / (1 - lucky) for values in sides]
    stacked = np.concatenate([sides[0], sides[1], sides[1] - sides[0]], axis=1)  # (problems, 3 K)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(problems, np.full(problems, 1 / problems), size=resamples)
    centre = stacked.mean(axis=0)
    drawn = weights @ stacked / problems - centre
    width = len(chosen)
    curves = [
        _banded(centre[part], drawn[:, part], level)
        for part in (slice(0, width), slice(width, 2 * width), slice(2 * width, 3 * width))
    ]
    crossover, below = _crossing(chosen, curves[2])
    return PassAtK(
        n=problems,
        ks=chosen,
        base=curves[0],
        trained=curves[1],
        difference=curves[2],
        level=level,
        crossover=crossover,
        below_from=below,
        reason=reason,
    )


def _nothing(problems: int, level: float, reason: str) -> PassAtK:
    empty = Curve(values=(), low=(), high=())
    return PassAtK(
        n=problems,
        ks=(),
        base=empty,
        trained=empty,
        difference=empty,
        level=level,
        crossover=None,
        below_from=None,
        reason=reason,
    )


def _banded(centre: NDArray[np.float64], drawn: NDArray[np.float64], level: float) -> Curve:
    error = drawn.std(axis=0)
    moving = error > 1e-12
    reach = np.zeros_like(centre)
    if moving.any():
        largest = np.max(np.abs(drawn[:, moving]) / error[moving], axis=1)
        reach[moving] = float(np.quantile(largest, level)) * error[moving]
    return Curve(
        values=tuple(centre.tolist()), low=tuple((centre - reach).tolist()), high=tuple((centre + reach).tolist())
    )


def _crossing(ks: tuple[int, ...], difference: Curve) -> tuple[int | None, int | None]:
    def since(condition: list[bool]) -> int | None:
        """Index from which the condition holds up to the end."""
        failed = [i for i, holds in enumerate(condition) if not holds]
        first = failed[-1] + 1 if failed else 0
        return first if first < len(condition) else None

    below = since([high < 0 for high in difference.high])
    behind = since([value <= 0 for value in difference.values])
    crossed = below is not None and behind is not None and behind > 0
    return (ks[behind] if crossed and behind is not None else None, None if below is None else ks[below])
