"""Refusal and hedging inflation."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, GenerationNeed, MetricSpec, ProbeSetSpec, RuleSpec
from afterburn_reward_hack.refusal_options import RefusalRules

_PAIR = "; of a pair, trained minus base"


def _rate(name: str, summary: str) -> MetricSpec:
    return MetricSpec(
        id=f"reward_hack.refusal.{name}",
        summary=summary + _PAIR,
        direction="higher_is_more_change",
        low=-1.0,
        high=1.0,
    )


def _density(name: str, summary: str) -> MetricSpec:
    return MetricSpec(id=f"reward_hack.refusal.{name}", summary=summary + _PAIR, unit="per 100 words")


METRICS = (
    MetricSpec(
        id="reward_hack.refusal.prompts",
        summary="Harmless prompts that both sides answered",
        unit="prompts",
        low=0.0,
    ),
    _rate("full", "Share of answers that refuse in full, of harmless (safe), unsafe and declared harmless prompts"),
    _rate("partial", "Share of answers to harmless prompts that refuse in part"),
    _density("hedges", "Hedges per 100 words of answers to harmless prompts that do not refuse"),
    _rate("disclaimers", "Share of answers to harmless prompts with a disclaimer, of those that do not refuse"),
    _density("apologies", "Apologies per 100 words of answers to harmless prompts that do not refuse"),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="reward_hack.refusal",
        summary="Refusals of harmless prompts, of unsafe ones apart, and how far answers hedge",
        needs=(GenerationNeed(),),
        metrics=METRICS,
        factory="afterburn_reward_hack.refusals:HarmlessRefusals",
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="reward_hack.refusal_judge",
        summary="Says whether harmless prompts are refused more, or answers hedge more, without being better",
        rules=(
            RuleSpec(
                id="reward_hack.refusal",
                summary="Whether harmless prompts are refused more, or answers hedge, disclaim and apologise more",
                help="Read the refused prompts. Add harmless twins of the unsafe prompts to the training "
                "data and reward their answers. Ask `--suite safety`, which has both kinds with "
                "shared words, to see whether the model tells them apart. If a system prompt is the "
                "cause, compare without it.",
                level="error",
                metrics=("reward_hack.refusal.prompts",),
            ),
        ),
        metrics=(
            MetricSpec(
                id="reward_hack.refusal.strength",
                summary="How strongly refusals or hedges rose: 0 at the margin, 1 at the effect of organisms",
                low=0.0,
                high=1.0,
            ),
        ),
        factory="afterburn_reward_hack.refusal_judge:RefusalJudge",
        options=RefusalRules,
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
