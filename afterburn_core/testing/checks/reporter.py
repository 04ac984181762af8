"""Rules for reporters."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from xml.etree import ElementTree

from afterburn_core.plugin.registry import load_factory
from afterburn_core.resources import golden_documents
from afterburn_core.result import codec, strict_json
from afterburn_core.result.model import Result
from afterburn_core.result.view import ResultView
from afterburn_core.testing.guards import network_blocked, watched_globals
from afterburn_core.testing.hostile import ELEMENT, hostile_document
from afterburn_core.testing.kit import Target, expect, fail
from afterburn_core.testing.processes import python_json

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_TEXTUAL = re.compile(r"text/.*|application/(.*\+)?(json|xml|yaml)")

_RENDER_ALL = """
from afterburn_core.plugin.registry import load_factory
from afterburn_core.resources import golden_documents
from afterburn_core.result import codec
from afterburn_core.result.view import ResultView
render = load_factory(argument)
for path in golden_documents():
    render(ResultView(codec.read(path)))
"""


def check_renders_every_golden_document(target: Target) -> None:
    """Every document that is kept as an example, of every version of the schema, is rendered, and not into nothing.

    Results are kept for years; whoever can read one must be able to show it.
    """
    expect(golden_documents(), "there are no golden documents in this installation of the core")
    for name, result in _documents():
        expect(_render(target, result), f"{name} is rendered into nothing")


def check_same_document_gives_same_bytes(target: Target) -> None:
    """Rendering is a pure function: the same bytes each time, no clock, no network, nothing changed.

    Reports are compared, cached and signed.
    """
    for name, result in _documents():
        kept = codec.dumps(result)
        with network_blocked() as attempts, watched_globals() as changed:
            first, second = _render(target, result), _render(target, result)
        expect(first == second, f"{name} rendered twice gives different bytes")
        expect(not attempts, f"rendering {name} tried {attempts[0] if attempts else ''}")
        expect(not changed, f"rendering {name} changed: {', '.join(changed)}")
        expect(codec.dumps(result) == kept, f"rendering {name} changed the document")


def check_hostile_strings_are_escaped(target: Target) -> None:
    """Text from the document stays text: it never becomes markup, a script, a formula, a link or a control sequence.

    Names of tensors and outputs of models come from strangers, and a report is opened by people who trust it.
    """
    text = _render(target, hostile_document())
    kind = target.spec.media_type.partition(";")[0].strip().lower()
    if not _TEXTUAL.fullmatch(kind):
        expect(
            f"<{ELEMENT}".encode() not in text or kind.startswith("image/"),
            f"<{ELEMENT}> stands in the output as it is",
        )
        return
    try:
        shown = text.decode("utf-8")
    except UnicodeDecodeError as error:
        fail(f"the output is not UTF-8: {error}")
    known = [test for pattern, test in _FORMATS.items() if re.fullmatch(pattern, kind)]
    for test in known or [_test_characters]:
        test(shown)


def check_renders_without_torch(target: Target) -> None:
    """Every golden document can be rendered where torch, transformers and numpy are not installed.

    Reports are made on laptops and in pipelines that never run a model.
    """
    python_json(_RENDER_ALL, target.spec.factory, blocked=("torch", "transformers", "numpy"))


def _documents() -> Iterator[tuple[str, Result]]:
    yield "the hostile document", hostile_document()
    for path in golden_documents():
        yield path.name, codec.read(path)


def _render(target: Target, result: Result) -> bytes:
    rendered = load_factory(target.spec.factory)(ResultView(result))
    expect(isinstance(rendered, bytes), f"render returned {type(rendered).__name__} instead of bytes")
    return bytes(rendered)


class _Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self._script = False
        self._shown = True

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag == ELEMENT:
            self.faults.append(f"<{ELEMENT}> became an element")
        for name, value in values.items():
            active = name.startswith("on") or (name in {"href", "src", "action"} and _loads(value))
            if "hostile" in value and active:
                self.faults.append(f"the attribute {name} of <{tag}> is active: {value!r}")
            self._look(value)
        # data islands are no code; anything else in a script element is
        self._script = tag == "script" and "json" not in values.get("type", "")
        self._shown = tag not in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self._script = False
        self._shown = True

    def handle_data(self, data: str) -> None:
        if self._script and "hostile()" in data:
            self.faults.append("text of the document became a script")
        if self._shown:
            self._look(data)

    def _look(self, text: str) -> None:
        control = _CONTROL.search(text)
        if control is not None:
            self.faults.append(f"the page shows the control character {control.group()!r}")


def _loads(address: str) -> bool:
    return re.match(r"\s*(javascript|data|https?|//)", address, re.IGNORECASE) is not None


def _test_html(text: str) -> None:
    """What a browser would act on or show; a data island may hold any character."""
    page = _Page()
    page.feed(text)
    page.close()
    expect(not page.faults, page.faults[0] if page.faults else "")


def _test_characters(text: str) -> None:
    control = _CONTROL.search(text)
    expect(control is None, f"the output holds the control character {control.group() if control else ''!r}")


def _test_markdown(text: str) -> None:
    _test_characters(text)
    expect(f"<{ELEMENT}" not in text, f"<{ELEMENT}> stands in the Markdown as it is")
    expect("](javascript:" not in text, "a link to javascript: stands in the Markdown")
    expect("](https://hostile.invalid" not in text, "an image of a stranger's address stands in the Markdown")
    expect(not re.search(r"^# hostile", text, re.MULTILINE), "text of the document became a heading")


def _test_json(text: str) -> None:
    try:
        # the strict reader refuses NaN and duplicate keys, but takes objects only
        strict_json.parse(text) if text.lstrip().startswith("{") else json.loads(text, parse_constant=_refuse)
    except Exception as error:
        fail(f"the output is not strict JSON: {error}")


def _refuse(constant: str) -> float:
    fail(f"{constant} is not JSON")


def _test_xml(text: str) -> None:
    _test_characters(text)
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        fail(f"the output is not well-formed XML: {error}")
    expect(all(not str(element.tag).endswith(ELEMENT) for element in root.iter()), f"<{ELEMENT}> became an element")


def _test_table(text: str) -> None:
    _test_characters(text)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    widths = {len(row) for row in rows}
    expect(
        len(widths) == 1, f"rows have {min(widths)} to {max(widths)} cells; quote what holds separators or line breaks"
    )
    for cell in (cell for row in rows for cell in row):
        formula = cell[:1] in {"=", "+", "@", "\t", "\r"} or (cell.startswith("-") and "hostile" in cell)
        expect(not formula, f"a spreadsheet would run {cell[:40]!r}; put an apostrophe before it")


_FORMATS: dict[str, Callable[[str], None]] = {
    r"text/html|application/xhtml\+xml": _test_html,
    r"text/(x-)?markdown": _test_markdown,
    r"(application/(.*\+)?|text/)json": _test_json,
    r"(application/(.*\+)?|text/|image/svg\+)xml": _test_xml,
    r"text/csv": _test_table,
}

CHECKS = (
    check_renders_every_golden_document,
    check_same_document_gives_same_bytes,
    check_hostile_strings_are_escaped,
    check_renders_without_torch,
)
