"""mlx-lm's adapters as the core reads adapters: the same factors under PEFT's names, in PEFT's orientation.

mlx-lm keeps for a linear layer `lora_a` (inputs, r) and `lora_b` (r, outputs), and `scale` in the configuration:

    lora       Δ = scale · (lora_a · lora_b)ᵀ
    dora       W' = diag(m / ‖W + Δ‖_row)(W + Δ)
    embedding  Δ = scale · lora_a · lora_b, with `lora_a` (tokens, r)
    full       tensors stored whole

PEFT's A is lora_aᵀ, its B lora_bᵀ, and its α is scale · r.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends.tensors import TensorInfo, WeightFile
from afterburn_core.errors import SubjectError
from afterburn_core.run.naming import module_kind, parse_name

if TYPE_CHECKING:
    import torch

_PART = re.compile(r"(?P<module>.+)\.(?P<part>lora_a|lora_b|m)")
_LINEAR = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight", "m": "lora_magnitude_vector"}
_EMBEDDING = {"lora_a": "lora_embedding_A", "lora_b": "lora_embedding_B"}
KINDS = ("lora", "dora", "full")


@attrs.frozen(kw_only=True)
class PeftView:
    """An mlx-lm adapter's file under the names and in the orientation of PEFT."""

    file: WeightFile
    tensors: Mapping[str, TensorInfo]
    stored: Mapping[str, str]
    """Its own name of every tensor."""
    turned: frozenset[str]
    """Tensors that are stored transposed."""

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def aliases(self) -> Mapping[str, str]:
        return {}

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements `start` to `stop` of the flattened tensor; factors are small, so they are read whole."""
        if name not in self.turned:
            return self.file.read(self.stored[name], start, stop)
        info = self.file.tensors[self.stored[name]]
        whole = self.file.read(info.name, 0, info.numel).reshape(info.shape)
        return whole.T.reshape(-1)[start:stop].clone()

    def close(self) -> None:
        self.file.close()


def peft_view(path: Path, config: Mapping[str, Any], file: WeightFile) -> PeftView:
    """The tensors of an adapter's file under PEFT's names.

    Raises:
        SubjectError: a part that cannot be expressed exactly, such as DoRA of an embedding or factors of experts.
    """
    tensors: dict[str, TensorInfo] = {}
    stored: dict[str, str] = {}
    turned = set()
    for own, info in file.tensors.items():
        match = None if kind_of(config) == "full" else _PART.fullmatch(own)
        name = own
        if match is not None:
            embedding = module_kind(parse_name(f"{match['module']}.weight").canonical) == "embed"
            _require_read(path, own, info, embedding)
            name = f"{match['module']}.{(_EMBEDDING if embedding else _LINEAR)[match['part']]}"
            if match["part"] != "m":
                turned.add(name)
        shape = info.shape[::-1] if name in turned else info.shape
        tensors[name], stored[name] = attrs.evolve(info, name=name, shape=shape), own
    return PeftView(file=file, tensors=tensors, stored=stored, turned=frozenset(turned))


def _require_read(path: Path, name: str, info: TensorInfo, embedding: bool) -> None:
    if embedding and name.endswith(".m"):
        raise SubjectError(
            f"{path}: {name!r} is DoRA of an embedding, which is not read; fuse it with mlx_lm.fuse and give that"
        )
    if not name.endswith(".m") and len(info.shape) != 2:
        raise SubjectError(
            f"{path}: {name!r} has shape {info.shape}; factors of experts are not read, fuse them with mlx_lm.fuse"
        )


def kind_of(config: Mapping[str, Any]) -> str:
    """`lora`, `dora` or `full`; configurations older than the setting mean LoRA."""
    return str(config.get("fine_tune_type", "lora"))


def peft_config(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What PEFT's configuration of the same adapter would say.

    Raises:
        SubjectError: rank or scale are missing, or the kind is not known.
    """
    kind = kind_of(config)
    if kind not in KINDS:
        raise SubjectError(f"{path}: fine_tune_type {kind!r} is not read; known are {', '.join(KINDS)}")
    if kind == "full":
        return {"peft_type": "LORA"}
    parameters = config.get("lora_parameters")
    found = [parameters.get(key) for key in ("rank", "scale")] if isinstance(parameters, Mapping) else [None, None]
    rank, scale = found
    if type(rank) is not int or rank < 1 or isinstance(scale, bool) or not isinstance(scale, (int, float)):
        raise SubjectError(
            f"{path / 'adapter_config.json'}: lora_parameters names no rank and scale; save the adapter with mlx-lm"
        )
    return {"peft_type": "LORA", "r": rank, "lora_alpha": scale * rank, "use_dora": kind == "dora"}
