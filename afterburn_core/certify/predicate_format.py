"""The predicate's format, applied: versions first, then the JSON Schema, each fault told with its place.

Within a known version an unknown field is refused. A newer minor version only adds fields; they are dropped, and the
reader is told. Another major version is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from afterburn_core.certify.encoding import Invalid
from afterburn_core.resources import schema_path
from afterburn_core.result.predicate import Predicate, predicate

VERSION = "1.0"
_VERSION = re.compile(r"(0|[1-9][0-9]{0,5})[.](0|[1-9][0-9]{0,5})")


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of the current version."""
    loaded: dict[str, Any] = json.loads(schema_path(VERSION, "certificate").read_text(encoding="utf-8"))
    return loaded


def read(content: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The predicate as this release knows it, and what to tell of fields that it does not know.

    Args:
        content: parsed JSON of a payload whose signature holds.

    Raises:
        Invalid: `predicate.version`: no version that can be read; `predicate.limitations_empty`,
            `predicate.not_tested_empty`, `predicate.tests_empty`: a mandatory list holds nothing; `predicate.schema`:
            the schema refuses it.
    """
    major, minor = _version(content.get("schemaVersion"))
    current_major, current_minor = (int(part) for part in VERSION.split("."))
    if major != current_major:
        raise Invalid("predicate.version", f"the certificate has version {major}.{minor}, not {current_major}.x")
    known, notes = dict(content), tuple[str, ...]()
    if minor > current_minor:
        ignored: list[str] = []
        known = _known(content, schema(), "", ignored)
        fields = f"; not looked at: {', '.join(sorted(ignored)[:8])}" if ignored else ""
        notes = (f"the certificate has version {major}.{minor}, newer than {VERSION} of this release{fields}",)
    for name, code in (("limitations", "limitations"), ("notTested", "not_tested"), ("tests", "tests")):
        if known.get(name) == []:
            raise Invalid(f"predicate.{code}_empty", f"{name} holds nothing, and must")
    if not _quick()(known):
        fault = next(iter(faults(known)), None)
        raise Invalid("predicate.schema", fault or "the predicate is not of the format it claims")
    return known, notes


def faults(content: Any) -> list[str]:
    """What the schema refuses, outermost first, each as `key.key: message`."""
    from jsonschema import Draft202012Validator  # costs a tenth of a second, and a valid certificate never needs it

    errors = sorted(Draft202012Validator(schema()).iter_errors(content), key=lambda error: len(error.absolute_path))
    return [f"{_place(error.absolute_path)}: {_explained(error)}" for error in errors]


def _place(path: Any) -> str:
    return ".".join(str(part) for part in path) or "the predicate"


def _explained(error: Any) -> str:
    """The error in a bounded line; values of strangers are shown as ASCII."""
    match error.validator:
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            return f"{', '.join(missing)} is missing"
        case "additionalProperties":
            unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
            return f"{unknown[0][:80]!a} is no field of the format"
        case "type":
            kinds = error.validator_value
            return f"must be {kinds if isinstance(kinds, str) else ' or '.join(kinds)}"
    if "title" in error.schema:
        return f"must be {error.schema['title']}, not {ascii(error.instance)[:80]}"
    return f"is refused by {error.validator} {ascii(error.validator_value)[:120]}"


def _version(value: Any) -> tuple[int, int]:
    matched = _VERSION.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        raise Invalid("predicate.version", "the certificate names no version of its format")
    return int(matched[1]), int(matched[2])


@cache
def _quick() -> Predicate:
    return predicate(schema(), schema())


def _known(value: Any, described: Mapping[str, Any], place: str, ignored: list[str]) -> Any:
    """`value` without the fields that a closed object of the schema does not list."""
    if "$ref" in described:
        described = schema()["$defs"][described["$ref"].removeprefix("#/$defs/")]
    if isinstance(value, list) and "items" in described:
        return [_known(item, described["items"], place, ignored) for item in value]
    if not isinstance(value, dict) or described.get("additionalProperties") is not False:
        return value
    fields = described["properties"]
    ignored += [f"{place}{name}" for name in value if name not in fields]
    return {
        name: _known(item, fields[name], f"{place}{name}.", ignored) for name, item in value.items() if name in fields
    }
