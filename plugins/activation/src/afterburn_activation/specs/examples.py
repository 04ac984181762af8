"""Tokens and passages at which activations differ most."""

from __future__ import annotations

from afterburn_activation.options import ExamplesOptions
from afterburn_core.forward.model import Source
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ForwardNeed, MetricSpec, ProbeSetSpec

SOURCES: tuple[Source, ...] = ("text", "prompt")
QUANTILES = (0.5, 0.9, 0.99)
TOP = 0.01
METRICS = (
    MetricSpec(
        id="activation.examples.delta_norm",
        summary="Quantile over tokens of the length of the difference, in units of the root mean square length of "
        "base activations; by site and quantile (p50, p90, p99)",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="activation.examples.top_share",
        summary="Share of the energy of the differences in the 1 % of tokens that differ most; by site",
        low=0.0,
        high=1.0,
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="activation.examples",
        summary="At which tokens activations differ most, and how the differences spread over tokens",
        needs=(ForwardNeed(sources=SOURCES, sites=("blocks.*.out",)),),
        metrics=METRICS,
        factory="afterburn_activation.examples:Examples",
        options=ExamplesOptions,
        preset="standard",
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = ()
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
