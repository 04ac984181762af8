"""Numbers of single rows of an embedding: how far each moved, and which old rows a new one lies near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
    if item.rows is None or item.trained is None:
        return {}
    height, width = item.trained.shape
    wanted = _unit(np.concatenate([item.side("trained", row, row + 1) for row in added]))  # (added, width)
    old = np.zeros(height, dtype=bool)
    old[item.rows.trained_row] = True
    step = max(1, _BLOCK // max(width, 1))
    scores = np.full((len(added), count), -2.0, dtype=np.float32)
    found = np.full((len(added), count), -1, dtype=np.int64)
    for first in range(0, height, step):
        block = item.side("trained", first, min(first + step, height))
        cosines = np.where(old[first : first + len(block)], wanted @ _unit(block).T, -2.0)
        scores = np.concatenate([scores, cosines], axis=1)
        found = np.concatenate([found, np.broadcast_to(first + np.arange(len(block)), cosines.shape)], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        scores, found = np.take_along_axis(scores, order, 1), np.take_along_axis(found, order, 1)
    return {
        row: tuple(
            Neighbour(row=int(index), cosine=min(float(score), 1.0))
            for score, index in zip(scores[i], found[i], strict=True)
            if score > -2
        )
        for i, row in enumerate(added)
    }


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of length 1; rows of zeros stay."""
    values = rows.astype(np.float32)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(norms > 0, norms, 1), dtype=np.float32)


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
