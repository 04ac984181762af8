"""Where the change lies relative to W = UΣVᵀ, with the top k = 16 singular vectors.

    share      ‖UₖᵀΔVₖ‖² / ‖Δ‖²        by chance k²/(mn)
    left       ‖UₖᵀΔ‖² / ‖Δ‖²          by chance k/m;  right: ‖ΔVₖ‖² / ‖Δ‖², by chance k/n
    angle      arccos of the least singular value of UₖᵀU'ₖ
    intruders  #{i ≤ 10 : max_j |⟨u'_i, u_j⟩| < ½}, over all j (LoRA vs Full Fine-tuning, arXiv 2410.21228)

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
from afterburn_core.run.spectra import PairSpectra
from afterburn_weight.rollup import order, places

INTRUDER_COSINE = 0.5


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
    angle: float
    angle_right: float
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
        located = locate(item.scope, item.spectra)
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
            found.append(measure("weight.principal.angle", one.angle, scope=one.scope, n=1))
            found.append(measure("weight.principal.angle_right", one.angle_right, scope=one.scope, n=1))
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


def locate(scope: Scope, spectra: PairSpectra) -> Located | None:
    """Energies and angles of one matrix; `None` where the vectors of a side are lacking."""
    principal, base, trained = spectra.principal, spectra.base, spectra.trained
    if principal is None or base.left is None or base.right is None or trained.left is None or trained.right is None:
        return None
    k = principal.core.shape[0]
    square = spectra.delta.square
    return Located(
        scope=scope,
        square=square,
        inside=float((principal.core**2).sum()),
        left=float(principal.left.sum()),
        right=float(principal.right.sum()),
        expected=square * min(1.0, k * k / (base.rows * base.columns)),
        angle=largest_angle(base.left, trained.left),
        angle_right=largest_angle(base.right, trained.right),
        intruders=int(np.count_nonzero(principal.left_overlap < INTRUDER_COSINE)),
        intruders_right=int(np.count_nonzero(principal.right_overlap < INTRUDER_COSINE)),
        examined=principal.left_overlap.size,
    )


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
