"""Which heads changed more than the other heads of their layer.

With x_{l,h} the logarithm of the relative change of head h in layer l, for all layers in which the part changed:

    r_{l,h} = x_{l,h} − median_h x_{l,h}            z_{l,h} = r_{l,h} / max(1.4826 · median |r|, 1/√(2 d_h D))

The median of |r| goes over all heads of all these layers, so that even two heads a layer give a scale. Changes below
the rounding floor of the stored dtype count as the floor. The second term is the spread that the norms of d_h × D
independent entries have by chance; it keeps heads apart that differ by nothing else.

The null: heads whose logarithms differ by normal noise alone. The largest z of as many layers and heads is drawn from
it `DRAWS` times; a head's p is the share of draws whose *largest* z is as large, so it is corrected for their number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs
import numpy as np

from afterburn_core.result.model import Null

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DRAWS = 999
LEAST = 3
"""Fewer heads than this have no spread."""
_CHUNK = 1 << 21


@attrs.frozen(kw_only=True, eq=False)
class Changes:
    """The relative changes of all heads of one part in one layer."""

    relative: Array
    """(heads,)"""
    floor: float
    """Changes below it are rounding."""
    entries: int
    """d_h · D"""


@attrs.frozen(kw_only=True, eq=False)
class Outliers:
    """The heads of one part in all layers, against one another."""

    scores: Mapping[str, Array]
    """z by layer's key."""
    null: Array
    """(draws,) the largest z under the null, ascending."""
    heads: int

    def compared(self, score: float) -> Null:
        """Where a score lies among the largest of the null."""
        above = len(self.null) - int(np.searchsorted(self.null, score, side="left"))
        within = int(np.searchsorted(self.null, score, side="right"))
        count = len(self.null)
        return Null(control="normal_heads", n=count, quantile=within / count, p_value=(1 + above) / (1 + count))


def outliers(layers: Mapping[str, Changes], seed: int) -> Outliers | str:
    """Scores and null of all layers that changed, or why there are none."""
    changed = {key: c for key, c in sorted(layers.items()) if len(c.relative) > 1 and bool((c.relative > 0).any())}
    heads = sum(len(c.relative) for c in changed.values())
    if not changed:
        several = any(len(c.relative) > 1 for c in layers.values())
        return "no head changed" if several or not layers else "each layer has one head"
    if heads < LEAST:
        return f"{heads} heads changed in all, too few to have a spread"
    residuals = {key: _residuals(c) for key, c in changed.items()}
    spread = 1.4826 * float(np.median(np.abs(np.concatenate(list(residuals.values())))))
    least = 1 / math.sqrt(2 * min(c.entries for c in changed.values()))
    scale = max(spread, least)
    null = _null(tuple(len(c.relative) for c in changed.values()), seed)
    return Outliers(scores={key: r / scale for key, r in residuals.items()}, null=null, heads=heads)


def _residuals(changes: Changes) -> Array:
    logarithms = np.log(np.maximum(changes.relative, max(changes.floor, 1e-12)))
    residuals: Array = logarithms - np.median(logarithms)
    return residuals


@lru_cache(maxsize=32)
def _null(layers: Sequence[int], seed: int) -> Array:
    """The largest z of heads that differ by normal noise alone, ascending."""
    generator = np.random.default_rng((seed, len(layers), sum(layers)))
    chunk = max(1, _CHUNK // sum(layers))
    largest = []
    for first in range(0, DRAWS, chunk):
        count = min(chunk, DRAWS - first)
        parts = []
        for heads in layers:
            drawn = generator.standard_normal((count, heads))
            parts.append(drawn - np.median(drawn, axis=1, keepdims=True))
        residuals = np.concatenate(parts, axis=1)
        largest.append(residuals.max(1) / (1.4826 * np.median(np.abs(residuals), axis=1)))
    null: Array = np.sort(np.concatenate(largest))
    return null
