"""Analyzer `activation.mean_difference`: how large, how sure and how constant the mean difference is; no readout.

Artifact `activation.mean_differences` (safetensors): for every chosen block output, with P places in the order of the
metadata's `places`: `{site}.delta`, `{site}.base`, `{site}.trained` (P, d) float32, means of δ, b and f; `{site}.sd`
(P, d) float32, standard deviations of δ over tokens; `{site}.count` (P) int64. Places without tokens are 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import attrs
import numpy as np

from afterburn_activation.jackknife import interval
from afterburn_activation.lens_means import MeanDifference, MeanDifferences, place_names
from afterburn_activation.lens_options import MeanOptions
from afterburn_activation.sites import scope_of
from afterburn_core.forward.model import ForwardBatch, LogitChunk
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Interval, Measurement, Scope, Test
from afterburn_core.stats.contrast import Contrast, as_measurement
from afterburn_core.stats.multiplicity import adjust

PREFIX = "activation.mean_difference."
FAMILY = "activation.mean_difference"
NOTHING = "no token of a plain text was read"


class MeanDifferenceAnalyzer:
    """Analyzer `activation.mean_difference`."""

    def __init__(self, options: MeanOptions) -> None:
        self._options = options
        self._means = MeanDifferences(options.depths, options.positions)

    def begin(self, context: AnalyzerContext) -> None:
        """Nothing is random here."""

    def observe(self, item: ForwardBatch | LogitChunk) -> None:
        """Adds a batch."""
        if isinstance(item, ForwardBatch):
            self._means.observe(item)

    def merge(self, other: MeanDifferenceAnalyzer) -> None:
        """Takes in another instance's sums."""
        self._means.merge(other._means)

    def finish(self) -> AnalyzerOutput:
        """One set of numbers per site and place, and the vectors."""
        found = {(site, one.place): one for site in self._means.sites for one in self._means.at(site)}
        if not found:
            return AnalyzerOutput(measurements=tuple(undefined(PREFIX + name, NOTHING, n=0) for name in _NAMES))
        contrasts = adjust({key: _relative(one) for key, one in found.items()}, family=FAMILY, method="holm")
        measured: list[Measurement] = []
        for (site, place), one in found.items():
            scope = scope_of(site, place)
            measured.append(as_measurement(contrasts[site, place], PREFIX + "relative_norm", scope=scope))
            measured += _others(one, scope)
        return AnalyzerOutput(measurements=tuple(measured), artifacts=(_vectors(found, self._options.positions),))


_NAMES = ("relative_norm", "signal_to_noise", "split_half", "energy_share")


def _relative(one: MeanDifference) -> Contrast:
    zero = not one.squares.any()
    square, left_out = one.squares_without_noise()
    ends = interval(square, left_out, low=0.0, high=4.0) if np.isfinite(square) else None
    if ends is not None:  # of the square: near 0 the root is too steep
        ends = attrs.evolve(ends, low=math.sqrt(ends.low), high=math.sqrt(max(ends.high, 0.0)))
    if zero:
        ends = Interval(low=0.0, high=0.0, level=0.95, method="identical")
    reason = None if ends is not None else "texts of too few groups for an interval"
    test = Test(name="group_sign_flip", p_value=one.p_value())
    return Contrast(n=one.texts, estimate=one.relative_without_noise, interval=ends, test=test, reason=reason)


def _others(one: MeanDifference, scope: Scope) -> list[Measurement]:
    if not one.squares.any():
        reason = "both sides are equal: there is no difference to be consistent"
        return [undefined(PREFIX + name, reason, scope=scope, n=one.texts) for name in _NAMES[1:]]
    error, halves = one.error(), one.split_half()
    few = "texts of too few groups"
    exact = error <= 1e-12 * one.norm
    values = {
        "signal_to_noise": (one.norm / error if error > 0 and not exact else float("nan"), _why(error, exact)),
        "split_half": (halves, few),
        "energy_share": (one.energy, few),
    }
    found = []
    for name, (value, why) in values.items():
        if not np.isfinite(value):
            found.append(undefined(PREFIX + name, why, scope=scope, n=one.texts))
            continue
        contrast = Contrast(n=one.texts, estimate=float(value), reason="a description of the sums, without an interval")
        found.append(as_measurement(contrast, PREFIX + name, scope=scope))
    return found


def _why(error: float, exact: bool) -> str:
    return "the difference is the same at every token" if exact else "texts of too few groups"


def _vectors(found: Mapping[tuple[str, str], MeanDifference], positions: int) -> ArtifactPayload:
    from safetensors.numpy import save

    places = place_names(positions)
    arrays: dict[str, np.ndarray] = {}
    for (site, place), one in found.items():
        p = places.index(place)
        for name, values in (
            ("delta", one.mean),
            ("base", one.base),
            ("trained", one.trained),
            ("sd", np.sqrt(np.maximum(one.squares - one.mean**2, 0.0))),
        ):
            key = f"{site}.{name}"
            if key not in arrays:
                arrays[key] = np.zeros((len(places), len(values)), dtype=np.float32)
            arrays[key][p] = values
        arrays.setdefault(f"{site}.count", np.zeros(len(places), dtype=np.int64))[p] = one.n
    return ArtifactPayload(
        id="activation.mean_differences",
        suffix=".safetensors",
        media_type="application/octet-stream",
        summary="Means of base, trained and their difference at the first tokens of texts, by block output",
        content=save(arrays, metadata={"places": json.dumps(places)}),
    )
