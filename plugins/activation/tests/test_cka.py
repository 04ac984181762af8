"""CKA with the unbiased HSIC against its definition, and its known values."""

from __future__ import annotations

import numpy as np
import pytest

from afterburn_activation.cka import FEWEST, cka
from afterburn_activation.jackknife import interval


def hsic(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741
    """The U-statistic written out: over all ordered quadruples of different units."""
    n = len(k)
    total = 0.0
    for i in range(n):
        for j in range(n):
            if j == i:
                continue
            for q in range(n):
                if q in (i, j):
                    continue
                rest = [r for r in range(n) if r not in (i, j, q)]
                total += (n - 3) * k[i, j] * l[i, j] - 2 * (n - 3) * k[i, j] * l[i, q]
                total += sum(k[i, j] * l[q, r] for r in rest)
    # the first two terms do not depend on all four places
    return total / (n * (n - 1) * (n - 2) * (n - 3))


def reference(x: np.ndarray, y: np.ndarray) -> float:
    k, l = x @ x.T, y @ y.T  # noqa: E741
    return hsic(k, l) / float(np.sqrt(hsic(k, k) * hsic(l, l)))


def test_it_is_the_ratio_of_u_statistics_over_quadruples() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(11, 4)) + 3
    y = x @ rng.normal(size=(4, 6)) + rng.normal(size=(11, 6))
    found = cka(x, y)
    assert found is not None
    assert found.value == pytest.approx(reference(x, y), rel=1e-10)


def test_leaving_a_unit_out_gives_what_the_others_alone_give() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 7))
    y[:, :5] += x
    found = cka(x, y)
    assert found is not None
    for i in (0, 7, 19):
        alone = cka(np.delete(x, i, axis=0), np.delete(y, i, axis=0))
        assert alone is not None
        assert found.left_out[i] == pytest.approx(alone.value, rel=1e-10)


def test_rotation_scale_and_shift_leave_it_at_one() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(30, 8))
    q, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    found = cka(x, 5 * x @ q + 3)
    assert found is not None and not found.identical
    assert found.value == pytest.approx(1.0, abs=1e-12)
    same = cka(x, x.copy())
    assert same is not None and same.identical and same.value == 1.0


def test_unrelated_vectors_have_mean_zero_where_the_biased_form_says_almost_one() -> None:
    rng = np.random.default_rng(3)
    values, biased = [], []
    for _ in range(200):
        x, y = rng.normal(size=(20, 200)), rng.normal(size=(20, 200))
        found = cka(x, y)
        assert found is not None
        values.append(found.value)
        xc, yc = x - x.mean(0), y - y.mean(0)
        k, l = xc @ xc.T, yc @ yc.T  # noqa: E741
        biased.append((k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum()))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert np.mean(biased) > 0.9


def test_few_units_and_constant_sides_have_none() -> None:
    x = np.random.default_rng(4).normal(size=(FEWEST, 3))
    assert cka(x[1:], x[1:]) is None
    assert cka(x, np.ones_like(x)) is None


@pytest.mark.slow
def test_the_jackknife_interval_covers_the_population_value() -> None:
    """Population CKA of y = x A + noise, x standard normal in 6 dimensions: from the covariances."""
    rng = np.random.default_rng(5)
    a = rng.normal(size=(6, 6))
    cov_y = a.T @ a + 2 * np.eye(6)
    truth = np.sum(a**2) / np.sqrt(6 * np.sum(cov_y**2))
    covered, trials = 0, 300
    for _ in range(trials):
        x = rng.normal(size=(60, 6))
        y = x @ a + np.sqrt(2) * rng.normal(size=(60, 6))
        found = cka(x, y)
        assert found is not None
        band = interval(found.value, found.left_out)
        assert band is not None
        covered += band.low <= truth <= band.high
    assert 0.90 <= covered / trials <= 0.99
