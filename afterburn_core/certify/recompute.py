"""Everything in a predicate that follows from something else in it, computed again and compared.

Verdicts from numbers, counts and overall from verdicts, digests from what they are of, what must be said from what was
done. Whoever wrote the document is not asked. Assumes a predicate that its schema accepts (`predicate_format`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from afterburn_core import __version__
from afterburn_core.certify import limits, recompute_tests
from afterburn_core.certify.coverage import coverage
from afterburn_core.certify.derived import MOST_TENSORS, clip, compute_ratio, plan_digest
from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.policies import policy_in
from afterburn_core.certify.verdicts import WORDS, gaps, overall
from afterburn_core.certify.wording import LIMITATIONS, OVERALL_RULE

Predicate = Mapping[str, Any]
_CLOCKS = timedelta(days=1)  # by which two machines' clocks may differ


def problems(predicate: Predicate) -> list[Invalid]:
    """Every contradiction, each under a code of its own; empty for a predicate that says what follows from it."""
    try:
        policy = policy_in(predicate["protocol"])
    except Invalid as error:
        return [error]
    return [
        *_bound(predicate, policy),
        *_times(predicate),
        *_models(predicate),
        *recompute_tests.problems(predicate, policy),
        *_requirements(predicate, policy),
        *_summary(predicate, policy),
        *_said(predicate),
    ]


def _times(predicate: Predicate) -> Iterator[Invalid]:
    """An issue dated before its run would count waivers that had ended by then."""
    run = predicate["evidence"]["result"]
    try:
        issued, started, finished = (
            datetime.fromisoformat(text) for text in (predicate["issuedAt"], run["startedAt"], run["finishedAt"])
        )
    except ValueError:
        yield Invalid("protocol.times", "a time is none of the calendar")
        return
    if started > finished or finished - issued > _CLOCKS:
        yield Invalid("protocol.times", "the certificate was issued before the run had ended")


def _bound(predicate: Predicate, judged: Mapping[str, Any]) -> Iterator[Invalid]:
    """What was fixed before the run is what the certificate judges by, or the difference is stated."""
    protocol, evidence = predicate["protocol"], predicate["evidence"]
    plan, policy, ran = protocol["plan"], protocol["policy"], protocol["runPolicy"]
    if plan_digest(plan) != protocol["planSha256"]:
        yield Invalid("protocol.plan_digest", "planSha256 is not the digest of the plan")
    if policy["name"] != clip(str(judged.get("name", ""))):
        yield Invalid("protocol.policy", "the policy is called otherwise than in its own text")
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
    for side, other in (("trained", "added"), ("base", "removed")):
        total = None if models[side] is None else models[side]["measured"]["tensors"]
        if counted is not None and counted["changed"] + counted["unchanged"] + counted[other] != total:
            yield Invalid("relation.tensors", f"the tensors compared are not those of the {side} model")
    if (seal["state"] == "draft") != (seal["keyFingerprint"] is None):
        yield Invalid("seal.state", "a draft has no key, and everything else has one")
    if predicate["computeRatio"] != compute_ratio(predicate["training"]["compute"]):
        yield Invalid("training.compute_ratio", "the quotient is not that of the operations stated")


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
    allow = policy.get("plugins", {}).get("allow")
    if allow is not None:
        taking = {component.partition(".")[0] for component in components}
        wanted += [("plugin", name) for name in sorted(taking) if name != "core" or name in allow]
    for kind, name in wanted:
        if (kind, name) not in listed:
            yield Invalid("completeness.requirements", f"the policy requires {kind} {name[:120]!a}; it is not listed")
            continue
        if not listed[kind, name]:
            continue
        component = components.get(name)
        if kind == "analyzer" and (component is None or component["status"] != "ok" or not component["produced"]):
            yield Invalid("completeness.requirements", f"required analyzer {name[:120]!a} did not end well")
        if kind == "plugin" and name not in allow:
            yield Invalid("completeness.requirements", f"plugin {name[:120]!a} is not among those allowed")
        if kind == "cache" and (
            predicate["protocol"]["servedFromCache"] or predicate["protocol"]["plan"]["configuration"].get("answers")
        ):
            yield Invalid("completeness.requirements", "some of the run was served from a cache")
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
    """Nothing that must be said was left out, and this release's own sentences stand as it writes them."""
    own = predicate["tool"]["certifiedWithVersion"] == __version__  # others may have worded them otherwise
    for field, made, code in (
        ("limitations", limits.limitations(predicate), "limitations.missing"),
        ("notTested", limits.not_tested(predicate), "not_tested.missing"),
        ("threatsToValidity", limits.threats(predicate), "limitations.missing"),
    ):
        there, wanted = (Counter(entry["id"] for entry in side) for side in (predicate[field], made))
        for name in sorted(wanted):
            if there[name] < wanted[name]:
                yield Invalid(code, f"{field} lacks {name!r}, which follows from the rest of the document")
        if own and there >= wanted and [one for one in predicate[field] if one["origin"] == "measured"] != made:
            yield Invalid("wording.altered", f"{field} says something that this release does not write")
    if own and predicate["summary"]["rule"] != OVERALL_RULE:
        yield Invalid("wording.altered", "the rule for the overall is not the one that this release writes")
    for deviation in predicate["protocol"]["deviations"]:
        if own and deviation["text"] != LIMITATIONS.get(deviation["id"]):
            yield Invalid("wording.altered", "a deviation says something that this release does not write")
    table, made = predicate["coverage"], coverage(predicate)
    if (own and table != made) or _statuses(table) != _statuses(made):
        yield Invalid("coverage.status", "the coverage table is not what the fields present give")


def _statuses(table: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    return [(one["framework"], one["clause"], one["status"]) for one in table]
