"""Known answers of every number over several models beside one base, from files to measurements."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from afterburn_core.errors import SubjectError
from afterburn_core.plugin.registry import Registry
from afterburn_core.report.evidence import collect
from afterburn_core.report.series import series_of
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.result.view import ResultView
from afterburn_core.run.configuration import Settings
from afterburn_core.run.series_members import missing_steps, open_base, open_candidates, open_checkpoints
from afterburn_core.run.series_run import run_series
from afterburn_core.run.series_sums import Entries, SeriesKernel, SeriesSums
from afterburn_core.run.subspaces import leading, overlaps
from afterburn_core.testing.checkpoints import load_weights, save_weights, tiny_checkpoint
from afterburn_weight.series.candidates import random_cosine
from afterburn_weight.series.trajectory import change_point, onset_of, read_log

Weights = Mapping[str, torch.Tensor]
MODEL = Scope()
Q1 = "model.layers.1.self_attn.q_proj.weight"
UP0 = "model.layers.0.mlp.up_proj.weight"


def make_base(directory: Path, **shape: Any) -> Weights:
    tiny_checkpoint(directory / "base", **{"dtype": "float32", **shape})
    return load_weights(directory / "base")


def noise(weights: Weights, seed: int, scale: float = 1e-3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(w.shape, generator=generator, dtype=torch.float64) * scale for n, w in weights.items()}


def moved(weights: Weights, *deltas: Weights, factors: Sequence[float] = ()) -> dict[str, torch.Tensor]:
    """W + Σ factor · Δ in float64, stored in W's dtype."""
    total = {name: value.double() for name, value in weights.items()}
    for delta, factor in zip(deltas, factors or [1.0] * len(deltas), strict=True):
        total = {name: value + factor * delta[name] for name, value in total.items()}
    return {name: value.to(weights[name].dtype) for name, value in total.items()}


def save(directory: Path, weights: Weights) -> Path:
    """A model directory with the configuration of the tiny base."""
    tiny_checkpoint(directory, layers=sum(name.endswith("q_proj.weight") for name in weights))
    config = directory.parent / "base" / "config.json"
    if config.is_file():
        (directory / "config.json").write_bytes(config.read_bytes())
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (directory / name).write_bytes((config.parent / name).read_bytes())
    save_weights(directory, dict(weights))
    return directory


def run(directory: Path, models: Sequence[Path], kind: str, **settings: Any) -> ResultView:
    registry = Registry.discover(only=("weight",))
    base = open_base(str(directory / "base"), "", registry, None)
    texts = [str(model) for model in models]
    if kind == "trajectory":
        members, _ = open_checkpoints(texts, base, registry, None)
    else:
        members, _ = open_candidates(texts, base, registry, None)
    chosen = Settings(**{"run_dir": str(directory / "run"), "cache": False, "threads": 2, **settings})
    done = run_series(chosen, registry, base, members, command=kind)
    for member in members:
        member.subject.close()
    base.close()
    return ResultView(done.result, done.directory)


def follow(directory: Path, weights: Weights, series: Sequence[Weights], **settings: Any) -> ResultView:
    paths = [save(directory / f"checkpoint-{(i + 1) * 100}", entry) for i, entry in enumerate(series)]
    return run(directory, paths, "trajectory", **settings)


def compare(directory: Path, candidates: Mapping[str, Weights], **settings: Any) -> ResultView:
    return run(
        directory, [save(directory / name, entry) for name, entry in candidates.items()], "candidates", **settings
    )


def values(view: ResultView, metric: str, scope: Scope = MODEL) -> list[float | None]:
    """The values at one place, in the order of the series."""
    return [m.value for m in view.measurements(f"weight.{metric}") if m.scope == scope]


def one(view: ResultView, metric: str, scope: Scope = MODEL) -> float:
    (value,) = values(view, metric, scope)
    assert value is not None
    return value


def at(view: ResultView, metric: str, subjects: tuple[str, ...], scope: Scope = MODEL) -> Measurement:
    found = view.get(f"weight.{metric}", subjects=subjects, scope=scope)
    assert found is not None, (metric, subjects, scope)
    return found


def flat(weights: Weights) -> np.ndarray[Any, Any]:
    return np.concatenate([weights[name].double().numpy().ravel() for name in sorted(weights)])


# ---------------------------------------------------------------- trajectories


def test_a_straight_line_has_straightness_and_step_cosines_of_one(tmp_path: Path) -> None:
    weights = make_base(tmp_path)
    # multiples of a power of two on top of small multiples of it: every sum is exact in float32
    exact = {n: torch.round(w * 1024) / 1024 for n, w in weights.items()}
    save_weights(tmp_path / "base", exact)
    step = {n: torch.sign(d) / 1024 for n, d in noise(weights, 1).items()}
    view = follow(tmp_path, exact, [moved(exact, step, factors=[k]) for k in (1, 2, 3, 5)])
    assert one(view, "trajectory.straightness") == pytest.approx(1.0, abs=1e-14)
    assert values(view, "trajectory.step_cosine") == pytest.approx([1.0] * 3, abs=1e-14)
    assert values(view, "trajectory.cosine_to_final") == pytest.approx([1.0] * 4, abs=1e-14)
    unit = np.linalg.norm(flat(step))
    assert values(view, "trajectory.norm") == pytest.approx([unit, 2 * unit, 3 * unit, 5 * unit], rel=1e-14)
    assert values(view, "trajectory.step_norm") == pytest.approx([unit, unit, unit, 2 * unit], rel=1e-14)


def test_out_and_back_has_a_path_and_no_displacement(tmp_path: Path) -> None:
    weights = make_base(tmp_path)
    away = moved(weights, noise(weights, 1))
    view = follow(tmp_path, weights, [away, weights])
    out = np.linalg.norm(flat(away) - flat(weights))
    assert values(view, "trajectory.norm") == [pytest.approx(out, rel=1e-14), 0.0]
    assert one(view, "trajectory.path_length") == pytest.approx(2 * out, rel=1e-14)
    assert one(view, "trajectory.straightness") == 0.0
    assert values(view, "trajectory.step_cosine") == pytest.approx([-1.0], abs=1e-14)
    onset = at(view, "trajectory.onset_step", ("base", "checkpoint:200"))
    assert onset.value is None and onset.reason == "the final change is zero"


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_every_cosine_agrees_with_materialised_float64(tmp_path: Path, dtype: str) -> None:
    weights = make_base(tmp_path, dtype=dtype, hidden=32)
    drift = noise(weights, 9, 0.02)
    series = [moved(weights, drift, noise(weights, k, 0.02), factors=[k, 1]) for k in (1, 2, 3)]
    view = follow(tmp_path, weights, series)
    points = [flat(weights), *(flat(entry) for entry in series)]
    steps = [after - before for before, after in itertools.pairwise(points)]
    deltas = [point - points[0] for point in points[1:]]

    def cos(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    expected = [cos(steps[0], steps[1]), cos(steps[1], steps[2])]
    assert values(view, "trajectory.step_cosine") == pytest.approx(expected, abs=1e-12)
    assert values(view, "trajectory.cosine_to_final") == pytest.approx([cos(d, deltas[-1]) for d in deltas], abs=1e-12)
    path = sum(np.linalg.norm(step) for step in steps)
    assert one(view, "trajectory.path_length") == pytest.approx(path, rel=1e-12)
    relative = [np.linalg.norm(d) / np.linalg.norm(points[0]) for d in deltas]
    assert values(view, "trajectory.relative") == pytest.approx(relative, rel=1e-12)
    changed = [np.mean(point != points[0]) for point in points[1:]]
    assert values(view, "trajectory.changed_fraction") == pytest.approx(changed, abs=1e-15)


def test_the_layer_that_sets_in_late_has_a_late_onset_and_no_other(tmp_path: Path) -> None:
    weights = make_base(tmp_path, layers=4)
    step = noise(weights, 1)
    late = {n: d * (0.0 if ".layers.2." in n else 1.0) for n, d in step.items()}
    only = {n: d * (1.0 if ".layers.2." in n else 0.0) for n, d in step.items()}
    series = [
        moved(weights, late),
        moved(weights, late, factors=[2]),
        moved(weights, late, only, factors=[2, 2]),
        moved(weights, late, only, factors=[2, 3]),
    ]
    view = follow(tmp_path, weights, series)
    onsets = {layer: one(view, "trajectory.onset_step", Scope(layer=layer)) for layer in range(4)}
    assert onsets == {0: 100.0, 1: 100.0, 2: 300.0, 3: 100.0}
    frozen = [m.value for m in view.measurements("weight.trajectory.relative") if m.scope.layer == 2]
    assert frozen[:2] == [0.0, 0.0]


def test_a_jump_of_the_level_is_the_change_point(tmp_path: Path) -> None:
    weights = make_base(tmp_path)
    step = noise(weights, 1)
    view = follow(tmp_path, weights, [moved(weights, step, factors=[f]) for f in (1, 1.02, 1.01, 40, 41, 40.5)])
    assert one(view, "trajectory.change_point") == 400.0


@pytest.mark.parametrize(
    ("levels", "expected"),
    [([0, 0, 0, 5, 5, 5], 3), ([5, 5, 0, 0, 0, 0], 2), ([1, 1, 1, 1], None), ([0, 0, 0, 0, 9], 4)],
)
def test_change_points_of_planted_levels(levels: Sequence[float], expected: int | None) -> None:
    assert change_point(levels) == expected


def test_onset_is_the_first_tenth_of_the_energy() -> None:
    assert onset_of([0.0, 0.099, 0.1, 0.5, 1.0]) == 2
    assert onset_of([5.0, 0.0]) is None
    assert onset_of([0.0, 1.0]) == 1


def test_a_short_step_after_a_long_way_loses_nothing(tmp_path: Path) -> None:
    """Steps a millionth of the way: sums of cosines between positions would have lost them."""
    weights = {n: w.double() for n, w in make_base(tmp_path, dtype="float64").items()}
    far = noise(weights, 1, 10.0)
    small = [noise(weights, seed, 1e-7) for seed in (2, 3)]
    series = [moved(weights, far), moved(weights, far, small[0]), moved(weights, far, *small)]
    view = follow(tmp_path, weights, series)
    steps = [flat(after) - flat(before) for before, after in itertools.pairwise(series)]
    expected = float(steps[0] @ steps[1] / np.linalg.norm(steps[0]) / np.linalg.norm(steps[1]))
    assert values(view, "trajectory.step_cosine")[1] == pytest.approx(expected, abs=1e-12)
    assert values(view, "trajectory.step_norm")[1] == pytest.approx(np.linalg.norm(steps[0]), rel=1e-12)


# ---------------------------------------------------------------- candidates


def test_a_candidate_that_changed_nothing_is_not_shown_alike_to_itself(tmp_path: Path) -> None:
    weights = make_base(tmp_path)
    view = compare(tmp_path, {"moved": moved(weights, noise(weights, 1)), "copy": weights})
    shown = series_of(view, collect(view))
    assert shown is not None
    assert shown.places[0].pairs["cosine"] == [[1.0, None], [None, None]]


def test_the_opposite_change_has_cosine_minus_one_and_no_common_sign(tmp_path: Path) -> None:
    weights = {n: torch.round(w * 1024) / 1024 for n, w in make_base(tmp_path).items()}
    save_weights(tmp_path / "base", weights)
    delta = {n: torch.round(d * 4096) / 1024 for n, d in noise(weights, 1).items()}
    view = compare(
        tmp_path,
        {"there": moved(weights, delta), "back": moved(weights, delta, factors=[-1]), "twin": moved(weights, delta)},
    )
    assert values(view, "candidates.cosine") == pytest.approx([-1.0, 1.0, -1.0], abs=1e-14)
    assert values(view, "candidates.sign_agreement") == [0.0, 1.0, 0.0]
    for metric in ("subspace_left", "subspace_right"):
        assert values(view, f"candidates.{metric}") == pytest.approx([1.0] * 3, abs=1e-9)


def test_independent_changes_are_orthogonal_within_four_standard_deviations(tmp_path: Path) -> None:
    weights = make_base(tmp_path, hidden=64)
    view = compare(tmp_path, {f"seed{k}": moved(weights, noise(weights, k)) for k in range(4)})
    (spread,) = values(view, "candidates.cosine_random")
    n = sum(w.numel() for w in weights.values())
    assert spread == pytest.approx(1 / math.sqrt(n), rel=0.02), "entries of even size"
    for value in values(view, "candidates.cosine"):
        assert value is not None and 0 < abs(value) < 4 * spread
    for value in values(view, "candidates.sign_agreement"):
        assert value == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(n))


def test_what_uneven_changes_would_give_by_chance_is_what_signs_drawn_at_random_give() -> None:
    """Where a few rows hold most of both changes, cosines by chance are many times 1/√n."""
    generator = np.random.default_rng(0)
    rows = np.exp(generator.standard_normal((64, 1)))
    sizes = [np.abs(generator.standard_normal((64, 32))) * rows for _ in range(2)]
    kernel = SeriesKernel(2, steps=False, signs=True)
    cosines, spreads = [], []
    for _ in range(400):
        deltas = [(size * generator.choice([-1.0, 1.0], size.shape)).ravel() for size in sizes]
        sums = kernel.sums(np.zeros(64 * 32), [Entries(stored=delta, dtype="F64") for delta in deltas])
        cosines.append(deltas[0] @ deltas[1] / (np.linalg.norm(deltas[0]) * np.linalg.norm(deltas[1])))
        spreads.append(random_cosine(sums, 0, 1))
    assert max(spreads) == pytest.approx(min(spreads)), "signs do not enter"
    assert spreads[0] == pytest.approx(float(np.std(cosines)), rel=0.15)
    assert spreads[0] > 2 / math.sqrt(64 * 32)


def test_cosines_and_signs_agree_with_materialised_float64(tmp_path: Path) -> None:
    weights = make_base(tmp_path, dtype="bfloat16", hidden=32)
    common = noise(weights, 5, 0.01)
    models = [moved(weights, common, noise(weights, k, 0.01)) for k in range(3)]
    view = compare(tmp_path, {f"m{k}": model for k, model in enumerate(models)})
    deltas = {name: [model[name].double() - weights[name].double() for model in models] for name in weights}
    for name in (Q1, UP0):
        a, b = (deltas[name][k].numpy().ravel() for k in (0, 2))
        scope = next(m.scope for m in view.measurements("weight.candidates.cosine") if m.scope.tensor == name)
        found = at(view, "candidates.cosine", ("trained:m0", "trained:m2"), scope)
        assert found.value == pytest.approx(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)), abs=1e-12)
        both = (a != 0) & (b != 0)
        signs = at(view, "candidates.sign_agreement", ("trained:m0", "trained:m2"), scope)
        assert signs.value == pytest.approx(np.mean(np.sign(a[both]) == np.sign(b[both])), abs=1e-15)
        assert signs.n == int(both.sum())


def test_only_the_planted_pair_shares_a_subspace(tmp_path: Path) -> None:
    """Two changes with common factors' spans, one with its own: overlap 1 against k/m."""
    weights = make_base(tmp_path, hidden=64, layers=1)
    generator = np.random.default_rng(0)
    matrices = [name for name, w in weights.items() if w.dim() == 2]

    def plant(seed: int, spans: Mapping[str, tuple[Any, Any]]) -> dict[str, torch.Tensor]:
        mixing = np.random.default_rng(seed)
        out = {name: torch.zeros_like(w, dtype=torch.float64) for name, w in weights.items()}
        for name in matrices:
            left, right = spans[name]
            out[name] = torch.from_numpy(left @ mixing.standard_normal((8, 8)) @ right.T)
        return out

    def spans() -> dict[str, tuple[Any, Any]]:
        return {
            name: tuple(generator.standard_normal((side, 8)) for side in weights[name].shape)  # type: ignore[misc]
            for name in matrices
        }

    shared = spans()
    view = compare(
        tmp_path,
        {
            "a": moved(weights, plant(1, shared), factors=[0.1]),
            "b": moved(weights, plant(2, shared), factors=[0.1]),
            "c": moved(weights, plant(3, spans()), factors=[0.1]),
        },
    )
    scope = next(
        m.scope
        for m in view.measurements("weight.candidates.subspace_left")
        if m.scope.tensor and "up_proj" in m.scope.tensor
    )
    rows, columns = weights[str(scope.tensor)].shape
    assert at(view, "candidates.subspace_left", ("trained:a", "trained:b"), scope).value == pytest.approx(1, abs=1e-4)
    assert at(view, "candidates.subspace_right", ("trained:a", "trained:b"), scope).value == pytest.approx(1, abs=1e-4)
    alone = at(view, "candidates.subspace_left", ("trained:a", "trained:c"), scope)
    random = at(view, "candidates.subspace_left_random", ("trained:a", "trained:c"), scope)
    assert random.value == pytest.approx(8 / rows) and alone.n == 8
    assert at(view, "candidates.subspace_right_random", ("trained:a", "trained:c"), scope).value == 8 / columns
    means = [at(view, f"candidates.subspace_{m}", ("trained:a", "trained:c")).value for m in ("left", "left_random")]
    assert means[0] == pytest.approx(means[1], rel=0.25)


def test_random_subspaces_overlap_by_k_over_m_on_average() -> None:
    generator = np.random.default_rng(3)
    found = [
        overlaps([leading(generator.standard_normal((60, 40)), 8, 0) for _ in range(2)], 60, 40) for _ in range(60)
    ]
    assert np.mean([one.left[0, 1] for one in found]) == pytest.approx(8 / 60, rel=0.08)
    assert np.mean([one.right[0, 1] for one in found]) == pytest.approx(8 / 40, rel=0.08)


def test_iterated_subspaces_agree_with_the_singular_value_decomposition() -> None:
    """Larger than what is decomposed exactly, in float32, with a tail."""
    generator = np.random.default_rng(4)
    tail = generator.standard_normal((700, 600)) * 0.01
    planted = generator.standard_normal((700, 8)) @ generator.standard_normal((8, 600))
    matrix = tail + planted
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    found = leading(matrix.astype(np.float32), 8, seed=1)
    assert found is not None and found.left.shape == (700, 8)
    assert np.sum((found.left.T @ left[:, :8]) ** 2) / 8 == pytest.approx(1, abs=1e-6)
    assert np.sum((found.right.T @ right[:8].T) ** 2) / 8 == pytest.approx(1, abs=1e-6)
    assert found.residual < 1e-4
    again = leading(matrix.astype(np.float32), 8, seed=1)
    assert again is not None and np.array_equal(again.left, found.left)


def test_directions_below_rounding_are_no_directions() -> None:
    generator = np.random.default_rng(5)
    rank_two = generator.standard_normal((30, 2)) @ generator.standard_normal((2, 20))
    found = leading(rank_two, 8, 0)
    assert found is not None and found.left.shape == (30, 2)
    assert leading(np.zeros((5, 5)), 2, 0) is None


# ---------------------------------------------------------------- the kernel and the pass


def test_sums_do_not_depend_on_blocks_or_unchanged_stretches() -> None:
    generator = np.random.default_rng(0)
    base = generator.standard_normal(5000).astype(np.float32)
    others = [base.copy(), base + np.float32(0.01), base.copy()]
    others[2][4000:] = 1.5
    kernel = SeriesKernel(3, steps=True, signs=True)
    whole = kernel.sums(base, [Entries(stored=one, dtype="F32") for one in others])
    kernel.block = 777
    cut = kernel.sums(base, [Entries(stored=one, dtype="F32") for one in others])
    for name in ("tasks", "steps", "same", "both", "changed"):
        assert np.allclose(getattr(whole, name), getattr(cut, name), rtol=1e-13, atol=0), name
    deltas = [one.astype(np.float64) - base.astype(np.float64) for one in others]
    assert np.allclose(whole.tasks, [[a @ b for b in deltas] for a in deltas], rtol=1e-13)
    assert whole.changed.tolist() == [0.0, 5000.0, 1000.0]
    assert SeriesSums.from_dict(json.loads(json.dumps(whole.to_dict())), 3).tasks.tolist() == whole.tasks.tolist()


def test_threads_and_the_cache_change_no_number(tmp_path: Path) -> None:
    weights = make_base(tmp_path, hidden=32)
    models = {f"m{k}": moved(weights, noise(weights, k)) for k in range(2)}
    cache = {"cache": True, "cache_dir": str(tmp_path / "cache")}
    first = compare(tmp_path, models, threads=1, **cache)
    again = compare(tmp_path, models, threads=3, run_dir=str(tmp_path / "again"), **cache)
    fresh = compare(tmp_path, models, threads=3, run_dir=str(tmp_path / "fresh"))
    assert [m.value for m in first.measurements()] == [m.value for m in again.measurements()]
    assert [m.value for m in first.measurements()] == pytest.approx([m.value for m in fresh.measurements()], rel=1e-12)
    (counted,) = [e for e in again.result.executions if e.component == "core.series_pass"]
    assert counted.counters["bytes_read"] == 0 and counted.counters["from_cache"] == len(weights)


def test_each_byte_is_read_once(tmp_path: Path) -> None:
    weights = make_base(tmp_path)
    view = compare(tmp_path, {f"m{k}": moved(weights, noise(weights, k)) for k in range(3)})
    (swept,) = [e for e in view.result.executions if e.component == "core.series_pass"]
    assert swept.counters["bytes_read"] == 4 * sum(w.numel() * 4 for w in weights.values())


def test_a_tensor_that_one_model_lacks_is_named_and_left_out_for_all(tmp_path: Path) -> None:
    weights = make_base(tmp_path)
    models = {f"m{k}": moved(weights, noise(weights, k)) for k in range(2)}
    del models["m1"][Q1]
    view = compare(tmp_path, models)
    total = sum(w.numel() for w in weights.values())
    share = 1 - weights[Q1].numel() / total
    assert at(view, "candidates.coverage", ("base",)).value == pytest.approx(share)
    assert at(view, "candidates.coverage", ("base", "trained:m0")).value == 1.0
    assert at(view, "candidates.coverage", ("base", "trained:m1")).value == pytest.approx(share)
    (swept,) = [e for e in view.result.executions if e.component == "core.series_pass"]
    assert any(Q1 in note.message and "m1" in note.message for note in swept.notifications)
    (finding,) = view.findings("weight.candidates_coverage")
    assert finding.kind == "fail"
    assert not [m for m in view.measurements("weight.candidates.cosine") if m.scope.tensor == Q1]


def test_nan_in_one_checkpoint_is_named_and_spoils_nothing_else(tmp_path: Path) -> None:
    weights = make_base(tmp_path)
    series = [moved(weights, noise(weights, k)) for k in range(2)]
    series[1][Q1].view(-1)[3] = float("nan")
    view = follow(tmp_path, weights, series)
    assert at(view, "trajectory.nonfinite", ("checkpoint:200",)).value == 1
    assert at(view, "trajectory.nonfinite", ("checkpoint:100",)).value == 0
    (finding,) = view.findings("weight.trajectory_nonfinite")
    assert finding.kind == "fail" and finding.message.startswith("Checkpoint 200 holds 1 ")
    assert all(value is not None for value in values(view, "trajectory.norm"))
    clean = [n for n in weights if n != Q1]
    expected = np.linalg.norm(flat({n: series[1][n] for n in clean}) - flat({n: weights[n] for n in clean}))
    assert values(view, "trajectory.norm")[1] == pytest.approx(expected, rel=1e-12)


def test_adapters_are_candidates_without_being_merged(tmp_path: Path) -> None:
    from afterburn_core.testing.pairs import adapter_pair

    pair = adapter_pair(tmp_path, rank=2, dtype="float32")
    weights = load_weights(pair.base)
    merged = run(tmp_path, [pair.trained, _merged(tmp_path, pair.trained, weights)], "candidates")
    assert one(merged, "candidates.cosine") == pytest.approx(1.0, abs=1e-9)
    assert one(merged, "candidates.subspace_left") == pytest.approx(1.0, abs=1e-3)
    (swept,) = [e for e in merged.result.executions if e.component == "core.series_pass"]
    assert swept.counters["bytes_read"] == 2 * sum(w.numel() * 4 for w in weights.values())
    assert [s.base for s in merged.result.subjects] == [None, "base", None]


def _merged(directory: Path, adapter: Path, weights: Weights) -> Path:
    from safetensors.torch import load_file

    factors = load_file(adapter / "adapter_model.safetensors")
    merged = {name: value.double() for name, value in weights.items()}
    for name in weights:
        key = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{key}.lora_A.weight" in factors:
            a, b = (factors[f"{key}.lora_{part}.weight"].double() for part in "AB")
            merged[name] = merged[name] + 2.0 * b @ a
    return save(directory / "merged", {name: value.float() for name, value in merged.items()})


def test_models_that_share_nothing_are_refused(tmp_path: Path) -> None:
    weights = make_base(tmp_path)
    tiny_checkpoint(tmp_path / "wide", hidden=32, vocab=64, dtype="float32")
    with pytest.raises(SubjectError, match="nothing to compare"):
        run(tmp_path, [save(tmp_path / "m", moved(weights, noise(weights, 1))), tmp_path / "wide"], "candidates")


# ---------------------------------------------------------------- what trainers say


def test_only_missing_steps_of_an_even_rhythm_are_named() -> None:
    assert missing_steps([100, 200, 400, 500]) == [300]
    assert missing_steps([100, 200, 300]) == []
    assert missing_steps([10, 25, 100]) == []
    assert missing_steps([1, 2, 4, 8]) == missing_steps([1]) == []


@pytest.mark.parametrize(
    "state", [{}, {"log_history": "x"}, {"log_history": [1, {"loss": 2.0}, {"step": "a", "loss": 1}]}]
)
def test_logs_that_say_nothing_give_nothing(state: Mapping[str, Any]) -> None:
    assert read_log(state) == []


def test_numbers_of_a_log_are_taken_and_others_left() -> None:
    history = [
        {"step": 2, "loss": float("nan")},
        {"step": 2, "eval_loss": 1.5},
        {"step": 1, "loss": 3, "grad_norm": 9.0},
    ]
    assert read_log({"log_history": history}) == [{"step": 1.0, "loss": 3.0}, {"step": 2.0, "eval_loss": 1.5}]
