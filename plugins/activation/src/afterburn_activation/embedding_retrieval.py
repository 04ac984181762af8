"""Retrieval by queries with graded relevance: ranks of documents, recall@k, MRR@10, nDCG@10 by query.

With the documents of one query in order of similarity, g_r the grade of the one at rank r, R those of grade above 0:

    recall@k   |R among the first k| / |R|
    MRR@10     1 / rank of the first of R, 0 beyond rank 10
    nDCG@10    Σ_{r ≤ 10} g_r / log2(r + 1), over the same sum in the best possible order

Grades count linearly, as in the TREC tools. Of equally similar documents the earlier one comes first, on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
CUT = 10
"""Depth of MRR and nDCG."""
KS = (1, 5, 10)
_BLOCK = 1 << 22
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]


def similarities(queries: Floats, documents: Floats, kind: str) -> Floats:
    """(q, n); larger is nearer. Unknown kinds are read as cosine."""
    if kind == "dot":
        return np.asarray(queries @ documents.T)
    if kind == "euclidean":
        squares = (queries**2).sum(axis=1)[:, None] + (documents**2).sum(axis=1)[None]
        return np.asarray(2 * queries @ documents.T - squares)
    if kind == "manhattan":
        return np.stack([-np.abs(documents - query).sum(axis=1) for query in queries])
    norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(documents, axis=1)[None]
    product = queries @ documents.T
    return np.asarray(np.divide(product, norms, out=np.zeros_like(product), where=norms > 0))


def rankings(queries: Floats, documents: Floats, kind: str = "cosine") -> Indices:
    """Documents of each query, nearest first, (q, n); a block of queries at a time."""
    found = np.empty((len(queries), len(documents)), dtype=np.int32)
    step = max(1, _BLOCK // max(len(documents), 1))
    for start in range(0, len(queries), step):
        block = similarities(queries[start : start + step], documents, kind)
        found[start : start + step] = np.argsort(-block, axis=1, kind="stable")
    return np.asarray(found)


@attrs.frozen(kw_only=True, eq=False)
class Judged:
    """Grades of documents by query, as arrays."""

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    grades: tuple[Mapping[int, float], ...]
    """By query, grades above 0 by document's index."""

    @classmethod
    def of(
        cls, queries: Sequence[str], documents: Sequence[str], relevant: Mapping[str, Mapping[str, float]]
    ) -> Judged:
        """Queries that have a relevant document among those given; others cannot be scored and are left out."""
        place = {name: i for i, name in enumerate(documents)}
        grades = {
            query: {
                place[name]: float(grade)
                for name, grade in relevant.get(query, {}).items()
                if name in place and grade > 0
            }
            for query in queries
        }
        kept = tuple(query for query in queries if grades[query])
        return cls(queries=kept, documents=tuple(documents), grades=tuple(grades[query] for query in kept))


@attrs.frozen(kw_only=True, eq=False)
class Scores:
    """By query, (q)."""

    first: Indices
    """Rank of the best-ranked relevant document, 1 at the top."""
    recall: Mapping[int, Floats]
    """By k."""
    mrr: Floats
    ndcg: Floats
    top: Indices
    """The first document."""


def scores(ranked: Indices, judged: Judged) -> Scores:
    """Scores of rankings (q, n), one row per judged query."""
    discounts = 1 / np.log2(np.arange(2, CUT + 2))
    first, mrr, ndcg = [], [], []
    recall: dict[int, list[float]] = {k: [] for k in KS}
    for row, grades in zip(ranked, judged.grades, strict=True):
        wanted = np.fromiter(grades, dtype=np.intp)
        ranks = np.flatnonzero(np.isin(row, wanted)) + 1
        first.append(int(ranks[0]))
        mrr.append(1 / ranks[0] if ranks[0] <= CUT else 0.0)
        for k in KS:
            recall[k].append(float((ranks <= k).sum()) / len(wanted))
        gained = np.array([grades.get(int(document), 0.0) for document in row[:CUT]])
        best = np.sort(np.fromiter(grades.values(), dtype=np.float64))[::-1][:CUT]
        ndcg.append(float(gained @ discounts[: len(gained)]) / float(best @ discounts[: len(best)]))
    return Scores(
        first=np.array(first, dtype=np.intp),
        recall={k: np.array(values) for k, values in recall.items()},
        mrr=np.array(mrr),
        ndcg=np.array(ndcg),
        top=np.asarray(ranked[:, 0] if len(ranked) else np.zeros(0, dtype=np.intp)),
    )
