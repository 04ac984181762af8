"""Directions of change: planted ones are found and coherent, random ones are not; files say what they hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
import pytest
from safetensors import safe_open

from afterburn_core.api import DiagnosticReport
from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Finding, Measurement, Null, Scope
from afterburn_core.testing.checkpoints import load_weights
from afterburn_core.testing.feeding import SUBJECTS
from afterburn_weight.coherence import (
    _framed,
    _rotations,
    coherence,
    common_direction,
    cross_cosine,
    expected_coherence,
    expected_cosine,
    oriented,
)
from afterburn_weight.places import Places

FAMILIES = ["llama", "qwen2", "qwen3", "mistral", "phi3", "gpt2", "gemma", "gemma2", "gemma3"]
WRITERS = {"o_proj", "down_proj", "c_proj"}
WIDTH = 32


def direction(seed: int = 1) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(WIDTH)
    return vector / np.linalg.norm(vector)


def is_writer(name: str) -> bool:
    return name.split(".")[-2] in WRITERS


def plant(u: np.ndarray, size: float = 0.5) -> Callable[[dict[str, Any]], None]:
    """Adds an outer product that writes along u, with another input each time, to every writer."""

    def change(tensors: dict[str, Any]) -> None:
        import torch

        generator, left = torch.Generator().manual_seed(2), torch.from_numpy(u)
        for name in sorted(filter(is_writer, tensors)):
            weight = tensors[name]
            outputs = 1 if "transformer.h" in name else 0  # GPT-2 stores (inputs, outputs)
            other = torch.randn(weight.shape[1 - outputs], generator=generator, dtype=torch.float64)
            added = torch.outer(other, left) if outputs else torch.outer(left, other)
            tensors[name] = (weight.double() + size * added).float()

    return change


def gaussian(tensors: dict[str, Any], seed: int) -> None:
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name in sorted(tensors):
        if tensors[name].ndim == 2:
            tensors[name] += 0.1 * torch.randn(tensors[name].shape, generator=generator)


def at(report: DiagnosticReport, metric: str, subset: str | None) -> Measurement:
    (found,) = [m for m in report.measurements(f"weight.directions.{metric}") if m.scope == Scope(subset=subset)]
    return found


def vectors(report: DiagnosticReport) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
    (artifact,) = [a for a in report.result.artifacts if a.id == "weight.directions"]
    with safe_open(report.directory / artifact.path, framework="numpy") as file:
        metadata = json.loads(file.metadata()["afterburn.directions"])
        assert metadata["version"] == 1
        return {key: file.get_tensor(key) for key in file.keys()}, metadata["directions"]  # noqa: SIM118 no mapping


def readout(report: DiagnosticReport) -> dict[str, Any]:
    (artifact,) = [a for a in report.result.artifacts if a.id == "weight.directions.tokens"]
    loaded: dict[str, Any] = json.loads((report.directory / artifact.path).read_text())
    return loaded


def finding(report: DiagnosticReport) -> Finding:
    (only,) = [f for f in report.findings if f.rule == "weight.direction_coherence"]
    return only


@pytest.mark.parametrize("family", FAMILIES)
def test_a_direction_written_everywhere_is_found_in_every_writer(family: str, tiny: Callable[[str], Any]) -> None:
    model, u = tiny(family), direction()
    report = model.compare(model.copy("trained", plant(u)))
    found, entries = vectors(report)
    written = [key for key in found if key.endswith(".left")]
    assert len(written) == 6 and all(entries[key]["space"] == "writers" for key in written)
    for key in (*written, "common.writers"):
        assert found[key].dtype == np.float32 and np.linalg.norm(found[key]) == pytest.approx(1, abs=1e-6)
        assert abs(found[key] @ u) == pytest.approx(1, abs=1e-5)
    assert {entries[key]["kind"] for key in written} == {"o", "down"}
    assert all(entries[key]["share"] == pytest.approx(1, abs=1e-6) for key in written)
    writers = at(report, "coherence", "writers")
    assert writers.value == pytest.approx(1, abs=1e-6) and writers.n == 6
    assert writers.null is not None and writers.null.p_value == 0.001 and writers.null.n == 999
    assert at(report, "mean_cosine", "writers").value == pytest.approx(1, abs=1e-6)
    assert at(report, "coherence", "readers").value is None
    assert at(report, "coherence_expected", "writers").value == pytest.approx((1 + np.sqrt(6 / 32)) ** 2 / 6)
    assert finding(report).kind == "informational" and "directions of writers" in finding(report).message
    assert finding(report).artifacts == ("weight.directions.tokens",)


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3", "gemma3"])
def test_singular_vectors_sizes_and_shares_agree_with_numpy(family: str, tiny: Callable[[str], Any]) -> None:
    """Unfused here, by hand, for the two families that store their projections in another shape."""
    model = tiny(family)
    trained = model.copy("trained", lambda tensors: gaussian(tensors, 3))
    found, entries = vectors(model.compare(trained))
    after = load_weights(trained)
    deltas = {name: after[name].double().numpy() - base for name, base in model.tensors.items() if base.ndim == 2}
    seen = 0
    for key, entry in entries.items():
        if entry["kind"] == "common":
            continue
        name, side = key.rsplit(".", 1)
        delta = unfused(name, deltas)
        left, values, right = np.linalg.svd(delta, full_matrices=False)
        expected = left[:, 0] if side == "left" else right[0]
        assert abs(expected @ found[key]) == pytest.approx(1, abs=1e-5)
        assert entry["sigma"] == pytest.approx(values[0], rel=1e-5)
        assert entry["second_sigma"] == pytest.approx(values[1], rel=1e-5)
        assert entry["share"] == pytest.approx(values[0] ** 2 / np.sum(values**2), rel=1e-5)
        assert entry["tensor"] == name
        seen += 1
    heads = 0 if family == "gpt2" or family == "gemma3" else 1
    assert seen == 3 * (6 if family == "gpt2" else 7) + 1 + heads


def unfused(name: str, deltas: Mapping[str, np.ndarray]) -> np.ndarray:
    prefix, _, module = name.removesuffix(".weight").rpartition(".")
    if "transformer.h" in name:
        if module in {"q_proj", "k_proj", "v_proj"}:
            return np.split(deltas[f"{prefix}.c_attn.weight"], 3, axis=1)["qkv".index(module[0])].T
        return deltas[name].T
    if f"{prefix}.qkv_proj.weight" in deltas and module[0] in "qkv":
        return np.split(deltas[f"{prefix}.qkv_proj.weight"], [32, 48])["qkv".index(module[0])]
    if f"{prefix}.gate_up_proj.weight" in deltas and module in {"gate_proj", "up_proj"}:
        return np.split(deltas[f"{prefix}.gate_up_proj.weight"], 2)[module == "up_proj"]
    return deltas[name]


def test_what_writers_and_readers_share_is_a_number_of_its_own(tiny: Callable[[str], Any]) -> None:
    model, u = tiny("llama"), direction()

    def change(tensors: dict[str, Any]) -> None:
        import torch

        plant(u)(tensors)
        generator = torch.Generator().manual_seed(9)
        for name in sorted(tensors):
            if name.split(".")[-2] in {"up_proj", "q_proj"}:
                other = torch.randn(len(tensors[name]), generator=generator, dtype=torch.float64)
                tensors[name] = (tensors[name].double() + torch.outer(other, torch.from_numpy(u))).float()

    report = model.compare(model.copy("trained", change))
    cross = at(report, "writer_reader_cosine", None)
    assert cross.value == pytest.approx(1, abs=1e-5) and cross.n == 6 * 6
    assert cross.null is not None and cross.null.p_value == 0.005
    apart = model.compare(model.copy("apart", lambda tensors: gaussian(tensors, 4)))
    other = at(apart, "writer_reader_cosine", None)
    assert other.value == pytest.approx(expected_cosine(WIDTH), rel=0.35)
    assert other.null is not None and other.null.p_value > 0.005


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_nearest_tokens_are_those_of_the_readout_in_numpy(family: str, tiny: Callable[[str], Any]) -> None:
    """W_U (g ∘ u), with the family's own gain, head and norm."""
    model, u = tiny(family), direction(4)
    trained = model.copy("trained", plant(u))
    report = model.compare(trained)
    after = {name: value.double().numpy() for name, value in load_weights(trained).items()}
    head = after.get("lm_head.weight", after.get("model.embed_tokens.weight", after.get("transformer.wte.weight")))
    gain = after.get("model.norm.weight", after.get("transformer.ln_f.weight"))
    assert head is not None and gain is not None
    if family == "gemma2":
        gain = gain + 1
    document = readout(report)
    assert document["note"] == "readout, not proof"
    rows = {row["tensor"]: row for row in document["directions"]}
    assert len(rows) == 7 and "common direction of writers" in rows
    found, _ = vectors(report)
    for name, row in rows.items():
        vector = found["common.writers" if name.startswith("common") else f"{name}.left"].astype(np.float64)
        if family == "gpt2":
            vector = vector - vector.mean()
        logits = (head @ (gain * vector))[:60]  # the other four rows are padding
        order = np.argsort(-logits, kind="stable")
        assert [entry["id"] for entry in row["tokens_plus"]] == order[:20].tolist()
        assert [entry["id"] for entry in row["tokens_minus"]] == order[::-1][:20].tolist()
        assert row["tokens_plus"][0]["logit"] == pytest.approx(logits[order[0]], rel=1e-4)
        assert row["tokens_plus"][0]["token"] == {0: "<unk>", 1: "<s>", 2: "</s>"}.get(
            int(order[0]), f"word{order[0] - 3}"
        )


def test_withheld_tokens_are_digests(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    report = model.compare(model.copy("trained", plant(direction())), excerpts=False)
    tokens = {entry["token"] for row in readout(report)["directions"] for entry in row["tokens_plus"]}
    assert tokens and all(token.startswith("sha256:") for token in tokens)


def test_options_limit_what_is_read_out_and_drawn(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    trained = model.copy("trained", plant(direction()))
    few = {"weight.directions": {"tokens": 3, "read_out": 2, "draws": 39}}
    report = model.compare(trained, options=few)
    rows = readout(report)["directions"]
    assert len(rows) == 3 and {len(row["tokens_plus"]) for row in rows} == {3}
    writers = at(report, "coherence", "writers")
    assert writers.null is not None and (writers.null.n, writers.null.p_value) == (39, 1 / 40)


def test_a_model_against_itself_has_no_direction(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    report = model.compare(model.copy("trained", lambda tensors: None))
    assert {m.value for m in report.measurements("weight.directions.coherence")} == {None}
    assert not [a for a in report.result.artifacts if a.id.startswith("weight.directions")]
    assert finding(report).kind == "not_applicable"


# --- formulas -------------------------------------------------------------------------------------------------------


def spheres(seed: int, count: int, dimensions: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((count, dimensions))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def test_coherence_of_known_sets() -> None:
    same = np.tile(spheres(1, 1, 20), (5, 1)) * np.array([1, -1, 1, -1, -1])[:, None]
    found = coherence(same, draws=19, seed=0)
    assert [found.value, found.cosine] == pytest.approx([1, 1])
    assert (found.value_null.p_value, found.value_null.quantile) == (0.05, 1.0)
    apart = coherence(np.eye(4, 20), draws=19, seed=0)
    assert [apart.value, apart.cosine] == pytest.approx([0.25, 0.0], abs=1e-15)
    assert apart.value_null.p_value == 1.0
    half = coherence(np.concatenate([np.eye(1, 20), np.eye(1, 20), np.eye(2, 20, k=1)]), draws=19, seed=0)
    assert half.value == pytest.approx(0.5) and half.cosine == pytest.approx(1 / 6)


@pytest.mark.parametrize(("dimensions", "expected"), [(576, 0.0278), (2048, 0.0216), (4096, 0.0198)])
def test_the_expectation_at_random_is_that_of_the_reference_table(dimensions: int, expected: float) -> None:
    assert expected_coherence(64, dimensions) == pytest.approx(expected, abs=6e-5)
    values = [coherence(spheres(seed, 64, dimensions), draws=19, seed=0).value for seed in range(5)]
    assert np.mean(values) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("dimensions", "expected"), [(576, 0.033), (2048, 0.018), (4096, 0.0125)])
def test_random_directions_have_the_mean_cosine_that_is_stated(dimensions: int, expected: float) -> None:
    assert expected_cosine(dimensions) == pytest.approx(expected, abs=4e-4)
    assert coherence(spheres(3, 64, dimensions), draws=19, seed=0).cosine == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("count", "dimensions"), [(6, 32), (40, 16)])
def test_the_p_value_of_random_directions_is_uniform(count: int, dimensions: int) -> None:
    """Kolmogorov's distance of 200 p values from the uniform law; 1.95/√n bounds it in 99.9 % of the cases."""
    p = np.sort([coherence(spheres(s, count, dimensions), draws=99, seed=s).value_null.p_value for s in range(200)])
    distance = np.abs(p - np.arange(1, 201) / 200).max()
    assert distance < 1.95 / np.sqrt(200) + 1 / 100


def test_independent_changes_of_whole_matrices_are_coherent_by_chance_alone() -> None:
    """Top left singular vectors of Gaussian matrices, as the pass computes them: p ≤ .05 in 5 % of 200 models."""
    p = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        top = [np.linalg.svd(generator.standard_normal((24, 30)))[0][:, 0] for _ in range(6)]
        p.append(coherence(np.array(top), draws=99, seed=seed).value_null.p_value)
    rate = float(np.mean(np.array(p) <= 0.05))
    assert abs(rate - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 200)


def test_the_rotation_null_keeps_each_sets_own_coherence() -> None:
    """Both sets are one line each: at random |cos| of two lines, whose p is uniform; aligned it is the least."""
    p = []
    for seed in range(200):
        u, v = spheres(seed, 2, 16)
        _, null = cross_cosine(np.tile(u, (4, 1)), np.tile(v, (5, 1)), draws=99, seed=seed)
        p.append(null.p_value)
    assert abs(np.mean(np.array(p) <= 0.1) - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 200)
    aligned, null = cross_cosine(np.tile(u, (4, 1)), np.tile(u, (5, 1)), draws=99, seed=0)
    assert aligned == pytest.approx(1) and null.p_value == 0.01


@pytest.mark.parametrize(("writers", "readers", "dimensions"), [(3, 4, 10), (6, 5, 8), (2, 9, 6)])
def test_the_rotation_null_is_that_of_whole_rotations(writers: int, readers: int, dimensions: int) -> None:
    """Against rotations of all of space, drawn here: two-sample Kolmogorov distance of 600 draws each."""
    u, v = spheres(1, writers, dimensions), spheres(2, readers, dimensions)
    generator, explicit = np.random.default_rng(5), []
    for _ in range(600):
        turned, triangle = np.linalg.qr(generator.standard_normal((dimensions, dimensions)))
        explicit.append(np.abs(u @ (turned * np.sign(np.diag(triangle))) @ v.T).mean())
    levels = np.quantile(explicit, [0.1, 0.25, 0.5, 0.75, 0.9])
    for level, share in zip(levels, [0.1, 0.25, 0.5, 0.75, 0.9], strict=True):
        assert rotated_share(u, v, level) == pytest.approx(share, abs=1.95 * np.sqrt(2 / 600))


def rotated_share(u: np.ndarray, v: np.ndarray, level: float) -> float:
    """Share of the analyzer's own draws that do not exceed a level."""
    left, right = _framed(u), _framed(v)
    parts = _rotations(left[1], right[1], u.shape[1], 600, np.random.default_rng(6))
    return float(np.mean([np.abs(left[0] @ part @ right[0].T).mean() <= level for part in parts]))


def test_signs_are_fixed_by_the_largest_entry() -> None:
    vector = np.array([0.1, -0.9, 0.3])
    assert oriented(vector).tolist() == (-vector).tolist() == oriented(-vector).tolist()
    lines = np.array([[0.0, 1.0], [0.0, -1.0]])
    assert common_direction(lines).tolist() == pytest.approx([0.0, 1.0], abs=1e-15)


def judged(value: float, p: float | None, *, whole: bool = True) -> Finding:
    null = None if p is None else Null(control="random_directions", n=199, quantile=1 - p, p_value=p)
    scope = Scope(subset="writers")
    measured = [measure("weight.directions.mean_cosine", 0.1, scope=scope, n=6)]
    if whole:
        found = measure("weight.directions.coherence", value, scope=scope, n=6)
        measured.append(attrs.evolve(found, null=null))
    evidence = Evidence(subjects=SUBJECTS, measurements=tuple(measured))
    return next(f for f in Places()(evidence) if f.rule == "weight.direction_coherence")


def test_the_rule_on_coherence_takes_every_kind() -> None:
    assert judged(0.9, 0.005).kind == "informational"
    assert judged(0.9, 0.5).kind == "pass"
    assert judged(0.9, None).kind == "open"
    assert judged(0.9, 0.005, whole=False).kind == "open"
