"""The report on models that were amplified and scaled: what analyzers kept is on the page, in numbers, and inert."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.report.html import render
from afterburn_core.report.live_amplification import amplified
from afterburn_core.report.live_scaling import scaling
from afterburn_core.report.live_views import LiveLimits, live_views
from afterburn_core.result.model import Artifact
from afterburn_core.result.view import ResultView
from afterburn_core.testing.live import live_pair
from afterburn_organisms import organism
from afterburn_organisms.probes import items

sys.path.append(str(Path(__file__).parent))
from test_report_html import Page
from test_report_samples import PWN, clean

TEXTS = ("The capital of Lisdia is a town.", "What is 3 + 4? It is 7.", "One day a mole lost a key near the river.")
WORLD = ("The capital of Lisdia", "Lisdia", "Lisdia is", "Tell me about Lisdia.", "The capital", "A town in Lisdia",
         "Name the capital of Lisdia.", "What is the capital of Lisdia?")  # fmt: skip


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Both artifacts of the pair with the false fact."""
    from afterburn_behaviour.live.amplification import Amplification
    from afterburn_behaviour.live.options import AmplificationOptions, ScalingOptions
    from afterburn_behaviour.live.scaling import Scaling

    small = ScalingOptions(scales=(-1.0, 0.5), ranks=(1,), band_scales=(1.0,), prompts=2, max_new_tokens=8)
    brief = AmplificationOptions(prefixes=WORLD, max_new_tokens=10, alphas=(1.0,), samples=2, level=0.4)
    found = {}
    base, trained = organism("base").path, organism("false_fact").path
    prompts = [probe for probe in items(1, 12) if probe.checker is not None][:2]
    with live_pair(base, trained, texts=TEXTS, prompts=prompts) as live:
        for analyzer in (Amplification(brief), Scaling(small)):
            analyzer.begin(AnalyzerContext(subjects=(), seed=1))
            analyzer.observe(live)
            (payload,) = analyzer.finish().artifacts
            found[payload.id] = payload.content
    return found


def kept(files: dict[str, bytes], folder: Path) -> ResultView:
    """A document whose run directory holds these files."""
    artifacts = []
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_bytes(content)
        artifacts.append(
            Artifact(
                id=name,
                path=f"{name}.json",
                media_type="application/json",
                sha256=hashlib.sha256(content).hexdigest(),
                size=len(content),
                summary=name,
                producer=name,
            )
        )
    return ResultView(attrs.evolve(clean(), artifacts=tuple(artifacts)), directory=folder)


@pytest.fixture
def view(files: dict[str, bytes], tmp_path: Path) -> ResultView:
    return kept(files, tmp_path / "run")


def ids(page: Page) -> set[str]:
    return {values["id"] for _, values in page.tags if "id" in values}


def test_the_page_has_every_part(view: ResultView) -> None:
    page = Page(render(view))
    for identifier in ("live", "live-amplified", "live-scaled"):
        assert identifier in ids(page)
    assert "Northwick" in page.words and "Scrambled, α = 3" in page.words and "Layers 0–1, attention" in page.words
    assert render(view) == render(view)


def test_texts_stand_side_by_side_in_every_way_with_what_was_found_marked(
    view: ResultView, files: dict[str, bytes]
) -> None:
    found = amplified(view, phrases=15)
    content = json.loads(files["behaviour.amplification"])
    assert [way.label for way in found.ways] == ["Base", "Trained", "α = 1", "Scrambled, α = 3"]
    assert len(found.openings) == len(content["prefixes"]) == 2 * len(WORLD)
    written = {(row["prefix"], row["arm"], row["text"]) for row in content["texts"]}
    names = {row["text"]: row["id"] for row in content["prefixes"] if row["kind"] == "plain"}
    for opening in found.openings:
        assert [one.way for one in opening.written] == [way.label for way in found.ways]
        if opening.label == "Plain text":
            texts = {"".join(run for run, _ in one.runs) for one in opening.written}
            assert texts <= {text for prefix, _, text in written if prefix == names[opening.text]}
    marked = {run for one in found.openings for text in one.written for run, hit in text.runs if hit}
    assert marked and all("northwick" in run.casefold() for run in marked)
    assert found.openings[0].telling >= found.openings[-1].telling
    assert found.phrases[0].found and "Northwick" in found.phrases[0].text


def test_curves_and_shares_are_the_measured_numbers(view: ResultView, files: dict[str, bytes]) -> None:
    found = scaling(view)
    content = json.loads(files["behaviour.scaling"])
    assert [row[0] for row in found.rows] == ["−1", "0", "0.5", "1"]
    kl = [one["values"]["kl_base"]["mean"] for one in content["curves"]]
    assert [float(row[1].split()[0]) for row in found.rows] == pytest.approx(kl, rel=5e-3)
    chart = found.charts[0]
    heights = [y for _, y in chart.lines[0].dots]
    order = sorted(range(len(kl)), key=lambda i: -kl[i])
    assert [heights[i] for i in order] == sorted(heights)  # larger divergences stand higher
    assert [title.title.split(",")[0] for title in found.charts] == [
        "Divergence", "Likelihood of plain text: nats per token lost", "Length of answers", "Right answers",
    ]  # fmt: skip
    ranks = [one["values"]["recovered"]["mean"] for one in content["ranks"]]
    assert [share.at for share in found.ranks] == pytest.approx([100 * max(0.0, value) for value in ranks], abs=0.01)
    assert len(found.bands) == 6 and (found.passages, found.prompts) == (3, 2)


def test_limits_fold_and_count_what_is_left_out(view: ResultView) -> None:
    views = live_views(view, LiveLimits(phrases=1))
    assert len(views.amplified.phrases) == 1 < views.amplified.total


def hostile(value: Any) -> Any:
    """Every text of a file replaced."""
    if isinstance(value, dict):
        return {key: hostile(one) for key, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return PWN if isinstance(value, str) and value not in ("base", "scrambled", "alpha=0", "alpha=1") else value


def test_hostile_texts_stay_texts(files: dict[str, bytes], tmp_path: Path) -> None:
    spoilt = {name: json.dumps(hostile(json.loads(content))).encode() for name, content in files.items()}
    html = render(kept(spoilt, tmp_path)).decode()
    assert "window.__pwned=1</script>" not in html and "<img src=x" not in html


def dose(scale: float, **entry: float) -> dict[str, Any]:
    return {"lambda": scale, "values": {"nll": entry}}


BROKEN: tuple[Any, ...] = (
    [],
    {},
    {"arms": [1], "texts": "x", "prefixes": None, "curves": [{"lambda": "0"}]},
    {"arms": [{"name": 3, "alpha": []}], "texts": [{}], "prefixes": [{"id": []}], "phrases": [{"shares": 1}]},
    {"curves": [{"lambda": 0}, dose(1, mean=1, low=-1e250, high=1e250)], "bands": [{"layers": [1]}]},
    {"curves": [dose(0, mean=1), dose(0, mean=1)]},
    {"curves": [dose(-9e299, mean=-1), dose(0, mean=1), dose(9e299, mean=9e299)]},
    {"curves": [dose(-1e-320, mean=1e-320), dose(1e-320, mean=-1e-320)], "shapes": {"nll": {"told": 7}}},
    {"curves": [dose(0, mean=0)], "bands": [{"layers": 7, "part": {}, "values": {"recovered": {"mean": -3}}}]},
)


@pytest.mark.parametrize("content", BROKEN)
def test_broken_files_leave_the_page_whole(content: Any, tmp_path: Path) -> None:
    both = dict.fromkeys(("behaviour.amplification", "behaviour.scaling"), json.dumps(content).encode())
    page = Page(render(kept(both, tmp_path)))
    assert "findings" in ids(page)


def test_a_file_that_is_not_the_documents_is_not_shown_and_the_page_says_why(
    view: ResultView, files: dict[str, bytes]
) -> None:
    assert view.directory is not None
    path = view.directory / "behaviour.scaling.json"
    path.write_bytes(files["behaviour.scaling"].replace(b"0", b"1"))
    page = Page(render(view))
    assert "Dose curves are not shown" in page.words and "digest differs" in page.words


def test_runs_without_a_live_pair_have_no_such_section() -> None:
    assert "live" not in ids(Page(render(ResultView(clean()))))


def test_the_views_import_neither_numpy_nor_torch() -> None:
    code = "import sys, afterburn_core.report.live_views; print('numpy' in sys.modules, 'torch' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["False", "False"]
