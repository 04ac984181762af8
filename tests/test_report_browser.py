"""The HTML report in a browser: draws, sorts, filters, changes theme, stays within a phone, asks nothing of anyone."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from afterburn_core.report import numbers
from afterburn_core.report.html import render
from afterburn_core.resources import golden_documents, template_dir
from afterburn_core.result.codec import dumps, read
from afterburn_core.result.model import Result
from afterburn_core.result.view import ResultView

sys.path.append(str(Path(__file__).parent))
from test_report_samples import SAMPLES, hostile, large, rich, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; set CHROMIUM to its path"),
]


@attrs.define
class Visit:
    """An open report and everything it asked for or complained about."""

    page: Page
    requests: list[str]
    complaints: list[str]

    def text(self, selector: str) -> str:
        return " ".join(self.page.inner_text(selector).split())

    def names(self) -> list[str]:
        return self.page.locator("#tensor-table tbody th").all_inner_texts()

    def fits(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    contexts, visits = [], []

    def opened(document: Result, width: int = 1280, scheme: Any = "light", run: Path | None = None) -> Visit:
        run = run or write_run(tmp_path / "run")
        path = tmp_path / "report.html"
        path.write_bytes(render(ResultView(document, run)))
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # a busy machine is no fault of the page
        seen = Visit(page, [], [])
        visits.append(seen)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.complaints.append(message.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.goto(path.as_uri())
        return seen

    yield opened
    for seen in visits:
        assert seen.complaints == []
        assert all(url.startswith(("file://", "data:,", "blob:")) for url in seen.requests)
        assert len([url for url in seen.requests if url.startswith("file://")]) == 1
        assert seen.page.evaluate("window.__pwned") is None
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_report_draws_its_charts_and_fits_every_screen(visit: Open, width: int, scheme: str) -> None:
    seen = visit(rich(), width, scheme)
    for host in ("#heat", "#layers", "#modules", ".drawing"):
        assert seen.page.locator(f"{host} .main-svg").count() > 0
    assert seen.fits()
    seen.page.click("#expand")
    assert seen.page.locator(".finding details:not([open])").count() == 0
    assert seen.fits()


@pytest.mark.parametrize("name", ["empty", "hostile"])
def test_bare_and_hostile_documents_open_on_a_phone(visit: Open, name: str) -> None:
    assert visit(SAMPLES[name](), 360).fits()


@pytest.mark.parametrize("path", golden_documents(), ids=lambda path: path.stem)
def test_every_golden_document_opens_on_a_phone(visit: Open, path: Path) -> None:
    seen = visit(read(path), 360, "dark")
    assert seen.text("h1")
    assert seen.fits()


def test_tables_sort_both_ways_with_undefined_values_last(visit: Open) -> None:
    seen = visit(rich())
    head = seen.page.locator("#tensor-table thead button", has_text="delta.relative")
    head.click()
    assert seen.names()[0] == "model.layers.17.mlp.down_proj.weight"
    assert seen.page.locator("#tensor-table th[aria-sort=descending]").count() == 1
    head.click()
    assert seen.page.locator("#tensor-table tbody tr").first.locator("td").nth(2).inner_text() == "0 %"
    seen.page.click("#tensor-table button:has-text('Last')")
    assert seen.page.locator("#tensor-table tbody tr").last.locator("td").nth(2).inner_text() == "undefined"


def test_tables_filter_by_words_by_module_and_by_change(visit: Open) -> None:
    seen = visit(rich())
    status = "#tensor-table .status"
    assert seen.text(status) == "1–25 of 193 tensors"
    seen.page.fill("#tensor-table input[type=search]", "layers.3. v_proj")
    assert seen.names() == ["model.layers.3.self_attn.v_proj.weight"]
    seen.page.check("#tensor-table input[type=checkbox]")
    assert seen.text(status) == "0 of 0 tensors (of 193)"
    seen.page.fill("#tensor-table input[type=search]", "")
    seen.page.select_option("#tensor-table .field select", "v")
    assert seen.text(status) == "1–20 of 20 tensors (of 193)"


def test_the_measurement_table_filters_by_metric_and_pages(visit: Open) -> None:
    seen = visit(rich())
    table = "#measurement-table"
    seen.page.select_option(f"{table} .field select", "behaviour.length.shift")
    assert "adjusted p = 0.0021" in seen.text(f"{table} tbody")
    seen.page.select_option(f"{table} .field select", "")
    seen.page.click(f"{table} button:has-text('Next')")
    assert seen.text(f"{table} .status").startswith("26–50 of 755")


def test_twenty_thousand_rows_stay_quick(visit: Open) -> None:
    seen = visit(large())
    seen.page.fill("#measurement-table input[type=search]", "experts.7. stable_rank")
    assert "(of 20,000)" in seen.text("#measurement-table .status")
    seen.page.fill("#measurement-table input[type=search]", "")
    took = seen.page.evaluate(
        "() => { const start = performance.now();"
        " document.querySelectorAll('#measurement-table thead button')[3].click(); return performance.now() - start; }"
    )
    assert took < 10_000  # tens of milliseconds on an idle machine
    assert seen.page.locator("#measurement-table tbody tr").count() == 25


def test_the_metric_picker_and_the_logarithm_redraw_the_heat_map(visit: Open) -> None:
    seen = visit(rich())
    colours = "document.querySelector('#heat').data[0].zmax"
    assert seen.page.evaluate(colours) == pytest.approx(0.0522313, rel=1e-4)
    seen.page.check("#log")
    assert seen.page.evaluate(colours) == pytest.approx(-1.28207, rel=1e-3)
    seen.page.select_option("#metric", label="weight.delta.radial")
    assert seen.page.is_disabled("#log")
    assert seen.page.evaluate(colours) == pytest.approx(1 / 3, rel=0.01)
    assert seen.text("#metric-summary") == "Cosine between the change and the base weights"


def test_turning_a_phone_leaves_no_remains_of_the_other_colour_bar(visit: Open) -> None:
    seen = visit(rich(), 360)
    for width in (1280, 360, 1280):
        seen.page.set_viewport_size({"width": width, "height": 800})
        seen.page.wait_for_function(f"document.querySelector('#heat').dataset.wide === '{str(width > 640).lower()}'")
    labels = seen.page.locator("#heat .infolayer .cbaxis text").all_text_contents()
    assert labels == ["0 %", "1.31 %", "2.61 %", "3.92 %", "5.22 %"]
    assert seen.fits()


def test_a_dark_page_prints_in_dark_ink(visit: Open) -> None:
    seen = visit(rich(), scheme="dark")
    before = seen.page.evaluate("document.querySelector('#heat').layout.font.color")
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert seen.page.evaluate("document.querySelector('#heat').layout.font.color") != before
    assert seen.page.locator("details:not([open])").count() == 0
    seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert seen.page.evaluate("document.querySelector('#heat').layout.font.color") == before


def test_undefined_cells_are_hatched_and_zero_cells_outlined_rather_than_coloured(visit: Open) -> None:
    seen = visit(rich())
    data = seen.page.evaluate("document.querySelector('#heat').data.map(t => [t.type, t.z, !!t.fillpattern, t.x])")
    heat, hatched, zero = data
    assert heat[0] == "heatmap"
    assert hatched[2] and len(hatched[3]) == 6 * 24  # 24 biases without a defined value, six points each
    assert not zero[2] and len(zero[3]) == 6 * 5  # four frozen value projections and the embedding
    assert sum(value is None for line in heat[1] for value in line) == 24 + 5 + 24 + 8


def test_the_theme_button_changes_page_and_charts(visit: Open) -> None:
    seen = visit(rich(), scheme="dark")
    ink = "document.querySelector('#heat').layout.font.color"
    dark = seen.page.evaluate(ink)
    seen.page.click("#theme")
    assert seen.text("#theme-name") == "light"
    assert seen.page.evaluate(ink) != dark
    seen.page.click("#theme")
    assert seen.text("#theme-name") == "dark"
    assert seen.page.evaluate(ink) == dark


def test_findings_filter_by_outcome_and_open_by_keyboard(visit: Open) -> None:
    seen = visit(rich())
    assert seen.page.locator(".finding:visible").count() == 9
    seen.page.click(".chip[data-kind=pass]")
    assert seen.page.locator(".finding:visible").count() == 7
    assert seen.page.get_attribute(".chip[data-kind=pass]", "aria-pressed") == "false"
    seen.page.focus(".finding summary")
    seen.page.keyboard.press("Enter")
    assert seen.page.locator(".finding details[open]").count() == 1
    assert "weight.delta.relative" in seen.text(".finding details[open]")


@pytest.mark.parametrize("document", [rich, hostile])
def test_saving_gives_back_the_document_to_the_byte(visit: Open, document: Callable[[], Result]) -> None:
    seen = visit(document())
    with seen.page.expect_download() as download:
        seen.page.click("#save")
    assert download.value.suggested_filename == "result.json"
    assert Path(download.value.path()).read_text(encoding="utf-8") == dumps(document())


def test_hostile_names_are_inert_while_everything_is_used(visit: Open) -> None:
    seen = visit(hostile())
    seen.page.click("#expand")
    seen.page.fill("#measurement-table input[type=search]", "window.__pwned")
    seen.page.hover("#heat .nsewdrag")
    seen.page.click("#theme")
    assert seen.page.locator("main img, main iframe, main a[href^=javascript]").count() == 0
    assert seen.page.locator("#heat a, #layers a, #modules a").count() == 0


def test_the_browser_writes_numbers_as_python_does(visit: Open) -> None:
    generator = random.Random(20260105)
    values = [generator.uniform(-1, 1) * 10 ** generator.randint(-12, 14) for _ in range(3000)]
    values += [0.0, 1.0, -1.0, 0.99996, 1 - 2**-50, 999.96, 9.9996, 0.5, 1234.5, 0.0009995, 1e6, 99.95, 0.9995]
    source = (template_dir("report") / "scripts" / "format.js").read_text(encoding="utf-8")
    program = f"(() => {{ {source}\n return {json.dumps(values)}.map((v) => [number(v), percent(v)]); }})()"
    written = visit(SAMPLES["empty"]()).page.evaluate(program)
    for value, pair in zip(values, written, strict=True):
        assert pair == [numbers.number(value), numbers.percent(value)], value
