"""Agreement with WeightWatcher 0.7.7 where both define the same thing, and the reason where they differ.

The peer's figures are facts, printed by `tests/bench/weightwatcher.py` in an environment that has it. Where its number
is another one, the test computes it from the peer's own rule: what differs is the definition, and `docs/spectra.md`
says which.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import attrs
import numpy as np
import pytest
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@attrs.frozen
class Peer:
    """alpha, D, xmin, num_pl_spikes, num_spikes, sigma_mp and bulk_max of WeightWatcher 0.7.7."""

    alpha: float
    distance: float
    x_min: float
    tail: int
    spikes: int
    sigma: float
    bulk_max: float


PEER = {
    "pareto_2": Peer(2.057403, 0.029493, 0.000489, 250, 53, 0.332478, 0.001613),
    "pareto_3": Peer(3.096177, 0.032789, 0.000633, 117, 25, 0.675053, 0.001185),
    "pareto_5": Peer(5.255802, 0.042913, 0.000401, 298, 7, 0.713940, 0.000927),
    "decay": Peer(1.794226, 0.039007, 1.1e-05, 13, 62, 0.258784, 1e-06),
    "gaussian": Peer(3.459822, 0.146319, 0.223249, 87, 0, 0.995368, 0.549965),
    "gaussian_tall": Peer(6.922210, 0.129816, 0.595396, 50, 0, 1.002879, 0.904203),
    "spiked": Peer(3.868548, 0.087212, 0.291322, 61, 3, 1.032357, 0.662134),
    "spiked_tall": Peer(4.712553, 0.093331, 0.520251, 73, 3, 0.980727, 0.903968),
}
SAME_TAIL = ("pareto_2", "pareto_3", "gaussian", "gaussian_tall")
"""Where both rules choose one and the same λ_min."""
_ZERO = 1e-5
"""The peer drops eigenvalues up to this absolute value."""
_FEW = 20
"""Below this number of eigenvalues the peer corrects α̂ for bias: 1 + (n − 1) / Σ ln(λ/λ_min)."""


def script() -> ModuleType:
    path = Path(__file__).parent / "bench" / "weightwatcher.py"
    specification = importlib.util.spec_from_file_location("bench_weightwatcher", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cases() -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = script().matrices()
    return found


@pytest.fixture(scope="module")
def ours(cases: dict[str, NDArray[np.float32]]) -> dict[str, dict[str, float]]:
    return {name: script().ours(case) for name, case in cases.items()}


def eigenvalues(matrix: NDArray[np.float32]) -> Matrix:
    return np.sort(np.linalg.svd(matrix.astype(np.float64), compute_uv=False) ** 2)


def by_the_peers_rule(values: Matrix) -> tuple[float, float, int]:
    """α, D and length: every candidate down to two values, and the gap below each step alone."""
    values = values[values > _ZERO]
    best = (np.nan, np.inf, 0)
    for first in range(len(values) - 1):
        tail = values[first:]
        n = len(tail)
        alpha = 1 + (n - (len(values) < _FEW)) / np.log(tail / tail[0]).sum()
        distance = float(np.abs(1 - (tail / tail[0]) ** (1 - alpha) - np.arange(n) / n).max())
        if distance < best[1]:
            best = (float(alpha), distance, n)
    return best


@pytest.mark.parametrize("name", SAME_TAIL)
def test_alpha_distance_and_beginning_agree_where_the_same_tail_is_chosen(
    name: str, ours: dict[str, dict[str, float]]
) -> None:
    peer, own = PEER[name], ours[name]
    assert own["n_tail"] == peer.tail
    assert own["alpha"] == pytest.approx(peer.alpha, rel=1e-5)
    assert own["D"] == pytest.approx(peer.distance, abs=2e-6)
    assert own["xmin"] == pytest.approx(peer.x_min, rel=2e-3)  # printed with six digits


@pytest.mark.parametrize("name", PEER)
def test_every_alpha_of_the_peer_follows_from_its_rule(name: str, cases: dict[str, NDArray[np.float32]]) -> None:
    alpha, distance, length = by_the_peers_rule(eigenvalues(cases[name]))
    assert (alpha, distance) == (
        pytest.approx(PEER[name].alpha, rel=1e-4),
        pytest.approx(PEER[name].distance, abs=1e-5),
    )
    assert length == PEER[name].tail


def test_an_absolute_zero_makes_the_peers_alpha_depend_on_the_scale(
    cases: dict[str, NDArray[np.float32]], ours: dict[str, dict[str, float]]
) -> None:
    """σ_i ∝ i^−0.7, α = 1.714: the peer fits 13 of 300 eigenvalues and would fit all of the matrix times 1000."""
    values = eigenvalues(cases["decay"])
    assert np.count_nonzero(values > _ZERO) < 20
    assert by_the_peers_rule(1e6 * values)[0] == pytest.approx(1.714, abs=0.03)
    assert ours["decay"]["alpha"] == pytest.approx(1.714, abs=0.03)
    assert abs(PEER["decay"].alpha - 1.714) > 0.05


@pytest.mark.parametrize("name", ["gaussian", "gaussian_tall", "spiked_tall"])
def test_spikes_and_scale_agree_where_the_bulk_is_noise(name: str, ours: dict[str, dict[str, float]]) -> None:
    assert ours[name]["num_spikes"] == PEER[name].spikes
    assert ours[name]["sigma_mp"] == pytest.approx(PEER[name].sigma, rel=0.01)
    assert ours[name]["edge"] == pytest.approx(PEER[name].bulk_max ** 0.5, rel=0.02)


def test_strong_spikes_raise_the_peers_scale_and_hide_a_weak_one(ours: dict[str, dict[str, float]]) -> None:
    """Four directions of 1.5 to 5 times the visible strength in noise of scale 0.02."""
    own, peer = ours["spiked"], PEER["spiked"]
    assert (own["num_spikes"], peer.spikes) == (4, 3)
    noise = 0.02 * np.sqrt(400 * 300) / np.linalg.norm(script().matrices()["spiked"])  # in units of the entries
    assert own["sigma_mp"] == pytest.approx(noise, rel=0.01)
    assert peer.sigma > 1.05 * noise
