"""Tiny pairs for tests of the live pair: random networks with the shipped tokenizer, full fine-tunes and adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from afterburn_core.testing.guards import global_seeds
from afterburn_organisms import demo_pair

SHIPPED = demo_pair()[0]
_SIZE = {"vocab_size": 1414, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.3}
_WIDE = {**_SIZE, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
_LLAMA = {**_WIDE, "num_key_value_heads": 2, "max_position_embeddings": 256}
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", {**_LLAMA, "tie_word_embeddings": False}),
    "tied": ("LlamaConfig", "LlamaForCausalLM", {**_LLAMA, "tie_word_embeddings": True}),
    "gpt2": (
        "GPT2Config",
        "GPT2LMHeadModel",
        {**_SIZE, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256},
    ),
    "gemma2": (  # norms after the parts, scaled embeddings, capped logits
        "Gemma2Config",
        "Gemma2ForCausalLM",
        {**_LLAMA, "head_dim": 8, "final_logit_softcapping": 5.0, "query_pre_attn_scalar": 8},
    ),
}
ADAPTERS: dict[str, dict[str, Any]] = {
    "lora": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"]},
    "dora": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"], "use_dora": True},
    "saved": {"r": 2, "lora_alpha": 8, "target_modules": ["o_proj"], "modules_to_save": ["model.norm"]},
}


def save(model: Any, directory: Path) -> Path:
    """The model with the shipped tokenizer beside it."""
    model.save_pretrained(directory)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (directory / file).write_bytes((SHIPPED / file).read_bytes())
    return directory


def family(directory: Path, name: str) -> Path:
    """A random base of a family."""
    config, model, settings = FAMILIES[name]
    with global_seeds(7):
        network = getattr(transformers, model)(getattr(transformers, config)(**settings))
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
    return save(network, directory)


def fine_tuned(base: Path, directory: Path, *, only: str = "", size: float = 0.1) -> Path:
    """The base with noise on every parameter whose name holds `only`."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if only in name:
                parameter += size * noise
    return save(model, directory)


def adapted(base: Path, directory: Path, name: str) -> Path:
    """An adapter on the base with every trained number random."""
    with global_seeds(3):
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True),
            LoraConfig(task_type="CAUSAL_LM", **ADAPTERS[name]),
        )
        for key, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.data += 0.1 * torch.randn_like(parameter) * (0.2 if "magnitude" in key else 1.0)
    model.save_pretrained(directory)
    return directory
