"""Which latents of two dictionaries are the same direction.

With unit decoder rows D_a (n_a, d) and D_b (n_b, d) and C = |D_a·D_bᵀ|:

- mutual nearest neighbours: i and j are each other's largest C
- mean best cosine (MMCS, arXiv 2309.08600): mean_i max_j C_ij, of a in b and of b in a
- unmatched share: latents whose largest C is below .7
- assignment: the one-to-one matching of the most active latents that maximises Σ C (Hungarian method)
- null: the same means where a is rotated at random about the origin, which keeps all angles inside of it. In d
  dimensions the largest of n chance cosines is about √(2 ln n / d), far from 0

C is never held whole: blocks of it are looked at once, from both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.result.model import Interval
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.intervals import t_interval
from afterburn_core.stats.one_side import mean, rate
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.places import rebuilt_at

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

UNMATCHED = 0.7
"""Best cosines below this have no counterpart."""
MOST_ASSIGNED = 4096
"""Latents of either side in the one-to-one matching, at most."""
NULL_ROWS = 4096
"""Rows of the rotated dictionary that are compared."""
SHOWN = 10
"""Strongest and weakest mutual pairs that are listed."""
_ROWS, _COLUMNS = 512, 2048
"""Sides of a block of C, which then fits into the processor's cache."""
_WIDE = 1024
"""From this width on four times as many rows are taken at once, so that reading the columns costs little."""
_BOOTSTRAPPED = 500
"""Means of more latents have Student's interval alone: the bootstrap's says the same and takes minutes."""


@attrs.frozen(kw_only=True, eq=False)
class Alignment:
    """What two dictionaries have in common. Latents whose decoder row is zero are left out."""

    document: Mapping[str, Any]
    """Everything but the map, as JSON."""
    a: Indices
    """(m) latents of the first."""
    b: Indices
    """(m) nearest of the second."""
    cosine: Floats
    """(m) signed."""
    mutual: NDArray[np.bool_]
    """(m) whether each is the other's nearest."""

    def rows(self) -> Iterator[dict[str, Any]]:
        """The map, one row for each latent of the first."""
        columns = (self.a.tolist(), self.b.tolist(), self.cosine.tolist(), self.mutual.tolist())
        for a, b, cosine, mutual in zip(*columns, strict=True):
            yield {"a": a, "b": b, "cosine": cosine, "mutual": mutual}


def align(
    a: Dictionary,
    b: Dictionary,
    *,
    active: tuple[torch.Tensor, torch.Tensor] | None = None,
    assigned: int = 2048,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Alignment:
    """Matches the latents of two dictionaries by their decoder rows.

    Args:
        a: n_a latents; every statistic without a direction is of them.
        b: n_b latents of the same width.
        active: how often each latent was active, (n_a) and (n_b); says which are matched one to one. Without it all
            are, where neither dictionary has more than `assigned`.
        assigned: latents of either side in that matching, at most 4096.
        device: where blocks of cosines are computed.
        seed: of the rotation and of intervals.

    Raises:
        SubjectError: they do not write into spaces of the same width.
        ConfigError: `assigned` is out of bounds.
    """
    if a.d_out != b.d_out:
        raise SubjectError(
            f"{a.name} writes width {a.d_out} and {b.name} width {b.d_out}: their directions cannot be compared"
        )
    if not 2 <= assigned <= MOST_ASSIGNED:
        raise ConfigError(f"{assigned} latents cannot be matched one to one; give 2 to {MOST_ASSIGNED}")
    living_a, living_b = _living(a), _living(b)
    if not len(living_a) or not len(living_b):
        raise SubjectError("a dictionary whose decoder is zero everywhere matches nothing")
    rows, columns = _Units(a, living_a, device), _Units(b, living_b, device)
    forth, back = nearest(rows, columns)
    mutual = back.index[forth.index] == np.arange(len(forth.index))
    signed = _signed(rows, columns, forth.index)
    chosen = np.flatnonzero(mutual)
    chosen = chosen[np.argsort(-np.abs(signed[chosen]), kind="stable")]
    pairs = [{"a": int(living_a[i]), "b": int(living_b[forth.index[i]]), "cosine": float(signed[i])} for i in chosen]
    document = {
        "a": _facts(a, len(living_a)),
        "b": _facts(b, len(living_b)),
        "width": a.d_out,
        "mean_best_cosine": {"a": _mean(forth.value, seed), "b": _mean(back.value, seed)},
        "unmatched": {"below": UNMATCHED, "a": _share(forth.value, seed), "b": _share(back.value, seed)},
        "null": _null(rows, columns, seed),
        "mutual": {
            "pairs": len(chosen),
            "share": len(chosen) / min(len(living_a), len(living_b)),
            "mean_cosine": float(np.abs(signed[chosen]).mean()) if len(chosen) else None,
            "opposed": int((signed[chosen] < 0).sum()),
        },
        "assignment": _assignment(rows, columns, active, assigned),
        "strongest": pairs[:SHOWN],
        "weakest": pairs[: -SHOWN - 1 : -1],
        "notes": _notes(a, b),
    }
    return Alignment(document=document, a=living_a, b=living_b[forth.index], cosine=signed, mutual=mutual)


@attrs.frozen(kw_only=True, eq=False)
class Nearest:
    """The largest C of every row, and where it is."""

    value: Floats
    index: Indices


class _Units:
    """Unit decoder rows of the living latents of a dictionary, a block at a time, float32."""

    def __init__(self, dictionary: Dictionary, living: Indices, device: torch.device | str) -> None:
        self.living = torch.from_numpy(living)
        self.width = dictionary.d_out
        self._w_dec, self._device = dictionary.w_dec, device

    def __len__(self) -> int:
        return len(self.living)

    def at(self, index: torch.Tensor | slice) -> torch.Tensor:
        """(m, d) rows by their number among the living."""
        rows = self._w_dec[self.living[index].to(self._w_dec.device)].to(self._device, torch.float32)
        return torch.nn.functional.normalize(rows, dim=1, eps=1e-30)

    def blocks(self, size: int) -> Iterator[tuple[int, torch.Tensor]]:
        """Blocks of rows, and the number of the first of each."""
        for start in range(0, len(self), size):
            yield start, self.at(slice(start, start + size))


@torch.no_grad()
def nearest(a: _Units, b: _Units) -> tuple[Nearest, Nearest]:
    """For every row of a its nearest in b, and for every row of b its nearest in a: one look at each block of C.

    Where a maximum lies is asked only of the rows and columns that it improves, which are few after the first blocks.
    """
    back = _Best(len(b))
    found = []
    for first, rows in a.blocks(_ROWS if a.width < _WIDE else 4 * _ROWS):
        forth = _Best(len(rows), rows.device)
        for start, columns in b.blocks(_COLUMNS):
            cosines = (rows @ columns.T).abs_()
            forth.look(cosines, slice(None), start)
            back.look(cosines.T, slice(start, start + len(columns)), first)
        found.append(forth)
    values, index = (torch.cat([getattr(one, name).cpu() for one in found]) for name in ("value", "index"))
    return _as_nearest(values, index), _as_nearest(back.value, back.index)


class _Best:
    """The largest value of each row so far, and in which column it stands."""

    def __init__(self, rows: int, device: torch.device | str = "cpu") -> None:
        self.value = torch.full((rows,), -1.0, device=device)
        self.index = torch.zeros(rows, dtype=torch.int64, device=device)

    def look(self, values: torch.Tensor, rows: slice, first: int) -> None:
        """Takes in a block (rows, columns) whose columns begin at `first`."""
        largest = values.amax(dim=1)
        improved = (largest > self.value[rows].to(largest.device)).nonzero()[:, 0]
        if len(improved):
            place = improved.to(self.value.device) + (rows.start or 0)
            self.value[place] = largest[improved].to(self.value.device)
            self.index[place] = (values[improved].argmax(dim=1) + first).to(self.index.device)


def _as_nearest(values: torch.Tensor, index: torch.Tensor) -> Nearest:
    return Nearest(value=values.double().cpu().numpy(), index=index.cpu().numpy())


def _living(dictionary: Dictionary) -> Indices:
    norms = dictionary.decoder_norms().cpu()
    return torch.nonzero(torch.isfinite(norms) & (norms > 0))[:, 0].numpy()


def _signed(a: _Units, b: _Units, index: Indices) -> Floats:
    """Cosine of every row of a with one of b, summed in float64."""
    parts = [
        (rows.double() * b.at(torch.from_numpy(index[start : start + len(rows)])).double()).sum(dim=1).cpu()
        for start, rows in a.blocks(_ROWS)
    ]
    found: Floats = torch.cat(parts).numpy()
    return found


def _null(a: _Units, b: _Units, seed: int) -> dict[str, Any]:
    """Best cosines of some rows of a in b where a is rotated by a random orthogonal matrix (QR of a Gaussian)."""
    generator = torch.Generator().manual_seed(child_seed(seed, "sae.align/rotation"))
    drawn = torch.randperm(len(a), generator=generator)[:NULL_ROWS].sort().values
    q, r = torch.linalg.qr(torch.randn((a.width, a.width), generator=generator, dtype=torch.float64))
    rotation = (q * r.diagonal().sign()).float()  # uniform over rotations and reflections
    rows = a.at(drawn)
    rows = rows @ rotation.to(rows.device)
    best = torch.stack([(rows @ columns.T).abs_().amax(dim=1) for _, columns in b.blocks(_COLUMNS)])
    values = best.amax(dim=0).double().cpu().numpy()
    return {**_mean(values, seed), "high95": float(np.quantile(values, 0.95))}


def _assignment(
    a: _Units, b: _Units, active: tuple[torch.Tensor, torch.Tensor] | None, assigned: int
) -> dict[str, Any]:
    """The one-to-one matching of the most active latents, or why there is none."""
    from scipy.optimize import linear_sum_assignment

    if active is None and max(len(a), len(b)) > assigned:
        reason = f"more than {assigned} latents, and nothing says which are active; read texts with --base"
        return {"latents": None, "mean_cosine": None, "matched": None, "reason": reason}
    left, right = (
        _most(units, None if active is None else active[side], assigned) for side, units in enumerate((a, b))
    )
    cosines = (a.at(left) @ b.at(right).T).abs_().double().cpu().numpy()
    row, column = linear_sum_assignment(cosines, maximize=True)
    found = cosines[row, column]
    return {
        "latents": [len(left), len(right)],
        "mean_cosine": float(found.mean()),
        "matched": float((found >= UNMATCHED).mean()),
        "reason": None,
    }


def _most(units: _Units, active: torch.Tensor | None, most: int) -> torch.Tensor:
    """Numbers of the most active latents that were active at all; of all where that is not known."""
    if active is None:
        return torch.arange(len(units))
    counts = active.cpu()[units.living]
    order = counts.argsort(descending=True, stable=True)[:most]
    kept = order[counts[order] > 0]
    return (kept if len(kept) else order).sort().values


def _mean(values: Floats, seed: int) -> dict[str, Any]:
    if len(values) > _BOOTSTRAPPED:
        centre, error = float(values.mean()), float(values.std(ddof=1)) / np.sqrt(len(values))
        low, high = t_interval(centre, error, len(values) - 1)
        interval: Interval | None = Interval(low=float(low), high=float(high), level=0.95, method="t")
    else:
        found = mean(values, seed=seed)
        centre, interval = float(values.mean()), found.interval
    return {
        "value": centre,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "n": len(values),
    }


def _share(values: Floats, seed: int) -> dict[str, Any]:
    found = rate((int((values < UNMATCHED).sum()), len(values)), seed=seed)
    interval = found.interval
    return {
        "value": found.estimate,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "n": len(values),
    }


def _facts(dictionary: Dictionary, alive: int) -> dict[str, Any]:
    return {
        "name": dictionary.name,
        "format": dictionary.format,
        "sha256": dictionary.sha256,
        "model": dictionary.model,
        "site": rebuilt_at(dictionary),
        "latents": dictionary.latents,
        "alive": alive,
    }


def _notes(a: Dictionary, b: Dictionary) -> list[str]:
    notes = []
    places = [rebuilt_at(one) for one in (a, b)]
    if places[0] != places[1]:
        notes.append(f"they write {places[0] or 'an unknown site'} and {places[1] or 'an unknown site'}")
    if a.model != b.model:
        notes.append(f"they belong to {a.model or 'an unknown model'} and {b.model or 'an unknown model'}")
    return notes
