"""sparsify (EleutherAI): `layers.N[.mlp]/cfg.json` and `sae.safetensors`.

The encoder lies as a linear layer, (n, d), and `W_dec` **as it is used**, (n, d): transposing both alike, as one
popular loader does, goes unnoticed only where n = d. Top-k; b_dec is subtracted unless it is a transcoder.
"""

from __future__ import annotations

from pathlib import Path

from afterburn_core.errors import SubjectError
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.readers.files import config_of, safe_tensors
from afterburn_sae.readers.shapes import Stored
from afterburn_sae.readers.sites import neutral

_CONFIG, _WEIGHTS = "cfg.json", "sae.safetensors"


def read(path: Path) -> Dictionary | None:
    """A directory named after the module that it reads, or one of its two files."""
    directory = path if path.is_dir() else path.parent
    config_path, weights = directory / _CONFIG, directory / _WEIGHTS
    if not config_path.is_file() or (path.is_file() and path.name not in (_CONFIG, _WEIGHTS)):
        return None
    config = config_of(config_path)
    if "d_in" not in config or "d_sae" in config or not {"num_latents", "expansion_factor"} & set(config):
        return None
    if not weights.is_file():
        raise SubjectError(f"{weights}: missing beside cfg.json; the weights were not downloaded")
    if config.get("activation", "topk") != "topk" or config.get("signed"):
        what = "signed top-k" if config.get("signed") else config["activation"]
        raise SubjectError(f"{weights}: activation {what!r} of sparsify is not supported, only topk")
    stored = Stored(path=weights, tensors=safe_tensors(weights))
    b_enc, b_dec = stored.vector("encoder.bias"), stored.vector("b_dec")
    n, d_in, d_out = len(b_enc), int(config["d_in"]), len(b_dec)
    expected = config.get("num_latents") or d_in * int(config.get("expansion_factor", 0))
    if expected != n:
        raise SubjectError(f"{weights}: has {n} latents, its cfg.json says {expected}; the two do not belong together")
    transcoder = bool(config.get("transcode", False))
    above = directory.parent / "config.json"
    model = config_of(above).get("model") if above.is_file() else None
    hook = directory.name
    site = neutral(hook, model=model)
    if transcoder:  # reads what goes into the module that it is named after, writes what comes out
        site_out, site = site, neutral(hook + ".input", model=model)
    else:
        site_out = None
    if site is None:
        place = f"the input of {hook}" if transcoder else hook
        stored.notes.append(f"{place} is no site that is offered here; the dictionary can be read, not measured with")
    skip = None
    if "W_skip" in stored:
        skip = stored.matrix("W_skip", rows=d_in, columns=d_out, transposed=True)
    return Dictionary(
        format="sparsify",
        kind="topk",
        transcoder=transcoder,
        w_enc=stored.matrix("encoder.weight", "W_enc", rows=d_in, columns=n, transposed=True),
        b_enc=b_enc,
        w_dec=stored.matrix("W_dec", rows=n, columns=d_out, transposed=False),
        b_dec=b_dec,
        k=int(config.get("k", 32)),
        w_skip=skip,
        subtract_b_dec=not transcoder,
        site=site,
        site_out=site_out,
        hook=hook,
        model=model,
        name="/".join(directory.absolute().parts[-2:]),
        l0=float(config.get("k", 32)),
        facts={"normalize_decoder": config.get("normalize_decoder"), "notes": tuple(stored.notes)},
        weights=weights,
    )
