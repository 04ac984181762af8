"""Steering in numbers: features beside random directions, and which texts steering broke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from afterburn_core.forward.live import Written
from afterburn_core.result.model import Null
from afterburn_core.stats.contrast import Contrast
from afterburn_core.stats.controls import standing
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.paired import paired_contrasts
from afterburn_sae.steer_reading import Readings

METRICS = ("sae.steer.kl", "sae.steer.loss", "sae.steer.incoherent")
DEARER = 1.5
"""Nats per token above the unsteered text, under the base, from which a text is broken."""
REPEATED = 0.3
"""More of its pairs of neighbouring tokens that occurred before than of the unsteered text's."""


def steered_contrasts(
    readings: Mapping[float, Readings], units: Sequence[str], features: Sequence[int], seed: int
) -> dict[tuple[str, float, int], tuple[Contrast, Null | None]]:
    """By metric, strength and feature: less the mean of the random directions, and the feature's rank among them.

    Args:
        readings: by strength; the features' directions come first, then the random ones.
        units: of the texts.
        features: in the order of the directions.
        seed: of the intervals.
    """
    count = len(features)
    differences: dict[tuple[str, float, int], Any] = {}
    nulls: dict[tuple[str, float, int], Null | None] = {}
    for strength, reading in readings.items():
        for metric, values in zip(METRICS, (reading.kl, reading.loss), strict=False):
            by_chance = values[count:]
            for number, feature in enumerate(features):
                key = (metric, strength, feature)
                differences[key] = values[number] - by_chance.mean(axis=0)
                stands = standing(
                    float(values[number].mean()),
                    by_chance.mean(axis=1).tolist(),
                    control="random_direction",
                    alternative="greater" if metric == METRICS[0] else "two_sided",
                )
                nulls[key] = stands.null
    found: dict[tuple[str, float, int], Contrast] = {}
    for metric in METRICS[:2]:
        own = {key: values for key, values in differences.items() if key[0] == metric}
        named = {f"{key[1]!r}/{key[2]}": values for key, values in own.items()}
        clusters = dict.fromkeys(named, tuple(units))
        contrasts = paired_contrasts(named, seed=seed, clusters=clusters)
        corrected = adjust({key: contrasts[f"{key[1]!r}/{key[2]}"] for key in own}, family=metric)
        found |= corrected
    return {key: (contrast, nulls[key]) for key, contrast in found.items()}


def incoherent(text: Written, plain: Written) -> bool:
    """Whether a steered text is broken beside the unsteered one from the same prompt."""
    return _cost(text) > _cost(plain) + DEARER or _repeats(text) > _repeats(plain) + REPEATED


def _cost(text: Written) -> float:
    """−ln p_base per written token; 0 of an empty text, which broke nothing."""
    count = len(text.token_ids) + text.ended
    return -text.base_logprob / count if count else 0.0


def _repeats(text: Written) -> float:
    """Share of pairs of neighbouring tokens that occurred before."""
    pairs = list(zip(text.token_ids, text.token_ids[1:]))
    return 1 - len(set(pairs)) / len(pairs) if pairs else 0.0
