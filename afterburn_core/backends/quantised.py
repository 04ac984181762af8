"""Quantised checkpoints as plain ones: every packed weight appears once, under its logical name, in float32.

Weights are recognised by the names, dtypes and shapes of their parts; the configuration only settles what these leave
open. Codes, scales and zeros vanish as tensors of their own. A packing that is not known stays in the list, as one
weight with the reason why it cannot be read, so that coverage counts it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from afterburn_core.backends.packed import bitsandbytes, compressed, gptq, mlx, mxfp4, scaled
from afterburn_core.backends.packed.contract import Floats, PackedWeight, Stored, refused
from afterburn_core.backends.tensors import TensorInfo, WeightSource

if TYPE_CHECKING:
    import torch

# a format earlier in the list has the first say about a tensor
_FORMATS = (bitsandbytes.find, gptq.find, compressed.find, mlx.find, mxfp4.find, scaled.find)
_CODES = frozenset({"I8", "U8", "I16", "U16", "I32", "U32", "F8_E4M3", "F8_E5M2"})
# last names of code tensors in packings that are not read: the method, and a part that must stand beside them
_UNKNOWN = {
    "W_q": ("HQQ", "scale"),
    "codes": ("AQLM", "codebooks"),
    "Qidxs": ("QuIP#", "SU"),
    "indices": ("VPTQ", "centroids"),
    "trellis": ("EXL3", "suh"),
    "q_weight": ("EXL2", "q_scale"),
    "B": ("Marlin", "s"),
    "dense_weights": ("SpQR", "row_offsets"),
}


@attrs.frozen(kw_only=True)
class QuantisedSource:
    """Weights of a checkpoint some of which are stored quantised."""

    source: WeightSource
    tensors: Mapping[str, TensorInfo]
    aliases: Mapping[str, str]
    packed: Mapping[str, PackedWeight]
    """Packed weights by logical name."""

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Elements `start` to `stop` of the flattened weight, dequantised where it is stored quantised."""
        if name not in self.packed:
            return self.source.read(name, start, stop)
        import torch

        return torch.from_numpy(self._values(name, start, stop))

    def read_array(self, name: str, start: int, stop: int) -> Any:
        """The same as an array; `None` where the file below can only give tensors."""
        if name in self.packed:
            return self._values(name, start, stop)
        direct = getattr(self.source, "read_array", None)
        return None if direct is None else direct(name, start, stop)

    def _values(self, name: str, start: int, stop: int) -> Floats:
        rows = self.packed[name].rows
        if rows is None:
            raise RuntimeError(f"{name}: {self.tensors[name].refusal}")
        return rows.read(start, stop)

    def step_sq(self, name: str, start: int, stop: int) -> float | None:
        """Σ step² over these elements, each step that of the quantiser there; `None` for weights stored plainly, and
        for packings whose steps are not known."""
        packed = self.packed.get(name)
        if packed is not None:
            return packed.rows.sum_step_sq(start, stop) if packed.rows is not None else None
        below = getattr(self.source, "step_sq", None)
        return None if below is None else below(name, start, stop)

    def position(self, name: str) -> tuple[int, int]:
        return self.source.position(self.packed[name].codes if name in self.packed else name)


def dequantised(source: WeightSource, config: Mapping[str, Any]) -> WeightSource:
    """The source with its packed weights dequantised; itself where none is packed.

    Args:
        source: the stored tensors.
        config: the model's `config.json`, empty where there is none.
    """
    stored, settings = Stored(source), quantisation_settings(config)
    packed: dict[str, PackedWeight] = {}
    claimed: set[str] = set()
    for find in _FORMATS:
        for weight in find(stored, settings):
            if claimed.isdisjoint(weight.parts) and _is_free(weight, source):
                packed[weight.info.name] = weight
                claimed |= weight.parts
    for weight in _unknown(stored, claimed, settings):
        packed[weight.info.name] = weight
        claimed |= weight.parts
    if not packed:
        return source
    plain = {name: info for name, info in source.tensors.items() if name not in claimed}
    tensors = {**plain, **{name: weight.info for name, weight in packed.items()}}
    aliases = {name: target for name, target in source.aliases.items() if {name, target} <= plain.keys()}
    return QuantisedSource(source=source, tensors=tensors, aliases=aliases, packed=packed)


def _is_free(weight: PackedWeight, source: WeightSource) -> bool:
    """Whether no plain tensor bears the logical name already."""
    return weight.info.name in weight.parts or weight.info.name not in source.tensors


def quantisation_settings(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the configuration says of the quantisation, wherever it stands; empty where it says nothing."""
    text = config.get("text_config")
    for place in (config, text if isinstance(text, Mapping) else {}):
        for key in ("quantization_config", "compression_config", "quantization"):
            found = place.get(key)
            if isinstance(found, Mapping):
                return found
    return {}


def _unknown(stored: Stored, claimed: set[str], settings: Mapping[str, Any]) -> Iterator[PackedWeight]:
    """Codes with scales beside them that no format recognised."""
    siblings: dict[str, set[str]] = defaultdict(set)
    for name in stored.tensors.keys() - claimed:
        stem, _, leaf = name.rpartition(".")
        siblings[stem].add(leaf)
    for stem in sorted(siblings):
        leaves = siblings[stem]
        prefix = f"{stem}." if stem else ""
        beneath = {f"weight.{leaf}" for leaf in siblings.get(f"{prefix}weight", ())}
        parts = (leaves | beneath) - {"bias", "weight"}
        codes = next((leaf for leaf, (_, beside) in _UNKNOWN.items() if {leaf, beside} <= leaves), None)
        if codes is None and "weight" in leaves and stored.tensors[f"{prefix}weight"].dtype in _CODES and parts:
            codes = "weight"
        if codes is None:
            continue
        method = settings.get("quant_method") or _UNKNOWN.get(codes, (None, None))[0]
        named = f"the packing of {method}" if isinstance(method, str) else "a packing"
        beside = ", ".join(sorted(parts - {codes})[:4])
        reason = f"{named} with {beside} beside it is not read"
        yield refused(stored, f"{prefix}weight", f"{prefix}{codes}", frozenset(f"{prefix}{p}" for p in parts), reason)


def describe(tensors: Mapping[str, TensorInfo]) -> list[dict[str, Any]]:
    """How the weights of a checkpoint are quantised, for the subject's properties: one entry per kind."""
    counts: dict[tuple[Any, ...], list[int]] = {}
    for info in tensors.values():
        kind = info.quantisation
        if kind is not None:
            entry = counts.setdefault((kind.method, kind.code, kind.bits, kind.group or 0, kind.rows or 0), [0, 0])
            entry[0] += 1
            entry[1] += info.numel
    return [
        {
            "method": method,
            "code": code,
            "bits": bits,
            "group_size": group or None,
            "outputs_per_scale": rows or None,
            "tensors": count,
            "parameters": parameters,
        }
        for (method, code, bits, group, rows), (count, parameters) in sorted(counts.items())
    ]
