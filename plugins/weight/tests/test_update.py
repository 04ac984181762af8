"""The kind of update: a confusion matrix on pairs made here, and the evidence one by one."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from afterburn_core import Diagnoser
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Finding, Scope
from afterburn_core.run.algebra import ArrayAlgebra, Stored
from afterburn_core.run.arrays import from_torch
from afterburn_core.run.decompose import Matrix, decompose
from afterburn_core.run.kernels import ArraySums
from afterburn_core.testing.checkpoints import load_weights, save_weights, tiny_checkpoint
from afterburn_core.testing.feeding import SUBJECTS
from afterburn_core.testing.pairs import adapter_pair, planted_pair
from afterburn_core.testing.quantise import quantise_checkpoint
from afterburn_weight.grid import on_grid
from afterburn_weight.specs.update import KINDS
from afterburn_weight.update import UpdateEvidence, is_low_rank, likelihoods
from afterburn_weight.update_judge import judge

HIDDEN = 128


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(weight: torch.Tensor, relative: float, seed: int) -> torch.Tensor:
    values = torch.randn(weight.shape, generator=generator(seed))
    return values * (relative * weight.norm() / values.norm())


def full(weight: torch.Tensor, seed: int) -> torch.Tensor:
    """A dense change of 1 %, a third of its energy along the principal directions."""
    if weight.ndim < 2:
        return weight + noise(weight, 1e-2, seed)
    u, _, vt = torch.linalg.svd(weight, full_matrices=False)
    core = torch.randn(8, 8, generator=generator(seed))
    inside = u[:, :8] @ core @ vt[:8]
    return weight + noise(weight, 8e-3, seed) + inside * (6e-3 * weight.norm() / inside.norm())


def sparse(weight: torch.Tensor, seed: int) -> torch.Tensor:
    """A change so small that bfloat16 keeps most entries as they are."""
    return weight + noise(weight, 4e-4, seed)


def merged(weight: torch.Tensor, seed: int) -> torch.Tensor:
    if weight.ndim < 2:
        return weight
    left, right = (torch.randn(n, 6, generator=generator(seed + i)) for i, n in enumerate(weight.shape))
    delta = left @ right.T
    return weight + delta * (2e-2 * weight.norm() / delta.norm())


def int8_rows(weight: torch.Tensor, seed: int) -> torch.Tensor:
    if weight.ndim < 2:
        return weight
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    return (weight / step).round() * step


def int4_groups(weight: torch.Tensor, seed: int) -> torch.Tensor:
    if weight.ndim < 2:
        return weight
    groups = weight.reshape(-1, 64)
    low, high = groups.amin(dim=1, keepdim=True), groups.amax(dim=1, keepdim=True)
    step = (high - low) / 15
    return (((groups - low) / step).round() * step + low).reshape(weight.shape)


def recipes() -> dict[str, tuple[str, Callable[[torch.Tensor, int], torch.Tensor]]]:
    return {
        "full": ("full_fine_tuning", full),
        "sparse": ("rl_like", sparse),
        "merged": ("merged_adapter", merged),
        "int8": ("quantised_copy", int8_rows),
        "int4": ("quantised_copy", int4_groups),
        "copy": ("identical", lambda weight, seed: weight),
    }


def make(tmp_path: Path, change: Callable[[torch.Tensor, int], torch.Tensor], seed: int) -> tuple[Path, Path]:
    base = tiny_checkpoint(tmp_path / "base", hidden=HIDDEN, vocab=256, layers=1, seed=seed)
    shutil.copytree(base, tmp_path / "trained")
    tensors = load_weights(base)
    changed = {
        name: change(weight.float(), 31 * seed + i).to(weight.dtype).contiguous()
        for i, (name, weight) in enumerate(tensors.items())
    }
    save_weights(tmp_path / "trained", changed)
    return base, tmp_path / "trained"


def kinds(tmp_path: Path, base: Path, trained: Path, preset: str = "standard") -> dict[str, float]:
    report = Diagnoser(
        base_model=str(base), trained_model=str(trained), preset=preset, plugins=("weight",),
        run_dir=tmp_path / "run", use_cache=False,
    ).run()  # fmt: skip
    found = {m.scope.subset: float(m.value) for m in report.measurements("weight.update.likelihood")}
    assert set(found) == set(KINDS)
    assert sum(found.values()) == pytest.approx(1)
    (finding,) = [f for f in report.findings if f.rule == "weight.update_kind"]
    assert finding.kind == ("pass" if found["identical"] == 1 else "informational")
    return found


@pytest.mark.parametrize("preset", ["standard", "full"])
def test_the_confusion_matrix_of_made_pairs_is_diagonal(tmp_path: Path, preset: str) -> None:
    confusion: Counter[tuple[str, str]] = Counter()
    for name, (truth, change) in recipes().items():
        for seed in range(2):
            place = tmp_path / f"{name}{seed}"
            place.mkdir()
            found = kinds(place, *make(place, change, seed), preset)
            confusion[truth, max(found, key=lambda kind: found[kind])] += 1
    assert set(confusion) == {(kind, kind) for kind, _ in recipes().values()}, confusion


@pytest.mark.parametrize(("kept", "stored"), [("float32", torch.bfloat16), ("float32", torch.float16)], ids=str)
def test_a_cast_is_rounding_only(tmp_path: Path, kept: str, stored: torch.dtype) -> None:
    base = tiny_checkpoint(tmp_path / "base", hidden=64, dtype=kept)
    shutil.copytree(base, tmp_path / "trained")
    save_weights(tmp_path / "trained", {name: w.to(stored) for name, w in load_weights(base).items()})
    assert kinds(tmp_path, base, tmp_path / "trained")["rounding_only"] == 1


def test_an_adapter_is_one_by_its_files(tmp_path: Path) -> None:
    pair = adapter_pair(tmp_path)
    assert kinds(tmp_path, pair.base, pair.trained)["adapter"] == 1


def test_trained_weights_lie_on_no_grid() -> None:
    rng = np.random.default_rng(0)
    for dtype, stored in (("BF16", torch.bfloat16), ("F16", torch.float16), ("F32", torch.float32)):
        for _ in range(20):
            rows = torch.from_numpy(rng.standard_normal((16, 512)) * 0.02).to(stored).double().numpy()
            assert not on_grid(rows, dtype)


@pytest.mark.parametrize("stored", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("group", [32, 64, 128, 0])
def test_dequantised_weights_lie_on_their_grid(stored: str, bits: int, group: int) -> None:
    dtype = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}[stored]
    if bits == 4 and group in {32, 0}:
        pytest.skip("16 levels are told from trained weights in groups of 64 and 128")
    weight = torch.randn(16, 512, generator=generator(1)) * 0.02
    groups = weight.reshape(-1, group or 512)
    step = groups.abs().amax(dim=1, keepdim=True) / (127 if bits == 8 else 7)
    rows = ((groups / step).round() * step).reshape(16, 512).to(dtype)
    assert on_grid(rows.double().numpy(), stored)


@pytest.mark.parametrize("relative", [8e-4, 1.3e-3, 1.6e-3])
@pytest.mark.parametrize("uneven", [0.0, 0.3])
def test_rounding_a_small_dense_change_twice_makes_no_adapter(relative: float, uneven: float) -> None:
    """Two checkpoints of one run with float32 weights: what bfloat16 leaves of the step between them is noise."""
    rows = torch.exp(uneven * torch.randn(192, 1, generator=generator(1)))
    weight = 0.02 * rows * torch.randn(192, 128, generator=generator(2))
    for stored in (weight, weight.bfloat16().float()):
        assert not low_rank(stored, stored + noise(stored, relative, 3))


@pytest.mark.parametrize(("rank", "relative"), [(1, 1e-3), (4, 1e-3), (4, 3e-3), (16, 1e-2)])
def test_a_low_rank_change_is_one_though_rounding_adds_noise_to_it(rank: int, relative: float) -> None:
    weight = (0.02 * torch.randn(192, 128, generator=generator(2))).bfloat16().float()
    left, right = (torch.randn(n, rank, generator=generator(n)) for n in weight.shape)
    delta = left @ right.T
    assert low_rank(weight, weight + delta * (relative * weight.norm() / delta.norm()))


def low_rank(base: torch.Tensor, trained: torch.Tensor) -> bool:
    before, after = (from_torch(side.bfloat16()).reshape(-1) for side in (base, trained))
    sums = ArraySums().pair(before, after, ("BF16", "BF16"))
    rows, columns = base.shape
    stored = Stored(base=before, trained=after, rows=rows, columns=columns)
    algebra = ArrayAlgebra("float32")
    grams = algebra.grams(stored, frozenset({"base", "trained", "delta"}), rows >= columns)
    matrix = Matrix(rows=rows, columns=columns, sums=sums, grams=grams, stored=stored)
    return is_low_rank(decompose(matrix, algebra, vectors=False), sums)


def evidence(**changes: Any) -> UpdateEvidence:
    plain: dict[str, Any] = {
        "tensors": 9, "matrices": 7, "changed_matrices": 7, "entries": 1000, "bits_changed": 900, "moved": True,
        "adapter": False, "unchanged": 0.1, "touched": 1.0, "low_rank": 0.0, "rounding": 0.02, "on_grid": 0.0,
        "off_principal": None,
    }  # fmt: skip
    return UpdateEvidence(**{**plain, **changes})


def test_between_the_reported_ranges_the_table_says_both() -> None:
    found = likelihoods(evidence(unchanged=0.3))
    assert found["rl_like"] == pytest.approx(found["full_fine_tuning"])
    assert found["rl_like"] > 0.45


def test_avoiding_the_principal_directions_speaks_for_reinforcement_learning() -> None:
    inside, outside = (likelihoods(evidence(unchanged=0.3, off_principal=p))["rl_like"] for p in (0.9, 1.0))
    assert inside < 0.1 < 0.5 < outside


QUANTISED = {"quantisation": [{"method": "bitsandbytes", "code": "nf4"}]}


def said(quantised: str, ratio: float, kind: str = "quantised_copy") -> str:
    subjects = tuple(attrs.evolve(s, properties=QUANTISED if s.role == quantised else {}) for s in SUBJECTS)
    numbers = (
        measure("weight.update.likelihood", 0.99, scope=Scope(subset=kind), n=1),
        measure("weight.update.unchanged", 0.5, n=10),
        measure("weight.quantisation.ratio", ratio, scope=Scope(tensor="a.weight"), n=10),
    )
    (found,) = judge(None)(Evidence(subjects=subjects, measurements=numbers))
    return found.message


def test_a_quantised_side_is_a_copy_only_where_its_steps_explain_the_change() -> None:
    assert said("trained", 0.98) == "The weights look like a quantised copy of the base: 50 % of the entries unchanged"
    assert said("base", 0.98).startswith("The weights look like the base before it was quantised")
    for side in ("base", "trained"):
        assert f"a change beyond the quantisation of the {side} model" in said(side, 1.5)


def test_an_adapter_is_named_without_numbers_that_were_not_gathered(tmp_path: Path) -> None:
    assert said("", 0.0, "adapter").startswith("The weights look like an adapter")
    pair = adapter_pair(tmp_path)
    report = Diagnoser(pair.base, pair.trained, run_dir=tmp_path / "run", use_cache=False).run_weight_diff()
    (found,) = [f for f in report.findings if f.rule == "weight.update_kind"]
    assert found.message == "The trained model is an adapter on its base"
    assert {(m.value, m.reason) for m in report.measurements("weight.update.low_rank")} == {
        (None, "an adapter's factors say it")
    }


@pytest.mark.parametrize("swapped", [False, True])
def test_a_copy_quantised_on_either_side_is_one(swapped: bool, tmp_path: Path) -> None:
    base = tiny_checkpoint(tmp_path / "base", hidden=128, layers=1)
    shutil.copytree(base, tmp_path / "copy")
    quantise_checkpoint(tmp_path / "copy", "bnb-nf4")
    sides = (tmp_path / "copy", base) if swapped else (base, tmp_path / "copy")
    assert kinds(tmp_path, *sides)["quantised_copy"] > 0.9


def test_a_model_of_other_origin_is_for_review(tmp_path: Path) -> None:
    """Two models drawn apart share names and shapes and nothing else; a large change of one tensor is none."""
    first, second = (tiny_checkpoint(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 1)))
    found = change(first, second, tmp_path / "run")
    assert (found.kind, found.level) == ("review", "warning")
    assert "check that training began from this base" in found.message
    near = planted_pair(tmp_path / "near", tensor="model.layers.0.mlp.up_proj.weight", noise=0.3)
    assert change(near.base, near.trained, tmp_path / "near-run").kind == "informational"


def change(base: Path, trained: Path, run_dir: Path) -> Finding:
    report = Diagnoser(base, trained, preset="quick", plugins=("weight",), run_dir=run_dir, use_cache=False).run()
    (found,) = [f for f in report.findings if f.rule == "weight.change"]
    return found
