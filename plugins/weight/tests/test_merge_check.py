"""`afterburn merge-check`: verdicts, reasons and exit codes, on adapters whose answer is known."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from afterburn_core.cli.main import run
from afterburn_core.testing.checkpoints import read_json, tiny_checkpoint, write_json
from afterburn_core.testing.pairs import Pair, adapter_pair
from afterburn_core.testing.quantise import quantise_checkpoint

HIDDEN = 64
MODULES = [f"model.layers.{layer}.self_attn.{name}_proj" for layer in range(2) for name in "qv"]
Capture = pytest.CaptureFixture[str]


def check(capsys: Capture, *arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON."""
    capsys.readouterr()
    code = run(["merge-check", *map(str, arguments), "--json"])
    out = capsys.readouterr().out
    return code, json.loads(out, parse_constant=_refuse) if out else {}


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


def codes(report: Mapping[str, Any]) -> set[str]:
    return {reason["code"] for reason in report["reasons"]}


def sized_pair(directory: Path, relative: float, *, dtype: str = "bfloat16", rank: int = 16, **config: Any) -> Pair:
    """A base and an adapter whose change of every module has this size relative to its weight."""
    pair = adapter_pair(directory, rank=rank, alpha=float(rank), hidden=HIDDEN, dtype=dtype)
    base, stored = load_file(pair.base / "model.safetensors"), load_file(pair.trained / "adapter_model.safetensors")
    for module in MODULES:
        a, b = (stored[f"base_model.model.{module}.lora_{part}.weight"] for part in "AB")
        b *= relative * base[f"{module}.weight"].float().norm() / (b @ a).norm()
    save_file(stored, pair.trained / "adapter_model.safetensors")
    edit(pair.trained, **config)
    return pair


def edit(adapter: Path, **values: Any) -> None:
    write_json(adapter / "adapter_config.json", {**read_json(adapter / "adapter_config.json"), **values})


def rewritten(adapter: Path, change: Callable[[str, torch.Tensor], torch.Tensor]) -> None:
    stored = load_file(adapter / "adapter_model.safetensors")
    save_file(
        {name: change(name, value).contiguous() for name, value in stored.items()},
        adapter / "adapter_model.safetensors",
    )


def merged_by_hand(pair: Pair, directory: Path, scale: float = 1.0) -> Path:
    base, stored = load_file(pair.base / "model.safetensors"), load_file(pair.trained / "adapter_model.safetensors")
    for module in MODULES:
        a, b = (stored[f"base_model.model.{module}.lora_{part}.weight"].double() for part in "AB")
        weight = base[f"{module}.weight"]
        base[f"{module}.weight"] = (weight.double() + scale * b @ a).to(weight.dtype)
    directory.mkdir()
    save_file(base, directory / "model.safetensors")
    return directory


# --- factors alone


def test_a_sound_adapter_passes_without_its_base(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2, base_model_name_or_path="nobody/nowhere")
    code, report = check(capsys, pair.trained)
    assert (code, report["verdict"], report["checked"], report["merge"]) == (0, "pass", "factors", None)
    assert report["schema"] == "afterburn.merge-check/1"
    assert codes(report) == {"merge_not_checked"}
    (adapter,) = report["adapters"]
    assert (adapter["label"], adapter["method"], adapter["names_base"]) == ("trained", "LORA", "nobody/nowhere")
    assert len(adapter["modules"]) == 4
    assert math.fsum(module["share"] for module in adapter["modules"]) == pytest.approx(1.0)
    for module in adapter["modules"]:
        assert (module["rank"], module["used_rank"], module["scaling"], module["scaling_formula"]) == (
            16, 16, 1.0, "alpha/r",
        )  # fmt: skip
        assert len(module["singular_values"]) == 16
        norm = math.sqrt(math.fsum(value**2 for value in module["singular_values"]))
        assert module["norm"] == pytest.approx(norm, rel=1e-12)
    assert adapter["norm"] == pytest.approx(math.sqrt(math.fsum(m["norm"] ** 2 for m in adapter["modules"])), rel=1e-12)


def test_neither_torch_nor_the_base_is_opened_for_the_factors(tmp_path: Path) -> None:
    pair = sized_pair(tmp_path, 1e-2)
    (pair.base / "model.safetensors").unlink()
    code = (
        "import sys; from afterburn_core.cli.main import run; code = run(['merge-check', sys.argv[1], '--json']); "
        'sys.stderr.write(f\'{code} {any(name in sys.modules for name in ("torch", "peft", "transformers"))}\')'
    )
    done = subprocess.run([sys.executable, "-c", code, str(pair.trained)], capture_output=True, text=True, check=True)
    assert done.stderr == "0 False"


def test_an_untrained_adapter_fails(tmp_path: Path, capsys: Capture) -> None:
    pair = adapter_pair(tmp_path, zero=True)
    code, report = check(capsys, pair.trained)
    assert (code, report["verdict"], codes(report)) == (1, "fail", {"untrained", "merge_not_checked"})


def test_some_untrained_modules_warn(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2)
    rewritten(pair.trained, lambda name, value: value * 0 if "layers.0" in name and "lora_B" in name else value)
    code, report = check(capsys, pair.trained)
    assert (code, report["verdict"]) == (0, "warn")
    assert "trained: 2 of 4 modules change nothing" in [reason["message"] for reason in report["reasons"]]
    code, _ = check(capsys, pair.trained, "--fail-on", "warn")
    assert code == 1


def test_rank_collapse_warns_and_names_the_collapsed_modules(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2)

    def collapse(name: str, value: torch.Tensor) -> torch.Tensor:
        if "lora_B" in name and "layers.1" in name:
            value[:, 1:] *= 1e-3
            value *= 20
        return value

    rewritten(pair.trained, collapse)
    code, report = check(capsys, pair.trained)
    assert (code, report["verdict"]) == (0, "warn")
    assert "rank_collapse" in codes(report)
    collapsed = {module["tensor"] for module in report["adapters"][0]["modules"] if module["collapsed"]}
    assert collapsed == {f"{module}.weight" for module in MODULES if "layers.1" in module}


def test_a_used_rank_below_the_configured_one_is_told(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2)

    def plant(name: str, value: torch.Tensor) -> torch.Tensor:
        if "lora_B" in name and "layers.0.self_attn.q" in name:
            value[:, 5:] = value[:, :1]
        return value

    rewritten(pair.trained, plant)
    _, report = check(capsys, pair.trained)
    used = {module["tensor"]: module["used_rank"] for module in report["adapters"][0]["modules"]}
    assert used == {f"{module}.weight": 5 if module == MODULES[0] else 16 for module in MODULES}


def test_a_factor_with_nan_fails(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2)
    rewritten(pair.trained, lambda name, value: value * math.nan if "layers.0.self_attn.q" in name else value)
    code, report = check(capsys, pair.trained)
    assert (code, report["verdict"]) == (1, "fail")
    assert "nonfinite" in codes(report)


@pytest.mark.parametrize("asked", [["--dtype", "bf16"], ["--merged", "m"], ["--warn", "0.2"], ["--fail", "0.9"]])
def test_a_question_that_needs_the_base_stays_undecided_without_it(
    asked: list[str], tmp_path: Path, capsys: Capture
) -> None:
    pair = sized_pair(tmp_path, 1e-2)
    code, report = check(capsys, pair.trained, *asked)
    assert (code, report["verdict"], codes(report)) == (3, "undecided", {"base_needed"})


def test_a_base_that_the_adapter_names_and_is_not_here_leaves_it_undecided(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2, base_model_name_or_path=None)
    code, report = check(capsys, pair.trained, "--base", "auto")
    assert (code, report["verdict"], codes(report)) == (3, "undecided", {"base_missing"})


# --- with the base


@pytest.mark.parametrize(
    ("relative", "expected", "verdict"),
    [(1e-3, 0.80, "fail"), (3e-3, 0.49, "warn"), (1e-2, 0.17, "warn"), (3e-2, 0.055, "pass")],
)
def test_the_loss_of_a_bf16_merge_is_that_of_the_table(
    relative: float, expected: float, verdict: str, tmp_path: Path, capsys: Capture
) -> None:
    """Reference, section 4; the tiny weights leave a little sampling error."""
    pair = sized_pair(tmp_path, relative)
    code, report = check(capsys, pair.trained, "--base", pair.base)
    assert (code, report["verdict"]) == (1 if verdict == "fail" else 0, verdict)
    assert report["merge"]["loss"] == pytest.approx(expected, abs=0.015)
    assert report["merge"]["dtypes"] == ["bfloat16"]
    assert len(report["merge"]["tensors"]) == 4


def test_the_loss_of_every_tensor_is_that_of_rounding_the_sum(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 5e-3)
    _, report = check(capsys, pair.trained, "--base", "auto", "--dtype", "fp16")
    base, stored = load_file(pair.base / "model.safetensors"), load_file(pair.trained / "adapter_model.safetensors")
    by_tensor = {row["tensor"]: row for row in report["merge"]["tensors"]}
    assert by_tensor.keys() == {f"{module}.weight" for module in MODULES}
    for module in MODULES:
        a, b = (stored[f"base_model.model.{module}.lora_{part}.weight"].double() for part in "AB")
        total = base[f"{module}.weight"].double() + b @ a
        error = (total.half().double() - total).norm() / (b @ a).norm()
        row = by_tensor[f"{module}.weight"]
        assert row["loss"] == pytest.approx(float(error), rel=1e-6)
        assert row["dtype"] == "float16"
        assert row["delta_norm"] == pytest.approx(float((b @ a).norm()), rel=1e-9)
        still = (total.half() == base[f"{module}.weight"].half()).double().mean()
        assert row["unmoved_fraction"] == pytest.approx(float(still))


def test_a_merge_into_fp32_keeps_what_a_merge_into_bf16_loses(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-3)
    losses = {}
    for dtype in ("bf16", "fp16", "fp32"):
        code, report = check(capsys, pair.trained, "--base", pair.base, "--dtype", dtype)
        losses[dtype] = (code, report["merge"]["loss"])
    assert losses["bf16"][0] == 1 and losses["fp16"][0] == losses["fp32"][0] == 0
    assert losses["bf16"][1] > 3 * losses["fp16"][1] > 1000 * losses["fp32"][1]


def test_thresholds_move_the_verdict(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2)
    for arguments, expected in (
        (["--warn", 0.3], (0, "pass")),
        (["--warn", 0.05, "--fail", 0.1], (1, "fail")),
        (["--fail-on", "warn"], (1, "warn")),
    ):
        code, report = check(capsys, pair.trained, "--base", pair.base, *arguments)
        assert (code, report["verdict"]) == expected


def test_an_overflow_of_float16_fails(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2, dtype="float32")
    weights = load_file(pair.base / "model.safetensors")
    weights[f"{MODULES[0]}.weight"][0, 0] = 1e6
    save_file(weights, pair.base / "model.safetensors")
    code, report = check(capsys, pair.trained, "--base", pair.base, "--dtype", "fp16")
    assert (code, report["verdict"]) == (1, "fail")
    assert "overflow" in codes(report)
    assert report["merge"]["loss"] is None


def test_one_module_that_loses_its_change_warns_though_the_whole_does_not(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 3e-2, dtype="bfloat16")
    weights = load_file(pair.base / "model.safetensors")
    weights[f"{MODULES[1]}.weight"] = (weights[f"{MODULES[1]}.weight"].float() * 12).bfloat16()
    save_file(weights, pair.base / "model.safetensors")
    code, report = check(capsys, pair.trained, "--base", pair.base, "--warn", 0.4)
    assert report["merge"]["loss"] < 0.4
    assert (code, report["verdict"], "merge_loss_module" in codes(report)) == (0, "warn", True)


def test_the_other_base_is_noticed(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 3e-2, base_model_name_or_path="org/another-model")
    code, report = check(capsys, pair.trained, "--base", pair.base)
    assert (code, report["verdict"], "other_base" in codes(report)) == (0, "warn", True)
    edit(pair.trained, base_model_name_or_path="org/base")
    _, report = check(capsys, pair.trained, "--base", pair.base)
    assert report["verdict"] == "pass"


def test_a_quantised_base_is_told_with_the_loss(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 3e-2)
    assert "quantised_base" not in codes(check(capsys, pair.trained, "--base", pair.base)[1])
    quantise_checkpoint(pair.base, "bnb-nf4")
    code, report = check(capsys, pair.trained, "--base", pair.base)
    assert (code, "quantised_base" in codes(report)) == (0, True)


def test_a_base_of_another_width_fails_and_says_so(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path / "pair", 1e-2)
    other = tiny_checkpoint(tmp_path / "base", hidden=32)
    code, report = check(capsys, pair.trained, "--base", other)
    assert (code, report["verdict"], report["merge"]) == (1, "fail", None)
    (reason,) = (reason for reason in report["reasons"] if reason["code"] == "does_not_fit")
    assert "but the base's weight is 32x32" in reason["message"]


def test_a_resized_vocabulary_fails(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2, modules_to_save=["lm_head"])
    stored = load_file(pair.trained / "adapter_model.safetensors")
    stored["base_model.model.lm_head.weight"] = torch.ones(50, HIDDEN)
    save_file(stored, pair.trained / "adapter_model.safetensors")
    code, report = check(capsys, pair.trained, "--base", pair.base)
    assert (code, report["verdict"]) == (1, "fail")
    (reason,) = (reason for reason in report["reasons"] if reason["code"] == "does_not_fit")
    assert "lm_head.weight as 50x64 where the base has 48x64" in reason["message"]


def test_a_bias_without_a_place_cannot_be_merged(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 3e-2, lora_bias=True)
    stored = load_file(pair.trained / "adapter_model.safetensors")
    stored[f"base_model.model.{MODULES[0]}.lora_B.bias"] = torch.ones(HIDDEN)
    save_file(stored, pair.trained / "adapter_model.safetensors")
    code, report = check(capsys, pair.trained, "--base", pair.base)
    assert (code, report["verdict"], "no_place" in codes(report)) == (1, "fail", True)


# --- a checkpoint that somebody merged


def test_a_merged_checkpoint_is_recognised_as_base_plus_adapter(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2)
    merged = merged_by_hand(pair, tmp_path / "merged")
    code, report = check(capsys, pair.trained, "--base", pair.base, "--merged", merged, "--warn", 0.3)
    assert (code, report["verdict"]) == (0, "pass")
    assert report["merge"]["residual"] == pytest.approx(report["merge"]["loss"], rel=1e-9)
    assert report["merge"]["merged"] == "merged"


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0])
def test_a_checkpoint_merged_with_another_scaling_fails(scale: float, tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 3e-2)
    merged = merged_by_hand(pair, tmp_path / "merged", scale)
    code, report = check(capsys, pair.trained, "--base", pair.base, "--merged", merged)
    assert (code, report["verdict"], "residual" in codes(report)) == (1, "fail", True)
    assert report["merge"]["residual"] == pytest.approx(abs(1 - scale), abs=0.02)


# --- several adapters


def test_several_adapters_are_summed_by_weight(tmp_path: Path, capsys: Capture) -> None:
    first, second = sized_pair(tmp_path / "first", 1e-2), sized_pair(tmp_path / "second", 1e-2)
    generator = torch.Generator().manual_seed(44)
    rewritten(second.trained, lambda name, value: torch.randn(value.shape, generator=generator) * value.std())
    _, report = check(
        capsys,
        first.trained,
        second.trained,
        "--base",
        first.base,
        "--weight",
        0.75,
        "--weight",
        -0.5,
        "--dtype",
        "bf16",
    )
    assert [adapter["label"] for adapter in report["adapters"]] == ["first/trained", "second/trained"]
    base = load_file(first.base / "model.safetensors")
    parts = [load_file(pair.trained / "adapter_model.safetensors") for pair in (first, second)]
    deltas = []
    for stored in parts:
        factors = [
            [stored[f"base_model.model.{module}.lora_{part}.weight"].double() for part in "AB"] for module in MODULES
        ]
        deltas.append([b @ a for a, b in factors])
    products = [[math.fsum(float((x * y).sum()) for x, y in zip(p, q, strict=True)) for q in deltas] for p in deltas]
    cosine = products[0][1] / math.sqrt(products[0][0] * products[1][1])
    (pair,) = report["interference"]
    assert pair["cosine"] == pytest.approx(cosine, rel=1e-9)
    assert (pair["adapters"], pair["shared_modules"]) == (["first/trained", "second/trained"], 4)
    rows = {row["tensor"]: row for row in report["merge"]["tensors"]}
    for module, one, other in zip(MODULES, *deltas, strict=True):
        delta = 0.75 * one - 0.5 * other
        total = base[f"{module}.weight"].double() + delta
        expected = float((total.bfloat16().double() - total).norm() / delta.norm())
        assert rows[f"{module}.weight"]["loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("sign", "word"), [(1.0, "overlap"), (-1.0, "oppose each other")])
def test_adapters_that_pull_the_same_weights_are_named(sign: float, word: str, tmp_path: Path, capsys: Capture) -> None:
    first, second = sized_pair(tmp_path / "first", 1e-2), sized_pair(tmp_path / "second", 1e-2)
    rewritten(second.trained, lambda name, value: value * sign if "lora_B" in name else value)
    code, report = check(capsys, first.trained, second.trained)
    assert (code, report["verdict"]) == (0, "warn")
    assert report["interference"][0]["cosine"] == pytest.approx(sign)
    (message,) = (reason["message"] for reason in report["reasons"] if reason["code"] == "interference")
    assert word in message


def test_adapters_without_a_common_module_have_no_cosine(tmp_path: Path, capsys: Capture) -> None:
    first, second = sized_pair(tmp_path / "first", 1e-2), sized_pair(tmp_path / "second", 1e-2)
    for adapter, layer in ((first, "layers.0"), (second, "layers.1")):
        stored = load_file(adapter.trained / "adapter_model.safetensors")
        kept = {name: value for name, value in stored.items() if layer in name}
        save_file(kept, adapter.trained / "adapter_model.safetensors")
    _, report = check(capsys, first.trained, second.trained)
    assert report["interference"] == [
        {"adapters": ["first/trained", "second/trained"], "cosine": None, "shared_modules": 0}
    ]


def test_dora_is_checked_beside_its_base(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2, use_dora=True)
    base = load_file(pair.base / "model.safetensors")
    stored = load_file(pair.trained / "adapter_model.safetensors")
    for module in MODULES:
        stored[f"base_model.model.{module}.lora_magnitude_vector"] = base[f"{module}.weight"].float().norm(dim=1) * 1.05
    save_file(stored, pair.trained / "adapter_model.safetensors")
    code, report = check(capsys, pair.trained, "--base", pair.base)
    assert (code, report["verdict"], report["adapters"][0]["method"]) == (0, "pass", "LORA (DoRA)")
    weights = np.concatenate([base[f"{module}.weight"].double().numpy().ravel() for module in MODULES])
    size = report["merge"]["delta_norm"] / np.linalg.norm(weights)
    assert size == pytest.approx(0.05, abs=0.003)
    assert not any(module["exact"] for module in report["adapters"][0]["modules"])


# --- bad input, and what people see


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere-at-all/x/y"], "no such file or directory"),
        (["{base}"], "is no PEFT adapter (no adapter_config.json)"),
        (["{adapter}", "--base", "./missing"], "no such file or directory"),
        (["{adapter}", "--base", "{base}", "--warn", "0.6"], "--warn 0.6 lies above --fail 0.5"),
        (["{adapter}", "{adapter}", "--weight", "1"], "1 weights for 2 adapters"),
        (["{adapter}", "--dtype", "int4"], "'int4' is not one of"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    arguments: list[str], message: str, tmp_path: Path, capsys: Capture
) -> None:
    pair = sized_pair(tmp_path, 1e-2)
    filled = [text.format(base=pair.base, adapter=pair.trained) for text in arguments]
    assert run(["merge-check", *filled]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert message in captured.err


def test_an_initialisation_that_rewrites_the_base_is_refused(tmp_path: Path, capsys: Capture) -> None:
    pair = sized_pair(tmp_path, 1e-2, init_lora_weights="pissa")
    assert run(["merge-check", str(pair.trained)]) == 2
    assert "initialised with 'pissa', which rewrites the base" in capsys.readouterr().err


def test_the_summary_reads_at_sixty_columns(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    pair = sized_pair(tmp_path, 1e-2)
    assert run(["merge-check", str(pair.trained), "--base", str(pair.base)]) == 0
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 60
    assert "WARN" in out.splitlines()[0]
    assert "merging into bfloat16 loses" in " ".join(out.split())
    assert "…" not in out


def test_all_lists_every_module(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    pair = sized_pair(tmp_path, 1e-2)
    run(["merge-check", str(pair.trained), "--all"])
    out = capsys.readouterr().out
    assert all(f"{module}.weight" in out for module in MODULES)
    assert "(4 of 4)" in out
