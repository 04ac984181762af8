"""An adapter's factors bound to the tensors of a base: names, shapes, orientation.

`fan_in_fan_out` does not decide the orientation: PEFT corrects a wrong value on loading, by the type of each layer.
Shapes do, and for square weights whether the base is one that stores its projections transposed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from afterburn_core.backends.adapter_factors import Factors
from afterburn_core.backends.tensors import FLOATING, TensorInfo, WeightFile, WeightSource
from afterburn_core.errors import SubjectError
from afterburn_core.run.naming import module_kind, parse_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from afterburn_core.run.lowrank import LowRank

# layers of transformers' Conv1D class, where the model has them at all
_CONV1D = frozenset({"c_attn", "c_fc", "c_proj", "q_attn"})


@attrs.frozen(kw_only=True, eq=False)
class Bound:
    """Factors with the orientation of the stored weight they change."""

    factors: Factors
    transposed: bool = False
    """Whether the weight is stored as inputs × outputs, so that factors have to be transposed."""
    by_row: bool = True
    """Whether magnitudes and gains belong to the rows of the stored weight."""
    repeat: int = 1
    """Entries of a stored row that share a gain: the kernel of a convolution."""

    def oriented(self, matrix: LowRank) -> LowRank:
        """The same change as the base stores it."""
        return attrs.evolve(matrix, left=matrix.right.T, right=matrix.left.T) if self.transposed else matrix

    def vector(self) -> NDArray[np.float64]:
        """DoRA's magnitudes, IA3's gains, a bias or trained rows, flattened."""
        part = "lora_magnitude_vector" if self.factors.dora else next(iter(self.factors.parts))
        values = self.factors.array(part).reshape(-1)
        return values.repeat(self.repeat) if self.repeat > 1 else values


@attrs.frozen(kw_only=True)
class Binding:
    """All changes of an adapter by the base's names, and the tensors that result."""

    tensors: Mapping[str, TensorInfo]
    changes: Mapping[str, Bound]
    saved: Mapping[str, str]
    tied_to: Mapping[str, str]


def bind(path: Path, file: WeightFile, factors: Sequence[Factors], base: WeightSource) -> Binding:
    """Finds the tensor of the base that each of an adapter's factors changes.

    Raises:
        SubjectError: the base lacks a module, stores it quantised, or has it in another shape.
    """
    names = _names(base)
    tensors = dict(base.tensors)
    saved = {
        _stored_name(names, one.tensor) or one.tensor: one.parts["saved"] for one in factors if one.kind == "saved"
    }
    for name, stored in saved.items():
        tensors[name] = attrs.evolve(file.tensors[stored], name=name)
    tied_to: dict[str, str] = {}
    conv1d = _has_conv1d(base)
    changes: dict[str, Bound] = {}
    for one in factors:
        if one.kind == "saved":
            continue
        if one.kind == "bias":
            name = _stored_name(names, one.tensor) or one.tensor
            if name not in tensors:  # the layer has no bias: PEFT adds one on top, and refuses to merge it
                tensors[name] = attrs.evolve(file.tensors[one.parts["lora_bias"]], name=name)
            _claim(path, changes, name, Bound(factors=one))
            continue
        name = _target(path, one.module, names, base, saved, tied_to)
        info = tensors.get(name) or tensors[tied_to[name]]
        if info.dtype not in FLOATING:
            raise SubjectError(f"{path}: {one.module} adapts {name!r} of dtype {info.dtype}; dequantise the base first")
        tensors[name] = attrs.evolve(info, name=name)
        _claim(path, changes, name, _orient(path, one, info, conv1d))
        bias = _stored_name(names, f"{one.module}.bias")
        if one.kind == "ia3" and not one.feedforward and bias is not None:  # outputs are scaled with their bias
            _claim(path, changes, bias, Bound(factors=attrs.evolve(one, tensor=f"{one.module}.bias")))
    return Binding(tensors=tensors, changes=dict(sorted(changes.items())), saved=saved, tied_to=tied_to)


def _claim(path: Path, changes: dict[str, Bound], name: str, bound: Bound) -> None:
    if name in changes:
        raise SubjectError(f"{path}: changes {name!r} in two ways; merge the adapter into its base and give that")
    changes[name] = bound


def _orient(path: Path, one: Factors, info: TensorInfo, conv1d: bool) -> Bound:
    rows = info.shape[0] if info.shape else 1
    columns = info.numel // rows if rows else 0
    if one.kind == "tokens":
        return _tokens(path, one, info)
    if one.kind == "ia3":
        return _gain(path, one, info, conv1d)
    outputs, inputs = _flat(one.shape or ())
    transposed = False
    if one.kind != "embedding":
        transposed = (outputs, inputs) != (rows, columns) and (inputs, outputs) == (rows, columns)
        transposed |= outputs == inputs and _is_conv1d(one, conv1d)  # a square weight looks the same either way
    if (outputs, inputs) != ((columns, rows) if transposed else (rows, columns)):
        raise SubjectError(
            f"{path}: factors of {one.module} give {outputs}x{inputs}, but the base's weight is "
            f"{'x'.join(map(str, info.shape))}; give the base the adapter was trained on"
        )
    # the outputs of an embedding are its columns
    by_row = not transposed and one.kind != "embedding"
    if one.dora:
        _require(path, one, "lora_magnitude_vector", rows if by_row else columns)
    return Bound(factors=one, transposed=transposed, by_row=by_row)


def _gain(path: Path, one: Factors, info: TensorInfo, conv1d: bool) -> Bound:
    count, rows = one.file.tensors[one.parts["ia3_l"]].numel, info.shape[0]
    kernel = info.numel // (rows * info.shape[1]) if len(info.shape) > 2 else 1
    columns = info.numel // rows // kernel
    outputs, inputs = rows, columns
    natural = inputs if one.feedforward else outputs
    transposed = kernel == 1 and (natural != count or (outputs == inputs and _is_conv1d(one, conv1d)))
    by_row = one.feedforward is transposed
    _require(path, one, "ia3_l", rows if by_row else columns)
    return Bound(factors=one, transposed=transposed, by_row=by_row, repeat=1 if by_row else kernel)


def _tokens(path: Path, one: Factors, info: TensorInfo) -> Bound:
    _, width = _flat(one.file.tensors[one.parts["trainable_tokens_delta"]].shape)
    outside = [token for token in one.tokens if not 0 <= token < info.shape[0]]
    if len(info.shape) != 2 or width != info.shape[1] or outside:
        raise SubjectError(
            f"{path}: trained tokens of {one.module} do not fit the base's {'x'.join(map(str, info.shape))} embedding; "
            "give the base the adapter was trained on"
        )
    return Bound(factors=one)


def _require(path: Path, one: Factors, part: str, count: int) -> None:
    found = one.file.tensors[one.parts[part]].numel
    if found != count:
        raise SubjectError(
            f"{path}: {part} of {one.module} has {found} entries where the base's weight needs {count}; give the base "
            "the adapter was trained on"
        )


def _flat(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows, and columns with any kernel."""
    columns = 1
    for size in shape[1:]:
        columns *= size
    return shape[0] if shape else 0, columns


def _is_conv1d(one: Factors, conv1d: bool) -> bool:
    return conv1d and one.module.rpartition(".")[2] in _CONV1D


def _has_conv1d(base: WeightSource) -> bool:
    """Whether the base stores its projections transposed, as GPT-2 does: inputs in rows, and more outputs."""
    shapes = [info.shape for name, info in base.tensors.items() if name.endswith(".c_fc.weight")]
    return any(len(shape) == 2 and shape[0] < shape[1] for shape in shapes)


def _names(base: WeightSource) -> dict[str, str]:
    """The base's stored names by canonical name, and by bare name where only one tensor has it."""
    parsed = {name: parse_name(name) for name in base.tensors}
    uses = Counter(name.bare for name in parsed.values())
    bare = {name.bare: stored for stored, name in parsed.items() if uses[name.bare] == 1}
    return {**bare, **{name.canonical: stored for stored, name in parsed.items()}}


def _stored_name(names: Mapping[str, str], name: str) -> str | None:
    parsed = parse_name(name)
    return names.get(parsed.canonical) or names.get(parsed.bare)


def _target(
    path: Path,
    module: str,
    names: Mapping[str, str],
    base: WeightSource,
    saved: Mapping[str, str],
    tied_to: dict[str, str],
) -> str:
    """The stored name of the weight that a module's factors adapt."""
    stored = _stored_name(names, f"{module}.weight")
    if stored is not None:
        return stored
    canonical, bare = parse_name(f"{module}.weight").canonical, parse_name(f"{module}.weight").bare
    if canonical in saved:
        return canonical
    if bare.split(".")[0] == "lm_head":
        embedding = next((n for n in base.tensors if module_kind(parse_name(n).canonical) == "embed"), None)
        if embedding:
            tied_to[canonical] = embedding
            return canonical
    raise SubjectError(f"{path}: adapts {canonical!r}, which the base does not have; give the base it was trained on")
