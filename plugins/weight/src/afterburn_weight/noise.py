"""Noise and structure of W, W' and Δ, per matrix: the Marchenko–Pastur bulk and the spikes beyond its edge.

Counts add over tensors; shares of energy are rolled up as Σ σ²_spikes / Σ ‖·‖². See `spikes` for the formulas.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import attrs

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope, Test
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.spectra import Spectrum
from afterburn_weight.multiplicity import corrected
from afterburn_weight.options import NoiseOptions
from afterburn_weight.rollup import order, places
from afterburn_weight.spikes import NoiseFit, fit_noise

ARTIFACT = "weight.spikes"
_SUBJECTS = {"base": ("base",), "trained": ("trained",), "delta": ("base", "trained")}
_METRICS = ("scale", "edge", "spikes", "share", "distance")
ZERO = "the matrix is zero"


@attrs.frozen(kw_only=True)
class Side:
    """One spectrum of a matrix."""

    noise: NoiseFit | str
    square: float
    count: int
    """Singular values."""

    @property
    def spikes(self) -> int | None:
        """How many there are: none in a zero matrix, unknown where the noise is."""
        if isinstance(self.noise, str):
            return 0 if self.square == 0 else None
        return self.noise.spikes.size


class NoiseAnalyzer:
    """Analyzer `weight.noise`."""

    def __init__(self, options: NoiseOptions) -> None:
        self._options = options
        self._matrices: dict[str, tuple[Scope, dict[str, Side]]] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Needs nothing to begin with."""

    def observe(self, item: WeightPair) -> None:
        """Fits the bulk of the three spectra."""
        spectra = item.spectra
        if spectra is None:
            return
        sides = {"base": self._side(spectra.base)}
        sides["trained"] = sides["base"] if spectra.trained is spectra.base else self._side(spectra.trained)
        sides["delta"] = self._side(spectra.delta)
        self._matrices[item.name] = (item.scope, sides)

    def merge(self, other: NoiseAnalyzer) -> None:
        """Takes in matrices that another instance observed."""
        self._matrices.update(other._matrices)

    def finish(self) -> AnalyzerOutput:
        """Per matrix, then by place; the spikes themselves as an artifact."""
        found: list[Measurement] = []
        for side, subjects in _SUBJECTS.items():
            fits = {name: sides[side].noise for name, (_, sides) in self._matrices.items()}
            tests = corrected(
                {name: _test(noise) for name, noise in fits.items() if isinstance(noise, NoiseFit)},
                f"weight.noise.spikes/{side}",
            )
            for name in sorted(self._matrices):
                scope, sides = self._matrices[name]
                found += _measurements(scope, subjects, sides[side], tests.get(name))
            groups: dict[Scope, list[Side]] = defaultdict(list)
            for name in sorted(self._matrices):
                scope, sides = self._matrices[name]
                for place in places(scope):
                    groups[place].append(sides[side])
            for place in sorted(groups, key=order):
                found += _rolled_up(place, subjects, groups[place])
        artifacts = (self._artifact(),) if self._matrices else ()
        return AnalyzerOutput(measurements=tuple(found), artifacts=artifacts)

    def _side(self, spectrum: Spectrum) -> Side:
        count = min(spectrum.rows, spectrum.columns)
        if spectrum.square == 0:
            return Side(noise=ZERO, square=0.0, count=count)
        return Side(noise=fit_noise(spectrum, level=self._options.level), square=spectrum.square, count=count)

    def _artifact(self) -> ArtifactPayload:
        matrices = {
            name: {side: self._described(one.noise) for side, one in self._matrices[name][1].items()}
            for name in sorted(self._matrices)
        }
        content = {"level": self._options.level, "matrices": matrices}
        return ArtifactPayload(
            id=ARTIFACT,
            suffix=".json",
            media_type="application/json",
            summary="Singular values beyond the Marchenko–Pastur edge of W, W' and Δ: as observed, as planted (theta), "
            "and the expected squared overlap of observed with planted vectors (left, right)",
            content=json.dumps(content, sort_keys=True, allow_nan=False).encode(),
        )

    def _described(self, noise: NoiseFit | str) -> dict[str, Any]:
        if isinstance(noise, str):
            return {"reason": noise}
        listed = slice(None, self._options.listed)
        columns = (noise.spikes[listed], noise.theta[listed], noise.left[listed], noise.right[listed])
        return {
            "scale": noise.scale,
            "edge": noise.edge,
            "count": noise.spikes.size,
            "spikes": [
                {"observed": float(y), "theta": float(t), "left": float(u), "right": float(v)}
                for y, t, u, v in zip(*columns, strict=True)
            ],
        }


def _test(noise: NoiseFit) -> Test:
    return Test(name="tracy_widom", statistic=noise.statistic, p_value=min(noise.p_value, 1.0))


def _measurements(scope: Scope, subjects: tuple[str, ...], side: Side, test: Test | None) -> Iterator[Measurement]:
    if isinstance(side.noise, str):
        for metric in _METRICS:
            name = f"weight.noise.{metric}"
            if side.square == 0 and metric != "distance":  # exactly: neither noise nor structure
                yield measure(name, 0.0, subjects=subjects, scope=scope, n=side.count, reason=ZERO)
            else:
                yield undefined(name, side.noise, subjects=subjects, scope=scope, n=side.count)
        return
    noise = side.noise
    values = (noise.scale, noise.edge, noise.spikes.size, noise.share, noise.distance)
    for metric, value in zip(_METRICS, values, strict=True):
        count = noise.bulk if metric in {"scale", "distance"} else side.count
        one = measure(f"weight.noise.{metric}", value, subjects=subjects, scope=scope, n=count)
        yield attrs.evolve(one, test=test) if metric == "spikes" else one


def _rolled_up(place: Scope, subjects: tuple[str, ...], sides: list[Side]) -> Iterator[Measurement]:
    known = [(side, side.spikes) for side in sides if side.spikes is not None]
    if not known:
        reasons = sorted({side.noise for side in sides if isinstance(side.noise, str)})
        reason = reasons[0] if len(reasons) == 1 else f"no matrix has a bulk of noise; the first: {reasons[0]}"
        for metric in ("spikes", "share"):
            yield undefined(f"weight.noise.{metric}", reason, subjects=subjects, scope=place, n=len(sides))
        return
    note = None
    if len(known) < len(sides):
        note = f"left out: {len(sides) - len(known)} of {len(sides)} matrices, whose noise is not known"
    total = sum(count for _, count in known)
    energy = math.fsum(side.square for side, _ in known)
    beyond = math.fsum(side.square * side.noise.share for side, _ in known if isinstance(side.noise, NoiseFit))
    for metric, value in (("spikes", float(total)), ("share", min(beyond / energy, 1.0) if energy else 0.0)):
        yield measure(f"weight.noise.{metric}", value, subjects=subjects, scope=place, n=len(known), reason=note)
