"""Makes the checkpoints of the benchmark that are not shipped as such: merged, in another rounding, full fine-tunes.

    merged      W' = bf16(W + s·B·A), the product and the sum in float64, so that every machine rounds alike
    rounded     k(w') = k(w) + u, u in {−1, 0, 1} with probabilities 1/4, 1/2, 1/4: one unit of the last place or none
    difference  k(w') = k(w) + d, with the d that is shipped (`difference`)

What is made is checked against the digest in the index: it is bit for bit what was measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from afterburn_core.errors import SubjectError
from afterburn_core.run.cache import default_cache_dir
from afterburn_organisms.benchmark import INDEX, BenchmarkOrganism
from afterburn_organisms.catalog import organism
from afterburn_organisms.difference import apply_difference, from_order, order

WEIGHTS = "model.safetensors"
_COPIED = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def checkpoint_of(entry: BenchmarkOrganism, *, cache_dir: Path | None = None, index: Path = INDEX) -> Path:
    """The directory of the checkpoint, made where the cache does not hold it.

    Raises:
        SubjectError: what was made is not what was measured.
    """
    home = (cache_dir or default_cache_dir()) / "organisms"
    base = organism(entry.base).path
    wanted = entry.files[WEIGHTS]
    target = home / f"{entry.name}-{wanted[:12]}"
    if (target / WEIGHTS).is_file() and _digest(target / WEIGHTS) == wanted:
        return target
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as fresh:
        write_checkpoint(weights_of(entry, index.parent, base), Path(fresh), base)
        found = _digest(Path(fresh) / WEIGHTS)
        if found != wanted:
            raise SubjectError(
                f"{entry.name}: the weights made here have the digest {found[:12]}, those that were measured "
                f"{wanted[:12]}; install the release of torch that pyproject.toml names, or rebuild the organism"
            )
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(fresh, target)
    return target


def weights_of(entry: BenchmarkOrganism, home: Path, base: Path) -> dict[str, torch.Tensor]:
    """The checkpoint's tensors by name. `home` is the folder that holds the organisms' folders."""
    if entry.storage == "difference":
        return apply_difference(base, home / entry.name)
    weights = load_file(base / WEIGHTS)
    if entry.storage == "rounded":
        return rounded(weights, entry.seed)
    return merged(weights, home / str(entry.of))


def merged(weights: Mapping[str, torch.Tensor], adapter: Path) -> dict[str, torch.Tensor]:
    """The base with the adapter merged into it, rounded to bfloat16."""
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    scale = config["lora_alpha"] / config["r"]
    factors = load_file(adapter / "adapter_model.safetensors")
    found = dict(weights)
    for name, a in factors.items():
        if ".lora_A." in name:
            b = factors[name.replace(".lora_A.", ".lora_B.")]
            target = name.removeprefix("base_model.model.").replace(".lora_A.", ".")
            moved = weights[target].double() + scale * (b.double() @ a.double())  # (outputs, inputs)
            found[target] = moved.to(torch.bfloat16)
    return found


def rounded(weights: Mapping[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """The base with half of its weights moved by one unit of the last place, up or down, as the seed says.

    The draws are bits of SHAKE-256 of seed and tensor name: the same on every machine. Zeros stay zeros.
    """
    found: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        count = tensor.numel()
        stream = hashlib.shake_256(f"{seed}/{name}".encode()).digest(count)
        draws = torch.frombuffer(bytearray(stream), dtype=torch.uint8).to(torch.int32) & 3
        k = order(tensor).flatten()
        moved = k + (draws == 0).int() - (draws == 1).int()
        found[name] = from_order(torch.where(k == 0, k, moved)).view(tensor.shape)
    return found


def write_checkpoint(weights: Mapping[str, torch.Tensor], target: Path, base: Path) -> None:
    """Writes the tensors beside the base's configuration and tokenizer."""
    for name in _COPIED:
        shutil.copyfile(base / name, target / name)
    save_file({name: weights[name].contiguous() for name in sorted(weights)}, target / WEIGHTS, {"format": "pt"})
    os.chmod(target / WEIGHTS, 0o644)  # safetensors creates its files readable by their owner only


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
