"""Writes models of the shape of a 0.5B model: 24 layers, hidden 896, vocabulary 151 936, tied, bf16.

Weights are random; trained and second are base plus a small update, as fine-tuning leaves it. About 1 GB each.

    python tests/bench/make_pair.py DIRECTORY
"""

from __future__ import annotations

import argparse
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import torch

LAYERS, HIDDEN, INTERMEDIATE, HEADS, KEY_VALUE_HEADS, VOCABULARY = 24, 896, 4864, 14, 2, 151_936
SPREAD = 0.02
UPDATE = 2e-4
"""Standard deviation of the update: a relative change of 1 %."""

CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "bos_token_id": 151643,
    "dtype": "bfloat16",
    "eos_token_id": 151643,
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "max_position_embeddings": 32768,
    "model_type": "qwen2",
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "num_key_value_heads": KEY_VALUE_HEADS,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "vocab_size": VOCABULARY,
}


def shapes(*, layers: int = LAYERS, hidden: int = HIDDEN, vocabulary: int = VOCABULARY) -> dict[str, tuple[int, ...]]:
    """Shapes by tensor name, in the order in which they are stored."""
    narrow = hidden // HEADS * KEY_VALUE_HEADS
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for layer in range(layers):
        block = f"model.layers.{layer}"
        found |= {
            f"{block}.input_layernorm.weight": (hidden,),
            f"{block}.mlp.down_proj.weight": (hidden, INTERMEDIATE),
            f"{block}.mlp.gate_proj.weight": (INTERMEDIATE, hidden),
            f"{block}.mlp.up_proj.weight": (INTERMEDIATE, hidden),
            f"{block}.post_attention_layernorm.weight": (hidden,),
            f"{block}.self_attn.k_proj.bias": (narrow,),
            f"{block}.self_attn.k_proj.weight": (narrow, hidden),
            f"{block}.self_attn.o_proj.weight": (hidden, hidden),
            f"{block}.self_attn.q_proj.bias": (hidden,),
            f"{block}.self_attn.q_proj.weight": (hidden, hidden),
            f"{block}.self_attn.v_proj.bias": (narrow,),
            f"{block}.self_attn.v_proj.weight": (narrow, hidden),
        }
    found["model.norm.weight"] = (hidden,)
    return found


def make_pair(directory: Path) -> tuple[Path, Path, Path]:
    """Writes `base/`, `trained/` and `second/` below `directory`, unless they are there, and returns them."""
    sides = directory / "base", directory / "trained", directory / "second"
    for number, side in enumerate(sides):
        if not (side / "config.json").is_file():
            side.mkdir(parents=True, exist_ok=True)
            _write(side / "model.safetensors", update=UPDATE if number else 0.0, seed=1 + number)
            (side / "config.json").write_text(json.dumps(CONFIG, indent=1), encoding="utf-8")
    return sides


def _write(path: Path, *, update: float, seed: int) -> None:
    """One safetensors file, tensor by tensor, so that making the pair needs little memory."""
    header, position = {}, 0
    for name, shape in shapes().items():
        size = 2 * torch.Size(shape).numel()
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [position, position + size]}
        position += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for block in _blocks(update, seed):
            file.write(memoryview(block.view(torch.uint8).numpy().data))


def _blocks(update: float, seed: int) -> Iterator[torch.Tensor]:
    """The values of all tensors in order; the base's part is the same whatever the update."""
    weights, moves = torch.Generator().manual_seed(1), torch.Generator().manual_seed(seed)
    for name, shape in shapes().items():
        left = torch.Size(shape).numel()
        while left:
            count = min(left, 1 << 24)
            values = torch.randn(count, generator=weights).mul_(SPREAD)
            if name.endswith("norm.weight"):
                values.add_(1.0)
            values = values.bfloat16()
            if update:
                values = values.float().add_(torch.randn(count, generator=moves), alpha=update).bfloat16()
            yield values
            left -= count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    for folder in make_pair(parser.parse_args().directory):
        print(folder)
