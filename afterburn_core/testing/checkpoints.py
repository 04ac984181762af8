"""Tiny checkpoints in the Hugging Face layout, made in code: real files of a few kilobytes, the same on every call.

Nothing here needs transformers. The tensors bear the names of the Llama architecture, so every plugin that knows real
models knows these.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
CHAT_TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"


def tiny_checkpoint(
    directory: Path,
    *,
    seed: int = 0,
    layers: int = 2,
    hidden: int = 16,
    vocab: int = 48,
    dtype: str = "bfloat16",
    shards: int = 1,
) -> Path:
    """Writes a Llama-shaped checkpoint with its configuration and tokenizer.

    Args:
        directory: created if absent; files of the same names are replaced.
        seed: decides every weight, through a generator of its own.
        layers: number of blocks.
        hidden: residual width, a multiple of 4 (there are 4 heads, sharing 2 key and value heads).
        vocab: rows of the embedding and entries of the tokenizer, at least 4.
        dtype: torch's name of the stored dtype.
        shards: number of weight files; above 1 there is an index beside them.

    Returns:
        `directory`.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for name, shape in llama_shapes(layers=layers, hidden=hidden, vocab=vocab).items():
        if name.endswith("norm.weight"):
            value = torch.ones(shape)
        else:
            value = torch.randn(shape, generator=generator) * 0.05
        tensors[name] = value.to(getattr(torch, dtype))
    directory.mkdir(parents=True, exist_ok=True)
    save_weights(directory, tensors, shards=shards)
    write_json(directory / "config.json", llama_config(layers=layers, hidden=hidden, vocab=vocab, dtype=dtype))
    write_json(
        directory / "generation_config.json",
        {"bos_token_id": 1, "do_sample": True, "eos_token_id": 2, "temperature": 0.7},
    )
    write_json(directory / "tokenizer.json", word_tokenizer(vocab))
    write_json(
        directory / "tokenizer_config.json",
        {
            "bos_token": "<s>",
            "chat_template": CHAT_TEMPLATE,
            "eos_token": "</s>",
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": "<unk>",
        },
    )
    return directory


def llama_shapes(*, layers: int, hidden: int, vocab: int) -> dict[str, tuple[int, ...]]:
    """Shapes by tensor name, in the order of the architecture; keys and values have half the width of queries."""
    narrow, wide = hidden // 2, hidden * 2
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab, hidden)}
    for layer in range(layers):
        block = f"model.layers.{layer}"
        shapes |= {
            f"{block}.input_layernorm.weight": (hidden,),
            f"{block}.self_attn.q_proj.weight": (hidden, hidden),
            f"{block}.self_attn.k_proj.weight": (narrow, hidden),
            f"{block}.self_attn.v_proj.weight": (narrow, hidden),
            f"{block}.self_attn.o_proj.weight": (hidden, hidden),
            f"{block}.post_attention_layernorm.weight": (hidden,),
            f"{block}.mlp.gate_proj.weight": (wide, hidden),
            f"{block}.mlp.up_proj.weight": (wide, hidden),
            f"{block}.mlp.down_proj.weight": (hidden, wide),
        }
    shapes["model.norm.weight"] = (hidden,)
    shapes["lm_head.weight"] = (vocab, hidden)
    return shapes


def llama_config(*, layers: int, hidden: int, vocab: int, dtype: str) -> dict[str, Any]:
    """A `config.json` that fits `llama_shapes`."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "dtype": dtype,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": hidden * 2,
        "max_position_embeddings": 128,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": layers,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "vocab_size": vocab,
    }


def word_tokenizer(vocab: int) -> dict[str, Any]:
    """A `tokenizer.json` with three special tokens and `vocab - 3` words."""
    special = ("<unk>", "<s>", "</s>")
    words = {token: index for index, token in enumerate((*special, *(f"word{i}" for i in range(vocab - 3))))}
    added = [
        {
            "content": token,
            "id": index,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for index, token in enumerate(special)
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"},
    }


def save_weights(directory: Path, tensors: Mapping[str, torch.Tensor], *, shards: int = 1) -> None:
    """Writes tensors as one safetensors file, or as `shards` files with an index; older weight files go away."""
    from safetensors.torch import save_file

    for stale in (*directory.glob("model*.safetensors"), directory / INDEX):
        stale.unlink(missing_ok=True)
    if shards == 1:
        save_file(dict(tensors), directory / WEIGHTS, metadata={"format": "pt"})
        return
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = names[shard::shards]
        save_file({name: tensors[name] for name in part}, directory / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    total = sum(value.numel() * value.element_size() for value in tensors.values())
    write_json(directory / INDEX, {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))})


def load_weights(directory: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint directory, whatever its shards, by sorted name."""
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = {}
    for file in _weight_files(directory):
        tensors |= load_file(file)
    return dict(sorted(tensors.items()))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes sorted, indented JSON with a final newline."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise TypeError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def _weight_files(directory: Path) -> Iterable[Path]:
    return sorted(directory.glob("*.safetensors"))
