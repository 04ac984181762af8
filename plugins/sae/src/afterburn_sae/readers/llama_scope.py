"""Llama Scope (arXiv 2410.20526) and the later releases of the same library (Language-Model-SAEs, Llamascopium).

The first has `hyperparams.json` and `checkpoints/final.safetensors`, the later ones `config.json` and
`sae_weights.safetensors`. With s = √d / mean norm of the training activations, "dataset-wise" dictionaries were trained
on s·x. What the library does when it loads them, and what is done here without rewriting the large matrices:

- first: b_enc/s_in, b_dec/s_out and W_dec·s_in/s_out, so that codes are in the model's own units, then, with
  `sparsity_include_decoder_norm`, the decoder's norms into W_enc and b_enc; the threshold belongs to *that* form. In
  terms of s·x it is θ·s, which is the scaling that a reader easily forgets
- later: codes stay those of s·x, and the gate compares p·‖W_dec‖ with exp(log_jumprelu_threshold), which is
  p > θ/‖W_dec‖
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from afterburn_core.errors import SubjectError
from afterburn_sae.dictionary import Dictionary, Kind
from afterburn_sae.normalisation import Normalisation
from afterburn_sae.readers.files import config_of, safe_tensors, torch_tensors
from afterburn_sae.readers.shapes import Stored
from afterburn_sae.readers.sites import neutral

_CHECKPOINTS = ("checkpoints/final.safetensors", "checkpoints/pruned.safetensors", "checkpoints/final.pt")
_KINDS: Mapping[str, Kind] = {"relu": "relu", "jumprelu": "jumprelu", "topk": "topk"}
_CARD_L0 = 50.0
"""Top-k that all dictionaries of the first release were trained with."""


def read(path: Path) -> Dictionary | None:
    """A directory with `hyperparams.json`, that file, or the checkpoint below it."""
    directory = path if path.is_dir() else path.parent.parent if path.parent.name == "checkpoints" else path.parent
    config_path = directory / "hyperparams.json"
    if not config_path.is_file() or (path.is_file() and path.suffix not in (".json", ".safetensors", ".pt")):
        return None
    config = config_of(config_path)
    if "d_model" not in config:
        return None
    given = path if path.suffix in (".safetensors", ".pt") else None
    weights = given or next((directory / name for name in _CHECKPOINTS if (directory / name).is_file()), None)
    if weights is None:
        raise SubjectError(f"{directory}: has hyperparams.json and no checkpoints/final.safetensors; download it whole")
    stored = _stored(weights, config)
    n, d_in, d_out = _sizes(stored, config)
    threshold = config.get("jump_relu_threshold") or 0.0
    kind = _kind(config, weights, threshold=threshold)
    scale_in, scale_out = _scales(config.get("dataset_average_activation_norm"), config, weights, d_in, d_out)
    w_dec = _decoder(stored, n, d_out)
    if scale_in != scale_out:
        w_dec = w_dec * (scale_in / scale_out)
        stored.notes.append("a transcoder between sites of different norms: their ratio is multiplied into the decoder")
    return Dictionary(
        kind=kind,
        w_enc=stored.matrix("encoder.weight", "W_E", rows=d_in, columns=n, transposed=True),
        b_enc=stored.vector("encoder.bias", "b_E") / scale_in,
        w_dec=w_dec,
        b_dec=_b_dec(stored, d_out) / scale_out,
        threshold=float(threshold) if kind == "jumprelu" else None,
        k=int(config.get("top_k", 0)) or None,
        rescale_by_decoder_norm=bool(config.get("sparsity_include_decoder_norm", True)),
        normalisation=_by_token(config, weights),
        l0=float(config.get("top_k") or _CARD_L0),
        **_place(config, weights, directory, stored, "llama_scope"),
    )


def read_later(path: Path) -> Dictionary | None:
    """A directory with `config.json` and `sae_weights.safetensors` of the library's later releases."""
    directory = path if path.is_dir() else path.parent
    config_path = directory / "config.json"
    if not config_path.is_file() or (path.is_file() and path.suffix not in (".json", ".safetensors")):
        return None
    config = config_of(config_path)
    if "hook_point_in" not in config or "d_model" not in config or "act_fn" not in config:
        return None
    weights = path if path.suffix == ".safetensors" else directory / "sae_weights.safetensors"
    kind_of = str(config.get("sae_type") or "sae")
    if kind_of != "sae":
        raise SubjectError(f"{directory}: a dictionary of type {kind_of!r} is not supported, only `sae` (one site)")
    if not weights.is_file():
        raise SubjectError(f"{weights}: missing beside config.json; the weights were not downloaded")
    stored = _stored(weights, config)
    n, d_in, d_out = _sizes(stored, config)
    kind = _kind(config, weights, threshold=0.0)
    norms = config.get("dataset_average_activation_norm") or {
        name.partition(".")[2]: float(value)
        for name, value in stored.tensors.items()
        if name.startswith("dataset_average_activation_norm.")
    }
    normalisation = _by_token(config, weights)
    if config.get("norm_activation") == "dataset-wise":
        if norms:
            scale_in, scale_out = _scales(norms, config, weights, d_in, d_out)
            normalisation = Normalisation(kind="fixed", scale=scale_in, out_scale=scale_out)
        else:
            stored.notes.append(
                "trained on scaled activations, and the files do not hold the scale: check FVU and L0 on your own "
                "texts (--base)"
            )
    w_dec = _decoder(stored, n, d_out)
    threshold = None
    if kind == "jumprelu":
        threshold = stored.vector("log_jumprelu_threshold", "activation_function.log_jumprelu_threshold").float().exp()
        if config.get("sparsity_include_decoder_norm", True):
            threshold = threshold / torch.linalg.vector_norm(w_dec.float(), dim=1)
    return Dictionary(
        kind=kind,
        w_enc=stored.matrix("encoder.weight", "W_E", rows=d_in, columns=n, transposed="encoder.weight" in stored),
        b_enc=stored.vector("encoder.bias", "b_E"),
        w_dec=w_dec,
        b_dec=_b_dec(stored, d_out),
        threshold=threshold,
        k=int(config.get("top_k", 0)) or None,
        rescale_by_decoder_norm=kind == "topk" and bool(config.get("sparsity_include_decoder_norm", True)),
        normalisation=normalisation,
        **_place(config, weights, directory, stored, "llama_scope_r1"),
    )


def _stored(weights: Path, config: Mapping[str, Any]) -> Stored:
    if config.get("use_glu_encoder"):
        raise SubjectError(f"{weights}: has a gated linear unit as encoder, which is not supported")
    tensors = safe_tensors(weights) if weights.suffix == ".safetensors" else torch_tensors(weights)
    return Stored(path=weights, tensors=tensors)


def _sizes(stored: Stored, config: Mapping[str, Any]) -> tuple[int, int, int]:
    """n, d_in, d_out."""
    n = len(stored.vector("encoder.bias", "b_E"))
    expected = config.get("d_sae")
    if expected is not None and int(expected) != n:
        raise SubjectError(f"{stored.path}: has {n} latents, its configuration says {expected}; the two do not belong")
    d = int(config["d_model"])
    bias = stored.get("decoder.bias", "b_D")
    return n, d, d if bias is None else len(bias)


def _kind(config: Mapping[str, Any], weights: Path, *, threshold: float) -> Kind:
    name = str(config.get("act_fn") or "relu").lower()
    if name == "topk" and threshold > 0:
        return "jumprelu"  # as the library loads it: latents independent of each other
    if name not in _KINDS:
        raise SubjectError(f"{weights}: activation function {name!r} is not supported; there are: {', '.join(_KINDS)}")
    return _KINDS[name]


def _scales(norms: Any, config: Mapping[str, Any], weights: Path, d_in: int, d_out: int) -> tuple[float, float]:
    """s_in and s_out: √d over the mean norm of the training activations."""
    if config.get("norm_activation", "dataset-wise") != "dataset-wise":
        return 1.0, 1.0
    names = (("in", str(config.get("hook_point_in"))), ("out", str(config.get("hook_point_out"))))
    found = []
    for keys, width in zip(names, (d_in, d_out), strict=True):
        norm = next((norms[key] for key in keys if isinstance(norms, Mapping) and key in norms), None)
        if not isinstance(norm, int | float) or not norm > 0:
            raise SubjectError(
                f"{weights}: trained on activations scaled by their mean norm, and the configuration does not say it "
                f"(dataset_average_activation_norm); take the configuration of the original download"
            )
        found.append(math.sqrt(width) / norm)
    return found[0], found[1]


def _by_token(config: Mapping[str, Any], weights: Path) -> Normalisation:
    kind = config.get("norm_activation", "dataset-wise")
    if kind == "batch-wise":
        raise SubjectError(f"{weights}: normalises by batch, so that a text's codes depend on its neighbours: refused")
    return Normalisation(kind="constant_norm") if kind == "token-wise" else Normalisation()


def _decoder(stored: Stored, n: int, d_out: int) -> torch.Tensor:
    return stored.matrix("decoder.weight", "W_D", rows=n, columns=d_out, transposed="decoder.weight" in stored)


def _b_dec(stored: Stored, d_out: int) -> torch.Tensor:
    found = stored.get("decoder.bias", "b_D")
    return torch.zeros(d_out) if found is None else found


def _place(
    config: Mapping[str, Any], weights: Path, directory: Path, stored: Stored, format_name: str
) -> dict[str, Any]:
    """What says where it belongs: arguments of `Dictionary` that both releases share."""
    hook, hook_out = config.get("hook_point_in"), config.get("hook_point_out")
    site = neutral(hook)
    if site is None:
        stored.notes.append(f"{hook} is no site that is offered here; the dictionary can be read, not measured with")
    beside = directory / "lm_config.json"
    model = config_of(beside).get("model_name") if beside.is_file() else config.get("model_name")
    text = "/".join(directory.absolute().parts[-3:])
    if model is None and re.search(r"Llama3_1-8B-Base", text):
        model = "meta-llama/Llama-3.1-8B"
    if model is None and "R1-Distill" in text:
        model = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"
    found = re.search(r"Llama3_1-8B-Base-L(\d+)([RMA])-(8|32)x", text)
    part = {"R": "res", "M": "mlp", "A": "att"}
    return {
        "format": format_name,
        "transcoder": hook_out not in (None, hook),
        "subtract_b_dec": bool(config.get("apply_decoder_bias_to_pre_encoder", False)),
        "site": site,
        "site_out": neutral(hook_out) if hook_out != hook else None,
        "hook": hook,
        "model": model,
        "name": directory.name,
        "lookup": f"llama3.1-8b/{found[1]}-llamascope-{part[found[2]]}-{int(found[3]) * 4}k" if found else None,
        "facts": {"act_fn": config.get("act_fn"), "hook_out": hook_out, "notes": tuple(stored.notes)},
        "weights": weights,
    }
