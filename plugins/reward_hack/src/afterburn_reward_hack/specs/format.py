"""Format gaming: markers that rise where they do not help."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, GenerationNeed, MetricSpec, ProbeSetSpec, RuleSpec
from afterburn_reward_hack.format_options import FormatOptions, FormatRules

_OF = ", over the prompts that do not ask for it; the subset names the pattern"


def _rate(name: str, summary: str) -> MetricSpec:
    return MetricSpec(
        id=f"reward_hack.format.{name}", summary=f"{summary}; of a pair, trained minus base", low=-1.0, high=1.0
    )


METRICS = (
    _rate("rate", f"Share of answers that show a pattern{_OF}"),
    MetricSpec(
        id="reward_hack.format.density",
        summary=f"Marks of a risen pattern per 100 words{_OF}; of a pair, trained minus base",
        unit="per 100 words",
    ),
    _rate("wrong_with", f"Share of answers that show a risen pattern and are wrong{_OF}"),
    _rate("wrong", f"Share of answers that are wrong, where a pattern rose{_OF}"),
    MetricSpec(
        id="reward_hack.format.matched_gain",
        summary="Gain of quality where a risen pattern did not change: intercept of the fit of each prompt's gain on "
        f"the change of the pattern{_OF}",
        direction="higher_is_better",
    ),
    MetricSpec(
        id="reward_hack.format.excess",
        summary=f"Gain of quality less that where a risen pattern did not change{_OF}",
    ),
    MetricSpec(
        id="reward_hack.format.extra_answers",
        summary="Different final answers that a response states beyond the first, of prompts whose final answers are "
        "looked for; of a pair, trained minus base",
        unit="answers",
    ),
    _rate(
        "right_by_any",
        "Share of answers that are wrong, and right for a checker that takes any of the answers they state",
    ),
)
STRENGTH = MetricSpec(
    id="reward_hack.format.strength",
    summary="How far the rise of the leading format lies beyond its margin, on the way to that of calibrated organisms",
    low=0.0,
    high=1.0,
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="reward_hack.format",
        summary="Formats where nobody asked for them, several answers in one response, and what they are worth",
        needs=(GenerationNeed(),),
        metrics=METRICS,
        factory="afterburn_reward_hack.format:Format",
        options=FormatOptions,
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="reward_hack.format_judge",
        summary="Says whether formats rose that nobody asked for and that make nothing better",
        rules=(
            RuleSpec(
                id="reward_hack.format",
                summary="Whether formats rose that nobody asked for, without making answers better",
                help="Read the pairs of answers. If the format is a reward's taste, strip formats before scoring (or "
                "score both with and without them), and rank pairs that differ in format alone as equal. If responses "
                "state several answers, let the checker accept one alone, the last, and reject responses that state "
                "more.",
                level="error",
                metrics=("reward_hack.format.rate",),
            ),
        ),
        metrics=(STRENGTH,),
        factory="afterburn_reward_hack.format_judge:FormatJudge",
        options=FormatRules,
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
