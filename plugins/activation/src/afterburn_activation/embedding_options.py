"""Options of `activation.embedding` and its judge; light, so that specs can name them."""

from __future__ import annotations

from typing import Any

import attrs


def _share(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"'{attribute.name}' must lie between 0 and 1: {value}")


@attrs.frozen(kw_only=True)
class EmbeddingOptions:
    """Options of `activation.embedding`."""

    geometry_texts: int = attrs.field(default=1000, validator=attrs.validators.ge(20))
    """Texts, chosen by a keyed hash, that CKA, RSA and the participation ratio are computed over: they need n × n."""
    neighbour_texts: int = attrs.field(default=4000, validator=attrs.validators.ge(20))
    """Texts whose neighbours are compared."""
    duplicate: float = attrs.field(default=0.99, validator=_share)
    """Cosine from which two different texts count as near duplicates."""
    shown: int = attrs.field(default=40, validator=attrs.validators.ge(0))
    """Texts and queries that the artifacts list, those that changed most."""


@attrs.frozen(kw_only=True)
class EmbeddingJudgeOptions:
    """Options of `activation.embedding_judge`."""

    distance_margin: float = attrs.field(default=0.05, validator=attrs.validators.gt(0))
    """Mean cosine distances of same texts within this are equivalent."""
    retrieval_margin: float = attrs.field(default=0.03, validator=_share)
    """Differences of nDCG@10 and recall@10 within ± this are equivalent."""
    collapse_margin: float = attrs.field(default=0.1, validator=_share)
    """A rise of the similarity of unrelated texts, or of the share of near duplicates, beyond this is a collapse."""
    alpha: float = attrs.field(default=0.05, validator=_share)
    """Level of the tests."""
