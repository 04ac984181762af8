"""Bytes to values and back, with one way to write each value: strict JSON, RFC 8785 (JCS), canonical base64.

What a certificate says must not depend on who reads it. JSON alone leaves room for that: duplicate keys, NaN, numbers
that do not fit a double, half characters, other encodings. All of it is refused here, each fault under its own code.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from afterburn_core.errors import ConfigError, VerificationError

LIMIT = 32 * 1024 * 1024
"""Bytes of the largest document that is read."""
MAX_DEPTH = 100
"""Levels of nesting; far above what any of our documents has and far below what any reader can take."""
MAX_INTEGER = 2**53 - 1
"""Above it a reader that holds numbers as doubles sees another number (RFC 8785, 3.2.2.3)."""


class Invalid(VerificationError):
    """A certificate, or what is presented with it, is not what it claims to be; `code` says which rule was broken."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code


def read(path: Path, *, what: str, limit: int = LIMIT) -> bytes:
    """A file's bytes, at most `limit` of them.

    Raises:
        ConfigError: there is no such file, or it cannot be read.
        Invalid: `file.too_large`.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {what} cannot be read ({error.strerror})") from error
    if len(data) > limit:
        raise Invalid("file.too_large", f"{path.name}: larger than the {limit} bytes that {what} may have")
    return data


def parse(data: bytes, *, what: str, scope: str = "json", limit: int = LIMIT) -> Any:
    """The value of a JSON document of which no two readers can see different things.

    Args:
        data: strict UTF-8 without a byte order mark.
        what: names the document in messages.
        scope: first part of the codes of refusals.
        limit: bytes of the largest document that is looked at.

    Raises:
        Invalid: `<scope>.` and one of `too_large`, `byte_order_mark`, `encoding`, `duplicate_key`, `not_finite`,
            `integer`, `depth`, `surrogate`, `syntax`.
    """

    def refuse(fault: str, message: str) -> NoReturn:
        raise Invalid(f"{scope}.{fault}", f"{what}: {message}")

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            times = Counter(name for name, _ in pairs)
            repeated = next(name for name in times if times[name] > 1)
            refuse("duplicate_key", f"key {repeated[:60]!r} occurs twice in one object")
        return found

    def integer(digits: str) -> int:
        value = int(digits) if len(digits) <= 17 else MAX_INTEGER + 1
        if abs(value) > MAX_INTEGER:
            refuse("integer", f"the integer {digits[:24]} does not fit a double; such numbers are written as strings")
        return value

    def real(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):  # 1e999 is well-formed JSON and no number
            refuse("not_finite", f"{digits[:24]} does not fit a double")
        return value

    if len(data) > limit:
        refuse("too_large", f"{len(data)} bytes, more than the {limit} that are read")
    if data.startswith(b"\xef\xbb\xbf"):
        refuse("byte_order_mark", "begins with a byte order mark")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        refuse("encoding", f"byte {error.start} is not UTF-8")
    try:
        value = json.loads(
            text,
            object_pairs_hook=members,
            parse_int=integer,
            parse_float=real,
            parse_constant=lambda name: refuse("not_finite", f"{name} is not a number of JSON"),
        )
    except RecursionError:
        refuse("depth", f"nested deeper than {MAX_DEPTH} levels")
    except json.JSONDecodeError as error:
        refuse("syntax", f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    if _depth_exceeds(value, MAX_DEPTH):
        refuse("depth", f"nested deeper than {MAX_DEPTH} levels")
    # raw text was strict UTF-8, so half a character can only have come from an escape
    if ("\\ud" in text or "\\uD" in text) and _has_surrogate(value):
        refuse("surrogate", "an escape stands for half a character (a lone surrogate)")
    return value


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        inside: list[Any] = []
        for container in level:
            children = container.values() if isinstance(container, dict) else container
            inside += [child for child in children if isinstance(child, dict | list)]
        if not (level := inside):
            return False
    return True


def _has_surrogate(value: Any) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if any("\ud800" <= character <= "\udfff" for character in item):
                return True
        elif isinstance(item, list):
            stack += item
        elif isinstance(item, dict):
            stack += [*item, *item.values()]
    return False


def canonical(value: Any) -> bytes:
    """The one JSON text of a value (RFC 8785, JCS): sorted keys, no blanks, shortest numbers, UTF-8.

    Raises:
        ConfigError: the value has something that JSON cannot hold for every reader: NaN, an integer beyond 2^53 − 1,
            half a character, a key that is no string.
    """
    import rfc8785

    try:
        return rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"no canonical JSON: {' '.join(str(error).split())[:200]}") from error


def b64_encode(data: bytes) -> str:
    """Standard alphabet, padded, on one line."""
    return base64.b64encode(data).decode("ascii")


def b64_decode(text: str) -> bytes:
    """The bytes of a base64 text that is the only text for them.

    Raises:
        Invalid: `base64`: another alphabet, a line break, missing padding, or padding bits that say something.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("base64", "not base64 in the standard alphabet, padded and on one line") from error
    if b64_encode(data) != text:
        raise Invalid("base64", "not the base64 text that its bytes encode to")
    return data
