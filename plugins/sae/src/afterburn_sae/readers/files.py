"""Tensors and configurations out of files that may be damaged or hostile, memory-mapped where the format allows.

safetensors have no code in them. A torch file is read with `weights_only`, which builds tensors and plain containers
and nothing else; an `.npz` without pickles. Whatever is wrong with a file is one line.
"""

from __future__ import annotations

import json
import math
import mmap
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from afterburn_core.backends.tensors import TORCH_DTYPES
from afterburn_core.errors import SubjectError

_NESTS = ("state_dict", "sae", "model", "model_state_dict")
"""Keys under which trainers put the state dict."""
_LONGEST_HEADER = 100_000_000
"""Bytes of a safetensors header; the format allows no more."""
_UNREADABLE = (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, OSError, zipfile.BadZipFile)


def config_of(path: Path) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        SubjectError: it is none, or cannot be read.
    """
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SubjectError(f"{path}: cannot be read as JSON ({_line(error)}); download it again") from error
    if not isinstance(loaded, dict):
        raise SubjectError(f"{path}: holds no JSON object; this is no configuration of a dictionary")
    return loaded


def safe_tensors(path: Path) -> Mapping[str, torch.Tensor]:
    """All tensors of a safetensors file, as views of its memory map.

    Mapped for reading only, so that a file may be larger than the memory: what safetensors itself maps may be written
    to, and the kernel grants no more of that than it could hold.

    Raises:
        SubjectError: it is damaged or truncated.
    """
    try:
        with path.open("rb") as file:
            start, header = _safe_header(file)
            size = path.stat().st_size
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        found = {}
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            dtype = getattr(torch, TORCH_DTYPES[entry["dtype"]])
            shape = tuple(entry["shape"])
            count = math.prod(shape)
            if not (0 <= first <= last <= size - start) or count * dtype.itemsize != last - first:
                raise ValueError(f"tensor {name} does not lie within the file")
            found[name] = _view(view, start + first, dtype, shape)
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SubjectError(
            f"{path}: cannot be read as safetensors ({_line(error)}); it may be truncated, download it again"
        ) from error


def safe_names(path: Path) -> frozenset[str]:
    """Names of the tensors of a safetensors file; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return frozenset(_safe_header(file)[1])
    except (OSError, ValueError):
        return frozenset()


def _safe_header(file: BinaryIO) -> tuple[int, Mapping[str, Any]]:
    """Where the tensors begin, and what the header says of each."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= _LONGEST_HEADER:
        raise ValueError("its header is not as long as one can be")
    text = file.read(length)
    if len(text) != length:
        raise ValueError("its header is cut short")
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    return 8 + length, {name: entry for name, entry in header.items() if name != "__metadata__"}


def _view(buffer: mmap.mmap, offset: int, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor over a memory map; nothing writes into it."""
    count = math.prod(shape)
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    with warnings.catch_warnings():  # that it cannot be written to, which is meant
        warnings.simplefilter("ignore", UserWarning)
        return torch.frombuffer(buffer, dtype=dtype, count=count, offset=offset).reshape(shape)


def torch_tensors(path: Path) -> Mapping[str, torch.Tensor]:
    """The state dict of a torch file, memory-mapped where it was written since torch 1.6.

    Raises:
        SubjectError: it is damaged, holds no state dict, or unpickling it would build anything but tensors.
    """
    try:
        loaded = _torch_load(path)
    except pickle.UnpicklingError as error:
        raise SubjectError(
            f"{path}: refused: damaged, or unpickling it would run code or build objects other than tensors; "
            "convert it to safetensors where you trust its origin"
        ) from error
    except _UNREADABLE as error:
        raise SubjectError(
            f"{path}: cannot be read as a torch file ({_line(error)}); it may be truncated, download it again"
        ) from error
    for _ in range(3):
        nested = next((key for key in _NESTS if isinstance(loaded, Mapping) and key in loaded), None)
        if nested is None or not isinstance(loaded, Mapping):
            break
        loaded = loaded[nested]
    if not isinstance(loaded, Mapping):
        raise SubjectError(f"{path}: holds no state dict; give the file with the dictionary's weights")
    return {
        str(name): value.detach()
        for name, value in loaded.items()
        if isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_meta
    }


def _torch_load(path: Path) -> Any:
    with warnings.catch_warnings():  # on other pickle protocols; what comes of them is told in one line
        warnings.simplefilter("ignore", UserWarning)
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):  # files written before torch 1.6 cannot be mapped; they still load
                raise
            return torch.load(path, map_location="cpu", weights_only=True)


def npz_tensors(path: Path) -> Mapping[str, torch.Tensor]:
    """All arrays of an `.npz`, those that lie in it uncompressed as views of a memory map; never a pickle.

    Raises:
        SubjectError: it is damaged, or holds Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return {
                member.filename.removesuffix(".npy"): _array(file, view, archive, member)
                for member in archive.infolist()
            }
    except (*_UNREADABLE, NotImplementedError) as error:
        raise SubjectError(
            f"{path}: cannot be read as .npz without unpickling ({_line(error)}); it is damaged, or holds Python "
            "objects in place of numbers"
        ) from error


def _array(file: BinaryIO, view: mmap.mmap, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> torch.Tensor:
    if member.compress_type != zipfile.ZIP_STORED:
        with archive.open(member) as stream:
            return torch.from_numpy(np.lib.format.read_array(stream, allow_pickle=False))
    file.seek(member.header_offset)
    local = file.read(30)  # the local header's own name and extra field may be longer than the directory's
    if local[:4] != b"PK\x03\x04":
        raise ValueError("a member is not where the directory says")
    start = member.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    file.seek(start)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    offset = file.tell()
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds Python objects")
    if offset - start + dtype.itemsize * math.prod(shape) != member.file_size or offset > len(view):
        raise ValueError(f"{member.filename} is not as long as its header says")
    kind = torch.from_numpy(np.empty(0, dtype=dtype)).dtype  # NumPy's name of the same numbers; others raise
    tensor = _view(view, offset, kind, tuple(reversed(shape)) if fortran else tuple(shape))
    return tensor.permute(*reversed(range(tensor.ndim))) if fortran else tensor


def _line(error: BaseException) -> str:
    if isinstance(error, KeyError):  # its text is the key alone, such as the number of a byte that is no pickle's
        return "it is not in that format"
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}…"
