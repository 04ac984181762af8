"""Thresholds, requirements and waivers: what each does to a verdict, on numbers known beforehand."""

from __future__ import annotations

from datetime import date
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterburn_core.errors import ConfigError
from afterburn_core.judge.policy import Policy
from afterburn_core.judge.policy_model import Control, Plugins, Require, Suppression, Threshold
from afterburn_core.judge.settle import JUDGEMENT, settle
from afterburn_core.judge.thresholds import Status, compare, outcomes, sentence
from afterburn_core.judge.waivers import waive
from afterburn_core.result.identity import finding, measure, undefined
from afterburn_core.result.model import (
    Finding,
    Interval,
    Measurement,
    Null,
    PluginDescriptor,
    Produced,
    Result,
    Scope,
    Subject,
)
from afterburn_core.testing.documents import result_of

DAY = date(2026, 11, 22)
numbers = st.floats(-10, 10)


def rate(value: float, low: float, high: float, **fields: Any) -> Measurement:
    interval = Interval(low=low, high=high, level=0.95, method="wilson")
    return attrs.evolve(measure("mine.rate", value, n=100, **fields), interval=interval)


def status(measurement: Measurement | None, **bound: float) -> Status:
    policy = Policy(thresholds=(Threshold(metric="mine.rate", **bound),))  # type: ignore[arg-type]
    (outcome,) = outcomes(policy, () if measurement is None else (measurement,))
    return outcome.status


KNOWN: list[tuple[Measurement | None, dict[str, float], Status]] = [
    (rate(0.2, 0.1, 0.3), {"at_most": 0.3}, "PASS"),
    (rate(0.2, 0.1, 0.3), {"at_most": 0.25}, "INCONCLUSIVE"),
    (rate(0.2, 0.1, 0.3), {"at_most": 0.1}, "INCONCLUSIVE"),
    (rate(0.2, 0.1, 0.3), {"at_most": 0.09}, "FAIL"),
    (rate(0.2, 0.1, 0.3), {"at_least": 0.1}, "PASS"),
    (rate(0.2, 0.1, 0.3), {"at_least": 0.3}, "INCONCLUSIVE"),
    (rate(0.2, 0.13, 0.29), {"at_least": 0.7}, "FAIL"),  # a rate of 20 % against a bar of 70 %
    (measure("mine.rate", 0.0, n=100), {"at_most": 0.0}, "PASS"),  # no regression where none is allowed
    (measure("mine.rate", 1e-9, n=100), {"at_most": 0.0}, "FAIL"),
    (undefined("mine.rate", "no prompt was answered", n=0), {"at_most": 1.0}, "NOT_RUN"),
    (None, {"at_most": 1.0}, "NOT_RUN"),
    (attrs.evolve(measure("mine.rate", 0.1, n=1), approximate=True), {"at_most": 1.0}, "INCONCLUSIVE"),
    (rate(0.2, 0.1, 0.3, subjects=("trained",)), {"at_most": 1.0}, "NOT_RUN"),  # one side is not the contrast
    (rate(0.2, 0.1, 0.3, scope=Scope(layer=1)), {"at_most": 1.0}, "NOT_RUN"),  # nor a layer the model
]


@pytest.mark.parametrize(("measurement", "bound", "wanted"), KNOWN)
def test_the_end_of_the_interval_decides(
    measurement: Measurement | None, bound: dict[str, float], wanted: Status
) -> None:
    assert status(measurement, **bound) == wanted


@given(numbers, numbers, numbers, numbers)
def test_a_wider_interval_never_decides_more_and_both_bounds_mirror(
    a: float, b: float, bound: float, by: float
) -> None:
    low, high = min(a, b), max(a, b)
    found = compare("at_most", bound, low, high)
    assert compare("at_least", -bound, -high, -low) == found
    assert compare("at_most", bound, low - abs(by), high + abs(by)) in (found, "INCONCLUSIVE")
    assert compare("at_most", bound, low, low) != "INCONCLUSIVE"


def test_an_interval_that_covers_less_than_is_asked_decides_nothing_and_says_so() -> None:
    narrow = attrs.evolve(
        measure("mine.rate", 0.2, n=100), interval=Interval(low=0.19, high=0.21, level=0.5, method="quartiles")
    )
    for bound in ({"at_most": 0.3}, {"at_most": 0.1}):
        (outcome,) = outcomes(Policy(thresholds=(Threshold(metric="mine.rate", **bound),)), (narrow,))
        assert outcome.status == "INCONCLUSIVE" and outcome.coverage == 0.95
        assert "an interval that covers 0.5, where 0.95 is needed" in sentence(outcome)
    assert status(narrow, at_most=0.3, coverage=0.5) == "PASS"
    assert status(rate(0.2, 0.1, 0.3), at_most=0.3, coverage=0.99) == "INCONCLUSIVE"
    assert status(measure("mine.rate", 0.2, n=100), at_most=0.3, coverage=0.99) == "PASS"  # exact: it needs none
    plain, strict = (Policy(thresholds=(Threshold(metric="mine.rate", at_most=0.3, coverage=c),)) for c in (0.95, 0.99))
    assert "coverage" not in plain.canonical()["thresholds"][0]  # digests of policies stay what they were
    assert strict.canonical()["thresholds"][0]["coverage"] == 0.99
    with pytest.raises(ConfigError, match="coverage: 1 is no share between 0 and 1"):
        Threshold(metric="mine.rate", at_most=0.3, coverage=1.0)


def test_each_place_counts_and_the_worst_is_told() -> None:
    places = [rate(v, v - 0.05, v + 0.05, scope=Scope(layer=k)) for k, v in enumerate((0.1, 0.5, 0.2, 0.34))]
    (outcome,) = outcomes(Policy(thresholds=(Threshold(metric="mine.rate", scope="each", at_most=0.35),)), places)
    assert (outcome.status, outcome.place, outcome.places) == ("FAIL", "layer=1", 4)
    assert outcome.counts == {"FAIL": 1, "INCONCLUSIVE": 1, "PASS": 2}
    assert "the worst of 4 places, of which 2 keep to it" in sentence(outcome)
    lone = Threshold(metric="mine.rate", scope=Scope(layer=2), at_most=0.35)
    assert outcomes(Policy(thresholds=(lone,)), places)[0].status == "PASS"


def whole(*findings: Finding, measurements: tuple[Measurement, ...] = (), **fields: Any) -> Result:
    made = result_of(
        measurements or (rate(0.2, 0.1, 0.3),), findings or (finding("mine.rule", "pass", "none", "Fine."),)
    )
    return attrs.evolve(made, **fields)


def judged(result: Result, policy: Policy, today: date = DAY) -> tuple[str, str]:
    verdict = settle(result, policy, today=today).verdict
    return verdict.status, " | ".join(reason.message for reason in verdict.reasons)


def test_outcomes_reach_the_verdict_and_only_what_is_optional_may_stay_undecided() -> None:
    assert judged(whole(), Policy(thresholds=(Threshold(metric="mine.rate", at_most=0.3),))) == ("pass", "")
    tight = Threshold(metric="mine.rate", at_most=0.2, id="tight")
    found, why = judged(whole(), Policy(thresholds=(tight,)))
    assert found == "incomplete"
    assert why == "threshold tight is undecided: mine.rate 0.2 [0.1, 0.3] (n = 100), where at most 0.2 is asked"
    assert judged(whole(), Policy(thresholds=(tight,), optional=("tight",)))[0] == "pass"
    failed = attrs.evolve(tight, at_most=0.05)
    assert judged(whole(), Policy(thresholds=(failed,), optional=("tight",)))[0] == "fail"
    kept = settle(whole(), Policy(thresholds=(failed,)), today=DAY).properties[JUDGEMENT]
    assert (kept["date"], kept["thresholds"][0]["status"], kept["thresholds"][0]["high"]) == ("2026-11-22", "FAIL", 0.3)


OPEN = finding("mine.rule", "open", "note", "Undecided.", (rate(0.2, 0.1, 0.3),))
REQUIRED = [
    (Require(analyzers=("weight.delta",)), whole(), True),
    (Require(analyzers=("weight.tail",)), whole(), False),
    (Require(rules=("mine.rule",)), whole(), True),
    (Require(rules=("mine.rule",)), whole(OPEN), False),
    (Require(rules=("mine.rule",)), whole(finding("mine.rule", "not_applicable", "none", "No weights.")), False),
    (Require(rules=("mine.other",)), whole(), False),
]


@pytest.mark.parametrize(("require", "result", "met"), REQUIRED)
def test_what_is_required_must_have_run_and_been_decided(require: Require, result: Result, met: bool) -> None:
    lax = Policy(optional=("mine.rule",)) if "mine.rule" not in require.rules else Policy()
    assert judged(result, attrs.evolve(lax, require=require))[0] == ("pass" if met else "incomplete")


def test_a_required_analyzer_that_made_nothing_or_was_skipped_is_missing() -> None:
    policy = Policy(require=Require(analyzers=("weight.delta",)))
    result = whole()
    (execution,) = result.executions
    skipped = attrs.evolve(execution, status="skipped", reason="no weights", applicable=False)
    found, why = judged(attrs.evolve(result, executions=(skipped,)), policy)
    assert found == "incomplete" and "required analyzer weight.delta was skipped: no weights" in why
    idle = attrs.evolve(execution, produced=Produced(findings=1))
    assert "ended well but measured nothing" in judged(attrs.evolve(result, executions=(idle,)), policy)[1]


def with_controls(n: int, counters: dict[str, int], null: int = 0) -> Result:
    result = whole()
    model = next(subject for subject in result.subjects if subject.id == "trained")
    controls = [attrs.evolve(model, id=f"control:matched:{k}", role="control", label=f"matched {k}") for k in range(n)]
    (execution,) = result.executions
    compared = attrs.evolve(execution, component="core.controls", produced=Produced(), counters=counters)
    measured = tuple(
        attrs.evolve(m, null=Null(control="matched", n=null, quantile=1.0, p_value=0.05) if null else None)
        for m in result.measurements
    )
    subjects: tuple[Subject, ...] = (*result.subjects, *controls)
    run = attrs.evolve(result.run, components=(*result.run.components, "core.controls"))
    return attrs.evolve(
        result, run=run, subjects=subjects, measurements=measured, executions=(*result.executions, compared)
    )


def test_controls_count_where_they_were_measured_not_where_they_were_named() -> None:
    policy = Policy(require=Require(controls=(Control(kind="matched", n=19),)))
    assert judged(with_controls(19, {"matched": 19}), policy)[0] == "pass"
    found, why = judged(with_controls(19, {"matched": 18}), policy)
    assert found == "incomplete" and "18 were measured; run again with --control matched:19" in why
    assert judged(with_controls(18, {"matched": 19}), policy)[0] == "incomplete"
    assert judged(with_controls(19, {}, null=19), policy)[0] == "pass"  # a document of before they were counted
    assert judged(with_controls(19, {}, null=18), policy)[0] == "incomplete"
    assert judged(whole(), policy)[0] == "incomplete"


def plugins(version: str | None) -> Result:
    result = whole()
    known = () if version is None else (PluginDescriptor(name="weight", distribution="w", version=version),)
    return attrs.evolve(result, descriptors=attrs.evolve(result.descriptors, plugins=known))


@pytest.mark.parametrize(
    ("version", "allow", "why"),
    [
        ("0.1.3", {"weight": ">=0.1,<0.2"}, ""),
        ("0.2.0", {"weight": ">=0.1,<0.2"}, "took part in version 0.2.0, where the policy allows >=0.1,<0.2"),
        ("0.10.0", {"weight": "<0.2"}, "took part in version 0.10.0"),
        ("0.1.0rc1", {"weight": ">=0.1"}, "took part in version 0.1.0rc1"),
        ("0.1.0", {"behaviour": "*"}, "is not among those that the policy allows"),
        ("0.1.0", {}, "is not among those that the policy allows"),
        (None, {"weight": "*"}, "does not say in which version"),
        ("0.1.0", {"weight": "*", "core": ">=7"}, "plugin core took part in version 0.1.0"),
    ],
)
def test_only_the_plugins_and_versions_that_are_allowed_may_contribute(
    version: str | None, allow: dict[str, str], why: str
) -> None:
    found, told = judged(plugins(version), Policy(plugins=Plugins(allow=allow)))
    assert found == ("incomplete" if why else "pass") and why in told


def test_plugins_that_could_not_be_loaded_stop_a_strict_policy_alone() -> None:
    broken = {"plugin_problems": [{"plugin": "chess", "stage": "import", "error": "boom"}]}
    assert judged(whole(properties=broken), Policy())[0] == "pass"
    found, why = judged(whole(properties=broken), Policy(plugins=Plugins(strict=True)))
    assert found == "incomplete" and "plugin chess: failed at import (boom)" in why


@pytest.mark.parametrize("counter", ["from_cache", "spectra_from_cache"])
def test_what_the_cache_served_counts_unless_the_policy_refuses_it(counter: str) -> None:
    result = whole()
    (execution,) = result.executions
    served = attrs.evolve(result, executions=(attrs.evolve(execution, counters={counter: 7}),))
    assert judged(served, Policy())[0] == "pass"
    found, why = judged(served, Policy(cached="refuse"))
    assert found == "incomplete" and f"weight.delta ({counter} 7); run again with --no-cache" in why
    assert judged(result, Policy(cached="refuse"))[0] == "pass"
    answers = attrs.evolve(result, run=attrs.evolve(result.run, configuration={"answers": "earlier"}))
    assert "without --answers" in judged(answers, Policy(cached="refuse"))[1]


def waiver(expires: date = DAY, **fields: Any) -> Suppression:
    about = {"rule": "mine.rule"} if "fingerprint" not in fields else {}
    return Suppression(**{**about, "owner": "release", "reason": "Known.", "expires": expires, **fields})


FAILED = finding("mine.rule", "fail", "error", "Broken.")


@pytest.mark.parametrize(
    ("entry", "today", "passes"),
    [
        (waiver(), DAY, True),  # the last day
        (waiver(), date(2026, 11, 23), False),
        (waiver(rule="mine.other"), DAY, False),
        (waiver(rule="mine"), DAY, False),  # no prefix, no pattern: at most the named rule
        (waiver(scope=Scope(layer=3)), DAY, False),
        (waiver(fingerprint=FAILED.fingerprint), DAY, True),
        (waiver(fingerprint="0" * 32), DAY, False),
    ],
)
def test_a_waiver_covers_what_it_names_until_its_last_day(entry: Suppression, today: date, passes: bool) -> None:
    found, _ = judged(whole(FAILED), Policy(suppressions=(entry,)), today)
    assert found == ("pass" if passes else "fail")


def test_a_waived_finding_stays_told_and_an_expired_waiver_says_so() -> None:
    passed = settle(whole(FAILED), Policy(suppressions=(waiver(),)), today=DAY)
    assert passed.verdict.summary == "Pass: 1 rule judged, 1 failed under a waiver"
    suppression = passed.findings[0].suppression
    assert passed.findings[0].kind == "fail" and suppression is not None and suppression.owner == "release"
    later = settle(passed, Policy(suppressions=(waiver(),)), today=date(2026, 12, 2))
    (told,) = later.properties[JUDGEMENT]["waivers"]
    assert (told["state"], told["days_left"], told["fingerprints"]) == ("expired", -10, (FAILED.fingerprint,))
    assert later.findings[0].suppression is None


def test_what_could_not_be_decided_cannot_be_waived() -> None:
    undecided = finding("mine.rule", "open", "warning", "Undecided.")
    found, _ = judged(whole(undecided), Policy(suppressions=(waiver(),)))
    assert found == "incomplete"
    assert waive((undecided,), (waiver(),), DAY)[1][0].state == "unused"


def test_suppressions_that_a_document_brings_along_count_for_nothing() -> None:
    smuggled = settle(whole(FAILED), Policy(suppressions=(waiver(),)), today=DAY)
    assert smuggled.findings[0].suppression is not None
    assert settle(smuggled, Policy(), today=DAY).verdict.status == "fail"
