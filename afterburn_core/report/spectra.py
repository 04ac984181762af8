"""Singular values for the page: a few points of each spectrum, the most changed matrices first.

The file beside the document (`weight.spectra`) holds every singular value, as vectors `<tensor>.base`,
`<tensor>.trained` (absent where equal to base) and `<tensor>.delta`. A page needs far fewer: on logarithmic axes
ranks at even ratios look like the whole curve. With what the run measured of noise and tails go

- the edge of the noise: singular values above it are spikes;
- the power law: λ = σ² with density ∝ λ^−α above λ_min gives σ_i = σ_n (n / i)^(1 / (2 (α − 1))) for the tail's n
  values and σ_n = √λ_min, from P(Λ > λ) = (λ / λ_min)^(1 − α) at λ_i (Power-law Distributions in Empirical Data,
  arXiv 0706.1062).
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.report.attachments import Unusable, check_digest, locate
from afterburn_core.report.evidence import RELATIVE, Evidence
from afterburn_core.report.grids import across_order, row_label, row_of, row_order
from afterburn_core.report.heads import short
from afterburn_core.report.vectors import VectorFile, open_vectors
from afterburn_core.result.model import Artifact, Measurement, Scope

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

ARTIFACT = "weight.spectra"
SIDES = ("base", "trained", "delta")
MOST_POINTS, FEWEST_POINTS = 64, 32
_BYTES_PER_POINT, _BYTES_BESIDE = 8, 400
_FACTS = {
    "stable_rank": "weight.delta.stable_rank",
    "effective_rank": "weight.delta.effective_rank",
    "edge": "weight.noise.edge",
    "spikes": "weight.noise.spikes",
    "alpha": "weight.tail.alpha",
    "alpha_se": "weight.tail.alpha_se",
    "x_min": "weight.tail.x_min",
}
_MAPPED = ("weight.spectrum.", "weight.noise.", "weight.tail.", "weight.principal.", "weight.intruders")
_OF_DELTA = ("rank", "participation", "energy", "nuclear")


@attrs.frozen(kw_only=True)
class Spectra:
    """The curves to draw, or why there are none."""

    ladder: tuple[int, ...] = ()
    """Ranks at which every curve is known, besides its last."""
    tensors: tuple[dict[str, Any], ...] = ()
    start: str = ""
    """The matrix to show first: the most changed."""
    total: int = 0
    """Matrices in the file."""
    artifact: Artifact | None = None
    problem: str | None = None

    def packed(self) -> dict[str, Any]:
        """Everything the chart needs; a curve's points are `ladder` below its `known`, then `known` itself."""
        return {"ladder": list(self.ladder), "tensors": list(self.tensors), "start": self.start}


def is_spectral(metric: str) -> bool:
    """Whether a metric belongs on the heat map beside the spectra rather than among the sizes of change."""
    of_delta = metric.startswith("weight.delta.") and any(word in metric for word in _OF_DELTA)
    return of_delta or metric.startswith(_MAPPED)


def ladder(largest: int, points: int) -> tuple[int, ...]:
    """At most `points` ranks from 1 to `largest`, without gaps first, then at even ratios."""
    if largest <= points:
        return tuple(range(1, largest + 1))
    low, high = 1.0, float(largest)
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _steps(largest, middle, points)[-1] == largest else (middle, high)
    return tuple(_steps(largest, high, points))


def _steps(largest: int, ratio: float, points: int) -> list[int]:
    ranks = [1]
    while ranks[-1] < largest and len(ranks) < points:
        ranks.append(min(max(ranks[-1] + 1, round(ranks[-1] * ratio)), largest))
    return ranks


def spectra(view: ResultView, evidence: Evidence, *, max_bytes: int) -> Spectra:
    """Curves of as many matrices as fit into `max_bytes` of the page, those of largest relative change."""
    artifact = view.artifact(ARTIFACT)
    if artifact is None:
        return Spectra()
    try:
        with locate(artifact, view.directory).open("rb") as stream:
            check_digest(stream, artifact)
            return _chosen(open_vectors(stream), view, evidence, artifact, max_bytes)
    except Unusable as reason:
        return Spectra(artifact=artifact, problem=str(reason))


def _chosen(file: VectorFile, view: ResultView, evidence: Evidence, artifact: Artifact, max_bytes: int) -> Spectra:
    names: dict[str, dict[str, str]] = {}
    for key in file.entries:
        name, _, side = key.rpartition(".")
        if side in SIDES and name:
            names.setdefault(name, {})[side] = key
    if not names:
        raise Unusable("the file holds no spectra")
    scopes, sizes = _places(view, evidence)
    # Python's sort is stable: matrices of equal size keep the order of their names.
    ranked = sorted(sorted(names), key=lambda name: -sizes.get(name, -1.0))
    many = sum(len(sides) for sides in names.values())
    fair = (max_bytes - len(ranked) * _BYTES_BESIDE) // (many * _BYTES_PER_POINT)
    points = min(max(fair, FEWEST_POINTS), MOST_POINTS)
    ranks = ladder(max(file.entries[key][2] for sides in names.values() for key in sides.values()), points)
    facts = _facts(view, evidence, frozenset(ranked))
    kept, room = [], max_bytes
    for name in ranked:
        scope = scopes.get(name, Scope(tensor=name))
        curves = {side: _curve(file.read(key), ranks) for side, key in names[name].items()}
        entry = {
            "name": name,
            "row": row_label(row_of(scope)),
            "module": scope.module or "other",
            **facts.get(name, {}),
        }
        entry["curves"] = curves
        room -= len(json.dumps(entry, separators=(",", ":")))
        if room < 0:
            break
        kept.append((row_order(row_of(scope)), across_order(entry["module"]), name, entry))
    kept.sort(key=lambda item: item[:3])
    return Spectra(
        ladder=ranks,
        tensors=tuple(item[3] for item in kept),
        start=ranked[0],
        total=len(names),
        artifact=artifact,
    )


def _curve(values: array[float], ranks: Sequence[int]) -> dict[str, Any]:
    """`size` values there are, `known` of them above zero, and `values` at the ladder's ranks."""
    known = len(values)
    while known and not values[known - 1] > 0:
        known -= 1
    at = [rank for rank in ranks if rank < known] + ([known] if known else [])
    return {"size": len(values), "known": known, "values": [_finite(values[rank - 1]) for rank in at]}


def _finite(value: float) -> float | None:
    return short(value) if math.isfinite(value) and value > 0 else None


def _places(view: ResultView, evidence: Evidence) -> tuple[dict[str, Scope], dict[str, float]]:
    """Scope and relative change of every tensor that was measured."""
    scopes: dict[str, Scope] = {}
    sizes: dict[str, float] = {}
    for item in _of_tensors(view, RELATIVE, evidence.contrast):
        scopes[str(item.scope.tensor)] = item.scope
        sizes[str(item.scope.tensor)] = item.value or 0.0
    return scopes, sizes


def _facts(view: ResultView, evidence: Evidence, names: frozenset[str]) -> dict[str, dict[str, Any]]:
    """What was measured of each matrix: `{"edge": {"delta": 0.1}, "alpha": {"base": 3.2}, …}`."""
    contrast = evidence.contrast
    owners: Mapping[tuple[str, ...], str] = {contrast: "delta"} | {
        (s,): k for s, k in zip(contrast, SIDES, strict=False)
    }
    found: dict[str, dict[str, Any]] = {}
    for fact, metric in _FACTS.items():
        for item in _of_tensors(view, metric, None):
            side, name = owners.get(item.subjects), str(item.scope.tensor)
            if side is None or item.value is None or name not in names:
                continue
            found.setdefault(name, {}).setdefault(fact, {})[side] = short(item.value)
            if fact == "alpha" and item.n is not None:
                found[name].setdefault("n_tail", {})[side] = item.n
    return found


def _of_tensors(view: ResultView, metric: str, subjects: tuple[str, ...] | None) -> Iterator[Measurement]:
    for item in view.measurements(metric, scope_has=("tensor",), subjects=subjects):
        if item.scope.head is None and item.scope.token is None:
            yield item
