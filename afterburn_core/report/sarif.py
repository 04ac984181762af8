"""SARIF 2.1.0 for code scanning: rules from descriptors, one result per finding, no absolute URIs.

SARIF asks that a result's level be `none` unless its kind is `fail`; the document's own level stays in
`properties`. Every result points at `result.json`, because scanners want a physical place, and names tensors as
logical places.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from afterburn_core.report import judgement, presentation
from afterburn_core.report.evidence import Evidence, collect
from afterburn_core.report.inert import visible
from afterburn_core.report.sarif_policy import policy_properties, policy_results, policy_rules
from afterburn_core.result.model import Execution, Finding, Level, Result, RuleDescriptor, Scope, Subject

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView

VERSION = "2.1.0"
FINGERPRINT = "afterburn/v1"
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_KINDS = {"not_applicable": "notApplicable"}
_RUN_DIRECTORY = "RUN_DIRECTORY"


def render(view: ResultView) -> bytes:
    """The findings, and what came of the policy's thresholds and requirements, as one SARIF run."""
    return render_all([view])


def render_all(views: Sequence[ResultView]) -> bytes:
    """Several results as one SARIF log with a run for each."""
    log = {"$schema": _SCHEMA, "version": VERSION, "runs": [_run(view.result, collect(view)) for view in views]}
    return (json.dumps(log, ensure_ascii=True, allow_nan=False, indent=2, sort_keys=True) + "\n").encode()


def _run(result: Result, evidence: Evidence) -> dict[str, Any]:
    read = judgement.judgement(result)
    rules = [*_rules(result), *policy_rules(read)]
    index = {rule["id"]: place for place, rule in enumerate(rules)}
    bases = {_RUN_DIRECTORY: {"description": _text("The run directory that holds result.json.")}}
    for subject in result.subjects:
        bases[_base_id(subject)] = {"description": _text(f"The directory of subject {subject.id}: {subject.label}")}
    return {
        "tool": {
            "driver": {
                "name": "Afterburn",
                "semanticVersion": result.run.tool.version,
                "rules": rules,
                "properties": {
                    "policy": result.verdict.policy.name,
                    "policySha256": result.verdict.policy.sha256,
                },
            },
            "extensions": [
                {
                    "name": plugin.name,
                    "version": plugin.version,
                    "fullName": f"{plugin.distribution} {plugin.version}",
                }
                for plugin in result.descriptors.plugins
            ],
        },
        "automationDetails": {"id": f"afterburn/{result.run.command}/{result.run.id}"},
        "invocations": [_invocation(result)],
        "originalUriBaseIds": bases,
        "artifacts": _artifacts(result),
        "results": [
            *(_result(finding, index, evidence) for finding in presentation.order_findings(result.findings)),
            *policy_results(read, index),
        ],
        "columnKind": "unicodeCodePoints",
        "properties": {
            "verdict": result.verdict.status,
            "summary": result.verdict.summary,
            "concerns": presentation.concerns(result),
            "reasons": [f"{reason.effect}: {reason.message}" for reason in result.verdict.reasons],
            "schemaVersion": result.schema_version,
            "seed": result.run.seed,
            **policy_properties(read),
        },
    }


def _rules(result: Result) -> list[dict[str, Any]]:
    """Descriptors by id; a rule without one still gets an entry, so that every index resolves."""
    known = {rule.id: rule for rule in result.descriptors.rules}
    names = sorted({*known, *(finding.rule for finding in result.findings)})
    return [_rule(name, known.get(name)) for name in names]


def _rule(name: str, descriptor: RuleDescriptor | None) -> dict[str, Any]:
    if descriptor is None:
        return {"id": name, "shortDescription": _text("The document does not describe this rule.")}
    return {
        "id": name,
        "shortDescription": _text(descriptor.summary or name),
        "help": _text(descriptor.help or descriptor.summary or name),
        "defaultConfiguration": {"level": descriptor.level},
        "properties": {"detector": descriptor.detector, "version": descriptor.version},
    }


def _result(finding: Finding, index: dict[str, int], evidence: Evidence) -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": "result.json", "uriBaseId": _RUN_DIRECTORY, "index": 0}}
    }
    logical = _logical(finding.scope)
    if logical:
        location["logicalLocations"] = [logical]
    found: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "kind": _KINDS.get(finding.kind, finding.kind),
        "level": finding.level if finding.kind == "fail" else "none",
        "message": _text(finding.message or finding.rule),
        "locations": [location],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
        "properties": {
            "level": finding.level,
            "place": presentation.place(finding.scope),
            "subjects": list(finding.subjects),
            "measurements": [
                {"id": identifier, "shown": presentation.shown(evidence.cited[identifier], evidence)}
                if identifier in evidence.cited
                else {"id": identifier}
                for identifier in finding.measurements
            ],
        },
    }
    if finding.suppression is not None:
        waiver = finding.suppression
        found["suppressions"] = [
            {
                "kind": "external",
                "status": "accepted",
                "justification": waiver.justification,
                "properties": {"owner": waiver.owner, "expires": waiver.expires},
            }
        ]
    return found


def _logical(scope: Scope) -> dict[str, str] | None:
    name = presentation.place(scope)
    if scope == Scope():
        return None
    return {
        "fullyQualifiedName": name,
        "name": name.rsplit(".", 1)[-1] or name,
        "kind": "member" if scope.tensor else "module",
    }


def _invocation(result: Result) -> dict[str, Any]:
    return {
        # Findings do not make an execution unsuccessful; components that did not end do.
        "executionSuccessful": result.run.status == "complete" and not presentation.unfinished(result),
        "startTimeUtc": result.run.started_at,
        "endTimeUtc": result.run.finished_at,
        "toolExecutionNotifications": [
            *(note for execution in result.executions for note in _notifications(execution)),
            *(_notification("error", f"{name}: planned, but left no trace") for name in _untraced(result)),
        ],
    }


def _notifications(execution: Execution) -> list[dict[str, Any]]:
    notes = [_notification(note.level, f"{execution.component}: {note.message}") for note in execution.notifications]
    if execution.status != "ok":
        level: Level = "note" if presentation.not_applicable(execution) else "error"
        text = f"{execution.component}: {execution.status}: {execution.reason or 'no reason given'}"
        notes.append(_notification(level, text))
    return notes


def _notification(level: Level, text: str) -> dict[str, Any]:
    return {"level": level, "message": _text(text)}


def _untraced(result: Result) -> tuple[str, ...]:
    traced = {execution.component for execution in result.executions}
    return tuple(name for name in result.run.components if name not in traced)


def _artifacts(result: Result) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = [
        {
            "location": {"uri": "result.json", "uriBaseId": _RUN_DIRECTORY},
            "mimeType": "application/json",
            "roles": ["resultFile"],
        }
    ]
    for subject in result.subjects:
        entries.extend(
            {
                "location": {"uri": _uri(file.path), "uriBaseId": _base_id(subject)},
                "length": file.size,
                "hashes": {"sha-256": file.sha256},
                "roles": ["analysisTarget"],
            }
            for file in subject.files
        )
    entries.extend(
        {
            "location": {"uri": _uri(artifact.path), "uriBaseId": _RUN_DIRECTORY},
            "length": artifact.size,
            "hashes": {"sha-256": artifact.sha256},
            "mimeType": artifact.media_type,
            "description": _text(artifact.summary or artifact.id),
            "roles": ["attachment"],
        }
        for artifact in result.artifacts
    )
    return entries


def _text(text: str) -> dict[str, str]:
    """A message. SARIF makes links of `[text](target)` even in plain text; a word joiner between keeps it text."""
    return {"text": visible(text).replace("](", "]\u2060(")}


def _base_id(subject: Subject) -> str:
    return f"SUBJECT_{subject.id}"


def _uri(path: str) -> str:
    """A relative reference, whatever the name holds: no colon reads as a scheme, no slash as a root."""
    return quote(path.lstrip("/"), safe="/-._~")
