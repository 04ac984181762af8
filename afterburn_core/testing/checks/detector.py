"""Rules for detectors."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping

from afterburn_core.judge.detect import Judgement, detect
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.registry import Registered, build_options, load_factory
from afterburn_core.plugin.roles import Detector
from afterburn_core.result.identity import fingerprint
from afterburn_core.result.model import LEVELS, Finding
from afterburn_core.testing import scenarios
from afterburn_core.testing.guards import network_blocked, watched_globals
from afterburn_core.testing.kit import Target, expect, fail, skip
from afterburn_core.testing.processes import python_json

_CALM = frozenset({"pass", "informational", "not_applicable"})

_JUDGE_NOTHING = """
from afterburn_core.plugin.registry import build_options, load_factory
from afterburn_core.testing.scenarios import empty
module, options, where = argument
kind = load_factory(options) if options else None
list(load_factory(module)(build_options(kind, {}, where))(empty()))
"""


def check_findings_are_well_formed(target: Target) -> None:
    """A finding is under a declared rule, no higher than the rule's level, with a message and its proper fingerprint.

    Only `open` has a level of its own: missing evidence is a warning under any rule. Fingerprints tie findings of
    different runs together; two findings of one run must not share one.
    """
    rules = {rule.id: rule for rule in target.spec.rules}
    for name, findings in _findings(target):
        seen: set[str] = set()
        for finding in findings:
            where = f"{name}: finding under {finding.rule!r}"
            rule = rules.get(finding.rule)
            if rule is None:
                fail(f"{where}: the spec declares no such rule")
            within = LEVELS.index(finding.level) <= LEVELS.index(rule.level)
            expect(within or finding.kind == "open", f"{where}: level {finding.level} is above the rule's {rule.level}")
            expect(finding.kind != "fail" or finding.level != "none", f"{where}: fails at level 'none'")
            expect(finding.message.strip() and "\n" not in finding.message, f"{where}: the message must be one line")
            made = fingerprint(finding.rule, finding.subjects, finding.scope)
            expect(finding.fingerprint == made, f"{where}: use fingerprint(rule, subjects, scope)")
            expect(finding.fingerprint not in seen, f"{where}: two findings at one place; merge them")
            seen.add(finding.fingerprint)


def check_findings_cite_their_evidence(target: Target) -> None:
    """A judgement names the measurements or artifacts it rests on, and they are there.

    A reader must be able to follow every claim down to the numbers. Only `open` and `not_applicable` may rest on
    nothing, because they say that there is nothing.
    """
    for name, findings in _findings(target):
        evidence = _scenarios(target)[name]
        derived = _judgement(target, evidence, name).measurements
        known = {measurement.id for measurement in (*evidence.measurements, *derived)}
        for finding in findings:
            where = f"{name}: {finding.kind} under {finding.rule!r}"
            unknown = sorted(set(finding.measurements) - known)
            expect(not unknown, f"{where} cites {unknown[0] if unknown else ''!r}, which is not in the evidence")
            if finding.kind in {"pass", "fail", "review"}:
                expect(finding.measurements or finding.artifacts, f"{where} cites no measurement and no artifact")


def check_identical_models_raise_no_alarm(target: Target) -> None:
    """What was measured between a model and itself leads to no `fail` and no `review`.

    It is the one comparison whose answer is known beforehand. Whoever tries a tool tries this first.
    """
    name = "measured on the identity pair"
    if name not in _scenarios(target):
        skip("no installed analyzer measures what its rules look at")
    for finding in _judge(target, _scenarios(target)[name], name):
        expect(
            finding.kind not in {"fail", "review"},
            f"identical models: {finding.kind} under {finding.rule!r}: {finding.message}",
        )


def check_empty_evidence_gives_no_pass(target: Target) -> None:
    """Where nothing was measured, or nothing is defined, no rule passes.

    A green result that looked at nothing is the worst a tool like this can produce.
    """
    detector: Detector = load_factory(target.spec.factory)(build_options(target.spec.options, {}, target.name))
    undefined = _scenarios(target)["made up, all undefined"]
    for name, findings in (
        ("nothing measured", tuple(f for f in detector(scenarios.empty()) if isinstance(f, Finding))),
        ("everything undefined", _judge(target, undefined, "everything undefined")),
    ):
        for finding in findings:
            expect(finding.kind != "pass", f"{name}: {finding.rule!r} passes; say `open`, or say nothing")


def check_less_evidence_never_looks_better(target: Target) -> None:
    """Taking away one measurement or execution never turns `fail`, `review` or `open` into something calm.

    Otherwise the way to a good result is to lose the bad numbers. Judge on a measurement of the whole model, and cite
    the tensors; or compare what is there with what the executions say was produced.
    """
    for name, evidence in _scenarios(target).items():
        before = _kinds(_judge(target, evidence, name))
        alarming = {rule for rule, kinds in before.items() if not kinds <= _CALM}
        for missing, less in scenarios.without(evidence):
            after = _kinds(_judge(target, less, f"{name}, without {missing}"))
            for rule in sorted(alarming & after.keys()):
                expect(
                    not after[rule] <= _CALM,
                    f"{name}: {rule!r} is {_said(before[rule])}, but {_said(after[rule])} without {missing}",
                )


def check_detector_is_pure(target: Target) -> None:
    """The same evidence gives the same findings, and judging changes nothing and connects to nothing.

    Anybody can judge a stored result again, elsewhere and later, and must come to the same findings.
    """
    for name, evidence in _scenarios(target).items():
        kept = copy.deepcopy(evidence)
        with network_blocked() as attempts, watched_globals() as changed:
            first = _judgement(target, evidence, name)
            second = _judgement(target, evidence, name)
        expect(not attempts, f"{name}: judging tried {attempts[0] if attempts else ''}")
        expect(not changed, f"{name}: judging changed {', '.join(changed)}")
        expect(first.findings == second.findings, f"{name}: judging twice gave different findings")
        expect(first.measurements == second.measurements, f"{name}: judging twice derived different measurements")
        expect(evidence.measurements == kept.measurements, f"{name}: judging changed the evidence")


def check_judges_without_torch(target: Target) -> None:
    """The detector works where torch, transformers and numpy are not installed.

    Stored results are judged on machines that never run a model.
    """
    kind = target.spec.options
    options = f"{kind.__module__}:{kind.__qualname__}" if kind is not None else None
    python_json(_JUDGE_NOTHING, [target.spec.factory, options, target.name], blocked=("torch", "transformers", "numpy"))


def _scenarios(target: Target) -> Mapping[str, Evidence]:
    found: Mapping[str, Evidence] = target.workbench.keep(
        ("scenarios", target.spec.name), lambda: scenarios.scenarios(target.spec, target.registry, target.workbench)
    )
    return found


def _judge(target: Target, evidence: Evidence, name: str) -> tuple[Finding, ...]:
    return _judgement(target, evidence, name).findings


def _judgement(target: Target, evidence: Evidence, name: str) -> Judgement:
    """What a run would make of the evidence; fails if the detector raises or is refused."""
    judgement = detect(evidence, (Registered(spec=target.spec, plugin=target.plugin),), {})
    for execution in judgement.executions:
        expect(execution.status == "ok", f"{name}: {execution.reason}")
    return judgement


def _findings(target: Target) -> Iterable[tuple[str, tuple[Finding, ...]]]:
    return ((name, _judge(target, evidence, name)) for name, evidence in _scenarios(target).items())


def _kinds(findings: Iterable[Finding]) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = defaultdict(set)
    for finding in findings:
        kinds[finding.rule].add(finding.kind)
    return dict(kinds)


def _said(kinds: Iterable[str]) -> str:
    return " and ".join(sorted(kinds))


CHECKS = (
    check_findings_are_well_formed,
    check_findings_cite_their_evidence,
    check_identical_models_raise_no_alarm,
    check_empty_evidence_gives_no_pass,
    check_less_evidence_never_looks_better,
    check_detector_is_pure,
    check_judges_without_torch,
)
