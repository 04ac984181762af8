"""The report for paper: it says what the document says, is drawn, tagged and inert, and is the same every time."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pikepdf
import pytest
import tinyhtml5

from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import Registry
from afterburn_core.report import presentation
from afterburn_core.report.evidence import collect
from afterburn_core.report.json import document
from afterburn_core.report.numbers import percent
from afterburn_core.report.pdf import PdfOptions, render
from afterburn_core.report.pdf_figures import static
from afterburn_core.report.pdf_frame import linear, logarithmic
from afterburn_core.report.pdf_maps import heat_map
from afterburn_core.report.pdf_paint import SVG, paint_of, painted
from afterburn_core.report.pdf_paper import PaperLimits, on_paper
from afterburn_core.report.pdf_tables import set_widths, widths
from afterburn_core.report.typesetting import FAMILIES, readable
from afterburn_core.report.writing import check_output
from afterburn_core.resources import golden_documents
from afterburn_core.result.codec import read
from afterburn_core.result.model import Artifact
from afterburn_core.result.view import ResultView

sys.path.append(str(Path(__file__).parent))
from pdf_pages import elements, opened, outline, streams, texts
from test_report_samples import clean, hostile, large, rich, write_run

HOSTILE = next(path for path in golden_documents() if path.stem == "1.0-hostile")


def squeezed(text: str) -> str:
    return "".join(readable(text).split())


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultView, bytes]:
    view = ResultView(rich(), write_run(tmp_path_factory.mktemp("run")))
    return view, render(view)


@pytest.fixture(scope="module")
def attacked() -> dict[str, bytes]:
    return {"sample": render(ResultView(hostile(), None)), "golden": render(ResultView(read(HOSTILE), HOSTILE.parent))}


def test_the_text_holds_the_verdict_every_finding_and_the_numbers_it_rests_on(
    printed: tuple[ResultView, bytes],
) -> None:
    view, content = printed
    text = "".join(texts(opened(content)))
    evidence = collect(view)
    assert squeezed(view.result.verdict.summary) in text
    for reason in view.result.verdict.reasons:
        assert squeezed(reason.message) in text
    for finding in view.result.findings:
        assert squeezed(finding.rule) in text
        assert squeezed(finding.message) in text
        for identifier in finding.measurements[:8]:
            assert squeezed(presentation.shown(evidence.cited[identifier], evidence)) in text
    assert squeezed(view.result.findings[6].suppression.owner) in text  # type: ignore[union-attr]
    assert hashlib.sha256(document(view).encode()).hexdigest() in text


def test_pages_are_numbered_listed_and_bookmarked(printed: tuple[ResultView, bytes]) -> None:
    view, content = printed
    file = opened(content)
    pages = texts(file)
    for number, text in enumerate(pages, 1):
        assert f"page{number}of{len(pages)}" in text
        assert f"run{view.result.run.id}" in text
    listed = dict(re.findall(r"(Findings|Glossary|Wherei?tchanged)(?:\.)+(\d+)", pages[1]))
    assert {"Findings", "Glossary"} <= listed.keys()
    for title, number in listed.items():
        assert title in pages[int(number) - 1]
    marks = dict(outline(file))
    assert {"Verdict and reasons", "Findings", "Where it changed", "Glossary"} <= marks.keys()
    assert "Outcomes of all rules" in marks["Verdict and reasons"]


def test_a_reader_without_eyes_is_told_what_is_what(printed: tuple[ResultView, bytes]) -> None:
    file = opened(printed[1])
    assert file.Root.MarkInfo.Marked
    assert str(file.Root.Lang) == "en"
    with file.open_metadata() as metadata:
        assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("3", "A")
        assert metadata["dc:title"].startswith("Fail: example/llama-1b")
    figures = elements(file, "/Figure")
    assert len(figures) > 20
    assert all(str(figure["/Alt"]) for figure in figures)
    assert len(elements(file, "/Table")) > 8
    cells = elements(file, "/TD")
    assert len(cells) > 100
    assert all(len(cell["/A"]["/Headers"]) for cell in cells)


def test_drawings_are_lines_and_nothing_in_the_file_acts(
    printed: tuple[ResultView, bytes], attacked: dict[str, bytes]
) -> None:
    for content in (printed[1], *attacked.values()):
        file = opened(content)
        assert streams(file, "/Image") == []
        assert not {"/OpenAction", "/AA", "/AcroForm"} & file.Root.keys()
        assert "/EmbeddedFiles" not in file.Root.get("/Names", pikepdf.Dictionary())
        assert "/AF" not in file.Root
        for page in file.pages:
            for note in page.get("/Annots", ()):
                assert note.Subtype == "/Link"
                assert "/A" not in note  # it leads to a page of this file
        names = {str(one.FontName).partition("+")[2] for one in file.objects if _is_font(one)}
        assert names
        assert all(name.replace("-", " ").startswith(FAMILIES) for name in names), names


def _is_font(one: object) -> bool:
    return isinstance(one, pikepdf.Dictionary) and one.get("/Type") == "/FontDescriptor"


def test_what_strangers_wrote_is_text_without_hidden_turns(attacked: dict[str, bytes]) -> None:
    text = "".join(texts(opened(attacked["sample"])))
    assert "<script>" in text
    assert "\u27e8U+202E\u27e9" in text
    for content in attacked.values():
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x1f]", "".join(texts(opened(content))))


def test_the_same_document_gives_the_same_bytes_in_another_process() -> None:
    view = ResultView(clean(), None)
    code = (
        f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
        "from test_report_samples import clean\n"
        "from afterburn_core.report.pdf import render\n"
        "from afterburn_core.result.view import ResultView\n"
        "import hashlib; print(hashlib.sha256(render(ResultView(clean(), None))).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONHASHSEED": "7"}, check=True
    )
    assert done.stdout.strip() == hashlib.sha256(render(view)).hexdigest()


def test_a_long_document_stays_short_and_counts_what_it_leaves_out() -> None:
    options = PdfOptions(top=200)
    text = texts(opened(render(ResultView(large(2_000), None), options)))
    assert len(text) < 20
    assert any("160morerowsof200areinresult.json" in page for page in text)


def test_a_missing_library_is_named_before_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(ConfigError, match=r"report\.pdf: .*pip install 'afterburn-core\[pdf\]'") as caught:
        check_output(tmp_path / "report.pdf", Registry.discover())
    assert "\n" not in str(caught.value)


def test_a_page_for_screens_becomes_one_for_paper() -> None:
    rows = "".join(f"<tr><td>{k}</td></tr>" for k in range(100))
    page = tinyhtml5.parse(
        "<body><ol class=contents></ol><h2>One</h2><div class=script-only>pressed</div>tail"
        f"<table><tbody>{rows}</table>"
        f"<details><summary>More</summary><table><tbody>{rows}</table></details>"
        f"<details><summary>7 more parts</summary>gone</details><p title=x>{'a' * 5000}</p><a href='#nowhere'>link</a>",
        namespace_html_elements=False,
    )
    on_paper(page, PaperLimits(rows=10, folded_rows=4, characters=100))
    text = "".join(page.itertext())
    assert "pressed" not in text
    assert "tail" in text
    assert "gone" not in text
    assert "7 more parts: in result.json" in text
    assert len(list(page.iter("tr"))) == 14
    assert "90 more rows of 100" in text
    assert "96 more rows of 100" in text
    assert "(4,900 more characters)" in text
    assert page.find(".//ol/li/a").get("href") == "#" + page.find(".//h2").get("id")
    assert [one.text for one in page.iter("a")] == ["One"]


def test_drawings_take_their_colours_from_the_sheets_around_them() -> None:
    page = tinyhtml5.parse(
        "<body><p class=fail><svg class=bars><rect class=known /><text>a</text></svg>", namespace_html_elements=False
    )
    sheet = ".fail { --tone: var(--red) } :root { --red: #b23a0a } .bars .known { fill: var(--tone); margin: 1px }"
    painted(page, paint_of(sheet, "svg text { font-size: .5rem } @media print { rect { fill: blue } }"))
    rect, text = page.find(f".//{SVG}rect"), page.find(f".//{SVG}text")
    assert (rect.get("fill"), rect.get("margin"), text.get("font-size")) == ("#b23a0a", None, "8")


def test_columns_share_the_line_by_what_stands_in_them() -> None:
    assert widths([(5, 5), (5, 500)])[1] > 85
    assert sum(widths([(30, 60)] * 9)) == pytest.approx(100)
    table = tinyhtml5.parse(
        "<table><tr><th>n<th>What</tr><tr><td rowspan=2>1<td>a sentence of many words<tr><td>another one</table>",
        namespace_html_elements=False,
    )
    set_widths(table)
    sizes = [float(re.findall(r"[\d.]+", col.get("style"))[0]) for col in table.iter("col")]
    assert sum(sizes) == pytest.approx(100, abs=0.1)
    assert sizes[0] < 25 < sizes[1]


def test_maps_tell_zero_from_undefined_from_nothing() -> None:
    grid = {"rows": ["0", "1"], "columns": ["q", "k", "v"], "values": [[0.5, 0.0, None], [0.25, None, 1e-9]]}
    chart = heat_map("a metric", {**grid, "states": [[1, 1, 2], [1, 0, 1]]}, share=True, flip=False)
    assert chart.svg.count('class="empty"') == 2  # the zero, and the undefined one below its hatching
    assert chart.svg.count('class="hatch"') >= 1
    assert percent(0.5) in chart.svg
    assert 'class="hatch"' not in heat_map("a metric", grid, flip=False).svg  # nothing there to measure
    values = [[10.0 ** -(j + 6 * (j > 0)) for j in range(9)]]
    assert "logarithmic" in heat_map("wide", {"rows": ["0"], "columns": list("abcdefghi"), "values": values}).note


@pytest.mark.parametrize("values", [(0.0, 1.0), (-3.2, 0.07), (5.0, 5.0), (1e-9, 2e-9), (0.0, 123456.0), (None, None)])
def test_axes_hold_their_values_between_round_ticks(values: tuple[float | None, float | None]) -> None:
    for axis in (linear(values), linear(values, zero=True), logarithmic(values)):
        places = [axis.at(value) for value, _ in axis.ticks]
        assert all(axis.low * (1 - 1e-9) <= value <= axis.high * (1 + 1e-9) for value, _ in axis.ticks if value > 0)
        assert places == sorted(places)
        assert 2 <= len(places) <= 16
    axis = linear(values)
    assert all(axis.low <= value <= axis.high for value in values if value is not None)


def test_charts_of_plugins_are_drawn_or_named(tmp_path: Path) -> None:
    artifact = Artifact(
        id="c", path="c.json", media_type="x", sha256="0" * 64, size=1, summary="Lengths", producer="some.plugin"
    )
    from afterburn_core.report.drawings import Drawing

    def tried(*data: Mapping[str, object]) -> tuple[object, str]:
        figure = {"data": list(data), "layout": {}}
        return static(Drawing(id="c", title="Lengths", producer=artifact.producer, figure=figure))

    for trace in (
        {"type": "scatter", "x": [1, 2], "y": [3, None]},
        {"type": "histogram", "x": [1, 2, 2, 9]},
        {"type": "bar", "x": ["a", "b"], "y": [1, 2]},
        {"type": "heatmap", "z": [[1, 2], [3, None]]},
    ):
        assert tried(trace)[1] == "", trace
    assert tried({"type": "pie", "values": [1]}) == (
        None,
        "a figure of pie cannot be drawn on paper; the HTML report draws it",
    )
    assert tried({"type": "heatmap", "z": "\u202e"})[0] is None
    assert tried({"type": "scatter", "y": {"bdata": "AAAA"}})[0] is None


def test_other_scripts_stay_readable_and_tricks_do_not() -> None:
    assert readable("中文, русский, हिन्दी") == "中文, русский, हिन्दी"
    assert readable("a\u202eb\U0001f600\u0661e\u0301\u0301") == "a⟨U+202E⟩b⟨U+1F600⟩⟨U+0661⟩é⟨U+0301⟩"
