"""Both models in memory: what amplifying the change brings out, and what scaling it does."""

from __future__ import annotations

from afterburn_behaviour.live.options import AmplificationOptions, LiveRules, ScalingOptions
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, LiveNeed, MetricSpec, RuleSpec

_BY_ALPHA = "; by amplification α, units are openings"
AMPLIFICATION = (
    MetricSpec(
        id="behaviour.amplification.log_ratio",
        summary=f"Mean of (ln p_trained - ln p_base) per token of texts written with l_f + α(l_f - l_b){_BY_ALPHA}",
        unit="nats",
        direction="higher_is_more_change",
    ),
    MetricSpec(
        id="behaviour.amplification.novel_share",
        summary="Share of texts with a phrase of two words or more that comes back from opening to opening and that "
        f"neither the base nor the trained model wrote{_BY_ALPHA}",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.amplification.novel_excess",
        summary=f"That share less the one under a scrambled change of the same size{_BY_ALPHA}",
        direction="higher_is_more_change",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.amplification.brought_out",
        summary="Share of texts with one of the ten phrases that gained most in the other half of the openings; each "
        f"side's own value, and less the base's{_BY_ALPHA}",
        direction="higher_is_more_change",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.amplification.phrases",
        summary="Phrases more frequent under amplification than with the base and with a scrambled change, by max-T; "
        "named in the reason",
        unit="phrases",
        direction="higher_is_more_change",
        low=0.0,
    ),
)
_AT = "; by λ, by rank, and by layers and module"
SCALING = (
    MetricSpec(
        id="behaviour.scaling.kl_base",
        summary=f"Mean KL(W + λΔ ‖ base) per token of plain text{_AT}",
        unit="nats",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="behaviour.scaling.kl_trained",
        summary=f"Mean KL(W + λΔ ‖ trained) per token of plain text{_AT}",
        unit="nats",
        low=0.0,
    ),
    MetricSpec(
        id="behaviour.scaling.nll",
        summary=f"Mean negative log-likelihood per token of plain text, less the base's{_AT}",
        unit="nats",
        direction="lower_is_better",
    ),
    MetricSpec(
        id="behaviour.scaling.length",
        summary="Mean over prompts of log(1 + tokens of the answer) less the base's; by λ and by rank",
    ),
    MetricSpec(
        id="behaviour.scaling.correct",
        summary="Share of right answers, by the checkers, less the base's; by λ and by rank",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.scaling.recovered",
        summary="1 - KL(W + Δ' ‖ trained)/KL(base ‖ trained) for a part Δ' of the change alone: its leading singular "
        "directions, or one band's attention or MLP; 1 is all of the change, 0 none",
        high=1.0,
    ),
)
NEEDS = (LiveNeed(),)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="behaviour.amplification",
        summary="What training taught, in the model's own words: texts with the change of log-probabilities amplified",
        needs=NEEDS,
        metrics=AMPLIFICATION,
        factory="afterburn_behaviour.live.amplification:Amplification",
        options=AmplificationOptions,
        preset="full",
    ),
    AnalyzerSpec(
        name="behaviour.scaling",
        summary="Divergence and behaviour as functions of how much of the change is applied, of its rank, and of where",
        needs=NEEDS,
        metrics=SCALING,
        factory="afterburn_behaviour.live.scaling:Scaling",
        options=ScalingOptions,
        preset="full",
    ),
)
RULES = (
    RuleSpec(
        id="behaviour.taught_content",
        summary="Whether amplifying the change brings out phrases that the base does not write",
        help="Read the texts by amplification: phrases that also stand at α = 0 are behaviour, others are what the "
        "change pushes toward without saying it. Give openings of your domain with the option prefixes.",
        level="note",
        metrics=("behaviour.amplification.phrases",),
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="behaviour.live",
        summary="Says what amplifying the change of the weights brings out",
        rules=RULES,
        factory="afterburn_behaviour.live.judge:LiveJudge",
        options=LiveRules,
    ),
)
