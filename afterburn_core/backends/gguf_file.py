"""Reads GGUF through the `gguf` package, under Hugging Face names and in Hugging Face's order of rows.

The package parses the file and dequantises blocks; positioned reads of the rows that are asked for keep memory small.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.gguf_names import CONVENTIONS, Place, place_of
from afterburn_core.backends.gguf_steps import GROUPS, squared_steps
from afterburn_core.backends.packed.contract import PackedRows
from afterburn_core.backends.tensors import Quantisation, TensorInfo
from afterburn_core.errors import SubjectError
from afterburn_core.run.arrays import NUMPY_DTYPES, to_torch

if TYPE_CHECKING:
    import torch

# what the package raises where a file is not what it says
_MALFORMED = (ValueError, KeyError, IndexError, TypeError, ArithmeticError, MemoryError, OSError)
_PLAIN = ("F64", "F32", "F16", "BF16")


@attrs.frozen(kw_only=True)
class _Part:
    """One logical tensor within the file."""

    stored: str
    kind: Any  # gguf.GGMLQuantizationType
    offset: int
    """Position of its first byte."""
    columns: int
    row_bytes: int
    type_size: int
    head: int
    """Rows per head where rows are reordered within heads, else 1."""
    shift: bool


@attrs.frozen(kw_only=True)
class GgufFile:
    """An opened GGUF file; `read` is safe from several threads at once."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    config: Mapping[str, Any]
    """What its metadata says in the words of `config.json`."""
    offsets: Mapping[str, int]
    descriptor: int
    parts: Mapping[str, _Part] = attrs.field(repr=False)
    aliases: Mapping[str, str] = attrs.field(factory=dict)

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements `start` to `stop` of the flattened tensor, dequantised to float32 where it is stored quantised.

        Raises:
            SubjectError: the file has become shorter than its header says.
        """
        return to_torch(self.read_array(name, start, stop))

    def read_array(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """The same as an array, bfloat16 as its bits (uint16)."""
        part, dtype = self.parts[name], self.tensors[name].dtype
        first, last = start // part.columns, -(-stop // part.columns)
        if stop <= start:
            return np.empty(0, dtype=NUMPY_DTYPES[dtype])
        offset = first * part.columns
        rows = self._values(part, dtype, first, last)
        return np.ascontiguousarray(rows).reshape(-1)[start - offset : stop - offset]

    def step_sq(self, name: str, start: int, stop: int) -> float | None:
        """Σ step² over these elements; `None` for plain floats and for quantisers whose steps are not known."""
        part = self.parts[name]
        quantisation = self.tensors[name].quantisation
        if quantisation is None or not quantisation.steps:
            return None

        def squares(first: int, last: int) -> NDArray[np.float64]:
            return _required(squared_steps(self._rows(part, first, last), part.kind, part.type_size))

        rows = PackedRows(columns=part.columns, values=lambda first, last: np.empty(0, np.float32), step_sq=squares)
        return rows.sum_step_sq(start, stop)

    def _values(self, part: _Part, dtype: str, first: int, last: int) -> NDArray[Any]:
        """(last − first, columns)"""
        raw = self._rows(part, first, last)
        if part.kind.name in _PLAIN:
            found: NDArray[Any] = raw.view(NUMPY_DTYPES[dtype])
        else:
            from gguf.quants import dequantize

            with np.errstate(all="ignore"):
                found = dequantize(raw, part.kind)
        return found - found.dtype.type(1) if part.shift else found

    def _rows(self, part: _Part, first: int, last: int) -> NDArray[np.uint8]:
        """(last − first, bytes) of stored rows, in the order of the logical tensor.

        Row h·d + j·d/2 + i of a matrix whose heads have d rows (j = 0, 1) is stored as row h·d + 2i + j.
        """
        low, high = first // part.head * part.head, -(-last // part.head) * part.head
        buffer: NDArray[Any] = np.empty((high - low, part.row_bytes), dtype=np.uint8)
        view, done = buffer.reshape(-1).data, 0
        while done < len(view):
            count = os.preadv(self.descriptor, [view[done:]], part.offset + low * part.row_bytes + done)
            if count == 0:
                raise SubjectError(f"{self.path}: ended within {part.stored!r}; the file changed while being read")
            done += count
        if part.head == 1:
            return buffer
        rows = np.arange(first, last)
        within = rows % part.head
        half = part.head // 2
        found: NDArray[np.uint8] = buffer[rows - within + 2 * (within % half) + within // half - low]
        return found

    def close(self) -> None:
        os.close(self.descriptor)


def read_index(path: Path) -> GgufFile:
    """Opens a file and finds the Hugging Face name of every tensor in it.

    Raises:
        SubjectError: the `gguf` package is missing; the file is malformed or one of several; or its architecture has
            no map of names here.
    """
    try:
        from gguf import GGML_QUANT_SIZES, GGUFReader
    except ImportError as error:
        raise SubjectError(f"{path}: GGUF needs the gguf package; pip install 'afterburn-core[gguf]'") from error
    try:
        reader = GGUFReader(path)
        metadata = _Metadata(reader)
        architecture = metadata.get("general.architecture")
        pieces = metadata.get("split.count") or 1
        entries = [(t.name, t.tensor_type, tuple(int(s) for s in t.shape[::-1]), int(t.data_offset), int(t.n_bytes))
                   for t in reader.tensors]  # fmt: skip
        swapped = reader.byte_order != "I"
    except _MALFORMED as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SubjectError(f"{path}: cannot be read as GGUF ({detail}); save or fetch it again") from error
    if pieces > 1:
        raise SubjectError(f"{path}: is one of {pieces} pieces; join them with `llama-gguf-split --merge` first")
    if swapped:
        raise SubjectError(f"{path}: holds numbers in the other byte order; convert it with gguf-convert-endian first")
    convention = CONVENTIONS.get(str(architecture))
    if convention is None:
        known = ", ".join(sorted(CONVENTIONS))
        raise SubjectError(f"{path}: no map of names for the GGUF architecture {architecture!r}; known: {known}")
    parts: dict[str, _Part] = {}
    tensors: dict[str, TensorInfo] = {}
    for stored, kind, shape, offset, size in entries:
        if offset + size > path.stat().st_size:
            raise SubjectError(f"{path}: truncated within {stored!r}; save or fetch it again")
        place = place_of(stored, convention)
        heads = metadata.heads(f"{architecture}.{place.heads}", place.layer) if place.heads else None
        if place.heads and (heads is None or shape[0] % (2 * heads)):
            raise SubjectError(f"{path}: {architecture}.{place.heads} is {heads} where {stored!r} has {shape[0]} rows")
        block, type_size = GGML_QUANT_SIZES[kind]
        part = _Part(
            stored=stored,
            kind=kind,
            offset=offset,
            columns=shape[-1] if shape else 1,
            row_bytes=(shape[-1] if shape else 1) // block * type_size,
            type_size=type_size,
            head=shape[0] // heads if heads else 1,
            shift=place.shift,
        )
        if heads and len(shape) == 1:  # a bias: every entry is a row
            part = attrs.evolve(part, columns=1, row_bytes=type_size)
        shares = _shares(len(place.names), metadata, str(architecture), place.layer)
        if shape and shape[0] % sum(shares):
            raise SubjectError(
                f"{path}: {shape[0]} rows of {stored!r} do not divide into {place.names}; convert it again"
            )
        for name, own, own_shape in _logical(place, part, shape, shares):
            if name in tensors:
                raise SubjectError(f"{path}: both {parts[name].stored!r} and {stored!r} are {name!r}; convert it again")
            parts[name], tensors[name] = own, _info(name, own, own_shape)
    config = {"model_type": convention.model_type, "tie_word_embeddings": "lm_head.weight" not in tensors}
    descriptor = os.open(path, os.O_RDONLY)
    offsets = {name: part.offset for name, part in parts.items()}
    return GgufFile(path=path, tensors=tensors, config=config, offsets=offsets, descriptor=descriptor, parts=parts)


class _Metadata:
    """The values that are asked for; the vocabulary, which is most of the metadata, is left alone."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def get(self, key: str) -> Any:
        field = self._reader.get_field(key)
        if field is None:
            return None
        kinds = [kind.name for kind in field.types]
        if kinds[-1] == "STRING":
            texts = [bytes(field.parts[index]).decode() for index in field.data]
            return texts if kinds[0] == "ARRAY" else texts[0]
        numbers = [field.parts[index][0] for index in field.data]
        return numbers if kinds[0] == "ARRAY" else numbers[0]

    def heads(self, key: str, layer: int | None) -> int | None:
        """A number of heads, which may be one for all layers or one for each."""
        value = self.get(key)
        if value is None and key.endswith("_kv"):
            value = self.get(key.removesuffix("_kv"))  # absent means as many as for queries
        if isinstance(value, list):
            value = value[layer] if layer is not None and layer < len(value) else None
        return int(value) if value else None


def _shares(count: int, metadata: _Metadata, architecture: str, layer: int | None) -> tuple[int, ...]:
    """How the rows of a fused tensor divide: q, k and v by their heads, gate and up in halves."""
    if count != 3:
        return (1,) * count
    queries = metadata.heads(f"{architecture}.attention.head_count", layer) or 1
    keys = metadata.heads(f"{architecture}.attention.head_count_kv", layer) or queries
    return queries, keys, keys


def _logical(
    place: Place, part: _Part, shape: tuple[int, ...], shares: tuple[int, ...]
) -> Iterator[tuple[str, _Part, tuple[int, ...]]]:
    """The tensor itself, the weights that are fused in it, or the experts that are stacked in it."""
    if len(shares) > 1:
        first = 0
        for name, share in zip(place.names, shares, strict=True):
            rows = shape[0] // sum(shares) * share
            yield name, attrs.evolve(part, offset=part.offset + first * part.row_bytes), (rows, *shape[1:])
            first += rows
        return
    (logical,) = place.names
    if "{}" not in logical:
        # the gate of Qwen2-MoE's shared expert is stored without its first axis
        squeezed = logical.endswith("shared_expert_gate.weight") and len(shape) == 1
        yield logical, part, (1, *shape) if squeezed else shape
        return
    size = part.row_bytes * shape[1] if len(shape) == 3 else 0
    if not size:
        yield part.stored, part, shape
        return
    for number in range(shape[0]):
        yield logical.format(number), attrs.evolve(part, offset=part.offset + number * size), shape[1:]


def _info(name: str, part: _Part, shape: tuple[int, ...]) -> TensorInfo:
    kind = part.kind.name
    if kind in _PLAIN:
        return TensorInfo(name=name, dtype=kind, shape=shape)
    from gguf.quants import dequantize

    try:
        with np.errstate(all="ignore"):
            dequantize(_block(part), part.kind)
    except NotImplementedError:
        refusal = f"a quantised weight of GGUF type {kind}, which the gguf package cannot dequantise; convert it to F16"
        return TensorInfo(name=name, dtype="U8", shape=shape, refusal=refusal)
    digits = [int(character) for character in kind if character.isdigit()]
    quantisation = Quantisation(
        method="gguf",
        code=kind,
        bits=digits[0] if digits else 4,
        group=GROUPS.get(kind),
        scale="F16",
        steps=squared_steps(_block(part), part.kind, part.type_size) is not None,
    )
    return TensorInfo(name=name, dtype="F32", shape=shape, quantisation=quantisation)


def _block(part: _Part) -> NDArray[np.uint8]:
    """One block of zeros."""
    return np.zeros((1, part.type_size), dtype=np.uint8)


def _required(values: NDArray[np.float64] | None) -> NDArray[np.float64]:
    if values is None:
        raise RuntimeError("the steps of a quantiser came and went")
    return values
