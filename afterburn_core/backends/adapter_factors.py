"""A PEFT adapter read without its base: what each module's factors are, from headers and configuration alone.

    lora       Δ = s·B·A, with s = α/r, or α/√r with rsLoRA (arXiv 2312.03732); AdaLoRA: B·diag(E)·A·α/(r₀ + 1e-5)
    dora       W' = diag(g/‖W + s·B·A‖_row)(W + s·B·A) (arXiv 2402.09353)
    embedding  Δ = s·(B·A)ᵀ, as tokens × width
    conv       Δ = s·B·A with A as (r, inputs · kernel): PEFT's B is always a 1×1 kernel
    ia3        W' = diag(l)·W, or W·diag(l) for feed-forward modules (arXiv 2205.05638)
    bias       what `lora_bias` adds to a bias: s·b
    tokens     rows of an embedding that replace the base's
    saved      a tensor stored whole

Tensors are read when asked for, into float64 arrays and without torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs

from afterburn_core.backends.adapter_settings import configured_alpha, configured_rank, refuse_unsupported, scaling
from afterburn_core.backends.documents import read_json
from afterburn_core.backends.tensors import FLOATING, TensorInfo, WeightFile, WeightSource
from afterburn_core.errors import SubjectError
from afterburn_core.run.naming import parse_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from afterburn_core.run.lowrank import LowRank

Kind = Literal["lora", "dora", "embedding", "conv", "ia3", "bias", "tokens", "saved"]
_PART = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_E|lora_embedding_A|lora_embedding_B|lora_magnitude_vector|ia3_l"
    r"|trainable_tokens_delta)(?:\.(?P<parameter>weight|bias))?"
)
_METHOD_TENSOR = re.compile(r"\.(?:lora|ia3|hada|lokr|vera|oft|trainable_tokens)_")
_SAVED_INFIX = re.compile(r"\.(?:modules_to_save|base_layer|original_module)(?=\.)")


@attrs.frozen(kw_only=True, eq=False)
class Factors:
    """What an adapter holds for one tensor of its base."""

    module: str
    """Canonical name of the module, without `base_model.model.`."""
    tensor: str
    """Canonical name of the tensor that changes: the module's weight or bias."""
    kind: Kind
    file: WeightFile
    parts: Mapping[str, str]
    """Names in the adapter's file by part: `lora_A`, `lora_magnitude_vector`, …"""
    shape: tuple[int, ...] | None = None
    """Of Δ: (outputs, inputs) and any kernel, or (tokens, width); `None` where only the base knows."""
    rank: int | None = None
    """Rows of A."""
    configured: int | None = None
    """r of the configuration, patterns applied; before pruning for AdaLoRA."""
    alpha: float | None = None
    scale: float = 1.0
    formula: str = "1"
    """How `scale` follows from α and r."""
    feedforward: bool = False
    """IA3: whether the inputs are scaled instead of the outputs."""
    tokens: tuple[int, ...] = ()
    """Rows that `tokens` replaces."""

    @property
    def dora(self) -> bool:
        return "lora_magnitude_vector" in self.parts

    @property
    def low_rank(self) -> bool:
        """Whether there are factors s·B·A."""
        return self.kind in ("lora", "dora", "embedding", "conv")

    @property
    def exact(self) -> bool:
        """Whether they are the whole change, so that it is known without the base."""
        return self.low_rank and not self.dora

    @property
    def dtypes(self) -> tuple[str, str]:
        """Stored dtypes of the left and the right factor."""
        left, right = self._sides()
        return self.file.tensors[self.parts[left]].dtype, self.file.tensors[self.parts[right]].dtype

    def matrix(self) -> LowRank:
        """s·B·A as a matrix of `shape`, kernels flattened.

        Raises:
            SubjectError: the file cannot be read.
        """
        from afterburn_core.run.lowrank import LowRank

        left, right = (self.array(part) for part in self._sides())
        rank = self.rank or 0
        if self.kind == "embedding":
            return LowRank(left=left.T, right=right.T, scale=self.scale)  # (tokens, r), (r, width)
        if "lora_E" in self.parts:
            right = right * self.array("lora_E").reshape(rank, 1)
        columns = math.prod(right.shape[1:])
        return LowRank(left=left.reshape(left.shape[0], rank), right=right.reshape(rank, columns), scale=self.scale)

    def array(self, part: str) -> NDArray[np.float64]:
        """One stored tensor in float64."""
        return read_float64(self.file, self.parts[part])

    def _sides(self) -> tuple[str, str]:
        if self.kind == "embedding":
            return "lora_embedding_A", "lora_embedding_B"
        return "lora_B", "lora_A"


@attrs.frozen(kw_only=True, eq=False)
class Adapter:
    """An adapter directory, opened."""

    path: Path
    config: Mapping[str, Any]
    file: WeightFile
    factors: tuple[Factors, ...]

    @property
    def label(self) -> str:
        return self.path.resolve().name

    @property
    def method(self) -> str:
        """PEFT's name of it, with the variants in use: `LORA`, `LORA (DoRA, rsLoRA)`."""
        names = (("use_dora", "DoRA"), ("use_rslora", "rsLoRA"))
        variants = [name for key, name in names if self.config.get(key)]
        kind = str(self.config.get("peft_type", "LORA")).upper()
        return f"{kind} ({', '.join(variants)})" if variants else kind

    def close(self) -> None:
        self.file.close()


def open_adapter(path: Path) -> Adapter:
    """Opens an adapter directory; its base is neither looked for nor needed.

    Raises:
        SubjectError: it is no adapter, its file or configuration is malformed, or it is of a kind that is not read.
    """
    config = read_json(path / "adapter_config.json") if path.is_dir() else None
    if config is None:
        raise SubjectError(f"{path}: is no PEFT adapter (no adapter_config.json); give the directory that PEFT saved")
    if (path / "adapter_model.safetensors").is_file():
        from afterburn_core.backends import safetensors_file

        file: WeightFile = safetensors_file.read_index(path / "adapter_model.safetensors")
    elif (path / "adapter_model.bin").is_file():
        from afterburn_core.backends import torch_file

        file = torch_file.read_index(path / "adapter_model.bin")
    else:
        raise SubjectError(f"{path}: has adapter_config.json but no adapter_model.safetensors; save the adapter again")
    try:
        return Adapter(path=path, config=config, file=file, factors=parse_factors(path, config, file))
    except BaseException:
        file.close()
        raise


def parse_factors(path: Path, config: Mapping[str, Any], file: WeightFile) -> tuple[Factors, ...]:
    """What an adapter's file holds, by tensor name, sorted. Reads headers only.

    Raises:
        SubjectError: a kind of adapter whose difference is not computed exactly, incomplete or misshapen factors, or a
            malformed configuration.
    """
    try:
        refuse_unsupported(path, config)
        return _parse(path, config, file)
    except (TypeError, ValueError, AttributeError, ZeroDivisionError, re.error) as error:
        raise SubjectError(f"{path / 'adapter_config.json'}: malformed ({error}); save the adapter again") from error


def read_float64(file: WeightFile, name: str) -> NDArray[np.float64]:
    """A stored floating-point tensor as a float64 array of its shape.

    Raises:
        SubjectError: the file ended early.
    """
    from afterburn_core.run.arrays import read_array, to_float64

    info = file.tensors[name]
    return to_float64(read_array(cast("WeightSource", file), name, 0, info.numel)).reshape(info.shape)


def _parse(path: Path, config: Mapping[str, Any], file: WeightFile) -> tuple[Factors, ...]:
    modules: dict[str, dict[str, str]] = {}
    found: list[Factors] = []
    for name, info in file.tensors.items():
        match = _PART.fullmatch(name)
        if match is None and _METHOD_TENSOR.search(name):
            raise SubjectError(f"{path}: {name!r} is not read yet; merge the adapter into its base and give that")
        if match is None:
            tensor = parse_name(_SAVED_INFIX.sub("", name)).canonical
            module = tensor.removesuffix(".weight").removesuffix(".bias")
            parts = {"saved": name}
            found.append(Factors(module=module, tensor=tensor, kind="saved", file=file, parts=parts, shape=info.shape))
            continue
        if info.dtype not in FLOATING:
            raise SubjectError(
                f"{path}: {name!r} is stored as {info.dtype}, which is no factor; save the adapter again"
            )
        module = parse_name(match["module"].removesuffix(".token_adapter")).canonical
        part = "lora_bias" if (match["part"], match["parameter"]) == ("lora_B", "bias") else match["part"]
        modules.setdefault(module, {})[part] = name
    for module, parts in modules.items():
        found += _module(path, config, file, module, parts)
    if not found:
        raise SubjectError(f"{path}: the adapter file holds no factors; save the adapter again")
    _require_parts(path, config, found)
    return tuple(sorted(found, key=lambda factors: (factors.tensor, factors.kind)))


def _require_parts(path: Path, config: Mapping[str, Any], found: list[Factors]) -> None:
    """What the configuration says was trained has to be in the file, or the difference would lack it in silence."""
    kinds = {factors.kind for factors in found}
    for key, kind in (("lora_bias", "bias"), ("trainable_token_indices", "tokens")):
        if config.get(key) and kind not in kinds:
            raise SubjectError(
                f"{path}: the configuration has {key}, but the file holds nothing of it; save the adapter again, or "
                "merge it and give that"
            )


def _module(
    path: Path, config: Mapping[str, Any], file: WeightFile, module: str, parts: Mapping[str, str]
) -> list[Factors]:
    if "ia3_l" in parts:
        return [_ia3(config, file, module, parts)]
    if "trainable_tokens_delta" in parts:
        return [_tokens(path, config, file, module, parts)]
    weight = _factors(path, config, file, module, parts)
    found = [weight]
    if "lora_bias" in parts:
        name = parts["lora_bias"]
        found.append(
            attrs.evolve(
                weight, tensor=f"{module}.bias", kind="bias", parts={"lora_bias": name}, shape=file.tensors[name].shape
            )
        )
    return found


def _factors(path: Path, config: Mapping[str, Any], file: WeightFile, module: str, parts: Mapping[str, str]) -> Factors:
    embedding = "lora_embedding_A" in parts
    a_name, b_name = ("lora_embedding_A", "lora_embedding_B") if embedding else ("lora_A", "lora_B")
    if a_name not in parts or b_name not in parts:
        raise SubjectError(f"{path}: {module} has only one of its two factors; save the adapter again")
    a, b = file.tensors[parts[a_name]], file.tensors[parts[b_name]]
    shape = _shape(path, module, a, b)
    rank = a.shape[0]
    adaptive = str(config.get("peft_type", "LORA")).upper() == "ADALORA"
    if adaptive:
        if "lora_E" not in parts or file.tensors[parts["lora_E"]].numel != rank:
            raise SubjectError(f"{path}: {module} lacks the {rank} singular values of AdaLoRA; save the adapter again")
        # PEFT keeps dividing by the rank before pruning, and takes α ≤ 0 for the rank after it
        configured, alpha = int(config.get("init_r", 12)), float(config.get("lora_alpha", 8))
        scale, formula = (alpha if alpha > 0 else float(rank)) / (configured + 1e-5), "alpha/(init_r + 1e-5)"
    else:
        configured, alpha = configured_rank(config, module), configured_alpha(config, module)
        if rank != configured:
            raise SubjectError(f"{path}: {module} has rank {rank} where the configuration says {configured}")
        scale = scaling(config, module, rank)
        formula = "alpha/sqrt(r)" if config.get("use_rslora") else "alpha/r"
    kind: Kind = "embedding" if embedding else "conv" if len(shape) > 2 else "lora"
    if kind == "lora" and "lora_magnitude_vector" in parts:
        kind = "dora"
    return Factors(
        module=module,
        tensor=f"{module}.weight",
        kind=kind,
        file=file,
        parts={part: name for part, name in parts.items() if part != "lora_bias"},
        shape=shape[::-1] if embedding else shape,
        rank=rank,
        configured=configured,
        alpha=alpha,
        scale=scale,
        formula=formula,
    )


def _shape(path: Path, module: str, a: TensorInfo, b: TensorInfo) -> tuple[int, ...]:
    """(outputs, inputs) and the kernel of B·A."""
    fits = len(a.shape) == len(b.shape) >= 2 and a.shape[0] == b.shape[1]
    if not fits or any(size != 1 for size in b.shape[2:]):
        raise SubjectError(
            f"{path}: factors of {module} have shapes {a.shape} and {b.shape}; only linear and embedding layers and "
            "convolutions without groups are read"
        )
    return (b.shape[0], *a.shape[1:])


def _ia3(config: Mapping[str, Any], file: WeightFile, module: str, parts: Mapping[str, str]) -> Factors:
    named = config.get("feedforward_modules") or ()
    if isinstance(named, str):
        feedforward = bool(re.fullmatch(named, module))
    else:
        feedforward = any(module.endswith(key) for key in named)
    return Factors(
        module=module, tensor=f"{module}.weight", kind="ia3", file=file, parts=parts, feedforward=feedforward
    )


def _tokens(path: Path, config: Mapping[str, Any], file: WeightFile, module: str, parts: Mapping[str, str]) -> Factors:
    indices = config.get("trainable_token_indices") or config.get("token_indices") or ()
    if isinstance(indices, Mapping):
        indices = next((rows for key, rows in indices.items() if f".{module}".endswith(f".{key}")), ())
    tokens = tuple(int(row) for row in indices)
    count = file.tensors[parts["trainable_tokens_delta"]].shape[0]
    if len(tokens) != count or len(set(tokens)) != count:
        raise SubjectError(f"{path}: {module} has {count} trained tokens where the configuration names {len(tokens)}")
    return Factors(module=module, tensor=f"{module}.weight", kind="tokens", file=file, parts=parts, tokens=tokens)
