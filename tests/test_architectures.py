"""The architectures of docs/support.md: every tensor is compared, named rightly, and only the planted one differs.

Models are tiny, built by transformers from a configuration, filled by a seeded generator and written by its own
`save_pretrained`. Expected numbers are computed here, with NumPy in float64, from the stored tensors.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest

from afterburn_core.api import Diagnoser, DiagnosticReport

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parent.parent
SUPPORT = ROOT / "docs" / "support.md"
METRICS = ("norm", "relative", "cosine_distance", "max_abs", "changed_fraction")

_SIZE = {"vocab_size": 64, "hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 24}
_DEEP = {**_SIZE, "num_hidden_layers": 2, "max_position_embeddings": 32}
_GROUPED = {**_DEEP, "num_key_value_heads": 2}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8}
_VISION = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
_T5 = {"vocab_size": 64, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}

LLAMA = {
    "embed": "model.embed_tokens.weight",
    "q": "model.layers.N.self_attn.q_proj.weight",
    "k": "model.layers.N.self_attn.k_proj.weight",
    "v": "model.layers.N.self_attn.v_proj.weight",
    "o": "model.layers.N.self_attn.o_proj.weight",
    "gate": "model.layers.N.mlp.gate_proj.weight",
    "up": "model.layers.N.mlp.up_proj.weight",
    "down": "model.layers.N.mlp.down_proj.weight",
    "head": "lm_head.weight",
}
Parts = dict[str, np.ndarray]


def as_stored(name: str, value: np.ndarray) -> Parts:
    """One tensor, as it is."""
    return {name: value}


def gpt2_parts(name: str, value: np.ndarray) -> Parts:
    """Projections stored (inputs, outputs), shown (outputs, inputs); q, k and v in thirds of the outputs."""
    if ".c_attn." in name:
        parts = np.split(value, 3, axis=-1)
        return {name.replace("c_attn", f"{key}_proj"): part.T for key, part in zip("qkv", parts, strict=True)}
    return {name: value.T if name.endswith(("c_proj.weight", "c_fc.weight")) else value}


def phi3_parts(name: str, value: np.ndarray) -> Parts:
    """4 query heads, 2 key and 2 value heads of width 4; halves for gate and up."""
    if "qkv_proj" in name:
        parts = np.split(value, [16, 24])
        return {name.replace("qkv", key): part for key, part in zip("qkv", parts, strict=True)}
    if "gate_up_proj" in name:
        parts = np.split(value, 2)
        return {name.replace("gate_up", key): part for key, part in zip(("gate", "up"), parts, strict=True)}
    return {name: value}


def by_head(name: str, value: np.ndarray) -> Parts:
    """`query_key_value` of 4 heads of width 4: each head's query, key and value rows after one another."""
    if "query_key_value" not in name:
        return {name: value}
    heads = value.reshape(4, 3, 4, -1)
    return {
        name.replace("query_key_value", f"{key}_proj"): heads[:, i].reshape(16, *value.shape[1:])
        for i, key in enumerate("qkv")
    }


def mpt_parts(name: str, value: np.ndarray) -> Parts:
    """Thirds of the rows."""
    parts = np.split(value, 3) if "Wqkv" in name else []
    return {name.replace("Wqkv", f"{key}_proj"): part for key, part in zip("qkv", parts)} or {name: value}


UNTIED = dict(LLAMA)
TIED = {kind: names for kind, names in LLAMA.items() if kind != "head"}
MIXER = "backbone.layers.N.mixer"


@attrs.frozen(kw_only=True)
class Architecture:
    """One row of the table: how to build it, and what its stored names mean."""

    model: str
    """Class of transformers."""
    config: str
    settings: Mapping[str, Any]
    kinds: Mapping[str, str]
    """Templates of stored names by module kind, `N` for any number; every other tensor is a norm or a bias."""
    planted: str
    """The tensor that is changed."""
    kind: str
    layer: int | None
    subset: str | None = None
    layers: Mapping[str, int] = attrs.field(factory=lambda: {"": 2})
    """Number of layers by stack; the stack has no name where there is only one."""
    other: str = ""
    """Tensors that no kind describes, and why that is right: see `OTHER`."""
    parts: Callable[[str, np.ndarray], Parts] = as_stored
    """The tensors that are compared, of a stored one: what is fused is compared in parts."""

    def compared(self, tensors: Mapping[str, np.ndarray]) -> Parts:
        return {part: value for name, stored in tensors.items() for part, value in self.parts(name, stored).items()}


OTHER = {
    "multi_modal_projector.mm_input_projection_weight": "bridges the vision tower and the language model",
    "vision_tower.embeddings.patch_embedding.weight": "a convolution over pixels",
    "vision_tower.head.probe": "a learned query of the vision tower's pooling head",
    "cls.predictions.transform.dense.weight": "a dense layer between the encoder and the output layer",
}

ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture(
        model="LlamaForCausalLM",
        config="LlamaConfig",
        settings=_GROUPED,
        kinds=UNTIED,
        planted="model.layers.1.self_attn.v_proj.weight",
        kind="v",
        layer=1,
    ),
    "qwen2": Architecture(
        model="Qwen2ForCausalLM",
        config="Qwen2Config",
        settings=_GROUPED,
        kinds=UNTIED,
        planted="model.layers.0.self_attn.k_proj.bias",
        kind="bias",
        layer=0,
    ),
    "qwen3": Architecture(
        model="Qwen3ForCausalLM",
        config="Qwen3Config",
        settings={**_GROUPED, "head_dim": 8, "tie_word_embeddings": True},
        kinds=TIED,
        planted="model.layers.1.self_attn.q_norm.weight",
        kind="norm",
        layer=1,
    ),
    "mistral": Architecture(
        model="MistralForCausalLM",
        config="MistralConfig",
        settings=_GROUPED,
        kinds=UNTIED,
        planted="lm_head.weight",
        kind="head",
        layer=None,
    ),
    "gemma2": Architecture(
        model="Gemma2ForCausalLM",
        config="Gemma2Config",
        settings={**_GROUPED, "head_dim": 8},
        kinds=TIED,
        planted="model.layers.1.mlp.gate_proj.weight",
        kind="gate",
        layer=1,
    ),
    "gemma3": Architecture(
        model="Gemma3ForConditionalGeneration",
        config="Gemma3Config",
        settings={
            "text_config": {**_GROUPED, "num_hidden_layers": 3, "head_dim": 4, "sliding_window": 8},
            "vision_config": {**_VISION, "image_size": 16, "patch_size": 8},
            "mm_tokens_per_image": 4,
            "image_token_index": 60,
            "boi_token_index": 61,
            "eoi_token_index": 62,
        },
        kinds={
            **{kind: f"language_model.{name}" for kind, name in TIED.items()},
            "q": "*.layers.N.self_attn.q_proj.weight",
            "k": "*.layers.N.self_attn.k_proj.weight",
            "v": "*.layers.N.self_attn.v_proj.weight",
            "o": "language_model.model.layers.N.self_attn.o_proj.weight *.out_proj.weight",
            "up": "language_model.model.layers.N.mlp.up_proj.weight vision_tower.*.mlp.fc1.weight",
            "down": "language_model.model.layers.N.mlp.down_proj.weight vision_tower.*.mlp.fc2.weight",
            "qkv": "vision_tower.head.attention.in_proj_weight",
            "position": "vision_tower.embeddings.position_embedding.weight",
        },
        planted="vision_tower.encoder.layers.1.mlp.fc2.weight",
        kind="down",
        layer=1,
        subset="vision",
        layers={"": 3, "vision": 2},
        other="multi_modal_projector.mm_input_projection_weight vision_tower.embeddings.patch_embedding.weight "
        "vision_tower.head.probe",
    ),
    "gpt2": Architecture(
        model="GPT2LMHeadModel",
        config="GPT2Config",
        settings={"vocab_size": 64, "n_embd": 16, "n_layer": 3, "n_head": 4, "n_positions": 32},
        kinds={
            "embed": "transformer.wte.weight",
            "position": "transformer.wpe.weight",
            **{key: f"transformer.h.N.attn.{key}_proj.weight" for key in "qkv"},
            "o": "transformer.h.N.attn.c_proj.weight",
            "up": "transformer.h.N.mlp.c_fc.weight",
            "down": "transformer.h.N.mlp.c_proj.weight",
        },
        planted="transformer.h.2.mlp.c_fc.weight",
        kind="up",
        layer=2,
        layers={"": 3},
        parts=gpt2_parts,
    ),
    "phi": Architecture(
        model="PhiForCausalLM",
        config="PhiConfig",
        settings=_DEEP,
        kinds={
            **{kind: UNTIED[kind] for kind in ("embed", "q", "k", "v", "head")},
            "o": "model.layers.N.self_attn.dense.weight",
            "up": "model.layers.N.mlp.fc1.weight",
            "down": "model.layers.N.mlp.fc2.weight",
        },
        planted="model.layers.0.self_attn.dense.weight",
        kind="o",
        layer=0,
    ),
    "phi3": Architecture(
        model="Phi3ForCausalLM",
        config="Phi3Config",
        settings={**_GROUPED, "pad_token_id": 0},
        kinds=UNTIED,
        planted="model.layers.1.self_attn.o_proj.weight",
        kind="o",
        layer=1,
        parts=phi3_parts,
    ),
    "mixtral": Architecture(
        model="MixtralForCausalLM",
        config="MixtralConfig",
        settings={**_GROUPED, "num_local_experts": 4},
        kinds={
            **{kind: UNTIED[kind] for kind in ("embed", "q", "k", "v", "o", "head")},
            "router": "model.layers.N.block_sparse_moe.gate.weight",
            "gate": "model.layers.N.block_sparse_moe.experts.N.w1.weight",
            "down": "model.layers.N.block_sparse_moe.experts.N.w2.weight",
            "up": "model.layers.N.block_sparse_moe.experts.N.w3.weight",
        },
        planted="model.layers.1.block_sparse_moe.gate.weight",
        kind="router",
        layer=1,
    ),
    "qwen3_moe": Architecture(
        model="Qwen3MoeForCausalLM",
        config="Qwen3MoeConfig",
        settings={**_GROUPED, **_EXPERTS, "head_dim": 4},
        kinds={
            **{kind: UNTIED[kind] for kind in ("embed", "q", "k", "v", "o", "head")},
            "router": "model.layers.N.mlp.gate.weight",
            "gate": "model.layers.N.mlp.experts.N.gate_proj.weight",
            "up": "model.layers.N.mlp.experts.N.up_proj.weight",
            "down": "model.layers.N.mlp.experts.N.down_proj.weight",
        },
        planted="model.layers.0.mlp.experts.3.up_proj.weight",
        kind="up",
        layer=0,
    ),
    "qwen2_moe": Architecture(
        model="Qwen2MoeForCausalLM",
        config="Qwen2MoeConfig",
        settings={**_GROUPED, **_EXPERTS, "shared_expert_intermediate_size": 8},
        kinds={
            **{kind: UNTIED[kind] for kind in ("embed", "q", "k", "v", "o", "head")},
            "router": "model.layers.N.mlp.gate.weight model.layers.N.mlp.shared_expert_gate.weight",
            "gate": "model.layers.N.mlp.*.gate_proj.weight",
            "up": "model.layers.N.mlp.*.up_proj.weight",
            "down": "model.layers.N.mlp.*.down_proj.weight",
        },
        planted="model.layers.1.mlp.shared_expert_gate.weight",
        kind="router",
        layer=1,
    ),
    "deepseek_v3": Architecture(
        model="DeepseekV3ForCausalLM",
        config="DeepseekV3Config",
        settings={
            **_DEEP,
            "num_key_value_heads": 4,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "n_group": 1,
            "topk_group": 1,
            "moe_intermediate_size": 8,
            "first_k_dense_replace": 1,
            "q_lora_rank": 8,
            "kv_lora_rank": 8,
            "qk_rope_head_dim": 4,
            "qk_nope_head_dim": 4,
            "v_head_dim": 4,
        },
        kinds={
            **{kind: UNTIED[kind] for kind in ("embed", "o", "head")},
            "q": "model.layers.N.self_attn.q_a_proj.weight model.layers.N.self_attn.q_b_proj.weight",
            "kv": "model.layers.N.self_attn.kv_a_proj_with_mqa.weight model.layers.N.self_attn.kv_b_proj.weight",
            "router": "model.layers.N.mlp.gate.weight",
            "gate": "model.layers.N.mlp*gate_proj.weight",
            "up": "model.layers.N.mlp*up_proj.weight",
            "down": "model.layers.N.mlp*down_proj.weight",
        },
        planted="model.layers.0.self_attn.kv_b_proj.weight",
        kind="kv",
        layer=0,
    ),
    "t5": Architecture(
        model="T5ForConditionalGeneration",
        config="T5Config",
        settings=_T5,
        kinds={
            "embed": "shared.weight",
            "q": "*coder.block.N.layer.N.*Attention.q.weight",
            "k": "*coder.block.N.layer.N.*Attention.k.weight",
            "v": "*coder.block.N.layer.N.*Attention.v.weight",
            "o": "*coder.block.N.layer.N.*Attention.o.weight",
            "up": "*coder.block.N.layer.N.DenseReluDense.wi.weight",
            "down": "*coder.block.N.layer.N.DenseReluDense.wo.weight",
            "position": "*coder.block.N.layer.N.SelfAttention.relative_attention_bias.weight",
        },
        planted="decoder.block.1.layer.2.DenseReluDense.wo.weight",
        kind="down",
        layer=1,
        subset="decoder",
        layers={"encoder": 2, "decoder": 2},
    ),
    "t5_gated": Architecture(
        model="T5ForConditionalGeneration",
        config="T5Config",
        settings={**_T5, "feed_forward_proj": "gated-gelu"},
        kinds={
            "embed": "shared.weight",
            "q": "*coder.block.N.layer.N.*Attention.q.weight",
            "k": "*coder.block.N.layer.N.*Attention.k.weight",
            "v": "*coder.block.N.layer.N.*Attention.v.weight",
            "o": "*coder.block.N.layer.N.*Attention.o.weight",
            "gate": "*coder.block.N.layer.N.DenseReluDense.wi_0.weight",
            "up": "*coder.block.N.layer.N.DenseReluDense.wi_1.weight",
            "down": "*coder.block.N.layer.N.DenseReluDense.wo.weight",
            "position": "*coder.block.N.layer.N.SelfAttention.relative_attention_bias.weight",
        },
        planted="encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        kind="position",
        layer=0,
        subset="encoder",
        layers={"encoder": 2, "decoder": 2},
    ),
    "bert": Architecture(
        model="BertForMaskedLM",
        config="BertConfig",
        settings=_DEEP,
        kinds={
            "embed": "bert.embeddings.word_embeddings.weight",
            "position": "bert.embeddings.position_embeddings.weight bert.embeddings.token_type_embeddings.weight",
            "q": "bert.encoder.layer.N.attention.self.query.weight",
            "k": "bert.encoder.layer.N.attention.self.key.weight",
            "v": "bert.encoder.layer.N.attention.self.value.weight",
            "o": "bert.encoder.layer.N.attention.output.dense.weight",
            "up": "bert.encoder.layer.N.intermediate.dense.weight",
            "down": "bert.encoder.layer.N.output.dense.weight",
        },
        planted="bert.embeddings.word_embeddings.weight",
        kind="embed",
        layer=None,
        other="cls.predictions.transform.dense.weight",
    ),
    "opt": Architecture(
        model="OPTForCausalLM",
        config="OPTConfig",
        settings={
            "vocab_size": 64,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 24,
            "max_position_embeddings": 32,
            "word_embed_proj_dim": 16,
        },
        kinds={
            "embed": "model.decoder.embed_tokens.weight",
            "position": "model.decoder.embed_positions.weight",
            "q": "model.decoder.layers.N.self_attn.q_proj.weight",
            "k": "model.decoder.layers.N.self_attn.k_proj.weight",
            "v": "model.decoder.layers.N.self_attn.v_proj.weight",
            "o": "model.decoder.layers.N.self_attn.out_proj.weight",
            "up": "model.decoder.layers.N.fc1.weight",
            "down": "model.decoder.layers.N.fc2.weight",
        },
        planted="model.decoder.embed_positions.weight",
        kind="position",
        layer=None,
    ),
    "bloom": Architecture(
        model="BloomForCausalLM",
        config="BloomConfig",
        settings={"vocab_size": 64, "hidden_size": 16, "n_layer": 2, "n_head": 4},
        kinds={
            "embed": "transformer.word_embeddings.weight",
            **{key: f"transformer.h.N.self_attention.{key}_proj.weight" for key in "qkv"},
            "o": "transformer.h.N.self_attention.dense.weight",
            "up": "transformer.h.N.mlp.dense_h_to_4h.weight",
            "down": "transformer.h.N.mlp.dense_4h_to_h.weight",
        },
        planted="transformer.h.1.self_attention.dense.weight",
        kind="o",
        layer=1,
        parts=by_head,
    ),
    "gpt_neox": Architecture(
        model="GPTNeoXForCausalLM",
        config="GPTNeoXConfig",
        settings=_DEEP,
        kinds={
            "embed": "gpt_neox.embed_in.weight",
            "head": "embed_out.weight",
            **{key: f"gpt_neox.layers.N.attention.{key}_proj.weight" for key in "qkv"},
            "o": "gpt_neox.layers.N.attention.dense.weight",
            "up": "gpt_neox.layers.N.mlp.dense_h_to_4h.weight",
            "down": "gpt_neox.layers.N.mlp.dense_4h_to_h.weight",
        },
        planted="gpt_neox.layers.1.attention.dense.weight",
        kind="o",
        layer=1,
        parts=by_head,
    ),
    "mpt": Architecture(
        model="MptForCausalLM",
        config="MptConfig",
        settings={"vocab_size": 64, "d_model": 16, "n_layers": 2, "n_heads": 4, "max_seq_len": 32},
        kinds={
            "embed": "transformer.wte.weight",
            **{key: f"transformer.blocks.N.attn.{key}_proj.weight" for key in "qkv"},
            "o": "transformer.blocks.N.attn.out_proj.weight",
            "up": "transformer.blocks.N.ffn.up_proj.weight",
            "down": "transformer.blocks.N.ffn.down_proj.weight",
        },
        planted="transformer.blocks.0.ffn.down_proj.weight",
        kind="down",
        layer=0,
        parts=mpt_parts,
    ),
    "mamba": Architecture(
        model="MambaForCausalLM",
        config="MambaConfig",
        settings={"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
        kinds={
            "embed": "backbone.embeddings.weight",
            "o": f"{MIXER}.out_proj.weight",
            "ssm": f"{MIXER}.in_proj.weight {MIXER}.x_proj.weight {MIXER}.dt_proj.weight {MIXER}.conv1d.weight "
            f"{MIXER}.A_log {MIXER}.D",
        },
        planted="backbone.layers.1.mixer.A_log",
        kind="ssm",
        layer=1,
    ),
}


@attrs.frozen(kw_only=True)
class Checkpoints:
    """One architecture on disk, base and trained each in another number of files, and what we say of them."""

    base: Path
    base_tensors: Mapping[str, np.ndarray]
    """What is compared, computed here from what is stored."""
    trained_tensors: Mapping[str, np.ndarray]
    report: DiagnosticReport


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Checkpoints]:
    """Writes and compares the pair of an architecture in a dtype, once per session."""
    written: dict[tuple[str, str], Checkpoints] = {}

    def make(name: str, dtype: str) -> Checkpoints:
        if (name, dtype) not in written:
            written[name, dtype] = write_pair(tmp_path_factory.mktemp(f"{name}-{dtype}"), ARCHITECTURES[name], dtype)
        return written[name, dtype]

    return make


def write_pair(directory: Path, architecture: Architecture, dtype: str) -> Checkpoints:
    """float32 has the base in many files, bfloat16 the trained model."""
    base, trained = directory / "base", directory / "trained"
    sharded, whole = "4KB", "1GB"
    base_size, trained_size = (sharded, whole) if dtype == "float32" else (whole, sharded)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own, about its own
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        with torch.random.fork_rng():
            model = getattr(transformers, architecture.model)(
                getattr(transformers, architecture.config)(**architecture.settings)
            )
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for value in model.state_dict().values():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.05)
        model = model.to(getattr(torch, dtype))
        model.save_pretrained(base, max_shard_size=base_size)
        model.save_pretrained(trained, max_shard_size=trained_size)
    plant(trained, architecture.planted)
    assert len(list(base.glob("*.safetensors"))) != len(list(trained.glob("*.safetensors")))
    return Checkpoints(
        base=base,
        base_tensors=architecture.compared(stored(base)),
        trained_tensors=architecture.compared(stored(trained)),
        report=compare(base, trained, directory / "run"),
    )


def plant(directory: Path, name: str) -> None:
    """Adds noise to every entry of one stored tensor but its first, in the file that holds it."""
    import torch
    from safetensors.torch import load_file, save_file

    index = directory / "model.safetensors.index.json"
    file = json.loads(index.read_text())["weight_map"][name] if index.is_file() else "model.safetensors"
    tensors = load_file(directory / file)
    weight = tensors[name]
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(11)) * 0.02
    noise.view(-1)[0] = 0
    tensors[name] = (weight.float() + noise).to(weight.dtype)
    save_file(tensors, directory / file, metadata={"format": "pt"})


def stored(directory: Path) -> dict[str, np.ndarray]:
    """Every stored tensor as float64, which holds every bf16 and fp32 value exactly."""
    from safetensors.torch import load_file

    found: dict[str, torch.Tensor] = {}
    for file in sorted(directory.glob("*.safetensors")):
        found |= load_file(file)
    return {name: value.double().numpy() for name, value in found.items()}


def compare(base: Path, trained: Path, run: Path) -> DiagnosticReport:
    return Diagnoser(base, trained, run_dir=run, use_cache=False, threads=2).run_weight_diff()


def by_tensor(report: DiagnosticReport, metric: str) -> dict[str, float | None]:
    return {m.scope.tensor: m.value for m in report.measurements(metric) if m.scope.tensor is not None}


def whole(report: DiagnosticReport, metric: str) -> float | None:
    (value,) = (m.value for m in report.measurements(metric) if m.scope.key() == "model")
    return value


def expected_changes(base: np.ndarray, trained: np.ndarray) -> dict[str, float]:
    """The metrics by their definitions; the cosine distance from unit vectors, 1 − cos = ‖u − v‖²/2."""
    delta = trained - base
    left, right = base / np.linalg.norm(base), trained / np.linalg.norm(trained)
    return {
        "norm": float(np.sqrt(np.sum(delta**2))),
        "relative": float(np.sqrt(np.sum(delta**2)) / np.sqrt(np.sum(base**2))),
        "cosine_distance": float(np.sum((left - right) ** 2) / 2),
        "max_abs": float(np.abs(delta).max()),
        "changed_fraction": float(np.mean(base != trained)),
    }


def kind_by_template(name: str, kinds: Mapping[str, str]) -> str:
    """The kind that the table above gives a stored name."""
    for kind, templates in kinds.items():
        for template in templates.split():
            pattern = re.escape(template).replace(r"\*", ".*").replace("N", r"\d+")
            if re.fullmatch(pattern, name):
                return kind
    if re.search(r"norm|ln_", name, re.IGNORECASE):
        return "norm"
    if name.endswith("bias"):
        return "bias"
    return "other"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_tensor_is_compared_and_only_the_planted_one_differs(
    name: str, dtype: str, models: Callable[[str, str], Checkpoints]
) -> None:
    architecture, pair = ARCHITECTURES[name], models(name, dtype)
    report = pair.report
    assert whole(report, "weight.coverage") == 1.0
    assert whole(report, "weight.coverage.unexplained") == 0.0
    states = {m.scope.subset: m.value for m in report.measurements("weight.coverage.tensors")}
    assert states.pop("matched") == len(pair.base_tensors)
    assert set(states.values()) == {0.0}
    sizes = {m.scope.tensor: m.n for m in report.measurements("weight.delta.norm") if m.scope.tensor}
    assert sizes == {tensor: value.size for tensor, value in pair.base_tensors.items()}

    for metric in METRICS:
        values = by_tensor(report, f"weight.delta.{metric}")
        assert {tensor for tensor, value in values.items() if value != 0} == {architecture.planted}, metric
    expected = expected_changes(pair.base_tensors[architecture.planted], pair.trained_tensors[architecture.planted])
    measured = {metric: by_tensor(report, f"weight.delta.{metric}")[architecture.planted] for metric in METRICS}
    for metric in ("norm", "relative", "max_abs", "changed_fraction"):
        assert measured[metric] == pytest.approx(expected[metric], rel=1e-12, abs=0), metric
    assert measured["cosine_distance"] == pytest.approx(expected["cosine_distance"], rel=1e-9, abs=0)

    square = sum(float(np.sum(value**2)) for value in pair.base_tensors.values())
    assert whole(report, "weight.delta.norm") == pytest.approx(expected["norm"], rel=1e-12, abs=0)
    assert whole(report, "weight.delta.relative") == pytest.approx(expected["norm"] / square**0.5, rel=1e-12, abs=0)
    (change,) = (f for f in report.findings if f.rule == "weight.change")
    assert f"changed 1 of {len(pair.base_tensors)} tensors" in change.message
    assert report.verdict.status == "pass"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_stored_name_is_understood(name: str, models: Callable[[str, str], Checkpoints]) -> None:
    architecture, pair = ARCHITECTURES[name], models(name, "float32")
    report = pair.report
    scopes = {m.scope.tensor: m.scope for m in report.measurements("weight.delta.norm") if m.scope.tensor}

    planted = scopes[architecture.planted]
    assert (planted.module, planted.layer, planted.subset) == (
        architecture.kind,
        architecture.layer,
        architecture.subset,
    )
    assert {tensor: scope.module for tensor, scope in scopes.items()} == {
        tensor: kind_by_template(tensor, architecture.kinds) for tensor in pair.base_tensors
    }
    assert {tensor for tensor, scope in scopes.items() if scope.module == "other"} == set(architecture.other.split())
    assert set(architecture.other.split()) <= OTHER.keys()

    # the first number of a name is its layer in all of these architectures; experts and T5's sublayers come after it
    layers = {tensor: re.search(r"\.(\d+)\.", tensor) for tensor in scopes}
    assert {tensor: scope.layer for tensor, scope in scopes.items()} == {
        tensor: int(match[1]) if match else None for tensor, match in layers.items()
    }
    rolled = [m.scope for m in report.measurements("weight.delta.norm") if m.scope.tensor is None]
    stacks: dict[str, set[int]] = {}
    for scope in rolled:
        if scope.layer is not None and scope.module is None:
            stacks.setdefault(scope.subset or "", set()).add(scope.layer)
    assert stacks == {stack: set(range(count)) for stack, count in architecture.layers.items()}
    cells = [s for s in rolled if s.layer is not None and s.module is not None]
    assert {(s.subset, s.layer, s.module) for s in cells} == {
        (s.subset, s.layer, s.module) for s in scopes.values() if s.layer is not None
    }


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_shards_of_the_same_weights_show_no_change(
    name: str, models: Callable[[str, str], Checkpoints], tmp_path: Path
) -> None:
    """The float32 base lies in many files, and here once more in one."""
    from safetensors.torch import load_file, save_file

    pair = models(name, "float32")
    again = tmp_path / "again"
    again.mkdir()
    for document in {"config.json", "generation_config.json"} & {path.name for path in pair.base.iterdir()}:
        (again / document).write_bytes((pair.base / document).read_bytes())
    tensors: dict[str, torch.Tensor] = {}
    for file in pair.base.glob("*.safetensors"):
        tensors |= load_file(file)
    save_file(tensors, again / "model.safetensors", metadata={"format": "pt"})
    report = compare(pair.base, again, tmp_path / "run")
    kinds = {finding.rule: finding.kind for finding in report.findings}
    assert kinds["weight.change"] == "pass"
    assert set(kinds.values()) <= {"pass", "not_applicable"}
    assert {m.value for m in report.measurements("weight.delta.norm")} == {0.0}


def support_rows() -> list[tuple[str, str]]:
    """(what is supported, test id) of every table row of the page that names a test."""
    rows = re.findall(r"^\| (.+?) \|.*`(tests/[^`]+)` \|$", SUPPORT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(rows) > len(ARCHITECTURES)
    return rows


@functools.cache
def module_of(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(file).stem, ROOT / file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ids_of(test: Callable[..., None]) -> set[str]:
    """The ids that pytest gives the cases of a test; the decorator next to the function comes first."""
    ids = [""]
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            ids = [f"{before}-{case}" for before in ids for case in case_ids(mark)]
    return {identifier.removeprefix("-") for identifier in ids}


def case_ids(mark: pytest.Mark) -> list[str]:
    given = mark.kwargs.get("ids")
    if given is not None and not callable(given):
        return [str(identifier) for identifier in given]
    name = given or (lambda value: getattr(value, "__name__", str(value)))
    cases = [case if isinstance(case, tuple) else (case,) for case in mark.args[1]]
    return ["-".join(str(name(value)) for value in case) for case in cases]


@pytest.mark.parametrize("row", support_rows(), ids=lambda row: row[1].partition("/")[2])
def test_a_row_of_the_support_page_names_a_test_that_exists(row: tuple[str, str]) -> None:
    file, _, selector = row[1].partition("::")
    function, _, case = selector.removesuffix("]").partition("[")
    test = getattr(module_of(file), function, None)
    assert callable(test), f"{file} has no test {function}"
    assert not case or case in ids_of(test), f"{function} has no case {case!r}"  # no case named: all of them


def test_the_support_page_names_every_architecture_that_is_tested() -> None:
    named = {
        match[1] for _, test in support_rows() if (match := re.search(r"planted_one_differs\[(\w+)-float32\]", test))
    }
    assert named == ARCHITECTURES.keys()
