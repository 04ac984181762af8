"""What the tokens of a passage say together: means over those that count, of vectors and of codes.

Counted are the tokens of question and answer, without what the chat template and the end mark add, and without the
token at position 0, whose norm is hundreds of times that of the others in many models (arXiv 2402.17762).
"""

from __future__ import annotations

from collections.abc import Collection

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.forward.model import CONTENT, END, FIRST, Passage, Rows
from afterburn_sae.encoded import Codes


@attrs.frozen(kw_only=True, eq=False)
class Counted:
    """The tokens of a batch that count, by passage."""

    passages: tuple[Passage, ...]
    """All P of the batch."""
    index: torch.Tensor
    """(m) int64 into the rows."""
    passage: torch.Tensor
    """(m) int64 into `passages`."""
    tokens: torch.Tensor
    """(P) int64, counted tokens of each."""

    @property
    def chosen(self) -> list[int]:
        """Passages with a token that counts."""
        return [i for i, n in enumerate(self.tokens.tolist()) if n]


def counted(rows: Rows, sets: Collection[str]) -> Counted:
    """The tokens of given passages of these sets."""
    device = rows.token.device
    wanted = [one.source == "given" and one.domain in sets for one in rows.passages]
    mine = torch.tensor(wanted, dtype=torch.bool, device=device)[rows.passage]
    content = (rows.token_class == CONTENT) | (rows.token_class == FIRST)
    content |= rows.in_text & (rows.token_class != END)
    index = (mine & content & (rows.position > 0)).nonzero()[:, 0]
    passage = rows.passage[index]
    tokens = torch.bincount(passage, minlength=len(rows.passages))
    return Counted(passages=rows.passages, index=index, passage=passage, tokens=tokens)


def mean_vectors(values: torch.Tensor, here: Counted) -> torch.Tensor:
    """(P, d) float64 means of (n, d) activations over the tokens that count; NaN without any."""
    sums = torch.zeros((len(here.passages), values.shape[1]), dtype=torch.float64, device=values.device)
    sums.index_add_(0, here.passage, values[here.index].double())
    return sums / here.tokens[:, None]  # 0/0 is NaN


@attrs.frozen(kw_only=True, eq=False)
class MeanCodes:
    """Mean codes of one passage, features that were never active left out."""

    features: NDArray[np.int64]
    """(u), ascending."""
    values: NDArray[np.float64]
    """(u)."""


def mean_codes(found: Codes, here: Counted) -> dict[int, MeanCodes]:
    """Means of codes over the tokens that count, by passage of `here.chosen`."""
    place = torch.full((found.n,), -1, dtype=torch.int64, device=found.rows.device)
    place[here.index] = here.passage
    owner = place[found.rows]
    kept = owner >= 0
    keys = (owner[kept] * found.latents + found.features[kept]).cpu().numpy()
    values = found.values[kept].double().cpu().numpy()
    distinct, which = np.unique(keys, return_inverse=True)
    sums = np.bincount(which, weights=values, minlength=len(distinct))
    passage, feature = np.divmod(distinct, found.latents)
    ends = np.searchsorted(passage, np.arange(len(here.passages) + 1))
    tokens = here.tokens.tolist()
    return {
        i: MeanCodes(features=feature[ends[i] : ends[i + 1]], values=sums[ends[i] : ends[i + 1]] / tokens[i])
        for i in here.chosen
    }


def table(rows: list[MeanCodes], features: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, m): codes of n passages at m features (ascending), 0 where one was not active."""
    out = np.zeros((len(rows), len(features)))
    for i, one in enumerate(rows):
        at = np.searchsorted(features, one.features)
        known = (at < len(features)) & (features[np.minimum(at, len(features) - 1)] == one.features)
        out[i, at[known]] = one.values[known]
    return out
