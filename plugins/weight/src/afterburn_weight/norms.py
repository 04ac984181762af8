"""Drift of what norms multiply and of what is added: gains and biases.

The gain of a norm is g = w, or g = 1 + w where a family stores it zero-centred (see `gains`). Per tensor:

    relative   ‖Δg‖ / ‖g‖
    channel    max_i |Δg_i| / √mean(g²)      the channel that moved most, in units of the typical gain
    flipped    #{i: g_i ≠ 0, g_i g'_i ≤ 0}   channels whose gain changed sign or vanished

Biases, those of norms among them, apart: ‖Δb‖ / ‖b‖ and max_i |Δb_i|. Layers and the model take the same formulas over
the summed squares, and the largest channel.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

import attrs
import numpy as np

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import Role, WeightPair
from afterburn_weight.gains import Config, configurations, zero_centred

SIDES: tuple[Role, Role] = ("base", "trained")
GAINS = ("weight.norms.relative", "weight.norms.channel", "weight.norms.flipped")
BIASES = ("weight.biases.relative", "weight.biases.channel")


@attrs.frozen(kw_only=True)
class Drift:
    """What a gain or bias vector, or several, are reduced to."""

    n: int
    base_sq: float
    delta_sq: float
    channel: float
    flipped: int
    note: str | None = None


class Norms:
    """Analyzer `weight.norms`."""

    def __init__(self, options: None = None) -> None:
        self._gains: dict[str, tuple[Scope, Drift | str]] = {}
        self._biases: dict[str, tuple[Scope, Drift | str]] = {}
        self._configs: Mapping[str, Config | None] = {}
        self._seen = False

    def begin(self, context: AnalyzerContext) -> None:
        """Reads which family of norms the two models have."""
        self._configs = configurations(context.documents)

    def observe(self, item: WeightPair) -> None:
        """Reduces a norm or bias to a few numbers; only norms are read."""
        self._seen = True
        bias = item.scope.module == "bias" or item.name.endswith(("bias", ".beta"))
        if item.scope.module not in {"norm", "bias"}:
            return
        if item.sums is None:
            if item.union:
                self._keep(bias, item, item.reason or item.state)
        elif not item.sums.finite:
            self._keep(bias, item, "the tensor holds NaN or infinite values")
        elif bias:
            sums = item.sums
            self._keep(
                bias,
                item,
                Drift(n=sums.n, base_sq=sums.base_sq, delta_sq=sums.delta_sq, channel=sums.max_abs, flipped=0),
            )
        else:
            self._keep(bias, item, self._gain(item))

    def merge(self, other: Norms) -> None:
        """Takes in tensors that another instance observed."""
        self._gains.update(other._gains)
        self._biases.update(other._biases)
        self._seen = self._seen or other._seen

    def finish(self) -> AnalyzerOutput:
        """Measurements per tensor, per layer and for the model."""
        found = [*_measurements(self._gains, GAINS), *_measurements(self._biases, BIASES)]
        return AnalyzerOutput(measurements=(*found, *self._largest()))

    def _largest(self) -> Iterator[Measurement]:
        """The norm that moved most, which a roll-up by squares would hide."""
        drifts = [drift for _, drift in self._gains.values() if isinstance(drift, Drift)]
        known = [math.sqrt(drift.delta_sq / drift.base_sq) for drift in drifts if drift.base_sq]
        if known:
            yield measure("weight.norms.relative_max", max(known), n=len(known))
        elif self._seen:
            yield undefined("weight.norms.relative_max", "no norm could be compared", n=0)
        if self._seen and not drifts:
            yield undefined("weight.norms.flipped", "no norm could be compared", n=0)

    def _keep(self, bias: bool, item: WeightPair, drift: Drift | str) -> None:
        (self._biases if bias else self._gains)[item.name] = (item.scope, drift)

    def _gain(self, item: WeightPair) -> Drift:
        configs = [self._configs.get(side) for side in SIDES]
        offsets = [1.0 if config is not None and zero_centred(config, item.scope) else 0.0 for config in configs]
        length = item.base.shape[0] if item.base is not None and item.base.shape else 1
        base, trained = (item.side(side, 0, length).astype(np.float64) for side in SIDES)
        gain, delta = base + offsets[0], (trained - base) + (offsets[1] - offsets[0])
        square = float(np.dot(gain.ravel(), gain.ravel()))
        return Drift(
            n=gain.size,
            base_sq=square,
            delta_sq=float(np.dot(delta.ravel(), delta.ravel())),
            channel=_share(float(np.abs(delta).max(initial=0.0)), square, gain.size),
            flipped=int(((gain != 0) & (gain * (gain + delta) <= 0)).sum()),
            note=None if all(configs) else "without a configuration, gains are taken as stored",
        )


def _share(change: float, square: float, n: int) -> float:
    """The change in units of the root mean square gain; infinite where that is 0."""
    if change == 0:
        return 0.0
    return change / math.sqrt(square / n) if square else math.inf


def _measurements(tensors: Mapping[str, tuple[Scope, Drift | str]], metrics: tuple[str, ...]) -> Iterator[Measurement]:
    groups: dict[Scope, list[Drift]] = defaultdict(list)
    for name in sorted(tensors):
        scope, drift = tensors[name]
        if isinstance(drift, str):
            yield from (undefined(metric, drift, scope=scope) for metric in metrics)
            continue
        yield from _numbers(metrics, scope, drift)
        groups[Scope()].append(drift)
        if scope.layer is not None:
            groups[Scope(layer=scope.layer, subset=scope.subset)].append(drift)
    for scope in sorted(groups, key=lambda s: (s.subset or "", -1 if s.layer is None else s.layer)):
        yield from _numbers(metrics, scope, _together(groups[scope]))


def _numbers(metrics: tuple[str, ...], scope: Scope, drift: Drift) -> Iterator[Measurement]:
    relative, channel, *flipped = metrics
    if drift.delta_sq == 0:
        yield measure(relative, 0.0, scope=scope, n=drift.n, reason=drift.note)
    elif drift.base_sq == 0:
        yield undefined(relative, "the base norm is zero", scope=scope, n=drift.n)
    else:
        yield measure(relative, math.sqrt(drift.delta_sq / drift.base_sq), scope=scope, n=drift.n, reason=drift.note)
    if math.isinf(drift.channel):
        yield undefined(channel, "the base gains are zero", scope=scope, n=drift.n)
    else:
        yield measure(channel, drift.channel, scope=scope, n=drift.n, reason=drift.note)
    if flipped:
        yield measure(flipped[0], drift.flipped, scope=scope, n=drift.n)


def _together(drifts: list[Drift]) -> Drift:
    return Drift(
        n=sum(d.n for d in drifts),
        base_sq=math.fsum(d.base_sq for d in drifts),
        delta_sq=math.fsum(d.delta_sq for d in drifts),
        channel=max(d.channel for d in drifts),
        flipped=sum(d.flipped for d in drifts),
        note=next((d.note for d in drifts if d.note), None),
    )
