"""What the page shows of behaviour, gathered once for all its sections, and its short form for other formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report import behaviour_curves as curves
from afterburn_core.report import behaviour_facts as facts_of
from afterburn_core.report import behaviour_rates as rates
from afterburn_core.report import behaviour_texts as prose
from afterburn_core.report.behaviour_asked import MARGINS
from afterburn_core.report.behaviour_questions import Answers, answers, options_of
from afterburn_core.report.behaviour_values import Measured, option
from afterburn_core.report.evidence import Evidence

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView


@attrs.frozen(kw_only=True)
class BehaviourLimits:
    """How much of behaviour a page carries."""

    text_bytes: int = 2_000_000
    """Prompts and answers."""
    parts: int = 12
    """Parts of the prompts in a table; the others are folded away."""


@attrs.frozen(kw_only=True)
class BehaviourViews:
    """Everything the section on behaviour needs; parts are empty where the run has no data for them."""

    answers: Answers
    unit: str
    lengths: curves.Lengths | None
    lengths_problem: str | None
    statistics: tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]
    length_parts: rates.Parts | None
    formats: rates.Pairs | None
    strategies: rates.Pairs | None
    stack: tuple[tuple[str, tuple[rates.Segment, ...]], ...]
    reasoning: tuple[rates.Pair, ...]
    refusals: rates.Pairs | None
    refusal_parts: tuple[rates.Pair, ...]
    correctness: rates.Pairs | None
    pass_at_k: curves.Curves
    reliability: curves.Curves
    reliability_problem: str | None
    calibration: tuple[rates.Pair, ...]
    features: tuple[facts_of.Feature, ...]
    features_problem: str | None
    texts: prose.Texts
    facts: tuple[facts_of.Fact, ...]
    facts_problem: str | None
    endings: tuple[rates.Pair, ...]
    limits: BehaviourLimits

    def __bool__(self) -> bool:
        return bool(self.answers or self.texts or self.lengths or self.facts)

    def figures(self) -> dict[str, Any] | None:
        """The numbers and texts behind the charts, for the page's scripts."""
        if not self:
            return None
        return {
            "lengths": self.lengths.packed() if self.lengths else None,
            "pass": self.pass_at_k.packed() if self.pass_at_k else None,
            "reliability": self.reliability.packed() if self.reliability else None,
            "texts": self.texts.packed(),
        }


def behaviour_views(view: ResultView, evidence: Evidence, limits: BehaviourLimits) -> BehaviourViews:
    """Reads the artifacts that it shows and nothing else."""
    measured = Measured(evidence)
    ratio = measured.change("behaviour.length.log_ratio")
    unit = "tokens" if ratio is not None and (ratio.reason or "").startswith("in tokens") else "words"
    key = ("behaviour.style", "length_margin")
    margin = option(options_of(view.result), *key, MARGINS[key])
    lengths, lengths_problem = curves.lengths(view)
    reliability, reliability_problem = curves.reliability(view)
    features, features_problem = facts_of.features(view)
    facts, facts_problem = facts_of.facts(view)
    strategies = rates.strategies(measured)
    endings = (
        rates.pair(measured, f"behaviour.{name}.rate", label)
        for name, label in (
            ("truncation", "Answers cut at a token limit"),
            ("empty", "Answers without any text"),
            ("answered", "Prompts with an answer"),
        )
    )
    calibration = (
        rates.pair(measured, f"behaviour.calibration.{name}", label, scale="number")
        for name, label in (
            ("confidence", "Mean confidence"),
            ("accuracy", "Accuracy"),
            ("ece", "Expected calibration error"),
            ("brier", "Brier score"),
        )
    )
    return BehaviourViews(
        answers=answers(view.result, evidence, measured),
        unit=unit,
        lengths=lengths,
        lengths_problem=lengths_problem,
        statistics=curves.statistics(measured),
        length_parts=rates.lengths_by_part(measured, unit, margin),
        formats=rates.formats(measured),
        strategies=strategies,
        stack=rates.stack(strategies, measured) if strategies else (),
        reasoning=rates.reasoning(measured),
        refusals=rates.refusals(measured),
        refusal_parts=rates.by_part(measured, "behaviour.refusal.rate", skip=("safe", "unsafe")),
        correctness=rates.correctness(measured),
        pass_at_k=curves.pass_at_k(measured),
        reliability=reliability,
        reliability_problem=reliability_problem,
        calibration=tuple(row for row in calibration if row is not None),
        features=features,
        features_problem=features_problem,
        texts=prose.texts(view, max_bytes=limits.text_bytes),
        facts=facts,
        facts_problem=facts_problem,
        endings=tuple(row for row in endings if row is not None),
        limits=limits,
    )
