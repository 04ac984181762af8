"""Analyzer `sae.risk`: how far the features and directions of risk packs moved on the sets they are meant for.

Numbers: `risk_numbers`. Of a dictionary only the columns of the packs' features and of comparison latents are read,
where its kind allows; a top-k dictionary is encoded whole. A pack that is bound to none of the dictionaries is refused.

Measured, by pack, feature and probe set (subset `<pack>/<feature>/<set>`):

- `sae.risk.shift`: log₂ of the multiple, + towards what the pack calls a concern;
- `sae.risk.direction`: the share of the way that a direction leads, + towards concern.

Artifact `sae.risk` (JSON): `packs`, each with `name`, `version`, `sha256`, `dictionary`, `bound`, `verified` and
`features`: `feature` (of a direction its name), `label`, `direction` (the concern: `up`, `down`), `set`, `base`,
`trained`, `multiple` (signed), `low`, `high`, `shift`, `null95`, `p`, `p_adjusted`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.errors import ConfigError
from afterburn_core.forward.model import ForwardBatch
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Measurement, Notification, Scope
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import as_measurement
from afterburn_core.stats.multiplicity import adjust
from afterburn_sae.encoded import broken, codes, shared_dictionary
from afterburn_sae.pack import PackDirection, PackFeature, RiskPack, read_directions, read_packs
from afterburn_sae.risk_numbers import Shift, direction_shift, feature_shifts
from afterburn_sae.risk_options import RiskOptions
from afterburn_sae.risk_rows import MeanCodes, counted, mean_codes, mean_vectors, table
from afterburn_sae.risk_watched import Watched, watched
from afterburn_sae.specs.risk import FAMILY

Floats = NDArray[np.float64]
SHIFT, DIRECTION = "sae.risk.shift", "sae.risk.direction"


@attrs.frozen(kw_only=True)
class _Read:
    """What one passage gave."""

    domain: str
    codes: Mapping[str, tuple[MeanCodes, MeanCodes]]
    """Base and trained by the dictionary's digest."""
    vectors: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    """Base and difference (d) by site."""


@attrs.frozen(kw_only=True)
class _Row:
    """One line of the result."""

    pack: RiskPack
    entry: PackFeature | PackDirection
    set: str
    shift: Shift | None
    why: str | None = None

    @property
    def name(self) -> str:
        return str(self.entry.feature) if isinstance(self.entry, PackFeature) else self.entry.name

    @property
    def metric(self) -> str:
        return SHIFT if isinstance(self.entry, PackFeature) else DIRECTION

    @property
    def site(self) -> str:
        if isinstance(self.entry, PackDirection):
            return self.entry.site
        return "" if self.pack.dictionary is None else self.pack.dictionary.site

    @property
    def scope(self) -> Scope:
        block = re.fullmatch(r"blocks\.(\d+)\.out", self.site)
        layer = None if block is None else int(block[1])
        return Scope(layer=layer, site=self.site, subset=f"{self.pack.name}/{self.name}/{self.set}")


class Risk:
    """Analyzer `sae.risk`."""

    def __init__(self, options: RiskOptions) -> None:
        self._options = options
        self._read: dict[str, _Read] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Reads the packs, and finds the dictionaries that they are bound to.

        Raises:
            ConfigError: a pack cannot be read, or is bound to a dictionary that is not given.
            SubjectError: a dictionary cannot be opened.
        """
        self._seed = context.seed
        self._packs = read_packs(self._options.packs)
        self._directions = {pack.name: read_directions(pack) for pack in self._packs}
        self._watched: dict[str, Watched] = {}
        self._sets = frozenset(name for pack in self._packs for name in pack.probe_sets)
        self._sites = sorted({one.site for pack in self._packs for one in _directions(pack)})
        if any(pack.features for pack in self._packs):
            opened = [shared_dictionary(path, context.device) for path in self._options.dictionaries]
            self._watched = watched(self._packs, opened, self._options.compared)

    def observe(self, item: object) -> None:
        """Takes in one batch."""
        if not isinstance(item, ForwardBatch):
            return
        here = counted(item.rows, self._sets)
        if not here.chosen:
            return
        found = {
            digest: [
                mean_codes(codes(item, one.dictionary, side, site=one.site, features=one.read), here)
                for side in ("base", "trained")
            ]
            for digest, one in self._watched.items()
            if one.site in item.base.sites
        }
        gone = {
            digest: broken(here.index, here.passage, item.base.sites[one.site], item.trained.sites[one.site])
            for digest, one in self._watched.items()
            if digest in found
        }
        vectors = {}
        for site in self._sites:
            if site in item.base.sites:
                sides = (item.base.sites[site], item.geometry(site).delta)
                vectors[site] = [mean_vectors(one, here).float().cpu().numpy() for one in sides]
        for i in here.chosen:
            passage = here.passages[i]
            self._read[passage.id] = _Read(
                domain=passage.domain,
                codes={
                    digest: (base[i], trained[i]) for digest, (base, trained) in found.items() if i not in gone[digest]
                },
                vectors={site: (base[i], delta[i]) for site, (base, delta) in vectors.items()},
            )

    def merge(self, other: Risk) -> None:
        """Takes in the passages that another instance observed."""
        self._read.update(other._read)

    def finish(self) -> AnalyzerOutput:
        """Every feature and direction over every set of its pack."""
        rows = list(self._rows())
        found = {i: row.shift.contrast for i, row in enumerate(rows) if row.shift is not None}
        adjusted = adjust(found, family=FAMILY)
        rows = [
            row if row.shift is None else attrs.evolve(row, shift=attrs.evolve(row.shift, contrast=adjusted[i]))
            for i, row in enumerate(rows)
        ]
        measured = [_measurement(row) for row in rows]
        for metric in (SHIFT, DIRECTION):
            if not any(m.metric == metric for m in measured):
                measured.append(undefined(metric, "the packs name none", n=0))
        loose = [pack.name for pack in self._packs if not pack.verified]
        notes = [f"risk pack {name} says of itself that it is not verified" for name in loose]
        content = json.dumps(
            {"packs": [self._told(pack, rows) for pack in self._packs]}, sort_keys=True, allow_nan=False
        )
        return AnalyzerOutput(
            measurements=tuple(measured),
            artifacts=(
                ArtifactPayload(
                    id="sae.risk",
                    suffix=".json",
                    media_type="application/json",
                    summary="Features and directions of risk packs: signed multiples by probe set",
                    content=content.encode(),
                ),
            ),
            notifications=tuple(Notification(level="note", message=note) for note in notes),
        )

    def _rows(self) -> Iterator[_Row]:
        for pack in self._packs:
            for name in pack.probe_sets:
                read = [one for key, one in sorted(self._read.items()) if one.domain == name]
                yield from self._features(pack, name, read)
                yield from self._along(pack, name, read)

    def _features(self, pack: RiskPack, of: str, read: list[_Read]) -> Iterator[_Row]:
        if pack.dictionary is None or not pack.features:
            return
        digest = pack.dictionary.sha256
        both = [one.codes[digest] for one in read if digest in one.codes]
        if not both:
            why = f"no passage of {of} was read" if not read else f"no activations at {pack.dictionary.site} were taken"
            yield from (_Row(pack=pack, entry=one, set=of, shift=None, why=why) for one in pack.features)
            return
        entries = sorted(pack.features, key=lambda one: one.feature)
        own = np.array([one.feature for one in entries], dtype=np.int64)
        signs = np.array([_sign(one) for one in entries])
        base, trained = (table([pair[k] for pair in both], own) for k in (0, 1))
        compared = tuple(table([pair[k] for pair in both], self._watched[digest].compared) for k in (0, 1))
        shifts = feature_shifts(base, trained, signs, compared=(compared[0], compared[1]), seed=self._seed)
        for entry, shift in zip(entries, shifts, strict=True):
            yield _Row(pack=pack, entry=entry, set=of, shift=shift)

    def _along(self, pack: RiskPack, of: str, read: list[_Read]) -> Iterator[_Row]:
        for entry in _directions(pack):
            found = [one.vectors[entry.site] for one in read if entry.site in one.vectors]
            found = [pair for pair in found if np.isfinite(pair[0]).all() and np.isfinite(pair[1]).all()]
            if not found:
                why = f"no passage of {of} was read at {entry.site}"
                yield _Row(pack=pack, entry=entry, set=of, shift=None, why=why)
                continue
            base, delta = (np.stack(side).astype(np.float64) for side in zip(*found, strict=True))
            vector = self._directions[pack.name][entry.tensor]
            if len(vector) != base.shape[1]:
                raise ConfigError(
                    f"risk pack {pack.name}: {entry.tensor} has {len(vector)} numbers, the model's activations "
                    f"{base.shape[1]}; it belongs to another model"
                )
            seed = child_seed(self._seed, f"{entry.site}/{of}")
            shift = direction_shift(base, delta, vector, _sign(entry), randoms=self._options.compared, seed=seed)
            yield _Row(pack=pack, entry=entry, set=of, shift=shift)

    def _told(self, pack: RiskPack, rows: list[_Row]) -> dict[str, Any]:
        bound = pack.dictionary is not None and pack.dictionary.sha256 in self._watched
        return {
            "name": pack.name,
            "version": pack.version,
            "sha256": pack.sha256,
            "dictionary": None if pack.dictionary is None else pack.dictionary.sha256,
            "bound": bound,
            "verified": pack.verified,
            "licence": pack.licence,
            "source": pack.source,
            "features": [_plain(row) for row in rows if row.pack is pack],
        }


def _directions(pack: RiskPack) -> tuple[PackDirection, ...]:
    return () if pack.directions is None else pack.directions.entries


def _sign(entry: PackFeature | PackDirection) -> float:
    return 1.0 if entry.concern == "up" else -1.0


def _measurement(row: _Row) -> Measurement:
    if row.shift is None:
        return undefined(row.metric, row.why or "not read", scope=row.scope, n=0)
    one = as_measurement(row.shift.contrast, row.metric, scope=row.scope)
    return attrs.evolve(one, null=row.shift.null)


def _plain(row: _Row) -> dict[str, Any]:
    shift = row.shift
    test = None if shift is None else shift.contrast.test
    entry = row.entry
    return {
        "feature": entry.feature if isinstance(entry, PackFeature) else entry.name,
        "label": entry.label,
        "direction": entry.concern,
        "set": row.set,
        "site": row.site,
        "base": None if shift is None else shift.base,
        "trained": None if shift is None else shift.trained,
        "multiple": None if shift is None else shift.multiple,
        "low": None if shift is None else shift.low,
        "high": None if shift is None else shift.high,
        "shift": None if shift is None else shift.contrast.estimate,
        "null95": None if shift is None else shift.null95,
        "p": None if test is None else test.p_value,
        "p_adjusted": None if test is None else test.p_adjusted,
    }
