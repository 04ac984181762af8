"""Recorded files and directories as entries: which format a file has is decided by what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from afterburn_core.backends.recorded_files import Line, lines, parse_row
from afterburn_core.backends.recorded_formats import native
from afterburn_core.backends.recorded_formats.entry import Entry, Provenance, refuse


def entries(path: Path, about: Provenance) -> Iterator[Entry]:
    """The recorded outputs of one file, in its order.

    Args:
        path: the file.
        about: takes in what the file says of all its outputs.

    Raises:
        SubjectError: the file is of no known format, or holds something wrong; the message names file and line.
    """
    return _rows(path, lines(path), about)


def _rows(path: Path, found: Iterator[Line], about: Provenance) -> Iterator[Entry]:
    first = next(found, None)
    if first is None:
        refuse(str(path), "is empty; recorded outputs are rows of prompt_id, prompt, sample and output")
    row = parse_row(first)
    about.properties["format"] = "rows"
    if native.is_header(row):
        native.read_header(row, first.where, about)
        yield from (native.read_row(parse_row(line), line.where) for line in found)
    elif native.is_row(row):
        yield native.read_row(row, first.where)
        yield from (native.read_row(parse_row(line), line.where) for line in found)
    else:
        refuse(first.where, "is of no known format: rows have prompt_id, prompt, sample and output")
