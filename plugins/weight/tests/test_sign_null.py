"""What the sign null and bi-whitening find in noise of uneven variance, and what they do not."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from afterburn_core.run.spectra import Spectrum
from afterburn_weight import marchenko_pastur as mp
from afterburn_weight.sign_null import _flip, _largest, _norm, deflated, sign_null
from afterburn_weight.spikes import NoiseFit, fit_noise
from afterburn_weight.whitening import whitened_noise

Matrix = NDArray[np.float64]


def noise(rows: int, columns: int, seed: int) -> Matrix:
    return np.random.default_rng(seed).standard_normal((rows, columns))


def uneven(rows: int, columns: int, seed: int, *, deviation: float = 0.8) -> Matrix:
    """Independent noise whose rows have log-normal scales."""
    profile = np.exp(deviation * np.random.default_rng((seed, 2)).standard_normal(rows))
    return noise(rows, columns, seed) * profile[:, None]


def planted(matrix: Matrix, strengths: Matrix, seed: int) -> Matrix:
    random = np.random.default_rng((seed, 1))
    rows, columns = matrix.shape
    left = np.linalg.qr(random.standard_normal((rows, strengths.size)))[0]
    right = np.linalg.qr(random.standard_normal((columns, strengths.size)))[0]
    return matrix + (left * strengths) @ right.T


def singular(matrix: Matrix) -> Matrix:
    return np.linalg.svd(matrix, compute_uv=False)


def signed(matrix: Matrix, seed: int = 0, draws: int = 19) -> int:
    """Singular values beyond the sign edge."""
    values = singular(matrix)
    edge = sign_null(matrix.astype(np.float32), values, seed=seed, draws=draws).edge
    return int(np.count_nonzero(values > edge))


def whitened(matrix: Matrix, removed: int = 0) -> NoiseFit:
    found = whitened_noise(matrix.astype(np.float32), removed=removed, seed=0)
    assert not isinstance(found, str), found
    return found


def by_law(matrix: Matrix) -> int:
    """Singular values beyond the Marchenko–Pastur edge."""
    rows, columns = matrix.shape
    values = singular(matrix)
    found = fit_noise(
        Spectrum(values=values, rows=rows, columns=columns, square=float((values**2).sum()), method="float64")
    )
    assert not isinstance(found, str)
    return found.spikes.size


def test_the_edge_is_the_largest_singular_value_of_a_signed_copy() -> None:
    """Against float64 singular values of independent signs: the same distribution, to 1e-3 of each value."""
    matrix = uneven(150, 60, 1)
    random = np.random.default_rng(9)
    reference = [singular(matrix * random.choice([-1.0, 1.0], matrix.shape))[0] for _ in range(120)]
    values = np.full(60, 1e9)  # beyond every draw: none stops early
    edges = [_largest(matrix.astype(np.float32), values, s, 1).edge for s in range(120)]
    spread = float(np.std(reference))
    assert np.mean(edges) == pytest.approx(np.mean(reference), abs=4 * spread * math.sqrt(2 / 120))
    assert np.std(edges) == pytest.approx(spread, rel=0.35)


def test_the_largest_singular_value_is_right_to_a_thousandth() -> None:
    for seed in range(6):
        for shape in ((300, 200), (200, 300), (128, 128), (400, 3)):
            matrix = noise(*shape, seed).astype(np.float32)
            largest = _norm(matrix, np.random.default_rng(seed), 0.0)
            assert largest == pytest.approx(singular(matrix.astype(np.float64))[0], rel=1.5e-3)


def test_flipping_keeps_every_magnitude_and_negates_half() -> None:
    before = noise(301, 257, 3).astype(np.float32)
    before[5] = 0
    after = before.copy()
    _flip(after, np.random.Generator(np.random.SFC64(4)))
    assert np.array_equal(np.abs(after), np.abs(before))
    flipped = np.signbit(after) != np.signbit(before)
    assert flipped.mean() == pytest.approx(0.5, abs=0.01)
    # no row or column keeps a common sign
    assert np.abs(flipped.mean(axis=1) - 0.5).max() < 0.2


def test_noise_exceeds_the_sign_edge_in_one_of_twenty_draws() -> None:
    exceeded = sum(signed(noise(60, 30, seed), seed) > 0 for seed in range(120))
    assert 1 <= exceeded <= 14  # 6 expected


def test_uneven_noise_has_spikes_by_the_law_and_none_after_the_correction() -> None:
    """Part B 52: row-heteroscedastic pure noise; 1500 × 600 in the slow test."""
    law = [by_law(uneven(500, 200, seed)) for seed in range(4)]
    corrected = [signed(uneven(500, 200, seed), seed) for seed in range(4)]
    white = [whitened(uneven(500, 200, seed)).spikes.size for seed in range(4)]
    assert min(law) > 10
    assert sum(corrected) <= 1
    assert sum(white) <= 1


@pytest.mark.slow
def test_uneven_noise_of_the_reference_size() -> None:
    matrix = uneven(1500, 600, 0)
    assert by_law(matrix) > 100
    assert signed(matrix) == 0
    assert whitened(matrix).spikes.size == 0


def test_what_is_planted_in_uneven_noise_is_found_unless_it_lies_below_its_edge() -> None:
    matrix = uneven(500, 200, 1)
    edge = sign_null(matrix.astype(np.float32), singular(matrix), seed=0).edge
    mixed = planted(matrix, edge * np.array([6.0, 3.0, 1.5, 0.3]), 1)
    assert signed(mixed) == 3
    assert whitened(mixed, removed=3).spikes.size == 4  # whitening sees below the loudest rows
    assert by_law(mixed) > 10


def test_a_dominant_direction_does_not_hide_the_others() -> None:
    """Its energy raises the null of the whole matrix a hundredfold; it is taken out first."""
    base = noise(300, 150, 2)
    strengths = np.array([400.0, 3.0, 3.0]) * mp.visible_from(1.0, 300, 150)
    matrix = planted(base, strengths, 2)
    values = singular(matrix)
    found = sign_null(matrix.astype(np.float32), values, seed=1)
    assert found.removed == 3
    assert int(np.count_nonzero(values > found.edge)) == 3
    assert found.edge == pytest.approx(mp.edge(300, 150, known=True), rel=0.05)
    assert whitened(matrix, removed=found.removed).spikes.size == 3


def test_many_directions_are_counted_exactly() -> None:
    """64 of 240: taking them out takes noise along, which the edge has to be corrected for."""
    strengths = np.full(64, 3 * mp.visible_from(1.0, 320, 240))
    matrix = planted(noise(320, 240, 3), strengths, 3)
    values = singular(matrix)
    found = sign_null(matrix.astype(np.float32), values, seed=1)
    assert found.removed == 64
    assert int(np.count_nonzero(values > found.edge)) == 64
    assert found.edge == pytest.approx(mp.edge(256, 176, known=True), rel=0.04)


def test_a_low_rank_change_below_rounding_stands_out_of_signs() -> None:
    """Section 4 of the reference: rank 64, relative size 1e-3, stored in bfloat16."""
    generator = torch.Generator().manual_seed(0)
    base = (0.02 * torch.randn(768, 512, generator=generator)).bfloat16()
    update = torch.randn(768, 64, generator=generator) @ torch.randn(64, 512, generator=generator)
    update *= 1e-3 * base.float().norm() / update.norm()
    trained = (base.float() + update).bfloat16()
    matrix = (trained.double() - base.double()).numpy()
    spacing = 2.0 ** (torch.floor(torch.log2(trained.double().abs().clamp_min(1e-30))) - 7)
    rounding = float((spacing**2 / 12).mean().sqrt()) * (math.sqrt(768) + math.sqrt(512))
    assert np.count_nonzero(singular(matrix) > rounding) == 0
    assert signed(matrix) == pytest.approx(64, abs=2)


def test_a_change_of_low_rank_is_all_structure() -> None:
    matrix = noise(200, 8, 1) @ noise(8, 120, 2)
    values = np.where(np.arange(120) < 8, singular(matrix), 0.0)
    found = sign_null(matrix.astype(np.float32), values, seed=1)
    assert int(np.count_nonzero(values > found.edge)) == 8


def test_a_flat_change_of_nearly_full_rank_is_invisible_to_signs() -> None:
    left = np.linalg.qr(noise(150, 100, 1))[0]
    right = np.linalg.qr(noise(120, 100, 2))[0]
    assert signed(left @ right.T) == 0


def test_the_null_depends_on_its_seed_alone() -> None:
    matrix = planted(noise(80, 40, 1), np.array([60.0]), 1)
    values = singular(matrix)
    first, again, other = (sign_null(matrix.astype(np.float32), values, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.edge != other.edge


@pytest.mark.parametrize("shape", [(90, 40), (40, 90)])
def test_deflation_takes_out_the_leading_directions(shape: tuple[int, int]) -> None:
    matrix = planted(noise(*shape, 1), np.array([200.0, 150.0]), 1)
    left = singular(deflated(matrix.astype(np.float32), 2, 1).astype(np.float64))
    assert left[:20] == pytest.approx(singular(matrix)[2:22], rel=1e-3)


def test_whitening_is_blind_to_a_product_of_row_and_column_scales() -> None:
    random = np.random.default_rng(3)
    rows, columns = np.exp(random.standard_normal(300)), np.exp(random.standard_normal(120))
    pure = noise(300, 120, 3)
    scaled = pure * rows[:, None] * columns[None, :]
    found = whitened(1e-15 * scaled)  # its squares are beyond float32
    assert found.spikes.size == 0
    assert found.distance < 0.05
    assert found.scale == pytest.approx(1.0, rel=0.02)


def test_rows_and_columns_of_zeros_are_no_obstacle() -> None:
    matrix = planted(noise(300, 120, 4), np.array([80.0]), 4)
    matrix[::7] = 0
    matrix[:, 3] = 0
    assert whitened(matrix).spikes.size == 1
    assert signed(matrix) == 1


@pytest.mark.slow
def test_all_draws_of_a_large_matrix_take_about_a_second_of_one_core() -> None:
    matrix = planted(noise(4864, 896, 1), 5 * np.array([mp.visible_from(1.0, 4864, 896)]), 1).astype(np.float32)
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(matrix.T @ matrix)[::-1], 0)).astype(np.float64)
    begun = time.process_time()
    found = sign_null(matrix, values, seed=1)
    assert time.process_time() - begun < 3  # 0.5 s where nothing else runs
    assert found.draws == 19
