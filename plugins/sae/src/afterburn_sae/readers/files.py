"""Tensors and configurations out of files that may be damaged or hostile, memory-mapped where the format allows.

safetensors have no code in them. A torch file is read with `weights_only`, which builds tensors and plain containers
and nothing else; an `.npz` without pickles. Whatever is wrong with a file is one line.
"""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from afterburn_core.errors import SubjectError

_NESTS = ("state_dict", "sae", "model", "model_state_dict")
"""Keys under which trainers put the state dict."""
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

    Raises:
        SubjectError: it is damaged or truncated.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise SubjectError(
            f"{path}: cannot be read as safetensors ({_line(error)}); it may be truncated, download it again"
        ) from error


def safe_names(path: Path) -> frozenset[str]:
    """Names of the tensors of a safetensors file; empty where it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return frozenset(file.keys())
    except (SafetensorError, OSError, ValueError):
        return frozenset()


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
            found = {}
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                found[name] = torch.from_numpy(_array(path, file, archive, member))
            return found
    except (*_UNREADABLE, NotImplementedError) as error:
        raise SubjectError(
            f"{path}: cannot be read as .npz without unpickling ({_line(error)}); it is damaged, or holds Python "
            "objects in place of numbers"
        ) from error


def _array(path: Path, file: Any, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray[Any, Any]:
    if member.compress_type != zipfile.ZIP_STORED:
        with archive.open(member) as stream:
            loaded: np.ndarray[Any, Any] = np.lib.format.read_array(stream, allow_pickle=False)
            return loaded
    file.seek(member.header_offset)
    local = file.read(30)  # the local header's own name and extra field may be longer than the directory's
    if local[:4] != b"PK\x03\x04":
        raise ValueError("a member is not where the directory says")
    start = member.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    file.seek(start)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds Python objects")
    offset = file.tell()
    if offset - start + dtype.itemsize * int(np.prod(shape, dtype=np.int64)) != member.file_size:
        raise ValueError(f"{member.filename} is not as long as its header says")
    if not shape or 0 in shape:
        return np.frombuffer(file.read(member.file_size - (offset - start)), dtype=dtype).reshape(shape).copy()
    # copy-on-write: torch wants arrays that may be written to, and the file stays as it is
    return np.memmap(path, dtype=dtype, mode="c", offset=offset, shape=shape, order="F" if fortran else "C")


def _line(error: BaseException) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}…"
