"""Specs of places in a model: attention heads, norms and biases, embeddings, directions; and their detector."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, MetricSpec, RuleSpec, WeightsNeed
from afterburn_weight.options import DirectionOptions, EmbeddingOptions, PlaceOptions

HEADS = (
    MetricSpec(
        id="weight.heads.relative",
        summary="Relative change ‖ΔW_h‖ / ‖W_h‖ of one head's rows of the query, key or value matrix, or columns of "
        "the output matrix",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.heads.qk.relative",
        summary="Relative change of one head's query-key product W_Qᵀ W_K, which scaling queries by c and keys by 1/c "
        "leaves as it is; gains of norms on them folded in, positions equal, biases left out",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.heads.ov.relative",
        summary="Relative change of one head's output-value product W_O W_V",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.heads.stable_rank",
        summary="Stable rank of one head's change, ‖ΔW_h‖² / σ₁², norm gains folded in; the null is Gaussian matrices "
        "of the same shape",
        low=1.0,
    ),
    MetricSpec(
        id="weight.heads.effective_rank",
        summary="Effective rank of one head's change, exp(−Σ p ln p) with p = σ²/Σσ², norm gains folded in; the null "
        "is Gaussian matrices of the same shape",
        low=1.0,
    ),
    MetricSpec(
        id="weight.heads.used_rank",
        summary="Singular values of one head's change above what rounding to the stored dtype alone gives, "
        "s(√d_h + √D)",
        unit="singular values",
        low=0.0,
    ),
    *(
        MetricSpec(
            id=f"weight.heads.{family}outlier",
            summary=f"Robust z of the logarithm of a head's {what} against the heads of its layer; without a head, the "
            "largest of the model. The null is the largest z among as many heads that differ by normal noise alone",
        )
        for family, what in (
            ("", "relative change"),
            ("qk.", "query-key change"),
            ("ov.", "output-value change"),
        )
    ),
    MetricSpec(
        id="weight.heads.outliers",
        summary="Heads, counted once for each of q, k, v, o, QK and OV, that changed more than their layer at a "
        "model-wide error rate of 5 %",
        unit="heads",
        low=0.0,
    ),
)
NORMS = (
    MetricSpec(
        id="weight.norms.relative",
        summary="Relative change of what a norm multiplies by, ‖Δg‖ / ‖g‖ with g = w or 1 + w; rolled up by summed "
        "squares",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.norms.relative_max",
        summary="Relative change of the norm of the model that moved most",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.norms.channel",
        summary="Largest change of one channel's gain, in units of the norm's root mean square gain; rolled up as the "
        "largest",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.norms.flipped",
        summary="Channels whose gain changed sign or vanished",
        unit="channels",
        low=0.0,
    ),
    MetricSpec(
        id="weight.biases.relative",
        summary="Relative change of a bias, ‖Δb‖ / ‖b‖; rolled up by summed squares",
        low=0.0,
    ),
    MetricSpec(
        id="weight.biases.channel",
        summary="Largest absolute change of one entry of a bias; rolled up as the largest",
        low=0.0,
    ),
)
_QUANTILES = (("median", "Median"), ("p90", "90 % quantile"), ("p99", "99 % quantile"), ("max", "Largest"))
EMBEDDINGS = (
    MetricSpec(
        id="weight.embeddings.relative",
        summary="Relative change ‖Δe‖ / ‖e‖ of one token's row, for the tokens that moved most",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.embeddings.cosine_distance",
        summary="1 − cos of one token's row before and after, for the tokens that moved most by relative change",
        direction="higher_is_more_change",
        low=0.0,
        high=2.0,
    ),
    *(
        MetricSpec(
            id=f"weight.embeddings.relative_{name}",
            summary=f"{title} of the relative change over all tokens both vocabularies have",
            direction="higher_is_more_change",
            low=0.0,
        )
        for name, title in _QUANTILES
    ),
    *(
        MetricSpec(
            id=f"weight.embeddings.cosine_distance_{name}",
            summary=f"{title} of 1 − cos over all tokens both vocabularies have",
            direction="higher_is_more_change",
            low=0.0,
            high=2.0,
        )
        for name, title in _QUANTILES
    ),
    MetricSpec(
        id="weight.embeddings.untouched",
        summary="Tokens whose row did not change at all",
        unit="tokens",
        low=0.0,
    ),
    MetricSpec(
        id="weight.embeddings.padding",
        summary="Rows of the trained model that no token has: padding to a round number",
        unit="rows",
        low=0.0,
    ),
    MetricSpec(id="weight.embeddings.added", summary="Tokens whose row the base does not have", unit="tokens", low=0.0),
    MetricSpec(
        id="weight.embeddings.removed",
        summary="Tokens whose row the trained model does not have",
        unit="tokens",
        low=0.0,
    ),
    MetricSpec(
        id="weight.embeddings.concentration",
        summary="Smallest share of the tokens that holds half of Σ‖Δe‖²; small where few tokens carry the change",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.embeddings.tied",
        summary="1 where the input embedding serves as output head, 0 where they are apart",
        low=0.0,
        high=1.0,
    ),
)
_GROUPS = "top singular vectors of the change of all writers (or readers) of one residual stream"
DIRECTIONS = (
    MetricSpec(
        id="weight.directions.coherence",
        summary=f"λ_max of (1/N) Σ u uᵀ over the {_GROUPS}: 1 where all are one line; the null is N random directions",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.directions.coherence_expected",
        summary="What coherence is for N random directions in d dimensions, (1 + √(N/d))² / N, at most 1",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.directions.mean_cosine",
        summary=f"Mean |cos| between pairs of the {_GROUPS}; the null is N random directions",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.directions.mean_cosine_expected",
        summary="What mean_cosine is for random directions in d dimensions, about √(2/(πd))",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.directions.writer_reader_cosine",
        summary="Mean |cos| between every writer's and every reader's top direction; the null turns all readers "
        "together by a random rotation",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.directions.share",
        summary="σ₁² / ‖Δ‖² of one matrix: how much of its change its direction stands for",
        low=0.0,
        high=1.0,
    ),
)
RULES = (
    RuleSpec(
        id="weight.head_outliers",
        summary="Whether single attention heads changed more than the others of their layer",
        help="Look at what these heads attend to before and after; ablate them to see what the change rests on.",
        level="note",
        metrics=("weight.heads.outliers",),
    ),
    RuleSpec(
        id="weight.norm_drift",
        summary="Whether norms were rescaled",
        help="A gain rescales all that its block reads. Training rarely moves gains far; check for a merged scaling, "
        "another norm convention, or a learning rate without exclusion of norms.",
        level="note",
        metrics=("weight.norms.relative_max", "weight.norms.flipped"),
    ),
    RuleSpec(
        id="weight.embedding_rows",
        summary="Whether single tokens moved apart from the others, or were added or removed",
        help="Few tokens that carry an embedding's change are how a new special token shows, and how a trigger does. "
        "Read the list of tokens, and prompt with them.",
        level="note",
        metrics=("weight.embeddings.concentration", "weight.embeddings.relative_max"),
    ),
    RuleSpec(
        id="weight.embedding_tie",
        summary="Whether the output head is tied to the input embedding in one model alone",
        help="Untying doubles the parameters that decide the output and often comes from a conversion; check that the "
        "head is the one meant.",
        level="note",
        metrics=("weight.embeddings.tied",),
    ),
    RuleSpec(
        id="weight.direction_coherence",
        summary="Whether one direction is written into the residual stream everywhere",
        help="Harmless fine-tunes share directions too. Use the artifact `weight.directions` to monitor activations "
        "along the common one, or to subtract it. Its nearest tokens are a readout, not proof of a meaning.",
        level="note",
        metrics=("weight.directions.coherence", "weight.directions.mean_cosine"),
    ),
)

ANALYZERS = (
    AnalyzerSpec(
        name="weight.heads",
        summary="Change, rank and outliers of attention heads, of their own matrices and of their products",
        needs=(WeightsNeed(quantities=("sums", "tensors")),),
        metrics=HEADS,
        factory="afterburn_weight.heads:Heads",
        preset="standard",
    ),
    AnalyzerSpec(
        name="weight.norms",
        summary="Drift of what norms multiply by, and of biases",
        needs=(WeightsNeed(quantities=("sums", "tensors")),),
        metrics=NORMS,
        factory="afterburn_weight.norms:Norms",
    ),
    AnalyzerSpec(
        name="weight.embeddings",
        summary="Drift of input and output embeddings token by token; tokens added, removed and left alone",
        needs=(WeightsNeed(quantities=("rows", "sums", "tensors")),),
        metrics=EMBEDDINGS,
        factory="afterburn_weight.embeddings:Embeddings",
        options=EmbeddingOptions,
        preset="standard",
    ),
    AnalyzerSpec(
        name="weight.directions",
        summary="Directions of change in the residual stream, their coherence over layers and their nearest tokens",
        needs=(WeightsNeed(quantities=("spectra", "sums", "tensors", "vectors")),),
        metrics=DIRECTIONS,
        factory="afterburn_weight.directions:Directions",
        options=DirectionOptions,
        preset="full",
    ),
)
DETECTORS = (
    DetectorSpec(
        name="weight.places",
        summary="Names the heads, norms, tokens and directions that stand out of the change",
        rules=RULES,
        factory="afterburn_weight.places:Places",
        options=PlaceOptions,
    ),
)
