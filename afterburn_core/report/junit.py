"""JUnit XML for CI servers: nothing green that did not run.

| in the document | test case |
|---|---|
| finding `fail` | failure |
| finding `open` | error: the rule could not be decided |
| finding `review` | passes, with the message as output; whether a review blocks is the policy's decision |
| finding `pass`, `informational` | passes |
| finding `not_applicable`, any waived finding | skipped, with the reason |
| planned component that failed, was interrupted or left no trace | error |
| planned component skipped although it applied | error |
| threshold `FAIL` | failure |
| threshold `INCONCLUSIVE`, `NOT_RUN` | error |
| requirement of the policy that is not met | error |
| waiver that expired, or has nothing to waive | skipped, with the day and who answers for it |
| verdict `fail` / `incomplete` | failure / error of the case `verdict` |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from afterburn_core.report import judgement, presentation
from afterburn_core.report.evidence import Evidence, collect
from afterburn_core.report.inert import one_line, xml
from afterburn_core.result.model import Execution, Finding, Result

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

_TALLIED = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def render(view: ResultView) -> bytes:
    """The report as JUnit XML with the suites `verdict`, `policy`, `findings` and `components`."""
    return render_all([view])


def render_all(views: Sequence[ResultView]) -> bytes:
    """The reports of several runs in one file; with more than one, suites begin with what was compared."""
    root = ElementTree.Element("testsuites", {"name": "afterburn"})
    for number, view in enumerate(views, start=1):
        of = "" if len(views) == 1 else f"{number}. {presentation.title(view.result)}: "
        _run(root, view, of)
    _count(root)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _run(root: ElementTree.Element, view: ResultView, of: str) -> None:
    result = view.result
    evidence = collect(view)
    _verdict(_suite(root, f"{of}verdict", result), result)
    read = judgement.judgement(result)
    if read:
        _policy(_suite(root, f"{of}policy", result), read)
    findings = _suite(root, f"{of}findings", result)
    repeated = Counter(finding.rule for finding in result.findings)
    for finding in presentation.order_findings(result.findings):
        _finding(findings, finding, repeated[finding.rule] > 1, evidence)
    components = _suite(root, f"{of}components", result)
    executions = {execution.component: execution for execution in result.executions}
    for name in result.run.components:
        _component(components, name, executions.get(name))


def _suite(root: ElementTree.Element, name: str, result: Result) -> ElementTree.Element:
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": _attribute(name), "timestamp": xml(result.run.started_at)}
    )
    properties = ElementTree.SubElement(suite, "properties")
    values = {"run": result.run.id, "policy": result.verdict.policy.name, "tool": result.run.tool.version}
    for key, value in values.items():
        ElementTree.SubElement(properties, "property", {"name": key, "value": _attribute(value)})
    return suite


def _verdict(suite: ElementTree.Element, result: Result) -> None:
    verdict = result.verdict
    case = _case(suite, "afterburn", "verdict")
    reasons = "\n".join(f"{reason.effect}: {reason.message}" for reason in verdict.reasons)
    if verdict.status == "fail":
        _outcome(case, "failure", verdict.summary, "fail", reasons)
    elif verdict.status == "incomplete":
        _outcome(case, "error", verdict.summary, "incomplete", reasons)
    else:
        _output(case, verdict.summary)


def _policy(suite: ElementTree.Element, read: judgement.Judgement) -> None:
    """One case for each threshold, requirement and waiver."""
    for outcome in read.thresholds:
        case = _case(suite, "threshold", outcome.id)
        told = f"{judgement.measured(outcome)}; {judgement.asked(outcome)} asked"
        detail = "\n".join(part for part in (judgement.where(outcome), outcome.measurement, outcome.reason) if part)
        if outcome.status == "PASS":
            _output(case, f"{told}\n{detail}")
        else:
            _outcome(case, "failure" if outcome.status == "FAIL" else "error", told, outcome.status, detail)
    for requirement in read.requirements:
        case = _case(suite, "requirement", f"{requirement.kind} {requirement.name}")
        if requirement.met:
            _output(case, requirement.message)
        else:
            _outcome(case, "error", requirement.message, "missing")
    for waiver in read.waivers:
        case = _case(suite, "waiver", waiver.about)
        told = f"{judgement.lasting(waiver)}; {judgement.covering(waiver)}"
        if waiver.state != "in_force":
            _outcome(case, "skipped", told)
        _output(case, f"{told}\n{waiver.reason} ({waiver.owner})")


def _finding(suite: ElementTree.Element, finding: Finding, repeated: bool, evidence: Evidence) -> None:
    where = presentation.place(finding.scope)
    descriptor = evidence.rules.get(finding.rule)
    owner = descriptor.detector if descriptor else finding.rule.rpartition(".")[0]
    name = f"{finding.rule} [{where}]" if repeated else finding.rule
    case = _case(suite, owner or "afterburn", name)
    detail = "\n".join(_evidence_lines(finding, evidence))
    if finding.suppression is not None:
        _outcome(case, "skipped", f"waived: {presentation.waiver(finding.suppression)}")
        _output(case, f"{presentation.KIND_WORDS[finding.kind]}: {finding.message}")
    elif finding.kind == "fail":
        _outcome(case, "failure", finding.message, finding.level, detail)
    elif finding.kind == "open":
        _outcome(case, "error", finding.message, "undecided", detail)
    elif finding.kind == "not_applicable":
        _outcome(case, "skipped", finding.message)
    else:
        _output(case, f"{presentation.KIND_WORDS[finding.kind]} ({finding.level}): {finding.message}\n{detail}")


def _evidence_lines(finding: Finding, evidence: Evidence) -> list[str]:
    lines = [f"place: {presentation.place(finding.scope)}", f"fingerprint: {finding.fingerprint}"]
    for identifier in finding.measurements:
        item = evidence.cited.get(identifier)
        if item is None:
            lines.append(f"{identifier}: not in the document")
        else:
            facts = "; ".join((presentation.shown(item, evidence), *presentation.details(item, evidence)))
            lines.append(f"{identifier}: {facts}")
    return lines


def _component(suite: ElementTree.Element, name: str, execution: Execution | None) -> None:
    if execution is None:
        case = _case(suite, "component", name)
        _outcome(case, "error", "planned, but the document holds no execution of it", "missing")
        return
    case = _case(suite, execution.kind, name, execution.seconds)
    reason = execution.reason or "no reason given"
    if presentation.not_applicable(execution):
        _outcome(case, "skipped", reason)
    elif execution.status != "ok":
        _outcome(case, "error", reason, execution.status)
    notes = "\n".join(f"{note.level}: {note.message}" for note in execution.notifications)
    if notes:
        _output(case, notes)


def _case(suite: ElementTree.Element, owner: str, name: str, seconds: float = 0.0) -> ElementTree.Element:
    attributes = {"classname": _attribute(owner), "name": _attribute(name), "time": f"{seconds:.3f}"}
    return ElementTree.SubElement(suite, "testcase", attributes)


def _outcome(case: ElementTree.Element, tag: str, message: str, kind: str = "", detail: str = "") -> None:
    attributes = {"message": _attribute(message)}
    if kind:
        attributes["type"] = _attribute(kind)
    ElementTree.SubElement(case, tag, attributes).text = xml(detail) or None


def _output(case: ElementTree.Element, text: str) -> None:
    ElementTree.SubElement(case, "system-out").text = xml(text.strip())


def _attribute(text: str) -> str:
    return xml(one_line(text))


def _count(root: ElementTree.Element) -> None:
    total: Counter[str] = Counter()
    for suite in root:
        tally = Counter({"tests": len(suite.findall("testcase"))})
        tally.update({name: len(suite.findall(f"testcase/{tag}")) for tag, name in _TALLIED.items()})
        for name in ("tests", *_TALLIED.values()):
            suite.set(name, str(tally[name]))
        total.update(tally)
    for name in ("tests", *_TALLIED.values()):
        root.set(name, str(total[name]))
