"""How far the layers moved on each domain's prompts."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ForwardNeed, MetricSpec, ProbeSetSpec
from afterburn_sae import domain_texts
from afterburn_sae.risk_options import DriftOptions

METRICS = (
    MetricSpec(
        id="sae.drift.dense",
        summary="1 - cos of mean activations under base and trained; by site and probe set",
        direction="higher_is_more_change",
        low=0.0,
        high=2.0,
    ),
    MetricSpec(
        id="sae.drift.features",
        summary="1 - cos of mean codes of a dictionary under base and trained; by site and probe set",
        direction="higher_is_more_change",
        low=0.0,
        high=2.0,
    ),
    MetricSpec(
        id="sae.drift.mass",
        summary="Sum over features of the absolute change of mean codes over the base's sum of mean codes; by site and "
        "probe set",
        direction="higher_is_more_change",
        low=0.0,
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="sae.drift",
        summary="How far every layer moved on questions of finance, law, customer support and safety",
        needs=(ForwardNeed(sources=("given",), sites=("blocks.*.out",), passage_sets=domain_texts.SETS),),
        metrics=METRICS,
        factory="afterburn_sae.drift:Drift",
        options=DriftOptions,
        asks="afterburn_sae.risk_needs:of_drift",
        example="afterburn_sae.risk_example:drift",
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = ()
PROBE_SETS: tuple[ProbeSetSpec, ...] = domain_texts.PROBE_SETS
