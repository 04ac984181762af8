"""Format of responses: which patterns they show, how densely, and how varied the combinations are.

    rate of a pattern       share of a prompt's responses that show it, averaged over prompts
    density                 marks per 100 words of the response
    entropy                 of the combinations of patterns over prompts, one response per prompt (Miller–Madow), nats

Where prompts say which formats they ask for (`Probe.requests`), a pattern is also contrasted on the prompts that ask
for it and on those that do not: a table nobody asked for is another matter than one that was ordered.
"""

from __future__ import annotations

from collections.abc import Mapping

from afterburn_behaviour.contrasts import Asked, Family, measure_families, nothing
from afterburn_behaviour.examples import artifact, best
from afterburn_behaviour.patterns import counts, requested
from afterburn_behaviour.style.labels import entropies
from afterburn_behaviour.style.names import PATTERNS
from afterburn_behaviour.text import words
from afterburn_behaviour.units import FEWEST, SIDES, UnitTable
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.model import Scope


class Format:
    """Analyzer `behaviour.format`."""

    def __init__(self, options: None = None) -> None:
        self._table = UnitTable()

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context

    def observe(self, item: Responses) -> None:
        """Counts the marks of every sample."""
        self._table.observe(item, marks)

    def merge(self, other: Format) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)

    def finish(self) -> AnalyzerOutput:
        """Rates and densities of every pattern, overall, by category, and by whether they were asked for."""
        table, seed = self._table, self._context.seed
        if not len(table):
            return AnalyzerOutput(measurements=tuple(nothing(f"behaviour.format.{name}" for name in PATTERNS)))
        shown = tuple(name for name in PATTERNS if any(table.samples(name, side).any() for side in SIDES))
        whole, *parts = table.subsets()
        rates = {name: Asked(key=name, metric=f"behaviour.format.{name}", scale="rate") for name in PATTERNS}
        families = [Family(name="behaviour.format", asked=tuple(rates.values()), parts=(whole,))]
        if shown:
            in_parts = tuple(rates[name] for name in shown)
            families.append(Family(name="behaviour.format.categories", asked=in_parts, parts=tuple(parts)))
            densities = tuple(
                Asked(key=f"{name} density", metric=f"behaviour.format_density.{name}", scale="mean") for name in shown
            )
            families.append(Family(name="behaviour.format.density", asked=densities, parts=(whole,)))
        families += [
            Family(name=f"behaviour.format.{which}", asked=(rates[name],), parts=((Scope(subset=which), part),))
            for name in shown
            for which, part in _by_request(table, name).items()
        ]
        found = measure_families(families, seed=seed)
        found += entropies(table, _combination, "behaviour.format.entropy", seed=seed)
        examples = [
            pair
            for name in shown
            for pair in best(table, name, note=f"share of answers with {name}: {{base}} and {{trained}}", about=name)
        ]
        return AnalyzerOutput(
            measurements=tuple(found), artifacts=artifact("format", examples, excerpts=self._context.excerpts)
        )


def marks(sample: Sample) -> dict[str, float | None]:
    """Whether a sample shows each pattern, and marks per 100 words; no density for a text without words."""
    found = counts(sample.text)
    n = len(words(sample.text))
    values: dict[str, float | None] = {name: float(count > 0) for name, count in found.items()}
    values |= {f"{name} density": 100 * count / n if n else None for name, count in found.items()}
    return values


def _combination(values: Mapping[str, float | None]) -> str:
    return "+".join(name for name in PATTERNS if values[name]) or "plain"


def _by_request(table: UnitTable, pattern: str) -> dict[str, UnitTable]:
    """The prompts that ask for a pattern and those that do not; nothing where too few or all of them ask."""
    wanted = table.where(lambda row: requested(pattern, row.probe.requests))
    other = table.where(lambda row: not requested(pattern, row.probe.requests))
    if wanted.answers().paired < FEWEST:
        return {}
    return {"requested": wanted} | ({"unrequested": other} if other.answers().paired >= FEWEST else {})
