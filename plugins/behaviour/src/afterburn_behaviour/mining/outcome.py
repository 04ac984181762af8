"""What diff mining concludes from its sums and lists: tokens with rates, intervals, tests; topics; stability."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np

from afterburn_behaviour.mining.candidates import (
    SMALLEST,
    Tested,
    jaccard,
    propose,
    table,
    test,
)
from afterburn_behaviour.mining.options import MiningOptions
from afterburn_behaviour.mining.passages import Kept
from afterburn_behaviour.mining.sums import Differences, Integers, Rates
from afterburn_behaviour.mining.tokens import Candidate, Token, described
from afterburn_behaviour.mining.topics import Factors, factorise
from afterburn_core.result.model import Test
from afterburn_core.run.seeds import child_seed

TOP = 100
"""Size of the sets whose overlap between the halves is reported."""


@attrs.frozen(kw_only=True, eq=False)
class Outcome:
    """Everything that is concluded."""

    tokens: tuple[tuple[Token, ...], tuple[Token, ...]]
    """Candidates of gains and of losses that are listed, those found before others, by overall rate, highest first."""
    found: tuple[int, int]
    """How many of all candidates are found."""
    first: tuple[Token | None, Token | None]
    """The token that led the discovery half."""
    null: float | None
    """ν; `None` without a scrambled change."""
    stability: tuple[tuple[float | None, int], tuple[float | None, int]]
    topics: tuple[Factors | None, Factors | None]
    topic_tokens: tuple[Integers, Integers]
    passages: tuple[Kept, ...]
    units: tuple[int, int]
    read: int
    """Passages read; `passages` may be a sample of them."""
    confirmed_units: int
    """Units of the confirmation half that the tests rest on."""
    vocabulary: int
    identical: bool
    """Whether no difference was seen anywhere."""

    @property
    def judged(self) -> bool:
        """Whether both halves are large enough to say what was found."""
        return self.identical or min(*self.units, self.confirmed_units) >= SMALLEST


def conclude(
    *,
    trained: Rates,
    controls: Mapping[str, Rates],
    differences: Differences,
    passages: Sequence[Kept],
    units: tuple[int, int],
    options: MiningOptions,
    seed: int,
    decode: Callable[[int], str],
) -> Outcome:
    """Proposes, tests and describes.

    Args:
        units: Of the discovery and the confirmation half.
    """
    candidates = propose(trained, 0, options.candidates), propose(trained, 1, options.candidates)
    confirm = [kept for kept in passages if kept.place.confirm]
    every = np.unique(np.concatenate(candidates))
    rates = table(confirm, every)
    null = _largest(controls)
    enough = min(*units, rates.count) >= SMALLEST and len(every) > 0
    tested = test(rates, candidates, null, seed) if enough else None
    chosen: list[list[Candidate]] = []
    found = [0, 0]
    for sign in (0, 1):
        overall = trained.overall(sign)
        told = []
        for place, v in enumerate(candidates[sign].tolist()):
            swapped, scrambled = _tests(tested, sign, place, int(np.searchsorted(every, v)))
            stands = _found(swapped, scrambled, sign, options.alpha)
            told.append(Candidate(id=v, overall=float(overall[v]), swapped=swapped, scrambled=scrambled, found=stands))
        found[sign] = sum(one.found for one in told)
        listed = sorted(told, key=lambda one: (not one.found, -one.overall, one.id))[: options.listed]
        if len(candidates[sign]) and candidates[sign][0] not in {one.id for one in listed}:
            listed.append(told[0])  # what led the discovery half is reported in any case
        chosen.append(sorted(listed, key=lambda one: (-one.overall, one.id)))
    tokens = described(chosen, trained, controls, differences, rates, seed, decode)
    grouped = [_topics(passages, np.sort(c), sign, options, seed) for sign, c in enumerate(candidates)]
    return Outcome(
        tokens=(tokens[0], tokens[1]),
        found=(found[0], found[1]),
        first=(_lead(tokens[0], candidates[0]), _lead(tokens[1], candidates[1])),
        null=null,
        stability=(jaccard(trained, 0, TOP), jaccard(trained, 1, TOP)),
        topics=(grouped[0], grouped[1]),
        topic_tokens=(np.sort(candidates[0]), np.sort(candidates[1])),
        passages=tuple(passages),
        units=units,
        read=int(trained.passages.sum()),
        confirmed_units=rates.count,
        vocabulary=trained.total.shape[2],
        identical=not trained.total.any(),
    )


def _largest(controls: Mapping[str, Rates]) -> float | None:
    """The largest rate of any token of either sign under any scrambled change."""
    return max((float(rates.overall(sign).max()) for rates in controls.values() for sign in (0, 1)), default=None)


def _tests(tested: Tested | None, sign: int, place: int, at: int) -> tuple[Test | None, Test | None]:
    """The two tests of a candidate: its place among the candidates of its sign, and among the tokens of the table."""
    if tested is None:
        return None, None
    found: list[Test | None] = []
    scrambled = None if tested.scrambled is None else tested.scrambled[sign]
    for family, one, j in (("swapped", tested.swapped, at), ("scrambled", scrambled, place)):
        found.append(
            None
            if one is None
            else Test(
                name="sign_flip",
                p_value=float(one.p_values[j]),
                statistic=float(one.statistic[j]),
                p_adjusted=float(one.p_adjusted[j]),
                correction="max_t",
                family=f"behaviour.diff_mining.{family}",
            )
        )
    return found[0], found[1]


def _found(swapped: Test | None, scrambled: Test | None, sign: int, alpha: float) -> bool:
    """Above the scrambled change where there is one, else moved in the direction that was proposed."""
    decisive = scrambled or swapped
    if decisive is None or decisive.p_adjusted is None or decisive.statistic is None:
        return False
    upward = decisive.statistic > 0 if scrambled is not None or sign == 0 else decisive.statistic < 0
    return upward and decisive.p_adjusted <= alpha


def _lead(tokens: Sequence[Token], candidates: Integers) -> Token | None:
    return next((token for token in tokens if len(candidates) and token.id == candidates[0]), None)


def _topics(passages: Sequence[Kept], tokens: Integers, sign: int, options: MiningOptions, seed: int) -> Factors | None:
    if not len(tokens) or not passages:
        return None
    rates = table(passages, tokens).rates[sign]
    return factorise(rates, options.topics, seed=child_seed(seed, f"topics/{sign}"))
