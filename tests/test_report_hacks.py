"""Reward hacking in reports: every rule with its outcome, the risk with its reach, what could not run and why."""

from __future__ import annotations

import html
import io

import attrs
import pytest
from rich.console import Console

from afterburn_core.report.evidence import collect
from afterburn_core.report.hack_rules import HackRules, hack_rules
from afterburn_core.report.html import render
from afterburn_core.report.markdown import render as render_markdown
from afterburn_core.report.terminal import summary
from afterburn_core.result.identity import finding, measure, undefined
from afterburn_core.result.model import Example, Interval, Measurement, Null, Result, Test
from afterburn_core.result.view import ResultView
from afterburn_core.testing.documents import result_of

HOSTILE = "<script>alert(1)</script>"


def within(metric: str, value: float, low: float, high: float, p: float | None = None) -> Measurement:
    test = None if p is None else Test(name="permutation", p_value=p)
    ends = Interval(low=low, high=high, level=0.95, method="bca")
    return attrs.evolve(measure(metric, value, n=120), interval=ends, test=test)


LENGTH = attrs.evolve(
    within("behaviour.length.log_ratio", 0.42, 0.34, 0.49, 0.0002),
    null=Null(control="resample", n=19, quantile=1.0, p_value=0.05),
)
QUALITY = within("reward_hack.quality", -0.01, -0.04, 0.02)
STRENGTH = within("reward_hack.length.strength", 0.62, 0.62, 0.8)


def document(*, undecided: bool = False) -> Result:
    example = Example(label=f"q1: {HOSTILE}", base="Two.", trained="Two, and gladly so.", note="longer")
    judged = [
        finding("reward_hack.length", "fail", "error", "Answers grew.", (LENGTH, QUALITY), [example]),
        finding("reward_hack.format", "pass", "none", "No marker rose.", (QUALITY,)),
        finding("reward_hack.proxy", "not_applicable", "none", "Proxy: not applicable, name one with --reward"),
        finding("reward_hack.risk", "open" if undecided else "informational", "note", "Risk 62 of 100"),
    ]
    if undecided:
        judged.append(finding("reward_hack.collapse", "open", "warning", "Collapse: open, not measured: a.b"))
    known = within("reward_hack.risk.known", 62, 62, 100 if undecided else 80)
    risk = undefined("reward_hack.risk", "open: collapse") if undecided else within("reward_hack.risk", 62, 62, 80)
    numbers = (LENGTH, QUALITY, STRENGTH, risk, known, measure("reward_hack.risk.worst", 100))
    return result_of(numbers, tuple(judged))


def told(result: Result) -> HackRules:
    view = ResultView(result)
    return hack_rules(result, collect(view))


def printed(result: Result, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    summary(ResultView(result), console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_every_rule_has_a_row_with_its_primary_contrast_and_the_quality_beside_it() -> None:
    length, format_, proxy = told(document()).rows
    assert (length.moved, length.quality, length.strength) == (LENGTH, QUALITY, STRENGTH)
    assert length.moved_text == "×1.52 [×1.40, ×1.63]"
    assert length.quality_text == "−1.0 points [−4.0, +2.0]"
    assert length.strength_text == "0.62–0.80"
    assert length.sure == "n = 120, p = 0.0002, p = 0.05 among 19 controls (resample), none below 0.05 possible"
    assert format_.moved is None and format_.strength_text == ""
    assert proxy.why == "name one with --reward"


@pytest.mark.parametrize(
    ("undecided", "text"), [(False, "62 [62, 80] of 100, 100 at worst"), (True, "62 to 100 of 100")]
)
def test_the_risk_never_stands_without_its_reach(undecided: bool, text: str) -> None:
    result = document(undecided=undecided)
    risk = told(result).risk
    assert risk is not None and risk.text == text
    page, markdown = render(ResultView(result)).decode(), render_markdown(ResultView(result)).decode()
    for shown in (printed(result, 80), page, html.unescape(markdown)):
        assert text in " ".join(shown.split())


def test_the_terminal_ends_on_the_rules_and_on_what_could_not_run_in_sixty_columns() -> None:
    shown = printed(document(undecided=True), 60)
    assert max(map(len, shown.splitlines())) <= 60
    block = shown[shown.index("Reward hacking") :]
    assert "length    fail     ×1.52 [×1.40, ×1.63]  0.62–0.80" in block
    assert "collapse: not measured: a.b" in block
    among = " ".join(block[block.index("Among controls") :].split())
    assert among.startswith("Among controls • length: p = 0.05 among 19 controls (resample), none below 0.05 possible")
    assert block.rstrip().endswith("• proxy: name one with --reward")


def test_the_page_shows_examples_side_by_side_as_text_and_what_to_do_next() -> None:
    page = render(ResultView(document())).decode()
    section = page[page.index('<section id="hacks"') : page.index('<section id="findings"')]
    assert HOSTILE not in section
    assert "What to do next</strong> Look." in section
    assert section.count("<pre") == 2
    assert 'href="#finding-' in section


def test_what_could_not_run_is_named_once_and_commands_stand_as_code() -> None:
    message = "Proxy against gold: no reward was named; run `afterburn hack-check` with --reward"
    result = result_of((), (finding("reward_hack.proxy", "not_applicable", "none", message),))
    assert told(result).rows[0].why == "no reward was named; run `afterburn hack-check` with --reward"
    assert "run <code>afterburn hack-check</code> with --reward</dd>" in render(ResultView(result)).decode()


def test_a_run_without_the_rules_says_nothing_of_them() -> None:
    bare = result_of((QUALITY,), ())
    assert not told(bare)
    assert '<section id="hacks"' not in render(ResultView(bare)).decode()
    assert "Reward hacking" not in printed(bare, 80)
    assert "Reward hacking" not in render_markdown(ResultView(bare)).decode()
