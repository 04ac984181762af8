"""Lists of prompts in YAML and JSON, with the line on which each item starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afterburn_core.errors import SchemaError
from afterburn_core.result.strict_json import parse, show

Numbered = tuple[int | None, Any]
"""Line and value of a row; the line is `None` where the format has none."""

_KEYS = ("prompts", "probes", "items")


def json_rows(text: str) -> tuple[Mapping[str, Any], list[Numbered]]:
    """The settings beside the list, and the list.

    Raises:
        ValueError: `line: what; what to do`.
    """
    try:
        value = parse(f'{{"list": {text}\n}}')["list"]  # so that a bare list is refused and named like an object
    except SchemaError as error:
        raise ValueError(f" {error.problems[0].replace('$.list', '$')}; write strict JSON") from None
    settings, key, rows = _list(value)
    return settings, list(zip(_marks(text, key, len(rows)), rows, strict=True))


def yaml_rows(text: str) -> tuple[Mapping[str, Any], list[Numbered]]:
    """Like `json_rows`, for YAML; only plain values, no tags, no anchors beyond what YAML itself resolves."""
    import yaml

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise ValueError("1: uses YAML aliases, which can stand for more than memory holds; write items out")
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "cannot be parsed"
        raise ValueError(f"{mark.line + 1 if mark else 1}: not YAML: {what}; mend the file") from None
    except RecursionError:
        raise ValueError("1: is nested too deeply; write a list of prompts") from None
    settings, key, rows = _list(value)
    return settings, list(zip(_marks(text, key, len(rows)), rows, strict=True))


def _list(value: Any) -> tuple[Mapping[str, Any], str | None, list[Any]]:
    if isinstance(value, list):
        return {}, None, value
    if isinstance(value, Mapping):
        keys = [key for key in _KEYS if key in value]
        if len(keys) == 1 and isinstance(value[keys[0]], list):
            return {str(name): item for name, item in value.items() if name != keys[0]}, keys[0], value[keys[0]]
        if len(keys) == 1:
            raise ValueError(f"1: {keys[0]} is {show(value[keys[0]])}; write a list of prompts")
    raise ValueError("1: holds no list of prompts; write a list, or an object with 'prompts'")


def _marks(text: str, key: str | None, n: int) -> list[int | None]:
    """The line of each item: JSON is nearly YAML, and the YAML parser knows lines; where it fails, none."""
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return [None] * n
    if isinstance(node, yaml.MappingNode):
        node = next((value for name, value in node.value if name.value == key), None)
    if not isinstance(node, yaml.SequenceNode) or len(node.value) != n:
        return [None] * n
    return [item.start_mark.line + 1 for item in node.value]
