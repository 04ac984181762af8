"""A certificate's content: verdicts follow from numbers, fields say their origin, and nothing too much is said."""

from __future__ import annotations

import ast
import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from afterburn_core.certify import coverage, declaration, predicate_format, wording
from afterburn_core.certify.declaration_template import template
from afterburn_core.certify.derived import plan_digest
from afterburn_core.certify.manifest import Manifest
from afterburn_core.certify.predicate import Audited, Issue, predicate_of
from afterburn_core.certify.predicate_models import ModelFiles
from afterburn_core.certify.predicate_run import completeness
from afterburn_core.certify.predicate_tests import rule_tests, threshold_tests
from afterburn_core.certify.recompute import problems
from afterburn_core.certify.statement import statement, test_result
from afterburn_core.certify.verdicts import overall, threshold_verdict
from afterburn_core.errors import ConfigError
from afterburn_core.judge.policy import Policy
from afterburn_core.judge.policy_model import Require, Suppression, Threshold
from afterburn_core.judge.requirements import requirements
from afterburn_core.judge.settle import settle
from afterburn_core.judge.thresholds import compare, outcomes
from afterburn_core.judge.waivers import date
from afterburn_core.result.identity import measure
from afterburn_core.result.model import FileDigest, Interval, Result
from afterburn_core.result.view import ResultView
from afterburn_core.testing.documents import golden as read_golden
from afterburn_core.testing.documents import results

ROOT = Path(__file__).resolve().parent.parent
Change = Callable[[dict[str, Any]], Any]
golden = cache(read_golden)
FILES = ModelFiles(
    manifest=Manifest(entries=(FileDigest(path="model.safetensors", size=8, sha256="ab" * 32),)), source="files"
)
POLICY = Policy(
    name="release",
    require=Require(analyzers=("weight.delta",), rules=("weight.change",)),
    thresholds=(Threshold(metric="weight.delta.relative", at_most=0.5), Threshold(metric="weight.none", at_most=1.0)),
    optional=("weight.none at_most",),
)
ISSUE = Issue(
    certificate_id="0199b1f4-5c7e-7abc-8def-0123456789ab",
    issued_at="2026-11-22T02:00:00Z",
    key_fingerprint="cd" * 32,
    trust="local",
)


def judged(result: Result, policy: Policy) -> Result:
    return settle(result, policy, today=date(2026, 11, 22))


def required(result: Result, policy: Policy) -> list[dict[str, Any]]:
    found = requirements(
        policy,
        run=result.run,
        subjects=result.subjects,
        executions=result.executions,
        findings=result.findings,
        measurements=result.measurements,
        plugins=result.descriptors.plugins,
    )
    return [attrs.asdict(one) for one in found]


def made(result: Result, policy: Policy, declared: Mapping[str, Any] | None = None) -> dict[str, Any]:
    audited = Audited(
        view=ResultView(judged(result, policy)),
        document=b"{}",
        policy=policy,
        trained=FILES,
        base=FILES,
        requirements=required(result, policy),
        not_asked=("behaviour.code",),
    )
    return predicate_of(audited, declared or declaration.load(None), ISSUE)


@pytest.fixture(scope="module")
def finetune() -> dict[str, Any]:
    """The predicate of a real run under a policy with thresholds and requirements."""
    return made(golden()["1.0-finetune"], POLICY)


def recomputed(result: Result, policy: Policy) -> str:
    """The overall as a certificate has it, from the tests and the completeness alone."""
    view = ResultView(result)
    tests = [*threshold_tests(view, policy), *rule_tests(view, policy.canonical())]
    return str(overall(tests, completeness(result, required(result, policy)), policy.canonical()))


@st.composite
def policies(draw: st.DrawFn, result: Result) -> Policy:
    rules = [rule.id for rule in result.descriptors.rules]
    names = sorted({*rules, *result.run.components})
    optional = tuple(draw(st.lists(st.sampled_from(names), unique=True, max_size=3))) if names else ()
    thresholds = ()
    if result.measurements and draw(st.booleans()):
        one = draw(st.sampled_from(result.measurements))
        bound = draw(st.sampled_from((0.0, 1.0, one.value if one.value is not None else -1.0)))
        thresholds = (
            Threshold(
                metric=one.metric, subjects=one.subjects, scope="each", id="t",
                **{draw(st.sampled_from(("at_most", "at_least"))): bound},
            ),
        )  # fmt: skip
    free = [name for name in rules if name not in optional]
    suppressed = draw(st.lists(st.sampled_from(rules), max_size=2)) if rules else []
    return Policy(
        fail_on=draw(st.sampled_from(("note", "warning", "error", "never"))),
        review=draw(st.sampled_from(("allow", "fail"))),
        undecided=draw(st.sampled_from(("allow", "incomplete"))),
        optional=optional,
        thresholds=thresholds,
        require=Require(rules=tuple(draw(st.lists(st.sampled_from(free), unique=True, max_size=2))) if free else ()),
        suppressions=tuple(
            Suppression(rule=rule, owner="QA", reason="known", expires=date(2027, 1, 1)) for rule in suppressed
        ),
    )


@settings(max_examples=40)
@given(st.data())
def test_the_overall_is_the_verdict_that_the_judge_gives_on_any_document_under_any_policy(data: st.DataObject) -> None:
    result = data.draw(results(most=2) | st.sampled_from(tuple(golden().values())))
    policy = data.draw(policies(result))
    decided = judged(result, policy)
    assert recomputed(decided, policy) == decided.verdict.status.upper()


@settings(max_examples=30)
@given(st.data())
def test_taking_something_out_never_makes_a_pass(data: st.DataObject) -> None:
    result = data.draw(st.sampled_from([golden()[name] for name in ("1.0-finetune", "1.0-identity", "1.0-hostile")]))
    policy = data.draw(policies(result))
    before = recomputed(judged(result, policy), policy)
    part = data.draw(st.sampled_from(("measurements", "findings", "executions")))
    entries = getattr(result, part)
    index = data.draw(st.integers(0, len(entries) - 1))
    less = attrs.evolve(result, **{part: entries[:index] + entries[index + 1 :]})
    assert recomputed(judged(less, policy), policy) != "PASS" or (before == "PASS" and part == "executions")


def test_taking_a_test_out_of_a_certificate_never_makes_a_pass(finetune: dict[str, Any]) -> None:
    policy = POLICY.canonical()
    for index, gone in enumerate(finetune["tests"]):
        fewer = finetune["tests"][:index] + finetune["tests"][index + 1 :]
        assert overall(fewer, finetune["completeness"], policy) != "PASS", gone["id"]
        assert problems({**finetune, "tests": fewer})


@given(
    st.sampled_from(("at_most", "at_least")),
    st.sampled_from((-1.0, 0.0, 1.0)),
    st.tuples(st.sampled_from((-2.0, -1.0, 0.0, 1.0)), st.sampled_from((0.0, 1.0, 2.0))).map(sorted),
    st.sampled_from((0.5, 0.9, 0.95, 0.99)),
    st.sampled_from((0.5, 0.95, 0.99)),
)
def test_a_bound_is_met_and_failed_at_the_ends_of_an_interval_that_covers_enough(
    op: Any, bound: float, ends: list[float], level: float, asked: float
) -> None:
    low, high = ends
    number = {"value": (low + high) / 2, "interval": {"low": low, "high": high, "level": level}, "approximate": False}
    found = threshold_verdict({"op": op, "value": bound, "coverage": asked}, number)
    assert found == (compare(op, bound, low, high) if level >= asked else "INCONCLUSIVE")
    interval = Interval(low=low, high=high, level=level, method="made")
    held = attrs.evolve(measure("mine.rate", (low + high) / 2, n=9), interval=interval)
    policy = Policy(thresholds=(Threshold(metric="mine.rate", coverage=asked, **{op: bound}),))
    assert outcomes(policy, (held,))[0].status == found


@pytest.mark.parametrize(
    ("number", "verdict"),
    [
        (None, "NOT_RUN"),
        ({"value": None, "interval": None, "approximate": False}, "NOT_RUN"),
        ({"value": 0.5, "interval": None, "approximate": False}, "PASS"),
        ({"value": 1.5, "interval": None, "approximate": False}, "FAIL"),
        ({"value": 0.5, "interval": None, "approximate": True}, "INCONCLUSIVE"),
        ({"value": 0.5, "interval": {"low": 0.4, "high": 1.1, "level": 0.95}, "approximate": False}, "INCONCLUSIVE"),
    ],
)
def test_what_has_no_number_or_no_end_within_the_bound_does_not_pass(number: Any, verdict: str) -> None:
    assert threshold_verdict({"op": "at_most", "value": 1.0, "coverage": 0.95}, number) == verdict


def test_a_genuine_predicate_is_of_its_format_and_agrees_with_itself(finetune: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(predicate_format.schema())
    assert predicate_format.faults(finetune) == []
    assert predicate_format.read(finetune) == (finetune, ())
    assert problems(finetune) == []
    assert finetune["summary"]["overall"] == "PASS"
    assert finetune["summary"]["counts"]["NOT_RUN"] == 1


def test_hostile_and_unfinished_runs_are_told_as_they_are() -> None:
    hostile = made(golden()["1.0-hostile"], Policy())
    assert predicate_format.faults(hostile) == [] == problems(hostile)
    told = {place for place, _, text in leaves(hostile, None, "") if isinstance(text, str) and "\x1b" in text}
    assert all(place.startswith(".protocol.plan.") for place in told)  # bound as it was, and shown by nobody raw
    unfinished = made(golden()["1.0-incomplete"], Policy())
    assert predicate_format.faults(unfinished) == [] == problems(unfinished)
    assert unfinished["summary"]["overall"] == "INCOMPLETE"
    assert "run_not_complete" in {entry["id"] for entry in unfinished["limitations"]}


def set_at(path: str, value: Any) -> Change:
    def change(predicate: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        place: Any = predicate
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]
        if callable(value):
            place[int(last) if isinstance(place, list) else last] = value(
                place[int(last) if isinstance(place, list) else last]
            )
        else:
            place[last] = value

    return change


def shadow(predicate: dict[str, Any]) -> None:
    """A threshold of the policy a second time, with a bound of its own, in front of the true one."""
    other = copy.deepcopy(predicate["tests"][0])
    other["id"], other["threshold"]["value"] = "threshold:another", 0.9
    predicate["tests"].insert(0, other)


def renamed_policy(predicate: dict[str, Any]) -> None:
    """A key that this release does not know; all digests are in step with it."""
    held = predicate["protocol"]["policy"]
    held["text"] = json.dumps({**json.loads(held["text"]), "forbid": ["everything"]}, sort_keys=True)
    held["sha256"] = hashlib.sha256(held["text"].encode()).hexdigest()


def edited_policy(predicate: dict[str, Any]) -> None:
    """A threshold relaxed after the run, all digests in step with it, and no word on it."""
    protocol = predicate["protocol"]
    relaxed = attrs.evolve(POLICY, thresholds=(Threshold(metric="weight.delta.relative", at_most=0.9),))
    protocol["policy"]["text"] = json.dumps(relaxed.canonical(), sort_keys=True)
    protocol["policy"]["sha256"] = predicate["evidence"]["policySha256"] = relaxed.reference().sha256
    protocol["deviations"] = []


ATTACKS: tuple[tuple[str, Change], ...] = (
    ("tests.verdict", set_at("tests.0.verdict", "INCONCLUSIVE")),
    ("tests.verdict", set_at("tests.0.threshold.value", 1e-9)),
    ("tests.thresholds", set_at("tests.0.threshold.value", 0.9)),
    ("tests.thresholds", set_at("tests.0.name", "another")),
    ("tests.places", set_at("tests.0.places.FAIL", 1)),
    ("tests.required", set_at("tests.2.required", lambda given: not given)),
    ("tests.below_bar", set_at("tests.2.belowBar", True)),
    ("tests.duplicate", lambda p: p["tests"].append(copy.deepcopy(p["tests"][0]))),
    ("tests.kind", set_at("tests.2.rule", None)),
    ("tests.number", set_at("tests.0.numbers.0.interval", {"low": 1.0, "high": 0.0, "level": 0.95, "method": "x"})),
    (
        "tests.waiver",
        set_at("tests.2.waiver", {"owner": "nobody", "justification": "none", "expires": "2030-01-01"}),
    ),
    ("tests.kind", shadow),
    ("tests.kind", set_at("tests.2.id", "rule:another")),
    ("tests.number", set_at("tests.0.numbers.0.metric", "weight.coverage")),
    ("tests.number", set_at("tests.0.numbers.0.subjects", ["trained"])),
    ("tests.number", set_at("tests.0.numbers.0.scope", "layer=0")),
    ("tests.number", lambda p: p["tests"][0]["numbers"].append(copy.deepcopy(p["tests"][0]["numbers"][0]))),
    ("tests.number", set_at("tests.0.numbers.0.interval", {"low": 0.0, "high": 0.0, "level": 0.95, "method": "x"})),
    ("tests.number", set_at("tests.2.numbersOmitted", 1000)),
    ("tests.thresholds", set_at("tests.0.subjects", ["trained"])),
    ("tests.thresholds", set_at("tests.0.scope", "layer=0")),
    ("tests.thresholds", set_at("tests.0.threshold.on", None)),
    ("tests.places", set_at("tests.0.places.PASS", 12)),
    ("summary.counts", set_at("summary.counts.PASS", 99)),
    ("summary.overall", set_at("summary.overall", "INCOMPLETE")),
    ("summary.gaps", set_at("summary.gaps", ["run"])),
    ("protocol.policy_digest", set_at("protocol.policy.text", lambda text: text.replace("0.5", "0.9"))),
    ("protocol.plan_digest", set_at("protocol.plan.seed", "7")),
    ("protocol.deviation", edited_policy),
    ("protocol.policy", set_at("protocol.policy.name", "EU AI Act, high risk")),
    ("protocol.policy", renamed_policy),
    ("protocol.times", set_at("issuedAt", "2020-01-01T00:00:00Z")),
    ("protocol.times", set_at("issuedAt", "2026-13-45T00:00:00Z")),
    ("protocol.datasets", lambda p: p["protocol"]["datasets"].append({"id": "x", "kind": "y", "sha256": "0" * 64})),
    ("completeness.components", lambda p: p["completeness"]["components"].pop()),
    ("completeness.requirements", set_at("completeness.requirements", [])),
    ("limitations.missing", lambda p: p["limitations"].pop(0)),
    ("not_tested.missing", lambda p: p["notTested"].pop()),
    ("limitations.missing", lambda p: p["threatsToValidity"].pop()),
    ("wording.altered", set_at("limitations.0.text", "All is well.")),
    ("wording.altered", set_at("summary.rule", "PASS if all is well.")),
    (
        "wording.altered",
        lambda p: p["limitations"].append({"origin": "measured", "id": "praise", "text": "A laboratory saw it."}),
    ),
    ("coverage.status", set_at("coverage.0.status", "supports")),
    ("coverage.status", set_at("coverage.0.title", "Obligations of the Act")),
    ("relation.base", set_at("relation.measured.baseManifestSha256", "0" * 64)),
    ("relation.tensors", set_at("relation.measured.tensors", {"changed": 1, "added": 0, "removed": 0, "unchanged": 0})),
    ("models.manifest_name", set_at("models.trained.measured.manifest.name", "base.SHA256SUMS")),
    ("seal.state", set_at("seal.keyFingerprint", None)),
    ("training.compute_ratio", set_at("computeRatio.ratio", 0.1)),
)


@pytest.mark.parametrize(("code", "change"), ATTACKS, ids=[f"{n}-{code}" for n, (code, _) in enumerate(ATTACKS)])
def test_what_does_not_follow_is_found_under_its_own_code(finetune: dict[str, Any], code: str, change: Change) -> None:
    predicate = copy.deepcopy(finetune)
    change(predicate)
    assert code in {fault.code for fault in problems(predicate)}


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("predicate.version", set_at("schemaVersion", "2.0")),
        ("predicate.version", set_at("schemaVersion", 1.0)),
        ("predicate.limitations_empty", set_at("limitations", [])),
        ("predicate.not_tested_empty", set_at("notTested", [])),
        ("predicate.tests_empty", set_at("tests", [])),
        ("predicate.schema", set_at("tests.0.numbers.0.value", float("nan"))),
        ("predicate.schema", set_at("issuer.trustScore", 100)),
        ("predicate.schema", set_at("training.origin", "measured")),
        ("predicate.schema", set_at("tests.0.verdict", "OK")),
    ],
)
def test_another_format_is_refused(finetune: dict[str, Any], code: str, change: Change) -> None:
    predicate = copy.deepcopy(finetune)
    change(predicate)
    with pytest.raises(predicate_format.Invalid) as error:
        predicate_format.read(predicate)
    assert error.value.code == code


def test_fields_of_a_newer_minor_version_are_told_and_left_out(finetune: dict[str, Any]) -> None:
    newer = {**finetune, "schemaVersion": "1.7", "audit": 1, "seal": {**finetune["seal"], "ring": 2}}
    known, notes = predicate_format.read(newer)
    assert known == {**finetune, "schemaVersion": "1.7"}
    assert "audit, seal.ring" in notes[0]


def leaves(value: Any, origin: str | None, place: str) -> Iterator[tuple[str, str | None, Any]]:
    if isinstance(value, dict):
        own = value.get("origin", origin)
        for name, item in value.items():
            yield from leaves(item, own, f"{place}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, origin, f"{place}[]")
    else:
        yield place, origin, value


DECLARED = {
    "issuer", "auditPeriod", "supersedes", "purpose", "audience", "certificateId", "issuedAt", "schemaVersion",
    "training", "documentation", "origin",
}  # fmt: skip


def test_every_field_says_whether_it_was_declared_or_measured(finetune: dict[str, Any]) -> None:
    for place, origin, _ in leaves({key: value for key, value in finetune.items() if key != "origin"}, None, ""):
        name = place.split(".")[1].removesuffix("[]")
        by_issuer = name in DECLARED or ".declared." in place
        assert origin == ("declared" if by_issuer else "measured") or (origin is None and by_issuer), place
    for name, kind in predicate_format.schema()["properties"].items():
        entry = kind.get("items", kind)
        entry = predicate_format.schema()["$defs"][entry["$ref"].split("/")[-1]] if "$ref" in entry else entry
        told = "origin" in entry.get("properties", {}) or name in {*DECLARED, "models", "relation"}
        assert told, name


def described(schema: Any) -> Iterator[str]:
    for name, kind in schema.get("properties", {}).items():
        if not kind.get("description"):
            yield name
        yield from described(kind)
        yield from described(kind.get("items", {}))


def test_the_schemas_explain_every_field() -> None:
    for schema in (predicate_format.schema(), declaration.schema()):
        without = [*described(schema), *(n for kind in schema["$defs"].values() for n in described(kind))]
        assert set(without) <= {"interval", "base", "trained", "decoding"}


def test_the_examples_that_are_kept_are_of_the_format_and_agree_with_themselves() -> None:
    kept = sorted((ROOT / "schemas" / "examples" / "certificate").glob("1.*.json"))
    assert {path.stem for path in kept} >= {"1.0-full", "1.0-adapter", "1.0-recorded", "1.0-unfinished"}
    for path in kept:
        held = json.loads(path.read_text(encoding="utf-8"))
        assert predicate_format.faults(held) == []
        assert problems(held) == [], path.name


def test_the_statement_has_the_trained_models_list_as_its_one_subject(finetune: dict[str, Any]) -> None:
    found = statement(finetune, b"sums")
    assert [subject["name"] for subject in found["subject"]] == ["trained.SHA256SUMS"]
    assert list(found["subject"][0]["digest"]) == ["sha256"]


def test_the_projection_passes_only_what_the_certificate_passes(finetune: dict[str, Any]) -> None:
    for word, result in (("PASS", "PASSED"), ("FAIL", "FAILED"), ("INCOMPLETE", "FAILED")):
        told = test_result({**finetune, "summary": {**finetune["summary"], "overall": word}}, b"")["predicate"]
        assert told["result"] == result
        listed = [*told["passedTests"], *told["warnedTests"], *told["failedTests"]]
        assert sorted(listed) == sorted(test["id"] for test in finetune["tests"])
        assert "threshold:weight.none at_most" in told["warnedTests"]


def test_coverage_follows_from_what_is_there_and_never_says_more() -> None:
    bare = made(golden()["1.0-finetune"], Policy())
    stated = declaration.load(None)
    stated["training"] |= {"datasets": [{"name": "x"}], "energyKwh": 0.0, "provided": True}
    stated["issuer"]["responsiblePersons"] = [{"name": "A", "function": "B"}]
    more = made(golden()["1.0-finetune"], Policy(), stated)

    def status(predicate: Mapping[str, Any], clause: str) -> str:
        return str(next(one["status"] for one in coverage.coverage(predicate) if one["clause"] == clause))

    assert status(bare, "2(d)") == "not addressed" and status(more, "2(d)") == "partial"
    assert status(more, "Section 1, 2(e)") == "supports"
    assert {one["status"] for one in more["coverage"]} == {"supports", "partial", "not addressed"}
    assert {item.framework.split(",")[0] for item in coverage.ITEMS} >= {
        "EU AI Act",
        "NIST AI RMF 1.0",
        "NIST AI 600-1",
    }
    signed = {**bare, "seal": {**bare["seal"], "keyFingerprint": None}}
    assert status(signed, "1.3") == "partial"


def texts_of(module: Path) -> str:
    """Every text in a module that is no docstring."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    docs = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    docs |= {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs
    ]
    return "\n".join(found)


WORDED = (
    "limits.py", "coverage.py", "page.py", "page_tests.py", "page_fields.py", "page_figures.py",
    "predicate.py", "predicate_models.py", "predicate_run.py", "predicate_tests.py", "statement.py",
    "instructions.py", "verification_text.py", "declaration_template.py",
)  # fmt: skip


def test_nothing_is_claimed_that_must_never_be_claimed() -> None:
    found = {}
    for name in WORDED:
        found[name] = wording.forbidden_in(texts_of(ROOT / "afterburn_core" / "certify" / name))
    said = [value for value in vars(wording).values() if isinstance(value, str)]
    said += [text for texts in (wording.LIMITATIONS, wording.NOT_TESTED, wording.THREATS) for text in texts.values()]
    found["wording.py"] = [phrase for text in said for phrase in wording.forbidden_in(text)]
    for path in sorted((ROOT / "templates" / "certificate").rglob("*")):
        if path.is_file() and path.suffix in {".j2", ".html", ".txt", ".css"}:
            found[path.name] = wording.forbidden_in(path.read_text(encoding="utf-8"))
    assert {name: phrases for name, phrases in found.items() if phrases} == {}


@pytest.mark.parametrize(
    "claim",
    [
        "This model is safe.", "The model is aligned.", "It is free of backdoors.", "complies with the AI Act",
        "a certificate of conformity", "CE marking", "No change in behaviour.", "trust score 87", "approved",
        "This proves the model can be used.", "Guaranteed.", "unbiased", "It will remain valid.", "no personal data",
        "harmless", "The tool was unmodified software.", "legally binding", "no backdoors",
    ],
)  # fmt: skip
def test_each_forbidden_claim_is_found(claim: str) -> None:
    assert wording.forbidden_in(f"<p>{claim}</p>")
    assert wording.forbidden_in(claim.upper())


def test_denials_are_found_once_a_word_of_them_is_changed() -> None:
    assert not wording.forbidden_in(wording.NOTICE)
    assert wording.forbidden_in(wording.NOTICE.replace("Not a certificate", "A certificate"))


def test_a_declaration_is_repeated_as_declared_and_completed_with_nulls(tmp_path: Path) -> None:
    path = tmp_path / "declaration.yaml"
    path.write_text(
        "issuer: {legalName: Example GmbH, role: independent}\n"
        "training: {startedOn: 2026-01-31, compute: {postTrainingFlop: 3.2e21, baseFlop: '6.4e+21'}}\n"
    )
    found = declaration.load(path)
    assert found["issuer"] == {"legalName": "Example GmbH", "role": "independent", "responsiblePersons": []}
    assert found["training"]["startedOn"] == "2026-01-31" and found["training"]["epochs"] is None
    predicate = made(golden()["1.0-finetune"], POLICY, found)
    assert predicate_format.faults(predicate) == [] == problems(predicate)
    assert predicate["computeRatio"]["arithmetic"] == "3.2e+21 FLOP / 6.4e+21 FLOP = 0.5"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("isuer: {}", "unknown key 'isuer'; known: .*issuer"),
        ("issuer: {role: king}", "issuer.role: must be one of self-assessment, second-party, independent"),
        ("issuer: [", "not valid YAML"),
        ("issuer: {}\nissuer: {}", "'issuer' stands twice"),
        ("training: {startedOn: 2026-02-30}", "2026-02-30' is no day of the calendar"),
        ("training: {datasets: [{name: x, sha256: abc}]}", "training.datasets.0.sha256: must be 64 lower-case hex"),
        ("training: {energyKwh: -1}", "training.energyKwh"),
        ("- a", "must be object"),
        ("supersedes: {sha256: 12}", "supersedes.sha256: must be string"),
    ],
)
def test_a_faulty_declaration_is_refused_in_one_line_with_the_place(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "declaration.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=fault) as error:
        declaration.load(path)
    assert "\n" not in str(error.value)


def test_the_template_declares_nothing_and_is_valid_once_it_is_uncommented(tmp_path: Path) -> None:
    path = tmp_path / "declaration.yaml"
    path.write_text(template())
    assert declaration.load(path) == declaration.load(None)
    body = template().split("YYYY-MM-DD.\n", 1)[1]
    uncommented = "\n".join(line.removeprefix("# ") for line in body.splitlines())
    values = yaml.load(uncommented.replace('""', '"x"'), Loader=declaration._Loader)
    assert declaration.faults(values) == []

    def keys(described: Mapping[str, Any], held: Any) -> None:
        held = held[0] if isinstance(held, list) else held
        assert set(described["properties"]) == set(held)
        for name, kind in described["properties"].items():
            kind = declaration.resolved(kind)
            kind = declaration.resolved(kind["items"]) if "items" in kind else kind
            if "properties" in kind:
                keys(kind, held[name])

    keys(declaration.schema(), values)


def test_the_plans_digest_does_not_depend_on_how_numbers_were_spelled() -> None:
    assert plan_digest({"a": 1.0, "b": 2}) == plan_digest({"b": 2.0, "a": 1})


def field_rows() -> Iterator[str]:
    """The table of docs/certificates.md: every field of the format with its origin and meaning."""
    schema = predicate_format.schema()

    def followed(kind: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**schema["$defs"][kind["$ref"].removeprefix("#/$defs/")], **kind} if "$ref" in kind else kind

    def walk(described: Mapping[str, Any], prefix: str, origin: str) -> Iterator[str]:
        fields = described["properties"]
        if "origin" in fields:
            origin = fields["origin"].get("const", "either")
        for name, kind in fields.items():
            if name == "origin":
                continue
            inner = followed(kind)
            items = followed(inner.get("items", {}))
            repeated = "[]" if "properties" in items else ""
            meaning = kind.get("description") or inner.get("description", "")
            yield f"| `{prefix}{name}{repeated}` | {own_origin(items if repeated else inner, origin)} | {meaning} |"
            shared = inner.get("$ref", "").endswith(("/Model", "/MaybeModel", "/Value", "/Interval"))
            if name in {"base", "interval"} and (shared or prefix.endswith("numbers[].")):
                continue  # described once: the base as the trained model, a side's value as the contrast's
            if name == "trained" and prefix.endswith("numbers[]."):
                continue
            nested = items if repeated else inner
            if "properties" in nested:
                yield from walk(nested, f"{prefix}{name}{repeated}.", origin)

    def own_origin(described: Mapping[str, Any], inherited: str) -> str:
        own = described.get("properties", {}).get("origin")
        return str(own.get("const", "either")) if own else ("" if "properties" in described else inherited)

    yield "| field | origin | meaning |"
    yield "|---|---|---|"
    yield from walk(schema, "", "declared")


def test_the_documentation_lists_every_field_as_the_schema_has_it() -> None:
    page = (ROOT / "docs" / "certificates.md").read_text(encoding="utf-8")
    table = page.split("<!-- fields -->\n", 1)[1].split("\n<!-- /fields -->", 1)[0]
    assert table == "\n".join(field_rows())
