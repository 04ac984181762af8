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
    "ln2.hook_normalized": "mlp.normed",
    "mlp.hook_in": "mlp.in",
    "hook_mlp_out": "mlp.out",
}
"""TransformerLens: what is added to the residual is named after a post-norm there too (Gemma 2 and 3). Not
`hook_mlp_in`: the stream before the norm there, and what lies behind it in SAELens's names for Gemma Scope 2."""
_BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks|layer)[._](\d+)(?:\.(.+))?$")
_PARTS: dict[str | None, str] = {
    None: "out",
    "output": "out",
    "input": "in",
    **dict.fromkeys(
        ("self_attn.o_proj.input", "self_attn.dense.input", "self_attn.out_proj.input", "self_attention.dense.input",
         "attention.dense.input", "attn.c_proj.input"),
        "attn.heads",
    ),
    "mlp.input": "mlp.in",
    "pre_feedforward_layernorm.output": "mlp.in",
    "post_feedforward_layernorm.output": "mlp.out",
    "post_self_attn_layernorm.output": "attn.out",
    "post_mlp_layernorm.output": "mlp.out",
}  # fmt: skip
"""Modules of transformers, by their path inside a block."""
_ADDED = {
    **dict.fromkeys(("self_attn", "attn", "attention", "self_attn.o_proj", "attention.dense"), "attn.out"),
    **dict.fromkeys(("mlp", "mlp.down_proj"), "mlp.out"),
}
"""Modules whose output is what is added, unless the family adds a norm of it."""
_NORMS_BOTH = re.compile(r"gemma-?[234](?!b)|shieldgemma|olmo-?[23]|exaone-?4", re.IGNORECASE)
"""Models that add norms of the modules' outputs: `post_attention_layernorm` and `post_feedforward_layernorm`."""
_NORMS_BESIDE = re.compile(r"glm-?4.*-0414", re.IGNORECASE)
"""Models that do so, and whose `post_attention_layernorm` is what the MLP reads all the same."""


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
    if found is None:
        return None
    part = _within(found[2], model)
    return None if part is None else f"blocks.{found[1]}.{part}"


def _within(place: str | None, model: str | None) -> str | None:
    """The site inside a block, by the path of a module."""
    both = model is not None and _NORMS_BOTH.search(model) is not None
    beside = model is not None and _NORMS_BESIDE.search(model) is not None
    if place == "post_attention_layernorm.output":  # what the MLP reads, or what is added
        return None if model is None else "attn.out" if both else "mlp.in"
    if place == "post_feedforward_layernorm.output" and model is not None and not both:
        return None
    added = _ADDED.get((place or "").removesuffix(".output"))
    if added is not None:
        return None if both or beside else added
    return _PARTS.get(place)


def in_stream(site: str) -> bool:
    """Whether activations at a site are states of the residual stream or added to it.

    Directions there can be read through the final norm and the unembedding; those of the heads' outputs, of what an MLP
    reads and of what lies behind the final norm cannot.
    """
    return site != "final_norm" and not site.endswith((".attn.heads", ".mlp.in", ".mlp.normed"))
