"""The JSON Schema of the result document, applied: what a value breaks, told as `$.a.b[0]: message`."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

from afterburn_core.resources import schema_path
from afterburn_core.result.model import SCHEMA_VERSION
from afterburn_core.result.predicate import Predicate, predicate
from afterburn_core.result.strict_json import faults, json_path, show

__all__ = ["MOST_PROBLEMS", "loaded_schema", "row_faults", "schema_faults"]

MOST_PROBLEMS = 100
"""Faults listed for one document; the rest would not be read, and each costs a millisecond."""

_LONG = {"measurements": "Measurement", "findings": "Finding"}
"""Lists that are tested entry by entry, so that one bad entry does not send thousands through the slow validator."""

_TYPE_NAMES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}


@cache
def loaded_schema() -> Mapping[str, Any]:
    """The schema of the current version."""
    schema: dict[str, Any] = json.loads(schema_path(SCHEMA_VERSION).read_text(encoding="utf-8"))
    return schema


def schema_faults(document: dict[str, Any]) -> tuple[str, ...]:
    """Everything in `document` that the schema refuses, outermost faults first; empty for a valid document."""
    if _test(None)(document):
        return ()
    long = {name: document[name] for name in _LONG if isinstance(document.get(name), list)}
    found = _ordered(_errors(document | {name: [] for name in long}, None, ()))
    for name, entries in long.items():
        room = MOST_PROBLEMS + 1 - len(found)
        found += islice(_entry_faults(_LONG[name], entries, name), max(room, 0))
    return tuple(found)


def row_faults(row: Any) -> tuple[str, ...]:
    """Everything in `row`, a parsed but unwalked text, that is refused for a measurement; paths start at the row."""
    if _test("Measurement")(row):  # holds for no value that `faults` would refuse: a measurement has no open maps
        return ()
    return faults(row) or tuple(_ordered(_errors(row, "Measurement", ())))


def _entry_faults(definition: str, entries: list[Any], name: str) -> Iterator[str]:
    accepts = _test(definition)
    for index, entry in enumerate(entries):
        if not accepts(entry):
            yield from _ordered(_errors(entry, definition, (name, index)))


@cache
def _test(definition: str | None) -> Predicate:
    schema = loaded_schema()
    return predicate(schema if definition is None else schema["$defs"][definition], schema)


@cache
def _validator(definition: str | None) -> Any:
    # Imported on use: a valid document never needs it, and the import is a tenth of a second.
    from jsonschema import Draft202012Validator, ValidationError, validators

    def pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
        # Python's `$` also matches before a final line feed; the schema's means the end.
        if isinstance(instance, str) and not predicate({"pattern": pattern}, {})(instance):
            yield ValidationError(f"{instance!r} does not match {pattern!r}")

    types = Draft202012Validator.TYPE_CHECKER.redefine(
        # JSON Schema also counts 1.0 as an integer; other readers of the document would not.
        "integer",
        lambda _, value: isinstance(value, int) and not isinstance(value, bool),
    )
    kind = validators.extend(Draft202012Validator, {"pattern": pattern}, type_checker=types)
    schema = loaded_schema()
    if definition is not None:
        schema = {"$defs": schema["$defs"], "$ref": f"#/$defs/{definition}"}
    return kind(schema)


Path = tuple[str | int, ...]


def _errors(value: Any, definition: str | None, prefix: Path) -> Iterator[tuple[Path, str, str]]:
    """Path, keyword and message of each error, at most one of a wrong type per place."""
    wrong_type: set[Path] = set()
    seen: set[tuple[Path, str]] = set()
    errors = sorted(_validator(definition).iter_errors(value), key=lambda error: error.validator != "type")
    for error in errors:
        place = prefix + tuple(error.absolute_path)
        if place in wrong_type:
            continue  # what else is said of a value of the wrong type does not help
        if error.validator == "type":
            wrong_type.add(place)
        for path, message in _explained(error, place):
            if (path, message) not in seen:
                seen.add((path, message))
                yield path, error.validator, message


def _ordered(errors: Iterator[tuple[Path, str, str]]) -> list[str]:
    first_come = sorted(errors, key=lambda error: len(error[0]))  # stable: document order within a depth
    return [f"{json_path(path)}: {message}" for path, _, message in first_come]


def _explained(error: Any, place: Path) -> Iterator[tuple[Path, str]]:
    """The error in words, at the place where it is to be mended."""
    schema, value, operand = error.schema, error.instance, error.validator_value
    because = f": {schema['$comment']}" if "$comment" in schema else ""
    match error.validator:
        case "required":
            for name in operand:
                if name not in value:
                    yield (*place, name), f"is missing{because}"
        case "additionalProperties":
            for name in value.keys() - schema["properties"].keys():
                near = difflib.get_close_matches(name, schema["properties"], n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                yield (*place, name), f"is not a field of the schema{hint}"
        case "type":
            names = [operand] if isinstance(operand, str) else operand
            wanted = " or ".join(_TYPE_NAMES[name] for name in names)
            yield place, f"must be {wanted}, not {show(value)}{because}"
        case "enum":
            yield place, f"must be one of {', '.join(map(show, operand))}, not {show(value)}"
        case "const":
            yield place, f"must be {show(operand)}, not {show(value)}"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            bound = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above"}
            yield place, f"must be {bound.get(error.validator, 'below')} {operand}, not {show(value)}"
        case "uniqueItems":
            yield place, "must not name anything twice"
        case _ if "title" in schema:
            yield place, f"must be {schema['title']}, not {show(value)}"
        case keyword:
            yield place, f"is refused by {keyword} {show(operand)}{because}"
