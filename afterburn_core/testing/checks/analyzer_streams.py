"""Rules for how an analyzer may be fed: in any order, in any parts, any number of times."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from afterburn_core.testing.checks.subjects import items_of
from afterburn_core.testing.feeding import SEED, analyze, analyze_in_parts, first_difference
from afterburn_core.testing.guards import global_seeds
from afterburn_core.testing.kit import Target, expect

PAIRS = ("noise", "zeroed rows", "dropped", "edited")


def check_order_does_not_matter(target: Target) -> None:
    """The output is the same, to the last bit, whatever order the observations come in.

    Threads and machines finish in another order on every run, and equal runs must give equal documents. Floating-point
    addition depends on order; keep the parts and add them once, at the end, with `math.fsum`.
    """
    for name in PAIRS:
        items = items_of(target, name)
        expected = analyze(target.spec, items)
        for order, arranged in (
            ("in reverse", tuple(reversed(items))),
            ("shuffled", tuple(random.Random(1).sample(items, len(items)))),
            ("shuffled again", tuple(random.Random(2).sample(items, len(items)))),
        ):
            difference = first_difference(expected, analyze(target.spec, arranged))
            expect(difference is None, f"the {name} pair in order and {order}: {difference}")


def check_merge_equals_single_pass(target: Target) -> None:
    """Analyzers that saw parts of the observations and were merged give what one gives that saw them all.

    This is what lets a pass run on several cores, GPUs or machines. Parts may have any size, also none, and may be
    merged in any order.
    """
    for name in PAIRS:
        items = items_of(target, name)
        expected = analyze(target.spec, items)
        for division, parts in _divisions(items).items():
            difference = first_difference(expected, analyze_in_parts(target.spec, parts))
            expect(difference is None, f"the {name} pair whole and {division}: {difference}")


def check_same_seed_gives_same_output(target: Target) -> None:
    """The same observations under the same seed give the same output, whatever the global random state.

    The context's seed is the only randomness an analyzer may use; otherwise nobody can repeat a run.
    """
    for name in PAIRS:
        items = items_of(target, name)
        with global_seeds(1):
            first = analyze(target.spec, items, seed=SEED)
        with global_seeds(2):
            second = analyze(target.spec, items, seed=SEED)
        difference = first_difference(first, second)
        expect(difference is None, f"two runs on the {name} pair with one seed: {difference}")


def _divisions(items: Sequence[Any]) -> dict[str, tuple[Sequence[Any], ...]]:
    middle = len(items) // 2
    return {
        "in two halves": (items[:middle], items[middle:]),
        "in two halves, the second first": (items[middle:], items[:middle]),
        "in turn over three": (items[0::3], items[1::3], items[2::3]),
        "with one that saw nothing": ((), items),
        "with one that saw nothing at the end": (items, ()),
        "one by one": tuple((item,) for item in items),
    }


CHECKS = (
    check_order_does_not_matter,
    check_merge_equals_single_pass,
    check_same_seed_gives_same_output,
)
