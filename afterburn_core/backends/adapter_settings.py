"""What an adapter's configuration says: rank, α and scaling of each module, and what is refused by name.

Rank and alpha patterns override r and α of the modules they match, as PEFT matches them. This is the only place that
computes a scaling.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afterburn_core.errors import SubjectError

_READ = frozenset({"LORA", "ADALORA", "IA3", "TRAINABLE_TOKENS"})
# initialisations that rewrite the base weights: the difference to the original base is not s·B·A. EVA, orthogonal and
# MiCA leave the base alone.
_REWRITES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
# settings under which the weights are not W + s·B·A, or not for every input
_UNSUPPORTED = (
    "target_parameters", "layer_replication", "use_qalora", "use_bdlora", "kasa_config", "monteclora_config",
    "arrow_config", "alora_invocation_tokens",
)  # fmt: skip
_TUNED_BIASES = ("all", "lora_only")


def restores_base(settings: Mapping[str, Any]) -> bool:
    """Whether switching an adapter off gives back its base exactly: not where it has trained biases in place."""
    return settings.get("bias", "none") not in _TUNED_BIASES


def refuse_unsupported(path: Path, config: Mapping[str, Any]) -> None:
    """Checks an adapter's configuration.

    Raises:
        SubjectError: its kind, its initialisation or a setting is not read; the message names it.
    """
    kind = str(config.get("peft_type", "LORA")).upper()
    if kind not in _READ:
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


def scaling(config: Mapping[str, Any], module: str, rank: int) -> float:
    """s = α/r, or α/√r with rsLoRA, for the module of this name (without the `base_model.model.` prefix)."""
    alpha = configured_alpha(config, module)
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def configured_alpha(config: Mapping[str, Any], module: str) -> float:
    """α of the module, after alpha patterns."""
    return float(_by_pattern(config.get("alpha_pattern") or {}, module, config.get("lora_alpha", 8)))


def configured_rank(config: Mapping[str, Any], module: str) -> int:
    """r of the module, after rank patterns."""
    return int(_by_pattern(config.get("rank_pattern") or {}, module, config.get("r", 8)))


def _by_pattern(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    """The value of the first pattern that matches a suffix of the module's name, as PEFT matches them."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
