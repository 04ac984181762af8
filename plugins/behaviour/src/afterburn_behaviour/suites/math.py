"""The suite `math`: seven kinds of sums with exact answers, each also as a multiple choice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from afterburn_behaviour.suites import calendar, figures, sums
from afterburn_behaviour.suites.drawing import Family, Item, draw
from afterburn_behaviour.suites.phrasing import as_choice, nearby
from afterburn_core.probes.model import Probe

DEFAULT = 132


def chosen(question: Callable[[random.Random], Item]) -> Callable[[random.Random], Item]:
    """The same questions with four options; those without a whole number as answer are drawn again."""

    def choose(rng: random.Random) -> Item:
        while True:
            item = question(rng)
            if item.gold.lstrip("-").isdigit() and item.checker == "number":
                break
        slips = item.properties.get("slips", [])
        wrong = nearby(rng, int(item.gold), [int(slip) for slip in slips])
        return as_choice(rng, item.prompt, item.gold, wrong, item.properties["kind"])

    return choose


def plain(question: Callable[[random.Random], Item]) -> Callable[[random.Random], Item]:
    """The question as it is, less what only a multiple choice needs."""

    def ask(rng: random.Random) -> Item:
        item = question(rng)
        return Item(
            prompt=item.prompt, gold=item.gold, checker=item.checker, properties={"kind": item.properties["kind"]}
        )

    return ask


FAMILIES = (
    Family(category="arithmetic", draw=plain(sums.arithmetic)),
    Family(category="word_problems", draw=plain(sums.word_problem)),
    Family(category="percentages", draw=plain(sums.percentage)),
    Family(category="sequences", draw=plain(figures.sequence)),
    Family(category="geometry", draw=plain(figures.geometry)),
    Family(category="number_theory", draw=plain(figures.number_theory)),
    Family(category="dates", draw=plain(calendar.dates)),
    Family(category="arithmetic", draw=chosen(sums.arithmetic)),
    Family(category="word_problems", draw=chosen(sums.word_problem)),
    Family(category="percentages", draw=chosen(sums.percentage)),
    Family(category="geometry", draw=chosen(figures.geometry)),
)


def items(seed: int, n: int | None) -> Iterable[Probe]:
    """`n` items (132 by default), about a third of them multiple choice."""
    return draw("math", FAMILIES, seed, DEFAULT if n is None else n)
