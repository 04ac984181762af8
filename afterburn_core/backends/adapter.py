"""PEFT adapters as weight sources: W' is computed by blocks of rows from the factors, never materialised whole.

Scaling is PEFT's own, per module: α/r, or α/√r with rsLoRA (A Rank Stabilization Scaling Factor for Fine-Tuning with
LoRA, arXiv 2312.03732), where rank and alpha patterns override r and α of the modules they match. This is the only
place that computes it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends.tensors import FLOATING, TensorInfo, WeightFile, WeightSource
from afterburn_core.errors import SubjectError
from afterburn_core.run.naming import module_kind, parse_name

if TYPE_CHECKING:
    import torch

_FACTOR = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)(?:\.weight)?"
)
# initialisations that rewrite the base weights: the difference to the original base is not s·B·A
_REWRITES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
# settings under which the weights are not W + s·B·A, or not for every input
_UNSUPPORTED = (
    "target_parameters", "layer_replication", "trainable_token_indices", "use_qalora", "use_bdlora", "lora_bias",
    "kasa_config", "monteclora_config", "arrow_config", "alora_invocation_tokens",
)  # fmt: skip
# layers of transformers' Conv1D class, where the model has them at all
_CONV1D = frozenset({"c_attn", "c_fc", "c_proj", "q_attn"})
_SAVED_INFIX = re.compile(r"\.(?:modules_to_save|base_layer|original_module)(?=\.)")


@attrs.define(kw_only=True)
class LowRank:
    """Δ = scale · left · right, in the orientation in which the weight is stored."""

    left: torch.Tensor  # (rows, r) float64
    right: torch.Tensor  # (r, columns) float64
    scale: float
    magnitude: torch.Tensor | None = None
    """DoRA's g, one per output (DoRA, arXiv 2402.09353): W' = diag(g / ‖W + sBA‖) (W + sBA)."""
    transposed: bool = False
    """True where outputs are the columns of the stored weight (GPT-2's Conv1D)."""
    norms: torch.Tensor | None = None
    """Norms of W + sBA over the inputs, for the transposed case; filled on first use."""


@attrs.frozen(kw_only=True)
class AdapterSource:
    """Base weights with an adapter on them, under the base's names."""

    base: WeightSource
    file: WeightFile
    tensors: Mapping[str, TensorInfo]
    low_rank: Mapping[str, LowRank]
    saved: Mapping[str, str]
    """Tensors stored whole in the adapter: base name to adapter name."""
    tied_to: Mapping[str, str]
    """Names the base does not store because it ties them: the head's name to the embedding's."""
    description: Mapping[str, Any]

    @property
    def aliases(self) -> Mapping[str, str]:
        own = self.low_rank.keys() | self.saved.keys()  # what the adapter changes no longer shares storage
        return {name: target for name, target in self.base.aliases.items() if own.isdisjoint((name, target))}

    @property
    def shared(self) -> frozenset[str]:
        """Tensors that the adapter leaves as the base has them."""
        return frozenset(self.tensors.keys() - self.low_rank.keys() - self.saved.keys())

    def position(self, name: str) -> tuple[int, int]:
        return self.base.position(self.tied_to.get(name, name)) if name not in self.saved else (1 << 30, 0)

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements of W': stored dtype where stored whole or untouched, float64 where computed from factors."""
        if name not in self.low_rank:
            return self._stored(name, start, stop)
        factors = self.low_rank[name]
        width = factors.right.shape[1]
        first, last = start // width, -(-stop // width)
        values = self._merged(name, factors, first, last)  # (rows, columns)
        return values.reshape(-1)[start - first * width : stop - first * width]

    def _stored(self, name: str, start: int, stop: int) -> torch.Tensor:
        if name in self.saved:
            return self.file.read(self.saved[name], start, stop)
        return self.base.read(self.tied_to.get(name, name), start, stop)

    def _sum(self, name: str, factors: LowRank, first: int, last: int) -> torch.Tensor:
        """Rows of W + s·B·A."""
        width = factors.right.shape[1]
        values = self._stored(name, first * width, last * width).double().view(last - first, width)
        return values.addmm_(factors.left[first:last], factors.right, alpha=factors.scale)

    def _merged(self, name: str, factors: LowRank, first: int, last: int) -> torch.Tensor:
        values = self._sum(name, factors, first, last)
        if factors.magnitude is None:
            return values
        if not factors.transposed:
            gain = factors.magnitude[first:last] / values.norm(dim=1)  # (rows,)
            return values.mul_(gain[:, None])
        if factors.norms is None:
            rows = factors.left.shape[0]
            squares = sum(self._sum(name, factors, i, min(i + 256, rows)).square().sum(0) for i in range(0, rows, 256))
            factors.norms = squares.sqrt()  # type: ignore[union-attr]
        return values.mul_((factors.magnitude / factors.norms)[None, :])


def read_adapter(path: Path, config: Mapping[str, Any], file: WeightFile, base: WeightSource) -> AdapterSource:
    """Interprets an adapter's file against its base.

    Raises:
        SubjectError: a kind of adapter this version does not compute exactly, or factors that do not fit the base.
    """
    _refuse_unsupported(path, config)
    names = _names(base)
    factors: dict[str, dict[str, str]] = {}
    saved: dict[str, str] = {}
    tied_to: dict[str, str] = {}
    for name in file.tensors:
        match = _FACTOR.fullmatch(name)
        if match:
            factors.setdefault(match["module"], {})[match["part"]] = name
        elif ".lora_" in name:
            raise SubjectError(f"{path}: {name!r} is not read yet; merge the adapter into its base and give that")
        else:
            plain = _SAVED_INFIX.sub("", name)
            saved[_stored_name(names, plain) or parse_name(plain).canonical] = name
    tensors = dict(base.tensors)
    for name, stored in saved.items():
        tensors[name] = attrs.evolve(file.tensors[stored], name=name)
    conv1d = _has_conv1d(base)
    low_rank: dict[str, LowRank] = {}
    for module, parts in sorted(factors.items()):
        name = _target(path, module, names, base, saved, tied_to)
        info = tensors.get(name) or tensors[tied_to[name]]
        if info.dtype not in FLOATING:
            raise SubjectError(f"{path}: {module} adapts {name!r} of dtype {info.dtype}; dequantise the base first")
        tensors[name] = attrs.evolve(info, name=name)
        low_rank[name] = _low_rank(path, module, parts, config, file, tensors[name], conv1d)
    if not low_rank and not saved:
        raise SubjectError(f"{path}: the adapter file holds no factors; save the adapter again")
    ranks = sorted({factor.left.shape[1] for factor in low_rank.values()})
    description = {
        "peft_type": str(config.get("peft_type", "LORA")),
        "rank": ranks,
        "scaling": sorted({factor.scale for factor in low_rank.values()}),
        "modules": len(low_rank),
        "saved_whole": len(saved),
        "dora": bool(config.get("use_dora")),
        "rslora": bool(config.get("use_rslora")),
    }
    return AdapterSource(
        base=base, file=file, tensors=tensors, low_rank=low_rank, saved=saved, tied_to=tied_to, description=description
    )


def scaling(config: Mapping[str, Any], module: str, rank: int) -> float:
    """s = α/r, or α/√r with rsLoRA, for the module of this name (without the `base_model.model.` prefix)."""
    alpha = _by_pattern(config.get("alpha_pattern") or {}, module, config.get("lora_alpha", 8))
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def configured_rank(config: Mapping[str, Any], module: str) -> int:
    """r of the module, after rank patterns."""
    return int(_by_pattern(config.get("rank_pattern") or {}, module, config.get("r", 8)))


def _by_pattern(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    """The value of the first pattern that matches a suffix of the module's name, as PEFT matches them."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _refuse_unsupported(path: Path, config: Mapping[str, Any]) -> None:
    kind = str(config.get("peft_type", "LORA")).upper()
    if kind != "LORA":
        raise SubjectError(f"{path}: adapters of type {kind} are not read yet; merge it into its base and give that")
    init = config.get("init_lora_weights")
    if isinstance(init, str) and init.lower().startswith(_REWRITES_BASE):
        raise SubjectError(
            f"{path}: initialised with {init!r}, which rewrites the base, so factors alone do not give the difference; "
            "convert it to a plain LoRA (PEFT: path_initial_model_for_weight_conversion) or merge it"
        )
    for key in _UNSUPPORTED:
        if config.get(key):
            raise SubjectError(f"{path}: {key} is not read yet; merge the adapter into its base and give that")


def _names(base: WeightSource) -> dict[str, str]:
    """The base's stored names by canonical name, and by bare name where only one tensor has it."""
    parsed = {name: parse_name(name) for name in base.tensors}
    uses = Counter(name.bare for name in parsed.values())
    bare = {name.bare: stored for stored, name in parsed.items() if uses[name.bare] == 1}
    return {**bare, **{name.canonical: stored for stored, name in parsed.items()}}


def _stored_name(names: Mapping[str, str], name: str) -> str | None:
    parsed = parse_name(name)
    return names.get(parsed.canonical) or names.get(parsed.bare)


def _target(
    path: Path,
    module: str,
    names: Mapping[str, str],
    base: WeightSource,
    saved: Mapping[str, str],
    tied_to: dict[str, str],
) -> str:
    """The stored name of the weight that a module's factors adapt."""
    stored = _stored_name(names, f"{module}.weight")
    if stored is not None:
        return stored
    canonical, bare = parse_name(f"{module}.weight").canonical, parse_name(f"{module}.weight").bare
    if canonical in saved:
        return canonical
    if bare.split(".")[0] == "lm_head":
        embedding = next((n for n in base.tensors if module_kind(parse_name(n).canonical) == "embed"), None)
        if embedding:
            tied_to[canonical] = embedding
            return canonical
    raise SubjectError(f"{path}: adapts {canonical!r}, which the base does not have; give the base it was trained on")


def _low_rank(
    path: Path,
    module: str,
    parts: Mapping[str, str],
    config: Mapping[str, Any],
    file: WeightFile,
    info: TensorInfo,
    conv1d: bool,
) -> LowRank:
    embedding = "lora_embedding_A" in parts
    a_name, b_name = ("lora_embedding_A", "lora_embedding_B") if embedding else ("lora_A", "lora_B")
    if a_name not in parts or b_name not in parts:
        raise SubjectError(f"{path}: {module} has only one of its two factors; save the adapter again")
    a, b = _matrix(file, parts[a_name]), _matrix(file, parts[b_name])
    if a.dim() != 2 or b.dim() != 2 or a.shape[0] != b.shape[1]:
        raise SubjectError(
            f"{path}: factors of {module} have shapes {tuple(a.shape)} and {tuple(b.shape)}; only linear and embedding "
            "layers are read yet"
        )
    name = parse_name(module).canonical
    rank = configured_rank(config, name)
    if a.shape[0] != rank:
        raise SubjectError(f"{path}: {module} has rank {a.shape[0]} where the configuration says {rank}")
    delta_shape = (b.shape[0], a.shape[1])
    if embedding or delta_shape != info.shape:
        transposed = embedding or delta_shape[::-1] == info.shape
    else:  # a square weight looks the same either way
        transposed = delta_shape[0] == delta_shape[1] and conv1d and name.rpartition(".")[2] in _CONV1D
    left, right = (a.T.contiguous(), b.T.contiguous()) if transposed else (b, a)
    if (left.shape[0], right.shape[1]) != info.shape:
        raise SubjectError(
            f"{path}: factors of {module} give {left.shape[0]}x{right.shape[1]}, but the base's weight is "
            f"{'x'.join(map(str, info.shape))}; give the base the adapter was trained on"
        )
    magnitude = None
    if "lora_magnitude_vector" in parts:
        if embedding:
            raise SubjectError(f"{path}: DoRA on the embedding {module} is not read yet; merge it and give that")
        magnitude = _matrix(file, parts["lora_magnitude_vector"]).reshape(-1)
    return LowRank(
        left=left,
        right=right,
        scale=scaling(config, name, rank),
        magnitude=magnitude,
        transposed=transposed and not embedding,
    )


def _has_conv1d(base: WeightSource) -> bool:
    """Whether the base stores its projections transposed, as GPT-2 does: inputs in rows, and more outputs than inputs.

    `fan_in_fan_out` does not decide this: PEFT corrects a wrong value on loading, by the type of each layer.
    """
    shapes = [info.shape for name, info in base.tensors.items() if name.endswith(".c_fc.weight")]
    return any(len(shape) == 2 and shape[0] < shape[1] for shape in shapes)


def _matrix(file: WeightFile, name: str) -> torch.Tensor:
    info = file.tensors[name]
    return file.read(name, 0, info.numel).double().view(info.shape)
