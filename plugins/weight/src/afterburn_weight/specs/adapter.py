"""Specs of what is known of adapters: their factors, what a merge would lose, and `afterburn merge-check`."""

from __future__ import annotations

from afterburn_core.plugin import (
    AnalyzerSpec,
    CommandSpec,
    DetectorSpec,
    FactorsNeed,
    MetricSpec,
    RuleSpec,
    WeightsNeed,
)
from afterburn_weight.adapter_options import AdapterRules, FactorOptions

FACTORS = (
    MetricSpec(
        id="weight.adapter.rank",
        summary="Configured rank of the module, after rank patterns (AdaLoRA: before pruning)",
        unit="directions",
        low=0.0,
    ),
    MetricSpec(
        id="weight.adapter.used_rank",
        summary="Numeric rank of s·B·A: singular values above 1.5e-8 of the largest and above what rounding the stored "
        "factors can give",
        unit="directions",
        low=0.0,
    ),
    MetricSpec(
        id="weight.adapter.effective_rank",
        summary="Effective rank of s·B·A, exp(−Σ p ln p) with p = σ²/Σσ²: so many equally strong directions have the "
        "same entropy",
        low=1.0,
    ),
    MetricSpec(
        id="weight.adapter.stable_rank",
        summary="Stable rank of s·B·A, ‖s·B·A‖² / σ₁²",
        low=1.0,
    ),
    MetricSpec(
        id="weight.adapter.rank_use",
        summary="Use of the rank beyond one direction, (effective rank − 1) / (configured rank − 1); rolled up as the "
        "mean weighted by ‖s·B·A‖²",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.adapter.norm",
        summary="Frobenius norm of s·B·A from the factors, before DoRA's magnitudes; rolled up as √Σ‖·‖²",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.adapter.share",
        summary="Contribution: share of Σ‖s·B·A‖² over all modules",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.adapter.scaling",
        summary="The scaling s in use: α/r, α/√r with rsLoRA, α/(r₀ + 1e-5) for AdaLoRA, patterns applied",
    ),
    MetricSpec(
        id="weight.adapter.untrained",
        summary="Modules whose factors change nothing: B is still zero",
        unit="modules",
        low=0.0,
    ),
    MetricSpec(
        id="weight.adapter.collapsed",
        summary="Modules with a rank use below the threshold (default 0.1): hardly more than one direction",
        unit="modules",
        low=0.0,
    ),
    MetricSpec(
        id="weight.adapter.collapsed_share",
        summary="Share of Σ‖s·B·A‖² in collapsed modules",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.adapter.gain_change",
        summary="IA3: root mean square change of a module's gains, √mean((l − 1)²)",
        direction="higher_is_more_change",
        low=0.0,
    ),
)
MERGE = (
    MetricSpec(
        id="weight.adapter.merge_error",
        summary="What merging the adapter into the base's own dtype would lose, ‖round(W + Δ) − (W + Δ)‖ / ‖Δ‖",
        direction="lower_is_better",
        low=0.0,
    ),
    MetricSpec(
        id="weight.adapter.merge_error.bfloat16",
        summary="What merging the adapter into bfloat16 would lose, ‖round(W + Δ) − (W + Δ)‖ / ‖Δ‖",
        direction="lower_is_better",
        low=0.0,
    ),
    MetricSpec(
        id="weight.adapter.merge_error.float16",
        summary="What merging the adapter into float16 would lose, ‖round(W + Δ) − (W + Δ)‖ / ‖Δ‖",
        direction="lower_is_better",
        low=0.0,
    ),
    MetricSpec(
        id="weight.adapter.magnitude_change",
        summary="DoRA: root mean square change of the magnitudes g of a module, √mean((g/‖W‖ − 1)²) over its outputs",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.adapter.magnitude_change_max",
        summary="DoRA: largest change of a magnitude g of a module, |g/‖W‖ − 1|",
        direction="higher_is_more_change",
        low=0.0,
    ),
)
RULES = (
    RuleSpec(
        id="weight.adapter_rank_collapse",
        summary="Whether the adapter uses the rank it has",
        help="Modules that change along one direction, or not at all, may not need their rank: train with a smaller "
        "one, or look for a learning rate or data that let one direction dominate.",
        level="note",
        metrics=("weight.adapter.collapsed", "weight.adapter.untrained"),
    ),
    RuleSpec(
        id="weight.adapter_merge",
        summary="What merging the adapter into its base would lose to rounding",
        help="A change that is small against the rounding step of the base's dtype is mostly lost in a merge. Serve "
        "the adapter unmerged, merge into float32, or requantise from there. `afterburn merge-check` gives a verdict.",
        level="note",
        metrics=("weight.adapter.merge_error",),
    ),
)

ANALYZERS = (
    AnalyzerSpec(
        name="weight.adapter",
        summary="Rank, norm, contribution and scaling of an adapter's modules, from the factors alone",
        needs=(FactorsNeed(),),
        metrics=FACTORS,
        factory="afterburn_weight.adapter:AdapterFactors",
        options=FactorOptions,
    ),
    AnalyzerSpec(
        name="weight.merge",
        summary="What merging the adapter would lose, and how far DoRA moved its magnitudes",
        needs=(FactorsNeed(), WeightsNeed(quantities=("sums", "tensors"))),
        metrics=MERGE,
        factory="afterburn_weight.merge:Merge",
        preset="standard",
    ),
)
DETECTORS = (
    DetectorSpec(
        name="weight.adapter_judge",
        summary="Says whether an adapter uses its rank, and what a merge would lose",
        rules=RULES,
        factory="afterburn_weight.adapter_judge:AdapterJudge",
        options=AdapterRules,
    ),
)
COMMANDS = (
    CommandSpec(
        name="weight.merge_check",
        summary="Say what merging adapters into their base would lose.",
        factory="afterburn_weight.merge_check.commands:merge_check",
    ),
)
