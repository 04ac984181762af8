"""Reads `torch.save` files, opened once, memory-mapped, weights only: a pickle that carries code is refused."""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends.tensors import TORCH_DTYPES, TensorInfo
from afterburn_core.errors import SubjectError

if TYPE_CHECKING:
    import torch

# torch's restricted unpickler runs into any of these where a file is no pickle at all
_UNREADABLE = (RuntimeError, EOFError, ValueError, OSError, LookupError, TypeError, AttributeError, struct.error)
_NESTS = ("state_dict", "model_state_dict", "module", "model")
_DEEPEST = 8  # a pickle may hold a mapping that contains itself


@attrs.frozen(kw_only=True)
class TorchFile:
    """An opened `torch.save` file."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    aliases: Mapping[str, str]
    """Names whose tensors share storage, offset and shape with an earlier name: tied weights."""
    values: dict[str, torch.Tensor]
    scalars: Mapping[str, int | float] = attrs.field(factory=dict)
    """Plain numbers beside the state dict or in it, such as the `step` and `loss` that trainers save along."""

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements `start` to `stop` of the flattened tensor."""
        import torch

        value = self.values[name]
        if value.is_contiguous() or value.dim() < 2:
            return value.reshape(-1)[start:stop].clone()
        width = max(1, value.numel() // max(1, value.shape[0]))  # only the rows in question are put in order
        first = start // width
        rows = value[first : -(-stop // width)].clone(memory_format=torch.contiguous_format)
        return rows.view(-1)[start - first * width : stop - first * width]

    def close(self) -> None:
        self.values.clear()


def read_index(path: Path) -> TorchFile:
    """Opens a file and finds the state dict in it, at the top or under a usual name.

    Raises:
        SubjectError: not a torch file, a pickle with anything but plain data, or no tensors in it.
    """
    import torch

    try:
        loaded = _load(path)
    except pickle.UnpicklingError as error:
        raise SubjectError(
            f"{path}: refused: damaged, or unpickling it would run code or build objects other than tensors; "
            "convert it to safetensors where you trust its origin"
        ) from error
    except _UNREADABLE as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SubjectError(f"{path}: cannot be read as a torch file ({detail}); it may be truncated") from error
    state, scalars = _state_dict(loaded)
    values = {name: value.detach() for name, value in state.items() if isinstance(value, torch.Tensor)}
    for name, value in values.items():
        if not isinstance(name, str):
            raise SubjectError(f"{path}: holds a tensor under {name!r}, which is no name; give the model's state dict")
        if value.layout != torch.strided or value.is_meta:
            kind = "no data" if value.is_meta else f"the layout {value.layout}"
            raise SubjectError(f"{path}: tensor {name!r} has {kind}, which this version does not read")
    nested = next((key for key, value in state.items() if _holds_tensors(value)), None)
    if nested is not None:
        raise SubjectError(f"{path}: {nested!r} holds further tensors; save one flat state dict and give that")
    if not values:
        raise SubjectError(f"{path}: holds no tensors; give the file with the model's state dict")
    names = {getattr(torch, torch_name): name for name, torch_name in TORCH_DTYPES.items()}
    tensors, aliases = {}, {}
    first: dict[tuple[Any, ...], str] = {}
    for name, value in values.items():
        if value.dtype not in names:
            raise SubjectError(f"{path}: tensor {name!r} has dtype {value.dtype}, which this version does not read")
        tensors[name] = TensorInfo(name=name, dtype=names[value.dtype], shape=tuple(value.shape))
        key = (value.untyped_storage().data_ptr(), value.storage_offset(), tuple(value.shape), value.stride())
        if value.numel() and key in first:
            aliases[name] = first[key]
        first.setdefault(key, name)
    return TorchFile(path=path, tensors=tensors, aliases=aliases, values=values, scalars=scalars)


def _holds_tensors(value: Any) -> bool:
    import torch

    return isinstance(value, Mapping) and any(isinstance(inner, torch.Tensor) for inner in value.values())


def _load(path: Path) -> Any:
    import torch

    with warnings.catch_warnings():  # on other pickle protocols; what comes of them is told in one line
        warnings.simplefilter("ignore", UserWarning)
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            # files written before torch 1.6 cannot be mapped; they still load
            if "mmap" not in str(error):
                raise
            return torch.load(path, map_location="cpu", weights_only=True)


def _state_dict(loaded: Any) -> tuple[Mapping[str, Any], dict[str, int | float]]:
    """Descends through the wrappers trainers put around a state dict, and keeps the numbers met on the way."""
    scalars: dict[str, int | float] = {}
    for _ in range(_DEEPEST):
        if not isinstance(loaded, Mapping):
            return {}, scalars
        found = {key: value for key, value in loaded.items() if isinstance(key, str) and type(value) in (int, float)}
        scalars = {**found, **scalars}  # the outermost wrapper is the trainer's own
        nested = next((key for key in _NESTS if isinstance(loaded.get(key), Mapping)), None)
        if nested is None:
            return loaded, scalars
        loaded = loaded[nested]
    return {}, scalars
