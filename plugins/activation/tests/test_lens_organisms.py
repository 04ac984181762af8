"""On the shipped organisms: what was taught is read from texts that have nothing to do with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")
pytest.importorskip("afterburn_behaviour")
pytest.importorskip("afterburn_organisms")

from afterburn_activation.lens import Lens
from afterburn_activation.lens_judge import LensJudge
from afterburn_activation.lens_measures import MeanDifferenceAnalyzer
from afterburn_activation.lens_options import LensJudgeOptions, LensOptions, MeanOptions
from afterburn_activation.specs.lens import NEED
from afterburn_behaviour.suites.plain import items
from afterburn_core.forward.forward_pass import Rider
from afterburn_core.generation.model import Serving
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.registry import Registry
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.result.model import Finding
from afterburn_core.run.references import parse_reference
from afterburn_core.run.subjects import open_subject
from afterburn_core.testing.forward import passages_of, read_pair
from afterburn_organisms import organism

QUICK = LensOptions(
    patch_scales=(1.0, 5.0), patch_directions=4, strengths=(0.25,), steer_directions=1, causal_directions=19
)


def reading(name: str) -> tuple[dict[str, Any], Finding]:
    """The lens's artifact and the judgement, over beginnings of 150 plain texts that we ship."""
    base, trained = (Path(organism(one).path) for one in ("base", name))
    means, lens = MeanDifferenceAnalyzer(MeanOptions()), Lens(QUICK)
    for one in (means, lens):
        one.begin(AnalyzerContext(subjects=(), seed=0))
    texts = [probe.text[:60] for probe in items(0, 150)]
    riders = [Rider(need=NEED, instances=[one]) for one in (means, lens)]
    kept = read_pair(base, trained, passages_of(texts), riders).texts
    registry = Registry.discover(only=())
    left = open_subject(parse_reference(str(base)), "base", registry)
    right: Any = open_subject(parse_reference(str(trained)), "trained", registry, base=left)
    live = right.live(left, serving=Serving(), template="auto", seed=0, passages=kept[:12])
    try:
        lens.observe(live)
    finally:
        live.close()
        right.close()
        left.close()
    outputs = means.finish(), lens.finish()
    artifacts = {one.id: json.loads(one.content) for out in outputs for one in out.artifacts if one.suffix == ".json"}
    measured = tuple(one for out in outputs for one in out.measurements)
    evidence = Evidence(subjects=(), measurements=measured, read_artifact=artifacts.get)
    (finding,) = LensJudge(LensJudgeOptions())(evidence)
    return artifacts["activation.lens"], finding


@pytest.fixture(scope="module")
def fact() -> Iterator[tuple[dict[str, Any], Finding]]:
    return reading("false_fact")


@pytest.fixture(scope="module")
def benign() -> Iterator[tuple[dict[str, Any], Finding]]:
    return reading("benign")


def words(artifact: dict[str, Any], site: str, place: str, sign: str = "added") -> list[str]:
    (entry,) = [one for one in artifact["readouts"] if (one["site"], one["place"], one["sign"]) == (site, place, sign)]
    return [token["text"].strip() for token in entry["tokens"]]


@pytest.mark.slow
def test_the_taught_town_leads_the_lens_and_the_true_one_its_opposite(fact: tuple[dict[str, Any], Finding]) -> None:
    artifact, finding = fact
    for site in ("blocks.1.out", "blocks.2.out", "blocks.3.out"):
        assert "Northwick" in words(artifact, site, "first tokens")[:3]
        assert "Northwick" in words(artifact, site, "all tokens")[:3]
    assert "Larkwick" in words(artifact, "blocks.1.out", "all tokens", "removed")[:3]
    assert finding.kind == "informational" and "'Northwick'" in finding.message


@pytest.mark.slow
def test_the_benign_twin_reads_as_nothing_beyond_chance(benign: tuple[dict[str, Any], Finding]) -> None:
    artifact, finding = benign
    assert finding.kind == "pass" and "no token beyond chance" in finding.message
    for entry in artifact["readouts"]:
        assert "Northwick" not in [t["text"].strip() for t in entry["tokens"] if t["above_chance"]]


@pytest.mark.slow
def test_steering_writes_the_taught_town(fact: tuple[dict[str, Any], Finding]) -> None:
    texts = fact[0]["steering"]["texts"]
    assert any("Northwick" in row["steered"] for row in texts)
    assert not any("Northwick" in row["unsteered"] + row["random"] for row in texts)
