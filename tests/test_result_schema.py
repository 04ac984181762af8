"""The JSON Schema and the classes that mirror it say the same, and the quick test agrees with jsonschema."""

from __future__ import annotations

import ast
import copy
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterburn_core.result import codec, model
from afterburn_core.result.model import Result
from afterburn_core.result.predicate import predicate
from afterburn_core.result.schema import loaded_schema, schema_faults
from afterburn_core.testing.documents import golden, results

SCHEMA = loaded_schema()
CLASSES = [kind for kind in vars(model).values() if isinstance(kind, type) and attrs.has(kind)]
OPEN = {
    ("Run", "configuration"),
    ("Subject", "properties"),
    ("Result", "properties"),
}
MAPS_OF = {
    ("Environment", "packages"): "string",
    ("Subject", "dtypes"): "integer",
    ("Execution", "counters"): "integer",
}


def definition(kind: type) -> Mapping[str, Any]:
    return SCHEMA if kind is Result else SCHEMA["$defs"][kind.__name__]


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema


def subschemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from subschemas(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from subschemas(part)


def fields() -> Iterator[Any]:
    for kind in CLASSES:
        for field in attrs.fields(attrs.resolve_types(kind)):
            yield pytest.param(kind, field, id=f"{kind.__name__}.{field.name}")


def agrees(kind: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a property's schema allows just what the field's type does, ranges and patterns aside."""
    if get_origin(kind) is types.UnionType:
        return agrees(get_args(kind)[0], schema)  # absent, never null
    if attrs.has(kind):
        return schema.get("$ref") == f"#/$defs/{kind.__name__}"
    schema = resolved(schema)
    if get_origin(kind) is Literal:
        return schema["enum"] == list(get_args(kind))
    if get_origin(kind) is tuple:
        return schema["type"] == "array" and agrees(get_args(kind)[0], schema["items"])
    if get_origin(kind) is Mapping:
        entries = schema["additionalProperties"]
        value = get_args(kind)[1]
        return schema["type"] == "object" and (entries is True if value is Any else agrees(value, entries))
    if kind is str and "const" in schema:
        return isinstance(schema["const"], str)
    return schema["type"] == {str: "string", int: "integer", float: "number", bool: "boolean"}[kind]


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_class_has_a_definition_and_every_definition_a_use() -> None:
    used = {part["$ref"] for part in subschemas(SCHEMA) if "$ref" in part}
    assert used == {f"#/$defs/{name}" for name in SCHEMA["$defs"]}
    capitalised = {name for name in SCHEMA["$defs"] if name[0].isupper()}
    assert capitalised == {kind.__name__ for kind in CLASSES if kind is not Result}


@pytest.mark.parametrize("kind", CLASSES)
def test_fields_and_properties_are_the_same_and_required_alike(kind: type) -> None:
    schema = definition(kind)
    members = attrs.fields(kind)
    assert list(schema["properties"]) == [field.name for field in members]
    required = {field.name for field in members if field.default is attrs.NOTHING}
    assert set(schema.get("required", ())) == required
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(("kind", "field"), list(fields()))
def test_a_field_and_its_property_have_the_same_type(kind: type, field: Any) -> None:
    schema = definition(kind)["properties"][field.name]
    if (kind.__name__, field.name) == ("Measurement", "value"):
        assert schema["type"] == ["number", "null"]
    else:
        assert agrees(field.type, schema)


def test_every_property_and_definition_is_described() -> None:
    for part in subschemas(SCHEMA):
        if part.get("additionalProperties") is False:
            assert part["description"].strip()
            for name, schema in part["properties"].items():
                assert schema.get("description", "").strip().endswith((".", "…")), name


def test_every_class_and_field_has_a_docstring() -> None:
    tree = ast.parse(Path(model.__file__).read_text(encoding="utf-8"))
    for node in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        assert ast.get_docstring(node), node.name
        for field, after in zip(node.body, [*node.body[1:], None]):
            if isinstance(field, ast.AnnAssign):
                documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                assert documented, f"{node.name}.{ast.unparse(field.target)}"


def test_objects_are_closed_except_the_open_maps() -> None:
    for kind in CLASSES:
        for name, schema in definition(kind)["properties"].items():
            target = resolved(schema)
            if target.get("type") == "object" and target.get("additionalProperties") is not False:
                entries = target["additionalProperties"]
                if entries is True:
                    assert (kind.__name__, name) in OPEN
                else:
                    assert resolved(entries)["type"] == MAPS_OF[kind.__name__, name]


def test_every_pattern_speaks_of_the_whole_text() -> None:
    patterns = [part["pattern"] for part in subschemas(SCHEMA) if isinstance(part.get("pattern"), str)]
    assert len(patterns) >= 8
    assert all(pattern.startswith("^") and pattern.endswith("$") for pattern in patterns)


@pytest.mark.parametrize("name", sorted(golden()))
def test_golden_documents_are_valid_for_an_ordinary_validator(name: str) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(codec.to_dict(golden()[name]))


SMALL = codec.to_dict(golden()["1.0-hostile"])
ODD_VALUES = [
    None,
    True,
    0,
    -1,
    1.0,
    1.5,
    "",
    "x",
    "0" * 64,
    "2026-01-15T09:30:00Z\n",
    "a.b\n",
    "/etc",
    [],
    ["x", "x"],
    {},
]


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in entries:
        yield from places(part, (*path, key))


def replaced(document: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(document)
    *parents, last = path
    target: Any = document
    for part in parents:
        target = target[part]
    target[last] = value
    return document


@settings(max_examples=100)
@given(path=st.sampled_from([path for path in places(SMALL) if path]), value=st.sampled_from(ODD_VALUES))
def test_the_quick_test_accepts_no_document_that_jsonschema_refuses(path: tuple[str | int, ...], value: Any) -> None:
    document = replaced(SMALL, path, value)
    accepted = predicate(SCHEMA, SCHEMA)(document)
    strict = jsonschema.validators.extend(
        jsonschema.Draft202012Validator,
        type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
            "integer", lambda _, number: isinstance(number, int) and not isinstance(number, bool)
        ),
    )
    valid = strict(SCHEMA).is_valid(document)
    if isinstance(value, str) and value.endswith("\n"):
        assert valid or not accepted  # an ordinary validator takes `$` for the end of the last line
    else:
        assert accepted == valid
    assert accepted == (schema_faults(document) == ())


@settings(max_examples=25)
@given(results())
def test_the_quick_test_accepts_every_valid_document(result: Result) -> None:
    assert predicate(SCHEMA, SCHEMA)(codec.to_dict(result))


@pytest.mark.parametrize(
    "schema",
    [
        {"format": "date-time"},
        {"enum": [1, 2]},
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
        {"if": {"properties": {"a": {"const": "x"}, "b": {"const": "y"}}}, "then": False},
    ],
)
def test_the_quick_test_refuses_a_schema_it_does_not_know_rather_than_guess(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no quick test"):
        predicate(schema, {})
