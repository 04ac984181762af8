"""Checkpoints of one model in two layouts: fused and not, stacked and not, whole and without a configuration.

The layouts are written here, by formulas of this file, or by transformers' own conversion; what the parts of a fused
tensor mean is checked against what the model computes with them.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from afterburn_core.api import Diagnoser, DiagnosticReport
from afterburn_core.backends.derived import HELD_BLOCKS, DerivedSource, View
from afterburn_core.backends.tensors import ITEM_SIZE, TensorInfo
from afterburn_core.backends.torch_file import read_index as read_torch_file
from afterburn_core.run.layout import present
from afterburn_core.run.lowrank import LowRank

torch = pytest.importorskip("torch")
if TYPE_CHECKING:
    import torch

Weights = dict[str, "torch.Tensor"]
H = 16
"""Hidden size of every model; 4 heads of width 4, sharing 2 keys and values where they are grouped."""

_SIZE = {"vocab_size": 32, "hidden_size": H, "num_attention_heads": 4, "intermediate_size": 24, "num_hidden_layers": 2}
_DEEP = {**_SIZE, "max_position_embeddings": 32}
_GROUPED = {**_DEEP, "num_key_value_heads": 2, "pad_token_id": 0}
_MOE = {**_GROUPED, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own, about its own
        yield


def by_rows(*sizes: int) -> Callable[[Any], list[Any]]:
    return lambda value: list(value.split(list(sizes)))


def by_group(groups: int, queries: int) -> Callable[[Any], list[Any]]:
    """For each group of heads of width 4: its query rows, its key rows, its value rows."""

    def split(value: torch.Tensor) -> list[torch.Tensor]:
        heads = value.reshape(groups, queries + 2, 4, *value.shape[1:])
        parts = heads[:, :queries], heads[:, queries : queries + 1], heads[:, queries + 1 :]
        return [part.reshape(-1, *value.shape[1:]) for part in parts]

    return split


def conv1d_thirds(value: torch.Tensor) -> list[torch.Tensor]:
    return [part.T for part in value.chunk(3, dim=-1)]


@attrs.frozen(kw_only=True)
class Fused:
    """A model with fused queries, keys and values."""

    model: str
    config: str
    settings: Mapping[str, Any]
    module: str
    """Name of the fused projection."""
    attention: str
    """Attention module of layer 1."""
    output: str
    """Its output projection, whose input holds the heads one after another."""
    split: Callable[[Any], list[Any]]
    keys: int = 4
    """Key and value heads."""


_FALCON = {**_SIZE, "num_attention_heads": 4, "alibi": False, "bias": True}
FUSED: dict[str, Fused] = {
    "phi3": Fused(
        model="Phi3ForCausalLM", config="Phi3Config", settings=_GROUPED, module="qkv_proj",
        attention="model.layers.1.self_attn", output="o_proj", split=by_rows(16, 8, 8), keys=2,
    ),
    "gpt_neox": Fused(
        model="GPTNeoXForCausalLM", config="GPTNeoXConfig", settings=_DEEP, module="query_key_value",
        attention="gpt_neox.layers.1.attention", output="dense", split=by_group(4, 1),
    ),
    "bloom": Fused(
        model="BloomForCausalLM", config="BloomConfig",
        settings={"vocab_size": 32, "hidden_size": H, "n_layer": 2, "n_head": 4}, module="query_key_value",
        attention="transformer.h.1.self_attention", output="dense", split=by_group(4, 1),
    ),
    "falcon_grouped": Fused(
        model="FalconForCausalLM", config="FalconConfig",
        settings={**_FALCON, "new_decoder_architecture": True, "num_kv_heads": 2}, module="query_key_value",
        attention="transformer.h.1.self_attention", output="dense", split=by_group(2, 2), keys=2,
    ),
    "falcon_multi_query": Fused(
        model="FalconForCausalLM", config="FalconConfig", settings={**_FALCON, "multi_query": True},
        module="query_key_value", attention="transformer.h.1.self_attention", output="dense",
        split=by_rows(16, 4, 4), keys=1,
    ),
    "falcon_by_head": Fused(
        model="FalconForCausalLM", config="FalconConfig", settings={**_FALCON, "multi_query": False},
        module="query_key_value", attention="transformer.h.1.self_attention", output="dense", split=by_group(4, 1),
    ),
    "mpt": Fused(
        model="MptForCausalLM", config="MptConfig",
        settings={"vocab_size": 32, "d_model": H, "n_layers": 2, "n_heads": 4, "max_seq_len": 32}, module="Wqkv",
        attention="transformer.blocks.1.attn", output="out_proj", split=by_rows(16, 16, 16),
    ),
    "gpt_bigcode": Fused(
        model="GPTBigCodeForCausalLM", config="GPTBigCodeConfig",
        settings={"vocab_size": 32, "n_embd": H, "n_layer": 2, "n_head": 4, "n_positions": 32}, module="c_attn",
        attention="transformer.h.1.attn", output="c_proj", split=by_rows(16, 4, 4), keys=1,
    ),
    "persimmon": Fused(
        model="PersimmonForCausalLM", config="PersimmonConfig", settings={**_DEEP, "qk_layernorm": False},
        module="query_key_value", attention="model.layers.1.self_attn", output="dense", split=by_group(4, 1),
    ),
    "dbrx": Fused(
        model="DbrxForCausalLM", config="DbrxConfig",
        settings={
            "d_model": H, "n_heads": 4, "n_layers": 2, "max_seq_len": 32, "vocab_size": 32,
            "attn_config": {"kv_n_heads": 2, "clip_qkv": 1e6, "rope_theta": 10000.0},
            "ffn_config": {"ffn_hidden_size": 8, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": H},
        },
        module="Wqkv", attention="transformer.blocks.1.norm_attn_norm.attn", output="out_proj",
        split=by_rows(16, 8, 8), keys=2,
    ),
    "gpt_neox_japanese": Fused(
        model="GPTNeoXJapaneseForCausalLM", config="GPTNeoXJapaneseConfig",
        settings={**_DEEP, "intermediate_multiple_size": 2}, module="query_key_value",
        attention="gpt_neox_japanese.layers.1.attention", output="dense", split=by_group(4, 1),
    ),
    "modernbert": Fused(
        model="ModernBertForMaskedLM", config="ModernBertConfig", settings=_GROUPED, module="Wqkv",
        attention="model.layers.1.attn", output="Wo", split=by_rows(16, 16, 16),
    ),
    "gpt2": Fused(
        model="GPT2LMHeadModel", config="GPT2Config",
        settings={"vocab_size": 32, "n_embd": H, "n_layer": 2, "n_head": 4, "n_positions": 32}, module="c_attn",
        attention="transformer.h.1.attn", output="c_proj", split=conv1d_thirds,
    ),
}  # fmt: skip
_PAIRED = [name for name in FUSED if name != "dbrx"]  # its experts are split as well; see the tests of experts


def build(model: str, config: str, settings: Mapping[str, Any]) -> Any:
    """A seeded model in float32, ready to run."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng():
        made = getattr(transformers, model)(getattr(transformers, config)(**settings))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in sorted(made.state_dict().items()):
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator) * (0.3 if value.dim() > 1 else 0.1))
                if name.endswith("norm.weight"):
                    value.add_(1)
    return made.eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Any, Path]]:
    """Models on disk as transformers writes them, once each."""
    made: dict[str, tuple[Any, Path]] = {}

    def make(model: str, config: str, settings: Mapping[str, Any]) -> tuple[Any, Path]:
        key = json.dumps([model, config, settings], sort_keys=True)
        if key not in made:
            built = build(model, config, settings)
            directory = tmp_path_factory.mktemp(model)
            built.save_pretrained(directory)
            made[key] = built, directory
        return made[key]

    return make


def weights_of(directory: Path) -> Weights:
    return load_file(directory / "model.safetensors")


def write(directory: Path, weights: Mapping[str, torch.Tensor], config: Path | None = None) -> Path:
    """A checkpoint of one file, with the configuration of another one."""
    directory.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in weights.items()}, directory / "model.safetensors")
    if config is not None:
        shutil.copy(config / "config.json", directory / "config.json")
    return directory


def unfused(case: Fused, weights: Mapping[str, torch.Tensor]) -> Weights:
    """The same model with separate q, k and v, and GPT-2's matrices turned, by the formulas of this file."""
    found: Weights = {}
    for name, value in weights.items():
        if f".{case.module}." in name:
            parts = zip("qkv", case.split(value), strict=True)
            found |= {name.replace(case.module, f"{key}_proj"): part for key, part in parts}
        elif "gate_up_proj" in name:
            parts = zip(("gate", "up"), value.chunk(2), strict=True)
            found |= {name.replace("gate_up", key): part for key, part in parts}
        else:
            found[name] = value.T if case.model == "GPT2LMHeadModel" and re.search(r"c_(proj|fc)\.w", name) else value
    return found


def compare(base: Path, trained: Path, run: Path) -> DiagnosticReport:
    return Diagnoser(base, trained, run_dir=run, use_cache=False, threads=2).run_weight_diff()


def norms(report: DiagnosticReport) -> dict[str, float | None]:
    return {m.scope.tensor: m.value for m in report.measurements("weight.delta.norm") if m.scope.tensor is not None}


def changed(report: DiagnosticReport) -> set[str]:
    return {name for name, value in norms(report).items() if value}


def whole(report: DiagnosticReport, metric: str) -> float | None:
    (value,) = (m.value for m in report.measurements(metric) if m.scope.key() == "model")
    return value


def notes(report: DiagnosticReport) -> list[str]:
    return [n.message for e in report.result.executions if e.kind == "pass" for n in e.notifications]


def count(weights: Mapping[str, torch.Tensor]) -> int:
    return sum(value.numel() for value in weights.values())


# --- what the parts of fused attention projections are --------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Memory:
    """A weight source over NumPy arrays; counts what is read."""

    arrays: Mapping[str, np.ndarray]
    aliases: Mapping[str, str] = attrs.field(factory=dict)
    reads: list[tuple[str, int, int]] = attrs.field(factory=list)

    @property
    def tensors(self) -> dict[str, TensorInfo]:
        names = {"float64": "F64", "float32": "F32", "uint16": "BF16"}
        return {n: TensorInfo(name=n, dtype=names[str(a.dtype)], shape=a.shape) for n, a in self.arrays.items()}

    def read_array(self, name: str, start: int, stop: int) -> np.ndarray:
        self.reads.append((name, start, stop))
        return self.arrays[name].reshape(-1)[start:stop].copy()

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        return torch.from_numpy(self.read_array(name, start, stop))

    def position(self, name: str) -> tuple[int, int]:
        return 0, 1000 * list(self.arrays).index(name)


def entries(weights: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, tuple[str, np.ndarray]]:
    """For every part, by name: the stored tensor it is in, and the numbers of its entries there."""
    numbered = Memory(arrays={n: np.arange(v.numel(), dtype=np.float64).reshape(v.shape) for n, v in weights.items()})
    shown = present(numbered, numbered, lambda: config, lambda: config).base
    assert isinstance(shown, DerivedSource)
    found = {}
    for name, view in shown.views.items():
        info = shown.tensors[name]
        found[name] = view.source, shown.read_array(name, 0, info.numel).astype(np.int64).reshape(info.shape)
    return found


@pytest.mark.parametrize("name", FUSED)
def test_the_parts_of_a_fused_projection_are_what_the_model_makes_of_them(
    name: str, saved: Callable[..., tuple[Any, Path]]
) -> None:
    """Noise in one head's rows of q, k or v moves that head's output, or its group's, and no other; without keys the
    queries mean nothing, without queries the keys mean nothing, and values always mean something."""
    case = FUSED[name]
    model, path = saved(case.model, case.config, case.settings)
    stored = weights_of(path)
    parts = entries(stored, json.loads((path / "config.json").read_text()))
    seen: list[torch.Tensor] = []
    state = model.state_dict()
    layer = model.get_submodule(f"{case.attention}.{case.output}")
    hook = layer.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach().clone()))
    tokens = torch.arange(6)[None] + 3

    def heads(edit: Mapping[tuple[str, int | None], str]) -> torch.Tensor:
        """(6, 4, 4) what each head gives, after edits of (role, head) by `zero` or `noise`."""
        kept = {}
        for (role, head), how in edit.items():
            for parameter in ("weight", "bias"):
                part = f"{case.attention}.{role}_proj.{parameter}"
                if part not in parts:
                    continue
                source, places = parts[part]
                kept.setdefault(source, state[source].clone())
                rows = places if head is None else places[4 * head : 4 * head + 4]
                flat, where = state[source].view(-1), torch.from_numpy(rows.reshape(-1).copy())
                noise = torch.randn(len(where), generator=torch.Generator().manual_seed(1))
                flat[where] = torch.zeros(len(where)) if how == "zero" else flat[where] + noise
        seen.clear()
        with torch.no_grad():
            model(tokens, use_cache=False)
            for source, value in kept.items():
                state[source].copy_(value)
        return seen[0].reshape(6, 4, 4)

    try:
        usual = heads({})
        for role, number in (("q", 4), ("k", case.keys), ("v", case.keys)):
            for head in range(number):
                moved = (heads({(role, head): "noise"}) - usual).abs().amax(dim=(0, 2)) > 1e-4
                group = 1 if role == "q" else 4 // number
                assert moved.nonzero().flatten().tolist() == list(range(head * group, (head + 1) * group))
        for silent, other in (("k", "q"), ("q", "k")):
            without = heads({(silent, None): "zero"})
            assert torch.allclose(heads({(silent, None): "zero", (other, None): "noise"}), without, atol=1e-5)
            assert not torch.allclose(heads({(silent, None): "zero", ("v", None): "noise"}), without, atol=1e-3)
    finally:
        hook.remove()


def test_phi_3_in_parts_is_a_mistral_that_computes_the_same(saved: Callable[..., tuple[Any, Path]]) -> None:
    """The unfused copy that the tests below compare with is the same function."""
    case = FUSED["phi3"]
    model, path = saved(case.model, case.config, case.settings)
    twin = build("MistralForCausalLM", "MistralConfig", {**_GROUPED, "sliding_window": None, "rms_norm_eps": 1e-5})
    twin.load_state_dict(unfused(case, weights_of(path)))
    tokens = torch.arange(6)[None] + 3
    with torch.no_grad():
        assert torch.allclose(model(tokens).logits, twin(tokens).logits, atol=1e-5)


# --- fused on one side, in parts on the other ----------------------------------------------------------------------


@pytest.mark.parametrize("fused_side", ["base", "trained"])
@pytest.mark.parametrize("name", _PAIRED)
def test_a_fused_and_an_unfused_copy_are_found_equal(
    name: str, fused_side: str, saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    case = FUSED[name]
    _, path = saved(case.model, case.config, case.settings)
    parts = unfused(case, weights_of(path))
    # the unfused copy of GPT-2 is not one that its configuration describes: its matrices are turned
    config = path if case.model != "GPT2LMHeadModel" else None
    if config is None:
        parts = {n: v.T if re.search(r"c_(proj|fc)\.w", n) else v for n, v in parts.items()}
    other = write(tmp_path / "parts", parts, config)
    pair = (path, other) if fused_side == "base" else (other, path)
    report = compare(*pair, tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    assert changed(report) == set()
    assert norms(report).keys() == parts.keys()
    assert {f.rule: f.kind for f in report.findings}["weight.change"] == "pass"
    assert any("in parts" in note or "as q, k, v" in note for note in notes(report))


@pytest.mark.parametrize("name", _PAIRED)
@pytest.mark.parametrize("part", "qkv")
def test_a_change_of_one_part_is_found_there_and_nowhere_else(
    name: str, part: str, saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    case = FUSED[name]
    _, path = saved(case.model, case.config, case.settings)
    parts = {
        n: v.T if case.model == "GPT2LMHeadModel" and re.search(r"c_(proj|fc)\.w", n) else v
        for n, v in unfused(case, weights_of(path)).items()
    }
    planted = f"{case.attention}.{part}_proj.weight"
    noise = torch.randn(parts[planted].shape, generator=torch.Generator().manual_seed(5)) * 0.01
    parts[planted] = parts[planted] + noise
    delta = parts[planted].double() - unfused(case, weights_of(path))[planted].double()
    report = compare(path, write(tmp_path / "parts", parts), tmp_path / "run")
    assert changed(report) == {planted}
    assert norms(report)[planted] == pytest.approx(float(delta.norm()), rel=1e-12)
    (scope,) = {
        (m.scope.layer, m.scope.module) for m in report.measurements("weight.delta.norm") if m.scope.tensor == planted
    }
    assert scope == (1, part)


@pytest.mark.parametrize("name", _PAIRED)
def test_a_missing_part_is_exactly_the_hole_in_the_coverage(
    name: str, saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    case = FUSED[name]
    _, path = saved(case.model, case.config, case.settings)
    stored = weights_of(path)
    parts = {
        n: v.T if case.model == "GPT2LMHeadModel" and re.search(r"c_(proj|fc)\.w", n) else v
        for n, v in unfused(case, stored).items()
    }
    hole = parts.pop(f"{case.attention}.k_proj.weight")
    report = compare(path, write(tmp_path / "parts", parts), tmp_path / "run")
    assert whole(report, "weight.coverage") == pytest.approx(1 - hole.numel() / count(stored), rel=1e-12)
    assert changed(report) == set()


def test_a_change_of_gate_is_not_one_of_up(saved: Callable[..., tuple[Any, Path]], tmp_path: Path) -> None:
    case = FUSED["phi3"]
    _, path = saved(case.model, case.config, case.settings)
    weights = weights_of(path)
    weights["model.layers.0.mlp.gate_up_proj.weight"][30, 2] += 0.5  # the second half of 48 rows
    report = compare(path, write(tmp_path / "trained", weights, path), tmp_path / "run")
    assert norms(report)["model.layers.0.mlp.up_proj.weight"] == pytest.approx(0.5, rel=1e-6)
    assert changed(report) == {"model.layers.0.mlp.up_proj.weight"}


# --- layouts that are not known ------------------------------------------------------------------------------------


def test_fused_weights_without_a_configuration_are_refused_by_name_and_counted(
    saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    case = FUSED["gpt_neox"]
    _, path = saved(case.model, case.config, case.settings)
    stored = weights_of(path)
    fused = write(tmp_path / "fused", stored) / "model.safetensors"
    apart = write(tmp_path / "apart", unfused(case, stored)) / "model.safetensors"
    for run, pair in enumerate(((fused, apart), (apart, fused))):
        report = compare(*pair, tmp_path / f"run{run}")
        lost = sum(v.numel() for n, v in stored.items() if "query_key_value" in n)
        assert whole(report, "weight.coverage") == pytest.approx(1 - lost / count(stored), rel=1e-12)
        assert whole(report, "weight.coverage.unexplained") == pytest.approx(lost / count(stored), rel=1e-12)
        states = {m.scope.subset: m.value for m in report.measurements("weight.coverage.tensors")}
        assert (states["unsupported"], states["missing"], states["extra"]) == (2 * 2 + 2 * 6, 0, 0)
        reasons = {m.scope.tensor: m.reason for m in report.measurements("weight.coverage") if m.scope.tensor}
        assert len(reasons) == 4
        for name, reason in reasons.items():
            assert "query_key_value" in name
            assert "no configuration says how its query_key_value is laid out" in reason
        assert report.verdict.status != "pass"


def test_fused_alike_without_a_configuration_is_compared_as_it_is_stored(
    saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    case = FUSED["gpt_neox"]
    _, path = saved(case.model, case.config, case.settings)
    stored = weights_of(path)
    first = write(tmp_path / "first", stored) / "model.safetensors"
    stored["gpt_neox.layers.1.attention.query_key_value.weight"][0, 0] += 1
    second = write(tmp_path / "second", stored) / "model.safetensors"
    report = compare(first, second, tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    assert changed(report) == {"gpt_neox.layers.1.attention.query_key_value.weight"}


def test_a_file_without_configuration_is_read_by_that_of_the_other_side(
    saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    """A trainer's `.pt` of a fused model, against the directory it started from."""
    case = FUSED["gpt_neox"]
    _, path = saved(case.model, case.config, case.settings)
    stored = weights_of(path)
    stored["gpt_neox.layers.1.attention.query_key_value.weight"][4, 0] += 1  # head 0: 4 rows of q, then 4 of k
    torch.save({"step": 7, "state_dict": stored}, tmp_path / "step.pt")
    report = compare(path, tmp_path / "step.pt", tmp_path / "run")
    assert changed(report) == {"gpt_neox.layers.1.attention.k_proj.weight"}


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ({"num_attention_heads": 3}, "which does not fit the shape"),
        ({"num_attention_heads": None}, "no number of heads"),
        ({"model_type": "unheard_of"}, "'unheard_of' does not say"),
    ],
    ids=["other heads", "no heads", "another family"],
)
def test_a_configuration_that_does_not_fit_is_no_reason_to_guess(
    edit: Mapping[str, Any], reason: str, saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    case = FUSED["phi3"]
    _, path = saved(case.model, case.config, case.settings)
    stored = weights_of(path)
    shown = present(
        Memory(arrays={n: v.numpy() for n, v in stored.items()}),
        Memory(arrays={n: v.numpy() for n, v in unfused(case, stored).items()}),
        lambda: {**json.loads((path / "config.json").read_text()), **edit},
        lambda: None,
    )
    refusal = shown.base_refused["model.layers.0.self_attn.qkv_proj.weight"]
    assert reason in refusal.reason
    assert refusal.counted
    parts = {f"model.layers.0.self_attn.{key}_proj.weight" for key in "qkv"}
    assert parts <= shown.trained_refused.keys()
    assert not any(shown.trained_refused[part].counted for part in parts)


def test_the_other_sides_spelling_of_q_k_and_v_wins(saved: Callable[..., tuple[Any, Path]], tmp_path: Path) -> None:
    case = FUSED["bloom"]
    _, path = saved(case.model, case.config, case.settings)
    names = {"q_proj": "query", "k_proj": "key", "v_proj": "value"}
    parts = {
        re.sub(r"[qkv]_proj", lambda m: names[m[0]], name): value
        for name, value in unfused(case, weights_of(path)).items()
    }
    report = compare(path, write(tmp_path / "parts", parts), tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    assert norms(report).keys() == parts.keys()
    assert changed(report) == set()


def test_models_without_fused_weights_are_left_alone_and_their_configuration_unread() -> None:
    source = Memory(arrays={"model.layers.0.self_attn.q_proj.weight": np.ones((4, 4))})

    def never() -> None:
        raise AssertionError("read the configuration")

    shown = present(source, source, never, never)
    assert shown.base is source
    assert shown.trained is source
    assert shown.notes == ()


# --- experts -------------------------------------------------------------------------------------------------------

MOE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", {**_GROUPED, "num_local_experts": 4}),
    "qwen2_moe": ("Qwen2MoeForCausalLM", "Qwen2MoeConfig", {**_MOE, "shared_expert_intermediate_size": 8}),
    "qwen3_moe": ("Qwen3MoeForCausalLM", "Qwen3MoeConfig", {**_MOE, "head_dim": 4}),
}
STACKED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt_oss": ("GptOssForCausalLM", "GptOssConfig", {**_GROUPED, "num_local_experts": 4, "head_dim": 4}),
    "llama4": (
        "Llama4ForCausalLM", "Llama4TextConfig",
        {**_GROUPED, "num_local_experts": 4, "head_dim": 4, "interleave_moe_layer_step": 1, "intermediate_size_mlp": 24,
         "num_experts_per_tok": 1},
    ),
    "granitemoe": ("GraniteMoeForCausalLM", "GraniteMoeConfig", {**_GROUPED, "num_local_experts": 4}),
    "dbrx": (FUSED["dbrx"].model, FUSED["dbrx"].config, dict(FUSED["dbrx"].settings)),
}  # fmt: skip


def in_memory(model: Any) -> Weights:
    """The state dict as transformers has it in memory: experts stacked, whatever it writes to disk."""
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", MOE)
@pytest.mark.parametrize("side", ["base", "trained"])
def test_experts_stacked_and_one_by_one_are_found_equal(
    name: str, side: str, saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    """transformers' own conversion wrote the experts one by one."""
    model, path = saved(*MOE[name])
    stacked = in_memory(model)
    assert any(value.dim() == 3 for value in stacked.values())
    assert not any(value.dim() == 3 for value in weights_of(path).values())
    other = write(tmp_path / "stacked", stacked, path)
    report = compare(*((other, path) if side == "base" else (path, other)), tmp_path / "run")
    assert whole(report, "weight.coverage") == 1.0
    assert norms(report).keys() == weights_of(path).keys()
    assert changed(report) == set()
    assert any("expert by expert" in note for note in notes(report))


@pytest.mark.parametrize("name", MOE)
@pytest.mark.parametrize("role", ["gate", "up", "down"])
def test_a_change_of_one_expert_is_found_there_and_nowhere_else(
    name: str, role: str, saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    model, path = saved(*MOE[name])
    stacked = in_memory(model)
    module = "down_proj" if role == "down" else "gate_up_proj"
    weight = stacked[f"model.layers.1.mlp.experts.{module}"]
    row = {"gate": 0, "up": weight.shape[1] // 2, "down": 0}[role]
    before = weight.double().clone()
    weight[3, row] += 0.25
    torch.save(stacked, tmp_path / "pytorch_model.bin")
    report = compare(path, tmp_path / "pytorch_model.bin", tmp_path / "run")
    (planted,) = changed(report)
    mixtral = {"gate": "w1", "up": "w3", "down": "w2"}
    spelt = f"block_sparse_moe.experts.3.{mixtral[role]}" if name == "mixtral" else f"mlp.experts.3.{role}_proj"
    assert planted == f"model.layers.1.{spelt}.weight"
    assert norms(report)[planted] == pytest.approx(float((weight.double() - before).norm()), rel=1e-12)


def test_a_missing_expert_is_exactly_the_hole_in_the_coverage(
    saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    model, path = saved(*MOE["qwen3_moe"])
    stored = weights_of(path)
    hole = stored.pop("model.layers.1.mlp.experts.2.up_proj.weight")
    stacked = in_memory(model)
    report = compare(
        write(tmp_path / "stacked", stacked, path), write(tmp_path / "hole", stored, path), tmp_path / "run"
    )
    assert whole(report, "weight.coverage") == pytest.approx(1 - hole.numel() / count(stacked), rel=1e-12)


@pytest.mark.parametrize("name", STACKED)
def test_stacked_experts_are_compared_one_by_one_on_both_sides(
    name: str, saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    _, path = saved(*STACKED[name])
    stored = weights_of(path)
    report = compare(path, write(tmp_path / "same", stored, path), tmp_path / "same-run")
    assert whole(report, "weight.coverage") == 1.0
    assert changed(report) == set()
    for role in ("gate", "up", "down"):
        experts = [n for n in norms(report) if re.search(rf"\.experts\.\d\.{role}_proj\.weight$", n)]
        assert len(experts) == 8  # 4 experts in each of 2 layers
    assert not any(n for n in norms(report) if re.search(r"experts\.(gate_up|down)|input_linear|mlp\.[wv][12]", n))


@pytest.mark.parametrize("name", ["gpt_oss", "llama4", "granitemoe", "dbrx"])
def test_gate_up_and_down_of_stacked_experts_are_what_the_model_makes_of_them(
    name: str, saved: Callable[..., tuple[Any, Path]]
) -> None:
    """Expert 2 alone, by hand from its parts as (outputs, inputs), against the module's own output."""
    model, path = saved(*STACKED[name])
    stored = {n: v.double() for n, v in weights_of(path).items()}
    config = json.loads((path / "config.json").read_text())
    source = Memory(arrays={n: v.numpy() for n, v in stored.items()})
    shown = present(source, source, lambda: config, lambda: config).base
    found = {}
    for role in ("gate", "up", "down"):
        for parameter in ("weight", "bias"):
            names = [n for n in shown.tensors if re.search(rf"\.1\..*experts\.2\.{role}_proj\.{parameter}$", n)]
            for part in names:
                info = shown.tensors[part]
                found[role, parameter] = shown.read(part, 0, info.numel).view(info.shape)
    x = torch.randn(5, H, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    gate, up = x @ found["gate", "weight"].T, x @ found["up", "weight"].T
    if name == "gpt_oss":
        gate, up = gate + found["gate", "bias"], up + found["up", "bias"]
        gate, up = gate.clamp(max=7.0), up.clamp(-7.0, 7.0)
        hand = (gate * torch.sigmoid(1.702 * gate) * (up + 1)) @ found["down", "weight"].T + found["down", "bias"]
    else:
        hand = (torch.nn.functional.silu(gate) * up) @ found["down", "weight"].T
    (experts,) = [m for n, m in model.named_modules() if n.endswith("experts") and ".1." in n]
    with torch.no_grad():
        if name == "llama4":
            own = experts(x.float().repeat(4, 1))[2 * 5 : 3 * 5]  # one stretch of tokens per expert
        else:
            own = experts(x.float(), torch.full((5, 1), 2), torch.ones(5, 1))
    assert torch.allclose(own.reshape(5, H).double(), hand, atol=1e-4)


def test_unheard_of_stacks_are_sliced_by_expert_and_gate_and_up_stay_together() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "model.layers.0.mlp.experts.gate_up_proj": rng.normal(size=(3, 4, 10)),
        "model.layers.0.mlp.experts.down_proj": rng.normal(size=(3, 5, 4)),
    }
    shown = present(Memory(arrays=arrays), Memory(arrays=arrays), lambda: None, lambda: None)
    assert {n: i.shape for n, i in shown.base.tensors.items()} == {
        **{f"model.layers.0.mlp.experts.{e}.gate_up_proj.weight": (4, 10) for e in range(3)},
        **{f"model.layers.0.mlp.experts.{e}.down_proj.weight": (5, 4) for e in range(3)},
    }
    read = shown.base.read("model.layers.0.mlp.experts.2.gate_up_proj.weight", 0, 40).numpy()
    assert np.array_equal(read, arrays["model.layers.0.mlp.experts.gate_up_proj"][2].reshape(-1))


def test_a_stack_of_unknown_layout_against_single_experts_is_refused() -> None:
    stacked = {"model.layers.0.mlp.experts.gate_up_proj": np.zeros((2, 6, 4))}
    single = {
        f"model.layers.0.mlp.experts.{e}.{role}_proj.weight": np.zeros((3, 4))
        for e in range(2)
        for role in ("gate", "up")
    }
    shown = present(Memory(arrays=stacked), Memory(arrays=single), lambda: {"model_type": "x"}, lambda: None)
    assert shown.base_refused.keys() == stacked.keys()
    assert shown.trained_refused.keys() == single.keys()


# --- renumbered experts --------------------------------------------------------------------------------------------


def renumbered(weights: Weights, layer: int, order: list[int]) -> Weights:
    """Expert i of the result is expert order[i]; router rows follow."""
    block = f"model.layers.{layer}.mlp."
    found = dict(weights)
    for i, j in enumerate(order):
        for role in ("gate", "up", "down"):
            found[f"{block}experts.{i}.{role}_proj.weight"] = weights[f"{block}experts.{j}.{role}_proj.weight"]
    found[f"{block}gate.weight"] = weights[f"{block}gate.weight"][order]
    return found


@pytest.mark.parametrize("stacked", [False, True])
def test_experts_in_another_order_are_put_in_order_and_named(
    stacked: bool, saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    model, path = saved(*MOE["qwen3_moe"])
    if stacked:
        weights, order = in_memory(model), [2, 0, 1, 3]
        for name in ("experts.gate_up_proj", "experts.down_proj", "gate.weight"):
            weights[f"model.layers.0.mlp.{name}"] = weights[f"model.layers.0.mlp.{name}"][order]
    else:
        weights = renumbered(weights_of(path), 0, [2, 0, 1, 3])
    report = compare(path, write(tmp_path / "trained", weights, path), tmp_path / "run")
    assert changed(report) == set()
    assert whole(report, "weight.coverage") == 1.0
    (note,) = [note for note in notes(report) if "other numbers" in note]
    assert note.startswith("layers.0.mlp: 3 of 4 experts")


def test_a_change_of_a_renumbered_expert_is_found_under_its_number_in_the_base(
    saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    _, path = saved(*MOE["qwen3_moe"])
    weights = weights_of(path)
    generator = torch.Generator().manual_seed(8)
    for name, value in weights.items():
        if ".experts." in name or "mlp.gate" in name:
            weights[name] = value + 0.01 * torch.randn(value.shape, generator=generator)
    weights["model.layers.0.mlp.experts.2.up_proj.weight"] += 0.1
    delta = (
        weights["model.layers.0.mlp.experts.2.up_proj.weight"].double()
        - weights_of(path)["model.layers.0.mlp.experts.2.up_proj.weight"].double()
    )
    report = compare(path, write(tmp_path / "t", renumbered(weights, 0, [3, 2, 1, 0]), path), tmp_path / "run")
    found = norms(report)
    assert found["model.layers.0.mlp.experts.2.up_proj.weight"] == pytest.approx(float(delta.norm()), rel=1e-9)
    others = [v for n, v in found.items() if ".experts." in n and v is not None and "0.mlp.experts.2.up" not in n]
    assert max(others) < 0.3 * float(delta.norm())


def test_experts_in_another_order_behind_an_old_router_are_another_model(
    saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    """The function changed, so the change is reported."""
    _, path = saved(*MOE["qwen3_moe"])
    weights = renumbered(weights_of(path), 0, [1, 0, 2, 3])
    weights["model.layers.0.mlp.gate.weight"] = weights_of(path)["model.layers.0.mlp.gate.weight"]
    report = compare(path, write(tmp_path / "trained", weights, path), tmp_path / "run")
    assert changed(report) == {
        f"model.layers.0.mlp.experts.{e}.{role}_proj.weight" for e in (0, 1) for role in ("gate", "up", "down")
    }
    assert not [note for note in notes(report) if "other numbers" in note]


def test_experts_grown_from_one_matrix_are_not_taken_for_renumbered() -> None:
    """Equal experts and equal router rows fit every order; the given one stays."""
    rng = np.random.default_rng(1)
    row, expert = rng.normal(size=8), rng.normal(size=(4, 8))
    base = {"model.layers.0.mlp.gate.weight": np.tile(row, (4, 1))}
    base |= {f"model.layers.0.mlp.experts.{e}.up_proj.weight": expert for e in range(4)}
    trained = {n: v + 0.01 * rng.normal(size=v.shape) for n, v in base.items()}
    shown = present(Memory(arrays=base), Memory(arrays=trained), lambda: None, lambda: None)
    assert shown.notes == ()


# --- adapters on fused bases ---------------------------------------------------------------------------------------


def adapted(path: Path, model: Any, directory: Path, **settings: Any) -> tuple[Path, Weights]:
    """An adapter with random factors, and what PEFT merges it to."""
    import copy

    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng():
        wrapped = get_peft_model(copy.deepcopy(model), LoraConfig(r=3, lora_alpha=6, **settings))
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, value in wrapped.named_parameters():
            if value.requires_grad:
                value.copy_(torch.randn(value.shape, generator=generator) * 0.1 + ("magnitude" in name))
    wrapped.save_pretrained(directory / "adapter")
    return directory / "adapter", wrapped.double().merge_and_unload().state_dict()


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("name", ["phi3", "gpt_neox", "gpt2", "falcon_grouped"])
def test_an_adapter_on_a_fused_projection_changes_its_parts(
    name: str, dora: bool, saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    case = FUSED[name]
    model, path = saved(case.model, case.config, case.settings)
    adapter, merged = adapted(path, model, tmp_path, target_modules=[case.module], use_dora=dora)
    report = compare(path, adapter, tmp_path / "run")
    base = unfused(case, {n: v.double() for n, v in weights_of(path).items()})
    trained = unfused(case, {n: v for n, v in merged.items() if n in weights_of(path)})
    expected = {n: float((trained[n] - base[n]).norm()) for n in base if re.search(r"[qkv]_proj\.weight", n)}
    assert changed(report) == expected.keys()
    assert {n: norms(report)[n] for n in expected} == pytest.approx(expected, rel=1e-9)
    assert whole(report, "weight.coverage") == 1.0


def test_an_adapter_on_attention_of_a_stacked_base_leaves_every_expert_alone(
    saved: Callable[..., tuple[Any, Path]], tmp_path: Path
) -> None:
    model, path = saved(*STACKED["gpt_oss"])
    adapter, _ = adapted(path, model, tmp_path, target_modules=["q_proj"])
    report = compare(path, adapter, tmp_path / "run")
    assert changed(report) == {f"model.layers.{i}.self_attn.q_proj.weight" for i in range(2)}
    assert any(".experts.3.gate_proj.weight" in n for n in norms(report))


@pytest.mark.parametrize(
    "view",
    [
        View(source="w", shape=(5, 7), rows=12, columns=7, picked=((2, 2), (9, 3))),
        View(source="w", shape=(3, 12), rows=12, columns=7, cut=(1, 7, 2), transposed=True),
        View(source="w", shape=(7, 12), rows=12, columns=7, transposed=True),
    ],
)
def test_factors_are_cut_as_the_weights_are(view: View) -> None:
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=(12, 3)), rng.normal(size=(3, 7))

    class Adapter(Memory):
        def low_rank(self, name: str) -> LowRank:
            return LowRank(left=left, right=right, scale=0.5)

    source = DerivedSource(Adapter(arrays={"w": np.zeros((12, 7))}), {"part": view})
    expected = view.of_matrix(0.5 * left @ right)
    factors = source.low_rank("part")
    assert factors is not None
    assert np.allclose(factors.block(0, factors.rows), expected, atol=1e-14)
    spectrum = source.spectrum("part")
    assert spectrum is not None
    assert np.allclose(spectrum.values, np.linalg.svd(expected, compute_uv=False), atol=1e-12)


# --- torch files ---------------------------------------------------------------------------------------------------


def test_a_torch_file_is_opened_once_and_mapped_not_copied(tmp_path: Path) -> None:
    """After opening, neither its name nor its size in memory matters: pages come from the mapping."""
    path = tmp_path / "model.pt"
    weights = {"a": torch.arange(1 << 20, dtype=torch.float32).view(1024, 1024), "b": torch.ones(3)}
    torch.save({"step": 1, "state_dict": weights}, path)
    file = read_torch_file(path)
    try:
        mapped = Path("/proc/self/maps")
        if mapped.exists():
            assert str(path) in mapped.read_text()
        path.unlink()
        assert file.tensors["a"].shape == (1024, 1024)
        assert torch.equal(file.read("a", 5000, 9000), weights["a"].view(-1)[5000:9000])
        assert torch.equal(file.read("b", 0, 3), weights["b"])
    finally:
        file.close()


def test_a_tensor_stored_the_other_way_round_reads_in_its_own_order(tmp_path: Path) -> None:
    value = torch.arange(60.0).view(4, 15).T.view(3, 5, 4)
    assert not value.is_contiguous()
    torch.save({"w": value}, tmp_path / "w.pt")
    file = read_torch_file(tmp_path / "w.pt")
    flat = value.reshape(-1)
    for start in range(61):
        for stop in range(start, 61):
            assert torch.equal(file.read("w", start, stop), flat[start:stop])


# --- reading -------------------------------------------------------------------------------------------------------

VIEWS = {
    "rows": View(source="w", shape=(5, 7), rows=12, columns=7, picked=((2, 2), (9, 3))),
    "block": View(source="w", shape=(4, 7), rows=4, columns=7, start=21),
    "turned": View(source="w", shape=(7, 12), rows=12, columns=7, transposed=True),
    "alternate": View(source="w", shape=(3, 5), rows=5, columns=7, start=14, cut=(0, 6, 2), transposed=True),
    "columns": View(source="w", shape=(12, 3), rows=12, columns=7, cut=(2, 5, 1)),
    "vector": View(source="w", shape=(4,), rows=1, columns=7, start=7, cut=(0, 7, 2)),
}


def logical(view: View, stored: np.ndarray) -> np.ndarray:
    block = stored.reshape(-1)[view.start : view.start + view.rows * view.columns].reshape(view.rows, view.columns)
    rows = [r for first, n in view.picked or ((0, view.rows),) for r in range(first, first + n)]
    columns = range(*view.cut) if view.cut else range(view.columns)
    picked = np.array([[block[r, c] for c in columns] for r in rows])
    return picked.T if view.transposed else picked


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", VIEWS)
def test_every_stretch_of_a_part_reads_as_the_part_itself(name: str, dtype: str) -> None:
    stored = torch.randn(12, 7, generator=torch.Generator().manual_seed(0)).to(getattr(torch, dtype))
    array = stored.view(torch.int16).numpy().view(np.uint16) if dtype == "bfloat16" else stored.numpy()
    view = VIEWS[name]
    source = DerivedSource(Memory(arrays={"w": array}), {"part": view})
    assert source.tensors.keys() == {"part"}
    assert source.tensors["part"].shape == view.shape
    expected = logical(view, array).reshape(-1)
    for start in range(len(expected) + 1):
        for stop in range(start, len(expected) + 1):
            assert np.array_equal(source.read_array("part", start, stop), expected[start:stop])
    read = source.read("part", 0, len(expected))
    assert read.dtype == stored.dtype
    read.zero_()  # what is given away is the reader's own
    assert np.array_equal(source.read_array("part", 0, len(expected)), expected)


def test_runs_of_rows_read_no_byte_too_many_and_blocks_are_read_once() -> None:
    memory = Memory(arrays={"w": np.arange(84.0).reshape(12, 7)})
    source = DerivedSource(memory, dict(VIEWS))
    source.read_array("rows", 0, 35)
    assert memory.reads == [("w", 14, 28), ("w", 63, 84)]
    memory.reads.clear()
    for start in range(0, 84, 10):
        source.read_array("turned", start, min(start + 10, 84))
    assert memory.reads == [("w", 0, 84)]
    assert source.position("block") == (0, 21 * ITEM_SIZE["F64"])


def test_only_a_few_blocks_are_held() -> None:
    memory = Memory(arrays={f"w{i}": np.full((4, 4), float(i)) for i in range(6)})
    views = {f"t{i}": View(source=f"w{i}", shape=(4, 4), rows=4, columns=4, transposed=True) for i in range(6)}
    source = DerivedSource(memory, views)
    for i in range(6):
        assert source.read_array(f"t{i}", 0, 16)[0] == i
    assert len(source._blocks._held) == HELD_BLOCKS


def test_several_threads_read_the_same_block_once_and_each_gets_its_own_values() -> None:
    size = 200
    memory = Memory(arrays={"w": np.arange(float(size * size)).reshape(size, size)})
    view = View(source="w", shape=(size, size), rows=size, columns=size, transposed=True)
    source = DerivedSource(memory, {"t": view})
    expected = memory.arrays["w"].T.reshape(-1)
    wrong = []

    def work(offset: int) -> None:
        for start in range(offset * 100, size * size - 5000, 4000):
            if not np.array_equal(source.read_array("t", start, start + 5000), expected[start : start + 5000]):
                wrong.append(start)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert memory.reads == [("w", 0, size * size)]


def test_a_block_that_could_not_be_read_is_tried_again() -> None:
    class Flaky(Memory):
        def read_array(self, name: str, start: int, stop: int) -> np.ndarray:
            self.reads.append((name, start, stop))
            if len(self.reads) == 1:
                raise OSError("gone")
            return self.arrays[name].reshape(-1)[start:stop].copy()

    source = DerivedSource(Flaky(arrays={"w": np.eye(3)}), {
        "t": View(source="w", shape=(3, 3), rows=3, columns=3, transposed=True)
    })  # fmt: skip
    with pytest.raises(OSError, match="gone"):
        source.read_array("t", 0, 9)
    assert np.array_equal(source.read_array("t", 0, 9), np.eye(3).reshape(-1))


def test_parts_of_tensors_that_share_storage_share_it() -> None:
    memory = Memory(arrays={"a": np.eye(4), "b": np.eye(4)}, aliases={"b": "a"})
    views = {
        f"{name}.{i}": View(source=name, shape=(2, 4), rows=4, columns=4, picked=((2 * i, 2),))
        for name in "ab"
        for i in range(2)
    }
    assert DerivedSource(memory, views).aliases == {"b.0": "a.0", "b.1": "a.1"}
