"""Specs of what quantisation does to a comparison: how large its error is, and what changed besides."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, MetricSpec, RuleSpec, WeightsNeed
from afterburn_weight.quantisation_options import QuantisationOptions

SIZES = (
    MetricSpec(
        id="weight.quantisation.floor",
        summary="Relative change that quantisation alone makes: √(Σ step²/12 over the quantised sides) / ‖W‖, steps "
        "taken from the stored codes; rolled up over the quantised tensors only",
        low=0.0,
    ),
    MetricSpec(
        id="weight.quantisation.excess",
        summary="Relative change that quantisation does not explain: √max(0, relative² − floor²)",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.quantisation.ratio",
        summary="Relative change over the floor of quantisation; about 1 for a copy that was quantised and not trained",
        direction="higher_is_more_change",
        low=0.0,
    ),
)
CODES = (
    MetricSpec(
        id="weight.quantisation.codes_changed",
        summary="Share of codes that differ from those that the same quantiser gives the other side: 0 for a copy that "
        "was quantised and not trained; for quantisers that depend on nothing but the weights",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
)
RULES = (
    RuleSpec(
        id="weight.quantised",
        summary="Whether a side is quantised, and whether the change is more than its quantisation",
        help="The error of quantisation is told apart from training by its size and, where the quantiser can be "
        "repeated, by its codes. GPTQ moves weights beyond their rounding on purpose, and AWQ scales inputs and undoes "
        "it in the norm before: both show as change without training. For a fine comparison take the checkpoint from "
        "before quantisation.",
        level="note",
        metrics=("weight.quantisation.ratio", "weight.quantisation.floor"),
    ),
)

ANALYZERS = (
    AnalyzerSpec(
        name="weight.quantisation",
        summary="How much of the change the quantisation of a side explains",
        needs=(WeightsNeed(),),
        metrics=SIZES,
        factory="afterburn_weight.quantisation:Quantised",
    ),
    AnalyzerSpec(
        name="weight.requantisation",
        summary="Whether quantising the other side again gives the stored codes",
        needs=(WeightsNeed(quantities=("sums", "tensors")),),
        metrics=CODES,
        factory="afterburn_weight.requantisation:Requantised",
        preset="standard",
    ),
)
DETECTORS = (
    DetectorSpec(
        name="weight.quantisation_judge",
        summary="Says what of a change is quantisation, and where there is more",
        rules=RULES,
        factory="afterburn_weight.quantisation_judge:Judge",
        options=QuantisationOptions,
    ),
)
