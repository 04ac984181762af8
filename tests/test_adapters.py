"""Adapters: what is measured from the factors is what PEFT's own merge makes of the weights.

Every adapter is made by peft on a tiny model, with every trained parameter random, and saved by `save_pretrained`.
The reference is the merged model in float64, and for the formulas NumPy over the files.
"""

from __future__ import annotations

import copy
import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from afterburn_core.api import Diagnoser, DiagnosticReport
from afterburn_core.errors import AfterburnError, SubjectError
from afterburn_core.testing.checkpoints import read_json, write_json

_SIZE = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
_LLAMA = {**_SIZE, "num_key_value_heads": 2, "intermediate_size": 24, "max_position_embeddings": 32}
_MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", {**_LLAMA, "tie_word_embeddings": False}),
    "tied": ("LlamaForCausalLM", "LlamaConfig", {**_LLAMA, "tie_word_embeddings": True}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", {**_LLAMA, "tie_word_embeddings": False}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {"vocab_size": 64, "n_embd": 16, "n_layer": 2, "n_head": 4}),
}
_ATTENTION = ("q", "v")
QV = {f"model.layers.{layer}.self_attn.{name}_proj.weight" for layer in range(2) for name in _ATTENTION}
GATES = {f"model.layers.{layer}.mlp.gate_proj.weight" for layer in range(2)}
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
QKV_BIASES = {f"model.layers.{layer}.self_attn.{name}_proj.bias" for layer in range(2) for name in "qkv"}


@attrs.frozen(kw_only=True)
class Case:
    """A kind of adapter and the tensors that it changes."""

    model: str = "llama"
    settings: Mapping[str, Any]
    changed: frozenset[str] = attrs.field(converter=frozenset)


CASES: dict[str, Case] = {
    "lora": Case(settings={"target_modules": ["q_proj", "v_proj"]}, changed=QV),
    "rslora": Case(settings={"target_modules": ["q_proj", "v_proj"], "use_rslora": True}, changed=QV),
    "rank_pattern": Case(
        settings={
            "target_modules": ["q_proj", "v_proj", "gate_proj"],
            "rank_pattern": {"layers.1.self_attn.q_proj": 2, "gate_proj": 6},
            "alpha_pattern": {"^model.layers.0.*v_proj": 32, "gate_proj": 3},
        },
        changed=QV | GATES,
    ),
    "rank_pattern_rslora": Case(
        settings={"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"q_proj": 2}, "use_rslora": True},
        changed=QV,
    ),
    "dora": Case(settings={"target_modules": ["q_proj", "v_proj"], "use_dora": True}, changed=QV),
    "dora_rslora": Case(
        settings={"target_modules": ["q_proj", "v_proj"], "use_dora": True, "use_rslora": True}, changed=QV
    ),
    "fan_in_fan_out": Case(
        model="gpt2",
        settings={"target_modules": ["c_attn"], "fan_in_fan_out": True},
        changed={f"transformer.h.{layer}.attn.{part}_proj.weight" for layer in range(2) for part in "qkv"},
    ),
    "fan_in_fan_out_square": Case(  # where shapes cannot tell how the weight is stored
        model="gpt2",
        settings={"target_modules": ["attn.c_proj"], "fan_in_fan_out": True},
        changed={f"transformer.h.{layer}.attn.c_proj.weight" for layer in range(2)},
    ),
    "fan_in_fan_out_dora": Case(
        model="gpt2",
        settings={"target_modules": ["c_attn"], "fan_in_fan_out": True, "use_dora": True},
        changed={f"transformer.h.{layer}.attn.{part}_proj.weight" for layer in range(2) for part in "qkv"},
    ),
    "embedding": Case(settings={"target_modules": ["embed_tokens", "q_proj"]}, changed={EMBEDDING} | {
        name for name in QV if "q_proj" in name
    }),
    "embedding_gpt2": Case(
        model="gpt2",
        settings={"target_modules": ["wte"], "fan_in_fan_out": True},
        changed={"transformer.wte.weight"},
    ),
    "head": Case(settings={"target_modules": ["lm_head"]}, changed={HEAD}),
    "modules_to_save": Case(
        settings={"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["lm_head", "input_layernorm"]},
        changed=QV | {HEAD, *(f"model.layers.{layer}.input_layernorm.weight" for layer in range(2))},
    ),
    "bias": Case(
        model="qwen2",
        settings={"target_modules": ["q_proj", "v_proj"], "bias": "all"},
        changed=QV | QKV_BIASES,
    ),
    "bias_lora_only": Case(
        model="qwen2",
        settings={"target_modules": ["q_proj", "v_proj"], "bias": "lora_only"},
        changed=QV | {name for name in QKV_BIASES if "k_proj" not in name},
    ),
}  # fmt: skip


@attrs.frozen(kw_only=True)
class Adapted:
    """A base and an adapter on disk, and the weights that PEFT merges them to, in float64."""

    base: Path
    adapter: Path
    merged: Mapping[str, np.ndarray]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """peft and transformers warn of what these tests do on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path]]:
    """A seeded model of each kind, with its checkpoint, made once."""
    made: dict[str, tuple[Any, Path]] = {}

    def make(name: str) -> tuple[Any, Path]:
        if name not in made:
            import transformers

            transformers.logging.set_verbosity_error()
            transformers.utils.logging.disable_progress_bar()
            model_class, config_class, settings = _MODELS[name]
            with torch.random.fork_rng():
                model = getattr(transformers, model_class)(getattr(transformers, config_class)(**settings))
            fill(model.state_dict().values(), seed=5)
            directory = tmp_path_factory.mktemp(f"base-{name}")
            model.save_pretrained(directory)
            made[name] = (model, directory)
        return made[name]

    return make


def fill(values: Any, *, seed: int, scale: float = 0.1) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in values:
            value.copy_(torch.randn(value.shape, generator=generator) * scale)


def adapt(model: Any, **settings: Any) -> Any:
    """The model with an adapter whose trained parameters are all random; the model itself is left alone."""
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng():
        adapted = get_peft_model(copy.deepcopy(model), LoraConfig(r=4, lora_alpha=12, **settings))
    trained = [value for name, value in adapted.named_parameters() if value.requires_grad and "magnitude" not in name]
    fill(trained, seed=9)
    generator = torch.Generator().manual_seed(10)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "magnitude" in name:
                value.mul_(1 + 0.3 * torch.rand(value.shape, generator=generator))
    return adapted


def write(base: tuple[Any, Path], directory: Path, **settings: Any) -> Adapted:
    model, path = base
    adapted = adapt(model, **settings)
    adapted.save_pretrained(directory / "adapter")
    shutil.copytree(path, directory / "base")
    merged = copy.deepcopy(adapted).double().merge_and_unload().state_dict()
    weights = {name: value.numpy() for name, value in merged.items()}
    return Adapted(base=directory / "base", adapter=directory / "adapter", merged=weights)


def compare(base: Path | None, trained: Path, run: Path) -> DiagnosticReport:
    return Diagnoser(base, trained, run_dir=run, use_cache=False, threads=2).run_weight_diff()


def by_tensor(report: DiagnosticReport, metric: str) -> dict[str, float | None]:
    found = report.measurements(f"weight.delta.{metric}")
    return {m.scope.tensor: m.value for m in found if m.scope.tensor is not None}


def whole(report: DiagnosticReport, metric: str) -> float | None:
    (value,) = (m.value for m in report.measurements(metric) if m.scope.key() == "model")
    return value


def base_weights(directory: Path) -> dict[str, np.ndarray]:
    return {name: value.double().numpy() for name, value in load_file(directory / "model.safetensors").items()}


def presented(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights as they are compared: GPT-2's projections (outputs, inputs), q, k and v apart; others as stored."""
    shown: dict[str, np.ndarray] = {}
    for name, value in weights.items():
        if ".c_attn." in name:
            parts = np.split(value, 3, axis=-1)
            shown |= {name.replace("c_attn", f"{key}_proj"): part.T for key, part in zip("qkv", parts, strict=True)}
        else:
            shown[name] = value.T if name.endswith(("c_proj.weight", "c_fc.weight")) else value
    return shown


def assert_measured(report: DiagnosticReport, name: str, base: np.ndarray, trained: np.ndarray) -> None:
    """The measurements of one tensor against their definitions, in float64."""
    delta = trained - base
    left, right = base / np.linalg.norm(base), trained / np.linalg.norm(trained)
    expected = {
        "norm": np.linalg.norm(delta),
        "relative": np.linalg.norm(delta) / np.linalg.norm(base),
        "max_abs": np.abs(delta).max(),
        "cosine_distance": np.sum((left - right) ** 2) / 2,
    }
    measured = {metric: by_tensor(report, metric)[name] for metric in expected}
    assert measured == pytest.approx({metric: float(value) for metric, value in expected.items()}, rel=1e-9), name


@pytest.mark.parametrize("name", CASES)
def test_an_adapter_measures_as_the_weights_it_merges_to(
    name: str, bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    case = CASES[name]
    adapted = write(bases(case.model), tmp_path, **case.settings)
    report = compare(adapted.base, adapted.adapter, tmp_path / "run")
    norms = by_tensor(report, "norm")
    base, merged = presented(base_weights(adapted.base)), presented(adapted.merged)
    assert norms.keys() == base.keys()
    assert {tensor for tensor, value in norms.items() if value} == case.changed
    for tensor in case.changed:
        assert_measured(report, tensor, base[tensor], merged[tensor])
    fractions = by_tensor(report, "changed_fraction")
    for tensor in base.keys() - case.changed:
        assert fractions[tensor] == 0.0
        assert np.array_equal(base[tensor], merged[tensor])
    assert whole(report, "weight.coverage") == 1.0
    assert report.verdict.status == "pass"
    subject = report.result.subjects[1]
    assert (subject.kind, subject.base) == ("adapter", "base")


def factors(adapter: Path, module: str) -> tuple[np.ndarray, np.ndarray]:
    stored = load_file(adapter / "adapter_model.safetensors")
    prefix = f"base_model.model.{module}"
    return stored[f"{prefix}.lora_A.weight"].double().numpy(), stored[f"{prefix}.lora_B.weight"].double().numpy()


@pytest.mark.parametrize(("settings", "scale"), [({}, 12 / 4), ({"use_rslora": True}, 12 / 4**0.5)])
def test_the_change_is_s_times_b_times_a(
    settings: dict[str, Any], scale: float, bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"], **settings)
    report = compare(adapted.base, adapted.adapter, tmp_path / "run")
    a, b = factors(adapted.adapter, "model.layers.1.self_attn.q_proj")
    delta = scale * b @ a
    name = "model.layers.1.self_attn.q_proj.weight"
    base = base_weights(adapted.base)[name]
    assert_measured(report, name, base, base + delta)
    assert by_tensor(report, "norm")[name] == pytest.approx(float(np.linalg.norm(delta)), rel=1e-12)
    merged = (base + delta).astype(np.float32)
    assert by_tensor(report, "changed_fraction")[name] == np.mean(base.astype(np.float32) != merged)
    assert report.result.subjects[1].properties["scaling"] == [scale]


def test_dora_scales_the_rows_of_the_sum_to_its_magnitudes(
    bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    adapted = write(bases("llama"), tmp_path, target_modules=["v_proj"], use_dora=True)
    report = compare(adapted.base, adapted.adapter, tmp_path / "run")
    a, b = factors(adapted.adapter, "model.layers.0.self_attn.v_proj")
    stored = load_file(adapted.adapter / "adapter_model.safetensors")
    magnitude = stored["base_model.model.model.layers.0.self_attn.v_proj.lora_magnitude_vector"].double().numpy()
    name = "model.layers.0.self_attn.v_proj.weight"
    base = base_weights(adapted.base)[name]
    total = base + 3.0 * b @ a
    trained = magnitude[:, None] / np.linalg.norm(total, axis=1, keepdims=True) * total
    assert_measured(report, name, base, trained)


def test_an_adapter_on_the_head_of_a_tied_base_changes_the_head_alone(
    bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    """PEFT adds the delta to the head's output; the embedding that shares the stored weight keeps its values."""
    model, path = bases("tied")
    adapted = adapt(model, target_modules=["lm_head"])
    adapted.save_pretrained(tmp_path / "adapter")
    report = compare(path, tmp_path / "adapter", tmp_path / "run")
    a, b = factors(tmp_path / "adapter", "lm_head")
    base = base_weights(path)
    assert HEAD not in base
    assert_measured(report, HEAD, base[EMBEDDING], base[EMBEDDING] + 3.0 * b @ a)
    assert {name for name, value in by_tensor(report, "norm").items() if value} == {HEAD}
    assert whole(report, "weight.coverage") == 1.0


@pytest.mark.parametrize("module", ["c_attn", "attn.c_proj"])
def test_fan_in_fan_out_left_unset_is_found_from_the_base(
    module: str, bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    adapted = write(bases("gpt2"), tmp_path, target_modules=[module], fan_in_fan_out=True)
    expected = compare(adapted.base, adapted.adapter, tmp_path / "run")
    edit_config(adapted.adapter, fan_in_fan_out=False)
    report = compare(adapted.base, adapted.adapter, tmp_path / "again")
    for metric in ("norm", "cosine_distance"):
        assert by_tensor(report, metric) == by_tensor(expected, metric)


def test_a_bf16_base_is_measured_before_rounding_and_its_bits_after(
    bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    """The change is that of the factors; the share of changed entries is that of a merge into bf16."""
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    weights = {n: v.to(torch.bfloat16) for n, v in load_file(adapted.base / "model.safetensors").items()}
    save_file(weights, adapted.base / "model.safetensors", metadata={"format": "pt"})
    stored = load_file(adapted.adapter / "adapter_model.safetensors")
    small = {name: value * 0.02 for name, value in stored.items()}
    save_file(small, adapted.adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    report = compare(adapted.base, adapted.adapter, tmp_path / "run")
    name = "model.layers.0.self_attn.q_proj.weight"
    a, b = factors(adapted.adapter, "model.layers.0.self_attn.q_proj")
    delta = torch.from_numpy(3.0 * b @ a)
    assert by_tensor(report, "norm")[name] == pytest.approx(float(delta.norm()), rel=1e-9)
    merged = (weights[name].double() + delta).to(torch.bfloat16)
    fraction = float((merged != weights[name]).double().mean())
    assert 0 < fraction < 1
    assert by_tensor(report, "changed_fraction")[name] == fraction


def test_an_adapter_that_a_merge_would_round_away_is_not_called_a_cast(
    bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    weights = {n: v.to(torch.bfloat16) for n, v in load_file(adapted.base / "model.safetensors").items()}
    save_file(weights, adapted.base / "model.safetensors", metadata={"format": "pt"})
    stored = load_file(adapted.adapter / "adapter_model.safetensors")
    tiny = {name: value * 1e-6 for name, value in stored.items()}
    save_file(tiny, adapted.adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    report = compare(adapted.base, adapted.adapter, tmp_path / "run")
    messages = {finding.rule: finding.message for finding in report.findings}
    assert whole(report, "weight.delta.changed_fraction") == 0.0
    assert "changed 2 of 21 tensors" in messages["weight.change"]
    assert messages["weight.below_rounding"].startswith("Merging the adapter into the stored dtype")


def test_an_untrained_adapter_changes_nothing(bases: Callable[[str], tuple[Any, Path]], tmp_path: Path) -> None:
    """B starts at zero."""
    from peft import LoraConfig, get_peft_model

    model, path = bases("llama")
    with torch.random.fork_rng():
        adapted = get_peft_model(copy.deepcopy(model), LoraConfig(target_modules=["q_proj", "v_proj"]))
    adapted.save_pretrained(tmp_path / "adapter")
    report = compare(path, tmp_path / "adapter", tmp_path / "run")
    assert set(by_tensor(report, "norm").values()) == {0.0}
    assert {f.rule: f.kind for f in report.findings}["weight.change"] == "pass"


# --- which base


@pytest.mark.parametrize("named", ["../base", "base"])
def test_the_base_is_the_one_the_adapter_names_beside_it(
    named: str, bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    edit_config(adapted.adapter, base_model_name_or_path=named)
    report = compare(None, adapted.adapter, tmp_path / "run")
    assert report.result.subjects[0].label == "base"
    expected = compare(adapted.base, adapted.adapter, tmp_path / "again")
    assert report.result.measurements == expected.result.measurements


def test_an_adapter_that_names_no_base_asks_for_one(bases: Callable[[str], tuple[Any, Path]], tmp_path: Path) -> None:
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    edit_config(adapted.adapter, base_model_name_or_path=None)
    with pytest.raises(AfterburnError, match="--base"):
        compare(None, adapted.adapter, tmp_path / "run")


def test_a_base_of_other_width_is_refused(bases: Callable[[str], tuple[Any, Path]], tmp_path: Path) -> None:
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    stored = load_file(adapted.adapter / "adapter_model.safetensors")
    wider = {n: torch.cat([v, v], dim=1) if "lora_A" in n else v for n, v in stored.items()}
    save_file(wider, adapted.adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SubjectError, match=r"give 16x32, but the base's weight is 16x16; give the base"):
        compare(adapted.base, adapted.adapter, tmp_path / "run")


def test_a_base_without_the_adapted_module_is_refused(bases: Callable[[str], tuple[Any, Path]], tmp_path: Path) -> None:
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    with pytest.raises(SubjectError, match=r"q_proj.weight', which the base does not have"):
        compare(bases("gpt2")[1], adapted.adapter, tmp_path / "run")


# --- refused by name


def edit_config(adapter: Path, **values: Any) -> None:
    write_json(adapter / "adapter_config.json", {**read_json(adapter / "adapter_config.json"), **values})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"peft_type": "LOKR"}, "LOKR"),
        ({"peft_type": "PREFIX_TUNING"}, "PREFIX_TUNING"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"init_lora_weights": "pissa_niter_16"}, "pissa_niter_16"),
        ({"init_lora_weights": "olora"}, "olora"),
        ({"init_lora_weights": "lora_ga"}, "lora_ga"),
        ({"target_parameters": ["mlp.experts.gate_up_proj"]}, "target_parameters"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"lora_bias": True}, "lora_bias"),
        ({"kasa_config": {"beta": 0.1}}, "kasa_config"),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_what_the_factors_alone_do_not_say_is_refused_by_name(
    values: dict[str, Any], named: str, bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    edit_config(adapted.adapter, **values)
    with pytest.raises(SubjectError, match=named) as refused:
        compare(adapted.base, adapted.adapter, tmp_path / "run")
    assert "merge" in str(refused.value)


def test_a_tensor_of_an_unknown_variant_is_refused_by_name(
    bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    """A variant that a newer PEFT adds must not be measured as if it were plain LoRA."""
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    stored = load_file(adapted.adapter / "adapter_model.safetensors")
    extra = "base_model.model.model.layers.0.self_attn.q_proj.lora_diag.weight"
    save_file({**stored, extra: torch.ones(4)}, adapted.adapter / "adapter_model.safetensors")
    with pytest.raises(SubjectError, match="lora_diag"):
        compare(adapted.base, adapted.adapter, tmp_path / "run")


@pytest.mark.parametrize(
    "values",
    [{"r": "four"}, {"lora_alpha": None}, {"rank_pattern": [1]}, {"alpha_pattern": {"(": 1}}, {"r": 0}],
    ids=str,
)
def test_a_malformed_configuration_is_one_error_that_names_it(
    values: dict[str, Any], bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    edit_config(adapted.adapter, **values)
    with pytest.raises(SubjectError, match="adapter"):
        compare(adapted.base, adapted.adapter, tmp_path / "run")


def test_factors_that_lost_their_partner_are_refused(bases: Callable[[str], tuple[Any, Path]], tmp_path: Path) -> None:
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    stored = load_file(adapted.adapter / "adapter_model.safetensors")
    kept = {name: value for name, value in stored.items() if not ("layers.1" in name and "lora_B" in name)}
    save_file(kept, adapted.adapter / "adapter_model.safetensors")
    with pytest.raises(SubjectError, match="only one of its two factors"):
        compare(adapted.base, adapted.adapter, tmp_path / "run")


def test_the_rank_of_a_factor_has_to_be_the_configured_one(
    bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    """Otherwise the scaling α/r would be a guess."""
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    edit_config(adapted.adapter, r=8)
    with pytest.raises(SubjectError, match="has rank 4 where the configuration says 8"):
        compare(adapted.base, adapted.adapter, tmp_path / "run")


def test_the_configuration_of_the_adapter_is_no_difference_of_the_model(
    bases: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    adapted = write(bases("llama"), tmp_path, target_modules=["q_proj"])
    report = compare(adapted.base, adapted.adapter, tmp_path / "run")
    assert whole(report, "weight.config.changed") == 0
    config = json.loads((adapted.adapter / "adapter_config.json").read_text())
    assert report.result.subjects[1].properties["rank"] == [config["r"]]
