"""Arbitrary valid results, for property tests.

Classes are filled field by field from their types; what the types do not say (patterns, ranges, references between
the parts) is said here.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from afterburn_core.result.identity import fingerprint, measurement_id
from afterburn_core.result.model import (
    SCHEMA_VERSION,
    Artifact,
    Descriptors,
    Execution,
    Finding,
    Input,
    Interval,
    Measurement,
    MetricDescriptor,
    PluginDescriptor,
    PolicyReference,
    Produced,
    Reason,
    Result,
    Role,
    RuleDescriptor,
    Run,
    Scope,
    Subject,
    Verdict,
)
from afterburn_core.testing.documents import HOSTILE

__all__ = ["arbitrary_results"]

T = TypeVar("T")

_texts = st.sampled_from((*HOSTILE, "é", "漢字", "🜂", "plain", "a/b+c", "x=1,y=2")) | st.text(min_size=1, max_size=4)
_labels = _texts.filter(lambda text: text[0] not in "/\\" and text[1:2] != ":")
_counts = st.sampled_from((0, 1, 2**53, 2**63)) | st.integers(0, 99)
_floats = st.sampled_from((0.0, -0.0, 1.0, 0.1, 1e-300, -1e308, 5e-324)) | st.floats(
    allow_nan=False, allow_infinity=False
)
_probabilities = st.sampled_from((0.0, 1.0, 0.05, 1 / 3))
_digests = st.sampled_from(("0" * 64, "0123456789abcdef" * 4, "f" * 64))
_versions = st.integers(1, 9)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | _floats | _texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_texts, inner, max_size=2),
    max_leaves=4,
)
_times = st.sampled_from(("2026-01-15T09:30:00Z", "1999-12-31T23:59:59Z", "2024-02-29T00:00:00Z"))

_METRICS = ("weight.delta.norm", "weight.delta.relative", "weight.coverage", "a.b", "x9_.0.y")
_RULES = ("weight.change", "weight.nonfinite", "weight.config_change", "a.b", "x9_.0.y")
_PATHS = ("config.json", "a b/ü.json", "...", "artifacts/<script>.json", "a/.b/c..d", "x'\"&.json")

_BY_TYPE: Mapping[Any, SearchStrategy[Any]] = {
    str: _texts,
    int: _counts,
    float: _floats | st.integers(-9, 9),  # an int where a float belongs is a mistake that code makes
    bool: st.booleans(),
}
_BY_FIELD: Mapping[tuple[str, str], SearchStrategy[Any]] = {
    ("Artifact", "media_type"): st.sampled_from(("application/json", "application/vnd.x+json", "image/svg+xml")),
    ("Artifact", "sha256"): _digests,
    ("Environment", "threads"): st.integers(1, 512),
    ("Execution", "seconds"): st.floats(0, 1e6) | st.integers(0, 9),
    ("FileDigest", "sha256"): _digests,
    ("Input", "label"): _labels,
    ("Input", "sha256"): _digests,
    ("Interval", "level"): st.floats(0.01, 0.99),
    ("MetricDescriptor", "high"): st.none() | st.floats(1, 1e9),
    ("MetricDescriptor", "low"): st.none() | st.floats(-1e9, 0),
    ("MetricDescriptor", "version"): _versions,
    ("Null", "n"): _versions,
    ("Null", "p_value"): _probabilities,
    ("Null", "quantile"): _probabilities,
    ("PolicyReference", "sha256"): _digests,
    ("RuleDescriptor", "version"): _versions,
    ("Run", "finished_at"): _times,
    ("Run", "id"): _digests,
    ("Run", "seed"): st.sampled_from((0, 2**53 - 1)),
    ("Run", "started_at"): _times,
    ("Subject", "digest"): _digests,
    ("Subject", "label"): _labels,
    ("Suppression", "expires"): st.dates().map(lambda day: day.isoformat()),
    ("Test", "p_adjusted"): st.none() | _probabilities,
    ("Test", "p_value"): _probabilities,
    ("Tool", "name"): st.just("afterburn"),
}


def arbitrary_results(most: int) -> SearchStrategy[Result]:
    """Arbitrary valid results with up to `most` entries in each list."""
    return _results(most)


@cache
def _values(kind: Any) -> SearchStrategy[Any]:
    """Values of a field's type."""
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return st.sampled_from(arguments)
    if get_origin(kind) is types.UnionType:
        return st.none() | _values(arguments[0])
    if get_origin(kind) is tuple:
        return st.lists(_values(arguments[0]), max_size=2).map(tuple)
    if get_origin(kind) is Mapping:
        return st.dictionaries(_texts, _json if arguments[1] is Any else _values(arguments[1]), max_size=2)
    return _BY_TYPE[kind] if kind in _BY_TYPE else _filled(kind)


def _filled(kind: type[T], **given: SearchStrategy[Any]) -> SearchStrategy[T]:
    """Instances of an attrs class, its fields `given` or arbitrary."""
    untyped: Any = kind
    return st.builds(kind, **{**_fields(untyped), **given})


@cache
def _fields(kind: Any) -> Mapping[str, SearchStrategy[Any]]:
    special = {field: strategy for (owner, field), strategy in _BY_FIELD.items() if owner == kind.__name__}
    fields = attrs.fields(attrs.resolve_types(kind))
    return {field.name: _values(field.type) for field in fields if field.name not in special} | special


def _some(pool: tuple[T, ...], most: int, least: int = 0) -> SearchStrategy[tuple[T, ...]]:
    """Some of `pool` in any order, none twice."""
    if not pool:
        return st.just(())
    return st.lists(st.sampled_from(pool), min_size=least, max_size=most, unique=True).map(tuple)


@st.composite
def _results(draw: DrawFn, most: int) -> Result:
    subjects = draw(_subjects())
    subject_ids = tuple(subject.id for subject in subjects)
    metrics = tuple(draw(_filled(MetricDescriptor, id=st.just(name))) for name in draw(_some(_METRICS, most, 1)))
    rules = tuple(draw(_filled(RuleDescriptor, id=st.just(name))) for name in draw(_some(_RULES, most)))
    drawn = [draw(_measurements(metrics, subject_ids)) for _ in range(draw(st.integers(0, most)))]
    measurements = {measurement.id: measurement for measurement in drawn}
    artifacts = tuple(
        draw(_filled(Artifact, id=st.just(f"{path}{draw(_texts)}"), path=st.just(path)))
        for path in draw(_some(_PATHS, most))
    )
    artifact_ids = tuple(artifact.id for artifact in artifacts)
    findings = tuple(draw(_findings(rule.id, subject_ids, tuple(measurements), artifact_ids)) for rule in rules)
    components = draw(_some((*_RULES, *HOSTILE), most))
    counts = Produced(measurements=len(measurements), findings=len(findings), artifacts=len(artifacts))
    return Result(
        schema_version=SCHEMA_VERSION,
        run=draw(_filled(Run, components=st.just(components))),
        subjects=subjects,
        verdict=draw(_verdicts(findings)),
        inputs=tuple(draw(_filled(Input, id=st.just(name))) for name in draw(_some(HOSTILE, 2))),
        descriptors=Descriptors(
            metrics=metrics,
            rules=rules,
            plugins=tuple(draw(_filled(PluginDescriptor, name=st.just(name))) for name in draw(_some(HOSTILE, 2))),
        ),
        executions=tuple(
            draw(_executions(component, counts if index == 0 else Produced()))
            for index, component in enumerate(draw(_some(components, most)))
        ),
        measurements=tuple(measurements.values()),
        findings=findings,
        artifacts=artifacts,
        properties=draw(_values(Mapping[str, Any])),
    )


@st.composite
def _subjects(draw: DrawFn) -> tuple[Subject, ...]:
    others: tuple[tuple[Role, ...], ...] = ((), ("control",), ("checkpoint", "control"))
    roles: tuple[Role, ...] = ("base", "trained", *draw(st.sampled_from(others)))
    return tuple(
        draw(
            _filled(
                Subject,
                id=st.just(role) if role in ("base", "trained") else _texts.map(f"{role}:".__add__),
                role=st.just(role),
                base=st.just("base" if draw(st.booleans()) and role != "base" else None),
                files=st.just(()) if draw(st.booleans()) else _files(),
            )
        )
        for role in roles
    )


@st.composite
def _files(draw: DrawFn) -> tuple[Any, ...]:
    file_digest = get_args(attrs.fields(attrs.resolve_types(Subject)).files.type)[0]
    return tuple(draw(_filled(file_digest, path=st.just(path))) for path in draw(_some(_PATHS, 2)))


@st.composite
def _measurements(draw: DrawFn, metrics: tuple[MetricDescriptor, ...], ids: tuple[str, ...]) -> Measurement:
    metric = draw(st.sampled_from(metrics))
    subjects, scope = draw(_some(ids, 3, 1)), draw(_filled(Scope))
    low = -1e308 if metric.low is None else metric.low
    high = 1e308 if metric.high is None else metric.high
    defined = draw(st.booleans())
    value = st.floats(low, high) | st.sampled_from((0, 1, 0.0, 1.0))
    ends = sorted((draw(_floats), draw(_floats)))
    return draw(
        _filled(
            Measurement,
            id=st.just(measurement_id(metric.id, subjects, scope)),
            metric=st.just(metric.id),
            subjects=st.just(subjects),
            status=st.just("ok" if defined else "undefined"),
            value=value if defined else st.none(),
            scope=st.just(scope),
            reason=_values(str | None) if defined else _texts,
            interval=st.none() | _filled(Interval, low=st.just(ends[0]), high=st.just(ends[1])),
        )
    )


@st.composite
def _findings(
    draw: DrawFn, rule: str, ids: tuple[str, ...], measurements: tuple[str, ...], artifacts: tuple[str, ...]
) -> Finding:
    subjects, scope = draw(_some(ids, 3)), draw(_filled(Scope))
    return draw(
        _filled(
            Finding,
            rule=st.just(rule),
            fingerprint=st.just(fingerprint(rule, subjects, scope)),
            subjects=st.just(subjects),
            scope=st.just(scope),
            measurements=_some(measurements, 3),
            artifacts=_some(artifacts, 3),
        )
    )


@st.composite
def _executions(draw: DrawFn, component: str, produced: Produced) -> Execution:
    execution = draw(_filled(Execution, component=st.just(component), produced=st.just(produced)))
    if execution.status != "ok" and execution.reason is None:
        return attrs.evolve(execution, reason=draw(_texts))
    return execution


@st.composite
def _verdicts(draw: DrawFn, findings: tuple[Finding, ...]) -> Verdict:
    verdict = draw(_filled(Verdict, reasons=st.just(()), policy=_filled(PolicyReference)))
    if verdict.status == "pass":
        return verdict
    causes = findings[: draw(st.integers(0, 2))]
    reasons = [Reason(effect=verdict.status, message=draw(_texts))]
    reasons += [
        Reason(effect=verdict.status, message=draw(_texts), rule=cause.rule, fingerprint=cause.fingerprint)
        for cause in causes
    ]
    return attrs.evolve(verdict, reasons=tuple(reasons))
