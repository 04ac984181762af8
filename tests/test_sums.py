"""The sums of the weights pass and what is derived from them, against exact arithmetic."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from afterburn_core.plugin.registry import Registry
from afterburn_core.run import matrix_parts
from afterburn_core.run.arrays import from_torch
from afterburn_core.run.configuration import Settings
from afterburn_core.run.device_kernels import SumsKernel
from afterburn_core.run.diagnose import diagnose
from afterburn_core.run.kernels import CPU_BLOCK, ArraySums
from afterburn_core.run.sums import PairSums, combine, cosine_distance, relative_change, rounding_floor
from afterburn_core.testing.pairs import planted_pair

DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
MIXED = (
    (torch.float32, torch.bfloat16),
    (torch.bfloat16, torch.float32),
    (torch.float16, torch.bfloat16),
    (torch.float64, torch.float16),
)


NAMES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32", torch.float64: "F64"}


def sums_of(base: torch.Tensor, trained: torch.Tensor) -> PairSums:
    """By the CPU's kernel, after making sure that the device's agrees to the last digits."""
    found = ArraySums().pair(
        from_torch(base.reshape(-1)), from_torch(trained.reshape(-1)), (NAMES[base.dtype], NAMES[trained.dtype])
    )
    device = SumsKernel().pair(base.reshape(-1), trained.reshape(-1), (base.dtype, trained.dtype))
    scale = math.sqrt(found.base_sq * found.delta_sq)
    for name, value in device.to_dict().items():
        slack = 1e-13 * scale if name == "dot_base_delta" else 0
        assert value == pytest.approx(getattr(found, name), rel=1e-12, abs=slack, nan_ok=True), name
    return found


def single(values: torch.Tensor) -> PairSums:
    """Sums of a tensor that both sides share, by both kernels."""
    found = ArraySums().single(from_torch(values), NAMES[values.dtype])
    device = SumsKernel().single(values, values.dtype)
    assert device.base_sq == pytest.approx(found.base_sq, rel=1e-12)
    assert device.base_step_sq == pytest.approx(found.base_step_sq, rel=1e-12)
    return found


def normal(n: int, dtype: torch.dtype, seed: int, scale: float = 0.02) -> torch.Tensor:
    return (torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale).to(dtype)


def fractions(values: torch.Tensor) -> list[Fraction]:
    return [Fraction(value) for value in values.double().tolist()]


def exact(base: torch.Tensor, trained: torch.Tensor) -> dict[str, float]:
    """The sums in rational arithmetic, rounded once at the end."""
    left, right = fractions(base), fractions(trained)
    delta = [b - a for a, b in zip(left, right, strict=True)]
    return {
        "base_sq": float(sum(a * a for a in left)),
        "trained_sq": float(sum(b * b for b in right)),
        "delta_sq": float(sum(d * d for d in delta)),
        "dot_base_delta": float(sum(a * d for a, d in zip(left, delta, strict=True))),
        "max_abs": float(max((abs(d) for d in delta), default=0)),
    }


def exact_cosine_distance(base: torch.Tensor, trained: torch.Tensor) -> float:
    """1 − cos(W, W') to eighty digits."""
    left, right = fractions(base), fractions(trained)
    square, other = sum(a * a for a in left), sum(b * b for b in right)
    dot = sum(a * b for a, b in zip(left, right, strict=True))
    with localcontext() as context:
        context.prec = 80
        norms = (_decimal(square) * _decimal(other)).sqrt()
        return float(1 - _decimal(Fraction(dot)) / norms)


def _decimal(value: Fraction | int) -> Decimal:
    value = Fraction(value)
    return Decimal(value.numerator) / Decimal(value.denominator)


def spacing_of_bfloat16(values: torch.Tensor) -> np.ndarray:
    """The distance of each magnitude to the next larger one, by counting up its bits."""
    bits = values.abs().view(torch.int16)
    return ((bits + 1).view(torch.bfloat16).double() - bits.view(torch.bfloat16).double()).numpy()


@pytest.mark.parametrize("dtypes", [*((d, d) for d in DTYPES), *MIXED], ids=str)
def test_sums_equal_rational_arithmetic(dtypes: tuple[torch.dtype, torch.dtype]) -> None:
    base = normal(1009, dtypes[0], seed=1)
    trained = (base.double() + normal(1009, torch.float64, seed=2, scale=1e-3)).to(dtypes[1])

    sums = sums_of(base, trained)

    assert sums.n == 1009
    for name, value in exact(base, trained).items():
        assert getattr(sums, name) == pytest.approx(value, rel=1e-13, abs=0), name


@pytest.mark.parametrize("n", [1, 2, CPU_BLOCK - 1, CPU_BLOCK, CPU_BLOCK + 1, 3 * CPU_BLOCK + 17])
def test_every_element_counts_once_around_block_boundaries(n: int) -> None:
    base, trained = torch.ones(n, dtype=torch.bfloat16), torch.full((n,), 1.5, dtype=torch.bfloat16)

    sums = sums_of(base, trained)

    assert (sums.n, sums.changed, sums.max_abs) == (n, n, 0.5)
    assert (sums.base_sq, sums.trained_sq, sums.delta_sq, sums.dot_base_delta) == (n, 2.25 * n, 0.25 * n, 0.5 * n)
    assert sums.base_step_sq == sums.trained_step_sq == n * 2.0**-14


def test_one_changed_entry_is_found_wherever_it_lies() -> None:
    n = 2 * CPU_BLOCK + 3
    for place in (0, CPU_BLOCK - 1, CPU_BLOCK, n - 1):
        base = torch.zeros(n, dtype=torch.float32)
        trained = base.clone()
        trained[place] = -3.0
        sums = sums_of(base, trained)
        assert (sums.changed, sums.max_abs, sums.delta_sq) == (1, 3.0, 9.0)


def test_empty_tensor_has_zero_sums() -> None:
    assert sums_of(torch.empty(0), torch.empty(0)) == PairSums()
    assert combine(()) == PairSums()


def test_scalar_is_a_tensor_of_one_element() -> None:
    sums = sums_of(torch.tensor(2.0), torch.tensor(3.0))
    assert (sums.n, sums.base_sq, sums.delta_sq, sums.dot_base_delta, sums.changed) == (1, 4.0, 1.0, 2.0, 1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equal_tensors_have_no_difference_and_the_same_sums_as_the_general_path(dtype: torch.dtype) -> None:
    values = normal(CPU_BLOCK + 9, dtype, seed=3)
    equal = sums_of(values, values.clone())
    # a last entry that differs takes the general path for its block; the first block takes the short one in both
    assert (equal.delta_sq, equal.dot_base_delta, equal.max_abs, equal.changed) == (0.0, 0.0, 0.0, 0)
    assert equal.base_sq == equal.trained_sq == pytest.approx(math.fsum(values.double().square().tolist()), rel=1e-14)
    assert single(values) == equal


def test_sums_that_cancel_keep_their_digits() -> None:
    """Σ w·δ of terms ±1 that leave 1e-9: a float32 accumulator gives 0 or noise."""
    n = 200_000
    signs = torch.ones(n, dtype=torch.float64)
    signs[1::2] = -1
    base = torch.cat([torch.ones(n, dtype=torch.float64), torch.tensor([1e-9], dtype=torch.float64)])
    trained = base + torch.cat([signs, torch.tensor([1.0], dtype=torch.float64)])
    left, right = base.tolist(), trained.tolist()
    expected = math.fsum(a * (b - a) for a, b in zip(left, right, strict=True))

    assert sums_of(base, trained).dot_base_delta == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(1e-9)


def test_accumulated_error_over_many_elements_is_below_1e_12() -> None:
    """Against integers: entries are k·2⁻²⁰ with 24-bit k, so that float64 sums must round and integers need not."""
    n = 1 << 22
    generator = np.random.default_rng(5)
    k = generator.integers(-(1 << 23), 1 << 23, size=n, dtype=np.int64)
    step = generator.integers(-3, 4, size=n, dtype=np.int64)
    base = torch.from_numpy(k.astype(np.float32) * np.float32(2.0**-20))
    trained = torch.from_numpy((k + step).astype(np.float32) * np.float32(2.0**-20))

    sums = sums_of(base, trained)

    high, low = k >> 12, k & 4095
    square = (int((high * high).sum()) << 24) + (int((high * low).sum()) << 13) + int((low * low).sum())
    cross = (int((high * step).sum()) << 12) + int((low * step).sum())
    assert sums.base_sq == pytest.approx(float(Fraction(square, 1 << 40)), rel=1e-12, abs=0)
    assert sums.delta_sq == float(Fraction(int((step * step).sum()), 1 << 40))
    # the terms cancel: what is left is small against their absolute sum, which bounds the error
    scale = float(np.abs(k).astype(np.float64) @ np.abs(step).astype(np.float64)) * 2.0**-40
    assert sums.dot_base_delta == pytest.approx(float(Fraction(cross, 1 << 40)), abs=1e-14 * scale)


@pytest.mark.parametrize(
    ("base_dtype", "trained_dtype"), [(torch.float32, torch.bfloat16), (torch.float64, torch.float16)]
)
def test_a_pure_cast_changes_no_bits(base_dtype: torch.dtype, trained_dtype: torch.dtype) -> None:
    base = normal(500, base_dtype, seed=6)
    sums = sums_of(base, base.to(trained_dtype))
    assert sums.changed == 0
    assert sums.delta_sq > 0


def test_bits_are_compared_in_the_stored_dtype() -> None:
    base = torch.zeros(100, dtype=torch.bfloat16)
    trained = base.clone()
    trained.view(torch.int16)[:7] = 1  # the smallest subnormal
    assert sums_of(base, trained).changed == 7
    negative = -base
    assert sums_of(base, negative).changed == 100, "−0 is stored otherwise than 0"
    assert sums_of(base, negative).delta_sq == 0.0


def test_steps_of_float16_equal_numpy_spacing_with_zeros_and_subnormals() -> None:
    patterns = np.arange(0, 0x7BFF, dtype=np.uint16)  # every magnitude but the largest, whose spacing NumPy has as inf
    magnitudes = patterns.view(np.float16)
    values = np.concatenate([magnitudes, -magnitudes])
    expected = math.fsum((np.spacing(np.abs(values)).astype(np.float64) ** 2).tolist())

    sums = single(torch.from_numpy(values))

    assert sums.base_step_sq == pytest.approx(expected, rel=1e-13)
    tiny = single(torch.zeros(5, dtype=torch.float16))
    assert tiny.base_step_sq == 5 * 2.0**-48


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_steps_of_wide_floats_equal_numpy_spacing(dtype: torch.dtype) -> None:
    values = torch.cat([normal(777, dtype, seed=7), torch.tensor([1.0, 2.0, 0.5, 1 - 2.0**-20], dtype=dtype)])
    expected = math.fsum((np.spacing(values.abs().numpy()).astype(np.float64) ** 2).tolist())
    assert single(values).base_step_sq == pytest.approx(expected, rel=1e-13)


def test_steps_of_bfloat16_equal_the_distance_to_the_next_pattern() -> None:
    patterns = torch.arange(1 << 7, 0x7F00, 1, dtype=torch.int16)  # normal magnitudes of either parity
    values = patterns[(patterns >= 0x2000) & (patterns < 0x6000)].view(torch.bfloat16)
    expected = math.fsum((spacing_of_bfloat16(values) ** 2).tolist())
    assert single(values).base_step_sq == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("dtype", "floor"), [(torch.bfloat16, 0.00166), (torch.float16, 0.00021)], ids=["bfloat16", "float16"]
)
def test_rounding_floor_of_gaussian_weights_is_the_published_one(dtype: torch.dtype, floor: float) -> None:
    exact_values = normal(1 << 20, torch.float64, seed=8)
    stored = exact_values.to(dtype)
    sums = single(stored)
    found = rounding_floor(sums.base_step_sq, sums.base_sq)
    assert found == pytest.approx(floor, rel=0.02)
    measured = float((stored.double() - exact_values).norm() / exact_values.norm())
    assert found == pytest.approx(measured, rel=0.01), "the model of uniform rounding errors"


def test_nonfinite_entries_are_counted_and_make_the_sums_unusable() -> None:
    base = torch.ones(10)
    trained = base.clone()
    trained[2], trained[5], trained[7] = math.nan, math.inf, -math.inf
    sums = sums_of(base, trained)
    assert (sums.base_nonfinite, sums.trained_nonfinite, sums.finite) == (0, 3, False)
    both = combine([sums, sums_of(base, base.clone())])
    assert (both.trained_nonfinite, both.n) == (3, 20)


def test_equal_nonfinite_entries_are_counted_on_both_sides() -> None:
    values = torch.tensor([1.0, math.inf, math.nan])
    sums = sums_of(values, values.clone())
    assert (sums.base_nonfinite, sums.trained_nonfinite, sums.changed) == (2, 2, 0)


def test_sums_that_overflow_are_not_called_finite() -> None:
    huge = torch.full((2,), 1e200, dtype=torch.float64)
    for sums in (sums_of(huge, huge * 2), sums_of(huge, huge.clone()), sums_of(torch.ones(2).double(), huge)):
        assert not sums.finite
        assert (sums.base_nonfinite, sums.trained_nonfinite) == (0, 0)


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_sums_are_additive_over_parts_in_any_order(parts: int) -> None:
    base, trained = normal(5000, torch.float32, seed=9), normal(5000, torch.float32, seed=10)
    whole = sums_of(base, trained)
    pieces = [sums_of(b, t) for b, t in zip(base.tensor_split(parts), trained.tensor_split(parts), strict=True)]
    assert combine(pieces) == combine(pieces[::-1])
    for name in ("base_sq", "trained_sq", "delta_sq", "base_step_sq", "trained_step_sq"):
        assert getattr(combine(pieces), name) == pytest.approx(getattr(whole, name), rel=1e-14)
    assert combine(pieces).max_abs == whole.max_abs
    assert combine(pieces).changed == whole.changed


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0, -1.0, -2.5])
def test_scaling_the_weights_gives_the_relative_change_exactly(scale: float) -> None:
    base = normal(4096, torch.float64, seed=11)
    sums = sums_of(base, base * (1 + scale))
    assert relative_change(sums) == pytest.approx(abs(scale), rel=1e-14)
    distance = cosine_distance(sums)
    if scale == -1.0:
        assert distance is None
    else:
        assert distance == pytest.approx(0.0 if 1 + scale > 0 else 2.0, abs=1e-14)


def test_the_opposite_of_the_weights_is_at_distance_two() -> None:
    base = normal(999, torch.bfloat16, seed=12)
    assert cosine_distance(sums_of(base, -base)) == pytest.approx(2.0, rel=1e-15)


def test_orthogonal_weights_are_at_distance_one() -> None:
    base, trained = torch.tensor([1.0, 0.0, 2.0, 0.0]), torch.tensor([0.0, 5.0, 0.0, -7.0])
    assert cosine_distance(sums_of(base, trained)) == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-5, 1e-7, 1e-9, 1e-12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_cosine_distance_of_a_tiny_change_is_right_to_1e_9(size: float, dtype: torch.dtype) -> None:
    """The trained side is float64, so that the change survives storage; the base is what the model was stored in."""
    base = normal(700, dtype, seed=13)
    trained = base.double() * (1 + size) + normal(700, torch.float64, seed=14) * size
    expected = exact_cosine_distance(base, trained)
    assert expected > 0
    assert cosine_distance(sums_of(base, trained)) == pytest.approx(expected, rel=1e-9, abs=0)


def test_cosine_distance_of_a_change_of_few_entries_is_right_to_1e_9() -> None:
    """What fine-tuning does to bf16: most entries stay, a few move by one step."""
    base = normal(3000, torch.bfloat16, seed=15)
    trained = base.clone()
    trained.view(torch.int16)[::997] += 1
    assert cosine_distance(sums_of(base, trained)) == pytest.approx(
        exact_cosine_distance(base, trained), rel=1e-9, abs=0
    )


@given(
    arrays.arrays(np.float64, 12, elements=st.floats(-1e100, 1e100)),
    arrays.arrays(np.float64, 12, elements=st.floats(-1e100, 1e100)),
)
def test_cosine_distance_always_lies_between_zero_and_two(left: np.ndarray, right: np.ndarray) -> None:
    distance = cosine_distance(sums_of(torch.from_numpy(left), torch.from_numpy(right)))
    assert distance is None or 0.0 <= distance <= 2.0


@given(
    st.integers(0, 2**32 - 1),
    st.floats(1e-14, 10.0),
    st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
)
def test_cosine_distance_is_symmetric_and_agrees_with_exact_arithmetic(
    seed: int, size: float, dtype: torch.dtype
) -> None:
    base = normal(40, dtype, seed=seed)
    trained = base.double() + normal(40, torch.float64, seed=seed + 1) * size
    forth, back = cosine_distance(sums_of(base, trained)), cosine_distance(sums_of(trained, base))
    assert forth is not None and back is not None
    assert forth == pytest.approx(exact_cosine_distance(base, trained), rel=1e-9, abs=0)
    assert forth == pytest.approx(back, rel=1e-9, abs=0)


def test_swapping_base_and_trained_mirrors_the_sums() -> None:
    base, trained = normal(300, torch.float32, seed=16), normal(300, torch.float32, seed=17)
    forth, back = sums_of(base, trained), sums_of(trained, base)
    assert (forth.base_sq, forth.trained_sq) == (back.trained_sq, back.base_sq)
    assert (forth.delta_sq, forth.max_abs, forth.changed) == (back.delta_sq, back.max_abs, back.changed)
    # ⟨W', −Δ⟩ = −⟨W, Δ⟩ − ‖Δ‖²
    assert back.dot_base_delta == pytest.approx(-forth.dot_base_delta - forth.delta_sq, rel=1e-12)


def test_metrics_of_zero_weights_are_undefined_unless_nothing_changed() -> None:
    zero, one = torch.zeros(4), torch.ones(4)
    assert relative_change(sums_of(zero, one)) is None
    assert relative_change(sums_of(zero, zero)) == 0.0
    assert relative_change(sums_of(one, zero)) == 1.0
    assert cosine_distance(sums_of(zero, one)) is None
    assert cosine_distance(sums_of(one, zero)) is None
    assert cosine_distance(sums_of(zero, zero)) is None
    assert rounding_floor(0.0, 0.0) is None


def test_sums_survive_being_stored() -> None:
    sums = sums_of(normal(50, torch.float16, seed=18), normal(50, torch.float16, seed=19))
    assert PairSums.from_dict(sums.to_dict()) == sums


def test_the_number_of_threads_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_parts, "CHUNK", 37)  # many stretches per tensor, none of a round size
    pair = planted_pair(tmp_path / "pair", noise=1e-2, layers=3, hidden=32, vocab=101, dtype="float32")
    registry = Registry.discover(only=("weight",))
    found = []
    for threads in (1, 2, 5):
        settings = Settings(
            base=str(pair.base), trained=str(pair.trained), threads=threads, cache=False, device="cpu",
            run_dir=str(tmp_path / f"run-{threads}"),
        )  # fmt: skip
        found.append(diagnose(settings, registry).result)
    assert found[0].run.environment.threads == 1 and found[2].run.environment.threads == 5
    assert any((m.value or 0) > 0 for m in found[0].measurements if m.metric == "weight.delta.norm")
    assert found[0].measurements == found[1].measurements == found[2].measurements
    assert found[0].findings == found[1].findings == found[2].findings
