"""Shifts along trait directions."""

from __future__ import annotations

from afterburn_activation import trait_texts
from afterburn_activation.options import TraitJudgeOptions, TraitsOptions
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ForwardNeed, MetricSpec, ProbeSetSpec, RuleSpec

FAMILY = "activation.traits"
METRICS = (
    MetricSpec(
        id="activation.traits.auroc",
        summary="How well the base's direction of a trait tells held-out answers that show it from those that do not; "
        "by trait, at the layer where it does so best",
        direction="higher_is_better",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="activation.traits.shift",
        summary="Mean shift of the last prompt token along a trait direction, as a share of the way from answers that "
        "do not show the trait to those that do; by trait, with the p value of random directions",
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="activation.traits",
        summary="Whether prompts are met further along directions of known traits",
        needs=(ForwardNeed(sources=("given", "prompt"), sites=("blocks.*.out",), passage_sets=(trait_texts.SET,)),),
        metrics=METRICS,
        factory="afterburn_activation.traits:Traits",
        options=TraitsOptions,
        preset="standard",
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="activation.trait_judge",
        summary="Says along which trait directions activations shifted further than along random ones",
        rules=(
            RuleSpec(
                id="activation.trait_shift",
                summary="Whether prompts are met further along a trait direction than random directions explain",
                help="Ask the model: a shift along a direction is a reason to look at answers, never proof of the "
                "trait, and no shift is no proof of its absence. Traits with similar directions move together.",
                level="note",
                metrics=("activation.traits.shift",),
            ),
        ),
        factory="afterburn_activation.trait_judge:TraitJudge",
        options=TraitJudgeOptions,
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = trait_texts.PROBE_SETS
