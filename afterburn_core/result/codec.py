"""Reads and writes `result.json`.

Writing: keys sorted, two writes of one result give the same bytes, no NaN. Reading: parse → version → migrate →
schema → classes; each step refuses rather than repairs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from afterburn_core.errors import AfterburnError, SchemaError
from afterburn_core.result import strict_json
from afterburn_core.result.convert import unstructure
from afterburn_core.result.files import replace_file
from afterburn_core.result.migrate import migrate
from afterburn_core.result.model import Result
from afterburn_core.result.validate import validated

__all__ = ["dumps", "from_dict", "loads", "read", "to_dict", "write"]


def to_dict(result: Result) -> dict[str, Any]:
    """`result` as plain JSON values, the form that `dumps` writes; a copy that may be changed.

    Optional fields that are `None` are left out (a measurement's `value` is not optional); all others are there.
    """
    return unstructure(result)


def dumps(result: Result) -> str:
    """`result` as JSON text with sorted keys and a final line feed; equal results give equal texts.

    Raises:
        SchemaError: a value is none that JSON has, such as NaN.
    """
    return _checked_text(to_dict(result))


def from_dict(document: dict[str, Any]) -> Result:
    """The result that `document` holds, brought to the current version; raises like `loads`."""
    if not isinstance(document, dict):
        raise strict_json.refusal(f"$: must be an object, not {strict_json.show(document)}")
    return validated(migrate(document).document)


def loads(text: str | bytes) -> Result:
    """The result that JSON text holds.

    Raises:
        SchemaError: the text is no JSON or the document not valid; `problems` lists all faults with their paths.
        UnsupportedSchemaError: it was written under a newer major version.
    """
    return from_dict(strict_json.parse(text))


def read(path: Path | str) -> Result:
    """The result in a file, or in `result.json` of a run directory; raises like `loads`, naming the file.

    Raises:
        AfterburnError: there is no such file, or it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "result.json"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise AfterburnError(f"{path}: no such file; give a run directory or its result.json") from None
    except OSError as error:
        raise AfterburnError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return loads(data)
    except SchemaError as error:
        raise type(error)(f"{path}: {error}", error.problems) from None


def write(path: Path | str, result: Result) -> None:
    """Writes `result` to a file, whole or not at all, after validating it: what is written can be read.

    Raises:
        SchemaError: the result is not valid; nothing is written then.
        AfterburnError: the folder does not exist or cannot be written to.
    """
    document = to_dict(result)
    validated(document)
    replace_file(Path(path), _text(document).encode())


def _checked_text(document: dict[str, Any]) -> str:
    found = strict_json.faults(document)
    if found:
        raise strict_json.refusal(*found)
    return _text(document)


def _text(document: dict[str, Any]) -> str:
    """Of a document without faults."""
    return json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
