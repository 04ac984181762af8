"""Known answers of the Marchenko–Pastur law and of what stands out of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad

from afterburn_core.run.spectra import Spectrum
from afterburn_weight import marchenko_pastur as mp
from afterburn_weight.spikes import NoiseFit, fit_noise

Matrix = NDArray[np.float64]


def spectrum_of(matrix: Matrix) -> Spectrum:
    values = np.linalg.svd(matrix, compute_uv=False)
    rows, columns = matrix.shape
    return Spectrum(values=values, rows=rows, columns=columns, square=float((matrix**2).sum()), method="float64")


def noise(rows: int, columns: int, seed: int) -> Matrix:
    return np.random.default_rng(seed).standard_normal((rows, columns))


def directions(rows: int, columns: int, count: int, seed: int) -> tuple[Matrix, Matrix]:
    random = np.random.default_rng((seed, 1))
    return (
        np.linalg.qr(random.standard_normal((rows, count)))[0],
        np.linalg.qr(random.standard_normal((columns, count)))[0],
    )


def fitted(matrix: Matrix, level: float = 0.99) -> NoiseFit:
    found = fit_noise(spectrum_of(matrix), level=level)
    assert not isinstance(found, str), found
    return found


MEDIANS = {
    1.0: 0.65278, 0.75: 0.74295, 0.5: 0.83047, 1 / 3: 0.88768, 0.25: 0.91600, 0.2: 0.93292, 0.125: 0.95817,
    0.1: 0.96657, 0.0625: 0.97913,
}  # fmt: skip


@pytest.mark.parametrize(("beta", "value"), MEDIANS.items())
def test_the_median_is_that_of_the_table(beta: float, value: float) -> None:
    assert mp.median(beta) == pytest.approx(value, abs=6e-6)


@pytest.mark.parametrize("beta", [1.0, 0.9, 0.37, 0.02, 1e-4])
def test_half_of_the_density_lies_below_the_median(beta: float) -> None:
    low, high = (1 - math.sqrt(beta)) ** 2, (1 + math.sqrt(beta)) ** 2

    def density(angle: float) -> float:
        """The law over φ, x = 1 + β − 2√β cos φ: no singular ends."""
        return 2 / math.pi * math.sin(angle) ** 2 / (1 + beta - 2 * math.sqrt(beta) * math.cos(angle))

    middle = math.acos((1 + beta - mp.median(beta)) / (2 * math.sqrt(beta)))
    assert quad(density, 0, middle, epsabs=1e-13)[0] == pytest.approx(0.5, abs=1e-10)
    for angle in (0.2, 1.0, 2.0, 3.0):
        x = 1 + beta - 2 * math.sqrt(beta) * math.cos(angle)
        expected = quad(density, 0, angle, epsabs=1e-13)[0]
        assert mp.cumulative(np.array([x]), beta)[0] == pytest.approx(expected, abs=1e-10)
    ends = mp.cumulative(np.array([0.0, low - 1e-9, high + 1e-9, 9.0]), beta)
    assert ends == pytest.approx([0, 0, 1, 1], abs=1e-9)


def test_the_median_of_a_very_flat_matrix_joins_the_limit() -> None:
    assert mp.median(0.99e-6) == pytest.approx(mp.median(1.01e-6), abs=1e-8)


def test_the_tracy_widom_approximation_has_the_known_quantiles() -> None:
    for level, quantile in ((0.5, -1.2686), (0.9, 0.4501), (0.95, 0.9793), (0.99, 2.0234), (0.999, 3.2724)):
        centre, scale = mp.edge_moments(300, 200)
        largest = math.sqrt(centre + quantile * scale)
        statistic, p_value = mp.exceedance(largest, 1.0, 300, 200, known=True)
        assert statistic == pytest.approx(quantile, abs=1e-9)
        assert p_value == pytest.approx(1 - level, rel=0.06)


@pytest.mark.parametrize("level", [0.95, 0.99])
@pytest.mark.parametrize("shape", [(200, 100), (64, 64), (60, 120)])
def test_noise_exceeds_the_edge_as_often_as_stated(shape: tuple[int, int], level: float) -> None:
    """200 seeds; no spike in at least 94 % of draws, and the stated share within its sampling error."""
    exceeded = sum(fitted(noise(*shape, seed), level).spikes.size > 0 for seed in range(200))
    stated = 200 * (1 - level)
    assert exceeded <= stated + 3 * math.sqrt(stated)
    if level == 0.99:
        assert exceeded <= 12
    if level == 0.95:
        assert exceeded >= 1


@pytest.mark.slow
def test_the_p_value_of_the_largest_singular_value_is_uniform_for_noise() -> None:
    p_values = np.array([fitted(noise(150, 80, seed)).p_value for seed in range(1500)])
    for level in (0.01, 0.05, 0.2, 0.5):
        assert np.mean(p_values <= level) == pytest.approx(level, abs=4 * math.sqrt(level / 1500) + 0.1 * level)


@pytest.mark.parametrize("ratio", [1.2, 2.0, 4.0])
def test_a_planted_direction_shows_as_the_phase_transition_says(ratio: float) -> None:
    rows, columns, scale = 900, 500, 0.01
    theta = ratio * mp.visible_from(scale, rows, columns)
    observed, left_overlap, right_overlap = [], [], []
    for seed in range(3):
        left, right = directions(rows, columns, 1, seed)
        u, s, vt = np.linalg.svd(scale * noise(rows, columns, seed) + theta * left @ right.T, full_matrices=False)
        observed.append(s[0])
        left_overlap.append(float((u[:, 0] @ left[:, 0]) ** 2))
        right_overlap.append(float((vt[0] @ right[:, 0]) ** 2))
    assert np.mean(observed) == pytest.approx(mp.observed(theta, scale, rows, columns), rel=0.01)
    expected = mp.overlaps(np.array([theta]), scale, rows, columns)
    tolerance = 0.1 if ratio < 2 else 0.02  # near the transition overlaps fluctuate
    assert np.mean(left_overlap) == pytest.approx(expected[0][0], abs=tolerance)
    assert np.mean(right_overlap) == pytest.approx(expected[1][0], abs=tolerance)


@pytest.mark.parametrize("ratio", [1.001, 1.2, 2.0, 4.0, 1000.0])
def test_the_inverse_gives_back_what_was_planted(ratio: float) -> None:
    theta = ratio * mp.visible_from(0.3, 700, 40)
    shown = mp.observed(theta, 0.3, 700, 40)
    assert mp.planted(np.array([shown]), 0.3, 700, 40)[0] == pytest.approx(theta, rel=1e-6)


def test_what_lies_in_the_bulk_has_the_least_visible_strength_and_no_overlap() -> None:
    theta = mp.planted(np.array([1.0]), 1.0, 700, 40)
    assert theta[0] == pytest.approx(mp.visible_from(1.0, 700, 40))
    assert mp.overlaps(theta, 1.0, 700, 40) == (pytest.approx([0.0], abs=1e-12), pytest.approx([0.0], abs=1e-12))


@pytest.mark.parametrize("transposed", [False, True])
def test_planted_spikes_are_found_in_number_and_value(transposed: bool) -> None:
    rows, columns, scale = 600, 400, 0.01
    strengths = np.array([4.0, 3.0, 2.0, 2.0]) * mp.visible_from(scale, rows, columns)
    left, right = directions(rows, columns, 4, 3)
    matrix = scale * noise(rows, columns, 3) + (left * strengths) @ right.T
    found = fitted(matrix.T if transposed else matrix)
    assert found.spikes.size == 4
    assert found.theta == pytest.approx(strengths, rel=0.05)
    assert found.scale == pytest.approx(scale, rel=0.01)
    assert found.share == pytest.approx(float((found.spikes**2).sum() / (matrix**2).sum()), rel=1e-12)
    assert found.bulk == 396
    assert found.distance < 0.02
    assert found.p_value < 1e-10


def test_the_scale_comes_from_the_bulk_and_not_from_the_spikes() -> None:
    """16 strong spikes raise the standard deviation of the entries by 60 % and the estimate by under 3 %."""
    rows, columns, scale = 500, 300, 0.01
    left, right = directions(rows, columns, 16, 5)
    matrix = scale * noise(rows, columns, 5) + 6 * mp.visible_from(scale, rows, columns) * left @ right.T
    found = fitted(matrix)
    assert float(matrix.std()) > 1.5 * scale
    assert found.scale == pytest.approx(scale, rel=0.03)
    assert found.spikes.size == 16


def test_many_spikes_leave_noise_of_a_smaller_matrix_behind() -> None:
    """80 directions of 300: the bulk has 420 × 220 degrees of freedom, and its scale, edge and law are those."""
    left, right = directions(500, 300, 80, 5)
    found = fitted(noise(500, 300, 1) + 3 * mp.visible_from(1.0, 500, 300) * left @ right.T)
    assert found.spikes.size == 80
    assert found.scale == pytest.approx(1.0, rel=0.02)
    assert found.edge == pytest.approx(mp.edge(420, 220), rel=0.02)
    assert found.distance < 5 / 300


@pytest.mark.parametrize("shape", [(20, 20), (100, 20), (90, 90), (200, 120)])
def test_the_bulk_of_even_noise_lies_within_five_eigenvalues_of_the_law(shape: tuple[int, int]) -> None:
    assert max(fitted(noise(*shape, seed)).distance for seed in range(60)) <= 5 / min(shape)


def test_the_scale_is_exact_in_its_units() -> None:
    one, other = fitted(noise(120, 60, 1)), fitted(1e-9 * noise(120, 60, 1))
    assert other.scale == pytest.approx(1e-9 * one.scale, rel=1e-12)
    assert one.distance == pytest.approx(other.distance, rel=1e-9)


def test_noise_of_uneven_rows_is_far_from_the_law() -> None:
    """Part B: what the Marchenko–Pastur edge alone makes of row-heteroscedastic noise; `test_sign_null` corrects it."""
    profile = np.exp(0.8 * np.random.default_rng(0).standard_normal(600))
    found = fitted(noise(600, 240, 2) * profile[:, None])
    assert found.spikes.size > 20
    assert found.distance > 0.05 > fitted(noise(600, 240, 2)).distance


@pytest.mark.parametrize(
    ("values", "method", "said"),
    [
        (np.ones(19), "float64", "19 singular values"),
        (np.concatenate([np.ones(8), np.zeros(92)]), "factors", "92 of 100"),
        (np.concatenate([np.ones(40), np.full(60, 1e-5)]), "float32", "60 of 100"),
        (np.ones(16), "randomised", "only the largest"),
    ],
)
def test_a_spectrum_without_a_bulk_says_why(values: Matrix, method: str, said: str) -> None:
    spectrum = Spectrum(
        values=values, rows=200, columns=values.size, square=float((values**2).sum()), method=method,  # type: ignore[arg-type]
    )  # fmt: skip
    found = fit_noise(spectrum)
    assert isinstance(found, str) and said in found


def test_unresolved_values_do_not_reach_the_distance() -> None:
    """A float32 Gram matrix leaves the smallest values of a square matrix at 0; the law has weight there too."""
    values = np.linalg.svd(noise(200, 200, 4), compute_uv=False)
    cut = np.where(values < 0.02 * values[0], 0.0, values)
    whole, rest = (
        fit_noise(Spectrum(values=v, rows=200, columns=200, square=float((v**2).sum()), method="float32"))
        for v in (values, cut)
    )
    assert not isinstance(whole, str) and not isinstance(rest, str)
    assert np.count_nonzero(cut) < 200
    assert rest.scale == whole.scale
    assert rest.distance <= whole.distance
