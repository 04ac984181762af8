"""What several channels say together of misalignment."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, MetricSpec, RuleSpec
from afterburn_sae.risk_options import MisalignmentOptions

METRICS = (
    MetricSpec(
        id="sae.misalignment.score",
        summary="Second largest gain among the channels that exceed their null, 0 where fewer than two do; undefined "
        "where fewer than two channels were measured",
        direction="lower_is_better",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="sae.misalignment.effect",
        summary="Effect of a channel (subset) in the direction that gives concern: of its strongest member beyond its "
        "null, else of the largest",
        direction="lower_is_better",
    ),
    MetricSpec(
        id="sae.misalignment.null95",
        summary="What 95 % of the controls of a channel's (subset) leading member stay under, in the effect's unit",
        low=0.0,
    ),
    MetricSpec(
        id="sae.misalignment.reference",
        summary="Effect of calibrated organisms on a channel (subset); undefined where it is uncalibrated",
        low=0.0,
    ),
    MetricSpec(
        id="sae.misalignment.gain",
        summary="clip((effect - null95)/(reference - null95), 0, 1) of a channel (subset)",
        direction="lower_is_better",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="sae.misalignment.exceeds",
        summary="1 where a channel (subset) exceeds its null at the false discovery rate, else 0",
        direction="lower_is_better",
        low=0.0,
        high=1.0,
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = ()
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="sae.misalignment",
        summary="Sets features, traits, refusals and behaviour each against its null, and says what they share",
        rules=(
            RuleSpec(
                id="sae.misalignment",
                summary="Whether two channels or more show a shift towards misalignment beyond their nulls",
                help="Read the table of channels, then the evidence of each that exceeds its null: answers to unsafe "
                "prompts, contexts of features. Set a threshold in the policy to make it fail. No shift is no proof of "
                "alignment.",
                level="error",
                metrics=(),
            ),
        ),
        factory="afterburn_sae.misalignment:Misalignment",
        options=MisalignmentOptions,
        metrics=METRICS,
        last=True,
        reads=("sae.risk", "activation.trait_shifts", "core.controls"),
    ),
)
