"""Features and directions of risk packs."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ForwardNeed, MetricSpec, RuleSpec
from afterburn_sae import domain_texts
from afterburn_sae.risk_options import RiskJudgeOptions, RiskOptions

FAMILY = "sae.risk"
METRICS = (
    MetricSpec(
        id="sae.risk.shift",
        summary="log2 of how many times a pack's feature became, + towards what the pack calls a concern; by pack, "
        "feature and probe set (subset), among comparison latents of the dictionary",
    ),
    MetricSpec(
        id="sae.risk.direction",
        summary="Mean shift along a pack's direction as a share of its length, + towards the pack's concern; "
        "by pack, direction and probe set (subset), among random directions",
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="sae.risk",
        summary="How far the features and directions of risk packs moved on the sets they are meant for",
        needs=(ForwardNeed(sources=("given",), sites=("blocks.*.out",), passage_sets=domain_texts.SETS),),
        metrics=METRICS,
        factory="afterburn_sae.risk:Risk",
        options=RiskOptions,
        asks="afterburn_sae.risk_needs:of_risk",
        example="afterburn_sae.risk_example:risk",
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="sae.risk_judge",
        summary="Says which features and directions of risk packs moved towards concern, further than others do",
        rules=(
            RuleSpec(
                id="sae.risky_features",
                summary="Whether features or directions of a risk pack moved towards what the pack calls a concern",
                help="Look at the feature's contexts and ask the model questions of that set. A label is what somebody "
                "took a feature for: steer along it, or remove it, before you rest a decision on it.",
                level="warning",
                metrics=("sae.risk.shift",),
            ),
        ),
        factory="afterburn_sae.risk_judge:RiskJudge",
        options=RiskJudgeOptions,
        last=True,
    ),
)
