"""Numbers of single rows of an embedding: how far each moved, and which old rows a new one lies near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np

from afterburn_core.run.naming import module_kind
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.spectra import RowSums
from afterburn_weight.tokens import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_BLOCK = 1 << 23  # elements read at a time


@attrs.frozen(kw_only=True)
class Neighbour:
    """An old row near a new one."""

    row: int
    """In the trained model."""
    cosine: float


@attrs.frozen(kw_only=True, eq=False)
class RowNumbers:
    """One entry per compared row."""

    relative: Array
    """‖δ‖/‖e‖; NaN where e = 0 and δ ≠ 0."""
    cosine: Array
    """1 − cos(e, e'); NaN where either is 0."""
    delta_sq: Array
    token: NDArray[np.bool_]
    """Whether the row holds a token; False for padding."""
    token_id: NDArray[np.int64]
    """Id of the token in the trained model."""

    def largest(self, count: int) -> list[int]:
        """Indices of the tokens that moved most, the largest first; those that did not move are left out."""
        eligible = np.flatnonzero(self.token & (self.relative > 0))
        order = np.lexsort((self.token_id[eligible], -self.relative[eligible]))
        return [int(index) for index in eligible[order[:count]]]

    def concentration(self) -> float | None:
        """Least share of the tokens that holds half of the change; `None` where nothing changed."""
        energies = np.sort(self.delta_sq[self.token])[::-1]
        total = np.cumsum(energies)
        if not len(total) or total[-1] == 0:
            return None
        return float(np.searchsorted(total, total[-1] / 2) + 1) / len(energies)


def row_numbers(rows: RowSums, base: Tokens, trained: Tokens) -> RowNumbers:
    """Relative changes and cosine distances of all compared rows."""
    before, after = np.sqrt(rows.base_sq), np.sqrt(rows.trained_sq)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(rows.delta_sq == 0, 0.0, np.where(before > 0, np.sqrt(rows.delta_sq) / before, np.nan))
        growth = (2 * rows.dot_base_delta + rows.delta_sq) / (before + after)
        cosine = (rows.delta_sq - growth * growth) / (2 * before * after)
    padding = [base.is_padding(b) and trained.is_padding(t) for b, t in zip(*_ids(rows), strict=True)]
    return RowNumbers(
        relative=relative,
        cosine=np.where((before > 0) & (after > 0), np.clip(cosine, 0.0, 2.0), np.nan),
        delta_sq=rows.delta_sq,
        token=~np.array(padding, dtype=bool),
        token_id=rows.trained_row,
    )


def nearest(item: WeightPair, added: Sequence[int], count: int) -> Mapping[int, tuple[Neighbour, ...]]:
    """The old rows with the largest cosine to each added row, both as the trained model has them.

    Reads the trained side in blocks, so that memory does not grow with the vocabulary.
    """
    import torch

    if item.rows is None or item.trained is None:
        return {}
    height, width = item.trained.shape
    wanted = torch.cat([item.side("trained", row, row + 1) for row in added]).float()  # (added, width)
    wanted = torch.nn.functional.normalize(wanted, dim=1)
    old = torch.zeros(height, dtype=torch.bool)
    old[torch.from_numpy(item.rows.trained_row)] = True
    step = max(1, _BLOCK // max(width, 1))
    scores, indices = torch.empty(len(added), 0), torch.empty(len(added), 0, dtype=torch.long)
    for first in range(0, height, step):
        block = torch.nn.functional.normalize(item.side("trained", first, min(first + step, height)).float(), dim=1)
        cosines = (wanted @ block.T).masked_fill(~old[first : first + len(block)], -2.0)
        top = cosines.topk(min(count, len(block)), dim=1)
        scores, order = torch.cat([scores, top.values], 1).sort(dim=1, descending=True, stable=True)
        indices = torch.cat([indices, top.indices + first], 1).gather(1, order)
        scores, indices = scores[:, :count], indices[:, :count]
    return {
        row: tuple(
            Neighbour(row=int(index), cosine=float(score))
            for score, index in zip(scores[i], indices[i], strict=True)
            if score > -2
        )
        for i, row in enumerate(added)
    }


def tied(head: WeightPair) -> tuple[bool | None, bool | None]:
    """Whether base and trained use the input embedding as output head; `None` where that cannot be told."""
    if head.state == "tied" and head.compared == 0:
        return True, True
    sides = []
    for info in (head.base, head.trained):
        sides.append(None if info is None else head.state == "tied" and module_kind(info.name) == "embed")
    return sides[0], sides[1]


def _ids(rows: RowSums) -> tuple[list[int], list[int]]:
    return rows.base_row.tolist(), rows.trained_row.tolist()
