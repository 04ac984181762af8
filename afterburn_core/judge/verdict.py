"""The verdict: a pure function of the document's facts and the policy.

It passes only if everything that was planned ran, everything that ran is still in the document, every rule has a
finding, and no finding stands against it. Taking anything away can therefore never turn another verdict into a pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from afterburn_core.judge import thresholds
from afterburn_core.judge.policy_model import Policy
from afterburn_core.judge.requirements import Requirement, requirements
from afterburn_core.result.consistency import TABLE_MEDIA_TYPE
from afterburn_core.result.model import (
    LEVELS,
    Artifact,
    Execution,
    Finding,
    Measurement,
    MetricDescriptor,
    PluginDescriptor,
    Reason,
    RuleDescriptor,
    Run,
    Subject,
    Verdict,
)

EXIT_CODES = {"pass": 0, "fail": 1, "incomplete": 3}


def decide(
    *,
    run: Run,
    executions: Sequence[Execution],
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    rules: Sequence[RuleDescriptor],
    artifacts: Sequence[Artifact],
    policy: Policy,
    metrics: Sequence[MetricDescriptor] = (),
    subjects: Sequence[Subject] = (),
    plugins: Sequence[PluginDescriptor] = (),
    tabled: Sequence[Measurement] = (),
    problems: Sequence[str] = (),
    doubts: Sequence[Reason] = (),
) -> Verdict:
    """The verdict under a policy, with every reason against a pass.

    Args:
        run: its status and the components it planned.
        executions: what became of each component.
        measurements: those in the document itself.
        findings: all findings.
        rules: all rules that were in force.
        artifacts: a table of measurements among them counts with its rows.
        policy: what fails and what may be missing.
        metrics: what the measurements mean; what a detector derived is not counted as measured.
        subjects: the controls among them count towards those that the policy requires.
        plugins: versions of those that contributed, for a policy that allows only some.
        tabled: measurements kept in tables beside the document, which thresholds are held against too.
        problems: plugins that could not be loaded, each with the reason, for a policy that is strict about them.
        doubts: what else speaks against the findings, such as that they could not be made again.
    """
    held = thresholds.outcomes(policy, (*measurements, *tabled))
    required = requirements(
        policy,
        run=run,
        subjects=subjects,
        executions=executions,
        findings=findings,
        measurements=measurements,
        plugins=plugins,
        problems=problems,
    )
    undecided = tuple(_open(findings, rules, policy))
    reasons = [
        *_failures(findings, policy),
        *_thresholds(held, policy),
        *_unmet(required, undecided),
        *doubts,
        *_unfinished(run, executions, policy),
        *_lost(executions, measurements, findings, artifacts),
        *undecided,
    ]
    judged = {finding.rule for finding in findings if finding.kind != "not_applicable"}
    rows = sum(a.entries or 0 for a in artifacts if a.media_type == TABLE_MEDIA_TYPE)
    derived = {metric.id for metric in metrics if metric.detector is not None}
    if not rows and not any(m.status == "ok" and m.metric not in derived for m in measurements):
        reasons.append(Reason(effect="incomplete", message=f"nothing was measured{_why(executions)}"))
    elif not judged:
        reasons.append(Reason(effect="incomplete", message="no rule was judged"))
    failed = [reason for reason in reasons if reason.effect == "fail"]
    reference = policy.reference()
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        summary = f"Fail: {failed[0].message}{more}"
        return Verdict(status="fail", policy=reference, summary=summary, reasons=tuple(reasons))
    if reasons:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        summary = f"Incomplete: {reasons[0].message}{more}"
        return Verdict(status="incomplete", policy=reference, summary=summary, reasons=tuple(reasons))
    kinds = Counter(finding.kind for finding in findings if finding.suppression is None)
    waived = sum(_against(finding, policy) for finding in findings if finding.suppression is not None)
    accepted = f", {waived} failed under a waiver" if waived else ", none failed"
    kept = sum(outcome.status == "PASS" for outcome in held)
    some = "" if kept == len(held) else f"{kept} of "
    met = f"; {some}{_count(len(held), 'threshold')} met" if held else ""
    review = f"; {_count(kinds['review'], 'finding')} to review" if kinds["review"] else ""
    still = f"; {kinds['open']} undecided" if kinds["open"] else ""
    summary = f"Pass: {_count(len(judged), 'rule')} judged{accepted}{met}{review}{still}"
    return Verdict(status="pass", policy=reference, summary=summary)


def _why(executions: Sequence[Execution]) -> str:
    """The commonest reason for which components were skipped, so that a reader knows what to change."""
    reasons = Counter(execution.reason for execution in executions if execution.status == "skipped")
    told = {reason: count for reason, count in reasons.items() if reason}
    if not told:
        return ""
    reason = min(told, key=lambda text: (-told[text], text))
    return f": {_count(told[reason], 'component')} skipped ({reason})"


def _failures(findings: Sequence[Finding], policy: Policy) -> Iterator[Reason]:
    for finding in findings:
        if _against(finding, policy) and finding.suppression is None:
            yield Reason(effect="fail", message=finding.message, rule=finding.rule, fingerprint=finding.fingerprint)


def _against(finding: Finding, policy: Policy) -> bool:
    """Whether the finding fails the verdict unless it is waived."""
    if finding.kind == "review":
        return policy.review == "fail"
    return finding.kind == "fail" and _at_or_above(finding.level, policy.fail_on)


def _thresholds(outcomes: Sequence[thresholds.Outcome], policy: Policy) -> Iterator[Reason]:
    for outcome in outcomes:
        if outcome.status == "FAIL":
            yield Reason(effect="fail", message=thresholds.sentence(outcome))
        elif outcome.status != "PASS" and outcome.id not in policy.optional:
            yield Reason(effect="incomplete", message=thresholds.sentence(outcome))


def _unmet(required: Sequence[Requirement], undecided: Sequence[Reason]) -> Iterator[Reason]:
    told = {reason.rule for reason in undecided}  # an undecided rule is told once, by its finding
    for one in required:
        if not one.met and not (one.kind == "rule" and one.name in told):
            rule = one.name if one.kind == "rule" else None
            yield Reason(effect="incomplete", message=one.message, rule=rule)


def _at_or_above(level: str, bar: str) -> bool:
    return bar != "never" and LEVELS.index(level) >= LEVELS.index(bar)


def _unfinished(run: Run, executions: Sequence[Execution], policy: Policy) -> Iterator[Reason]:
    if run.status != "complete":
        yield Reason(effect="incomplete", message=f"the run was {run.status}")
    by_component = {execution.component: execution for execution in executions}
    alike: dict[str, list[str]] = {}
    for component in run.components:
        execution = by_component.get(component)
        if execution is None:  # what is optional may fail or be skipped, and leaves a record of it
            yield Reason(effect="incomplete", message=f"{component} was planned but left no record")
        elif component in policy.optional or (execution.status == "skipped" and not execution.applicable):
            continue
        elif execution.status != "ok":
            alike.setdefault(f"{execution.status}: {execution.reason}", []).append(component)
    for fate, components in alike.items():  # an interruption is everybody's, and is told once
        more = f" and {len(components) - 1} more" if len(components) > 1 else ""
        yield Reason(effect="incomplete", message=f"{components[0]}{more} {fate}")


def _lost(
    executions: Sequence[Execution],
    measurements: Sequence[Measurement],
    findings: Sequence[Finding],
    artifacts: Sequence[Artifact],
) -> Iterator[Reason]:
    """Entries that executions counted but the document no longer has, and evidence that is gone."""
    tables = [artifact for artifact in artifacts if artifact.media_type == TABLE_MEDIA_TYPE]
    present = {
        "measurements": len(measurements) + sum(table.entries or 0 for table in tables),
        "findings": len(findings),
        "artifacts": len(artifacts) - len(tables),
    }
    for name, count in present.items():
        recorded = sum(getattr(execution.produced, name) for execution in executions)
        if recorded != count:
            message = f"{count} {name} are present where {recorded} were recorded"
            yield Reason(effect="incomplete", message=message)
    if not tables:
        known = {measurement.id for measurement in measurements}
        for finding in findings:
            if set(finding.measurements) - known:
                message = f"evidence of {finding.rule} is missing"
                yield Reason(effect="incomplete", message=message, rule=finding.rule, fingerprint=finding.fingerprint)


def _open(findings: Sequence[Finding], rules: Sequence[RuleDescriptor], policy: Policy) -> Iterator[Reason]:
    judged = {finding.rule for finding in findings}
    for rule in rules:
        if rule.id not in judged and rule.id not in policy.optional:
            yield Reason(effect="incomplete", message=f"rule {rule.id} has no finding", rule=rule.id)
    harmless = {rule.id for rule in rules if policy.undecided == "allow" and not _at_or_above(rule.level, "warning")}
    for finding in findings:
        undecided = finding.rule in harmless and finding.measurements and finding.level in {"none", "note"}
        if finding.kind == "open" and finding.rule not in policy.optional and not undecided:
            yield Reason(
                effect="incomplete", message=finding.message, rule=finding.rule, fingerprint=finding.fingerprint
            )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
