"""Spectra of the weights pass against NumPy's SVD in float64, on real files, through the whole pass."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from afterburn_core.backends.checkpoint import FilesSource
from afterburn_core.backends.safetensors_file import read_index
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.run import algebra as algebra_module
from afterburn_core.run import matrix_parts
from afterburn_core.run.algebra import ArrayAlgebra, Stored
from afterburn_core.run.align import Side, align
from afterburn_core.run.arrays import from_torch, narrow, to_float64
from afterburn_core.run.cache import RowCache
from afterburn_core.run.decompose import singular_values
from afterburn_core.run.device_algebra import DeviceAlgebra
from afterburn_core.run.eigen import eigenvalues, leading_eigenpairs
from afterburn_core.run.executor import LocalExecutor
from afterburn_core.run.observations import WeightPair
from afterburn_core.run.randomised import randomised_spectrum
from afterburn_core.run.spectra_cache import SpectraCache
from afterburn_core.run.tensor_work import Spectral
from afterburn_core.run.weights_pass import PassOutcome, WeightsPass


class Collector:
    """An analyzer that keeps every pair it sees, and the values while it may ask for them."""

    def __init__(self, seen: dict[str, WeightPair], order: list[tuple[int, str]], values: bool) -> None:
        self._seen, self._order, self._values = seen, order, values

    def begin(self, context: AnalyzerContext) -> None: ...

    def observe(self, item: WeightPair) -> None:
        self._seen[item.name] = item
        self._order.append((id(self), item.name))
        if self._values and item.sums is not None:
            item.values()

    def merge(self, other: Any) -> None: ...

    def finish(self) -> AnalyzerOutput:
        return AnalyzerOutput()


def source_of(path: Path) -> FilesSource:
    file = read_index(path)
    return FilesSource(files=(file,), tensors=file.tensors, aliases={}, owner=dict.fromkeys(file.tensors, 0))


@attrs.frozen
class Swept:
    seen: dict[str, WeightPair]
    order: list[tuple[int, str]]
    outcome: PassOutcome


def sweep(
    tmp_path: Path,
    base: dict[str, torch.Tensor],
    trained: dict[str, torch.Tensor],
    *,
    precision: Any = "float64",
    vectors: bool = True,
    workers: int = 2,
    values: bool = False,
    rows: bool = False,
    max_order: int = 1 << 20,
    caches: Path | None = None,
    device: str = "cpu",
) -> Swept:
    """Saves both sides and runs the pass over the files."""
    for name, tensors in (("base", base), ("trained", trained)):
        save_file({k: v.contiguous() for k, v in tensors.items()}, tmp_path / f"{name}.safetensors")
    left, right = source_of(tmp_path / "base.safetensors"), source_of(tmp_path / "trained.safetensors")
    aligned = align(*(Side(tensors=s.tensors, aliases={}, tied=False, vocabulary=lambda: None) for s in (left, right)))
    seen: dict[str, WeightPair] = {}
    order: list[tuple[int, str]] = []
    spectral = Spectral(
        precision=precision,
        vectors=vectors,
        trained=right,
        max_order=max_order,
        base_cache=SpectraCache(directory=caches / "base") if caches else None,
        pair_cache=SpectraCache(directory=caches / "pair") if caches else None,
    )
    outcome = WeightsPass(
        left,
        right,
        aligned,
        executor=LocalExecutor(workers),
        analyzers=[[Collector(seen, order, values)] for _ in range(workers)],
        cache=RowCache(caches, "k" * 8, {}) if caches else None,
        with_values=values,
        with_rows=rows,
        spectral=spectral,
        device=device,
    ).run()
    return Swept(seen, order, outcome)


def gaussian(*shape: int, seed: int, scale: float = 0.02, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def svd(values: torch.Tensor) -> Any:
    return np.linalg.svd(values.double().numpy(), full_matrices=False)


NAME = "model.layers.0.mlp.up_proj.weight"


@pytest.mark.parametrize("shape", [(150, 40), (40, 150), (64, 64), (7, 3), (2, 2)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_singular_values_and_vectors_equal_those_of_numpy(
    tmp_path: Path, shape: tuple[int, int], dtype: torch.dtype
) -> None:
    base = gaussian(*shape, seed=1, dtype=dtype)
    trained = (base.double() + gaussian(*shape, seed=2, scale=1e-3, dtype=torch.float64)).to(dtype)
    found = sweep(tmp_path, {NAME: base}, {NAME: trained}).seen[NAME].spectra
    assert found is not None
    sides = {"base": base, "trained": trained, "delta": trained.double() - base.double()}
    for name, values in sides.items():
        u, s, vt = svd(values)
        spectrum = getattr(found, name)
        assert spectrum.values == pytest.approx(s, rel=1e-9, abs=2e-8 * s[0]), name
        assert spectrum.square == pytest.approx(float((s**2).sum()), rel=1e-12)
        assert (spectrum.rows, spectrum.columns, spectrum.method) == (*shape, "float64")
        # u and v have a sign in common: A v = σ u decides without one
        k = spectrum.left.shape[1]
        product = values.double().numpy() @ spectrum.right[:, :k].astype(np.float64)
        assert np.abs(product - spectrum.left * s[:k]).max() < 5e-6 * s[0], name
        gaps = np.minimum(-np.diff(s[: k + 1] if len(s) > k else np.append(s, 0)), 1)[:k]
        first = np.abs((u[:, 0] * spectrum.left[:, 0]).sum())
        assert first == pytest.approx(1, abs=1e-5 if gaps[0] > 1e-3 * s[0] else 1)
        assert np.abs((vt[0] * spectrum.right[:, 0]).sum()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("vectors", [False, True], ids=["values", "vectors"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(384, 256), (40, 30), (60, 512)], ids=str)
def test_what_the_gram_matrix_makes_of_zeros_is_below_the_floor(
    tmp_path: Path, shape: tuple[int, int], precision: str, vectors: bool
) -> None:
    """Exact rank 8, stored in float64, so that no rounding hides what the arithmetic adds."""
    rng = np.random.default_rng(5)
    u, v = (np.linalg.qr(rng.standard_normal((n, 8)))[0] for n in shape)
    base = {f"{NAME}.{i}": torch.from_numpy(u * s @ v.T) for i, s in enumerate((np.ones(8), np.linspace(1, 0.3, 8)))}
    seen = sweep(tmp_path, base, {k: 1.5 * w for k, w in base.items()}, precision=precision, vectors=vectors).seen
    for name in base:
        for side in ("base", "trained", "delta"):
            assert np.count_nonzero(getattr(seen[name].spectra, side).values) == 8, (name, side)


def test_a_float32_gram_is_right_above_its_stated_floor(tmp_path: Path) -> None:
    """A spectrum over four decades: what lies above the floor is right, what lies below is 0 and never invented."""
    rng = np.random.default_rng(0)
    s = np.logspace(0, -5, 40)
    u, v = (np.linalg.qr(rng.standard_normal((n, 40)))[0] for n in (90, 60))
    base = torch.from_numpy(u * s @ v.T).float()
    found = sweep(tmp_path, {NAME: base}, {NAME: base * 1.5}, precision="float32", vectors=False).seen[NAME].spectra
    assert found is not None
    spectrum = found.base
    exact = svd(base)[1]
    resolved = exact > 3 * spectrum.floor * exact[0]
    assert np.count_nonzero(resolved) > 15
    assert spectrum.values[resolved] == pytest.approx(exact[resolved], rel=0.05)
    assert spectrum.values[exact > 0.05] == pytest.approx(exact[exact > 0.05], rel=1e-4)
    assert not spectrum.values[exact < spectrum.floor * exact[0] / 3].any()


@pytest.mark.parametrize("size", [1e-22, 1e-3, 1e18], ids=str)
def test_tiny_and_huge_weights_do_not_leave_the_range_of_float32(tmp_path: Path, size: float) -> None:
    base = gaussian(50, 30, seed=3, scale=1.0) * size
    found = sweep(tmp_path, {NAME: base}, {NAME: base * 1.25}, precision="float32", vectors=False).seen[NAME].spectra
    assert found is not None
    assert found.base.values[:5] == pytest.approx(svd(base)[1][:5], rel=1e-4)
    assert found.delta.values[:5] == pytest.approx(0.25 * svd(base)[1][:5], rel=1e-4)


def test_large_tall_matrices_are_cut_into_parts_and_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = gaussian(501, 12, seed=4)
    trained = base + gaussian(501, 12, seed=5, scale=1e-3)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = sweep(tmp_path / "a", {NAME: base}, {NAME: trained}).seen[NAME].spectra
    monkeypatch.setattr(matrix_parts, "SEGMENT", 12 * 37)
    monkeypatch.setattr(algebra_module, "BLOCK", 8 * 12 * 5)
    cut = sweep(tmp_path / "b", {NAME: base}, {NAME: trained}).seen[NAME].spectra
    assert whole is not None and cut is not None
    for name in ("base", "trained", "delta"):
        assert getattr(cut, name).values == pytest.approx(getattr(whole, name).values, rel=1e-12)
    assert cut.base.right is not None, "the smaller side needs no second reading"
    assert cut.principal is None


def test_threads_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_parts, "SEGMENT", 12 * 37)
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(6)]
    base = {name: gaussian(200, 12, seed=i) for i, name in enumerate(names)}
    trained = {name: value + gaussian(200, 12, seed=99, scale=1e-3) for name, value in base.items()}
    spectra = []
    for workers in (1, 2, 5):
        place = tmp_path / str(workers)
        place.mkdir()
        spectra.append(sweep(place, base, trained, workers=workers).seen)
    for other in spectra[1:]:
        for name in names:
            for side in ("base", "trained", "delta"):
                first, second = (getattr(seen[name].spectra, side).values for seen in (spectra[0], other))
                assert np.array_equal(first, second)


def test_equal_tensors_share_one_spectrum_and_have_none_of_the_change(tmp_path: Path) -> None:
    base = gaussian(30, 20, seed=6)
    found = sweep(tmp_path, {NAME: base}, {NAME: base.clone()}).seen[NAME].spectra
    assert found is not None
    assert found.trained is found.base
    assert not found.delta.values.any()
    assert found.delta.square == 0
    assert found.base.values == pytest.approx(svd(base)[1], rel=1e-9)


def test_vectors_and_broken_tensors_have_no_spectrum(tmp_path: Path) -> None:
    broken = gaussian(8, 8, seed=7)
    broken[0, 0] = math.nan
    tensors = {"model.norm.weight": gaussian(9, seed=8), NAME: broken, "conv.weight": gaussian(6, 2, 3, 3, seed=9)}
    seen = sweep(tmp_path, tensors, {k: v * 2 for k, v in tensors.items()}).seen
    assert seen["model.norm.weight"].spectra is None
    assert seen[NAME].spectra is None
    convolution = seen["conv.weight"].spectra
    assert convolution is not None
    assert convolution.base.values == pytest.approx(svd(tensors["conv.weight"].reshape(6, -1))[1], rel=1e-9)


def test_the_place_of_the_change_equals_its_definition(tmp_path: Path) -> None:
    base = gaussian(90, 40, seed=10)
    trained = base + gaussian(90, 40, seed=11, scale=4e-3)
    for number, (w, w2) in enumerate(((base, trained), (base.T, trained.T))):
        place = tmp_path / str(number)
        place.mkdir()
        found = sweep(place, {NAME: w}, {NAME: w2}).seen[NAME].spectra
        assert found is not None and found.principal is not None
        u, _, vt = svd(w)
        u2, _, vt2 = svd(w2)
        delta = (w2.double() - w.double()).numpy()
        uk, vk = u[:, :16], vt[:16].T
        assert float((found.principal.core**2).sum()) == pytest.approx(
            float(((uk.T @ delta @ vk) ** 2).sum()), rel=1e-4
        )
        assert found.principal.left == pytest.approx(((uk.T @ delta) ** 2).sum(axis=1), rel=1e-3)
        assert found.principal.right == pytest.approx(((delta @ vk) ** 2).sum(axis=0), rel=1e-3)
        assert found.principal.left_overlap == pytest.approx(np.abs(u.T @ u2[:, :10]).max(axis=0), abs=1e-4)
        assert found.principal.right_overlap == pytest.approx(np.abs(vt @ vt2[:10].T).max(axis=0), abs=1e-4)


def test_an_intruder_is_found_on_both_sides_though_the_top_vectors_do_not_show_it(tmp_path: Path) -> None:
    """A direction that W has only at the bottom, lifted to the top of W': no intruder. A new one: an intruder."""
    rng = np.random.default_rng(1)
    u, v = (np.linalg.qr(rng.standard_normal((n, 40)))[0] for n in (80, 40))
    s = np.linspace(2, 1, 40)
    base = torch.from_numpy(u * s @ v.T)
    lifted = base + torch.from_numpy(3 * np.outer(u[:, 35], v[:, 35]))
    fresh = np.linalg.qr(np.concatenate([u, rng.standard_normal((80, 1))], axis=1))[0][:, 40]
    planted = base + torch.from_numpy(5 * np.outer(fresh, v.sum(axis=1) / math.sqrt(40)))
    overlaps = {}
    for name, trained in (("lifted", lifted), ("planted", planted)):
        (tmp_path / name).mkdir()
        found = sweep(tmp_path / name, {NAME: base}, {NAME: trained}).seen[NAME].spectra
        assert found is not None and found.principal is not None
        overlaps[name] = found.principal
    assert overlaps["lifted"].left_overlap[0] == pytest.approx(1, abs=1e-4)
    assert overlaps["lifted"].right_overlap[0] == pytest.approx(1, abs=1e-4)
    assert overlaps["planted"].left_overlap[0] < 0.5
    assert overlaps["planted"].right_overlap[0] < 0.5


def test_the_cache_serves_base_to_every_candidate_and_the_pair_to_itself(tmp_path: Path) -> None:
    base = {NAME: gaussian(60, 20, seed=12), "lm_head.weight": gaussian(50, 20, seed=13)}
    first = {k: v + gaussian(*v.shape, seed=14, scale=1e-3) for k, v in base.items()}
    second = {k: v + gaussian(*v.shape, seed=15, scale=1e-3) for k, v in base.items()}
    caches = tmp_path / "caches"
    places = [tmp_path / name for name in ("a", "b", "c")]
    for place in places:
        place.mkdir()
    cold = sweep(places[0], base, first, caches=caches, rows=True)
    assert (cold.outcome.spectra, cold.outcome.spectra_from_cache, cold.outcome.from_cache) == (2, 0, 0)
    again = sweep(places[0], base, first, caches=caches, rows=True)
    assert (again.outcome.spectra, again.outcome.from_cache, again.outcome.bytes_read) == (0, 2, 0)
    (caches / ("k" * 2) / ("k" * 8) / "rows.jsonl").unlink()
    for file in (caches / "pair").iterdir():
        file.unlink()
    other = sweep(places[1], base, second, caches=caches, rows=True)
    assert (other.outcome.spectra, other.outcome.spectra_from_cache) == (2, 2)
    fresh = sweep(places[2], base, second, rows=True)
    for name in base:
        for side in ("base", "trained", "delta"):
            kept = getattr(again.seen[name].spectra, side), getattr(other.seen[name].spectra, side)
            made = getattr(cold.seen[name].spectra, side), getattr(fresh.seen[name].spectra, side)
            for a, b in zip(kept, made, strict=True):
                assert np.array_equal(a.values, b.values)
                assert np.allclose(np.abs(a.left), np.abs(b.left), atol=1e-5)
        principal = again.seen[name].spectra.principal
        assert np.array_equal(principal.core, cold.seen[name].spectra.principal.core)
    assert np.array_equal(again.seen["lm_head.weight"].rows.delta_sq, cold.seen["lm_head.weight"].rows.delta_sq)


def test_a_run_without_vectors_finds_the_same_in_the_cache_of_one_with_them(tmp_path: Path) -> None:
    base = {NAME: gaussian(60, 20, seed=12)}
    trained = {NAME: base[NAME] + gaussian(60, 20, seed=14, scale=1e-3)}
    sweep(tmp_path, base, trained, caches=tmp_path / "caches")
    again = sweep(tmp_path, base, trained, caches=tmp_path / "caches", vectors=False)
    assert again.outcome.from_cache == 1
    assert again.seen[NAME].spectra.principal is None


def test_base_has_the_same_vectors_whether_or_not_it_was_changed(tmp_path: Path) -> None:
    """They may come from the cache, where the first candidate decides which way they were computed."""
    base = {NAME: gaussian(60, 20, seed=12)}
    found = []
    for place, change in (("same", 0.0), ("changed", 1e-3)):
        (tmp_path / place).mkdir()
        trained = {NAME: base[NAME] + gaussian(60, 20, seed=14, scale=change)}
        found.append(sweep(tmp_path / place, base, trained).seen[NAME].spectra.base)
    assert np.array_equal(found[0].left, found[1].left)
    assert np.array_equal(found[0].right, found[1].right)


@pytest.mark.parametrize("shape", [(40, 24), (24, 40)], ids=["tall", "wide"])
def test_values_that_are_zero_have_no_vectors(tmp_path: Path, shape: tuple[int, int]) -> None:
    left, right = gaussian(shape[0], 3, seed=1, dtype=torch.float64), gaussian(3, shape[1], seed=2, dtype=torch.float64)
    base = {NAME: left @ right}
    found = sweep(tmp_path, base, {NAME: base[NAME] * 1.5}).seen[NAME].spectra
    for side in (found.base, found.trained, found.delta):
        for vectors in (side.left, side.right):
            assert np.linalg.norm(vectors, axis=0) == pytest.approx([1.0] * 3 + [0.0] * 13, abs=1e-5)
    assert float((found.principal.core**2).sum()) == pytest.approx(found.delta.square, rel=1e-5)


def test_a_damaged_cache_entry_is_computed_again(tmp_path: Path) -> None:
    base = {NAME: gaussian(60, 20, seed=16)}
    trained = {NAME: base[NAME] * 1.01}
    caches = tmp_path / "caches"
    cold = sweep(tmp_path, base, trained, caches=caches)
    for folder in ("base", "pair"):
        for file in (caches / folder).iterdir():
            file.write_bytes(file.read_bytes()[:100])
    again = sweep(tmp_path, base, trained, caches=caches)
    assert again.outcome.spectra == 1
    assert np.array_equal(again.seen[NAME].spectra.delta.values, cold.seen[NAME].spectra.delta.values)


def test_sums_by_row_equal_numpy_and_keep_the_rows_apart(tmp_path: Path) -> None:
    name = "model.embed_tokens.weight"
    base = gaussian(40, 8, seed=17, dtype=torch.bfloat16)
    trained = base.clone()
    trained[7] = trained[7] * 2
    rows = sweep(tmp_path, {name: base}, {name: trained}, rows=True).seen[name].rows
    assert rows is not None
    w, w2 = base.double().numpy(), trained.double().numpy()
    assert rows.base_sq == pytest.approx((w * w).sum(axis=1), rel=1e-13)
    assert rows.trained_sq == pytest.approx((w2 * w2).sum(axis=1), rel=1e-13)
    assert list(np.flatnonzero(rows.delta_sq)) == [7]
    assert rows.dot_base_delta[7] == pytest.approx(rows.base_sq[7], rel=1e-13)
    assert (rows.base_rows, rows.trained_rows) == (40, 40)


def test_the_tensors_of_an_attention_are_observed_together_and_read_once(tmp_path: Path) -> None:
    base = {}
    for layer in range(4):
        for module in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm"):
            shape = (8,) if module == "q_norm" else (8, 8)
            base[f"model.layers.{layer}.self_attn.{module}.weight"] = gaussian(*shape, seed=layer)
        base[f"model.layers.{layer}.mlp.up_proj.weight"] = gaussian(16, 8, seed=layer)
    trained = {k: v * 1.01 for k, v in base.items()}
    swept = sweep(tmp_path, base, trained, values=True, workers=3)
    assert len(swept.order) == len(base)
    for layer in range(4):
        places = [i for i, (_, name) in enumerate(swept.order) if f"layers.{layer}.self_attn" in name]
        assert len({swept.order[i][0] for i in places}) == 1, "one instance sees them all"
    matrices = sum(v.numel() * 4 * 2 for v in base.values())
    assert swept.outcome.bytes_read == matrices, "values() of matrices reads nothing again"


@pytest.mark.parametrize("kind", ["base", "delta"])
def test_the_randomised_decomposition_bounds_its_error(kind: Any) -> None:
    rng = np.random.default_rng(2)
    u, v = (np.linalg.qr(rng.standard_normal((n, 100)))[0] for n in (300, 200))
    s = 1 / np.arange(1, 101) ** 1.5
    base = (u * s @ v.T).astype(np.float32)
    trained = base + 0.1 * (u[:, ::-1] * s @ v[:, ::-1].T).astype(np.float32)
    matrix = {"base": base.astype(np.float64), "delta": trained.astype(np.float64) - base}[kind]
    exact = np.linalg.svd(matrix, compute_uv=False)
    stored = Stored(base=base.reshape(-1), trained=trained.reshape(-1), rows=300, columns=200)
    found = randomised_spectrum(stored, kind, float((matrix**2).sum()), ArrayAlgebra("float64"), seed=3)
    assert found.approximate
    assert (found.values <= exact[: found.values.size] * (1 + 1e-9)).all(), "a projection cannot add"
    distances = np.abs(found.values[:, None] - exact[None, :]).min(axis=1)
    assert (distances <= found.error + 1e-9).all()
    assert found.values[:8] == pytest.approx(exact[:8], rel=1e-3)


def test_matrices_too_large_for_memory_are_marked_and_others_stay_exact(tmp_path: Path) -> None:
    tensors = {NAME: gaussian(40, 30, seed=18), "model.layers.0.mlp.down_proj.weight": gaussian(90, 90, seed=19)}
    swept = sweep(tmp_path, tensors, {k: v * 1.1 for k, v in tensors.items()}, max_order=50)
    assert swept.outcome.approximate == ["model.layers.0.mlp.down_proj.weight"]
    assert swept.seen[NAME].spectra.base.method == "float64"
    large = swept.seen["model.layers.0.mlp.down_proj.weight"].spectra
    assert large.base.approximate and large.delta.approximate
    exact = svd(tensors["model.layers.0.mlp.down_proj.weight"])[1]
    assert np.abs(large.base.values[:, None] - exact).min(axis=1).max() <= large.base.error


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_device_path_agrees_with_the_cpu_path(precision: Any) -> None:
    """The GPU's algebra runs on any torch device; on a CPU both must agree."""
    base, trained = gaussian(70, 30, seed=20, dtype=torch.bfloat16), gaussian(70, 30, seed=21, dtype=torch.bfloat16)
    for w, w2 in ((base, trained), (base.T.contiguous(), trained.T.contiguous())):
        stored = Stored(
            base=from_torch(w.reshape(-1)), trained=from_torch(w2.reshape(-1)), rows=w.shape[0], columns=w.shape[1]
        )
        host, device = ArrayAlgebra(precision), DeviceAlgebra(precision, "cpu")
        kinds = frozenset({"base", "trained", "delta"})
        ours, theirs = (a.grams(stored, kinds, stored.tall) for a in (host, device))  # type: ignore[arg-type]
        for kind in kinds:
            exact = ours[kind]  # type: ignore[index]
            found = np.asarray(theirs[kind])  # type: ignore[index]
            assert np.abs(found - exact).max() < (1e-13 if precision == "float64" else 1e-5) * np.abs(exact).max()
        values = host.leading(ours["base"], 4)[0]
        assert device.leading(theirs["base"], 4)[0] == pytest.approx(values, rel=1e-4, abs=1e-5 * values[0])
        assert device.eigenvalues(theirs["base"]) == pytest.approx(values, rel=1e-4, abs=1e-5 * values[0])
        factors = np.random.default_rng(0).standard_normal((w.shape[1], 3))
        products = [a.apply(stored, {"x": ("delta", factors)}, transposed=False)["x"] for a in (host, device)]
        assert products[1] == pytest.approx(products[0], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 64, 65, 130])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eigenpairs_equal_numpy(order: int, dtype: Any) -> None:
    rng = np.random.default_rng(order)
    half = rng.standard_normal((order + 3, order))
    matrix = (half.T @ half).astype(dtype)
    exact = np.linalg.eigvalsh(matrix.astype(np.float64))[::-1]
    slack = 1e-5 if dtype == np.float32 else 1e-12
    assert eigenvalues(matrix) == pytest.approx(exact, abs=slack * exact[0])
    values, vectors = leading_eigenpairs(matrix, 5)
    assert values == pytest.approx(exact, abs=slack * exact[0])
    assert np.abs(matrix @ vectors - vectors * values[: vectors.shape[1]]).max() < 10 * slack * exact[0]
    assert np.abs(vectors.T @ vectors - np.eye(vectors.shape[1])).max() < 10 * slack


def test_values_below_the_floor_are_zero() -> None:
    assert singular_values(np.array([4.0, 1.0, 1e-20, -1e-18]), 1e-8).tolist() == [2.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
def test_narrowing_rounds_as_torch_does(dtype: str) -> None:
    names = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}
    values = torch.cat([gaussian(5000, seed=22, dtype=torch.float64), torch.tensor([math.nan, math.inf, -0.0, 1e-40])])
    ours, theirs = narrow(values.numpy(), dtype), from_torch(values.to(names[dtype]))
    assert ours.dtype == theirs.dtype
    finite = np.isfinite(to_float64(theirs))
    assert np.array_equal(ours[finite], theirs[finite])
    assert np.isnan(to_float64(ours)[-4])
    assert np.isinf(to_float64(ours)[-3])


def test_a_zero_base_has_no_direction_that_anything_could_be_like(tmp_path: Path) -> None:
    base = {NAME: torch.zeros(30, 20), "lm_head.weight": gaussian(40, 20, seed=23)}
    found = sweep(tmp_path, base, {k: v + gaussian(*v.shape, seed=24) for k, v in base.items()}).seen[NAME].spectra
    assert found is not None and found.principal is not None
    assert not found.base.values.any()
    assert not found.principal.left_overlap.any()
    assert found.trained.values == pytest.approx(found.delta.values)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_the_whole_pass_on_a_torch_device_gives_what_it_gives_without_torch(
    tmp_path: Path, precision: Any, dtype: torch.dtype
) -> None:
    """`cpu:0` sends the pass down the GPU's path; sums agree to rounding, spectra within the floor of the precision."""
    base = {
        NAME: gaussian(70, 30, seed=25, dtype=dtype),
        "model.layers.0.mlp.down_proj.weight": gaussian(30, 70, seed=26, dtype=dtype),
        "model.norm.weight": gaussian(30, seed=27, dtype=dtype),
    }
    trained = {k: (v.double() + gaussian(*v.shape, seed=28, scale=2e-3).double()).to(dtype) for k, v in base.items()}
    for name in ("host", "device"):
        (tmp_path / name).mkdir()
    host = sweep(tmp_path / "host", base, trained, precision=precision).seen
    device = sweep(tmp_path / "device", base, trained, precision=precision, device="cpu:0").seen
    assert host.keys() == device.keys()
    for name, ours in host.items():
        theirs = device[name]
        assert ours.sums is not None and theirs.sums is not None
        for key, value in ours.sums.to_dict().items():
            slack = 1e-13 * math.sqrt(ours.sums.base_sq * ours.sums.delta_sq)
            assert getattr(theirs.sums, key) == pytest.approx(value, rel=1e-12, abs=slack), key
        if ours.spectra is None:
            assert theirs.spectra is None
            continue
        assert theirs.spectra is not None
        near = 1e-9 if precision == "float64" else 1e-4
        for side in ("base", "trained", "delta"):
            a, b = getattr(ours.spectra, side), getattr(theirs.spectra, side)
            assert b.values == pytest.approx(a.values, rel=near, abs=2 * a.floor * a.values[0])
            assert np.abs((a.left[:, 0] * b.left[:, 0]).sum()) == pytest.approx(1, abs=1e-3)
        assert ours.spectra.principal is not None and theirs.spectra.principal is not None
        assert theirs.spectra.principal.left.sum() == pytest.approx(ours.spectra.principal.left.sum(), rel=1e-3)


def test_a_sum_that_nothing_has_rounded_is_told_from_a_stored_one(tmp_path: Path) -> None:
    """An adapter's sum comes in float64 for a base in bfloat16: its spectrum owes nothing to rounding."""
    base = gaussian(40, 20, seed=29, dtype=torch.bfloat16)
    save_file({NAME: base}, tmp_path / "base.safetensors")
    source = source_of(tmp_path / "base.safetensors")

    class Sum:
        tensors, aliases = source.tensors, source.aliases

        def read(self, name: str, start: int, stop: int) -> torch.Tensor:
            return source.read(name, start, stop).double() * 1.001

        def position(self, name: str) -> tuple[int, int]:
            return source.position(name)

    for trained, rounded in ((Sum(), False), (source, True)):
        caches = tmp_path / f"caches-{rounded}"
        for _ in range(2):  # fresh, then from the cache
            sides = [
                Side(tensors=s.tensors, aliases={}, tied=False, vocabulary=lambda: None) for s in (source, trained)
            ]
            seen: dict[str, WeightPair] = {}
            WeightsPass(
                source,
                trained,
                align(*sides),
                executor=LocalExecutor(1),
                analyzers=[[Collector(seen, [], False)]],
                cache=RowCache(caches, "k" * 8, {}),
                spectral=Spectral(
                    precision="float64",
                    vectors=False,
                    trained=trained,
                    max_order=99,
                    base_cache=SpectraCache(directory=caches / "b"),
                    pair_cache=SpectraCache(directory=caches / "p"),
                ),
            ).run()
            spectra = seen[NAME].spectra
            assert spectra is not None and spectra.rounded is rounded
