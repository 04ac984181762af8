"""Algebra of low-rank changes against the materialised matrix in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from afterburn_core.run import lowrank
from afterburn_core.run.lowrank import LowRank, reduce

SHAPES = [(40, 24, 4), (24, 40, 4), (30, 30, 1), (12, 9, 20), (7, 50, 7), (1, 8, 2)]


def factors(rows: int, columns: int, width: int, *, seed: int = 3, scale: float = 1.7) -> LowRank:
    rng = np.random.default_rng(seed)
    return LowRank(left=rng.standard_normal((rows, width)), right=rng.standard_normal((width, columns)), scale=scale)


def dense(matrix: LowRank) -> np.ndarray:
    return matrix.scale * matrix.left @ matrix.right


@pytest.mark.parametrize(("rows", "columns", "width"), SHAPES)
def test_the_spectrum_is_that_of_the_product(rows: int, columns: int, width: int) -> None:
    matrix = factors(rows, columns, width)
    expected = np.linalg.svd(dense(matrix), compute_uv=False)
    found = lowrank.spectrum(matrix)
    assert (found.rows, found.columns, found.method) == (rows, columns, "factors")
    assert found.values.shape == (min(rows, columns),)
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-12 * expected[0])
    assert np.all(found.values[width:] == 0)
    assert found.square == pytest.approx(float(np.sum(dense(matrix) ** 2)), rel=1e-12)
    assert lowrank.norm_squared(matrix) == pytest.approx(found.square, rel=1e-12)


@pytest.mark.parametrize(("rows", "columns", "width"), SHAPES)
def test_the_vectors_are_those_of_the_product(rows: int, columns: int, width: int) -> None:
    matrix = factors(rows, columns, width)
    found = lowrank.spectrum(matrix, vectors=True)
    assert found.left is not None and found.right is not None
    top = min(16, width, rows, columns)
    assert (found.left.shape, found.right.shape) == ((rows, top), (columns, top))
    for i in range(top):  # Δv = σu and Δᵀu = σv, to the precision of the float32 vectors
        left, right = found.left[:, i].astype(float), found.right[:, i].astype(float)
        np.testing.assert_allclose(dense(matrix) @ right, found.values[i] * left, atol=2e-6 * found.values[0])
        np.testing.assert_allclose(dense(matrix).T @ left, found.values[i] * right, atol=2e-6 * found.values[0])


def test_at_most_sixteen_vectors_and_none_of_a_zero_value() -> None:
    assert lowrank.spectrum(factors(60, 50, 30), vectors=True).left.shape == (60, 16)  # type: ignore[union-attr]
    nothing = LowRank(left=np.zeros((60, 4)), right=np.ones((4, 50)))
    found = lowrank.spectrum(nothing, vectors=True)
    assert found.left is not None and found.left.shape == (60, 0)
    assert found.square == 0 and not found.values.any()


def test_known_singular_values_come_back() -> None:
    rng = np.random.default_rng(5)
    left, _ = np.linalg.qr(rng.standard_normal((300, 6)))
    right, _ = np.linalg.qr(rng.standard_normal((200, 6)))
    planted = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 1e-9])
    found = lowrank.singular_values(reduce(LowRank(left=left * planted, right=right.T, scale=2.0)))
    np.testing.assert_allclose(found, 2 * planted, rtol=0, atol=1e-14 * 16)


def test_a_small_product_of_large_factors_keeps_its_norm() -> None:
    """As after an orthogonal initialisation: B·A = 0 although neither factor is."""
    rng = np.random.default_rng(7)
    q, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    left, right = rng.standard_normal((50, 4)) @ q[:, :4].T, q[:, 4:] @ rng.standard_normal((4, 30))
    size = float(np.linalg.norm(left) * np.linalg.norm(right))
    assert math.sqrt(lowrank.norm_squared(LowRank(left=left, right=right))) < 1e-13 * size


def test_inner_products_match_the_materialised_ones() -> None:
    rng = np.random.default_rng(11)
    first, second = factors(40, 24, 4), factors(40, 24, 9, seed=4, scale=-0.3)
    weight = rng.standard_normal((40, 24))
    expected = float(np.sum(dense(first) * dense(second)))
    assert lowrank.inner(first, second) == pytest.approx(expected, rel=1e-12)
    assert lowrank.inner(first, first) == pytest.approx(lowrank.norm_squared(first), rel=1e-12)
    blocks = [lowrank.inner_dense(weight[i : i + 15], first, i) for i in range(0, 40, 15)]
    assert math.fsum(blocks) == pytest.approx(float(np.sum(weight * dense(first))), rel=1e-12)
    rows = np.concatenate([lowrank.row_squares(weight[i : i + 15], first, i) for i in range(0, 40, 15)])
    np.testing.assert_allclose(rows, np.sum((weight + dense(first)) ** 2, axis=1), rtol=1e-12)
    with pytest.raises(ValueError, match="40x24 and 24x40 differ"):
        lowrank.inner(first, factors(24, 40, 4))


def test_a_sum_of_changes_is_one_change() -> None:
    first, second = factors(40, 24, 4), factors(40, 24, 9, seed=4, scale=-0.3)
    total = dense(first) + dense(second)
    both = lowrank.stacked([first, second])
    np.testing.assert_allclose(both.block(0, 40), total, atol=1e-12)
    expected = np.linalg.svd(total, compute_uv=False)
    np.testing.assert_allclose(lowrank.spectrum(both).values, expected, atol=1e-12 * expected[0])
    with pytest.raises(ValueError, match="equal shapes"):
        lowrank.stacked([first, factors(24, 40, 4)])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("planted", [1, 3, 7])
def test_the_used_rank_is_the_planted_one_whatever_the_dtype_of_the_factors(dtype: str, planted: int) -> None:
    """Rounding makes stored factors full rank; the edge tells that from directions that were used."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(planted)
    left = rng.standard_normal((200, planted)) @ rng.standard_normal((planted, 16)) * 0.05
    right = rng.standard_normal((16, 150)) * 0.05

    def stored(values: np.ndarray) -> np.ndarray:
        return torch.from_numpy(values).to(getattr(torch, dtype)).double().numpy()  # type: ignore[no-any-return]

    name = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[dtype]
    reduced = reduce(LowRank(left=stored(left), right=stored(right), scale=2.0))
    values = lowrank.singular_values(reduced)
    assert values[-1] > 0
    assert lowrank.used_rank(values, lowrank.rounding_edge(reduced, (name, name))) == planted


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_a_full_rank_gaussian_product_uses_its_whole_rank(dtype: str) -> None:
    reduced = reduce(factors(200, 150, 16))
    values = lowrank.singular_values(reduced)
    assert lowrank.used_rank(values, lowrank.rounding_edge(reduced, (dtype, dtype))) == 16


def test_ranks_of_known_spectra() -> None:
    equal, single = np.full(5, 3.0), np.array([2.0, 0.0, 0.0])
    assert lowrank.effective_rank(equal) == pytest.approx(5, rel=1e-14)
    assert lowrank.stable_rank(equal) == pytest.approx(5, rel=1e-14)
    assert lowrank.used_rank(equal) == 5
    assert (lowrank.effective_rank(single), lowrank.stable_rank(single), lowrank.used_rank(single)) == (1.0, 1.0, 1)
    p = np.array([16.0, 4.0, 1.0]) / 21
    expected = math.exp(-float(np.sum(p * np.log(p))))
    assert lowrank.effective_rank(np.array([4.0, 2.0, 1.0])) == pytest.approx(expected, rel=1e-14)
    assert lowrank.used_rank(np.array([1.0, 1.6e-8, 1.4e-8])) == 2
    zeros = np.zeros(4)
    assert (lowrank.effective_rank(zeros), lowrank.stable_rank(zeros), lowrank.used_rank(zeros)) == (None, None, 0)


def test_a_factor_with_nan_is_refused() -> None:
    broken = factors(40, 24, 4)
    broken.left[3, 1] = math.nan
    with pytest.raises(ValueError, match="NaN"):
        lowrank.spectrum(broken)
