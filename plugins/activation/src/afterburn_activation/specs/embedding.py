"""How embedding models changed: vectors, geometry, neighbours, retrieval, and whether an old index still serves."""

from __future__ import annotations

from afterburn_activation.embedding_options import EmbeddingJudgeOptions, EmbeddingOptions
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, EncodeNeed, MetricSpec, ProbeSetSpec, RuleSpec

_SIDES = "; each side, and trained - base paired by query"


def _share(metric: str, summary: str, direction: str = "none", low: float = 0.0) -> MetricSpec:
    return MetricSpec(id=metric, summary=summary, direction=direction, low=low, high=1.0)  # type: ignore[arg-type]


VECTORS = (
    MetricSpec(
        id="activation.embedding.settings_changed",
        summary="Facts of how a text becomes a vector that differ: pooling, prompts, normalising; named in the reason",
        unit="facts",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="activation.embedding.distance",
        summary="Mean over texts of 1 - cos of both sides' vectors of the text, as they are",
        direction="higher_is_more_change",
        low=0.0,
        high=2.0,
    ),
    MetricSpec(
        id="activation.embedding.distance_aligned",
        summary="The same after the orthogonal map (Procrustes) that fits best on the other half of the texts",
        direction="higher_is_more_change",
        low=0.0,
        high=2.0,
    ),
    MetricSpec(
        id="activation.embedding.layer_distance",
        summary="Mean over texts of 1 - cos of both sides' mean-pooled block outputs, by block",
        direction="higher_is_more_change",
        low=0.0,
        high=2.0,
    ),
    MetricSpec(
        id="activation.embedding.log_norm_ratio",
        summary="Mean over texts of ln(norm of the trained vector / norm of the base's)",
        unit="nats",
    ),
)
GEOMETRY = (
    MetricSpec(
        id="activation.embedding.cka",
        summary="Linear CKA of both sides' vectors with the unbiased HSIC; 1 for equal geometry, about 0 for unrelated",
        high=1.0,
    ),
    _share(
        "activation.embedding.rsa",
        "Spearman's correlation of both sides' cosines between pairs of texts",
        low=-1.0,
    ),
    _share(
        "activation.embedding.neighbour_overlap",
        "Mean over texts of the Jaccard overlap of the k nearest texts on both sides, k in the subset",
    ),
    _share(
        "activation.embedding.rank_biased_overlap",
        "Mean over texts of the rank-biased overlap (p = .9) of the nearest texts on both sides",
    ),
    MetricSpec(
        id="activation.embedding.participation_ratio",
        summary="Participation ratio of a side's vectors: how many directions share their variance",
        unit="dimensions",
        low=1.0,
    ),
    MetricSpec(
        id="activation.embedding.participation_log_ratio",
        summary="ln of trained's participation ratio over base's; below 0 the vectors use fewer directions",
        unit="nats",
    ),
    _share(
        "activation.embedding.unrelated_similarity",
        "Mean cosine of pairs of different texts; each side, and trained - base",
        low=-2.0,
    ),
    _share(
        "activation.embedding.near_duplicates",
        "Share of texts with another text at a cosine of at least .99; each side, and trained - base paired by text",
        low=-1.0,
    ),
)
RETRIEVAL = (
    _share("activation.retrieval.recall", f"Recall at k, k in the subset{_SIDES}", "higher_is_better", -1.0),
    _share("activation.retrieval.mrr", f"MRR at 10{_SIDES}", "higher_is_better", -1.0),
    _share("activation.retrieval.ndcg", f"nDCG at 10 with linear grades{_SIDES}", "higher_is_better", -1.0),
    _share("activation.retrieval.win_rate", "Share of queries whose nDCG at 10 rose", "higher_is_better"),
    _share("activation.retrieval.loss_rate", "Share of queries whose nDCG at 10 fell", "lower_is_better"),
    MetricSpec(
        id="activation.retrieval.log_rank_change",
        summary="Mean over queries of log2(trained's rank of the best-ranked relevant document / base's)",
        unit="bits",
        direction="lower_is_better",
    ),
)
INDEX = (
    _share(
        "activation.index.recall",
        "Recall at 10 of the trained model's queries on the base's index, as they are or mapped (subset)",
        "higher_is_better",
    ),
    _share(
        "activation.index.recall_change",
        "That recall minus the base's own queries' on the same index, paired by query",
        "higher_is_better",
        -1.0,
    ),
    _share(
        "activation.index.self_found",
        "Share of texts whose trained vector has the base's vector of the same text nearest, as it is or mapped",
        "higher_is_better",
    ),
)
METRICS = (*VECTORS, *GEOMETRY, *RETRIEVAL, *INDEX)

ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="activation.embedding",
        summary="What became of an embedding model's vectors, their neighbours, retrieval, and of an index made before",
        needs=(EncodeNeed(layers=True, passage_sets=("activation.retrieval",)),),
        metrics=METRICS,
        factory="afterburn_activation.embedding:Embedding",
        options=EmbeddingOptions,
    ),
)
RULES = (
    RuleSpec(
        id="activation.embedding_shift",
        summary="Whether the vectors of the same texts moved, and whether their geometry did",
        help="Vectors that moved can keep their geometry (a rotation): then compare them within one model only. Where "
        "neighbours changed too, look at the texts that changed most.",
        level="note",
        metrics=("activation.embedding.distance", "activation.embedding.distance_aligned"),
    ),
    RuleSpec(
        id="activation.retrieval_shift",
        summary="Whether queries find their documents better or worse",
        help="Read the queries that lost most, and give queries of your own with --corpus before you decide.",
        level="warning",
        metrics=("activation.retrieval.ndcg",),
    ),
    RuleSpec(
        id="activation.index_compatibility",
        summary="Whether new queries can search an index that the base made",
        help="If not, embed the documents again with the trained model, or keep embedding queries with the base. A map "
        "serves where the finding says what it recovers.",
        level="note",
        metrics=("activation.index.self_found", "activation.index.recall_change"),
    ),
    RuleSpec(
        id="activation.embedding_collapse",
        summary="Whether different texts got vectors that are much more alike",
        help="Look at the pairs that became near duplicates; contrastive training without enough negatives does this.",
        level="warning",
        metrics=("activation.embedding.unrelated_similarity", "activation.embedding.near_duplicates"),
    ),
    RuleSpec(
        id="activation.pooling_changed",
        summary="Whether both sides turn texts into vectors in the same way: pooling, prompts, normalising, length",
        help="Another pooling or prompt changes every vector by itself. Compare again with equal settings, or take the "
        "change as part of what you release.",
        level="warning",
        metrics=("activation.embedding.settings_changed",),
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="activation.embedding_judge",
        summary="Says whether vectors, retrieval and an old index survived training",
        rules=RULES,
        factory="afterburn_activation.embedding_judge:EmbeddingJudge",
        options=EmbeddingJudgeOptions,
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = (
    ProbeSetSpec(
        name="activation.retrieval",
        summary="Short documents on everyday things and queries with the documents that answer them, generated",
        licence="Apache-2.0",
        factory="afterburn_activation.embedding_texts:items",
        use="passages",
    ),
)
