"""A small dictionary that fits a model, for the conformance kit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LATENTS_PER_DIMENSION = 4


def write(directory: Path, base: Path) -> Mapping[str, Any]:
    """Writes a dictionary of what leaves the last block in SAELens's layout, and names it.

    Half of its directions are an orthonormal basis and its negative, which together rebuild any activation exactly.
    """
    import torch
    from safetensors.torch import save_file

    configuration = json.loads((base / "config.json").read_text(encoding="utf-8"))
    width, last = int(configuration["hidden_size"]), int(configuration["num_hidden_layers"]) - 1
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
    spare = torch.nn.functional.normalize(torch.randn(2 * width, width, generator=generator), dim=1)
    directions = torch.cat([basis, -basis, spare])
    decoder = torch.cat([basis, -basis, torch.zeros_like(spare)])
    folder = directory / "dictionary"
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "W_enc": directions.T.contiguous(),
        "b_enc": torch.zeros(len(directions)),
        "W_dec": decoder,
        "b_dec": torch.zeros(width),
    }
    save_file(tensors, folder / "sae_weights.safetensors")
    own = {
        "architecture": "standard",
        "d_in": width,
        "d_sae": LATENTS_PER_DIMENSION * width,
        "dtype": "float32",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "metadata": {"hook_name": f"blocks.{last}.hook_resid_post"},
    }
    (folder / "cfg.json").write_text(json.dumps(own), encoding="utf-8")
    return {"dictionaries": [str(folder)], "attributed": 1.0}
