"""Runs WeightWatcher and Afterburn on the same generated matrices and prints both, side by side.

    python tests/bench/weightwatcher.py --peer-python PATH [--json FILE]

PATH is the interpreter of an environment that has weightwatcher and torch. The matrices are written once as .npy files,
so that both sides read the same bits. `plugins/weight/tests/test_weightwatcher.py` holds the peer's figures as facts;
`docs/spectra.md` explains where and why the two differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PEER = r"""
import json, logging, sys, warnings
from pathlib import Path
warnings.filterwarnings("ignore")
import numpy, torch, weightwatcher
logging.disable(logging.CRITICAL)
found = {"version": weightwatcher.__version__}
for path in sorted(Path(sys.argv[1]).glob("*.npy")):
    matrix = torch.from_numpy(numpy.load(path))
    layer = torch.nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
    layer.weight.data = matrix
    row = weightwatcher.WeightWatcher(model=torch.nn.Sequential(layer)).analyze(mp_fit=True, plot=False).iloc[0]
    keys = ("alpha", "D", "xmin", "num_pl_spikes", "num_spikes", "sigma_mp", "bulk_max", "W_scale", "sigma")
    found[path.stem] = {key: float(row[key]) for key in keys}
Path(sys.argv[2]).write_text(json.dumps(found))
"""


def matrices() -> dict[str, NDArray[np.float32]]:
    """The cases: planted power laws, pure noise, and noise with planted directions, the same on every call."""
    random = np.random.default_rng(20_240_229)

    def rotated(values: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
        left = np.linalg.qr(random.standard_normal((rows, values.size)))[0]
        right = np.linalg.qr(random.standard_normal((values.size, values.size)))[0]
        return (left * values) @ right

    def spiked(rows: int, columns: int, strengths: tuple[float, ...]) -> NDArray[np.float64]:
        noise = random.standard_normal((rows, columns))
        left = np.linalg.qr(random.standard_normal((rows, len(strengths))))[0]
        right = np.linalg.qr(random.standard_normal((columns, len(strengths))))[0]
        return noise + (left * (np.array(strengths) * (rows * columns) ** 0.25)) @ right.T

    count = 300
    cases = {f"pareto_{alpha}": rotated((1 - random.random(count)) ** (-0.5 / (alpha - 1)), 400) for alpha in (2, 3, 5)}
    cases["decay"] = rotated(np.arange(1, count + 1) ** -0.7, 400)
    cases["gaussian"] = random.standard_normal((400, 300))
    cases["gaussian_tall"] = random.standard_normal((1000, 250))
    cases["spiked"] = spiked(400, 300, (1.5, 2.0, 3.0, 5.0))
    cases["spiked_tall"] = spiked(1000, 250, (1.5, 2.0, 4.0))
    return {name: 0.02 * case.astype(np.float32) for name, case in cases.items()}


def ours(matrix: NDArray[np.float32]) -> dict[str, float]:
    """The same quantities by Afterburn, with the tail fitted also over the peer's range of candidates."""
    from afterburn_core.run.spectra import Spectrum
    from afterburn_weight.powerlaw import fit
    from afterburn_weight.spikes import fit_noise

    values = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    rows, columns = matrix.shape
    spectrum = Spectrum(values=values, rows=rows, columns=columns, square=float((values**2).sum()), method="float64")
    tail, noise = fit(values**2), fit_noise(spectrum)
    assert tail is not None and not isinstance(noise, str)
    entries = float(np.sqrt(np.mean(matrix.astype(np.float64) ** 2)))
    return {
        "alpha": tail.alpha,
        "D": tail.distance,
        "xmin": tail.x_min,
        "n_tail": tail.n_tail,
        "sigma": tail.error,
        "num_spikes": noise.spikes.size,
        "sigma_mp": noise.scale / entries,  # the peer scales W so that its entries have mean square 1
        "edge": noise.edge,
    }


def peers(python: str, cases: dict[str, NDArray[np.float32]]) -> dict[str, Any]:
    """What WeightWatcher makes of the cases, with its version."""
    with tempfile.TemporaryDirectory() as folder:
        for name, matrix in cases.items():
            np.save(Path(folder) / f"{name}.npy", matrix)
        answer = Path(folder) / "found.json"
        subprocess.run([python, "-c", PEER, folder, str(answer)], check=True, capture_output=True, cwd=folder)
        found: dict[str, Any] = json.loads(answer.read_text())
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="interpreter that has weightwatcher")
    parser.add_argument("--json", type=Path, help="also write both sides to this file")
    options = parser.parse_args()
    cases = matrices()
    theirs = peers(options.peer_python, cases)
    both = {name: {"weightwatcher": theirs[name], "afterburn": ours(case)} for name, case in cases.items()}
    print(f"weightwatcher {theirs['version']} | afterburn")
    print(f"{'matrix':14} {'alpha':>15} {'tail':>11} {'D':>13} {'spikes':>9} {'sigma':>13} {'edge':>13}")
    for name, sides in both.items():
        ww, ab = sides["weightwatcher"], sides["afterburn"]
        edge = ww["bulk_max"] ** 0.5
        print(
            f"{name:14} {ww['alpha']:7.3f} {ab['alpha']:7.3f} {ww['num_pl_spikes']:5.0f} {ab['n_tail']:5d} "
            f"{ww['D']:6.4f} {ab['D']:6.4f} {ww['num_spikes']:4.0f} {ab['num_spikes']:4d} "
            f"{ww['sigma_mp']:6.3f} {ab['sigma_mp']:6.3f} {edge:6.3f} {ab['edge']:6.3f}"
        )
    if options.json:
        options.json.write_text(json.dumps({"version": theirs["version"], "matrices": both}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
