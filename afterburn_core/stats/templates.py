"""Templates: openings and phrases that one side writes again and again, whatever it is asked.

Over N prompts, one text y_i per prompt (with several samples: the first), on one side's data alone:

    template mass     T_k = max_g (1/N) #{i : the first k tokens of y_i are g}
    boilerplate rate  R = (1/N) #{i : y_i has an 8-gram that prompt i lacks and that at least max(3, .05 N) texts have}

Both are statistics of a side as a whole. Their shifts are tested by swapping the sides within prompts and counting
everything anew, which is exact for exchangeable sides; a test that took the indicators for independent would not be.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.result.model import Interval, Test
from afterburn_core.stats.arm_swap import arm_swap, coded
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.diversity import Tokens, ngrams, prefixes
from afterburn_core.stats.intervals import newcombe_paired

ORDER = 8
_TIE = 1e-12


@attrs.frozen(kw_only=True)
class Template:
    """The commonest opening of one side."""

    mass: float
    """T_k: share of texts that open with it."""
    opening: tuple[Hashable, ...]
    """Its tokens; of equally common ones the first seen."""
    members: NDArray[np.bool_] = attrs.field(eq=False, repr=False)
    """Which texts open with it, (N,)."""


def template(texts: Sequence[Tokens], k: int) -> Template | None:
    """The commonest first k tokens; `None` without texts."""
    if not texts:
        return None
    openings = prefixes(texts, k)
    codes, _, kinds = coded(openings, ())
    commonest = int(np.bincount(codes, minlength=kinds).argmax())
    members = codes == commonest
    return Template(mass=float(members.mean()), opening=openings[int(members.argmax())], members=members)


def template_shift(
    base: Sequence[Tokens],
    trained: Sequence[Tokens],
    k: int,
    *,
    seed: int,
    permutations: int = 999,
    level: float = 0.95,
) -> Contrast:
    """T_k of trained − T_k of base.

    Args:
        base: tokens of one text per prompt.
        trained: the same prompts in the same order.
        k: tokens of the opening.
        seed: of the swaps.
        permutations: number of swaps.
        level: of the interval, which is Newcombe's for paired rates and takes the two openings for given.
    """
    first, second = template(base, k), template(trained, k)
    if len(base) != len(trained):
        raise ValueError("one text per prompt and side: the two differ in length")
    if first is None or second is None:
        return undefined("no prompts")
    b, t, kinds = coded(prefixes(base, k), prefixes(trained, k))
    n = len(base)
    tested = arm_swap(
        b,
        t,
        kinds,
        lambda counts: counts.max(axis=-1) / n,
        seed=seed,
        permutations=permutations,
        name="template_arm_swap",
        level=level,
    )
    return _with_interval(tested, first.members, second.members, level)


def _with_interval(tested: Contrast, base: NDArray[np.bool_], trained: NDArray[np.bool_], level: float) -> Contrast:
    if tested.interval is not None:  # identical
        return tested
    low, high = newcombe_paired(
        np.sum(base & trained), np.sum(~base & trained), np.sum(base & ~trained), np.sum(~base & ~trained), level=level
    )
    interval = Interval(low=float(low), high=float(high), level=level, method="newcombe_paired")
    return attrs.evolve(tested, interval=interval)


@attrs.frozen(kw_only=True)
class Boilerplate:
    """Phrases that one side repeats over prompts."""

    rate: float
    """R: share of texts with at least one of them."""
    threshold: int
    """Texts that must share an 8-gram."""
    members: NDArray[np.bool_] = attrs.field(eq=False, repr=False)
    """Which texts have one, (N,)."""
    phrases: tuple[tuple[tuple[Hashable, ...], int], ...]
    """The commonest 8-grams with the number of texts that have them, at most 20."""


def boilerplate(texts: Sequence[Tokens], prompts: Sequence[Tokens], *, order: int = ORDER) -> Boilerplate | None:
    """R of one side; `None` without texts.

    Args:
        texts: tokens of one text per prompt.
        prompts: tokens of the prompts, in the same order and of the same kind.
        order: length of the phrases.
    """
    if len(texts) != len(prompts):
        raise ValueError("one text per prompt: the two differ in length")
    if not texts:
        return None
    known: dict[tuple[Hashable, ...], int] = {}
    rows, grams = _incidence(texts, prompts, order, known)
    threshold = _threshold(len(texts))
    frequency = np.bincount(grams, minlength=len(known))
    members = np.zeros(len(texts), dtype=bool)
    members[rows[frequency[grams] >= threshold]] = True
    names = list(known)
    commonest = np.argsort(-frequency, kind="stable")[:20]
    return Boilerplate(
        rate=float(members.mean()),
        threshold=threshold,
        members=members,
        phrases=tuple((names[g], int(frequency[g])) for g in commonest.tolist() if frequency[g] >= threshold),
    )


def _threshold(n: int) -> int:
    return max(3, math.ceil(0.05 * n - 1e-9))


def _incidence(
    texts: Sequence[Tokens], prompts: Sequence[Tokens], order: int, known: dict[tuple[Hashable, ...], int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which text has which phrase that its prompt lacks, once each; phrases are numbered in `known`."""
    rows: list[int] = []
    columns: list[int] = []
    for i, (tokens, prompt) in enumerate(zip(texts, prompts)):
        own = dict.fromkeys(ngrams(tokens, order))
        for gram in ngrams(prompt, order):
            own.pop(gram, None)
        rows += [i] * len(own)
        columns += [known.setdefault(gram, len(known)) for gram in own]
    return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)


def boilerplate_shift(
    base: Sequence[Tokens],
    trained: Sequence[Tokens],
    prompts: Sequence[Tokens],
    *,
    seed: int,
    order: int = ORDER,
    permutations: int = 499,
    level: float = 0.95,
) -> Contrast:
    """R of trained − R of base.

    Args:
        base: tokens of one text per prompt.
        trained: the same prompts in the same order.
        prompts: their tokens.
        seed: of the swaps.
        order: length of the phrases.
        permutations: number of swaps.
        level: of the interval, which is Newcombe's for paired rates and takes the phrases for given.
    """
    if not len(base) == len(trained) == len(prompts):
        raise ValueError("one text per prompt and side: the numbers of prompts differ")
    n = len(base)
    if not n:
        return undefined("no prompts")
    known: dict[tuple[Hashable, ...], int] = {}
    entries = [_incidence(side, prompts, order, known) for side in (base, trained)]
    threshold = _threshold(n)
    # a phrase of fewer texts than the threshold on both sides together can never count
    pooled = sum(np.bincount(columns, minlength=len(known)) for _, columns in entries)
    common = np.asarray(pooled) >= threshold
    number = np.cumsum(common) - 1
    parts = [(rows[common[columns]], number[columns[common[columns]]]) for rows, columns in entries]
    rows = np.concatenate([part[0] for part in parts])
    grams = np.concatenate([part[1] for part in parts])
    of_trained = np.repeat([False, True], [len(part[0]) for part in parts])
    width = int(common.sum())

    def members(side: NDArray[np.bool_]) -> NDArray[np.bool_]:
        chosen_rows, chosen = rows[side], grams[side]
        found = np.zeros(n, dtype=bool)
        found[chosen_rows[np.bincount(chosen, minlength=width)[chosen] >= threshold]] = True
        return found

    first, second = members(~of_trained), members(of_trained)
    observed = float(second.mean() - first.mean())
    name = "boilerplate_arm_swap"
    if list(map(tuple, base)) == list(map(tuple, trained)):
        zero = Interval(low=0.0, high=0.0, level=level, method="identical")
        return Contrast(n=n, estimate=0.0, interval=zero, test=Test(name=name, p_value=1.0, statistic=0.0))
    rng = np.random.default_rng(seed)
    extreme = 0
    for swaps in rng.integers(0, 2, size=(permutations, n), dtype=np.int8).astype(bool):
        side = of_trained ^ swaps[rows]
        drawn = float(members(side).mean() - members(~side).mean())
        extreme += abs(drawn) >= abs(observed) - _TIE
    tested = Contrast(
        n=n,
        estimate=observed,
        test=Test(name=name, p_value=(1 + extreme) / (permutations + 1), statistic=observed),
    )
    return _with_interval(tested, first, second, level)
