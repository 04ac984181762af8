"""Sign flips of many columns: exact where few values differ, as fine as BH over all columns needs, and no finer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csc_array

from afterburn_core.stats.many_flips import many_sign_flip_p
from afterburn_core.stats.multiplicity import adjusted
from afterburn_core.stats.resampling import sign_flip_p


def test_p_values_are_those_of_the_sign_flip_test() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 60))
    values[12:, 30:] = 0  # few enough to be enumerated
    values[:, 59] = 0
    values[:, :4] += 0.5
    found = many_sign_flip_p(values, seed=1)
    expected = sign_flip_p(values, seed=2, resamples=99_999)
    assert np.array_equal(found[30:], expected[30:])
    error = np.sqrt(expected * (1 - expected) / 999)
    assert (np.abs(found - expected)[:30] <= 5 * error[:30] + 1e-3).all()
    assert np.array_equal(found, many_sign_flip_p(csc_array(values), seed=1))


def test_one_strong_column_among_many_is_called() -> None:
    rng = np.random.default_rng(3)
    values = np.zeros((30, 5000))
    for j in range(5000):
        values[rng.choice(30, 18, replace=False), j] = rng.normal(size=18)
    values[:, 17] = 1 + rng.uniform(size=30)
    p = many_sign_flip_p(values, seed=4)
    assert p[17] < 1e-5 and [j for j, q in enumerate(adjusted(p.tolist())) if q <= 0.05] == [17]
    assert 0.03 < (p <= 0.05).mean() < 0.07


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_and_what_is_given_stays_as_it_was(value: float) -> None:
    values = np.ones((20, 2))
    values[3, 1] = value
    with pytest.raises(ValueError, match="not finite"):
        many_sign_flip_p(values, seed=0)
    given = csc_array((np.r_[np.ones(19), 0.0], (np.arange(20), np.zeros(20, int))), shape=(20, 1))
    many_sign_flip_p(given, seed=0)
    assert given.nnz == 20 and given.data.tolist() == [1.0] * 19 + [0.0]
