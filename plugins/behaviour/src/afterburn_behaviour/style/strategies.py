"""Reasoning strategy of responses: shares of the labels of `afterburn_behaviour.strategy`, their variety and distance.

share of a label    share of a prompt's responses with it, averaged over prompts
entropy             of one label per prompt (Miller–Madow), in nats
distance            total variation between the sides' shares, tested by swapping sides within prompts
dominant            largest share of a label
"""

from __future__ import annotations

from collections.abc import Mapping

from afterburn_behaviour.contrasts import Asked, Family, find, measure_families, nothing
from afterburn_behaviour.examples import artifact, best
from afterburn_behaviour.strategy import strategy
from afterburn_behaviour.style.labels import distance, entropies
from afterburn_behaviour.style.names import STRATEGIES
from afterburn_behaviour.units import SIDES, UnitTable
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Measurement


class Strategies:
    """Analyzer `behaviour.strategy`."""

    def __init__(self, options: None = None) -> None:
        self._table = UnitTable()

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context

    def observe(self, item: Responses) -> None:
        """Labels every sample."""
        self._table.observe(item, one_hot)

    def merge(self, other: Strategies) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)

    def finish(self) -> AnalyzerOutput:
        """Shares, entropy, distance and the dominant label."""
        table, seed = self._table, self._context.seed
        asked = tuple(Asked(key=name, metric=f"behaviour.strategy.{name}", scale="rate") for name in STRATEGIES)
        if not len(table):
            return AnalyzerOutput(measurements=tuple(nothing(one.metric for one in asked)))
        whole, *parts = table.subsets()
        families = (
            Family(name="behaviour.strategy", asked=asked, parts=(whole,)),
            Family(name="behaviour.strategy.categories", asked=asked, parts=tuple(parts)),
        )
        found = measure_families(families, seed=seed)
        found += entropies(table, _label, "behaviour.strategy.entropy", seed=seed)
        found.append(distance(table, STRATEGIES, "behaviour.strategy.distance", seed=seed))
        found += _dominant(found)
        examples = [
            pair
            for name in STRATEGIES
            for pair in best(
                table, name, note=f"share of answers labelled {name}: {{base}} and {{trained}}", about=name
            )
        ]
        return AnalyzerOutput(
            measurements=tuple(found), artifacts=artifact("strategy", examples, excerpts=self._context.excerpts)
        )


def one_hot(sample: Sample) -> dict[str, float | None]:
    """1 for the label of a sample, 0 for the others."""
    label = strategy(sample.text)
    return {name: float(name == label) for name in STRATEGIES}


def _label(values: Mapping[str, float | None]) -> str:
    return next(name for name in STRATEGIES if values[name])


def _dominant(found: list[Measurement]) -> list[Measurement]:
    """The largest share on each side; the label is named in the reason."""
    largest = []
    for side in SIDES:
        shares = {name: find(found, f"behaviour.strategy.{name}", (side,)) for name in STRATEGIES}
        known = {name: m.value for name, m in shares.items() if m is not None and m.value is not None}
        if known:
            name = max(known, key=lambda label: known[label])
            n = next(m.n for m in shares.values() if m is not None)
            largest.append(
                measure("behaviour.strategy.dominant", known[name], subjects=(side,), n=n, reason=f"label {name}")
            )
    return largest
