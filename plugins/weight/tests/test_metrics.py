"""Known answers of every number that the weight plugin computes from tensors."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from afterburn_core.backends.tensors import TensorInfo
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.arrays import from_torch
from afterburn_core.run.kernels import ArraySums
from afterburn_core.run.naming import scope_of
from afterburn_core.run.observations import WeightPair
from afterburn_weight.delta import Delta
from afterburn_weight.rounding import Rounding

NAMES: Mapping[torch.dtype, str] = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}
Q0, Q1 = "model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.q_proj.weight"
UP0, UP1 = "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"
EMBED, NORM = "model.embed_tokens.weight", "model.norm.weight"


def weight_pair(name: str, base: torch.Tensor, trained: torch.Tensor) -> WeightPair:
    """What the weights pass would hand out for these tensors."""
    infos = [TensorInfo(name=name, dtype=NAMES[side.dtype], shape=tuple(side.shape)) for side in (base, trained)]
    return WeightPair(
        name=name,
        scope=scope_of(name),
        state="matched",
        base=infos[0],
        trained=infos[1],
        compared=base.numel(),
        union=base.numel(),
        explained=True,
        sums=ArraySums().pair(
            from_torch(base.reshape(-1)), from_torch(trained.reshape(-1)), (NAMES[base.dtype], NAMES[trained.dtype])
        ),
    )


def gaussian(*shape: int, seed: int, dtype: torch.dtype = torch.float64, scale: float = 0.02) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def output(kind: type, pairs: Sequence[WeightPair]) -> AnalyzerOutput:
    analyzer: Any = kind()
    for pair in pairs:
        analyzer.observe(pair)
    found: AnalyzerOutput = analyzer.finish()
    return found


def at(
    found: AnalyzerOutput, metric: str, scope: Scope | None = None, subjects: tuple[str, ...] = ("base", "trained")
) -> Measurement:
    """The one measurement of a metric at a place."""
    place = scope or Scope()
    (only,) = [
        m for m in found.measurements if (m.metric, m.scope, m.subjects) == (f"weight.{metric}", place, subjects)
    ]
    return only


def value(found: AnalyzerOutput, metric: str, scope: Scope | None = None) -> float:
    measured = at(found, metric, scope).value
    assert measured is not None
    return measured


def single(base: torch.Tensor, trained: torch.Tensor) -> AnalyzerOutput:
    return output(Delta, [weight_pair(Q0, base, trained)])


@pytest.mark.parametrize("factor", [2.0, 0.5, -1.0, -3.0, 1.0078125])
def test_scaled_weights_have_the_relative_change_of_the_factor(factor: float) -> None:
    base = gaussian(32, 24, seed=1, dtype=torch.float32)
    found = single(base, base * factor)
    assert value(found, "delta.relative") == pytest.approx(abs(factor - 1), rel=1e-7)
    assert value(found, "delta.cosine_distance") == pytest.approx(0.0 if factor > 0 else 2.0, abs=1e-7)


def test_doubled_weights_are_exact() -> None:
    base = gaussian(32, 24, seed=1, dtype=torch.bfloat16)
    found = single(base, base * 2)
    assert value(found, "delta.relative") == 1.0
    assert value(found, "delta.cosine_distance") == pytest.approx(0.0, abs=1e-15)
    assert value(found, "delta.changed_fraction") == 1.0
    assert value(found, "delta.norm") == pytest.approx(float(base.double().norm()), rel=1e-15)
    assert value(found, "delta.max_abs") == float(base.abs().max())


def test_the_opposite_weights_have_relative_change_and_cosine_distance_two() -> None:
    base = gaussian(50, 7, seed=2, dtype=torch.bfloat16)
    found = single(base, -base)
    assert value(found, "delta.relative") == 2.0
    assert value(found, "delta.cosine_distance") == pytest.approx(2.0, rel=1e-15)


def test_one_planted_entry_is_the_largest_change_and_the_whole_norm() -> None:
    base = gaussian(10, 10, seed=3)
    trained = base.clone()
    trained[4, 6] -= 0.75
    found = single(base, trained)
    delta = abs(float(trained[4, 6] - base[4, 6]))
    assert value(found, "delta.max_abs") == delta
    assert value(found, "delta.norm") == delta
    assert value(found, "delta.changed_fraction") == 0.01


@pytest.mark.parametrize("dtype", list(NAMES), ids=str)
def test_seven_flipped_entries_of_a_hundred_are_seven_hundredths(dtype: torch.dtype) -> None:
    base = gaussian(10, 10, seed=4, dtype=dtype)
    trained = base.clone()
    bits = trained.view({2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]).view(-1)
    bits[3:94:13] ^= 1
    assert value(single(base, trained), "delta.changed_fraction") == 0.07


def test_a_change_below_the_stored_precision_is_no_changed_entry() -> None:
    """fp32 against its bf16 copy: values differ, stored bits do not."""
    base = gaussian(20, 20, seed=5, dtype=torch.float32)
    found = single(base, base.bfloat16())
    assert value(found, "delta.changed_fraction") == 0.0
    assert value(found, "delta.relative") == pytest.approx(0.00166, rel=0.1)


@pytest.mark.parametrize("exponent", range(3, 13))
def test_cosine_distance_of_an_orthogonal_change_is_right_to_1e_9(exponent: int) -> None:
    """W = (1, …, 1), Δ = ε·(1, −1, 1, −1, …): 1 − cos = 1 − 1/√(1 + ε²) = ε²/2 − 3ε⁴/8 + …, with stored ε."""
    n, size = 1000, 10.0**-exponent
    base = torch.ones(n, dtype=torch.float64)
    trained = base.clone()
    trained[::2] += size
    trained[1::2] -= size
    up, down = Fraction(float(trained[0])), Fraction(float(trained[1]))
    # exactly: cos = (up + down) / √(2 (up² + down²)); 1 − cos = (1 − cos²) / (1 + cos), 1 − cos² = (up − down)² / …
    rest = (up - down) ** 2 / (2 * (up * up + down * down))
    expected = float(rest) / (1 + math.sqrt(1 - float(rest)))
    assert expected == pytest.approx(size**2 / 2, rel=1e-3)
    assert value(single(base, trained), "delta.cosine_distance") == pytest.approx(expected, rel=1e-9, abs=0)


@given(st.integers(0, 10**6), st.floats(-3, 3), st.floats(0, 3), st.sampled_from(list(NAMES)))
def test_cosine_distance_lies_between_zero_and_two(seed: int, scale: float, noise: float, dtype: torch.dtype) -> None:
    base = gaussian(6, 5, seed=seed, dtype=dtype)
    trained = (base.double() * scale + gaussian(6, 5, seed=seed + 1) * noise).to(dtype)
    distance = at(single(base, trained), "delta.cosine_distance")
    if distance.value is None:
        assert not trained.double().square().any(), "the squares underflow"
    else:
        assert 0.0 <= distance.value <= 2.0


@pytest.mark.parametrize("dtype", list(NAMES), ids=str)
def test_equal_weights_have_exactly_no_change_anywhere(dtype: torch.dtype) -> None:
    pairs = [
        weight_pair(name, w, w.clone()) for name in (Q0, UP1, NORM) for w in (gaussian(9, 8, seed=6, dtype=dtype),)
    ]
    found = output(Delta, pairs)
    changes = [m for m in found.measurements if m.metric.startswith("weight.delta.")]
    assert len({m.scope for m in changes}) > 6
    assert {m.value for m in changes} == {0.0}
    ratios = [m for m in output(Rounding, pairs).measurements if m.metric == "weight.rounding.ratio"]
    assert {m.value for m in ratios} == {0.0}


def test_a_change_of_zero_weights_has_a_norm_but_no_ratio() -> None:
    base, trained = torch.zeros(3, 3), torch.ones(3, 3)
    found = single(base, trained)
    assert value(found, "delta.norm") == 3.0
    for metric in ("delta.relative", "delta.cosine_distance"):
        undefined = at(found, metric, scope_of(Q0))
        assert (undefined.status, undefined.value, undefined.n) == ("undefined", None, 9)
        assert undefined.reason == "a norm is zero"
    assert value(single(base, base.clone()), "delta.relative") == 0.0, "nothing changed, though the norm is zero"


def test_nan_and_infinity_are_counted_by_side_and_left_out_of_the_roll_ups() -> None:
    whole = gaussian(4, 4, seed=7, dtype=torch.float32)
    broken = whole.clone()
    broken[0, 0], broken[1, 1], broken[2, 2] = math.nan, math.inf, -math.inf
    found = output(Delta, [weight_pair(Q0, whole, broken), weight_pair(Q1, whole, whole * 2)])

    assert at(found, "nonfinite", scope_of(Q0), ("trained",)).value == 3.0
    assert not [m for m in found.measurements if m.metric == "weight.nonfinite" and m.subjects == ("base",)]
    assert (at(found, "nonfinite").value, at(found, "nonfinite").n) == (3.0, 64)
    undefined = at(found, "delta.relative", scope_of(Q0))
    assert undefined.value is None and undefined.reason == "the tensor holds NaN or infinite values"
    total = at(found, "delta.relative")
    assert (total.value, total.n) == (1.0, 16)
    assert total.reason == "left out: 1 of 2 tensors, whose sums are not finite"
    assert not [m for m in found.measurements if m.scope == Scope(layer=0)]


def test_squares_beyond_float64_are_undefined_and_say_so() -> None:
    huge = torch.full((3,), 1e200, dtype=torch.float64)
    found = output(Delta, [weight_pair(Q0, huge, huge * 2), weight_pair(Q1, torch.ones(2), torch.ones(2))])
    undefined = at(found, "delta.norm", scope_of(Q0))
    assert undefined.reason == "the squares exceed the range of float64"
    assert at(found, "nonfinite").value == 0.0
    assert at(found, "delta.changed_fraction").reason == "left out: 1 of 2 tensors, whose sums are not finite"
    assert all(m.value is None or math.isfinite(m.value) for m in found.measurements)


def model_pairs(seed: int = 8, dtype: torch.dtype = torch.float32) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Six tensors of unequal size and unequal change."""
    shapes = {Q0: (8, 8), UP0: (16, 8), Q1: (8, 8), UP1: (16, 8), EMBED: (40, 8), NORM: (8,)}
    sides = {}
    for number, (name, shape) in enumerate(shapes.items()):
        base = gaussian(*shape, seed=seed + number, dtype=dtype, scale=0.01 * (number + 1))
        move = gaussian(*shape, seed=seed + 100 + number, scale=0.001 * (number + 1) ** 2)
        sides[name] = (base, (base.double() + move).to(dtype))
    return sides


PLACES = {
    "the model": (Scope(), (Q0, UP0, Q1, UP1, EMBED, NORM)),
    "layer 0": (Scope(layer=0), (Q0, UP0)),
    "layer 1": (Scope(layer=1), (Q1, UP1)),
    "all of q": (Scope(module="q"), (Q0, Q1)),
    "all of up": (Scope(module="up"), (UP0, UP1)),
    "the embedding": (Scope(module="embed"), (EMBED,)),
    "the norm": (Scope(module="norm"), (NORM,)),
    "up in layer 1": (Scope(layer=1, module="up"), (UP1,)),
}


@pytest.mark.parametrize("place", PLACES)
def test_roll_ups_equal_the_metrics_of_the_concatenated_tensors(place: str) -> None:
    scope, names = PLACES[place]
    sides = model_pairs()
    pairs = [weight_pair(name, *both) for name, both in sides.items()]
    found, rounding = output(Delta, pairs), output(Rounding, pairs)
    base = np.concatenate([sides[name][0].double().numpy().ravel() for name in names])
    trained = np.concatenate([sides[name][1].double().numpy().ravel() for name in names])
    delta = trained - base
    norm, size = math.sqrt(math.fsum(delta**2)), math.sqrt(math.fsum(base**2))
    cosine = math.fsum(base * trained) / (size * math.sqrt(math.fsum(trained**2)))
    steps = np.spacing(np.abs(np.concatenate([sides[name][0].numpy().ravel() for name in names])))
    floor = math.sqrt(math.fsum(steps.astype(np.float64) ** 2) / 12) / size
    trained_steps = np.spacing(np.abs(np.concatenate([sides[name][1].numpy().ravel() for name in names])))
    other = math.sqrt(math.fsum(trained_steps.astype(np.float64) ** 2) / 12 / math.fsum(trained**2))

    assert value(found, "delta.norm", scope) == pytest.approx(norm, rel=1e-13)
    assert value(found, "delta.relative", scope) == pytest.approx(norm / size, rel=1e-13)
    assert value(found, "delta.cosine_distance", scope) == pytest.approx(1 - cosine, rel=1e-9)
    assert value(found, "delta.max_abs", scope) == np.abs(delta).max()
    assert value(found, "delta.changed_fraction", scope) == np.count_nonzero(delta) / delta.size
    assert at(found, "delta.norm", scope).n == delta.size
    assert at(rounding, "rounding.floor", scope, ("base",)).value == pytest.approx(floor, rel=1e-13)
    assert at(rounding, "rounding.floor", scope, ("trained",)).value == pytest.approx(other, rel=1e-13)
    assert value(rounding, "rounding.ratio", scope) == pytest.approx(norm / size / max(floor, other), rel=1e-12)


def test_every_tensor_and_every_place_is_measured_once() -> None:
    found = output(Delta, [weight_pair(name, *both) for name, both in model_pairs().items()])
    scopes = [m.scope for m in found.measurements if m.metric == "weight.delta.relative"]
    tensors = {scope_of(name) for name in model_pairs()}
    cells = {Scope(layer=i, module=m) for i in (0, 1) for m in ("q", "up")}
    modules = {Scope(module=m) for m in ("q", "up", "embed", "norm")}
    assert len(scopes) == len(set(scopes))
    assert set(scopes) == {Scope(), Scope(layer=0), Scope(layer=1)} | tensors | cells | modules


def test_encoder_and_decoder_layers_of_the_same_number_stay_apart() -> None:
    one, two = gaussian(4, 4, seed=9), gaussian(4, 4, seed=10)
    encoder = weight_pair("encoder.block.0.layer.0.SelfAttention.q.weight", one, one * 2)
    decoder = weight_pair("decoder.block.0.layer.0.SelfAttention.q.weight", two, two * 4)
    found = output(Delta, [encoder, decoder])
    assert value(found, "delta.relative", Scope(layer=0, subset="encoder")) == pytest.approx(1.0)
    assert value(found, "delta.relative", Scope(layer=0, subset="decoder")) == pytest.approx(3.0)
    assert not [m for m in found.measurements if m.scope == Scope(layer=0)]


@pytest.mark.parametrize("kind", [Delta, Rounding])
def test_order_and_division_over_workers_change_no_bit(kind: Any) -> None:
    pairs = [weight_pair(name, *both) for name, both in model_pairs().items()]
    expected = output(kind, pairs)
    for seed, parts in itertools.product(range(3), (1, 2, 5)):
        shuffled = random.Random(seed).sample(pairs, len(pairs))
        workers = [kind() for _ in range(parts)]
        for number, pair in enumerate(shuffled):
            workers[number % parts].observe(pair)
        for other in workers[1:]:
            workers[0].merge(other)
        assert workers[0].finish() == expected


def test_swapping_base_and_trained_keeps_the_norm_and_the_angle() -> None:
    sides = model_pairs()
    forth = output(Delta, [weight_pair(name, base, trained) for name, (base, trained) in sides.items()])
    back = output(Delta, [weight_pair(name, trained, base) for name, (base, trained) in sides.items()])
    for scope, names in PLACES.values():
        for metric in ("norm", "max_abs", "changed_fraction"):
            assert value(forth, f"delta.{metric}", scope) == value(back, f"delta.{metric}", scope)
        assert value(forth, "delta.cosine_distance", scope) == pytest.approx(
            value(back, "delta.cosine_distance", scope), rel=1e-10
        )
        sizes = [math.sqrt(sum(float(sides[n][i].double().square().sum()) for n in names)) for i in (0, 1)]
        ratio = value(forth, "delta.relative", scope) / value(back, "delta.relative", scope)
        assert ratio == pytest.approx(sizes[1] / sizes[0], rel=1e-12)


@pytest.mark.parametrize(
    ("dtype", "floor"), [(torch.bfloat16, 0.00166), (torch.float16, 0.00021)], ids=["bfloat16", "float16"]
)
def test_rounding_floor_of_gaussian_weights_equals_the_reference_table(dtype: torch.dtype, floor: float) -> None:
    base = gaussian(700, 700, seed=11, dtype=dtype)
    found = output(Rounding, [weight_pair(Q0, base, base.clone())])
    for subject in ("base", "trained"):
        assert at(found, "rounding.floor", scope_of(Q0), (subject,)).value == pytest.approx(floor, rel=0.02)


def test_one_rounding_of_every_entry_has_a_ratio_of_one() -> None:
    base = gaussian(300, 300, seed=12, dtype=torch.float32)
    found = output(Rounding, [weight_pair(Q0, base, base.bfloat16())])
    assert value(found, "rounding.ratio") == pytest.approx(1.0, rel=0.02)


def test_the_ratio_is_taken_against_the_coarser_side() -> None:
    base = gaussian(50, 50, seed=13, dtype=torch.float32)
    trained = (base * 1.25).bfloat16()
    found = output(Rounding, [weight_pair(Q0, base, trained)])
    fine = at(found, "rounding.floor", Scope(), ("base",)).value
    coarse = at(found, "rounding.floor", Scope(), ("trained",)).value
    assert fine is not None and coarse is not None and coarse > 1000 * fine
    relative = value(output(Delta, [weight_pair(Q0, base, trained)]), "delta.relative")
    assert value(found, "rounding.ratio") == pytest.approx(relative / coarse, rel=1e-14)


def test_rounding_of_zero_weights_is_undefined() -> None:
    zero = torch.zeros(5, dtype=torch.float16)
    found = output(Rounding, [weight_pair(Q0, zero, zero.clone())])
    assert {m.status for m in found.measurements} == {"undefined"}
    assert {m.reason for m in found.measurements} == {"all weights are zero", "a norm is zero"}


def test_a_tensor_that_is_not_compared_is_undefined_with_its_reason() -> None:
    info = TensorInfo(name=Q0, dtype="BF16", shape=(4, 4))
    lost = WeightPair(
        name=Q0, scope=scope_of(Q0), state="missing", base=info, trained=None, compared=0, union=16, explained=False,
        reason="only the base model has it",
    )  # fmt: skip
    buffer = WeightPair(
        name="rotary.inv_freq", scope=scope_of("rotary.inv_freq"), state="buffer", base=info, trained=info, compared=0,
        union=0, explained=True,
    )  # fmt: skip
    found = output(Delta, [lost, buffer])
    assert {m.scope.tensor for m in found.measurements} == {Q0}
    assert len(found.measurements) == 5
    assert {(m.value, m.reason) for m in found.measurements} == {(None, "only the base model has it")}
