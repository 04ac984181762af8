"""Kinds of adapters beside plain LoRA, each against the weights that PEFT itself merges them to; and what is known of
an adapter without its base.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from afterburn_core.backends.adapter import AdapterSource, read_adapter
from afterburn_core.backends.adapter_factors import Adapter, open_adapter
from afterburn_core.backends.checkpoint import FilesSource
from afterburn_core.backends.safetensors_file import read_index
from afterburn_core.backends.tensors import WeightSource
from afterburn_core.errors import SubjectError
from afterburn_core.testing.checkpoints import read_json, write_json

_LLAMA = {
    "vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 32, "tie_word_embeddings": False,
}  # fmt: skip
_GPT2 = {"vocab_size": 64, "n_embd": 16, "n_layer": 2, "n_head": 4}
_MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", _LLAMA),
    "tied": ("LlamaForCausalLM", "LlamaConfig", {**_LLAMA, "tie_word_embeddings": True}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", _LLAMA),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", _GPT2),
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Convolutions(nn.Module):
    """What transformers' language models lack."""

    def __init__(self) -> None:
        super().__init__()
        self.plane = nn.Conv2d(6, 10, 3)
        self.point = nn.Conv2d(10, 8, 1)
        self.line = nn.Conv1d(8, 12, 5)
        self.head = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def base_model(name: str) -> nn.Module:
    with torch.random.fork_rng():
        if name == "convolutions":
            model: nn.Module = Convolutions()
        else:
            import transformers

            transformers.logging.set_verbosity_error()
            model_class, config_class, settings = _MODELS[name]
            model = getattr(transformers, model_class)(getattr(transformers, config_class)(**settings))
    fill(model.state_dict(), seed=5)
    return model


def fill(values: Mapping[str, torch.Tensor], *, seed: int, scale: float = 0.1) -> None:
    """Random values; gains and magnitudes stay near what they start from."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in values.items():
            noise = torch.randn(value.shape, generator=generator)
            if "ia3_l" in name or "magnitude" in name:
                value.mul_(1 + 0.3 * noise)
            else:
                value.copy_(noise * scale)


class Case:
    """An adapter made by PEFT, saved, with the weights PEFT merges it to, all in float64."""

    def __init__(self, directory: Path, model: str, config: Any, **edits: Any) -> None:
        from peft import get_peft_model

        self.model = base_model(model)
        with torch.random.fork_rng():
            adapted = get_peft_model(copy.deepcopy(self.model), config)
        fill({n: p for n, p in adapted.named_parameters() if p.requires_grad}, seed=9)
        self.adapted = adapted
        self.path = directory / "adapter"
        adapted.save_pretrained(self.path)
        (directory / "base").mkdir()
        stored = {name: value for name, value in self.model.state_dict().items() if self._stored(name)}
        save_file({n: v.contiguous() for n, v in stored.items()}, directory / "base" / "model.safetensors")
        self.base = {name: value.double().numpy() for name, value in stored.items()}
        if edits:
            write_json(self.path / "adapter_config.json", {**read_json(self.path / "adapter_config.json"), **edits})
        self.file = read_index(directory / "base" / "model.safetensors")

    def _stored(self, name: str) -> bool:
        tied = getattr(getattr(self.model, "config", None), "tie_word_embeddings", False)
        return not (tied and name == "lm_head.weight")

    def merged(self) -> dict[str, np.ndarray]:
        merged = copy.deepcopy(self.adapted).double().merge_and_unload().state_dict()
        return {name: value.numpy() for name, value in merged.items()}

    def source(self) -> AdapterSource:
        adapter = self.opened()
        return read_adapter(self.path, adapter.config, adapter.file, self.weights())

    def weights(self) -> WeightSource:
        owner = dict.fromkeys(self.file.tensors, 0)
        return FilesSource(files=(self.file,), tensors=self.file.tensors, aliases={}, owner=owner)

    def opened(self) -> Adapter:
        return open_adapter(self.path)


def values(source: AdapterSource, name: str) -> np.ndarray:
    info = source.tensors[name]
    return source.read(name, 0, info.numel).double().numpy().reshape(info.shape)


def peft_config(kind: str, **settings: Any) -> Any:
    import peft

    return getattr(peft, f"{kind}Config")(**settings)


def lora(**settings: Any) -> Any:
    return peft_config("Lora", **{"r": 4, "lora_alpha": 12, **settings})


def ia3(targets: list[str], feedforward: list[str], **settings: Any) -> Any:
    return peft_config("IA3", target_modules=targets, feedforward_modules=feedforward, **settings)


def adalora(**settings: Any) -> Any:
    return peft_config("AdaLora", **{"init_r": 6, "target_r": 3, "lora_alpha": 9, "total_step": 10, **settings})


ALL_CONVOLUTIONS = ["plane", "point", "line"]
CASES: dict[str, tuple[str, Any]] = {
    "ia3": ("llama", lambda: ia3(["k_proj", "v_proj", "down_proj"], ["down_proj"])),
    "ia3_all": ("llama", lambda: ia3(["q_proj", "gate_proj", "down_proj"], ["gate_proj", "down_proj"])),
    "ia3_scales_biases": ("qwen2", lambda: ia3(["k_proj", "v_proj", "down_proj"], ["down_proj"])),
    "ia3_conv1d": ("gpt2", lambda: ia3(["c_attn", "mlp.c_proj"], ["mlp.c_proj"], fan_in_fan_out=True)),
    "ia3_conv1d_square": ("gpt2", lambda: ia3(["attn.c_proj"], [], fan_in_fan_out=True)),
    "ia3_conv1d_square_inputs": ("gpt2", lambda: ia3(["attn.c_proj"], ["attn.c_proj"], fan_in_fan_out=True)),
    "ia3_convolutions": ("convolutions", lambda: ia3(["plane", "point", "head"], ["point"])),
    "ia3_convolutions_inputs": ("convolutions", lambda: ia3(["plane"], ["plane"])),
    "ia3_saved": ("llama", lambda: ia3(["k_proj"], [], modules_to_save=["lm_head"])),
    "lora_convolutions": ("convolutions", lambda: lora(target_modules=[*ALL_CONVOLUTIONS, "head"])),
    "lora_convolutions_rslora": ("convolutions", lambda: lora(target_modules=ALL_CONVOLUTIONS, use_rslora=True)),
    "dora_convolutions": ("convolutions", lambda: lora(target_modules=ALL_CONVOLUTIONS, use_dora=True)),
    "lora_bias": ("qwen2", lambda: lora(target_modules=["q_proj", "v_proj"], lora_bias=True)),
    "lora_bias_convolutions": ("convolutions", lambda: lora(target_modules=ALL_CONVOLUTIONS, lora_bias=True)),
    "dora_embedding": ("llama", lambda: lora(target_modules=["embed_tokens", "q_proj"], use_dora=True)),
    "dora_conv1d_square": (
        "gpt2",
        lambda: lora(target_modules=["attn.c_proj"], use_dora=True, fan_in_fan_out=True),
    ),
    "tokens": ("llama", lambda: lora(target_modules=["q_proj"], trainable_token_indices=[3, 60, 0])),
    "tokens_by_name": (
        "llama",
        lambda: lora(target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [5], "lm_head": [1, 2]}),
    ),
    "tokens_alone": ("llama", lambda: peft_config("TrainableTokens", token_indices=[7, 8])),
    "adalora": ("llama", lambda: adalora(target_modules=["q_proj", "gate_proj"])),
    "adalora_without_alpha": ("llama", lambda: adalora(target_modules=["q_proj"], lora_alpha=0)),
    "adalora_conv1d": ("gpt2", lambda: adalora(target_modules=["c_attn"], fan_in_fan_out=True)),
    "orthogonal": ("llama", lambda: lora(target_modules=["q_proj"], init_lora_weights="orthogonal")),
    "gaussian": ("llama", lambda: lora(target_modules=["q_proj"], init_lora_weights="gaussian")),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    model, make = CASES[request.param]
    return Case(tmp_path, model, make())


def test_every_kind_reads_as_the_weights_peft_merges_it_to(case: Case) -> None:
    source, merged = case.source(), case.merged()
    assert source.tensors.keys() == case.base.keys()
    for name, expected in merged.items():
        if name in source.tensors:
            np.testing.assert_allclose(values(source, name), expected, rtol=1e-10, atol=1e-13, err_msg=name)
    changed = {name for name, expected in merged.items() if not np.array_equal(expected, case.base.get(name, expected))}
    assert changed == source.changes.keys() | source.saved.keys()
    assert source.shared == source.tensors.keys() - changed


def test_blocks_of_any_size_are_parts_of_the_whole(case: Case) -> None:
    source = case.source()
    for name in source.changes:
        whole = values(source, name).reshape(-1)
        for start, stop in ((0, 1), (3, whole.size), (whole.size // 2, whole.size - 1)):
            np.testing.assert_allclose(source.read(name, start, stop).numpy(), whole[start:stop], rtol=1e-12)
            array = source.read_array(name, start, stop)
            assert array is not None
            np.testing.assert_allclose(array, whole[start:stop], rtol=1e-12)


def test_exact_spectra_are_those_of_the_merged_difference(case: Case) -> None:
    source, merged = case.source(), case.merged()
    for name, bound in source.changes.items():
        found = source.spectrum(name, vectors=True)
        if not bound.factors.exact or name in source.saved:
            assert found is None
            continue
        assert found is not None and found.left is not None
        delta = (merged[name] - case.base[name]).reshape(case.base[name].shape[0], -1)
        expected = np.linalg.svd(delta, compute_uv=False)
        assert (found.rows, found.columns) == delta.shape
        np.testing.assert_allclose(found.values, expected, atol=1e-12 * max(1.0, expected[0]))
        np.testing.assert_allclose(abs(found.left[:, 0] @ delta), abs(found.values[0] * found.right[:, 0]), atol=1e-5)


def test_without_the_base_the_factors_give_the_same_difference(case: Case) -> None:
    merged = case.merged()
    for factors in case.opened().factors:
        if not factors.exact:
            continue
        delta = merged[factors.tensor] - case.base[factors.tensor]
        matrix = factors.matrix()
        found = matrix.block(0, matrix.rows)
        if factors.shape is not None and factors.shape != delta.shape:  # Conv1D: the base decides the orientation
            found = found.T
        if delta.shape[0] == delta.shape[1] and not np.allclose(found, delta, atol=1e-9):
            found = found.T
        np.testing.assert_allclose(found.reshape(delta.shape), delta, atol=1e-12, err_msg=factors.tensor)


def test_a_bias_that_the_base_lacks_is_one_tensor_more(tmp_path: Path) -> None:
    case = Case(tmp_path, "llama", lora(target_modules=["q_proj"], lora_bias=True))
    source = case.source()
    added = source.tensors.keys() - case.base.keys()
    assert added == {f"model.layers.{layer}.self_attn.q_proj.bias" for layer in range(2)}
    stored = load_file(case.path / "adapter_model.safetensors")
    name = "model.layers.0.self_attn.q_proj.bias"
    bias = stored["base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias"]
    assert source.tensors[name].shape == (16,)
    np.testing.assert_allclose(values(source, name), 3.0 * bias.double().numpy())


def test_a_pruned_adalora_keeps_the_scaling_of_its_first_rank(tmp_path: Path) -> None:
    """PEFT goes on dividing by the rank before pruning; read back by PEFT itself."""
    from peft import PeftModel

    model = base_model("llama")
    case = Case(tmp_path, "llama", adalora(target_modules=["q_proj", "v_proj"]))
    keep = [True, False, True, True, False, False]
    names = {f"model.layers.{i}.self_attn.{m}_proj.lora_E": keep for i in range(2) for m in "qv"}
    names["model.layers.1.self_attn.v_proj.lora_E"] = [False] * 6
    case.adapted.peft_config["default"].rank_pattern = names
    case.adapted.save_pretrained(case.path)
    loaded = PeftModel.from_pretrained(model, str(case.path)).double().merge_and_unload().state_dict()
    source = case.source()
    assert {factors.rank for factors in source.factors} == {3, 0}
    assert {factors.configured for factors in source.factors} == {6}
    for name in source.changes:
        np.testing.assert_allclose(values(source, name), loaded[name].numpy(), rtol=1e-9, atol=1e-12)
        found = source.spectrum(name)
        assert found is not None
        assert found.square == pytest.approx(float(np.sum((loaded[name].numpy() - case.base[name]) ** 2)), abs=1e-12)


def test_trained_tokens_outside_the_vocabulary_are_refused(tmp_path: Path) -> None:
    case = Case(tmp_path, "llama", peft_config("TrainableTokens", token_indices=[7, 8]), token_indices=[7, 64])
    with pytest.raises(SubjectError, match=r"do not fit the base's 64x16 embedding"):
        case.source()


@pytest.mark.parametrize(("indices", "named"), [([7], 1), ([7, 7], 2)])
def test_trained_tokens_and_their_indices_have_to_agree(indices: list[int], named: int, tmp_path: Path) -> None:
    case = Case(tmp_path, "llama", peft_config("TrainableTokens", token_indices=[7, 8]), token_indices=indices)
    with pytest.raises(SubjectError, match=rf"has 2 trained tokens where the configuration names {named}"):
        case.opened()


def test_gains_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    case = Case(tmp_path, "llama", ia3(["down_proj"], ["down_proj"]))
    stored = load_file(case.path / "adapter_model.safetensors")
    save_file(
        {name: value[:, :-1].contiguous() for name, value in stored.items()}, case.path / "adapter_model.safetensors"
    )
    with pytest.raises(SubjectError, match="ia3_l of model.layers.0.mlp.down_proj has 23 entries"):
        case.source()


def test_a_grouped_convolution_is_refused(tmp_path: Path) -> None:
    """PEFT refuses to merge it as well."""
    case = Case(tmp_path, "convolutions", lora(target_modules=["plane"]))
    stored = load_file(case.path / "adapter_model.safetensors")
    halved = {name: value[:, :2].contiguous() if "lora_B" in name else value for name, value in stored.items()}
    save_file(halved, case.path / "adapter_model.safetensors")
    with pytest.raises(SubjectError, match="convolutions without groups"):
        case.opened()


def test_a_method_of_another_type_is_refused_by_name(tmp_path: Path) -> None:
    case = Case(tmp_path, "llama", peft_config("LoHa", target_modules=["q_proj"], r=4, alpha=4))
    with pytest.raises(SubjectError, match="adapters of type LOHA are not read yet; merge it"):
        case.opened()


def test_what_is_no_adapter_says_so(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match=r"no adapter_config.json"):
        open_adapter(tmp_path)
    write_json(tmp_path / "adapter_config.json", {"peft_type": "LORA"})
    with pytest.raises(SubjectError, match=r"no adapter_model.safetensors"):
        open_adapter(tmp_path)


def test_an_adapter_is_described_without_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    case = Case(tmp_path, "llama", lora(target_modules=["q_proj"]))
    code = (
        "import sys; from pathlib import Path; from afterburn_core.backends.adapter_factors import open_adapter; "
        "from afterburn_core.run.lowrank import spectrum; adapter = open_adapter(Path(sys.argv[1])); "
        "print(len([spectrum(f.matrix()) for f in adapter.factors]), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(case.path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_the_scaling_and_its_formula_are_told_by_module(tmp_path: Path) -> None:
    config = lora(
        target_modules=["q_proj", "v_proj"], use_rslora=True, rank_pattern={"q_proj": 2}, alpha_pattern={"v_proj": 20}
    )
    found = {f.module.rpartition(".")[2]: f for f in Case(tmp_path, "llama", config).opened().factors}
    assert (found["q_proj"].rank, found["q_proj"].configured, found["q_proj"].alpha) == (2, 2, 12.0)
    assert found["q_proj"].scale == 12 / 2**0.5
    assert found["v_proj"].scale == 20 / 4**0.5
    assert found["v_proj"].formula == "alpha/sqrt(r)"
