"""Vectors of floating-point numbers out of a safetensors file, without NumPy.

A report is made on hosts that have no array library. The format (safetensors documentation, "Format"): an unsigned
64-bit little-endian length, that many bytes of JSON naming `dtype`, `shape` and `data_offsets` of every tensor, then
the bytes of the tensors, little-endian, offsets counted from the end of the JSON.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from array import array
from collections.abc import Mapping
from typing import Any, BinaryIO

import attrs

from afterburn_core.report.attachments import Unusable

_LENGTH = struct.Struct("<Q")
_CODES = {"F64": "d", "F32": "f"}
_MAX_HEADER = 100_000_000  # the limit of the format's own reader


@attrs.frozen(kw_only=True)
class VectorFile:
    """An open file and where its one-dimensional F32 and F64 tensors lie."""

    stream: BinaryIO
    start: int
    """Bytes before the first tensor."""
    entries: Mapping[str, tuple[str, int, int]]
    """Array code, offset and number of values by name; tensors of other shapes and types are left out."""
    metadata: Mapping[str, str]

    def read(self, name: str) -> array[float]:
        """The values of one vector."""
        code, offset, count = self.entries[name]
        values: array[float] = array(code)
        self.stream.seek(self.start + offset)
        values.frombytes(self.stream.read(count * values.itemsize))
        if sys.byteorder == "big":
            values.byteswap()
        return values


def open_vectors(stream: BinaryIO) -> VectorFile:
    """Reads the header of a safetensors file.

    Raises:
        Unusable: the header is not that of a safetensors file.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    if not 0 < length <= min(_MAX_HEADER, size - _LENGTH.size):
        raise Unusable("the file is not a safetensors file")
    try:
        header = json.loads(stream.read(length))
    except (ValueError, RecursionError):
        raise Unusable("the file is not a safetensors file") from None
    if not isinstance(header, dict):
        raise Unusable("the file is not a safetensors file")
    metadata = header.pop("__metadata__", None)
    room = size - _LENGTH.size - length
    entries = {name: place for name, entry in header.items() if (place := _place(entry, room)) is not None}
    words = metadata if isinstance(metadata, dict) else {}
    return VectorFile(
        stream=stream,
        start=_LENGTH.size + length,
        entries=entries,
        metadata={key: value for key, value in words.items() if isinstance(value, str)},
    )


def _place(entry: Any, room: int) -> tuple[str, int, int] | None:
    """Code, offset and count of a vector; `None` for everything that is none, contradicts itself or is cut off."""
    if not isinstance(entry, dict):
        return None
    code = _CODES.get(str(entry.get("dtype")))
    shape, offsets = _counts(entry.get("shape"), 1), _counts(entry.get("data_offsets"), 2)
    if code is None or not shape or not offsets:
        return None
    fits = offsets[1] - offsets[0] == shape[0] * array(code).itemsize and offsets[1] <= room
    return (code, offsets[0], shape[0]) if fits else None


def _counts(values: Any, length: int) -> list[int]:
    """The list where it holds `length` numbers that count something, else nothing."""
    if not isinstance(values, list) or len(values) != length:
        return []
    fine = all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values)
    return values if fine else []
