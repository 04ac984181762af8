"""Analyzer `activation.components`: along which directions activations moved, the mean difference included.

At the outputs of blocks at chosen relative depths, over the counted tokens (`places`) of texts and prompts; formulas in
`principal`, sums in `moments`. Artifacts:

- `activation.components` (safetensors), for every site S such as `blocks.11.out`, with k components of width d:
  `S.mean` (d) the mean difference δ̄; `S.uncentred.components` (k, d) and `S.centred.components` (k, d), unit rows, the
  largest first; `S.uncentred.eigenvalues` (k) and `S.centred.eigenvalues` (k), mean squares along them. float32.
- `activation.component_shares` (JSON), for every site: `tokens`, `units`, `delta_rms`, `base_rms`, `mean_share` and,
  of both kinds, `shares` (k), `participation`, `overlap`, `chance`, `compared`, `held_out`.
"""

from __future__ import annotations

import json
import math
from typing import Any

import attrs
import numpy as np
import safetensors.numpy
import torch

from afterburn_activation.jackknife import interval
from afterburn_activation.moments import Moments, Sums, tokens_by
from afterburn_activation.options import ComponentsOptions
from afterburn_activation.places import places
from afterburn_activation.principal import Components, components, mean_share
from afterburn_activation.sites import in_order, outputs_at, scope_of
from afterburn_activation.specs.components import METRICS, SOURCES
from afterburn_core.forward.model import ForwardBatch
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Notification

PREFIX = "activation.components."
KINDS = ("uncentred", "centred")
_SAME = "both sides are equal here, bit for bit"
_DESCRIPTIVE = "over all tokens read, without an interval: the overlap of the halves says how stable it is"


class ComponentsOfDifferences:
    """Analyzer `activation.components`."""

    def __init__(self, options: ComponentsOptions) -> None:
        self._options = options
        self._moments: dict[str, Moments] = {}
        self._units: set[str] = set()
        self._left_out = 0

    def begin(self, context: AnalyzerContext) -> None:
        """Nothing is random, and no text is kept."""

    def observe(self, item: object) -> None:
        """Takes in one batch."""
        if not isinstance(item, ForwardBatch):
            return
        here = places(item.rows, SOURCES)
        if not here.tokens:
            return
        sizes = torch.bincount(here.counted_passage, minlength=len(here.passages)).tolist()
        self._units.update(passage.unit for passage, size in zip(here.passages, sizes, strict=True) if size)
        halves, groups = tokens_by([passage.unit for passage in here.passages], here.counted_passage)
        for site in outputs_at(self._options.depths, item.base.sites):
            geometry = item.geometry(site)
            if site not in self._moments:
                self._moments[site] = Moments.empty(geometry.delta.shape[1], geometry.delta.device)
            delta_sq, base_sq = geometry.delta_sq[here.counted], geometry.base_sq[here.counted]
            finite = (delta_sq.isfinite() & base_sq.isfinite()).nonzero()[:, 0]
            self._left_out += here.tokens - len(finite)
            self._moments[site].add(
                geometry.delta[here.counted[finite]], delta_sq[finite], base_sq[finite], halves[finite], groups[finite]
            )

    def merge(self, other: ComponentsOfDifferences) -> None:
        """Adds the sums of another instance."""
        for site, moments in other._moments.items():
            if site in self._moments:
                self._moments[site].merge(moments)
            else:
                self._moments[site] = moments
        self._units |= other._units
        self._left_out += other._left_out

    def finish(self) -> AnalyzerOutput:
        """Components of every site."""
        if not self._moments:
            why = "no token of a text or a prompt was read"
            return AnalyzerOutput(measurements=tuple(undefined(metric.id, why, n=0) for metric in METRICS))
        measured: list[Measurement] = []
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        shares: dict[str, Any] = {}
        for site in in_order(self._moments):
            sums = self._moments[site].numbers()
            found = {kind: self._components(sums, kind) for kind in KINDS}
            measured += self._measured(site, sums, found)
            arrays |= _arrays(site, sums, found)
            shares[site] = self._described(sums, found)
        return AnalyzerOutput(
            measurements=tuple(measured), artifacts=_artifacts(arrays, shares), notifications=self._notes()
        )

    def _components(self, sums: Sums, kind: str) -> Components | None:
        if not sums.tokens or not sums.energy > 0:
            return None
        return components(
            sums, centred=kind == "centred", keep=self._options.components, compare=self._options.compared
        )

    def _measured(self, site: str, sums: Sums, found: dict[str, Components | None]) -> list[Measurement]:
        n = len(self._units)
        scope = scope_of(site)
        if found["uncentred"] is None:
            share = undefined(PREFIX + "mean_share", _SAME, scope=scope, n=n)
        else:
            value, left_out = mean_share(sums)
            band = interval(value, left_out, low=0.0, high=1.0)
            share = attrs.evolve(measure(PREFIX + "mean_share", value, scope=scope, n=n), interval=band)
            if band is None:
                share = attrs.evolve(share, reason="no interval: units in too few groups")
        measured = [share]
        for kind, of_kind in found.items():
            place = scope_of(site, kind)
            why = _SAME if found["uncentred"] is None else "every token moved alike"
            numbers: dict[str, float | None] = dict.fromkeys(("top_share", "participation", "overlap", "held_out"))
            if of_kind is not None:
                numbers["top_share"], numbers["participation"] = float(of_kind.shares[0]), of_kind.participation
                numbers["overlap"], numbers["held_out"] = of_kind.overlap, of_kind.held_out
                why = "all units fell into one half"
            for name, number in numbers.items():
                if number is None or of_kind is None:
                    measured.append(undefined(PREFIX + name, why, scope=place, n=n))
                    continue
                reason = _DESCRIPTIVE if name in ("top_share", "participation") else _of_halves(of_kind, name)
                measured.append(measure(PREFIX + name, number, scope=place, n=n, reason=reason))
        return measured

    def _described(self, sums: Sums, found: dict[str, Components | None]) -> dict[str, Any]:
        width = sums.sums.shape[1]
        return {
            "tokens": sums.tokens,
            "units": len(self._units),
            "delta_rms": _short(math.sqrt(sums.energy)),
            "base_rms": _short(math.sqrt(float(sums.base_square) / sums.tokens)),
            "mean_share": None if found["uncentred"] is None else _short(mean_share(sums)[0]),
        } | {
            kind: None
            if one is None
            else {
                "shares": [_short(share) for share in one.shares.tolist()],
                "participation": _short(one.participation),
                "overlap": _short(one.overlap),
                "chance": _short(one.compared / width),
                "compared": one.compared,
                "held_out": _short(one.held_out),
            }
            for kind, one in found.items()
        }

    def _notes(self) -> tuple[Notification, ...]:
        if not self._left_out:
            return ()
        message = f"{self._left_out} activations that are not finite were left out of the components"
        return (Notification(level="warning", message=message),)


def _of_halves(one: Components, name: str) -> str:
    if name == "overlap":
        chance = one.compared / one.vectors.shape[1]
        return f"leading {one.compared} components of two halves of the units; by chance {chance:.3g}"
    return f"leading {one.compared} components of one half of the units on the other, mean of both ways"


def _arrays(site: str, sums: Sums, found: dict[str, Components | None]) -> dict[str, np.ndarray[Any, Any]]:
    arrays = {f"{site}.mean": sums.mean()} if sums.tokens else {}
    for kind, one in found.items():
        if one is not None:
            arrays |= {f"{site}.{kind}.components": one.vectors, f"{site}.{kind}.eigenvalues": one.eigenvalues}
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in arrays.items()}


def _artifacts(arrays: dict[str, np.ndarray[Any, Any]], shares: dict[str, Any]) -> tuple[ArtifactPayload, ...]:
    return (
        ArtifactPayload(
            id="activation.components",
            suffix=".safetensors",
            media_type="application/octet-stream",
            summary="Mean difference of activations and its principal components, by site",
            content=safetensors.numpy.save(arrays),
        ),
        ArtifactPayload(
            id="activation.component_shares",
            suffix=".json",
            media_type="application/json",
            summary="Shares of the components of differences, by site",
            content=json.dumps(shares, sort_keys=True, allow_nan=False).encode(),
        ),
    )


def _short(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
