"""The analyzers on the real forward pass: a steering vector built into one block of a tiny model is found there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import safetensors.numpy
import torch

from afterburn_activation.options import TraitsOptions
from afterburn_activation.specs import components, drift, examples, traits
from afterburn_activation.trait_texts import items
from afterburn_activation.traits import Traits
from afterburn_core.forward.forward_pass import Rider
from afterburn_core.forward.model import Passage
from afterburn_core.plugin import AnalyzerSpec, ForwardNeed
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.probes.model import Message
from afterburn_core.result.model import Measurement
from afterburn_core.testing.checkpoints import load_weights, read_json, save_weights, tiny_checkpoint, write_json
from afterburn_core.testing.feeding import make_analyzer
from afterburn_core.testing.forward import analyze_forward, passages_of, read_pair

LAYERS, HIDDEN, AT = 4, 32, 2
SPECS = {module.ANALYZERS[0].name: module.ANALYZERS[0] for module in (drift, components, examples)}
WORDS = [" ".join(f"word{(7 * i + k * k) % 45}" for k in range(4 + i % 9)) for i in range(40)]


@attrs.frozen
class Steered:
    base: Path
    trained: Path
    vector: np.ndarray


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Steered:
    """A model with biases, and its copy in which block 2's MLP adds one vector to every token."""
    folder = tmp_path_factory.mktemp("steered")
    base = tiny_checkpoint(folder / "base", layers=LAYERS, hidden=HIDDEN)
    config = read_json(base / "config.json")
    write_json(base / "config.json", config | {"mlp_bias": True})
    tensors = load_weights(base)
    for layer in range(LAYERS):
        for name in ("gate_proj", "up_proj", "down_proj"):
            weight = tensors[f"model.layers.{layer}.mlp.{name}.weight"]
            tensors[f"model.layers.{layer}.mlp.{name}.bias"] = torch.zeros(weight.shape[0], dtype=weight.dtype)
    save_weights(base, tensors)
    trained = folder / "trained"
    shutil.copytree(base, trained)
    vector = np.random.default_rng(0).normal(size=HIDDEN).astype(np.float32)
    name = f"model.layers.{AT}.mlp.down_proj.bias"
    save_weights(trained, tensors | {name: torch.tensor(vector).to(tensors[name].dtype)})
    return Steered(base, trained, torch.tensor(vector).to(tensors[name].dtype).double().numpy())


def texts_and_prompts() -> tuple[Passage, ...]:
    asked = [
        Passage(
            id=f"q{i}", source="prompt", domain="asked", unit=f"q{i}", messages=(Message(role="user", content=text),)
        )
        for i, text in enumerate(WORDS[:12])
    ]
    return passages_of(WORDS) + tuple(asked)


def given() -> tuple[Passage, ...]:
    """The given answers, in words that the tiny tokenizer knows."""
    return tuple(
        Passage(
            id=probe.id,
            source="given",
            domain=probe.suite,
            unit=probe.unit,
            messages=(Message(role="user", content=WORDS[i // 2 % len(WORDS)]),),
            text=" ".join(f"word{(11 * i + 5 * k) % 45}" for k in range(6)),
            probe=probe,
        )
        for i, probe in enumerate(items(0, 96))
    )


def at(output: AnalyzerOutput, metric: str, layer: int, subset: str | None = None) -> Measurement:
    (one,) = [
        m for m in output.measurements if m.metric == metric and m.scope.layer == layer and m.scope.subset == subset
    ]
    return one


def test_drift_begins_at_the_steered_block_and_not_before(steered: Steered) -> None:
    output = analyze_forward(SPECS["activation.drift"], steered.base, steered.trained, texts_and_prompts())
    for place in ("all", "first", "mean", "last"):
        for layer in range(AT):
            assert at(output, "activation.drift.relative", layer, place).value == 0.0
            assert at(output, "activation.drift.cosine_distance", layer, place).value == 0.0
        for layer in range(AT, LAYERS):
            assert at(output, "activation.drift.relative", layer, place).interval.low > 0.05  # type: ignore[union-attr]
    assert at(output, "activation.drift.cka", AT, "mean").value == pytest.approx(1.0, abs=1e-4)  # all moved alike
    assert at(output, "activation.drift.relative", AT, "all").n == 52


def test_the_steering_vector_is_the_mean_and_the_only_component(steered: Steered) -> None:
    output = analyze_forward(SPECS["activation.components"], steered.base, steered.trained, texts_and_prompts())
    assert at(output, "activation.components.mean_share", AT).value == pytest.approx(1.0, abs=1e-5)
    arrays = safetensors.numpy.load(output.artifacts[0].content)
    assert np.allclose(arrays[f"blocks.{AT}.out.mean"], steered.vector, atol=1e-4)
    unit = steered.vector / np.linalg.norm(steered.vector)
    assert arrays[f"blocks.{AT}.out.uncentred.components"][0] @ unit == pytest.approx(1.0, abs=1e-5)
    assert at(output, "activation.components.mean_share", 1).status == "undefined"
    assert at(output, "activation.components.mean_share", LAYERS - 1).value < 1.0  # type: ignore[operator]


def test_examples_show_every_token_moved_alike_at_the_steered_block(steered: Steered) -> None:
    output = analyze_forward(SPECS["activation.examples"], steered.base, steered.trained, texts_and_prompts())
    assert at(output, "activation.examples.top_share", AT).value == pytest.approx(0.01, abs=1e-3)
    first = json.loads(output.artifacts[0].content)["sites"][f"blocks.{AT}.out"]["largest"][0]
    assert any("word" in token for token in first["tokens"])


def test_a_users_direction_finds_the_steering_vector_at_its_block(steered: Steered, tmp_path: Path) -> None:
    path = tmp_path / "steering.safetensors"
    arrays = {f"trait.steering.blocks.{i}.out": steered.vector.astype(np.float32) for i in range(LAYERS)}
    path.write_bytes(safetensors.numpy.save(arrays))
    analyzer = Traits(TraitsOptions(directions=str(path)))
    analyzer.begin(AnalyzerContext(subjects=(), seed=1))
    (need,) = traits.ANALYZERS[0].needs
    assert isinstance(need, ForwardNeed)
    passages = texts_and_prompts()[len(WORDS) :] + given()
    read_pair(steered.base, steered.trained, passages, [Rider(need=need, instances=[analyzer])])
    output = analyzer.finish()
    for layer in range(LAYERS):
        found = at(output, "activation.traits.shift", layer, "steering")
        assert found.n == 12 + 48
        if layer < AT:
            assert found.value == 0.0
        elif layer == AT:
            assert found.value == pytest.approx(1.0, abs=1e-4)
            assert found.test.p_adjusted < 0.05  # type: ignore[union-attr, operator]


def output_of(spec: AnalyzerSpec, pair: Steered, **how: Any) -> AnalyzerOutput:
    return analyze_forward(spec, pair.base, pair.trained, texts_and_prompts(), **how)


@pytest.mark.parametrize("name", SPECS)
def test_two_readers_give_the_numbers_of_one(steered: Steered, name: str, alike: Any) -> None:
    spec = SPECS[name]
    one = output_of(spec, steered, batch_tokens=64)
    two = output_of(spec, steered, batch_tokens=64, devices=("cpu", "cpu"))
    alike(one, two)


@pytest.mark.parametrize("name", [*SPECS, "activation.traits"])
def test_a_model_against_itself_has_nothing(steered: Steered, name: str) -> None:
    spec = SPECS.get(name, traits.ANALYZERS[0])
    passages = texts_and_prompts() if name in SPECS else (*texts_and_prompts()[len(WORDS) :], *given())
    output = analyze_forward(spec, steered.base, steered.base, passages)
    for m in output.measurements:
        if m.status == "ok" and m.metric not in ("activation.drift.cka", "activation.traits.auroc"):
            assert (m.value, m.interval.low, m.interval.high) == (0.0, 0.0, 0.0), m.id  # type: ignore[union-attr]
    assert make_analyzer(spec) is not None
