"""What the page shows of embedding models, gathered once for all its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from afterburn_core.report import embedding_parts as parts
from afterburn_core.report import embedding_queries as queries
from afterburn_core.report.forward_marks import WORDS
from afterburn_core.result.model import Finding

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

INDEX = "activation.index_compatibility"
RULES = {
    INDEX: "Can new queries search the old index?",
    "activation.retrieval_shift": "Does retrieval get better or worse?",
    "activation.embedding_shift": "Did the vectors of the same texts move?",
    "activation.embedding_collapse": "Did different texts become alike?",
    "activation.pooling_changed": "Do both sides turn texts into vectors alike?",
}
_WORDS = {
    INDEX: {"pass": "Yes", "informational": "No"},
    "activation.retrieval_shift": {"review": "Worse"},
    "activation.embedding_shift": {"informational": "Moved"},
    "activation.embedding_collapse": {"pass": "No", "review": "Yes"},
    "activation.pooling_changed": {"pass": "Yes", "review": "No"},
}


@attrs.frozen(kw_only=True)
class EmbeddingLimits:
    """How much of it a page carries."""

    queries: int = 12
    """Queries that lost most."""
    texts: int = 10
    """Texts that moved most."""


@attrs.frozen(kw_only=True)
class EmbeddingViews:
    """Everything the section needs; parts are empty where the run has no data for them."""

    answer: Finding | None
    """Whether new queries can search the old index."""
    rules: tuple[tuple[str, Finding], ...]
    """The other questions."""
    searched: tuple[parts.Row, ...]
    selves: tuple[parts.Row, ...]
    retrieval: queries.Retrieval
    vectors: tuple[parts.Row, ...]
    texts: queries.Texts
    neighbours: tuple[parts.Row, ...]
    spread: tuple[parts.Row, ...]
    layers: parts.Layers | None
    pooling: tuple[parts.Fact, ...]
    problems: tuple[str, ...]
    measured: bool

    def __bool__(self) -> bool:
        return self.measured

    @staticmethod
    def word(finding: Finding) -> str:
        """What a rule decided, in a word."""
        return _WORDS.get(finding.rule, {}).get(finding.kind, WORDS.get(finding.kind, ""))


def embedding_views(view: ResultView, limits: EmbeddingLimits) -> EmbeddingViews:
    """Reads the artifacts that it shows and nothing else."""
    found = parts.Found(view.result.measurements)
    decided = {finding.rule: finding for finding in view.result.findings if finding.rule in RULES}
    asked = queries.retrieval(view, found, shown=limits.queries) if found else queries.Retrieval()
    texts = queries.texts(view, shown=limits.texts) if found else queries.Texts()
    problems = (asked.problem, texts.problem)
    return EmbeddingViews(
        answer=decided.get(INDEX),
        rules=tuple((title, decided[rule]) for rule, title in RULES.items() if rule in decided and rule != INDEX),
        searched=parts.searched(found),
        selves=parts.selves(found),
        retrieval=asked,
        vectors=parts.vectors(found),
        texts=texts,
        neighbours=parts.neighbours(found),
        spread=parts.spread(found),
        layers=parts.layers(found),
        pooling=parts.pooling(view),
        problems=tuple(dict.fromkeys(problem for problem in problems if problem)),
        measured=bool(found),
    )
