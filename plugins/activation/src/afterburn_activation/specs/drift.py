"""How far activations moved, by layer and place."""

from __future__ import annotations

from afterburn_activation.options import DriftJudgeOptions, DriftOptions
from afterburn_core.forward.model import Source
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ForwardNeed, MetricSpec, ProbeSetSpec, RuleSpec

SOURCES: tuple[Source, ...] = ("text", "prompt")
RESIDUAL = ("embed", "blocks.*.out", "final_norm")
_PLACES = "; by site and place: all tokens, first tokens of a text, mean vector of a passage, last prompt token"
METRICS = (
    MetricSpec(
        id="activation.drift.cosine_distance",
        summary=f"1 - cos of a token's activations under base and trained, mean over passages{_PLACES}",
        direction="higher_is_more_change",
        low=0.0,
        high=2.0,
    ),
    MetricSpec(
        id="activation.drift.relative",
        summary=f"Length of the difference over the mean length of both, mean over passages{_PLACES}",
        direction="higher_is_more_change",
        low=0.0,
        high=2.0,
    ),
    MetricSpec(
        id="activation.drift.log_norm_ratio",
        summary=f"ln of trained length over base length, mean over passages{_PLACES}",
    ),
    MetricSpec(
        id="activation.drift.centred_cosine_distance",
        summary="1 - cos after the base's mean over units is taken from both sides, mean over a sample of passages; "
        "by site, of mean vectors and of last prompt tokens",
        direction="higher_is_more_change",
        low=0.0,
        high=2.0,
    ),
    MetricSpec(
        id="activation.drift.cka",
        summary="Linear CKA with the unbiased HSIC between both sides' vectors of the same units; 1 where one is a "
        "rotation and scaling of the other; by site, of mean vectors and of last prompt tokens",
        neutral=1.0,
    ),
    MetricSpec(
        id="activation.drift.mean_shift",
        summary="Length of the mean difference (its bias removed) over the spread of base tokens inside a passage; by "
        "site, of mean vectors",
        direction="higher_is_more_change",
        low=0.0,
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="activation.drift",
        summary="How far the residual stream moved, by layer and place",
        needs=(ForwardNeed(sources=SOURCES, sites=RESIDUAL),),
        metrics=METRICS,
        factory="afterburn_activation.drift:Drift",
        options=DriftOptions,
        preset="standard",
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="activation.drift_judge",
        summary="Says in which layers activations moved beyond a margin, where that begins and where it is largest",
        rules=(
            RuleSpec(
                id="activation.drift",
                summary="Whether activations moved, in which layer that begins and in which it is largest",
                help="Drift says where to look, not what was learnt: read the lens and the trait directions at that "
                "layer, and the examples with the largest differences.",
                level="note",
                metrics=("activation.drift.relative",),
            ),
        ),
        factory="afterburn_activation.drift_judge:DriftJudge",
        options=DriftJudgeOptions,
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
