"""One number of one analyzer, on all units and without each group of them.

Every group is observed once by an instance of its own, so that texts are taken apart once, however many groups there
are. Instances are merged as an executor merges them, which by contract gives what one instance would have found.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.errors import AfterburnError, ConfigError
from afterburn_core.plugin.registry import Registered, build_options, load_factory
from afterburn_core.plugin.roles import Analyzer, AnalyzerContext
from afterburn_core.plugin.specs import MetricSpec
from afterburn_core.result.model import Interval, Measurement, Scope
from afterburn_core.trace.shares import Replicates

SIDES = ("base", "trained")


class Undefined(AfterburnError):
    """The metric has no value here; the message says why."""


@attrs.frozen(kw_only=True)
class Measured:
    """A metric of one blend against base."""

    replicates: Replicates
    interval: Interval | None
    """The metric's own, on all units."""


@attrs.frozen(kw_only=True)
class Gauge:
    """Which number is read, and off which analyzer."""

    registered: Registered
    """The analyzer."""
    metric: MetricSpec
    subset: str | None
    options: Mapping[str, Any]
    """Of the analyzer, as the run had them."""
    context: AnalyzerContext
    alone: bool = False
    """Whether nothing but the subset is asked, so that the whole is the part."""

    @property
    def called(self) -> str:
        """`behaviour.refusal.rate of unsafe`."""
        return f"{self.metric.id} of {self.subset}" if self.subset else self.metric.id

    def begin(self) -> Analyzer:
        """A fresh instance of the analyzer."""
        spec = self.registered.spec
        analyzer: Analyzer = load_factory(spec.factory)(build_options(spec.options, self.options, spec.name))
        analyzer.begin(self.context)
        return analyzer

    def read(self, groups: Sequence[Analyzer]) -> Measured:
        """The number from instances that observed a group each.

        Raises:
            Undefined: it has no value on all units, or without one of the groups.
        """
        whole = self._value(self._joined(self.begin(), groups))
        without = tuple(self._number(self._value(rest)) for rest in self._rests(self.begin(), list(groups)))
        return Measured(replicates=Replicates(value=self._number(whole), without=without), interval=whole.interval)

    def _rests(self, outside: Analyzer, groups: list[Analyzer]) -> Iterator[Analyzer]:
        """For every group, an instance that holds `outside` and all the other groups; halves share what both lack."""
        if len(groups) == 1:
            yield outside
            return
        middle = len(groups) // 2
        left, right = groups[:middle], groups[middle:]
        yield from self._rests(self._joined(copy.deepcopy(outside), right), left)
        yield from self._rests(self._joined(outside, left), right)

    @staticmethod
    def _joined(into: Analyzer, groups: Iterable[Analyzer]) -> Analyzer:
        """`into`, which takes in copies of the groups: an analyzer may keep what it is given to merge."""
        for group in groups:
            into.merge(copy.deepcopy(group))
        return into

    def _value(self, analyzer: Analyzer) -> Measurement:
        found = [m for m in analyzer.finish().measurements if m.metric == self.metric.id and tuple(m.subjects) == SIDES]
        scopes = [Scope(subset=self.subset)] if self.subset else []
        if self.alone or not self.subset:
            scopes.append(Scope())
        for scope in scopes:
            for measurement in found:
                if measurement.scope == scope:
                    return measurement
        raise Undefined(f"{self.called}: is not measured on what was traced; {_known(found)}")

    def _number(self, measurement: Measurement) -> float:
        if measurement.value is None:
            raise Undefined(f"{self.called}: has no value on what was traced ({measurement.reason})")
        return measurement.value


def _known(found: Sequence[Measurement]) -> str:
    subsets = sorted({m.scope.subset for m in found if m.scope.subset and m.scope == Scope(subset=m.scope.subset)})
    if not subsets:
        return "trace another metric"
    return f"name a part with --subset: {', '.join(subsets[:8])}{' …' if len(subsets) > 8 else ''}"


def gauge_analyzer(analyzers: Sequence[Registered], metric: str) -> tuple[Registered, MetricSpec]:
    """The analyzer that measures a metric.

    Raises:
        ConfigError: none does; the message suggests the nearest one.
    """
    from afterburn_core.plugin.registry import suggestion

    known: dict[str, tuple[Registered, MetricSpec]] = {
        spec.id: (registered, spec) for registered in analyzers for spec in registered.spec.metrics
    }
    if metric not in known:
        hint = suggestion(metric, known)
        raise ConfigError(f"no installed plugin measures {metric!r}{hint}; docs/metrics.md lists all metrics")
    return known[metric]
