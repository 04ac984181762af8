"""Policies: the schema and the classes say the same, a file is read strictly, and identities last."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs
import jsonschema
import pytest
import yaml

from afterburn_core.cli.main import run
from afterburn_core.errors import ConfigError
from afterburn_core.judge import policy_model
from afterburn_core.judge.policy import Policy, load_policy, overridden, policy_of, shipped, shipped_path
from afterburn_core.judge.policy_model import Control, Plugins, Require, Suppression, Threshold
from afterburn_core.judge.policy_names import refuse_unknown_names
from afterburn_core.judge.settle import settle
from afterburn_core.plugin.registry import Registry
from afterburn_core.resources import schema_path
from afterburn_core.result import codec
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Scope
from afterburn_core.testing.documents import result_of

SCHEMA: Mapping[str, Any] = yaml.safe_load(schema_path("1.0", "policy").read_text(encoding="utf-8"))
CLASSES = (Policy, Require, Control, Threshold, Suppression, Plugins, Scope)
TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", date: "string"}
FULL = """
fail_on: warning
require: {analyzers: [weight.delta], rules: [weight.change], controls: [{kind: matched, n: 19}]}
thresholds:
  - {metric: weight.delta.relative, at_most: 1, id: size, reason: Small.}
  - {metric: weight.delta.relative, at_most: 0.5, scope: each}
  - {metric: weight.delta.relative, at_least: 0.1, scope: {layer: 3, module: down}, subjects: [trained]}
suppressions:
  - {rule: weight.change, scope: {layer: 1}, owner: me, reason: Known., expires: 2027-01-31}
  - {fingerprint: 0123456789abcdef0123456789abcdef, owner: me, reason: Known., expires: "2027-01-31"}
plugins: {allow: {weight: ">=0.1,<0.2", behaviour: "*"}, strict: true}
cached: refuse
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "release.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def definition(kind: type) -> Mapping[str, Any]:
    return SCHEMA if kind is Policy else SCHEMA["$defs"][kind.__name__]  # type: ignore[no-any-return]


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema


def agrees(kind: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a property allows just what the field's type does; patterns and least values aside."""
    if get_origin(kind) in (types.UnionType,) or str(get_origin(kind)) == "typing.Union":
        members = [member for member in get_args(kind) if member is not type(None)]
        parts = resolved(schema).get("anyOf", [schema])
        return len(members) == len(parts) and all(any(agrees(m, part) for part in parts) for m in members)
    if attrs.has(kind):
        return schema.get("$ref") == f"#/$defs/{kind.__name__}"
    schema = resolved(schema)
    if get_origin(kind) is Literal:
        return list(get_args(kind)) == schema.get("enum", [schema.get("const")])
    if get_origin(kind) is tuple:
        return schema["type"] == "array" and agrees(get_args(kind)[0], schema["items"])
    if get_origin(kind) is Mapping:
        entries, value = schema["additionalProperties"], get_args(kind)[1]
        return schema["type"] == "object" and (entries is True if value is Any else agrees(value, entries))
    return schema["type"] == TYPES[kind]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_schema_and_a_class_have_the_same_fields_types_and_defaults(kind: type) -> None:
    schema = definition(kind)
    fields = {field.name: field for field in attrs.fields(attrs.resolve_types(kind, vars(policy_model)))}
    assert set(schema["properties"]) == set(fields)
    assert set(schema.get("required", ())) == {n for n, f in fields.items() if f.default is attrs.NOTHING}
    assert schema["additionalProperties"] is False
    for name, field in fields.items():
        told = schema["properties"][name]
        assert agrees(field.type, told), name
        assert told["description"].strip().endswith("."), name
        if "default" in told:
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            assert told["default"] == default, name


def test_the_schema_is_valid_and_no_definition_is_idle() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert {name for name in SCHEMA["$defs"] if name[0].isupper()} == {kind.__name__ for kind in CLASSES} - {"Policy"}


def test_the_schema_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "policy"]) == 0
    assert capsys.readouterr().out == schema_path("1.0", "policy").read_text(encoding="utf-8")
    assert run(["schema", "polcy"]) == 2
    assert "did you mean 'policy'" in capsys.readouterr().err


def test_what_the_schema_accepts_is_read_and_is_its_own_canonical_form(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, FULL))
    canonical = policy.canonical()
    jsonschema.validate(canonical, SCHEMA)
    assert policy.suppressions[0].expires == policy.suppressions[1].expires == date(2027, 1, 31)
    again = load_policy(written(tmp_path, yaml.safe_dump(canonical)))
    assert again == policy and again.reference() == policy.reference()


FAULTS = [
    ("fail_on: errors", "fail_on: 'errors' is not one of note, warning, error, never"),
    ("fail_on: error\nfail_on: never", "'fail_on' stands twice"),
    ("thresholds: [{metric: a.b, at_most: 1, at_least: 0}]", r"thresholds\[0\]: one of at_most and at_least"),
    ("thresholds: [{metric: a.b}]", r"thresholds\[0\]: one of at_most and at_least"),
    ("thresholds: [{at_most: 1}]", r"thresholds\[0\].metric: is missing"),
    ("thresholds: [{metric: a.b, at_most: .nan}]", "nan is no finite number"),
    ("thresholds: [{metric: a.b, at_most: '1'}]", r"thresholds\[0\].at_most: expected a number"),
    ("thresholds: [{metric: a.b, at_most: 1, scop: each}]", "unknown key 'scop', did you mean 'scope'"),
    ("thresholds: [{metric: a.b, at_most: 1, scope: {laer: 3}}]", "unknown field 'laer', did you mean 'layer'"),
    ("thresholds: [{metric: a.b, at_most: 1, scope: all}]", "expected 'each' or fields"),
    ("thresholds: [{metric: a.b, at_most: 1}, {metric: a.b, at_most: 2}]", "two are called 'a.b at_most'"),
    ("thresholds: {metric: a.b, at_most: 1}", "expected a list"),
    ("suppressions: [{rule: a.b, owner: me, reason: x}]", r"suppressions\[0\].expires: is missing"),
    ("suppressions: [{rule: a.b, owner: me, reason: ' ', expires: 2027-01-31}]", "reason: is empty"),
    ("suppressions: [{owner: me, reason: x, expires: 2027-01-31}]", "one of rule and fingerprint"),
    ("suppressions: [{rule: a.b, owner: me, reason: x, expires: '2027-02-30'}]", "expected a day of the calendar"),
    ("suppressions: [{fingerprint: xyz, owner: me, reason: x, expires: 2027-01-31}]", "32 lower-case hex digits"),
    ("require: {controls: [{kind: matched, n: -1}]}", "n: -1 is not at least 1"),
    ("require: {rules: [a.b]}\noptional: [a.b]", "'a.b' is required too"),
    ("plugins: {allow: {weight: newest}}", "'newest' of 'weight' names no versions"),
    ("plugins: {allowed: {}}", "unknown key 'allowed', did you mean 'allow'"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS, ids=[text[:40] for text, _ in FAULTS])
def test_a_slip_is_refused_in_one_line_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        load_policy(written(tmp_path, text))
    assert "\n" not in str(refused.value) and "release.yaml" in str(refused.value)


def test_a_policy_without_the_later_keys_keeps_its_digest() -> None:
    assert Policy().reference().sha256 == "e229aa379efe03f9eba8badb499579c93e3ff91a46c471b919f0d712c1d2d833"
    idle = Policy(require=Require(), thresholds=(), suppressions=(), plugins=Plugins(), cached="allow")
    assert idle.reference() == Policy().reference()
    assert Policy(cached="refuse").reference() != Policy().reference()
    assert overridden(Policy(thresholds=(Threshold(metric="a.b", at_most=1.0),)), "note").thresholds[0].bound == 1.0


def test_the_document_keeps_the_policy_that_its_verdict_names(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, FULL))
    judged = settle(result_of((measure("weight.delta.relative", 0.2, n=1),)), policy)
    stored = codec.loads(codec.dumps(judged))
    assert policy_of(stored) == policy
    laxer = {**stored.properties, "core.policy": {**stored.properties["core.policy"], "fail_on": "never"}}
    assert policy_of(attrs.evolve(stored, properties=laxer)) is None
    assert policy_of(result_of()) is None


NAMES = [
    (Policy(require=Require(analyzers=("weight.dleta",))), "analyzer 'weight.dleta'.*did you mean 'weight.delta'"),
    (Policy(require=Require(rules=("weight.chnage",))), "rule 'weight.chnage'.*did you mean 'weight.change'"),
    (Policy(thresholds=(Threshold(metric="weight.delta.relativ", at_most=0.1),)), "did you mean 'weight.delta.rel"),
    (
        Policy(suppressions=(Suppression(rule="weight.chang", owner="a", reason="b", expires=date(2027, 1, 1)),)),
        r"suppressions\[0\] names the rule 'weight.chang'.*did you mean 'weight.change'",
    ),
    (Policy(require=Require(controls=(Control(kind="mached"),))), "'mached', did you mean 'matched'"),
    (Policy(thresholds=(Threshold(metric="weight.coverage", at_most=1.0),)), "can never be failed"),
    (Policy(thresholds=(Threshold(metric="weight.coverage", at_least=1.5),)), "can never be met"),
]


@pytest.mark.parametrize(("policy", "message"), NAMES, ids=[message[:24] for _, message in NAMES])
def test_names_that_do_not_exist_and_bounds_out_of_reach_are_refused(policy: Policy, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        refuse_unknown_names(policy, Registry.discover())


def test_names_of_a_plugin_that_is_nowhere_at_hand_are_left_to_the_verdict() -> None:
    elsewhere = Policy(require=Require(analyzers=("chess.depth",), rules=("chess.cheating",)))
    refuse_unknown_names(elsewhere, Registry.discover())
    assert settle(result_of((measure("weight.delta.relative", 0.2, n=1),)), elsewhere).verdict.status == "incomplete"


@pytest.mark.parametrize("name", ["adapter", "rl", "sft"])
def test_a_shipped_policy_is_valid_and_names_only_what_exists(name: str) -> None:
    assert name in shipped()
    policy = load_policy(Path(name))
    assert policy.name == name
    jsonschema.validate(policy.canonical(), SCHEMA)
    refuse_unknown_names(policy, Registry.discover())
    assert policy.require.analyzers and policy.thresholds


@pytest.mark.parametrize("name", ["adapter", "rl", "sft"])
def test_what_a_shipped_policy_shows_in_comments_works_when_it_is_uncommented(name: str, tmp_path: Path) -> None:
    text = shipped_path(name).read_text(encoding="utf-8").replace("suppressions: []\n", "suppressions:\n")
    lines = [re.sub(r"^#(?=  [- ] )|^#(?= {3}\w)|^# (?=plugins:)", "", line) for line in text.splitlines()]
    policy = load_policy(written(tmp_path, "\n".join(lines)))
    assert policy.suppressions and policy.plugins.allow and policy.plugins.strict
    refuse_unknown_names(policy, Registry.discover())
