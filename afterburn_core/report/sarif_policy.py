"""A policy's thresholds, requirements and waivers in SARIF: rules of their own, a result for each, waivers told of.

A waiver in force stands as `suppressions` at the finding that it covers; those that cover nothing are listed in the
run's properties.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import attrs

from afterburn_core.report import judgement
from afterburn_core.report.inert import visible
from afterburn_core.report.judgement import STATUS_KINDS, Judgement

THRESHOLD, REQUIREMENT = "policy.threshold", "policy.requirement"
FINGERPRINT = "afterburn/v1"
_LOCATION = {"physicalLocation": {"artifactLocation": {"uri": "result.json", "uriBaseId": "RUN_DIRECTORY", "index": 0}}}


def policy_rules(read: Judgement) -> list[dict[str, Any]]:
    """The rules that the results below name; none where there are none."""
    rules = []
    if read.thresholds:
        help_ = "The end of the interval counts. Where it may lie on either side of the bound, measure more."
        rules.append(_rule(THRESHOLD, "Whether measurements keep to the policy's bounds", help_))
    if read.requirements:
        help_ = "Run again with what is missing; a part that did not run is never a pass."
        rules.append(_rule(REQUIREMENT, "Whether everything that the policy requires has run", help_))
    return rules


def policy_results(read: Judgement, index: Mapping[str, int]) -> list[dict[str, Any]]:
    """A result for each threshold and requirement."""
    results = []
    for outcome in read.thresholds:
        told = f"{outcome.id}: {judgement.measured(outcome)}, where {judgement.asked(outcome)} is asked"
        values = attrs.asdict(outcome, filter=lambda _, value: value not in (None, ()))
        results.append(_result(THRESHOLD, index, STATUS_KINDS[outcome.status], told, outcome.id, values))
    for one in read.requirements:
        name = f"{one.kind} {one.name}"
        values = {"kind": one.kind, "name": one.name}
        results.append(_result(REQUIREMENT, index, "pass" if one.met else "open", one.message, name, values))
    return results


def policy_properties(read: Judgement) -> dict[str, Any]:
    """What became of each waiver, and on which day."""
    if not read.waivers:
        return {}
    return {"judgedOn": read.date, "waivers": [attrs.asdict(waiver) for waiver in read.waivers]}


def _rule(identifier: str, summary: str, help_: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "shortDescription": {"text": summary},
        "help": {"text": help_},
        "defaultConfiguration": {"level": "error"},
    }


def _result(
    rule: str, index: Mapping[str, int], kind: str, told: str, identity: str, properties: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "ruleId": rule,
        "ruleIndex": index[rule],
        "kind": kind,
        "level": "error" if kind == "fail" else "none",
        "message": {"text": visible(told)},
        "locations": [_LOCATION],
        "partialFingerprints": {FINGERPRINT: hashlib.sha256(f"{rule}\n{identity}".encode()).hexdigest()[:32]},
        "properties": dict(properties),
    }
