"""Which tokens of a batch count, and passages as vectors.

Counted are tokens of the classes `content` and `first`, without the token at position 0: it carries a norm hundreds of
times that of the others in many models, whatever it says (Massive Activations in Large Language Models, arXiv
2402.17762; k = 1 token is left out). Kinds of places, each with one number per passage:

- `all`: the mean over the counted tokens;
- `first`: the mean over the first tokens of the passage's own text (`forward.model.FIRST_TOKENS`);
- `mean`: of the mean vectors over the counted tokens;
- `last`: at the last token of a prompt, where an answer begins; template tokens count here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import attrs
import torch

from afterburn_core.forward.geometry import Geometry
from afterburn_core.forward.model import CONTENT, FIRST, Passage, Rows

KINDS = ("all", "first", "mean", "last")
"""Their order in every array."""


@attrs.frozen(kw_only=True, eq=False)
class Places:
    """The rows of a batch that count, by kind."""

    passages: tuple[Passage, ...]
    """All P passages of the batch."""
    chosen: tuple[int, ...]
    """Indices of the passages that are of a wanted source."""
    counted: torch.Tensor
    """(m) int64 into the rows, of chosen passages."""
    counted_passage: torch.Tensor
    """(m) int64, index of the passage in `passages`."""
    first: torch.Tensor
    """(m') int64 into the rows."""
    first_passage: torch.Tensor
    last: torch.Tensor
    """(q) int64 into the rows."""
    last_passage: torch.Tensor

    @property
    def tokens(self) -> int:
        return int(self.counted.shape[0])


def places(rows: Rows, sources: Iterable[str]) -> Places:
    """The rows of passages of these sources."""
    wanted = frozenset(sources)
    of_source = [passage.source in wanted for passage in rows.passages]
    mine = torch.tensor(of_source, dtype=torch.bool, device=rows.token.device)[rows.passage]
    content = (rows.token_class == CONTENT) | (rows.token_class == FIRST)
    counts = mine & content & (rows.position > 0)
    counted = counts.nonzero()[:, 0]
    first = (counts & rows.in_text & (rows.token_class == FIRST)).nonzero()[:, 0]
    last = (mine & (rows.offset == -1)).nonzero()[:, 0]
    return Places(
        passages=rows.passages,
        chosen=tuple(i for i, is_mine in enumerate(of_source) if is_mine),
        counted=counted,
        counted_passage=rows.passage[counted],
        first=first,
        first_passage=rows.passage[first],
        last=last,
        last_passage=rows.passage[last],
    )


def means_by_passage(values: torch.Tensor, passage: torch.Tensor, count: int) -> torch.Tensor:
    """Means of rows by passage, in float64; a value that is not finite stays with its own passage.

    Args:
        values: (m, q).
        passage: (m) int64.
        count: P.

    Returns:
        (P, q) float64, NaN where a passage has no row.
    """
    sums = torch.zeros((count, values.shape[1]), dtype=torch.float64, device=values.device)
    sums.index_add_(0, passage, values.double())
    return sums / torch.bincount(passage, minlength=count)[:, None]  # 0/0 is NaN


def pooled(base: torch.Tensor, delta: torch.Tensor) -> Geometry:
    """The geometry of pooled vectors, from the mean of base and the mean of δ; nothing cancels.

    Args:
        base: (P, d) float64.
        delta: (P, d) float64.
    """
    return Geometry(
        delta=delta,
        base_sq=base.square().sum(-1),
        trained_sq=(base + delta).square().sum(-1),
        delta_sq=delta.square().sum(-1),
    )


def log_norm_ratio(geometry: Geometry) -> torch.Tensor:
    """ln(‖f‖/‖b‖) = ½ ln(1 + (‖f‖² − ‖b‖²)/‖b‖²), (n) float64; NaN where one of them is zero and the other is not."""
    ratio = torch.log1p((geometry.trained_sq - geometry.base_sq) / geometry.base_sq) / 2
    ratio = torch.where(geometry.delta_sq == 0, torch.zeros_like(ratio), ratio)
    return torch.where(ratio.isinf(), torch.full_like(ratio, torch.nan), ratio)


def rank_of(name: str, key: str) -> int:
    """A number below 2^64 that depends on name and key alone: the lowest ones are a sample that no order changes."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=key.encode()[:64], digest_size=8).digest()
    return int.from_bytes(digest, "big")


def lowest(names: Sequence[str], key: str, most: int) -> list[str]:
    """At most so many of the names, those of lowest rank, sorted by rank."""
    return sorted(names, key=lambda name: (rank_of(name, key), name))[:most]
