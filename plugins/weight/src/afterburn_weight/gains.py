"""The part of a configuration that describes a stack, and the gain that a stored norm weight stands for.

Most norms multiply by the stored weight w. Some families store it zero-centred and multiply by 1 + w, as their classes
in transformers do: Gemma 1 to 3, RecurrentGemma, T5Gemma, VaultGemma, Nemotron, Qwen3-Next and Qwen3.5. A change of w
is then a much smaller change of what the layer computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afterburn_core.result.model import Scope

Config = Mapping[str, Any]

ZERO_CENTRED = frozenset(
    {
        "gemma",
        "gemma2",
        "gemma3",
        "gemma3_text",
        "nemotron",
        "qwen3_5",
        "qwen3_5_moe",
        "qwen3_5_moe_text",
        "qwen3_5_text",
        "qwen3_next",
        "recurrent_gemma",
        "t5_gemma_module",
        "t5gemma",
        "t5gemma2",
        "vaultgemma",
    }
)
"""`model_type`s whose norms multiply by 1 + w."""
_TEXT = ("text_config", "llm_config", "language_config", "decoder", "encoder")
_OTHER_STACKS = frozenset({"vision", "audio"})
# the norm inside a linear-attention mixer is gated, and its class multiplies by w
_GATED = ("linear_attn.norm",)


def stack_config(config: Config, subset: str | None) -> Config:
    """The part of a configuration that speaks of a stack: a nested one where there is one, else the whole."""
    if subset in _OTHER_STACKS:
        nested = config.get(f"{subset}_config")
        return nested if isinstance(nested, Mapping) else {}
    names = (subset, *_TEXT) if subset in {"encoder", "decoder"} else _TEXT
    for name in names:
        nested = config.get(str(name))
        if isinstance(nested, Mapping):
            return nested
    return config


def zero_centred(config: Config, scope: Scope) -> bool:
    """Whether the norm at `scope` multiplies by 1 + w."""
    if scope.subset in _OTHER_STACKS or (scope.tensor or "").removesuffix(".weight").endswith(_GATED):
        return False
    types = (stack_config(config, scope.subset).get("model_type"), config.get("model_type"))
    return next((kind for kind in types if isinstance(kind, str)), None) in ZERO_CENTRED


def configurations(documents: Any) -> Mapping[str, Config | None]:
    """The configuration of each side by role; an adapter, which has none of its own, takes the base's.

    Args:
        documents: `AnalyzerContext.documents`.
    """
    base, trained = documents("base", "config"), documents("trained", "config")
    return {"base": base or None, "trained": trained or base or None}
