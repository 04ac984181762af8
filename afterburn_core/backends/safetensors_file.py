"""Reads safetensors: header checked as the format demands, tensor bytes copied straight into torch buffers.

The header is parsed here rather than through the `safetensors` package for two reasons. `plan` and `doctor` describe
files where torch is not installed. And the package maps the whole file, whose pages then count as resident memory;
positioned reads into a small buffer keep a 70B comparison within a few hundred megabytes.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends.tensors import ITEM_SIZE, TORCH_DTYPES, TensorInfo
from afterburn_core.errors import SubjectError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

MAX_HEADER = 100_000_000  # the reference implementation's limit


@attrs.frozen(kw_only=True)
class SafetensorsFile:
    """An opened safetensors file; `read` is safe from several threads at once."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    aliases: Mapping[str, str] = attrs.field(factory=dict)
    offsets: Mapping[str, int]
    """Absolute position of each tensor's first byte."""
    descriptor: int

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements `start` to `stop` of the flattened tensor.

        Raises:
            SubjectError: the file has become shorter than its header says.
        """
        import torch

        dtype = getattr(torch, TORCH_DTYPES[self.tensors[name].dtype])
        if stop == start:
            return torch.empty(0, dtype=dtype)
        return torch.from_numpy(self._bytes(name, start, stop)).view(dtype)

    def read_array(self, name: str, start: int, stop: int) -> NDArray[Any] | None:
        """The same elements as an array, bfloat16 as its bits (uint16); `None` for dtypes that NumPy lacks."""
        from afterburn_core.run.arrays import NUMPY_DTYPES

        dtype = NUMPY_DTYPES.get(self.tensors[name].dtype)
        return None if dtype is None else self._bytes(name, start, stop).view(dtype)

    def _bytes(self, name: str, start: int, stop: int) -> NDArray[Any]:
        import numpy as np

        size = ITEM_SIZE[self.tensors[name].dtype]
        buffer = np.empty((stop - start) * size, dtype=np.uint8)
        view = buffer.data
        position, done = self.offsets[name] + start * size, 0
        while done < len(view):
            # one call moves at most 2 GiB on Linux
            count = os.preadv(self.descriptor, [view[done:]], position + done)
            if count == 0:
                raise SubjectError(f"{self.path}: ended within tensor {name!r}; the file changed while being read")
            done += count
        return buffer

    def close(self) -> None:
        os.close(self.descriptor)


def read_index(path: Path) -> SafetensorsFile:
    """Opens a file and checks its header: size, JSON, dtypes, shapes, and data without overlap, hole or excess.

    Raises:
        SubjectError: the file is truncated, malformed or hides bytes; nothing of it is used then.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise SubjectError(f"{path}: cannot be opened ({error.strerror})") from error
    try:
        offsets, tensors = _parse(path, descriptor)
    except OSError as error:
        os.close(descriptor)
        raise SubjectError(f"{path}: cannot be read ({error.strerror}); give a safetensors file") from error
    except BaseException:
        os.close(descriptor)
        raise
    return SafetensorsFile(path=path, tensors=tensors, offsets=offsets, descriptor=descriptor)


def _parse(path: Path, descriptor: int) -> tuple[dict[str, int], dict[str, TensorInfo]]:
    size = os.fstat(descriptor).st_size
    if size < 8:
        raise SubjectError(f"{path}: {size} bytes are too few for a safetensors file; download or save it again")
    (length,) = struct.unpack("<Q", os.pread(descriptor, 8, 0))
    if length > MAX_HEADER or 8 + length > size:
        raise SubjectError(
            f"{path}: header of {length} bytes does not fit the file; it is truncated or not safetensors"
        )
    header = _header(path, os.pread(descriptor, length, 8))
    start = 8 + length
    offsets: dict[str, int] = {}
    tensors: dict[str, TensorInfo] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        info, begin, end = _entry(path, name, entry)
        tensors[name], offsets[name] = info, start + begin
        spans.append((begin, end, name))
    position = 0
    for begin, end, name in sorted(spans):
        if begin != position:
            fault = "overlaps the tensor before it" if begin < position else "leaves a hole before it"
            raise SubjectError(f"{path}: tensor {name!r} {fault}; the file is corrupt")
        position = end
    if start + position != size:
        state = "truncated" if start + position > size else "followed by bytes that belong to no tensor"
        raise SubjectError(
            f"{path}: {state} ({size} bytes, header describes {start + position}); save or fetch it again"
        )
    return offsets, tensors


def _header(path: Path, text: bytes) -> Mapping[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise SubjectError(f"{path}: the safetensors header is not valid JSON ({error})") from error
    if not isinstance(header, dict):
        raise SubjectError(f"{path}: the safetensors header is not a JSON object")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate names")
    return result


def _entry(path: Path, name: str, entry: Any) -> tuple[TensorInfo, int, int]:
    try:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        numbers = (*shape, begin, end)
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("negative or fractional numbers")
        if not isinstance(dtype, str):
            raise ValueError(f"dtype {dtype!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise SubjectError(f"{path}: header entry of tensor {name!r} is malformed ({error})") from error
    info = TensorInfo(name=name, dtype=dtype, shape=shape)
    if dtype not in ITEM_SIZE:
        raise SubjectError(f"{path}: tensor {name!r} has dtype {dtype!r}, which this version does not read")
    if end - begin != info.nbytes:
        raise SubjectError(f"{path}: tensor {name!r} has {end - begin} bytes where its shape needs {info.nbytes}")
    return info, begin, end
