"""What the page shows of activations, gathered once for all its sections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from afterburn_core.report import activation_drift, activation_parts, activation_tokens
from afterburn_core.report.behaviour_questions import options_of
from afterburn_core.report.behaviour_values import option
from afterburn_core.report.forward_marks import WORDS
from afterburn_core.result.model import Finding

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

DETECTOR = "activation.trait_judge"
LIMITS = {"auroc": 0.9, "alike": 0.5}
"""Defaults of the detector's options; a test compares them with the plugin's own."""
RULES = {
    "activation.drift": "How far activations moved",
    "activation.readable_difference": "What the mean difference says",
    "activation.trait_shift": "Shifts along trait directions",
}
_WORDS = {
    "activation.drift": {"informational": "Moved"},
    "activation.readable_difference": {"informational": "Readable", "pass": "Not readable"},
    "activation.trait_shift": {"review": "For review"},
}


@attrs.frozen(kw_only=True)
class ActivationViews:
    """Everything the section needs; parts are empty where the run has no data for them."""

    rules: tuple[tuple[str, Finding], ...]
    drift: activation_drift.Drift
    components: tuple[activation_parts.Site, ...]
    examples: tuple[activation_tokens.ExampleSite, ...]
    traits: activation_parts.Traits
    lens: activation_tokens.Lens
    problems: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.drift or self.components or self.examples or self.traits or self.lens)

    @staticmethod
    def word(finding: Finding) -> str:
        """What a rule decided, in a word."""
        return _WORDS.get(finding.rule, {}).get(finding.kind, WORDS.get(finding.kind, ""))


def activation_views(view: ResultView) -> ActivationViews:
    """Reads the artifacts that it shows and nothing else."""
    options = options_of(view.result)
    limits = {name: option(options, DETECTOR, name, default) for name, default in LIMITS.items()}
    found = {finding.rule: finding for finding in view.result.findings if finding.rule in RULES}
    drift = activation_drift.drift(view)
    components, components_problem = activation_parts.components(view)
    examples, examples_problem = activation_tokens.examples(view)
    measured = [m for m in view.result.measurements if m.metric.startswith("activation.traits.")]
    traits = activation_parts.traits(view, measured, **limits)
    lens = activation_tokens.lens(view)
    problems = (drift.problem, components_problem, examples_problem, traits.problem, lens.problem)
    return ActivationViews(
        rules=tuple((title, found[rule]) for rule, title in RULES.items() if rule in found),
        drift=drift,
        components=components,
        examples=examples,
        traits=traits,
        lens=lens,
        problems=tuple(dict.fromkeys(problem for problem in problems if problem)),
    )
