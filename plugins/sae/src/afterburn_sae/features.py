"""Analyzer `sae.features`: which features of a dictionary training switched on and off, on the same tokens.

Rides on the forward pass. Per dictionary: does it fit (`validity`), what every feature did in every prompt
(`features_tally`), paired tests by prompt (`features_statistics`), what the changes do to the next token by the direct
path (`attribution`), the tokens that a feature writes, and where it is most active (`contexts`). A dictionary that does
not fit gives `not valid here` and no word about features. Where `features` names some, only these are encoded, the fit
is not known, and the correction is over these.

Artifact `sae.features` (JSON): `dictionaries` and `features`; see `features_artifact`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

from afterburn_core.forward.model import ForwardBatch
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Measurement, Notification
from afterburn_core.run.seeds import child_seed
from afterburn_sae.attribution import Readout, attributions, gradients
from afterburn_sae.contexts import Contexts, kept_codes, sample
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.encoded import broken, codes, reconstruct, shared_dictionary
from afterburn_sae.features_artifact import Reading, artifact
from afterburn_sae.features_measures import METRICS, measured
from afterburn_sae.features_options import SOURCES, FeaturesOptions
from afterburn_sae.features_tally import Counted, Paired, Tally, counted, paired, tallied, without
from afterburn_sae.places import rebuilt_at
from afterburn_sae.readers.sites import in_stream
from afterburn_sae.validity import SIDES, Fit, fits, misplaced

_LAST = re.compile(r"blocks\.(\d+)\.out")


@attrs.define(kw_only=True)
class _Place:
    """One dictionary, and what was read with it."""

    dictionary: Dictionary
    name: str
    site: str | None
    rebuilt: str | None
    """Where what it rebuilds lies: the same site, unless it is a transcoder."""
    refused: str | None
    """Why it cannot be used, known before anything is read or from the first batch."""
    contexts: Contexts
    tallies: dict[str, Tally] = attrs.field(factory=dict)
    fits: dict[str, dict[str, Fit]] = attrs.field(factory=lambda: {side: {} for side in SIDES})
    left_out: set[str] = attrs.field(factory=set)
    """Passages with activations that are not finite."""
    missing: bool = True
    """Whether no batch had activations at its site."""


class Features:
    """Analyzer `sae.features`."""

    def __init__(self, options: FeaturesOptions) -> None:
        self._options = options
        self._places: list[_Place] = []
        self._readout: Readout | None = None
        self._decode: Callable[[int], str] | None = None
        self._marked: bool | None = None

    def begin(self, context: AnalyzerContext) -> None:
        """Opens the dictionaries and looks whether they can belong to the base.

        Raises:
            SubjectError: one cannot be opened.
        """
        self._context = context
        self._key = f"sae.features/{context.seed}"
        config = context.documents("base", "config")
        bases = [subject for subject in context.subjects if subject.role == "base"]
        labels, digests = [subject.label for subject in bases], [subject.digest for subject in bases]
        names: dict[str, int] = {}
        for path in self._options.dictionaries:
            dictionary = shared_dictionary(path, context.device)
            site = self._options.site or dictionary.site
            name = dictionary.name or Path(path).name
            names[name] = names.get(name, 0) + 1
            self._places.append(
                _Place(
                    dictionary=dictionary,
                    name=name if names[name] == 1 else f"{name} ({names[name]})",
                    site=site,
                    rebuilt=rebuilt_at(dictionary, site),
                    refused=misplaced(dictionary, site, config, labels, self._options.any_model, digests)
                    or self._outside(dictionary),
                    contexts=Contexts(key=self._key),
                )
            )

    def observe(self, item: object) -> None:
        """Takes in one batch."""
        if not isinstance(item, ForwardBatch):
            return
        here = counted(item.rows, SOURCES, self._options.positions)
        if not here.chosen:
            return
        self._decode, self._readout = item.rows.decode, self._readout or item.readout
        texts = [i for i in here.chosen if here.passages[i].source == "text"]
        if self._marked is None and texts:
            self._marked = int(item.rows.position[item.rows.passage == texts[0]].min()) > 0
        gradient: tuple[torch.Tensor, Mapping[int, int]] | None = None
        for place in self._places:
            if place.refused is not None or not {place.site, place.rebuilt} <= item.base.sites.keys():
                continue
            place.missing = False
            place.refused = _other_width(place, item)
            if place.refused is not None:
                continue
            gradient = gradient or self._gradients(item, here)
            self._read(place, item, here, gradient)

    def merge(self, other: Features) -> None:
        """Takes in the passages that another instance observed."""
        self._readout, self._decode = self._readout or other._readout, self._decode or other._decode
        self._marked = other._marked if self._marked is None else self._marked
        for mine, its in zip(self._places, other._places, strict=True):
            mine.tallies |= its.tallies
            mine.contexts.merge(its.contexts)
            mine.left_out |= its.left_out
            mine.refused, mine.missing = mine.refused or its.refused, mine.missing and its.missing
            for side in SIDES:
                mine.fits[side] |= its.fits[side]

    def finish(self) -> AnalyzerOutput:
        """Tests, measurements and the artifact."""
        if not self._places:
            return AnalyzerOutput(
                measurements=tuple(undefined(metric, "no dictionary is named", n=0) for metric in METRICS)
            )
        read = [self._reading(place, i) for i, place in enumerate(self._places)]
        payload, notes = artifact(
            read, self._options, readout=self._readout, decode=self._decode, excerpts=self._context.excerpts
        )
        found: list[Measurement] = [one for reading in read for one in measured(reading)]
        return AnalyzerOutput(
            measurements=tuple(found),
            artifacts=(payload,),
            notifications=tuple(Notification(level="note", message=note) for note in notes),
        )

    def _outside(self, dictionary: Dictionary) -> str | None:
        beyond = [one for one in self._options.features if not 0 <= one < dictionary.latents]
        return f"it has {dictionary.latents} features, and feature {beyond[0]} was asked for" if beyond else None

    def _read(
        self, place: _Place, item: ForwardBatch, here: Counted, gradient: tuple[torch.Tensor, Mapping[int, int]]
    ) -> None:
        dictionary, site, some = place.dictionary, place.site or "", tuple(self._options.features) or None
        target = place.rebuilt or ""
        found = {side: codes(item, dictionary, side, site=site, features=some) for side in SIDES}
        here = self._whole(place, item, here)
        both = paired(found["base"], found["trained"], here)
        text = here
        if self._options.positions != "content":  # one fit for all
            text = self._whole(place, item, counted(item.rows, SOURCES))
        if some is None and text.chosen:
            for side, one in found.items():
                x = item.subject(side).sites
                place.fits[side] |= fits(x[target], reconstruct(x[site], one, dictionary), one.counts(), text)
        g, taken = gradient
        given = None
        if taken and in_stream(target) and g.shape[1] == dictionary.d_out:
            given = attributions(both, g, item.trained.sites[site], dictionary), taken
        place.tallies |= tallied(item.rows, here, both, given, next(iter(self._options.outlier), None))
        if self._context.excerpts and self._options.contexts:
            self._keep(place, item, here, both)

    def _whole(self, place: _Place, item: ForwardBatch, here: Counted) -> Counted:
        sides = [item.subject(side).sites[at or ""] for side in SIDES for at in {place.site, place.rebuilt}]
        gone = broken(here.index, here.passage, *sides)
        place.left_out |= {here.passages[i].id for i in gone}
        return without(here, gone)

    def _keep(self, place: _Place, item: ForwardBatch, here: Counted, both: Paired) -> None:
        for i in here.chosen:
            place.contexts.add(here.passages[i], lambda i=i: kept_codes(item.rows, i, here, both))  # type: ignore[misc]

    def _gradients(self, item: ForwardBatch, here: Counted) -> tuple[torch.Tensor, Mapping[int, int]]:
        """g (n, d) of the trained model, 0 at rows that are left out, and attributed tokens by passage."""
        last = _behind_last_block(item.trained.sites)
        names = {i: here.passages[i].id for i in here.chosen}
        chosen = sample(names, self._options.attributed, f"{self._key}/attribution")
        if last is None or item.readout is None or not chosen:
            return torch.zeros((0, 0)), {}
        wanted = torch.zeros(len(here.passages), dtype=torch.bool, device=last.device)
        wanted[sorted(chosen)] = True
        index = here.index[wanted[here.passage] & (item.rows.target[here.index] >= 0)]
        full = torch.zeros(last.shape, dtype=torch.float32, device=last.device)
        vocabulary = int(item.readout(last[:1]).shape[1])
        full[index] = gradients(item.readout, last[index], item.rows.target[index], vocabulary)
        counts = torch.bincount(item.rows.passage[index], minlength=len(here.passages)).tolist()
        return full, {i: counts[i] for i in chosen if counts[i]}

    def _reading(self, place: _Place, number: int) -> Reading:
        return Reading.of(
            number,
            place.name,
            place.dictionary,
            place.site,
            rebuilt=place.rebuilt,
            refused=place.refused or (f"no activations at {_named(place)} were taken" if place.missing else None),
            fits=place.fits,
            tallies=place.tallies,
            contexts=place.contexts,
            left_out=len(place.left_out),
            options=self._options,
            marked=self._marked,
            seed=child_seed(self._context.seed, place.name),
        )


def _named(place: _Place) -> str:
    return " and ".join(sorted({one for one in (place.site, place.rebuilt) if one is not None}))


def _other_width(place: _Place, item: ForwardBatch) -> str | None:
    dictionary = place.dictionary
    for does, site, own in (("reads", place.site, dictionary.d_in), ("writes", place.rebuilt, dictionary.d_out)):
        width = item.base.sites[site or ""].shape[1]
        if width != own:
            return f"it {does} activations of width {own}, and the models have {width}"
    return None


def _behind_last_block(sites: Mapping[str, Any]) -> torch.Tensor | None:
    """Activations (n, d) behind the highest block that was captured: the need asks for the last."""
    outputs = {int(match[1]): name for name in sites if (match := _LAST.fullmatch(name))}
    found: torch.Tensor | None = sites[outputs[max(outputs)]] if outputs else None
    return found
