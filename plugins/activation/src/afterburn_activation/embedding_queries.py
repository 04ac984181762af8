"""What training did to retrieval, and whether an index of the base's vectors can be searched with new queries.

Both sides rank the same documents for the same queries, each by its own stated similarity. For the old index, queries
of the trained model rank the base's vectors by the base's similarity: as they are, and after the orthogonal map that
was fitted on one half of the documents. The index is judged against what the base's own queries find in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_activation.embedding_geometry import procrustes, unit
from afterburn_activation.embedding_numbers import PAIR, described
from afterburn_activation.embedding_retrieval import KS, Judged, Scores, rankings, scores
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.stats.contrast import as_measurement
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.one_side import rate
from afterburn_core.stats.paired import paired_contrast, paired_rate_contrasts
from afterburn_core.stats.split import half

if TYPE_CHECKING:
    from afterburn_activation.embedding import Sides
    from afterburn_core.forward.model import Vectors

Floats = NDArray[np.float64]
FAMILY = "activation.retrieval"
AS_IS, MAPPED = "as it is", "mapped"
_UNJUDGED = "no query names a document that answers it"


@attrs.frozen(kw_only=True)
class Retrieved:
    """Measurements, and one row per query for the artifact."""

    measurements: tuple[Measurement, ...]
    rows: tuple[Mapping[str, Any], ...] = ()


@attrs.frozen(kw_only=True, eq=False)
class Index:
    """Queries and documents of both sides."""

    judged: Judged
    texts: Mapping[str, str]
    queries: Mapping[str, Floats]
    """(q, d) by side."""
    documents: Mapping[str, Floats]
    similarity: Mapping[str, str]
    identical: bool

    @classmethod
    def of(cls, vectors: Vectors, *, identical: bool) -> Index | None:
        """`None` where no query has a relevant document. Documents are the texts of that kind, else all but queries."""
        kinds = set(vectors.kinds)
        wanted = ("document",) if "document" in kinds else ("text",)
        order = sorted(range(len(vectors.ids)), key=lambda i: vectors.ids[i])
        documents = [i for i in order if vectors.kinds[i] in wanted]
        asked = [i for i in order if vectors.kinds[i] == "query"]
        names = [vectors.ids[i] for i in documents]
        judged = Judged.of([vectors.ids[i] for i in asked], names, vectors.relevant)
        if not judged.queries or len(documents) < 2:
            return None
        kept = [i for i in asked if vectors.ids[i] in set(judged.queries)]
        sides = {side: getattr(vectors, side).double().cpu().numpy() for side in PAIR}
        stated = {side: dict(vectors.properties.get(side) or {}) for side in PAIR}
        return cls(
            judged=judged,
            texts=dict(zip(vectors.ids, vectors.texts, strict=True)),
            queries={side: one[kept] for side, one in sides.items()},
            documents={side: one[documents] for side, one in sides.items()},
            similarity={side: str(stated[side].get("similarity", "cosine")) for side in PAIR},
            identical=identical,
        )

    def map(self) -> Floats:
        """From the trained side to the base's, fitted on one half of the documents."""
        chosen = np.array([half(name, key=FAMILY) == "discover" for name in self.judged.documents])
        if not chosen.any():
            chosen[:] = True
        return procrustes(self.documents["trained"][chosen], self.documents["base"][chosen])


def retrieval(vectors: Vectors, sides: Sides, mapped: Floats | None, *, seed: int) -> Retrieved:
    """Retrieval on both sides, and on the old index; what texts alone can tell where no query is judged."""
    found = _self_found(sides, mapped, seed=seed)
    index = Index.of(vectors, identical=sides.identical)
    if index is None:
        lacking = ("activation.retrieval.ndcg", "activation.index.recall_change")
        return Retrieved(measurements=(*found, *(undefined(metric, _UNJUDGED, n=0) for metric in lacking)))
    own = {
        side: scores(rankings(index.queries[side], index.documents[side], index.similarity[side]), index.judged)
        for side in PAIR
    }
    found += _contrasts(own, identical=sides.identical, seed=seed)
    measured, on_old = _old_index(index, own["base"], seed=seed)
    return Retrieved(measurements=(*found, *measured), rows=_rows(index, own, on_old))


def _contrasts(own: Mapping[str, Scores], *, identical: bool, seed: int) -> list[Measurement]:
    """Each side's scores, and their paired differences, corrected together."""
    places: dict[str, tuple[str, Scope, dict[str, Floats]]] = {
        "ndcg": ("activation.retrieval.ndcg", Scope(), {side: own[side].ndcg for side in PAIR}),
        "mrr": ("activation.retrieval.mrr", Scope(), {side: own[side].mrr for side in PAIR}),
    }
    for k in KS:
        values = {side: own[side].recall[k] for side in PAIR}
        places[f"recall {k}"] = ("activation.retrieval.recall", Scope(subset=f"k={k}"), values)
    contrasts = paired_rate_contrasts(
        {name: values["base"] for name, (_, _, values) in places.items()},
        {name: values["trained"] for name, (_, _, values) in places.items()},
        seed=seed,
        identical=identical,
    )
    log_ranks = np.log2(own["trained"].first) - np.log2(own["base"].first)
    contrasts["rank"] = paired_contrast(log_ranks, seed=seed)
    contrasts = adjust(contrasts, family=FAMILY, method="holm")
    found = []
    for name, (metric, scope, values) in places.items():
        for side in PAIR:
            found.append(as_measurement(rate(values[side], seed=seed), metric, subjects=(side,), scope=scope))
        found.append(described(contrasts[name], metric, identical=identical, scope=scope))
    found.append(described(contrasts["rank"], "activation.retrieval.log_rank_change", identical=identical))
    change = own["trained"].ndcg - own["base"].ndcg
    for metric, outcomes in (("win_rate", change > 0), ("loss_rate", change < 0)):
        contrast = rate(outcomes.astype(np.float64), seed=seed)
        found.append(described(contrast, f"activation.retrieval.{metric}", identical=identical))
    return found


def _old_index(index: Index, own: Scores, *, seed: int) -> tuple[list[Measurement], Scores | None]:
    """Recall@10 of new queries on the base's index, as it is and mapped; the scores after mapping."""
    base, trained = index.documents["base"], index.queries["trained"]
    width = index.documents["trained"].shape[1]
    found: list[Measurement] = []
    last: Scores | None = None
    for subset in (AS_IS, MAPPED):
        scope = Scope(subset=subset)
        if subset == AS_IS and base.shape[1] != width:
            reason = f"vectors of {width} dimensions cannot search an index of {base.shape[1]}"
            for metric in ("activation.index.recall", "activation.index.recall_change"):
                subjects = PAIR if metric.endswith("change") else ("trained",)
                found.append(undefined(metric, reason, subjects=subjects, scope=scope, n=len(own.ndcg)))
            continue
        queries = trained if subset == AS_IS or index.identical else trained @ index.map()
        last = scores(rankings(queries, base, index.similarity["base"]), index.judged)
        recall = rate(last.recall[10], seed=seed)
        change = paired_rate_contrasts(
            {"": own.recall[10]}, {"": last.recall[10]}, seed=seed, identical=index.identical
        )[""]
        found.append(as_measurement(recall, "activation.index.recall", subjects=("trained",), scope=scope))
        found.append(described(change, "activation.index.recall_change", identical=index.identical, scope=scope))
    return found, last


def _self_found(sides: Sides, mapped: Floats | None, *, seed: int) -> list[Measurement]:
    """Share of texts whose trained vector has the base's vector of the same text nearest, before and after a map."""
    metric, n = "activation.index.self_found", len(sides.ids)
    found: list[Measurement] = []
    base = unit(sides.base)
    for subset in (AS_IS, MAPPED):
        scope = Scope(subset=subset)
        if subset == AS_IS and not sides.comparable:
            reason = f"{sides.base.shape[1]} against {sides.trained.shape[1]} dimensions"
            found.append(undefined(metric, reason, scope=scope, n=n))
            continue
        rows = sides.trained if subset == AS_IS else mapped
        if n < 2 or rows is None:
            found.append(undefined(metric, f"{n} texts are too few", scope=scope, n=n))
            continue
        contrast = rate(_nearest_is_self(unit(rows), base), seed=seed)
        found.append(described(contrast, metric, identical=False, scope=scope))
    return found


def _nearest_is_self(rows: Floats, base: Floats) -> Floats:
    """Whether no other text of the base is nearer than the own one; texts with equal vectors count as one."""
    step = max(1, (1 << 22) // max(len(base), 1))
    hits = []
    for start in range(0, len(rows), step):
        similar = rows[start : start + step] @ base.T
        mine = similar[np.arange(len(similar)), np.arange(start, start + len(similar))]
        hits.append(mine >= similar.max(axis=1) - 1e-12)
    return np.concatenate(hits).astype(np.float64) if hits else np.zeros(0)


def _rows(index: Index, own: Mapping[str, Scores], mapped: Scores | None) -> tuple[Mapping[str, Any], ...]:
    """One row per query, those that lost most first."""
    change = own["trained"].ndcg - own["base"].ndcg
    names = index.judged.documents
    rows = []
    for i in sorted(range(len(change)), key=lambda i: (change[i], index.judged.queries[i])):
        query = index.judged.queries[i]
        rows.append(
            {
                "query": query,
                "text": index.texts[query],
                "relevant": [names[j] for j in sorted(index.judged.grades[i])],
                "rank_base": int(own["base"].first[i]),
                "rank_trained": int(own["trained"].first[i]),
                "rank_old_index_mapped": None if mapped is None else int(mapped.first[i]),
                "ndcg_base": float(own["base"].ndcg[i]),
                "ndcg_trained": float(own["trained"].ndcg[i]),
                "top_base": names[int(own["base"].top[i])],
                "top_trained": names[int(own["trained"].top[i])],
                "top_base_text": index.texts[names[int(own["base"].top[i])]],
                "top_trained_text": index.texts[names[int(own["trained"].top[i])]],
            }
        )
    return tuple(rows)
