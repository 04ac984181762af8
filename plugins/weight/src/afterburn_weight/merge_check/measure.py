"""The numbers of a merge check: from factors alone, and of a merge where the base is there.

    contribution   ‖Δ_module‖² / Σ‖Δ‖²
    interference   ⟨Δ₁, Δ₂⟩ / (‖Δ₁‖ ‖Δ₂‖) over the modules that both adapters change, from the factors
    merge loss     ‖round(W + Δ) − (W + Δ)‖ / ‖Δ‖, Δ = Σ wᵢΔᵢ of all adapters
    residual       ‖W_merged − (W + Δ)‖ / ‖Δ‖ of a checkpoint that somebody merged

The base is streamed in blocks of rows, tensor by tensor; of the rest of it nothing is read.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import TypeVar

import attrs
import numpy as np

from afterburn_core.errors import SubjectError
from afterburn_core.result.model import Scope
from afterburn_core.run.lowrank import inner
from afterburn_weight.factor_profile import Profile, profile
from afterburn_weight.merge_check import sources
from afterburn_weight.merge_check.sources import Adapter, AdapterSource, Factors, Opened
from afterburn_weight.merging import NAMES, Array, Loss, combined, rounding_loss

_BLOCK = 1 << 20  # elements at once and thread
_T = TypeVar("_T")
_R = TypeVar("_R")


@attrs.frozen(kw_only=True, eq=False)
class Module:
    """One tensor that one adapter changes, as its factors tell it."""

    factors: Factors
    scope: Scope
    profile: Profile | None
    """`None` where the base is needed to know the change (IA3, tensors stored whole), or it is broken."""
    broken: bool = False
    """Whether a factor holds NaN or infinities."""


@attrs.frozen(kw_only=True, eq=False)
class Measured:
    """One adapter, without its base."""

    adapter: Adapter
    label: str
    weight: float
    modules: tuple[Module, ...]

    @property
    def square(self) -> float:
        """Σ‖s·B·A‖²"""
        return math.fsum(one.profile.square for one in self.modules if one.profile is not None)

    @property
    def profiled(self) -> tuple[tuple[Module, Profile], ...]:
        return tuple((one, one.profile) for one in self.modules if one.profile is not None)


@attrs.frozen(kw_only=True)
class Interference:
    """Two adapters on the modules that both change."""

    first: int
    second: int
    cosine: float | None
    """`None` where they share no module, or one of them changes nothing."""
    shared: int


@attrs.frozen(kw_only=True, eq=False)
class TensorLoss:
    """One tensor of the merge."""

    tensor: str
    scope: Scope
    dtype: str
    """That it is rounded to."""
    loss: Loss
    residual_sq: float | None = None
    """‖W_merged − (W + Δ)‖²; `None` without a merged checkpoint."""


def measure_factors(adapter: Adapter, label: str, weight: float) -> Measured:
    """Ranks, norms and spectra of every module, from the factors alone.

    Raises:
        SubjectError: the adapter's file ends early.
    """

    def one(factors: Factors) -> Module:
        scope = sources.scope_of(factors.tensor)
        if not factors.low_rank or factors.configured is None:
            return Module(factors=factors, scope=scope, profile=None, broken=_broken(factors))
        try:
            found = profile(factors.matrix(), factors.configured, factors.dtypes)
        except ValueError:
            return Module(factors=factors, scope=scope, profile=None, broken=True)
        return Module(factors=factors, scope=scope, profile=found)

    return Measured(adapter=adapter, label=label, weight=weight, modules=tuple(_parallel(one, adapter.factors)))


def _broken(factors: Factors) -> bool:
    return not all(bool(np.isfinite(factors.array(part)).all()) for part in factors.parts)


def interference(measured: Sequence[Measured]) -> tuple[Interference, ...]:
    """Cosines between the changes of every two adapters; exact low-rank modules only.

    Raises:
        SubjectError: two adapters give one tensor different shapes.
    """
    exact = [{m.factors.tensor: (m.factors, p) for m, p in one.profiled if m.factors.exact} for one in measured]
    found = []
    for (i, first), (j, second) in combinations(enumerate(exact), 2):
        shared = sorted(first.keys() & second.keys())
        products = []
        for tensor in shared:
            left, right = first[tensor][0].matrix(), second[tensor][0].matrix()
            if (left.rows, left.columns) != (right.rows, right.columns):
                raise SubjectError(
                    f"{measured[i].label} and {measured[j].label} give {tensor} different shapes; they are adapters of "
                    "different bases"
                )
            products.append(inner(left, right))
        squares = [math.fsum(side[tensor][1].square for tensor in shared) for side in (first, second)]
        norms = math.sqrt(squares[0]) * math.sqrt(squares[1])
        cosine = min(max(math.fsum(products) / norms, -1.0), 1.0) if norms else None
        found.append(Interference(first=i, second=j, cosine=cosine, shared=len(shared)))
    return tuple(found)


def measure_merge(
    bound: Sequence[AdapterSource], weights: Sequence[float], dtype: str | None, merged: Opened | None
) -> tuple[TensorLoss, ...]:
    """What rounding W + Σ wᵢΔᵢ loses in every tensor that some adapter changes.

    Args:
        bound: the adapters on their base.
        weights: wᵢ, one each.
        dtype: safetensors name of the dtype to merge into; `None` for the base's own, or the merged checkpoint's.
        merged: a checkpoint to compare with the sum.

    Raises:
        SubjectError: a file ends early, or the merged checkpoint lacks a tensor or has it in another shape.
    """
    owners: dict[str, list[int]] = defaultdict(list)
    for number, source in enumerate(bound):
        for name in sorted(source.changes.keys() | source.saved.keys()):
            if name in source.base.tensors or name in source.tied_to:
                owners[name].append(number)

    def one(name: str) -> TensorLoss:
        parts = [(bound[number], weights[number]) for number in owners[name]]
        return _tensor(name, parts, dtype, merged)

    return tuple(_parallel(one, sorted(owners)))


def added(bound: Sequence[AdapterSource]) -> tuple[str, ...]:
    """Tensors that an adapter brings and the base has no place for; such an adapter cannot be merged."""
    extra = (source.tensors.keys() - source.base.tensors.keys() - source.tied_to.keys() for source in bound)
    return tuple(sorted({name for names in extra for name in names}))


def stored_by_several(bound: Sequence[AdapterSource]) -> tuple[str, ...]:
    """Tensors that more than one adapter stores whole: the sum of their changes is neither's."""
    return tuple(sorted({name for a, b in combinations(bound, 2) for name in a.saved.keys() & b.saved.keys()}))


def _tensor(
    name: str, parts: Sequence[tuple[AdapterSource, float]], dtype: str | None, merged: Opened | None
) -> TensorLoss:
    first = parts[0][0]
    info = first.base.tensors[first.tied_to.get(name, name)]
    for source, _ in parts:
        if source.tensors[name].shape != info.shape:
            raise SubjectError(
                f"{source.file.path}: stores {name} as {_by(source.tensors[name].shape)} where the base has "
                f"{_by(info.shape)}; the vocabulary was resized, which no merge into this base can hold"
            )
    canonical = sources.canonical(name)
    theirs = None if merged is None else _counterpart(merged, canonical, info.shape)
    target = dtype or (info.dtype if merged is None or theirs is None else merged.source.tensors[theirs].dtype)
    if target not in NAMES:
        raise SubjectError(f"{name} is stored as {target}, into which nothing is merged; dequantise it first")
    rows = info.shape[0] if info.shape else 1
    step = max(1, _BLOCK // max(info.numel // max(rows, 1), 1))
    losses: list[Loss] = []
    residuals: list[float] = []
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        base = sources.base_rows(first, name, start, stop)
        total = _sum(base, name, parts, start, stop)
        losses.append(rounding_loss(base, total, (target,)))
        if merged is not None and theirs is not None:
            difference = sources.rows_of(merged.source, theirs, start, stop) - total
            residuals.append(float(np.vdot(difference, difference)))
    return TensorLoss(
        tensor=canonical,
        scope=sources.scope_of(canonical),
        dtype=target,
        loss=combined(losses),
        residual_sq=math.fsum(residuals) if merged is not None else None,
    )


def _sum(base: Array, name: str, parts: Sequence[tuple[AdapterSource, float]], start: int, stop: int) -> Array:
    """Rows of W + Σ wᵢ(Wᵢ' − W)."""
    if len(parts) == 1 and parts[0][1] == 1:
        return sources.rows_of(parts[0][0], name, start, stop)
    total = base.copy()
    for source, weight in parts:
        total += weight * (sources.rows_of(source, name, start, stop) - base)
    return total


def _counterpart(merged: Opened, name: str, shape: tuple[int, ...]) -> str:
    stored = merged.names.get(name)
    if stored is None:
        raise SubjectError(f"the merged checkpoint {merged.label!r} has no {name}; give what was merged from this base")
    found = merged.source.tensors[stored].shape
    if found != shape:
        raise SubjectError(
            f"the merged checkpoint {merged.label!r} has {name} as {_by(found)}, the base as {_by(shape)}"
        )
    return stored


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _parallel(work: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
    """Results in order. NumPy and the disk let go of the interpreter, so threads share out the modules.

    BLAS stays on the calling thread: its own threads, several for each of ours, take ten times as long over small
    matrices.
    """
    from threadpoolctl import threadpool_limits

    with (
        threadpool_limits(limits=1, user_api="blas"),
        ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool,
    ):
        return list(pool.map(work, items))
