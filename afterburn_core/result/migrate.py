"""Versions: which documents this release reads, and how older and newer ones become current.

A minor version only adds optional fields. So an older minor is brought forward by pure steps, a newer one is read
without the fields this release does not know, and another major is refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from afterburn_core.errors import UnsupportedSchemaError
from afterburn_core.result.model import SCHEMA_VERSION
from afterburn_core.result.schema import loaded_schema
from afterburn_core.result.strict_json import json_path, refusal, show

__all__ = ["STEPS", "Migrated", "Step", "migrate"]

Step = Callable[[dict[str, Any]], dict[str, Any]]

STEPS: Mapping[str, Step] = {}
"""By the version it starts from: the function that turns a document of that minor version into one of the next.

It must not change its argument. A version without an entry needs no change, since only optional fields came.
"""

_VERSION = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")
_log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Migrated:
    """A document of the current version, and what a person should know about how it became one."""

    document: dict[str, Any]
    """The document; its `schema_version` is the current one."""
    notes: tuple[str, ...] = ()
    """One line for each version crossed or field ignored; empty for a document that was current."""


def migrate(document: dict[str, Any], *, current: str = SCHEMA_VERSION, steps: Mapping[str, Step] = STEPS) -> Migrated:
    """`document` as one of version `current`; the argument stays as it is. Notes are logged as warnings.

    Raises:
        SchemaError: there is no version, it is malformed, or it is older than the first major that can be read.
        UnsupportedSchemaError: the major version is newer than `current`.
    """
    found = document.get("schema_version")
    if found == current:
        return Migrated(document=document)
    if found is None:
        problem = f"$.schema_version: is missing; a result of this release says {current!r}"
        raise refusal(problem)
    matched = _VERSION.fullmatch(found) if isinstance(found, str) else None
    if matched is None:
        problem = f"$.schema_version: must be a text such as {current!r}, not {show(found)}"
        raise refusal(problem)
    major, minor = int(matched[1]), int(matched[2])
    current_major, current_minor = (int(part) for part in current.split("."))
    if major > current_major:
        problem = (
            f"$.schema_version: the document has version {found}, and this release reads up to {current_major}.x; "
            "update afterburn-core"
        )
        raise UnsupportedSchemaError(problem, (problem,))
    if major < current_major:
        problem = f"$.schema_version: version {found} is older than {current_major}.0, the first that can be read"
        raise refusal(problem)
    if minor > current_minor:
        return _ignoring_unknown(document, found, current)
    for step_minor in range(minor, current_minor):
        document = steps.get(f"{major}.{step_minor}", dict)(document)
    migrated = Migrated(
        document={**document, "schema_version": current}, notes=(f"read version {found} as version {current}",)
    )
    return _logged(migrated)


def _ignoring_unknown(document: dict[str, Any], found: str, current: str) -> Migrated:
    ignored: list[str] = []
    schema = loaded_schema()
    known = _known({**document, "schema_version": current}, schema, (), ignored)
    newer = f"the document has version {found}, newer than {current} of this release"
    fields = f"; ignored fields: {', '.join(sorted(set(ignored)))}" if ignored else ""
    return _logged(Migrated(document=known, notes=(newer + fields,)))


def _logged(migrated: Migrated) -> Migrated:
    for note in migrated.notes:
        _log.warning("%s", note)
    return migrated


def _known(value: Any, schema: Mapping[str, Any], path: tuple[str, ...], ignored: list[str]) -> Any:
    """`value` without the fields that a closed object of `schema` does not list."""
    if "$ref" in schema:
        schema = loaded_schema()["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if isinstance(value, list) and "items" in schema:
        return [_known(item, schema["items"], path, ignored) for item in value]
    if not isinstance(value, dict) or schema.get("additionalProperties") is not False:
        return value
    fields = schema["properties"]
    ignored += [json_path((*path, name)) for name in value if name not in fields]
    return {name: _known(item, fields[name], (*path, name), ignored) for name, item in value.items() if name in fields}
