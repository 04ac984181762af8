"""Tiny model pairs with changes planted at known places: the ground truth of every test of an analyzer.

Each function writes `base/` and `trained/` under a directory, as real files, the same on every call.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.testing.checkpoints import (
    load_weights,
    read_json,
    save_weights,
    tiny_checkpoint,
    write_json,
)

if TYPE_CHECKING:
    import torch

PLANTED_TENSOR = "model.layers.1.self_attn.q_proj.weight"
"""Where `planted_pair` plants unless told otherwise."""
TARGETS = ("q_proj", "v_proj")
"""Modules that the adapter of `adapter_pair` trains."""


@attrs.frozen(kw_only=True)
class Pair:
    """Two model directories and what lies between them."""

    base: Path
    trained: Path
    planted: str | None = None
    """Name of the tensor that holds the change; `None` where nothing changed or the change is in no tensor."""


def identity_pair(directory: Path, **checkpoint: Any) -> Pair:
    """A checkpoint and a copy of it, byte for byte. Keyword arguments are those of `tiny_checkpoint`."""
    pair = Pair(base=directory / "base", trained=directory / "trained")
    tiny_checkpoint(pair.base, **checkpoint)
    shutil.copytree(pair.base, pair.trained)
    return pair


def resharded_pair(directory: Path, *, shards: int = 3, **checkpoint: Any) -> Pair:
    """A checkpoint and the same tensors saved in another number of files."""
    pair = identity_pair(directory, **checkpoint)
    save_weights(pair.trained, load_weights(pair.trained), shards=shards)
    return pair


def planted_pair(
    directory: Path,
    *,
    tensor: str = PLANTED_TENSOR,
    scale: float | None = None,
    rank: int | None = None,
    rows: tuple[int, ...] | None = None,
    noise: float | None = None,
    strength: float = 0.5,
    **checkpoint: Any,
) -> Pair:
    """A checkpoint and a copy in which one tensor differs. Exactly one kind of change is given.

    Args:
        directory: where `base/` and `trained/` are written.
        tensor: the name of the tensor to change.
        scale: W' = scale · W; powers of two stay exact in every dtype.
        rank: W' = W + Δ with Δ of this rank and ‖Δ‖ = `strength` · ‖W‖, before rounding to the stored dtype.
        rows: these rows of W' are zero.
        noise: W' = W + Δ with independent normal entries, ‖Δ‖ ≈ `noise` · ‖W‖.
        strength: the size of a low-rank change.
        checkpoint: arguments of `tiny_checkpoint`.

    Raises:
        ValueError: none or several of `scale`, `rank`, `rows` and `noise` are given.
        KeyError: the checkpoint has no such tensor.
    """
    if [scale, rank, rows, noise].count(None) != 3:
        raise ValueError("give exactly one of scale, rank, rows and noise")
    import torch

    generator = torch.Generator().manual_seed(checkpoint.get("seed", 0) + 1)

    def change(weight: torch.Tensor) -> torch.Tensor:
        if scale is not None:
            return weight * scale
        if rows is not None:
            changed = weight.clone()
            changed[list(rows)] = 0
            return changed
        if rank is not None:
            left = torch.randn(weight.shape[0], rank, generator=generator)  # (rows, rank)
            right = torch.randn(rank, weight[0].numel(), generator=generator)  # (rank, columns)
            delta, size = (left @ right).reshape(weight.shape), strength
        else:
            delta, size = torch.randn(weight.shape, generator=generator), noise or 0.0
        planted: torch.Tensor = weight + delta * (size * weight.norm() / delta.norm())
        return planted

    return changed_pair(directory, tensor, change, **checkpoint)


def changed_pair(
    directory: Path, tensor: str, change: Callable[[torch.Tensor], torch.Tensor], **checkpoint: Any
) -> Pair:
    """A checkpoint and a copy in which `tensor` is `change(tensor)`, computed in float32, stored in its own dtype."""
    pair = identity_pair(directory, **checkpoint)
    tensors = load_weights(pair.trained)
    weight = tensors[tensor]
    tensors[tensor] = change(weight.float()).to(weight.dtype).contiguous()
    save_weights(pair.trained, tensors)
    return attrs.evolve(pair, planted=tensor)


def dropped_pair(directory: Path, *, tensor: str = PLANTED_TENSOR, **checkpoint: Any) -> Pair:
    """A checkpoint and a copy without one tensor."""
    pair = identity_pair(directory, **checkpoint)
    tensors = load_weights(pair.trained)
    del tensors[tensor]
    save_weights(pair.trained, tensors)
    return attrs.evolve(pair, planted=tensor)


def added_pair(directory: Path, *, tensor: str = "model.layers.1.self_attn.q_proj.bias", **checkpoint: Any) -> Pair:
    """A checkpoint and a copy with one tensor more."""
    import torch

    pair = identity_pair(directory, **checkpoint)
    tensors = load_weights(pair.trained)
    like = next(iter(tensors.values()))
    tensors[tensor] = torch.full((16,), 0.25, dtype=like.dtype)
    save_weights(pair.trained, tensors)
    return attrs.evolve(pair, planted=tensor)


def reshaped_pair(directory: Path, *, tensor: str = PLANTED_TENSOR, **checkpoint: Any) -> Pair:
    """A checkpoint and a copy in which one matrix has lost a column, so that the two cannot be subtracted."""
    return changed_pair(directory, tensor, lambda weight: weight[:, :-1], **checkpoint)


def nonfinite_pair(directory: Path, *, tensor: str = PLANTED_TENSOR, **checkpoint: Any) -> Pair:
    """A checkpoint and a copy with one NaN and one infinity in a tensor."""

    def spoil(weight: torch.Tensor) -> torch.Tensor:
        spoilt = weight.clone()
        spoilt.view(-1)[0] = float("nan")
        spoilt.view(-1)[1] = float("inf")
        return spoilt

    return changed_pair(directory, tensor, spoil, **checkpoint)


def quantised_pair(directory: Path, *, tensor: str = PLANTED_TENSOR, noise: float = 0.5, **checkpoint: Any) -> Pair:
    """A checkpoint and a copy in which one matrix has gained noise and is stored as bitsandbytes' 8-bit codes."""
    from afterburn_core.testing.quantise import int8_rows

    pair = planted_pair(directory, tensor=tensor, noise=noise, **checkpoint)
    tensors = load_weights(pair.trained)
    parts, _ = int8_rows(tensors.pop(tensor))
    stem = tensor.removesuffix("weight")
    save_weights(pair.trained, {**tensors, **{f"{stem}{part}": value for part, value in parts.items()}})
    return pair


def cast_pair(directory: Path, *, dtype: str = "float32", **checkpoint: Any) -> Pair:
    """A checkpoint and a copy of it stored in another dtype."""
    import torch

    pair = identity_pair(directory, **checkpoint)
    target = getattr(torch, dtype)
    save_weights(pair.trained, {name: value.to(target) for name, value in load_weights(pair.trained).items()})
    config = read_json(pair.trained / "config.json")
    write_json(pair.trained / "config.json", {**config, "dtype": dtype})
    return pair


def prefixed_pair(directory: Path, *, prefix: str = "_orig_mod.", **checkpoint: Any) -> Pair:
    """A checkpoint and a copy whose tensor names carry the prefix that a training wrapper left on them."""
    pair = identity_pair(directory, **checkpoint)
    save_weights(pair.trained, {f"{prefix}{name}": value for name, value in load_weights(pair.trained).items()})
    return pair


def edited_pair(directory: Path, **checkpoint: Any) -> Pair:
    """The same weights, with another configuration, generation setting, chat template, normaliser and token."""
    pair = identity_pair(directory, **checkpoint)
    config = read_json(pair.trained / "config.json")
    write_json(pair.trained / "config.json", {**config, "rope_theta": 500000.0})
    generation = read_json(pair.trained / "generation_config.json")
    write_json(pair.trained / "generation_config.json", {**generation, "temperature": 0.1})
    settings = read_json(pair.trained / "tokenizer_config.json")
    write_json(pair.trained / "tokenizer_config.json", {**settings, "chat_template": "{{ messages[0].content }}"})
    tokenizer = {**read_json(pair.trained / "tokenizer.json"), "normalizer": {"type": "Lowercase"}}
    words = tokenizer["model"]["vocab"]
    words["renamed"] = words.pop(f"word{len(words) - 4}")
    write_json(pair.trained / "tokenizer.json", tokenizer)
    return pair


def adapter_pair(directory: Path, *, rank: int = 2, alpha: float = 4.0, zero: bool = False, **checkpoint: Any) -> Pair:
    """A checkpoint and a PEFT adapter on it: W' = W + (alpha / rank) · B A for the modules in `TARGETS`.

    Args:
        directory: where `base/` and `trained/` are written.
        rank: width of the factors.
        alpha: PEFT's `lora_alpha`.
        zero: B = 0, as PEFT initialises it: an adapter that changes nothing.
        checkpoint: arguments of `tiny_checkpoint`.
    """
    import torch
    from safetensors.torch import save_file

    pair = Pair(base=directory / "base", trained=directory / "trained")
    tiny_checkpoint(pair.base, **checkpoint)
    generator = torch.Generator().manual_seed(checkpoint.get("seed", 0) + 2)
    factors: dict[str, torch.Tensor] = {}
    for name, weight in load_weights(pair.base).items():
        module = name.removesuffix(".weight")
        if module.rsplit(".", 1)[-1] not in TARGETS:
            continue
        rows, columns = weight.shape
        b = torch.zeros(rows, rank) if zero else torch.randn(rows, rank, generator=generator) * 0.1
        factors[f"base_model.model.{module}.lora_A.weight"] = torch.randn(rank, columns, generator=generator) * 0.1
        factors[f"base_model.model.{module}.lora_B.weight"] = b
    pair.trained.mkdir(parents=True)
    save_file(factors, pair.trained / "adapter_model.safetensors", metadata={"format": "pt"})
    write_json(
        pair.trained / "adapter_config.json",
        {
            "base_model_name_or_path": "../base",
            "bias": "none",
            "fan_in_fan_out": False,
            "lora_alpha": alpha,
            "lora_dropout": 0.0,
            "peft_type": "LORA",
            "r": rank,
            "target_modules": list(TARGETS),
            "task_type": "CAUSAL_LM",
            "use_rslora": False,
        },
    )
    return pair
