"""Principal components of the differences between activations."""

from __future__ import annotations

from afterburn_activation.options import ComponentsOptions
from afterburn_core.forward.model import Source
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, ForwardNeed, MetricSpec, ProbeSetSpec

SOURCES: tuple[Source, ...] = ("text", "prompt")
_KINDS = "; by site, with the mean difference (uncentred) and without (centred)"
METRICS = (
    MetricSpec(
        id="activation.components.mean_share",
        summary="Share of the energy of the differences that lies in their mean, |mean d|^2 / mean |d|^2; by site",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="activation.components.top_share",
        summary=f"Share of the energy along the first principal component of the differences{_KINDS}",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="activation.components.participation",
        summary=f"Directions over which the energy spreads, (sum of eigenvalues)^2 / sum of their squares{_KINDS}",
        unit="directions",
        low=1.0,
        neutral=None,
    ),
    MetricSpec(
        id="activation.components.overlap",
        summary="Mean squared cosine between the spaces of the leading components of two halves of the units" + _KINDS,
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="activation.components.held_out",
        summary=f"Share of one half's energy along the leading components of the other half{_KINDS}",
        low=0.0,
        high=1.0,
    ),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="activation.components",
        summary="Along which directions activations moved, the mean difference included",
        needs=(ForwardNeed(sources=SOURCES, sites=("blocks.*.out",)),),
        metrics=METRICS,
        factory="afterburn_activation.components:ComponentsOfDifferences",
        options=ComponentsOptions,
        preset="standard",
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = ()
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
