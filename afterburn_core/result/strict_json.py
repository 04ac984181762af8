"""JSON as a result document may use it, and how faults in it are named.

The standard parser takes more than JSON allows (`NaN`) and more than is safe (a key twice, where two readers may
choose differently), so both are refused here, with the place of the fault.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from afterburn_core.errors import SchemaError

__all__ = ["faults", "is_text", "json_path", "parse", "parse_unwalked", "refusal", "show"]

MAX_DEPTH = 64
"""Containers inside containers; a document needs eight, and every later step may recurse this far."""

_SHOWN = 60  # characters of a value inside a message


class _Repeating(dict[str, Any]):
    """An object in which keys occurred more than once."""

    repeated: tuple[str, ...] = ()


def parse(text: str | bytes) -> dict[str, Any]:
    """The JSON object in `text`.

    Raises:
        SchemaError: the text is no JSON, holds NaN, an infinity or a key twice, is nested too deeply, or its
            outermost value is no object. `problems` names each place.
    """
    value = parse_unwalked(text)
    found = faults(value)
    if found:
        raise refusal(*found)
    return value


def parse_unwalked(text: str | bytes) -> dict[str, Any]:
    """Like `parse`, except that NaN, infinities, half characters and depth are left for the caller to refuse."""
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise refusal(f"$: is not UTF-8 text: byte {error.start} cannot be decoded") from None
    if text.startswith("\ufeff"):
        raise refusal("$: starts with a byte order mark; save it as UTF-8 without one")
    try:
        value = _decoded(text)
    except json.JSONDecodeError as error:
        raise refusal(f"$: not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise refusal(f"$: is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError:  # Python converts no integers of thousands of digits
        raise refusal("$: holds an integer of more digits than any number here has") from None
    if not isinstance(value, dict):
        raise refusal(f"$: must be an object, not {show(value)}")
    return value


def refusal(*problems: str) -> SchemaError:
    """The error for these problems; its message is the first one and how many more there are, on one line."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return SchemaError(problems[0] + more, problems)


def faults(value: Any) -> tuple[str, ...]:
    """Everything in `value` that JSON text cannot carry faithfully, as `$.a.b[0]: message` in document order."""
    found: list[str] = []
    stack: list[tuple[Any, Any, int]] = [(value, None, 0)]  # value, path as (parent, key) pairs, depth
    while stack:
        item, path, depth = stack.pop()
        message = None
        if isinstance(item, str):
            if not is_text(item):
                message = "holds half of a surrogate pair, which is no text"
        elif item is None or isinstance(item, bool):
            pass
        elif isinstance(item, float):
            if not math.isfinite(item):
                message = f"is {item}, and JSON has finite numbers only; write null and say why"
        elif isinstance(item, int):
            if item.bit_length() > 1023:
                message = "is an integer beyond the range of a double"
        elif not isinstance(item, (dict, list)):
            message = f"is a {type(item).__name__}, which JSON has not"
        elif depth >= MAX_DEPTH:
            message = f"is nested deeper than {MAX_DEPTH} levels"
        elif isinstance(item, dict):
            if isinstance(item, _Repeating):
                found += [f"{_path((path, key))}: occurs more than once" for key in item.repeated]
            for key in item:
                if not isinstance(key, str) or not is_text(key):
                    found.append(f"{_path(path)}: has the key {show(key)}, which is no text")
            stack += [(child, (path, key), depth + 1) for key, child in reversed(item.items())]
        else:
            stack += [(item[i], (path, i), depth + 1) for i in range(len(item) - 1, -1, -1)]
        if message:
            found.append(f"{_path(path)}: {message}")
    return tuple(found)


def json_path(parts: Iterable[str | int]) -> str:
    """`$.findings[3].rule`; keys that are no plain names are quoted."""
    text = "$"
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier() and part.isascii():
            text += f".{part}"
        else:
            text += f"[{_clip(json.dumps(part))}]"  # escapes control characters
    return text


def show(value: Any) -> str:
    """`value` on one line, short and free of control characters, for messages."""
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() > 1023:
        return "a huge integer"
    return _clip(repr(value))


class _Repeats(Exception):
    """Some object has a key more than once."""


def _decoded(text: str) -> Any:
    try:
        return _QUICK.decode(text)
    except _Repeats:
        raise refusal(*faults(_MARKING.decode(text))) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Repeats
    return value


def _marked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    repeating = _Repeating(value)
    repeating.repeated = tuple(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
    return repeating


_QUICK = json.JSONDecoder(object_pairs_hook=_unique)  # made once: a table is as many texts as it has rows
_MARKING = json.JSONDecoder(object_pairs_hook=_marked)


def _path(path: Any) -> str:
    parts: list[str | int] = []
    while path is not None:
        path, part = path
        parts.append(part if isinstance(part, int) else str(part))
    return json_path(reversed(parts))


def is_text(text: str) -> bool:
    """Whether `text` can be encoded, which half of a surrogate pair (`"\\ud800"` in JSON) cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _clip(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
