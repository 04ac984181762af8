"""A result, indexed for those who read it: the same calls wherever its measurements are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path

import attrs

from afterburn_core.result.identity import measurement_id
from afterburn_core.result.model import (
    LEVELS,
    Artifact,
    Finding,
    FindingKind,
    Level,
    Measurement,
    MetricDescriptor,
    Result,
    RuleDescriptor,
    Scope,
    Subject,
)
from afterburn_core.result.table import read_tables, tables

__all__ = ["ResultView"]

CONTRAST = ("base", "trained")
_PLACES = tuple(field.name for field in attrs.fields(Scope))


class ResultView:
    """Read access to one result.

    Args:
        result: the document.
        directory: its run directory, for the files beside it. Without it, measurements kept in tables are out of
            reach; `complete` is then False.
    """

    def __init__(self, result: Result, directory: Path | None = None) -> None:
        self.result = result
        self.directory = directory

    def __len__(self) -> int:
        """How many measurements the result has, in the document and in tables; opens no file."""
        return len(self.result.measurements) + sum(table.entries or 0 for table in tables(self.result))

    @property
    def complete(self) -> bool:
        """Whether the calls below see every measurement."""
        return self.directory is not None or not tables(self.result)

    def measurements(
        self,
        metric: str | None = None,
        *,
        scope_has: Collection[str] = (),
        scope_is: Collection[str] | None = None,
        subjects: tuple[str, ...] | None = None,
    ) -> tuple[Measurement, ...]:
        """The measurements, those of the document first, then those of tables.

        Args:
            metric: only those of this metric.
            scope_has: only those whose scope states at least these fields, such as `["tensor"]`.
            scope_is: only those whose scope states exactly these fields: `["layer"]` for the roll-ups by layer,
                `[]` for the whole model.
            subjects: only those of exactly these subjects.

        Raises:
            AfterburnError: a table is missing from the run directory.
            SchemaError: a table is not the file that the document names, or not valid.
        """
        entries = self._all if metric is None else self._by_metric.get(metric, ())
        return tuple(
            entry
            for entry in entries
            if (subjects is None or entry.subjects == subjects)
            and all(getattr(entry.scope, name) is not None for name in scope_has)
            and (scope_is is None or _stated(entry.scope) == set(scope_is))
        )

    def measurement(self, identifier: str) -> Measurement | None:
        """The measurement with this id, or `None`; raises like `measurements`."""
        return self._by_id.get(identifier)

    def get(
        self, metric: str, *, subjects: tuple[str, ...] = CONTRAST, scope: Scope | None = None
    ) -> Measurement | None:
        """The measurement of `metric` for these subjects at this place (the whole model if not given), or `None`."""
        return self._by_id.get(measurement_id(metric, subjects, scope or Scope()))

    def value(self, metric: str, *, subjects: tuple[str, ...] = CONTRAST, scope: Scope | None = None) -> float | None:
        """Its value, or `None` where it was not measured or is undefined."""
        found = self.get(metric, subjects=subjects, scope=scope)
        return None if found is None else found.value

    def by_layer_module(
        self, metric: str, *, subjects: tuple[str, ...] = CONTRAST
    ) -> Mapping[tuple[int | None, str], tuple[Measurement, ...]]:
        """The measurements of single tensors, by layer and kind of module: the cells of a heat map.

        Layers come in order, tensors outside the blocks (`None`) last. A cell has several measurements where a layer
        has several tensors of a kind.
        """
        cells: dict[tuple[int | None, str], list[Measurement]] = {}
        for entry in self.measurements(metric, scope_has=("tensor", "module"), subjects=subjects):
            if entry.scope.head is None and entry.scope.module is not None:
                cells.setdefault((entry.scope.layer, entry.scope.module), []).append(entry)
        ordered = sorted(cells, key=lambda cell: (cell[0] is None, cell[0] or 0, cell[1]))
        return {cell: tuple(cells[cell]) for cell in ordered}

    def findings(
        self,
        rule: str | None = None,
        *,
        kinds: Collection[FindingKind] | None = None,
        at_least: Level = "none",
    ) -> tuple[Finding, ...]:
        """The findings in document order: of one rule, of these kinds, of this level or a higher one."""
        return tuple(
            finding
            for finding in self.result.findings
            if (rule is None or finding.rule == rule)
            and (kinds is None or finding.kind in kinds)
            and LEVELS.index(finding.level) >= LEVELS.index(at_least)
        )

    def metric(self, identifier: str) -> MetricDescriptor | None:
        """What a metric id means, or `None`."""
        return self._metrics.get(identifier)

    def rule(self, identifier: str) -> RuleDescriptor | None:
        """What a rule id means, or `None`."""
        return self._rules.get(identifier)

    def subject(self, identifier: str) -> Subject | None:
        """The subject with this id, or `None`."""
        return next((subject for subject in self.result.subjects if subject.id == identifier), None)

    def artifact(self, identifier: str) -> Artifact | None:
        """The artifact with this id, or `None`."""
        return next((artifact for artifact in self.result.artifacts if artifact.id == identifier), None)

    @cached_property
    def _metrics(self) -> Mapping[str, MetricDescriptor]:
        return {metric.id: metric for metric in self.result.descriptors.metrics}

    @cached_property
    def _rules(self) -> Mapping[str, RuleDescriptor]:
        return {rule.id: rule for rule in self.result.descriptors.rules}

    @cached_property
    def _all(self) -> tuple[Measurement, ...]:
        if self.directory is None:
            return self.result.measurements
        return self.result.measurements + read_tables(self.result, self.directory)

    @cached_property
    def _by_id(self) -> Mapping[str, Measurement]:
        return {entry.id: entry for entry in self._all}

    @cached_property
    def _by_metric(self) -> Mapping[str, tuple[Measurement, ...]]:
        grouped: dict[str, list[Measurement]] = {}
        for entry in self._all:
            grouped.setdefault(entry.metric, []).append(entry)
        return {metric: tuple(entries) for metric, entries in grouped.items()}


def _stated(scope: Scope) -> set[str]:
    return {name for name in _PLACES if getattr(scope, name) is not None}
