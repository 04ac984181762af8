"""Ranks, norms and energies against closed forms, and through whole runs on real files with planted ranks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from afterburn_core import Diagnoser
from afterburn_core.run.spectra import Spectrum
from afterburn_core.testing.checkpoints import load_weights, save_weights, tiny_checkpoint
from afterburn_core.testing.pairs import changed_pair, identity_pair, planted_pair, resharded_pair
from afterburn_weight.principal import largest_angle
from afterburn_weight.spectrum import effective_rank, shape_of

TENSOR = "model.layers.1.mlp.up_proj.weight"


def spectrum(values: Any, rows: int, columns: int, method: Any = "float64") -> Spectrum:
    array = np.sort(np.asarray(values, dtype=np.float64))[::-1]
    return Spectrum(values=array, rows=rows, columns=columns, square=float(array @ array), method=method)


def gaussian_spectrum(rows: int, columns: int, seed: int) -> Spectrum:
    matrix = np.random.default_rng(seed).standard_normal((rows, columns))
    return spectrum(np.linalg.svd(matrix, compute_uv=False), rows, columns)


def run(tmp_path: Path, pair: Any, preset: str = "full", **options: Any) -> Any:
    return Diagnoser(
        base_model=str(pair.base), trained_model=str(pair.trained), preset=preset, plugins=("weight",),
        run_dir=tmp_path / "run", use_cache=False, **options,
    ).run()  # fmt: skip


def value(report: Any, metric: str, **scope: Any) -> float:
    found = [
        m
        for m in report.measurements(metric)
        if all(getattr(m.scope, key) == wanted for key, wanted in scope.items())
        and (scope or (m.scope.tensor, m.scope.layer, m.scope.module) == (None, None, None))
    ]
    assert len(found) == 1, (metric, scope, found)
    assert found[0].value is not None, found[0].reason
    return float(found[0].value)


def test_equal_singular_values_have_the_rank_they_are_many() -> None:
    shape = shape_of(spectrum([3.0] * 7, 20, 7))
    assert shape.stable_rank == pytest.approx(7)
    assert shape.effective_rank == pytest.approx(7)
    assert shape.participation == pytest.approx(7)
    assert (shape.rank_numeric, shape.rank_at_90, shape.nuclear_norm) == (7, 7, 21)
    assert shape.energy_top == pytest.approx((1 / 7, 4 / 7, 1, 1))


def test_one_direction_is_rank_one_in_every_sense() -> None:
    shape = shape_of(spectrum([2.0, 0, 0], 5, 3))
    assert (shape.stable_rank, shape.effective_rank, shape.participation) == pytest.approx((1, 1, 1))
    assert (shape.rank_numeric, shape.rank_at_90, shape.spectral_norm) == (1, 1, 2)


def test_gaussian_matrices_have_the_ranks_of_random_matrix_theory() -> None:
    square = [shape_of(gaussian_spectrum(800, 600, seed)) for seed in range(3)]
    for shape in square:
        assert shape.stable_rank == pytest.approx(800 * 600 / (math.sqrt(800) + math.sqrt(600)) ** 2, rel=0.02)
        assert shape.effective_rank == pytest.approx(412, rel=0.01)
        assert shape.participation == pytest.approx(800 * 600 / 1400, rel=0.01)
        assert shape.rank_at_90 == pytest.approx(349, abs=3)


def test_effective_rank_of_two_values_is_the_entropy_of_their_energies() -> None:
    p = np.array([0.8, 0.2])
    assert effective_rank(np.sqrt(p)) == pytest.approx(math.exp(-(p * np.log(p)).sum()))


def test_only_what_is_known_is_told_of_a_truncated_spectrum() -> None:
    whole = spectrum([4.0, 2.0, 1.0], 90, 80, method="randomised")
    shape = shape_of(whole)
    assert shape.stable_rank == pytest.approx(21 / 16)
    assert (shape.effective_rank, shape.rank_numeric, shape.nuclear_norm, shape.rank_at_90) == (None,) * 4
    assert shape.energy_top[0] == pytest.approx(16 / 21)
    assert shape.energy_top[2:] == (None, None)


def test_small_angles_keep_their_digits() -> None:
    basis = np.eye(6)[:, :2]
    for angle in (0.0, 1e-6, 0.3, math.pi / 2):
        other = basis.copy()
        other[:, 1] = [0, math.cos(angle), 0, math.sin(angle), 0, 0]
        assert largest_angle(basis, other) == pytest.approx(angle, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("rank", [1, 8, 16])
@pytest.mark.parametrize("preset", ["standard", "full"])
def test_a_planted_rank_is_found_where_it_was_put_and_nowhere_else(tmp_path: Path, rank: int, preset: str) -> None:
    pair = planted_pair(tmp_path, tensor=TENSOR, rank=rank, strength=1e-2, hidden=64, dtype="float32")
    report = run(tmp_path, pair, preset)
    ranks = {m.scope.tensor: m.value for m in report.measurements("weight.delta.rank_numeric") if m.scope.tensor}
    assert ranks.pop(TENSOR) == rank
    assert set(ranks.values()) == {0.0}
    assert value(report, "weight.delta.rank_numeric") == rank, "rolled up as the sum"
    assert value(report, "weight.delta.rank_numeric", layer=1, module=None, tensor=None) == rank
    assert value(report, "weight.delta.rank_numeric", layer=0, module=None, tensor=None) == 0


def test_rounding_to_bfloat16_counts_for_no_rank(tmp_path: Path) -> None:
    """The stored change of a rank-4 update has full rank; what stands above rounding has rank 4."""
    pair = planted_pair(tmp_path, tensor=TENSOR, rank=4, strength=3e-2, hidden=128, dtype="bfloat16")
    report = run(tmp_path, pair)
    assert value(report, "weight.delta.rank_numeric", tensor=TENSOR) == 4
    values = load_file(tmp_path / "run" / "artifacts" / "weight.spectra.safetensors")[f"{TENSOR}.delta"]
    assert np.count_nonzero(values > 1e-9 * values[0]) == values.size


def test_the_artifact_holds_every_singular_value(tmp_path: Path) -> None:
    pair = planted_pair(tmp_path, tensor=TENSOR, noise=1e-2, hidden=32, dtype="float32")
    run(tmp_path, pair)
    stored = load_file(tmp_path / "run" / "artifacts" / "weight.spectra.safetensors")
    base, trained = load_weights(pair.base), load_weights(pair.trained)
    for name, weight in base.items():
        if weight.ndim < 2:
            assert f"{name}.base" not in stored
            continue
        exact = np.linalg.svd(weight.double().numpy(), compute_uv=False)
        assert stored[f"{name}.base"] == pytest.approx(exact, rel=1e-7, abs=2e-8 * exact[0])
        assert (f"{name}.delta" in stored) == (name == TENSOR)
    delta = np.linalg.svd((trained[TENSOR].double() - base[TENSOR].double()).numpy(), compute_uv=False)
    assert stored[f"{TENSOR}.delta"] == pytest.approx(delta, rel=1e-7, abs=2e-8 * delta[0])


def test_a_rotation_moves_the_weights_and_not_their_spectrum(tmp_path: Path) -> None:
    rotation = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).standard_normal((32, 32)))[0]).float()
    pair = changed_pair(
        tmp_path, "model.layers.0.mlp.down_proj.weight", lambda w: rotation @ w, hidden=32, dtype="float32"
    )
    report = run(tmp_path, pair)
    assert value(report, "weight.delta.relative", tensor="model.layers.0.mlp.down_proj.weight") > 1
    assert value(report, "weight.spectrum.drift", tensor="model.layers.0.mlp.down_proj.weight") < 1e-6


def test_scaling_drifts_by_the_factor_and_changes_no_rank(tmp_path: Path) -> None:
    pair = planted_pair(tmp_path, tensor=TENSOR, scale=1.25, hidden=32, dtype="float32")
    report = run(tmp_path, pair)
    assert value(report, "weight.spectrum.drift", tensor=TENSOR) == pytest.approx(0.25, rel=1e-6)
    sides = {
        m.subjects: m.value for m in report.measurements("weight.spectrum.stable_rank") if m.scope.tensor == TENSOR
    }
    assert sides[("base",)] == pytest.approx(sides[("trained",)], rel=1e-9)
    assert value(report, "weight.principal.angle", tensor=TENSOR) < 1e-3
    assert value(report, "weight.intruders.left") == 0


def test_directions_below_rounding_are_neither_turned_nor_intruders(tmp_path: Path) -> None:
    """W of rank 4: the vectors of W' beyond the fourth are those of its rounding, whatever the training did."""

    def rank_4(weight: torch.Tensor) -> torch.Tensor:
        u, s, vt = torch.linalg.svd(weight.double(), full_matrices=False)
        return (u[:, :4] * s[:4]) @ vt[:4]

    weight = rank_4(load_weights(tiny_checkpoint(tmp_path / "seed", hidden=64, dtype="float32"))[TENSOR])
    for place, scale, dtype in (("a", 1.01, "bfloat16"), ("b", 1.01, "float32"), ("c", 0.0, "float32")):
        directory = tmp_path / place
        pair = changed_pair(directory, TENSOR, lambda w, c=scale: (c * weight).to(w.dtype), hidden=64, dtype=dtype)
        stored = load_weights(pair.base)
        save_weights(pair.base, {**stored, TENSOR: weight.to(stored[TENSOR].dtype)})
        report = run(directory, pair)
        (left,) = [m for m in report.measurements("weight.intruders.left") if m.scope.tensor == TENSOR]
        assert (left.value, left.n) == (0, 4 if scale else 0)
        assert value(report, "weight.intruders.right", tensor=TENSOR) == 0
        for side in ("angle", "angle_right"):
            (angle,) = [m for m in report.measurements(f"weight.principal.{side}") if m.scope.tensor == TENSOR]
            if scale:
                assert angle.value is not None and angle.value < 0.02
            else:
                assert angle.value is None and angle.reason is not None


@pytest.mark.parametrize(("preset", "resolved"), [("standard", False), ("full", True)])
def test_a_drift_below_what_the_precision_resolves_is_said_to_be(tmp_path: Path, preset: str, resolved: bool) -> None:
    """Values fall off over six decades and some pass the floor of float32 on one side alone: that is no drift."""
    generator = torch.Generator().manual_seed(3)

    def pair_of(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows, columns = weight.shape
        sides = [torch.randn(n, n, generator=generator, dtype=torch.float64) for n in (rows, columns)]
        u, v = (torch.linalg.qr(side)[0] for side in sides)
        k = min(rows, columns)
        base = (u[:, :k] * torch.logspace(0, -6, k, dtype=torch.float64)) @ v[:, :k].T
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        return base.float(), (base + noise * (1e-5 * base.norm() / noise.norm())).float()

    base, trained = pair_of(load_weights(tiny_checkpoint(tmp_path / "seed", hidden=128, dtype="float32"))[TENSOR])
    pair = changed_pair(tmp_path, TENSOR, lambda _: trained, hidden=128, dtype="float32")
    save_weights(pair.base, {**load_weights(pair.base), TENSOR: base})
    exact = [np.linalg.svd(side.double().numpy(), compute_uv=False) for side in (base, trained)]
    true = float(np.linalg.norm(exact[1] - exact[0]) / np.linalg.norm(exact[0]))
    report = run(tmp_path, pair, preset)
    (drift,) = [m for m in report.measurements("weight.spectrum.drift") if m.scope.tensor == TENSOR]
    assert drift.value is not None and drift.value <= 1.001e-5, "more than the change itself"
    if resolved:
        assert drift.reason is None
        assert drift.value == pytest.approx(true, rel=1e-2)
    else:
        assert drift.reason is not None and "at most" in drift.reason


def test_the_change_along_the_first_direction_lies_inside_and_a_new_one_intrudes(tmp_path: Path) -> None:
    def along(weight: torch.Tensor) -> torch.Tensor:
        u, s, vt = torch.linalg.svd(weight.double(), full_matrices=False)
        return (weight.double() + 0.1 * s[0] * torch.outer(u[:, 0], vt[0])).float()

    def fresh(weight: torch.Tensor) -> torch.Tensor:
        u, s, vt = torch.linalg.svd(weight.double(), full_matrices=True)
        return (weight.double() + 3 * s[0] * torch.outer(u[:, -1], vt.sum(dim=0) / math.sqrt(len(vt)))).float()

    inside = run(tmp_path / "a", changed_pair(tmp_path / "a", TENSOR, along, hidden=64, dtype="float32"))
    assert value(inside, "weight.principal.share", tensor=TENSOR) == pytest.approx(1, abs=1e-4)
    assert value(inside, "weight.intruders.left", tensor=TENSOR) == 0
    outside = run(tmp_path / "b", changed_pair(tmp_path / "b", TENSOR, fresh, hidden=64, dtype="float32"))
    assert value(outside, "weight.intruders.left", tensor=TENSOR) == 1
    assert value(outside, "weight.intruders.left") == 1


def test_a_random_change_lies_inside_as_much_as_chance_says(tmp_path: Path) -> None:
    pair = planted_pair(tmp_path, tensor=TENSOR, noise=1e-2, hidden=128, dtype="float32")
    report = run(tmp_path, pair)
    expected = value(report, "weight.principal.expected", tensor=TENSOR)
    rows, columns = load_weights(pair.base)[TENSOR].shape
    assert expected == pytest.approx(16 * 16 / (rows * columns))
    assert value(report, "weight.principal.share", tensor=TENSOR) == pytest.approx(expected, rel=0.35)
    assert value(report, "weight.principal.left", tensor=TENSOR) == pytest.approx(16 / rows, rel=0.1)
    assert value(report, "weight.principal.right", tensor=TENSOR) == pytest.approx(16 / columns, rel=0.1)


@pytest.mark.parametrize("make", [identity_pair, resharded_pair], ids=["copy", "resharded"])
def test_equal_checkpoints_have_no_spectrum_of_a_change(tmp_path: Path, make: Any) -> None:
    report = run(tmp_path, make(tmp_path))
    assert value(report, "weight.spectrum.drift") == 0
    assert value(report, "weight.delta.rank_numeric") == 0
    assert value(report, "weight.delta.nuclear_norm") == 0
    undefined = [m for m in report.measurements("weight.delta.stable_rank") if m.scope.tensor is None]
    assert {(m.value, m.reason) for m in undefined} == {(None, "nothing changed")}
    loud = [f for f in report.findings if f.kind in {"fail", "review"}]
    assert not loud, [f.message for f in loud]


def test_quick_computes_no_spectrum_and_says_so(tmp_path: Path) -> None:
    report = run(tmp_path, planted_pair(tmp_path, rank=2), "quick")
    assert not report.measurements("weight.delta.stable_rank")
    skipped = {e.component: e.reason for e in report.result.executions if e.status == "skipped"}
    assert "standard" in (skipped["weight.spectrum"] or "")
    assert report.result.verdict.status == "pass"


def test_values_may_be_left_out_of_the_run(tmp_path: Path) -> None:
    pair = planted_pair(tmp_path, rank=2)
    run(tmp_path, pair, "standard", options={"weight.spectrum": {"keep_values": False}})
    assert not (tmp_path / "run" / "artifacts" / "weight.spectra.safetensors").exists()


def test_the_same_values_come_from_several_shards(tmp_path: Path) -> None:
    pair = planted_pair(tmp_path, rank=2, strength=0.1, hidden=32)
    first = run(tmp_path, pair, "standard")
    save_weights(pair.trained, load_weights(pair.trained), shards=4)
    second = run(tmp_path, pair, "standard")
    assert value(first, "weight.delta.stable_rank") == value(second, "weight.delta.stable_rank")


@pytest.mark.parametrize(
    ("dtype", "relative", "rank"),
    [
        *((torch.float32, relative, rank) for relative in (1e-3, 1e-2) for rank in (1, 8, 64, 512)),
        *((torch.bfloat16, 1e-2, rank) for rank in (8, 64, 512)),
        (torch.bfloat16, 1e-3, 8),
    ],
    ids=str,
)
def test_ranks_that_the_stored_dtype_can_resolve_are_found_exactly(
    tmp_path: Path, dtype: torch.dtype, relative: float, rank: int
) -> None:
    assert stored_rank(tmp_path, dtype, relative, rank) == rank


def test_of_a_rank_below_rounding_less_is_told_never_more(tmp_path: Path) -> None:
    """64 directions that share a relative change of 1e-3 drown in the rounding of bfloat16."""
    assert stored_rank(tmp_path, torch.bfloat16, 1e-3, 64) < 8


def stored_rank(tmp_path: Path, dtype: torch.dtype, relative: float, rank: int) -> float:
    """The numeric rank that a whole run tells of a planted change of equal singular values, after rounding."""
    rng = np.random.default_rng(rank)
    base = rng.standard_normal((1024, 768)) * 0.02
    u, v = (np.linalg.qr(rng.standard_normal((n, rank)))[0] for n in base.shape)
    base = torch.from_numpy(base).to(dtype)
    delta = torch.from_numpy(u @ v.T) * (relative * base.double().norm() / math.sqrt(rank))
    for name, weight in (("base", base), ("trained", (base.double() + delta).to(dtype))):
        save_file({TENSOR: weight.contiguous()}, tmp_path / f"{name}.safetensors")
    report = Diagnoser(
        base_model=str(tmp_path / "base.safetensors"), trained_model=str(tmp_path / "trained.safetensors"),
        preset="full", plugins=("weight",), run_dir=tmp_path / "run", use_cache=False,
        options={"weight.null": {"draws": 1}},
    ).run()  # fmt: skip
    return value(report, "weight.delta.rank_numeric", tensor=TENSOR)
