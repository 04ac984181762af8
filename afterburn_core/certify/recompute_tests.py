"""Each test of a predicate, made again from its numbers, from its finding and from the policy.

A test must be about what the policy asks: the same metric, subjects and place, with the number of that very
measurement. Otherwise any number that is small enough would do. Assumes a predicate that its schema accepts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.policies import threshold_names, waived_by
from afterburn_core.certify.verdicts import rule_verdict, threshold_verdict

_SLACK = 1e-9  # rounding may carry a mean this far out of an interval of no width


def problems(predicate: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Invalid]:
    """Every contradiction within the tests, or between them and the policy."""
    repeated = [name for name, n in Counter(test["id"] for test in predicate["tests"]).items() if n > 1]
    if repeated:
        yield Invalid("tests.duplicate", f"test {repeated[0][:120]!a} stands twice")
    day = predicate["issuedAt"][:10]
    for test in predicate["tests"]:
        yield from _test(test, policy, day)
    yield from _thresholds(predicate, policy)


def _test(test: Mapping[str, Any], policy: Mapping[str, Any], day: str) -> Iterator[Invalid]:
    name, numbers = ascii(test["id"][:120]), test["numbers"]
    for number in numbers:
        for value in (number, number["base"], number["trained"]):
            if value is not None and (fault := _ill_formed(value)):
                yield Invalid("tests.number", f"{name}: {fault}")
    if (test["rule"] is None) == (test["kind"] == "rule") or (test["threshold"] is None) == (
        test["kind"] == "threshold"
    ):
        yield Invalid("tests.kind", f"{name}: is neither a rule nor a threshold")
        return
    if test["id"] not in _ids(test):
        yield Invalid("tests.kind", f"{name}: is called otherwise than what it tests")
    if test["kind"] == "rule":
        judged = rule_verdict(test["rule"], test["finding"], policy)
        verdict, below, required = judged.verdict, judged.below_bar, judged.required
        resting = 0 if test["finding"] is None else test["finding"]["measurements"]
    else:
        verdict, below = threshold_verdict(test["threshold"], numbers[0] if numbers else None), False
        required = test["name"] not in policy["optional"]
        resting = len(numbers[:1])
    if len(numbers) + test["numbersOmitted"] != resting:
        yield Invalid("tests.number", f"{name}: rests on {resting} numbers, and tells of others")
    if test["verdict"] != verdict:
        yield Invalid("tests.verdict", f"{name}: says {test['verdict']}, and its numbers give {verdict}")
    if test["belowBar"] != below:
        yield Invalid("tests.below_bar", f"{name}: whether it failed below the bar is told wrongly")
    if test["required"] != required:
        yield Invalid("tests.required", f"{name}: whether the policy requires it is told wrongly")
    if test["waiver"] is not None and not waived_by(policy, test, day):
        yield Invalid("tests.waiver", f"{name}: no waiver of the policy covers it on the day of issue")


def _ids(test: Mapping[str, Any]) -> tuple[str, ...]:
    """What a test may be called: its name in the policy, or its rule, which may have found several things."""
    if test["kind"] == "threshold":
        return (f"threshold:{test['name']}",)
    alone = f"rule:{test['rule']['id']}"
    return (alone,) if test["finding"] is None else (alone, f"{alone}:{test['finding']['fingerprint']}")


def _ill_formed(value: Mapping[str, Any]) -> str | None:
    number, interval = value["value"], value["interval"]
    if interval is None:
        return None
    if interval["low"] > interval["high"]:
        return "an interval's low end lies above its high end"
    if number is None:
        return "an undefined value has an interval"
    slack = _SLACK * max(1.0, abs(number))
    if not interval["low"] - slack <= number <= interval["high"] + slack:
        return "a value lies outside its own interval"
    return None


def _thresholds(predicate: Mapping[str, Any], policy: Mapping[str, Any]) -> Iterator[Invalid]:
    """Each threshold of the policy is tested once, with its own bound, on its own metric, where it asks for it."""
    tested = {test["name"]: test for test in predicate["tests"] if test["kind"] == "threshold"}
    asked = threshold_names(policy)
    for name in sorted(asked.keys() ^ tested.keys()):
        what = "is in the policy and was not tested" if name in asked else "was tested and is not in the policy"
        yield Invalid("tests.thresholds", f"threshold {name[:120]!a} {what}")
    for name in sorted(asked.keys() & tested.keys()):
        test, bound, shown = tested[name], asked[name], f"threshold {name[:120]!a}"
        about = (test["metric"], test["subjects"], *(test["threshold"][key] for key in ("op", "value", "coverage")))
        if about != (bound.metric, list(bound.subjects), bound.op, bound.value, bound.coverage):
            yield Invalid("tests.thresholds", f"{shown} is not the one of the policy")
        if test["scope"] != bound.place and not (bound.each and test["numbers"]):
            yield Invalid("tests.thresholds", f"{shown} is about another place than the policy's")
        for number in test["numbers"]:
            if any(number[field] != test[field] for field in ("metric", "subjects", "scope")):
                yield Invalid("tests.number", f"{shown} rests on a number of something else")
        if test["threshold"]["on"] != _held(test["numbers"]):
            yield Invalid("tests.thresholds", f"{shown} tells wrongly what was held against its bound")
        places = test["places"] or {}
        worst = next((word for word in ("FAIL", "INCONCLUSIVE", "NOT_RUN", "PASS") if places.get(word)), "NOT_RUN")
        if worst != test["verdict"]:
            yield Invalid("tests.places", f"{shown} tells another place than the worst")
        count = sum(places.values())
        if bool(count) != bool(test["numbers"]) or (count > 1 and not bound.each):
            yield Invalid("tests.places", f"{shown} tells of {count} places")


def _held(numbers: list[Mapping[str, Any]]) -> str | None:
    if not numbers or numbers[0]["value"] is None:
        return None
    if numbers[0]["interval"] is not None:
        return "interval_bound"
    return None if numbers[0]["approximate"] else "exact_value"
