"""Compares our readers of dictionaries with the libraries the formats come from, on the same files.

    python tests/bench/sae_formats.py --peer-python PATH

PATH is the Python of an environment with `sae-lens`, `dictionary-learning` and `eai-sparsify`. Files as our tests write
them are opened by those libraries, files that those libraries save are opened by us; codes and reconstructions are
compared. Exits with 1 where one differs by more than 1e-4 of the largest value, unless the reason is listed here.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from afterburn_core.errors import AfterburnError
from afterburn_core.plugin.registry import Registry
from afterburn_sae.readers import open_dictionary

HERE = Path(__file__).resolve().parent
TESTS = HERE.parents[1] / "plugins" / "sae" / "tests" / "test_readers.py"
SHIPPED = HERE.parents[1] / "plugins" / "sae" / "src" / "afterburn_sae" / "dictionaries"
TOLERANCE = 1e-4
KNOWN: dict[str, str] = {
    "saelens-matryoshka-rescaled": "a checkpoint of training, which we gate by its learned threshold",
    "gemma-scope-embedding": "the converter scales the decoder by √d and leaves its bias, we scale both",
    "llama-scope": "the converter ignores the decoder's norms, which the gate of the format includes",
    "llama-scope-r1": "the converter ignores the decoder's norms, which the gate of the format includes",
}
"""Cases that differ on purpose, and why."""
UP_TO_A_FACTOR = ("llama-scope-unit-norms",)
"""Codes of the scaled activation there and of the activation itself here: one factor, which decoding takes back."""


def written(directory: Path) -> list[dict[str, str]]:
    """The files of our tests, with the activations they are tried on."""
    spec = importlib.util.spec_from_file_location("readers_of_dictionaries", TESTS)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{TESTS} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    cases = []
    for name, (_, write) in module.CASES.items():
        root = directory / name
        root.mkdir()
        case = write(root)
        np.save(root / "x.npy", case.x)
        cases.append({"name": name, "path": str(case.path), "x": str(root / "x.npy")})
    for name in ("llama-scope", "llama-scope-r1"):
        cases.append(unit_norms(directory, name, module.CASES[name][1]))
    return [*cases, trained_here(directory)]


def trained_here(directory: Path) -> dict[str, str]:
    """The dictionary of the demo, which `afterburn sae train` wrote."""
    root = directory / "saelens-of-sae-train"
    root.mkdir()
    (stored,) = SHIPPED.glob("*.safetensors")
    shutil.copy(stored, root / "sae_weights.safetensors")
    shutil.copy(stored.with_suffix(".json"), root / "cfg.json")
    width = load_file(stored)["b_dec"].numel()
    np.save(root / "x.npy", np.random.default_rng(3).normal(scale=4.0, size=(64, width)))
    return {"name": root.name, "path": str(root), "x": str(root / "x.npy")}


def unit_norms(directory: Path, name: str, write: Callable[[Path], Any]) -> dict[str, str]:
    """The same files with latents of unit norm, where those who leave the norms out must agree with us."""
    root = directory / f"{name}-unit-norms"
    root.mkdir()
    case = write(root)
    tensors = load_file(case.weights)
    tensors["decoder.weight"] /= tensors["decoder.weight"].norm(dim=0)
    save_file(tensors, case.weights)
    np.save(root / "x.npy", case.x)
    return {"name": f"{name}-unit-norms", "path": str(case.path), "x": str(root / "x.npy")}


def furthest(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> float:
    """The largest difference, in parts of the largest value."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def compare(entry: dict[str, Any], registry: Registry) -> tuple[str, bool]:
    """A line for people, and whether it is as it should be."""
    label = f"{'written' if entry['own'] else 'opened'} by {entry['by']}: {entry['name']}"
    known = KNOWN.get(entry["name"])
    if "error" in entry:
        return f"{label}: not opened ({entry['error'][:100]}){'; ' + known if known else ''}", known is not None
    try:
        dictionary = open_dictionary(Path(entry["path"]), registry=registry)
    except AfterburnError as error:
        return f"{label}: refused in one line ({str(error).rsplit(': ', 1)[-1]})", "is not supported" in str(error)
    given = np.load(entry["given"])
    x = torch.from_numpy(given["x"]).float()
    codes = dictionary.encode(x)
    theirs = given["codes"]
    if entry["name"] in UP_TO_A_FACTOR:
        theirs = theirs * (np.linalg.norm(codes.numpy()) / np.linalg.norm(theirs))
    differences = (
        furthest(codes.numpy(), theirs),
        furthest(dictionary.decode(codes, x).numpy(), given["decoded"]),
    )
    same = max(differences) <= TOLERANCE
    line = f"{label}: codes within {differences[0]:.1e}, reconstruction within {differences[1]:.1e}"
    return (line, True) if same else (f"{line}: DIFFERENT{'; ' + known if known else ''}", known is not None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", required=True)
    peer = parser.parse_args().peer_python
    registry = Registry.discover(only=["sae"])
    with tempfile.TemporaryDirectory() as held:
        directory = Path(held)
        (directory / "cases.json").write_text(json.dumps(written(directory)))
        subprocess.run([peer, str(HERE / "sae_formats_peer.py"), str(directory)], check=True)
        results = [compare(entry, registry) for entry in json.loads((directory / "opened.json").read_text())]
    for line, _ in results:
        print(line)
    print(f"{sum(right for _, right in results)} of {len(results)} as they should be")
    sys.exit(0 if all(right for _, right in results) else 1)


if __name__ == "__main__":
    main()
