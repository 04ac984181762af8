"""How queries, keys and values, or gate and up, lie in one fused matrix, family by family.

Names alone do not say it: `query_key_value` is interleaved head by head in GPT-NeoX and BLOOM, by groups of heads in
Falcon. So a layout is taken from the configuration's `model_type`, checked against the stored shape, and never
guessed. Each is that of the model's own code in transformers 5; `tests/test_layouts.py` checks them against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from afterburn_core.backends.derived import View
from afterburn_core.backends.tensors import FLOATING, TensorInfo

Config = Mapping[str, Any]
Runs = tuple[tuple[int, int], ...]

CONV1D = frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer"})
"""Model types whose projections are stored (inputs, outputs)."""
CONV1D_MODULES = frozenset({"c_attn", "c_fc", "c_proj", "q_attn"})

_GATE_UP = frozenset({"phi3", "glm", "glm4", "glm4v", "glm4v_text", "glm_ocr", "glm_ocr_text", "glm_image_text"})
"""Model types whose linear `gate_up_proj` holds the rows of gate, then those of up."""


@attrs.frozen(kw_only=True)
class Part:
    """One logical tensor of a stored one."""

    role: str
    """`q`, `k`, `v`, `gate`, `up`, `down`, `gate_up` or `whole`."""
    view: View
    expert: int | None = None


Parts = tuple[Part, ...] | str
"""The parts, or why they are not known."""


def text_config(config: Config | None) -> Config:
    """The part of a configuration that describes the language model; empty when there is none."""
    nested = (config or {}).get("text_config")
    return {**(config or {}), **nested} if isinstance(nested, Mapping) else (config or {})


def split_attention(info: TensorInfo, module: str, config: Config) -> Parts:
    """Queries, keys and values of a fused projection or of its bias.

    Args:
        info: the stored tensor.
        module: last part of the module's name, such as `qkv_proj`.
        config: the language model's configuration.
    """
    family = config.get("model_type")
    if family in CONV1D and module == "c_attn":
        return _conv1d_thirds(info, config)
    layout = _ATTENTION.get((str(family), module))
    if layout is None:
        return unknown(config, module)
    refusal = _not_a_weight(info)
    if refusal:
        return refusal
    runs = layout(info.shape[0], config)
    if isinstance(runs, str):
        return f"{runs}, which does not fit the shape {'x'.join(map(str, info.shape))}"
    return tuple(Part(role=role, view=_of_rows(info, part)) for role, part in zip("qkv", runs, strict=True))


def split_gate_up(info: TensorInfo, config: Config) -> Parts:
    """Gate and up of a linear layer's fused `gate_up_proj`: the first and the second half of its rows."""
    if config.get("model_type") not in _GATE_UP:
        return unknown(config, "gate_up_proj")
    refusal = _not_a_weight(info)
    if refusal or info.shape[0] % 2:
        return refusal or f"{info.shape[0]} rows are no two halves"
    half = info.shape[0] // 2
    return (
        Part(role="gate", view=_of_rows(info, ((0, half),))),
        Part(role="up", view=_of_rows(info, ((half, half),))),
    )


def transposed(info: TensorInfo) -> Parts:
    """A matrix stored (inputs, outputs), as (outputs, inputs)."""
    rows, columns = info.shape
    view = View(source=info.name, shape=(columns, rows), rows=rows, columns=columns, transposed=True)
    return (Part(role="whole", view=view),)


def unknown(config: Config, module: str) -> str:
    """Why the layout of a module is not known."""
    family = config.get("model_type")
    if family is None:
        return f"no configuration says how its {module} is laid out"
    return f"the configuration's model type {family!r} does not say how its {module} is laid out"


def _not_a_weight(info: TensorInfo) -> str | None:
    if info.dtype not in FLOATING:
        return f"stored as {info.dtype}"
    return None if len(info.shape) in {1, 2} else f"{len(info.shape)} dimensions"


def _of_rows(info: TensorInfo, runs: Runs) -> View:
    columns = info.shape[1] if len(info.shape) == 2 else 1
    count = sum(size for _, size in runs)
    return View(
        source=info.name, shape=(count, *info.shape[1:]), rows=info.shape[0], columns=columns, picked=_joined(runs)
    )


def _joined(runs: Runs) -> Runs:
    """Adjacent runs as one."""
    joined: list[tuple[int, int]] = []
    for first, count in runs:
        if joined and sum(joined[-1]) == first:
            joined[-1] = (joined[-1][0], joined[-1][1] + count)
        else:
            joined.append((first, count))
    return tuple(joined)


def _conv1d_thirds(info: TensorInfo, config: Config) -> Parts:
    refusal = _not_a_weight(info)
    outputs = info.shape[-1] if info.shape else 0
    hidden = _first(config, "n_embd", "hidden_size")
    if refusal or hidden is None or outputs != 3 * hidden:
        return refusal or f"{outputs} outputs are not queries, keys and values of the configuration's width {hidden}"
    third = outputs // 3
    if len(info.shape) == 1:
        return tuple(
            Part(role=role, view=_of_rows(info, ((i * third, third),))) for i, role in enumerate("qkv")
        )  # fmt: skip
    rows, columns = info.shape
    return tuple(
        Part(
            role=role,
            view=View(
                source=info.name,
                shape=(third, rows),
                rows=rows,
                columns=columns,
                cut=(i * third, (i + 1) * third, 1),
                transposed=True,
            ),
        )
        for i, role in enumerate("qkv")
    )


@attrs.frozen(kw_only=True)
class _Heads:
    count: int
    groups: int
    width: int


def _heads(config: Config) -> _Heads | None:
    """Heads, key/value heads and their width, under whichever of transformers' names."""
    attention = config.get("attn_config")
    nested = attention if isinstance(attention, Mapping) else {}
    count = _first(config, "num_attention_heads", "n_head", "n_heads")
    hidden = _first(config, "hidden_size", "n_embd", "d_model")
    if count is None or hidden is None:
        return None
    groups = _first(config, "num_key_value_heads", "num_kv_heads", "n_head_kv") or _first(nested, "kv_n_heads")
    return _Heads(count=count, groups=groups or count, width=_first(config, "head_dim") or hidden // count)


def _first(config: Config, *names: str) -> int | None:
    return next((config[n] for n in names if isinstance(config.get(n), int) and config[n] > 0), None)


def _concatenated(rows: int, config: Config) -> tuple[Runs, Runs, Runs] | str:
    """All queries, then all keys, then all values."""
    heads = _heads(config)
    if heads is None:
        return "the configuration has no number of heads"
    q, kv = heads.count * heads.width, heads.groups * heads.width
    if q + 2 * kv != rows:
        return f"the configuration has {heads.count} and 2 x {heads.groups} heads of width {heads.width}"
    return ((0, q),), ((q, kv),), ((q + kv, kv),)


def _thirds(rows: int, config: Config) -> tuple[Runs, Runs, Runs] | str:
    """All queries, then all keys, then all values, as many of each."""
    hidden = _first(config, "hidden_size", "d_model")
    if hidden is None or rows != 3 * hidden:
        return f"the configuration has the width {hidden}"
    return ((0, hidden),), ((hidden, hidden),), ((2 * hidden, hidden),)


def _grouped(rows: int, config: Config) -> tuple[Runs, Runs, Runs] | str:
    """For each group of heads: its queries, its key, its value. One head a group: interleaved head by head."""
    heads = _heads(config)
    if heads is None:
        return "the configuration has no number of heads"
    each, width = heads.count // heads.groups, heads.width
    if heads.count % heads.groups or (heads.count + 2 * heads.groups) * width != rows:
        return f"the configuration has {heads.count} and 2 x {heads.groups} heads of width {width}"
    starts = range(0, rows, (each + 2) * width)
    return (
        tuple((start, each * width) for start in starts),
        tuple((start + each * width, width) for start in starts),
        tuple((start + (each + 1) * width, width) for start in starts),
    )


def _by_head(rows: int, config: Config) -> tuple[Runs, Runs, Runs] | str:
    """For each head: its query, its key, its value."""
    heads = _heads(config)
    if heads is None:
        return "the configuration has no number of heads"
    return _grouped(rows, {"num_attention_heads": heads.count, "hidden_size": heads.count * heads.width})


def _falcon(rows: int, config: Config) -> tuple[Runs, Runs, Runs] | str:
    """Grouped in the new architecture, else one key and value for all heads, else head by head."""
    if config.get("new_decoder_architecture"):
        return _grouped(rows, config)
    if config.get("multi_query", True):
        return _concatenated(rows, {**config, "num_kv_heads": 1, "num_key_value_heads": 1})
    return _by_head(rows, config)


def _bigcode(rows: int, config: Config) -> tuple[Runs, Runs, Runs] | str:
    if config.get("multi_query", True):
        return _concatenated(rows, {**config, "num_key_value_heads": 1})
    return _by_head(rows, config)


_ATTENTION: Mapping[tuple[str, str], Callable[[int, Config], tuple[Runs, Runs, Runs] | str]] = {
    ("bloom", "query_key_value"): _by_head,
    ("dbrx", "Wqkv"): _concatenated,
    ("falcon", "query_key_value"): _falcon,
    ("gpt_bigcode", "c_attn"): _bigcode,
    ("gpt_neox", "query_key_value"): _by_head,
    ("gpt_neox_japanese", "query_key_value"): _by_head,
    ("modernbert", "Wqkv"): _thirds,
    ("mpt", "Wqkv"): _thirds,
    ("persimmon", "query_key_value"): _by_head,
    ("phi3", "qkv_proj"): _concatenated,
}
