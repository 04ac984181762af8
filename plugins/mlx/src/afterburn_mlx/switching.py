"""Adapters on models in memory: mlx-lm's own LoRA and DoRA layers, filled with the factors that weights are read by.

So a PEFT adapter and one of mlx-lm run by the same code, on a base of either's names, quantised or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import mlx.core as mx
from mlx import nn

from afterburn_core.errors import SubjectError
from afterburn_core.run.naming import parse_name
from afterburn_mlx import seam

if TYPE_CHECKING:
    from afterburn_core.backends.adapter import AdapterSource
    from afterburn_core.backends.adapter_binding import Bound
    from afterburn_mlx.network import Switch


def refusal(source: AdapterSource, *, own: bool) -> str | None:
    """Why a model with this adapter does not run on MLX; `None` where it does.

    Args:
        source: the adapter, bound to its base.
        own: whether mlx-lm saved it.
    """
    kinds = {bound.factors.kind for bound in source.changes.values()}
    beyond = kinds - {"lora", "dora", *(("embedding",) if own else ())}
    if beyond:
        named = ", ".join(sorted(beyond))
        return f"mlx.lm runs LoRA and DoRA of linear layers, and this adapter has {named}; merge it and give that"
    stored = source.base.tensors
    grown = [name for name in source.saved if name not in stored or stored[name].shape != source.tensors[name].shape]
    if grown:
        return f"it stores {grown[0]!r} whole, in a shape that its base has not; merge it and give that"
    if source.tied_to:
        return "it adapts a head that is tied to the embedding, which mlx-lm has no layer for; merge it and give that"
    return None


def toggles(source: AdapterSource) -> bool:
    """Whether the base is there again when the adapter is off: nothing of it is overwritten."""
    return not source.saved


def adapt(model: Any, source: AdapterSource, label: str) -> list[Switch]:
    """Builds the adapter's layers beside those of the model; what is stored whole is put in place.

    Args:
        model: the base, loaded.
        source: the adapter, bound to it.
        label: of the adapter, for errors.

    Raises:
        SubjectError: it changes something that the model does not have.
    """
    from afterburn_mlx.network import Switch

    paths = {parse_name(f"{path}.weight").bare: path for path, _ in model.named_modules()}
    _overwrite(model, source, label)
    switches = []
    for name, bound in source.changes.items():
        path = paths.get(parse_name(name).bare)
        if path is None:
            raise SubjectError(f"{label}: adapts {name!r}, which mlx-lm's model has no layer for")
        parent_path, _, last = path.rpartition(".")
        parent = _at(model, parent_path)
        plain = getattr(parent, last)
        switches.append(Switch(parent=parent, name=last, plain=plain, adapted=_layer(plain, bound, name, label)))
    return switches


def _at(model: Any, path: str) -> Any:
    found = model
    for part in filter(None, path.split(".")):
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    return found


def _layer(plain: Any, bound: Bound, name: str, label: str) -> Any:
    from mlx_lm.tuner.dora import DoRALinear
    from mlx_lm.tuner.lora import LoRAEmbedding, LoRALinear

    factors = bound.factors
    kinds: Mapping[str, tuple[Any, tuple[type, ...]]] = {
        "lora": (LoRALinear, (nn.Linear, nn.QuantizedLinear)),
        "dora": (DoRALinear, (nn.Linear, nn.QuantizedLinear)),
        "embedding": (LoRAEmbedding, (nn.Embedding, nn.QuantizedEmbedding)),
    }
    layer, over = kinds[factors.kind]
    if not any(isinstance(plain, one) for one in over):
        raise SubjectError(f"{label}: adapts {name!r}, which is a {type(plain).__name__} in mlx-lm's model")
    matrix = factors.matrix()  # left (outputs, r), right (r, inputs); of an embedding (tokens, r) and (r, width)
    adapted = layer.from_base(plain, r=matrix.width, dropout=0.0, scale=matrix.scale)
    dtype = plain.scales.dtype if hasattr(plain, "scales") else plain.weight.dtype
    first, second = (matrix.left, matrix.right) if factors.kind == "embedding" else (matrix.right.T, matrix.left.T)
    adapted.lora_a, adapted.lora_b = seam.from_float64(first, dtype), seam.from_float64(second, dtype)
    if factors.kind == "dora":
        adapted.m = seam.from_float64(bound.vector(), mx.float32)
    adapted.eval()
    mx.eval(adapted.parameters())
    return adapted


def _overwrite(model: Any, source: AdapterSource, label: str) -> None:
    from mlx.utils import tree_flatten

    if not source.saved:
        return
    own = dict(tree_flatten(model.parameters()))
    paths = {parse_name(path).bare: path for path in own}
    replaced = []
    for name in source.saved:
        path = paths.get(parse_name(name).bare)
        info = source.tensors[name]
        if path is None or tuple(own[path].shape) != info.shape:
            raise SubjectError(f"{label}: stores {name!r}, which mlx-lm's model has not, or in another shape")
        value = source.read(name, 0, info.numel).reshape(info.shape)
        replaced.append((path, seam.from_torch(value, own[path].dtype)))
    model.load_weights(replaced, strict=False)
