"""Writes a trained dictionary in the layout of SAELens from version 6 on: `cfg.json` and `sae_weights.safetensors`.

The constants of normalisation are folded in (`train_coder`), so that the file reads activations as they are: JumpReLU
with one threshold, b_dec subtracted before encoding. What else is known stands under `metadata.afterburn`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from afterburn_core.errors import SubjectError
from afterburn_sae.train_coder import Coder, Scale

CONFIGURATION, WEIGHTS = "cfg.json", "sae_weights.safetensors"

_HOOKS = {
    "in": "hook_resid_pre",
    "mid": "hook_resid_mid",
    "out": "hook_resid_post",
    "attn.heads": "attn.hook_z",
    "attn.out": "hook_attn_out",
    "mlp.in": "mlp.hook_in",
    "mlp.normed": "ln2.hook_normalized",
    "mlp.out": "hook_mlp_out",
}


def hook_of(site: str) -> str:
    """A site as TransformerLens names it: `blocks.3.out` is `blocks.3.hook_resid_post`."""
    inside = re.fullmatch(r"blocks\.(\d+)\.([a-z.]+)", site)
    if inside and inside[2] in _HOOKS:
        return f"blocks.{inside[1]}.{_HOOKS[inside[2]]}"
    return {"embed": "hook_embed", "final_norm": "ln_final.hook_out"}.get(site, site)


def folded(coder: Coder, scale: Scale, threshold: float) -> dict[str, torch.Tensor]:
    """The tensors of a dictionary of one side, in the activations' own units; float32, by SAELens' names."""
    (factor,) = scale.factors
    b_dec = coder.b_dec.double() / factor + scale.mean.double()
    return {
        "W_enc": coder.w_enc.t(),
        "b_enc": coder.b_enc / factor,
        "W_dec": coder.w_dec,
        "b_dec": b_dec.float(),
        "threshold": torch.full_like(coder.b_enc, max(threshold, 0.0) / factor),
    }


def configuration(coder: Coder, *, site: str, model: str, on: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """`cfg.json`.

    Args:
        coder: the dictionary.
        site: what it reads.
        model: label of the model that it belongs to.
        on: `base`, `trained` or `difference`.
        facts: what goes under `metadata.afterburn`, with `held_out` among it.
    """
    return {
        "architecture": "jumprelu",
        "d_in": int(coder.b_dec.numel()),
        "d_sae": coder.latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "model_name": model,
            "hook_name": hook_of(site),
            "hook_head_index": None,
            "prepend_bos": True,
            "neuronpedia_id": None,
            "l0": facts["held_out"]["l0"]["value"],
            "afterburn": {"site": site, "on": on, **facts},
        },
    }


def write_dictionary(directory: Path, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
    """Writes both files; the configuration last, so that a directory with one is complete.

    Raises:
        SubjectError: the disk does not take them.
    """
    write_tensors(directory / WEIGHTS, tensors)
    write_json(directory / CONFIGURATION, content)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes a safetensors file that everyone may read."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _write(path, safetensors.torch.save(kept, {"format": "pt"}))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON with sorted keys and without NaN."""
    _write(path, (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(data)
        os.replace(fresh, path)
    except OSError as error:
        raise SubjectError(f"{path}: cannot be written ({error.strerror}); give another --out") from error
