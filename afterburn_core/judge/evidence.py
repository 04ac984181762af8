"""What a detector may look at: measurements, artifacts and descriptors of one run, indexed, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from afterburn_core.result.identity import measurement_id
from afterburn_core.result.model import Execution, Finding, Measurement, Scope, Subject


def _no_artifact(identifier: str) -> Mapping[str, Any] | None:
    return None


@attrs.frozen(kw_only=True)
class Evidence:
    """The input of every detector. Frozen: two calls with the same evidence give the same findings."""

    subjects: tuple[Subject, ...]
    measurements: tuple[Measurement, ...]
    executions: tuple[Execution, ...] = ()
    read_artifact: Callable[[str], Mapping[str, Any] | None] = _no_artifact
    """Parsed JSON artifact by id, or `None` where there is no such artifact (or no run directory)."""
    metric_owners: Mapping[str, str] = attrs.field(factory=dict)
    """Analyzer that declares each metric, by metric id."""
    excerpts: bool = True
    """False when texts must not appear in examples."""
    findings: tuple[Finding, ...] = ()
    """For detectors that judge `last`: what the others found; their derived measurements are among the others."""
    _by_id: dict[str, Measurement] = attrs.field(init=False, repr=False, eq=False)
    _by_metric: dict[str, list[Measurement]] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        by_metric: dict[str, list[Measurement]] = {}
        for measurement in self.measurements:
            by_metric.setdefault(measurement.metric, []).append(measurement)
        object.__setattr__(self, "_by_id", {m.id: m for m in self.measurements})
        object.__setattr__(self, "_by_metric", by_metric)

    def all(self, metric: str) -> tuple[Measurement, ...]:
        """Every measurement of `metric`, in document order."""
        return tuple(self._by_metric.get(metric, ()))

    def get(
        self, metric: str, *, subjects: tuple[str, ...] = ("base", "trained"), scope: Scope | None = None
    ) -> Measurement | None:
        """The measurement of `metric` for these subjects at this place, or `None`."""
        return self._by_id.get(measurement_id(metric, subjects, scope or Scope()))

    def value(
        self, metric: str, *, subjects: tuple[str, ...] = ("base", "trained"), scope: Scope | None = None
    ) -> float | None:
        """Its value, or `None` where it was not measured or is undefined."""
        found = self.get(metric, subjects=subjects, scope=scope)
        return None if found is None else found.value

    def tensors(self, metric: str) -> Iterator[Measurement]:
        """The tensor-scoped measurements of `metric`."""
        return (m for m in self._by_metric.get(metric, ()) if m.scope.tensor is not None)
