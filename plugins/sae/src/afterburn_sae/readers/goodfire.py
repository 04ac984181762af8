"""Goodfire's dictionaries of Llama: one `.pth` or `.pt` with `encoder_linear.*` and `decoder_linear.*`.

ReLU, b_dec not subtracted, on a block's output. The file says neither model nor block; its name does:
`Llama-3.1-8B-Instruct-SAE-l19.pth`. The same layout with names `encoder.*` and `decoder.*` has been published for
DeepSeek's distilled Llama (`DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt`).
"""

from __future__ import annotations

import re
from pathlib import Path

from afterburn_sae.dictionary import Dictionary
from afterburn_sae.readers.files import torch_tensors
from afterburn_sae.readers.shapes import Stored

_NAME = re.compile(r"(?P<model>[\w.-]+?)-SAE-l(?P<layer>\d+)")
_OWNERS = {"Llama": "meta-llama", "DeepSeek": "deepseek-ai"}
_LOOKUPS = {
    "Llama-3.1-8B-Instruct-SAE-l19": "llama3.1-8b-it/19-resid-post-gf",
    "Llama-3.3-70B-Instruct-SAE-l50": "llama3.3-70b-it/50-resid-post-gf",
    "DeepSeek-R1-Distill-Llama-8B-SAE-l19": "deepseek-r1-distill-llama-8b/19-qresearch-res-65k",
}


def read(path: Path) -> Dictionary | None:
    """One torch file, or a directory with exactly one of that name."""
    weights = path
    if path.is_dir():
        there = sorted(file for file in path.iterdir() if file.suffix in (".pt", ".pth") and _NAME.search(file.name))
        if len(there) != 1:
            return None
        weights = there[0]
    if weights.suffix not in (".pt", ".pth") or weights.name.endswith(".sae.pt"):
        return None
    found = _NAME.search(weights.name) or _NAME.search(weights.absolute().parent.name)
    stored = Stored(path=weights, tensors=torch_tensors(weights))
    prefix = "encoder_linear" if "encoder_linear.weight" in stored else "encoder"
    if f"{prefix}.weight" not in stored or (prefix == "encoder" and found is None):
        return None
    b_enc = stored.vector(f"{prefix}.bias")
    b_dec = stored.vector("decoder_linear.bias", "decoder.bias")
    n, d = len(b_enc), len(b_dec)
    if found is None:
        stored.notes.append("the name does not say model and block; keep the name of the download (…-SAE-l19)")
    model = None if found is None else found["model"]
    owner = None if model is None else _OWNERS.get(model.split("-")[0])
    return Dictionary(
        format="goodfire",
        kind="relu",
        w_enc=stored.matrix(f"{prefix}.weight", rows=d, columns=n, transposed=True),
        b_enc=b_enc,
        w_dec=stored.matrix("decoder_linear.weight", "decoder.weight", rows=n, columns=d, transposed=True),
        b_dec=b_dec,
        site=None if found is None else f"blocks.{found['layer']}.out",
        hook=None if found is None else f"layers.{found['layer']}",
        model=f"{owner}/{model}" if owner else model,
        name=weights.stem,
        lookup=None if found is None else _LOOKUPS.get(found[0]),
        facts={"notes": tuple(stored.notes)},
        weights=weights,
    )
