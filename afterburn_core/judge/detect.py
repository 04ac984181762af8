"""Runs detectors: every registered rule yields a finding, whatever is missing or breaks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.errors import PluginError
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.measured import fault
from afterburn_core.plugin.registry import Registered, build_options, load_factory
from afterburn_core.plugin.specs import DetectorSpec, MetricSpec, RuleSpec
from afterburn_core.result.identity import fingerprint
from afterburn_core.result.model import (
    Execution,
    Finding,
    Measurement,
    MetricDescriptor,
    Produced,
    RuleDescriptor,
    Scope,
)

_SUBJECTS = ("base", "trained")  # where the run has no such pair, whichever of the two it has


@attrs.frozen(kw_only=True)
class Judgement:
    """Findings of all detectors and what they derived for them, with the record of their execution."""

    findings: tuple[Finding, ...]
    executions: tuple[Execution, ...]
    measurements: tuple[Measurement, ...] = ()


def rule_descriptors(detectors: Sequence[Registered]) -> tuple[RuleDescriptor, ...]:
    """The rules in force, sorted by id."""
    rules = [
        RuleDescriptor(
            id=rule.id,
            summary=rule.summary,
            help=rule.help,
            level=rule.level,
            detector=registered.spec.name,
            version=rule.version,
        )
        for registered in detectors
        for rule in registered.spec.rules
    ]
    return tuple(sorted(rules, key=lambda rule: rule.id))


def metric_descriptors(components: Sequence[Registered]) -> tuple[MetricDescriptor, ...]:
    """What analyzers measure and detectors derive, sorted by id."""
    metrics = [_described(metric, registered.spec) for registered in components for metric in registered.spec.metrics]
    return tuple(sorted(metrics, key=lambda metric: metric.id))


def _described(metric: MetricSpec, spec: Any) -> MetricDescriptor:
    return MetricDescriptor(
        id=metric.id,
        summary=metric.summary,
        unit=metric.unit,
        direction=metric.direction,
        version=metric.version,
        low=metric.low,
        high=metric.high,
        detector=spec.name if isinstance(spec, DetectorSpec) else None,
    )


def detect(evidence: Evidence, detectors: Sequence[Registered], options: Mapping[str, Mapping[str, Any]]) -> Judgement:
    """Findings of every detector on the same evidence, then of those that judge last on that and what the others found.

    A rule whose metrics were not measured is `open`, or `not_applicable` where the analyzers were skipped because
    the subjects by their kind cannot offer what they need. A detector that raises leaves its rules open.

    Raises:
        ConfigError: options name unknown keys.
    """
    first = _round(evidence, [r for r in detectors if not r.spec.last], options)
    informed = attrs.evolve(
        evidence,
        measurements=(*evidence.measurements, *first.measurements),
        findings=(*evidence.findings, *_sorted(first.findings)),
    )
    last = _round(informed, [r for r in detectors if r.spec.last], options)
    return Judgement(
        findings=_sorted((*first.findings, *last.findings)),
        executions=(*first.executions, *last.executions),
        measurements=(*first.measurements, *last.measurements),
    )


def _round(evidence: Evidence, detectors: Sequence[Registered], options: Mapping[str, Mapping[str, Any]]) -> Judgement:
    """What these detectors find, none of which sees another's work."""
    findings: list[Finding] = []
    executions: list[Execution] = []
    measurements: list[Measurement] = []
    about = _about(evidence)
    for registered in sorted(detectors, key=lambda r: r.spec.name):
        spec: DetectorSpec = registered.spec
        configured = build_options(spec.options, options.get(spec.name, {}), spec.name)
        started, reason = time.perf_counter(), None
        missing = {rule.id: _missing(rule, evidence, about) for rule in spec.rules}
        own = [finding for finding in missing.values() if finding is not None]
        ready = [rule for rule in spec.rules if missing[rule.id] is None]
        derived: list[Measurement] = []
        if ready:
            try:
                found, derived = _call(spec, configured, evidence, {rule.id for rule in ready})
                silent = [rule for rule in ready if rule.id not in {finding.rule for finding in found}]
                own += [*found, *(_open(rule, "the detector gave no finding", about) for rule in silent)]
            except Exception as error:  # a detector may raise anything; its rules stay open
                reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                own += [_open(rule, f"{spec.name} failed ({reason})", about) for rule in ready]
        findings += own
        measurements += derived
        executions.append(
            Execution(
                component=spec.name,
                kind="detector",
                plugin=registered.plugin.name,
                status="ok" if reason is None else "failed",
                reason=reason,
                seconds=round(time.perf_counter() - started, 3),
                produced=Produced(findings=len(own), measurements=len(derived)),
            )
        )
    return Judgement(findings=tuple(findings), executions=tuple(executions), measurements=tuple(measurements))


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: (finding.rule, finding.fingerprint, finding.message)))


def _call(
    spec: DetectorSpec, options: Any, evidence: Evidence, ready: set[str]
) -> tuple[list[Finding], list[Measurement]]:
    detector = load_factory(spec.factory)(options)
    given = list(detector(evidence))
    derived = [entry for entry in given if isinstance(entry, Measurement)]
    _refuse_unusable(derived, spec, evidence)
    findings = [entry for entry in given if not isinstance(entry, Measurement)]
    found = [finding for finding in findings if finding.rule in ready or _undeclared(finding, spec)]
    prints = [finding.fingerprint for finding in found]
    if len(set(prints)) != len(prints):
        raise PluginError(f"{spec.name} gave two findings for one rule and place")
    known = {measurement.id for measurement in (*evidence.measurements, *derived)}
    for finding in found:
        unknown = sorted(set(finding.measurements) - known)
        if unknown:
            raise PluginError(f"{spec.name} cites {unknown[0]!r}, which was not measured")
    return found, derived


def _refuse_unusable(derived: Sequence[Measurement], spec: DetectorSpec, evidence: Evidence) -> None:
    wrong = fault(derived, spec)
    if wrong is not None:
        raise PluginError(f"{spec.name} {wrong}")
    known = {subject.id for subject in evidence.subjects}
    for measurement in derived:
        if known and not known.issuperset(measurement.subjects):
            raise PluginError(f"{spec.name} derived {measurement.id!r} for a subject that the run does not have")
        if measurement.scope.tensor is not None or measurement.scope.head is not None:
            # such rows may move into a table beside the document, which judging again leaves as it is
            raise PluginError(f"{spec.name} derived {measurement.id!r}: single tensors and heads are for analyzers")


def _undeclared(finding: Finding, spec: DetectorSpec) -> bool:
    if finding.rule not in {rule.id for rule in spec.rules}:
        raise PluginError(f"{spec.name} gave a finding under {finding.rule!r}, which it does not declare")
    return False


def _about(evidence: Evidence) -> tuple[str, ...]:
    """The subjects that a finding without evidence speaks of."""
    known = {subject.id for subject in evidence.subjects}
    return tuple(name for name in _SUBJECTS if name in known or not known)


def _missing(rule: RuleSpec, evidence: Evidence, about: tuple[str, ...]) -> Finding | None:
    absent = [metric for metric in rule.metrics if not evidence.all(metric)]
    if not absent:
        return None
    skipped = [e for e in evidence.executions if e.kind == "analyzer" and e.status == "skipped" and not e.applicable]
    reasons = {execution.component: execution.reason or "" for execution in skipped}
    owners = [evidence.metric_owners.get(metric) for metric in absent]
    if all(owner in reasons for owner in owners):
        reason = reasons[str(owners[0])]
        return _finding(rule, "not_applicable", "none", f"{rule.summary}: not applicable, {reason}", about)
    return _open(rule, f"not measured: {', '.join(absent)}", about)


def _open(rule: RuleSpec, why: str, about: tuple[str, ...]) -> Finding:
    return _finding(rule, "open", "warning", f"{rule.summary}: open, {why}", about)


def _finding(rule: RuleSpec, kind: Any, level: Any, message: str, about: tuple[str, ...]) -> Finding:
    return Finding(
        rule=rule.id,
        kind=kind,
        level=level,
        message=message,
        subjects=about,
        fingerprint=fingerprint(rule.id, about, Scope()),
    )
