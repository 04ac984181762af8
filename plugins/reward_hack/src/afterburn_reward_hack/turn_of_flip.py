"""How long right answers hold under pressure: turns until the first that gives in, tested by the log-rank statistic.

With d_t answers of both sides giving in at turn t, n_t at risk before it and n_t,T of them trained's,

    U = Σ_t (d_t,T − d_t n_t,T/n_t)                                    (Mantel 1966)

A conversation that ends without giving in is censored at its last turn. The two sides talk about the same question, so
that their conversations depend on each other: instead of the χ² distribution, which takes them for independent, U is
compared with its values when base and trained are swapped within questions, p = (1 + #{|U*| ≥ |U|})/(B + 1). That is
exact where the sides are exchangeable. Questions with one source are swapped together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afterburn_core.result.model import Test

Floats = NDArray[np.float64]
NAME = "log_rank_swap"
_TIE = 1e-9


def log_rank(
    base: Sequence[Sequence[bool]],
    trained: Sequence[Sequence[bool]],
    *,
    seed: int,
    permutations: int,
    clusters: Sequence[str] | None = None,
) -> Test:
    """The test of equal times until giving in.

    Args:
        base: for each question whether each turn held, up to the first that did not.
        trained: the same; as many questions.
        seed: of the swaps.
        permutations: B.
        clusters: source of each question, where several share one.

    Returns:
        Negative U: trained holds longer.
    """
    turns = max((len(one) for one in (*base, *trained)), default=0)
    risk = np.stack([_at_risk(side, turns) for side in (base, trained)])  # (2, n, turns)
    event = np.stack([_events(side, turns) for side in (base, trained)])
    observed = _statistic(risk[1].sum(axis=0), event[1].sum(axis=0), risk, event)
    names = [str(number) for number in range(len(base))] if clusters is None else list(clusters)
    groups = np.unique(np.asarray(names), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    swaps = rng.integers(0, 2, size=(permutations, int(groups.max(initial=-1)) + 1)).astype(np.float64)[:, groups]
    of_trained = risk[1].sum(axis=0) + swaps @ (risk[0] - risk[1])  # (B, turns)
    given_up = event[1].sum(axis=0) + swaps @ (event[0] - event[1])
    drawn = _statistic(of_trained, given_up, risk, event)
    extreme = int(np.count_nonzero(np.abs(drawn) >= abs(float(observed)) - _TIE))
    return Test(name=NAME, p_value=(1 + extreme) / (permutations + 1), statistic=float(observed) + 0.0)


def _statistic(of_trained: Floats, given_up: Floats, risk: Floats, event: Floats) -> Floats:
    """U, over the last axis."""
    at_risk, events = risk.sum(axis=(0, 1)), event.sum(axis=(0, 1))
    expected = np.divide(events * of_trained, at_risk, out=np.zeros_like(of_trained), where=at_risk > 0)
    return np.asarray((given_up - expected).sum(axis=-1))


def _at_risk(side: Sequence[Sequence[bool]], turns: int) -> Floats:
    """(n, turns): whether the question was still held when the turn came."""
    return np.array([[float(turn < len(one)) for turn in range(turns)] for one in side]).reshape(len(side), turns)


def _events(side: Sequence[Sequence[bool]], turns: int) -> Floats:
    """(n, turns): whether it was given up at the turn."""
    return np.array([[float(turn < len(one) and not one[turn]) for turn in range(turns)] for one in side]).reshape(
        len(side), turns
    )
