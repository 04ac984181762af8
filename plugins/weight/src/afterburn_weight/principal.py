"""Where the change lies relative to W = UΣVᵀ, with the top k = 16 singular vectors.

    share      ‖UₖᵀΔVₖ‖² / ‖Δ‖²        by chance k²/(mn)
    left       ‖UₖᵀΔ‖² / ‖Δ‖²          by chance k/m;  right: ‖ΔVₖ‖² / ‖Δ‖², by chance k/n
    angle      arccos of the least singular value of UₖᵀU'ₖ
    intruders  #{i ≤ 10 : max_j |⟨u'_i, u_j⟩| < ½}, over all j (LoRA vs Full Fine-tuning, arXiv 2410.21228)

Where fewer singular values reach four times what rounding the stored entries leaves, only their vectors are looked at
for angles and intruders: the others are those of the rounding.

Small updates by reinforcement learning avoid the principal directions, supervised ones seek them (The Path Not Taken,
arXiv 2511.08567).
"""

from __future__ import annotations

import math
from collections import defaultdict

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.spectra import PairSpectra, Spectrum
from afterburn_core.run.sums import PairSums
from afterburn_weight.rollup import order, places

INTRUDER_COSINE = 0.5
_CLEAR = 4.0
"""Multiple of even rounding's reach. Uneven rounding reaches further, and a full-rank W hundreds of times as far."""


@attrs.frozen(kw_only=True)
class Located:
    """What is kept of one matrix; energies, so that roll-ups can add them."""

    scope: Scope
    square: float
    """‖Δ‖²"""
    inside: float
    left: float
    right: float
    expected: float
    """‖Δ‖² k²/(mn)"""
    angles: tuple[float, float] | None
    """Left and right; `None` where no direction stands above rounding on both sides."""
    intruders: int
    intruders_right: int
    examined: int
    """Trained vectors looked at."""


class PrincipalAnalyzer:
    """Analyzer `weight.principal`."""

    def __init__(self, options: None = None) -> None:
        self._matrices: dict[str, Located] = {}
        self._left_out: dict[str, tuple[Scope, str]] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Needs nothing to begin with."""

    def observe(self, item: WeightPair) -> None:
        """Reduces the vectors to a few numbers."""
        if item.spectra is None or item.sums is None or item.sums.delta_sq == 0:
            return
        located = locate(item.scope, item.spectra, item.sums)
        if located is None:
            reason = "approximate spectrum" if item.spectra.base.approximate else "too large to be in memory at once"
            self._left_out[item.name] = (item.scope, reason)
        else:
            self._matrices[item.name] = located

    def merge(self, other: PrincipalAnalyzer) -> None:
        """Takes in matrices that another instance observed."""
        self._matrices.update(other._matrices)
        self._left_out.update(other._left_out)

    def finish(self) -> AnalyzerOutput:
        """Per matrix, then per roll-up."""
        found: list[Measurement] = []
        groups: dict[Scope, list[Located]] = defaultdict(list)
        for name in sorted(self._matrices):
            one = self._matrices[name]
            found += _measurements(one.scope, [one])
            found += _angles(one)
            for place in places(one.scope):
                groups[place].append(one)
        for name in sorted(self._left_out):
            scope, reason = self._left_out[name]
            found.append(undefined("weight.principal.share", reason, scope=scope))
        for place in sorted(groups, key=order):
            found += _measurements(place, groups[place])
        if not self._matrices:
            reason = "no matrix changed" if not self._left_out else "no changed matrix fits into memory at once"
            found.append(undefined("weight.principal.share", reason, scope=Scope(), n=0))
        return AnalyzerOutput(measurements=tuple(found))


def locate(scope: Scope, spectra: PairSpectra, sums: PairSums) -> Located | None:
    """Energies and angles of one matrix; `None` where the vectors of a side are lacking."""
    principal, base, trained = spectra.principal, spectra.base, spectra.trained
    if principal is None or base.left is None or base.right is None or trained.left is None or trained.right is None:
        return None
    square = spectra.delta.square
    # of W itself; a vector of a value 0 is zeros and holds no energy
    k = int(np.count_nonzero(base.values[: principal.core.shape[0]]))
    shared = min(principal.core.shape[0], *(_resolved(side, step) for side, step in _steps(spectra, sums)))
    examined = min(principal.left_overlap.size, _resolved(trained, sums.trained_step_sq / sums.n))
    return Located(
        scope=scope,
        square=square,
        inside=float((principal.core**2).sum()),
        left=float(principal.left.sum()),
        right=float(principal.right.sum()),
        expected=square * min(1.0, k * k / (base.rows * base.columns)),
        angles=(
            largest_angle(base.left[:, :shared], trained.left[:, :shared]),
            largest_angle(base.right[:, :shared], trained.right[:, :shared]),
        )
        if shared
        else None,
        intruders=int(np.count_nonzero(principal.left_overlap[:examined] < INTRUDER_COSINE)),
        intruders_right=int(np.count_nonzero(principal.right_overlap[:examined] < INTRUDER_COSINE)),
        examined=examined,
    )


def _steps(spectra: PairSpectra, sums: PairSums) -> tuple[tuple[Spectrum, float], tuple[Spectrum, float]]:
    """Both sides with their mean squared rounding step."""
    return (spectra.base, sums.base_step_sq / sums.n), (spectra.trained, sums.trained_step_sq / sums.n)


def _resolved(spectrum: Spectrum, step_sq: float) -> int:
    """How many singular values stand clear of what rounding every entry would leave; those near it have its vectors."""
    edge = _CLEAR * math.sqrt(step_sq / 12) * (math.sqrt(spectrum.rows) + math.sqrt(spectrum.columns))
    return int(np.count_nonzero(spectrum.values > edge))


def _angles(one: Located) -> list[Measurement]:
    if one.angles is None:
        reason = "no singular value of both sides stands above rounding"
        return [undefined(f"weight.principal.{name}", reason, scope=one.scope) for name in ("angle", "angle_right")]
    left, right = one.angles
    return [
        measure("weight.principal.angle", left, scope=one.scope, n=1),
        measure("weight.principal.angle_right", right, scope=one.scope, n=1),
    ]


def largest_angle(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Largest principal angle, in radians, between the spans of two sets of orthonormal columns (d, k).

    Small angles come from the sine, ‖(1 − U Uᵀ) U'‖₂, since the cosine of an angle below 1e-4 is 1 in float32.
    """
    q1, q2 = (np.linalg.qr(vectors.astype(np.float64))[0] for vectors in (first, second))
    inner = q1.T @ q2
    cosine = float(np.linalg.svd(inner, compute_uv=False)[-1])
    sine = float(np.linalg.svd(q2 - q1 @ inner, compute_uv=False)[0])
    return min(math.pi / 2, max(0.0, math.atan2(sine, cosine)))


def _measurements(scope: Scope, group: list[Located]) -> list[Measurement]:
    square = math.fsum(one.square for one in group)
    shares = {
        "share": math.fsum(one.inside for one in group),
        "left": math.fsum(one.left for one in group),
        "right": math.fsum(one.right for one in group),
        "expected": math.fsum(one.expected for one in group),
    }
    examined = sum(one.examined for one in group)
    found = [
        measure(f"weight.principal.{name}", min(1.0, energy / square), scope=scope, n=len(group))
        for name, energy in shares.items()
    ]
    found.append(measure("weight.intruders.left", sum(one.intruders for one in group), scope=scope, n=examined))
    found.append(measure("weight.intruders.right", sum(one.intruders_right for one in group), scope=scope, n=examined))
    return found
