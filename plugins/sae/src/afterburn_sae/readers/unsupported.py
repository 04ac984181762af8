"""What is known and not supported, refused by its name: it is no damaged file of another format."""

from __future__ import annotations

import re
from pathlib import Path

from afterburn_core.errors import SubjectError
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.readers.files import config_of, safe_names


def read(path: Path) -> Dictionary | None:
    """Never a dictionary.

    Raises:
        SubjectError: a crosscoder, a cross-layer transcoder, a set of transcoders by layer, or a temporal dictionary.
    """
    what = _what(path)
    if what is not None:
        raise SubjectError(
            f"{path}: {what}, which is not supported; give a dictionary that reads one site of one model"
        )
    return None


def _what(path: Path) -> str | None:
    directory = path if path.is_dir() else path.parent
    names = {file.name for file in directory.iterdir()} if path.is_dir() else {path.name}
    if "crosscoder.safetensors" in names:
        return "a crosscoder of two models (`afterburn sae crosscoder` wrote its findings beside it)"
    if any(re.fullmatch(r"W_(enc|dec)_\d+\.safetensors", name) for name in names):
        return "a cross-layer transcoder, one file for each layer"
    if any(re.fullmatch(r"params_layer_\d+\.safetensors", name) for name in names):
        return "a cross-layer transcoder of Gemma Scope 2"
    if any(re.fullmatch(r"layer_\d+\.safetensors", name) for name in names) and (directory / "config.yaml").is_file():
        return "a set of transcoders by layer, as published for Qwen3"
    if path.is_dir() and (path / "cfg.json").is_file():
        architecture = str(config_of(path / "cfg.json").get("architecture", ""))
        for word in ("crosscoder", "temporal", "clt", "matching_pursuit"):
            if word in architecture.lower():
                return f"a dictionary of the architecture {architecture!r}"
    if path.is_file() and path.suffix == ".safetensors":
        tensors = safe_names(path)
        if any(name.startswith(("W_enc_", "W_dec_")) for name in tensors):
            return "a cross-layer transcoder"
    return None
