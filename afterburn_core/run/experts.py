"""How experts lie in a stack (experts, …), family by family: every expert is a matrix of its own.

`gate_up_proj` is two halves of the rows in Mixtral and most others, two halves of the columns in Llama 4, alternating
columns in gpt-oss. As in `run.fused`, a layout is taken from `model_type`, checked against the shape, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from afterburn_core.backends.derived import View
from afterburn_core.backends.tensors import FLOATING, TensorInfo
from afterburn_core.run.fused import Config, Part, Parts, unknown

# stacked experts as (experts, 2 · inner, hidden) and (experts, hidden, inner), gate before up
_EXPERTS_BY_ROWS = frozenset(
    {
        "afmoe", "cohere2_moe", "deepseek_v2", "deepseek_v3", "deepseek_v32", "deepseek_v4", "dots1", "ernie4_5_moe",
        "exaone_moe", "flex_olmo", "gemma4", "gemma4_text", "glm4_moe", "glm4_moe_lite", "glm4v_moe",
        "glm4v_moe_text", "glm_moe_dsa", "granitemoe", "granitemoehybrid", "granitemoeshared", "hunyuan_v1_moe",
        "hy_v3", "jamba", "jetmoe", "kimi_linear", "lfm2_moe", "mimo_v2_flash", "minimax", "minimax_m2", "mistral4",
        "mixtral", "nemotron_h", "olmoe", "phimoe", "qwen2_moe", "qwen3_5_moe", "qwen3_5_moe_text", "qwen3_moe",
        "qwen3_next", "qwen3_omni_moe_text", "qwen3_vl_moe", "qwen3_vl_moe_text", "solar_open",
    }
)  # fmt: skip
# stacked experts as (experts, hidden, 2 · inner) and (experts, inner, hidden): how gate and up share the columns
_EXPERTS_BY_COLUMNS = {
    "aria": "halves", "aria_text": "halves", "gpt_oss": "alternating", "llama4": "halves", "llama4_text": "halves",
    "openai_privacy_filter": "halves",
}  # fmt: skip
# families of which files in either orientation are about; transformers tells them apart by shape as well
_EITHER_WAY = frozenset({"qwen3_vl_moe", "qwen3_vl_moe_text"})


def split_experts(info: TensorInfo, role: str, config: Config, *, bias: bool) -> Parts:
    """Every expert's matrix, or bias, of a stack (experts, …).

    Args:
        info: the stored stack, of 3 dimensions, of 2 for biases.
        role: what each expert's slice is: `gate_up`, `gate`, `up` or `down`.
        config: the language model's configuration.
        bias: whether it is a stack of biases.
    """
    family = str(config.get("model_type"))
    by_columns = family in _EXPERTS_BY_COLUMNS
    if not by_columns and family not in _EXPERTS_BY_ROWS:
        return unknown(config, "experts")
    hidden = config.get("hidden_size")
    if not bias and isinstance(hidden, int):
        facing = info.shape[1] if (role == "down") is not by_columns else info.shape[2]
        if facing != hidden:
            other = info.shape[2] if (role == "down") is not by_columns else info.shape[1]
            if family not in _EITHER_WAY or other != hidden:
                return (
                    f"neither side of {'x'.join(map(str, info.shape))} is where {family} has its hidden size {hidden}"
                )
            by_columns = not by_columns
    order = _EXPERTS_BY_COLUMNS.get(family, "halves")
    return slice_experts(info, role, bias=bias, by_columns=by_columns, order=order)


def slice_experts(
    info: TensorInfo, role: str, *, bias: bool, by_columns: bool = False, order: str | None = None
) -> Parts:
    """Slices of a stack along its first axis.

    Args:
        info: the stored stack.
        role: what each slice is.
        bias: whether slices are vectors.
        by_columns: whether outputs are the columns of a slice, which is transposed then.
        order: how gate and up share the outputs, `halves` or `alternating`; without it they stay together.
    """
    if info.dtype not in FLOATING:
        return f"stored as {info.dtype}"
    outputs = info.shape[2] if by_columns and not bias else info.shape[1]
    parts: list[Part] = []
    roles = ("gate", "up") if role == "gate_up" and order else (role,)
    if len(roles) == 2 and outputs % 2:
        return f"{outputs} outputs are no two halves"
    for expert in range(info.shape[0]):
        for number, part in enumerate(roles):
            view = _expert_view(info, expert, number if len(roles) == 2 else None, bias, by_columns, order)
            parts.append(Part(role=part, view=view, expert=expert))
    return tuple(parts)


def _expert_view(
    info: TensorInfo, expert: int, half: int | None, bias: bool, by_columns: bool, order: str | None
) -> View:
    """One expert's slice, or its gate (half 0) or up (half 1)."""
    rows, columns = (1, info.shape[1]) if bias else (info.shape[1], info.shape[2])
    wide = by_columns or bias  # outputs lie along the columns
    whole = View(
        source=info.name,
        shape=(columns,) if bias else (columns, rows) if by_columns else (rows, columns),
        start=expert * rows * columns,
        rows=rows,
        columns=columns,
        transposed=by_columns and not bias,
    )
    if half is None:
        return whole
    outputs = columns if wide else rows
    size = outputs // 2
    shape = (size,) if bias else (size, rows if wide else columns)
    if order == "halves" and bias:  # a bias in two halves needs no block in memory
        return attrs.evolve(whole, shape=shape, rows=columns, columns=1, picked=((half * size, size),))
    if not wide:
        return attrs.evolve(whole, shape=shape, picked=((half * size, size),))
    cut = (half, outputs, 2) if order == "alternating" else (half * size, (half + 1) * size, 1)
    return attrs.evolve(whole, shape=shape, cut=cut)


def flat_experts(info: TensorInfo, role: str, config: Config) -> Parts:
    """DBRX: w1 (gate), v1 (up) and w2 (down) as (experts · inner, hidden), w2 to be applied transposed."""
    inner = config.get("ffn_config")
    experts = inner.get("moe_num_experts") if isinstance(inner, Mapping) else None
    if config.get("model_type") != "dbrx" or not isinstance(experts, int) or experts < 1 or info.shape[0] % experts:
        return unknown(config, "experts")
    stacked = attrs.evolve(info, shape=(experts, info.shape[0] // experts, info.shape[1]))
    return slice_experts(stacked, role, bias=False, by_columns=role == "down")
