"""The declaration: what the issuer states of itself, the models and their training. Read from YAML, checked, completed.

Format: `schemas/declaration-1.0.json`. Nothing in it is believed; a certificate repeats it under the origin `declared`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from afterburn_core.errors import ConfigError
from afterburn_core.resources import schema_path

FILE = "declaration.yaml"
VERSION = "1.0"
_DAYS = frozenset({"startedOn", "endedOn", "releaseDate", "from", "to", "thresholdsSetOn"})


def load(path: Path | None) -> dict[str, Any]:
    """The declaration in a file with every field that it leaves out set to null; all of them null without a file.

    Raises:
        ConfigError: it is missing, not YAML, or not what the schema asks for; the message names the place.
    """
    found = completed({} if path is None else _read(path), schema())
    compute = found["training"]["compute"]
    if compute:  # too large for the integers of JSON
        for name in ("postTrainingFlop", "baseFlop"):
            compute[name] = None if compute[name] is None else str(compute[name])
    found["training"]["provided"] = any(value for value in found["training"].values())
    return found


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of a declaration."""
    loaded: dict[str, Any] = json.loads(schema_path(VERSION, "declaration").read_text(encoding="utf-8"))
    return loaded


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a safe loader, made stricter
    except OSError as error:
        raise ConfigError(
            f"declaration {path}: cannot be read ({error.strerror}); `afterburn certify --init` writes a template"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"declaration {path}: not valid YAML ({' '.join(str(error).split())})") from error
    if values is None:
        values = {}
    found = faults(values)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ConfigError(f"declaration {path.name}: {found[0]}{more}")
    plain: dict[str, Any] = values
    return plain


class _Loader(yaml.SafeLoader):
    """Refuses keys that stand twice; leaves days and times as the texts that were written."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    pairs = [(loader.construct_object(key, deep=True), value) for key, value in node.value]
    names = [key for key, _ in pairs]
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"line {node.start_mark.line + 1}: the key {name!r} is no text")
        if names.count(name) > 1:
            raise ValueError(f"line {node.start_mark.line + 1}: the key {name!r} stands twice")
    return {key: loader.construct_object(value, deep=True) for key, value in pairs}


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)


def faults(values: Any) -> list[str]:
    """What the schema refuses, each as `key.key: message`."""
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(schema()).iter_errors(values), key=lambda error: len(error.absolute_path))
    told = [f"{_place(error.absolute_path)}: {_explained(error)}" for error in errors]
    return told + ([] if told else list(_calendar(values, "")))


def _place(path: Any) -> str:
    return ".".join(str(part) for part in path) or "the file"


def _explained(error: Any) -> str:
    if error.validator == "additionalProperties":
        known = set(error.schema.get("properties", {}))
        unknown = sorted(set(error.instance) - known)
        return f"unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}"
    if error.validator == "type":
        kinds = error.validator_value
        return f"must be {kinds if isinstance(kinds, str) else ' or '.join(kinds)}"
    if "title" in error.schema:
        return f"must be {error.schema['title']}"
    return " ".join(error.message.split())[:200]


def _calendar(value: Any, place: str) -> Any:
    """Days that no calendar has."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _calendar(item, f"{place}.{key}" if place else str(key))
            if key in _DAYS and isinstance(item, str):
                try:
                    date.fromisoformat(item)
                except ValueError:
                    yield f"{place}.{key}: {item!r} is no day of the calendar"


def completed(values: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    """The values with every property of the schema present: null, an empty list, or an object of nulls."""
    found: dict[str, Any] = {}
    for name, kind in described["properties"].items():
        kind = resolved(kind)
        value = values.get(name)
        kinds = kind.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if value is None and "default" in kind:
            found[name] = kind["default"]
        elif value is None and "null" in kinds:
            found[name] = None
        elif "object" in kinds and "properties" in kind:
            found[name] = completed(value or {}, kind)
        elif "array" in kinds:
            entry = resolved(kind.get("items", {}))
            found[name] = [completed(one, entry) if "properties" in entry else one for one in value or []]
        else:
            found[name] = value
    return found


def resolved(kind: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of the schema with its reference followed."""
    if "$ref" in kind:
        return {**schema()["$defs"][kind["$ref"].removeprefix("#/$defs/")], **kind}
    return kind
