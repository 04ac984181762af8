"""What other tools call a place in the network, by the neutral names of `afterburn_core.forward`.

A name that is none of the neutral sites, such as a single head's output, maps to `None`: the dictionary stays readable,
and nothing is measured with it here.
"""

from __future__ import annotations

import re

_LENS = {
    "hook_resid_pre": "in",
    "hook_resid_mid": "mid",
    "hook_resid_post": "out",
    "attn.hook_z": "attn.heads",
    "hook_attn_out": "attn.out",
    "ln2.hook_normalized": "mlp.in",
    "hook_mlp_out": "mlp.out",
}
"""TransformerLens: what is added to the residual is named after a post-norm there too (Gemma 2 and 3). Not
`hook_mlp_in`: the stream before the norm there, and what lies behind it in SAELens's names for Gemma Scope 2."""
_BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks|layer)[._](\d+)(?:\.(.+))?$")
_PARTS = {
    None: "out",
    "output": "out",
    "input": "in",
    "self_attn": "attn.out",
    "self_attn.output": "attn.out",
    "self_attn.o_proj.input": "attn.heads",
    "attn.c_proj.input": "attn.heads",
    "attention.dense.input": "attn.heads",
    "attn": "attn.out",
    "attn.output": "attn.out",
    "attention": "attn.out",
    "mlp": "mlp.out",
    "mlp.input": "mlp.in",
    "mlp.output": "mlp.out",
    "pre_feedforward_layernorm.output": "mlp.in",
    "post_feedforward_layernorm.output": "mlp.out",
}
"""Modules of transformers, by their path inside a block; in post-norm families the norm's output is what is added."""
_POST_NORM = re.compile(r"gemma-?[23](?!b)|olmo-?2|glm-?4", re.IGNORECASE)
"""Models that add a norm of the module's output, not the output itself."""


def neutral(name: str | None, *, model: str | None = None) -> str | None:
    """The neutral site that a hook or a module of this name is, or `None`.

    Args:
        name: `blocks.12.hook_resid_post`, `model.layers.12.output`, `layers.12.mlp`, `hook_embed`, `embed_tokens` …
        model: its name, where known: in post-norm families the output of a module is not what is added.
    """
    if name is None:
        return None
    if name in ("hook_embed", "embed_tokens", "model.embed_tokens", "model.embed_tokens.output"):
        return "embed"
    found = re.fullmatch(r"blocks\.(\d+)\.((?:\w+\.)?hook_\w+)", name)
    if found is not None:
        part = _LENS.get(found[2])
        return None if part is None else f"blocks.{found[1]}.{part}"
    found = _BLOCK.search(name)
    adds_a_norm = model is not None and _POST_NORM.search(model) is not None
    if found is not None and found[2] == "post_attention_layernorm.output":  # what the MLP reads, or what is added
        return None if model is None else f"blocks.{found[1]}.{'attn.out' if adds_a_norm else 'mlp.in'}"
    if found is None or found[2] not in _PARTS:
        return None
    part = _PARTS[found[2]]
    if part in ("attn.out", "mlp.out") and adds_a_norm and "layernorm" not in str(found[2]):
        return None
    if found[2] == "post_feedforward_layernorm.output" and not adds_a_norm and model is not None:
        return None
    return f"blocks.{found[1]}.{part}"


def in_stream(site: str) -> bool:
    """Whether activations at a site are states of the residual stream or added to it.

    Directions there can be read through the unembedding; those of the heads' outputs and of what an MLP reads cannot.
    """
    return not site.endswith((".attn.heads", ".mlp.in"))
