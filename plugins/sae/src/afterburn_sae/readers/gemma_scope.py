"""Gemma Scope (`params.npz`, arXiv 2408.05147) and Gemma Scope 2 (`params.safetensors` with `config.json`).

All are JumpReLU without subtraction of b_dec, W_enc (d, n) and W_dec (n, d). Of the first generation everything but the
numbers is in the path: `gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82/params.npz`. Quirks:

- `att` dictionaries read the heads' outputs before they are projected
- `embedding` ones were trained on embeddings before their scaling by √d, which the site `embed` has behind it
- transcoders read the normed input of the MLP and write its output after the post-norm
- in Gemma Scope 2 `affine_skip_connection` (d_in, d_out) multiplies from the right, x·A; it is square, so that a
  transpose of it would pass unseen
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from afterburn_core.errors import SubjectError
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.normalisation import Normalisation
from afterburn_sae.readers.files import config_of, npz_tensors, safe_tensors
from afterburn_sae.readers.shapes import Stored
from afterburn_sae.readers.sites import neutral

_NPZ, _SAFE, _CONFIG = "params.npz", "params.safetensors", "config.json"
_REPOSITORY = re.compile(r"gemma-scope-(\d+b)-(pt|it)-(res|att|mlp|transcoders)")


def read(path: Path) -> Dictionary | None:
    """`params.npz`, or the directory that holds it."""
    weights = path / _NPZ if path.is_dir() else path
    if weights.suffix != ".npz" or not weights.is_file():
        return None
    stored = Stored(path=weights, tensors=npz_tensors(weights))
    if "W_enc" not in stored and "w_enc" not in stored:
        return None
    b_enc, b_dec = stored.vector("b_enc"), stored.vector("b_dec")
    n, d_out = len(b_enc), len(b_dec)
    text = "/".join(weights.absolute().parts[-6:-1])
    found = _REPOSITORY.search(text)
    part = found[3] if found else None
    layer = re.search(r"layer_(\d+)", text)
    embedding = "/embedding/" in f"/{text}/"
    width, l0 = re.search(r"width_(\w+)", text), re.search(r"average_l0_(\d+)", text)
    transcoder = part == "transcoders"
    d_in = _other_side(stored, n) if transcoder else d_out
    hook = _hook(part, None if layer is None else layer[1], embedding)
    if hook is None:
        stored.notes.append("the path does not say what it reads; keep the directories' names of the download")
    site = neutral(hook)
    model = None if found is None else f"google/gemma-2-{found[1]}" + ("-it" if found[2] == "it" else "")
    normalisation = Normalisation()
    if embedding:
        normalisation = Normalisation.fixed(scale=1 / math.sqrt(d_in))
        stored.notes.append("trained on embeddings before their scaling by √d, which is taken back here")
    if hook is not None and site is None:
        stored.notes.append(f"{hook} is no site that is offered here; the dictionary can be read, not measured with")
    return Dictionary(
        format="gemma_scope",
        kind="jumprelu",
        transcoder=transcoder,
        w_enc=stored.matrix("W_enc", "w_enc", rows=d_in, columns=n, transposed=False),
        b_enc=b_enc,
        w_dec=stored.matrix("W_dec", "w_dec", rows=n, columns=d_out, transposed=False),
        b_dec=b_dec,
        threshold=stored.vector("threshold"),
        normalisation=normalisation,
        site=site,
        site_out=f"blocks.{layer[1]}.mlp.out" if transcoder and layer is not None else None,
        hook=hook,
        model=model,
        name="/".join(weights.absolute().parts[-4:-1]),
        lookup=_lookup(model, part, layer, width, l0, canonical="canonical" in text),
        prepend_bos=True,
        l0=None if l0 is None else float(l0[1]),
        facts={"part": part, "width": None if width is None else width[1], "notes": tuple(stored.notes)},
        weights=weights,
    )


def _hook(part: str | None, layer: str | None, embedding: bool) -> str | None:
    if embedding:
        return "hook_embed"
    if part is None or layer is None:
        return None
    return {
        "res": f"blocks.{layer}.hook_resid_post",
        "att": f"blocks.{layer}.attn.hook_z",
        "mlp": f"blocks.{layer}.hook_mlp_out",
        "transcoders": f"blocks.{layer}.ln2.hook_normalized",
    }[part]


def _lookup(
    model: str | None,
    part: str | None,
    layer: re.Match[str] | None,
    width: re.Match[str] | None,
    l0: re.Match[str] | None,
    *,
    canonical: bool,
) -> str | None:
    """Neuronpedia's id; where the path does not say canonical, the one with the L0 in it, which may not exist there."""
    if model is None or layer is None or width is None or part not in ("res", "att", "mlp"):
        return None
    ending = "" if canonical or l0 is None else f"__l0-{l0[1]}"
    return f"{model.removeprefix('google/')}/{layer[1]}-gemmascope-{part}-{width[1]}{ending}"


def read_2(path: Path) -> Dictionary | None:
    """`params.safetensors` with `config.json`, or their directory."""
    weights = path / _SAFE if path.is_dir() else path
    config_path = weights.parent / _CONFIG
    if weights.suffix != ".safetensors" or not config_path.is_file() or not weights.is_file():
        return None
    config = config_of(config_path)
    if "hf_hook_point_in" not in config:
        return None
    stored = Stored(path=weights, tensors=safe_tensors(weights))
    kind = str(config.get("type") or "sae")
    if kind in ("clt", "crosscoder", "cross_layer_transcoder") or _sides(stored, "w_dec") > 2:
        what = "crosscoder" if kind == "crosscoder" else "cross-layer transcoder"
        raise SubjectError(f"{weights}: a {what} of Gemma Scope 2, which is not supported; only one site's are")
    architecture = str(config.get("architecture") or "jump_relu")
    if architecture not in ("jump_relu", "jumprelu"):
        raise SubjectError(
            f"{weights}: architecture {architecture!r} of Gemma Scope 2 is not supported, only jump_relu"
        )
    b_enc, b_dec = stored.vector("b_enc"), stored.vector("b_dec")
    n, d_out = len(b_enc), len(b_dec)
    hook, hook_out, model = config["hf_hook_point_in"], config.get("hf_hook_point_out"), config.get("model_name")
    transcoder = kind == "transcoder" or hook_out not in (None, hook)
    d_in = _other_side(stored, n) if transcoder else d_out
    site = neutral(hook, model=model)
    if site is None:
        stored.notes.append(f"{hook} is no site that is offered here; the dictionary can be read, not measured with")
    skip = None
    if "affine_skip_connection" in stored:
        skip = stored.matrix("affine_skip_connection", rows=d_in, columns=d_out, transposed=False)
    return Dictionary(
        format="gemma_scope_2",
        kind="jumprelu",
        transcoder=transcoder,
        w_enc=stored.matrix("w_enc", rows=d_in, columns=n, transposed=False),
        b_enc=b_enc,
        w_dec=stored.matrix("w_dec", rows=n, columns=d_out, transposed=False),
        b_dec=b_dec,
        threshold=stored.vector("threshold"),
        w_skip=skip,
        subtract_b_dec=bool(config.get("apply_b_dec_to_input", False)) and not transcoder,
        site=site,
        site_out=neutral(hook_out, model=model) if transcoder else None,
        hook=hook,
        model=model,
        name="/".join(weights.absolute().parts[-3:-1]),
        prepend_bos=True,
        l0=float(config["l0"]) if isinstance(config.get("l0"), int | float) else None,
        facts={"type": kind, "width": config.get("width"), "hook_out": hook_out, "notes": tuple(stored.notes)},
        weights=weights,
    )


def _other_side(stored: Stored, n: int) -> int:
    """The width that the encoder reads, where no bias gives it."""
    encoder = stored.get("W_enc", "w_enc")
    return n if encoder is None else next((side for side in encoder.shape if side != n), n)


def _sides(stored: Stored, name: str) -> int:
    found = stored.get(name)
    return 0 if found is None else found.ndim
