"""Finds the tensors of a checkpoint that may consist of several logical ones, and replaces them by their parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

import attrs

from afterburn_core.backends.derived import DerivedSource, View
from afterburn_core.backends.tensors import TensorInfo, WeightSource
from afterburn_core.run import experts, fused
from afterburn_core.run.align import Refusal
from afterburn_core.run.fused import Config, Parts
from afterburn_core.run.naming import parse_name, scope_of

ReadConfig = Callable[[], Config | None]

_FUSED = re.compile(
    r"(?P<prefix>.+)\.(?P<module>qkv_proj|c_attn|query_key_value|Wqkv|gate_up_proj)\.(?P<parameter>weight|bias)"
)
_STACK = re.compile(
    r"(?P<prefix>.*experts)\.(?P<module>gate_up_proj|down_proj|up_proj|gate_proj|fc1|fc2)(?:\.weight|(?P<bias>_bias))?"
)
_PARALLEL = re.compile(r"(?P<prefix>.+\.(?:block_sparse_moe|mlp))\.(?P<module>input_linear|output_linear)\.weight")
_FLAT = re.compile(r"(?P<prefix>.+\.experts)\.mlp\.(?P<module>w1|v1|w2)")
_CONV1D = re.compile(rf"(?P<prefix>.+)\.(?P<module>{'|'.join(sorted(fused.CONV1D_MODULES))})\.weight")
EXPERT = re.compile(r"(?P<prefix>.*experts)\.\d+\.(?P<leaf>\w+)\.(?:weight|bias)")
BLOCK = re.compile(r"\.(block_sparse_moe|feed_forward|mlp|ffn|moe)\.experts$")

ROLES = {
    "gate_up_proj": "gate_up", "fc1": "gate_up", "input_linear": "gate_up", "gate_proj": "gate", "w1": "gate",
    "up_proj": "up", "v1": "up", "down_proj": "down", "fc2": "down", "output_linear": "down", "w2": "down",
}  # fmt: skip
PLAIN = {
    "q": "q_proj", "k": "k_proj", "v": "v_proj", "gate": "gate_proj", "up": "up_proj", "down": "down_proj",
    "gate_up": "gate_up_proj",
}  # fmt: skip


@attrs.frozen(kw_only=True)
class Candidate:
    """A stored tensor that may consist of several logical ones."""

    kind: str
    """`attention`, `gate_up`, `stack`, `flat` or `conv1d`."""
    info: TensorInfo
    prefix: str
    """The stored name before the module's own."""
    bare: str
    """The same without the inner model's name."""
    module: str
    parameter: str

    @property
    def site(self) -> tuple[str, str, str, str]:
        """Equal for candidates of two sides that hold the same."""
        role = ROLES.get(self.module, self.module) if self.kind in {"stack", "flat"} else self.module
        return self.kind, neutral(self.bare), role, self.parameter


class LayoutSide:
    """One checkpoint while its layout is decided."""

    def __init__(self, label: str, source: WeightSource, config: ReadConfig) -> None:
        self.label, self.source, self._read = label, source, config
        parsed = {stored: parse_name(stored).bare for stored in source.tensors}
        uses = Counter(parsed.values())
        self.names = {bare: stored for stored, bare in parsed.items() if uses[bare] == 1}
        self.views: dict[str, View] = {}
        self.refused: dict[str, Refusal] = {}
        self.other: LayoutSide = self

    @cached_property
    def own_config(self) -> Config:
        return fused.text_config(self._read())

    @property
    def config(self) -> Config:
        """A file without a configuration is read by that of the other side."""
        return self.own_config or self.other.own_config

    @cached_property
    def candidates(self) -> dict[tuple[str, str, str, str], Candidate]:
        found = (self._candidate(bare, self.source.tensors[stored]) for bare, stored in self.names.items())
        return {candidate.site: candidate for candidate in found if candidate is not None}

    @cached_property
    def experts(self) -> Mapping[str, tuple[str, frozenset[str]]]:
        """Bare prefix and module names of experts stored one by one, by neutral prefix."""
        leaves: dict[str, set[str]] = {}
        for bare in self.names:
            match = EXPERT.fullmatch(bare)
            if match:
                leaves.setdefault(match["prefix"], set()).add(match["leaf"])
        return {neutral(prefix): (prefix, frozenset(found)) for prefix, found in leaves.items()}

    def _candidate(self, bare: str, info: TensorInfo) -> Candidate | None:
        kind, match = self._kind(bare, info)
        if match is None or scope_of(bare).subset == "vision":
            return None
        suffix = bare[match.end("prefix") :]
        if not info.name.endswith(suffix):
            return None
        groups = match.groupdict()
        return Candidate(
            kind=kind,
            info=info,
            prefix=info.name.removesuffix(suffix) + (".experts" if match.re is _PARALLEL else ""),
            bare=match["prefix"] + (".experts" if match.re is _PARALLEL else ""),
            module=match["module"],
            parameter="bias" if groups.get("bias") else groups.get("parameter") or "weight",
        )

    def _kind(self, bare: str, info: TensorInfo) -> tuple[str, re.Match[str] | None]:
        stack = _STACK.fullmatch(bare)
        if stack and len(info.shape) == (2 if stack["bias"] else 3):
            return "stack", stack
        if len(info.shape) == 3:
            return "stack", _PARALLEL.fullmatch(bare)
        match = _FUSED.fullmatch(bare)
        if match:
            conv1d = match["module"] == "c_attn" and match["parameter"] == "weight" and self._cross(info)
            return "conv1d" if conv1d else "gate_up" if match["module"] == "gate_up_proj" else "attention", match
        if len(info.shape) == 2 and (match := _FLAT.fullmatch(bare)):
            return "flat", match
        if len(info.shape) == 2 and (match := _CONV1D.fullmatch(bare)):
            return "conv1d", match if self.config.get("model_type") in fused.CONV1D else None
        return "", None

    def _cross(self, info: TensorInfo) -> bool:
        """GPT-2's keys and values for cross-attention alone: (inputs, 2 · outputs)."""
        conv1d = len(info.shape) == 2 and self.config.get("model_type") in fused.CONV1D
        return conv1d and info.shape[1] == 2 * info.shape[0]

    def split(self, candidate: Candidate) -> Parts:
        """The parts of a candidate by this side's configuration, or why they are not known."""
        info, role = candidate.info, ROLES.get(candidate.module, "")
        if candidate.kind == "attention":
            return fused.split_attention(info, candidate.module, self.config)
        if candidate.kind == "gate_up":
            return fused.split_gate_up(info, self.config)
        if candidate.kind == "conv1d":
            return fused.transposed(info)
        if candidate.kind == "flat":
            return experts.flat_experts(info, role, self.config)
        return experts.split_experts(info, role, self.config, bias=candidate.parameter == "bias")

    def parts(
        self, candidate: Candidate, parts: Parts, names: Mapping[str, str], prefix: str | None = None
    ) -> dict[str, View] | None:
        """Views by the names of the parts; `None` where one of them would hide another stored tensor."""
        prefix = candidate.prefix if prefix is None else prefix
        views: dict[str, View] = {}
        for part in parts:
            if isinstance(part, str):
                return None
            expert = "" if part.expert is None else f"{part.expert}."
            module = candidate.module if part.role == "whole" else names.get(part.role, PLAIN[part.role])
            views[f"{prefix}.{expert}{module}.{candidate.parameter}"] = part.view
        hides = any(name in self.source.tensors and name != candidate.info.name for name in views)
        return None if hides else views

    def refuse(self, candidate: Candidate, reason: str, counterparts: Iterable[str]) -> None:
        """Leaves a fused tensor and its parts on the other side uncompared, counted once."""
        name = parse_name(candidate.info.name).canonical
        self.refused[candidate.info.name] = Refusal(
            reason=f"fused here, in parts in the {self.other.label} model; {reason}", counted=True
        )
        for stored in counterparts:
            self.other.refused[stored] = Refusal(
                reason=f"within {name} of the {self.label} model, which cannot be split; counted there", counted=False
            )

    def presented(self) -> WeightSource:
        return DerivedSource(self.source, self.views) if self.views else self.source


def neutral(prefix: str) -> str:
    """A prefix of experts without the name that one library or another gives the block around them."""
    return BLOCK.sub(".mlp.experts", prefix)
