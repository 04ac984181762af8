"""Principal components of differences: NumPy's on the same rows, planted directions, halves, bounded sums."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from afterburn_activation.components import ComponentsOfDifferences
from afterburn_activation.moments import Moments
from afterburn_activation.options import ComponentsOptions
from afterburn_activation.principal import leading
from afterburn_activation.sites import block_at, in_order, outputs_at

SITE = "blocks.1.out"
D = 10


def make(**options: Any) -> ComponentsOfDifferences:
    return ComponentsOfDifferences(ComponentsOptions(**options))


def readings(
    reading: Any, deltas: Any, *, count: int = 40, length: int = 9, seed: int = 0, width: int = D
) -> list[Any]:
    """Texts of two blocks; the first is equal on both sides."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        base = {name: rng.normal(size=(length, width)).astype(np.float32) for name in ("blocks.0.out", SITE)}
        trained = dict(base)
        trained[SITE] = (base[SITE] + deltas(rng, length)).astype(np.float32)
        made.append(reading(f"p{i:02}", base=base, trained=trained))
    return made


def rows(items: list[Any]) -> np.ndarray:
    """δ of every counted token, (n, d) float64."""
    every = [one.trained[SITE].astype(np.float64) - one.base[SITE].astype(np.float64) for one in items]
    return np.concatenate([delta[1:] for delta in every])


def mixed(rng: np.random.Generator, length: int) -> np.ndarray:
    scale = np.array([3.0, 2.0, 1.5] + [0.3] * (D - 3))
    return np.array([1.0] * D) + rng.normal(size=(length, D)) * scale


def test_everything_is_that_of_numpy_on_all_rows(reading: Any, batch: Any, analyze: Any, value_of: Any) -> None:
    items = readings(reading, mixed)
    output = analyze(make, [batch(items[:17]), batch(items[17:])])
    delta = rows(items)
    mean = delta.mean(axis=0)
    share = value_of(output, "activation.components.mean_share", SITE)
    assert share.value == pytest.approx(mean @ mean / (delta**2).sum(axis=1).mean(), rel=1e-6)
    assert share.n == 40 and share.interval.low < share.value < share.interval.high
    arrays = safetensors.numpy.load(output.artifacts[0].content)
    assert np.allclose(arrays[f"{SITE}.mean"], mean, rtol=1e-5, atol=1e-6)
    for kind, matrix in (("uncentred", delta.T @ delta), ("centred", (delta - mean).T @ (delta - mean))):
        values, vectors = np.linalg.eigh(matrix / len(delta))
        values, vectors = values[::-1], vectors[:, ::-1].T
        found = arrays[f"{SITE}.{kind}.eigenvalues"]
        assert np.allclose(found, values[: len(found)], rtol=1e-4)
        cosines = np.abs(np.sum(arrays[f"{SITE}.{kind}.components"][:3] * vectors[:3], axis=1))
        assert np.all(cosines > 1 - 1e-6)
        top = value_of(output, "activation.components.top_share", SITE, kind)
        assert top.value == pytest.approx(values[0] / values.sum(), rel=1e-5)
        spread = value_of(output, "activation.components.participation", SITE, kind)
        assert spread.value == pytest.approx(values.sum() ** 2 / np.sum(values**2), rel=1e-5)


def test_one_vector_for_every_token_is_all_mean_and_one_component(
    reading: Any, batch: Any, analyze: Any, value_of: Any
) -> None:
    direction = np.arange(1.0, D + 1)
    direction /= np.linalg.norm(direction)
    output = analyze(make, [batch(readings(reading, lambda rng, length: 2 * direction))])
    assert value_of(output, "activation.components.mean_share", SITE).value == pytest.approx(1.0, abs=1e-6)
    assert value_of(output, "activation.components.top_share", SITE, "uncentred").value == pytest.approx(1.0, abs=1e-6)
    assert value_of(output, "activation.components.overlap", SITE, "uncentred").value == pytest.approx(1.0, abs=1e-6)
    centred = value_of(output, "activation.components.top_share", SITE, "centred")
    assert centred.status == "undefined" and centred.reason == "every token moved alike"
    arrays = safetensors.numpy.load(output.artifacts[0].content)
    assert arrays[f"{SITE}.uncentred.components"][0] @ direction == pytest.approx(1.0, abs=1e-6)


def test_planted_directions_overlap_between_halves_and_noise_as_chance_says(
    reading: Any, batch: Any, analyze: Any, value_of: Any
) -> None:
    d = 40

    def planted(rng: np.random.Generator, length: int) -> np.ndarray:
        out = 0.05 * rng.normal(size=(length, d))
        out[:, :4] += rng.normal(size=(length, 4))
        return out

    def noise(rng: np.random.Generator, length: int) -> np.ndarray:
        return rng.normal(size=(length, d))

    overlaps = {}
    for name, deltas in (("planted", planted), ("noise", noise)):
        output = analyze(make, [batch(readings(reading, deltas, width=d, count=30))])
        found = value_of(output, "activation.components.overlap", SITE, "centred")
        assert "by chance 0.1" in found.reason
        overlaps[name] = found.value, value_of(output, "activation.components.held_out", SITE, "centred").value
    assert overlaps["planted"][0] > 0.99 and overlaps["planted"][1] > 0.95
    assert overlaps["noise"][0] < 0.3 and overlaps["noise"][1] < 0.2


def test_fewer_tokens_than_dimensions_are_enough(reading: Any, batch: Any, analyze: Any, value_of: Any) -> None:
    items = readings(reading, lambda rng, length: rng.normal(size=(length, 64)), count=4, length=4, width=64)
    output = analyze(make, [batch(items)])
    arrays = safetensors.numpy.load(output.artifacts[0].content)
    assert len(arrays[f"{SITE}.uncentred.eigenvalues"]) == 12  # the counted tokens
    assert len(arrays[f"{SITE}.centred.eigenvalues"]) == 11


def test_equal_sites_have_no_components_and_say_so(reading: Any, batch: Any, analyze: Any, value_of: Any) -> None:
    output = analyze(make, [batch(readings(reading, mixed))])
    assert not [m for m in output.measurements if m.scope.site == "blocks.0.out" and m.status == "ok"]
    assert "bit for bit" in value_of(output, "activation.components.mean_share", "blocks.0.out").reason
    nothing = analyze(make, [])
    assert {m.status for m in nothing.measurements} == {"undefined"} and not nothing.artifacts


def test_neither_order_nor_division_changes_a_number(reading: Any, batch: Any, analyze: Any, alike: Any) -> None:
    items = readings(reading, mixed)
    batches = [batch(items[i : i + 8]) for i in range(0, 40, 8)]
    whole, other = analyze(make, batches), analyze(make, batches[::-1], parts=3)
    alike(whole, other)
    for name, values in safetensors.numpy.load(whole.artifacts[0].content).items():
        assert np.allclose(safetensors.numpy.load(other.artifacts[0].content)[name], values, rtol=1e-6, atol=1e-9)


def test_tiny_differences_have_the_same_components_as_large_ones(
    reading: Any, batch: Any, analyze: Any, value_of: Any
) -> None:
    """Shares are ratios: at a billionth they must not drown in any absolute threshold."""
    items = readings(reading, mixed)
    small = []
    for one in items:
        zeros = {name: np.zeros_like(values) for name, values in one.base.items()}
        delta = (one.trained[SITE] - one.base[SITE]).astype(np.float32)
        small.append([reading(one.passage.id, base=zeros, trained=zeros | {SITE: delta * f}) for f in (1, 2.0**-30)])
    large, tiny = (analyze(make, [batch([pair[i] for pair in small])]) for i in (0, 1))
    for kind in ("uncentred", "centred"):
        for name in ("top_share", "participation", "overlap", "held_out"):
            metric = f"activation.components.{name}"
            expected = value_of(large, metric, SITE, kind).value
            assert value_of(tiny, metric, SITE, kind).value == pytest.approx(expected, rel=1e-9)


def test_the_summary_holds_what_a_scree_draws(reading: Any, batch: Any, analyze: Any) -> None:
    output = analyze(lambda: make(components=5), [batch(readings(reading, mixed))])
    stored = json.loads(output.artifacts[1].content)
    one = stored[SITE]
    assert one["tokens"] == 320 and one["units"] == 40
    assert len(one["centred"]["shares"]) == 5 and one["centred"]["shares"][0] < 1
    assert one["delta_rms"] / one["base_rms"] == pytest.approx(
        math.sqrt((rows(readings(reading, mixed)) ** 2).sum(axis=1).mean() / D), rel=0.1
    )
    assert stored["blocks.0.out"]["centred"] is None


@pytest.mark.parametrize("d", [100, 600])
def test_lanczos_and_the_whole_decomposition_agree(d: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2 * d, d)) * np.linspace(3, 0.1, d)
    matrix = x.T @ x * 1e-20
    values, vectors = leading(matrix, 8)
    whole = np.linalg.eigvalsh(matrix)[::-1][:8]
    assert np.allclose(values, whole, rtol=1e-9)
    assert np.allclose(vectors @ matrix @ vectors.T, np.diag(whole), atol=1e-9 * whole[0])


def test_depths_name_the_same_block_everywhere() -> None:
    assert [block_at(depth, 24) for depth in (0, 0.25, 0.5, 0.75, 1)] == [0, 6, 12, 17, 23]
    assert block_at(0.5, 1) == 0
    sites = ["final_norm", "blocks.10.out", "blocks.2.out", "embed", "blocks.2.mlp.out", "blocks.0.out"]
    assert in_order(sites) == ("embed", "blocks.0.out", "blocks.2.out", "blocks.10.out", "final_norm")
    assert outputs_at((0.25, 0.5, 0.75, 1.0), sites) == ("blocks.2.out", "blocks.10.out")


def test_an_impossible_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="depths"):
        ComponentsOptions(depths=(0.5, 1.2))


def test_sums_stay_exact_after_very_many_batches() -> None:
    """Running in a narrow type, a deviation of 3 had drifted to 1 after some thousand batches."""
    generator = torch.Generator().manual_seed(5)
    block = (100 + 3 * torch.randn(8, 2, generator=generator)).bfloat16().float()
    moments = Moments.empty(2, torch.device("cpu"))
    halves, groups = torch.zeros(8, dtype=torch.int64), torch.arange(8)
    squares = block.double().square().sum(-1)
    times = 4000
    for _ in range(times):
        moments.add(block, squares, squares, halves, groups)
    sums = moments.numbers()
    exact = block.double().numpy()
    np.testing.assert_allclose(sums.sums[0] / (8 * times), exact.mean(0), rtol=1e-9)
    second = sums.products[0] / (8 * times) - np.outer(exact.mean(0), exact.mean(0))
    np.testing.assert_allclose(second, np.cov(exact.T, bias=True), rtol=2e-3)  # one batch's product is in float32
    np.testing.assert_allclose(sums.products[0] / times, (block.T @ block).double().numpy(), rtol=1e-9)
