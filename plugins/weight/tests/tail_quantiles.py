"""Simulates the null distribution behind `afterburn_weight.goodness`: prints its table as Python source.

    python plugins/weight/tests/tail_quantiles.py [--draws 100000] [--seed 20240229]

For a power law the n eigenvalues of a tail that begins at its own smallest one have logarithms 0 and n − 1 independent
exponentials. Each draw fits the rate n / Σ y and takes D; printed are quantiles of √n·D at the levels of `LEVELS`.
Run it once when the statistic changes, and paste the output.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SIZES = (50, 70, 100, 150, 200, 300, 500, 1000, 2000, 4000)
LEVELS = (0.99, 0.95, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2, 0.15, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001)
"""Probabilities that the null exceeds the quantile."""
_BLOCK = 4_000_000


def statistics(size: int, draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """√n·D of `draws` tails that follow a power law exactly (draws,)."""
    found = []
    rest = draws
    while rest:
        now = min(rest, max(1, _BLOCK // size))
        logs = np.zeros((now, size))
        # sorted exponentials without sorting: spacings of order statistics are independent (Rényi)
        spacings = generator.standard_exponential((now, size - 1)) / np.arange(size - 1, 0, -1)
        np.cumsum(spacings, axis=1, out=logs[:, 1:])
        rates = size / logs.sum(axis=1, keepdims=True)
        law = -np.expm1(-rates * logs)
        below = law - np.arange(size) / size
        found.append(np.maximum(below, 1 / size - below).max(axis=1))
        rest -= now
    return np.asarray(np.sqrt(size) * np.concatenate(found))


def rows(sizes: Iterable[int], draws: int, seed: int) -> dict[int, tuple[float, ...]]:
    """Quantiles at `LEVELS` for each size; every size has its own stream."""
    table = {}
    for size in sizes:
        drawn = statistics(size, draws, np.random.default_rng((seed, size)))
        table[size] = tuple(round(float(q), 3) for q in np.quantile(drawn, 1 - np.array(LEVELS)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20_240_229)
    options = parser.parse_args()
    print(f"LEVELS = {LEVELS}")
    print("QUANTILES = {")
    for size, row in rows(SIZES, options.draws, options.seed).items():
        print(f"    {size}: {row},")
    print("}")


if __name__ == "__main__":
    main()
