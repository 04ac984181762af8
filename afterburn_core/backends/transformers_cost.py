"""What writing costs, and which models can be asked to: all from configuration, before torch is imported."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import attrs

from afterburn_core.run.memory import available_memory

Device = Literal["cpu", "cuda"]

CPU_FLOP_PER_SECOND = 4e10
"""What two cores reach in the matrix products of a small batch in float32."""
CUDA_FLOP_PER_SECOND = 5e13
SECONDS_PER_STEP = {"cpu": 0.008, "cuda": 0.025}
"""One step of a batch costs at least this: the interpreter between kernels, and attention over what came before."""

_KEPT_BYTES = {"cpu": 2 << 30, "cuda": 8 << 30}
"""Keys and values of one batch may take this much. Fixed, so that batches depend on the requests alone."""
_MOST_ROWS = {"cpu": 64, "cuda": 128}
_SMALL = 1 << 28
"""Models below this many parameters gain from larger batches on a CPU; larger ones fill its cores sooner."""
_ROWS_OF_LARGE = 32
_GROUP = 4
"""Batches' worth of requests that are finished together; more keep the batch fuller, fewer lose less when killed."""

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tokenizer_config.json")
_PACKERS = {
    "awq": ("gptqmodel", "awq"),
    "gptq": ("gptqmodel", "auto_gptq"),
    "bitsandbytes": ("bitsandbytes",),
    "compressed-tensors": ("compressed_tensors",),
    "quanto": ("optimum.quanto",),
    "torchao": ("torchao",),
    "hqq": ("hqq",),
    "aqlm": ("aqlm",),
    "eetq": ("eetq",),
}


def can_write(directory: Path, config: Mapping[str, Any]) -> bool:
    """Whether the installed transformers has a causal language model for this directory and it brings a tokenizer.

    Looks at names only: neither torch nor transformers is imported.
    """
    kind, names = config.get("model_type"), config.get("architectures") or ()
    if config.get("is_encoder_decoder") or not isinstance(kind, str):
        return False
    if not any((kind, name) in _causal_models() for name in names):
        return False
    return _can_unpack(config) and any((directory / name).is_file() for name in _TOKENIZERS)


@cache
def _causal_models() -> frozenset[tuple[str, str]]:
    """(model type, architecture) of every causal language model that the installed transformers lists."""
    try:
        found = importlib.util.find_spec("transformers")
        torch = importlib.util.find_spec("torch")
    except (ImportError, ValueError):
        return frozenset()
    if found is None or found.origin is None or torch is None:
        return frozenset()
    listing = Path(found.origin).parent / "models" / "auto" / "modeling_auto.py"
    try:
        text = listing.read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    block = re.search(r"^MODEL_FOR_CAUSAL_LM_MAPPING_NAMES = .*?^\)", text, re.DOTALL | re.MULTILINE)
    return frozenset(re.findall(r'\(\s*"([^"]+)",\s*"([^"]+)"\s*,?\s*\)', block.group(0) if block else ""))


def _can_unpack(config: Mapping[str, Any]) -> bool:
    """Whether the package that unpacks the weights is installed; true where they are not packed."""
    packed = config.get("quantization_config")
    if not isinstance(packed, Mapping):
        return True
    try:
        return any(importlib.util.find_spec(name) for name in _PACKERS.get(str(packed.get("quant_method")), ()))
    except (ImportError, ValueError):
        return False


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a configuration that describes the language model."""
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config


def context_length(config: Mapping[str, Any]) -> int | None:
    """Longest sequence of the model in tokens; `None` where its configuration sets no limit."""
    own = text_config(config)
    for name in ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "max_seq_len"):
        if isinstance(own.get(name), int) and own[name] > 0:
            return int(own[name])
    return None


def kept_bytes_per_token(config: Mapping[str, Any], width: int) -> int:
    """Bytes of keys and values per token: 2 · layers · heads · head width · bytes per number.

    Args:
        config: parsed `config.json`.
        width: bytes of one number.
    """
    own = text_config(config)

    def number(*names: str, default: int) -> int:
        return next((own[name] for name in names if isinstance(own.get(name), int) and own[name] > 0), default)

    layers = number("num_hidden_layers", "n_layer", "num_layers", "n_layers", default=32)
    hidden = number("hidden_size", "n_embd", "d_model", default=4096)
    heads = number("num_attention_heads", "n_head", "n_heads", "num_heads", default=32)
    shared = number("num_key_value_heads", default=heads)
    return 2 * layers * shared * number("head_dim", default=max(1, hidden // heads)) * width


@attrs.frozen(kw_only=True)
class BatchSize:
    """Bounds of one batch."""

    rows: int
    tokens: int
    """Prompt and answer tokens of all rows together."""

    def rows_for(self, longest: int) -> int:
        """How many rows of at most `longest` tokens run together."""
        return max(1, min(self.rows, self.tokens // max(1, longest)))

    def group_for(self, longest: int) -> int:
        """How many requests are finished together."""
        return _GROUP * self.rows_for(longest)


def batch_size(config: Mapping[str, Any], *, parameters: int, device: str, width: int) -> BatchSize:
    """The bounds that a model's size and the kind of machine set; never its free memory, which changes."""
    kind = "cpu" if device == "cpu" else "cuda"
    rows = _MOST_ROWS[kind] if kind == "cuda" or parameters < _SMALL else _ROWS_OF_LARGE
    return BatchSize(rows=rows, tokens=max(1, _KEPT_BYTES[kind] // kept_bytes_per_token(config, width)))


def tokens_estimate(
    *, parameters: int, prompt_tokens: int, new_tokens: int, samples: int, rows: int = 64, device: str = "cpu"
) -> float:
    """Seconds that one model needs to write, for the plan: an order of magnitude.

    2 · parameters · (prompt + new tokens) operations at `CPU_FLOP_PER_SECOND` or `CUDA_FLOP_PER_SECOND`, and
    `SECONDS_PER_STEP` for each of the samples · new / rows steps.

    Args:
        parameters: of the model.
        prompt_tokens: mean length of a prompt.
        new_tokens: expected length of an answer, at most `max_new_tokens`.
        samples: texts to write, all prompts together.
        rows: texts written side by side.
        device: `cpu` or `cuda`.
    """
    kind = "cpu" if device == "cpu" else "cuda"
    rate = CPU_FLOP_PER_SECOND if kind == "cpu" else CUDA_FLOP_PER_SECOND
    operations = 2.0 * parameters * samples * (prompt_tokens + new_tokens)
    return operations / rate + SECONDS_PER_STEP[kind] * new_tokens * -(-samples // max(1, rows))


def both_fit(first: int, second: int, *, device: str = "cpu", widening: float = 1.0) -> bool:
    """Whether two models fit side by side with a batch of either.

    Args:
        first: bytes of the weight files of one.
        second: bytes of the other's.
        device: where they are loaded.
        widening: bytes of a loaded number over those of a stored one, 2 for bfloat16 loaded as float32.
    """
    needed = (first + second) * widening * 1.1
    if device == "cpu":
        return needed + _KEPT_BYTES["cpu"] < available_memory()
    import torch

    free, _ = torch.cuda.mem_get_info(torch.device(device))
    return needed + _KEPT_BYTES["cuda"] < free


__all__ = [
    "BatchSize",
    "batch_size",
    "both_fit",
    "can_write",
    "context_length",
    "kept_bytes_per_token",
    "text_config",
    "tokens_estimate",
]
