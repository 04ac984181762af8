"""A policy as a certificate holds it: its canonical text, read without the classes of `judge`.

The text is kept, and not the values, because its SHA-256 is the policy's digest whatever a JSON reader does to numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from afterburn_core.certify.derived import clip
from afterburn_core.certify.encoding import Invalid, parse
from afterburn_core.judge.policy_model import COVERAGE
from afterburn_core.result.model import Scope

_KEYS = {
    *("name", "fail_on", "review", "undecided", "optional", "options"),
    *("require", "thresholds", "suppressions", "plugins", "cached"),
}
"""Of a policy. What another key means for a verdict is not known here, so no verdict can be made again with it."""
_WORDS = {
    "fail_on": ("note", "warning", "error", "never"),
    "review": ("allow", "fail"),
    "undecided": ("allow", "incomplete"),
}


def policy_in(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The policy that a certificate judges under.

    Raises:
        Invalid: `protocol.policy_digest`: the text is not the one whose digest is named; `protocol.policy`: it is no
            policy.
    """
    held = protocol["policy"]
    if hashlib.sha256(held["text"].encode()).hexdigest() != held["sha256"]:
        raise Invalid("protocol.policy_digest", "the policy's text is not the one whose digest is named")
    policy = parse(held["text"].encode(), what="the policy", scope="protocol.policy")
    if not isinstance(policy, dict) or any(policy.get(key) not in words for key, words in _WORDS.items()):
        raise Invalid("protocol.policy", "the policy's text is no policy")
    if unknown := sorted(policy.keys() - _KEYS):
        raise Invalid("protocol.policy", f"the policy has a key that this release does not know: {unknown[0][:60]!a}")
    policy.setdefault("optional", [])
    if not _well_formed(policy):
        raise Invalid("protocol.policy", "the policy's text is no policy")
    return policy


def _well_formed(policy: Mapping[str, Any]) -> bool:
    lists = [policy["optional"], policy.get("thresholds", []), policy.get("suppressions", [])]
    require = policy.get("require", {})
    plugins = policy.get("plugins", {})
    if not isinstance(plugins, dict) or not isinstance(plugins.get("allow") or {}, dict):
        return False
    if not isinstance(require, dict) or not all(isinstance(one, list) for one in [*lists, *require.values()]):
        return False
    names = [*policy["optional"], *require.get("analyzers", []), *require.get("rules", [])]
    entries = [*lists[1], *lists[2], *require.get("controls", [])]
    bounds = all(
        isinstance(one.get("metric"), str)
        and isinstance(one.get("subjects", []), list)
        and all(isinstance(name, str) for name in one.get("subjects", []))
        and isinstance(one.get("scope", {}), dict | str)
        and isinstance(one.get("id", ""), str)
        and type(one.get("coverage", COVERAGE)) in (int, float)
        and [type(one.get(op)) in (int, float) for op in ("at_most", "at_least")].count(True) == 1
        for one in lists[1]
        if isinstance(one, dict)
    )
    controls = all(
        isinstance(one, dict) and isinstance(one.get("kind"), str) and isinstance(one.get("n"), int)
        for one in require.get("controls", [])
    )
    texts = all(
        isinstance(one, dict) and all(isinstance(one.get(key), str) for key in ("owner", "reason", "expires"))
        for one in lists[2]
    )
    plain = all(isinstance(name, str) for name in names) and all(isinstance(entry, dict) for entry in entries)
    return plain and bounds and controls and texts


class Bound(NamedTuple):
    """A threshold of a policy."""

    metric: str
    subjects: tuple[str, ...]
    place: str
    each: bool
    """Whether it is about every place at which the metric was measured."""
    op: str
    value: float
    coverage: float


def threshold_names(policy: Mapping[str, Any]) -> dict[str, Bound]:
    """Each threshold by its name."""
    found = {}
    for one in policy.get("thresholds", ()):
        op = "at_most" if one.get("at_most") is not None else "at_least"
        found[clip(_name(one, op))] = Bound(
            metric=one["metric"],
            subjects=tuple(one.get("subjects", ("base", "trained"))),
            place=clip(_place(one.get("scope"))),
            each=isinstance(one.get("scope"), str),
            op=op,
            value=one[op],
            coverage=one.get("coverage", COVERAGE),
        )
    return found


def _name(threshold: Mapping[str, Any], op: str) -> str:
    if threshold.get("id") is not None:
        return str(threshold["id"])
    subjects = list(threshold.get("subjects", ("base", "trained")))
    about = "" if subjects == ["base", "trained"] else f"/{'+'.join(subjects)}"
    place = _place(threshold.get("scope"))
    return f"{threshold['metric']}{about}{'' if place == 'model' else f'/{place}'} {op}"


def _place(scope: Any) -> str:
    if isinstance(scope, str):
        return scope
    try:
        return Scope(**(scope or {})).key()
    except TypeError as error:
        raise Invalid("protocol.policy", "a threshold of the policy names no place") from error


def waived_by(policy: Mapping[str, Any], test: Mapping[str, Any], day: str) -> bool:
    """Whether a waiver of the policy covers a test on a day, `YYYY-MM-DD`, just as the test tells it."""
    finding, waiver = test["finding"], test["waiver"]
    if finding is None or finding["kind"] not in {"fail", "review"}:
        return False
    for one in policy.get("suppressions", ()):
        told = (clip(one["owner"]), clip(one["reason"]), one["expires"])
        if told != (waiver["owner"], waiver["justification"], waiver["expires"]) or one["expires"] < day:
            continue
        if one.get("fingerprint") is not None:
            if one["fingerprint"] == finding["fingerprint"]:
                return True
        elif one.get("rule") == test["rule"]["id"]:
            scope = one.get("scope")
            if scope is None or _place(scope) == test["scope"]:
                return True
    return False
