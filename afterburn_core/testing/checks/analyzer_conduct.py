"""Rules for what an analyzer leaves alone."""

from __future__ import annotations

import copy

from afterburn_core.run.needs import WeightsNeed
from afterburn_core.run.observations import DocumentPair, WeightPair
from afterburn_core.testing.checks.subjects import items_of
from afterburn_core.testing.feeding import analyze, analyze_in_parts
from afterburn_core.testing.guards import digests, network_blocked, watched_globals
from afterburn_core.testing.kit import Target, expect
from afterburn_core.testing.watched import ValueLog, logged, rationed

PAIRS = ("noise", "dropped", "edited")


def check_only_declared_needs_are_used(target: Target) -> None:
    """An analyzer works with what its needs list, and reads nothing else from an observation.

    The planner reads the needs to decide what a run costs: `sums` can come from the cache, `tensors` means that files
    are opened. A quantity that is used but not listed is missing as soon as no other analyzer happens to ask for it.
    """
    needs = {type(need): need for need in target.spec.needs}
    overreach: list[str] = []
    for name in PAIRS:
        items = [
            rationed(item, need, overreach)
            if isinstance(item, WeightPair) and isinstance(need := needs[WeightsNeed], WeightsNeed)
            else item
            for item in items_of(target, name)
        ]
        try:
            analyze(target.spec, items)
        finally:
            expect(not overreach, f"read {overreach[0] if overreach else ''}; add it to the need's quantities")


def check_no_network(target: Target) -> None:
    """Analysing opens no connection and looks up no name.

    Runs happen where there is no network, on models that must not leave the building.
    """
    for name in PAIRS:
        items = items_of(target, name)
        with network_blocked() as attempts:
            try:
                analyze_in_parts(target.spec, (items[::2], items[1::2]))
            finally:
                expect(not attempts, f"tried {attempts[0] if attempts else ''} on the {name} pair")


def check_inputs_stay_untouched(target: Target) -> None:
    """Model files, tensors and parsed documents hold after the analysis what they held before.

    All analyzers of a pass are handed the same objects; one that computes in place spoils the others' numbers.
    """
    for name in PAIRS:
        pair = target.workbench.pair(name)
        files = (digests(pair.base), digests(pair.trained))
        log = ValueLog()
        items = [logged(item, log) if isinstance(item, WeightPair) else item for item in items_of(target, name)]
        documents = [item for item in items if isinstance(item, DocumentPair)]
        before = copy.deepcopy([(item.base, item.trained) for item in documents])
        analyze(target.spec, items)
        expect((digests(pair.base), digests(pair.trained)) == files, f"files of the {name} pair were written to")
        altered = log.altered()
        expect(not altered, f"the values of {altered[0] if altered else ''} were changed in place")
        after = [(item.base, item.trained) for item in documents]
        expect(before == after, f"a parsed document of the {name} pair was changed in place")


def check_global_state_stays_untouched(target: Target) -> None:
    """Random generators, default dtype, threads, environment and working directory stay as they were.

    A run is one process with many analyzers; what one of them sets, all the others get. Use a generator of your own,
    seeded from the context.
    """
    for name in PAIRS:
        items = items_of(target, name)
        with watched_globals() as changed:
            analyze_in_parts(target.spec, (items[::2], items[1::2]))
        expect(not changed, f"the analysis of the {name} pair changed: {', '.join(changed)}")


CHECKS = (
    check_only_declared_needs_are_used,
    check_no_network,
    check_inputs_stay_untouched,
    check_global_state_stays_untouched,
)
