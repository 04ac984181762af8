"""List G: what a dishonest issuer, or a broken program, could sign. Every envelope here is sound."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import packs
from packs import Change, presented
from vector import Presented, Vector

from afterburn_core.certify.encoding import canonical
from afterburn_core.certify.envelope import BUNDLE_NAME

Build = Callable[[Path], Presented]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _tests(predicate: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [test for test in predicate["tests"] if test["kind"] == kind]


def _named(predicate: dict[str, Any], name: str) -> dict[str, Any]:
    return next(test for test in predicate["tests"] if test["name"] == name)


def _not_run_as_pass(predicate: dict[str, Any]) -> None:
    test = _named(predicate, "weight.heads.used_rank at_most")
    test["verdict"], test["places"] = "PASS", {**dict.fromkeys(test["places"], 0), "PASS": 1}
    _counted(predicate, NOT_RUN=-1, PASS=1)


def _counted(predicate: dict[str, Any], **more: int) -> None:
    for word, change in more.items():
        predicate["summary"]["counts"][word] += change


def _bound_edited(predicate: dict[str, Any]) -> None:
    """The bound is loosened in the policy as well, and the policy's digests follow; the plan was made before."""
    held = predicate["protocol"]["policy"]
    policy = json.loads(held["text"])
    policy["thresholds"][0]["at_most"] = 0.5
    held["text"] = json.dumps(policy, sort_keys=True)
    held["sha256"] = predicate["evidence"]["policySha256"] = _sha256(held["text"].encode())
    _tests(predicate, "threshold")[0]["threshold"]["value"] = 0.5


def _plan_edited(predicate: dict[str, Any]) -> None:
    predicate["protocol"]["plan"]["seed"] = "1"


def _threshold_dropped(predicate: dict[str, Any]) -> None:
    test = _named(predicate, "weight.delta.relative at_most")
    predicate["tests"].remove(test)
    _counted(predicate, PASS=-1)


def _review_as_pass(predicate: dict[str, Any]) -> None:
    test = next(test for test in predicate["tests"] if test["verdict"] == "INCONCLUSIVE")
    test["verdict"] = "PASS"
    _counted(predicate, INCONCLUSIVE=-1, PASS=1)


def _number_edited(predicate: dict[str, Any]) -> None:
    _named(predicate, "weight.delta.relative at_most")["numbers"][0]["value"] = 0.5


def _reversed_interval(predicate: dict[str, Any]) -> None:
    number = _named(predicate, "weight.delta.relative at_most")["numbers"][0]
    number["interval"] = {"low": 0.006, "high": 0.004, "level": 0.95, "method": "bootstrap"}


def _narrow_interval(predicate: dict[str, Any]) -> None:
    """Half of the coverage that the policy asks for, and still a pass."""
    test = _named(predicate, "weight.delta.relative at_most")
    value = test["numbers"][0]["value"]
    test["numbers"][0]["interval"] = {"low": value, "high": value, "level": 0.5, "method": "bootstrap"}
    test["threshold"]["on"] = "interval_bound"


def _coverage_edited(predicate: dict[str, Any]) -> None:
    _named(predicate, "weight.delta.relative at_most")["threshold"]["coverage"] = 0.5


def _claims(predicate: dict[str, Any]) -> None:
    predicate["tool"]["certifiedWithVersion"] = "0.0.9"  # whose sentences this release does not know
    predicate["limitations"][0]["text"] = "The model is safe and free of backdoors."


def _waived(predicate: dict[str, Any]) -> None:
    """A waiver that no policy has."""
    test = _tests(predicate, "rule")[0]
    test["waiver"] = {"owner": "me", "justification": "because", "expires": "2030-01-01"}


def _in_payload(text: bytes) -> Build:
    """A payload with another text in the place of one number, which no serialiser of ours would write."""

    def build(folder: Path) -> Presented:
        found = packs.sound_statement()
        number = _named(found["predicate"], "weight.delta.relative at_most")["numbers"][0]
        number["value"] = 987654.25
        payload = canonical(found).replace(b"987654.25", text, 1)
        return presented(folder, {**packs.genuine(), BUNDLE_NAME: _sealed(payload)})

    return build


def _sealed(payload: bytes) -> bytes:
    """A bundle around any bytes: `seal` refuses those that are not canonical."""
    from vectors_envelope import Ingredients, encoded

    made = Ingredients(statement={}, key=packs.key())
    return encoded(made.bundle(payload))


def _resealed(change: Change) -> Build:
    return lambda folder: presented(folder, packs.resealed(change))


def _set(path: str, value: Any) -> Build:
    """The predicate with another value at a path such as `summary.overall`; `...` takes it out."""

    def change(predicate: dict[str, Any]) -> None:
        place: Any = predicate
        *way, last = path.split(".")
        for step in way:
            place = place[int(step)] if step.isdigit() else place[step]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return _resealed(change)


_UNTRUE: tuple[tuple[str, str, str | None, Build], ...] = (
    ("G01", "not_run_counted_as_pass", "tests.verdict", _resealed(_not_run_as_pass)),
    ("G01", "review_counted_as_pass", "tests.verdict", _resealed(_review_as_pass)),
    ("G01", "counts_of_other_tests", "summary.counts", _set("summary.counts.PASS", 99)),
    ("G02", "threshold_edited_after_the_run", "protocol.deviation", _resealed(_bound_edited)),
    ("G02", "plan_edited_after_the_run", "protocol.plan_digest", _resealed(_plan_edited)),
    ("G02", "policy_text_edited", "protocol.policy_digest", _set("protocol.policy.text", "{}")),
    ("G02", "threshold_left_out", "tests.thresholds", _resealed(_threshold_dropped)),
    ("G03", "nan_for_a_metric", "payload.not_finite", _in_payload(b"NaN")),
    ("G03", "nan_as_text", "predicate.schema", _in_payload(b'"NaN"')),
    ("G03", "undefined_metric_that_passes", "tests.verdict", _in_payload(b"null")),
    ("G04", "no_tests", "predicate.tests_empty", _set("tests", [])),
    ("G05", "verdict_against_its_number", "tests.verdict", _resealed(_number_edited)),
    ("G05", "overall_against_the_verdicts", "summary.overall", _set("summary.overall", "FAIL")),
    ("G05", "interval_turned_around", "tests.number", _resealed(_reversed_interval)),
    ("G05", "interval_of_too_little_coverage", "tests.verdict", _resealed(_narrow_interval)),
    ("G05", "coverage_of_another_policy", "tests.thresholds", _resealed(_coverage_edited)),
    ("G05", "waiver_of_no_policy", "tests.waiver", _resealed(_waived)),
    ("G05", "gap_hidden", "completeness.components", _set("completeness.components", [])),
    ("G06", "no_limitations", "predicate.limitations_empty", _set("limitations", [])),
    ("G06", "nothing_left_untested", "predicate.not_tested_empty", _set("notTested", [])),
    ("G06", "one_limitation_left_out", "limitations.missing", _resealed(lambda p: p["limitations"].pop(0))),
    ("G06", "one_gap_left_out", "not_tested.missing", _resealed(lambda p: p["notTested"].pop(0))),
    ("G07", "claim_in_place_of_a_limitation", "wording.forbidden", _resealed(_claims)),
    ("G07", "coverage_that_complies", "predicate.schema", _set("coverage.0.status", "complies")),
    ("G00", "unknown_field", "predicate.schema", _set("trustScore", 100)),
    ("G00", "missing_field", "predicate.schema", _set("summary.rule", ...)),
    ("G00", "newer_major_version", "predicate.version", _set("schemaVersion", "2.0")),
    ("G00", "newer_minor_version", None, _set("schemaVersion", "1.1")),
    ("G00", "calls_itself_a_draft", "seal.state", _set("seal.state", "draft")),
    ("G00", "names_another_key", "seal.key", _set("seal.keyFingerprint", "0" * 64)),
)


def vectors() -> tuple[Vector, ...]:
    """Every one."""
    return tuple(
        Vector(id=identifier, name=f"{identifier.lower()}_{name}{'_fail' if code else ''}", code=code, build=build)
        for identifier, name, code, build in _UNTRUE
    )
