"""Evidence for a detector to judge: measured on tiny pairs, and made up from what its rules say they look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.registry import Registered, Registry
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.plugin.specs import AnalyzerSpec, DetectorSpec, MetricSpec
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Execution, Measurement, Produced, Scope
from afterburn_core.run.needs import DocumentsNeed, WeightsNeed
from afterburn_core.testing.feeding import SUBJECTS, analyze, observations
from afterburn_core.testing.workbench import Workbench

PAIRS = ("identity", "scaled", "noise", "dropped", "added", "nonfinite", "edited")
"""Pairs that evidence is measured on."""

PLACES = (
    Scope(),
    Scope(layer=0),
    Scope(layer=1),
    Scope(tensor="model.layers.0.self_attn.q_proj.weight", layer=0, module="q"),
    Scope(tensor="model.layers.1.self_attn.q_proj.weight", layer=1, module="q"),
)
"""Where made-up measurements are placed."""


def scenarios(spec: DetectorSpec, registry: Registry, workbench: Workbench) -> Mapping[str, Evidence]:
    """Evidence by name: measured on each of `PAIRS`, then made up at the ends of each metric's range."""
    wanted = sorted({metric for rule in spec.rules for metric in rule.metrics})
    found: dict[str, Evidence] = {}
    for name in PAIRS:
        evidence = _measured(name, wanted, registry, workbench)
        if evidence.measurements:
            found[f"measured on the {name} pair"] = evidence
    components = (*registry.specs("analyzer"), *registry.specs("detector"))
    known = {m.id: m for registered in components for m in registered.spec.metrics}
    metrics = [known.get(metric) or MetricSpec(id=metric, summary="unknown") for metric in wanted]
    for label in ("least", "middling", "greatest"):
        found[f"made up, {label} values"] = _made_up(
            measure(metric.id, _values(metric)[label], scope=place, n=64) for metric in metrics for place in PLACES
        )
    for label, places, loud in (
        ("the whole model stands out", PLACES, PLACES[:1]),
        ("one tensor stands out, the whole model is not measured", PLACES[1:], PLACES[-1:]),
    ):
        found[f"made up, {label}"] = _made_up(
            measure(metric.id, _values(metric)["greatest" if place in loud else "least"], scope=place, n=64)
            for metric in metrics
            for place in places
        )
    found["made up, all undefined"] = _made_up(
        undefined(metric.id, "made up by the conformance kit", scope=place) for metric in metrics for place in PLACES
    )
    return found


def empty() -> Evidence:
    """Evidence of a run in which nothing was measured."""
    return Evidence(subjects=SUBJECTS, measurements=())


def without(evidence: Evidence) -> Iterator[tuple[str, Evidence]]:
    """Evidence with one thing less, once for each measurement and each execution, with what is missing."""
    for index, measurement in enumerate(evidence.measurements):
        rest = evidence.measurements[:index] + evidence.measurements[index + 1 :]
        yield measurement.id, _evidence(rest, evidence.executions)
    for index, execution in enumerate(evidence.executions):
        others = evidence.executions[:index] + evidence.executions[index + 1 :]
        yield f"the execution of {execution.component}", _evidence(evidence.measurements, others)


def _measured(name: str, wanted: Iterable[str], registry: Registry, workbench: Workbench) -> Evidence:
    measurements: list[Measurement] = []
    executions: list[Execution] = []
    for registered in registry.specs("analyzer"):
        spec = registered.spec
        if not {metric.id for metric in spec.metrics} & set(wanted):
            continue
        if not all(isinstance(need, (DocumentsNeed, WeightsNeed)) for need in spec.needs):
            continue
        produced = _output(spec, name, workbench).measurements
        measurements += produced
        executions.append(_execution(registered, len(produced)))
    return _evidence(tuple(measurements), tuple(executions))


def _output(spec: AnalyzerSpec, name: str, workbench: Workbench) -> AnalyzerOutput:
    items = observations(spec, workbench.weight_pairs(name), workbench.document_pairs(name))
    output: AnalyzerOutput = workbench.keep(("output", spec.name, name), lambda: analyze(spec, items))
    return output


def _execution(registered: Registered, count: int) -> Execution:
    return Execution(
        component=registered.spec.name,
        kind="analyzer",
        plugin=registered.plugin.name,
        status="ok",
        seconds=0.0,
        produced=Produced(measurements=count),
    )


def _made_up(measurements: Iterable[Measurement]) -> Evidence:
    return _evidence(tuple(measurements), ())


def _evidence(measurements: tuple[Measurement, ...], executions: tuple[Execution, ...]) -> Evidence:
    return Evidence(subjects=SUBJECTS, measurements=measurements, executions=executions)


def _values(metric: MetricSpec) -> Mapping[str, float]:
    low = 0.0 if metric.low is None else metric.low
    high = low + 1e6 if metric.high is None else metric.high
    return {"least": low, "middling": low + (min(high, low + 2) - low) / 4, "greatest": high}
