"""Which features of a dictionary training switched on and off."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ForwardNeed, MetricSpec, ProbeSetSpec, RuleSpec
from afterburn_sae.features_options import LAST, SOURCES, FeatureJudgeOptions, FeaturesOptions

METRICS = (
    MetricSpec(
        id="sae.fvu",
        summary="Fraction of the variance of activations that a dictionary leaves unexplained: sum |x - x'|^2 / sum "
        "|x - mean x|^2; by side, site and dictionary",
        low=0.0,
        neutral=None,
    ),
    MetricSpec(
        id="sae.l0",
        summary="Mean number of active latents of a token; by side, site and dictionary",
        unit="latents",
        low=0.0,
        neutral=None,
    ),
    MetricSpec(
        id="sae.features.changed",
        summary="Features of a dictionary whose mean activation changed on the same tokens, up or down: paired sign "
        "flips by prompt, false discovery rate over all that were tested; by dictionary",
        unit="features",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="sae.features.changed_share",
        summary="Share of the tested features that changed; by dictionary",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="sae.features.outlier",
        summary="Share of a suspected group of prompts in how far groups lie apart by what training did to their "
        "features: T^2 over its sum, T the distance from the mean of the others; p is its rank over their number; by "
        "dictionary",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="sae.feature.difference",
        summary="Mean activation of a feature, trained - base, paired by prompt; the largest changes of a dictionary, "
        "by dictionary and feature",
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="sae.features",
        summary="Which features of a sparse dictionary training switched on and off, with tokens and contexts",
        needs=(ForwardNeed(sources=SOURCES, sites=("blocks.*.out", LAST), readout=True),),
        metrics=METRICS,
        factory="afterburn_sae.features:Features",
        options=FeaturesOptions,
        asks="afterburn_sae.features_options:needs_of_features",
        example="afterburn_sae.features_example:write",
    ),
)
RULES = (
    RuleSpec(
        id="sae.valid",
        summary="Whether a sparse dictionary fits these models, so that its features may be believed",
        help="Use a dictionary of this model and site; one of the base model may not fit a chat model. L0 far from the "
        "card's means that the file is read wrongly. Train one with `afterburn sae train` where there is none.",
        level="warning",
        metrics=("sae.fvu", "sae.features.changed"),
    ),
    RuleSpec(
        id="sae.features_changed",
        summary="Whether training changed features of a sparse dictionary, up or down",
        help="Read the contexts and tokens of the features on top; labels are written by models and often wrong. A "
        "benign training on as much data (`--control PATH`) says how many features change anyway. Steer along a "
        "feature before you call it a cause.",
        level="warning",
        metrics=("sae.features.changed",),
    ),
    RuleSpec(
        id="sae.features_outlier",
        summary="Whether what training did to a suspected group of prompts lies farther from the rest than that of any "
        "other group",
        help="With R groups p cannot be below 1/R: ask about more subjects, or of several models, before you conclude. "
        "Some subjects lie apart in any training: a benign one on as much data (`--control PATH`) says whether this "
        "does. Ask the model about the subject, and about others.",
        level="note",
        metrics=("sae.features.outlier",),
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="sae.feature_judge",
        summary="Says whether dictionaries fit, and which of their features changed",
        rules=RULES,
        factory="afterburn_sae.features_judge:FeatureJudge",
        options=FeatureJudgeOptions,
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
