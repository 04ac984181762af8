"""What an adapter's factors say, module by module, without its base.

Per module, of Δ = s·B·A (for DoRA: of that part of the change, before the magnitudes): the ranks and the norm of
`factor_profile`, its share of Σ‖Δ‖², and the scaling s with its formula. For IA3: √mean((l − 1)²) of the gains.
Rolled up: the norm as √Σ‖Δ‖², the share as a sum, rank use as the mean weighted by ‖Δ‖².
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.observations import FactorItem
from afterburn_weight.adapter_options import NO_RANK, FactorOptions
from afterburn_weight.factor_profile import Profile, profile
from afterburn_weight.rollup import order, places

_RANKS = ("used_rank", "effective_rank", "stable_rank", "rank_use")
_BROKEN = "a factor holds NaN or infinite values"


class AdapterFactors:
    """Analyzer `weight.adapter`."""

    def __init__(self, options: FactorOptions) -> None:
        self._options = options
        self._items: dict[str, FactorItem] = {}
        self._profiles: dict[str, Profile] = {}
        self._gains: dict[str, tuple[Scope, float, int]] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Needs nothing to begin with."""

    def observe(self, item: FactorItem) -> None:
        """Keeps r singular values per module; the factors themselves are let go."""
        if item.read_matrix is not None and item.configured is not None and item.dtypes is not None:
            self._items[item.name] = item
            try:
                self._profiles[item.name] = profile(item.read_matrix(), item.configured, item.dtypes)
            except ValueError:  # NaN: said in `finish`
                return
        elif item.read_gain is not None:
            gain = item.read_gain()
            self._gains[item.name] = (item.scope, float(np.mean((gain - 1) ** 2)), gain.size)

    def merge(self, other: AdapterFactors) -> None:
        """Takes in modules that another instance observed."""
        self._items.update(other._items)
        self._profiles.update(other._profiles)
        self._gains.update(other._gains)

    def finish(self) -> AnalyzerOutput:
        """Measurements per module, then per roll-up, in a fixed order."""
        found: list[Measurement] = []
        total = math.fsum(one.square for one in self._profiles.values())
        for name in sorted(self._items):
            found += self._module(self._items[name], self._profiles.get(name), total)
        found += self._rolled_up(total)
        for name in sorted(self._gains):
            scope, square, count = self._gains[name]
            if math.isfinite(square):
                found.append(measure("weight.adapter.gain_change", math.sqrt(square), scope=scope, n=count))
            else:
                found.append(undefined("weight.adapter.gain_change", "a gain is not finite", scope=scope, n=count))
        return AnalyzerOutput(measurements=tuple(found))

    def _module(self, item: FactorItem, one: Profile | None, total: float) -> Iterator[Measurement]:
        scope, configured = item.scope, item.configured or 0
        n = one.rows * one.columns if one is not None else 0
        yield measure("weight.adapter.rank", configured, scope=scope, n=n)
        formula = (
            f"{item.formula}, alpha = {item.alpha:g}, r = {configured}" if item.alpha is not None else item.formula
        )
        yield measure("weight.adapter.scaling", item.scale or 0.0, scope=scope, n=n, reason=formula)
        if one is None:
            for metric in ("norm", "share", *_RANKS):
                yield undefined(f"weight.adapter.{metric}", _BROKEN, scope=scope)
            return
        yield measure("weight.adapter.norm", one.norm, scope=scope, n=n)
        yield _share(one.square, total, scope, n)
        numbers = (float(one.used), one.effective, one.stable, one.rank_use)
        for metric, value in zip(_RANKS, numbers, strict=True):
            if value is not None:
                yield measure(f"weight.adapter.{metric}", value, scope=scope, n=n)
            else:
                reason = "the factors change nothing" if one.untrained else "the module has rank 1"
                yield undefined(f"weight.adapter.{metric}", reason, scope=scope, n=n)

    def _rolled_up(self, total: float) -> Iterator[Measurement]:
        groups: dict[Scope, list[Profile]] = defaultdict(list)
        for name in sorted(self._profiles):
            for place in places(self._items[name].scope):
                groups[place].append(self._profiles[name])
        for scope in sorted(groups, key=order):
            group = groups[scope]
            square, n = math.fsum(one.square for one in group), sum(one.rows * one.columns for one in group)
            yield measure("weight.adapter.norm", math.sqrt(square), scope=scope, n=n)
            yield _share(square, total, scope, n)
            ranked = [one for one in group if one.rank_use is not None]
            weight = math.fsum(one.square for one in ranked)
            if weight:
                mean = math.fsum(one.square * (one.rank_use or 0.0) for one in ranked) / weight
                yield measure("weight.adapter.rank_use", min(mean, 1.0), scope=scope, n=n)
            else:
                reason = "no module has more than one direction to use"
                yield undefined("weight.adapter.rank_use", reason, scope=scope, n=n)
        if self._profiles:
            yield from self._counts(total)
        elif self._gains and not self._items:
            yield from (undefined(f"weight.adapter.{name}", NO_RANK, n=0) for name in ("untrained", "collapsed"))

    def _counts(self, total: float) -> Iterator[Measurement]:
        everything = self._profiles.values()
        collapsed = [one for one in everything if one.collapsed(self._options.collapse)]
        n = len(everything)
        yield measure("weight.adapter.untrained", sum(one.untrained for one in everything), n=n)
        yield measure("weight.adapter.collapsed", len(collapsed), n=n)
        yield _share(math.fsum(one.square for one in collapsed), total, Scope(), n, "collapsed_share")


def _share(square: float, total: float, scope: Scope, n: int, metric: str = "share") -> Measurement:
    name = f"weight.adapter.{metric}"
    if not total or not math.isfinite(total):
        return undefined(name, "the adapter changes nothing", scope=scope, n=n)
    return measure(name, min(square / total, 1.0), scope=scope, n=n)
