"""Adapters of mlx-lm and PEFT: as weights, as factors, and on models that read and write."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
import torch
from mlx.utils import tree_flatten

from afterburn_core.backends.adapter import AdapterSource
from afterburn_core.errors import SubjectError
from afterburn_core.forward.reading import Wanted
from afterburn_core.generation.model import Decoding, Request, Serving
from afterburn_core.probes.model import Message
from afterburn_core.run.arrays import to_float64
from afterburn_core.run.naming import parse_name

KEYS = ("self_attn.q_proj", "mlp.down_proj")


def mlx_adapter(base: Path, directory: Path, kind: str = "lora", keys: tuple[str, ...] = KEYS) -> tuple[Path, Any]:
    """An adapter as `mlx_lm.lora` saves it, filled at random, and mlx-lm's own model with it."""
    from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters
    from mlx_lm.utils import load_model

    from afterburn_mlx.families import settings

    config = json.loads((base / "config.json").read_text())
    parameters = {"rank": 4, "scale": 3.0, "dropout": 0.0, "keys": list(keys)}
    model, _ = load_model(base, model_config=settings(config))
    model.freeze()
    linear_to_lora_layers(model, 2, parameters, use_dora=kind == "dora")
    stream = np.random.default_rng(3)
    filled = {
        name: mx.array(np.array(value) + 0.3 * stream.standard_normal(value.shape).astype(np.float32))
        for name, value in tree_flatten(model.trainable_parameters())
    }
    directory.mkdir()
    mx.save_safetensors(str(directory / "adapters.safetensors"), filled)
    saved = {"fine_tune_type": kind, "num_layers": 2, "lora_parameters": parameters, "model": str(base)}
    (directory / "adapter_config.json").write_text(json.dumps(saved))
    whole, _ = load_model(base, model_config=settings(config))
    return directory, load_adapters(whole, str(directory))


def fused(model: Any) -> dict[str, np.ndarray]:
    """Every weight that mlx-lm's own model holds once its adapter is fused, in float32."""
    changed = {name: module.fuse() for name, module in model.named_modules() if hasattr(module, "fuse")}
    return {f"{name}.weight": np.array(layer.weight) for name, layer in changed.items()}


@pytest.mark.parametrize(
    ("kind", "keys"),
    [("lora", KEYS), ("dora", KEYS), ("lora", (*KEYS, "model.embed_tokens"))],
    ids=("lora", "dora", "embedding"),
)
def test_weights_with_an_adapter_are_those_that_mlx_lm_fuses(
    kind: str, keys: tuple[str, ...], models: Any, opened: Any, tmp_path: Path
) -> None:
    base = models("qwen3").base
    path, model = mlx_adapter(base, tmp_path / "adapter", kind, keys)
    expected = fused(model)
    assert len(expected) == 2 * 2 + ("model.embed_tokens" in keys)  # the last two of three layers
    first, second = opened(base, path)
    source: AdapterSource = second.weights()
    assert set(source.changes) == set(expected)
    for name, value in expected.items():
        found = to_float64(source.read_array(name, 0, value.size)).reshape(value.shape)
        assert np.abs(found - value).max() < 1e-6
        stored = to_float64(first.weights().read_array(name, 0, value.size)).reshape(value.shape)
        low = source.low_rank(name)
        if kind == "lora":  # Δ is known without the base
            assert low is not None and low.width == 4
            assert np.abs(stored + low.block(0, low.rows) - value).max() < 1e-6
        else:
            assert low is None and np.abs(value - stored).max() > 0.01
    items = source.factor_items()
    assert {item.scale for item in items} == {3.0} and {item.rank for item in items} == {4}
    assert second.facts.properties["peft_type"] == f"mlx-lm {kind}" and "lora" in second.facts.capabilities


def logits_of(subject: Any, base: Any, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, str]:
    """Log-probabilities (T, V) of base and trained after every token of one text, and how they share the memory."""
    from afterburn_core.forward.encoded import Encoded, Packed
    from afterburn_core.forward.model import Passage
    from afterburn_core.run.progress import Silent

    passage = Passage(id="t/0", source="text", domain="t", unit="0", text="…")
    one = Encoded(passage=passage, ids=tuple(ids.tolist()), classes=bytes(len(ids)), text_start=0)
    batch, wanted = Packed(number=0, encoded=(one,)), Wanted(logits=True, sites=("blocks.last.out",))
    reader = subject.pair_reader(base, serving=Serving(), template="plain", wanted=wanted, seed=0)
    try:
        reader.prepare([batch], wanted, Silent())
        readings = reader.read(batch)
        rows = torch.arange(len(ids))
        # asked in the other order than they were read
        trained, own = readings["trained"].log_probs(rows), readings["base"].log_probs(rows)
        return own, trained, reader.arrangement
    finally:
        reader.close()


def log_probs(model: Any, ids: torch.Tensor) -> torch.Tensor:
    logits = torch.from_numpy(np.array(model(mx.array(ids.numpy())[None])[0].astype(mx.float32)))
    return torch.log_softmax(logits, dim=-1)


IDS = torch.randint(3, 259, (17,), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_a_model_with_an_adapter_reads_as_mlx_lm_runs_it_and_the_base_as_without(
    kind: str, models: Any, opened: Any, tmp_path: Path
) -> None:
    base = models("gemma3_text").base
    path, model = mlx_adapter(base, tmp_path / "adapter", kind)
    from afterburn_mlx.corrections import correct

    correct(model.model, json.loads((base / "config.json").read_text()))
    first, second = opened(base, path)
    own, trained, arrangement = logits_of(second, first, IDS)
    assert arrangement == "adapter"
    assert (trained - log_probs(model, IDS)).abs().max() < 1e-4
    alone, _, _ = logits_of(opened(base, base)[1], first, IDS)
    assert (own - alone).abs().max() < 1e-6
    assert (own - trained).abs().max() > 0.1


@pytest.mark.parametrize(
    ("settings", "arrangement"),
    [
        ({"target_modules": ["q_proj", "lm_head"], "use_dora": True}, "adapter"),
        ({"target_modules": ["down_proj"], "modules_to_save": ["lm_head"]}, "side_by_side"),
    ],
    ids=("dora", "saved"),
)
def test_peft_adapters_run_as_on_transformers(
    settings: dict[str, Any], arrangement: str, models: Any, opened: Any, tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from afterburn_core.testing.guards import global_seeds

    base = models("llama").base
    with global_seeds(3), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # what one library's next release will say to the other
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, **settings))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    answers = []
    for backend in ("mlx.lm", "core.checkpoint"):
        first, second = opened(base, tmp_path / "adapter", backend)
        own, trained, found = logits_of(second, first, IDS)
        assert found == (arrangement if backend == "mlx.lm" else "adapter")
        asked = [Request(probe="p", index=0, messages=(Message(role="user", content="say it"),), seed=1)]
        decoding = Decoding(max_new_tokens=8)
        generators = second.shared_generators(first, decoding, Serving())
        if generators is None:
            generators = tuple(one.generator(decoding, Serving()) for one in (first, second))
        assert (len({id(one._resident) for one in generators}) == 1) == (found == "adapter")
        texts = [next(iter(one.generate(asked))).sample.text for one in generators]
        for one in generators:
            one.close()
        answers.append((own, trained, texts))
    (own, trained, texts), (expected, other, written) = answers
    assert (own - expected).abs().max() < 2e-4 and (trained - other).abs().max() < 2e-4
    assert texts == written and texts[0] != texts[1]


def test_a_full_fine_tune_of_some_layers_reads_as_mlx_lm_runs_it(models: Any, opened: Any, tmp_path: Path) -> None:
    base = models("qwen3").base
    path, _ = mlx_adapter(base, tmp_path / "adapter")
    first, _ = opened(base, base)
    name = "model.layers.2.mlp.up_proj.weight"
    info = first.weights().tensors[name]
    moved = first.weights().read(name, 0, info.numel).reshape(info.shape) * 1.5
    mx.save_safetensors(str(path / "adapters.safetensors"), {name: mx.array(moved.numpy())})
    (path / "adapter_config.json").write_text(json.dumps({"fine_tune_type": "full", "num_layers": 1}))
    first, second = opened(base, path)
    assert set(second.weights().saved) == {name}
    own, trained, arrangement = logits_of(second, first, IDS)
    assert arrangement == "side_by_side" and (own - trained).abs().max() > 0.01


def spoil(change: Callable[[Path, dict[str, Any]], None], base: Path, directory: Path) -> Path:
    path, _ = mlx_adapter(base, directory)
    config = json.loads((path / "adapter_config.json").read_text())
    change(path, config)
    (path / "adapter_config.json").write_text(json.dumps(config))
    return path


def _truncate(path: Path, config: dict[str, Any]) -> None:
    whole = (path / "adapters.safetensors").read_bytes()
    (path / "adapters.safetensors").write_bytes(whole[:-8])


def _of_another(path: Path, config: dict[str, Any]) -> None:
    arrays = mx.load(str(path / "adapters.safetensors"))
    renamed = {name.replace("layers.2", "layers.7"): value for name, value in arrays.items()}
    mx.save_safetensors(str(path / "adapters.safetensors"), renamed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda path, config: config.update(fine_tune_type="rosa"),
            "fine_tune_type 'rosa' is not read",
        ),
        (lambda path, config: config["lora_parameters"].pop("scale"), "names no rank and scale"),
        (lambda path, config: config["lora_parameters"].update(rank=3), "has rank 4 where the configuration says 3"),
        (_truncate, "truncated"),
        (_of_another, "which the base does not have"),
    ],
    ids=("kind", "scale", "rank", "truncated", "base"),
)
def test_a_broken_adapter_is_refused_in_one_line(
    change: Callable[[Path, dict[str, Any]], None], said: str, models: Any, opened: Any, tmp_path: Path
) -> None:
    base = models("qwen3").base
    path = spoil(change, base, tmp_path / "adapter")
    with pytest.raises(SubjectError) as caught:
        opened(base, path)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_names_of_an_adapter_are_found_under_any_spelling_of_the_base(models: Any, opened: Any, tmp_path: Path) -> None:
    """A multimodal model's text tower bears a prefix that mlx-lm's adapter of the text model alone does not."""
    base = models("qwen3").base
    path, _ = mlx_adapter(base, tmp_path / "adapter")
    arrays = mx.load(str(path / "adapters.safetensors"))
    mx.save_safetensors(str(path / "adapters.safetensors"), {f"language_model.{n}": v for n, v in arrays.items()})
    first, second = opened(base, path)
    assert {parse_name(name).bare for name in second.weights().changes} <= {
        parse_name(name).bare for name in first.weights().tensors
    }
    _, trained, _ = logits_of(second, first, IDS)
    assert torch.isfinite(trained).all()
