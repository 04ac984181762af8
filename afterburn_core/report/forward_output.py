"""What the page shows of next-token distributions, gathered once for all its sections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from afterburn_core.report import forward_curves
from afterburn_core.report import forward_divergence as divergence
from afterburn_core.report import forward_scoring as scoring
from afterburn_core.report.behaviour_questions import options_of
from afterburn_core.report.behaviour_values import Measured, option
from afterburn_core.report.evidence import Evidence
from afterburn_core.report.forward_marks import LEANING, WORDS
from afterburn_core.report.forward_mining import Mining, mining
from afterburn_core.result.model import Finding

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

DETECTOR = "behaviour.distribution"
MARGINS = {"kl_margin": 0.01, "nll_margin": 0.02}
"""Defaults of the detector's options; a test compares them with the plugin's own."""
RULES = {
    "behaviour.distribution_shift": "Divergence on the same text",
    "behaviour.off_support": "Whose answers surprise whom",
    "behaviour.forgetting": "Forgetting of plain text",
    "behaviour.taught_tokens": "Tokens that were taught",
}

_WORDS = {
    "behaviour.taught_tokens": {"informational": "Found", "pass": "None found"},
    "behaviour.forgetting": {"informational": "Worse", "pass": "Not worse"},
}


@attrs.frozen(kw_only=True)
class OutputLimits:
    """How much of it a page carries."""

    contexts: int = 6
    """Coloured stretches that are open; the others are folded away."""
    answers: int = 8
    tokens: int = 20
    """Tokens of diff mining, of either sign."""
    parts: int = 24
    """Rows of the table of parts; the others are folded away."""


@attrs.frozen(kw_only=True)
class OutputViews:
    """Everything the section needs; parts are empty where the run has no data for them."""

    rules: tuple[tuple[str, Finding], ...]
    parts: divergence.Parts | None
    curves: forward_curves.Curves | None
    curves_problem: str | None
    contexts: divergence.Contexts
    squares: tuple[scoring.Square, ...]
    contrasts: scoring.Contrasts | None
    sequences: tuple[tuple[str, str, str, int | None, str], ...]
    perplexity: scoring.Contrasts | None
    surprising: scoring.Surprising
    mining: Mining
    limits: OutputLimits
    leaning: tuple[float, ...] = LEANING

    def __bool__(self) -> bool:
        return bool(self.parts or self.squares or self.perplexity or self.mining or self.contexts.shown)

    @staticmethod
    def word(finding: Finding) -> str:
        """What a rule decided, in a word."""
        own = _WORDS.get(finding.rule, {})
        return own.get(finding.kind, WORDS.get(finding.kind, ""))


def output_views(view: ResultView, evidence: Evidence, limits: OutputLimits) -> OutputViews:
    """Reads the artifacts that it shows and nothing else."""
    measured = Measured(evidence)
    options = options_of(view.result)
    margin = {name: option(options, DETECTOR, name, default) for name, default in MARGINS.items()}
    found = {finding.rule: finding for finding in view.result.findings if finding.rule in RULES}
    curves, curves_problem = forward_curves.curves(view)
    return OutputViews(
        rules=tuple((title, found[rule]) for rule, title in RULES.items() if rule in found),
        parts=divergence.parts(measured, margin["kl_margin"]),
        curves=curves,
        curves_problem=curves_problem,
        contexts=divergence.contexts(view),
        squares=scoring.squares(measured),
        contrasts=scoring.contrasts(measured, margin["nll_margin"]),
        sequences=scoring.sequences(measured),
        perplexity=scoring.perplexity(measured, margin["nll_margin"]),
        surprising=scoring.surprising(view, limit=limits.answers),
        mining=mining(view, tokens=limits.tokens),
        limits=limits,
    )
