"""`afterburn trace` from a run directory to the written answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.errors import ConfigError
from afterburn_core.generation.model import Serving
from afterburn_core.plugin.registry import Registered, Registry
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.plugin.specs import MetricSpec
from afterburn_core.result import codec
from afterburn_core.result.files import replace_file
from afterburn_core.result.model import Result
from afterburn_core.run.cache import default_cache_dir
from afterburn_core.run.directory import directory_of, result_path
from afterburn_core.run.needs import ForwardNeed, GenerationNeed, Preset
from afterburn_core.run.progress import Progress
from afterburn_core.run.seeds import child_seed
from afterburn_core.trace.measuring import SIDES, Gauge, gauge_analyzer
from afterburn_core.trace.model import Trace
from afterburn_core.trace.opening import Reopened, device_of, reopen, settings_of
from afterburn_core.trace.preparing import Preparation, traceable
from afterburn_core.trace.tracing import JACKKNIFE, LIMITS, Question, trace

FOLDER = "traces"
_LISTED = 6


@attrs.frozen(kw_only=True)
class Wanted:
    """What the user asked for."""

    metric: str | None
    subset: str | None = None
    base: str | None = None
    trained: str | None = None
    preset: Preset = "standard"
    share: float = 0.8
    controls: int = 5
    limit: int | None = None
    """Most prompts or passages; `None` leaves it to the preset."""
    device: str | None = None
    cache: bool = True
    cache_dir: str | None = None


@attrs.frozen(kw_only=True)
class Traced:
    """A finished trace and where it was written."""

    trace: Trace
    path: Path


def trace_run(run: Path, wanted: Wanted, progress: Progress) -> Traced:
    """Traces a metric of a finished run.

    Raises:
        AfterburnError: the run, the metric or the models do not allow it.
    """
    path = result_path(run)
    result, directory = codec.read(path), directory_of(path)
    registry = _registry(result, wanted.metric)
    registered, metric = _chosen(wanted.metric, result, registry)
    settings = settings_of(directory, result, base=wanted.base, trained=wanted.trained)
    opened = reopen(settings, result, registry, progress)
    try:
        found = _traced(opened, result, directory, registered, metric, wanted, registry, progress)
    finally:
        opened.close()
    return Traced(trace=found, path=write_trace(directory, found))


def _registry(result: Result, metric: str | None) -> Registry:
    """The plugins that took part in the run, so that what is asked by default is what was asked; and the metric's."""
    names = {plugin.name for plugin in result.descriptors.plugins} - {"core"}
    owner = metric.split(".")[0] if metric else None
    if owner in {registered.plugin.name for registered in Registry.discover().specs("analyzer")}:
        names.add(owner)
    return Registry.discover(only=names)


def write_trace(directory: Path, found: Trace) -> Path:
    """Writes `traces/<metric>.json` into a run directory.

    Raises:
        AfterburnError: it cannot be written.
    """
    part = "" if found.subset is None else "." + "".join(c if c.isalnum() or c in "._-" else "-" for c in found.subset)
    path = directory / FOLDER / f"{found.metric}{part}.json"
    path.parent.mkdir(exist_ok=True)
    replace_file(path, dumps(found).encode())
    return path


def dumps(found: Trace) -> str:
    """The document of a trace."""
    return json.dumps(attrs.asdict(found), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _chosen(metric: str | None, result: Result, registry: Registry) -> tuple[Registered, MetricSpec]:
    analyzers = registry.specs("analyzer")
    if metric is None:
        found = shifted(result, registry)
        hint = f"; this run shifted in {', '.join(found)}" if found else ""
        raise ConfigError(f"no metric to trace; give it with --metric{hint}")
    registered, spec = gauge_analyzer(analyzers, metric)
    need = traceable(registered)
    if need is None:
        raise ConfigError(f"{metric}: is not measured on what models write or read; {_choose(result, registry)}")
    if isinstance(need, GenerationNeed) and need.judge:
        raise ConfigError(f"{metric}: needs a judge, who would be asked for every blend; {_choose(result, registry)}")
    own = [m for m in result.measurements if m.metric == metric]
    if own and not any(tuple(m.subjects) == SIDES for m in own):
        raise ConfigError(f"{metric}: is measured of each side by itself and of no pair; {_choose(result, registry)}")
    return registered, spec


def _choose(result: Result, registry: Registry) -> str:
    found = shifted(result, registry)
    return f"trace one that shifted, such as {', '.join(found)}" if found else "trace another metric"


def shifted(result: Result, registry: Registry) -> list[str]:
    """Metrics of this run that can be traced and whose interval excludes 0, the clearest first."""
    owners = {m.id: r for r in registry.specs("analyzer") if traceable(r) is not None for m in r.spec.metrics}
    found: dict[str, float] = {}
    for m in result.measurements:
        if m.metric in owners and tuple(m.subjects) == SIDES and m.scope.key() == "model" and m.interval and m.value:
            low, high = sorted((abs(m.interval.low), abs(m.interval.high)))
            if m.interval.low * m.interval.high > 0 and high > 0:
                found[m.metric] = low / high
    return sorted(found, key=lambda metric: (-found[metric], metric))[:_LISTED]


def _traced(
    opened: Reopened,
    result: Result,
    directory: Path,
    registered: Registered,
    metric: MetricSpec,
    wanted: Wanted,
    registry: Registry,
    progress: Progress,
) -> Trace:
    settings = opened.settings
    device = device_of(wanted.device or settings.device)
    gauge = Gauge(
        registered=registered,
        metric=metric,
        subset=wanted.subset,
        options=settings.options.get(registered.spec.name, {}),
        context=AnalyzerContext(
            subjects=result.subjects,
            seed=child_seed(settings.seed, registered.spec.name),
            device=device,
            excerpts=False,
            documents=_documents(opened),
        ),
    )
    preparation = Preparation(
        opened=opened,
        directory=directory,
        registry=registry,
        serving=Serving(device=device, dtype=settings.dtype, batch=settings.batch_size),
        asked=any(one.kind == "probe_set" for one in result.inputs),
        limit=wanted.limit if wanted.limit is not None else LIMITS[wanted.preset],
        groups=JACKKNIFE[wanted.preset],
        cache=Path(wanted.cache_dir or settings.cache_dir or default_cache_dir()) if wanted.cache else None,
        progress=progress,
    )
    live = opened.live(preparation.serving)
    try:
        need = traceable(registered)
        reading = isinstance(need, ForwardNeed)
        ready = preparation.reading(live, gauge, need) if reading else preparation.writing(live, gauge, need)
        question = Question(
            result=result,
            gauge=ready.gauge,
            preset=wanted.preset,
            share=wanted.share,
            controls=wanted.controls,
            seed=settings.seed,
            settings={**ready.told, "device": device, "dtype": settings.dtype},
            notes=ready.notes,
        )
        return trace(question, live.places, ready.measure, cache=preparation.cache, progress=progress)
    finally:
        live.close()


def _documents(opened: Reopened) -> Callable[[str, str], Mapping[str, Any] | None]:
    sides = {"base": opened.base, "trained": opened.trained}

    def read(role: str, name: str) -> Mapping[str, Any] | None:
        subject = sides.get(role)
        if subject is None or "documents" not in subject.facts.capabilities:
            return None
        return subject.documents().get(name)

    return read
