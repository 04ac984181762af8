"""Decoding mismatch: equal weights that write differently because they are served differently."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, GenerationNeed, MetricSpec, ProbeSetSpec, RuleSpec

METRICS = (
    MetricSpec(
        id="reward_hack.decoding.fact",
        summary="Whether a recorded fact of how texts came about differs between the sides (1) or not (0): engine, "
        "host, template, system prompt, number format, decoding parameters in effect",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="reward_hack.decoding.sign",
        summary="Whether the texts alone look as if decoding differed (1) or not (0), where the facts are not recorded",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="reward_hack.decoding.changed",
        summary="Share of prompts whose answers differ between the sides",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="reward_hack.decoding",
        summary="Facts of decoding one by one, and signs in the texts that it differed",
        needs=(GenerationNeed(),),
        metrics=METRICS,
        factory="afterburn_reward_hack.decoding:DecodingFacts",
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="reward_hack.decoding_mismatch",
        summary="Says whether the way of asking explains what changed, so that training is not blamed for it",
        rules=(
            RuleSpec(
                id="reward_hack.decoding_mismatch",
                summary="Whether both sides were asked in the same way, and whether equal weights wrote other texts",
                help="Ask both sides again with the same engine, template, system prompt, temperature, "
                "token limit and number format, or let Afterburn ask both: it decodes both sides "
                "identically. For recorded texts, write down how they were made, in the file's "
                "first line or in `card.json`. Until then, read shifts of style as shifts of the "
                "whole setup.",
                level="warning",
                metrics=("reward_hack.decoding.changed",),
            ),
        ),
        metrics=(
            MetricSpec(
                id="reward_hack.decoding_mismatch.strength",
                summary="Whether decoding differs (1) or not (0); no part of the risk",
                low=0.0,
                high=1.0,
            ),
        ),
        factory="afterburn_reward_hack.decoding_judge:DecodingJudge",
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
