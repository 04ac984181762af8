"""The report on embedding models: the answer first, the measured numbers, texts that stay texts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from afterburn_activation.embedding import Embedding  # noqa: E402
from afterburn_activation.embedding_judge import EmbeddingJudge  # noqa: E402
from afterburn_activation.embedding_options import EmbeddingJudgeOptions, EmbeddingOptions  # noqa: E402
from afterburn_activation.specs import embedding as spec  # noqa: E402
from afterburn_core.forward.model import Vectors  # noqa: E402
from afterburn_core.judge.evidence import Evidence  # noqa: E402
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput  # noqa: E402
from afterburn_core.report.embedding_parts import MAPPED, Found, number, searched  # noqa: E402
from afterburn_core.report.embedding_views import (  # noqa: E402
    RULES,
    EmbeddingLimits,
    EmbeddingViews,
    embedding_views,
)
from afterburn_core.report.html import render  # noqa: E402
from afterburn_core.result.model import Measurement, RuleDescriptor  # noqa: E402
from afterburn_core.result.view import ResultView  # noqa: E402

sys.path.append(str(Path(__file__).parent))
from test_report_activation import kept  # noqa: E402
from test_report_html import Page  # noqa: E402
from test_report_samples import PWN, clean, metric, run  # noqa: E402

DOCUMENTS, QUERIES, WIDTH = 90, 50, 8
HOW = {"pooling": "mean", "normalise": False, "query_prompt": "", "similarity": "cosine", "cut_texts": 0}
CHANGED = HOW | {"query_prompt": "query: ", "cut_texts": 3}


def vectors() -> Vectors:
    """Queries near their documents; the trained side is turned, with noise."""
    rng = np.random.default_rng(5)
    documents = rng.normal(size=(DOCUMENTS, WIDTH))
    rows = np.concatenate([documents, documents[:QUERIES] + 0.4 * rng.normal(size=(QUERIES, WIDTH))])
    turn = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
    base = torch.from_numpy(rows)
    trained = torch.from_numpy((rows + 0.25 * rng.normal(size=rows.shape)) @ turn)
    ids = (*(f"d{i:03d}" for i in range(DOCUMENTS)), *(f"q{i:03d}" for i in range(QUERIES)))
    return Vectors(
        texts=tuple(f"the text of {name}" for name in ids),
        ids=ids,
        kinds=("document",) * DOCUMENTS + ("query",) * QUERIES,
        relevant={f"q{i:03d}": {f"d{i:03d}": 1.0} for i in range(QUERIES)},
        base=base.float(),
        trained=trained.float(),
        layers={
            side: {f"blocks.{i}.out": one + 0.1 * i for i in range(2)}
            for side, one in (("base", base), ("trained", base + 0.1 * trained))
        },
        properties={"base": HOW, "trained": CHANGED},
    )


def measured(given: Vectors, *, excerpts: bool = True) -> AnalyzerOutput:
    analyzer = Embedding(EmbeddingOptions())
    analyzer.begin(AnalyzerContext(subjects=(), seed=3, excerpts=excerpts))
    analyzer.observe(given)
    return analyzer.finish()


def json_of(output: AnalyzerOutput) -> dict[str, bytes]:
    return {a.id: a.content for a in output.artifacts if a.suffix == ".json"}


def view_of(output: AnalyzerOutput, folder: Path, files: Mapping[str, bytes] | None = None) -> ResultView:
    """A document of these measurements with the findings of the plugin's own detector."""
    chosen = json_of(output) if files is None else files
    parsed = {name: json.loads(content) for name, content in json_of(output).items()}
    evidence = Evidence(subjects=(), measurements=output.measurements, read_artifact=parsed.get)
    sample = clean()
    rules = tuple(
        RuleDescriptor(id=r.id, summary=r.summary, help=r.help, level=r.level, detector=d.name, version=1)
        for d in spec.DETECTORS
        for r in d.rules
    )
    metrics = tuple(metric(m, m, low=None) for m in sorted({m.metric for m in output.measurements}))
    result = attrs.evolve(
        sample,
        run=run(("activation.embedding",)),
        measurements=output.measurements,
        findings=tuple(EmbeddingJudge(EmbeddingJudgeOptions())(evidence)),
        descriptors=attrs.evolve(sample.descriptors, metrics=metrics, rules=rules),
        executions=(),
        artifacts=(),
        properties={"encode": {"base": HOW, "trained": CHANGED}},
    )
    return kept(result, folder, chosen)


@pytest.fixture(scope="module")
def output() -> AnalyzerOutput:
    return measured(vectors())


@pytest.fixture(scope="module")
def view(output: AnalyzerOutput, tmp_path_factory: pytest.TempPathFactory) -> ResultView:
    return view_of(output, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def views(view: ResultView) -> EmbeddingViews:
    return embedding_views(view, EmbeddingLimits())


@pytest.fixture(scope="module")
def page(view: ResultView) -> Page:
    return Page(render(view))


def one(output: AnalyzerOutput, name: str, subset: str | None = None, *subjects: str) -> Measurement:
    (found,) = [
        m
        for m in output.measurements
        if m.metric == f"activation.{name}"
        and m.scope.subset == subset
        and m.subjects == (subjects or ("base", "trained"))
    ]
    return found


def told(text: str) -> float:
    return float(text.replace("−", "-"))


def test_questions_are_the_rules_of_the_plugin() -> None:
    assert RULES.keys() == {rule.id for detector in spec.DETECTORS for rule in detector.rules}


def test_the_page_has_every_part_and_the_answer_first(page: Page, views: EmbeddingViews) -> None:
    found = [values["id"] for _, values in page.tags if values.get("id", "").startswith("embedding")]
    parts = ("index", "retrieval", "vectors", "neighbours", "spread", "layers", "pooling")
    assert found == ["embedding", "embedding-title", *(f"embedding-{part}" for part in parts)]
    assert views.answer is not None and views.word(views.answer) == "No"  # it was turned
    assert views.answer.message in page.words
    assert len(views.rules) == len(RULES) - 1


def test_recall_on_old_and_new_index_is_what_was_measured(output: AnalyzerOutput, views: EmbeddingViews) -> None:
    expected = [
        one(output, "retrieval.recall", "k=10", "base"),
        one(output, "retrieval.recall", "k=10", "trained"),
        one(output, "index.recall", "as it is", "trained"),
        one(output, "index.recall", "mapped", "trained"),
    ]
    changes = [
        one(output, "retrieval.recall", "k=10"),
        one(output, "index.recall_change", "as it is"),
        one(output, "index.recall_change", "mapped"),
    ]
    assert len(views.searched) == 4
    for row, m in zip(views.searched, expected, strict=True):
        shown = row.numbers[0]
        assert shown is not None and m.value is not None and m.interval is not None and shown.at is not None
        assert shown.text == ("1.000" if m.value == 1 else f"{m.value:.3f}")
        assert shown.bounds == f"[{m.interval.low:.3f}, {m.interval.high:.3f}]" and shown.n == str(QUERIES)
        assert shown.at == pytest.approx(100 * m.value, abs=0.01)
    differences = [row.numbers[1] for row in views.searched]
    assert differences[0] is None
    assert [told(d.text) for d in differences[1:] if d] == pytest.approx([m.value for m in changes], abs=6e-4)
    assert told(differences[2].text) < -0.2 < told(differences[3].text)  # type: ignore[union-attr]


def test_vectors_neighbours_and_spread_are_the_measured_ones(output: AnalyzerOutput, views: EmbeddingViews) -> None:
    plain, aligned = (told(row.numbers[0].text) for row in views.vectors[:2])  # type: ignore[union-attr]
    assert plain == pytest.approx(one(output, "embedding.distance").value, rel=0.01)
    assert aligned == pytest.approx(one(output, "embedding.distance_aligned").value, rel=0.01)
    assert aligned < plain / 4
    by_k = {row.label: row for row in views.neighbours}
    ten = one(output, "embedding.neighbour_overlap", "k=10")
    assert by_k["The 10 nearest"].numbers[0].text == f"{ten.value:.3f}"  # type: ignore[union-attr]
    assert by_k["The 10 nearest"].chance == pytest.approx(100 * 10 / (2 * (DOCUMENTS - 1) - 10), rel=0.05)
    fifty = by_k["The 50 nearest"].numbers[0]
    assert fifty is not None and fifty.at is None and "too few" in fifty.note
    assert [row.label.split()[0] for row in views.spread] == ["Directions", "Mean", "Texts"]
    change = one(output, "embedding.unrelated_similarity")
    assert told(views.spread[1].numbers[2].text) == pytest.approx(change.value, abs=6e-4)  # type: ignore[union-attr]
    assert views.layers is not None and [row.label for row in views.layers.rows] == ["Block 0", "Block 1"]


def test_outcomes_of_queries_add_up_and_the_worst_come_first(output: AnalyzerOutput, views: EmbeddingViews) -> None:
    asked = views.retrieval
    assert [row.label for row in asked.rows] == ["nDCG@10", "MRR@10", "Recall@1", "Recall@5", "Recall@10"]
    assert asked.outcomes is not None
    assert sum(share for _, share, _ in asked.outcomes.shares) == pytest.approx(100, abs=0.01)
    stored = json.loads(json_of(output)["activation.embedding_retrieval"])
    lost = [q for q in stored["queries"] if q["ndcg_trained"] < q["ndcg_base"]]
    assert 0 < len(asked.queries) == min(len(lost), EmbeddingLimits().queries)
    first = asked.queries[0]
    assert first.text == lost[0]["text"] and first.ranks[:2] == (
        str(lost[0]["rank_base"]),
        str(lost[0]["rank_trained"]),
    )
    assert first.tops[0] == (lost[0]["top_base_text"], lost[0]["top_base"] in lost[0]["relevant"])
    assert [bin.label for bin in asked.bins] == ["1", "2–3", "4–10", "11–100", "beyond 100"]
    assert sum(int(bin.counts[1][1]) for bin in asked.bins) == QUERIES


def test_what_differs_in_pooling_is_marked_and_cut_texts_are_not(views: EmbeddingViews) -> None:
    facts = {fact.label: fact for fact in views.pooling}
    assert [label for label, fact in facts.items() if fact.differs] == ["Before a query"]
    assert facts["Before a query"].trained == "“query: ”" and facts["Texts that were cut"].trained == "3"


def test_a_number_near_one_or_zero_is_not_shown_as_one_or_zero(output: AnalyzerOutput) -> None:
    m = one(output, "index.self_found", MAPPED)
    assert number(attrs.evolve(m, value=1.0)).text == "1.000"
    assert number(attrs.evolve(m, value=0.99996)).text == "> 0.999"
    assert number(attrs.evolve(m, value=0.0)).text == "0.000"
    assert number(attrs.evolve(m, value=0.0001)).text == "1e-4"
    assert number(attrs.evolve(m, value=-0.25), sign=True).text == "−0.250"
    assert number(None).text == "–"


def test_an_index_of_other_dimensions_says_why_it_cannot_be_searched(tmp_path: Path) -> None:
    given = vectors()
    made = view_of(measured(attrs.evolve(given, trained=given.trained[:, :6])), tmp_path)
    row = searched(Found(made.result.measurements))[2].numbers[0]
    assert row is not None and row.at is None and "6 dimensions" in row.note
    assert row.note in Page(render(made)).words


def test_texts_without_judged_queries_have_no_part_on_retrieval(tmp_path: Path) -> None:
    page = Page(render(view_of(measured(attrs.evolve(vectors(), relevant={})), tmp_path)))
    found = {values.get("id") for _, values in page.tags}
    assert {"embedding-index", "embedding-vectors"} <= found and "embedding-retrieval" not in found


def test_hostile_texts_stay_texts(output: AnalyzerOutput, tmp_path: Path) -> None:
    files = {name: json.loads(content) for name, content in json_of(output).items()}
    for row in files["activation.embedding_retrieval"]["queries"]:
        row |= {"text": PWN, "top_base_text": PWN, "top_trained_text": PWN, "top_base": PWN, "relevant": [PWN]}
    for row in files["activation.embedding_texts"]["moved"]:
        row["text"] = PWN
    hostile = view_of(output, tmp_path, {name: json.dumps(c).encode() for name, c in files.items()})
    stated = {"encode": {"base": HOW | {PWN: PWN, "pooling": PWN}, "trained": {"query_prompt": PWN, "steps": [PWN]}}}
    page = Page(render(ResultView(attrs.evolve(hostile.result, properties=stated), tmp_path)))
    assert not {"img", "b", "base", "iframe"} & {tag for tag, _ in page.tags}
    assert all(0x202E not in map(ord, text) for text in page.text)
    assert len([1 for values, _ in page.scripts if values.get("type") != "application/json"]) == 2


def test_a_run_without_excerpts_shows_digests(tmp_path: Path) -> None:
    page = Page(render(view_of(measured(vectors(), excerpts=False), tmp_path)))
    assert "sha256:" in page.words and "the text of" not in page.words


BROKEN: dict[str, Any] = {
    "no JSON": b"{",
    "a list": b"[1]",
    "wrong shapes": b'{"queries": [1, {"text": 3, "ndcg_base": 1, "ndcg_trained": 0, "relevant": 5, "top_base": [1]}],'
    b' "histogram": {"edges": [1, 1, 1, 1], "base": "x"}, "total": "many", "moved": [{"text": [], "distance": 1}],'
    b' "plane": [{"base": [1], "trained": 2}, {"base": [1e999, 1], "trained": [1, 2]}], "explained": 7}',
    "points in one place": b'{"plane": [{"base": [1, 1], "trained": [1, 1]}, {"base": [1, 1], "trained": [1, 1]},'
    b' {"base": [1, 1], "trained": [1, 1]}], "queries": {}, "histogram": []}',
    "half a pair of surrogates": b'{"moved": [{"text": "\\ud800", "distance": 1}], "queries": [{"text": "\\udfff",'
    b' "ndcg_base": 1, "ndcg_trained": 0}]}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=list(BROKEN))
def test_broken_files_leave_the_page_whole(output: AnalyzerOutput, tmp_path: Path, content: bytes) -> None:
    page = Page(render(view_of(output, tmp_path, dict.fromkeys(json_of(output), content))))
    assert "embedding-index" in {values.get("id") for _, values in page.tags}  # its numbers are in the document


def test_the_same_run_gives_the_same_page(view: ResultView) -> None:
    assert render(view) == render(view)


def test_runs_that_embedded_nothing_have_no_such_section(tmp_path: Path) -> None:
    for view in (ResultView(clean()), view_of(measured(attrs.evolve(vectors(), ids=())), tmp_path)):
        page = Page(render(view))
        assert "embedding" not in {values.get("id") for _, values in page.tags}


def test_the_views_import_neither_numpy_nor_torch() -> None:
    code = "import sys, afterburn_core.report.embedding_views; sys.exit(bool({'numpy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
