"""Shared by the tests of the weight plugin."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import settings

from afterburn_core.api import Diagnoser, DiagnosticReport
from afterburn_core.testing.checkpoints import load_weights, save_weights, word_tokenizer, write_json

# A deadline measures the machine, not the code: other processes share it.
settings.register_profile("weight", deadline=None, print_blob=True)
settings.load_profile("weight")


@attrs.frozen(kw_only=True)
class TinyModel:
    """A model that transformers built and wrote, and the report on it against an edited copy."""

    directory: Path
    tensors: Mapping[str, Any]
    """The base's stored tensors as float64 arrays."""

    def copy(self, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
        """A copy of the directory whose tensors `change` edits in place, as float32 torch tensors."""
        target = self.directory.parent / name
        shutil.copytree(self.directory, target)
        tensors = {key: value.float() for key, value in load_weights(target).items()}
        change(tensors)
        save_weights(target, {key: value.contiguous() for key, value in tensors.items()})
        return target

    def compare(self, trained: Path, **settings: Any) -> DiagnosticReport:
        """The whole run, from files to findings, with every analyzer of the plugin."""
        config = self.directory.parent / "full.yaml"
        config.write_text("preset: full\n")
        arguments = {"method": "sft", "run_dir": trained.parent / f"run-{trained.name}", "use_cache": False, **settings}
        return Diagnoser(
            base_model=self.directory, trained_model=trained, config_path=config, **arguments
        ).run_weight_diff()


_TINY = {
    "vocab_size": 64, "hidden_size": 32, "num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 48,
    "num_hidden_layers": 3, "max_position_embeddings": 32, "tie_word_embeddings": False,
}  # fmt: skip
FAMILIES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", {}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", {}),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {"head_dim": 8}),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", {"head_dim": 8, "tie_word_embeddings": True}),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", {"head_dim": 8, "tie_word_embeddings": True}),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", {"head_dim": 8, "tie_word_embeddings": True}),
    "mistral": ("MistralForCausalLM", "MistralConfig", {"head_dim": 8}),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", {"pad_token_id": 0}),
    "gpt2": (
        "GPT2LMHeadModel",
        "GPT2Config",
        {"vocab_size": 64, "n_embd": 32, "n_layer": 3, "n_head": 8, "n_positions": 32},
    ),
}


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes the tiny model of a family once: random weights, gains that differ from channel to channel."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family) / "base"
            _write(made[family], *FAMILIES[family])
        return made[family]

    return make


@pytest.fixture
def tiny(written: Callable[[str], Path], tmp_path: Path) -> Callable[[str], TinyModel]:
    """A tiny model of a family in a directory of the test's own."""

    def make(family: str) -> TinyModel:
        directory = tmp_path / "base"
        shutil.copytree(written(family), directory)
        arrays = {name: value.double().numpy() for name, value in load_weights(directory).items()}
        return TinyModel(directory=directory, tensors=arrays)

    return make


def _write(directory: Path, model_class: str, config_class: str, settings: Mapping[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own, about its own
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        shape = settings if config_class == "GPT2Config" else {**_TINY, **settings}
        with torch.random.fork_rng():
            model = getattr(transformers, model_class)(getattr(transformers, config_class)(**shape))
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for name, value in model.state_dict().items():
                centre = 1.0 if "norm" in name or ".ln_" in name else 0.0
                value.copy_(centre + torch.randn(value.shape, generator=generator) * 0.1)
        model.save_pretrained(directory)
    words = word_tokenizer(60)  # four rows of padding
    write_json(directory / "tokenizer.json", words)
