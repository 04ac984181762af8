"""Analyzer `activation.drift`: how far the residual stream moved, by layer and place.

With b and f the activations of one token under base and trained, δ = f − b, b̄_p the mean over a passage's counted
tokens, μ the mean of b̄_p over units:

    cosine_distance  1 − cos(b, f)                             relative        ‖δ‖/½(‖b‖ + ‖f‖)
    log_norm_ratio   ln(‖f‖/‖b‖)                               centred_cosine_distance  1 − cos(b̄ − μ, f̄ − μ)
    cka              linear CKA of b̄ and f̄ (`afterburn_activation.cka`)
    mean_shift       √max(0, Σ_{u≠v} δ̄_u·δ̄_v/(U(U − 1))) / √(mean_p mean_t ‖b_t − b̄_p‖²)

`mean_shift` is d′ of the reference: the length of the mean difference over the spread inside a passage; the sum over
pairs of different units is free of the bias that the noise of U units adds to the length of a mean. The first three
have one number per passage and place (`places.KINDS`), then the mean over passages with units as clusters; the others
are computed from the vectors of a bounded sample of passages (`kept`), with intervals by leaving out units.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_activation.drift_numbers import Layout, of_passages, of_vectors, stored
from afterburn_activation.kept import Kept, affordable
from afterburn_activation.options import DriftOptions
from afterburn_activation.places import Places, log_norm_ratio, means_by_passage, places, pooled
from afterburn_activation.sites import in_order
from afterburn_activation.specs.drift import SOURCES
from afterburn_core.forward.geometry import Geometry
from afterburn_core.forward.model import ForwardBatch
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.model import Notification

_BROKEN = "{} passages have activations that are not finite at some site; they are left out there"


@attrs.frozen(kw_only=True)
class Read:
    """What is known of one passage."""

    unit: str
    domain: str
    tokens: int
    numbers: NDArray[np.float64]
    """(sites, kinds, scalars), NaN where the passage has no such place."""
    spread: NDArray[np.float64]
    """(sites), mean ‖b_t − b̄_p‖² over its counted tokens; NaN without any."""
    controls: Mapping[str, NDArray[np.float64]]
    """`numbers` of controls, by subject."""


class Drift:
    """Analyzer `activation.drift`."""

    def __init__(self, options: DriftOptions) -> None:
        self._options = options
        self._read: dict[str, Read] = {}
        self._sites: tuple[str, ...] = ()
        self._widths: tuple[int, ...] = ()
        self._kept: Kept | None = None

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed."""
        self._seed = context.seed

    def observe(self, item: object) -> None:
        """Takes in one batch; chunks of logits are for others."""
        if not isinstance(item, ForwardBatch):
            return
        here = places(item.rows, SOURCES)
        if not here.chosen:
            return
        if self._kept is None:
            self._sites = in_order(item.base.sites)
            self._widths = tuple(int(item.base.sites[site].shape[1]) for site in self._sites)
            self._kept = Kept(key=f"drift/{self._seed}", most=affordable(self._options.sample, 4 * sum(self._widths)))
        self._observe(item, here, self._kept)

    def merge(self, other: Drift) -> None:
        """Takes in the passages that another instance observed."""
        self._read.update(other._read)
        self._sites, self._widths = self._sites or other._sites, self._widths or other._widths
        if self._kept is None:
            self._kept = other._kept
        elif other._kept is not None:
            self._kept.merge(other._kept)

    def finish(self) -> AnalyzerOutput:
        """Means over passages, then what the kept vectors say."""
        names = sorted(self._read)
        read = [self._read[name] for name in names]
        layout = Layout(sites=self._sites, widths=self._widths, seed=self._seed)
        controls = _by_control(read)
        found = of_passages(
            layout,
            units=[one.unit for one in read],
            numbers=np.array([one.numbers for one in read]),
            controls=controls,
        )
        if self._kept is not None:
            spread = {name: self._read[name].spread for name in self._kept.names("mean")}
            found += of_vectors(layout, self._kept, spread)
        summary = stored(layout, found, [(one.domain, one.unit, one.numbers) for one in read], controls)
        broken = sum(one.tokens > 0 and bool(np.isnan(one.numbers[:, 0]).any()) for one in read)
        return AnalyzerOutput(
            measurements=tuple(found),
            artifacts=(_artifact(summary),) if read else (),
            notifications=(Notification(level="warning", message=_BROKEN.format(broken)),) if broken else (),
        )

    def _observe(self, item: ForwardBatch, here: Places, kept: Kept) -> None:
        subjects, count = ("trained", *item.controls), len(here.passages)
        keeps = [here.chosen[j] for j in kept.wanted([here.passages[i].id for i in here.chosen])]
        chosen = torch.tensor(keeps, dtype=torch.int64, device=here.counted.device)
        numbers: dict[str, list[torch.Tensor]] = {name: [] for name in subjects}
        spreads, means, lasts = [], [], []
        for site in self._sites:
            base = item.base.sites[site]
            centre = means_by_passage(base[here.counted], here.counted_passage, count)  # (P, d)
            for subject in subjects:
                geometry = item.geometry(site, subject)
                shift = means_by_passage(geometry.delta[here.counted], here.counted_passage, count)
                numbers[subject].append(_numbers(geometry, pooled(centre, shift), here))
                if subject == "trained":
                    means.append(torch.stack([centre[chosen], shift[chosen]], dim=1).float())
                    lasts.append(torch.stack([base[here.last], geometry.delta[here.last]], dim=1))
                    square = means_by_passage(geometry.base_sq[here.counted, None], here.counted_passage, count)
                    spreads.append((square[:, 0] - centre.square().sum(-1)).clamp_min(0.0))
        table = {name: torch.stack(of_site, dim=1).cpu().numpy() for name, of_site in numbers.items()}  # (P, S, K, q)
        spread = torch.stack(spreads, dim=1).cpu().numpy()
        tokens = torch.bincount(here.counted_passage, minlength=count).tolist()
        for i in here.chosen:
            passage = here.passages[i]
            self._read[passage.id] = Read(
                unit=passage.unit,
                domain=passage.domain,
                tokens=tokens[i],
                numbers=table["trained"][i],
                spread=spread[i],
                controls={name: table[name][i] for name in subjects[1:]},
            )
        _keep(kept, here, keeps, tokens, means, lasts)


def _numbers(tokens: Geometry, mean: Geometry, here: Places) -> torch.Tensor:
    """(P, kinds, scalars) of one site."""
    count = len(here.passages)
    each = _scalars(tokens)
    of_all = means_by_passage(each[here.counted], here.counted_passage, count)
    of_first = means_by_passage(each[here.first], here.first_passage, count)
    of_mean = torch.where(of_all.isnan(), of_all, _scalars(mean))
    of_last = means_by_passage(each[here.last], here.last_passage, count)
    return torch.stack([of_all, of_first, of_mean, of_last], dim=1)


def _scalars(geometry: Geometry) -> torch.Tensor:
    """(n, scalars) float64, in the order of `drift_numbers.SCALARS`."""
    return torch.stack([geometry.cosine_distance, geometry.relative, log_norm_ratio(geometry)], dim=1)


def _keep(
    kept: Kept,
    here: Places,
    keeps: list[int],
    tokens: list[int],
    means: list[torch.Tensor],
    lasts: list[torch.Tensor],
) -> None:
    """Hands over the vectors (base and δ) of the passages of lowest rank, site after site in one row."""
    if not keeps:
        return
    rows = torch.cat(means, dim=-1).cpu().numpy()  # (kept, 2, Σd)
    final = torch.cat(lasts, dim=-1)
    place = {int(passage): row for row, passage in enumerate(here.last_passage.tolist())}
    for row, i in enumerate(keeps):
        vectors = {"mean": rows[row]} if tokens[i] else {}
        if i in place:
            vectors["last"] = final[place[i]].cpu().numpy()
        kept.add(here.passages[i].id, here.passages[i].unit, vectors)


def _by_control(read: list[Read]) -> dict[str, NDArray[np.float64]]:
    names = sorted({name for one in read for name in one.controls})
    return {name: np.array([one.controls[name] for one in read]) for name in names}


def _artifact(summary: Mapping[str, object]) -> ArtifactPayload:
    return ArtifactPayload(
        id="activation.drift_by_layer",
        suffix=".json",
        media_type="application/json",
        summary="Drift of activations by site and place, with intervals and controls; means by domain",
        content=json.dumps(summary, sort_keys=True, allow_nan=False).encode(),
    )
