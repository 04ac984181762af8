"""The report on behaviour: every question answered at a glance, every chart also as numbers, every text inert."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import shutil
import sys
import time
from pathlib import Path

import attrs
import pytest
from rich.console import Console

from afterburn_core.report import behaviour_asked
from afterburn_core.report.behaviour_asked import MARGINS
from afterburn_core.report.behaviour_curves import Lengths, lengths, reliability
from afterburn_core.report.behaviour_questions import answers
from afterburn_core.report.behaviour_texts import Texts, texts
from afterburn_core.report.behaviour_values import Axis, Measured, axis_for, bounds, change, whisker
from afterburn_core.report.behaviour_views import BehaviourLimits, behaviour_views
from afterburn_core.report.evidence import collect
from afterburn_core.report.html import HtmlOptions, render
from afterburn_core.report.markdown import render as render_markdown
from afterburn_core.report.presentation import verdict_text
from afterburn_core.report.terminal import summary
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Artifact, Interval, Measurement, Scope, Test
from afterburn_core.result.view import ResultView

sys.path.append(str(Path(__file__).parent))
from behaviour_report_runs import CATEGORIES, HUGE, PROMPTS, PWN, recorded_run, without
from test_report_html import Page
from test_report_samples import clean, rich

QUESTIONS = ["Anything at all", "Length", "Format", "Strategy", "Refusal", "Correctness", "Diversity", "Calibration"]


@pytest.fixture(scope="module")
def view() -> ResultView:
    return recorded_run()


@pytest.fixture(scope="module")
def page(view: ResultView) -> Page:
    return Page(render(view))


def contrast(value: float, low: float, high: float, p: float = 0.5, n: int = 100) -> Measurement:
    item = measure("behaviour.refusal.rate", value, n=n)
    test = Test(name="permutation", p_value=p)
    return attrs.evolve(item, interval=Interval(low=low, high=high, level=0.95, method="bca"), test=test)


def printed(view: ResultView, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    summary(view, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_margins_and_deciding_metrics_are_those_of_the_plugin() -> None:
    from afterburn_behaviour.quality_options import QualityRules
    from afterburn_behaviour.specs.variety import DECIDING
    from afterburn_behaviour.style.options import StyleOptions
    from afterburn_behaviour.variety_options import VarietyRules

    rules = {
        "behaviour.style": StyleOptions(),
        "behaviour.variety_judge": VarietyRules(),
        "behaviour.quality_judge": QualityRules(),
    }
    assert {key: getattr(rules[key[0]], key[1]) for key in MARGINS} == MARGINS
    assert all(of.alpha == behaviour_asked.ALPHA for of in rules.values())
    assert dict(DECIDING) == behaviour_asked.DIVERSITY


def test_the_axis_is_linear_within_the_margin_and_logarithmic_beyond() -> None:
    axis = Axis(reach=4.0)
    assert axis.place(0) == 50 and axis.place(1) == 62.5 and axis.place(-1) == 37.5
    assert axis.place(0.5) == 56.25
    assert axis.place(10) == pytest.approx(50 + 12.5 * (1 + math.log(10)), abs=1e-3)
    assert axis.place(-1e9) == 0 and axis.place(1e9) == 100
    step = 1e-2  # no kink at the margin; places have three decimals
    assert axis.place(1 + step) - axis.place(1) == pytest.approx(axis.place(1) - axis.place(1 - step), rel=0.05)
    assert [text for _, text in axis.ticks] == ["\u221210\u00d7", "\u2212margin", "0", "+margin", "+10\u00d7"]


def test_whiskers_lie_where_the_interval_lies() -> None:
    item = contrast(0.10, 0.05, 0.20)
    axis = axis_for([(item, 0.0, 0.05)])
    drawn = whisker(item, axis, 0.05)
    assert drawn is not None and drawn.low is not None and drawn.high is not None
    assert 50 < drawn.low < drawn.at < drawn.high < 100
    assert drawn.low == drawn.band[1]  # the interval ends at the margin
    assert axis_for([]).reach == axis_for([(contrast(0.0, 0.0, 0.0), 0.0, 0.05)]).reach
    mirrored = whisker(contrast(-0.10, -0.20, -0.05), axis, 0.05)
    assert mirrored is not None and mirrored.at == pytest.approx(100 - drawn.at)


def test_changes_are_written_with_sign_and_unit() -> None:
    assert change(math.log(1.126), "log_ratio") == "\u00d71.13"
    assert change(-0.2267, "rate") == "\u221222.7 points"
    assert change(-0.0001, "rate") == "0 points" and change(0.31, "number", "nats") == "+0.31 nats"
    assert bounds(Interval(low=-0.1, high=0.02, level=0.95, method="t"), "rate") == "[\u221210.0, +2.0]"
    assert bounds(None, "rate") == ""


def test_every_question_has_an_answer_with_numbers_and_a_margin(view: ResultView) -> None:
    found = {a.title: a for a in answers(view.result, collect(view)).answers}
    assert list(found) == QUESTIONS
    length = found["Length"].rows[0]
    item = view.get("behaviour.length.log_ratio")
    assert item is not None and item.value is not None and length.n == PROMPTS
    assert length.change == f"\u00d7{math.exp(item.value):.2f}" and length.margin == "\u00d71.11"
    assert length.decision == "shifted" and found["Length"].finding is not None
    assert [row.label for row in found["Refusal"].rows] == ["unsafe prompts", "safe prompts", "all prompts"]
    assert found["Format"].rows[0].decision == "shifted" and "contrasts" in found["Format"].tally
    assert all(row.whisker for a in found.values() for row in a.rows if row.decision)


def test_a_margin_of_the_run_takes_the_place_of_the_default(view: ResultView) -> None:
    before = answers(view.result, collect(view)).answers[1].rows[0]
    configured = {**view.result.run.configuration, "options": {"behaviour.style": {"length_margin": 3.0}}}
    other = attrs.evolve(view.result, run=attrs.evolve(view.result.run, configuration=configured))
    after = answers(other, collect(ResultView(other))).answers[1].rows[0]
    assert before.decision == "shifted" and after.decision == "equivalent"
    broken = attrs.evolve(view.result.run, configuration={"options": {"behaviour.style": {"length_margin": "x"}}})
    assert answers(attrs.evolve(view.result, run=broken), collect(view)).answers[1].rows[0].margin == before.margin


def test_undecided_questions_say_what_would_decide(view: ResultView) -> None:
    small = [contrast(0.01, -0.08, 0.10)]
    document = attrs.evolve(view.result, measurements=tuple(small), findings=())
    (answer,) = answers(document, collect(ResultView(document))).answers
    assert answer.decision == "inconclusive" and answer.word == "Undecided"
    assert "smallest detectable 12.9 points" in answer.rows[0].note and "prompts would decide" in answer.rows[0].note


def test_questions_nobody_could_answer_give_the_reason(view: ResultView) -> None:
    item = attrs.evolve(contrast(0, 0, 0), value=None, status="undefined", reason="no gold answer", interval=None)
    item = attrs.evolve(item, metric="behaviour.correct.rate", test=None)
    document = attrs.evolve(view.result, measurements=(item,), findings=())
    (answer,) = answers(document, collect(ResultView(document))).answers
    assert (answer.word, answer.rows[0].note) == ("Not measured", "no gold answer")
    assert "no gold answer" in render(ResultView(document)).decode()
    assert "Not measured: Correctness (no gold answer)" in printed(ResultView(document), 80)


def test_the_page_has_every_part_each_with_numbers(page: Page) -> None:
    ids = {values["id"] for _, values in page.tags if "id" in values}
    parts = (
        "length",
        "format",
        "strategy",
        "reasoning",
        "refusal",
        "correct",
        "calibration",
        "features",
        "texts",
        "serving",
    )
    assert {f"behaviour-{part}" for part in parts} <= ids
    assert {"behaviour", "length-plot", "pass-plot", "reliability-plot", "behaviour-length-parts"} <= ids
    assert page.words.count("Numbers behind the chart") == 3
    assert "Became right" in page.words and "Became wrong" in page.words
    assert "Header" in page.words and "On neither side:" in page.words
    drawn = [values.get("class", "") for tag, values in page.tags if tag == "svg"]
    assert {"dumbbell", "bars", "axis"} <= set(drawn) and any(name.startswith("whisker ") for name in drawn)


def test_stacked_strategies_fill_the_bar(view: ResultView) -> None:
    shown = behaviour_views(view, collect(view), BehaviourLimits())
    for _, segments in shown.stack:
        assert sum(s.width for s in segments) == pytest.approx(100, abs=0.01)
        assert [s.start for s in segments] == sorted(s.start for s in segments)


def test_curves_are_the_measured_numbers(view: ResultView) -> None:
    shown = behaviour_views(view, collect(view), BehaviourLimits())
    assert [p.x for p in shown.pass_at_k.base] == sorted({p.x for p in shown.pass_at_k.base})
    first = view.get("behaviour.pass_at_k", subjects=("base",), scope=Scope(subset="k=1"))
    assert first is not None and shown.pass_at_k.base[0].y == first.value
    assert shown.reliability and all(0 <= p.y <= 1 for p in shown.reliability.trained)
    assert shown.lengths is not None and sum(shown.lengths.base) == sum(shown.lengths.trained) == 4 * PROMPTS
    assert sum(b for _, b, _ in shown.lengths.bins) == 4 * PROMPTS
    assert {row.label: row.extra for row in shown.correctness.rows}["All prompts"][0].isdecimal()  # type: ignore[union-attr]


def test_decoding_that_differs_comes_first_and_is_marked(page: Page, view: ResultView) -> None:
    facts = behaviour_views(view, collect(view), BehaviourLimits()).facts
    assert facts[0].name == "top p" and facts[0].state == "differs"
    assert (facts[0].base, facts[0].trained) == ("1.0", "0.95")
    marked = [values for tag, values in page.tags if tag == "tr" and values.get("class") == "differs"]
    assert len(marked) == sum(fact.state == "differs" for fact in facts) == 1


def test_hostile_texts_stay_texts(page: Page) -> None:
    assert not {"img", "b", "base", "iframe"} & {tag for tag, _ in page.tags}
    assert all(0x202E not in map(ord, text) for text in page.text)
    figures = json.loads(page.island("report-figures"))
    packed = figures["behaviour"]["texts"]
    assert any(PWN in pair for row in packed for pair in row[3])
    assert "<" not in page.island("report-figures")


def test_texts_are_bounded_and_the_page_says_so(view: ResultView) -> None:
    whole = texts(view, max_bytes=10_000_000)
    assert len(whole.samples) == PROMPTS and all(len(one.pairs) == 4 for one in whole.samples)
    assert any("cut at 4,000 characters" in text for text in whole.limits)  # the huge answer
    assert max(len(text) for one in whole.samples for pair in one.pairs for text in pair) < 4100 < len(HUGE)
    few = texts(view, max_bytes=30_000)
    assert len(few.samples) < PROMPTS and f"of {PROMPTS} prompts" in " ".join(few.limits)
    middle = texts(view, max_bytes=60_000)
    assert all(len(one.pairs) <= len(w.pairs) for one, w in zip(middle.samples, whole.samples, strict=False))
    chosen = {one.chosen for one in whole.chosen}
    assert {"length", "format", "refusal", "correct"} <= chosen
    assert {one.part for one in whole.chosen} <= set(CATEGORIES)  # not the name of the file's suite


def test_a_run_without_excerpts_shows_digests_alone() -> None:
    hidden = recorded_run(excerpts=False)
    found = texts(hidden, max_bytes=1_000_000)
    assert found.withheld and not found.samples and found.chosen
    assert all(
        pair[0].startswith("sha256:") and pair[1].startswith("sha256:") for o in found.chosen for pair in o.pairs
    )
    content = render(hidden).decode()
    assert "digests and lengths stand in their place" in content
    assert "We see it." not in content and "window.__pwned" not in content


def changed(view: ResultView, tmp_path: Path, identifier: str, content: bytes) -> ResultView:
    """The run with another file in the place of an artifact, named by the document as it is."""
    assert view.directory is not None
    folder = tmp_path / "run"
    shutil.copytree(view.directory, folder)
    listed = []
    for artifact in view.result.artifacts:
        if artifact.id == identifier:
            (folder / artifact.path).write_bytes(content)
            artifact = attrs.evolve(artifact, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        listed.append(artifact)
    return ResultView(attrs.evolve(view.result, artifacts=tuple(listed)), folder)


BROKEN = {
    "no JSON": b"{",
    "a list": b"[1]",
    "wrong shapes": b'{"edges": [1, 0], "base": 3, "bins": {"base": [{"n": "x"}]},'
    b' "examples": [1, {"probe": [], "base": 3}],'
    b' "features": [{"difference": "x"}, 3], "facts": [[], {"name": 3}]}',
    "numbers beyond doubles": b'{"edges": [0, 1e999], "bins": {"base": [{"confidence": 1' + b"0" * 400 + b"}]}}",
    "half a pair of surrogates": b'{"examples": [{"probe": "\\ud800", "base": "\\udfff", "prompt": "\\ud800"}]}',
}
FILES = (
    "behaviour.length_distribution",
    "behaviour.calibration_curve",
    "behaviour.omnibus_features",
    "behaviour.decoding_facts",
    "behaviour.length_examples",
)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_files_leave_the_rest_of_the_page(view: ResultView, tmp_path: Path, name: str) -> None:
    broken = view
    for place, identifier in enumerate(FILES):
        broken = changed(broken, tmp_path / str(place), identifier, BROKEN[name])
    made = Page(render(broken))
    assert "Anything at all" in made.words
    assert lengths(broken)[0] is None and not reliability(broken)[0]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no gzip", "cannot be unpacked"),
        (gzip.compress(b"{}\n{", mtime=0), "not valid JSON"),
        (gzip.compress(b" " * 65_000_000, mtime=0), "more than 64 MB"),
    ],
)
def test_unreadable_samples_are_named(view: ResultView, tmp_path: Path, content: bytes, why: str) -> None:
    found = texts(changed(view, tmp_path, "core.samples_base", content), max_bytes=1_000_000)
    assert found.chosen and not found.samples and why in " ".join(found.limits)


def test_files_that_changed_since_are_not_shown(view: ResultView, tmp_path: Path) -> None:
    assert view.directory is not None
    shutil.copytree(view.directory, tmp_path / "run")
    for artifact in view.result.artifacts:
        path = tmp_path / "run" / artifact.path
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    other = ResultView(view.result, tmp_path / "run")
    assert "its digest differs" in render(other).decode()
    assert not texts(other, max_bytes=1_000_000)


def test_without_the_run_directory_the_numbers_remain(view: ResultView) -> None:
    made = Page(render(ResultView(view.result)))
    assert "Anything at all" in made.words and "without its run directory" in made.words


def test_the_long_table_is_folded_with_the_whole_model_first(page: Page, view: ResultView) -> None:
    groups = [values for tag, values in page.tags if tag == "details" and values.get("class") == "group"]
    assert len(groups) >= 5 and all("open" not in values for values in groups)
    from afterburn_core.report.families import tables

    (family,) = tables(collect(view), limit=10_000)
    whole = [line.whole for line in family.lines]
    assert whole == sorted(whole, reverse=True)
    assert sum(len(g.whole) + len(g.parts) for g in family.groups) == len(family.lines) == family.total


def test_documents_without_behaviour_have_no_such_section() -> None:
    document = without(clean(), "behaviour.")
    made = Page(render(ResultView(document)))
    assert "behaviour" not in {values.get("id") for _, values in made.tags}
    assert "Behaviour" not in printed(ResultView(document), 80)
    assert "### Behaviour" not in render_markdown(ResultView(document)).decode()


def test_the_verdict_says_its_word_once(view: ResultView) -> None:
    text = printed(view, 80).splitlines()[0]
    assert text.upper().count(view.result.verdict.status.upper()) == 1
    heading = Page(render(view))
    assert view.result.verdict.summary not in heading.words and verdict_text(view.result) in heading.words
    assert verdict_text(attrs.evolve(rich(), verdict=attrs.evolve(rich().verdict, summary="Fail: "))) == "Fail: "


@pytest.mark.parametrize("width", [80, 100, 40])
def test_the_terminal_gives_each_question_its_line(view: ResultView, width: int) -> None:
    lines = printed(view, width).splitlines()
    assert all(len(line) <= width for line in lines)
    shifted = [line for line in lines if line.startswith("Shifted ")]
    wanted = [a.title for a in answers(view.result, collect(view)).answers if a.decision == "shifted"]
    assert [title for line in shifted for title in wanted if f" {title}" in line] == wanted
    assert "behaviour.length_shift" not in "\n".join(lines)  # said once
    assert "behaviour.decoding_mismatch" in "".join(lines)  # asks for a person, so it stays


def test_markdown_has_a_row_for_every_question(view: ResultView) -> None:
    content = render_markdown(view).decode()
    table = content.split("### Behaviour")[1].split("###")[0]
    assert all(f"| **{title}** |" in table for title in QUESTIONS)
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len({line.count(" | ") for line in rows}) == 1
    assert len(table) < 6000


def test_a_large_run_renders_quickly_and_stays_small(view: ResultView, tmp_path: Path) -> None:
    assert view.directory is not None
    lines = [
        json.dumps({"prompt_id": f"p{i}", "prompt": f"prompt {i} " * 20, "sample": 0, "output": f"answer {i} " * 150})
        for i in range(1319)
    ]
    content = gzip.compress("\n".join(lines).encode())
    large = changed(view, tmp_path / "a", "core.samples_base", content)
    large = changed(large, tmp_path / "b", "core.samples_trained", content)
    render(view)  # templates are compiled once
    start = time.process_time()
    made = render(large)
    assert time.process_time() - start < 2
    assert len(made) < 6_000_000
    assert "answer 1318" in made.decode()


def test_options_bound_the_texts(view: ResultView) -> None:
    bare = HtmlOptions(behaviour=BehaviourLimits(text_bytes=0, parts=1))
    made = render(view, bare)
    assert len(made) < len(render(view)) and b"more row" in made
    assert json.loads(Page(made).island("report-figures"))["behaviour"]["texts"]


def test_empty_pieces_are_false() -> None:
    assert not Texts() and not Measured(collect(ResultView(without(clean(), "behaviour."))))
    one = Lengths(unit="words", edges=(0.0, 1.0), base=(0,), trained=(0,), pairs=(), prompts=0)
    assert one.bins == () and one.outline("base").startswith("M0 40")


def test_artifacts_elsewhere_are_never_opened(view: ResultView, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"examples": [{"probe": "secret"}]}')
    artifact = Artifact(
        id="behaviour.length_examples",
        path="../outside.json",
        media_type="application/json",
        sha256=hashlib.sha256(outside.read_bytes()).hexdigest(),
        size=outside.stat().st_size,
        producer="behaviour.length",
        summary="",
    )
    (tmp_path / "run").mkdir()
    other = attrs.evolve(view.result, artifacts=(artifact,))
    assert not texts(ResultView(other, tmp_path / "run"), max_bytes=10_000)
