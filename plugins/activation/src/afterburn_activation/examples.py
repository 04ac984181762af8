"""Analyzer `activation.examples`: at which tokens activations differ most, and how the differences spread over tokens.

At the outputs of blocks at chosen relative depths, over the counted tokens (`places`) of texts and prompts:

- quantiles of ‖δ‖, in units of √(mean ‖b‖²), and the share of Σ‖δ‖² that the 1 % of tokens with the largest ‖δ‖ hold
  (`spread`): near .01 where all tokens move alike, near 1 where a few do;
- the passages with the largest ‖δ‖ and with the largest 1 − cos at one of their tokens (`showcase`), and a few passages
  of lowest rank (a keyed hash of their ids), so that what is typical stands beside what is extreme.

Projections on components found in this run would take a second pass; `activation.components` keeps the components, so
that anyone can make it.

Artifact `activation.examples` (JSON): by site `p50`, `p90`, `p99` of ‖δ‖ in those units, and `largest`, `most_turned`:
stretches with `score`, `passage`, `domain`, `source`, `start`, `peak`, `tokens`, and per token `delta` (‖δ‖) and `turn`
(1 − cos), null where a token does not count; `typical`: the same with `delta` and `turn` by site.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_activation.jackknife import GROUPS, group_of, interval
from afterburn_activation.nulls import zero
from afterburn_activation.options import ExamplesOptions
from afterburn_activation.places import Places, places, rank_of
from afterburn_activation.showcase import Showcase, Stretch, shown, window
from afterburn_activation.sites import in_order, outputs_at, scope_of
from afterburn_activation.specs.examples import METRICS, QUANTILES, SOURCES, TOP
from afterburn_activation.spread import Spread, quantile, top_share
from afterburn_core.forward.model import ForwardBatch
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement

PREFIX = "activation.examples."
SCORES = ("delta", "turn")
_ORDERS = ("largest", "most_turned")
_BINNED = "from a histogram with bins of 2.2 %: off by at most 1.1 %"
Floats = NDArray[np.float64]


class Examples:
    """Analyzer `activation.examples`."""

    def __init__(self, options: ExamplesOptions) -> None:
        self._options = options
        self._spreads: dict[str, Spread] = {}
        self._base: dict[str, Floats] = {}  # (G, 2): Σ‖b‖² and tokens by group
        self._cases: dict[str, tuple[Showcase, Showcase]] = {}
        self._typical = Showcase(most=options.typical)
        self._units: set[str] = set()

    def begin(self, context: AnalyzerContext) -> None:
        """Learns whether texts may be kept."""
        self._excerpts = context.excerpts
        self._key = f"examples/{context.seed}"

    def observe(self, item: object) -> None:
        """Takes in one batch."""
        if not isinstance(item, ForwardBatch):
            return
        here = places(item.rows, SOURCES)
        sites = outputs_at(self._options.depths, item.base.sites)
        if not here.tokens or not sites:
            return
        geometries = [item.geometry(site) for site in sites]
        values = torch.stack([torch.stack([g.delta_norm, g.cosine_distance, g.base_sq]) for g in geometries])
        self._reduce(_Batch.of(item, here, sites, values.cpu().numpy()))

    def merge(self, other: Examples) -> None:
        """Takes in what another instance counted and kept."""
        for site, spread in other._spreads.items():
            if site not in self._spreads:
                self._spreads[site], self._base[site], self._cases[site] = (
                    spread,
                    other._base[site],
                    other._cases[site],
                )
                continue
            self._spreads[site].merge(spread)
            self._base[site] += other._base[site]
            for mine, its in zip(self._cases[site], other._cases[site], strict=True):
                mine.merge(its)
        self._typical.merge(other._typical)
        self._units |= other._units

    def finish(self) -> AnalyzerOutput:
        """Quantiles and examples."""
        if not self._spreads:
            why = "no token of a text or a prompt was read"
            return AnalyzerOutput(measurements=tuple(undefined(metric.id, why, n=0) for metric in METRICS))
        sites = in_order(self._spreads)
        measured = [one for site in sites for one in self._measured(site)]
        content = {
            "sites": {site: self._shown(site) for site in sites},
            "typical": [self._shown_typical(stretch, sites) for stretch in self._typical.stretches],
        }
        artifact = ArtifactPayload(
            id="activation.examples",
            suffix=".json",
            media_type="application/json",
            summary="Passages in which activations differ most, and typical ones, token by token",
            content=json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False).encode(
                "utf-8", "backslashreplace"
            ),
        )
        return AnalyzerOutput(measurements=tuple(measured), artifacts=(artifact,))

    def _reduce(self, batch: _Batch) -> None:
        groups = np.array([group_of(unit) for unit in batch.units])[batch.passage]
        self._units.update(batch.units[p] for p in np.unique(batch.passage[batch.counted]).tolist())
        for s, site in enumerate(batch.sites):
            if site not in self._spreads:
                self._spreads[site], self._base[site] = Spread(), np.zeros((GROUPS, 2))
                self._cases[site] = (Showcase(most=self._options.passages), Showcase(most=self._options.passages))
            delta, turn, base_sq = batch.values[s]
            usable = batch.counted & np.isfinite(delta) & np.isfinite(base_sq)
            self._spreads[site].add(delta[usable], groups[usable])
            self._base[site][:, 0] += np.bincount(groups[usable], weights=base_sq[usable], minlength=GROUPS)
            self._base[site][:, 1] += np.bincount(groups[usable], minlength=GROUPS)
            for case, scores in zip(self._cases[site], (delta, turn), strict=True):
                for p, peak, score in batch.peaks(np.where(usable, scores, -np.inf)):
                    if score > 0 and case.wants(score, batch.names[p]):
                        case.add(batch.stretch(p, peak, score, (delta, turn)))
        for p, name in enumerate(batch.names):
            # a Showcase keeps the highest, so that the lowest ranks are kept by their negatives
            score = -float(rank_of(name, self._key))
            if batch.mine[p] and self._typical.wants(score, name):
                lists = [batch.values[s][i] for s in range(len(batch.sites)) for i in (0, 1)]
                self._typical.add(batch.stretch(p, batch.bounds[p], score, lists))

    def _measured(self, site: str) -> list[Measurement]:
        n, spread, base = len(self._units), self._spreads[site], self._base[site]
        counts, squares = spread.without(None)
        names = [f"p{round(100 * share)}" for share in QUANTILES]
        if not squares.any():
            same = [
                attrs.evolve(measure(PREFIX + "delta_norm", 0.0, scope=scope_of(site, name), n=n), interval=zero())
                for name in names
            ]
            why = "both sides are equal here, bit for bit"
            return [*same, undefined(PREFIX + "top_share", why, scope=scope_of(site), n=n)]
        measured = []
        for name, share in zip(names, QUANTILES, strict=True):
            value = quantile(counts, share) / _rms(base, None)
            others = [quantile(spread.without(int(g))[0], share) / _rms(base, int(g)) for g in spread.present]
            measured.append(_approximate("delta_norm", value, others, site, name, n))
        value = top_share(counts, squares, TOP)
        others = [top_share(*spread.without(int(g)), TOP) for g in spread.present]
        return [*measured, _approximate("top_share", value, others, site, None, n, high=1.0)]

    def _shown(self, site: str) -> dict[str, Any]:
        rms = self._scale(site)
        counts, _ = self._spreads[site].without(None)
        found: dict[str, Any] = {
            order: [
                shown(stretch, SCORES, (rms, 1.0), excerpts=self._excerpts) | {"score": _short(stretch.score / scale)}
                for stretch in case.stretches
            ]
            for order, case, scale in zip(_ORDERS, self._cases[site], (rms, 1.0), strict=True)
        }
        return found | {f"p{round(100 * share)}": _short(quantile(counts, share) / rms) for share in QUANTILES}

    def _scale(self, site: str) -> float:
        """What ‖δ‖ is divided by in the artifact; 1 where the base is 0 everywhere."""
        rms = _rms(self._base[site], None)
        return rms if math.isfinite(rms) else 1.0

    def _shown_typical(self, stretch: Stretch, sites: tuple[str, ...]) -> dict[str, Any]:
        names = tuple(f"{score} {site}" for site in sites for score in SCORES)
        scales = tuple(scale for site in sites for scale in (self._scale(site), 1.0))
        row = shown(stretch, names, scales, excerpts=self._excerpts)
        by_score = {score: {site: row.pop(f"{score} {site}") for site in sites} for score in SCORES}
        return row | by_score


@attrs.frozen(kw_only=True, eq=False)
class _Batch:
    """One batch on the host."""

    sites: tuple[str, ...]
    values: Floats  # (S, 3, n): ‖δ‖, 1 − cos, ‖b‖²
    passage: NDArray[np.int64]  # (n)
    position: NDArray[np.int64]  # (n)
    token: NDArray[np.int64]  # (n)
    counted: NDArray[np.bool_]  # (n)
    mine: NDArray[np.bool_]  # (P), passages with a counted token
    names: tuple[str, ...]
    units: tuple[str, ...]
    bounds: NDArray[np.int64]  # (P + 1), first row of each passage
    item: ForwardBatch

    @classmethod
    def of(cls, item: ForwardBatch, here: Places, sites: tuple[str, ...], values: Floats) -> _Batch:
        rows = item.rows
        passage = rows.passage.cpu().numpy()
        counted = np.zeros(rows.n, dtype=bool)
        counted[here.counted.cpu().numpy()] = True
        return cls(
            sites=sites,
            values=values,
            passage=passage,
            position=rows.position.cpu().numpy(),
            token=rows.token.cpu().numpy(),
            counted=counted,
            mine=np.bincount(passage[counted], minlength=len(rows.passages)) > 0,
            names=tuple(one.id for one in rows.passages),
            units=tuple(one.unit for one in rows.passages),
            bounds=np.searchsorted(passage, np.arange(len(rows.passages) + 1)),
            item=item,
        )

    def peaks(self, scores: Floats) -> list[tuple[int, int, float]]:
        """Of every passage with a counted token: its number, the row of its highest score, and the score."""
        found = []
        for p in np.flatnonzero(self.mine).tolist():
            own = scores[self.bounds[p] : self.bounds[p + 1]]
            best = int(np.nanargmax(own)) if not np.isnan(own).all() else 0
            found.append((p, int(self.bounds[p]) + best, float(own[best])))
        return found

    def stretch(self, p: int, peak: int, score: float, lists: Any) -> Stretch:
        """The tokens around a row, with their values."""
        first = int(self.bounds[p])
        length, passage = int(self.bounds[p + 1]) - first, self.item.rows.passages[p]
        start, stop = (first + edge for edge in window(length, int(peak) - first))
        decode: Callable[[int], str] = self.item.rows.decode
        return Stretch(
            passage=passage.id,
            domain=passage.domain,
            source=passage.source,
            score=score,
            start=int(self.position[start]),
            peak=int(peak) - start,
            tokens=tuple(decode(int(token)) for token in self.token[start:stop]),
            values=tuple(
                tuple(
                    float(v) if ok and math.isfinite(v) else None
                    for v, ok in zip(values[start:stop], self.counted[start:stop])
                )
                for values in lists
            ),
        )


def _rms(base: Floats, without: int | None) -> float:
    """√(mean ‖b‖²) over all groups of units but one."""
    total = base.sum(axis=0) - (0.0 if without is None else base[without])
    return math.sqrt(total[0] / total[1]) if total[1] and total[0] > 0 else math.nan


def _approximate(
    name: str, value: float, others: list[float], site: str, subset: str | None, n: int, high: float | None = None
) -> Measurement:
    scope = scope_of(site, subset)
    if not math.isfinite(value):
        return undefined(PREFIX + name, "the base's activations are 0 here", scope=scope, n=n)
    band = interval(value, np.array(others), low=0.0, high=high)
    reason = _BINNED if band is not None else f"{_BINNED}; no interval: units in too few groups"
    made = measure(PREFIX + name, value, scope=scope, n=n, reason=reason)
    return attrs.evolve(made, interval=band, approximate=True)


def _short(value: float) -> float | None:
    return float(f"{value:.3g}") if math.isfinite(value) else None
