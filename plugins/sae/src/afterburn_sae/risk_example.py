"""What the conformance kit runs drift and risk packs with: a small dictionary and a pack that fit a model's width."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afterburn_sae.pack import VERSION

LATENTS = 48


def drift(directory: Path, base: Path) -> Mapping[str, Any]:
    """Options of `sae.drift`."""
    return {"dictionaries": [str(write_dictionary(directory, base))], "most_unexplained": 1e9}  # of random latents


def risk(directory: Path, base: Path) -> Mapping[str, Any]:
    """Options of `sae.risk`."""
    folder = write_dictionary(directory, base)
    return {"dictionaries": [str(folder)], "packs": [str(write_pack(directory, folder, base))]}


def write_dictionary(directory: Path, base: Path) -> Path:
    """A ReLU dictionary of random latents in SAELens's layout, for the outputs of the last block."""
    import numpy as np
    import safetensors.numpy

    width = _width(base)
    rng = np.random.default_rng(0)
    encoder = rng.normal(size=(width, LATENTS)) / np.sqrt(width)
    folder = directory / "dictionary"
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "W_enc": encoder,
        "b_enc": np.zeros(LATENTS),
        "W_dec": encoder.T,
        "b_dec": np.zeros(width),
    }
    arrays = {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in tensors.items()}
    (folder / "sae_weights.safetensors").write_bytes(safetensors.numpy.save(arrays))
    configuration = {
        "architecture": "standard",
        "d_in": width,
        "d_sae": LATENTS,
        "dtype": "float32",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "metadata": {"hook_name": f"blocks.{_last(base)}.hook_resid_post", "model_name": "example"},
    }
    (folder / "cfg.json").write_text(json.dumps(configuration), encoding="utf-8")
    return folder


def write_pack(directory: Path, folder: Path, base: Path) -> Path:
    """A pack of three of its latents and a direction."""
    import hashlib

    import numpy as np
    import safetensors.numpy

    from afterburn_sae.readers import open_dictionary

    tensor = f"trait.example.blocks.{_last(base)}.out"
    vector = np.random.default_rng(1).normal(size=_width(base)).astype(np.float32)
    content = safetensors.numpy.save({tensor: vector})
    (directory / "directions.safetensors").write_bytes(content)
    pack = {
        "schema_version": VERSION,
        "name": "example",
        "version": "1",
        "licence": "CC0-1.0",
        "source": "random latents, which stand for nothing",
        "verified": False,
        "probe_sets": ["sae.finance", "sae.safety"],
        "dictionary": {"sha256": open_dictionary(folder).sha256, "site": f"blocks.{_last(base)}.out"},
        "features": [
            {"feature": 3, "label": "first", "concern": "up"},
            {"feature": 11, "label": "second", "concern": "down"},
            {"feature": 40, "label": "third", "concern": "up"},
        ],
        "directions": {
            "file": "directions.safetensors",
            "sha256": hashlib.sha256(content).hexdigest(),
            "entries": [{"tensor": tensor, "label": "example", "concern": "up"}],
        },
    }
    path = directory / "pack.json"
    path.write_text(json.dumps(pack), encoding="utf-8")
    return path


def _width(base: Path) -> int:
    return int(_configuration(base)["hidden_size"])


def _last(base: Path) -> int:
    return int(_configuration(base)["num_hidden_layers"]) - 1


def _configuration(base: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((base / "config.json").read_text(encoding="utf-8"))
    return found
