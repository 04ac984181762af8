"""Tiny random models of many families for tests of the forward pass, and pairs of them with the shipped tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from afterburn_core.backends.transformers_reader import TransformersReader, open_reader
from afterburn_core.forward.encoded import Encoded, Packed
from afterburn_core.forward.model import Passage
from afterburn_core.forward.packing import pack
from afterburn_core.forward.reading import Wanted
from afterburn_core.generation.model import Serving, Template
from afterburn_core.plugin.registry import Registry
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import OpenSubject, open_subject
from afterburn_core.testing.guards import global_seeds
from afterburn_organisms import demo_pair

SHIPPED = demo_pair()[0]
VOCABULARY = 1414
_COMMON: dict[str, Any] = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_WIDE = {
    **_COMMON, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "max_position_embeddings": 96,
}  # fmt: skip
_DECODER = {**_WIDE, "num_key_value_heads": 2, "tie_word_embeddings": False}
_GPT = {**_COMMON, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 96}
_EXPERTS = {**_DECODER, "num_experts_per_tok": 2}
_WINDOW = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}

CAUSAL: dict[str, dict[str, Any]] = {
    "llama": _DECODER,
    "mistral": {**_DECODER, "sliding_window": 6},
    "qwen2": _DECODER,
    "qwen3": {**_DECODER, "head_dim": 8},
    "gemma": {**_DECODER, "head_dim": 8},
    "gemma2": {**_DECODER, "head_dim": 8, **_WINDOW, "final_logit_softcapping": 5.0},
    "gemma3_text": {**_DECODER, "head_dim": 8, **_WINDOW},
    "olmo2": _DECODER,
    "glm4": {**_DECODER, "head_dim": 8},
    "granite": {**_DECODER, "residual_multiplier": 0.5, "embedding_multiplier": 3.0, "logits_scaling": 4.0},
    "cohere": {**_DECODER, "logit_scale": 0.25},
    "phi": _WIDE,
    "gpt_neox": _WIDE,
    "gpt2": _GPT,
    "gptj": {**_GPT, "rotary_dim": 4},
    "opt": {**_WIDE, "ffn_dim": 48, "word_embed_proj_dim": 16},
    "bloom": {**_COMMON, "hidden_size": 32, "n_layer": 3, "n_head": 4},
    "mpt": {**_COMMON, "d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 96},
    "falcon": {**_COMMON, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "alibi": True},
    "mixtral": {**_EXPERTS, "num_local_experts": 4},
    "qwen2_moe": {**_EXPERTS, "num_experts": 4, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16},
    "gpt_oss": {**_DECODER, "head_dim": 8, "num_local_experts": 4},
}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": _WIDE,
    "roberta": _WIDE,
    "distilbert": {**_COMMON, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 96},
    "modernbert": {**_WIDE, "cls_token_id": 1, "sep_token_id": 2, "local_attention": 6},
    "mpnet": _WIDE,
}
POST_NORM = ("bert", "roberta", "distilbert", "mpnet")


def network(kind: str, *, seed: int = 7, **settings: Any) -> Any:
    """A random model in evaluation mode: every parameter moved, so that no norm is one and no bias zero."""
    causal = kind in CAUSAL
    chosen = {**(CAUSAL if causal else ENCODERS)[kind], **settings}
    with global_seeds(seed):
        config = AutoConfig.for_model(kind, **chosen)
        model = (AutoModelForCausalLM if causal else AutoModel).from_config(config)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def saved(model: Any, directory: Path) -> Path:
    """The model with the shipped tokenizer beside it."""
    model.save_pretrained(directory)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (directory / file).write_bytes((SHIPPED / file).read_bytes())
    return directory


def tuned(model: Any, *, size: float = 0.03, seed: int = 11) -> Any:
    """The same model with every parameter moved, in place."""
    with global_seeds(seed):
        for parameter in model.parameters():
            parameter.data += size * torch.randn_like(parameter)
    return model


def adapter(base: Path, directory: Path, *, grow: int = 0, seed: int = 3, **settings: Any) -> Path:
    """A random adapter on a base; `grow` adds rows to the embedding before."""
    chosen = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"], **settings}
    with global_seeds(seed):
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
        if grow:
            model.resize_token_embeddings(VOCABULARY + grow, mean_resizing=False)
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **chosen))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(directory, save_embedding_layers=False)
    return directory


_OPEN: list[Any] = []


def opened(base: Path, trained: Path) -> tuple[OpenSubject, OpenSubject]:
    """Both subjects as a run opens them; `close_all` closes them."""
    registry = Registry.discover(only=())
    first = open_subject(parse_reference(str(base)), "base", registry)
    second = open_subject(parse_reference(str(trained)), "trained", registry, base=first)
    _OPEN.extend((first, second))
    return first, second


def opened_reader(
    base: Path, trained: Path, wanted: Wanted, *, template: Template = "plain", seed: int = 4, **forced: Any
) -> TransformersReader:
    """A reader of a pair of folders; `close_all` closes it."""
    first, second = opened(base, trained)
    serving = forced.pop("serving", Serving())
    reader = open_reader(first, second, serving=serving, template=template, wanted=wanted, seed=seed, **forced)
    _OPEN.append(reader)
    return reader


def close_all() -> None:
    """Closes all that was opened, the last first."""
    while _OPEN:
        _OPEN.pop().close()


def texts(lengths: tuple[int, ...] = (23, 17, 17, 9, 5, 2), *, seed: int = 5, leading: int = 1) -> list[Encoded]:
    """Random token ids of these lengths, each behind a beginning mark."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number, length in enumerate(lengths):
        ids = (*([1] * leading), *torch.randint(3, VOCABULARY, (length,), generator=generator).tolist())
        passage = Passage(id=f"t/{number}", source="text", domain="t", unit=str(number), text="…")
        found.append(Encoded(passage=passage, ids=ids, classes=bytes(len(ids)), text_start=leading, leading=leading))
    return found


def batches(*, budget: int = 64, **settings: Any) -> tuple[Packed, ...]:
    """Those texts, packed."""
    return pack(texts(**settings), budget=budget)
