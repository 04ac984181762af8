"""Measurements that detectors derive: checked like analyzers' ones, counted, seen by detectors that judge last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

import attrs
import pytest

from afterburn_core.judge.detect import Judgement, detect, metric_descriptors
from afterburn_core.judge.evidence import Evidence
from afterburn_core.judge.policy import Policy
from afterburn_core.judge.rejudge import rejudge
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, DocumentsNeed, MetricSpec, RuleSpec, hookimpl
from afterburn_core.plugin.registry import Plugin, Registry
from afterburn_core.result.consistency import inconsistencies
from afterburn_core.result.identity import fingerprint, measure, undefined
from afterburn_core.result.model import Finding, Measurement, Result, Scope
from afterburn_core.testing.documents import result_of
from afterburn_core.testing.feeding import SUBJECTS

LEVELS = {"mine.share": 1.0, "mine.score": 10.0, "mine.total": 10.0}


def judged(rule: str, message: str, *measurements: Measurement) -> Finding:
    pair = ("base", "trained")
    return Finding(
        rule=rule,
        kind="review",
        level="warning",
        message=message,
        subjects=pair,
        measurements=tuple(m.id for m in measurements),
        fingerprint=fingerprint(rule, pair, Scope()),
    )


def scoring(options: None) -> Callable[[Evidence], Iterable[Finding | Measurement]]:
    def detector(evidence: Evidence) -> Iterator[Finding | Measurement]:
        share = evidence.get("mine.share")
        if share is not None and share.value is not None:
            score = measure("mine.score", 10 * share.value)
            yield judged("mine.high", "a score", share, score)
            yield score

    return detector


def adding(options: None) -> Callable[[Evidence], Iterable[Finding | Measurement]]:
    """Judges last."""

    def detector(evidence: Evidence) -> Iterator[Finding | Measurement]:
        score = evidence.get("mine.score")
        kinds = [f"{finding.rule} {finding.kind}" for finding in evidence.findings]
        total = measure("mine.total", (score.value or 0.0) if score else 0.0)
        yield total
        yield judged("mine.sum", f"saw {kinds}", *([score] if score else []), total)

    return detector


WRONG: dict[str, Measurement] = {
    "which mine.scoring does not declare": measure("mine.other", 1.0),
    "outside its range": measure("mine.score", 11.0),
    "undefined values need a reason": measure("mine.score", float("nan")),
    "for a subject that the run does not have": measure("mine.score", 1.0, subjects=("base", "checkpoint:7")),
    "single tensors and heads are for analyzers": measure("mine.score", 1.0, scope=Scope(tensor="w")),
}
given: list[Measurement] = []


def faulty(options: None) -> Callable[[Evidence], Iterable[Finding | Measurement]]:
    return lambda evidence: tuple(given)


def silent(options: None) -> Callable[[Evidence], Iterable[Finding | Measurement]]:
    return lambda evidence: ()


def spec(name: str, rule: str, metric: str, factory: str, **fields: Any) -> DetectorSpec:
    rules = (RuleSpec(id=rule, summary=rule, help="Look.", level="error", metrics=("mine.share",)),)
    metrics = (MetricSpec(id=metric, summary=metric, low=0.0, high=LEVELS[metric]),)
    return DetectorSpec(
        name=name, summary=name, rules=rules, metrics=metrics, factory=f"{__name__}:{factory}", **fields
    )


SCORING = spec("mine.scoring", "mine.high", "mine.score", "scoring")
ADDING = spec("mine.adding", "mine.sum", "mine.total", "adding", last=True)
SHARE = AnalyzerSpec(
    name="mine.shares",
    summary="shares",
    needs=(DocumentsNeed(),),
    metrics=(MetricSpec(id="mine.share", summary="a share"),),
    factory="mine:x",
)


def registry(*detectors: DetectorSpec) -> Registry:
    module = ModuleType("mine")

    @hookimpl
    def afterburn_analyzers() -> Iterable[AnalyzerSpec]:
        return (SHARE,)

    @hookimpl
    def afterburn_detectors() -> Iterable[DetectorSpec]:
        return detectors

    module.afterburn_analyzers = afterburn_analyzers  # type: ignore[attr-defined]
    module.afterburn_detectors = afterburn_detectors  # type: ignore[attr-defined]
    return Registry([Plugin(name="mine", distribution="mine", version="1", module=module)])


def found(*detectors: DetectorSpec, share: float | None = 0.5) -> Judgement:
    measured = (measure("mine.share", share),) if share is not None else ()
    return detect(Evidence(subjects=SUBJECTS, measurements=measured), registry(*detectors).specs("detector"), {})


def test_what_judges_last_sees_what_the_others_derived_and_found() -> None:
    judgement = found(ADDING, SCORING)
    assert {m.metric: m.value for m in judgement.measurements} == {"mine.score": 5.0, "mine.total": 5.0}
    (total,) = [f for f in judgement.findings if f.rule == "mine.sum"]
    assert total.message == "saw ['mine.high review']"
    assert [e.produced.measurements for e in judgement.executions] == [1, 1]
    assert {e.component: e.status for e in judgement.executions} == {"mine.scoring": "ok", "mine.adding": "ok"}


@pytest.mark.parametrize("told", WRONG)
def test_a_derived_measurement_that_would_break_the_document_leaves_the_rule_open(told: str) -> None:
    given[:] = [WRONG[told]]
    judgement = found(attrs.evolve(SCORING, factory=f"{__name__}:faulty"))
    (execution,) = judgement.executions
    assert execution.status == "failed"
    assert execution.reason is not None and told in execution.reason
    assert execution.produced.measurements == 0
    assert not judgement.measurements
    assert [f.kind for f in judgement.findings] == ["open"]


def test_a_derived_measurement_given_twice_is_refused() -> None:
    given[:] = [undefined("mine.score", "no"), measure("mine.score", 1.0)]
    (execution,) = found(attrs.evolve(SCORING, factory=f"{__name__}:faulty")).executions
    assert execution.reason is not None and "twice" in execution.reason


def test_two_components_cannot_declare_one_metric() -> None:
    stolen = attrs.evolve(SCORING, metrics=(MetricSpec(id="mine.share", summary="mine too"),))
    offered = registry(stolen)
    assert [problem.error for problem in offered.problems] == [
        "'mine.scoring' declares 'mine.share', which 'mine.shares' declares already"
    ]
    assert not offered.specs("detector")


def document(*detectors: DetectorSpec) -> tuple[Result, Registry]:
    """A stored result that these detectors judged."""
    installed = registry(*detectors)
    evidence = Evidence(subjects=SUBJECTS, measurements=(measure("mine.share", 0.5),))
    judgement = detect(evidence, installed.specs("detector"), {})
    result = result_of((*evidence.measurements, *judgement.measurements), judgement.findings)
    owner = {rule.id: detector.name for detector in detectors for rule in detector.rules}
    rules = tuple(attrs.evolve(rule, detector=owner[rule.id]) for rule in result.descriptors.rules)
    described = metric_descriptors((*installed.specs("analyzer"), *installed.specs("detector")))
    (analyzer,) = result.executions
    analyzer = attrs.evolve(analyzer, produced=attrs.evolve(analyzer.produced, measurements=1, findings=0))
    return attrs.evolve(
        result,
        run=attrs.evolve(result.run, components=("weight.delta", *sorted(owner.values()))),
        descriptors=attrs.evolve(result.descriptors, rules=rules, metrics=described),
        executions=(analyzer, *judgement.executions),
    ), installed


def test_judging_again_replaces_what_was_derived() -> None:
    stored, installed = document(SCORING, ADDING)
    stale = tuple(attrs.evolve(m, value=9.0) if m.metric == "mine.score" else m for m in stored.measurements)
    again = rejudge(attrs.evolve(stored, measurements=stale), None, installed, Policy())
    assert sorted((m.metric, m.value) for m in again.measurements) == [
        ("mine.score", 5.0),
        ("mine.share", 0.5),
        ("mine.total", 5.0),
    ]
    assert again.verdict.status == "pass"
    assert not list(inconsistencies(again))


def test_judging_again_drops_what_a_detector_no_longer_derives() -> None:
    stored, _ = document(SCORING, ADDING)
    plain = attrs.evolve(SCORING, metrics=(), factory=f"{__name__}:silent")
    again = rejudge(stored, None, registry(plain), Policy())
    assert sorted(m.metric for m in again.measurements) == ["mine.share", "mine.total"]
    assert [m.id for m in again.descriptors.metrics] == ["mine.share", "mine.total"]
    assert not [reason for reason in again.verdict.reasons if "were recorded" in reason.message]


def test_a_derived_measurement_is_no_sign_that_anything_was_measured() -> None:
    stored, installed = document(SCORING, ADDING)
    derived = tuple(m for m in stored.measurements if m.metric != "mine.share")
    (nothing, *others) = stored.executions
    nothing = attrs.evolve(nothing, produced=attrs.evolve(nothing.produced, measurements=0))
    emptied = attrs.evolve(stored, measurements=derived, executions=(nothing, *others))
    reasons = rejudge(emptied, None, installed, Policy(optional=("mine.high", "mine.sum"))).verdict.reasons
    assert "nothing was measured" in [reason.message for reason in reasons]
