"""The prompts that show a shift of diversity, and what is compared of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_behaviour.examples import Pair
from afterburn_behaviour.ngrams import tokens
from afterburn_behaviour.units import SIDES
from afterburn_core.generation.model import Responses

Texts = list[list[str]]
OPENING = 4
"""Words of an opening that examples are picked by."""
_SHOWN = ("self_similarity", "loops")


@attrs.frozen(kw_only=True)
class Answered:
    """The prompts that both sides answered, in the order of their ids, with all texts."""

    items: tuple[Responses, ...]
    base: Texts
    trained: Texts
    identical: bool
    """Whether both sides wrote the same texts."""

    @classmethod
    def of(cls, items: Sequence[Responses]) -> Answered:
        """From the prompts that have answers of both sides."""
        base, trained = (
            [[s.text for s in side] for side in sides]
            for sides in ([i.base for i in items], [i.trained for i in items])
        )
        return cls(items=tuple(items), base=base, trained=trained, identical=base == trained)

    def equally_many(self) -> tuple[Texts, Texts]:
        """The first samples of each prompt, as many as the side with fewer has."""
        sizes = [min(len(b), len(t)) for b, t in zip(self.base, self.trained)]
        return [b[:m] for b, m in zip(self.base, sizes)], [t[:m] for t, m in zip(self.trained, sizes)]


def changed(answered: Answered, differences: Mapping[str, NDArray[np.float64]], count: int) -> list[Pair]:
    """The prompts whose samples became more alike, or began to loop, as the mean did: those that changed most."""
    pairs = []
    for name in _SHOWN:
        d = differences[name]
        sign = -1.0 if np.nansum(d) < 0 else 1.0
        order = [int(i) for i in np.argsort(-sign * np.nan_to_num(d), kind="stable") if d[i] * sign > 0]
        for i in order[:count]:
            note = f"{name.replace('_', ' ')} {d[i]:+.2f}"
            pairs.append(_pair(answered, i, _listed(answered.base[i]), _listed(answered.trained[i]), note, name))
    return pairs


def opened(answered: Answered, count: int) -> list[Pair]:
    """Prompts of which one side alone opens as the opening does whose share of prompts changed most."""
    sides = [
        [[tokens(text, OPENING) for text in samples] for samples in side] for side in (answered.base, answered.trained)
    ]
    prompts: list[dict[tuple[str, ...], float]] = [defaultdict(float), defaultdict(float)]
    for side, share in zip(sides, prompts):
        for samples in side:
            for opening in samples:
                share[opening] += 1 / len(samples)
    changes = {opening: prompts[1][opening] - prompts[0][opening] for opening in {**prompts[0], **prompts[1]}}
    moved = max(changes, key=lambda opening: (abs(changes[opening]), opening), default=())
    if abs(changes.get(moved, 0.0)) < 1.5:  # one prompt more is no template
        return []
    more, n = int(changes[moved] > 0), len(answered.items)
    note = (
        f"{SIDES[more]}'s answer opens as {100 * prompts[0][moved] / n:.1f} % of base's and "
        f"{100 * prompts[1][moved] / n:.1f} % of trained's do"
    )
    pairs: list[Pair] = []
    for i in range(n):
        has, lacks = sides[more][i], sides[1 - more][i]
        if moved in has and moved not in lacks and len(pairs) < count:
            which = [0, 0]
            which[more] = has.index(moved)
            base, trained = answered.base[i][which[0]], answered.trained[i][which[1]]
            pairs.append(_pair(answered, i, base, trained, note, "opening"))
    return pairs


def _pair(answered: Answered, i: int, base: str, trained: str, note: str, about: str) -> Pair:
    probe = answered.items[i].probe
    return Pair(
        probe=probe.id, suite=probe.suite, prompt=probe.text, base=base, trained=trained, note=note, about=about
    )


def _listed(texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"[{k + 1}] {text}" for k, text in enumerate(texts))
