"""Files of recorded outputs as rows: told apart by content, streamed, with limits on what a file may unpack to."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from afterburn_core.backends.recorded_formats.entry import Row, refuse
from afterburn_core.errors import SchemaError
from afterburn_core.result.strict_json import parse, show

LINE_LIMIT = 64 << 20
"""Bytes of one row."""
DOCUMENT_LIMIT = 2 << 30
"""Bytes of a file that is one JSON value, and so cannot be streamed."""
RATIO_LIMIT = 250
"""How many times larger than its file a gzip stream may become, once it is larger than `RATIO_FROM`.

Recorded texts shrink to between a tenth and a third; deflate cannot do better than about 1032.
"""
RATIO_FROM = 64 << 20


@attrs.frozen(kw_only=True)
class Line:
    """One line of a file of rows."""

    where: str
    text: bytes


def is_zip(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def open_text(path: Path) -> BinaryIO | gzip.GzipFile:
    """The file's bytes, unpacked where they are gzip.

    Raises:
        SubjectError: it cannot be opened.
    """
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        return gzip.open(path, "rb") if packed else open(path, "rb")
    except OSError as error:
        refuse(str(path), f"cannot be read ({error.strerror}); check the path")


def lines(path: Path) -> Generator[Line, None, None]:
    """The file's lines that hold something, one at a time.

    Raises:
        SubjectError: a line is too long, or the packed file is damaged or a bomb.
    """
    size, unpacked, number = path.stat().st_size, 0, 0
    with open_text(path) as stream:
        packed = isinstance(stream, gzip.GzipFile)
        while True:
            number += 1
            where = f"{path}:{number}"
            try:
                line = stream.readline(LINE_LIMIT + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                refuse(where, f"the gzip file is damaged or cut short here ({error}); copy or write it again")
            except OSError as error:
                refuse(where, f"cannot be read ({error.strerror or error})")
            if not line:
                return
            if len(line) > LINE_LIMIT:
                refuse(where, f"is longer than {LINE_LIMIT >> 20} MiB, which is no row of recorded outputs")
            unpacked += len(line)
            if packed and unpacked > max(RATIO_FROM, RATIO_LIMIT * size):
                refuse(where, f"unpacks to more than {RATIO_LIMIT} times its size; refused as a decompression bomb")
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            line = line.rstrip(b"\r\n")
            if line.strip():
                yield Line(where=where, text=line)


def parse_row(line: Line) -> Row:
    """The object of a line; duplicate keys, NaN and half characters are refused.

    Raises:
        SubjectError: it is no such object.
    """
    try:
        return parse(line.text)
    except SchemaError as error:
        message = str(error).removeprefix("$: ").replace(" at line 1, column ", " at column ")
        refuse(line.where, f"{message}; every line must be one JSON object")


def parse_loosely(text: bytes, where: str) -> Any:
    """The JSON value of another tool's file, in which NaN and infinities stand for missing numbers.

    Raises:
        SubjectError: it is no JSON.
    """
    try:
        return json.loads(text.decode("utf-8-sig"), parse_constant=lambda name: None)
    except json.JSONDecodeError as error:
        refuse(where, f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}; write it again")
    except UnicodeDecodeError as error:
        refuse(where, f"is not UTF-8 text: byte {error.start} cannot be decoded")
    except (RecursionError, ValueError) as error:
        refuse(where, f"is no JSON that can be read ({show(str(error))})")


def read_document(path: Path) -> Any:
    """The JSON value of a whole file.

    Raises:
        SubjectError: it is no JSON, or too large to be read at once.
    """
    limit = DOCUMENT_LIMIT
    with open_text(path) as stream:
        if isinstance(stream, gzip.GzipFile):
            limit = min(limit, max(RATIO_FROM, RATIO_LIMIT * path.stat().st_size))
        try:
            text = stream.read(limit + 1)
        except (EOFError, OSError, zlib.error) as error:
            refuse(str(path), f"is damaged or cut short ({error}); copy or write it again")
    if len(text) > limit:
        refuse(str(path), f"is one JSON value of more than {limit >> 20} MiB; write one row a line (.jsonl)")
    return parse_loosely(text, str(path))
