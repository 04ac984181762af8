"""Where features are most active: stretches of passages around their peaks, of the passages that were kept.

All codes of a run can be many gigabytes, so that codes are kept of as many passages as fit into `BUDGET` bytes: those
of lowest rank, a keyed hash of their names, so that the same ones are kept whatever the order and the division of
batches. Small runs keep all. What is shown are the highest peaks among the passages that were kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.forward.model import Passage, Rows
from afterburn_sae.features_tally import Counted, Paired

BUDGET = 96 << 20
BEFORE, AFTER = 10, 5
"""Tokens of a stretch on either side of its peak."""
DECIMALS = 4


@attrs.frozen(kw_only=True, eq=False)
class KeptCodes:
    """One passage and what was active in it. Entries are by feature, then token."""

    domain: str
    tokens: NDArray[np.int32]
    feature: NDArray[np.int32]
    place: NDArray[np.int16]
    """Index into `tokens`."""
    values: NDArray[np.float32]
    """(2, e): base, trained."""

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return 14 * len(self.feature) + 4 * len(self.tokens)


def kept_codes(rows: Rows, passage: int, here: Counted, both: Paired) -> KeptCodes:
    """One passage of a batch."""
    ends = torch.tensor([passage, passage + 1], device=rows.passage.device)
    bounds = torch.searchsorted(rows.passage, ends)  # rows are in the order of passages, and entries in that of rows
    first, own = int(bounds[0]), slice(*bounds.tolist())
    mine = slice(*torch.searchsorted(both.row, bounds).tolist())
    feature = both.feature[mine].cpu().numpy().astype(np.int32)
    place = (both.row[mine] - first).cpu().numpy().astype(np.int16)
    values = torch.stack([both.base[mine], both.trained[mine]]).float().cpu().numpy()
    order = np.lexsort((place, feature))
    return KeptCodes(
        domain=here.passages[passage].domain,
        tokens=rows.token[own].cpu().numpy().astype(np.int32),
        feature=feature[order],
        place=place[order],
        values=values[:, order],
    )


def rank(name: str, key: str) -> int:
    """A number below 2^64 that depends on name and key alone."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=key.encode()[:64], digest_size=8).digest()
    return int.from_bytes(digest, "big")


@attrs.define
class Contexts:
    """Passages of lowest rank, up to the budget."""

    key: str
    budget: int = BUDGET
    _kept: dict[str, KeptCodes] = attrs.field(factory=dict)
    _ranks: dict[str, tuple[int, str]] = attrs.field(factory=dict)
    _size: int = 0
    _limit: tuple[int, str] | None = None
    """The lowest rank that was ever left out."""

    def add(self, passage: Passage, make: Callable[[], KeptCodes]) -> None:
        """Keeps a passage, if its rank is low enough."""
        self._add(passage.id, make)

    def merge(self, other: Contexts) -> None:
        """Takes in what another instance kept."""
        if other._limit is not None:
            self._forget(other._limit)
        for name, one in other._kept.items():
            self._add(name, lambda one=one: one)  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, feature: int, most: int, decode: Callable[[int], str]) -> list[dict[str, Any]]:
        """The highest peaks of a feature on either side, as the artifact has them; `decode` spells a token."""
        found = []
        for side, subject in enumerate(("base", "trained")):
            peaks = []
            for name, one in self._kept.items():
                low, high = np.searchsorted(one.feature, (feature, feature + 1))
                if low < high and (peak := float(one.values[side, low:high].max())) > 0:
                    peaks.append((-peak, self._ranks[name], name, low, high))
            for _, _, name, low, high in sorted(peaks)[:most]:
                found.append(_stretch(self._kept[name], subject, side, slice(low, high), decode))
        return found

    def _add(self, name: str, make: Callable[[], KeptCodes]) -> None:
        place = (rank(name, self.key), name)
        if self._limit is not None and place >= self._limit:
            return
        one = make()
        self._kept[name], self._ranks[name] = one, place
        self._size += one.size
        while self._size > self.budget:
            self._forget(max(self._ranks.values()))

    def _forget(self, limit: tuple[int, str]) -> None:
        """Drops all passages of a rank and above, now and later."""
        self._limit = limit if self._limit is None else min(limit, self._limit)
        for name in [name for name, place in self._ranks.items() if place >= self._limit]:
            self._size -= self._kept.pop(name).size
            del self._ranks[name]


def _stretch(one: KeptCodes, subject: str, side: int, part: slice, decode: Callable[[int], str]) -> dict[str, Any]:
    values = dict(zip(one.place[part].tolist(), one.values[side, part].tolist(), strict=True))
    peak = max(values, key=lambda place: (values[place], -place))
    start, stop = max(0, peak - BEFORE), min(len(one.tokens), peak + AFTER + 1)
    pieces = [[decode(int(one.tokens[i])), round(values.get(i, 0.0), DECIMALS)] for i in range(start, stop)]
    return {"domain": one.domain, "subject": subject, "pieces": pieces, "peak": peak - start}


def sample(names: Mapping[int, str], share: float, key: str) -> frozenset[int]:
    """Which passages of a batch belong to a share of all, whatever batch they are in."""
    return frozenset(i for i, name in names.items() if rank(name, key) < share * 2**64)
