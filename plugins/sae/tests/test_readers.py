"""Every format is read as its own library means it, and nothing that is damaged or hostile is read at all.

The first part writes files as their own libraries do, each with codes and reconstructions computed in float64 NumPy by
the code of the library that trains or loads the format; it knows nothing of the readers.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.plugin.registry import Plugin, Registry, load_factory
from afterburn_sae import plugin
from afterburn_sae.dictionary import largest
from afterburn_sae.readers import open_dictionary
from afterburn_sae.readers.sites import neutral

D, N, T, K = 12, 40, 9, 5
Array = np.ndarray[Any, np.dtype[np.float64]]


@attrs.frozen(kw_only=True)
class Case:
    """A written dictionary and what it must give."""

    path: Path
    weights: Path
    x: Array
    codes: Array
    decoded: Array
    kind: str
    site: str | None
    facts: dict[str, Any] = attrs.field(factory=dict)
    """Attributes of the dictionary that the files say."""


def relu(p: Array) -> Array:
    return np.maximum(p, 0.0)


def top(p: Array, k: int) -> Array:
    kept = np.zeros_like(p)
    for row, values in enumerate(p):
        chosen = np.argsort(values)[-k:]
        kept[row, chosen] = values[chosen]
    return relu(kept)


def parameters(seed: int, d_out: int = D) -> dict[str, Array]:
    """Random weights whose float32 values are exact, so that storing them loses nothing."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int, scale: float = 1.0) -> Array:
        drawn: Array = (rng.normal(size=shape) * scale).astype(np.float32).astype(np.float64)
        return drawn

    return {
        "x": draw(T, D),
        "W_enc": draw(D, N, scale=0.4),
        "b_enc": draw(N, scale=0.3),
        "W_dec": draw(N, d_out, scale=0.5),
        "b_dec": draw(d_out, scale=0.5),
        "threshold": np.abs(draw(N, scale=0.5)),
        "r_mag": draw(N, scale=0.2),
        "b_mag": draw(N, scale=0.3),
        "W_skip": draw(D, d_out, scale=0.3),
    }


def f32(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def save(path: Path, **tensors: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: f32(value) for name, value in tensors.items()}, path)
    return path


def save_torch(path: Path, **tensors: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {name: f32(value) if isinstance(value, np.ndarray) else value for name, value in tensors.items()}
    torch.save(values, path)
    return path


def write_json(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


# SAELens


def saelens(
    root: Path,
    config: dict[str, Any],
    names: tuple[str, ...] = ("W_enc", "b_enc", "W_dec", "b_dec"),
    seed: int = 0,
    **more: Array,
) -> tuple[Path, dict[str, Array]]:
    p = parameters(seed)
    save(root / "sae_weights.safetensors", **{name: p[name] for name in names}, **more)
    write_json(root / "cfg.json", {"d_in": D, "d_sae": N, "dtype": "float32", **config})
    return root / "sae_weights.safetensors", p


SINCE_6 = {
    "apply_b_dec_to_input": True,
    "normalize_activations": "none",
    "metadata": {
        "sae_lens_version": "6.12.1",
        "model_name": "gemma-2-2b",
        "hook_name": "blocks.5.hook_resid_post",
        "neuronpedia_id": "gemma-2-2b/5-mine",
        "prepend_bos": True,
    },
}


def saelens_standard(root: Path) -> Case:
    weights, p = saelens(root, {"architecture": "standard", **SINCE_6})
    codes = relu((p["x"] - p["b_dec"]) @ p["W_enc"] + p["b_enc"])
    return Case(
        path=root, weights=weights, x=p["x"], codes=codes, decoded=codes @ p["W_dec"] + p["b_dec"], kind="relu",
        site="blocks.5.out", facts={"model": "gemma-2-2b", "lookup": "gemma-2-2b/5-mine", "prepend_bos": True},
    )  # fmt: skip


def saelens_flat_topk(root: Path) -> Case:
    """Before version 6: flat keys of older names, a top-k activation on the standard architecture, layer norm."""
    config = {
        "hook_point": "blocks.3.hook_mlp_out", "model_name": "pythia-70m", "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": K}, "normalize_activations": "layer_norm", "sae_lens_version": "3.9.0",
    }  # fmt: skip
    weights, p = saelens(root, config)
    mean = p["x"].mean(1, keepdims=True)
    std = p["x"].std(1, keepdims=True, ddof=1)
    codes = top(((p["x"] - mean) / (std + 1e-5) - p["b_dec"]) @ p["W_enc"] + p["b_enc"], K)
    decoded = (codes @ p["W_dec"] + p["b_dec"]) * std + mean
    return Case(
        path=root / "cfg.json", weights=weights, x=p["x"], codes=codes, decoded=decoded, kind="topk",
        site="blocks.3.mlp.out", facts={"k": K, "model": "pythia-70m", "prepend_bos": True},
    )  # fmt: skip


def saelens_gpt2(root: Path) -> Case:
    """gpt2-small-res-jb: trained on the stream of a model whose writing weights were centred; `normalize` a bool."""
    config = {"hook_point": "blocks.8.hook_resid_pre", "model_name": "gpt2-small", "normalize_activations": False}
    weights, p = saelens(root, config)
    mean = p["x"].mean(1, keepdims=True)
    codes = relu((p["x"] - mean - p["b_dec"]) @ p["W_enc"] + p["b_enc"])
    return Case(
        path=root, weights=weights, x=p["x"], codes=codes, decoded=codes @ p["W_dec"] + p["b_dec"] + mean, kind="relu",
        site="blocks.8.in",
    )  # fmt: skip


def saelens_gated(root: Path) -> Case:
    config = {"architecture": "gated", **SINCE_6, "normalize_activations": "constant_norm_rescale"}
    weights, p = saelens(root, config, ("W_enc", "W_dec", "b_dec", "r_mag", "b_mag"), b_gate=parameters(0)["b_enc"])
    scale = math.sqrt(D) / np.linalg.norm(p["x"], axis=1, keepdims=True)
    inner = p["x"] * scale - p["b_dec"]
    codes = (inner @ p["W_enc"] + p["b_enc"] > 0) * relu(inner @ (p["W_enc"] * np.exp(p["r_mag"])) + p["b_mag"])
    decoded = (codes @ p["W_dec"] + p["b_dec"]) / scale
    return Case(path=root, weights=weights, x=p["x"], codes=codes, decoded=decoded, kind="gated", site="blocks.5.out")


def saelens_jumprelu(root: Path) -> Case:
    """A batch-top-k (Matryoshka) dictionary as it is saved: JumpReLU with one threshold; an expected-average scale."""
    p = parameters(0)
    threshold = np.full(N, 0.25)
    config = {"architecture": "jumprelu", **SINCE_6, "normalize_activations": "expected_average_only_in",
              "norm_scaling_factor": 0.5, "apply_b_dec_to_input": False}  # fmt: skip
    weights, p = saelens(root, config, threshold=threshold)
    pre = (0.5 * p["x"]) @ p["W_enc"] + p["b_enc"]
    codes = relu(pre) * (pre > threshold)
    decoded = codes @ (p["W_dec"] / 0.5) + p["b_dec"] / 0.5
    return Case(
        path=weights, weights=weights, x=p["x"], codes=codes, decoded=decoded, kind="jumprelu", site="blocks.5.out",
        facts={"notes": "one constant threshold"},
    )  # fmt: skip


def saelens_batch_topk(root: Path) -> Case:
    """A checkpoint of training: codes times the decoder's norms before the learned threshold; decoder rows scaled."""
    scaling = np.linspace(0.5, 1.5, N).astype(np.float32).astype(np.float64)
    config = {"architecture": "matryoshka_batchtopk", "k": 4.5, "rescale_acts_by_decoder_norm": True, **SINCE_6}
    weights, p = saelens(root, config, topk_threshold=np.array(0.25), scaling_factor=scaling)
    decoder = (p["W_dec"] * scaling[:, None]).astype(np.float32).astype(np.float64)
    norms = np.linalg.norm(decoder, axis=1)
    pre = ((p["x"] - p["b_dec"]) @ p["W_enc"] + p["b_enc"]) * norms
    codes = relu(pre) * (pre > 0.25)
    decoded = (codes / norms) @ decoder + p["b_dec"]
    return Case(path=root, weights=weights, x=p["x"], codes=codes, decoded=decoded, kind="batch_topk",
                site="blocks.5.out", facts={"k": 4})  # fmt: skip


def saelens_transcoder(root: Path) -> Case:
    """Reads one site and writes another of another width, with a linear path beside; b_dec is never subtracted."""
    p = parameters(0, d_out=8)
    hooks = {"hook_name": "blocks.5.ln2.hook_normalized", "hook_name_out": "blocks.5.hook_mlp_out"}
    metadata = {**SINCE_6["metadata"], **hooks}  # type: ignore[dict-item]
    save(root / "sae_weights.safetensors", W_skip=p["W_skip"].T,
         **{name: p[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")})  # fmt: skip
    write_json(root / "cfg.json", {"architecture": "jumprelu_skip_transcoder", "d_in": D, "d_sae": N, "d_out": 8,
                                   "apply_b_dec_to_input": False, "normalize_activations": "none",
                                   "metadata": metadata})  # fmt: skip
    pre = p["x"] @ p["W_enc"] + p["b_enc"]
    codes = relu(pre) * (pre > p["threshold"])
    decoded = codes @ p["W_dec"] + p["b_dec"] + p["x"] @ p["W_skip"]
    return Case(
        path=root, weights=root / "sae_weights.safetensors", x=p["x"], codes=codes, decoded=decoded, kind="jumprelu",
        site="blocks.5.mlp.normed", facts={"site_out": "blocks.5.mlp.out", "transcoder": True},
    )  # fmt: skip


# Gemma Scope


def gemma_scope(root: Path) -> Case:
    path = root / "gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82/params.npz"
    path.parent.mkdir(parents=True)
    p = parameters(1)
    names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
    np.savez(path, **{name: p[name].astype(np.float32) for name in names})
    pre = p["x"] @ p["W_enc"] + p["b_enc"]
    codes = relu(pre) * (pre > p["threshold"])
    return Case(
        path=path, weights=path, x=p["x"], codes=codes, decoded=codes @ p["W_dec"] + p["b_dec"], kind="jumprelu",
        site="blocks.12.out",
        facts={"l0": 82.0, "model": "google/gemma-2-2b", "lookup": "gemma-2-2b/12-gemmascope-res-16k__l0-82"},
    )  # fmt: skip


def gemma_scope_embedding(root: Path) -> Case:
    """Trained on embeddings before they are scaled by √d; stored compressed, as no release is but a person may."""
    path = root / "gemma-scope-9b-it-res/embedding/width_4k/average_l0_21/params.npz"
    path.parent.mkdir(parents=True)
    p = parameters(2)
    names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
    np.savez_compressed(path, **{name: p[name].astype(np.float32) for name in names})
    pre = (p["x"] / math.sqrt(D)) @ p["W_enc"] + p["b_enc"]
    codes = relu(pre) * (pre > p["threshold"])
    decoded = (codes @ p["W_dec"] + p["b_dec"]) * math.sqrt(D)
    return Case(path=path.parent, weights=path, x=p["x"], codes=codes, decoded=decoded, kind="jumprelu", site="embed",
                facts={"model": "google/gemma-2-9b-it", "l0": 21.0})  # fmt: skip


def gemma_scope_2(root: Path) -> Case:
    """A transcoder with an affine path that multiplies from the right, x·A, though A is square."""
    folder = root / "transcoder_all/layer_5_width_16k_l0_big_affine"
    p = parameters(3)
    weights = save(folder / "params.safetensors", w_enc=p["W_enc"], b_enc=p["b_enc"], w_dec=p["W_dec"],
                   b_dec=p["b_dec"], threshold=p["threshold"], affine_skip_connection=p["W_skip"])  # fmt: skip
    write_json(folder / "config.json", {
        "hf_hook_point_in": "model.layers.5.pre_feedforward_layernorm.output",
        "hf_hook_point_out": "model.layers.5.post_feedforward_layernorm.output",
        "width": N, "model_name": "google/gemma-3-4b-it", "architecture": "jump_relu", "l0": 60,
        "affine_connection": True, "type": "transcoder",
    })  # fmt: skip
    pre = p["x"] @ p["W_enc"] + p["b_enc"]
    codes = relu(pre) * (pre > p["threshold"])
    decoded = codes @ p["W_dec"] + p["b_dec"] + p["x"] @ p["W_skip"]
    return Case(path=folder, weights=weights, x=p["x"], codes=codes, decoded=decoded, kind="jumprelu",
                site="blocks.5.mlp.in",
                facts={"site_out": "blocks.5.mlp.out", "l0": 60.0, "model": "google/gemma-3-4b-it"})  # fmt: skip


# Llama Scope


def llama_scope(root: Path) -> Case:
    """As the library loads it: standardised by the mean norm, then to unit decoder norm, then gated in that form."""
    folder = root / "Llama3_1-8B-Base-L15R-8x"
    p = parameters(4)
    mean_norm, threshold = 7.0, 0.35
    save(folder / "checkpoints/final.safetensors", **{
        "encoder.weight": p["W_enc"].T, "encoder.bias": p["b_enc"], "decoder.weight": p["W_dec"].T,
        "decoder.bias": p["b_dec"],
    })  # fmt: skip
    write_json(folder / "hyperparams.json", {
        "hook_point_in": "blocks.15.hook_resid_post", "hook_point_out": "blocks.15.hook_resid_post",
        "act_fn": "jumprelu", "jump_relu_threshold": threshold, "top_k": 50, "d_model": D, "d_sae": N,
        "sparsity_include_decoder_norm": True, "norm_activation": "dataset-wise", "use_decoder_bias": True,
        "apply_decoder_bias_to_pre_encoder": False, "use_glu_encoder": False,
        "dataset_average_activation_norm": {"in": mean_norm, "out": mean_norm},
    })  # fmt: skip
    scale = math.sqrt(D) / mean_norm
    encoder, b_enc, decoder, b_dec = p["W_enc"].T, p["b_enc"] / scale, p["W_dec"].T, p["b_dec"] / scale
    norms = np.linalg.norm(decoder, axis=0)
    pre = p["x"] @ (encoder * norms[:, None]).T + b_enc * norms
    codes = np.where(pre > threshold, pre, 0.0)
    decoded = codes @ (decoder / norms).T + b_dec
    return Case(path=folder, weights=folder / "checkpoints/final.safetensors", x=p["x"], codes=codes, decoded=decoded,
                kind="jumprelu", site="blocks.15.out", facts={
                    "model": "meta-llama/Llama-3.1-8B", "lookup": "llama3.1-8b/15-llamascope-res-32k", "l0": 50.0,
                })  # fmt: skip


def llama_scope_r1(root: Path) -> Case:
    """Codes of the scaled activations; p·‖W_dec‖ against exp of the stored logarithm."""
    folder = root / "Llama-Scope-R1-Distill/L7R"
    p = parameters(5)
    mean_norm = 9.0
    weights = save(folder / "sae_weights.safetensors", **{
        "encoder.weight": p["W_enc"].T, "encoder.bias": p["b_enc"], "decoder.weight": p["W_dec"].T,
        "decoder.bias": p["b_dec"], "log_jumprelu_threshold": np.log(p["threshold"]),
        "dataset_average_activation_norm.blocks.7.hook_resid_post": np.array(mean_norm),
    })  # fmt: skip
    write_json(folder / "config.json", {
        "sae_type": "sae", "hook_point_in": "blocks.7.hook_resid_post", "hook_point_out": "blocks.7.hook_resid_post",
        "act_fn": "jumprelu", "d_model": D, "expansion_factor": 8, "norm_activation": "dataset-wise",
        "sparsity_include_decoder_norm": True, "use_decoder_bias": True,
    })  # fmt: skip
    scale = math.sqrt(D) / mean_norm
    pre = (p["x"] * scale) @ p["W_enc"] + p["b_enc"]
    gate = np.exp(np.log(p["threshold"]).astype(np.float32).astype(np.float64))
    codes = pre * (pre * np.linalg.norm(p["W_dec"], axis=1) > gate)
    decoded = (codes @ p["W_dec"] + p["b_dec"]) / scale
    return Case(path=folder, weights=weights, x=p["x"], codes=codes, decoded=decoded, kind="jumprelu",
                site="blocks.7.out", facts={"model": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"})  # fmt: skip


# torch files


def qwen_scope(root: Path) -> Case:
    path = root / "SAE-Res-Qwen3-8B-Base-W64K-L0_5/layer17.sae.pt"
    p = parameters(6)
    save_torch(path, W_enc=p["W_enc"].T, W_dec=p["W_dec"].T, b_enc=p["b_enc"], b_dec=p["b_dec"])
    codes = top(p["x"] @ p["W_enc"] + p["b_enc"], 5)
    return Case(path=path.parent, weights=path, x=p["x"], codes=codes, decoded=codes @ p["W_dec"] + p["b_dec"],
                kind="topk", site="blocks.17.out", facts={"k": 5, "model": "Qwen/Qwen3-8B-Base"})  # fmt: skip


def _learned(root: Path, dict_class: str, tensors: dict[str, Any], **trainer: Any) -> Path:
    save_torch(root / "ae.pt", **tensors)
    write_json(root / "config.json", {
        "trainer": {"dict_class": dict_class, "layer": 15, "lm_name": "Qwen/Qwen2.5-7B-Instruct",
                    "submodule_name": "resid_post_layer_15", **trainer},
        "buffer": {"io": "out", "ctx_len": 1024},
    })  # fmt: skip
    return root / "ae.pt"


def _linear(p: dict[str, Array], **more: Any) -> dict[str, Any]:
    return {"encoder.weight": p["W_enc"].T, "encoder.bias": p["b_enc"], "decoder.weight": p["W_dec"].T, **more}


def _learned_case(root: Path, p: dict[str, Array], codes: Array, kind: str, **facts: Any) -> Case:
    return Case(path=root, weights=root / "ae.pt", x=p["x"], codes=codes, decoded=codes @ p["W_dec"] + p["b_dec"],
                kind=kind, site="blocks.15.out", facts={"model": "Qwen/Qwen2.5-7B-Instruct", **facts})  # fmt: skip


def learned_standard(root: Path) -> Case:
    p = parameters(7)
    _learned(root, "AutoEncoder", _linear(p, bias=p["b_dec"]))
    return _learned_case(root, p, relu((p["x"] - p["b_dec"]) @ p["W_enc"] + p["b_enc"]), "relu")


def learned_new(root: Path) -> Case:
    p = parameters(8)
    _learned(root, "AutoEncoderNew", _linear(p, **{"decoder.bias": p["b_dec"]}))
    return _learned_case(root, p, relu(p["x"] @ p["W_enc"] + p["b_enc"]), "relu")


def learned_gated(root: Path) -> Case:
    p = parameters(9)
    tensors = _linear(p, decoder_bias=p["b_dec"], gate_bias=p["b_enc"], mag_bias=p["b_mag"], r_mag=p["r_mag"])
    del tensors["encoder.bias"]
    _learned(root, "GatedAutoEncoder", tensors)
    inner = (p["x"] - p["b_dec"]) @ p["W_enc"]
    codes = (inner + p["b_enc"] > 0) * relu(np.exp(p["r_mag"]) * inner + p["b_mag"])
    return _learned_case(root, p, codes, "gated")


def learned_jumprelu(root: Path) -> Case:
    p = parameters(10)
    _learned(root, "JumpReluAutoEncoder", {name: p[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")})
    pre = p["x"] @ p["W_enc"] + p["b_enc"]
    return _learned_case(root, p, relu(pre * (pre > p["threshold"])), "jumprelu")


def learned_topk(root: Path) -> Case:
    """Top-k of the token, though a threshold is stored."""
    p = parameters(11)
    tensors = _linear(p, b_dec=p["b_dec"], k=torch.tensor(K, dtype=torch.int32), threshold=torch.tensor(0.7))
    _learned(root, "AutoEncoderTopK", tensors, k=K)
    return _learned_case(root, p, top((p["x"] - p["b_dec"]) @ p["W_enc"] + p["b_enc"], K), "topk", k=K)


def learned_batch_topk(root: Path) -> Case:
    p = parameters(12)
    folder = root / "resid_post_layer_15/trainer_1"
    tensors = _linear(p, b_dec=p["b_dec"], k=torch.tensor(K, dtype=torch.int32), threshold=torch.tensor(0.75))
    _learned(folder, "BatchTopKSAE", tensors, k=K)
    pre = relu((p["x"] - p["b_dec"]) @ p["W_enc"] + p["b_enc"])
    return _learned_case(folder, p, pre * (pre > 0.75), "batch_topk", k=K, lookup="qwen2.5-7b-it/15-resid-post-aa")


def learned_matryoshka(root: Path) -> Case:
    p = parameters(13)
    tensors = {name: p[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    _learned(root, "MatryoshkaBatchTopKSAE", {**tensors, "k": torch.tensor(K, dtype=torch.int32),
             "threshold": torch.tensor(0.5), "group_sizes": torch.tensor([10, 30])})  # fmt: skip
    pre = relu((p["x"] - p["b_dec"]) @ p["W_enc"] + p["b_enc"])
    return _learned_case(root, p, pre * (pre > 0.5), "batch_topk")


def sparsify(root: Path) -> Case:
    folder = root / "layers.9.mlp"
    p = parameters(14)
    weights = save(folder / "sae.safetensors", W_dec=p["W_dec"], b_dec=p["b_dec"],
                   **{"encoder.weight": p["W_enc"].T, "encoder.bias": p["b_enc"]})  # fmt: skip
    write_json(folder / "cfg.json", {
        "activation": "topk", "expansion_factor": 32, "num_latents": N, "k": K, "d_in": D, "normalize_decoder": True,
        "transcode": False, "skip_connection": False,
    })  # fmt: skip
    write_json(root / "config.json", {"model": "EleutherAI/pythia-160m"})
    codes = top((p["x"] - p["b_dec"]) @ p["W_enc"] + p["b_enc"], K)
    return Case(path=folder, weights=weights, x=p["x"], codes=codes, decoded=codes @ p["W_dec"] + p["b_dec"],
                kind="topk", site="blocks.9.mlp.out", facts={"k": K, "model": "EleutherAI/pythia-160m"})  # fmt: skip


def sparsify_transcoder(root: Path) -> Case:
    folder = root / "layers.2.mlp"
    p = parameters(15)
    weights = save(folder / "sae.safetensors", W_dec=p["W_dec"], b_dec=p["b_dec"], W_skip=p["W_skip"].T,
                   **{"encoder.weight": p["W_enc"].T, "encoder.bias": p["b_enc"]})  # fmt: skip
    write_json(folder / "cfg.json", {"num_latents": N, "k": K, "d_in": D, "transcode": True, "skip_connection": True})
    codes = top(p["x"] @ p["W_enc"] + p["b_enc"], K)
    decoded = codes @ p["W_dec"] + p["b_dec"] + p["x"] @ p["W_skip"]
    return Case(path=folder, weights=weights, x=p["x"], codes=codes, decoded=decoded, kind="topk",
                site="blocks.2.mlp.in", facts={"site_out": "blocks.2.mlp.out", "transcoder": True})  # fmt: skip


def goodfire(root: Path) -> Case:
    path = root / "Llama-3.1-8B-Instruct-SAE-l19.pth"
    p = parameters(16)
    save_torch(path, **{"encoder_linear.weight": p["W_enc"].T, "encoder_linear.bias": p["b_enc"],
                        "decoder_linear.weight": p["W_dec"].T, "decoder_linear.bias": p["b_dec"]})  # fmt: skip
    codes = relu(p["x"] @ p["W_enc"] + p["b_enc"])
    return Case(path=path, weights=path, x=p["x"], codes=codes, decoded=codes @ p["W_dec"] + p["b_dec"], kind="relu",
                site="blocks.19.out", facts={"model": "meta-llama/Llama-3.1-8B-Instruct"})  # fmt: skip


CASES: dict[str, tuple[str, Callable[[Path], Case]]] = {
    "saelens-since-6": ("saelens", saelens_standard),
    "saelens-before-6-topk-layer-norm": ("saelens", saelens_flat_topk),
    "saelens-gpt2-centred": ("saelens", saelens_gpt2),
    "saelens-gated-constant-norm": ("saelens", saelens_gated),
    "saelens-jumprelu-scaled": ("saelens", saelens_jumprelu),
    "saelens-matryoshka-rescaled": ("saelens", saelens_batch_topk),
    "saelens-skip-transcoder": ("saelens", saelens_transcoder),
    "gemma-scope": ("gemma_scope", gemma_scope),
    "gemma-scope-embedding": ("gemma_scope", gemma_scope_embedding),
    "gemma-scope-2-transcoder": ("gemma_scope_2", gemma_scope_2),
    "llama-scope": ("llama_scope", llama_scope),
    "llama-scope-r1": ("llama_scope_r1", llama_scope_r1),
    "qwen-scope": ("qwen_scope", qwen_scope),
    "dictionary-learning-standard": ("dictionary_learning", learned_standard),
    "dictionary-learning-new": ("dictionary_learning", learned_new),
    "dictionary-learning-gated": ("dictionary_learning", learned_gated),
    "dictionary-learning-jumprelu": ("dictionary_learning", learned_jumprelu),
    "dictionary-learning-topk": ("dictionary_learning", learned_topk),
    "dictionary-learning-batch-topk": ("dictionary_learning", learned_batch_topk),
    "dictionary-learning-matryoshka": ("dictionary_learning", learned_matryoshka),
    "sparsify": ("sparsify", sparsify),
    "sparsify-transcoder": ("sparsify", sparsify_transcoder),
    "goodfire": ("goodfire", goodfire),
}
"""Format by which it must be read, and what writes it."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover(only=["sae"])


@pytest.mark.parametrize("name", CASES)
def test_codes_and_reconstruction_are_those_of_the_formats_own_library(
    tmp_path: Path, registry: Registry, name: str
) -> None:
    format_name, write = CASES[name]
    case = write(tmp_path)
    dictionary = open_dictionary(case.path, registry=registry)
    assert (dictionary.format, dictionary.kind, dictionary.site) == (format_name, case.kind, case.site)
    for attribute, expected in case.facts.items():
        if attribute == "notes":
            assert any(expected in note for note in dictionary.facts["notes"])
        else:
            assert getattr(dictionary, attribute) == expected
    x = torch.from_numpy(case.x)
    codes = dictionary.encode(x.float())
    np.testing.assert_allclose(codes.numpy(), case.codes, rtol=1e-5, atol=1e-5)
    assert 0 < float((codes > 0).float().mean()) < 1
    np.testing.assert_allclose(dictionary.decode(codes, x.float()).numpy(), case.decoded, rtol=1e-5, atol=2e-5)
    some = torch.tensor([3, 31, 8])
    if case.kind == "topk":
        with pytest.raises(ConfigError, match="cannot be encoded alone"):
            dictionary.encode_some(x, some)
    else:
        np.testing.assert_allclose(
            dictionary.encode_some(x.float(), some).numpy(), case.codes[:, some], rtol=1e-5, atol=1e-5
        )
    assert dictionary.sha256 == hashlib.sha256(case.weights.read_bytes()).hexdigest()
    exact = dictionary.to("cpu", torch.float64)
    np.testing.assert_allclose(exact.encode(x).numpy(), case.codes, rtol=1e-6, atol=1e-7)  # θ and s are float32


@pytest.mark.parametrize("name", CASES)
def test_exactly_one_reader_knows_it_and_a_truncated_file_is_one_line(
    tmp_path: Path, registry: Registry, name: str
) -> None:
    case = CASES[name][1](tmp_path)
    specs = [found.spec for found in registry.specs("reader") if found.spec.of == "dictionary"]
    assert sum(load_factory(spec.factory)(case.path) is not None for spec in specs) == 1
    whole = case.weights.read_bytes()
    copy = case.weights.with_name("cut")  # the old file is still mapped
    copy.write_bytes(whole[: len(whole) // 2])
    copy.replace(case.weights)
    with pytest.raises(SubjectError) as raised:
        open_dictionary(case.path, registry=registry)
    assert "\n" not in str(raised.value)
    assert case.weights.name in str(raised.value)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_in_a_torch_file_is_refused_and_not_run(tmp_path: Path, registry: Registry) -> None:
    folder = tmp_path / "SAE-Res-Qwen3-8B-Base-W64K-L0_50"
    folder.mkdir()
    for name in ("layer1.sae.pt", "Llama-3.1-8B-Instruct-SAE-l19.pth"):
        torch.save({"W_enc": Bomb(tmp_path / "ran"), "encoder_linear.weight": 1}, folder / name)
        with pytest.raises(SubjectError, match="refused"):
            open_dictionary(folder / name, registry=registry)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_in_an_npz_is_refused_and_not_run(tmp_path: Path, registry: Registry) -> None:
    array = np.empty(1, dtype=object)
    array[0] = Bomb(tmp_path / "ran")
    for name, write in (("stored", np.savez), ("deflated", np.savez_compressed)):
        path = tmp_path / name / "params.npz"
        path.parent.mkdir()
        write(path, W_enc=array)
        with pytest.raises(SubjectError, match="without unpickling"):
            open_dictionary(path, registry=registry)
    raw = tmp_path / "raw" / "params.npz"
    raw.parent.mkdir()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("W_enc.npy", pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(SubjectError, match="without unpickling"):
        open_dictionary(raw, registry=registry)
    assert not (tmp_path / "ran").exists()


def test_shapes_decide_which_way_round_a_matrix_lies(tmp_path: Path, registry: Registry) -> None:
    case = CASES["sparsify"][1](tmp_path)
    p = parameters(14)
    turned = {"encoder.weight": p["W_enc"].T, "encoder.bias": p["b_enc"], "W_dec": p["W_dec"].T, "b_dec": p["b_dec"]}
    save(case.weights, **turned)
    dictionary = open_dictionary(case.path, registry=registry)
    np.testing.assert_allclose(dictionary.encode(torch.from_numpy(case.x)).numpy(), case.codes, atol=1e-5)
    assert dictionary.w_dec.shape == (N, D)
    assert any(
        "W_dec (12, 40) lies the other way round than this format stores it" in note
        for note in dictionary.facts["notes"]
    )
    save(case.weights, **{**turned, "W_dec": p["W_dec"][:, :5]})
    with pytest.raises(SubjectError, match=r"W_dec has shape \(40, 5\), expected \(40, 12\) or \(12, 40\)"):
        open_dictionary(case.path, registry=registry)


def test_a_square_matrix_is_taken_at_the_formats_word_and_said(tmp_path: Path, registry: Registry) -> None:
    p = parameters(0)
    square = p["W_enc"][:, :D]
    bias = np.zeros(D)
    save_torch(
        tmp_path / "X-SAE-l3.pt",
        **{"encoder_linear.weight": square.T, "encoder_linear.bias": bias, "decoder_linear.weight": square,
           "decoder_linear.bias": bias},
    )  # fmt: skip
    dictionary = open_dictionary(tmp_path / "X-SAE-l3.pt", registry=registry)
    np.testing.assert_array_equal(dictionary.w_enc.numpy(), square.astype(np.float32))
    assert sum("is square: taken at the format's word" in note for note in dictionary.facts["notes"]) == 2


def test_files_that_do_not_belong_together_are_one_line(tmp_path: Path, registry: Registry) -> None:
    for name, change, message in (
        ("saelens-since-6", {"d_sae": 41}, "has 40 latents, its cfg.json says 41"),
        ("sparsify", {"num_latents": 64}, "has 40 latents, its cfg.json says 64"),
        ("llama-scope", {"d_sae": 50}, "has 40 latents, its configuration says 50"),
        ("llama-scope", {"dataset_average_activation_norm": None}, "does not say it"),
        ("saelens-since-6", {"architecture": "temporal"}, "not supported"),
        ("saelens-since-6", {"architecture": "jumprelu"}, "tensor threshold is missing"),
        ("gemma-scope-2-transcoder", {"type": "clt"}, "cross-layer transcoder of Gemma Scope 2"),
        ("llama-scope-r1", {"sae_type": "crosscoder"}, "type 'crosscoder' is not supported"),
        ("sparsify", {"activation": "groupmax"}, "activation 'groupmax'"),
        ("sparsify", {"k": "many"}, "cannot make sense of it .ValueError"),
        ("saelens-since-6", {"d_in": None}, "cannot make sense of it .TypeError"),
    ):
        root = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        case = CASES[name][1](root)
        (config,) = (
            file for file in case.path.iterdir() if file.name in ("cfg.json", "hyperparams.json", "config.json")
        )
        config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
        with pytest.raises(SubjectError, match=message) as raised:
            open_dictionary(case.path, registry=registry)
        assert "\n" not in str(raised.value)


def test_what_is_known_and_not_supported_is_refused_by_name(tmp_path: Path, registry: Registry) -> None:
    for name, message in (
        ("crosscoder.safetensors", "a crosscoder of two models"),
        ("W_enc_3.safetensors", "a cross-layer transcoder"),
        ("params_layer_3.safetensors", "a cross-layer transcoder of Gemma Scope 2"),
    ):
        folder = tmp_path / name.partition(".")[0]
        save(folder / name, w_enc=np.zeros((2, 3)))
        for path in (folder, folder / name):
            with pytest.raises(SubjectError, match=f"{message}.*not supported"):
                open_dictionary(path, registry=registry)
    crosscoder = tmp_path / "cc"
    save_torch(crosscoder / "ae.pt", x=np.zeros(3))
    write_json(crosscoder / "config.json", {"trainer": {"dict_class": "CrossCoder"}})
    with pytest.raises(SubjectError, match="a crosscoder reads several sites"):
        open_dictionary(crosscoder, registry=registry)
    with pytest.raises(SubjectError, match="no reader knows this"):
        open_dictionary(save(tmp_path / "other" / "model.safetensors", a=np.zeros(2)), registry=registry)
    with pytest.raises(SubjectError, match="nothing is downloaded by itself"):
        open_dictionary("google/gemma-scope-2b-pt-res", registry=registry)


def test_a_hostile_safetensors_header_is_one_line(tmp_path: Path, registry: Registry) -> None:
    case = CASES["saelens-since-6"][1](tmp_path)
    whole = case.weights.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header, rest = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    for change in (
        {"shape": [-D, -N]},
        {"shape": [D, N, 2**40]},
        {"data_offsets": [0, 10**15]},
        {"data_offsets": [-64, 4 * D * N - 64]},
        {"dtype": "F99"},
        {"shape": "many"},
    ):
        text = json.dumps({**header, "W_enc": {**header["W_enc"], **change}}).encode()
        case.weights.unlink()
        case.weights.write_bytes(len(text).to_bytes(8, "little") + text + rest)
        with pytest.raises(SubjectError) as raised:
            open_dictionary(case.path, registry=registry)
        assert "\n" not in str(raised.value)
    for length in (0, 2**63, 10):
        case.weights.write_bytes(length.to_bytes(8, "little") + b"{}")
        with pytest.raises(SubjectError, match="cannot be read as safetensors"):
            open_dictionary(case.path, registry=registry)


def test_a_batch_topk_dictionary_without_a_learned_threshold_is_refused(tmp_path: Path, registry: Registry) -> None:
    case = CASES["dictionary-learning-matryoshka"][1](tmp_path)
    tensors = torch.load(case.weights, weights_only=True)
    torch.save({**tensors, "threshold": torch.tensor(-1.0)}, case.weights)
    with pytest.raises(SubjectError, match="never learned"):
        open_dictionary(case.path, registry=registry)


@pytest.mark.parametrize(
    ("hook", "model", "site"),
    [
        ("blocks.3.hook_resid_pre", None, "blocks.3.in"),
        ("blocks.3.hook_resid_mid", None, "blocks.3.mid"),
        ("blocks.13.hook_attn_out", None, "blocks.13.attn.out"),
        ("blocks.3.attn.hook_z", None, "blocks.3.attn.heads"),
        ("blocks.3.ln2.hook_normalized", None, "blocks.3.mlp.normed"),
        ("blocks.3.mlp.hook_in", None, "blocks.3.mlp.in"),
        ("blocks.3.hook_mlp_in", None, None),
        ("blocks.3.attn.hook_q", None, None),
        ("layers.3.mlp.input", None, "blocks.3.mlp.in"),
        ("model.layers.13.pre_feedforward_layernorm.output", "google/gemma-3-1b-pt", "blocks.13.mlp.in"),
        ("model.layers.13.post_attention_layernorm.output", "google/gemma-3-1b-pt", "blocks.13.attn.out"),
        ("model.layers.13.post_attention_layernorm.output", "meta-llama/Llama-3.1-8B", "blocks.13.mlp.in"),
        ("model.layers.13.post_attention_layernorm.output", None, None),
        ("model.layers.13.post_attention_layernorm.output", "zai-org/GLM-4-9B-0414", "blocks.13.mlp.in"),
        ("model.layers.13.post_attention_layernorm.output", "zai-org/glm-4-9b-chat-hf", "blocks.13.mlp.in"),
        ("model.layers.13.post_attention_layernorm.output", "allenai/Olmo-3-7B", "blocks.13.attn.out"),
        ("model.layers.13.post_mlp_layernorm.output", "zai-org/GLM-4-9B-0414", "blocks.13.mlp.out"),
        ("layers.13.mlp", "zai-org/GLM-4-9B-0414", None),
        ("layers.13.mlp", "zai-org/GLM-4.5-Air", "blocks.13.mlp.out"),
        ("layers.13.mlp", "google/shieldgemma-2b", None),
        ("layers.13.self_attn.dense.input", "microsoft/phi-2", "blocks.13.attn.heads"),
        ("layers.13.mlp.down_proj", "Qwen/Qwen3-8B", "blocks.13.mlp.out"),
        ("model.layers.13.output", "google/gemma-3-1b-pt", "blocks.13.out"),
        ("model.layers.13.self_attn.o_proj.input", "google/gemma-3-1b-pt", "blocks.13.attn.heads"),
        ("model.layers.13.post_feedforward_layernorm.output", "google/gemma-3-1b-pt", "blocks.13.mlp.out"),
        ("model.layers.13.mlp.output", "google/gemma-3-1b-pt", None),
        ("model.layers.13.mlp.output", "google/gemma-2b", "blocks.13.mlp.out"),
        ("layers.9", None, "blocks.9.out"),
        ("layers.9.attention", None, "blocks.9.attn.out"),
        ("transformer.h.4.mlp", "gpt2", "blocks.4.mlp.out"),
        ("gpt_neox.layers.2", None, "blocks.2.out"),
        ("hook_embed", None, "embed"),
        (None, None, None),
    ],
)
def test_hooks_of_other_tools_map_to_neutral_sites(hook: str | None, model: str | None, site: str | None) -> None:
    assert neutral(hook, model=model) == site


def test_some_latents_of_a_file_larger_than_memory_are_read_alone(tmp_path: Path, registry: Registry) -> None:
    """64 GB that exist only where something was written: reading whole tensors would not end."""
    d, n = 2048, 4_000_000
    sizes = {"W_enc": (d, n), "b_enc": (n,), "W_dec": (n, d), "b_dec": (d,)}
    header, at = {}, 0
    for name, shape in sizes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path = tmp_path / "sae_weights.safetensors"
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        start = file.tell()
        for row in range(d):
            file.seek(start + 4 * (row * n + 3_999_999))
            file.write(np.float32(1).tobytes())
        file.truncate(start + at)
    write_json(tmp_path / "cfg.json", {"d_in": d, "d_sae": n, "architecture": "standard", "metadata": {}})
    dictionary = open_dictionary(tmp_path, registry=registry)
    codes = dictionary.encode_some(torch.ones(3, d), torch.tensor([0, 3_999_999]))
    assert codes.tolist() == [[0.0, float(d)]] * 3


@pytest.mark.parametrize("n", [300, 5003])
def test_the_k_largest_are_found_exactly(n: int) -> None:
    values = torch.randn(20, n, generator=torch.Generator().manual_seed(n))
    found, index = largest(values, K)
    assert torch.equal(found.sort(1).values, values.topk(K).values.sort(1).values)
    assert torch.equal(values.gather(1, index), found)


def test_half_precision_weights_are_computed_in_float32(tmp_path: Path, registry: Registry) -> None:
    case = CASES["saelens-since-6"][1](tmp_path)
    halves = {name: value.bfloat16() for name, value in load_file(case.weights).items()}
    save_file(halves, case.weights)
    dictionary = open_dictionary(case.path, registry=registry)
    assert dictionary.w_enc.dtype == torch.bfloat16
    x = torch.from_numpy(case.x)
    exact = {name: value.double() for name, value in halves.items()}
    expected = torch.relu((x - exact["b_dec"]) @ exact["W_enc"] + exact["b_enc"])
    torch.testing.assert_close(dictionary.encode(x.float()).double(), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(SubjectError, match=rf"width {D}, was given \({T}, {D + 1}\)"):
        dictionary.encode(torch.zeros(T, D + 1))


def test_the_reader_of_the_page_is_asked_before_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "sae-formats.md").read_text(encoding="utf-8")
    (code,) = (code for code in re.findall(r"^```python\n(.*?)^```$", page, flags=re.M | re.S) if "hookimpl" in code)
    module = ModuleType("afterburn_atoms.file")
    exec(compile(code, "docs/sae-formats.md", "exec", dont_inherit=True), vars(module))
    monkeypatch.setitem(sys.modules, "afterburn_atoms", ModuleType("afterburn_atoms"))
    monkeypatch.setitem(sys.modules, "afterburn_atoms.file", module)
    ours = Plugin(name="sae", distribution="afterburn-sae", version="1", module=plugin)
    theirs = Plugin(name="atoms", distribution="afterburn-atoms", version="1", module=module)
    p = parameters(17)
    path = save(tmp_path / "a.atoms.safetensors", detectors=p["W_enc"].T, atoms=p["W_dec"], bias=p["b_enc"],
                centre=p["b_dec"])  # fmt: skip
    dictionary = open_dictionary(path, registry=Registry([ours, theirs]))
    assert (dictionary.format, dictionary.latents) == ("atoms", N)
    expected = relu((p["x"] - p["b_dec"]) @ p["W_enc"] + p["b_enc"])
    np.testing.assert_allclose(dictionary.encode(torch.from_numpy(p["x"])).numpy(), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(SubjectError, match="no reader knows this"):
        open_dictionary(path, registry=Registry([ours]))
