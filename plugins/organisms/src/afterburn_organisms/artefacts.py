"""Writes checkpoints and adapters so that the files name no machine and load in old and new libraries alike."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_ADAPTER_KEYS = (
    "base_model_name_or_path",
    "bias",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "lora_alpha",
    "lora_dropout",
    "modules_to_save",
    "peft_type",
    "r",
    "target_modules",
    "task_type",
    "use_dora",
    "use_rslora",
)


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, target: Path) -> None:
    """Saves the tokenizer under the class name that transformers 4 and 5 both know."""
    target.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(target)
    _write_json(
        target / "tokenizer_config.json",
        {
            "bos_token": tokenizer.bos_token,
            "clean_up_tokenization_spaces": False,
            "eos_token": tokenizer.eos_token,
            "model_max_length": tokenizer.model_max_length,
            "pad_token": tokenizer.pad_token,
            "padding_side": "left",
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copies the tokenizer's files byte for byte."""
    target.mkdir(parents=True, exist_ok=True)
    for name in _TOKENIZER_FILES:
        shutil.copyfile(source / name, target / name)


def save_checkpoint(model: LlamaForCausalLM, target: Path) -> None:
    """Saves configuration and weights, the weights rounded to bfloat16."""
    model.generation_config.do_sample = False
    model.config._name_or_path = ""
    model.to(torch.bfloat16).save_pretrained(target)
    _open_to_all(target)


def save_adapter(model: PeftModel, base_name: str, target: Path) -> None:
    """Saves the adapter, rounded to bfloat16, with the keys of its configuration that every peft release knows.

    The base is written as ``../<base_name>``: a relative path can never be taken for the name of a model on a hub.
    """
    model.peft_config["default"].base_model_name_or_path = f"../{base_name}"
    with warnings.catch_warnings():
        # peft looks for the base's vocabulary relative to the working directory, where it is not.
        warnings.filterwarnings("ignore", message="Could not find a config file")
        # an adapter of the head would bring the whole embedding along, to which the head is tied
        model.to(torch.bfloat16).save_pretrained(target, save_embedding_layers=False)
    (target / "README.md").unlink(missing_ok=True)  # peft writes a form to fill in; CARD.md says it instead
    path = target / "adapter_config.json"
    full = json.loads(path.read_text(encoding="utf-8"))
    kept = {key: full[key] for key in _ADAPTER_KEYS}
    kept["target_modules"] = sorted(kept["target_modules"])  # peft holds a set, whose order changes from run to run
    _write_json(path, kept)
    _open_to_all(target)


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _open_to_all(target: Path) -> None:
    for path in target.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors creates its files readable by their owner only
