"""Recommendations come from the rules' pages: what a report says to do next is the page's first paragraph on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from afterburn_core.plugin import RuleSpec
from afterburn_reward_hack.judging import RULES
from afterburn_reward_hack.plugin import afterburn_detectors

PAGES = Path(__file__).resolve().parents[3] / "docs" / "rules"
SPECS = {
    rule.id: rule for detector in afterburn_detectors() for rule in detector.rules if rule.id != "reward_hack.risk"
}


def test_there_are_ten_rules_and_the_index_names_their_pages() -> None:
    assert len(SPECS) == RULES
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    for name in SPECS:
        assert f"{name.removeprefix('reward_hack.')}.md)" in index


@pytest.mark.parametrize("rule", SPECS.values(), ids=SPECS.keys())
def test_the_recommendation_is_that_of_the_page(rule: RuleSpec) -> None:
    page = (PAGES / f"{rule.id.removeprefix('reward_hack.')}.md").read_text(encoding="utf-8")
    section = re.search(r"^## What to do next\n+(.*?)(?:\n\n|\Z)", page, flags=re.MULTILINE | re.DOTALL)
    assert section is not None
    assert " ".join(section.group(1).split()) == rule.help
    for heading in ("## What would make it honest", "## What it cannot see"):
        assert heading in page
