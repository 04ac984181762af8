"""What a schema cannot say: ids that are unique, references that lead somewhere, values within their metric's range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime

from afterburn_core.result.identity import fingerprint, measurement_id
from afterburn_core.result.model import Finding, Measurement, MetricDescriptor, Result
from afterburn_core.result.strict_json import show

__all__ = ["TABLE_MEDIA_TYPE", "inconsistencies"]

TABLE_MEDIA_TYPE = "application/vnd.afterburn.measurements+jsonl"
"""Media type of an artifact that holds measurements, one JSON object per line."""

_SLACK = 1e-9  # rounding may carry a cosine distance this far below 0


def inconsistencies(result: Result) -> Iterator[str]:
    """Each contradiction inside a document that satisfies the schema, as `$.a.b[0]: message`."""
    yield from _run_faults(result)
    yield from _repeated("$.subjects[{}].id", (subject.id for subject in result.subjects))
    yield from _repeated("$.inputs[{}].id", (entry.id for entry in result.inputs))
    yield from _repeated("$.descriptors.metrics[{}].id", (metric.id for metric in result.descriptors.metrics))
    yield from _repeated("$.descriptors.rules[{}].id", (rule.id for rule in result.descriptors.rules))
    yield from _repeated("$.descriptors.plugins[{}].name", (plugin.name for plugin in result.descriptors.plugins))
    yield from _repeated("$.executions[{}].component", (entry.component for entry in result.executions))
    yield from _repeated("$.artifacts[{}].id", (artifact.id for artifact in result.artifacts))
    yield from _repeated("$.artifacts[{}].path", (artifact.path for artifact in result.artifacts))
    yield from _repeated("$.measurements[{}].id", (measurement.id for measurement in result.measurements))
    yield from _subject_faults(result)
    yield from measurement_faults(result, result.measurements, "$.measurements[{}]")
    yield from _finding_faults(result)
    fingerprints = {finding.fingerprint for finding in result.findings}
    for index, reason in enumerate(result.verdict.reasons):
        if reason.fingerprint is not None and reason.fingerprint not in fingerprints:
            yield f"$.verdict.reasons[{index}].fingerprint: no finding has it"


def measurement_faults(result: Result, measurements: Iterable[Measurement], place: str) -> Iterator[str]:
    """What is wrong with `measurements` of `result`; `place` is their path with `{}` for the index."""
    metrics = {metric.id: metric for metric in result.descriptors.metrics}
    subjects = {subject.id for subject in result.subjects}
    for index, entry in enumerate(measurements):
        here = place.format(index)
        wanted = measurement_id(entry.metric, entry.subjects, entry.scope)
        if entry.id != wanted:
            yield f"{here}.id: must be {show(wanted)} for its metric, subjects and scope, not {show(entry.id)}"
        if entry.metric not in metrics:
            yield f"{here}.metric: {show(entry.metric)} is not described in descriptors.metrics"
        else:
            yield from _range_faults(entry, metrics[entry.metric], here)
        if not subjects.issuperset(entry.subjects):
            yield from _dangling(entry.subjects, subjects, f"{here}.subjects", "subject")


def _run_faults(result: Result) -> Iterator[str]:
    for name, time in (("started_at", result.run.started_at), ("finished_at", result.run.finished_at)):
        try:
            datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ")
        except ValueError:
            yield f"$.run.{name}: {show(time)} is no time of the calendar"
    components = set(result.run.components)
    for index, execution in enumerate(result.executions):
        if execution.component not in components:
            yield f"$.executions[{index}].component: {show(execution.component)} is not among run.components"


def _subject_faults(result: Result) -> Iterator[str]:
    known = {subject.id for subject in result.subjects}
    for index, subject in enumerate(result.subjects):
        here = f"$.subjects[{index}]"
        if subject.id != subject.role and not subject.id.startswith(f"{subject.role}:"):
            yield f"{here}.id: must be {show(subject.role)} or start with it and a colon, not {show(subject.id)}"
        if subject.base is not None and (subject.base not in known or subject.base == subject.id):
            yield f"{here}.base: {show(subject.base)} is no other subject of the document"
        yield from _repeated(f"{here}.files[{{}}].path", (file.path for file in subject.files))


def _range_faults(entry: Measurement, metric: MetricDescriptor, here: str) -> Iterator[str]:
    if entry.value is not None:
        if metric.low is not None and entry.value < metric.low - _SLACK * max(1.0, abs(metric.low)):
            yield f"{here}.value: {entry.value} is below the lowest value of {metric.id}, {metric.low}"
        if metric.high is not None and entry.value > metric.high + _SLACK * max(1.0, abs(metric.high)):
            yield f"{here}.value: {entry.value} is above the highest value of {metric.id}, {metric.high}"
    if entry.interval is not None and entry.interval.low > entry.interval.high:
        yield f"{here}.interval: its low end lies above its high end"


def _finding_faults(result: Result) -> Iterator[str]:
    rules = {rule.id for rule in result.descriptors.rules}
    subjects = {subject.id for subject in result.subjects}
    artifacts = {artifact.id for artifact in result.artifacts}
    measurements = {measurement.id for measurement in result.measurements}
    in_table = any(artifact.media_type == TABLE_MEDIA_TYPE for artifact in result.artifacts)
    for index, finding in enumerate(result.findings):
        here = f"$.findings[{index}]"
        if finding.rule not in rules:
            yield f"{here}.rule: {show(finding.rule)} is not described in descriptors.rules"
        wanted = fingerprint(finding.rule, finding.subjects, finding.scope)
        if finding.fingerprint != wanted:
            yield f"{here}.fingerprint: must be {wanted} for its rule, subjects and scope"
        yield from _dangling(finding.subjects, subjects, f"{here}.subjects", "subject")
        yield from _dangling(finding.artifacts, artifacts, f"{here}.artifacts", "artifact")
        if not in_table:
            yield from _dangling(finding.measurements, measurements, f"{here}.measurements", "measurement")
        yield from _expiry_faults(finding, here)


def _expiry_faults(finding: Finding, here: str) -> Iterator[str]:
    if finding.suppression is not None:
        try:
            date.fromisoformat(finding.suppression.expires)
        except ValueError:
            yield f"{here}.suppression.expires: {show(finding.suppression.expires)} is no day of the calendar"


def _dangling(references: tuple[str, ...], known: set[str], place: str, what: str) -> Iterator[str]:
    for index, reference in enumerate(references):
        if reference not in known:
            yield f"{place}[{index}]: the document has no {what} {show(reference)}"


def _repeated(place: str, keys: Iterable[str]) -> Iterator[str]:
    first: dict[str, int] = {}
    for index, key in enumerate(keys):
        if first.setdefault(key, index) != index:
            yield f"{place.format(index)}: repeats {show(key)} of entry {first[key]}"
