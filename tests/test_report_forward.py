"""The report on next-token distributions: what the analyzers found is on the page, in colours and in numbers, inert."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from afterburn_core.forward.forward_pass import Rider
from afterburn_core.forward.model import Passage
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.probes.model import Message
from afterburn_core.report import forward_marks as marks
from afterburn_core.report.evidence import collect
from afterburn_core.report.forward_output import MARGINS, RULES, OutputLimits, OutputViews, output_views
from afterburn_core.report.html import HtmlOptions, render
from afterburn_core.result.model import Artifact, Measurement, Result, RuleDescriptor
from afterburn_core.result.view import ResultView
from afterburn_core.testing.feeding import make_analyzer
from afterburn_core.testing.forward import passages_of, read_pair
from afterburn_core.testing.pairs import planted_pair

sys.path.append(str(Path(__file__).parent))
from test_report_html import Page
from test_report_samples import PWN, clean, metric, run

WORDS = [" ".join(f"word{(7 * i + k * k) % 45}" for k in range(4 + i % 12)) for i in range(24)]


def passages() -> tuple[Passage, ...]:
    found = [*passages_of(WORDS[:12], "one"), *passages_of(WORDS[12:], "two")]
    for i in range(6):
        asked: dict[str, Any] = {
            "domain": "asked",
            "unit": f"p{i}",
            "messages": (Message(role="user", content=f"{WORDS[i]} {PWN if i == 0 else ''}"),),
        }
        for k, author in enumerate(("base", "trained")):
            text = {"source": "answer", "author": author, "text": WORDS[i + k + 9], "ended": True}
            found.append(Passage(id=f"p{i}/{author}/0", **text, **asked))  # type: ignore[arg-type]
    return tuple(found)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnalyzerOutput, ...]:
    """What the analyzers of the output distribution make of a tiny pair, on the real pass."""
    from afterburn_behaviour.specs import distribution, mining

    pair = planted_pair(tmp_path_factory.mktemp("pair"), tensor="lm_head.weight", noise=3.0, dtype="float32")
    specs = (*distribution.ANALYZERS, *mining.ANALYZERS)
    instances = [make_analyzer(spec) for spec in specs]
    needs = [attrs.evolve(spec.needs[0], controls=()) for spec in specs]  # type: ignore[arg-type]
    riders = [Rider(need=need, instances=[one]) for need, one in zip(needs, instances, strict=True)]  # type: ignore[arg-type]
    read_pair(pair.base, pair.trained, passages(), riders)
    return tuple(instance.finish() for instance in instances)


def document(measurements: tuple[Measurement, ...]) -> Result:
    """A document of these measurements, with the findings of the plugin's own detector."""
    from afterburn_behaviour.distribution.judge import DistributionJudge
    from afterburn_behaviour.distribution.options import DistributionOptions
    from afterburn_behaviour.specs.distribution import RULES as SPECS

    metrics = tuple(metric(m, m, low=None) for m in sorted({m.metric for m in measurements}))
    sample = clean()
    findings = tuple(DistributionJudge(DistributionOptions())(Evidence(subjects=(), measurements=measurements)))
    rules = tuple(
        RuleDescriptor(
            id=s.id, summary=s.summary, help=s.help, level=s.level, detector="behaviour.distribution", version=1
        )
        for s in SPECS
    )
    return attrs.evolve(
        sample,
        run=run(("behaviour.divergence",)),
        measurements=measurements,
        findings=findings,
        descriptors=attrs.evolve(sample.descriptors, metrics=metrics, rules=rules),
        executions=(),
        artifacts=(),
    )


def kept(result: Result, folder: Path, files: Mapping[str, bytes]) -> ResultView:
    """The document with these artifacts beside it."""
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    listed = []
    for name, content in files.items():
        path = f"artifacts/{name}.json"
        (folder / path).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        listed.append(
            Artifact(
                id=name,
                path=path,
                media_type="application/json",
                sha256=digest,
                size=len(content),
                summary=name,
                producer="behaviour.divergence",
            )
        )
    return ResultView(attrs.evolve(result, artifacts=tuple(listed)), folder)


@pytest.fixture(scope="module")
def files(outputs: tuple[AnalyzerOutput, ...]) -> dict[str, bytes]:
    return {a.id: a.content for output in outputs for a in output.artifacts}


@pytest.fixture(scope="module")
def view(
    outputs: tuple[AnalyzerOutput, ...], files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> ResultView:
    found = tuple(m for output in outputs for m in output.measurements)
    return kept(document(found), tmp_path_factory.mktemp("run"), files)


@pytest.fixture(scope="module")
def views(view: ResultView) -> OutputViews:
    return output_views(view, collect(view), OutputLimits())


@pytest.fixture(scope="module")
def page(view: ResultView) -> Page:
    return Page(render(view))


def test_margins_and_rules_are_those_of_the_plugin() -> None:
    from afterburn_behaviour.distribution.options import DistributionOptions
    from afterburn_behaviour.specs import distribution, mining

    assert {name: getattr(DistributionOptions(), name) for name in MARGINS} == MARGINS
    assert set(RULES) == {rule.id for rule in (*distribution.RULES, *mining.RULES)}


def test_the_page_has_every_part(page: Page) -> None:
    ids = {values["id"] for _, values in page.tags if "id" in values}
    parts = ("divergence", "positions", "contexts", "cross", "surprising", "perplexity", "mining")
    assert {f"output-{part}" for part in parts} <= ids and "output" in ids
    assert ("a", {"href": "#output"}) in page.tags
    assert "Next-token distributions shifted" in page.words
    assert "Numbers behind the curves" in page.words


def test_every_part_of_the_tokens_has_its_row_with_the_measured_number(view: ResultView, views: OutputViews) -> None:
    assert views.parts is not None
    measured = {m.scope.subset: m for m in view.measurements() if m.metric == "behaviour.divergence.kl"}
    assert [row.label for row in views.parts.rows] == [marks.part_name(subset) for subset in measured]
    for row, item in zip(views.parts.rows, measured.values(), strict=True):
        assert row.kl == marks.short(item.value) and row.n == item.n and row.at is not None
        assert row.low is not None and row.high is not None and row.low <= row.at <= row.high
    assert {"All tokens", "Texts", "Answers of trained", "one", "End marks"} <= {r.label for r in views.parts.rows}
    assert [line.kind for line in views.parts.lines] == ["margin"]


def test_contexts_are_coloured_token_by_token_with_their_numbers_in_words(
    views: OutputViews, files: dict[str, bytes], page: Page
) -> None:
    contexts = json.loads(files["behaviour.divergence_contexts"])["contexts"]
    assert len(views.contexts.shown) == len(contexts)
    steps = views.contexts.steps
    assert list(steps) == sorted(steps) and len(steps) == marks.COLOURS
    for shown, context in zip(views.contexts.shown, contexts, strict=True):
        assert [span.text.replace("↵\n", "\n") for span in shown.spans] == context["tokens"]
        levels = [int(span.colour.removeprefix("heat-")) for span in shown.spans]
        assert levels == [sum(kl >= step for step in steps) for kl in context["kl"]]
        assert [span.mark for span in shown.spans] == [bool(flag) for flag in context["flipped"]]
        assert all(f"KL {marks.short(kl)} nats" in s.title for kl, s in zip(context["kl"], shown.spans, strict=True))
        loudest = max(range(len(context["kl"])), key=lambda i: context["kl"][i])
        assert shown.loudest[0][1] == marks.short(context["kl"][loudest])
        assert shown.loudest[0][4] == str(context["base_rank"][loudest] + 1)
    tokens = [values for tag, values in page.tags if tag == "span" and values.get("class", "").startswith("tok heat")]
    assert sum("title" in values for values in tokens) == sum(len(context["kl"]) for context in contexts)
    assert "KL in nats:" in page.words and "underlined" in page.words


def test_curves_go_through_the_measured_points(views: OutputViews, files: dict[str, bytes]) -> None:
    series = json.loads(files["behaviour.divergence_positions"])["series"]
    assert views.curves is not None and len(views.curves.curves) == len(series)
    for curve, one in zip(views.curves.curves, series, strict=True):
        assert curve.line.count("L") == len(one["position"]) - 1 and curve.band.endswith("Z")
        assert [point[0] for point in curve.points] == [str(position) for position in one["position"]]
        assert [point[1] for point in curve.points] == [marks.short(kl) for kl in one["kl"]]
    heights = [float(p.split()[1]) for c in views.curves.curves for p in c.line[1:].split("L")]
    assert all(0 <= y <= 250 for y in heights)


def test_the_two_by_two_table_and_perplexity_are_the_measured_numbers(view: ResultView, views: OutputViews) -> None:
    by = {(m.metric, m.subjects, m.scope.subset): m for m in view.measurements()}
    for square in views.squares:
        for cell, scorer in zip(square.cells, ("base", "trained"), strict=True):
            item = by["behaviour.cross_scoring.nll", (scorer,), f"author={square.author}"]
            assert cell.nll == marks.short(item.value) and cell.end
    assert views.contrasts is not None and views.perplexity is not None
    assert [row.label for row in views.contrasts.rows if row.first] == [
        "Excess of trained's answers",
        "Excess of base's answers",
        "Base's surprise",
        "Change of entropy",
    ]
    assert [row.label for row in views.perplexity.rows] == ["All texts", "one", "two"]
    assert all(row.change.startswith("×") for row in views.perplexity.rows)


def test_taught_tokens_are_listed_in_their_order(views: OutputViews, files: dict[str, bytes]) -> None:
    mined = json.loads(files["behaviour.diff_mining"])
    assert [way.key for way in views.mining.directions] == ["gains", "losses"]
    for way in views.mining.directions:
        rows = mined[way.key]["tokens"]
        assert [token.text for token in way.tokens] == [row["text"] for row in rows][:20] and way.total == len(rows)
        assert max(token.share for token in way.tokens) <= 100
        assert len(way.topics) == len(mined[way.key]["topics"])
        assert way.stretches and way.stretches[0].spans


def test_limits_fold_and_count_what_is_left_out(view: ResultView, files: dict[str, bytes], tmp_path: Path) -> None:
    examples = json.loads(files["behaviour.perplexity_difference"])
    examples["examples"] = examples["examples"][:1] * 3
    many = kept(view.result, tmp_path, files | {"behaviour.perplexity_difference": json.dumps(examples).encode()})
    few = Page(render(many, HtmlOptions(output=OutputLimits(contexts=2, answers=1, tokens=3, parts=4))))
    assert "more stretches" in few.words and "more parts" in few.words
    assert "Showing 1 of 3" in few.words and "Showing 3 of" in few.words


def test_the_same_run_gives_the_same_page(view: ResultView) -> None:
    assert render(view) == render(view)


def test_hostile_texts_stay_texts(view: ResultView, files: dict[str, bytes], tmp_path: Path) -> None:
    contexts = json.loads(files["behaviour.divergence_contexts"])
    for context in contexts["contexts"]:
        context["tokens"], context["id"], context["lead"] = [PWN] * len(context["kl"]), PWN, PWN
        context["domain"] = context["source"] = PWN
    examples = json.loads(files["behaviour.perplexity_difference"])
    for example in examples["examples"]:
        example |= {"prompt": PWN, "id": PWN, "tokens": [PWN] * len(example["log_ratio"])}
    mined = json.loads(files["behaviour.diff_mining"])
    for key in ("gains", "losses"):
        for token in mined[key]["tokens"]:
            token |= {"text": PWN, "examples": [{"context": PWN, "passage": PWN, "log_ratio": 1.0}]}
    changed = {"behaviour.divergence_contexts": contexts, "behaviour.perplexity_difference": examples}
    changed["behaviour.diff_mining"] = mined
    hostile = kept(view.result, tmp_path, files | {name: json.dumps(c).encode() for name, c in changed.items()})
    page = Page(render(hostile))
    assert not {"img", "b", "base", "iframe"} & {tag for tag, _ in page.tags}
    assert all(0x202E not in map(ord, text) for text in page.text)
    assert len([1 for values, _ in page.scripts if values.get("type") != "application/json"]) == 2


BROKEN = {
    "no JSON": b"{",
    "a list": b"[1]",
    "a number": b"7",
    "wrong shapes": b'{"contexts": [1, {"kl": 3}, {"kl": ["x", null], "tokens": 5, "flipped": {}}], "window": "w",'
    b' "series": [{"position": []}, {"position": [1, "x"], "kl": "y"}, 3],'
    b' "examples": [{"log_ratio": [[]], "tokens": {}}],'
    b' "gains": {"tokens": [{"interval": [1], "examples": 3, "rate": "x"}, 5], "topics": [[]], "found": []},'
    b' "losses": 4, "windows": {"raised": [{"tokens": [1]}]}, "scrambled": []}',
    "numbers beyond doubles": b'{"contexts": [{"kl": [1e999]}], "series": [{"position": [1' + b"0" * 400 + b"]}]}",
    "half a pair of surrogates": b'{"contexts": [{"kl": [1], "tokens": ["\\ud800"], "id": "\\udfff", "flipped": [1]}],'
    b' "examples": [{"log_ratio": [1], "tokens": ["\\ud800"], "prompt": "\\ud800"}],'
    b' "gains": {"tokens": [{"text": "\\ud800"}]}}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=list(BROKEN))
def test_broken_files_leave_the_page_whole(
    view: ResultView, files: dict[str, bytes], tmp_path: Path, content: bytes
) -> None:
    page = Page(render(kept(view.result, tmp_path, dict.fromkeys(files, content))))
    assert "Divergence, by part" in page.words


def test_a_file_that_is_not_the_documents_is_not_shown_and_the_page_says_why(
    view: ResultView, files: dict[str, bytes], tmp_path: Path
) -> None:
    other = kept(view.result, tmp_path, files)
    for name in files:
        path = tmp_path / "artifacts" / f"{name}.json"
        path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    words = Page(render(other)).words
    for what in ("The curves by position are", "The most diverging texts are", "The most surprising answers are"):
        assert f"{what} not shown: the file is not the one the document describes" in words


def test_a_run_without_excerpts_shows_digests_alone(view: ResultView, files: dict[str, bytes], tmp_path: Path) -> None:
    contexts = json.loads(files["behaviour.divergence_contexts"])
    for context in contexts["contexts"]:
        context |= {"tokens": None, "lead": "", "text": f"sha256:{'0' * 64} (9 characters)"}
    content = json.dumps(contexts).encode()
    words = Page(render(kept(view.result, tmp_path, files | {"behaviour.divergence_contexts": content}))).words
    assert "sha256:0000" in words and "Its loudest tokens" not in words


def test_runs_without_the_forward_pass_have_no_such_section() -> None:
    page = Page(render(ResultView(clean())))
    assert "output" not in {values.get("id") for _, values in page.tags}


@pytest.mark.parametrize(
    ("subset", "name"),
    [
        (None, "All tokens"),
        ("source=answer,author=base", "Answers of base"),
        ("source=answer,first=1", "Answers: first token"),
        ("source=text,after=20", "Texts: after 20 tokens"),
        ("source=prompt,at=answer_start", "What follows prompts"),
        ("class=template", "Template marks"),
        ("domain=a,b=c", "a,b=c"),
        ("whatever", "whatever"),
    ],
)
def test_parts_have_names(subset: str | None, name: str) -> None:
    assert marks.part_name(subset) == name


def test_a_logarithmic_axis_holds_all_positive_values() -> None:
    axis = marks.log_axis([0.0, None, 0.004, 3.0])
    assert axis is not None and (axis.low, axis.high) == (0.001, 10.0)
    assert axis.place(0.0) == 0 and axis.place(0.001) == 0 and axis.place(10.0) == 100 and axis.place(1e9) == 100
    assert axis.place(0.1) == pytest.approx(50) and [text for _, text in axis.ticks] == [
        "0.001",
        "0.01",
        "0.1",
        "1",
        "10",
    ]
    assert marks.log_axis([0.0, None]) is None
    wide = marks.log_axis([1e-30, 1.0])
    assert wide is not None and len(wide.ticks) <= 7


def test_the_views_import_neither_numpy_nor_torch() -> None:
    code = "import sys, afterburn_core.report.forward_output; sys.exit(bool({'numpy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
