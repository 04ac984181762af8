"""Power-law exponents of W, W' and Δ, per matrix, with the change from base to trained.

    change   α' − α, each with the λ_min of its own            z = |α' − α| / √(SE² + SE'²)

λ_min can jump between two nearly equal spectra and take α with it. A change is therefore tested by the lesser of two z:
that of the two fits, and that of both exponents above the base's λ_min. Exponents describe; no value is good or poor.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Interval, Measurement, Scope, Test
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.seeds import child_seed
from afterburn_core.run.spectra import Spectrum
from afterburn_weight.goodness import Ratio, bootstrap_p, lognormal_ratio, tail_p
from afterburn_weight.multiplicity import binomial_p, corrected
from afterburn_weight.options import TailOptions
from afterburn_weight.powerlaw import MINIMUM, TailFit, fit
from afterburn_weight.rollup import order, places

SIDES = {"base": ("base",), "trained": ("trained",), "delta": ("base", "trained")}
"""Subjects of the numbers of W, W' and Δ."""
CHANCE = math.erfc(math.sqrt(2))
"""Probability that a normal number lies more than 2 standard deviations off: 0.0455."""
_NORMAL = 1.959964


@attrs.frozen(kw_only=True)
class Tail:
    """A fit with everything that is said of it."""

    fit: TailFit
    p_value: float
    lognormal: Ratio
    bootstrap: float | None
    left_out: int
    """Eigenvalues that are zero or not resolved."""


@attrs.frozen(kw_only=True)
class Change:
    """From the base's exponent to the trained one's."""

    value: float
    z: float
    moved: bool
    """Whether the trained tail begins elsewhere in the spectrum."""


@attrs.frozen(kw_only=True)
class Matrix:
    """What is kept of one matrix; a reason where there is no fit."""

    scope: Scope
    count: int
    """Singular values."""
    tails: dict[str, Tail | str]
    resolved: dict[str, int]
    """Eigenvalues above the floor."""
    change: Change | str


class TailAnalyzer:
    """Analyzer `weight.tail`."""

    def __init__(self, options: TailOptions) -> None:
        self._options = options
        self._seed = 0
        self._matrices: dict[str, Matrix] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Takes the seed of the bootstrap."""
        self._seed = context.seed

    def observe(self, item: WeightPair) -> None:
        """Fits the tails of the three spectra; keeps a few numbers."""
        spectra = item.spectra
        if spectra is None:
            return
        sides = {"base": spectra.base, "trained": spectra.trained, "delta": spectra.delta}
        tails: dict[str, Tail | str] = {}
        for side, spectrum in sides.items():
            if side == "trained" and spectra.trained is spectra.base:
                tails[side] = tails["base"]
            else:
                tails[side] = self._tail(spectrum, child_seed(self._seed, f"{item.name}/{side}"))
        change = _change(tails["base"], tails["trained"], resolved(spectra.trained))
        count = min(spectra.base.rows, spectra.base.columns)
        counts = {side: resolved(spectrum).size for side, spectrum in sides.items() if not spectrum.approximate}
        self._matrices[item.name] = Matrix(scope=item.scope, count=count, tails=tails, resolved=counts, change=change)

    def merge(self, other: TailAnalyzer) -> None:
        """Takes in matrices that another instance observed."""
        self._matrices.update(other._matrices)

    def finish(self) -> AnalyzerOutput:
        """Per matrix; medians and quartiles by place; the share of matrices whose exponent changed."""
        found: list[Measurement] = []
        tests = corrected(
            {name: _test(m.change) for name, m in self._matrices.items() if isinstance(m.change, Change)},
            "weight.tail.alpha_change",
        )
        for name in sorted(self._matrices):
            matrix = self._matrices[name]
            for side, tail in matrix.tails.items():
                found += _tail_measurements(matrix.scope, SIDES[side], tail)
                if side in matrix.resolved:
                    count = matrix.resolved[side]
                    found.append(
                        measure("weight.tail.resolved", count, subjects=SIDES[side], scope=matrix.scope, n=matrix.count)
                    )
            found.append(_change_measurement(matrix, tests.get(name)))
        found += self._medians()
        found += self._changed()
        return AnalyzerOutput(measurements=tuple(found))

    def _tail(self, spectrum: Spectrum, seed: int) -> Tail | str:
        if spectrum.approximate:
            return "only the largest singular values are known"
        eigenvalues = resolved(spectrum)
        if not eigenvalues.size:
            return "all singular values are zero"
        left_out = min(spectrum.rows, spectrum.columns) - eigenvalues.size
        found = fit(eigenvalues)
        if found is None:
            if eigenvalues.size >= MINIMUM:
                return "the eigenvalues are all equal"
            return f"{eigenvalues.size} eigenvalues are resolved and a tail takes {MINIMUM}"
        draws = self._options.bootstrap
        return Tail(
            fit=found,
            p_value=tail_p(found),
            lognormal=lognormal_ratio(eigenvalues, found),
            bootstrap=bootstrap_p(eigenvalues, found, draws=draws, seed=seed) if draws else None,
            left_out=left_out,
        )

    def _medians(self) -> Iterator[Measurement]:
        for side, subjects in SIDES.items():
            groups: dict[Scope, list[float]] = defaultdict(list)
            for name in sorted(self._matrices):
                tail = self._matrices[name].tails[side]
                if isinstance(tail, Tail):
                    for place in places(self._matrices[name].scope):
                        groups[place].append(tail.fit.alpha)
            for place in sorted(groups, key=order):
                yield _median(place, subjects, groups[place])

    def _changed(self) -> Iterator[Measurement]:
        metric = "weight.tail.changed_share"
        if not self._matrices:
            return
        changes = [m.change for m in self._matrices.values() if isinstance(m.change, Change)]
        if not changes:
            yield undefined(metric, "no matrix has a tail exponent on both sides", n=0)
            return
        count = sum(change.z > 2 for change in changes)
        test = Test(name="binomial", statistic=count, p_value=binomial_p(count, len(changes), CHANCE))
        yield attrs.evolve(measure(metric, count / len(changes), n=len(changes)), test=test)


def resolved(spectrum: Spectrum) -> NDArray[np.float64]:
    """λ = σ² of the singular values above the floor, descending."""
    values = spectrum.values
    if not values.size or values[0] == 0:
        return values[:0]
    return np.asarray(values[values > spectrum.floor * values[0]] ** 2)


def _change(base: Tail | str, trained: Tail | str, eigenvalues: NDArray[np.float64]) -> Change | str:
    if isinstance(base, str):
        return f"base: {base}"
    if isinstance(trained, str):
        return f"trained: {trained}"
    value = trained.fit.alpha - base.fit.alpha
    z = abs(value) / math.hypot(base.fit.error, trained.fit.error)
    if trained.fit.x_min != base.fit.x_min:
        same = fit(eigenvalues, x_min=base.fit.x_min)
        z = 0.0 if same is None else min(z, abs(same.alpha - base.fit.alpha) / math.hypot(base.fit.error, same.error))
    return Change(value=value, z=z, moved=trained.fit.n_tail != base.fit.n_tail)


def _test(change: Change) -> Test:
    return Test(name="two_fits_z", statistic=change.z, p_value=math.erfc(change.z / math.sqrt(2)))


def _tail_measurements(scope: Scope, subjects: tuple[str, ...], tail: Tail | str) -> Iterator[Measurement]:
    metrics = ("alpha", "alpha_se", "distance", "x_min", "lognormal")
    if isinstance(tail, str):
        for metric in metrics:
            yield undefined(f"weight.tail.{metric}", tail, subjects=subjects, scope=scope)
        return
    found, note = tail.fit, None
    if tail.left_out:
        note = f"{tail.left_out} of {found.n + tail.left_out} eigenvalues are zero or not resolved and left out"
    half = _NORMAL * found.error
    interval = Interval(low=found.alpha - half, high=found.alpha + half, level=0.95, method="normal, λ_min as given")
    goodness = Test(name="exponential_tail_ks", statistic=found.distance, p_value=tail.p_value)
    vuong = Test(name="vuong", statistic=tail.lognormal.statistic, p_value=tail.lognormal.p_value)
    extras: dict[str, dict[str, Any]] = {
        "alpha": {"interval": interval}, "distance": {"test": goodness}, "lognormal": {"test": vuong}
    }  # fmt: skip
    values = (found.alpha, found.error, found.distance, found.x_min, tail.lognormal.log_likelihood)
    for metric, value in zip(metrics, values, strict=True):
        reason = "p is an upper bound: λ_min was chosen for the least distance" if metric == "distance" else note
        one = measure(f"weight.tail.{metric}", value, subjects=subjects, scope=scope, n=found.n_tail, reason=reason)
        yield attrs.evolve(one, **extras.get(metric, {}))
    if tail.bootstrap is not None:
        yield measure("weight.tail.bootstrap_p", tail.bootstrap, subjects=subjects, scope=scope, n=found.n_tail)


def _change_measurement(matrix: Matrix, test: Test | None) -> Measurement:
    metric, change = "weight.tail.alpha_change", matrix.change
    if isinstance(change, str):
        return undefined(metric, change, scope=matrix.scope)
    sides = [tail.fit for side in ("base", "trained") if isinstance(tail := matrix.tails[side], Tail)]
    half = _NORMAL * math.hypot(*(side.error for side in sides))
    note = "within 2 standard errors: no change" if change.z <= 2 else None
    if change.moved:
        before, after = (side.n_tail for side in sides)
        note = "; ".join(filter(None, (note, f"the tail went from {before} to {after} eigenvalues")))
    one = measure(metric, change.value, scope=matrix.scope, n=min(side.n_tail for side in sides), reason=note)
    interval = Interval(low=change.value - half, high=change.value + half, level=0.95, method="normal, λ_min as given")
    return attrs.evolve(one, interval=interval, test=test)


def _median(place: Scope, subjects: tuple[str, ...], alphas: list[float]) -> Measurement:
    middle = statistics.median(alphas)
    one = measure("weight.tail.alpha_median", middle, subjects=subjects, scope=place, n=len(alphas))
    if len(alphas) < 4:
        return one
    low, _, high = statistics.quantiles(alphas, n=4, method="inclusive")
    return attrs.evolve(one, interval=Interval(low=low, high=high, level=0.5, method="quartiles over tensors"))
