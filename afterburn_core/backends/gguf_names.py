"""GGUF's names and conventions by architecture: which Hugging Face tensor a GGUF tensor is, and how to read it.

llama.cpp's converter changes three things besides names. For architectures of the Llama family it reorders the rows of
q and k within each head, because its rotary embedding rotates neighbouring pairs instead of halves. It adds 1 to norm
weights that the model stores as w and uses as 1 + w. It stacks the experts of a layer into one tensor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

_COMMON: Mapping[str, str] = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GEMMA2: Mapping[str, str] = {
    **_COMMON,
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
# Phi-3 fuses q, k and v, and gate and up; they are presented apart
_PHI3: Mapping[str, str] = {
    **_COMMON,
    "attn_qkv": "self_attn.q_proj self_attn.k_proj self_attn.v_proj",
    "ffn_up": "mlp.gate_proj mlp.up_proj",
}
_MIXTRAL: Mapping[str, str] = {
    **_COMMON,
    "ffn_gate_inp": "block_sparse_moe.gate",
    "ffn_gate_exps": "block_sparse_moe.experts.{}.w1",
    "ffn_down_exps": "block_sparse_moe.experts.{}.w2",
    "ffn_up_exps": "block_sparse_moe.experts.{}.w3",
}
_QWEN_MOE: Mapping[str, str] = {
    **_COMMON,
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.{}.gate_proj",
    "ffn_down_exps": "mlp.experts.{}.down_proj",
    "ffn_up_exps": "mlp.experts.{}.up_proj",
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
}
_TOP: Mapping[str, str] = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
# tables computed from the configuration; under this name they count as what they are, a buffer
_ROTARY = re.compile(r"(?:blk\.\d+\.)?rope_(?:freqs|factors_long|factors_short)\.weight")
_BLOCK = re.compile(r"blk\.(\d+)\.([a-z0-9_]+)\.(weight|bias)")


@attrs.frozen(kw_only=True)
class Convention:
    """How one architecture is stored."""

    model_type: str
    """transformers' name of it."""
    blocks: Mapping[str, str] = _COMMON
    """GGUF name within a block to the name within a layer, or to several whose rows follow one another; `{}` stands for
    the number of an expert."""
    permuted: bool = False
    """Whether the rows of q and k are reordered within each head."""
    shifted: bool = False
    """Whether 1 was added to the weights of norms."""


CONVENTIONS: Mapping[str, Convention] = {
    "llama": Convention(model_type="llama", blocks=_MIXTRAL, permuted=True),
    "granite": Convention(model_type="granite", permuted=True),
    "smollm3": Convention(model_type="smollm3", permuted=True),
    "qwen2": Convention(model_type="qwen2"),
    "qwen2moe": Convention(model_type="qwen2_moe", blocks=_QWEN_MOE),
    "qwen3": Convention(model_type="qwen3"),
    "qwen3moe": Convention(model_type="qwen3_moe", blocks=_QWEN_MOE),
    "gemma": Convention(model_type="gemma", shifted=True),
    "gemma2": Convention(model_type="gemma2", blocks=_GEMMA2, shifted=True),
    "gemma3": Convention(model_type="gemma3_text", blocks=_GEMMA2, shifted=True),
    "phi3": Convention(model_type="phi3", blocks=_PHI3),
    "nemotron": Convention(model_type="nemotron", shifted=True),
}


@attrs.frozen(kw_only=True)
class Place:
    """Where a GGUF tensor belongs."""

    names: tuple[str, ...]
    """Hugging Face names, several where rows of several weights follow one another; `{}` stands for the number of an
    expert."""
    heads: str | None = None
    """Metadata key (after the architecture) of the heads within which rows are reordered."""
    layer: int | None = None
    shift: bool = False
    """Whether 1 is subtracted."""


def place_of(stored: str, convention: Convention) -> Place:
    """The place of a GGUF tensor; a name that is not known stays as it is."""
    if _ROTARY.fullmatch(stored):
        return Place(names=(f"model.{stored.removesuffix('.weight')}.inv_freq",))
    stem, _, parameter = stored.rpartition(".")
    if stem in _TOP:
        shift = convention.shifted and stem == "output_norm" and parameter == "weight"
        return Place(names=(f"{_TOP[stem]}.{parameter}",), shift=shift)
    match = _BLOCK.fullmatch(stored)
    if match is None or match[2] not in convention.blocks:
        return Place(names=(stored,))
    modules = convention.blocks[match[2]].split()
    heads = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}.get(match[2])
    return Place(
        names=tuple(f"model.layers.{match[1]}.{module}.{match[3]}" for module in modules),
        heads=heads if convention.permuted else None,
        layer=int(match[1]),
        shift=convention.shifted and match[2].endswith("norm") and match[3] == "weight",
    )
