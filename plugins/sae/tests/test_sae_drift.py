"""Drift over domains: numbers against their definitions, planted where they were planted, nothing where nothing is."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from scipy import stats as scipy_stats

sys.path.append(str(Path(__file__).parent))

from made_readings import SITES, TOKENS, D, analyze, batch, dictionary, stored_report

from afterburn_core.api import DiagnosticReport
from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.suites import full_name
from afterburn_core.testing.documents import result_of
from afterburn_sae.domain_texts import PAIRS, SETS, finance_items
from afterburn_sae.drift import Drift
from afterburn_sae.drift_numbers import distance, mass
from afterburn_sae.risk_needs import of_drift
from afterburn_sae.risk_options import DriftOptions

ANY = 1e9
"""The random latents of most tests fit nothing."""


def readings(moved: float, count: int = 8) -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Every set; the trained side is moved along the last axis at block 1 on finance alone."""
    rng = np.random.default_rng(3)
    made = []
    for of in SETS:
        for i in range(count):
            base = {site: 1 + rng.normal(size=(TOKENS, D)) for site in SITES}
            push = moved * np.eye(D)[-1] if of == "sae.finance" else np.zeros(D)
            made.append((f"{of}/{i}", of, base, {SITES[0]: base[SITES[0]], SITES[1]: base[SITES[1]] + push}))
    return made


def test_distance_and_mass_are_those_of_their_definitions_with_jackknife_intervals() -> None:
    rng = np.random.default_rng(0)
    base, delta = 2 + rng.normal(size=(20, 6)), 0.5 * rng.normal(size=(20, 6)) + np.arange(6)

    def cosine_distance(b: np.ndarray, d: np.ndarray) -> float:
        x, y = b.mean(axis=0), (b + d).mean(axis=0)
        return float(1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    def moved(b: np.ndarray, d: np.ndarray) -> float:
        return float(np.abs(d.mean(axis=0)).sum() / b.mean(axis=0).sum())

    for function, reference in ((distance, cosine_distance), (mass, moved)):
        found = function(base, delta, seed=1)
        assert found.estimate == pytest.approx(reference(base, delta), rel=1e-12)
        left = np.array([reference(np.delete(base, i, 0), np.delete(delta, i, 0)) for i in range(20)])
        influence = 19 * (left.mean() - left)
        reach = scipy_stats.t.ppf(0.975, 19) * influence.std(ddof=1) / math.sqrt(20)
        assert found.interval is not None and found.estimate is not None
        expected = (found.estimate - reach, found.estimate + reach)
        assert (found.interval.low, found.interval.high) == pytest.approx(expected, rel=1e-9)


def test_a_tiny_distance_is_not_lost_to_cancellation() -> None:
    base, delta = np.tile(np.eye(3)[0], (4, 1)), np.tile(1e-9 * np.eye(3)[1], (4, 1))
    found = distance(base, delta, seed=0)
    assert found.estimate == pytest.approx(5e-19, rel=1e-6)  # ½ tan², which 1 − cos in doubles gives as 0


def test_an_interval_covers_the_population_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    mean, shift = np.full(8, 3.0), np.linspace(0, 1, 8)
    truth = 1 - mean @ (mean + shift) / np.linalg.norm(mean) / np.linalg.norm(mean + shift)
    held = 0
    for seed in range(200):
        base, delta = mean + rng.normal(size=(25, 8)), shift + 0.3 * rng.normal(size=(25, 8))
        ends = distance(base, delta, seed=seed).interval
        assert ends is not None
        held += ends.low <= truth <= ends.high
    assert 178 <= held <= 199  # 95 % of 200 is 190; the interval is Student's of a curved number


def test_drift_is_found_on_the_set_and_at_the_layer_where_it_was_planted(tmp_path: Path) -> None:
    path, encoder = dictionary(tmp_path / "made")
    made = readings(moved=2.0)
    output = analyze(lambda: Drift(DriftOptions(dictionaries=(str(path),), most_unexplained=ANY)), [batch(made)])
    found = {(m.metric.rpartition(".")[2], m.scope.site, m.scope.subset): m for m in output.measurements}
    assert {key for key, m in found.items() if m.value} == {
        (kind, SITES[1], "sae.finance") for kind in ("dense", "features", "mass")
    }
    assert {kind for kind, site, _ in found if site == SITES[0]} == {"dense"}  # no dictionary reads block 0
    own = [one for one in made if one[1] == "sae.finance"]
    means = [np.stack([one[k][SITES[1]][1:].mean(axis=0) for one in own]).mean(axis=0) for k in (2, 3)]
    expected = 1 - means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1])
    assert found["dense", SITES[1], "sae.finance"].value == pytest.approx(expected, rel=1e-5)
    codes = [
        np.stack([np.maximum(one[k][SITES[1]][1:] @ encoder, 0).mean(axis=0) for one in own]).mean(axis=0)
        for k in (2, 3)
    ]
    moved = np.abs(codes[1] - codes[0]).sum() / codes[0].sum()
    assert found["mass", SITES[1], "sae.finance"].value == pytest.approx(moved, rel=1e-4)
    assert found["mass", SITES[1], "sae.finance"].n == 8
    stored = json.loads(output.artifacts[0].content)
    assert (stored["sites"], stored["sets"]) == (list(SITES), list(SETS))


def test_a_prompt_that_is_not_finite_is_left_out_and_a_dictionary_of_differences_is_not_used(tmp_path: Path) -> None:
    path, _ = dictionary(tmp_path / "made")
    made = readings(moved=2.0)
    made[2][3][SITES[1]][3, 5] = np.inf
    options = DriftOptions(dictionaries=(str(path),), most_unexplained=ANY)
    with np.errstate(invalid="ignore"):
        broken = analyze(lambda: Drift(options), [batch(made)])
    whole = analyze(lambda: Drift(options), [batch(made[:2] + made[3:])])
    place = {"layer": 1, "subset": made[2][1]}
    for kind in ("dense", "features", "mass"):
        found, expected = (
            next(m for m in one.measurements if m.metric.endswith(kind) and m.scope.subset == place["subset"]
                 and m.scope.layer == place["layer"])
            for one in (broken, whole)
        )  # fmt: skip
        assert (found.value, found.n) == (expected.value, 7)
    configuration = json.loads((path / "cfg.json").read_text())
    configuration["metadata"]["afterburn"] = {"on": "difference", "site": SITES[1]}
    (path / "cfg.json").write_text(json.dumps(configuration))
    output = analyze(lambda: Drift(options), [batch(made[:2])])
    assert {m.metric for m in output.measurements} == {"sae.drift.dense"}
    assert "differences" in output.notifications[0].message


def test_a_dictionary_that_does_not_fit_gives_no_drift_of_features(tmp_path: Path) -> None:
    path, _ = dictionary(tmp_path / "made")
    made = readings(moved=2.0, count=3)
    output = analyze(lambda: Drift(DriftOptions(dictionaries=(str(path),))), [batch(made)])
    for m in output.measurements:
        assert (m.value is None) == (m.metric != "sae.drift.dense") and m.n == 3
        assert m.value is not None or "not valid here" in str(m.reason)
    assert "unexplained" in output.notifications[0].message
    axes = np.concatenate([np.eye(D), -np.eye(D)]).astype(np.float32)  # rebuild any activation
    zeros = {"b_enc": np.zeros(2 * D, dtype=np.float32), "b_dec": np.zeros(D, dtype=np.float32)}
    tensors = {"W_enc": np.ascontiguousarray(axes.T), "W_dec": axes, **zeros}
    (path / "sae_weights.safetensors").write_bytes(safetensors.numpy.save(tensors))
    configuration = json.loads((path / "cfg.json").read_text())
    (path / "cfg.json").write_text(json.dumps(configuration | {"d_sae": 2 * D}))
    whole = analyze(lambda: Drift(DriftOptions(dictionaries=(str(path),))), [batch(made)])
    assert all(m.value is not None for m in whole.measurements) and not whole.notifications


def test_neither_order_nor_division_changes_a_number(tmp_path: Path) -> None:
    path, _ = dictionary(tmp_path / "made")
    made = readings(moved=0.3)
    batches = [batch(made[i : i + 4]) for i in range(0, len(made), 4)]
    whole = analyze(lambda: Drift(DriftOptions(dictionaries=(str(path),), most_unexplained=ANY)), batches)
    other = analyze(
        lambda: Drift(DriftOptions(dictionaries=(str(path),), most_unexplained=ANY)), batches[::-1], parts=3
    )
    assert whole == other


def test_a_report_answers_for_one_layer_and_for_all(tmp_path: Path) -> None:
    path, _ = dictionary(tmp_path / "made")
    output = analyze(
        lambda: Drift(DriftOptions(dictionaries=(str(path),), most_unexplained=ANY)), [batch(readings(moved=2.0))]
    )
    report = stored_report(tmp_path, output)
    row = report.drift_heatmap(1)
    assert row.sets == SETS and row.layer == 1
    assert row.values[0] is not None and row.values[0] > 0.01 and row.values[1:] == (0.0, 0.0, 0.0)
    assert row.intervals[0] is not None and row.intervals[0][0] < row.values[0] < row.intervals[0][1]
    whole = report.drift_heatmap()
    assert whole.sites == SITES and whole.values[1] == row.values
    assert report.drift_heatmap(0, measure="mass").values == (None,) * 4
    assert str(row).splitlines()[1].startswith("sae.finance")
    assert "<td>sae.finance</td>" in row._repr_html_() and "<script" not in whole._repr_html_()
    with pytest.raises(ConfigError, match="no drift was measured at layer 9; there are blocks.0.out, blocks.1.out"):
        report.drift_heatmap(9)
    with pytest.raises(ConfigError, match="measured no drift over probe sets"):
        DiagnosticReport(result_of(), tmp_path).drift_heatmap()


def test_a_dictionary_of_another_width_is_not_valid_here_and_the_layers_are_measured_all_the_same(
    tmp_path: Path,
) -> None:
    path, _ = dictionary(tmp_path / "made")
    narrow = [
        (name, of, *({site: rows[..., : D // 2] for site, rows in side.items()} for side in sides))
        for name, of, *sides in readings(moved=2.0)
    ]
    output = analyze(lambda: Drift(DriftOptions(dictionaries=(str(path),))), [batch(narrow)])
    assert {m.metric for m in output.measurements} == {"sae.drift.dense"}
    (note,) = output.notifications
    assert f"not valid here: it has width {D} at blocks.1.out, not {D // 2}" in note.message


def test_the_domains_are_read_only_where_a_dictionary_is_named(tmp_path: Path) -> None:
    assert isinstance(of_drift(DriftOptions()), str)
    path, _ = dictionary(tmp_path / "made")
    (need,) = of_drift(DriftOptions(dictionaries=(str(path),), site="blocks.1.mlp.out"))
    assert need.passage_sets == SETS and need.sources == ("given",)
    assert need.sites == ("blocks.*.out", "blocks.1.mlp.out")
    registry = Registry.discover()
    sets = {r.spec.name: r.spec for r in registry.specs("probe_set") if r.spec.name in SETS}
    assert len(sets) == 4 and all(one.use == "passages" and not one.default for one in sets.values())


def test_what_is_only_read_takes_no_name_from_what_is_asked() -> None:
    pytest.importorskip("afterburn_behaviour")
    assert full_name("safety", Registry.discover()) == "behaviour.safety"


def test_every_domain_has_texts_enough_and_none_twice() -> None:
    texts = [text for pairs in PAIRS.values() for pair in pairs for text in pair]
    assert all(len(pairs) >= 24 for pairs in PAIRS.values()) and len(set(texts)) == len(texts)
    probes = list(finance_items(0, None))
    assert [one.id for one in finance_items(5, 3)] == [one.id for one in probes[:3]]
    assert all(one.messages[-1].role == "assistant" for one in probes)
