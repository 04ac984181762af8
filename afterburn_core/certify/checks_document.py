"""Is the run's document the one that the certificate was taken from: these models, this plan, these numbers?

The digest alone says which document is meant. A certificate could name the run of another model. All of this is plain
comparison; that findings follow from measurements is shown by judging again (`checks_rejudge`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from afterburn_core.certify.checks import DetailedInvalid
from afterburn_core.certify.derived import clip, jsonable, plan_digest
from afterburn_core.certify.encoding import LIMIT, Invalid
from afterburn_core.result.consistency import TABLE_MEDIA_TYPE
from afterburn_core.result.model import Scope

Document = Mapping[str, Any]
Entries = Sequence[tuple[str, str]]


def document(data: bytes) -> Document | None:
    """The document, whose digest was checked; `None` for one that is too large to be looked into by the way.

    Raises:
        Invalid: `result.unreadable`.
    """
    if len(data) > LIMIT:
        return None
    try:
        found = json.loads(data, object_pairs_hook=_members, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Invalid("result.unreadable", f"the run's document is not JSON: {str(error)[:120]}") from error
    if not isinstance(found, dict):
        raise Invalid("result.unreadable", "the run's document is no object")
    return found


def require_same_run(found: Document, predicate: Mapping[str, Any]) -> None:
    """Plan, times and numbers of the certificate are the document's.

    Raises:
        Invalid: `result.differs`, with everything that does; `result.unreadable`.
    """
    differences = _read(lambda: [*_plan(found, predicate), *_numbers(found, predicate)])
    if differences:
        said = f"the certificate says otherwise than the run's document: {differences[0]}"
        raise DetailedInvalid("result.differs", said, differences if len(differences) > 1 else ())


def require_same_model(found: Document, role: str, entries: Entries) -> None:
    """The files that the run read of a model are among those that are certified.

    Raises:
        Invalid: `result.model`, `result.unreadable`.
    """
    listed = dict(entries)

    def read() -> list[str]:
        subjects = [subject for subject in found["subjects"] if subject["role"] == role]
        return [file["path"] for one in subjects for file in one["files"] if listed.get(file["path"]) != file["sha256"]]

    other = _read(read)
    if other:
        raise Invalid(
            "result.model", f"the run read other files of the {role} model than those certified ({other[0][:120]!a})"
        )


def _read(work: Callable[[], list[str]]) -> list[str]:
    try:
        return work()
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise Invalid("result.unreadable", f"the run's document is of another form ({error})") from error


def _plan(found: Document, predicate: Mapping[str, Any]) -> Iterator[str]:
    run, plan, evidence = found["run"], predicate["protocol"]["plan"], predicate["evidence"]
    policies = {entry["id"]: entry for entry in found["inputs"] if entry["kind"] == "policy"}
    first = policies.get("policy.run") or policies.get("policy")
    asked = sorted((one for one in found["inputs"] if one["kind"] != "policy"), key=lambda one: str(one["id"]))
    told: dict[str, tuple[Any, Any]] = {
        "the format's version": (evidence["result"]["schemaVersion"], found["schema_version"]),
        "the run": (evidence["result"]["runId"], run["id"]),
        "its start": (evidence["result"]["startedAt"], run["started_at"]),
        "its end": (evidence["result"]["finishedAt"], run["finished_at"]),
        "how it ended": (predicate["completeness"]["run"], run["status"]),
        "the components": (plan["components"], run["components"]),
        "the method": (plan["method"], run["method"]),
        "the seed": (plan["seed"], str(run["seed"])),
        "the configuration": (plan_digest(plan["configuration"]), plan_digest(jsonable(run["configuration"]))),
        "what was asked": (plan["inputs"], [{name: one[name] for name in ("id", "kind", "sha256")} for one in asked]),
        "the policy of the run": (
            predicate["protocol"]["runPolicy"],
            None if first is None else {"name": clip(first["label"]), "sha256": first["sha256"]},
        ),
        "the files beside it": (
            [(one["path"], one["sha256"]) for one in evidence["artifacts"]],
            [(one["path"], one["sha256"]) for one in found.get("artifacts", ())],
        ),
    }
    return (what for what, (said, is_) in told.items() if said != is_)


def _numbers(found: Document, predicate: Mapping[str, Any]) -> Iterator[str]:
    """Numbers of tests that are not in the document. What a detector derives may be derived again; tables are not
    looked into."""
    derived = {one["id"] for one in found["descriptors"]["metrics"] if one.get("detector") is not None}
    tabled = any(one["media_type"] == TABLE_MEDIA_TYPE for one in found.get("artifacts", ()))
    numbers = [number for test in predicate["tests"] for number in test["numbers"] if number["metric"] not in derived]
    wanted = {number["metric"] for number in numbers}
    measured = {
        (one["metric"], tuple(one["subjects"]), clip(Scope(**one.get("scope", {})).key())): _value(one)
        for one in found["measurements"]
        if one["metric"] in wanted
    }
    for number in numbers:
        sides = [(tuple(number["subjects"]), number)]
        sides += [((side,), number[side]) for side in ("base", "trained") if number[side] is not None]
        for subjects, told in sides:
            there = measured.get((number["metric"], subjects, number["scope"]))
            if there is None and tabled:
                continue
            if there != _value(told):
                yield f"{number['metric']} of {'+'.join(subjects)} at {number['scope']}"


def _value(one: Mapping[str, Any]) -> tuple[Any, ...]:
    interval = one.get("interval")
    ends = None if interval is None else (interval["low"], interval["high"], interval["level"])
    return one["value"], one.get("n"), ends, bool(one.get("approximate", False))


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
