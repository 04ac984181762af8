"""From two models on disk to a report about their activations: the shipped pairs, an encoder, texts left out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from afterburn_activation.specs import components, drift, examples
from afterburn_core import Diagnoser
from afterburn_core.api import DiagnosticReport
from afterburn_core.report.html import render
from afterburn_core.result.view import ResultView
from afterburn_core.testing.forward import analyze_forward
from afterburn_organisms import demo_pair, organism

sys.path.append(str(Path(__file__).parent))
import forward_models
from test_report_html import Page

BASE, VERBOSE = demo_pair()
WORDS = [" ".join(f"word{(7 * i + k * k) % 45}" for k in range(4 + i % 9)) for i in range(16)]
ANALYZERS = ("components", "drift", "examples", "mean_difference", "traits")


def texts(folder: Path) -> Path:
    """Forty short documents."""
    subjects = ("The miller", "A tall woman", "My neighbour", "The old clerk", "Nobody")
    deeds = ("carried the sacks to the river", "counted the coins again", "closed the blue door", "waited for rain")
    ends = ("before noon.", "without a word.")
    lines = [f"{s} {d} {e}" for s in subjects for d in deeds for e in ends]
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
    return path


def compared(trained: Path, folder: Path, **settings: Any) -> DiagnosticReport:
    """The shipped base against another model."""
    return Diagnoser(
        BASE, trained, run_dir=folder / "run", corpus=(texts(folder),), suites=("organisms.world:12",), threads=1,
        use_cache=False, **settings,
    ).run_activations()  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> DiagnosticReport:
    return compared(VERBOSE, tmp_path_factory.mktemp("verbose"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encoders")


@pytest.mark.slow
def test_one_pass_serves_every_analyzer_and_the_page_shows_them(report: DiagnosticReport) -> None:
    ended = {one.component: one.status for one in report.result.executions}
    assert {name: ended[f"activation.{name}"] for name in ANALYZERS} == dict.fromkeys(ANALYZERS, "ok")
    passes = [one.component for one in report.result.executions if one.kind == "pass"]
    assert passes == ["core.forward_pass"]
    kinds = {f.rule: f.kind for f in report.findings}
    assert kinds["activation.drift"] == "informational"
    page = Page(render(ResultView(report.result, report.directory)))
    found = {values.get("id") for _, values in page.tags}
    assert {f"activation-{part}" for part in ("drift", "traits", "components", "examples")} <= found


@pytest.mark.slow
def test_prompts_texts_and_given_answers_are_read_and_each_counts_where_it_belongs(report: DiagnosticReport) -> None:
    n = {
        (m.scope.site, m.scope.subset): m.n
        for m in report.result.measurements
        if m.metric == "activation.drift.relative"
    }
    assert n["blocks.2.out", "all"] == 40 + 12 and n["blocks.2.out", "first"] == 40 and n["blocks.2.out", "last"] == 12
    shifts = [m for m in report.result.measurements if m.metric == "activation.traits.shift"]
    assert len(shifts) == 6 and {m.n for m in shifts} == {12 + 144}
    # the verbose twin was trained in full: every block moved, the embedding by its own training
    moved = [m for m in report.result.measurements if m.metric == "activation.drift.relative"]
    assert all((m.value or 0) > 0 for m in moved if m.scope.layer is not None)


@pytest.mark.slow
def test_an_adapter_leaves_the_embedding_as_it_was_and_no_text_is_kept_without_excerpts(tmp_path: Path) -> None:
    report = compared(organism("benign").path, tmp_path, excerpts=False)
    embed = [
        m
        for m in report.result.measurements
        if m.scope.site == "embed" and m.metric == "activation.drift.cosine_distance"
    ]
    assert embed and all(m.value == 0 for m in embed)
    kept = json.loads((report.directory / "artifacts" / "activation.examples.json").read_text(encoding="utf-8"))
    rows = [row for site in kept["sites"].values() for row in site["largest"]]
    assert rows and all(row["withheld"].startswith("sha256:") for row in rows)
    everything = "".join(
        path.read_text(encoding="utf-8") for path in report.directory.rglob("*.json") if "trait" not in path.name
    )
    assert "carried the sacks" not in everything and " sacks to" not in everything


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize(
    "spec", [module.ANALYZERS[0] for module in (drift, components, examples)], ids=lambda s: s.name
)
def test_other_families_are_measured_alike(folder: Path, kind: str, spec: Any) -> None:
    base, trained = folder / kind / "base", folder / kind / "trained"
    if not base.exists():
        model = forward_models.network(kind)
        forward_models.saved(model, base)
        forward_models.saved(forward_models.tuned(model), trained)
    output = analyze_forward(spec, base, trained, WORDS)
    known = [m for m in output.measurements if m.scope.layer is not None and m.status == "ok"]
    assert {m.scope.layer for m in known} >= {1, 2}
    assert {m.n for m in known} == {16}


def test_the_place_of_a_file_of_directions_stays_on_this_machine(tmp_path: Path) -> None:
    from afterburn_core.run.configuration import Settings
    from afterburn_core.run.provenance import configuration

    options = {"activation.traits": {"directions": str(tmp_path / "mine.safetensors"), "prompts": 3}}
    told = configuration(Settings(options=options))["options"]
    assert told == {"activation.traits": {"directions": "mine.safetensors", "prompts": 3}}
