"""One batch of the forward pass as plain arrays: the tokens that count, where they stand, and their scores.

A score stands at the row whose distribution it describes, and is spoken of by the token that this distribution predicts
(the row's target). Every token of plain text and of prompts counts; of an answer only those that the answer's own
tokens are predicted by, because its prompt is read as a passage of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.forward.model import ForwardBatch, Passage, TokenScores

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NO_TARGET = 4
"""Class of the last row of a prompt alone: nothing follows it."""
CLASSES = 5
BEFORE = 0
"""Band of the tokens before the text: of a prompt."""
BAND_ENDS = (1, 5, 20)
"""The first token of a text or an answer, up to the 5th, up to the 20th; the last band holds the rest."""
BANDS = len(BAND_ENDS) + 2
CELLS = CLASSES * BANDS


@attrs.frozen(kw_only=True, eq=False)
class Scored:
    """The tokens of a batch that count, in the order of passages and positions; m of them."""

    passages: tuple[Passage, ...]
    """Those of the wanted sources, in the order of the batch."""
    passage: Ints  # (m), index into `passages`, never falling
    place: Ints  # (m), index of the predicted token in the text, 0 at its first; negative in a prompt
    token_class: Ints  # (m), of the predicted token, or NO_TARGET
    target: Ints  # (m), id of the predicted token, or -1
    row: Ints  # (m), into `tokens`
    tokens: Ints  # (n), ids of all rows of the batch
    row_passage: Ints  # (n), index into the batch's own passages
    decode: Callable[[int], str]
    index: Ints  # (m), into the scores of the batch

    @property
    def cell(self) -> Ints:
        """Class and band of every token as one number below `CELLS`."""
        band = np.where(self.place < 0, BEFORE, 1 + np.searchsorted(BAND_ENDS, self.place, side="right"))
        return np.asarray(self.token_class * BANDS + band)

    def values(self, scores: TokenScores, quantities: Sequence[str]) -> Floats:
        """The quantities of these tokens, (m, q); NaN where there is no target to speak of."""
        known = self.target >= 0
        found = np.empty((len(self.index), len(quantities)))
        for column, name in enumerate(quantities):
            found[:, column] = _DERIVED[name](scores, self.index, known)
        return found

    def slices(self) -> Iterator[tuple[Passage, slice]]:
        """Every passage that has tokens here, and where they lie."""
        edges = np.searchsorted(self.passage, np.arange(len(self.passages) + 1))
        for number, passage in enumerate(self.passages):
            if edges[number] < edges[number + 1]:
                yield passage, slice(int(edges[number]), int(edges[number + 1]))


def scored(batch: ForwardBatch, sources: Sequence[str]) -> Scored | None:
    """The tokens of a batch that count; `None` where there is none, or nothing was scored."""
    if batch.scores is None:
        return None
    rows = batch.rows
    wanted = np.array([passage.source in sources for passage in rows.passages], dtype=bool)
    answer = np.array([passage.source == "answer" for passage in rows.passages], dtype=bool)
    at = integers(batch.scored)
    of, place, target = integers(rows.passage)[at], integers(rows.offset)[at] + 1, integers(rows.target)[at]
    kept = np.flatnonzero(wanted[of] & ((place >= 0) | ~answer[of]))
    if not kept.size:
        return None
    kept = kept[np.argsort(at[kept], kind="stable")]
    number = np.cumsum(wanted) - 1
    token_class = np.where(target < 0, NO_TARGET, integers(rows.target_class)[at])
    return Scored(
        passages=tuple(passage for passage, here in zip(rows.passages, wanted) if here),
        passage=number[of[kept]],
        place=place[kept],
        token_class=token_class[kept],
        target=target[kept],
        row=at[kept],
        tokens=integers(rows.token),
        row_passage=integers(rows.passage),
        decode=rows.decode,
        index=kept,
    )


def integers(tensor: torch.Tensor) -> Ints:
    """A tensor of whole numbers as an array of the processor."""
    return tensor.detach().cpu().numpy().astype(np.int64)


def _plain(name: str) -> Callable[[TokenScores, Ints, NDArray[np.bool_]], Floats]:
    def read(scores: TokenScores, index: Ints, known: NDArray[np.bool_]) -> Floats:
        found: Floats = getattr(scores, name).detach().cpu().numpy().astype(np.float64)[index]
        return found

    return read


def _log_rank(name: str) -> Callable[[TokenScores, Ints, NDArray[np.bool_]], Floats]:
    def read(scores: TokenScores, index: Ints, known: NDArray[np.bool_]) -> Floats:
        return np.log1p(integers(getattr(scores, name))[index].astype(np.float64))

    return read


def _of_target(
    read: Callable[[TokenScores, Ints, NDArray[np.bool_]], Floats],
) -> Callable[[TokenScores, Ints, NDArray[np.bool_]], Floats]:
    def checked(scores: TokenScores, index: Ints, known: NDArray[np.bool_]) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(known, read(scores, index, known), np.nan)

    return checked


def _rank_shift(scores: TokenScores, index: Ints, known: NDArray[np.bool_]) -> Floats:
    return _log_rank("trained_rank")(scores, index, known) - _log_rank("base_rank")(scores, index, known)


def _bound(scores: TokenScores, index: Ints, known: NDArray[np.bool_]) -> Floats:
    return np.zeros(len(index)) if scores.bound is None else _plain("bound")(scores, index, known)


_DERIVED: dict[str, Callable[[TokenScores, Ints, NDArray[np.bool_]], Floats]] = {
    **{
        name: _plain(name)
        for name in (
            "kl", "kl_reverse", "jsd", "total_variation", "base_entropy", "trained_entropy", "base_margin",
            "trained_margin",
        )
    },
    "flip_rate": _plain("flipped"),
    "top_rank": _log_rank("top_rank"),
    "rank_shift": _of_target(_rank_shift),
    "base_nll": _of_target(_plain("base_nll")),
    "trained_nll": _of_target(_plain("trained_nll")),
    "bound": _bound,
}  # fmt: skip
"""Every quantity of a token, by name."""
