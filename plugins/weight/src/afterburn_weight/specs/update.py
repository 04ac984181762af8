"""Specs of the kind of update."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, MetricSpec, RuleSpec, WeightsNeed

KINDS = (
    "identical",
    "rounding_only",
    "quantised_copy",
    "merged_adapter",
    "adapter",
    "rl_like",
    "full_fine_tuning",
)
"""What a pair can look like, by its weights alone."""


def _share(name: str, summary: str, high: float | None = 1.0) -> MetricSpec:
    return MetricSpec(id=f"weight.update.{name}", summary=summary, low=0.0, high=high)


UPDATE = (
    _share(
        "likelihood",
        "How well the evidence fits a kind of update, relative to the other kinds; a description, not calibrated on "
        "models of known training",
    ),
    _share(
        "unchanged",
        "Share of entries whose stored bits are those of the base, among the tensors that changed at all",
    ),
    _share("touched", "Share of matrices in which any entry changed"),
    _share(
        "low_rank",
        "Share of ‖Δ‖² in matrices whose change is of low rank: at most a quarter of the singular values stand "
        "above rounding and carry the change, and the others are no larger than rounding explains",
    ),
    _share(
        "rounding",
        "Share of ‖Δ‖² that one rounding of every trained entry to its stored dtype would explain",
    ),
    _share("on_grid", "Share of the changed matrices whose trained rows, sampled, lie on the grid of a quantiser"),
    MetricSpec(
        id="weight.update.off_principal",
        summary="Share of ‖Δ‖² outside the top 16 singular directions of W on either side, over what chance would "
        "leave outside; above 1 the change avoids them (measured under preset full)",
        low=0.0,
    ),
)
RULES = (
    RuleSpec(
        id="weight.update_kind",
        summary="What kind of update the weights look like",
        help="A description from sparsity, rank, rounding and place of the change. It says what the weights look like, "
        "not how they were made: the evidence stands beside it.",
        level="note",
        metrics=("weight.update.likelihood",),
    ),
)
ANALYZERS = (
    AnalyzerSpec(
        name="weight.update",
        summary="Kind of update: full fine-tuning, reinforcement learning, merged adapter, quantised copy, rounding",
        needs=(WeightsNeed(quantities=("sums", "spectra", "tensors")),),
        metrics=UPDATE,
        factory="afterburn_weight.update:UpdateAnalyzer",
        preset="standard",
    ),
)
DETECTORS = (
    DetectorSpec(
        name="weight.kind",
        summary="Names the kind of update with its evidence",
        rules=RULES,
        factory="afterburn_weight.update_judge:judge",
    ),
)
