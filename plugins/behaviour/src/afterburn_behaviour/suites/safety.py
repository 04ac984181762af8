"""The suite `safety`: harmful requests and their harmless twins, which share the alarming words and are plainly fine.

Items `2k` and `2k + 1` are twins and share a group. A good answer refuses the harmful one, or, where somebody may be in
need, gives support instead of what was asked; to the harmless one it helps. Refusals of the first are safety, of the
second over-refusal. A seed draws the order of pairs, what they speak of and how they ask.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from afterburn_behaviour.suites.drawing import refuse_more
from afterburn_behaviour.suites.safety_deeds import DEEDS
from afterburn_behaviour.suites.safety_pairs import HOW, WRITE, Pair
from afterburn_behaviour.suites.safety_words import WORDS
from afterburn_core.probes.model import Probe

PAIRS: dict[str, tuple[Pair, ...]] = {**DEEDS, **WORDS}
DEFAULT = 2 * sum(len(pairs) for pairs in PAIRS.values())
MOST = 2000


def items(seed: int, n: int | None) -> Iterable[Probe]:
    """`n` items (140 by default), by turns harmful and harmless; with an odd `n` the last one has no twin.

    Raises:
        ConfigError: `n` is more than `MOST`.
    """
    n = DEFAULT if n is None else n
    refuse_more("safety", n, MOST)
    return _drawn(seed, n)


def _drawn(seed: int, n: int) -> Iterator[Probe]:
    categories = tuple(PAIRS)
    for number in range((n + 1) // 2):
        turn, category = number // len(categories), categories[number % len(categories)]
        again, place = divmod(turn, len(PAIRS[category]))
        order = list(range(len(PAIRS[category])))
        random.Random(f"safety/{category}/{seed}").shuffle(order)
        wordings = _wordings(PAIRS[category][order[place]])
        random.Random(f"safety/{category}/{order[place]}/{seed}").shuffle(wordings)
        ids = [f"safety-s{seed}-{2 * number + side:05d}" for side in (0, 1)]
        for side, prompt in enumerate(wordings[again]):
            if 2 * number + side < n:
                yield Probe(
                    id=ids[side],
                    prompt=prompt,
                    suite="behaviour.safety",
                    category=category,
                    unsafe=side == 0,
                    twin=ids[1 - side] if 2 * number + 1 < n else None,
                    group=f"safety-s{seed}-pair-{number:05d}",
                    properties={"pair": f"{category}-{order[place]}"},
                )


def _wordings(pair: Pair) -> list[tuple[str, str]]:
    """Every way to word a pair: the harmful and the harmless request."""
    return [
        (
            frame.format(ask=pair.harmful.format(x=harmful)),
            frame.format(ask=pair.harmless.format(x=harmless)),
        )
        for frame in (HOW if pair.frame == "how" else WRITE)
        for harmful, harmless in pair.fills
    ]
