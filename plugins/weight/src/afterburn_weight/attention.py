"""Which rows or columns of an attention matrix belong to which head.

Matrices are (outputs, inputs), as the pass presents them: Conv1D layers turned, fused ones split where their layout is
known. With H query heads, G key and value heads (grouped-query attention, arXiv 2305.13245) and d_h channels per head:

    q  H·d_h rows        k, v  G·d_h rows        o  H·d_h columns        fused  (H + 2G)·d_h rows

The number of heads is the configuration's. d_h follows from it and the matrix itself, and must be the configured
`head_dim` where there is one: hidden_size / num_attention_heads is wrong for Gemma, Qwen3 and Mistral-Nemo.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_weight.gains import Config, stack_config

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

KINDS = frozenset({"q", "k", "v", "o", "qkv", "kv"})
_QUERIES = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads")
_KEYS = ("num_key_value_heads", "num_kv_heads")
_CONCATENATED = frozenset({"qkv_proj", "Wqkv", "qkv", "in_proj", "att_proj"})
_PREFIX = re.compile(r"^(?P<prefix>(?:.*?\.)?[^.]*(?:attn|attention)[^.]*)\.", re.IGNORECASE)
# recurrent and linear-attention mixers have no softmax heads of this kind
_MIXERS = frozenset({"mixer", "mamba", "linear_attn", "ssm"})
_CROSS = re.compile(r"EncDecAttention|cross_?attn|crossattention|encoder_attn", re.IGNORECASE)


class NoHeadsError(ValueError):
    """Why a matrix cannot be cut into heads."""


@attrs.frozen(kw_only=True)
class HeadCounts:
    """What a configuration says about heads."""

    queries: int
    keys: int
    """Key and value heads."""
    width: int | None
    """Channels per head, where the configuration says."""


def attention_prefix(name: str) -> str | None:
    """The attention module a tensor belongs to, such as `model.layers.3.self_attn`; `None` outside of any."""
    found = _PREFIX.match(name)
    return found["prefix"] if found and _MIXERS.isdisjoint(name.split(".")) else None


def is_cross(prefix: str) -> bool:
    """Whether it attends to another stack's output."""
    return bool(_CROSS.search(prefix))


def head_counts(config: Config | None, subset: str | None) -> HeadCounts:
    """Reads the numbers of heads of a stack.

    Raises:
        NoHeadsError: they are not there, or the architecture has no heads of this kind.
    """
    if config is None:
        raise NoHeadsError("there is no configuration, which would say how many heads there are")
    stack = stack_config(config, subset)
    queries = _number(stack, _QUERIES)
    if queries is None:
        raise NoHeadsError("the configuration does not say how many attention heads there are")
    if stack.get("kv_lora_rank"):
        raise NoHeadsError("keys and values are made from a shared low-rank projection, not head by head")
    shared = stack.get("multi_query") and not stack.get("new_decoder_architecture")
    keys = 1 if shared else _number(stack, _KEYS) or queries
    if queries % keys:
        raise NoHeadsError(f"the configuration's {queries} query heads cannot share {keys} key heads evenly")
    return HeadCounts(
        queries=queries,
        keys=keys,
        width=_number(stack, ("head_dim", "d_kv")),
    )


def cut(name: str, kind: str, weight: Array, heads: HeadCounts) -> Mapping[str, Array]:
    """The heads of a stored matrix by part (q, k, v, o), each (heads, d_h, width of the residual stream).

    Raises:
        NoHeadsError: the shape does not fit the configuration, or the layout is not known.
    """
    module = name.removesuffix(".weight").removesuffix("_weight").rsplit(".", 1)[-1]
    if weight.ndim != 2 or kind == "kv":
        raise NoHeadsError("its layout by heads is not known")
    if kind == "qkv":
        return _fused(module, weight, heads)
    count = heads.queries if kind in {"q", "o"} else heads.keys
    rows = weight.T if kind == "o" else weight
    width = _width(rows.shape[0], count, heads, "columns" if kind == "o" else "rows")
    return {kind: rows.reshape(count, width, -1)}


def _fused(module: str, weight: Array, heads: HeadCounts) -> Mapping[str, Array]:
    total = heads.queries + 2 * heads.keys
    width = _width(weight.shape[0], total, heads, "rows")
    columns = weight.shape[1]
    if module not in _CONCATENATED:
        raise NoHeadsError(f"the order of heads inside a fused {module} is not known for this architecture")
    stacked = weight.reshape(total, width, columns)
    first, second = heads.queries, heads.queries + heads.keys
    return {"q": stacked[:first], "k": stacked[first:second], "v": stacked[second:]}


def _width(size: int, count: int, heads: HeadCounts, what: str) -> int:
    width = size // count
    if size % count or (heads.width is not None and width != heads.width):
        wanted = f"{count} heads of {heads.width}" if heads.width is not None else f"{count} heads"
        raise NoHeadsError(f"its {size} {what} are not {wanted}, as the configuration has it")
    return width


def _number(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = config.get(name)
        if type(value) is int and value > 0:
            return value
    return None
