"""Analyzer `sae.drift`: how far the layers moved on each domain's prompts, densely and in features.

For every block and every probe set the distance of mean activations (`dense`), and at a dictionary's site the distance
of mean codes (`features`) and the mass of codes that moved (`mass`); formulas and intervals: `drift_numbers`. A prompt
counts once, with the mean over its tokens (`risk_rows`). Plain cosines of activations stay near 1 after fine-tuning
where features differ (arXiv 2605.11426), which is why both stand side by side. A dictionary that leaves too much of the
base's activations on these prompts unexplained (`validity`) is not valid here, and gives no number.

Artifact `sae.drift` (JSON): `sites` bottom to top, `sets`, and `cells`, each with `site`, `set` and `dense`, `features`
and `mass`: `value`, `low`, `high`, `n`, or null where there is no number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.forward.model import ForwardBatch
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Measurement, Notification, Scope
from afterburn_core.stats.contrast import Contrast, as_measurement
from afterburn_core.stats.contrast import undefined as undefined_number
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.domain_texts import SETS
from afterburn_sae.drift_numbers import distance, mass
from afterburn_sae.encoded import broken, codes, reconstruct, shared_dictionary
from afterburn_sae.features_tally import Counted, without
from afterburn_sae.places import rebuilt_at
from afterburn_sae.risk_options import DriftOptions
from afterburn_sae.risk_rows import Counted as RiskCounted
from afterburn_sae.risk_rows import MeanCodes, counted, mean_codes, mean_vectors, table
from afterburn_sae.specs.drift import METRICS
from afterburn_sae.validity import Fit, fits, of_differences, unexplained

Vectors = NDArray[np.float32]
_BLOCK = re.compile(r"blocks\.(\d+)\.out")
PREFIX = "sae.drift."


@attrs.frozen(kw_only=True)
class _Read:
    """What one passage gave."""

    domain: str
    dense: Mapping[str, tuple[Vectors, Vectors]]
    """Base and difference (d) by site."""
    codes: Mapping[str, tuple[MeanCodes, MeanCodes]]
    """Base and trained by site of a dictionary."""
    fits: Mapping[str, Fit]
    """What the dictionary makes of the base, by its site."""


class Drift:
    """Analyzer `sae.drift`."""

    def __init__(self, options: DriftOptions) -> None:
        self._options = options
        self._read: dict[str, _Read] = {}
        self._dictionaries: dict[str, Dictionary] = {}
        self._rebuilt: dict[str, str] = {}
        """Where what each of them rebuilds lies, by the site that it reads."""
        self._unfit: dict[str, str] = {}
        """Why a dictionary cannot be put to the activations at a site at all."""
        self._notes: list[str] = []

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed, and opens the dictionaries.

        Raises:
            SubjectError: one cannot be opened.
        """
        self._seed = context.seed
        for path in self._options.dictionaries:
            dictionary = shared_dictionary(path, context.device)
            site, name = self._options.site or dictionary.site, dictionary.name or path
            if site is None:
                self._notes.append(f"{name} reads {dictionary.hook or 'an unknown site'}, which is no site of ours")
            elif (rebuilt := rebuilt_at(dictionary, site)) is None:
                self._notes.append(f"{name} is a transcoder, and its file names no site that it writes")
            elif of_differences(dictionary):
                self._notes.append(f"{name} was trained on differences of activations and does not encode activations")
            elif site in self._dictionaries:
                self._notes.append(f"{name} reads {site} as well; the first one named is used there")
            else:
                self._dictionaries[site], self._rebuilt[site] = dictionary, rebuilt

    def observe(self, item: object) -> None:
        """Takes in one batch."""
        if not isinstance(item, ForwardBatch):
            return
        here = counted(item.rows, SETS)
        if not here.chosen:
            return
        dense: dict[str, tuple[Any, Any]] = {}
        for site in item.base.sites:
            if _BLOCK.fullmatch(site):
                base = mean_vectors(item.base.sites[site], here)
                delta = mean_vectors(item.geometry(site).delta, here)
                dense[site] = (base.float().cpu().numpy(), delta.float().cpu().numpy())
        found = {
            site: [mean_codes(codes(item, dictionary, side, site=site), here) for side in ("base", "trained")]
            for site, dictionary in self._dictionaries.items()
            if self._measurable(item, site, dictionary)
        }
        gone = {site: broken(here.index, here.passage, *self._activations(item, site)) for site in found}
        rebuilt = {site: self._fits(item, site, here, gone[site]) for site in found}
        for i in here.chosen:
            passage = here.passages[i]
            self._read[passage.id] = _Read(
                domain=passage.domain,
                dense={site: (base[i], delta[i]) for site, (base, delta) in dense.items()},
                codes={site: (base[i], trained[i]) for site, (base, trained) in found.items() if i not in gone[site]},
                fits={site: own[passage.id] for site, own in rebuilt.items() if passage.id in own},
            )

    def _activations(self, item: ForwardBatch, site: str) -> list[torch.Tensor]:
        """Those that it reads and those that it rebuilds, of both sides."""
        places = sorted({site, self._rebuilt[site]})
        return [side.sites[place] for side in (item.base, item.trained) for place in places]

    def _measurable(self, item: ForwardBatch, site: str, dictionary: Dictionary) -> bool:
        """Whether activations were taken where it reads and writes, as wide as it has them."""
        for place, own in ((site, dictionary.d_in), (self._rebuilt[site], dictionary.d_out)):
            if place not in item.base.sites:
                return False
            width = item.base.sites[place].shape[1]
            if width != own:
                self._unfit[site] = f"{dictionary.name}: not valid here: it has width {own} at {place}, not {width}"
                return False
        return True

    def _fits(self, item: ForwardBatch, site: str, here: RiskCounted, gone: Collection[int]) -> dict[str, Fit]:
        dictionary, x = self._dictionaries[site], item.base.sites[site]
        own = Counted(
            passages=here.passages, index=here.index, passage=here.passage, tokens=tuple(here.tokens.tolist())
        )
        found = codes(item, dictionary, "base", site=site)
        target = item.base.sites[self._rebuilt[site]]
        return fits(target, reconstruct(x, found, dictionary), found.counts(), without(own, gone))

    def merge(self, other: Drift) -> None:
        """Takes in the passages that another instance observed."""
        self._read.update(other._read)
        self._unfit.update(other._unfit)

    def finish(self) -> AnalyzerOutput:
        """Every site over every set."""
        names = sorted(self._read)
        found = {site for name in names for site in (*self._read[name].dense, *self._read[name].codes)}
        sites = sorted(found, key=_order)
        sets = [name for name in SETS if any(self._read[one].domain == name for one in names)]
        if not names:
            why = "no passage of the domains was read"
            return AnalyzerOutput(measurements=tuple(undefined(metric.id, why, n=0) for metric in METRICS))
        unfit = {site: told for site in self._dictionaries if (told := self._misfit(site)) is not None}
        measured: list[Measurement] = []
        cells: list[dict[str, Any]] = []
        for site in sites:
            for of in sets:
                rows = [self._read[name] for name in names if self._read[name].domain == of]
                numbers = self._cell(site, rows, unfit.get(site))
                scope = Scope(layer=_layer(site), site=site, subset=of)
                measured += [as_measurement(one, PREFIX + kind, scope=scope) for kind, one in numbers.items()]
                cell = {kind: _plain(numbers.get(kind)) for kind in ("dense", "features", "mass")}
                cells.append({"site": site, "set": of, **cell})
        content = json.dumps({"sites": sites, "sets": sets, "cells": cells}, sort_keys=True, allow_nan=False)
        seen = {site for one in self._read.values() for site in one.codes}
        missing = sorted(set(self._dictionaries) - seen - self._unfit.keys())
        notes = [*self._notes, *unfit.values(), *self._unfit.values()]
        notes += [f"no activations at {site}, which a dictionary reads, were taken" for site in missing]
        return AnalyzerOutput(
            measurements=tuple(measured),
            artifacts=(
                ArtifactPayload(
                    id="sae.drift",
                    suffix=".json",
                    media_type="application/json",
                    summary="Drift by site and probe set: of mean activations, and of features at a dictionary",
                    content=content.encode(),
                ),
            ),
            notifications=tuple(Notification(level="note", message=note) for note in notes),
        )

    def _misfit(self, site: str) -> str | None:
        """Why the dictionary at a site is not valid here, from what it makes of the base on all sets."""
        own = {name: one.fits[site] for name, one in self._read.items() if site in one.fits}
        if not own:
            return None
        share, name = unexplained(own, seed=self._seed), self._dictionaries[site].name
        if share.estimate is None:
            return f"{name}: not valid here: its fit is not known: {share.reason}"
        if share.estimate > self._options.most_unexplained:
            return f"{name}: not valid here: it leaves {share.estimate:.2f} of the base's variance unexplained"
        return None

    def _cell(self, site: str, rows: list[_Read], unfit: str | None) -> dict[str, Contrast]:
        found: dict[str, Contrast] = {}
        dense = [one.dense[site] for one in rows if site in one.dense]
        dense = [(base, delta) for base, delta in dense if np.isfinite(base).all() and np.isfinite(delta).all()]
        if dense:
            base, delta = (np.stack(side).astype(np.float64) for side in zip(*dense, strict=True))
            found["dense"] = distance(base, delta, seed=self._seed)
        both = [one.codes[site] for one in rows if site in one.codes]
        if both and unfit is not None:
            found["features"] = found["mass"] = undefined_number(unfit, len(both))
        elif both:
            used = np.unique(np.concatenate([side.features for pair in both for side in pair]))
            base, trained = (table([pair[k] for pair in both], used) for k in (0, 1))
            found["features"] = distance(base, trained - base, seed=self._seed)
            found["mass"] = mass(base, trained - base, seed=self._seed)
        return found


def _layer(site: str) -> int | None:
    match = _BLOCK.fullmatch(site)
    return None if match is None else int(match[1])


def _order(site: str) -> tuple[int, str]:
    """By block, from bottom to top."""
    match = re.match(r"blocks\.(\d+)\.", site)
    return (-1 if match is None else int(match[1]), site)


def _plain(one: Contrast | None) -> dict[str, Any] | None:
    if one is None or one.estimate is None:
        return None
    ends = one.interval
    return {
        "value": one.estimate,
        "low": None if ends is None else ends.low,
        "high": None if ends is None else ends.high,
        "n": one.n,
    }
