"""Evaluations of blends, each made once: kept in memory and, as they finish, in the cache."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs

from afterburn_core import __version__
from afterburn_core.forward.live import BASE, TRAINED, Blend
from afterburn_core.result.model import Interval, Result
from afterburn_core.run.cache import RowCache, cache_key
from afterburn_core.run.progress import Progress
from afterburn_core.trace.measuring import Gauge, Measured
from afterburn_core.trace.shares import Replicates

VERSION = 1
"""Raised whenever equal questions may be answered differently."""


class Measure(Protocol):
    """Measures blends: by what they write, or by what they make of passages."""

    @property
    def groups(self) -> Mapping[str, int]:
        """The group of every unit (`shares.deal`)."""
        ...

    @property
    def identity(self) -> Mapping[str, object]:
        """What its numbers depend on besides models, metric and options."""
        ...

    def __call__(self, blend: Blend, progress: Progress) -> Measured:
        """The metric of base against the blend.

        Raises:
            KeyboardInterrupt: the user stopped it.
            Undefined: there is no value.
        """
        ...


class Evaluator:
    """Evaluates blends by the places that are trained in them."""

    def __init__(self, measure: Measure, places: frozenset[str], cache: RowCache | None, progress: Progress) -> None:
        self._measure, self._places, self._cache, self._progress = measure, places, cache, progress
        self._kept: dict[str, Any] = cache.load() if cache else {}
        self._count = 0

    def __call__(self, names: frozenset[str], called: str) -> Replicates:
        return self.measured(names, called).replicates

    def measured(self, names: frozenset[str], called: str) -> Measured:
        """The metric of base against base with these places trained; `called` is shown as progress."""
        self._count += 1
        key = cache_key({"trained": sorted(names)})
        row = self._kept.get(key)
        if row is not None:
            return _from_row(row)
        found = self._measure(self._blend(names), _Named(self._progress, f"{self._count}. {called}"))
        self._kept[key] = _to_row(found)
        if self._cache:
            self._cache.append(key, self._kept[key])
        return found

    def _blend(self, names: frozenset[str]) -> Blend:
        if names == self._places:
            return TRAINED
        return Blend(default=0.0, scales=dict.fromkeys(sorted(names), 1.0)) if names else BASE


def open_cache(root: Path | None, result: Result, gauge: Gauge, measure: Measure) -> RowCache | None:
    """Where the evaluations of one question are kept; `None` without a cache."""
    if root is None:
        return None
    parts = {
        "kind": "trace",
        "version": VERSION,
        "core": __version__,
        "plugin": {gauge.registered.plugin.name: gauge.registered.plugin.version},
        "subjects": [subject.digest for subject in result.subjects],
        "metric": gauge.metric.id,
        "metric_version": gauge.metric.version,
        "subset": gauge.subset,
        "options": dict(gauge.options),
        "analyzer_seed": gauge.context.seed,
        "groups": cache_key(dict(measure.groups)),
        **measure.identity,
    }
    return RowCache(root, cache_key(parts), parts)


@attrs.frozen
class _Named:
    """Progress whose stages are called by the evaluation."""

    progress: Progress
    name: str

    def begin(self, stage: str, total: int, unit: str) -> None:
        self.progress.begin(stage if stage.startswith("base") else self.name, total, unit)

    def advance(self, count: int) -> None:
        self.progress.advance(count)

    def end(self) -> None:
        self.progress.end()


def _to_row(found: Measured) -> dict[str, Any]:
    interval = None if found.interval is None else attrs.asdict(found.interval)
    return {"value": found.replicates.value, "without": list(found.replicates.without), "interval": interval}


def _from_row(row: Mapping[str, Any]) -> Measured:
    interval = row.get("interval")
    return Measured(
        replicates=Replicates(value=row["value"], without=tuple(row["without"])),
        interval=None if interval is None else Interval(**interval),
    )
