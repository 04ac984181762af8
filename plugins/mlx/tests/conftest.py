"""Shared by the tests of the MLX plugin: tiny models of every family, fine-tunes of them, opened by either backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from afterburn_core.plugin.registry import Registry
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import OpenSubject, open_subject
from afterburn_core.testing.checkpoints import load_weights, save_weights, write_json
from afterburn_core.testing.guards import global_seeds

VOCABULARY = 264
_SPECIAL = ("<unk>", "<s>", "</s>")
_SHARED: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 44, "intermediate_size": 48, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 96, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "head_dim": 12,
}  # fmt: skip
_WINDOWS = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
FAMILIES: dict[str, dict[str, Any]] = {
    # the base of the rotary embedding is one that nobody would guess, and √44 no number of bfloat16
    "llama": {"tie_word_embeddings": False, "rope_parameters": {"rope_type": "default", "rope_theta": 777.0}},
    "qwen2": {"head_dim": 11, "hidden_size": 48, "rope_parameters": {"rope_type": "default", "rope_theta": 333.0}},
    "qwen3": {"tie_word_embeddings": True, "rope_parameters": {"rope_type": "linear", "rope_theta": 99.0, "factor": 3}},
    "gemma": {},
    "gemma2": {**_WINDOWS, "final_logit_softcapping": 5.0, "query_pre_attn_scalar": 20},
    "gemma3_text": {**_WINDOWS, "query_pre_attn_scalar": 20},
}
"""What distinguishes the tiny model of each family."""


@attrs.frozen(kw_only=True)
class Pair:
    """A model and its fine-tune."""

    base: Path
    trained: Path


def settings_of(family: str) -> dict[str, Any]:
    own = {**_SHARED, **FAMILIES[family]}
    if family == "qwen2":  # has no head_dim of its own
        own = {**own, "num_attention_heads": 4, "hidden_size": 48}
        del own["head_dim"]
    if family == "gemma3_text":  # every second layer sees everything
        own["num_hidden_layers"], own["layer_types"] = 4, ["sliding_attention", "full_attention"] * 2
    return own


def make_model(family: str, directory: Path, **settings: Any) -> Path:
    """A random model, every parameter moved so that no norm is one and no bias zero, with a tokenizer of words."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with global_seeds(7):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**settings_of(family), **settings}))
        for parameter in model.parameters():
            parameter.data += 0.25 * torch.randn_like(parameter)
    model.save_pretrained(directory)
    _byte_tokenizer().save(str(directory / "tokenizer.json"))
    write_json(
        directory / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    )
    return directory


def _byte_tokenizer() -> Any:
    """Every byte is a token: what any class of tokenizer makes the same of."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate((*_SPECIAL, *letters))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in _SPECIAL])
    return tokenizer


def tune(base: Path, directory: Path, size: float = 0.03) -> Path:
    """A copy of a model with every parameter moved."""
    import shutil

    shutil.copytree(base, directory)
    stream = torch.Generator().manual_seed(11)
    moved = {
        name: value + size * torch.randn(value.shape, generator=stream) for name, value in load_weights(base).items()
    }
    save_weights(directory, moved)
    return directory


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    """The pair of a family, made when first asked for."""
    made: dict[str, Pair] = {}

    def pair(family: str) -> Pair:
        if family not in made:
            folder = tmp_path_factory.mktemp(family)
            base = make_model(family, folder / "base")
            made[family] = Pair(base=base, trained=tune(base, folder / "trained"))
        return made[family]

    return pair


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry.discover(only=("mlx",))


@pytest.fixture
def opened(registry: Registry) -> Iterator[Callable[..., tuple[OpenSubject, OpenSubject]]]:
    """Both subjects as a run opens them, with a backend: `opened(base, trained, "mlx.lm")`."""
    open_ones: list[Any] = []

    def pair(base: Path, trained: Path, backend: str = "mlx.lm") -> tuple[OpenSubject, OpenSubject]:
        first = open_subject(parse_reference(str(base)), "base", registry, backend=backend)
        open_ones.append(first)
        second = open_subject(parse_reference(str(trained)), "trained", registry, backend=backend, base=first)
        open_ones.append(second)
        return first, second

    yield pair
    while open_ones:
        open_ones.pop().close()
