"""Recorded files as entries: which format a file has is decided by what it holds, not by its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from afterburn_core.backends.recorded_files import Line, is_zip, lines, parse_loosely, parse_row, read_document
from afterburn_core.backends.recorded_formats import alpaca, inspect_log, lm_eval, native
from afterburn_core.backends.recorded_formats.entry import Entry, Provenance, Row, refuse
from afterburn_core.backends.recorded_formats.lm_eval import NoGeneration
from afterburn_core.errors import SubjectError
from afterburn_core.result.strict_json import show

_KNOWN = (
    "rows of prompt_id, prompt, sample and output; AlpacaEval outputs; samples of lm-evaluation-harness; "
    "logs of Inspect"
)


def entries(paths: Sequence[Path], about: Provenance) -> Iterator[Entry]:
    """The recorded outputs of all files, in their order.

    Among several files, those of tasks that compare likelihoods are passed over and listed as `ignored`.

    Args:
        paths: the files.
        about: takes in what the files say of all their outputs.

    Raises:
        SubjectError: a file is of no known format, or holds something wrong; the message names file and line.
    """
    formats: list[str] = []
    refusals: list[NoGeneration] = []
    for path in paths:
        try:
            yield from _entries(path, about)
            found = about.properties.pop("format")
            formats += [found] if found not in formats else []
        except NoGeneration as error:
            refusals.append(error)
            about.properties.setdefault("ignored", []).append(path.name)
    if refusals and len(refusals) == len(paths):
        raise refusals[0]
    about.properties["format"] = ", ".join(formats)


def _entries(path: Path, about: Provenance) -> Iterator[Entry]:
    try:
        zipped = is_zip(path)
    except OSError as error:
        refuse(str(path), f"cannot be read ({error.strerror}); check the path")
    if zipped:
        about.properties["format"] = "inspect"
        return inspect_log.read_archive(path, about)
    found = lines(path)
    first = next(found, None)
    if first is None:
        refuse(str(path), f"is empty; known are {_KNOWN}")
    if first.text.lstrip().startswith(b"["):
        found.close()
        return _listed(read_document(path), path, about)
    if not _is_whole(first.text):
        second = next(found, None)
        found.close()
        if second is not None and _is_whole(second.text):
            parse_row(first)  # a broken row among rows: says what is wrong with it
        value = read_document(path) if second is not None or path.name.endswith(".json") else parse_row(first)
        return _document(value, path, about)
    row = parse_loosely(first.text, first.where)
    if inspect_log.is_log(row):
        found.close()
        return _document(row, path, about)
    return _rows(path, row, chain([first], found), about)


def _is_whole(text: bytes) -> bool:
    """Whether a line is a JSON value by itself."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _rows(path: Path, first: Any, found: Iterator[Line], about: Provenance) -> Iterator[Entry]:
    """One object a line. Our own rows are read strictly; other tools write NaN where a number is missing."""
    if not isinstance(first, dict):
        refuse(f"{path}:1", f"must be an object, not {show(first)}; known are {_KNOWN}")
    if native.is_header(first):
        line = next(found)
        about.properties["format"] = "rows"
        native.read_header(parse_row(line), line.where, about)
        return (native.read_row(parse_row(line), line.where) for line in found)
    name, read = _format(first, path, about)
    about.properties["format"] = name
    if name == "rows":
        return (native.read_row(parse_row(line), line.where) for line in found)
    return (entry for line in found for entry in read(_loose_row(line), line.where))


def _loose_row(line: Line) -> Row:
    row = parse_loosely(line.text, line.where)
    if not isinstance(row, dict):
        refuse(line.where, f"must be an object, not {show(row)}")
    return row


def _format(row: Row, path: Path, about: Provenance) -> tuple[str, Callable[[Row, str], list[Entry]]]:
    """The format of rows like this one, and what turns such a row into entries."""
    if lm_eval.is_row(row):
        return "lm_eval", lm_eval.Rows(path, about).read_row
    if alpaca.is_row(row):
        return "alpaca_eval", lambda row, where: [alpaca.read_row(row, where, about)]
    if native.is_row(row):
        return "rows", lambda row, where: [native.read_row(row, where)]
    fields = ", ".join(sorted(row)[:8]) or "none"
    refuse(f"{path}:1", f"is of no known format (its fields: {fields}); known are {_KNOWN}")


def _listed(value: Any, path: Path, about: Provenance) -> Iterator[Entry]:
    """A list of rows in one document."""
    if not isinstance(value, list) or not value:
        refuse(str(path), f"is an empty list; known are {_KNOWN}")
    for number, row in enumerate(value):
        if not isinstance(row, dict):
            refuse(f"{path}:$[{number}]", f"must be an object, not {show(row)}")
    name, read = _format(value[0], path, about)
    about.properties["format"] = name
    return (entry for number, row in enumerate(value) for entry in read(row, f"{path}:$[{number}]"))


def _document(value: Any, path: Path, about: Provenance) -> Iterator[Entry]:
    if inspect_log.is_log(value):
        about.properties["format"] = "inspect"
        return inspect_log.read_log(value, path, about)
    if isinstance(value, dict) and native.is_row(value):
        raise SubjectError(f"{path}: is one row over several lines; write every row on a line of its own")
    refuse(str(path), f"is of no known format; known are {_KNOWN}")
