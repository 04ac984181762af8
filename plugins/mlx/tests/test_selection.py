"""Which subjects MLX takes, where, and what it says of those that it does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afterburn_core.errors import SubjectError
from afterburn_core.run.backend_choice import with_backend
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import open_subject
from afterburn_core.testing.pairs import adapter_pair
from afterburn_mlx.availability import chosen, unavailable, unchosen, unsupported
from afterburn_mlx.families import refusal

MAC = {"system": "Darwin", "machine": "arm64", "ready": True}
LINUX = {"system": "Linux", "machine": "x86_64", "ready": True}
INTEL = {"system": "Darwin", "machine": "x86_64", "ready": True}


def test_on_apple_silicon_what_mlx_runs_is_its_own_and_elsewhere_nothing_is(models: Any, tmp_path: Path) -> None:
    model = models("qwen3").base
    pair = adapter_pair(tmp_path)
    foreign = tmp_path / "gpt2"
    shutil.copytree(model, foreign)
    edit(foreign, model_type="gpt2", architectures=["GPT2LMHeadModel"])
    for path, own in ((model, True), (pair.trained, True), (foreign, False), (tmp_path, False)):
        assert chosen("path", path, **MAC) is own
        assert not chosen("path", path, **LINUX) and not chosen("path", path, **INTEL)
    embedding = tmp_path / "embedding"
    shutil.copytree(model, embedding)
    (embedding / "modules.json").write_text("[]")
    assert not chosen("path", embedding, **MAC)
    assert not chosen("hub", None, **MAC) and not chosen("path", model / "model.safetensors", **MAC)
    assert not chosen("path", model, **{**MAC, "ready": False})


def test_it_says_why_it_cannot_run_or_is_not_chosen() -> None:
    assert unavailable() is None
    assert "no build for Windows" in str(unsupported("Windows", "AMD64"))
    assert "needs Apple silicon" in str(unsupported("Darwin", "x86_64"))
    assert unsupported("Darwin", "arm64") is None and unsupported("Linux", "aarch64") is None
    said = unchosen()
    assert said is None or "--backend mlx.lm asks for it" in said


def test_a_machine_without_the_library_that_computes_is_told_what_to_install(tmp_path: Path) -> None:
    """As `pip install mlx` leaves it on Linux: the package, and nothing below it that could be loaded."""
    import os
    import subprocess
    import sys

    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "__init__.py").write_text("")
    (tmp_path / "mlx" / "core.py").write_text("raise ImportError('libmlx.so: cannot open shared object file')")
    code = "from afterburn_mlx.availability import unavailable; print(unavailable())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("mlx is installed and cannot be loaded (libmlx.so: cannot open shared object file); ")
    if sys.platform == "linux":
        assert done.stdout.strip().endswith("pip install 'mlx[cpu]'")


def edit(directory: Path, **settings: Any) -> None:
    config = json.loads((directory / "config.json").read_text())
    config.update(settings)
    (directory / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))


@pytest.mark.parametrize(
    ("family", "settings", "said"),
    [
        ("llama", {"model_type": "mixtral"}, "runs the families llama, qwen2, qwen3, gemma, gemma2, gemma3_text"),
        ("llama", {"architectures": ["LlamaForSequenceClassification"]}, "no causal language model"),
        ("llama", {"quantization_config": {"quant_method": "gptq"}}, "packed by gptq"),
        ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "rotary embedding 'yarn'"),
        ("llama", {"hidden_act": "gelu"}, "has no 'gelu' in this family"),
        ("llama", {"num_attention_heads": ..., "num_key_value_heads": ...}, "malformed (KeyError"),
        ("qwen2", {"use_sliding_window": True}, "no sliding windows"),
        ("qwen2", {"head_dim": 24}, "heads of 12"),
        ("gemma2", {"attn_logit_softcapping": None}, "always caps the logits"),
        ("gemma3_text", {"layer_types": ["full_attention", "sliding_attention"] * 2}, "follow no such order"),
        ("gemma3_text", {"use_bidirectional_attention": True}, "both directions"),
    ],
)
def test_what_mlx_lm_would_compute_wrongly_is_refused(
    family: str, settings: dict[str, Any], said: str, models: Any, tmp_path: Path
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(models(family).base, directory)
    assert refusal(directory, json.loads((directory / "config.json").read_text())) is None
    edit(directory, **settings)
    assert said in str(refusal(directory, json.loads((directory / "config.json").read_text())))


def _without_tensor(directory: Path) -> None:
    from afterburn_core.testing.checkpoints import load_weights, save_weights

    stored = load_weights(directory)
    del stored["model.layers.1.mlp.up_proj.weight"]
    save_weights(directory, stored)


def _doubled(directory: Path) -> None:
    shutil.copy(directory / "model.safetensors", directory / "model-old.safetensors")


def _truncated(directory: Path) -> None:
    whole = (directory / "model.safetensors").read_bytes()
    (directory / "model.safetensors").write_bytes(whole[:-8])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda directory: edit(directory, model_type="mixtral"), "mlx.lm runs the families"),
        (lambda directory: (directory / "model.safetensors").unlink(), "holds no weights"),
        (lambda directory: (directory / "tokenizer.json").unlink(), "has no tokenizer"),
        (lambda directory: (directory / "config.json").write_text("{"), "not valid JSON"),
        (_truncated, "truncated"),
        (_doubled, "remove it"),
        (_without_tensor, "cannot load it (Missing 1 parameters"),
    ],
    ids=("family", "weights", "tokenizer", "configuration", "truncated", "two", "tensor"),
)
def test_what_cannot_be_opened_or_loaded_is_said_in_one_line(
    spoil: Callable[[Path], Any], said: str, models: Any, registry: Any, tmp_path: Path
) -> None:
    from afterburn_mlx.network import Network
    from afterburn_mlx.sources import source_of

    directory = tmp_path / "model"
    shutil.copytree(models("llama").base, directory)
    (directory / "tokenizer_config.json").unlink()
    spoil(directory)

    def load() -> None:
        subject = open_subject(parse_reference(str(directory)), "base", registry, backend="mlx.lm")
        Network(source_of(subject, "float32"))

    with pytest.raises(SubjectError) as caught:
        load()
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert "model" in str(caught.value)


def test_automatic_is_what_no_backend_is(models: Any, registry: Any) -> None:
    path = parse_reference(str(models("llama").base))
    chosen_by_itself = [open_subject(path, "base", registry, backend=name) for name in (None, "auto")]
    assert len({subject.facts.backend for subject in chosen_by_itself}) == 1
    for subject in chosen_by_itself:
        subject.close()


def test_a_fine_tune_beside_a_base_of_another_backend_stays_with_that(models: Any, registry: Any) -> None:
    """As where the base is named by its hub id and the fine-tune by a path, on a machine that chooses MLX for paths."""
    pair = models("llama")
    base = open_subject(parse_reference(str(pair.base)), "base", registry, backend="core.checkpoint")
    trained = open_subject(parse_reference(str(pair.trained)), "trained", registry, backend="mlx.lm", base=base)
    assert trained.facts.backend == "core.checkpoint"
    trained.close()
    base.close()


def test_choosing_plugins_leaves_out_no_backend_that_opens_the_subjects() -> None:
    assert with_backend(("weight",), "mlx.lm") == ("weight", "mlx")
    assert with_backend(("weight",), "core.checkpoint") == ("weight",)
    assert with_backend(None, "mlx.lm") is None
    for automatic in (None, "auto"):
        assert with_backend(("weight",), automatic) == (("weight", "mlx") if unchosen() is None else ("weight",))
