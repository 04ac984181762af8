"""JSON Schema as a quick test: a schema becomes nested closures that answer yes, or "ask the validator".

A document may hold twenty thousand measurements, which the general validator takes ten seconds for; the closures take
a fraction of one. They need not explain anything and may be overcautious, so they stay small: `True` means valid under
the schema, with finite numbers and whole characters wherever it asks for a number or a text; `False` means that
jsonschema has to look. A property test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from afterburn_core.result.strict_json import is_text

__all__ = ["Predicate", "predicate"]

Predicate = Callable[[Any], bool]


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 1024


_ANNOTATIONS = {"$comment", "$defs", "$id", "$schema", "description", "title"}
_TYPES: Mapping[str, Predicate] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": lambda value: isfinite(value) if isinstance(value, float) else _is_integer(value),
    "string": lambda value: isinstance(value, str) and is_text(value),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def predicate(schema: Mapping[str, Any] | bool, root: Mapping[str, Any]) -> Predicate:
    """A function that is true only for values valid under `schema`; `$ref` points into `root`.

    Raises:
        ValueError: the schema uses a keyword this module does not know.
    """
    return _compile(schema, root, {})


def _compile(schema: Mapping[str, Any] | bool, root: Mapping[str, Any], known: dict[str, Predicate]) -> Predicate:
    if isinstance(schema, bool):
        return lambda value: schema
    rest = {key: schema[key] for key in schema if key not in _ANNOTATIONS}

    def sub(part: Mapping[str, Any] | bool) -> Predicate:
        return _compile(part, root, known)

    tests: list[Predicate] = []
    if "type" in rest:
        names = rest.pop("type")
        tests.append(_any_type([names] if isinstance(names, str) else names))
    if "$ref" in rest:
        reference = rest.pop("$ref")
        if reference not in known:
            known[reference] = sub(root["$defs"][reference.removeprefix("#/$defs/")])
        tests.append(known[reference])
    if rest.keys() & {"properties", "additionalProperties", "required"}:
        fields = {name: sub(part) for name, part in rest.pop("properties", {}).items()}
        extra = sub(rest.pop("additionalProperties", True))
        tests.append(_object(fields, extra, frozenset(rest.pop("required", ()))))
    if "items" in rest:
        tests.append(_items(sub(rest.pop("items"))))
    if "if" in rest:
        tests.append(_branch(rest.pop("if"), sub(rest.pop("then", True)), sub(rest.pop("else", True))))
    for keyword, operand in rest.items():
        if keyword not in _LEAVES:
            raise ValueError(f"no quick test for the schema keyword {keyword!r}")
        tests.append(_LEAVES[keyword](operand))
    return _all(tests)


def _all(tests: list[Predicate]) -> Predicate:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:  # half of all; a plain `and` takes a third of the time of the loop
        one, two = tests
        return lambda value: one(value) and two(value)

    def every(value: Any) -> bool:
        for test in tests:  # noqa: SIM110 - a generator's frame would double the time
            if not test(value):
                return False
        return True

    return every


def _any_type(names: list[str]) -> Predicate:
    if len(names) == 1:
        return _TYPES[names[0]]
    if len(names) == 2:
        one, two = (_TYPES[name] for name in names)
        return lambda value: one(value) or two(value)
    types = tuple(_TYPES[name] for name in names)
    return lambda value: any(test(value) for test in types)


def _object(fields: Mapping[str, Predicate], extra: Predicate, required: frozenset[str]) -> Predicate:
    def test(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        for key in value:
            if not fields.get(key, extra)(value[key]):
                return False
        return required <= value.keys()

    return test


def _items(each: Predicate) -> Predicate:
    return lambda value: not isinstance(value, list) or all(map(each, value))


def _branch(condition: Mapping[str, Any], then: Predicate, otherwise: Predicate) -> Predicate:
    # An overcautious answer to a condition would choose the wrong branch, so only a form with an exact one is known.
    properties = condition.get("properties", {})
    if condition.keys() != {"properties"} or [*map(list, properties.values())] != [["const"]]:
        raise ValueError(f"no quick test for the condition {condition!r}")
    ((name, part),) = properties.items()
    wanted = part["const"]

    def test(value: Any) -> bool:
        holds = not isinstance(value, dict) or value.get(name, wanted) == wanted
        return then(value) if holds else otherwise(value)

    return test


def _pattern(pattern: str) -> Predicate:
    matches = re.compile(pattern).fullmatch
    return lambda value: not isinstance(value, str) or matches(value) is not None


def _choice(options: list[str]) -> Predicate:
    if not all(isinstance(option, str) for option in options):
        raise ValueError("no quick test for constants that are no strings")
    allowed = frozenset(options)
    return lambda value: isinstance(value, str) and value in allowed


def _number(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Predicate]:
    number = _TYPES["number"]
    return lambda limit: lambda value: not number(value) or compare(value, limit)


def _length(kind: type[str] | type[list[Any]], compare: Callable[[int, int], bool]) -> Callable[[int], Predicate]:
    return lambda limit: lambda value: not isinstance(value, kind) or compare(len(value), limit)


def _unique(wanted: bool) -> Predicate:
    if not wanted:
        return lambda value: True
    return lambda value: isinstance(value, list) and all(map(_TYPES["string"], value)) and len(set(value)) == len(value)


_LEAVES: Mapping[str, Callable[[Any], Predicate]] = {
    "const": lambda operand: _choice([operand]),
    "enum": _choice,
    "pattern": _pattern,
    "minimum": _number(lambda value, limit: bool(value >= limit)),
    "maximum": _number(lambda value, limit: bool(value <= limit)),
    "exclusiveMinimum": _number(lambda value, limit: bool(value > limit)),
    "exclusiveMaximum": _number(lambda value, limit: bool(value < limit)),
    "minLength": _length(str, lambda size, limit: size >= limit),
    "maxLength": _length(str, lambda size, limit: size <= limit),
    "minItems": _length(list, lambda size, limit: size >= limit),
    "maxItems": _length(list, lambda size, limit: size <= limit),
    "uniqueItems": _unique,
}
