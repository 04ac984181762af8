"""What quantisation explains of a change: the floor from the steps, the rest, and the codes of a mere copy."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from afterburn_core.api import Diagnoser, DiagnosticReport
from afterburn_core.backends.tensors import Quantisation, TensorInfo
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Finding, Measurement, Scope, Subject
from afterburn_core.run.naming import scope_of
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.sums import PairSums
from afterburn_core.testing.checkpoints import load_weights, save_weights, tiny_checkpoint, write_json
from afterburn_core.testing.pairs import Pair
from afterburn_core.testing.quantise import ENCODINGS, quantise_checkpoint
from afterburn_weight import quantisers
from afterburn_weight.quantisation import ADAPTER, NOT_QUANTISED, Quantised
from afterburn_weight.quantisation_judge import Judge
from afterburn_weight.quantisation_options import QuantisationOptions
from afterburn_weight.requantisation import Requantised

Q0, Q1 = "model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.q_proj.weight"
NORM, PLANTED = "model.norm.weight", "model.layers.0.mlp.down_proj.weight"
INT8 = Quantisation(method="bitsandbytes", code="int8", bits=8)
NF4 = Quantisation(method="bitsandbytes", code="nf4", bits=4, group=64)
GPTQ = Quantisation(method="gptq", code="uint4", bits=4, group=128)
# Σw² = 3 and Σδ² = .75: relative change .5
SUMS = PairSums(n=4, base_sq=3.0, trained_sq=3.5, delta_sq=0.75, base_step_sq=100.0, trained_step_sq=200.0)
STEPS = 12 * 3 * 0.16  # floor .4


def pair(
    name: str = Q0,
    *,
    base: Quantisation | None = None,
    trained: Quantisation | None = None,
    sums: PairSums | None = SUMS,
    values: tuple[torch.Tensor, torch.Tensor] | None = None,
    **other: Any,
) -> WeightPair:
    shape = tuple(values[0].shape) if values is not None else (2, 2)
    infos = [TensorInfo(name=name, dtype="F32", shape=shape, quantisation=kind) for kind in (base, trained)]
    return WeightPair(
        **{
            "name": name, "scope": scope_of(name), "state": "matched", "base": infos[0], "trained": infos[1],
            "compared": math.prod(shape), "union": math.prod(shape), "explained": True, "sums": sums,
            "read_values": None if values is None else lambda: values, **other,
        }
    )  # fmt: skip


def subject(role: Any, kind: Any = "checkpoint", **properties: Any) -> Subject:
    return Subject(
        id=role, role=role, kind=kind, label=role, digest="0" * 64, backend="core.checkpoint", properties=properties
    )


def output(kind: type, *pairs: WeightPair, trained: str = "checkpoint") -> AnalyzerOutput:
    analyzer: Any = kind()
    analyzer.begin(AnalyzerContext(subjects=(subject("base"), subject("trained", trained)), seed=0))
    for item in pairs:
        analyzer.observe(item)
    found: AnalyzerOutput = analyzer.finish()
    return found


def at(found: AnalyzerOutput, metric: str, scope: Scope | None = None) -> Measurement:
    (only,) = [
        m for m in found.measurements if m.metric == f"weight.quantisation.{metric}" and m.scope == (scope or Scope())
    ]
    return only


def value(found: AnalyzerOutput, metric: str, scope: Scope | None = None) -> float:
    measured = at(found, metric, scope).value
    assert measured is not None
    return measured


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.02


# --- floor, excess, ratio


def test_floor_excess_and_ratio_of_known_sums() -> None:
    """floor² = .16, relative² = .25: the rest is .09."""
    sums = attrs.evolve(SUMS, trained_step_sq=STEPS)
    found = output(Quantised, pair(trained=NF4, sums=sums))
    for scope in (scope_of(Q0), Scope()):
        assert value(found, "floor", scope) == pytest.approx(0.4, rel=1e-15)
        assert value(found, "excess", scope) == pytest.approx(0.3, rel=1e-14)
        assert value(found, "ratio", scope) == pytest.approx(1.25, rel=1e-15)
        assert at(found, "floor", scope).n == 4


@pytest.mark.parametrize(
    ("sides", "steps"), [({"base": NF4}, 100.0), ({"trained": NF4}, 200.0), ({"base": NF4, "trained": INT8}, 300.0)]
)
def test_only_the_steps_of_quantised_sides_count(sides: dict[str, Quantisation], steps: float) -> None:
    found = output(Quantised, pair(sums=SUMS, **sides))
    assert value(found, "floor") == pytest.approx(math.sqrt(steps / 12 / 3), rel=1e-15)


def test_a_change_below_the_floor_leaves_nothing() -> None:
    sums = attrs.evolve(SUMS, trained_step_sq=4 * STEPS)
    found = output(Quantised, pair(trained=NF4, sums=sums))
    assert value(found, "excess") == 0.0
    assert value(found, "ratio") == pytest.approx(0.625)


def test_roll_ups_are_over_quantised_tensors_alone_and_add_energies() -> None:
    one = attrs.evolve(SUMS, trained_step_sq=STEPS)
    two = attrs.evolve(SUMS, base_sq=9.0, delta_sq=0.0, trained_step_sq=0.0)
    found = output(Quantised, pair(Q0, trained=NF4, sums=one), pair(Q1, trained=NF4, sums=two), pair(NORM))
    assert value(found, "floor") == pytest.approx(math.sqrt(STEPS / 12 / 12), rel=1e-15)
    assert value(found, "floor", Scope(module="q")) == value(found, "floor")
    assert value(found, "floor", Scope(layer=0)) == pytest.approx(0.4)
    assert at(found, "ratio", Scope(layer=1)).reason == "every step is zero"
    assert {m.scope.tensor for m in found.measurements if m.scope.tensor} == {Q0, Q1}


def test_merging_instances_gives_the_same() -> None:
    pairs = [pair(Q0, trained=NF4), pair(Q1, trained=NF4, sums=attrs.evolve(SUMS, delta_sq=0.5))]
    left, right = Quantised(), Quantised()
    left.observe(pairs[0])
    right.observe(pairs[1])
    left.merge(right)
    assert left.finish() == output(Quantised, *pairs)


@pytest.mark.parametrize("kind", [Quantised, Requantised])
def test_where_nothing_is_quantised_there_is_one_undefined_number_and_a_reason(kind: type) -> None:
    found = output(kind, pair(), pair(NORM))
    assert {(m.scope, m.value, m.reason) for m in found.measurements} == {(Scope(), None, NOT_QUANTISED)}


@pytest.mark.parametrize("kind", [Quantised, Requantised])
def test_an_adapter_shares_the_error_of_its_base(kind: type) -> None:
    found = output(kind, pair(base=NF4, trained=NF4), trained="adapter")
    assert {(m.scope, m.value, m.reason) for m in found.measurements} == {(Scope(), None, ADAPTER)}


@pytest.mark.parametrize("kind", [Quantised, Requantised])
def test_an_adapter_on_a_plain_base_has_nothing_to_do_with_quantisation(kind: type) -> None:
    found = output(kind, pair(), pair(NORM), trained="adapter")
    assert {(m.scope, m.value, m.reason) for m in found.measurements} == {(Scope(), None, NOT_QUANTISED)}


@pytest.mark.parametrize("kind", [Quantised, Requantised])
def test_whether_an_adapters_base_is_quantised_survives_merging(kind: type) -> None:
    parts: list[Any] = [kind(), kind()]
    for part, base in zip(parts, (None, NF4), strict=True):
        part.begin(AnalyzerContext(subjects=(subject("base"), subject("trained", "adapter")), seed=0))
        part.observe(pair(base=base, trained=base))
    parts[0].merge(parts[1])
    assert {m.reason for m in parts[0].finish().measurements} == {ADAPTER}


def test_steps_that_are_not_known_are_said_to_be_so() -> None:
    blind = attrs.evolve(NF4, method="gguf", code="IQ2_S", steps=False)
    found = output(Quantised, pair(Q0, trained=blind), pair(Q1, trained=NF4))
    assert at(found, "ratio", scope_of(Q0)).reason == "the steps of IQ2_S are not known"
    assert value(found, "floor") == value(found, "floor", scope_of(Q1))
    assert at(found, "floor").reason == "left out: 1 tensors whose steps are not known"
    alone = output(Quantised, pair(Q0, trained=blind))
    assert (at(alone, "floor").value, at(alone, "floor").reason) == (None, at(found, "floor").reason)


def test_a_zero_base_has_no_ratio() -> None:
    found = output(Quantised, pair(trained=NF4, sums=attrs.evolve(SUMS, base_sq=0.0)))
    assert at(found, "floor").reason == "all weights of base are zero"


# --- codes

REPEATABLE = {
    "bnb-int8": INT8,
    "bnb-nf4": NF4,
    "bnb-nf4-double": NF4,
    "bnb-fp4": attrs.evolve(NF4, code="fp4"),
    "fp8-blocks": Quantisation(method="fp8", code="e4m3", bits=8, group=128, rows=128),
    "fp8-channels": Quantisation(method="fp8", code="e4m3", bits=8, scale="BF16"),
    "fp8-tensor": Quantisation(method="fp8", code="e5m2", bits=8, rows=None),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("encoding", sorted(REPEATABLE))
def test_a_quantised_copy_has_no_other_codes(encoding: str, dtype: torch.dtype) -> None:
    weight = gaussian(200, 256, seed=3).to(dtype)
    _, values = ENCODINGS[encoding].encode(weight)
    assert not torch.equal(values, weight.float())
    found = output(Requantised, pair(trained=REPEATABLE[encoding], values=(weight.double(), values.double())))
    assert value(found, "codes_changed", scope_of(Q0)) == value(found, "codes_changed") == 0.0
    assert at(found, "codes_changed").n == weight.numel()


@pytest.mark.parametrize("encoding", sorted(REPEATABLE))
def test_as_many_codes_differ_as_were_moved(encoding: str) -> None:
    """Seven entries, none of them the largest of its block, go to 0 from far away: exactly seven codes change."""
    weight = gaussian(128, 256, seed=4)
    trained = weight.clone()
    rows = torch.arange(7) * 18
    for row in rows:
        block = weight[row, :64].abs()
        second = int(block.argsort()[-3])
        trained[row, second] = 0.0
    _, values = ENCODINGS[encoding].encode(trained)
    found = output(Requantised, pair(trained=REPEATABLE[encoding], values=(weight.double(), values.double())))
    assert value(found, "codes_changed") == 7 / weight.numel()


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_0", "Q4_1", "Q5_1"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ggufs_own_codes_are_repeated(kind: str, dtype: torch.dtype) -> None:
    gguf = pytest.importorskip("gguf")
    quants = pytest.importorskip("gguf.quants")
    weight = gaussian(64, 256, seed=5).to(dtype).float()
    qtype = gguf.GGMLQuantizationType[kind]
    values = torch.from_numpy(quants.dequantize(quants.quantize(weight.numpy(), qtype), qtype))
    quantisation = Quantisation(method="gguf", code=kind, bits=int(kind[1]), group=32, scale="F16")
    assert quantisers.changed_codes(weight.double(), values.double(), quantisation) == 0
    moved = weight.clone()
    moved[3, 5] += 20 * 0.02
    values = torch.from_numpy(quants.dequantize(quants.quantize(moved.numpy(), qtype), qtype))
    assert 1 <= quantisers.changed_codes(weight.double(), values.double(), quantisation) <= 32


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_bitsandbytes_own_codes_are_repeated(kind: str) -> None:
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = gaussian(96, 128, seed=6).bfloat16()
    values = functional.dequantize_4bit(*functional.quantize_4bit(weight.float(), quant_type=kind, blocksize=64))
    changed = quantisers.changed_codes(weight.double(), values.double(), attrs.evolve(NF4, code=kind))
    assert changed / weight.numel() <= QuantisationOptions().codes
    codes, scales, _ = functional.int8_vectorwise_quant(weight.half())
    values = functional.int8_vectorwise_dequant(codes, scales)
    assert quantisers.changed_codes(weight.double(), values.double(), INT8) / weight.numel() <= 1e-3


@pytest.mark.parametrize("encoding", sorted(REPEATABLE))
@pytest.mark.parametrize("shape", [(200, 300), (130, 64), (3, 100)])
def test_bands_do_not_matter(encoding: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    base, trained = gaussian(*shape, seed=1), gaussian(*shape, seed=1) + gaussian(*shape, seed=2) / 4
    kind = REPEATABLE[encoding]
    whole = quantisers.changed_codes(base, trained, kind)
    assert 0 < whole < base.numel()
    monkeypatch.setattr(quantisers, "_BAND", 1)
    assert quantisers.changed_codes(base, trained, kind) == whole


def test_blocks_are_those_that_share_a_scale() -> None:
    """Marking each element with its block and reading the blocks back."""
    values = torch.arange(200)[:, None] // 128 * 10 + torch.arange(300)[None] // 128
    blocks = list(quantisers._blocks(values, REPEATABLE["fp8-blocks"]))
    assert sum(block.shape[0] for block in blocks) == 2 * 3
    for block in torch.cat(blocks):
        assert len(set(block[block > 0].tolist())) <= 1  # 0 is padding
    flat = torch.cat(list(quantisers._blocks(torch.arange(300).view(3, 100), NF4)))
    assert flat.shape == (5, 64) and flat.reshape(-1)[:300].tolist() == list(range(300))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"trained": GPTQ}, "gptq uint4 depends on more than the weights"),
        ({"trained": attrs.evolve(NF4, in_place=False)}, "the blocks that share a scale are cut or turned"),
        ({"base": NF4, "trained": INT8}, "the sides are quantised in different ways"),
        ({"trained": NF4, "compared": 3}, "rows were paired, so blocks differ"),
        ({"trained": NF4, "sums": attrs.evolve(SUMS, base_nonfinite=1)}, "the tensor holds NaN or infinite values"),
    ],
)
def test_what_cannot_be_quantised_again_says_why(made: dict[str, Any], reason: str) -> None:
    found = output(Requantised, pair(**made))
    assert at(found, "codes_changed", scope_of(Q0)).reason == reason
    assert (at(found, "codes_changed").value, at(found, "codes_changed").reason) == (None, reason)


def test_two_copies_quantised_alike_are_compared_by_their_codes() -> None:
    one, two = (ENCODINGS["bnb-nf4"].encode(gaussian(64, 64, seed=seed))[1].double() for seed in (1, 1))
    found = output(Requantised, pair(base=NF4, trained=NF4, values=(one, two)))
    assert value(found, "codes_changed") == 0.0


# --- whole comparisons


def quantised(tmp_path: Path, encoding: str, change: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Pair:
    """A checkpoint and a quantised copy of it, in which `PLANTED` is changed before."""
    made = Pair(base=tmp_path / "base", trained=tmp_path / "trained")
    for directory in (made.base, made.trained):
        tiny_checkpoint(directory, hidden=128, layers=1)
    if change is not None:
        tensors = load_weights(made.trained)
        tensors[PLANTED] = change(tensors[PLANTED].float()).bfloat16()
        save_weights(made.trained, tensors)
    quantise_checkpoint(made.trained, encoding)
    return made


def compare(made: Pair, run: Path) -> DiagnosticReport:
    return Diagnoser(made.base, made.trained, run_dir=run, use_cache=False, threads=2).run_weight_diff()


def finding(report: DiagnosticReport) -> Finding:
    (found,) = (f for f in report.findings if f.rule == "weight.quantised")
    return found


def whole(report: DiagnosticReport, metric: str) -> float | None:
    (found,) = (m for m in report.measurements(f"weight.quantisation.{metric}") if m.scope == Scope())
    return found.value


@pytest.mark.parametrize("encoding", ["bnb-nf4-double", "bnb-int8", "fp8-blocks", "packed-int4", "nvfp4", "mlx-4"])
def test_a_quantised_copy_is_called_one(encoding: str, tmp_path: Path) -> None:
    report = compare(quantised(tmp_path, encoding), tmp_path / "run")
    assert 0.9 < (whole(report, "ratio") or 0) < 1.1
    said = finding(report)
    assert said.kind == "informational"
    if encoding in REPEATABLE:
        assert whole(report, "codes_changed") == 0.0
        assert "a mere copy" in said.message
    else:
        assert whole(report, "codes_changed") is None
        assert "by size alone it is a quantised copy" in said.message


@pytest.mark.parametrize("encoding", ["bnb-nf4", "gptq-4", "packed-int4"])
def test_training_shows_as_what_quantisation_does_not_explain(encoding: str, tmp_path: Path) -> None:
    def train(weight: torch.Tensor) -> torch.Tensor:
        delta = gaussian(*weight.shape, seed=9)
        return weight + 0.3 * delta * weight.norm() / delta.norm()

    report = compare(quantised(tmp_path, encoding, train), tmp_path / "run")
    excess = {m.scope.tensor: m.value for m in report.measurements("weight.quantisation.excess") if m.scope.tensor}
    assert excess.pop(PLANTED) == pytest.approx(0.3, rel=0.03)
    assert max(v for v in excess.values() if v is not None) < 0.05
    said = finding(report)
    assert "1 of them changed by more" in said.message and PLANTED in said.message
    assert ("GPTQ itself moves weights" in said.message) == (encoding == "gptq-4")


def test_a_change_within_rounding_shows_in_the_codes(tmp_path: Path) -> None:
    """A fiftieth of the norm is far below the floor of 4 bits, .09; one code in twenty notices."""
    report = compare(
        quantised(tmp_path, "bnb-nf4", lambda weight: weight + 0.02 * gaussian(*weight.shape, seed=8) * 2.5),
        tmp_path / "run",
    )
    codes = {m.scope.tensor: m.value for m in report.measurements("weight.quantisation.codes_changed")}
    assert 0.01 < (codes.pop(PLANTED) or 0) < 0.2
    assert {v for name, v in codes.items() if name} == {0.0}
    assert "of the codes differ, so there is a change within rounding" in finding(report).message


def test_full_precision_pairs_are_not_spoken_of(tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base")
    said = finding(compare(Pair(base=base, trained=tiny_checkpoint(tmp_path / "t", seed=1)), tmp_path / "run"))
    assert (said.kind, said.level, said.message) == ("not_applicable", "none", "Neither side is quantised")


def test_an_adapter_on_a_quantised_base_is_told_from_its_quantisation(tmp_path: Path) -> None:
    base, adapter = tiny_checkpoint(tmp_path / "base", hidden=128, layers=1), tmp_path / "adapter"
    quantise_checkpoint(base, "bnb-nf4-double")
    adapter.mkdir()
    module = f"base_model.model.{PLANTED.removesuffix('.weight')}"
    factors = {f"{module}.lora_A.weight": gaussian(4, 256), f"{module}.lora_B.weight": gaussian(128, 4, seed=1)}
    save_file(factors, adapter / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["down_proj"], "bias": "none"}
    write_json(adapter / "adapter_config.json", {**settings, "base_model_name_or_path": "../base"})
    said = finding(compare(Pair(base=base, trained=adapter), tmp_path / "run"))
    assert said.kind == "informational"
    assert said.message == f"The base model is quantised (bitsandbytes nf4): {ADAPTER}"


@pytest.mark.parametrize("relative", [0.05, 0.1, 0.3])
def test_the_excess_is_the_size_of_training_over_seeds(relative: float) -> None:
    """Independent Gaussian training of known size in 8-bit codes; the mean over seeds is unbiased within 1 %."""
    found = []
    for seed in range(20):
        weight, delta = gaussian(64, 256, seed=seed), gaussian(64, 256, seed=1000 + seed)
        trained = weight + delta * (relative * weight.norm() / delta.norm())
        parts, values = ENCODINGS["bnb-int8"].encode(trained)
        change = (values - weight).double()
        sums = PairSums(
            n=weight.numel(),
            base_sq=float(weight.double().square().sum()),
            trained_sq=float(values.double().square().sum()),
            delta_sq=float(change.square().sum()),
            trained_step_sq=float((parts["SCB"].double() / 127).square().sum() * 256),
        )
        found.append(value(output(Quantised, pair(trained=INT8, sums=sums)), "excess"))
    assert np.mean(found) == pytest.approx(relative, rel=0.01)


# --- the judge


def judged(*measurements: Measurement, **properties: Any) -> Finding:
    subjects = (subject("base"), subject("trained", **properties))
    (found,) = Judge(QuantisationOptions())(Evidence(subjects=subjects, measurements=measurements))
    return found


def test_without_measurements_the_rule_is_open() -> None:
    assert (judged().kind, judged().message) == ("open", "Not measured: weight.quantisation")


def test_equal_quantised_weights_pass() -> None:
    known = [
        measure("weight.quantisation.floor", 0.1),
        *(measure(f"weight.quantisation.{n}", 0.0) for n in ("excess", "ratio")),
    ]
    said = judged(*known, quantisation=[{"method": "bitsandbytes", "code": "nf4"}])
    assert (said.kind, said.level) == ("pass", "none")
    assert said.message == "The trained model is quantised (bitsandbytes nf4): no quantised weight differs"


def test_an_unknown_error_is_for_review() -> None:
    reason = "left out: 3 tensors whose steps are not known"
    said = judged(
        *(undefined(f"weight.quantisation.{name}", reason) for name in ("floor", "excess", "ratio")),
        quantisation=[{"method": "gguf", "code": "IQ2_S"}],
    )
    assert said.kind == "review"
    assert said.message == f"The trained model is quantised (gguf IQ2_S): its error is not known ({reason})"


def test_the_largest_tensors_are_named_first() -> None:
    sizes = {Q0: 1.1, Q1: 3.0, PLANTED: 2.0}
    known = [measure(f"weight.quantisation.{name}", 1.0) for name in ("floor", "excess", "ratio")]
    said = judged(*known, *(measure("weight.quantisation.ratio", v, scope=scope_of(n)) for n, v in sizes.items()))
    assert f"2 of them changed by more, 100 % besides over all, most in {Q1}, {PLANTED}" in said.message
    assert said.message.startswith("A side is quantised")
