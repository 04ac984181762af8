"""Divergence by position: at which token of a text or an answer the two sides part.

The mean KL at every position from the start, over the units that reach it; intervals hold for one position each, not
for the curve as a whole. Artifact `behaviour.divergence_positions` (JSON):

    {"unit": "nats per token", "level": 0.95, "interval": "pointwise", "series": [{
        "source": "answer", "author": "trained" | "base" | null,
        "position": [1, 2, …], "n": [...], "kl": [...], "low": [...], "high": [...], "flip_rate": [...]}, …]}

`low` and `high` are null where equal units show no spread. The first token of plain text is predicted by nothing that
counts, so its curve begins at the second.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from afterburn_behaviour.distribution.contexts import rounded
from afterburn_behaviour.distribution.estimates import LEVEL
from afterburn_behaviour.distribution.names import AUTHORS, POSITIONS
from afterburn_behaviour.distribution.scored import Floats, Scored
from afterburn_behaviour.distribution.table import Table
from afterburn_behaviour.units import FEWEST
from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.paired import means

SERIES: tuple[tuple[str, str | None], ...] = (("text", None), *(("answer", author) for author in AUTHORS))


class Positions:
    """KL and flips by passage at its first positions."""

    def __init__(self, positions: int) -> None:
        self._positions = positions
        self._curves: dict[str, Floats] = {}  # (2, positions) by passage; NaN where nothing was scored

    def observe(self, tokens: Scored, kl: Floats, flips: Floats) -> None:
        """Takes in one batch; `kl` and `flips` (m) of its tokens."""
        for passage, of in tokens.slices():
            place = tokens.place[of]
            here = (place >= 0) & (place < self._positions)
            if passage.source != "prompt" and here.any():
                curve = np.full((2, self._positions), np.nan)
                curve[0, place[here]], curve[1, place[here]] = kl[of][here], flips[of][here]
                self._curves[passage.id] = curve

    def merge(self, other: Positions) -> None:
        """Takes in passages that another instance observed."""
        self._curves.update(other._curves)

    def artifact(self, table: Table, *, seed: int) -> tuple[ArtifactPayload, ...]:
        """The curves of texts and of each side's answers; no artifact where too few units reach any position."""
        series = [found for source, author in SERIES if (found := self._series(table, source, author, seed))]
        if not series:
            return ()
        content = {"unit": "nats per token", "level": LEVEL, "interval": "pointwise", "series": series}
        return (
            ArtifactPayload(
                id=POSITIONS,
                suffix=".json",
                media_type="application/json",
                summary="Mean KL divergence by position from the start of texts and of answers",
                content=json.dumps(content, sort_keys=True, allow_nan=False).encode(),
            ),
        )

    def _series(self, table: Table, source: str, author: str | None, seed: int) -> dict[str, Any] | None:
        curves = np.full((len(table.facts), 2, self._positions), np.nan)
        for i, facts in enumerate(table.facts):
            if (facts.source, facts.author) == (source, author) and facts.id in self._curves:
                curves[i] = self._curves[facts.id]
        kl, flips = (
            np.stack([table.over_units(column) for column in curves[:, k].T]) for k in (0, 1)
        )  # (positions, U)
        reached = np.count_nonzero(~np.isnan(kl), axis=1)
        shown = [int(j) for j in np.flatnonzero((reached >= FEWEST) & ~np.isinf(kl).any(axis=1))]
        if not shown:
            return None
        of_seed = child_seed(seed, f"positions/{source}/{author}")
        found = means({str(j): kl[j] for j in shown}, seed=of_seed, level=LEVEL)
        ends = [found[str(j)].interval for j in shown]
        return {
            "source": source,
            "author": author,
            "position": [j + 1 for j in shown],
            "n": [int(reached[j]) for j in shown],
            "kl": [rounded(float(np.nanmean(kl[j]))) for j in shown],
            "low": [None if end is None else rounded(max(end.low, 0.0)) for end in ends],
            "high": [None if end is None else rounded(end.high) for end in ends],
            "flip_rate": [rounded(float(np.nanmean(flips[j]))) for j in shown],
        }
