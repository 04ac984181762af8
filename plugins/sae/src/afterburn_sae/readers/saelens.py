"""SAELens's own layout: `cfg.json` and `sae_weights.safetensors`, before and since its version 6.

Quirks, all of them tested:

- before version 6 keys are flat and have older names (`hook_point`, `activation_fn_str`, k in `activation_fn_kwargs`,
  `normalize_activations` a bool), and b_dec is subtracted unless the file says otherwise; since then what belongs to
  the model lies in `metadata`. Transcoders never subtract b_dec
- gated dictionaries have b_gate, b_mag and r_mag in place of b_enc
- batch-top-k and Matryoshka dictionaries are saved as JumpReLU with one constant threshold, or, from a checkpoint of
  training, with `topk_threshold`; JumpReLU checkpoints hold ln θ
- `scaling_factor` multiplies the decoder's rows
- dictionaries of GPT-2 from before the library asked for unprocessed models see a residual stream whose mean over the
  entries was taken out (`center_writing_weights`)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

from afterburn_core.errors import SubjectError
from afterburn_sae.dictionary import Dictionary, Kind
from afterburn_sae.normalisation import BY_TOKEN, Normalisation
from afterburn_sae.places import written_by_default
from afterburn_sae.readers.files import config_of, safe_tensors
from afterburn_sae.readers.shapes import Stored
from afterburn_sae.readers.sites import in_stream, neutral

_CONFIG, _WEIGHTS = "cfg.json", "sae_weights.safetensors"
_KINDS: Mapping[str, Kind] = {
    "standard": "relu",
    "gated": "gated",
    "jumprelu": "jumprelu",
    "topk": "topk",
    "batchtopk": "batch_topk",
    "matryoshka_batchtopk": "batch_topk",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
"""By `architecture`."""
_RENAMED = {"hook_point": "hook_name", "hook_point_head_index": "hook_head_index", "activation_fn_str": "activation_fn"}


def read(path: Path) -> Dictionary | None:
    """A dictionary in SAELens's layout: its directory, either of its files, or `NAME.safetensors` with `NAME.json`."""
    found = _files(path)
    if found is None:
        return None
    config_path, weights = found
    raw = config_of(config_path)
    if "d_sae" not in raw or "d_in" not in raw:
        return None
    if not weights.is_file():
        raise SubjectError(f"{weights}: missing beside {config_path.name}; the weights were not downloaded")
    return _build(_settings(raw), Stored(path=weights, tensors=safe_tensors(weights)), weights)


def _files(path: Path) -> tuple[Path, Path] | None:
    if path.is_dir():
        return (path / _CONFIG, path / _WEIGHTS) if (path / _CONFIG).is_file() else None
    if path.name == _CONFIG:
        return path, path.parent / _WEIGHTS
    if path.suffix == ".safetensors":
        for config in (path.with_suffix(".json"), path.parent / _CONFIG):
            if config.is_file():
                return config, path
    if path.suffix == ".json" and path.with_suffix(".safetensors").is_file():
        return path, path.with_suffix(".safetensors")
    return None


def _settings(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration with the names of version 6, flat; what `metadata` says goes before older keys."""
    settings = {_RENAMED.get(key, key): value for key, value in raw.items()}
    metadata = settings.pop("metadata", None)
    if isinstance(metadata, Mapping):
        settings.update({key: value for key, value in metadata.items() if value is not None})
    version = str(settings.get("sae_lens_version") or "")
    settings["since_6"] = isinstance(metadata, Mapping) or version.split(".")[0] in {"6", "7", "8", "9"}
    kwargs = settings.get("activation_fn_kwargs") or {}
    if settings.get("activation_fn") == "topk" or (isinstance(kwargs, Mapping) and "k" in kwargs):
        settings["architecture"] = "topk"
        settings.setdefault("k", kwargs.get("k") if isinstance(kwargs, Mapping) else None)
    normalise = settings.get("normalize_activations")
    if isinstance(normalise, bool):
        settings["normalize_activations"] = "expected_average_only_in" if normalise else "none"
    return settings


def _build(settings: Mapping[str, Any], stored: Stored, weights: Path) -> Dictionary:
    architecture = str(settings.get("architecture") or "standard")
    if architecture not in _KINDS:
        raise SubjectError(
            f"{weights}: SAELens architecture {architecture!r} is not supported; there are: {', '.join(sorted(_KINDS))}"
        )
    kind, transcoder = _KINDS[architecture], "transcoder" in architecture
    activation = settings.get("activation_fn") or "relu"
    if activation not in ("relu", "topk"):
        raise SubjectError(f"{weights}: activation function {activation!r} is not supported, only relu and topk")
    b_enc = stored.vector("b_gate") if kind == "gated" else stored.vector("b_enc")
    b_dec = stored.vector("b_dec")
    n, d_out = len(b_enc), len(b_dec)
    d_in = int(settings["d_in"])
    if int(settings["d_sae"]) != n:
        raise SubjectError(f"{weights}: has {n} latents, its cfg.json says {settings['d_sae']}; the two do not belong")
    w_dec = stored.matrix("W_dec", rows=n, columns=d_out, transposed=False)
    scaling = stored.get("scaling_factor", "finetuning_scaling_factor")
    if scaling is not None and not bool((scaling == 1).all()):
        w_dec = w_dec * scaling[:, None]
        stored.notes.append("scaling_factor is multiplied into the decoder")
    skip = stored.get("W_skip")
    hook, model, ours = settings.get("hook_name"), settings.get("model_name"), settings.get("afterburn")
    own = ours if isinstance(ours, Mapping) else {}
    site = None if settings.get("hook_head_index") is not None else own.get("site") or neutral(hook, model=model)
    out = settings.get("hook_name_out")
    if site is not None and site.endswith(".attn.heads") and _processed(settings):
        site = None
        stored.notes.append("trained on a model whose value biases were folded away, which its heads' outputs lack")
    elif site is None:
        stored.notes.append(f"{hook} is no site that is offered here; the dictionary can be read, not measured with")
    normalisation = _normalisation(settings, stored, site)
    return Dictionary(
        format="saelens",
        kind=kind,
        transcoder=transcoder,
        w_enc=stored.matrix("W_enc", rows=d_in, columns=n, transposed=False),
        b_enc=b_enc,
        w_dec=w_dec,
        b_dec=b_dec,
        threshold=_threshold(kind, stored, trusted=bool(own)),
        k=_k(settings.get("k"), weights),
        r_mag=stored.vector("r_mag") if kind == "gated" else None,
        b_mag=stored.vector("b_mag") if kind == "gated" else None,
        w_skip=None if skip is None else stored.matrix("W_skip", rows=d_in, columns=d_out, transposed=True),
        subtract_b_dec=not transcoder and bool(settings.get("apply_b_dec_to_input", True)),
        normalisation=attrs.evolve(normalisation, one_way=transcoder and normalisation.kind in BY_TOKEN),
        rescale_by_decoder_norm=bool(settings.get("rescale_acts_by_decoder_norm", False)),
        site=site,
        site_out=(neutral(out, model=model) if out else written_by_default(site)) if transcoder else None,
        hook=hook,
        model=model,
        name=weights.parent.name if weights.name == _WEIGHTS else weights.stem,
        lookup=settings.get("neuronpedia_id"),
        prepend_bos=settings.get("prepend_bos", None if settings["since_6"] else True),
        l0=_l0(settings.get("l0"), own),
        facts={
            "architecture": architecture,
            "version": settings.get("sae_lens_version"),
            "context_size": settings.get("context_size"),
            "dataset": settings.get("dataset_path"),
            "hook_out": out,
            "afterburn": ours,
            "notes": tuple(stored.notes),
        },
        weights=weights,
    )


def _l0(card: Any, own: Mapping[str, Any]) -> float | None:
    """What the card says; of ours, what was measured on texts that were kept back."""
    held = own.get("held_out")
    measured = held.get("l0") if isinstance(held, Mapping) else None
    value = card if card is not None else measured.get("value") if isinstance(measured, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def _k(value: Any, weights: Path) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SubjectError(f"{weights}: k is {value!r} in cfg.json, expected a number")
    return round(value)  # batch-top-k may be trained with a mean that is no whole number


def _threshold(kind: Kind, stored: Stored, *, trusted: bool) -> torch.Tensor | float | None:
    if kind == "batch_topk":
        return stored.scalar("topk_threshold", "threshold")
    if kind != "jumprelu":
        return None
    logarithm = stored.get("log_threshold")
    threshold = logarithm.exp() if logarithm is not None else stored.vector("threshold")
    if not trusted and threshold.numel() > 1 and bool((threshold == threshold[0]).all()):
        stored.notes.append(
            "one constant threshold: a batch-top-k dictionary saved as JumpReLU; some releases saved a wrong one, "
            "which L0 on your own texts shows (--base)"
        )
    return threshold


def _normalisation(settings: Mapping[str, Any], stored: Stored, site: str | None) -> Normalisation:
    kind = settings.get("normalize_activations") or "none"
    match kind:
        case "constant_norm_rescale":
            return Normalisation(kind="constant_norm")
        case "layer_norm":
            return Normalisation(kind="layer_norm")
        case "expected_average_only_in":
            scale = settings.get("norm_scaling_factor")
            if scale is not None:
                return Normalisation.fixed(scale=float(scale))
            stored.notes.append(
                "trained on scaled activations, and the file does not hold the scale: taken as folded into the "
                "weights; check FVU and L0 on your own texts (--base)"
            )
        case "none":
            pass
        case _:
            raise SubjectError(f"{stored.path}: normalize_activations {kind!r} is not supported")
    if _centred(settings, site):
        stored.notes.append(
            "trained on a model with centred writing weights: the mean of every activation is taken out"
        )
        return Normalisation(kind="centre")
    return Normalisation()


def _centred(settings: Mapping[str, Any], site: str | None) -> bool:
    """Whether the activations that it was trained on had their mean taken out."""
    return site is not None and in_stream(site) and _processed(settings)


def _processed(settings: Mapping[str, Any]) -> bool:
    """Whether TransformerLens had centred what the model writes, and folded its value biases away."""
    asked = settings.get("model_from_pretrained_kwargs")
    if isinstance(asked, Mapping) and asked:
        return bool(asked.get("center_writing_weights", False))
    old = not settings["since_6"] and not settings.get("sae_lens_training_version") and asked is None
    return old and str(settings.get("model_name") or "").startswith("gpt2")
