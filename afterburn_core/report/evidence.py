"""One walk over a document's measurements, keeping what reports show and counting the rest.

A mixture of experts holds half a million measurements, most of them in a table beside the document. They
stream by here once; nothing keeps them all.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import attrs

from afterburn_core.report.grids import Grid
from afterburn_core.report.heads import HeadMap, collect_head
from afterburn_core.result.model import Measurement, MetricDescriptor, Result, RuleDescriptor

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

RELATIVE = "weight.delta.relative"
COVERAGE = "weight.coverage"
FLOOR = "weight.rounding.floor"
FLOOR_RATIO = "weight.rounding.ratio"
SERIES = ("weight.trajectory.", "weight.candidates.")
"""Metrics over several models beside one base, which have a section of their own."""
_MAPPED = ("sae.",)
"""Metrics by layer that have a map of their own, and say nothing of weights."""
_TALLIED = ("weight.delta.identical", "weight.delta.changed_fraction", "weight.delta.norm", RELATIVE)
_DETAIL = ("tensor", "head", "token", "input", "layer", "module", "site")


@attrs.define
class Tally:
    """How many tensors changed at all."""

    total: int = 0
    changed: int = 0
    undefined: int = 0

    def add(self, measurement: Measurement) -> None:
        """Counts one tensor; `weight.delta.identical` says 1 for unchanged, the others 0."""
        self.total += 1
        if measurement.value is None:
            self.undefined += 1
        elif (measurement.value == 0) == (measurement.metric == "weight.delta.identical"):
            self.changed += 1


@attrs.define
class Evidence:
    """What a report needs of the measurements."""

    contrast: tuple[str, ...]
    """Ids of base and trained: the comparison that headlines speak of."""
    metrics: dict[str, MetricDescriptor]
    rules: dict[str, RuleDescriptor]
    total: int = 0
    undefined: int = 0
    approximate: int = 0
    unread: int = 0
    """Measurements kept in tables beside the document that were out of reach."""
    whole: dict[str, Measurement] = attrs.field(factory=dict)
    """Measurements of the contrast at the whole model, by metric."""
    cited: dict[str, Measurement] = attrs.field(factory=dict)
    """Measurements that findings rest on, by id."""
    most_changed: list[Measurement] = attrs.field(factory=list)
    """Tensors of largest relative change, largest first."""
    tallies: dict[str, Tally] = attrs.field(factory=dict)
    grids: list[Grid] = attrs.field(factory=list)
    heads: list[HeadMap] = attrs.field(factory=list)
    """Maps of attention heads, which would drown the modules among the columns of a grid."""
    series: list[Measurement] = attrs.field(factory=list)
    """Measurements over several models, at layers, kinds of module and the whole model."""
    families: dict[str, list[Measurement]] = attrs.field(factory=dict)
    """Everything that speaks of the whole model or a named part, by the metric's first word."""

    @property
    def tensors(self) -> Tally | None:
        """The most trustworthy count at hand of changed tensors."""
        return next((self.tallies[m] for m in _TALLIED if m in self.tallies), None)


def contrast_of(result: Result) -> tuple[str, ...]:
    """Ids of the base and of the first trained subject; whichever exist."""
    roles: dict[str, str] = {}
    for subject in result.subjects:
        roles.setdefault(subject.role, subject.id)
    return tuple(roles[role] for role in ("base", "trained") if role in roles)


def collect(view: ResultView, *, top: int = 15) -> Evidence:
    """Walks the measurements of `view` once; `top` tensors are kept as the most changed."""
    result = view.result
    contrast = contrast_of(result)
    evidence = Evidence(
        contrast=contrast,
        metrics={m.id: m for m in result.descriptors.metrics},
        rules={r.id: r for r in result.descriptors.rules},
    )
    wanted = {identifier for finding in result.findings for identifier in finding.measurements}
    grids: dict[tuple[str, tuple[str, ...]], Grid] = {}
    heads: dict[tuple[str, tuple[str, ...], str], HeadMap] = {}
    changed: list[tuple[float, int, Measurement]] = []
    for order, item in enumerate(view.measurements()):
        evidence.total += 1
        evidence.undefined += item.value is None
        evidence.approximate += item.approximate
        if item.id in wanted:
            evidence.cited[item.id] = item
        scope = item.scope
        if item.metric.startswith(SERIES):
            if scope.tensor is None and (scope.layer is None or scope.module is None):
                evidence.series.append(item)
            continue
        if all(getattr(scope, name) is None for name in _DETAIL):
            family = evidence.families.setdefault(item.metric.split(".", 1)[0], [])
            family.append(item)
            if item.subjects == contrast and scope.subset is None:
                evidence.whole[item.metric] = item
        if scope.head is not None and scope.layer is not None and scope.token is None and scope.input is None:
            collect_head(heads, item)
        elif item.metric.startswith(_MAPPED):
            continue
        elif scope.layer is not None or scope.module is not None or scope.site is not None:
            key = (item.metric, item.subjects)
            grids.setdefault(key, Grid(metric=item.metric, subjects=item.subjects)).add(item)
        if scope.tensor is not None and scope.head is None and item.subjects == contrast:
            if item.metric in _TALLIED:
                evidence.tallies.setdefault(item.metric, Tally()).add(item)
            if item.metric == RELATIVE and item.value:
                # -order makes the earlier of two equal values win, whatever the heap does.
                heapq.heappush(changed, (item.value, -order, item))
                if len(changed) > top:
                    heapq.heappop(changed)
    evidence.unread = max(len(view) - evidence.total, 0)
    evidence.most_changed = [entry[2] for entry in sorted(changed, key=lambda e: e[:2], reverse=True)]
    evidence.heads = list(heads.values())
    evidence.grids = sorted(
        (grid for grid in grids.values() if grid.drawable),
        key=lambda g: (g.metric != RELATIVE, g.metric, g.subjects),
    )
    return evidence
