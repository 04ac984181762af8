"""Behaviour in a browser: charts drawn, answers browsed by mouse and keyboard, within a phone, on paper, inert."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))
from behaviour_report_runs import CATEGORIES, PROMPTS, PWN, RTL, recorded_run
from test_report_browser import CHROMIUM, Open, Visit, browser, visit

__all__ = ["browser", "visit"]  # fixtures

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; set CHROMIUM to its path"),
]
PLOTS = ("#length-plot", "#pass-plot", "#reliability-plot")


def opened(visit: Open, width: int = 1280, scheme: str = "light") -> Visit:
    view = recorded_run()
    return visit(view.result, width, scheme, view.directory)


def listed(seen: Visit) -> list[str]:
    return seen.page.locator("#texts-list button .said").all_inner_texts()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_charts_are_drawn_and_the_page_fits(visit: Open, width: int, scheme: str) -> None:
    seen = opened(visit, width, scheme)
    for host in PLOTS:
        assert seen.page.locator(f"{host} .main-svg").count() > 0
    assert seen.page.locator(".whisker .dot").first.is_visible()
    assert seen.page.locator(".unscripted:visible").count() == 0
    assert seen.fits()
    seen.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert seen.fits()


def test_the_page_is_not_endless(visit: Open) -> None:
    assert opened(visit).page.evaluate("document.documentElement.scrollHeight") < 20_000


def test_drawings_lie_where_the_numbers_say(visit: Open) -> None:
    seen = opened(visit)
    row = seen.page.locator("#behaviour tr", has_text="ratio of lengths")
    band, dot = row.locator(".band").bounding_box(), row.locator(".dot").bounding_box()
    assert band is not None and dot is not None
    assert dot["x"] > band["x"] + band["width"]  # much longer: beyond the margin, on its right
    bars = seen.page.locator("#behaviour-detail tr", has=seen.page.get_by_text("Unsafe prompts", exact=True)).locator(
        "rect"
    )
    widths = [bars.nth(k).bounding_box() for k in (0, 1)]
    assert widths[0] is not None and widths[1] is not None and widths[0]["width"] < widths[1]["width"]


def test_lengths_are_shown_three_ways(visit: Open) -> None:
    seen = opened(visit)
    shown: Any = "document.querySelector('#length-plot').data.map(({name, y}) => [name, y])"
    histogram = dict(seen.page.evaluate(shown))
    assert set(histogram) == {"base", "trained"}
    assert sum(histogram["base"][:-1]) == pytest.approx(1)
    seen.page.click("#length-views >> text=Cumulative")
    cumulative = dict(seen.page.evaluate(shown))
    assert cumulative["trained"] == sorted(cumulative["trained"]) and cumulative["trained"][-1] == pytest.approx(1)
    seen.page.click("#length-views >> text=By prompt")
    assert len(dict(seen.page.evaluate(shown))["prompts"]) == PROMPTS
    assert seen.page.locator("#length-views [aria-pressed=true]").inner_text() == "By prompt"


def test_answers_are_filtered_searched_and_ordered(visit: Open) -> None:
    seen = opened(visit)
    options = seen.page.locator("#texts-chosen option").all_inner_texts()
    assert options[0].startswith("Pairs chosen") and options[-1] == "All prompts"
    seen.page.select_option("#texts-chosen", "by refusal")
    notes = seen.page.locator("#texts-pair").inner_text()
    assert "chosen by refusal" in notes and seen.page.locator("#texts-pair ins").count() > 0
    seen.page.select_option("#texts-chosen", "All prompts")
    assert seen.text("#texts-status") == f"1–12 of {PROMPTS}"
    seen.page.select_option("#texts-part", CATEGORIES[0])
    assert seen.text("#texts-status") == f"1–{PROMPTS // 3} of {PROMPTS // 3}"
    seen.page.select_option("#texts-part", "")
    seen.page.fill("#texts-search", "question 17")
    assert listed(seen) == ["Question 17: which option fits?"]
    seen.page.fill("#texts-search", "")
    seen.page.select_option("#texts-order", "trained longer")
    assert listed(seen)[0] == "Question 4: which option fits?"  # the huge answer
    seen.page.fill("#texts-search", "nothing has this")
    assert seen.text("#texts-pair") == "Nothing fits these filters."


def test_every_sample_of_a_prompt_can_be_read(visit: Open) -> None:
    seen = opened(visit)
    seen.page.select_option("#texts-chosen", "All prompts")
    assert seen.page.locator("#texts-pair select option").count() == 4
    texts = set()
    for k in range(4):
        seen.page.select_option("#texts-pair select", str(k))
        texts.add(seen.page.locator("#texts-pair .pair").inner_text())
    assert len(texts) > 1


def test_the_list_is_walked_by_keyboard(visit: Open) -> None:
    seen = opened(visit)
    seen.page.select_option("#texts-chosen", "All prompts")
    seen.page.locator("#texts-list button").first.focus()
    for _ in range(13):  # over the end of the first page
        seen.page.keyboard.press("ArrowDown")
    assert seen.text("#texts-status").startswith("13–24")
    current = seen.page.locator("#texts-list [aria-current=true]")
    assert current.evaluate("(node) => node === document.activeElement")
    seen.page.keyboard.press("ArrowUp")
    assert seen.text("#texts-pair .asked") == listed(seen)[0]


def test_differences_are_marked_and_the_texts_stay_whole(visit: Open) -> None:
    seen = opened(visit)
    pairs = seen.page.evaluate(
        "figures_ = JSON.parse(document.getElementById('report-figures').textContent).behaviour.texts"
    )
    seen.page.select_option("#texts-chosen", "All prompts")
    seen.page.fill("#texts-search", "question 7")
    base, trained = next(row for row in pairs if row[0] == "q7" and not row[4])[3][0]
    for place, text in ((0, base), (1, trained)):
        shown = seen.page.locator("#texts-pair .pair pre").nth(place).evaluate("(node) => node.textContent")
        assert shown.replace("\u21b5", "") == text
    assert seen.page.locator("#texts-pair ins").count() > 0


def test_hostile_and_right_to_left_texts_are_shown_as_texts(visit: Open) -> None:
    seen = opened(visit, 390)
    seen.page.select_option("#texts-chosen", "All prompts")
    seen.page.fill("#texts-search", "window.__pwned")
    shown = seen.page.locator("#texts-pair .asked").evaluate("(node) => node.textContent")
    assert shown.startswith(PWN[:40]) and "\u27e8U+202E\u27e9" in shown and "\u241b[31m" in shown
    seen.page.fill("#texts-search", RTL[:10])
    asked = seen.page.locator("#texts-pair .asked")
    assert asked.evaluate("(node) => node.dir") == "auto" and asked.inner_text() == RTL
    assert asked.evaluate("(node) => getComputedStyle(node).direction") == "rtl"
    assert seen.fits()


def test_without_scripts_every_number_and_some_answers_remain(browser: Any, tmp_path: Path) -> None:
    from afterburn_core.report.html import render

    path = tmp_path / "report.html"
    path.write_bytes(render(recorded_run()))
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("#behaviour .whisker").first.is_visible() and page.locator(".outline").is_visible()
    assert page.locator(".unscripted .example").count() == 12
    assert page.locator("#texts").is_hidden() and page.locator("#length-plot").is_hidden()
    context.close()


def test_paper_has_the_charts_and_no_controls(visit: Open) -> None:
    seen = opened(visit)
    seen.page.emulate_media(media="print")
    assert seen.page.locator("#texts .toolbar").first.is_hidden() and seen.page.locator("#texts-list").is_hidden()
    assert seen.page.locator("#texts-pair .pair").is_visible() and seen.page.locator("#length-plot").is_visible()
    assert seen.page.locator("#behaviour .whisker").first.is_visible()
