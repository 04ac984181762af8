"""Loading an embedding model: the bare network, with an adapter where there is one, and what follows its pooling."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from transformers import AutoModel

from afterburn_core.backends.encoder_folder import Dense, EncoderPlan, Normalise
from afterburn_core.backends.transformers_loading import Origin, load_model, load_tokenizer, quiet
from afterburn_core.errors import SubjectError

_UNREAD = ("pooler.", "lm_head.", "cls.", "classifier.")
"""Heads that no vector is made from, so that their absence matters not."""
_SHIFTED = frozenset({"camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"})
"""Families that count positions from the padding index on, so that so many fewer tokens fit."""


@attrs.frozen(kw_only=True, eq=False)
class Encoder:
    """An embedding model in memory."""

    plan: EncoderPlan
    network: Any
    tokenizer: Any
    layers: tuple[Layer, ...]
    longest: int
    """Tokens of a text that are read, marks and prompt included."""
    device: str

    def finish(self, pooled: torch.Tensor) -> torch.Tensor:
        """What follows pooling: dense layers, normalising, the leading dimensions."""
        for layer in self.layers:
            pooled = layer(pooled)
        return pooled if self.plan.dimensions is None else pooled[:, : self.plan.dimensions]


@attrs.frozen(kw_only=True, eq=False)
class Layer:
    """One step after pooling; without `linear` it normalises."""

    linear: torch.nn.Linear | None = None
    activation: torch.nn.Module | None = None
    residual: bool = False
    projection: torch.nn.Linear | None = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.linear is None or self.activation is None:
            return torch.nn.functional.normalize(x, dim=-1)
        y: torch.Tensor = self.activation(self.linear(x))
        if not self.residual:
            return y
        return y + (x if self.projection is None else self.projection(x))


def load_encoder(origin: Origin, plan: EncoderPlan, *, device: str, dtype: str) -> Encoder:
    """The model, on its device and in evaluation mode.

    Raises:
        SubjectError: the files cannot be loaded, or lack weights that would otherwise be random.
    """
    tokenizer = load_tokenizer(origin)
    # the library would list the heads that the bare network has not; absent weights are checked by us
    with (
        quiet("transformers"),
        torch.random.fork_rng(devices=[]),
    ):  # a head that nothing is read from is filled at random
        network = load_model(origin, device=device, dtype=dtype, kind=AutoModel, unread=_UNREAD)
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return Encoder(
        plan=plan,
        network=network,
        tokenizer=tokenizer,
        layers=tuple(_layer(step, device) for step in plan.steps),
        longest=longest_text(plan, tokenizer, network.config),
        device=device,
    )


def longest_text(plan: EncoderPlan, tokenizer: Any, config: Any) -> int:
    """Tokens that the model reads of a text, marks included."""
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and getattr(config, "model_type", "") in _SHIFTED:
        positions -= (getattr(config, "pad_token_id", None) or 0) + 1
    limits = (plan.longest, getattr(tokenizer, "model_max_length", None), positions)
    return min([int(limit) for limit in limits if isinstance(limit, int) and 0 < limit < 1 << 24] or [512])


def _layer(step: Dense | Normalise, device: str) -> Layer:
    if isinstance(step, Normalise):
        return Layer()
    tensors = _tensors(step.directory)
    linear = _linear(step, tensors, "linear", bias=step.bias)
    own = step.residual and step.inputs != step.outputs
    return Layer(
        linear=linear.to(device),
        activation=getattr(torch.nn, step.activation)(),
        residual=step.residual,
        projection=_linear(step, tensors, "residual", bias=False).to(device) if own else None,
    )


def _tensors(directory: Path) -> Mapping[str, torch.Tensor]:
    from safetensors.torch import load_file

    if (directory / "model.safetensors").is_file():
        found: Mapping[str, torch.Tensor] = load_file(directory / "model.safetensors")
        return found
    if (directory / "pytorch_model.bin").is_file():
        read: Mapping[str, torch.Tensor] = torch.load(
            directory / "pytorch_model.bin", map_location="cpu", weights_only=True
        )
        return read
    raise SubjectError(f"{directory}: a dense layer without model.safetensors; save the model again")


def _linear(step: Dense, tensors: Mapping[str, torch.Tensor], name: str, *, bias: bool) -> torch.nn.Linear:
    weight = tensors.get(f"{name}.weight")
    shift = tensors.get(f"{name}.bias") if bias else None
    if weight is None or tuple(weight.shape) != (step.outputs, step.inputs) or (bias and shift is None):
        raise SubjectError(
            f"{step.directory}: the dense layer's weights are not those of its configuration "
            f"({step.inputs}→{step.outputs}); save the model again"
        )
    linear = torch.nn.Linear(step.inputs, step.outputs, bias=bias)
    linear.weight = torch.nn.Parameter(weight.float(), requires_grad=False)
    if shift is not None:
        linear.bias = torch.nn.Parameter(shift.float(), requires_grad=False)
    return linear
