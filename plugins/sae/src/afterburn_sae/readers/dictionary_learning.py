"""dictionary_learning (saprmarks): `ae.pt` and `config.json`, whose `trainer.dict_class` says how to encode.

| class | tensors | codes |
|---|---|---|
| AutoEncoder | encoder.*, decoder.weight, bias (which is b_dec) | relu, b_dec subtracted |
| AutoEncoderNew | encoder.*, decoder.* | relu, not subtracted |
| GatedAutoEncoder | encoder.weight, gate_bias, mag_bias, r_mag, decoder_bias | gated, subtracted |
| JumpReluAutoEncoder | W_*, b_*, threshold (n) | jumprelu, not subtracted |
| AutoEncoderTopK | encoder.*, decoder.weight, b_dec, k, threshold | top-k of the token, though a threshold is stored |
| BatchTopKSAE | the same | relu(p)·[p > threshold], subtracted |
| MatryoshkaBatchTopKSAE | W_*, b_*, k, threshold, group_sizes | the same |

Codes are those of the stored weights: the library may rescale an AutoEncoder's decoder to unit norm when it loads it,
which rescales the codes and leaves the reconstruction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afterburn_core.errors import SubjectError
from afterburn_sae.dictionary import Dictionary, Kind
from afterburn_sae.readers.files import config_of, torch_tensors
from afterburn_sae.readers.shapes import Stored
from afterburn_sae.readers.sites import neutral

_WEIGHTS, _CONFIG = "ae.pt", "config.json"
_CLASSES: Mapping[str, tuple[Kind, bool]] = {
    "AutoEncoder": ("relu", True),
    "AutoEncoderNew": ("relu", False),
    "GatedAutoEncoder": ("gated", True),
    "JumpReluAutoEncoder": ("jumprelu", False),
    "AutoEncoderTopK": ("topk", True),
    "BatchTopKSAE": ("batch_topk", True),
    "MatryoshkaBatchTopKSAE": ("batch_topk", True),
}
"""Kind, and whether b_dec is subtracted, by class."""


def read(path: Path) -> Dictionary | None:
    """`ae.pt` with `config.json` beside it, or their directory."""
    weights = path / _WEIGHTS if path.is_dir() else path
    if path.name == _CONFIG:
        weights = path.parent / _WEIGHTS
    config_path = weights.parent / _CONFIG
    if weights.suffix not in (".pt", ".pth") or not config_path.is_file():
        return None
    config = config_of(config_path)
    trainer = config.get("trainer")
    if not isinstance(trainer, Mapping):
        return None
    if not weights.is_file():
        raise SubjectError(f"{weights}: missing beside config.json; the weights were not downloaded")
    name = str(trainer.get("dict_class"))
    if name not in _CLASSES:
        what = "a crosscoder reads several sites or models and " if "cross" in name.lower() else ""
        raise SubjectError(f"{weights}: {what}class {name!r} is not supported; there are: {', '.join(_CLASSES)}")
    kind, subtract = _CLASSES[name]
    stored = Stored(path=weights, tensors=torch_tensors(weights))
    linear = "encoder.weight" in stored  # nn.Linear stores (out, in), plain parameters as they are used
    b_enc = stored.vector("gate_bias") if kind == "gated" else stored.vector("encoder.bias", "b_enc")
    b_dec = stored.vector("b_dec", "bias", "decoder_bias", "decoder.bias")
    n, d = len(b_enc), len(b_dec)
    k = stored.scalar("k")
    asked = trainer.get("k")
    if k is not None and isinstance(asked, int) and int(k) != asked:
        raise SubjectError(f"{weights}: k is {int(k)}, its config.json says {asked}; the two do not belong together")
    threshold = stored.scalar("threshold") if kind == "batch_topk" else None
    if kind == "batch_topk" and (threshold is None or threshold < 0):
        raise SubjectError(
            f"{weights}: a batch-top-k dictionary whose threshold was never learned ({threshold}): saved too early in "
            "training; take a later checkpoint"
        )
    hook, site = _site(trainer, config)
    if site is None:
        stored.notes.append(f"{hook} is no site that is offered here; the dictionary can be read, not measured with")
    return Dictionary(
        format="dictionary_learning",
        kind=kind,
        w_enc=stored.matrix("encoder.weight", "W_enc", rows=d, columns=n, transposed=linear),
        b_enc=b_enc,
        w_dec=stored.matrix("decoder.weight", "W_dec", rows=n, columns=d, transposed=linear),
        b_dec=b_dec,
        threshold=stored.vector("threshold") if kind == "jumprelu" else threshold,
        k=int(k) if k is not None else asked if isinstance(asked, int) else None,
        r_mag=stored.vector("r_mag") if kind == "gated" else None,
        b_mag=stored.vector("mag_bias") if kind == "gated" else None,
        subtract_b_dec=subtract,
        site=site,
        hook=hook,
        model=trainer.get("lm_name"),
        name="/".join(weights.absolute().parts[-3:-1]),
        lookup=_lookup(trainer, weights),
        l0=None if k is None else float(k),
        facts={"class": name, "context_size": _context(config), "notes": tuple(stored.notes)},
        weights=weights,
    )


def _site(trainer: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The hook as the file has it, and the neutral site."""
    layer, submodule = trainer.get("layer"), trainer.get("submodule_name")
    buffer = config.get("buffer")
    side = buffer.get("io", "out") if isinstance(buffer, Mapping) else "out"
    named = str(submodule or "")
    if re.fullmatch(r"(resid_post_layer_\d+)?", named) and layer is not None:
        hook = f"layers.{layer}.{'input' if side == 'in' else 'output'}"
        return named or hook, neutral(hook)
    part = next((part for part in ("attn", "mlp") if part in named), None)
    if part is None or layer is None or side == "in":
        return named or None, neutral(named or None)
    return named, neutral(f"layers.{layer}.{part}", model=trainer.get("lm_name"))


def _lookup(trainer: Mapping[str, Any], weights: Path) -> str | None:
    """Neuronpedia has the second trainer (k = 64) of andyrdt's dictionaries of two chat models."""
    models = {"Qwen/Qwen2.5-7B-Instruct": "qwen2.5-7b-it", "meta-llama/Llama-3.1-8B-Instruct": "llama3.1-8b-it"}
    known = models.get(str(trainer.get("lm_name")))
    ours = weights.parent.name == "trainer_1" and str(trainer.get("submodule_name") or "").startswith(
        "resid_post_layer"
    )
    return f"{known}/{trainer.get('layer')}-resid-post-aa" if known and ours else None


def _context(config: Mapping[str, Any]) -> Any:
    buffer = config.get("buffer")
    return buffer.get("ctx_len") if isinstance(buffer, Mapping) else None
