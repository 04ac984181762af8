"""Which models MLX runs here, and what mlx-lm has to be told of each. From `config.json` alone.

mlx-lm takes a default where it does not find a setting under the name that it knows, and computes another model without
a word: the base of the rotary embedding, which transformers 5 writes under `rope_parameters`, is one. So every setting
that decides the result is either passed on under mlx-lm's name or, where mlx-lm has none for it, a reason not to run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from afterburn_core.backends.documents import read_json
from afterburn_core.backends.locate import weight_files
from afterburn_core.errors import SubjectError

Config = Mapping[str, Any]
_ROTARY = frozenset({"default", "linear", "llama3"})
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")
_TANH = "gelu_pytorch_tanh"


def runs(directory: Path) -> bool:
    """Whether the model of a directory runs on MLX."""
    config = read_json(directory / "config.json")
    return config is not None and refusal(directory, config) is None


def refusal(directory: Path, config: Config) -> str | None:
    """Why MLX does not run the model of a directory; `None` where it does.

    Raises:
        SubjectError: the directory holds no weights, or not all of them.
    """
    family = config.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        return f"mlx.lm runs the families {', '.join(FAMILIES)}, and this is {family!r}"
    names = config.get("architectures") or ()
    if not any(str(name).endswith("ForCausalLM") for name in names):
        return f"it is no causal language model ({', '.join(map(str, names)) or 'no architecture is named'})"
    if (directory / "modules.json").is_file():
        return "it is an embedding model"
    if config.get("model_file"):
        return "its configuration asks for code of its own, which is not run"
    reason = _packed(config) or _files(directory)
    if reason is not None:
        return reason
    try:
        return FAMILIES[family](config)[1]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f"its configuration is malformed ({type(error).__name__}: {error})"


def settings(config: Config) -> dict[str, Any]:
    """What mlx-lm has to be told besides the configuration as it stands, under its names."""
    return FAMILIES[str(config["model_type"])](config)[0]


def _packed(config: Config) -> str | None:
    own = config.get("quantization")
    packed = config.get("quantization_config")
    if isinstance(packed, Mapping) and packed.get("quant_method") and not isinstance(own, Mapping):
        return f"its weights are packed by {packed['quant_method']}, and mlx.lm runs plain and MLX-quantised ones"
    return None


def _files(directory: Path) -> str | None:
    used = {file.name for file in weight_files(directory)}
    read = {file.name for file in directory.glob("model*.safetensors")}
    if not used <= read:
        return f"mlx-lm reads model*.safetensors, and the weights are in {sorted(used - read)[0]}"
    if read - used:
        return f"mlx-lm would also read {sorted(read - used)[0]}, which does not belong to the model; remove it"
    if not any((directory / name).is_file() for name in _TOKENIZERS):
        return "it has no tokenizer"
    return None


def _rotary(config: Config, base: float) -> tuple[dict[str, Any], str | None]:
    """The base and scaling of the rotary embedding, from where either version of transformers writes them."""
    parameters = config.get("rope_parameters") or {}
    scaling = {**(config.get("rope_scaling") or {}), **parameters}
    theta = parameters.get("rope_theta", config.get("rope_theta"))
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    if kind not in _ROTARY:
        return {}, f"mlx.lm does not run the rotary embedding {kind!r}"
    partial = scaling.get("partial_rotary_factor", config.get("partial_rotary_factor"))
    if partial not in (None, 1, 1.0):
        return {}, f"mlx.lm rotates whole heads, and this model {partial} of each"
    chosen = None if kind == "default" else {**scaling, "rope_type": kind, "type": kind}
    return {"rope_theta": float(base if theta is None else theta), "rope_scaling": chosen}, None


def _activation(config: Config, allowed: frozenset[str]) -> str | None:
    names = [config[key] for key in ("hidden_activation", "hidden_act") if config.get(key) is not None]
    wrong = [name for name in names[:1] if name not in allowed]
    return f"mlx-lm has no {wrong[0]!r} in this family" if wrong else None


def _gated(config: Config) -> tuple[dict[str, Any], str | None]:
    """Llama, Qwen2 and Qwen3: what they share."""
    own, reason = _rotary(config, 10000.0)
    windows = {"sliding_attention"} & set(config.get("layer_types") or ())
    if windows or config.get("use_sliding_window"):
        reason = reason or "mlx-lm has no sliding windows in this family"
    own["rope_parameters"] = None
    own["num_key_value_heads"] = config.get("num_key_value_heads") or config["num_attention_heads"]
    return own, reason or _activation(config, frozenset({"silu", "swish"}))


def _llama(config: Config) -> tuple[dict[str, Any], str | None]:
    own, reason = _gated(config)
    tied = config.get("tie_word_embeddings")
    return {**own, "layer_types": None, "tie_word_embeddings": False if tied is None else bool(tied)}, reason


def _qwen2(config: Config) -> tuple[dict[str, Any], str | None]:
    own, reason = _gated(config)
    width = config["hidden_size"] // config["num_attention_heads"]
    if config.get("head_dim") not in (None, width):
        reason = reason or f"mlx-lm takes heads of {width} in this family, and these have {config['head_dim']}"
    return {**own, "tie_word_embeddings": bool(config.get("tie_word_embeddings"))}, reason


def _qwen3(config: Config) -> tuple[dict[str, Any], str | None]:
    own, reason = _gated(config)
    own |= {"head_dim": config.get("head_dim") or 128, "tie_word_embeddings": bool(config.get("tie_word_embeddings"))}
    return own, reason or ("mlx-lm has no biases in this family" if config.get("attention_bias") else None)


def _gemmas(config: Config) -> tuple[dict[str, Any], str | None]:
    """What all Gemmas share."""
    reason = None
    if config.get("use_bidirectional_attention"):
        reason = "mlx-lm has no attention in both directions"
    elif config.get("attention_bias"):
        reason = "mlx-lm has no biases in this family"
    return {"num_key_value_heads": config["num_key_value_heads"], "head_dim": config.get("head_dim") or 256}, reason


def _plain_rotary(config: Config) -> tuple[dict[str, Any], str | None]:
    """Gemma 1 and 2, whose head is their embedding."""
    rotary, wrong = _rotary(config, 10000.0)
    if rotary.get("rope_scaling"):
        wrong = "mlx-lm does not scale the rotary embedding of this family"
    if config.get("tie_word_embeddings") is False:
        wrong = wrong or "mlx-lm has no head of its own in this family"
    return rotary, wrong


def _gemma(config: Config) -> tuple[dict[str, Any], str | None]:
    own, reason = _gemmas(config)
    rotary, wrong = _plain_rotary(config)
    # "gelu" is a legacy value that means the approximation
    return {**own, **rotary}, reason or wrong or _activation(config, frozenset({"gelu", _TANH}))


def _gemma2(config: Config) -> tuple[dict[str, Any], str | None]:
    own, reason = _gemmas(config)
    rotary, wrong = _plain_rotary(config)
    for name, usual in (("attn_logit_softcapping", 50.0), ("final_logit_softcapping", 30.0)):
        own[name] = config.get(name, usual)
        if not own[name]:
            wrong = wrong or f"mlx-lm always caps the logits of this family, and {name} is {own[name]!r}"
    own["query_pre_attn_scalar"] = config.get("query_pre_attn_scalar", 256)
    return {**own, **rotary}, reason or wrong or _activation(config, frozenset({_TANH}))


def _gemma3(config: Config) -> tuple[dict[str, Any], str | None]:
    own, reason = _gemmas(config)
    parameters = config.get("rope_parameters") or {}
    if "full_attention" in parameters:
        whole, wrong = _rotary({"rope_parameters": parameters["full_attention"]}, 1e6)
        local, more = _rotary({"rope_parameters": parameters.get("sliding_attention") or {}}, 1e4)
    else:
        whole, wrong = _rotary(config, 1e6)
        local, more = _rotary({"rope_theta": config.get("rope_local_base_freq")}, 1e4)
    if local.get("rope_scaling"):
        more = "mlx-lm does not scale the rotary embedding of sliding windows"
    pattern = _pattern(config)
    if pattern is None:
        more = more or "mlx-lm takes one whole attention after every few windows, and these layers follow no such order"
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        if config.get(name):
            more = more or f"mlx-lm has no {name} in this family"
    own |= {
        **whole,
        "rope_local_base_freq": local.get("rope_theta"),
        "sliding_window_pattern": pattern,
        "query_pre_attn_scalar": config.get("query_pre_attn_scalar", 256),
        "sliding_window": config.get("sliding_window") or 4096,
    }
    return own, reason or wrong or more or _activation(config, frozenset({_TANH}))


def _pattern(config: Config) -> int | None:
    """p where every p-th layer, and no other, has whole attention; `None` where there is no such p."""
    count = int(config["num_hidden_layers"])
    kinds = config.get("layer_types")
    if kinds is None:
        stated = int(config.get("sliding_window_pattern") or config.get("_sliding_window_pattern") or 6)
        return stated if stated <= count else None
    for pattern in range(1, count + 1):
        if all((kind == "full_attention") == ((i + 1) % pattern == 0) for i, kind in enumerate(kinds)):
            return pattern
    return None


FAMILIES: Mapping[str, Callable[[Config], tuple[dict[str, Any], str | None]]] = {
    "llama": _llama,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
}
"""By model type: the settings, and why such a model does not run."""

__all__ = ["FAMILIES", "SubjectError", "refusal", "runs", "settings"]
