"""The HTML report as a file: whole, inert, and honest about what it leaves out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import attrs
import pytest

from afterburn_core.report.html import HtmlOptions, render
from afterburn_core.report.inert import guard
from afterburn_core.report.spilled import pick
from afterburn_core.resources import golden_documents, template_dir
from afterburn_core.result.codec import dumps, read
from afterburn_core.result.model import Result
from afterburn_core.result.table import spill
from afterburn_core.result.view import ResultView

sys.path.append(str(Path(__file__).parent))
from test_report_samples import SAMPLES, clean, empty, hostile, large, rich, write_run

VOID = {"meta", "link", "input", "img", "br", "path"}


class Page(HTMLParser):
    """Elements, attributes and scripts of a page, with a check that tags nest."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self.text: list[str] = []
        self.stack: list[str] = []
        self.feed(content.decode())
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.tags.append((tag, values))
        if tag == "script":
            self.scripts.append((values, ""))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] == "script":
            values, text = self.scripts[-1]
            self.scripts[-1] = (values, text + data)
        elif not self.stack or self.stack[-1] != "style":
            self.text.append(data)

    def island(self, identifier: str) -> str:
        return next(text for values, text in self.scripts if values.get("id") == identifier)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


def page_of(document: Result, directory: Path | None = None, options: HtmlOptions | None = None) -> Page:
    return Page(render(ResultView(document, directory), options))


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_pages_are_well_formed_and_refer_to_nothing_outside(name: str) -> None:
    page = page_of(SAMPLES[name]())
    for tag, values in page.tags:
        assert tag not in {"iframe", "object", "embed", "base", "form", "img", "video", "audio"}
        assert not any(attribute.startswith("on") for attribute in values)
        for attribute in ("src", "href", "srcset", "action", "poster"):
            assert values.get(attribute, "#").startswith(("#", "data:,"))
    ids = [values["id"] for _, values in page.tags if "id" in values]
    assert len(ids) == len(set(ids))
    targets = {values["href"][1:] for tag, values in page.tags if tag == "a"}
    assert targets <= set(ids)
    labels = {name for _, values in page.tags for name in values.get("aria-labelledby", "").split()}
    assert labels <= set(ids)


@pytest.mark.parametrize("path", golden_documents(), ids=lambda path: path.stem)
def test_golden_documents_make_well_formed_pages(path: Path) -> None:
    assert page_of(read(path), path.parent).tags


def test_hostile_text_adds_no_element_and_no_attribute() -> None:
    def shape(document: Result) -> set[tuple[str, tuple[str, ...]]]:
        return {(tag, tuple(sorted(values))) for tag, values in page_of(document).tags}

    harmless = json.loads(json.dumps(dumps(hostile())))
    calm = Page(render(ResultView(hostile()))).tags
    assert harmless
    assert not [values for tag, values in calm if tag == "img"]
    known = shape(rich()) | shape(empty()) | shape(clean())
    assert {tag for tag, _ in shape(hostile())} <= {tag for tag, _ in known}
    assert {name for _, names in shape(hostile()) for name in names} <= {name for _, names in known for name in names}


def test_only_our_two_scripts_may_run_and_nothing_may_be_fetched() -> None:
    page = page_of(rich())
    policy = next(values["content"] for _, values in page.tags if values.get("http-equiv") == "Content-Security-Policy")
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert "connect-src" not in directives and "unsafe-eval" not in policy
    programs = [text for values, text in page.scripts if values.get("type") != "application/json"]
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in programs}
    assert set(directives["script-src"].split()) == hashes
    assert len(programs) == 2


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_page_carries_the_document_to_the_byte(name: str) -> None:
    document = SAMPLES[name]()
    carried = page_of(document).island("result-document")
    restored = re.sub(
        r"\\(?:u(003c|003e|0026|2028|2029)|.)", lambda m: chr(int(m[1], 16)) if m[1] else m[0], carried, flags=re.DOTALL
    )
    assert restored == dumps(document)
    assert "<" not in carried


def test_an_escaped_backslash_before_u003c_survives() -> None:
    assert guard('"\\\\u003c<"') == '"\\\\u003c\\u003c"'


def test_the_answer_comes_first() -> None:
    words = page_of(rich()).words
    order = [
        "Fail",
        "Fine-tuning changed one layer",
        "Relative change",
        "Findings",
        "Where it changed",
        "Behaviour",
        "Provenance",
    ]
    start = words.index("Skip to the report")
    places = [words.index(text, start) for text in order[:3]] + [
        words.rindex(text) for text in ("What changed most", "Digest")
    ]
    assert places == sorted(places)


def test_limits_are_stated() -> None:
    options = HtmlOptions(top=3, findings=4, measurements=1, examples=1, lines=2)
    words = page_of(rich(), options=options).words
    assert "Showing 4 of 9 findings" in words
    assert "Showing 1 of 4 measurements" in words
    assert "3 tensors with the largest relative change, of 193 tensors." in words
    assert "lines; the document holds the rest." in words


def test_missing_evidence_is_worded_as_such() -> None:
    words = page_of(empty()).words
    assert "No rule was judged. This is not a pass." in words
    assert "Whether they changed is not known from this document." in words
    assert "The run holds no measurements." in words
    assert "no trace" in words
    assert "No concerns" not in words


def test_differences_of_configuration_stand_side_by_side() -> None:
    page = page_of(rich())
    assert "rope_theta" in page.words
    tags = [tag for tag, _ in page.tags]
    assert "del" in tags and "ins" in tags


def test_charts_of_plugins_are_drawn_when_their_digest_fits(tmp_path: Path) -> None:
    page = page_of(rich(), write_run(tmp_path))
    assert list(json.loads(page.island("report-figures"))["drawings"]) == ["chart"]
    assert [values["data-drawing"] for _, values in page.tags if "data-drawing" in values] == ["chart"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{}", "missing from the run directory or has another size"),
        (b'{"data": [{"type": "scatter3d"}]}', "cannot draw: scatter3d"),
        (b'{"data": 3}', "not a Plotly figure"),
        (b'{"data": [NaN]}', "not valid JSON"),
    ],
)
def test_charts_that_cannot_be_drawn_say_why(tmp_path: Path, content: bytes, reason: str) -> None:
    document = rich()
    if content != b"{}":
        digest = hashlib.sha256(content).hexdigest()
        document = attrs.evolve(
            document, artifacts=(attrs.evolve(document.artifacts[0], size=len(content), sha256=digest),)
        )
    page = page_of(document, write_run(tmp_path, content))
    assert reason in page.words
    assert not json.loads(page.island("report-figures"))["drawings"]


def test_a_tampered_chart_and_one_outside_the_run_are_not_drawn(tmp_path: Path) -> None:
    document = rich()
    directory = write_run(tmp_path / "run")
    chart = directory / "artifacts" / "lengths.json"
    content = chart.read_bytes()
    chart.write_bytes(content.replace(b"base", b"bass"))
    assert "its digest differs" in page_of(document, directory).words
    (tmp_path / "lengths.json").write_bytes(content)
    outside = attrs.evolve(document, artifacts=(attrs.evolve(document.artifacts[0], path="../lengths.json"),))
    assert "missing from the run directory" in page_of(outside, directory).words
    assert "made from the document alone" in page_of(document).words


def test_markup_in_charts_is_reduced_to_emphasis(tmp_path: Path) -> None:
    content = b'{"data": [{"type": "bar", "name": "<b>a</b><a href=\\"https://evil.example\\">b</a><br>"}]}'
    document = rich()
    artifact = attrs.evolve(document.artifacts[0], size=len(content), sha256=hashlib.sha256(content).hexdigest())
    page = page_of(attrs.evolve(document, artifacts=(artifact,)), write_run(tmp_path, content))
    name = json.loads(page.island("report-figures"))["drawings"]["chart"]["data"][0]["name"]
    assert name == '<b>a</b>&lt;a href="https://evil.example">b&lt;/a><br>'


def test_spilled_tables_bring_their_most_changed_tensors_along(tmp_path: Path) -> None:
    document = spill(large(1000), tmp_path, limit=100)
    view = ResultView(document, tmp_path)
    few = pick(view, limit=42)
    assert few.total == 4000 and len(few.rows) == 40
    largest = sorted((m.value or 0 for m in view.measurements("weight.delta.relative")), reverse=True)[:10]
    assert sorted((m.value or 0 for m in few.rows if m.metric == "weight.delta.relative"), reverse=True) == largest
    words = Page(render(view, HtmlOptions(spilled=42))).words
    assert "this page shows the 40 of the most changed places" in words
    assert "1,000 tensors" in words


def test_a_spilled_table_out_of_reach_is_said_to_be_so(tmp_path: Path) -> None:
    document = spill(large(1000), tmp_path, limit=100)
    assert "4,000 more lie in tables beside the document that were not at hand" in page_of(document).words


def test_the_library_is_vendored_whole_with_its_licence() -> None:
    folder = template_dir("report") / "vendor"
    library = (folder / "plotly-cartesian.min.js").read_text(encoding="utf-8")
    assert re.match(r"/\*\*\s+\* plotly\.js \(cartesian - minified\) v\d", library)
    assert "MIT License" in (folder / "plotly-LICENSE.txt").read_text(encoding="utf-8")
    assert "</script" not in library.lower()


def test_a_report_of_usual_size_stays_below_two_megabytes() -> None:
    assert 1_400_000 < len(render(ResultView(rich()))) < 2_000_000
