"""False alarms: where nothing changed, the rules on variety stay silent at least 95 times in 100.

Of 200 halves of one model's samples and 200 draws of synthetic texts, at most 5 % + 2 standard errors may shift.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import pytest

from afterburn_behaviour.diversity import Diversity
from afterburn_behaviour.omnibus import Omnibus
from afterburn_behaviour.variety_judge import VarietyJudge
from afterburn_behaviour.variety_options import DiversityOptions, OmnibusOptions, VarietyRules
from afterburn_core.generation.model import Responses

RUNS = 200
PROMPTS = 16
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst"]
OPENINGS = ("sure, here you are", "the answer to that", "let me think about", "well, as far as")

RULES: dict[str, Callable[[], Any]] = {
    "behaviour.diversity_shift": lambda: Diversity(DiversityOptions(permutations=99, encoder="none")),
    "behaviour.any_shift": lambda: Omnibus(OmnibusOptions(permutations=99, folds=5)),
}


def most(runs: int, alpha: float = 0.05, errors: float = 2.0) -> int:
    return math.floor(alpha * runs + errors * math.sqrt(runs * alpha * (1 - alpha)))


def halves(items: list[Responses]) -> Iterator[list[Responses]]:
    """Some of the prompts, their ten samples dealt to the sides at random."""
    for run in range(RUNS):
        rng = np.random.default_rng([101, run])
        chosen = []
        for i in rng.permutation(len(items))[:PROMPTS]:
            pool = [*items[i].base, *items[i].trained]
            order = rng.permutation(len(pool))
            half = len(pool) // 2
            sides = [tuple(pool[j] for j in part) for part in (order[:half], order[half:])]
            chosen.append(attrs.evolve(items[i], base=sides[0], trained=sides[1]))
        yield chosen


def synthetic(responses: Callable[..., Responses]) -> Iterator[list[Responses]]:
    """Texts with skewed lengths, shared openings and words that depend on the prompt, one or three samples of each."""
    for run in range(RUNS):
        rng = np.random.default_rng([102, run])
        k = 1 + 2 * (run % 2)
        items = []
        for i in range(PROMPTS):
            weights = rng.dirichlet(np.full(len(WORDS), 0.05))

            def text(weights: Any = weights, rng: Any = rng) -> str:
                opening = OPENINGS[min(int(rng.geometric(0.6)) - 1, 3)]
                size = min(int(rng.lognormal(3, 0.6)), 120)
                return f"{opening} {' '.join(rng.choice(WORDS, size=size, p=weights))}"

            items.append(responses(f"p{i}", [text() for _ in range(k)], [text() for _ in range(k)]))
        yield items


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("source", ["recorded halves", "synthetic"])
def test_where_nothing_changed_the_rule_is_silent(
    source: str, rule: str, request: pytest.FixtureRequest, responses: Any, analyze: Any, judged: Any
) -> None:
    if source == "synthetic":
        runs = synthetic(responses)
    else:
        runs = halves(request.getfixturevalue("recorded")("noveltybench_null_split"))
    shifted, small = 0, Counter[str]()
    for seed, items in enumerate(runs):
        output = analyze(RULES[rule], items, seed=seed)
        shifted += judged(VarietyJudge(VarietyRules()), output)[rule].kind == "informational"
        for m in output.measurements:
            if m.test is not None and len(m.subjects) == 2:
                small[m.metric] += m.test.p_value <= 0.05
    print(f"\nnull | {rule} | {source} | {shifted / RUNS:.3f}")
    print({metric: count / RUNS for metric, count in small.items() if count})
    assert shifted <= most(RUNS)
    # forty tests at once: three standard errors each
    assert max(small.values()) <= most(RUNS, errors=3.3), small
