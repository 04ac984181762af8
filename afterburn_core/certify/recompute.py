"""Everything in a predicate that follows from something else in it, computed again and compared.

Verdicts from numbers, counts and overall from verdicts, digests from what they are of, what must be said from what was
done. Whoever wrote the document is not asked. Assumes a predicate that its schema accepts (`predicate_format`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from afterburn_core.certify import limits
from afterburn_core.certify.coverage import coverage
from afterburn_core.certify.derived import MOST_TENSORS, compute_ratio, plan_digest
from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.policies import policy_in, threshold_names, waived_by
from afterburn_core.certify.verdicts import WORDS, gaps, overall, rule_verdict, threshold_verdict

Predicate = Mapping[str, Any]


def problems(predicate: Predicate) -> list[Invalid]:
    """Every contradiction, each under a code of its own; empty for a predicate that says what follows from it."""
    try:
        policy = policy_in(predicate["protocol"])
    except Invalid as error:
        return [error]
    return [
        *_bound(predicate),
        *_models(predicate),
        *_tests(predicate, policy),
        *_thresholds(predicate, policy),
        *_requirements(predicate, policy),
        *_summary(predicate, policy),
        *_said(predicate),
    ]


def _bound(predicate: Predicate) -> Iterator[Invalid]:
    """What was fixed before the run is what the certificate judges by, or the difference is stated."""
    protocol, evidence = predicate["protocol"], predicate["evidence"]
    plan, policy, ran = protocol["plan"], protocol["policy"], protocol["runPolicy"]
    if plan_digest(plan) != protocol["planSha256"]:
        yield Invalid("protocol.plan_digest", "planSha256 is not the digest of the plan")
    before = policy["sha256"] if ran is None else ran["sha256"]
    if plan["policySha256"] != before:
        yield Invalid("protocol.plan_policy", "the plan names another policy than the one the run was started under")
    stated = {deviation["id"] for deviation in protocol["deviations"]}
    if ran is None and "policy_not_recorded" not in stated:
        yield Invalid("protocol.deviation", "the run recorded no policy, and the deviations do not say so")
    if ran is not None and ran["sha256"] != policy["sha256"] and "policy_after_run" not in stated:
        yield Invalid("protocol.deviation", "thresholds or policy are not those of the plan, and no deviation says so")
    if plan["configuration"].get("answers") is not None and "answers_of_earlier_run" not in stated:
        yield Invalid("protocol.deviation", "answers came from an earlier run, and the deviations do not say so")
    if evidence["policySha256"] != policy["sha256"]:
        yield Invalid("protocol.policy_digest", "the evidence names another policy than the protocol")
    asked = [{name: entry[name] for name in ("id", "kind", "sha256")} for entry in protocol["datasets"]]
    if asked != plan["inputs"]:
        yield Invalid("protocol.datasets", "the sets of prompts are not those of the plan")
    if [component["name"] for component in predicate["completeness"]["components"]] != plan["components"]:
        yield Invalid("completeness.components", "the components are not those of the plan")
    if predicate["reproducibility"]["configurationSha256"] != plan_digest(plan["configuration"]):
        yield Invalid("protocol.configuration", "configurationSha256 is not the digest of the plan's configuration")


def _models(predicate: Predicate) -> Iterator[Invalid]:
    models, relation, seal = predicate["models"], predicate["relation"]["measured"], predicate["seal"]
    if models["trained"]["measured"]["manifest"]["name"] != "trained.SHA256SUMS":
        yield Invalid("models.manifest_name", "the trained model's manifest must be trained.SHA256SUMS")
    base = models["base"]
    if base is not None and base["measured"]["manifest"]["name"] != "base.SHA256SUMS":
        yield Invalid("models.manifest_name", "the base model's manifest must be base.SHA256SUMS")
    if relation["baseManifestSha256"] != (None if base is None else base["measured"]["manifest"]["sha256"]):
        yield Invalid("relation.base", "the relation names another base than the models")
    kinds = {"recorded": "recorded", "adapter": "adapter"}
    if relation["kind"] != kinds.get(models["trained"]["measured"]["kind"], "full"):
        yield Invalid("relation.kind", "the relation is of another kind than the trained model")
    counted = relation["tensors"]
    for name in ("changed", "added", "removed"):
        listed, total = len(relation[f"{name}Tensors"]), 0 if counted is None else counted[name]
        if listed != min(total, MOST_TENSORS):
            yield Invalid("relation.tensors", f"{total} tensors are counted as {name}, and {listed} are listed")
    if (seal["state"] == "draft") != (seal["keyFingerprint"] is None):
        yield Invalid("seal.state", "a draft has no key, and everything else has one")
    if predicate["computeRatio"] != compute_ratio(predicate["training"]["compute"]):
        yield Invalid("training.compute_ratio", "the quotient is not that of the operations stated")


def _tests(predicate: Predicate, policy: Mapping[str, Any]) -> Iterator[Invalid]:
    repeated = [name for name, n in Counter(test["id"] for test in predicate["tests"]).items() if n > 1]
    if repeated:
        yield Invalid("tests.duplicate", f"test {repeated[0][:120]!a} stands twice")
    day = predicate["issuedAt"][:10]
    for test in predicate["tests"]:
        name = ascii(test["id"][:120])
        for number in test["numbers"]:
            for value in (number, number["base"], number["trained"]):
                if value is not None and (fault := _ill_formed(value)):
                    yield Invalid("tests.number", f"{name}: {fault}")
        if (test["rule"] is None) == (test["kind"] == "rule") or (test["threshold"] is None) == (
            test["kind"] == "threshold"
        ):
            yield Invalid("tests.kind", f"{name}: is neither a rule nor a threshold")
            continue
        if test["kind"] == "rule":
            judged = rule_verdict(test["rule"], test["finding"], policy)
            verdict, below, required = judged.verdict, judged.below_bar, judged.required
        else:
            numbers = test["numbers"]
            verdict, below = threshold_verdict(test["threshold"], numbers[0] if numbers else None), False
            required = test["name"] not in policy["optional"]
        if test["verdict"] != verdict:
            yield Invalid("tests.verdict", f"{name}: says {test['verdict']}, and its numbers give {verdict}")
        if test["belowBar"] != below:
            yield Invalid("tests.below_bar", f"{name}: whether it failed below the bar is told wrongly")
        if test["required"] != required:
            yield Invalid("tests.required", f"{name}: whether the policy requires it is told wrongly")
        if test["waiver"] is not None and not waived_by(policy, test, day):
            yield Invalid("tests.waiver", f"{name}: no waiver of the policy covers it on the day of issue")


def _ill_formed(value: Mapping[str, Any]) -> str | None:
    interval = value["interval"]
    if interval is not None and interval["low"] > interval["high"]:
        return "an interval's low end lies above its high end"
    if value["value"] is None and interval is not None:
        return "an undefined value has an interval"
    return None


def _thresholds(predicate: Predicate, policy: Mapping[str, Any]) -> Iterator[Invalid]:
    """Each threshold of the policy is tested once, with its own bound."""
    tested = {test["name"]: test for test in predicate["tests"] if test["kind"] == "threshold"}
    asked = threshold_names(policy)
    for name in sorted(asked.keys() ^ tested.keys()):
        what = "is in the policy and was not tested" if name in asked else "was tested and is not in the policy"
        yield Invalid("tests.thresholds", f"threshold {name[:120]!a} {what}")
    for name in asked.keys() & tested.keys():
        test, (metric, op, value) = tested[name], asked[name]
        if (test["metric"], test["threshold"]["op"], test["threshold"]["value"]) != (metric, op, value):
            yield Invalid("tests.thresholds", f"threshold {name[:120]!a} is not the one of the policy")
        places = test["places"] or {}
        worst = next((word for word in ("FAIL", "INCONCLUSIVE", "NOT_RUN", "PASS") if places.get(word)), "NOT_RUN")
        if worst != test["verdict"]:
            yield Invalid("tests.places", f"threshold {name[:120]!a} tells another place than the worst")


def _requirements(predicate: Predicate, policy: Mapping[str, Any]) -> Iterator[Invalid]:
    """What the policy requires is listed, and told as the components and tests have it."""
    listed = {(one["kind"], one["name"]): one["met"] for one in predicate["completeness"]["requirements"]}
    require = policy.get("require", {})
    wanted = [("analyzer", name) for name in require.get("analyzers", ())]
    wanted += [("rule", name) for name in require.get("rules", ())]
    wanted += [("control", f"{one['kind']}:{one['n']}") for one in require.get("controls", ())]
    if policy.get("cached") == "refuse":
        wanted.append(("cache", "fresh"))
    components = {component["name"]: component for component in predicate["completeness"]["components"]}
    for kind, name in wanted:
        if (kind, name) not in listed:
            yield Invalid("completeness.requirements", f"the policy requires {kind} {name[:120]!a}; it is not listed")
            continue
        if not listed[kind, name]:
            continue
        component = components.get(name)
        if kind == "analyzer" and (component is None or component["status"] != "ok" or not component["produced"]):
            yield Invalid("completeness.requirements", f"required analyzer {name[:120]!a} did not end well")
        if kind == "rule" and not _applied(predicate, name):
            yield Invalid("completeness.requirements", f"required rule {name[:120]!a} was not judged")


def _applied(predicate: Predicate, rule: str) -> bool:
    found = [
        test["finding"]["kind"]
        for test in predicate["tests"]
        if test["rule"] is not None and test["rule"]["id"] == rule and test["finding"] is not None
    ]
    return "open" not in found and any(kind != "not_applicable" for kind in found)


def _summary(predicate: Predicate, policy: Mapping[str, Any]) -> Iterator[Invalid]:
    tests, complete, summary = predicate["tests"], predicate["completeness"], predicate["summary"]
    found = Counter(test["verdict"] for test in tests)
    if summary["counts"] != {word: found[word] for word in WORDS}:
        yield Invalid("summary.counts", "the counts are not those of the tests")
    if summary["overall"] != (wanted := overall(tests, complete, policy)):
        yield Invalid("summary.overall", f"overall says {summary['overall']}, and the tests give {wanted}")
    if summary["gaps"] != gaps(tests, complete, policy):
        yield Invalid("summary.gaps", "the gaps are not those of the tests and components")


def _said(predicate: Predicate) -> Iterator[Invalid]:
    """Nothing that must be said was left out."""
    limitations, untested = limits.required_ids(predicate)
    for field, wanted, code in (
        ("limitations", limitations, "limitations.missing"),
        ("notTested", untested, "not_tested.missing"),
    ):
        there = Counter(entry["id"] for entry in predicate[field])
        for name in sorted(wanted):
            if there[name] < wanted[name]:
                yield Invalid(code, f"{field} lacks {name!r}, which follows from the rest of the document")
    if [(one["framework"], one["clause"], one["status"]) for one in predicate["coverage"]] != [
        (one["framework"], one["clause"], one["status"]) for one in coverage(predicate)
    ]:
        yield Invalid("coverage.status", "the coverage table is not what the fields present give")
