"""What a tensor's name says: wrappers to strip, the layer, the kind of module, the stack it belongs to."""

from __future__ import annotations

import re

import attrs

from afterburn_core.result.model import Scope

# wrappers that trainers put around a model; they carry no meaning wherever they stand
_ANYWHERE = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
_LEADING = ("module.", "base_model.model.")
# names of the inner model that one library writes and another leaves out
_BODY = frozenset({"model", "transformer", "language_model", "bert", "roberta", "distilbert", "gpt_neox", "backbone"})

_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)(?=\.|$)")
_STACK = (
    (re.compile(r"(?:^|\.)(?:vision_tower|vision_model|visual|vision)\."), "vision"),
    (re.compile(r"(?:^|\.)(?:multi_modal_projector|mm_projector|connector)\."), "projector"),
    (re.compile(r"(?:^|\.)encoder\.(?:block|layers)\."), "encoder"),
    (re.compile(r"(?:^|\.)decoder\.(?:block|layers)\."), "decoder"),
    (re.compile(r"(?:^|\.)mtp\."), "mtp"),  # blocks that predict further tokens, numbered from 0 again
)
_BUFFER = re.compile(r"(?:^|\.)(?:inv_freq|position_ids|token_type_ids|masked_bias|causal_mask|num_batches_tracked)$")
_CAUSAL_MASK = re.compile(r"(?:^|\.)attn\.bias$|(?:^|\.)attention\.bias$")

# last module segment → kind; names that mean different things in attention and MLP are listed apart
_KINDS: dict[str, str] = {
    **dict.fromkeys(("q_proj", "query", "q", "q_lin", "wq", "to_q", "q_a_proj", "q_b_proj"), "q"),
    **dict.fromkeys(("k_proj", "key", "k", "k_lin", "wk", "to_k"), "k"),
    **dict.fromkeys(("v_proj", "value", "v", "v_lin", "wv", "to_v"), "v"),
    **dict.fromkeys(("c_attn", "qkv_proj", "query_key_value", "Wqkv", "wqkv", "qkv", "in_proj", "att_proj"), "qkv"),
    **dict.fromkeys(("kv_a_proj_with_mqa", "kv_b_proj", "kv_proj"), "kv"),
    **dict.fromkeys(("o_proj", "out_proj", "o", "out_lin", "attn_out"), "o"),
    **dict.fromkeys(("gate_proj", "w1", "wi_0"), "gate"),
    **dict.fromkeys(("up_proj", "w3", "wi_1", "wi", "c_fc", "fc1", "lin1", "dense_h_to_4h"), "up"),
    **dict.fromkeys(("gate_up_proj",), "gate_up"),
    **dict.fromkeys(("down_proj", "w2", "fc2", "lin2", "dense_4h_to_h"), "down"),
    **dict.fromkeys(
        ("embed_tokens", "wte", "word_embeddings", "shared", "embed_in", "tok_embeddings", "embeddings"), "embed"
    ),
    **dict.fromkeys(
        (
            "wpe",
            "position_embedding",
            "position_embeddings",
            "embed_positions",
            "token_type_embeddings",
            "relative_attention_bias",
        ),
        "position",
    ),
    **dict.fromkeys(("lm_head", "embed_out", "score", "classifier", "v_head", "value_head"), "head"),
    **dict.fromkeys(("router", "shared_expert_gate"), "router"),
}
_NORM = re.compile(r"norm|^ln(?:_|\d|$)", re.IGNORECASE)
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
# state-space and linear-attention mixers, whose `in_proj` is no attention projection
_MIXERS = frozenset({"mixer", "mamba", "linear_attn", "ssm"})
# parameters without a module of their own: `in_proj_weight`, the `down_proj_bias` of fused experts
_JOINED = re.compile(r"(?P<last>.+)_(?P<parameter>weight|bias)")


@attrs.frozen(kw_only=True)
class TensorName:
    """A stored name, taken apart."""

    stored: str
    canonical: str
    """Without wrappers; what reports show."""
    bare: str
    """Also without the inner model's name; used to pair what libraries spell differently."""


def parse_name(stored: str) -> TensorName:
    """Strips wrappers such as `_orig_mod.`, `module.` and `base_model.model.`."""
    canonical = ".".join(part for part in stored.split(".") if part not in _ANYWHERE)
    stripped = True
    while stripped:
        stripped = False
        for prefix in _LEADING:
            if canonical.startswith(prefix):
                canonical, stripped = canonical.removeprefix(prefix), True
    parts = canonical.split(".")
    while len(parts) > 1 and parts[0] in _BODY:
        parts = parts[1:]
    return TensorName(stored=stored, canonical=canonical, bare=".".join(parts))


def scope_of(name: str) -> Scope:
    """The scope of a canonical name: tensor, layer, module kind and stack."""
    layer = _LAYER.search(name)
    subset = next((label for pattern, label in _STACK if pattern.search(name)), None)
    return Scope(tensor=name, layer=int(layer.group(1)) if layer else None, module=module_kind(name), subset=subset)


def module_kind(name: str) -> str:
    """q k v qkv kv o gate up gate_up down router ssm embed position head norm bias other."""
    parts = name.split(".")
    parameter = parts[-1] if parts[-1] in {"weight", "bias"} else None
    path = parts[:-1] if parameter else parts
    joined = _JOINED.fullmatch(parts[-1]) if parameter is None and parts[-1] not in _KINDS else None
    if joined:
        parameter, path = joined["parameter"], [*parts[:-1], joined["last"]]
    if not path:
        return "bias" if parameter == "bias" else "other"
    last = path[-1]
    if _NORM.search(last):
        return "norm"
    if parameter == "bias":
        return "bias"
    if last == "gate" and any("mlp" in part or "moe" in part or "feed_forward" in part for part in path):
        return "router"
    if last != "out_proj" and not _MIXERS.isdisjoint(path[:-1]):
        return "ssm"
    if last == "decoder" and path[-2:-1] in (["predictions"], ["lm_head"]):  # BERT's and RoBERTa's output layer
        return "head"
    attention = any(_ATTENTION.search(part) for part in path[-3:])
    if last in {"c_proj", "wo", "dense", "proj", "output"}:
        return _output_kind(path, attention)
    return _KINDS.get(last, "other")


def _output_kind(path: list[str], attention: bool) -> str:
    """Names such as `dense` and `c_proj` whose meaning depends on where they stand."""
    last, parent = path[-1], path[-2] if len(path) > 1 else ""
    if attention:
        return "o"
    if last == "dense" and parent == "intermediate":
        return "up"
    if (last == "dense" and parent == "output") or last in {"c_proj", "wo"} or (last == "proj" and "mlp" in parent):
        return "down"
    return "head" if last == "output" and len(path) == 1 else "other"


def is_buffer(name: str, shape: tuple[int, ...]) -> bool:
    """Whether it holds constants that training does not change: rotary tables, masks, position ids."""
    return bool(_BUFFER.search(name)) or (bool(_CAUSAL_MASK.search(name)) and len(shape) == 4)
