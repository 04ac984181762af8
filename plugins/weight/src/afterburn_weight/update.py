"""What kind of update a pair looks like, from sparsity, rank, rounding and place of the change.

Evidence, over the tensors that changed:

    unchanged      share of entries with the bits of the base, in the stored dtype
    touched        share of matrices that changed
    rounding       Σ step²/12 / Σδ²: one rounding of every trained entry explains that much of the change; of every
                   base entry where the base alone is stored quantised
    low_rank       share of ‖Δ‖² in matrices where r singular values stand above rounding, r ≤ k/4, the others hold no
                   more than twice what rounding puts there, and the r explain which entries moved (below)
    on_grid        share of the changed matrices that look dequantised (`grid`)
    off_principal  (1 − left)(1 − right) over what is expected of random directions, with preset full

Sparse updates that avoid the principal directions are what reinforcement learning in bfloat16 leaves (Reinforcement
Learning Finetunes Small Subnetworks, arXiv 2505.11711; The Path Not Taken, arXiv 2511.08567). Supervised tuning at a
very small learning rate is as sparse: the table says likelihood, and the evidence stands beside it.

Small dense changes of weights that were rounded before and after leave noise that is not spread evenly, whose largest
singular values reach beyond the edge of rounding. A change δ smaller than the spacing u moves an entry by u with
probability |δ|/u, so that of the ‖Δ‖² observed the share Σδ²/Σ|δ|u is true, (π/2)·E|δ|/u = (π/2)·(share of entries that
moved) for normal δ. A low-rank change has to hold at least half of that in its r values, noise taken off.
"""

from __future__ import annotations

import math

import attrs
import numpy as np

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.spectra import PairSpectra
from afterburn_core.run.sums import PairSums
from afterburn_weight.grid import on_grid
from afterburn_weight.marchenko_pastur import edge
from afterburn_weight.specs.update import KINDS
from afterburn_weight.spectrum import rounding_edge

SAMPLED_ROWS = 16
_GUESSED = ("low_rank", "on_grid", "off_principal")
"""Evidence that is not gathered of an adapter."""
_STEPS = 4.0
"""Energy of Δ over that of its quantisation steps up to which a packed weight is a copy: packings that make up for
their own errors, such as GPTQ, move entries by more than half a step."""
_LOW = 0.25
"""A change is of low rank if at most this share of its singular values stands above rounding."""
_RESIDUE = 2.0
"""How much more than one rounding of every entry the rest of a low-rank change may hold."""
_EXPLAINED = 0.5
"""Share of the true energy that a low-rank change must hold; not fitted."""
_NOISE_LEVEL = 0.999


@attrs.frozen(kw_only=True)
class Traces:
    """What is kept of one tensor."""

    n: int
    changed: int
    delta_sq: float
    step_sq: float
    """Σ ulp(w')²/12, the energy of one rounding of every entry"""
    matrix: bool
    low_rank: bool = False
    on_grid: bool = False
    quantised: bool = False
    """Stored packed on one side alone."""
    outside: tuple[float, float] | None = None
    """Energy outside the principal directions, and what chance would leave there."""

    @property
    def is_copy(self) -> bool:
        """Whether quantisation explains the change: on a grid, or packed and moved by no more than its steps do."""
        return self.on_grid or (self.quantised and self.delta_sq <= _STEPS * self.step_sq)


class UpdateAnalyzer:
    """Analyzer `weight.update`."""

    def __init__(self, options: None = None) -> None:
        self._tensors: dict[str, Traces] = {}
        self._adapter = False

    def begin(self, context: AnalyzerContext) -> None:
        """Learns whether the trained side is an adapter, which needs no guessing."""
        self._adapter = any(subject.role == "trained" and subject.kind == "adapter" for subject in context.subjects)

    def observe(self, item: WeightPair) -> None:
        """Reduces a tensor to its traces; samples a few rows of matrices that changed."""
        if item.sums is None or not item.sums.finite:
            return
        sums, spectra = item.sums, item.spectra
        packed = _is_packed(item.base), _is_packed(item.trained)
        traces = Traces(
            n=sums.n,
            changed=sums.changed,
            delta_sq=sums.delta_sq,
            step_sq=(sums.trained_step_sq if packed[1] or not packed[0] else sums.base_step_sq) / 12,
            matrix=spectra is not None,
            quantised=packed[0] != packed[1],
        )
        if spectra is not None and sums.delta_sq > 0 and not self._adapter:
            traces = attrs.evolve(
                traces,
                low_rank=is_low_rank(spectra, sums),
                on_grid=not traces.quantised and self._on_grid(item),
                outside=_outside(spectra),
            )
        self._tensors[item.name] = traces

    def _on_grid(self, item: WeightPair) -> bool:
        if item.trained is None or item.base is None or len(item.trained.shape) != 2 or item.read_side is None:
            return False
        count = min(SAMPLED_ROWS, item.trained.shape[0], item.base.shape[0])
        trained = item.side("trained", 0, count)
        return on_grid(trained, item.trained.dtype) and not on_grid(item.side("base", 0, count), item.base.dtype)

    def merge(self, other: UpdateAnalyzer) -> None:
        """Takes in tensors that another instance observed."""
        self._tensors.update(other._tensors)

    def finish(self) -> AnalyzerOutput:
        """Evidence and likelihoods for the whole model."""
        tensors = [self._tensors[name] for name in sorted(self._tensors)]
        if not tensors:
            return AnalyzerOutput(
                measurements=tuple(
                    undefined("weight.update.likelihood", "no tensor could be compared", scope=Scope(subset=kind))
                    for kind in KINDS
                )
            )
        evidence = gather(tensors, adapter=self._adapter)
        found: list[Measurement] = []
        for name, (value, n) in evidence.shares().items():
            metric = f"weight.update.{name}"
            reason = "needs the vectors of preset full" if name == "off_principal" else "nothing changed"
            reason = "an adapter's factors say it" if self._adapter and name in _GUESSED else reason
            found.append(undefined(metric, reason, n=n) if value is None else measure(metric, value, n=n))
        for kind, likelihood in likelihoods(evidence).items():
            found.append(measure("weight.update.likelihood", likelihood, scope=Scope(subset=kind), n=evidence.tensors))
        return AnalyzerOutput(measurements=tuple(found))


@attrs.frozen(kw_only=True)
class UpdateEvidence:
    """The evidence over all tensors; shares are `None` where nothing changed."""

    tensors: int
    matrices: int
    changed_matrices: int
    entries: int
    """In the tensors that changed."""
    bits_changed: int
    moved: bool
    """Whether any value differs."""
    adapter: bool
    unchanged: float | None
    touched: float | None
    low_rank: float | None
    rounding: float | None
    on_grid: float | None
    off_principal: float | None

    def shares(self) -> dict[str, tuple[float | None, int]]:
        """Value and n by metric name."""
        return {
            "unchanged": (self.unchanged, self.entries),
            "touched": (self.touched, self.matrices),
            "low_rank": (self.low_rank, self.changed_matrices),
            "rounding": (self.rounding, self.entries),
            "on_grid": (self.on_grid, self.changed_matrices),
            "off_principal": (self.off_principal, self.changed_matrices),
        }


def gather(tensors: list[Traces], *, adapter: bool) -> UpdateEvidence:
    """Sums the traces up; energies are added."""
    moved = [one for one in tensors if one.delta_sq > 0]
    matrices = [one for one in tensors if one.matrix]
    changed = [one for one in moved if one.matrix]
    energy = math.fsum(one.delta_sq for one in moved)
    matrix_energy = math.fsum(one.delta_sq for one in changed)
    entries = sum(one.n for one in moved)
    outside = [one.outside for one in changed if one.outside is not None]
    expected = math.fsum(chance for _, chance in outside)
    return UpdateEvidence(
        tensors=len(tensors),
        matrices=len(matrices),
        changed_matrices=len(changed),
        entries=entries,
        bits_changed=sum(one.changed for one in tensors),
        moved=bool(moved),
        adapter=adapter,
        unchanged=1 - sum(one.changed for one in moved) / entries if entries else None,
        touched=len(changed) / len(matrices) if matrices else None,
        low_rank=math.fsum(one.delta_sq for one in changed if one.low_rank) / matrix_energy
        if matrix_energy and not adapter
        else None,
        rounding=min(1.0, math.fsum(one.step_sq for one in moved) / energy) if energy else None,
        on_grid=sum(one.is_copy for one in changed) / len(changed) if changed and not adapter else None,
        off_principal=math.fsum(left for left, _ in outside) / expected if expected else None,
    )


def likelihoods(evidence: UpdateEvidence) -> dict[str, float]:
    """How well each kind fits, summing to 1. Facts decide where there are any; the rest is a logistic score.

    - adapter: the subject is one. identical: no value differs. rounding_only: no stored bit differs, so that the base
      rounded to the trained dtype is the trained model.
    - quantised_copy: the changed matrices are packed on one side or lie on a quantiser's grid.
    - merged_adapter: the energy lies in low-rank changes. rl_like against full_fine_tuning: by the unchanged share,
      centred at 0.3, between the 0.6–18.8 % reported for supervised and the 36–92 % for reinforcement learning, and by
      whether the change avoids the principal directions.
    """
    if not evidence.moved:
        return _certain("identical")
    if evidence.adapter:
        return _certain("adapter")
    if evidence.bits_changed == 0:
        return _certain("rounding_only")
    grid, low = evidence.on_grid or 0.0, evidence.low_rank or 0.0
    rounding, unchanged = evidence.rounding or 0.0, evidence.unchanged or 0.0
    scores = {
        "quantised_copy": 12 * (grid - 0.5),
        "merged_adapter": 10 * (low - 0.5) * (1 - grid),
        # a stored dtype of its own explains all of it, entry by entry, though single bits differ by double rounding
        "rounding_only": 20 * (rounding - 0.9) if unchanged < 0.9 else -6.0,
        "rl_like": 10 * (unchanged - 0.3) - 8 * low + _avoidance(evidence.off_principal) - 8 * grid,
        "full_fine_tuning": 10 * (0.3 - unchanged) - 8 * low - _avoidance(evidence.off_principal) - 8 * grid,
    }
    top = max(scores.values())
    weights = {kind: math.exp(score - top) for kind, score in scores.items()}
    total = math.fsum(weights.values())
    return {kind: weights.get(kind, 0.0) / total for kind in KINDS}


def _avoidance(off_principal: float | None) -> float:
    """Points for reinforcement learning where the change leaves the principal directions alone, against where not."""
    if off_principal is None:
        return 0.0
    return float(np.clip(40 * (off_principal - 0.98), -3.0, 1.0))


def _certain(kind: str) -> dict[str, float]:
    return {name: float(name == kind) for name in KINDS}


def is_low_rank(spectra: PairSpectra, sums: PairSums) -> bool:
    """Whether few singular values of Δ stand above rounding, the rest is what rounding leaves, and the few are the
    change itself: they hold at least half of the energy that moving so many entries takes."""
    delta = spectra.delta
    if delta.approximate or not delta.values.size:
        return False
    floor = max(rounding_edge(sums, delta.rows, delta.columns), delta.floor * float(delta.values[0]))
    rank = int(np.count_nonzero(delta.values > floor))
    if not 0 < rank <= _LOW * delta.values.size:
        return False
    rest = float((delta.values[rank:] ** 2).sum())
    if rest > _RESIDUE * sums.trained_step_sq / 12 + 1e-4 * delta.square:
        return False
    # how far noise of the energy that is left reaches
    rows, columns = delta.rows - rank, delta.columns - rank
    own = math.sqrt(rest / (rows * columns)) * edge(rows, columns, level=_NOISE_LEVEL, known=True)
    strong = delta.values[delta.values > max(floor, own)]
    moved = sums.changed / sums.n
    return float((strong**2 - own**2).sum()) >= _EXPLAINED * min(1.0, math.pi / 2 * moved) * delta.square


def _outside(spectra: PairSpectra) -> tuple[float, float] | None:
    """Energy of Δ outside the principal directions on both sides, and its expectation for random directions."""
    principal, delta = spectra.principal, spectra.delta
    if principal is None or delta.square == 0:
        return None
    k = principal.core.shape[0]
    left, right = float(principal.left.sum()), float(principal.right.sum())
    inside = float((principal.core**2).sum())
    chance = (1 - k / delta.rows) * (1 - k / delta.columns)
    return max(0.0, delta.square - left - right + inside), delta.square * chance


def _is_packed(info: object) -> bool:
    return getattr(info, "quantisation", None) is not None
