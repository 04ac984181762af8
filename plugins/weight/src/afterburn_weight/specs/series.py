"""Specs of what several models beside one base are measured by: trajectories of a run, candidates side by side."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, MetricSpec, RuleSpec, SeriesNeed

_COVERAGE = "Share of parameters that were compared, of those present in the base or in any model (buffers excluded)"
_UNEXPLAINED = "Share of parameters left out for no accepted reason, such as a tensor that one model lacks"


def _shared(prefix: str) -> tuple[MetricSpec, ...]:
    """What both kinds of series are measured by."""
    return (
        MetricSpec(id=f"{prefix}.coverage", summary=_COVERAGE, direction="higher_is_better", low=0.0, high=1.0),
        MetricSpec(
            id=f"{prefix}.coverage.unexplained", summary=_UNEXPLAINED, direction="lower_is_better", low=0.0, high=1.0
        ),
        MetricSpec(
            id=f"{prefix}.nonfinite",
            summary="Entries that are NaN or infinite",
            unit="entries",
            direction="lower_is_better",
            low=0.0,
        ),
        MetricSpec(
            id=f"{prefix}.norm",
            summary="Frobenius norm of the change from the base, ‖θ − W‖; rolled up as √Σ‖Δ‖²",
            direction="higher_is_more_change",
            low=0.0,
        ),
        MetricSpec(
            id=f"{prefix}.relative",
            summary="Relative change from the base, ‖θ − W‖ / ‖W‖; rolled up as √(Σ‖Δ‖² / Σ‖W‖²)",
            direction="higher_is_more_change",
            low=0.0,
        ),
        MetricSpec(
            id=f"{prefix}.changed_fraction",
            summary="Share of entries whose stored bits differ from the base's, in the model's own dtype",
            direction="higher_is_more_change",
            low=0.0,
            high=1.0,
        ),
    )


TRAJECTORY = (
    *_shared("weight.trajectory"),
    MetricSpec(
        id="weight.trajectory.step_norm",
        summary="Length of the way from one checkpoint to the next, ‖θ_t − θ_{t−1}‖",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.trajectory.step_cosine",
        summary="Cosine between two consecutive steps D_t and D_{t+1}, D_t = θ_t − θ_{t−1}: 1 straight on, −1 back; "
        "independent steps give 0 ± 1/√n",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.trajectory.cosine_to_final",
        summary="Cosine between the change so far and the final change, cos(θ_t − θ_0, θ_T − θ_0)",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.trajectory.path_length",
        summary="Length of the path through all checkpoints, Σ‖θ_t − θ_{t−1}‖; more checkpoints see more of it",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.trajectory.straightness",
        summary="Final change over path length, ‖θ_T − θ_0‖ / Σ‖θ_t − θ_{t−1}‖: 1 for a straight line, 0 for a return",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.trajectory.onset_step",
        summary="Training step of the first checkpoint with at least 10 % of the final energy, ‖Δ_t‖² ≥ ‖Δ_T‖²/10",
        unit="steps",
        low=0.0,
    ),
    MetricSpec(
        id="weight.trajectory.change_point",
        summary="Training step at which the level of log‖Δ‖ shifts most, by cumulative sums (descriptive: a smooth "
        "growth has one too)",
        unit="steps",
        low=0.0,
    ),
    MetricSpec(id="weight.trajectory.loss", summary="Training loss that the trainer logged last, up to the checkpoint"),
    MetricSpec(
        id="weight.trajectory.eval_loss", summary="Evaluation loss that the trainer logged last, up to the checkpoint"
    ),
    MetricSpec(
        id="weight.trajectory.learning_rate",
        summary="Learning rate that the trainer logged last, up to the checkpoint",
        low=0.0,
    ),
)


def _subspace(side: str, vectors: str) -> tuple[MetricSpec, MetricSpec]:
    return (
        MetricSpec(
            id=f"weight.candidates.subspace_{side}",
            summary=f"Overlap ‖{vectors}₁ᵀ{vectors}₂‖²/k of the top {side} singular subspaces of two changes, k ≤ 8; "
            "rolled up as the mean over matrices",
            low=0.0,
            high=1.0,
        ),
        MetricSpec(
            id=f"weight.candidates.subspace_{side}_random",
            summary=f"Overlap that independent {side} subspaces of this size have on average, k over the dimension",
            low=0.0,
            high=1.0,
        ),
    )


CANDIDATES = (
    *_shared("weight.candidates"),
    MetricSpec(
        id="weight.candidates.cosine",
        summary="Cosine between the changes of two models, ⟨Δ₁, Δ₂⟩ / (‖Δ₁‖ ‖Δ₂‖)",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.candidates.cosine_random",
        summary="Standard deviation of the cosine if every entry of both changes had a random sign, "
        "√Σδ₁²δ₂² / (‖Δ₁‖ ‖Δ₂‖), the widest of all pairs; 1/√n for entries of even size",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.candidates.sign_agreement",
        summary="Share of entries changed in one direction, of those that both models changed; .5 for independent ones",
        low=0.0,
        high=1.0,
    ),
    *_subspace("left", "U"),
    *_subspace("right", "V"),
)


def _rules(kind: str, of: str) -> tuple[RuleSpec, RuleSpec]:
    return (
        RuleSpec(
            id=f"weight.{kind}_coverage",
            summary=f"Whether every parameter was compared in all {of}",
            help="What one model lacks is left out for all. Leave out the model that differs, or save it again.",
            level="warning",
            metrics=(f"weight.{kind}.coverage", f"weight.{kind}.coverage.unexplained"),
        ),
        RuleSpec(
            id=f"weight.{kind}_nonfinite",
            summary=f"Whether any of the {of} holds NaN or infinite weights",
            help="Training diverged or a file is damaged. Go back to the last checkpoint without any.",
            level="error",
            metrics=(f"weight.{kind}.nonfinite",),
        ),
    )


RULES = (
    *_rules("trajectory", "checkpoints"),
    RuleSpec(
        id="weight.trajectory_shape",
        summary="How training moved the weights over time",
        help="Layers with an early onset moved first. A sharp turn (a step cosine far below its neighbours) or a late "
        "change point is where to look at samples and loss.",
        level="note",
        metrics=("weight.trajectory.path_length", "weight.trajectory.straightness"),
    ),
    *_rules("candidates", "candidates"),
    RuleSpec(
        id="weight.candidates_relation",
        summary="How the candidates' changes relate to one another",
        help="A cosine near 1 means nearly the same training; clearly negative ones undo each other and merge badly. "
        "Shared subspaces with unlike signs are where merges interfere.",
        level="note",
        metrics=("weight.candidates.cosine",),
    ),
)

ANALYZERS = (
    AnalyzerSpec(
        name="weight.trajectory",
        summary="How the weights moved from checkpoint to checkpoint of one training run",
        needs=(SeriesNeed(of="checkpoint", quantities=("tasks", "steps")),),
        metrics=TRAJECTORY,
        factory="afterburn_weight.series.trajectory:Trajectory",
    ),
    AnalyzerSpec(
        name="weight.candidates",
        summary="How the changes of several trained models of one base relate to one another",
        needs=(SeriesNeed(of="trained", quantities=("tasks", "signs", "subspaces")),),
        metrics=CANDIDATES,
        factory="afterburn_weight.series.candidates:Candidates",
    ),
)
DETECTORS = (
    DetectorSpec(
        name="weight.series_judge",
        summary="Says how checkpoints moved or candidates relate, and whether the comparison is whole and finite",
        rules=RULES,
        factory="afterburn_weight.series.judge:SeriesJudge",
    ),
)
