"""Judges a stored run again under another policy: no model, no torch, the same measurements."""

from __future__ import annotations

from pathlib import Path

import attrs

from afterburn_core.judge.detect import detect, metric_descriptors, rule_descriptors
from afterburn_core.judge.evidence import Evidence
from afterburn_core.judge.policy import Policy
from afterburn_core.judge.verdict import decide
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import Input, Result
from afterburn_core.result.view import ResultView
from afterburn_core.run.configuration import refuse_unknown_options
from afterburn_core.run.directory import artifact_reader


def rejudge(result: Result, directory: Path | None, registry: Registry, policy: Policy) -> Result:
    """The result with the findings and the verdict that `policy` gives.

    Detectors that made the stored findings and are installed judge again, and derive again what they derive; findings
    and derived measurements of others are kept as they are.

    Args:
        result: the stored document.
        directory: its run directory, for artifacts that examples come from.
        registry: installed plugins.
        policy: what fails and what may be missing.
    """
    refuse_unknown_options(policy.options, registry, f"policy {policy.name}")
    present = {rule.detector for rule in result.descriptors.rules}
    detectors = tuple(r for r in registry.specs("detector") if r.spec.name in present)
    again = {registered.spec.name for registered in detectors}
    view = ResultView(result, directory)
    stale = {m.id for m in result.descriptors.metrics if m.detector in again}
    stale |= {metric.id for registered in detectors for metric in registered.spec.metrics}
    evidence = Evidence(
        subjects=result.subjects,
        measurements=tuple(m for m in view.measurements() if m.metric not in stale),
        executions=tuple(e for e in result.executions if e.kind != "detector"),
        read_artifact=artifact_reader(directory, result.artifacts),
        metric_owners={m.id: r.spec.name for r in registry.specs("analyzer") for m in r.spec.metrics},
        excerpts=bool(result.run.configuration.get("excerpts", True)),
    )
    options = policy.options_over(result.run.configuration.get("options", {}))
    judgement = detect(evidence, detectors, options)
    declared = rule_descriptors(detectors)
    # a rule that its detector has since dropped stays as it was found
    kept_rules = tuple(rule for rule in result.descriptors.rules if rule.id not in {own.id for own in declared})
    kept_ids = {rule.id for rule in kept_rules}
    findings = (*judgement.findings, *(f for f in result.findings if f.rule in kept_ids))
    executions = (*(e for e in result.executions if e.component not in again), *judgement.executions)
    rules = tuple(sorted((*declared, *kept_rules), key=lambda rule: rule.id))
    kept_metrics = (metric for metric in result.descriptors.metrics if metric.id not in stale)
    metrics = tuple(sorted((*metric_descriptors(detectors), *kept_metrics), key=lambda metric: metric.id))
    measurements = (*(m for m in result.measurements if m.metric not in stale), *judgement.measurements)
    verdict = decide(
        run=result.run,
        executions=executions,
        measurements=measurements,
        findings=findings,
        rules=rules,
        artifacts=result.artifacts,
        policy=policy,
        metrics=metrics,
    )
    reference = policy.reference()
    inputs = [entry for entry in result.inputs if entry.kind != "policy"]
    inputs.append(Input(id="policy", kind="policy", label=reference.name, sha256=reference.sha256))
    return attrs.evolve(
        result,
        inputs=tuple(inputs),
        descriptors=attrs.evolve(result.descriptors, rules=rules, metrics=metrics),
        executions=executions,
        measurements=measurements,
        findings=tuple(sorted(findings, key=lambda f: (f.rule, f.fingerprint, f.message))),
        verdict=verdict,
    )
