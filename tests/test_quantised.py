"""Quantised checkpoints: read exactly, compared whole, and refused by name where they cannot be read."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from afterburn_core.api import Diagnoser, DiagnosticReport
from afterburn_core.backends.derived import DerivedSource, View
from afterburn_core.backends.packed.codebooks import E2M1, FP8, step_sq
from afterburn_core.backends.packed.contract import unpack
from afterburn_core.backends.quantised import QuantisedSource
from afterburn_core.backends.tensors import TensorInfo, WeightSource
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import Finding
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import OpenSubject, open_subject
from afterburn_core.testing.checkpoints import load_weights, read_json, save_weights, tiny_checkpoint, write_json
from afterburn_core.testing.pairs import Pair
from afterburn_core.testing.quantise import (
    ENCODINGS,
    bit_stream,
    four_bits,
    fp8_blocks,
    gptq,
    mxfp4,
    nvfp4,
    quantise_checkpoint,
)

SHAPE = (256, 384)
TENSORS = 12
PLANTED = "model.layers.0.mlp.down_proj.weight"


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.02


def opened(path: Path, role: Any = "trained", base: OpenSubject | None = None) -> OpenSubject:
    return open_subject(parse_reference(str(path)), role, Registry.discover(only=()), base=base)


def stored(directory: Path, tensors: dict[str, torch.Tensor], **config: Any) -> WeightSource:
    """The weights of a directory that holds these tensors."""
    directory.mkdir(exist_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, directory / "model.safetensors")
    write_json(directory / "config.json", config)
    return opened(directory).weights()


def encoded(directory: Path, encoding: str, weight: torch.Tensor) -> tuple[WeightSource, torch.Tensor]:
    """A source with one encoded weight `m.weight`, and what it stands for."""
    parts, values = ENCODINGS[encoding].encode(weight)
    key = "quantization" if encoding.startswith("mlx") else "quantization_config"
    settings = {key: dict(ENCODINGS[encoding].settings)} if ENCODINGS[encoding].settings else {}
    return stored(directory, {f"m.{part}": value for part, value in parts.items()}, **settings), values


def pair(tmp_path: Path, encoding: str, change: Callable[[dict[str, torch.Tensor]], None] | None = None) -> Pair:
    """A bfloat16 checkpoint and a quantised copy, of a trained model if `change` trains it."""
    made = Pair(base=tmp_path / "base", trained=tmp_path / "trained")
    for directory in (made.base, made.trained):
        tiny_checkpoint(directory, hidden=128, layers=1)
    if change is not None:
        tensors = load_weights(made.trained)
        change(tensors)
        save_weights(made.trained, tensors)
    quantise_checkpoint(made.trained, encoding)
    return made


def compare(made: Pair, run: Path) -> DiagnosticReport:
    return Diagnoser(made.base, made.trained, run_dir=run, use_cache=False, threads=2).run_weight_diff()


def whole(report: DiagnosticReport, metric: str) -> float:
    (value,) = (m.value for m in report.measurements(metric) if m.scope.key() == "model" and len(m.subjects) == 2)
    assert value is not None
    return value


def by_tensor(report: DiagnosticReport, metric: str) -> dict[str, float]:
    found = [m for m in report.measurements(metric) if m.scope.tensor and m.value is not None]
    return {m.scope.tensor or "": m.value or 0.0 for m in found}


def finding(report: DiagnosticReport, rule: str) -> Finding:
    (found,) = (f for f in report.findings if f.rule == rule)
    return found


# --- values


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_a_packed_weight_reads_as_the_values_it_stands_for(encoding: str, tmp_path: Path) -> None:
    source, values = encoded(tmp_path / "model", encoding, gaussian(*SHAPE))
    assert set(source.tensors) == {"m.weight"}
    info = source.tensors["m.weight"]
    assert (info.dtype, info.shape) == ("F32", SHAPE)
    assert info.quantisation is not None
    flat = values.reshape(-1)
    assert torch.equal(source.read("m.weight", 0, info.numel), flat)
    for start, stop in ((0, 1), (383, 385), (777, 50_001), (info.numel - 5, info.numel), (9, 9)):
        assert torch.equal(source.read("m.weight", start, stop), flat[start:stop]), (start, stop)


def test_blocks_that_end_early_and_stacked_experts(tmp_path: Path) -> None:
    """200 × 300 is no multiple of 128; experts have a leading axis in codes and scales alike."""
    one, two = (fp8_blocks(gaussian(200, 300, seed=seed)) for seed in (1, 2))
    stacked = {part: torch.stack([one[0][part].float(), two[0][part].float()]) for part in one[0]}
    tensors = {
        "m.weight": one[0]["weight"], "m.weight_scale_inv": one[0]["weight_scale_inv"],
        "e.weight": stacked["weight"].to(torch.float8_e4m3fn), "e.weight_scale_inv": stacked["weight_scale_inv"],
    }  # fmt: skip
    source = stored(tmp_path / "m", tensors, quantization_config={"weight_block_size": [128, 128]})
    assert torch.equal(source.read("m.weight", 0, 60_000).view(200, 300), one[1])
    assert torch.equal(source.read("e.weight", 0, 120_000).view(2, 200, 300), torch.stack([one[1], two[1]]))


@pytest.mark.parametrize("packing", ["gptq", "awq"])
def test_autoround_writes_the_packings_of_others(packing: str, tmp_path: Path) -> None:
    parts, values = ENCODINGS["awq" if packing == "awq" else "gptq-4"].encode(gaussian(*SHAPE))
    settings = {"quant_method": "auto-round", "packing_format": f"auto_round:auto_{packing}"}
    source = stored(tmp_path / "m", {f"m.{p}": value for p, value in parts.items()}, quantization_config=settings)
    assert torch.equal(source.read("m.weight", 0, values.numel()), values.reshape(-1))


def test_stacked_experts_without_a_module_of_their_own(tmp_path: Path) -> None:
    parts, values = fp8_blocks(gaussian(128, 256))
    name = "mlp.experts.down_proj"
    tensors = {name: parts["weight"][None], f"{name}_scale_inv": parts["weight_scale_inv"][None]}
    source = stored(tmp_path / "m", tensors)
    assert set(source.tensors) == {name}
    assert torch.equal(source.read(name, 0, values.numel()), values.reshape(-1))


def test_experts_in_mxfp4_have_inputs_before_outputs(tmp_path: Path) -> None:
    weight = gaussian(3, 96, 40, seed=3)
    parts, values = mxfp4(weight)
    source = stored(tmp_path / "m", {f"mlp.experts.gate_up_proj{part}": value for part, value in parts.items()})
    assert source.tensors["mlp.experts.gate_up_proj"].shape == (3, 96, 40)
    flat = values.reshape(-1)
    for start, stop in ((0, flat.numel()), (41, 3_999), (3_839, 3_841), (7_000, 11_520)):
        assert torch.equal(source.read("mlp.experts.gate_up_proj", start, stop), flat[start:stop])


def test_mxfp4_reads_as_transformers_reads_it(tmp_path: Path) -> None:
    convert = pytest.importorskip("transformers.integrations.mxfp4").convert_moe_packed_tensors
    parts, _ = mxfp4(gaussian(2, 64, 48, seed=4))
    source = stored(tmp_path / "m", {f"x{part}": value for part, value in parts.items()})
    reference = convert(parts["_blocks"], parts["_scales"], dtype=torch.float32)
    assert torch.equal(source.read("x", 0, reference.numel()), reference.reshape(-1))


def test_eight_bit_floats_have_torchs_values() -> None:
    codes = torch.arange(256, dtype=torch.uint8)
    for name, dtype in (("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2)):
        np.testing.assert_array_equal(FP8[name], codes.view(dtype).float().numpy())


@pytest.mark.parametrize("bits", range(2, 9))
def test_codes_are_a_stream_of_bits_across_words(bits: int) -> None:
    codes = torch.randint(0, 1 << bits, (3, 96), generator=torch.Generator().manual_seed(bits))
    np.testing.assert_array_equal(unpack(bit_stream(codes, bits).numpy(), bits, 96), codes.numpy())


@pytest.mark.parametrize("bits", [4, 8])
def test_codes_are_packed_as_compressed_tensors_packs_them(bits: int) -> None:
    """So what `packed_integers` writes is what that library would have written."""
    pack = pytest.importorskip("compressed_tensors.compressors.pack_quantized.helpers").pack_to_int32
    half = 1 << (bits - 1)
    codes = torch.randint(-half, half, (128, 256), generator=torch.Generator().manual_seed(bits), dtype=torch.int8)
    assert torch.equal(pack(codes, bits), bit_stream(codes.int() + half, bits))
    zeros = codes[:, :2]
    assert torch.equal(pack(zeros, bits, packed_dim=0), bit_stream((zeros.T.int() + half).contiguous(), bits).T)


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("nested", [False, True])
def test_bitsandbytes_own_four_bits(kind: str, nested: bool, tmp_path: Path) -> None:
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = gaussian(96, 100)
    codes, state = functional.quantize_4bit(weight, quant_type=kind, compress_statistics=nested, blocksize=64)
    parts = {f"a.weight.{name}": value for name, value in state.as_dict(packed=True).items()}
    source = stored(tmp_path / "m", {"a.weight": codes, **parts})
    assert torch.equal(source.read("a.weight", 0, 9600).view(96, 100), functional.dequantize_4bit(codes, state))


def test_bitsandbytes_own_eight_bits(tmp_path: Path) -> None:
    functional = pytest.importorskip("bitsandbytes.functional")
    codes, scales, _ = functional.int8_vectorwise_quant(gaussian(64, 100).half())
    source = stored(tmp_path / "m", {"a.weight": codes, "a.SCB": scales})
    reference = functional.int8_vectorwise_dequant(codes, scales)
    assert torch.equal(source.read("a.weight", 0, 6400).view(64, 100), reference)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_mlxs_own_quantisation(bits: int, tmp_path: Path) -> None:
    mx = pytest.importorskip("mlx.core")
    codes, scales, biases = mx.quantize(mx.array(gaussian(64, 256).numpy()), group_size=32, bits=bits)
    reference = np.array(mx.dequantize(codes, scales, biases, group_size=32, bits=bits))
    parts = {"weight": codes, "scales": scales, "biases": biases}
    tensors = {f"m.{name}": torch.from_numpy(np.array(value)) for name, value in parts.items()}
    source = stored(tmp_path / "m", tensors, quantization={"group_size": 32, "bits": bits})
    np.testing.assert_array_equal(source.read("m.weight", 0, reference.size).numpy(), reference.reshape(-1))


@pytest.mark.slow
@pytest.mark.parametrize("bits", [4, 8])
def test_what_transformers_saves_with_bitsandbytes(bits: int, tmp_path: Path) -> None:
    functional = pytest.importorskip("bitsandbytes.functional")
    pytest.importorskip("accelerate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of all three packages, about themselves
        import transformers

        transformers.utils.logging.disable_progress_bar()
        settings = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1, "num_attention_heads": 4}
        config = transformers.LlamaConfig(vocab_size=64, **settings)
        with torch.random.fork_rng():
            plain = transformers.LlamaForCausalLM(config)
        with torch.no_grad():
            for seed, value in enumerate(plain.state_dict().values()):
                value.copy_(gaussian(*value.shape, seed=seed))
        plain.bfloat16().save_pretrained(tmp_path / "base")
        chosen = {"load_in_4bit": True, "bnb_4bit_use_double_quant": True} if bits == 4 else {"load_in_8bit": True}
        model = transformers.AutoModelForCausalLM.from_pretrained(
            tmp_path / "base",
            quantization_config=transformers.BitsAndBytesConfig(**chosen),
            dtype=torch.float32,
            device_map="cpu",
        )
        model.save_pretrained(tmp_path / "trained")
        weight = model.model.layers[0].mlp.down_proj.weight
        if bits == 4:
            expected = functional.dequantize_4bit(weight.data, weight.quant_state)
        else:
            expected = functional.int8_vectorwise_dequant(weight.data, weight.SCB)
    source = opened(tmp_path / "trained").weights()
    assert torch.equal(source.read(PLANTED, 0, expected.numel()).view(expected.shape), expected.float())
    report = compare(Pair(base=tmp_path / "base", trained=tmp_path / "trained"), tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    assert whole(report, "weight.quantisation.codes_changed") < 1e-3  # ties, which its CPU and GPU break differently


def test_several_threads_read_the_same(tmp_path: Path) -> None:
    source, values = encoded(tmp_path / "m", "gptq-3", gaussian(*SHAPE))
    flat = values.reshape(-1)
    spans = [(i, min(i + 5_003, flat.numel())) for i in range(0, flat.numel(), 5_003)] * 3
    with ThreadPoolExecutor(4) as pool:
        for (start, stop), read in zip(spans, pool.map(lambda span: source.read("m.weight", *span), spans)):
            assert torch.equal(read, flat[start:stop])


def test_packed_codes_in_memory_stay_within_their_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterburn_core.backends.packed.contract.BUDGET", 40_000)
    tensors, expected = {}, {}
    for number in range(6):
        parts, expected[f"m{number}.weight"] = gptq(gaussian(128, 256, seed=number))
        tensors |= {f"m{number}.{part}": value for part, value in parts.items()}
    source = stored(tmp_path / "m", tensors)
    for name, values in expected.items():
        assert torch.equal(source.read(name, 0, values.numel()), values.reshape(-1))
    assert isinstance(source, QuantisedSource)
    kept = next(iter(source.packed.values())).rows
    assert kept is not None
    (cell,) = (c.cell_contents for c in kept.values.__closure__ or () if type(c.cell_contents).__name__ == "Stored")
    assert sum(size for _, size in cell._kept.values()) <= 40_000


# --- steps


def test_the_step_of_a_uniform_code_is_its_spacing_and_of_others_that_of_equal_error() -> None:
    assert step_sq(np.arange(-3.0, 4.0))[1:-1] == pytest.approx(np.ones(5))
    rng = np.random.default_rng(0)
    levels = np.unique(E2M1 + 0.0)
    drawn = rng.uniform(levels[0], levels[-1], 400_000)
    nearest = np.abs(drawn[:, None] - levels).argmin(1)
    squares = (drawn - levels[nearest]) ** 2
    for index, level in enumerate(levels):
        expected = squares[nearest == index].mean()
        assert step_sq(E2M1)[list(E2M1).index(level)] / 12 == pytest.approx(expected, rel=0.03), level


@pytest.mark.parametrize(
    ("encoding", "floor"),
    [
        ("bnb-int8", 0.0079), ("fp8-channels", 0.0265), ("fp8-blocks", 0.0265), ("packed-int4", 0.117),
        ("bnb-nf4", 0.092), ("bnb-nf4-double", 0.092), ("packed-int8", 0.0068), ("nvfp4", 0.093),
    ],
)  # fmt: skip
def test_steps_foretell_the_error(encoding: str, floor: float, tmp_path: Path) -> None:
    """√(Σ step²/12) against the true error, and against the figures for Gaussian weights."""
    weight = gaussian(1024, 1024, seed=7)
    source, values = encoded(tmp_path / "m", encoding, weight)
    error = float((values - weight).double().norm() / weight.double().norm())
    assert error == pytest.approx(floor, rel=0.06)
    step = source.step_sq("m.weight", 0, weight.numel())  # type: ignore[attr-defined]
    assert math.sqrt(step / 12) / float(values.double().norm()) == pytest.approx(error, rel=0.05)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_steps_add_up_over_any_cut(encoding: str, tmp_path: Path) -> None:
    source, _ = encoded(tmp_path / "m", encoding, gaussian(*SHAPE))
    assert isinstance(source, QuantisedSource)
    cuts = [0, 1, 63, 384, 385, 40_000, SHAPE[0] * SHAPE[1]]
    parts = [source.step_sq("m.weight", a, b) for a, b in pairwise(cuts)]
    assert all(part is not None and part > 0 for part in parts)
    total = source.step_sq("m.weight", 0, cuts[-1])
    if encoding not in {"bnb-nf4", "bnb-nf4-double", "bnb-fp4"}:
        assert math.fsum(part or 0 for part in parts) == pytest.approx(total, rel=1e-12)
    assert math.fsum(part or 0 for part in parts) == pytest.approx(total, rel=1e-3)


def test_steps_are_the_scales_of_their_elements(tmp_path: Path) -> None:
    parts, _ = gptq(gaussian(*SHAPE))
    source = stored(tmp_path / "m", {f"m.{part}": value for part, value in parts.items()})
    scales = parts["scales"].double().T[:, parts["g_idx"].long()].reshape(-1)
    step = source.step_sq("m.weight", 100, 1000)  # type: ignore[attr-defined]
    assert step == pytest.approx(float((scales[100:1000] ** 2).sum()), rel=1e-12)


# --- the whole comparison


@pytest.mark.parametrize(
    ("encoding", "size"),
    [("bnb-nf4-double", 0.092), ("packed-int4", 0.117), ("bnb-int8", 0.0065), ("fp8-blocks", 0.0265)],
)
def test_a_quantised_copy_is_compared_whole_and_differs_by_its_quantisation(
    encoding: str, size: float, tmp_path: Path
) -> None:
    report = compare(pair(tmp_path, encoding), tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    assert whole(report, "weight.coverage.unexplained") == 0.0
    changed = {name: value for name, value in by_tensor(report, "weight.delta.relative").items() if value}
    assert len(changed) == 7
    assert all(value == pytest.approx(size, rel=0.12) for value in changed.values()), changed
    ratios = by_tensor(report, "weight.rounding.ratio")
    assert all(0.9 < ratios[name] < 1.1 for name in changed), ratios


def test_the_subject_says_how_it_is_quantised_and_counts_what_it_stands_for(tmp_path: Path) -> None:
    made = pair(tmp_path, "awq")
    base, trained = opened(made.base, "base"), opened(made.trained)
    assert trained.facts.parameters == base.facts.parameters
    assert trained.facts.tensors == base.facts.tensors == TENSORS
    projections = 2 * 128 * 128 + 2 * 64 * 128 + 3 * 256 * 128
    assert trained.facts.dtypes == {"BF16": base.facts.parameters - projections, "F32": projections}
    (entry,) = trained.facts.properties["quantisation"]
    assert entry == {
        "method": "awq", "code": "uint4", "bits": 4, "group_size": 128, "outputs_per_scale": 1, "tensors": 7,
        "parameters": projections,
    }  # fmt: skip
    assert "quantisation" not in base.facts.properties
    assert {file.relative for file in trained.files} >= {"model.safetensors", "config.json"}


def test_training_is_found_above_the_quantisation_that_hides_it(tmp_path: Path) -> None:
    def train(tensors: dict[str, torch.Tensor]) -> None:
        weight = tensors[PLANTED].float()
        left, right = gaussian(weight.shape[0], 1, seed=8), gaussian(1, weight.shape[1], seed=9)
        delta = left @ right
        tensors[PLANTED] = (weight + 0.3 * delta * weight.norm() / delta.norm()).bfloat16()

    report = compare(pair(tmp_path, "bnb-nf4", train), tmp_path / "run")
    ratios = by_tensor(report, "weight.rounding.ratio")
    assert ratios.pop(PLANTED) > 2.5
    assert max(ratios.values()) < 1.1


def test_both_sides_may_be_quantised(tmp_path: Path) -> None:
    made = pair(tmp_path, "awq")
    quantise_checkpoint(made.base, "awq")
    report = compare(made, tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    assert whole(report, "weight.delta.relative") == 0.0


def test_an_adapter_on_a_quantised_base(tmp_path: Path) -> None:
    """QLoRA: the change is that of the factors, whatever the base's codes stand for."""
    base, adapter = tiny_checkpoint(tmp_path / "base", hidden=128, layers=1), tmp_path / "adapter"
    values = quantise_checkpoint(base, "bnb-nf4-double")
    adapter.mkdir()
    module = PLANTED.removesuffix(".weight")
    a, b = gaussian(4, 256, seed=1), gaussian(128, 4, seed=2)
    factors = {f"base_model.model.{module}.lora_A.weight": a, f"base_model.model.{module}.lora_B.weight": b}
    save_file(factors, adapter / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["down_proj"], "bias": "none"}
    write_json(adapter / "adapter_config.json", {**settings, "base_model_name_or_path": "../base"})
    opened_base = opened(base, "base")
    source = opened(adapter, "trained", opened_base).weights()
    delta = 2 * b.double() @ a.double()
    merged = source.read(PLANTED, 0, delta.numel()).double().view(delta.shape)
    assert torch.allclose(merged, values[PLANTED].double() + delta, rtol=0, atol=1e-7)
    report = compare(Pair(base=base, trained=adapter), tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    norms = by_tensor(report, "weight.delta.norm")
    assert norms.pop(PLANTED) == pytest.approx(float(delta.norm()), rel=1e-6)
    assert set(norms.values()) == {0.0}


def test_torch_files_may_hold_codes_too(tmp_path: Path) -> None:
    made = pair(tmp_path, "bnb-int8")
    tensors = load_weights(made.trained)
    (made.trained / "model.safetensors").unlink()
    torch.save(tensors, made.trained / "pytorch_model.bin")
    assert whole(compare(made, tmp_path / "run"), "weight.coverage") == 1.0


def test_steps_and_blocks_of_parts_of_a_packed_weight(tmp_path: Path) -> None:
    """Rows keep their steps exactly; a transpose has the block's mean, and its blocks are no longer in place."""
    source, _ = encoded(tmp_path / "m", "awq", gaussian(*SHAPE))
    size = SHAPE[0] * SHAPE[1]
    rows = {"q": ((0, 128),), "kv": ((128, 128),)}
    parts = {
        name: View(source="m.weight", shape=(128, 384), rows=256, columns=384, picked=picked)
        for name, picked in rows.items()
    }
    cut = DerivedSource(source, parts)
    assert isinstance(source, QuantisedSource)
    whole_steps = source.step_sq("m.weight", 0, size) or 0
    assert cut.step_sq("q", 0, size // 2) == source.step_sq("m.weight", 0, size // 2)
    assert cut.step_sq("kv", 5, 900) == source.step_sq("m.weight", size // 2 + 5, size // 2 + 900)
    assert all(cut.tensors[name].quantisation.in_place for name in parts)  # type: ignore[union-attr]
    view = View(source="m.weight", shape=(384, 256), rows=256, columns=384, transposed=True)
    turned = DerivedSource(source, {"t": view})
    assert turned.step_sq("t", 0, size // 4) == pytest.approx(whole_steps / 4, rel=1e-12)
    assert turned.tensors["t"].quantisation is not None and not turned.tensors["t"].quantisation.in_place


def test_fused_weights_that_are_quantised_are_compared_in_parts(tmp_path: Path) -> None:
    """A Phi-3 whose q, k and v are one packed weight, against the same model with three plain ones."""
    base = tiny_checkpoint(tmp_path / "base", hidden=128, layers=1)
    tensors = load_weights(base)
    trained = tiny_checkpoint(tmp_path / "trained", hidden=128, layers=1)
    block = "model.layers.0.self_attn"
    fused = torch.cat([tensors.pop(f"{block}.{key}_proj.weight") for key in "qkv"])
    save_weights(trained, {**tensors, f"{block}.qkv_proj.weight": fused})
    config = read_json(trained / "config.json")
    write_json(trained / "config.json", {**config, "model_type": "phi3", "architectures": ["Phi3ForCausalLM"]})
    quantise_checkpoint(trained, "bnb-int8")
    report = compare(Pair(base=base, trained=trained), tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    codes = by_tensor(report, "weight.quantisation.codes_changed")
    assert {f"{block}.{key}_proj.weight" for key in "qkv"} <= codes.keys()
    assert set(codes.values()) == {0.0}
    ratios = by_tensor(report, "weight.quantisation.ratio")
    assert all(0.9 < value < 1.1 for value in ratios.values())


# --- what cannot be read


def _hqq(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    codes = torch.zeros(weight.numel() // 2, dtype=torch.uint8)
    return {"W_q": codes, "scale": torch.ones(4), "zero": torch.ones(4), "nbits": torch.tensor([4])}


def _colours(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    parts = ENCODINGS["bnb-int8"].encode(weight)[0]
    return {**parts, "weight_format": torch.tensor(2, dtype=torch.uint8)}


def _broken_state(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    blob = torch.tensor(list(json.dumps({"blocksize": 64}).encode()), dtype=torch.uint8)
    return {**four_bits(weight)[0], "weight.quant_state.bitsandbytes__nf4": blob}


def _wrong_absmax(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    parts = four_bits(weight)[0]
    return {**parts, "weight.absmax": parts["weight.absmax"][:-1].clone()}


def _five_bits(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    rows, columns = weight.shape
    return {
        "qweight": torch.zeros(columns * 5 // 32, rows, dtype=torch.int32),
        "qzeros": torch.zeros(1, rows * 5 // 32, dtype=torch.int32),
        "scales": torch.ones(1, rows),
    }


def _no_zeros(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: part for name, part in gptq(weight)[0].items() if name != "qzeros"}


def _wrong_scales(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**fp8_blocks(weight)[0], "weight_scale_inv": torch.ones(3, 3)}


def _short_shape(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**ENCODINGS["packed-int4"].encode(weight)[0], "weight_shape": torch.tensor([128])}


def _unknown_bytes(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"weight": torch.zeros(weight.shape, dtype=torch.uint8), "weight_codebook": torch.ones(256)}


def _wrong_nvfp4(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**nvfp4(weight)[0], "weight_scale": torch.ones(2, 2).to(torch.float8_e4m3fn)}


@pytest.mark.parametrize(
    ("make", "settings", "said"),
    [
        (_hqq, {"quant_method": "hqq"}, "the packing of hqq with nbits, scale, zero beside it"),
        (_hqq, {}, "the packing of HQQ"),
        (_colours, {}, "layout of one kind of GPU"),
        (_broken_state, {}, "quantisation state is malformed"),
        (_wrong_absmax, {}, "do not fit the shape (128, 256) in blocks of 64"),
        (_five_bits, {}, "fit no known packing"),
        (_no_zeros, {}, "no qzeros"),
        (lambda weight: gptq(weight)[0], {"checkpoint_format": "marlin"}, "GPTQ in the format 'marlin'"),
        (lambda weight: ENCODINGS["awq"].encode(weight)[0], {"version": "gemv"}, "AWQ in the format 'gemv'"),
        (
            lambda weight: gptq(weight)[0],
            {"quant_method": "auto-round", "packing_format": "auto_round"},
            "'auto_round'",
        ),
        (_wrong_scales, {}, "does not fit its shape (128, 256)"),
        (_unknown_bytes, {"quant_method": "new"}, "the packing of new with weight_codebook beside it"),
        (_short_shape, {}, "only 32-bit words with weight_scale and weight_shape"),
        (_wrong_nvfp4, {}, "E4M3 scale for every 16 inputs"),
    ],
    ids=[
        "HQQ", "HQQ by names", "int8 of a GPU", "4-bit state", "4-bit blocks", "GPTQ of 5 bits", "GPTQ without zeros",
        "Marlin", "AWQ gemv", "AutoRound", "fp8 scales", "unknown", "packed shape", "NVFP4 scales",
    ],
)  # fmt: skip
def test_a_packing_that_is_not_known_is_named_counted_and_refused(
    make: Callable[[torch.Tensor], dict[str, torch.Tensor]], settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """One weight in an unknown packing: exactly its parameters are missing from coverage, no more and no less."""
    made = Pair(base=tiny_checkpoint(tmp_path / "base", hidden=128, layers=1), trained=tmp_path / "trained")
    tiny_checkpoint(made.trained, hidden=128, layers=1)
    tensors = load_weights(made.trained)
    weight = tensors.pop(PLANTED)
    stem = PLANTED.removesuffix("weight")
    save_weights(made.trained, {**tensors, **{f"{stem}{part}": value for part, value in make(weight).items()}})
    config = read_json(made.trained / "config.json")
    write_json(made.trained / "config.json", {**config, "quantization_config": settings})
    report = compare(made, tmp_path / "run")
    parameters = sum(value.numel() for value in load_weights(made.base).values())
    assert whole(report, "weight.coverage.unexplained") == pytest.approx(weight.numel() / parameters, rel=1e-12)
    assert whole(report, "weight.coverage") == pytest.approx(1 - weight.numel() / parameters, rel=1e-12)
    states = {m.scope.subset: m.value for m in report.measurements("weight.coverage.tensors") if m.value}
    assert states == {"matched": TENSORS - 1, "unsupported": 1}
    (example,) = finding(report, "weight.incomplete_coverage").examples
    assert example.label == PLANTED
    assert said in (example.note or "")
    assert "dequantise" in (example.note or "")


def test_an_eight_bit_float_without_a_scale_stays_what_it_is(tmp_path: Path) -> None:
    source = stored(tmp_path / "m", {"m.weight": gaussian(8, 8).to(torch.float8_e4m3fn), "m.bias": torch.zeros(8)})
    assert source.tensors["m.weight"] == TensorInfo(name="m.weight", dtype="F8_E4M3", shape=(8, 8))


def test_an_empty_weight_is_no_error(tmp_path: Path) -> None:
    tensors = {"m.weight": torch.zeros(0, 8).to(torch.float8_e4m3fn), "m.weight_scale_inv": torch.ones(1, 1)}
    assert stored(tmp_path / "m", tensors).tensors["m.weight"].numel == 0


def test_integer_buffers_beside_plain_weights_are_left_alone(tmp_path: Path) -> None:
    tensors = {"m.weight": gaussian(8, 8), "m.indices": torch.arange(4, dtype=torch.int32)}
    source = stored(tmp_path / "m", tensors)
    assert {name: info.dtype for name, info in source.tensors.items()} == {"m.weight": "F32", "m.indices": "I32"}
