"""Between the frozen classes and plain JSON values, without ever guessing.

cattrs on its own turns `"3"` into 3, `"false"` into True and a text into a tuple of letters; every such conversion is
refused here. The one that is kept is a whole number where a float belongs, which becomes that float on reading and on
writing, so that a document written twice has the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from afterburn_core.result.model import Measurement, Result
from afterburn_core.result.strict_json import refusal, show

__all__ = ["structure", "structure_measurement", "unstructure"]

T = TypeVar("T")


def unstructure(value: Result | Measurement) -> dict[str, Any]:
    """`value` as dicts, lists and plain values; optional fields that are `None` are left out."""
    document: dict[str, Any] = _CONVERTER.unstructure(value)
    return document


def structure(document: dict[str, Any]) -> Result:
    """The result that a document of the current version holds; raises SchemaError on wrong types."""
    return _structured(document, Result)


def structure_measurement(row: dict[str, Any]) -> Measurement:
    """The measurement that one row of a table holds; raises SchemaError on wrong types."""
    return _structured(row, Measurement)


def _structured(value: dict[str, Any], kind: type[T]) -> T:
    try:
        return _CONVERTER.structure(value, kind)
    except cattrs.BaseValidationError as error:
        lines = cattrs.transform_error(error, format_exception=lambda exception, _: str(exception))
        problems = tuple("{2}: {0}".format(*line.rpartition(" @ ")) for line in lines)
        raise refusal(*problems) from None


def _exactly(kind: type, name: str) -> Callable[[Any, Any], Any]:
    def hook(value: Any, _: Any) -> Any:
        if type(value) is not kind:  # not isinstance: True is an int
            raise TypeError(f"must be {name}, not {show(value)}")
        return value

    return hook


def _number(value: Any, _: Any = None) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"must be a number, not {show(value)}")
    return float(value)


def _number_out(value: Any) -> Any:
    try:
        return _number(value)
    except (TypeError, OverflowError):
        return value  # validation names the place


def _choice(kind: Any) -> Callable[[Any, Any], Any]:
    options = get_args(kind)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, str) or value not in options:
            raise ValueError(f"must be one of {', '.join(map(show, options))}, not {show(value)}")
        return value

    return hook


def _tuple(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    from_list = cattrs.cols.homogenous_tuple_structure_factory(kind, converter)

    def hook(value: Any, kind: Any) -> Any:
        if not isinstance(value, list):
            raise TypeError(f"must be a list, not {show(value)}")
        return from_list(value, kind)

    return hook


def _mapping(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    from_dict = cattrs.cols.mapping_structure_factory(kind, converter, structure_to=dict)

    def hook(value: Any, kind: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"must be an object, not {show(value)}")
        return from_dict(value, kind)

    return hook


def _plain(value: Any) -> Any:
    """Open maps hold whatever JSON can say, and code may write tuples and mappings of other kinds into them."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _without_absent(kind: type[attrs.AttrsInstance], converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    absent: Any = {field.name: override(omit_if_default=True) for field in attrs.fields(kind) if field.default is None}
    return make_dict_unstructure_fn(kind, converter, **absent)


def _has_origin(origin: Any) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, unstruct_collection_overrides={tuple: list})
    converter.register_structure_hook(str, _exactly(str, "a text"))
    converter.register_structure_hook(int, _exactly(int, "a whole number"))
    converter.register_structure_hook(bool, _exactly(bool, "true or false"))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_factory(_has_origin(Literal), _choice)
    converter.register_structure_hook_factory(_has_origin(tuple), lambda kind: _tuple(kind, converter))
    converter.register_structure_hook_factory(_has_origin(Mapping), lambda kind: _mapping(kind, converter))
    converter.register_unstructure_hook(float, _number_out)
    converter.register_unstructure_hook_func(_has_origin(Mapping), _plain)
    converter.register_unstructure_hook_factory(attrs.has, lambda kind: _without_absent(kind, converter))
    return converter


_CONVERTER = _converter()
