"""From numbers to verdict words, by the same rules when a certificate is made and when it is checked.

Everything here reads plain JSON values, because whoever checks a certificate has nothing else. The rules are those of
`judge.verdict.decide`, written a second time: a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from afterburn_core.certify.policies import threshold_names
from afterburn_core.result.model import LEVELS

Word = Literal["PASS", "FAIL", "INCONCLUSIVE", "NOT_RUN", "ERROR"]
WORDS: tuple[Word, ...] = ("PASS", "FAIL", "INCONCLUSIVE", "NOT_RUN", "ERROR")
UNDECIDED = ("INCONCLUSIVE", "NOT_RUN", "ERROR")
"""Verdicts that never count as passed."""


@attrs.frozen(kw_only=True)
class Judged:
    """What one test comes to."""

    verdict: Word
    below_bar: bool = False
    """A failed rule that the policy's bar lets pass; always said beside the verdict."""
    required: bool
    """Whether the policy leaves the whole incomplete where this test does not decide."""


def rule_verdict(rule: Mapping[str, Any], finding: Mapping[str, Any] | None, policy: Mapping[str, Any]) -> Judged:
    """What a finding comes to under a policy.

    Args:
        rule: `id` and `level`, the highest level its findings take.
        finding: `kind`, `level`, `measurements` (how many it rests on), `evidenceMissing`, `detectorFailed`; `None`
            for a rule without a finding.
        policy: in its canonical form.
    """
    optional = rule["id"] in policy["optional"]
    demanded = rule["id"] in policy.get("require", {}).get("rules", ())
    if finding is None:
        return Judged(verdict="NOT_RUN", required=not optional)
    kind, level = finding["kind"], finding["level"]
    if kind == "fail" and reaches(level, policy["fail_on"]):
        return Judged(verdict="FAIL", required=True)
    if kind == "review" and policy["review"] == "fail":
        return Judged(verdict="FAIL", required=True)
    if finding["evidenceMissing"]:
        return Judged(verdict="ERROR", required=True)
    if kind == "fail":
        return Judged(verdict="PASS", below_bar=True, required=not optional)
    if kind in {"pass", "informational"}:
        return Judged(verdict="PASS", required=not optional)
    if kind == "review":
        return Judged(verdict="INCONCLUSIVE", required=False)
    if kind == "not_applicable":
        return Judged(verdict="NOT_RUN", required=False)  # where the policy demands it, its requirement is not met
    measured = finding["measurements"] > 0
    spared = policy["undecided"] == "allow" and not reaches(rule["level"], "warning")
    harmless = spared and measured and level in {"none", "note"}
    word: Word = "ERROR" if finding["detectorFailed"] else "INCONCLUSIVE" if measured else "NOT_RUN"
    return Judged(verdict=word, required=demanded or not (optional or harmless))


def reaches(level: str, bar: str) -> bool:
    """Whether a level is at or above a bar; nothing reaches `never`."""
    return bar != "never" and LEVELS.index(level) >= LEVELS.index(bar)


def threshold_verdict(threshold: Mapping[str, Any], estimate: Mapping[str, Any] | None) -> Word:
    """What a bound comes to: the interval's worse end must keep to it.

    `at_most`: PASS where the high end is not above the bound, FAIL where the low end is, INCONCLUSIVE where the
    interval straddles it or covers less than is asked; `at_least` mirrored. An exact value stands for both ends; an
    approximate one without interval is INCONCLUSIVE, an undefined or missing one NOT_RUN.

    Args:
        threshold: `op`, `value` and `coverage`.
        estimate: `value`, `interval`, `approximate`; `None` where nothing was measured.
    """
    if estimate is None or estimate["value"] is None:
        return "NOT_RUN"
    interval = estimate["interval"]
    if interval is None and estimate["approximate"]:
        return "INCONCLUSIVE"
    if interval and interval["level"] < threshold["coverage"] - 1e-9:
        return "INCONCLUSIVE"
    low, high = (interval["low"], interval["high"]) if interval else (estimate["value"], estimate["value"])
    bound = threshold["value"]
    if threshold["op"] == "at_least":
        low, high, bound = -high, -low, -bound
    if high <= bound:
        return "PASS"
    return "FAIL" if low > bound else "INCONCLUSIVE"


def overall(tests: list[dict[str, Any]], completeness: Mapping[str, Any], policy: Mapping[str, Any]) -> Word | str:
    """`FAIL` where anything failed that no waiver covers, `INCOMPLETE` where anything is missing, else `PASS`."""
    if any(test["verdict"] == "FAIL" and test["waiver"] is None for test in tests):
        return "FAIL"
    undecided = any(test["required"] and test["verdict"] in UNDECIDED for test in tests)
    return "INCOMPLETE" if undecided or gaps(tests, completeness, policy) else "PASS"


def gaps(tests: list[dict[str, Any]], completeness: Mapping[str, Any], policy: Mapping[str, Any]) -> list[str]:
    """What is missing besides decisions, each under a short code."""
    found = []
    if completeness["run"] != "complete":
        found.append("run")
    for component in completeness["components"]:
        name, status = component["name"], component["status"]
        excused = name in policy["optional"] or (status == "skipped" and not component["applicable"])
        if status == "missing" or (status != "ok" and not excused):
            found.append(f"component:{name}")
    for what, count in completeness["recorded"].items():
        if completeness["present"][what] != count:
            found.append(f"lost:{what}")
    found += [f"requirement:{one['kind']}:{one['name']}" for one in completeness["requirements"] if not one["met"]]
    judged = [test["finding"] for test in tests if test["kind"] == "rule" and test["finding"] is not None]
    if any(finding["evidenceMissing"] for finding in judged):
        found.append("evidence")
    if len(judged) != completeness["present"]["findings"]:
        found.append("lost:tests")
    tested = {test["name"] for test in tests if test["kind"] == "threshold"}
    found += [f"threshold:{name}" for name in threshold_names(policy) if name not in tested]
    if not completeness["measured"]:
        found.append("nothing_measured")
    elif all(finding["kind"] == "not_applicable" for finding in judged):
        found.append("nothing_judged")
    return found
