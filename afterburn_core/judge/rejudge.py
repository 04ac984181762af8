"""Judges a stored run again under another policy: no model, no torch, the same measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date
from pathlib import Path

import attrs

from afterburn_core.judge.detect import detect, metric_descriptors, rule_descriptors
from afterburn_core.judge.evidence import Evidence
from afterburn_core.judge.policy import PROPERTY, Policy
from afterburn_core.judge.policy_names import refuse_unknown_names
from afterburn_core.judge.settle import settle
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import Input, Reason, Result
from afterburn_core.result.view import ResultView
from afterburn_core.run.configuration import refuse_unknown_options
from afterburn_core.run.directory import artifact_reader

RUN_POLICY = "policy.run"
"""Id of the input that keeps the run's own policy beside the one of a later judgement."""


def rejudge(
    result: Result, directory: Path | None, registry: Registry, policy: Policy, today: date | None = None
) -> Result:
    """The result with the findings and the verdict that `policy` gives.

    Detectors that made the stored findings and are installed judge again, and derive again what they derive; findings
    and derived measurements of others are kept as they are.

    Args:
        result: the stored document.
        directory: its run directory, for artifacts that examples come from.
        registry: installed plugins.
        policy: what fails and what may be missing.
        today: the day that waivers are held against. Unless given it is the day on which the run ended, so that
            judging again gives the same verdict on any day.
    """
    refuse_unknown_options(policy.options, registry, f"policy {policy.name}")
    refuse_unknown_names(policy, registry, result)
    present = {rule.detector for rule in result.descriptors.rules}
    blind = unread(result, directory, registry)
    detectors = tuple(r for r in registry.specs("detector") if r.spec.name in present - blind.keys())
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
    reference = policy.reference()
    inputs = [entry for entry in result.inputs if entry.kind != "policy"]
    inputs.append(Input(id="policy", kind="policy", label=reference.name, sha256=reference.sha256))
    started = started_under(result)
    if started is not None and started.sha256 != reference.sha256:  # a later policy must not pass for the first one
        inputs.append(attrs.evolve(started, id=RUN_POLICY))
    judged = attrs.evolve(
        result,
        inputs=tuple(inputs),
        descriptors=attrs.evolve(result.descriptors, rules=rules, metrics=metrics),
        executions=executions,
        measurements=measurements,
        findings=tuple(sorted(findings, key=lambda f: (f.rule, f.fingerprint, f.message))),
    )
    tabled = view.measurements()[len(result.measurements) :]
    doubts = (*_doubts(result, policy, present - again - blind.keys()), *_blind(blind))
    return settle(judged, policy, today=today, tabled=tabled, doubts=doubts)


def unread(result: Result, directory: Path | None, registry: Registry) -> dict[str, str]:
    """Installed detectors that made findings of the result and cannot judge again, each with the id of an artifact.

    The document lists it, the detector judges by its numbers, and it is not beside the document or not the one listed.
    """
    read = artifact_reader(directory, result.artifacts)
    listed = {artifact.id for artifact in result.artifacts if artifact.media_type == "application/json"}
    missing = {
        name: sorted(one for one in listed.intersection(ids) if read(one) is None)
        for name, ids in tables_read(result, registry).items()
    }
    return {name: ids[0] for name, ids in sorted(missing.items()) if ids}


def tables_read(result: Result, registry: Registry) -> dict[str, tuple[str, ...]]:
    """By installed detector that made findings of the result, the ids of the artifacts that it judges by."""
    present = {rule.detector for rule in result.descriptors.rules}
    return {r.spec.name: r.spec.reads for r in registry.specs("detector") if r.spec.name in present}


def _blind(blind: Mapping[str, str]) -> Iterator[Reason]:
    for name, artifact in blind.items():
        yield Reason(
            effect="incomplete",
            message=f"{name} judges by the artifact {artifact}, which is not beside the document or not the one it "
            "lists; what was found stands, and was not judged again",
        )


def started_under(result: Result) -> Input | None:
    """The policy that the run was started under, however often it was judged since; `None` where none was recorded."""
    policies = {entry.id: entry for entry in result.inputs if entry.kind == "policy"}
    return policies.get(RUN_POLICY) or policies.get("policy")


def _doubts(result: Result, policy: Policy, kept: AbstractSet[str]) -> tuple[Reason, ...]:
    """Detectors that are not installed, whose findings were made under other options than the policy's."""
    stored = result.properties.get(PROPERTY)
    before = stored.get("options") if isinstance(stored, Mapping) else None
    options = before if isinstance(before, Mapping) else {}
    return tuple(
        Reason(
            effect="incomplete",
            message=f"{name} is not installed here, and what it found was judged under other options than those of "
            f"policy {policy.name}; install its plugin, or run again under this policy",
        )
        for name in sorted(kept)
        if options.get(name, {}) != policy.options.get(name, {})
    )
