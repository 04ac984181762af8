"""A model directory as mlx-lm writes it, for the conformance kit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from afterburn_core.testing.checkpoints import llama_config, word_tokenizer, write_json

if TYPE_CHECKING:
    import torch


def write(directory: Path, tensors: Mapping[str, torch.Tensor]) -> Path:
    """Saves a small Llama's tensors in MLX's own format, and what makes a model of them."""
    import mlx.core as mx

    from afterburn_core.run.arrays import from_torch

    arrays = {}
    for name, value in tensors.items():
        raw = mx.array(from_torch(value))
        stored = raw.view(mx.bfloat16) if str(value.dtype) == "torch.bfloat16" else raw
        arrays[name] = stored.reshape(value.shape)
    mx.save_safetensors(str(directory / "model.safetensors"), arrays, metadata={"format": "mlx"})
    vocab, hidden = tensors["model.embed_tokens.weight"].shape
    layers = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("model.layers."))
    dtype = str(tensors["model.embed_tokens.weight"].dtype).removeprefix("torch.")
    write_json(directory / "config.json", llama_config(layers=layers, hidden=hidden, vocab=vocab, dtype=dtype))
    write_json(directory / "tokenizer.json", word_tokenizer(vocab))
    return directory
