"""The parts of a block of a transformers network, found by structure: where attention and MLP begin and end.

Families whose modules are not what their names say stand in `_PARTS`, those whose parts are not known in `_UNKNOWN`:
their blocks have no parts here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import attrs
import torch
from torch import nn

ATTENTION = (
    "self_attn", "attention", "attn", "self_attention", "linear_attn", "temporal_block", "mixer", "mamba", "conv",
    "seq_transformer",
)  # fmt: skip
MLP = ("mlp", "feed_forward", "block_sparse_moe", "moe", "ffn", "channel_mlp", "fc2")
_POST_NORMS = (
    ("post_attention_layernorm", "post_feedforward_layernorm"),
    ("post_self_attn_layernorm", "post_mlp_layernorm"),
    ("post_attention_layernorm", "post_mlp_layernorm"),
)
"""Norms between a module and the residual: a block that has both adds their outputs (Gemma 2 and 3, OLMo 2; GLM-4;
AFMoE). The first pair that a block has counts: in GLM-4 `post_attention_layernorm` stands before the MLP."""
_ADD_THEN_NORM = frozenset({
    "mpnet", "distilbert", "nomic_bert", "gte", "jina_embeddings_v3", "bart", "mvp", "marian", "blenderbot-small",
    "plbart", "trocr", "led", "fsmt", "openai-gpt", "minimax", "rwkv",
})  # fmt: skip
"""Blocks that norm or weight what they have added."""
_UNKNOWN = frozenset({
    "hyperclovax", "lfm3", "inkling_text", "inkling2_text", "beam", "doge", "gpt_neox_japanese", "falcon_h1",
})  # fmt: skip
"""Blocks that scale, norm or shift what a part gives before it is added, each in a way of its own."""
_BERT = ("attention.output.dense", "output.dense")
_PARTS: Mapping[str, tuple[str, str]] = {
    "bloom": ("self_attention.dense", "mlp.dense_4h_to_h"),  # the modules add the residual themselves
    "mpt": ("attn", "ffn.down_proj"),
    "mpnet": ("attention.attn", "output.dense"),
    "distilbert": ("attention", "ffn"),
    **dict.fromkeys(
        ("bert", "roberta", "xlm-roberta", "camembert", "electra", "deberta", "deberta-v2", "ernie", "data2vec-text",
         "roberta-prelayernorm", "xlm-roberta-xl", "megatron-bert", "roformer", "rembert", "roc_bert", "convbert",
         "layoutlm", "esm"),
        _BERT,
    ),
}  # fmt: skip
"""Attention and MLP of a block, by model type."""
_HEADED = ("self_attn", "attention", "attn", "self_attention")
_PROJECTIONS = ("o_proj", "out_proj", "c_proj", "dense", "out_lin", "o", "Wo")
"""The last linear map of an attention, whose input is the heads' outputs."""
_ENTRANCES: Mapping[str, str] = {"bloom": "mlp", "mpt": "ffn", "mpnet": "intermediate.dense", "distilbert": "ffn"}
"""What the MLP of a block begins with, by model type, where the part that ends it is another module."""
_BEFORE_MLP = (
    "pre_feedforward_layernorm", "pre_mlp_layernorm", "post_attention_layernorm", "ln_2", "norm_2", "ffn_norm",
    "mlp_norm",
)  # fmt: skip
"""Norms that read the stream between attention and MLP."""
_PARALLEL = ("use_parallel_residual", "parallel_attn", "new_decoder_architecture")
"""Settings under which attention and MLP read the same stream, and nothing lies between them."""


@attrs.frozen(kw_only=True, eq=False)
class Tap:
    """One side of one module."""

    module: nn.Module
    side: Literal["in", "out"]
    scale: float = 1.0
    """The block multiplies the module's output by this before it adds it."""
    width: int | None = None
    """d of what is seen there, where it may be another than that of the residual stream."""
    computed: Callable[[torch.Tensor], torch.Tensor] | None = None
    """What is seen, of what passes there; nothing can be put in its place then."""


def parts_of(block: nn.Module, kind: str, config: Any) -> dict[str, Tap]:
    """The sites inside a block by their names in it, such as `attn.out`, in the order in which they are computed.

    Args:
        block: one of the network's.
        kind: the model type of its text part.
        config: the configuration of that part.
    """
    if kind in _UNKNOWN:
        return {}
    attention, mlp = _parts(block, kind)
    found = {
        "attn.heads": _heads(block, kind),
        "attn.out": attention,
        "mid": _middle(block, kind, config),
        "mlp.normed": _normed(block, kind),
        "mlp.in": _entrance(block, kind),
        "mlp.out": mlp,
    }
    return {name: tap for name, tap in found.items() if tap is not None}


def _parts(block: nn.Module, kind: str) -> tuple[Tap | None, Tap | None]:
    scale = float(getattr(block, "residual_multiplier", getattr(block, "residual_scale", 1.0)))  # Granite, MiniCPM
    pair = _post_norms(block)
    if pair:
        return _tap(child(block, pair[:1]), scale), _tap(child(block, pair[1:]), scale)
    if kind in _PARTS:
        first, second = (_descend(block, path) for path in _PARTS[kind])
        if first is not None and second is not None:
            return _tap(first, scale), _tap(second, scale)
    shared = child(block, ("shared_mlp",))  # Granite 4: alone, or beside experts whose sum no module gives
    mlp = child(block, MLP) if shared is None else None if child(block, ("block_sparse_moe",)) else shared
    return _tap(child(block, ATTENTION), scale), _tap(mlp, scale)


def _heads(block: nn.Module, kind: str) -> Tap | None:
    if _PARTS.get(kind) is _BERT:
        projection = _descend(block, _BERT[0])
    else:
        attention = child(block, _HEADED)
        inner = None if attention is None else child(attention, ("attn",))  # MPNet
        projection = next((found for one in (attention, inner) if one and (found := child(one, _PROJECTIONS))), None)
    if projection is None:
        return None
    width = getattr(projection, "in_features", None)
    if width is None and isinstance(weight := getattr(projection, "weight", None), torch.Tensor):
        width = weight.shape[0]  # GPT-2 keeps its linear maps the other way round
    return Tap(module=projection, side="in", width=width)


def _entrance(block: nn.Module, kind: str) -> Tap | None:
    if _PARTS.get(kind) is _BERT:
        module = _descend(block, "intermediate.dense")
    elif kind in _ENTRANCES:
        module = _descend(block, _ENTRANCES[kind])
    else:
        module = child(block, ("fc1", "shared_mlp", *MLP))
    if kind.startswith("gemma4") and child(block, ("router", "experts")) is not None:
        return None  # its experts read something else than its dense MLP
    return None if module is None else Tap(module=module, side="in")


def _middle(block: nn.Module, kind: str, config: Any) -> Tap | None:
    """Between attention and MLP; `None` where a block has no such place, or where no norm or MLP shows it."""
    if any(getattr(config, name, False) for name in _PARALLEL) or norms_after(block, kind):
        return None
    norm = _norm_before_mlp(block)
    if norm is None:  # OLMo 2 has none, and what its MLP reads is the stream
        return _entrance(block, kind) if _post_norms(block) else None
    return Tap(module=norm, side="in")


def _post_norms(block: nn.Module) -> tuple[str, ...]:
    """Names of the norms between the modules and the residual; none where it adds what the modules give."""
    pairs = (pair for pair in _POST_NORMS if all(child(block, (name,)) is not None for name in pair))
    return next(pairs, ())


def _norm_before_mlp(block: nn.Module) -> nn.Module | None:
    """The norm whose output the MLP reads."""
    if hasattr(block, "fc1"):  # OPT's, and of others with these names only those that say so
        return child(block, ("final_layer_norm",)) if getattr(block, "do_layer_norm_before", False) is True else None
    after = _post_norms(block)
    return child(block, [name for name in _BEFORE_MLP if name not in after])


def _normed(block: nn.Module, kind: str) -> Tap | None:
    """What the MLP reads without its norm's gain and offset; `None` of a norm that is of neither usual kind."""
    norm = None if norms_after(block, kind) or _entrance(block, kind) is None else _norm_before_mlp(block)
    if norm is None:
        return None
    plain = getattr(norm, "original_module", norm)  # an adapter may keep a copy of the norm beside it
    if isinstance(plain, nn.LayerNorm):
        return Tap(module=norm, side="in", computed=partial(_standardised, plain.eps))
    eps = next((getattr(plain, name) for name in ("variance_epsilon", "eps", "epsilon") if hasattr(plain, name)), None)
    if "RMSNorm" not in type(plain).__name__ or not isinstance(eps, float):
        return None
    return Tap(module=norm, side="in", computed=partial(_of_unit_rms, eps))


def _standardised(eps: float, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.layer_norm(x.float(), x.shape[-1:], eps=eps)


def _of_unit_rms(eps: float, x: torch.Tensor) -> torch.Tensor:
    x = x.float()
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + eps)


def norms_after(block: nn.Module, kind: str) -> bool:
    """Whether the block norms or scales what it has added, so that its output is no sum."""
    if _PARTS.get(kind) is _BERT:
        return kind not in {"roberta-prelayernorm", "xlm-roberta-xl", "megatron-bert", "esm"}
    if kind in _ADD_THEN_NORM:
        return True
    scaled = hasattr(block, "layer_scalar")  # Gemma 4 adds per-layer inputs besides and scales the sum
    return scaled or getattr(block, "do_layer_norm_before", True) is False


def _tap(module: nn.Module | None, scale: float) -> Tap | None:
    return None if module is None else Tap(module=module, side="out", scale=scale)


def child(owner: nn.Module, names: Sequence[str]) -> nn.Module | None:
    """The first of these attributes that is a module."""
    return next((found for name in names if isinstance(found := getattr(owner, name, None), nn.Module)), None)


def _descend(block: nn.Module, path: str) -> nn.Module | None:
    found: Any = block
    for name in path.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, nn.Module) else None
