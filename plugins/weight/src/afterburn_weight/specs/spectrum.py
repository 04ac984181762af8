"""Specs of the spectra of W, W' and of the change."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, MetricSpec, WeightsNeed
from afterburn_weight.options import SpectrumOptions

TOPS = (1, 4, 16, 64)
"""Numbers of leading singular values whose share of the energy is told."""


def _rank(name: str, summary: str, unit: str = "1") -> MetricSpec:
    return MetricSpec(id=f"weight.delta.{name}", summary=summary, unit=unit, low=0.0)


DELTA = (
    _rank(
        "rank_numeric",
        "Rank of the change: singular values of Δ above what rounding to the stored dtype alone produces in 999 of "
        "1000 matrices, about s(√m + √n) with s = √(mean ulp(w')²/12); for an adapter's factors, above 1e-12 of the "
        "largest; rolled up as their sum",
        "singular values",
    ),
    _rank("stable_rank", "Stable rank of the change, ‖Δ‖² / σ₁²; rolled up as the mean weighted by ‖Δ‖²"),
    _rank(
        "effective_rank",
        "Effective rank of the change, exp(−Σ p ln p) with p = σ²/Σσ²; rolled up as the mean weighted by ‖Δ‖²",
    ),
    _rank("participation", "Participation ratio of the change, (Σσ²)² / Σσ⁴; rolled up as the mean weighted by ‖Δ‖²"),
    _rank(
        "rank_at_90",
        "Fewest singular values that hold 90 % of ‖Δ‖²; rolled up as the mean weighted by ‖Δ‖²",
        "singular values",
    ),
    MetricSpec(
        id="weight.delta.nuclear_norm",
        summary="Nuclear norm of the change, Σσ; rolled up as the sum",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.delta.spectral_norm",
        summary="Largest singular value of the change; rolled up as the largest",
        direction="higher_is_more_change",
        low=0.0,
    ),
    *(
        MetricSpec(
            id=f"weight.delta.energy_top{k}",
            summary=f"Share of ‖Δ‖² in the {k} largest singular values"
            if k > 1
            else "Share of ‖Δ‖² in the largest singular value",
            low=0.0,
            high=1.0,
        )
        for k in TOPS
    ),
)
SIDES = (
    MetricSpec(
        id="weight.spectrum.stable_rank",
        summary="Stable rank of one checkpoint, ‖W‖² / σ₁²; rolled up as the mean weighted by ‖W‖²",
        low=0.0,
    ),
    MetricSpec(
        id="weight.spectrum.effective_rank",
        summary="Effective rank of one checkpoint, exp(−Σ p ln p) with p = σ²/Σσ²; rolled up as the mean weighted by "
        "‖W‖²",
        low=0.0,
    ),
    MetricSpec(
        id="weight.spectrum.rank_numeric",
        summary="Singular values of one checkpoint above the floor of the arithmetic: 1.5 k^¼ √u of the "
        "largest, 2e-3 in preset standard and 9e-8 in full for k = 1024; rolled up as their sum",
        unit="singular values",
        low=0.0,
    ),
    MetricSpec(
        id="weight.spectrum.spectral_norm",
        summary="Largest singular value of one checkpoint; rolled up as the largest",
        low=0.0,
    ),
    MetricSpec(
        id="weight.spectrum.nuclear_norm", summary="Nuclear norm of one checkpoint, Σσ; rolled up as the sum", low=0.0
    ),
    MetricSpec(
        id="weight.spectrum.drift",
        summary="‖σ(W') − σ(W)‖ / ‖σ(W)‖: how far the singular values moved, whatever the vectors did",
        direction="higher_is_more_change",
        low=0.0,
    ),
)
PRINCIPAL = (
    MetricSpec(
        id="weight.principal.share",
        summary="Share of the change inside the top k = 16 singular directions of W on both sides, ‖UₖᵀΔVₖ‖² / ‖Δ‖²",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.principal.expected",
        summary="What `weight.principal.share` is for a change in random directions, k²/(mn)",
        low=0.0,
        high=1.0,
    ),
    *(
        MetricSpec(
            id=f"weight.principal.{side}",
            summary=f"Share of the change in the top k = 16 {side} singular directions of W, {formula}; "
            f"by chance {chance}",
            low=0.0,
            high=1.0,
        )
        for side, formula, chance in (("left", "‖UₖᵀΔ‖² / ‖Δ‖²", "k/m"), ("right", "‖ΔVₖ‖² / ‖Δ‖²", "k/n"))
    ),
    MetricSpec(
        id="weight.principal.angle",
        summary="Largest principal angle between the spans of the top 16 left singular vectors of W and W'",
        unit="rad",
        low=0.0,
        high=1.5707963267948966,
        direction="higher_is_more_change",
    ),
    MetricSpec(
        id="weight.principal.angle_right",
        summary="Largest principal angle between the spans of the top 16 right singular vectors of W and W'",
        unit="rad",
        low=0.0,
        high=1.5707963267948966,
        direction="higher_is_more_change",
    ),
    *(
        MetricSpec(
            id=f"weight.intruders.{side}",
            summary=f"Intruder dimensions: of the top 10 {side} singular vectors of W', those whose |cosine| with "
            "every one of W is below 0.5 (arXiv 2410.21228); rolled up as the sum",
            unit="singular vectors",
            direction="higher_is_more_change",
            low=0.0,
        )
        for side in ("left", "right")
    ),
)

ANALYZERS = (
    AnalyzerSpec(
        name="weight.spectrum",
        summary="Singular values of the change and of both checkpoints: ranks, norms, energies and drift",
        needs=(WeightsNeed(quantities=("sums", "spectra")),),
        metrics=(*DELTA, *SIDES),
        factory="afterburn_weight.spectrum:SpectrumAnalyzer",
        options=SpectrumOptions,
        preset="standard",
    ),
    AnalyzerSpec(
        name="weight.principal",
        summary="Where the change lies relative to the top singular vectors of the base; intruder dimensions",
        needs=(WeightsNeed(quantities=("sums", "spectra", "vectors")),),
        metrics=PRINCIPAL,
        factory="afterburn_weight.principal:PrincipalAnalyzer",
        preset="full",
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = ()
