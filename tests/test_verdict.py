"""The verdict: what passes, what fails, what is incomplete, and that losing evidence never helps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from afterburn_core.judge.policy import Policy
from afterburn_core.judge.policy_model import Control, Plugins, Require, Suppression, Threshold
from afterburn_core.judge.settle import settle
from afterburn_core.judge.verdict import EXIT_CODES, TABLE_MEDIA_TYPE, decide
from afterburn_core.result.identity import fingerprint, measure, undefined
from afterburn_core.result.model import (
    Artifact,
    Execution,
    Finding,
    Interval,
    PluginDescriptor,
    Produced,
    Result,
    RuleDescriptor,
    Scope,
    Verdict,
)
from afterburn_core.result.model import Suppression as Waived
from afterburn_core.testing.documents import result_of, results

T = TypeVar("T")
LISTS = ("measurements", "findings", "executions", "artifacts")
METRICS = ("mine.metric", "weight.change", "a.b")
THRESHOLDS = st.builds(
    Threshold,
    metric=st.sampled_from(METRICS),
    scope=st.sampled_from(["each", None, Scope(layer=0)]),
    at_most=st.floats(-3, 3),
)
SUPPRESSIONS = st.builds(
    Suppression,
    rule=st.sampled_from(["mine.rule_0", "mine.rule_1", "a.b"]),
    owner=st.just("release"),
    reason=st.just("Known."),
    expires=st.sampled_from([date(2026, 1, 1), date(2027, 1, 1)]),
)
REQUIRED = st.builds(
    Require,
    analyzers=st.lists(st.sampled_from(["mine.analyzer", "weight.delta"]), max_size=1).map(tuple),
    rules=st.lists(st.sampled_from(["mine.rule_1", "mine.rule_2"]), max_size=1).map(tuple),
    controls=st.lists(st.builds(Control, kind=st.just("matched"), n=st.integers(1, 2)), max_size=1).map(tuple),
)
RICH_POLICIES = st.builds(
    Policy,
    fail_on=st.sampled_from(["error", "never"]),
    review=st.sampled_from(["allow", "fail"]),
    optional=st.sampled_from([(), ("mine.rule_0",), ("bound 0",)]),
    require=st.one_of(st.just(Require()), REQUIRED),
    thresholds=st.lists(THRESHOLDS, max_size=2).map(
        lambda found: tuple(attrs.evolve(threshold, id=f"bound {k}") for k, threshold in enumerate(found))
    ),
    suppressions=st.lists(SUPPRESSIONS, max_size=2).map(tuple),
    plugins=st.sampled_from([Plugins(), Plugins(allow={"mine": "*"}), Plugins(allow={"weight": "*"}, strict=True)]),
    cached=st.sampled_from(["allow", "refuse"]),
)
POLICIES = st.builds(
    Policy,
    fail_on=st.sampled_from(["note", "warning", "error", "never"]),
    review=st.sampled_from(["allow", "fail"]),
    undecided=st.sampled_from(["allow", "incomplete"]),
    optional=st.sets(st.sampled_from(["weight.change", "a.b", "weight.delta", "mine.rule_0", "mine.judge"])).map(tuple),
)


def verdict_of(result: Result, policy: Policy | None = None, **parts: Any) -> Verdict:
    changed = attrs.evolve(result, **parts)
    if policy is not None and policy.suppressions:
        return settle(changed, policy).verdict
    return decide(
        run=changed.run,
        executions=changed.executions,
        measurements=changed.measurements,
        findings=changed.findings,
        rules=changed.descriptors.rules,
        artifacts=changed.artifacts,
        policy=policy or Policy(),
        subjects=changed.subjects,
        plugins=changed.descriptors.plugins,
    )


def finding(rule: str, kind: str = "pass", level: str = "none", **fields: Any) -> Finding:
    return Finding(
        rule=rule,
        kind=kind,  # type: ignore[arg-type]
        level=level,  # type: ignore[arg-type]
        message=f"{rule} says {kind}",
        subjects=("base", "trained"),
        fingerprint=fingerprint(rule, ("base", "trained"), fields.get("scope", Scope())),
        **fields,
    )


def artifact(name: str, **fields: Any) -> Artifact:
    values = {"media_type": "application/json", "path": f"artifacts/{name}", "size": 2, "sha256": "0" * 64}
    return Artifact(id=name, summary=name, producer="mine.analyzer", **{**values, **fields})


def sound(*findings: Finding, artifacts: Sequence[Artifact] = (), measurements: int = 2) -> Result:
    """A whole run of one analyzer and one detector, with records of everything they made."""
    measured = tuple(measure("mine.metric", i, scope=Scope(layer=i), n=1) for i in range(measurements))
    base = result_of(measured, tuple(findings), tuple(artifacts))
    executions = (
        _execution("mine.analyzer", "analyzer", Produced(measurements=measurements, artifacts=len(artifacts))),
        _execution("mine.judge", "detector", Produced(findings=len(findings))),
    )
    return attrs.evolve(
        base, run=attrs.evolve(base.run, components=("mine.analyzer", "mine.judge")), executions=executions
    )


def _execution(component: str, kind: Any, produced: Produced | None = None, **fields: Any) -> Execution:
    values = {"plugin": "mine", "status": "ok", "seconds": 0.0}
    return Execution(component=component, kind=kind, produced=produced or Produced(), **{**values, **fields})


def replace(result: Result, component: str, **fields: Any) -> tuple[Execution, ...]:
    return tuple(attrs.evolve(e, **fields) if e.component == component else e for e in result.executions)


PASSING = sound(finding("mine.rule_0"), finding("mine.rule_1", "informational", "note"), artifacts=[artifact("a")])


def test_a_whole_run_without_alarm_passes() -> None:
    verdict = verdict_of(PASSING)
    assert (verdict.status, verdict.reasons) == ("pass", ())
    assert verdict.summary == "Pass: 2 rules judged, none failed"


@pytest.mark.parametrize("bar", ["note", "warning", "error", "never"])
@pytest.mark.parametrize("level", ["note", "warning", "error"])
def test_a_failed_rule_fails_from_the_bar_on(level: str, bar: str) -> None:
    verdict = verdict_of(sound(finding("mine.rule_0", "fail", level)), Policy(fail_on=bar))  # type: ignore[arg-type]
    levels = ["note", "warning", "error", "never"]
    assert verdict.status == ("fail" if levels.index(level) >= levels.index(bar) else "pass")


def test_a_review_is_told_and_fails_only_where_the_policy_says_so() -> None:
    result = sound(finding("mine.rule_0", "review", "warning"))
    assert verdict_of(result).status == "pass"
    assert verdict_of(result).summary == "Pass: 1 rule judged, none failed; 1 finding to review"
    failed = verdict_of(result, Policy(review="fail"))
    assert (failed.status, failed.reasons[0].rule) == ("fail", "mine.rule_0")


@pytest.mark.parametrize("kind", ["fail", "review"])
def test_a_suppressed_finding_does_not_fail(kind: str) -> None:
    waiver = Waived(**_suppression())
    result = sound(finding("mine.rule_0", kind, "error", suppression=waiver))
    assert verdict_of(result, Policy(review="fail")).status == "pass"


def _suppression() -> dict[str, Any]:
    known = {"reason": "known", "by": "somebody", "approved_by": "somebody", "expires": "2030-01-01", "owner": "x"}
    return {field.name: known.get(field.name, "x") for field in attrs.fields(Waived)}


def test_an_open_rule_makes_it_incomplete_unless_it_is_optional() -> None:
    result = sound(finding("mine.rule_0", "open", "warning"))
    assert verdict_of(result).status == "incomplete"
    assert verdict_of(result, Policy(optional=("mine.rule_0",))).status == "pass"


def _undecided(rule_level: str, finding_level: str = "note", *, evidence: bool = True) -> Result:
    """A rule of a level that was left open, with or without measurements behind it."""
    result = sound(finding("mine.rule_0"))
    cited = tuple(m.id for m in result.measurements) if evidence else ()
    opened = sound(finding("mine.rule_0", "open", finding_level, measurements=cited))
    rules = tuple(attrs.evolve(rule, level=rule_level) for rule in opened.descriptors.rules)  # type: ignore[arg-type]
    return attrs.evolve(opened, descriptors=attrs.evolve(opened.descriptors, rules=rules))


def test_a_harmless_rule_that_was_measured_may_stay_undecided() -> None:
    verdict = verdict_of(_undecided("note"))
    assert (verdict.status, verdict.summary) == ("pass", "Pass: 1 rule judged, none failed; 1 undecided")
    assert verdict_of(_undecided("note"), Policy(undecided="incomplete")).status == "incomplete"


def test_a_rule_that_could_fail_or_was_not_measured_may_not() -> None:
    assert verdict_of(_undecided("warning")).status == "incomplete"
    assert verdict_of(_undecided("error")).status == "incomplete"
    assert verdict_of(_undecided("note", "warning")).status == "incomplete"
    assert verdict_of(_undecided("note", evidence=False)).status == "incomplete"
    kept = _undecided("note")
    assert verdict_of(kept, measurements=kept.measurements[:1]).status == "incomplete"


def test_a_rule_without_a_finding_makes_it_incomplete() -> None:
    more = RuleDescriptor(id="mine.more", summary="x", help="x", level="error", detector="mine.judge", version=1)
    descriptors = attrs.evolve(PASSING.descriptors, rules=(*PASSING.descriptors.rules, more))
    verdict = verdict_of(PASSING, descriptors=descriptors)
    assert (verdict.status, verdict.reasons[0].message) == ("incomplete", "rule mine.more has no finding")
    assert verdict_of(PASSING, Policy(optional=("mine.more",)), descriptors=descriptors).status == "pass"


@pytest.mark.parametrize("status", ["failed", "interrupted", "skipped"])
def test_a_component_that_did_not_run_makes_it_incomplete_unless_it_is_optional(status: str) -> None:
    executions = replace(PASSING, "mine.analyzer", status=status, reason="because")
    verdict = verdict_of(PASSING, executions=executions)
    assert (verdict.status, verdict.summary) == ("incomplete", f"Incomplete: mine.analyzer {status}: because")
    assert verdict_of(PASSING, Policy(optional=("mine.analyzer",)), executions=executions).status == "pass"


def test_a_component_that_the_subjects_cannot_serve_by_their_kind_does_not_count() -> None:
    run = attrs.evolve(PASSING.run, components=(*PASSING.run.components, "mine.other"))
    skipped = _execution("mine.other", "analyzer", status="skipped", reason="no weights", applicable=False)
    assert verdict_of(PASSING, run=run, executions=(*PASSING.executions, skipped)).status == "pass"


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_a_run_that_did_not_end_is_incomplete(status: Any) -> None:
    assert verdict_of(PASSING, run=attrs.evolve(PASSING.run, status=status)).status == "incomplete"


def test_nothing_measured_is_never_a_pass() -> None:
    nothing = sound(finding("mine.rule_0"), measurements=0)
    assert verdict_of(nothing).status == "incomplete"
    vague = attrs.evolve(
        sound(finding("mine.rule_0"), measurements=1), measurements=(undefined("mine.metric", "no data", n=0),)
    )
    assert "nothing was measured" in {reason.message for reason in verdict_of(vague).reasons}
    reason = "needs generate, which base cannot offer"
    skipped = replace(PASSING, "mine.analyzer", status="skipped", reason=reason, applicable=False, produced=Produced())
    told = {reason.message for reason in verdict_of(PASSING, executions=skipped, measurements=()).reasons}
    assert f"nothing was measured: 1 component skipped ({reason})" in told


def test_measurements_in_a_table_count() -> None:
    table = artifact("table", media_type=TABLE_MEDIA_TYPE, entries=2)
    executions = replace(PASSING, "mine.analyzer", produced=Produced(measurements=2, artifacts=1))
    moved = {"measurements": (), "executions": executions, "artifacts": (artifact("a"), table)}
    assert verdict_of(PASSING, **moved).status == "pass"
    shorter = attrs.evolve(table, entries=1)
    assert verdict_of(PASSING, **{**moved, "artifacts": (artifact("a"), shorter)}).status == "incomplete"
    assert verdict_of(PASSING, **{**moved, "artifacts": (artifact("a"),)}).status == "incomplete"


def test_evidence_that_is_gone_makes_it_incomplete() -> None:
    cited = finding("mine.rule_0", measurements=("mine.metric/base+trained/layer=7",))
    assert "evidence of mine.rule_0 is missing" in verdict_of(sound(cited)).summary


def test_failure_outweighs_incompleteness_and_all_reasons_are_kept() -> None:
    result = sound(finding("mine.rule_0", "fail", "error"), finding("mine.rule_1", "open", "warning"))
    verdict = verdict_of(result)
    assert verdict.status == "fail"
    assert sorted(reason.effect for reason in verdict.reasons) == ["fail", "incomplete"]


def test_every_verdict_has_its_documented_exit_code() -> None:
    assert EXIT_CODES == {"pass": 0, "fail": 1, "incomplete": 3}


@pytest.mark.parametrize("name", LISTS)
def test_a_pass_minus_any_entry_is_no_pass(name: str) -> None:
    entries = getattr(PASSING, name)
    assert entries
    for left_out in range(len(entries)):
        less = entries[:left_out] + entries[left_out + 1 :]
        assert verdict_of(PASSING, **{name: less}).status != "pass", entries[left_out]


@st.composite
def removals(draw: st.DrawFn, result: Result) -> dict[str, tuple[Any, ...]]:
    """The result's lists with any entries taken away."""
    return {name: _some(draw, getattr(result, name)) for name in LISTS}


def _some(draw: st.DrawFn, entries: tuple[T, ...]) -> tuple[T, ...]:
    keep = draw(st.lists(st.booleans(), min_size=len(entries), max_size=len(entries)))
    return tuple(entry for entry, kept in zip(entries, keep, strict=True) if kept)


@settings(max_examples=30)  # arbitrary results are slow to make
@given(st.data(), results(most=2), POLICIES)
def test_taking_anything_away_from_any_result_never_makes_it_pass(
    data: st.DataObject, result: Result, policy: Policy
) -> None:
    assume(verdict_of(result, policy).status != "pass")
    less = data.draw(removals(result))
    assert verdict_of(result, policy, **less).status != "pass"


@st.composite
def sound_results(draw: st.DrawFn) -> Result:
    """Whole runs with findings of every kind, some of whose components did not end well."""
    kinds = st.sampled_from(["pass", "fail", "review", "open", "informational", "not_applicable"])
    levels = st.sampled_from(["none", "note", "warning", "error"])
    found = [finding(f"mine.rule_{i}", draw(kinds), draw(levels)) for i in range(draw(st.integers(0, 3)))]
    extra = [artifact(f"a{i}") for i in range(draw(st.integers(0, 2)))]
    result = sound(*found, artifacts=extra, measurements=draw(st.integers(0, 3)))
    statuses = st.sampled_from(["ok", "ok", "ok", "failed", "skipped"])
    executions = tuple(
        attrs.evolve(e, status=draw(statuses), reason="why", applicable=draw(st.booleans())) for e in result.executions
    )
    return attrs.evolve(result, executions=executions)


@st.composite
def rich_results(draw: st.DrawFn) -> Result:
    """Whole runs with intervals, controls, counters of the cache and versions of plugins: what policies ask for."""
    result = draw(sound_results())
    measured = tuple(
        attrs.evolve(m, interval=Interval(low=m.value - width, high=m.value + width, level=0.95, method="t"))
        if m.value is not None and (width := draw(st.sampled_from([0.0, 0.5, 2.0])))
        else m
        for m in result.measurements
    )
    trained = next(subject for subject in result.subjects if subject.id == "trained")
    controls = [
        attrs.evolve(trained, id=f"control:matched:{k}", role="control") for k in range(draw(st.integers(0, 2)))
    ]
    compared = _execution("core.controls", "analyzer", counters={"matched": draw(st.integers(0, 2))})
    executions = tuple(attrs.evolve(e, counters={"from_cache": draw(st.integers(0, 1))}) for e in result.executions)
    known = [PluginDescriptor(name=name, distribution=name, version="1.0") for name in ("mine", "core")]
    return attrs.evolve(
        result,
        run=attrs.evolve(result.run, components=(*result.run.components, "core.controls")),
        subjects=(*result.subjects, *controls),
        measurements=measured,
        executions=(*executions, compared),
        descriptors=attrs.evolve(result.descriptors, plugins=tuple(known)),
    )


@settings(max_examples=100)
@given(st.data(), rich_results(), RICH_POLICIES)
def test_taking_anything_away_never_meets_more_of_what_a_policy_asks(
    data: st.DataObject, result: Result, policy: Policy
) -> None:
    before = verdict_of(result, policy)
    less = data.draw(removals(result)) | {"subjects": _some(data.draw, result.subjects)}
    if data.draw(st.booleans()):
        less["descriptors"] = attrs.evolve(result.descriptors, plugins=())
    after = verdict_of(result, policy, **less)
    if before.status != "pass":
        assert after.status != "pass"
    if before.status == "pass" and not policy.optional and any(len(less[n]) < len(getattr(result, n)) for n in LISTS):
        assert after.status != "pass"
    assert (before.status == "pass") == (not before.reasons)


@given(st.data(), sound_results(), POLICIES)
def test_taking_anything_away_from_a_whole_run_never_makes_it_pass(
    data: st.DataObject, result: Result, policy: Policy
) -> None:
    before = verdict_of(result, policy).status
    less = data.draw(removals(result))
    after = verdict_of(result, policy, **less).status
    if before != "pass":
        assert after != "pass"
    elif not policy.optional and any(len(less[name]) < len(getattr(result, name)) for name in LISTS):
        assert after != "pass", "a pass minus anything is no pass"


@settings(max_examples=20)
@given(results(most=2), POLICIES)
def test_a_verdict_is_a_pure_function_and_a_pass_has_no_reasons(result: Result, policy: Policy) -> None:
    first, second = verdict_of(result, policy), verdict_of(result, policy)
    assert first == second
    assert (first.status == "pass") == (not first.reasons)
    assert first.policy == policy.reference()
