"""One batch of the pass, from its chunks of logits to what is kept of each of its passages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs
import numpy as np
import torch

from afterburn_behaviour.mining.extremes import extremes
from afterburn_behaviour.mining.passages import Leading, Place, leading, place
from afterburn_behaviour.mining.sums import GROUPS, Differences, Integers, weights

if TYPE_CHECKING:
    from afterburn_core.forward.model import Passage, Rows

GAINS, LOSSES = 0, 1


@attrs.frozen(kw_only=True, eq=False)
class Chosen:
    """The extremes of one sign at some rows: R of them, with K each."""

    rows: Integers
    """(R) into the rows of the batch."""
    tokens: np.ndarray[tuple[int, int], np.dtype[np.int32]]
    """(R, K)."""
    values: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    """(R, K) differences without their sign: above 0 where the token counts."""


class Batch:
    """The rows of a batch that count: those of plain text that are followed by a token."""

    def __init__(self, rows: Rows, key: str) -> None:
        self.rows = rows
        text = [passage.source == "text" for passage in rows.passages]
        counted = rows.target >= 0
        if not all(text):
            counted &= torch.tensor(text, device=rows.target.device)[rows.passage]
        self.counted = counted  # (n) bool
        self._all = bool(counted.all())
        self.passage: Integers = rows.passage.cpu().numpy().astype(np.int64)  # (n)
        self.n: Integers = np.bincount(self.passage[counted.cpu().numpy()], minlength=len(rows.passages))
        self.places = tuple(place(passage.unit, key) for passage in rows.passages)
        device = rows.target.device
        self._share = torch.tensor(1.0 / np.maximum(self.n, 1), dtype=torch.float32, device=device)
        self._group = np.array([p.group for p in self.places])
        self._chosen: dict[tuple[str, int], list[Chosen]] = {}
        self._sums: torch.Tensor | None = None  # (GROUPS + 2, V) float32: Σ D by group, then Σ D²

    def select(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The rows among `index` that count, and where they stand in it (`None` where all do)."""
        if self._all:
            return index, None
        here = self.counted[index]
        return (index, None) if bool(here.all()) else (index[here], here)

    def add(self, at: torch.Tensor, difference: torch.Tensor) -> None:
        """Adds D and D² at the rows `at` (m), each with the weight 1/n_p; difference (m, V)."""
        if self._sums is None:
            self._sums = torch.zeros(GROUPS + 2, difference.shape[1], device=difference.device)
        share = self._share[self.rows.passage[at]]
        groups = self._group[self.passage[at.cpu().numpy()]]
        present = np.unique(groups)
        for group in present.tolist():
            own = share if len(present) == 1 else share * torch.tensor(groups == group, device=share.device)
            self._sums[group].addmv_(difference.T, own)
        self._sums[GROUPS + 1].addmv_((difference * difference).T, share)

    def hand_over(self, to: Differences) -> None:
        """Adds the batch's sums, which are few enough for float32, to those of the run in float64."""
        if self._sums is not None:
            sums = self._sums.cpu().numpy()
            for group in set(self._group.tolist()):
                to.by_group[group] += sums[group]
            to.squares += sums[GROUPS + 1]

    def choose(self, subject: str, at: torch.Tensor, difference: torch.Tensor, k: int) -> bool:
        """Notes the k largest gains and losses at the rows `at` (m), given their differences (m, V).

        Notes nothing and says so where a difference is not finite.
        """
        where = at.cpu().numpy().astype(np.int64)
        found = []
        for sign in (GAINS, LOSSES):
            values, tokens = extremes(difference, k, largest=sign == GAINS)
            kept = (values if sign == GAINS else -values).cpu().numpy()
            if not np.isfinite(kept).all():
                return False
            found.append(Chosen(rows=where, tokens=tokens.cpu().numpy().astype(np.int32), values=kept))
        for sign, chosen in enumerate(found):
            self._chosen.setdefault((subject, sign), []).append(chosen)
        return True

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whose extremes were noted."""
        return tuple(dict.fromkeys(subject for subject, _ in self._chosen))

    def passages(self) -> Iterator[tuple[int, Passage, Place]]:
        """Those that count, with their number."""
        for number, passage in enumerate(self.rows.passages):
            if self.n[number] > 0:
                yield number, passage, self.places[number]

    def worth(self) -> Integers:
        """(P) what one position of each passage is worth in fixed point."""
        return weights(self.n)

    def counts(self, subject: str, sign: int) -> Counts:
        """How often each token was an extreme in each passage."""
        found = self._chosen.get((subject, sign), [])
        if not found:
            nothing = np.zeros(0, dtype=np.int64)
            return Counts(passage=nothing, token=nothing, count=nothing, row=nothing, value=np.zeros(0, np.float32))
        k = found[0].tokens.shape[1]
        rows = np.repeat(np.concatenate([c.rows for c in found]), k)
        tokens = np.concatenate([c.tokens for c in found]).ravel().astype(np.int64)
        values = np.concatenate([c.values for c in found]).ravel()
        # a difference of 0 is neither gain nor loss, however many places are left
        changed = values > 0
        rows, tokens, values = rows[changed], tokens[changed], values[changed]
        passage = self.passage[rows]
        order = np.lexsort((rows, -values, tokens, passage))
        passage, tokens, rows, values = passage[order], tokens[order], rows[order], values[order]
        new = np.ones(len(tokens), dtype=bool)
        new[1:] = (passage[1:] != passage[:-1]) | (tokens[1:] != tokens[:-1])
        first = np.flatnonzero(new)
        return Counts(
            passage=passage[first],
            token=tokens[first],
            count=np.diff(np.append(first, len(tokens))),
            row=rows[first],
            value=values[first],
        )


@attrs.frozen(kw_only=True, eq=False)
class Counts:
    """E pairs of passage and token, sorted by both."""

    passage: Integers
    token: Integers
    count: Integers
    row: Integers
    """Where the token's difference is largest, into the rows of the batch."""
    value: np.ndarray[tuple[int], np.dtype[np.float32]]

    def leading(self, passage: int, first_row: int) -> Leading:
        """The list of one passage whose rows begin at `first_row`."""
        start, stop = np.searchsorted(self.passage, (passage, passage + 1))
        part = slice(int(start), int(stop))
        return leading(self.token[part], self.count[part], self.row[part] - first_row, self.value[part])
