"""Norms and biases: effective gains of every family, from files to findings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from afterburn_core.api import DiagnosticReport
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Finding, Scope
from afterburn_core.testing.feeding import SUBJECTS
from afterburn_weight.gains import zero_centred
from afterburn_weight.options import PlaceOptions
from afterburn_weight.places import Places

ZERO_CENTRED = {"gemma", "gemma2", "gemma3"}
FAMILIES = ["llama", "qwen2", "qwen3", "mistral", "phi3", "gpt2", *sorted(ZERO_CENTRED)]
NORMS = {"gemma2": 4, "gemma3": 6, "qwen3": 4}
"""Norms a block has, where it is not two."""


def by_tensor(report: DiagnosticReport, metric: str) -> Mapping[str | None, float | None]:
    return {m.scope.tensor: m.value for m in report.measurements(metric) if m.scope.tensor}


def model_value(report: DiagnosticReport, metric: str) -> float | None:
    return next(m.value for m in report.measurements(metric) if m.scope == Scope())


@pytest.mark.parametrize("family", FAMILIES)
def test_effective_gains_times_eleven_tenths_have_a_drift_of_a_tenth(family: str, tiny: Callable[[str], Any]) -> None:
    """Every norm of every block, and the final one: stored as w, or as g − 1."""
    model = tiny(family)
    offset = 1.0 if family in ZERO_CENTRED else 0.0

    def change(tensors: dict[str, Any]) -> None:
        for name, weight in tensors.items():
            if ("norm" in name or ".ln_" in name) and name.endswith("weight"):
                tensors[name] = ((weight.double() + offset) * 1.1 - offset).float()

    report = model.compare(model.copy("trained", change))
    found = by_tensor(report, "weight.norms.relative")
    assert len(found) == 3 * NORMS.get(family, 2) + 1
    assert list(found.values()) == pytest.approx([0.1] * len(found), rel=1e-5)
    assert model_value(report, "weight.norms.relative") == pytest.approx(0.1, rel=1e-5)
    assert model_value(report, "weight.norms.flipped") == 0.0
    (finding,) = [f for f in report.findings if f.rule == "weight.norm_drift"]
    assert finding.kind == (
        "review" if (model_value(report, "weight.norms.relative_max") or 0) >= 0.1 else "informational"
    )
    assert "10 %" in finding.message


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_one_planted_channel_is_found_in_its_norm_and_nowhere_else(family: str, tiny: Callable[[str], Any]) -> None:
    model, name = tiny(family), "model.layers.1.post_attention_layernorm.weight"

    def change(tensors: dict[str, Any]) -> None:
        tensors[name][7] -= 3.0

    report = model.compare(model.copy("trained", change))
    gains = model.tensors[name] + (1.0 if family == "gemma3" else 0.0)
    assert {key for key, value in by_tensor(report, "weight.norms.relative").items() if value} == {name}
    rms = np.sqrt(np.mean(np.square(gains)))
    assert by_tensor(report, "weight.norms.channel")[name] == pytest.approx(3 / rms, rel=1e-6)
    assert by_tensor(report, "weight.norms.flipped")[name] == 1.0
    assert by_tensor(report, "weight.norms.relative")[name] == pytest.approx(3 / np.linalg.norm(gains), rel=1e-6)
    (finding,) = [f for f in report.findings if f.rule == "weight.norm_drift"]
    assert finding.kind == "review" and name in finding.message and "1 channel changed sign" in finding.message


@pytest.mark.parametrize(("family", "name"), [
    ("qwen2", "model.layers.2.self_attn.k_proj.bias"), ("gpt2", "transformer.h.2.ln_1.bias"),
])  # fmt: skip
def test_biases_are_measured_apart_from_gains(family: str, name: str, tiny: Callable[[str], Any]) -> None:
    model = tiny(family)

    def change(tensors: dict[str, Any]) -> None:
        tensors[name] *= 1.5

    report = model.compare(model.copy("trained", change))
    found = by_tensor(report, "weight.biases.relative")
    assert {key for key, value in found.items() if value} == {name}
    assert found[name] == pytest.approx(0.5, rel=1e-6)
    assert by_tensor(report, "weight.biases.channel")[name] == pytest.approx(
        np.abs(model.tensors[name]).max() / 2, rel=1e-6
    )
    assert set(by_tensor(report, "weight.norms.relative").values()) == {0.0}


def test_roll_ups_take_the_formula_over_summed_squares(tiny: Callable[[str], Any]) -> None:
    model = tiny("gemma2")

    def change(tensors: dict[str, Any]) -> None:
        tensors["model.layers.1.input_layernorm.weight"] += 0.25
        tensors["model.norm.weight"] -= 0.5

    trained = model.copy("trained", change)
    report = model.compare(trained)
    norms = {name: value + 1 for name, value in model.tensors.items() if "norm" in name}
    layer = np.concatenate([gain for name, gain in norms.items() if "layers.1." in name])
    found = {m.scope.layer: m.value for m in report.measurements("weight.norms.relative") if not m.scope.tensor}
    assert found[1] == pytest.approx(0.25 * np.sqrt(32) / np.linalg.norm(layer), rel=1e-6)
    whole = np.concatenate(list(norms.values()))
    assert found[None] == pytest.approx(np.sqrt(32 * (0.0625 + 0.25)) / np.linalg.norm(whole), rel=1e-6)


def test_without_a_configuration_gains_are_taken_as_stored_and_say_so(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")

    def change(tensors: dict[str, Any]) -> None:
        tensors["model.norm.weight"] *= 2

    trained = model.copy("trained", change)
    for side in (model.directory, trained):
        (side / "config.json").unlink()
    report = model.compare(trained)
    (found,) = [m for m in report.measurements("weight.norms.relative") if m.scope.tensor == "model.norm.weight"]
    assert found.value == pytest.approx(1.0) and found.reason == "without a configuration, gains are taken as stored"


def test_another_convention_on_one_side_is_seen_in_the_effective_gain(tiny: Callable[[str], Any]) -> None:
    """The same stored numbers mean other gains when the model type of one side changes its norms."""
    model = tiny("llama")
    trained = model.copy("trained", lambda tensors: None)
    config = json.loads((trained / "config.json").read_text())
    (trained / "config.json").write_text(json.dumps({**config, "model_type": "gemma"}))
    report = model.compare(trained)
    gains = model.tensors["model.norm.weight"]
    expected = np.sqrt(32) / np.linalg.norm(gains)
    assert by_tensor(report, "weight.norms.relative")["model.norm.weight"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("config", "scope", "expected"),
    [
        ({"model_type": "llama"}, Scope(tensor="model.norm.weight"), False),
        ({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}}, Scope(tensor="norm.weight"), True),
        ({"model_type": "gemma3"}, Scope(tensor="vision_tower.post_layernorm.weight", subset="vision"), False),
        ({"model_type": "gemma3n", "text_config": {"model_type": "gemma3n_text"}}, Scope(tensor="norm.weight"), False),
        ({"model_type": "qwen3_next"}, Scope(tensor="model.layers.0.linear_attn.norm.weight"), False),
        ({"model_type": "qwen3_next"}, Scope(tensor="model.layers.3.self_attn.q_norm.weight"), True),
        ({"model_type": "t5gemma", "decoder": {"model_type": "t5_gemma_module"}}, Scope(subset="decoder"), True),
        ({"model_type": "nemotron"}, Scope(tensor="model.norm.weight"), True),
        ({}, Scope(tensor="model.norm.weight"), False),
    ],
)  # fmt: skip
def test_the_norm_convention_follows_the_model_type(config: dict[str, Any], scope: Scope, expected: bool) -> None:
    assert zero_centred(config, scope) is expected


def drift(*measurements: Any, options: PlaceOptions | None = None) -> Finding:
    evidence = Evidence(subjects=SUBJECTS, measurements=measurements)
    return next(f for f in Places(options)(evidence) if f.rule == "weight.norm_drift")


def test_the_rule_on_norms_takes_every_kind() -> None:
    still = [measure("weight.norms.relative_max", 0.0, n=3), measure("weight.norms.flipped", 0, n=9)]
    small = [measure("weight.norms.relative_max", 0.01, n=3), measure("weight.norms.flipped", 0, n=9)]
    assert drift(*still).kind == "pass"
    assert drift(*small).kind == "informational"
    assert drift(*small, options=PlaceOptions(norm_drift=0.005)).kind == "review"
    assert drift(small[0], measure("weight.norms.flipped", 1, n=9)).kind == "review"
    assert drift(small[0]).kind == "open"
    none = [undefined(f"weight.norms.{m}", "no norm could be compared") for m in ("relative_max", "flipped")]
    assert drift(*none).kind == "not_applicable"
