"""Ranks, norms and energies of singular values.

With σ_i descending and p_i = σ_i²/Σσ²:

    stable rank      Σσ² / σ₁²                    effective rank   exp(−Σ p ln p)        (Roy & Vetterli 2007)
    participation    (Σσ²)² / Σσ⁴                 rank_at_90       min {k : Σ_{i≤k} σ_i² ≥ 0.9 Σσ²}
    energy_top k     Σ_{i≤k} σ_i² / Σσ²           drift            ‖σ(W') − σ(W)‖ / ‖σ(W)‖  (see `drift`)
    rank_numeric     #{σ_i > s(√m + √n) and a margin},  s² = mean ulp(w')²/12: rounding W' alone reaches that far

Σσ² is the exact squared norm from the sums, so that no share depends on a truncated or unresolved tail.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.spectra import PairSpectra, Spectrum
from afterburn_core.run.sums import PairSums
from afterburn_weight.drift import Drift, drift
from afterburn_weight.marchenko_pastur import edge
from afterburn_weight.options import SpectrumOptions
from afterburn_weight.rollup import order, places
from afterburn_weight.specs.spectrum import TOPS

ARTIFACT = "weight.spectra"
_ROUNDING_LEVEL = 0.999
_TELLING = 0.1
"""Share of the drift, root mean square, from which on what is not resolved is told."""
Values = NDArray[np.float64]


@attrs.frozen(kw_only=True)
class Shape:
    """The numbers of one spectrum; `None` where they are not known."""

    count: int
    """Singular values they were computed from."""
    square: float
    spectral_norm: float
    stable_rank: float | None
    effective_rank: float | None
    participation: float | None
    rank_at_90: int | None
    rank_numeric: int | None
    nuclear_norm: float | None
    energy_top: tuple[float | None, ...]


def shape_of(spectrum: Spectrum, threshold: float = 0.0) -> Shape:
    """Ranks, norms and energies of a spectrum.

    Args:
        spectrum: singular values, descending.
        threshold: values up to it do not count for the numeric rank.
    """
    values, square = spectrum.values, spectrum.square
    whole = not spectrum.approximate
    largest = float(values[0]) if values.size else 0.0
    energies = values * values
    seen = float(energies.sum())
    if square == 0 or largest == 0:
        return Shape(
            count=values.size, square=0.0, spectral_norm=0.0, stable_rank=None, effective_rank=None,
            participation=None, rank_at_90=None, rank_numeric=0 if whole else None,
            nuclear_norm=0.0 if whole else None, energy_top=(None,) * len(TOPS),
        )  # fmt: skip
    bar = max(threshold, spectrum.floor * largest)
    return Shape(
        count=values.size,
        square=square,
        spectral_norm=largest,
        stable_rank=square / largest**2,
        effective_rank=effective_rank(values) if whole else None,
        participation=seen**2 / float(energies @ energies) if whole else None,
        rank_at_90=int(np.searchsorted(np.cumsum(energies), 0.9 * seen)) + 1 if whole else None,
        rank_numeric=int(np.count_nonzero(values > bar)) if whole else None,
        nuclear_norm=float(values.sum()) if whole else None,
        energy_top=tuple(
            min(1.0, float(energies[:k].sum()) / square) if whole or k <= values.size else None for k in TOPS
        ),
    )


def effective_rank(values: Values) -> float:
    """exp of the entropy of σ²/Σσ² for singular values (k,); 1 for a matrix of rank 1."""
    shares = values[values > 0] ** 2
    shares = shares / shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def rounding_edge(sums: PairSums, rows: int, columns: int) -> float:
    """The largest singular value that rounding W' leaves in Δ, s(√m + √n) with the margin that finite size needs.

    s = √(mean ulp(w')²/12); exceeded by pure rounding in one matrix of a thousand (Tracy–Widom).
    """
    if not sums.n or min(rows, columns) < 2:
        return 0.0
    return math.sqrt(sums.trained_step_sq / 12 / sums.n) * edge(rows, columns, level=_ROUNDING_LEVEL, known=True)


@attrs.frozen(kw_only=True)
class Measured:
    """What is kept of one matrix."""

    scope: Scope
    base: Shape
    trained: Shape
    delta: Shape
    drift: Drift | None
    """`None` where only the top of a spectrum is known."""


class SpectrumAnalyzer:
    """Analyzer `weight.spectrum`."""

    def __init__(self, options: SpectrumOptions) -> None:
        self._options = options
        self._matrices: dict[str, Measured] = {}
        self._kept: dict[str, Values] = {}
        self._methods: dict[str, str] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Needs nothing to begin with."""

    def observe(self, item: WeightPair) -> None:
        """Reduces the spectra to numbers; keeps the values for the artifact."""
        if item.spectra is None or item.sums is None:
            return
        spectra = item.spectra
        self._matrices[item.name] = _measured(item.scope, spectra, item.sums)
        if self._options.keep_values:
            self._kept[f"{item.name}.base"] = spectra.base.values
            self._methods[item.name] = spectra.base.method
            if spectra.trained is not spectra.base:
                self._kept[f"{item.name}.trained"] = spectra.trained.values
                self._kept[f"{item.name}.delta"] = spectra.delta.values

    def merge(self, other: SpectrumAnalyzer) -> None:
        """Takes in matrices that another instance observed."""
        self._matrices.update(other._matrices)
        self._kept.update(other._kept)
        self._methods.update(other._methods)

    def finish(self) -> AnalyzerOutput:
        """Per matrix, then per roll-up; the singular values themselves as an artifact."""
        found: list[Measurement] = []
        for name in sorted(self._matrices):
            one = self._matrices[name]
            found += _measurements(one.scope, [one])
        groups: dict[Scope, list[Measured]] = defaultdict(list)
        for name in sorted(self._matrices):
            one = self._matrices[name]
            for place in places(one.scope):
                groups[place].append(one)
        for place in sorted(groups, key=order):
            found += _measurements(place, groups[place])
        artifacts = (self._artifact(),) if self._kept else ()
        return AnalyzerOutput(measurements=tuple(found), artifacts=artifacts)

    def _artifact(self) -> ArtifactPayload:
        from safetensors.numpy import save

        methods = sorted(set(self._methods.values()))
        return ArtifactPayload(
            id=ARTIFACT,
            suffix=".safetensors",
            media_type="application/vnd.safetensors",
            summary="Singular values, descending, float64, of W (`.base`), W' (`.trained`) and Δ (`.delta`) of every "
            f"matrix; computed from: {', '.join(methods)}",
            content=save(
                {name: np.ascontiguousarray(self._kept[name]) for name in sorted(self._kept)},
                metadata={"method": ",".join(methods)},  # several keys would be written in any order
            ),
        )


def _measured(scope: Scope, spectra: PairSpectra, sums: PairSums) -> Measured:
    delta = spectra.delta
    bar = 0.0 if not spectra.rounded else rounding_edge(sums, delta.rows, delta.columns)
    return Measured(
        scope=scope,
        base=shape_of(spectra.base),
        trained=shape_of(spectra.trained),
        delta=shape_of(delta, bar),
        drift=drift(spectra),
    )


def _measurements(scope: Scope, group: list[Measured]) -> list[Measurement]:
    pair, found = ("base", "trained"), []
    deltas = [one.delta for one in group]
    found += _figures("weight.delta", pair, scope, deltas)
    for number, k in enumerate(TOPS):
        metric = f"weight.delta.energy_top{k}"
        found.append(_mean(metric, pair, scope, deltas, lambda shape, i=number: shape.energy_top[i]))  # type: ignore[misc]
    found += _figures("weight.spectrum", ("base",), scope, [one.base for one in group])
    found += _figures("weight.spectrum", ("trained",), scope, [one.trained for one in group])
    found.append(_drift([one.drift for one in group], scope, sum(one.base.count for one in group)))
    return found


def _drift(drifts: list[Drift | None], scope: Scope, count: int) -> Measurement:
    """Over energies; with a note where what is not resolved could change the second figure."""
    metric, known = "weight.spectrum.drift", [one for one in drifts if one is not None]
    total = math.fsum(one.square for one in known)
    if len(known) < len(drifts):
        return undefined(metric, "only the largest singular values are known", scope=scope, n=count)
    if total == 0:
        return undefined(metric, "the base is zero", scope=scope, n=count)
    moved, blind = (math.fsum(values) for values in zip(*((one.moved, one.blind) for one in known), strict=True))
    note = None
    if blind > _TELLING**2 * (moved + blind):
        most = math.sqrt((moved + blind) / total)
        note = f"singular values too small for this precision are left out; with them it is {most:.2g} at most"
    return measure(metric, math.sqrt(moved / total), scope=scope, n=count, reason=note)


def _figures(prefix: str, subjects: tuple[str, ...], scope: Scope, shapes: list[Shape]) -> list[Measurement]:
    means: Mapping[str, Callable[[Shape], float | None]] = {
        "stable_rank": lambda shape: shape.stable_rank,
        "effective_rank": lambda shape: shape.effective_rank,
    }
    if prefix == "weight.delta":
        means = {
            **means,
            "participation": lambda shape: shape.participation,
            "rank_at_90": lambda shape: shape.rank_at_90,
        }
    found = [_mean(f"{prefix}.{name}", subjects, scope, shapes, figure) for name, figure in means.items()]
    count = sum(shape.count for shape in shapes)
    for name in ("rank_numeric", "nuclear_norm"):
        parts = [getattr(shape, name) for shape in shapes]
        if any(part is None for part in parts):
            reason = "only the largest singular values are known"
            found.append(undefined(f"{prefix}.{name}", reason, subjects=subjects, scope=scope, n=count))
        else:
            found.append(measure(f"{prefix}.{name}", sum(parts), subjects=subjects, scope=scope, n=count))
    largest = max(shape.spectral_norm for shape in shapes)
    found.append(measure(f"{prefix}.spectral_norm", largest, subjects=subjects, scope=scope, n=count))
    return found


def _mean(
    metric: str,
    subjects: tuple[str, ...],
    scope: Scope,
    shapes: list[Shape],
    figure: Callable[[Shape], float | None],
) -> Measurement:
    """The mean weighted by energy, over the spectra that are not zero."""
    present = [(shape.square, figure(shape)) for shape in shapes if shape.square > 0]
    count = sum(shape.count for shape in shapes)
    if not present:
        reason = "nothing changed" if metric.startswith("weight.delta") else "all weights are zero"
        return undefined(metric, reason, subjects=subjects, scope=scope, n=count)
    if any(value is None for _, value in present):
        reason = "only the largest singular values are known"
        return undefined(metric, reason, subjects=subjects, scope=scope, n=count)
    weight = math.fsum(square for square, _ in present)
    value = math.fsum(square / weight * value for square, value in present if value is not None)
    return measure(metric, value, subjects=subjects, scope=scope, n=count)
