"""Every format over every document: renders, twice the same, and nothing in it acts."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import attrs
import pytest
from rich.console import Console

from afterburn_core.report import html, inert, junit, markdown, sarif
from afterburn_core.report import json as json_report
from afterburn_core.report.presentation import KINDS
from afterburn_core.report.terminal import summary
from afterburn_core.resources import golden_documents
from afterburn_core.result.codec import loads, read
from afterburn_core.result.model import Reason, Result
from afterburn_core.result.view import ResultView

sys.path.append(str(Path(__file__).parent))
from test_report_samples import PWN, SAMPLES, clean, empty, hostile, rich


def terminal(view: ResultView, width: int = 80) -> bytes:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    summary(view, console)
    return console.file.getvalue().encode()  # type: ignore[attr-defined]


FORMATS: dict[str, Callable[[ResultView], bytes]] = {
    "html": html.render,
    "json": json_report.render,
    "markdown": markdown.render,
    "junit": junit.render,
    "sarif": sarif.render,
    "terminal": terminal,
}
DOCUMENTS: dict[str, Callable[[], Result]] = {
    **SAMPLES,
    **{path.stem: lambda path=path: read(path) for path in golden_documents()},  # type: ignore[misc]
}


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_format_renders_every_document_twice_the_same(form: str, document: str) -> None:
    first = FORMATS[form](ResultView(DOCUMENTS[document]()))
    assert first
    assert first == FORMATS[form](ResultView(DOCUMENTS[document]()))
    first.decode()


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_format_states_the_verdict_and_the_summary(form: str) -> None:
    text = FORMATS[form](ResultView(rich())).decode()
    assert re.search("fail", text, re.IGNORECASE)
    assert "Fine-tuning changed one layer far more" in " ".join(text.split())


def test_reports_need_neither_torch_nor_the_file_system() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; "
        "from afterburn_core.report import html, json, junit, markdown, sarif, terminal; "
        "print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_json_report_is_the_document() -> None:
    assert loads(json_report.render(ResultView(rich()))) == rich()


def test_markdown_holds_no_active_markup() -> None:
    markdown_it = pytest.importorskip("markdown_it")
    text = markdown.render(ResultView(hostile())).decode()
    assert "\x1b" not in text and "\u202e" not in text
    page = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    tags = set(re.findall(r"<\s*(/?\w+)", page))
    assert tags <= {f"{slash}{tag}" for slash in ("", "/") for tag in ALLOWED}
    assert "href" not in page and "onerror=" not in re.sub(r">[^<]*<", "><", page)
    assert not re.search(r"(?<![\w/])@\w", text)


ALLOWED = {"h2", "h3", "p", "strong", "em", "ul", "li", "code", "details", "summary"}
ALLOWED |= {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize(
    ("text", "inert_text"),
    [
        ("a|b", "a&#124;b"),
        ("1. x", "1&#46; x"),
        ("1.5 %", "1.5 %"),
        ("snake_case", "snake_case"),
        ("__x__", "&#95;&#95;x&#95;&#95;"),
        ("two\nlines", "two lines"),
        ("- item", "&#45; item"),
    ],
)
def test_markdown_escapes_only_what_would_act(text: str, inert_text: str) -> None:
    assert inert.markdown(text) == inert_text


def test_markdown_counts_what_it_leaves_out() -> None:
    text = markdown.render(ResultView(rich()), markdown.MarkdownOptions(findings=3, examples=0, top=2)).decode()
    assert "6 more findings are in the result document." in text
    assert "2 more measurements are in the result document." in text


def cases(document: Result) -> dict[str, ElementTree.Element]:
    root = ElementTree.fromstring(junit.render(ResultView(document)))
    found: dict[str, ElementTree.Element] = {}
    for case in root.iter("testcase"):
        found.setdefault(case.get("name", ""), case)  # a rule and a component may share a name; findings come first
    return found


def test_junit_maps_each_kind_as_documented() -> None:
    found = cases(rich())
    assert found["weight.outlier.layer"].find("failure") is not None
    assert found["hack.format"].find("error") is not None
    assert found["hack.sycophancy"].find("skipped") is not None
    waived = found["behaviour.length"].find("skipped")
    assert waived is not None and "Longer replies were asked for" in waived.get("message", "")
    review = found["weight.tokenizer.changed"]
    assert [child.tag for child in review] == ["system-out"]
    assert {child.tag for child in found["weight.finite"]} <= {"system-out"}


def test_junit_is_never_green_for_what_did_not_run() -> None:
    found = cases(empty())
    assert found["verdict"].find("error") is not None
    assert found["weights"].find("error") is not None
    assert cases(rich())["behaviour.judge"].find("error") is not None
    assert cases(rich())["weight.lora"].find("skipped") is not None


def test_junit_counts_add_up() -> None:
    root = ElementTree.fromstring(junit.render(ResultView(rich())))
    for total, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(root.get(total, "-1")) == len(list(root.iter(tag))) == sum(int(s.get(total, "0")) for s in root)


def test_junit_text_keeps_to_the_characters_of_xml() -> None:
    text = junit.render(ResultView(hostile())).decode()
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e\ufffe]", text)
    assert "</script><script>" not in text
    assert inert.xml("a\x00\ufffe\ud800") == "a␀\ufffd⟨U+D800⟩"


def test_sarif_has_what_the_standard_requires() -> None:
    log = json.loads(sarif.render(ResultView(rich())))
    assert log["version"] == "2.1.0" and len(log["runs"]) == 1
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    allowed = {"pass", "fail", "review", "open", "informational", "notApplicable"}
    assert {result["kind"] for result in run["results"]} == allowed
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["level"] == "none" or result["kind"] == "fail"
        assert re.fullmatch("[0-9a-f]{32}", result["partialFingerprints"][sarif.FINGERPRINT])
        for location in result["locations"]:
            place = location["physicalLocation"]["artifactLocation"]
            assert run["artifacts"][place["index"]]["location"]["uri"] == place["uri"]
    for rule in rules:
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in {"none", "note", "warning", "error"}
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert any(
        "behaviour.judge: failed" in note["message"]["text"] for note in invocation["toolExecutionNotifications"]
    )
    waived = next(result for result in run["results"] if result["ruleId"] == "behaviour.length")
    assert waived["suppressions"][0]["justification"] == "Longer replies were asked for"


def test_sarif_names_tensors_and_hashes_files_without_absolute_addresses() -> None:
    log = json.loads(sarif.render(ResultView(rich())))
    run = log["runs"][0]
    outlier = next(result for result in run["results"] if result["kind"] == "fail")
    name = "model.layers.17.mlp.down_proj.weight"
    assert outlier["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == name
    assert any(artifact.get("hashes", {}).get("sha-256") for artifact in run["artifacts"])
    uris = re.findall(r'"uri": "([^"]*)"', sarif.render(ResultView(hostile())).decode())
    assert uris
    for uri in uris:
        assert not uri.startswith("/") and ":" not in uri


def test_sarif_of_a_clean_run_is_successful_and_of_an_interrupted_one_is_not() -> None:
    for document, successful in ((clean(), True), (empty(), False)):
        run = json.loads(sarif.render(ResultView(document)))["runs"][0]
        assert run["invocations"][0]["executionSuccessful"] is successful


def test_sarif_texts_hold_no_embedded_links() -> None:
    messages = re.findall(r'"text": "((?:[^"\\]|\\.)*)"', sarif.render(ResultView(hostile())).decode())
    assert any("(javascript" in message for message in messages)
    assert not any("](javascript" in message for message in messages)


@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_terminal_summary_fits_its_width_and_holds_no_escapes(name: str, width: int) -> None:
    text = terminal(ResultView(SAMPLES[name]()), width).decode()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text and "\u202e" not in text


def test_the_terminal_summary_says_the_verdict_first_and_counts_what_it_leaves_out() -> None:
    console = Console(file=io.StringIO(), width=100)
    summary(ResultView(rich()), console, findings=2, top=1)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.lstrip().startswith("FAIL")
    assert "4 more findings are in the report." in text
    assert "1 component did not finish" in text


def test_the_terminal_spells_out_a_few_reasons_and_counts_the_others() -> None:
    result = clean()
    reasons = tuple(Reason(effect="incomplete", message=f"component {i} was interrupted") for i in range(28))
    verdict = attrs.evolve(result.verdict, status="incomplete", reasons=reasons)
    text = terminal(ResultView(attrs.evolve(result, verdict=verdict))).decode()
    assert text.count("was interrupted") == 5 and "and 23 more reasons" in text


def test_the_terminal_reads_no_markup_in_names() -> None:
    document = attrs.evolve(
        rich(), verdict=attrs.evolve(rich().verdict, summary="[red]x[/red] [link=https://a]b[/link]")
    )
    assert "[red]x[/red] [link=https://a]b[/link]" in terminal(ResultView(document), 120).decode()


def test_visible_text_shows_controls_and_direction_overrides() -> None:
    assert inert.visible("a\x1b[31m\u202eb\u2069\x7f\x85\tc\n") == "a␛[31m⟨U+202E⟩b⟨U+2069⟩␡⟨U+0085⟩\tc\n"
    assert inert.one_line(" a\r\n b ") == "a␍ b"


def test_all_kinds_have_words_everywhere() -> None:
    assert {finding.kind for finding in rich().findings} == set(KINDS)
    assert PWN in hostile().verdict.summary
