"""Directories as mlx-lm writes them, plain and quantised: their weights, and what models made of them read."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import attrs
import mlx.core as mx
import numpy as np
import pytest
import torch
from mlx import nn

from afterburn_core.run.arrays import to_float64
from afterburn_core.testing.checkpoints import load_weights, save_weights

hand = runpy.run_path(str(Path(__file__).with_name("conftest.py")))
reading = runpy.run_path(str(Path(__file__).with_name("test_reading.py")))


def as_mlx(source: Path, directory: Path, *, dtype: Any = mx.float32, bits: int | None = None) -> Path:
    """The model of a Hugging Face directory as `mlx_lm.convert` writes it."""
    from mlx_lm.utils import load_model, save_config, save_model

    from afterburn_mlx.families import settings

    model, _ = load_model(source, model_config=settings(json.loads((source / "config.json").read_text())))
    model.set_dtype(dtype)
    stored = json.loads((source / "config.json").read_text())
    if bits is not None:
        nn.quantize(model, group_size=32, bits=bits)
        stored["quantization"] = stored["quantization_config"] = {"group_size": 32, "bits": bits, "mode": "affine"}
    directory.mkdir()
    save_model(directory, model)
    save_config(stored, directory / "config.json")
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(source / name, directory / name)
    return directory


def values(subject: Any, name: str) -> np.ndarray:
    info = subject.weights().tensors[name]
    return to_float64(subject.weights().read_array(name, 0, info.numel)).reshape(info.shape)


@pytest.mark.parametrize("family", ["qwen2", "gemma"])
def test_an_mlx_fine_tune_is_compared_with_its_hugging_face_base(
    family: str, models: Any, opened: Any, tmp_path: Path
) -> None:
    pair = models(family)
    converted = as_mlx(pair.trained, tmp_path / "trained")
    _, other = opened(pair.base, pair.trained, "core.checkpoint")
    base, own = opened(pair.base, converted)
    assert own.weights().tensors.keys() == base.weights().tensors.keys() == other.weights().tensors.keys()
    for name in own.weights().tensors:
        assert np.array_equal(values(own, name), values(other, name)), name
    found, _ = reading["read"](opened(pair.base, converted))
    expected, _ = reading["read"](opened(pair.base, pair.trained, "core.checkpoint"))
    assert reading["difference"](found, expected) < 2e-4


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose rows are whole groups of a quantiser."""
    directory = tmp_path_factory.mktemp("wide") / "base"
    made: Path = hand["make_model"]("llama", directory, hidden_size=64, intermediate_size=96, head_dim=16)
    return made


@pytest.mark.parametrize("bits", [4, 8])
def test_a_quantised_model_is_compared_dequantised_and_read_as_it_runs(
    bits: int, wide: Path, opened: Any, tmp_path: Path
) -> None:
    packed = as_mlx(wide, tmp_path / "packed", bits=bits)
    base, own = opened(wide, packed)
    stored = mx.load(str(packed / "model.safetensors"))
    plain = load_weights(wide)
    assert own.weights().tensors.keys() == plain.keys()
    unpacked: dict[str, torch.Tensor] = {}
    for name, value in plain.items():
        stem = name.removesuffix("weight")
        if f"{stem}scales" in stored:
            parts = [stored[f"{stem}{part}"] for part in ("weight", "scales", "biases")]
            expected = np.array(mx.dequantize(*parts, group_size=32, bits=bits))
            step = own.weights().step_sq(name, 0, value.numel())
            scales = np.array(stored[f"{stem}scales"], dtype=np.float64)
            assert step == pytest.approx(32 * float((scales**2).sum()))
            # what the comparison takes for the quantiser's error is the error that it made
            error = float(((expected - value.numpy()).astype(np.float64) ** 2).sum())
            assert error == pytest.approx(step / 12, rel=0.2)
        else:
            expected = value.numpy()
        assert np.abs(values(own, name) - expected).max() < 1e-6
        unpacked[name] = torch.from_numpy(expected.copy())
    (described,) = own.facts.properties["quantisation"]
    assert (described["method"], described["bits"], described["group_size"]) == ("mlx", bits, 32)
    assert own.facts.parameters == base.facts.parameters
    twin = tmp_path / "twin"
    shutil.copytree(wide, twin)
    save_weights(twin, unpacked)
    found, _ = reading["read"](opened(wide, packed))
    expected_reading, _ = reading["read"](opened(wide, twin, "core.checkpoint"))
    assert reading["difference"](found, expected_reading) < 5e-4


def test_a_model_in_bfloat16_is_read_in_float32_on_a_cpu_and_in_bfloat16_when_asked(
    models: Any, opened: Any, tmp_path: Path
) -> None:
    from afterburn_core.generation.model import Serving
    from afterburn_mlx.network import Network
    from afterburn_mlx.sources import dtype_of, memory_of, source_of

    converted = as_mlx(models("gemma2").base, tmp_path / "half", dtype=mx.bfloat16)
    own, _ = opened(converted, converted)
    assert own.facts.dtypes.keys() == {"BF16"}
    chosen = dtype_of(own, Serving())
    assert chosen == ("float32" if mx.default_device() == mx.cpu else "bfloat16")
    whole = Network(source_of(own, "float32"))
    half = Network(source_of(own, "bfloat16"))
    assert memory_of(own, "float32") == 2 * memory_of(own, "bfloat16")
    ids = mx.array([[5, 6, 7, 8, 9, 10, 11, 12, 13]])
    exact, rounded = (one.head.logits(one.body(ids)) for one in (whole, half))
    assert exact.dtype == mx.float32 and rounded.dtype == mx.bfloat16
    difference = mx.abs(exact - rounded.astype(mx.float32)).max().item()
    assert 1e-4 < difference < 0.5


def test_in_turn_and_side_by_side_the_numbers_are_the_same(models: Any, opened: Any) -> None:
    pair = models("gemma2")  # with a head of its own kind: logits are capped
    beside, told = reading["read"](opened(pair.base, pair.trained))
    turned, other = reading["read"](opened(pair.base, pair.trained), arrangement="in_turn")
    assert (told["arrangement"], other["arrangement"]) == ("side_by_side", "in_turn")
    assert reading["difference"](turned, beside) == 0


def test_nulls_are_not_read_and_the_reader_says_so(models: Any, opened: Any) -> None:
    wanted = attrs.evolve(reading["LOGITS"], controls=("scrambled",))
    first, second = opened(models("llama").base, models("llama").trained)
    from afterburn_core.generation.model import Serving

    reader = second.pair_reader(first, serving=Serving(), template="plain", wanted=wanted, seed=0)
    assert reader.subjects == ("base", "trained") and "scrambled were not read" in reader.notes[-1]
    assert "makes no changes at random" in (second.null_refusal(first, "matched") or "")
    assert second.facts.absent["steer"].startswith("mlx.lm blends and steers no models")
