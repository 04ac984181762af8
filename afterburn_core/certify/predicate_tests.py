"""The predicate's `tests`: one entry for each threshold of the policy and one for each finding of each rule.

An entry carries what it rests on: the numbers, what the rule may find at most, the waiver. Its verdict follows from
them and from the policy alone (`recompute`), so that a reader need not believe it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from afterburn_core.certify.derived import clip
from afterburn_core.certify.verdicts import rule_verdict, threshold_verdict
from afterburn_core.judge.policy import Policy
from afterburn_core.judge.thresholds import Outcome, outcomes, sentence
from afterburn_core.result.consistency import TABLE_MEDIA_TYPE
from afterburn_core.result.identity import measurement_id
from afterburn_core.result.model import Finding, Measurement, Result, RuleDescriptor
from afterburn_core.result.view import ResultView

MOST_NUMBERS = 4
"""Numbers listed with a rule; all of them are in the run's document."""


def rule_tests(view: ResultView, policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An entry for every finding, and one for every rule without any, sorted by id.

    Args:
        view: the judged document.
        policy: the policy in its canonical form.
    """
    result = view.result
    broken = {e.component for e in result.executions if e.kind == "detector" and e.status == "failed"}
    missing = _missing_evidence(result)
    rules = {rule.id: rule for rule in result.descriptors.rules}
    several = Counter(finding.rule for finding in result.findings)
    entries = []
    for index, finding in enumerate(result.findings):
        rule = rules[finding.rule]
        found: dict[str, Any] = {
            "kind": finding.kind,
            "level": finding.level,
            "fingerprint": finding.fingerprint,
            "measurements": len(finding.measurements),
            "evidenceMissing": index in missing,
            "detectorFailed": rule.detector in broken,
        }
        name = f"rule:{rule.id}" if several[rule.id] == 1 else f"rule:{rule.id}:{finding.fingerprint}"
        waiver = None
        if finding.suppression is not None:
            waiver = attrs.asdict(finding.suppression)
        entry = _rule_entry(rule, name, found, policy, waiver, clip(finding.message))
        numbers = list(_numbers(view, finding))
        about = {"subjects": list(finding.subjects), "scope": clip(finding.scope.key())}
        entries.append(
            {**entry, **about, "numbers": numbers, "numbersOmitted": len(finding.measurements) - len(numbers)}
        )
    for rule in result.descriptors.rules:
        if rule.id not in several:
            entries.append(_rule_entry(rule, f"rule:{rule.id}", None, policy, None, "The rule gave no finding."))
    return sorted(entries, key=lambda entry: entry["id"])


def _rule_entry(
    rule: RuleDescriptor,
    name: str,
    finding: dict[str, Any] | None,
    policy: Mapping[str, Any],
    waiver: dict[str, Any] | None,
    reason: str,
) -> dict[str, Any]:
    described = {"id": rule.id, "level": rule.level, "detector": rule.detector, "version": rule.version}
    judged = rule_verdict(described, finding, policy)
    return {
        "origin": "measured",
        "id": name,
        "kind": "rule",
        "name": clip(rule.summary),
        "category": rule.id.partition(".")[0],
        "rule": described,
        "finding": finding,
        "metric": None,
        "subjects": [],
        "scope": "model",
        "places": None,
        "threshold": None,
        "numbers": [],
        "numbersOmitted": 0,
        "verdict": judged.verdict,
        "belowBar": judged.below_bar,
        "required": judged.required,
        "waiver": waiver,
        "reason": reason,
    }


def estimate(view: ResultView, measurement: Measurement) -> dict[str, Any]:
    """A measurement with its uncertainty, both sides' values beside a contrast's."""
    metric = view.metric(measurement.metric)
    entry: dict[str, Any] = {
        "metric": measurement.metric,
        "summary": clip(metric.summary if metric else measurement.metric),
        "unit": metric.unit if metric else "1",
        "direction": metric.direction if metric else "none",
        "version": metric.version if metric else 1,
        "subjects": list(measurement.subjects),
        "scope": clip(measurement.scope.key()),
        **value_of(measurement),
        "base": None,
        "trained": None,
        "test": None,
        "null": None,
    }
    if measurement.subjects == ("base", "trained"):
        for side in measurement.subjects:
            own = view.measurement(measurement_id(measurement.metric, (side,), measurement.scope))
            entry[side] = value_of(own) if own is not None else None
    if measurement.test is not None:
        test = measurement.test
        entry["test"] = {
            "name": test.name,
            "pValue": test.p_value,
            "pAdjusted": test.p_adjusted,
            "correction": test.correction,
            "family": test.family,
        }
    if measurement.null is not None:
        null = measurement.null
        entry["null"] = {"control": null.control, "n": null.n, "quantile": null.quantile, "pValue": null.p_value}
    return entry


def value_of(measurement: Measurement) -> dict[str, Any]:
    """The number, or why there is none. Without interval it is exact unless it says that it is approximate."""
    interval = measurement.interval
    return {
        "value": measurement.value,
        "n": measurement.n,
        "interval": None if interval is None else attrs.asdict(interval),
        "approximate": measurement.approximate,
        "reason": None if measurement.reason is None else clip(measurement.reason),
    }


def _numbers(view: ResultView, finding: Finding) -> Iterator[dict[str, Any]]:
    """The leading measurements, those with a value first, in the detector's order."""
    found = [view.measurement(identifier) for identifier in finding.measurements]
    present = [measurement for measurement in found if measurement is not None]
    leading = sorted(present, key=lambda measurement: measurement.value is None)
    return (estimate(view, measurement) for measurement in leading[:MOST_NUMBERS])


def _missing_evidence(result: Result) -> set[int]:
    """Findings that rest on measurements the document no longer has; tables beside it may hold them."""
    if any(artifact.media_type == TABLE_MEDIA_TYPE for artifact in result.artifacts):
        return set()
    known = {measurement.id for measurement in result.measurements}
    return {index for index, finding in enumerate(result.findings) if set(finding.measurements) - known}


def counts(tests: Iterable[Mapping[str, Any]], words: Sequence[str]) -> dict[str, int]:
    """Tests by verdict, every word present."""
    found = Counter(test["verdict"] for test in tests)
    return {word: found[word] for word in words}


def threshold_tests(view: ResultView, policy: Policy) -> list[dict[str, Any]]:
    """An entry for every threshold of the policy, in its order; of several places it tells the worst."""
    found = outcomes(policy, view.measurements()) if policy.thresholds else ()
    return [_threshold_entry(view, policy, outcome) for outcome in found]


def _threshold_entry(view: ResultView, policy: Policy, outcome: Outcome) -> dict[str, Any]:
    measurement = view.measurement(outcome.measurement) if outcome.measurement else None
    numbers = [] if measurement is None else [estimate(view, measurement)]
    threshold = {
        "op": outcome.op,
        "value": outcome.bound,
        "coverage": outcome.coverage,
        "on": outcome.on,
        "reason": outcome.reason,
    }
    return {
        "origin": "measured",
        "id": f"threshold:{clip(outcome.id)}",
        "kind": "threshold",
        "name": clip(outcome.id),
        "category": outcome.metric.partition(".")[0],
        "rule": None,
        "finding": None,
        "metric": outcome.metric,
        "subjects": list(outcome.subjects),
        "scope": clip(outcome.place),
        "places": {word: outcome.counts.get(word, 0) for word in ("PASS", "FAIL", "INCONCLUSIVE", "NOT_RUN")},
        "threshold": threshold,
        "numbers": numbers,
        "numbersOmitted": 0,
        "verdict": threshold_verdict(threshold, numbers[0] if numbers else None),
        "belowBar": False,
        "required": clip(outcome.id) not in policy.optional,
        "waiver": None,
        "reason": clip(sentence(outcome)),
    }
