"""GGUF files: names, the order of rows, shifted norms, experts and every quantiser, against the package's own writer.

The files are made here as llama.cpp's converter makes them, with the package's map from Hugging Face names.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from afterburn_core.api import Diagnoser, DiagnosticReport
from afterburn_core.backends.gguf_file import GgufFile, read_index
from afterburn_core.backends.gguf_steps import squared_steps
from afterburn_core.errors import SubjectError
from afterburn_core.plugin.registry import Registry
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import open_subject
from afterburn_core.testing.checkpoints import load_weights, save_weights, tiny_checkpoint

gguf = pytest.importorskip("gguf")
quants = pytest.importorskip("gguf.quants")

Arrays = dict[str, np.ndarray]
PLANTED = "model.layers.0.mlp.down_proj.weight"
HEADS, KEYS = 4, 2


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """As the converter has it (`LlamaModel.permute`)."""
    return (
        weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)
    )


def converted(tensors: Mapping[str, np.ndarray], architecture: str) -> Arrays:
    """Tensors under GGUF names, as the converter of that architecture changes them."""
    enum = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture)
    names = gguf.get_tensor_name_map(enum, 8)
    found: Arrays = {}
    experts: dict[str, dict[int, np.ndarray]] = {}
    for name, value in tensors.items():
        if architecture == "llama" and name.endswith(("q_proj.weight", "q_proj.bias")):
            value = permuted(value, HEADS)
        if architecture == "llama" and name.endswith(("k_proj.weight", "k_proj.bias")):
            value = permuted(value, KEYS)
        if architecture in {"gemma", "gemma2", "gemma3", "nemotron"} and name.endswith("norm.weight"):
            value = value + np.float32(1)
        before, _, after = name.partition(".experts.")
        if after:
            number, _, rest = after.partition(".")
            experts.setdefault(f"{before}.experts.{rest}", {})[int(number)] = value
            continue
        found[names.get_name(name, try_suffixes=(".weight", ".bias"))] = np.squeeze(value)
    for name, parts in experts.items():
        stacked = np.stack([parts[number] for number in sorted(parts)])
        found[names.get_name(name, try_suffixes=(".weight",))] = stacked
    assert None not in found
    return found


def write(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    architecture: str = "llama",
    *,
    kinds: Mapping[str, str] | None = None,
    split: int = 0,
    tokens: int = 0,
) -> Path:
    """A GGUF file; `kinds` names the quantiser of tensors that are not stored as float32."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEYS)
    if split:
        writer.add_uint16("split.count", split)
    if tokens:
        writer.add_token_list([f"word{i}" for i in range(tokens)])
    for name, value in tensors.items():
        kind = gguf.GGMLQuantizationType[(kinds or {}).get(name, "F32")]
        if value.dtype == np.uint8:  # blocks made elsewhere
            writer.add_tensor(name, value, raw_dtype=kind)
        elif kind.name == "F32":
            writer.add_tensor(name, value.astype(np.float32))
        else:
            writer.add_tensor(name, quants.quantize(value.astype(np.float32), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def compare(base: Path, trained: Path, run: Path) -> DiagnosticReport:
    return Diagnoser(base, trained, run_dir=run, use_cache=False, threads=2).run_weight_diff()


def whole(report: DiagnosticReport, metric: str) -> float:
    (value,) = (m.value for m in report.measurements(metric) if m.scope.key() == "model" and len(m.subjects) == 2)
    assert value is not None
    return value


def by_tensor(report: DiagnosticReport, metric: str) -> dict[str, float]:
    found = [m for m in report.measurements(metric) if m.scope.tensor and m.value is not None]
    return {m.scope.tensor or "": m.value or 0.0 for m in found}


def arrays(directory: Path) -> Arrays:
    found: dict[str, torch.Tensor] = {}
    for file in sorted(directory.glob("*.safetensors")):
        found |= load_file(file)
    return {name: value.float().numpy() for name, value in found.items()}


# --- names and conventions


@attrs.frozen(kw_only=True)
class Architecture:
    model: str
    config: str
    stored_as: str
    settings: Mapping[str, Any] = attrs.field(factory=dict)


_SIZE: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "num_attention_heads": HEADS, "intermediate_size": 64, "num_hidden_layers": 2,
    "max_position_embeddings": 32, "num_key_value_heads": KEYS, "pad_token_id": 0,
}  # fmt: skip
_MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
ARCHITECTURES = {
    "llama": Architecture(model="LlamaForCausalLM", config="LlamaConfig", stored_as="llama"),
    "llama-bias": Architecture(
        model="LlamaForCausalLM", config="LlamaConfig", stored_as="llama", settings={"attention_bias": True}
    ),
    "mistral": Architecture(model="MistralForCausalLM", config="MistralConfig", stored_as="llama"),
    "mixtral": Architecture(
        model="MixtralForCausalLM", config="MixtralConfig", stored_as="llama", settings={"num_local_experts": 4}
    ),
    "qwen2": Architecture(model="Qwen2ForCausalLM", config="Qwen2Config", stored_as="qwen2"),
    "qwen2moe": Architecture(
        model="Qwen2MoeForCausalLM", config="Qwen2MoeConfig", stored_as="qwen2moe",
        settings={**_MOE, "shared_expert_intermediate_size": 32},
    ),
    "qwen3": Architecture(
        model="Qwen3ForCausalLM", config="Qwen3Config", stored_as="qwen3",
        settings={"head_dim": 16, "tie_word_embeddings": True},
    ),
    "qwen3moe": Architecture(
        model="Qwen3MoeForCausalLM", config="Qwen3MoeConfig", stored_as="qwen3moe", settings={**_MOE, "head_dim": 16}
    ),
    "gemma": Architecture(
        model="GemmaForCausalLM", config="GemmaConfig", stored_as="gemma", settings={"head_dim": 16}
    ),
    "gemma2": Architecture(
        model="Gemma2ForCausalLM", config="Gemma2Config", stored_as="gemma2", settings={"head_dim": 16}
    ),
    "gemma3": Architecture(
        model="Gemma3ForCausalLM", config="Gemma3TextConfig", stored_as="gemma3", settings={"head_dim": 16}
    ),
    "phi3": Architecture(model="Phi3ForCausalLM", config="Phi3Config", stored_as="phi3"),
    "nemotron": Architecture(model="NemotronForCausalLM", config="NemotronConfig", stored_as="nemotron"),
}  # fmt: skip


def build(directory: Path, architecture: Architecture) -> Path:
    """A tiny random model of transformers, float32; norms in 64ths, so that adding 1 to them is exact."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own, about its own
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        config = getattr(transformers, architecture.config)(**{**_SIZE, **architecture.settings})
        with torch.random.fork_rng():
            model = getattr(transformers, architecture.model)(config)
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for name, value in model.state_dict().items():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.05)
                if "norm" in name:
                    value.copy_(torch.round(value * 640) / 64 + 0.0)  # −0 would come back as 0
        model.float().save_pretrained(directory)
    return directory


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_same_weights_as_gguf_are_found_equal_tensor_by_tensor(name: str, tmp_path: Path) -> None:
    """Every name is paired, q and k are in the original order and norms unshifted: no entry differs by a bit."""
    architecture = ARCHITECTURES[name]
    base = build(tmp_path / "base", architecture)
    file = write(tmp_path / "m.gguf", converted(arrays(base), architecture.stored_as), architecture.stored_as)
    report = compare(base, file, tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    assert whole(report, "weight.coverage.unexplained") == 0.0
    assert set(by_tensor(report, "weight.delta.changed_fraction").values()) == {0.0}


def test_the_order_of_rows_matters(tmp_path: Path) -> None:
    """The comparison above would notice rows left in llama.cpp's order."""
    base = build(tmp_path / "base", ARCHITECTURES["llama"])
    tensors = converted(arrays(base), "llama")
    tensors["blk.1.attn_q.weight"] = permuted(tensors["blk.1.attn_q.weight"], HEADS)
    changed = by_tensor(
        compare(base, write(tmp_path / "m.gguf", tensors), tmp_path / "run"), "weight.delta.changed_fraction"
    )
    assert {name for name, value in changed.items() if value} == {"model.layers.1.self_attn.q_proj.weight"}


def test_a_head_that_the_file_leaves_out_is_the_embedding(tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base", hidden=32, layers=1, dtype="float32")
    tensors = load_weights(base)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_weights(base, tensors)
    stored = converted(arrays(base), "llama")
    del stored["output.weight"]
    report = compare(base, write(tmp_path / "m.gguf", stored), tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    assert whole(report, "weight.delta.relative") == 0.0


def test_rotary_tables_are_buffers_and_unknown_names_are_counted(tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base", hidden=32, layers=1, dtype="float32")
    stored = converted(arrays(base), "llama")
    extra = {"rope_freqs.weight": np.ones(4, np.float32), "blk.0.new_part.weight": np.ones(10, np.float32)}
    report = compare(base, write(tmp_path / "m.gguf", {**stored, **extra}), tmp_path / "run")
    states = {m.scope.subset: m.value for m in report.measurements("weight.coverage.tensors") if m.value}
    assert states == {"matched": 12, "buffer": 1, "extra": 1}
    parameters = sum(value.size for value in arrays(base).values())
    assert whole(report, "weight.coverage.unexplained") == pytest.approx(10 / (parameters + 10), rel=1e-12)


# --- values


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_rows_read_as_the_package_dequantises_them(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    value = rng.normal(0, 0.02, (16, 96)).astype(np.float32)
    name = "blk.0.attn_q.weight"
    file = read_index(write(tmp_path / "m.gguf", {name: permuted(value, HEADS)}, kinds={name: kind}))
    qtype = gguf.GGMLQuantizationType[kind]
    expected = value if kind == "F32" else quants.dequantize(quants.quantize(value, qtype), qtype)
    logical = "model.layers.0.self_attn.q_proj.weight"
    assert file.tensors[logical].shape == (16, 96)
    assert file.tensors[logical].dtype == (kind if kind in {"F32", "F16", "BF16"} else "F32")
    for start, stop in ((0, 1536), (95, 97), (100, 1_000), (1_535, 1_536), (5, 5)):
        np.testing.assert_array_equal(
            file.read(logical, start, stop).float().numpy(), expected.reshape(-1)[start:stop], strict=True
        )
    file.close()


BLOCKS = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "TQ2_0", "IQ4_NL", "IQ4_XS", "IQ2_S", "Q4_0", "Q5_1", "Q8_0"]
# where the scales of a block lie, as float16
_SCALES = {
    "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "TQ2_0": (64,), "IQ4_NL": (0,),
    "IQ4_XS": (0,), "IQ2_S": (0,), "Q4_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,),
}  # fmt: skip


def random_blocks(kind: str, rows: int, blocks: int, seed: int = 0) -> np.ndarray:
    """Blocks of random codes and scales: what a file of that type may hold."""
    rng = np.random.default_rng(seed)
    _, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    raw = rng.integers(0, 256, (rows * blocks, size), dtype=np.uint8)
    for place in _SCALES[kind]:
        raw[:, place : place + 2] = rng.uniform(0.5e-3, 1e-3, (rows * blocks, 1)).astype(np.float16).view(np.uint8)
    return raw.reshape(rows, blocks * size)


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_of_every_type_read_as_the_package_dequantises_them(kind: str, tmp_path: Path) -> None:
    raw, name = random_blocks(kind, 6, 2), "blk.0.ffn_down.weight"
    file = read_index(write(tmp_path / "m.gguf", {name: raw}, kinds={name: kind}))
    expected = quants.dequantize(raw, gguf.GGMLQuantizationType[kind])
    logical = "model.layers.0.mlp.down_proj.weight"
    info = file.tensors[logical]
    assert (info.shape, info.quantisation is not None and info.quantisation.code) == (expected.shape, kind)
    np.testing.assert_array_equal(file.read(logical, 0, expected.size).numpy(), expected.reshape(-1))
    np.testing.assert_array_equal(file.read(logical, 31, 317).numpy(), expected.reshape(-1)[31:317])
    file.close()


# --- steps


@pytest.mark.parametrize("kind", [kind for kind in BLOCKS if kind not in {"IQ2_S", "IQ4_NL", "IQ4_XS"}])
def test_values_lie_a_whole_number_of_steps_apart(kind: str) -> None:
    """Two blocks with equal scales and other codes differ by multiples of the step, and by single steps somewhere."""
    qtype = gguf.GGMLQuantizationType[kind]
    _, size = gguf.GGML_QUANT_SIZES[qtype]
    one, two = random_blocks(kind, 4, 8, seed=1), random_blocks(kind, 4, 8, seed=2)
    codes = np.ones(size, bool)
    for place in _SCALES[kind]:
        codes[place : place + 2] = False
    scales = {"Q2_K": slice(0, 16), "Q3_K": slice(96, 108), "Q4_K": slice(4, 16), "Q5_K": slice(4, 16)}
    codes[scales.get(kind, slice(0, 0))] = False
    codes[slice(192, 208) if kind == "Q6_K" else slice(0, 0)] = False
    mixed = np.where(codes, two.reshape(-1, size), one.reshape(-1, size)).reshape(one.shape)
    steps = squared_steps(one, qtype, size)
    assert steps is not None
    step = np.sqrt(steps)
    apart = np.abs(quants.dequantize(one, qtype).astype(np.float64) - quants.dequantize(mixed, qtype))[step > 0]
    count = apart / step[step > 0]
    assert np.abs(count - np.round(count)).max() < 1e-3
    assert (np.round(count) == 1).any()


@pytest.mark.parametrize("kind", ["IQ4_NL", "IQ4_XS"])
def test_the_steps_of_a_codebook_are_those_of_equal_error(kind: str) -> None:
    book = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
    qtype = gguf.GGMLQuantizationType[kind]
    raw = random_blocks(kind, 2, 2)
    steps = squared_steps(raw, qtype, gguf.GGML_QUANT_SIZES[qtype][1])
    assert steps is not None
    values, ratios = quants.dequantize(raw, qtype).astype(np.float64), set()
    expected = {}
    for index, level in enumerate(book):
        below = (level - book[index - 1]) / 2 if index else 0.0
        above = (book[index + 1] - level) / 2 if index < 15 else 0.0
        expected[level] = math.sqrt(4 * (below**3 + above**3) / (below + above)) / abs(level)
    for step, value in zip(np.sqrt(steps).reshape(-1), values.reshape(-1)):
        if value:
            ratios.add(round(step / abs(value), 6))
    assert ratios <= {round(ratio, 6) for ratio in expected.values()}
    assert len(ratios) == 16


@pytest.mark.parametrize(("kind", "floor"), [("Q8_0", 0.0053), ("Q4_0", 0.088), ("Q5_1", 0.037), ("Q4_1", 0.077)])
def test_steps_foretell_the_error(kind: str, floor: float, tmp_path: Path) -> None:
    value = np.random.default_rng(3).normal(0, 0.02, (256, 1024)).astype(np.float32)
    name, logical = "blk.0.ffn_down.weight", "model.layers.0.mlp.down_proj.weight"
    file = read_index(write(tmp_path / "m.gguf", {name: value}, kinds={name: kind}))
    read = file.read(logical, 0, value.size).double().numpy()
    error = np.linalg.norm(read - value.reshape(-1)) / np.linalg.norm(value)
    assert error == pytest.approx(floor, rel=0.05)
    cuts = [0, 7, 5_000, 100_000, value.size]
    parts = [file.step_sq(logical, start, stop) for start, stop in pairwise(cuts)]
    total = math.fsum(part or 0 for part in parts)
    assert math.sqrt(total / 12) / np.linalg.norm(read) == pytest.approx(error, rel=0.05)
    file.close()


def test_steps_that_are_not_known_are_not_made_up(tmp_path: Path) -> None:
    tensors = {"blk.0.ffn_down.weight": random_blocks("IQ2_S", 2, 1), "blk.0.ffn_up.weight": np.ones((4, 4))}
    file = read_index(write(tmp_path / "m.gguf", tensors, kinds={"blk.0.ffn_down.weight": "IQ2_S"}))
    assert file.step_sq("model.layers.0.mlp.down_proj.weight", 0, 512) is None
    assert file.step_sq("model.layers.0.mlp.up_proj.weight", 0, 16) is None
    file.close()


# --- the whole comparison


@pytest.mark.parametrize(("kind", "floor"), [("Q8_0", 0.0053), ("Q4_0", 0.088)])
def test_a_quantised_copy_differs_by_its_quantisation_and_training_shows_above_it(
    kind: str, floor: float, tmp_path: Path
) -> None:
    base = tiny_checkpoint(tmp_path / "base", hidden=64, layers=1)
    tensors = arrays(base)
    matrices = {name for name, value in tensors.items() if value.ndim == 2 and "proj" in name}

    def saved(values: Arrays, file: str) -> Path:
        stored = converted(values, "llama")
        kinds = {name: kind for name in stored if name.startswith("blk") and "norm" not in name}
        return write(tmp_path / file, stored, kinds=kinds)

    report = compare(base, saved(tensors, "copy.gguf"), tmp_path / "copy")
    assert whole(report, "weight.coverage") == 1.0
    relative = {name: value for name, value in by_tensor(report, "weight.delta.relative").items() if value}
    assert relative.keys() == matrices
    assert all(value == pytest.approx(floor, rel=0.1) for value in relative.values()), relative
    assert all(0.9 < by_tensor(report, "weight.rounding.ratio")[name] < 1.1 for name in matrices)
    rng = np.random.default_rng(5)
    left, right = rng.normal(size=(64, 1)), rng.normal(size=(1, 128))
    delta = (left @ right).astype(np.float32)
    weight = tensors[PLANTED]
    trained = {**tensors, PLANTED: weight + delta * np.float32(0.4 * np.linalg.norm(weight) / np.linalg.norm(delta))}
    ratios = by_tensor(compare(base, saved(trained, "trained.gguf"), tmp_path / "run"), "weight.rounding.ratio")
    assert ratios.pop(PLANTED) > 3
    assert max(ratios[name] for name in matrices - {PLANTED}) < 1.1


def test_a_directory_may_hold_a_gguf_file_and_the_subject_says_what_it_is(tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base", hidden=32, layers=1)
    stored = converted(arrays(base), "llama")
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "m.gguf", stored, kinds={"blk.0.ffn_down.weight": "Q8_0"})
    subject = open_subject(parse_reference(str(folder)), "trained", Registry.discover(only=()))
    assert subject.facts.model_type == "llama"
    assert subject.facts.parameters == sum(value.size for value in arrays(base).values())
    assert subject.facts.properties["tied"] is False
    (entry,) = subject.facts.properties["quantisation"]
    assert entry == {
        "method": "gguf", "code": "Q8_0", "bits": 8, "group_size": 32, "outputs_per_scale": 1, "tensors": 1,
        "parameters": 32 * 64,
    }  # fmt: skip
    assert [file.relative for file in subject.files] == ["m.gguf"]
    subject.close()


def test_a_long_vocabulary_costs_nothing_but_its_place(tmp_path: Path) -> None:
    file = read_index(write(tmp_path / "m.gguf", {"output_norm.weight": np.ones(4)}, tokens=500))
    assert set(file.tensors) == {"model.norm.weight"}
    file.close()


# --- what is refused


def test_an_architecture_without_a_map_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="no map of names for the GGUF architecture 'mamba'; known: .*llama"):
        read_index(write(tmp_path / "m.gguf", {"output_norm.weight": np.ones(4)}, "mamba"))


def test_one_piece_of_several_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="one of 3 pieces; join them"):
        read_index(write(tmp_path / "m.gguf", {"output_norm.weight": np.ones(4)}, split=3))


@pytest.mark.parametrize("length", [0, 3, 40, 200, -8])
def test_a_truncated_file_is_refused_in_one_line(length: int, tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", {"output_norm.weight": np.ones(4096)})
    data = path.read_bytes()
    path.write_bytes(data[:length] if length >= 0 else data[: len(data) + length])
    with pytest.raises(SubjectError) as caught:
        read_index(path)
    assert "m.gguf" in str(caught.value) and "\n" not in str(caught.value)


def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"not a model at all" * 100)
    with pytest.raises(SubjectError, match="cannot be read as GGUF"):
        read_index(tmp_path / "m.gguf")


def test_a_type_that_the_package_cannot_dequantise_is_named_and_counted(tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base", hidden=256, layers=1, vocab=16, dtype="float32")
    stored = converted(arrays(base), "llama")
    name = "blk.0.ffn_down.weight"
    _, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType.Q8_K]
    raw = np.zeros((256, 2 * size), np.uint8)
    report = compare(base, write(tmp_path / "m.gguf", {**stored, name: raw}, kinds={name: "Q8_K"}), tmp_path / "run")
    parameters = sum(value.size for value in arrays(base).values())
    assert whole(report, "weight.coverage.unexplained") == pytest.approx(256 * 512 / parameters, rel=1e-12)
    (finding,) = (f for f in report.findings if f.rule == "weight.incomplete_coverage")
    (example,) = finding.examples
    assert example.label == PLANTED
    assert "GGUF type Q8_K" in (example.note or "")


def test_heads_that_do_not_divide_the_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match=r"llama\.attention\.head_count is 4 where 'blk\.0\.attn_q\.weight' has 6"):
        read_index(write(tmp_path / "m.gguf", {"blk.0.attn_q.weight": np.ones((6, 4))}))


def test_without_the_package_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "m.gguf", {"output_norm.weight": np.ones(4)})
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(SubjectError, match=r"GGUF needs the gguf package; pip install 'afterburn-core\[gguf\]'"):
        read_index(path)


def test_a_file_that_shrinks_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", {"output.weight": np.ones((64, 64))})
    file: GgufFile = read_index(path)
    with open(path, "r+b") as stream:
        stream.truncate(path.stat().st_size - 4096)
    with pytest.raises(SubjectError, match="the file changed"):
        file.read("lm_head.weight", 0, 4096)
    file.close()
