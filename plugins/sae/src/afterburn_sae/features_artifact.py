"""What was read with a dictionary, judged for fit and tested, and the artifact `sae.features` of all of them.

`dictionaries`: `id`, `name`, `format`, `kind`, `sha256`, `site`, `model`, `latents`, `width`, `valid`, `why`, `fvu` and
`l0` by side (`value`, `low`, `high`, `n`), `tested`, `changed` (`up`, `down`), `alpha`, `noise` (ε of the multiples),
`prompts`, `tokens`, `outlier` (`property`, `value`, `share`, `rank`, `p`, `wordings`, `distances` by group, `features`
with `difference` and `carried`: what sets the suspected group of prompts apart; `null` where none is suspected).

`features`: those that changed first, each group by |d_z|, with what the largest attributions add: `label`, `base` and
`trained` (`mean`, `frequency`), `difference`, `low`, `high`, `d_z`, `multiple`, `p`, `p_adjusted`, `changed` (with
`contrast`, `difference` and what follows are of the contrast of variants, `base` and `trained` of the first),
`attribution` (nats per token), `rank`, `attribution_rank`, `tokens` (`promoted`, `suppressed` by the logit lens of the
feature's direction), `contexts`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.plugin.roles import ArtifactPayload
from afterburn_core.result.model import Interval
from afterburn_core.stats.contrast import Contrast, undefined
from afterburn_core.stats.estimates import column, mean_intervals
from afterburn_sae.attribution import Readout, directions_of
from afterburn_sae.contexts import Contexts
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.features_contrast import contrasted
from afterburn_sae.features_options import FeaturesOptions
from afterburn_sae.features_outlier import Outlier, outlier
from afterburn_sae.features_statistics import Changes, changes
from afterburn_sae.features_tally import Table, Tally, table
from afterburn_sae.labels import read_labels
from afterburn_sae.readers.sites import in_stream
from afterburn_sae.validity import SIDES, Fit, active_latents, doubts, unexplained

BY_ATTRIBUTION = 25
"""So many features with the largest attributions are listed whatever their rank."""
TOKENS = 8
_LOGITS = 1 << 24


@attrs.frozen(kw_only=True, eq=False)
class Reading:
    """One dictionary on one pair."""

    id: str
    name: str
    dictionary: Dictionary
    site: str | None
    rebuilt: str | None
    """Where what it rebuilds lies: the same site, unless it is a transcoder."""
    refused: str | None
    """Why it is not valid here."""
    remarks: tuple[str, ...]
    """What to keep in mind though it is valid."""
    fvu: Mapping[str, Contrast]
    l0: Mapping[str, Contrast]
    found: Table | None
    changes: Changes | None
    """`None` where it is not valid here."""
    intervals: Mapping[int, Interval | None]
    """Of the differences of listed features, by position."""
    listed: tuple[int, ...]
    """Positions of the features that are listed, by rank."""
    attribution_ranks: Mapping[int, int]
    """By position, 1 the largest."""
    contexts: Contexts
    contrast: tuple[str, ...]
    """Variants of prompts that were set against each other, if any."""
    outlier: Outlier | str | None
    """The suspected group among the others, or why it cannot be set there; `None` where none is suspected."""

    @classmethod
    def of(
        cls,
        number: int,
        name: str,
        dictionary: Dictionary,
        site: str | None,
        *,
        rebuilt: str | None,
        refused: str | None,
        fits: Mapping[str, Mapping[str, Fit]],
        tallies: Mapping[str, Tally],
        contexts: Contexts,
        left_out: int,
        options: FeaturesOptions,
        marked: bool | None,
        seed: int,
    ) -> Reading:
        """Judges the fit, and tests the features if it is good enough."""
        fvu = {side: unexplained(fits[side], seed=seed) for side in SIDES}
        l0 = {side: active_latents(fits[side], seed=seed) for side in SIDES}
        remarks = [f"{left_out} passages have activations that are not finite, and are left out"] if left_out else []
        if refused is None and options.features:
            why = f"only {len(options.features)} features were encoded, so that the fit is not known"
            fvu, l0 = ({side: undefined(why) for side in SIDES} for _ in range(2))
            remarks.append(why)
        elif refused is None:
            refused = _misfit(fvu["base"], options.most_unexplained)
            remarks += doubts(dictionary, l0["base"], marked)
        if refused is None and not tallies:
            refused = "no token of a text or a prompt was read"
        read, tested = None, None
        listed: tuple[int, ...] = ()
        ranks: dict[int, int] = {}
        intervals: Mapping[int, Interval | None] = {}
        if refused is None:
            read = contrasted(tallies, *options.contrast) if options.contrast else table(tallies)
            if not read.units:
                refused = f"no prompt was read both as {options.contrast[0]} and as {options.contrast[1]}"
        if refused is None and read is not None:
            tested = changes(read, alpha=options.alpha, active=options.active, seed=seed)
            ranks = _attribution_ranks(read, tested)
            listed = _listed(tested, ranks, options.shown)
            intervals = _intervals(read, listed, seed)
        return cls(
            id=f"d{number}",
            name=name,
            dictionary=dictionary,
            site=site,
            rebuilt=rebuilt,
            refused=refused,
            remarks=tuple(remarks),
            fvu=fvu,
            l0=l0,
            found=read,
            changes=tested,
            intervals=intervals,
            listed=listed,
            attribution_ranks=ranks,
            contexts=contexts,
            contrast=options.contrast,
            outlier=(refused or outlier(tallies, *options.outlier)) if options.outlier else None,
        )


def artifact(
    read: Sequence[Reading],
    options: FeaturesOptions,
    *,
    readout: Readout | None,
    decode: Callable[[int], str] | None,
    excerpts: bool,
) -> tuple[ArtifactPayload, list[str]]:
    """The file, and remarks for a person.

    Raises:
        ConfigError: labels cannot be read.
    """
    notes: list[str] = []
    features: list[dict[str, Any]] = []
    for one in read:
        notes += [f"{one.name}: not valid here: {one.refused}"] if one.refused else []
        notes += [f"{one.name}: {remark}" for remark in one.remarks]
        if one.changes is None or one.found is None:
            continue
        numbers = [int(one.changes.features[i]) for i in one.listed]
        labels, told = read_labels(options.labels, numbers, one.dictionary.lookup)
        notes += [f"{one.name}: {remark}" for remark in told]
        tokens = _tokens(one, numbers, readout, decode)
        for place, (i, feature) in enumerate(zip(one.listed, numbers, strict=True)):
            label = labels.get(feature)
            features.append(
                {
                    "dictionary": one.id,
                    "feature": feature,
                    "label": None if label is None else label.to_dict(),
                    **_numbers(one, i),
                    "tokens": tokens[place],
                    "contexts": one.contexts.of(feature, options.contexts, decode) if excerpts and decode else [],
                }
            )
    content = {"dictionaries": [_dictionary(one, options) for one in read], "features": features}
    payload = ArtifactPayload(
        id="sae.features",
        suffix=".json",
        media_type="application/json",
        summary="Features of sparse dictionaries on both models: activity, change, tokens and contexts",
        content=json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False).encode(
            "utf-8", "backslashreplace"
        ),
    )
    return payload, notes


def plain(contrast: Contrast) -> dict[str, Any]:
    """A number with its ends, as artifacts hold it."""
    ends = contrast.interval
    return {
        "value": contrast.estimate,
        "low": None if ends is None else ends.low,
        "high": None if ends is None else ends.high,
        "n": contrast.n,
    }


def _misfit(fvu: Contrast, most: float) -> str | None:
    if fvu.estimate is None:
        return f"its fit is not known: {fvu.reason}"
    if fvu.estimate > most:
        return f"it leaves {fvu.estimate:.2f} of the variance of the base's activations unexplained, more than {most:g}"
    return None


def _attribution_ranks(read: Table, tested: Changes) -> dict[int, int]:
    if read.attribution is None:
        return {}
    places = np.flatnonzero(tested.tested)
    order = np.lexsort((tested.features[places], -np.abs(read.attribution[places])))
    return {int(places[i]): rank for rank, i in enumerate(order, 1)}


def _listed(tested: Changes, ranks: Mapping[int, int], most: int) -> tuple[int, ...]:
    order = [int(i) for i in tested.order() if tested.tested[i]]
    return tuple(i for rank, i in enumerate(order) if rank < most or ranks.get(i, most) <= min(BY_ATTRIBUTION, most))


def _intervals(read: Table, listed: Sequence[int], seed: int) -> dict[int, Interval | None]:
    columns = {str(i): column(_dense(read, i)) for i in listed}
    return {int(name): ends for name, ends in mean_intervals(columns, seed=seed, level=0.95).items()}


def _dense(read: Table, i: int) -> NDArray[np.float64]:
    """Differences (n) of one feature by prompt."""
    values = np.zeros(len(read.units))
    part = slice(read.starts[i], read.starts[i + 1])
    values[read.unit[part]] = read.tested[part]
    return values


def _numbers(one: Reading, i: int) -> dict[str, Any]:
    tested, read = one.changes, one.found
    if tested is None or read is None:
        raise RuntimeError("a dictionary that is not valid here lists no features")
    ends = one.intervals.get(i)
    return {
        "base": {"mean": float(tested.base[i]), "frequency": float(tested.base_frequency[i])},
        "trained": {"mean": float(tested.trained[i]), "frequency": float(tested.trained_frequency[i])},
        "difference": float(tested.difference[i]),
        "low": None if ends is None else ends.low,
        "high": None if ends is None else ends.high,
        "d_z": _finite(tested.d_z[i]),
        "multiple": _finite(tested.multiple[i]),
        "p": float(tested.p[i]),
        "p_adjusted": float(tested.p_adjusted[i]),
        "changed": {1: "up", -1: "down"}.get(int(tested.changed[i])),
        "attribution": None if read.attribution is None else float(read.attribution[i]),
        "rank": 1 + int(np.flatnonzero(tested.order() == i)[0]),
        "attribution_rank": one.attribution_ranks.get(i),
    }


def _dictionary(one: Reading, options: FeaturesOptions) -> dict[str, Any]:
    dictionary, tested = one.dictionary, one.changes
    changed = None if tested is None else tested.changed
    return {
        "id": one.id,
        "name": one.name,
        "format": dictionary.format,
        "kind": dictionary.kind,
        "sha256": dictionary.sha256,
        "site": one.site,
        "site_out": one.rebuilt if dictionary.transcoder else None,
        "model": dictionary.model,
        "latents": dictionary.latents,
        "width": dictionary.d_in,
        "valid": one.refused is None,
        "why": one.refused or "; ".join(one.remarks) or None,
        "fvu": {side: plain(one.fvu[side]) for side in SIDES},
        "l0": {side: plain(one.l0[side]) for side in SIDES},
        "tested": 0 if tested is None else int(tested.tested.sum()),
        "changed": None if changed is None else {"up": int((changed > 0).sum()), "down": int((changed < 0).sum())},
        "alpha": options.alpha,
        "contrast": list(options.contrast) or None,
        "outlier": one.outlier.to_dict() if isinstance(one.outlier, Outlier) else None,
        "noise": None if tested is None else tested.floor,
        "prompts": 0 if one.found is None else len(one.found.units),
        "tokens": 0 if one.found is None else one.found.tokens,
    }


def _tokens(
    one: Reading, features: Sequence[int], readout: Readout | None, decode: Callable[[int], str] | None
) -> list[dict[str, list[str]] | None]:
    """Tokens that each feature's direction promotes and suppresses most, through the trained model's norm and head."""
    unread = one.rebuilt is None or not in_stream(one.rebuilt)
    if readout is None or decode is None or unread or not features:
        return [None] * len(features)
    found: list[dict[str, list[str]] | None] = []
    with torch.no_grad():
        device = one.dictionary.device
        rows = directions_of(one.dictionary, torch.tensor(features, dtype=torch.int64, device=device))
        try:
            nothing = readout(torch.zeros_like(rows[:1])).float()
        except RuntimeError:  # the head is of another width than what the dictionary writes
            return [None] * len(features)
        step = max(1, _LOGITS // nothing.shape[1])
        for part in torch.split(rows, step):
            logits = readout(part).float() - nothing
            for sign in logits:
                top, low = (sign * way for way in (1, -1))
                found.append(
                    {
                        name: [decode(int(token)) for token in values.topk(min(TOKENS, len(values))).indices]
                        for name, values in (("promoted", top), ("suppressed", low))
                    }
                )
    return found


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
