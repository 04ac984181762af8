"""What is measured of adapters: from the factors alone, and of what a merge would lose."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from afterburn_core.api import Diagnoser, DiagnosticReport
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Finding, Measurement, Scope
from afterburn_core.run.lowrank import LowRank
from afterburn_core.testing.checkpoints import read_json, write_json
from afterburn_core.testing.pairs import adapter_pair, changed_pair, identity_pair
from afterburn_weight.adapter_judge import AdapterJudge
from afterburn_weight.adapter_options import AdapterRules
from afterburn_weight.factor_profile import profile
from afterburn_weight.merging import Loss, combined, rounded, rounding_loss

Q1 = "model.layers.1.self_attn.q_proj"
MODULES = [f"model.layers.{layer}.self_attn.{name}_proj" for layer in range(2) for name in "qv"]


def diagnose(base: Path, trained: Path, run: Path) -> DiagnosticReport:
    return Diagnoser(base, trained, run_dir=run, use_cache=False).run_weight_diff()


def at(report: DiagnosticReport, metric: str, module: str | None = None) -> Measurement:
    """The measurement at a module's weight, or of the whole model."""
    tensor = None if module is None else f"{module}.weight"
    found = [m for m in report.measurements(f"weight.adapter.{metric}") if m.scope.tensor == tensor]
    (only,) = found if tensor else [m for m in found if m.scope.key() == "model"]
    return only


def factors(adapter: Path, module: str) -> tuple[np.ndarray, np.ndarray]:
    stored = load_file(adapter / "adapter_model.safetensors")
    prefix = f"base_model.model.{module}"
    return stored[f"{prefix}.lora_A.weight"].double().numpy(), stored[f"{prefix}.lora_B.weight"].double().numpy()


def rewrite(adapter: Path, **edits: Any) -> dict[str, torch.Tensor]:
    write_json(adapter / "adapter_config.json", {**read_json(adapter / "adapter_config.json"), **edits})
    return load_file(adapter / "adapter_model.safetensors")


def save(adapter: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file({n: t.contiguous() for n, t in tensors.items()}, adapter / "adapter_model.safetensors")


def finding(report: DiagnosticReport, rule: str) -> Finding:
    (only,) = (f for f in report.findings if f.rule == f"weight.{rule}")
    return only


def test_every_number_of_a_module_is_that_of_its_materialised_change(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path, rank=4, alpha=6.0)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    squares = {}
    for module in MODULES:
        a, b = factors(pair.trained, module)
        values = np.linalg.svd(1.5 * b @ a, compute_uv=False)[:4]
        p = values**2 / np.sum(values**2)
        effective = math.exp(-float(np.sum(p * np.log(p))))
        squares[module] = float(np.sum(values**2))
        expected = {
            "rank": 4,
            "used_rank": 4,
            "norm": math.sqrt(squares[module]),
            "effective_rank": effective,
            "stable_rank": squares[module] / values[0] ** 2,
            "rank_use": (effective - 1) / 3,
            "scaling": 1.5,
        }
        measured = {metric: at(report, metric, module).value for metric in expected}
        assert measured == pytest.approx(expected, rel=1e-12)
        assert at(report, "scaling", module).reason == "alpha/r, alpha = 6, r = 4"
    total = sum(squares.values())
    for module in MODULES:
        assert at(report, "share", module).value == pytest.approx(squares[module] / total, rel=1e-12)
    assert at(report, "norm").value == pytest.approx(math.sqrt(total), rel=1e-12)
    assert at(report, "share").value == pytest.approx(1.0, rel=1e-12)
    (layer,) = (m for m in report.measurements("weight.adapter.share") if m.scope.key() == Scope(layer=0).key())
    assert layer.value == pytest.approx((squares[MODULES[0]] + squares[MODULES[1]]) / total, rel=1e-12)


def test_the_norm_from_the_factors_is_the_norm_of_the_weights_pass(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    from_weights = {m.scope.tensor: m.value for m in report.measurements("weight.delta.norm") if m.scope.tensor}
    for module in MODULES:
        assert at(report, "norm", module).value == pytest.approx(from_weights[f"{module}.weight"], rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("planted", [1, 3])
def test_a_planted_rank_is_found_where_it_was_planted(planted: int, dtype: torch.dtype, tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path, rank=6)
    stored = rewrite(pair.trained)
    generator = torch.Generator().manual_seed(4)
    name = f"base_model.model.{Q1}.lora_B.weight"
    stored[name] = torch.randn(16, planted, generator=generator) @ torch.randn(planted, 6, generator=generator)
    save(pair.trained, {key: value.to(dtype) for key, value in stored.items()})
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    used = {module: at(report, "used_rank", module).value for module in MODULES}
    assert used == {module: planted if module == Q1 else 6 for module in MODULES}


def test_a_collapsed_adapter_is_for_review_and_a_sound_one_passes(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path, rank=8)
    sound = diagnose(pair.base, pair.trained, tmp_path / "sound")
    assert finding(sound, "adapter_rank_collapse").kind == "pass"
    assert at(sound, "collapsed").value == 0
    stored = rewrite(pair.trained)
    for name, value in stored.items():
        if "lora_B" in name:
            value[:, 1:] *= 1e-3
    save(pair.trained, stored)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    assert at(report, "collapsed").value == 4
    assert at(report, "collapsed_share").value == pytest.approx(1.0)
    found = finding(report, "adapter_rank_collapse")
    assert (found.kind, found.level) == ("review", "note")
    assert found.message.startswith("4 of 4 modules, with 100 % of the change, use hardly more than one direction")
    assert "of 8" in (found.examples[0].note or "")


def test_modules_that_were_never_trained_are_counted(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path, rank=4)
    stored = rewrite(pair.trained)
    stored[f"base_model.model.{Q1}.lora_B.weight"].zero_()
    save(pair.trained, stored)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    assert at(report, "untrained").value == 1
    assert (at(report, "used_rank", Q1).value, at(report, "norm", Q1).value) == (0.0, 0.0)
    assert at(report, "effective_rank", Q1).reason == "the factors change nothing"
    assert finding(report, "adapter_rank_collapse").kind == "review"


def test_an_adapter_that_changes_nothing_says_so(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path, zero=True)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    assert finding(report, "adapter_rank_collapse").message == (
        "The adapter changes nothing: B is zero in all 4 modules"
    )
    assert finding(report, "adapter_merge").kind == "pass"
    assert at(report, "share").status == "undefined"


def test_a_rank_of_one_has_no_rank_to_use(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path, rank=1)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    assert at(report, "effective_rank", Q1).value == pytest.approx(1.0)
    assert at(report, "rank_use", Q1).reason == "the module has rank 1"
    assert finding(report, "adapter_rank_collapse").kind == "pass"


def test_a_factor_with_nan_is_undefined_and_the_others_are_measured(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path, rank=4)
    stored = rewrite(pair.trained)
    stored[f"base_model.model.{Q1}.lora_A.weight"][0, 0] = math.nan
    save(pair.trained, stored)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    assert at(report, "norm", Q1).reason == "a factor holds NaN or infinite values"
    assert at(report, "norm", MODULES[0]).value


def test_nothing_of_it_applies_to_a_checkpoint(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    skipped = {e.component: (e.status, e.applicable, e.reason) for e in report.result.executions}
    for name in ("weight.adapter", "weight.merge"):
        assert skipped[name] == ("skipped", False, "needs lora, which trained cannot offer")
    assert finding(report, "adapter_merge").kind == finding(report, "adapter_rank_collapse").kind == "not_applicable"
    assert "core.factors_pass" not in skipped


def test_the_factors_are_not_read_for_a_full_checkpoint_with_changes(tmp_path: Path) -> None:
    pair = changed_pair(tmp_path, f"{Q1}.weight", lambda weight: weight * 2)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    assert report.measurements("weight.adapter.norm") == report.measurements("weight.adapter.merge_error") == ()


# --- merges


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_merge_error_is_that_of_rounding_the_sum(dtype: str, tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path, rank=2, dtype=dtype)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    base = load_file(pair.base / "model.safetensors")
    errors, deltas = {"own": 0.0, "bfloat16": 0.0, "float16": 0.0}, 0.0
    for module in MODULES:
        a, b = factors(pair.trained, module)
        merged = torch.from_numpy(base[f"{module}.weight"].double().numpy() + 2.0 * b @ a)
        delta = float(np.sum((2.0 * b @ a) ** 2))
        deltas += delta
        for kind, target in (("own", dtype), ("bfloat16", "bfloat16"), ("float16", "float16")):
            error = float((merged.to(getattr(torch, target)).double() - merged).square().sum())
            errors[kind] += error
            metric = "merge_error" if kind == "own" else f"merge_error.{kind}"
            assert at(report, metric, module).value == pytest.approx(math.sqrt(error / delta), rel=1e-6)
    assert at(report, "merge_error").value == pytest.approx(math.sqrt(errors["own"] / deltas), rel=1e-6)
    assert at(report, "merge_error").reason == f"into {dtype}"
    for kind in ("bfloat16", "float16"):
        assert at(report, f"merge_error.{kind}").value == pytest.approx(math.sqrt(errors[kind] / deltas), rel=1e-6)


@pytest.mark.parametrize(
    ("relative", "expected", "unmoved"),
    [(1e-4, 0.980, 0.976), (3e-4, 0.941, 0.930), (1e-3, 0.799, 0.775), (3e-3, 0.487, 0.474), (1e-2, 0.166, 0.174),
     (3e-2, 0.055, 0.060)],
)  # fmt: skip
def test_a_gaussian_update_loses_in_bf16_what_the_table_says(relative: float, expected: float, unmoved: float) -> None:
    """The reference's table: Gaussian weights of sd .02 stored in bf16, Gaussian update of relative size r."""
    generator = torch.Generator().manual_seed(12)
    base = (torch.randn(1500, 400, generator=generator) * 0.02).bfloat16().double()
    delta = torch.randn(1500, 400, generator=generator, dtype=torch.float64)
    delta *= relative * base.norm() / delta.norm()
    loss = rounding_loss(base.numpy(), (base + delta).numpy(), ("BF16",))
    assert loss.relative("BF16") == pytest.approx(expected, abs=0.006)
    assert loss.unmoved["BF16"] / loss.changed == pytest.approx(unmoved, abs=0.006)


@pytest.mark.parametrize(("name", "dtype"), [("BF16", torch.bfloat16), ("F16", torch.float16), ("F32", torch.float32)])
def test_rounding_is_that_of_a_cast(name: str, dtype: torch.dtype) -> None:
    """Over all magnitudes: normal numbers, below the normal range, zero, and beyond the largest."""
    rng = np.random.default_rng(21)
    # float32 values first, so that a cast rounds once
    values = (rng.standard_normal(200_000) * 2.0 ** rng.integers(-30, 18, 200_000)).astype(np.float32).astype(float)
    values = np.concatenate([values, [0.0, -0.0, 65504.0, 65519.0, 65520.5, -7e4, 1e38, 2.0**-24, 2.0**-25 * 1.01]])
    expected = torch.from_numpy(values).to(dtype).double().numpy()
    found = rounded(values, name)
    ties = found != expected
    assert np.mean(ties) < 0.01  # exactly half-way between two numbers: the other neighbour is as near
    np.testing.assert_array_equal(np.abs(found - values)[ties], np.abs(expected - values)[ties])


def test_losses_of_blocks_add_up_to_the_loss_of_the_whole() -> None:
    rng = np.random.default_rng(8)
    base, delta = rng.standard_normal((50, 20)), 1e-3 * rng.standard_normal((50, 20))
    whole = rounding_loss(base, base + delta, ("BF16", "F16"))
    parts = combined(
        [rounding_loss(base[i : i + 7], (base + delta)[i : i + 7], ("BF16", "F16")) for i in range(0, 50, 7)]
    )
    assert parts.relative("F16") == pytest.approx(whole.relative("F16"), rel=1e-12)
    assert (parts.unmoved, parts.changed, parts.n) == (whole.unmoved, whole.changed, 1000)
    assert Loss().relative("BF16") is None


def test_a_merge_that_overflows_float16_is_infinite_and_only_there() -> None:
    base, delta = np.full((2, 2), 6e4), np.full((2, 2), 1e4)
    loss = rounding_loss(base, base + delta, ("F16", "BF16"))
    assert loss.relative("F16") == math.inf
    assert (loss.relative("BF16") or 0) < 0.1


def test_a_merge_without_loss_has_none() -> None:
    base = np.array([[1.0, 2.0], [4.0, -8.0]])
    loss = rounding_loss(base, base * 1.5, ("BF16", "F16", "F32"))
    assert loss.error_sq == {"BF16": 0.0, "F16": 0.0, "F32": 0.0}


def test_dora_magnitudes_are_compared_with_the_rows_of_the_base(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path, rank=2, dtype="float32")
    base = load_file(pair.base / "model.safetensors")
    stored = rewrite(pair.trained, use_dora=True)
    changes = {}
    for seed, module in enumerate(MODULES):
        rows = base[f"{module}.weight"].double().norm(dim=1)
        noise = 0.2 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        stored[f"base_model.model.{module}.lora_magnitude_vector"] = (rows * (1 + noise)).float()
        changes[module] = noise.numpy()
    save(pair.trained, stored)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    for module, change in changes.items():
        rms = float(np.sqrt(np.mean(change**2)))
        assert at(report, "magnitude_change", module).value == pytest.approx(rms, rel=1e-5)
        assert at(report, "magnitude_change_max", module).value == pytest.approx(float(abs(change).max()), rel=1e-5)
        a, b = factors(pair.trained, module)
        assert at(report, "norm", module).value == pytest.approx(float(np.linalg.norm(2.0 * b @ a)), rel=1e-9)


def test_plain_lora_has_no_magnitudes(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path)
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    assert report.measurements("weight.adapter.magnitude_change") == ()


def test_the_gains_of_ia3_are_measured(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path, dtype="float32")
    rewrite(pair.trained, peft_type="IA3", feedforward_modules=["down_proj"], target_modules=["k_proj", "down_proj"])
    gain = torch.tensor([1.5, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0])
    save(
        pair.trained,
        {
            "base_model.model.model.layers.0.self_attn.k_proj.ia3_l": gain.reshape(-1, 1),
            "base_model.model.model.layers.1.mlp.down_proj.ia3_l": torch.full((1, 32), 1.25),
        },
    )
    report = diagnose(pair.base, pair.trained, tmp_path / "run")
    assert at(report, "gain_change", "model.layers.0.self_attn.k_proj").value == pytest.approx(0.25)
    assert at(report, "gain_change", "model.layers.1.mlp.down_proj").value == pytest.approx(0.25)
    relative = {m.scope.tensor: m.value for m in report.measurements("weight.delta.relative") if m.scope.tensor}
    assert relative["model.layers.1.mlp.down_proj.weight"] == pytest.approx(0.25, rel=1e-6)
    assert at(report, "merge_error", "model.layers.1.mlp.down_proj").value is not None
    (rank,) = [f for f in report.findings if f.rule == "weight.adapter_rank_collapse"]
    assert (rank.kind, rank.message) == ("not_applicable", "No rank to use: the adapter has no low-rank factors")
    assert report.verdict.status == "pass"


# --- profiles and findings by themselves


def test_rank_use_is_zero_for_one_direction_and_one_for_equal_ones() -> None:
    left, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((40, 5)))
    right, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((30, 5)))
    equal = profile(LowRank(left=left, right=right.T), 5, ("F32", "F32"))
    assert equal.rank_use == pytest.approx(1.0)
    single = profile(LowRank(left=left * np.array([1, 0, 0, 0, 0]), right=right.T), 5, ("F32", "F32"))
    assert single.rank_use == pytest.approx(0.0, abs=1e-12)
    assert single.collapsed(0.1) and not equal.collapsed(0.1)
    assert (single.used, equal.used) == (1, 5)


@pytest.mark.parametrize(("error", "kind"), [(0.099, "pass"), (0.1, "review"), (0.49, "review"), (0.5, "review")])
def test_the_merge_finding_follows_its_thresholds(error: float, kind: str) -> None:
    loss = measure("weight.adapter.merge_error", error, n=10, reason="into bfloat16")
    (_, found) = AdapterJudge(AdapterRules())(Evidence(subjects=(), measurements=(loss,)))
    assert (found.rule, found.kind) == ("weight.adapter_merge", kind)
    assert ("keep the adapter apart" in found.message) == (error >= 0.5)
    assert "into bfloat16" in found.message
