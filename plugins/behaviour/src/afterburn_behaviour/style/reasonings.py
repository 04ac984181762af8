"""Marks of reasoning per response, as counts: see `afterburn_behaviour.reasoning_steps`."""

from __future__ import annotations

from afterburn_behaviour.contrasts import Asked, Family, measure_families, nothing
from afterburn_behaviour.examples import artifact, best
from afterburn_behaviour.reasoning_steps import reasoning
from afterburn_behaviour.units import SIDES, UnitTable
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput

_COUNTS = ("steps", "depth", "self_correction", "verification")


class ReasoningMarks:
    """Analyzer `behaviour.reasoning`."""

    def __init__(self, options: None = None) -> None:
        self._table = UnitTable()

    def begin(self, context: AnalyzerContext) -> None:
        self._context = context

    def observe(self, item: Responses) -> None:
        """Counts the marks of every sample."""
        self._table.observe(item, marks)

    def merge(self, other: ReasoningMarks) -> None:
        """Takes in prompts that another instance observed."""
        self._table.merge(other._table)

    def finish(self) -> AnalyzerOutput:
        """Means per response on each side and their contrasts, overall and by category."""
        table = self._table
        asked = [Asked(key=name, metric=f"behaviour.reasoning.{name}", scale="mean") for name in _COUNTS]
        asked.append(Asked(key="thinking", metric="behaviour.reasoning.thinking", scale="rate"))
        if not len(table):
            return AnalyzerOutput(measurements=tuple(nothing(one.metric for one in asked)))
        whole, *parts = table.subsets()
        if any(table.samples("thinking_words", side).size for side in SIDES):
            asked.append(Asked(key="thinking_words", metric="behaviour.reasoning.thinking_words", scale="mean"))
        families = (
            Family(name="behaviour.reasoning", asked=tuple(asked), parts=(whole,)),
            Family(name="behaviour.reasoning.categories", asked=tuple(asked), parts=tuple(parts)),
        )
        examples = [
            pair
            for name in _COUNTS
            for pair in best(table, name, note=f"{name} per answer: {{base}} and {{trained}}", about=name, count=1)
        ]
        return AnalyzerOutput(
            measurements=tuple(measure_families(families, seed=self._context.seed)),
            artifacts=artifact("reasoning", examples, excerpts=self._context.excerpts),
        )


def marks(sample: Sample) -> dict[str, float | None]:
    """The marks of one sample; words of thinking only where it has thinking tags."""
    found = reasoning(sample.text)
    return {
        "steps": float(found.steps),
        "depth": float(found.depth),
        "self_correction": float(found.self_corrections),
        "verification": float(found.verifications),
        "thinking": float(found.thinking_words is not None),
        "thinking_words": None if found.thinking_words is None else float(found.thinking_words),
    }
