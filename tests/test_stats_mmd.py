"""MMD with permutation inside prompts: formula, false alarms, shared seeds, power."""

from __future__ import annotations

import gzip
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from afterburn_core.stats.mmd import hamming_kernel, mmd, mmd_on_tokens, rbf_kernels

Side = list[list[list[int]]]


def answers(
    rng: np.random.Generator, prompts: int, samples: int, *, shift: float = 0.0, shared: float = 0.0, samples_b: int = 0
) -> tuple[Side, Side]:
    """Token sequences that vary around one text per prompt; `shared` is the chance that both sides write the same."""
    base, trained = [], []
    for _ in range(prompts):
        text = rng.integers(0, 6, size=12)

        def draw(count: int, text: np.ndarray = text) -> np.ndarray:
            out = np.tile(text, (count, 1))
            changed = rng.random(out.shape) < 0.5
            out[changed] = rng.integers(0, 6, size=int(changed.sum()))
            return out

        b, t = draw(samples_b or samples), draw(samples)
        if shared:
            same = rng.random(samples) < shared
            t[same] = b[same]
        planted = rng.random(t.shape) < shift
        t[planted] = 9
        base.append(b.tolist())
        trained.append(t.tolist())
    return base, trained


def rejections(trials: int, *, shared_seeds: bool = False, **kind: float) -> float:
    rng, count = np.random.default_rng(11), 0
    for seed in range(trials):
        base, trained = answers(rng, 20, 4, **kind)  # type: ignore[arg-type]
        found = mmd_on_tokens(base, trained, seed=seed, length=12, permutations=199, shared_seeds=shared_seeds)
        assert found.contrast.test is not None
        count += found.contrast.test.p_value <= 0.05
    return count / trials


def by_hand(kernel: np.ndarray, m: int, k: int) -> float:
    y, x = kernel[:m, :m], kernel[m:, m:]
    xx = sum(x[a, b] for a in range(k) for b in range(k) if a != b) / (k * (k - 1))
    yy = sum(y[a, b] for a in range(m) for b in range(m) if a != b) / (m * (m - 1))
    return xx + yy - 2 * kernel[:m, m:].mean()


def test_the_hamming_kernel_counts_padding_as_a_token() -> None:
    kernel = hamming_kernel([["a", "b", "c", "z"], ["a", "x"], ["a", "b", "c", "y"], []], length=3)
    expected = np.array([[1, 1 / 3, 1, 0], [1 / 3, 1, 1 / 3, 1 / 3], [1, 1 / 3, 1, 0], [0, 1 / 3, 0, 1]])
    np.testing.assert_allclose(kernel, expected)


def test_the_statistic_and_every_relabelling_by_hand() -> None:
    rng = np.random.default_rng(0)
    base, trained = answers(rng, 1, 3, shift=0.4, samples_b=2)
    kernel = hamming_kernel([*base[0], *trained[0]], 12)
    found = mmd([kernel], [(2, 3)], seed=1, permutations=4000)
    assert found.contrast.estimate == pytest.approx(by_hand(kernel, 2, 3)) and found.contrast.test is not None
    values = []
    for chosen in combinations(range(5), 2):
        order = [*chosen, *(i for i in range(5) if i not in chosen)]
        values.append(by_hand(kernel[np.ix_(order, order)], 2, 3))
    exact = np.mean(np.array(values) >= values[0] - 1e-12)
    assert found.contrast.test.p_value == pytest.approx(exact, abs=0.03)


def test_the_paired_statistic_by_hand() -> None:
    base, trained = answers(np.random.default_rng(2), 1, 3, shift=0.3)
    k = hamming_kernel([*base[0], *trained[0]], 12)
    h = [k[3 + a, 3 + b] + k[a, b] - k[3 + a, b] - k[3 + b, a] for a in range(3) for b in range(3) if a != b]
    assert mmd([k], [(3, 3)], seed=1, shared_seeds=True).contrast.estimate == pytest.approx(np.mean(h))


def test_unequal_samples_and_prompts_that_cannot_count() -> None:
    rng = np.random.default_rng(3)
    base, trained = answers(rng, 10, 3, samples_b=5)
    base[2], trained[4] = base[2][:1], trained[4][:1]
    found = mmd_on_tokens(base, trained, seed=0)
    assert (found.contrast.n, found.dropped) == (8, 2) and 2 not in found.used and 4 not in found.used
    assert found.per_prompt.shape == (8,) and "2 prompts" in (found.contrast.reason or "")
    single = mmd_on_tokens([[["a"]]] * 9, [[["b"]]] * 9, seed=0)
    assert single.contrast.estimate is None and "classifier test" in (single.contrast.reason or "")


def test_false_alarms_and_power() -> None:
    assert rejections(400) <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5
    assert rejections(400, shared_seeds=True) <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5
    assert rejections(60, shift=0.25) > 0.9
    assert rejections(60, shift=0.25, shared_seeds=True) > 0.8


def test_shared_seeds_are_conservative_when_free_and_exact_when_paired() -> None:
    assert rejections(200, shared=0.7) == 0.0
    assert rejections(400, shared=0.7, shared_seeds=True) == pytest.approx(0.05, abs=0.025)
    # samples that pair up hide a shift from the free test alone
    assert rejections(60, shared=0.7, shift=0.1) < 0.1
    assert rejections(60, shared=0.7, shift=0.1, shared_seeds=True) > 0.5


@pytest.mark.parametrize("shared_seeds", [False, True])
def test_identity_and_swapped_sides(shared_seeds: bool) -> None:
    rng = np.random.default_rng(4)
    base, trained = answers(rng, 12, 4, shift=0.05)
    same = mmd_on_tokens(base, base, seed=5, shared_seeds=shared_seeds).contrast
    assert same.estimate == 0 and same.test is not None and same.test.p_value == 1
    assert same.interval is not None and same.interval.method == "identical"
    # the same texts in another order of the samples: never evidence of a change
    turned = mmd_on_tokens(base, [prompt[::-1] for prompt in base], seed=5).contrast
    assert turned.estimate is not None and turned.estimate <= 0 and turned.test is not None and turned.test.p_value == 1
    one = mmd_on_tokens(base, trained, seed=5, shared_seeds=shared_seeds).contrast
    other = mmd_on_tokens(trained, base, seed=5, shared_seeds=shared_seeds).contrast
    assert one.test is not None and other.test is not None
    assert one.test.p_value == other.test.p_value and one.estimate == pytest.approx(other.estimate)


def test_embeddings() -> None:
    rng = np.random.default_rng(6)
    blocks = [rng.standard_normal((8, 5)) for _ in range(30)]
    shifted = [block + np.r_[np.zeros((4, 5)), np.ones((4, 5))] for block in blocks]
    for data, low, high in ((blocks, 0.05, 1.0), (shifted, 0.0, 0.01)):
        kernels = rbf_kernels(data)
        assert np.allclose(np.diag(kernels[0]), 1) and np.all(np.linalg.eigvalsh(kernels[0]) > -1e-9)
        test = mmd(kernels, [(4, 4)] * 30, seed=7).contrast.test
        assert test is not None and low <= test.p_value <= high


def test_random_halves_of_recorded_answers_differ_at_the_nominal_rate(recorded_outputs: Path) -> None:
    """Ten answers of one model to each of a hundred prompts, split in two at random, 200 times."""
    pool: dict[str, list[list[str]]] = {}
    for name in ("base", "trained"):
        file = next((recorded_outputs / "noveltybench_null_split").glob(f"{name}.jsonl*"))
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        for line in raw.decode().splitlines():
            row = json.loads(line)
            pool.setdefault(row["prompt_id"], []).append(row["output"].split())
    kernels = [hamming_kernel(samples) for samples in pool.values()]
    rng, alarms = np.random.default_rng(8), 0
    for seed in range(200):
        orders = [rng.permutation(len(kernel)) for kernel in kernels]
        mixed = [kernel[np.ix_(order, order)] for kernel, order in zip(kernels, orders)]
        test = mmd(mixed, [(5, 5)] * len(mixed), seed=seed, permutations=199).contrast.test
        assert test is not None
        alarms += test.p_value <= 0.05
    assert alarms / 200 <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5
