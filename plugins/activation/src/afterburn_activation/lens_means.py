"""Mean differences of activations at the first positions of texts, as sums that can be merged.

With δ_ij = f_ij − b_ij at the j-th token of text i (j = 0 at the first that counts: no beginning mark), at one site:

    δ̄_j = mean_i δ_ij                 beside the means of b and of f
    SE_j² = (G − 1)/G Σ_g ‖δ̄_j^(−g) − δ̄_j^(·)‖²   over G groups of whole units, left out one at a time
    split half: cos of δ̄_j over one half of the groups and δ̄_j over the other

(Narrow Finetuning Leaves Clearly Readable Traces in Activation Differences, arXiv 2510.13900, which asks of the halves
to agree by more than .9 before anything is read.) Places are the first `positions` tokens each, `first`: all of these
together, and `all`: every token of the text. Sums are float64 by group of units, 16 of them, whatever the tokens are.

The test of δ̄ = 0 flips the signs of the groups' sums S_g: T(ε) = ‖Σ_g ε_g S_g‖², over all 2^(G−1) patterns, exact if δ
is symmetric about 0. It needs the 16 × 16 products of the sums and no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_activation.jackknife import GROUPS, group_of
from afterburn_activation.sites import in_order, outputs_at
from afterburn_core.forward.model import END, TEMPLATE, ForwardBatch
from afterburn_core.stats.resampling import sign_patterns

Floats = NDArray[np.float64]
ALL, FIRST = "all tokens", "first tokens"
POOLED = (FIRST, ALL)
_ROWS = 1024
"""Rows that stand in float64 at once."""


def place_names(positions: int) -> tuple[str, ...]:
    """`token 0`, `token 1`, …, and both pooled places, in the order of every array."""
    return (*(f"token {j}" for j in range(positions)), FIRST, ALL)


@attrs.define
class _Sums:
    """Of one site; P places, G groups."""

    delta: Floats  # (G, P, d)
    base: Floats  # (P, d)
    trained: Floats  # (P, d)
    squares: Floats  # (P, d), Σ δ²
    norms: Floats  # (G, P, 2), Σ‖b‖, Σ‖f‖
    count: Floats  # (G, P)

    def add(self, other: _Sums) -> None:
        for field in attrs.fields(_Sums):
            mine: Floats = getattr(self, field.name)
            mine += getattr(other, field.name)


@attrs.frozen(kw_only=True, eq=False)
class MeanDifference:
    """δ̄ at one site and place."""

    site: str
    place: str
    n: int
    """Tokens averaged."""
    texts: int
    """Texts they are of."""
    sums: Floats
    """(G, d) Σδ by group."""
    count: Floats
    """(G)."""
    base: Floats
    """(d) mean of the base's activations."""
    trained: Floats
    squares: Floats
    """(d) mean of δ², by dimension."""
    norms: Floats
    """(G, 2) Σ‖b‖ and Σ‖f‖ by group."""

    @property
    def mean(self) -> Floats:
        """δ̄, (d)."""
        return np.asarray(self.sums.sum(axis=0) / self.n)

    @property
    def norm(self) -> float:
        return float(np.linalg.norm(self.mean))

    @property
    def trained_norm(self) -> float:
        """Mean ‖f‖."""
        return float(self.norms[:, 1].sum() / self.n)

    @property
    def relative(self) -> float:
        """‖δ̄‖ / ½(mean ‖b‖ + mean ‖f‖), in [0, 2]."""
        scale = float(self.norms.sum()) / (2 * self.n)
        return self.norm / scale if scale > 0 else 0.0

    @property
    def energy(self) -> float:
        """‖δ̄‖² / mean ‖δ‖², in [0, 1]; NaN where δ is 0 throughout."""
        total = float(self.squares.sum())
        return min(1.0, self.norm**2 / total) if total > 0 else float("nan")

    def left_out(self) -> tuple[Floats, Floats]:
        """δ̄ (G', d) and relative norm (G') without each group that has tokens."""
        present = (self.count > 0) & (self.count < self.n)
        rest = self.n - self.count[present]
        means = (self.sums.sum(axis=0) - self.sums[present]) / rest[:, None]
        scales = (self.norms.sum() - self.norms[present].sum(axis=1)) / (2 * rest)
        return means, np.linalg.norm(means, axis=1) / np.where(scales > 0, scales, 1.0)

    @property
    def relative_without_noise(self) -> float:
        """‖E δ‖ over the mean norm, in [0, 2]; `relative` where there is one group of texts."""
        square = self.squares_without_noise()[0]
        return float(np.sqrt(np.clip(square, 0.0, 4.0))) if np.isfinite(square) else self.relative

    def squares_without_noise(self) -> tuple[float, Floats]:
        """(‖E δ‖ / ½(mean ‖b‖ + mean ‖f‖))², and the same without each group that has tokens.

        Σ_{g≠h} s_g·s_h / Σ_{g≠h} n_g n_h over the sums s of groups: ‖δ̄‖² holds besides the noise of δ̄, which grows with
        d and would be taken for a difference. It can fall below 0; NaN below two groups.
        """
        present = self.count > 0
        sums, count, norms = self.sums[present], self.count[present], self.norms[present].sum(axis=1)
        gram = sums @ sums.T
        others = gram.sum(axis=1) - np.diag(gram)  # (G')
        every, n = float(others.sum()), float(count.sum())
        weight = n * n - float((count**2).sum())
        left = weight - 2 * count * (n - count)
        with np.errstate(invalid="ignore", divide="ignore"):
            whole = np.divide(every, weight) / (norms.sum() / (2 * n)) ** 2
            without = (every - 2 * others) / left / ((norms.sum() - norms) / (2 * (n - count))) ** 2
        return float(whole), np.where(left > 0, without, np.nan)

    def error(self) -> float:
        """SE of δ̄ as a length; NaN below two groups."""
        means = self.left_out()[0]
        if len(means) < 2:
            return float("nan")
        return float(np.sqrt((len(means) - 1) / len(means) * ((means - means.mean(axis=0)) ** 2).sum()))

    def split_half(self) -> float:
        """Cosine of δ̄ over the even and over the odd groups; NaN where a half has none or is 0."""
        halves = [self.sums[start::2].sum(axis=0) for start in (0, 1)]
        lengths = [float(np.linalg.norm(one)) for one in halves]
        if min(lengths) == 0:
            return float("nan")
        return float(np.clip(halves[0] @ halves[1] / (lengths[0] * lengths[1]), -1, 1))

    def p_value(self) -> float:
        """Of δ̄ = 0, by flipping the signs of the groups' sums."""
        present = self.sums[self.count > 0]
        gram = present @ present.T
        if not gram.any():
            return 1.0
        signs = sign_patterns(len(present))
        drawn = ((signs @ gram) * signs).sum(axis=1)
        observed = gram.sum()
        return float(np.mean(drawn >= observed - 1e-12 * np.abs(gram).sum()))


class MeanDifferences:
    """The sums of all chosen sites."""

    def __init__(self, depths: Sequence[float], positions: int) -> None:
        self._depths, self._positions = depths, positions
        self._sums: dict[str, _Sums] = {}

    def observe(self, item: ForwardBatch) -> None:
        """Adds one batch: tokens of plain texts, without template and end marks."""
        rows = item.rows
        mine = torch.tensor([one.source == "text" for one in rows.passages], device=rows.token.device)[rows.passage]
        kept = mine & (rows.offset >= 0) & (rows.token_class != TEMPLATE) & (rows.token_class != END)
        chosen = kept.nonzero()[:, 0]
        if not len(chosen):
            return
        of_passage = torch.tensor([group_of(one.unit) for one in rows.passages], device=rows.token.device)
        group, offset = of_passage[rows.passage[chosen]], rows.offset[chosen]
        first = offset < self._positions
        early = first.nonzero()[:, 0]
        places = self._positions + 2
        # every early token counts in its own place; pooled places are summed from these and from all tokens
        slot = group[early] * self._positions + offset[early]
        for site in outputs_at(self._depths, item.base.sites):
            delta = item.geometry(site).delta
            base, trained = item.base.sites[site], item.trained.sites[site]
            part = _empty(places, base.shape[1])
            for index, rows_, start, stop in (
                (slot, chosen[early], 0, self._positions),
                (group, chosen, places - 1, places),
            ):
                for at in range(0, len(rows_), _ROWS):
                    some = slice(at, at + _ROWS)
                    _accumulate(part, index[some], rows_[some], start, stop, delta, base, trained)
            for array in (part.delta, part.norms, part.count):
                array[:, places - 2] = array[:, : self._positions].sum(axis=1)
            for array in (part.base, part.trained, part.squares):
                array[places - 2] = array[: self._positions].sum(axis=0)
            if site in self._sums:
                self._sums[site].add(part)
            else:
                self._sums[site] = part

    def merge(self, other: MeanDifferences) -> None:
        """Takes in the sums of another instance."""
        for site, sums in other._sums.items():
            if site in self._sums:
                self._sums[site].add(sums)
            else:
                self._sums[site] = sums

    @property
    def sites(self) -> tuple[str, ...]:
        """From bottom to top."""
        return in_order(self._sums)

    def at(self, site: str) -> Iterator[MeanDifference]:
        """Every place that has tokens."""
        sums = self._sums[site]
        for p, place in enumerate(place_names(self._positions)):
            n = float(sums.count[:, p].sum())
            if n:
                yield MeanDifference(
                    site=site,
                    place=place,
                    n=int(n),
                    texts=int(sums.count[:, p if p < self._positions else 0].sum()),
                    sums=sums.delta[:, p],
                    count=sums.count[:, p],
                    base=sums.base[p] / n,
                    trained=sums.trained[p] / n,
                    squares=sums.squares[p] / n,
                    norms=sums.norms[:, p],
                )


def _empty(places: int, width: int) -> _Sums:
    return _Sums(
        delta=np.zeros((GROUPS, places, width)),
        base=np.zeros((places, width)),
        trained=np.zeros((places, width)),
        squares=np.zeros((places, width)),
        norms=np.zeros((GROUPS, places, 2)),
        count=np.zeros((GROUPS, places)),
    )


def _accumulate(
    part: _Sums,
    index: torch.Tensor,
    rows: torch.Tensor,
    start: int,
    stop: int,
    delta: torch.Tensor,
    base: torch.Tensor,
    trained: torch.Tensor,
) -> None:
    """Sums rows by group and place: `index` is group · (stop − start) + place − start."""
    width, cells = stop - start, GROUPS * (stop - start)

    def summed(values: torch.Tensor) -> Floats:
        sums = torch.zeros((cells, values.shape[1]), dtype=torch.float64, device=values.device)
        sums.index_add_(0, index, values)
        return np.asarray(sums.cpu().numpy().reshape(GROUPS, width, -1))

    d, b, f = (one[rows].double() for one in (delta, base, trained))
    part.delta[:, start:stop] += summed(d)
    part.base[start:stop] += summed(b).sum(axis=0)
    part.trained[start:stop] += summed(f).sum(axis=0)
    part.squares[start:stop] += summed(d.square()).sum(axis=0)
    part.norms[:, start:stop] += summed(torch.stack([b.norm(dim=1), f.norm(dim=1)], dim=1))
    part.count[:, start:stop] += summed(torch.ones_like(d[:, :1]))[:, :, 0]
