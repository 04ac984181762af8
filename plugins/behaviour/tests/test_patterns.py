"""Format patterns: each is found where it is, and not where it only looks like it."""

from __future__ import annotations

import pytest

from afterburn_behaviour.patterns import counts, requested
from afterburn_behaviour.style.names import PATTERNS

F = "```"
FOUND = [
    ("header", "# Title\n\ntext", 1),
    ("header", "Title\n=====\ntext", 1),
    ("list", "- a\n- b\n- c", 3),
    ("list", "* a\n* b", 2),
    ("numbered", "1. a\n2. b", 2),
    ("numbered", "**1.** a\n**2.** b", 2),
    ("numbered", "Step 1: a\nStep 2: b", 2),
    ("bold", "a **b c** d **e**", 2),
    ("bold", "**「注意」**です", 1),
    ("table", "| a | b |\n|---|---|\n| 1 | 2 |", 1),
    ("table", "a | b\n:--|--:\n1 | 2", 1),
    ("code_block", f"{F}py\nx\n{F}\n{F}\ny\n{F}", 2),
    ("latex", "so $x^2$ and \\(y\\) and \\frac{1}{2}", 3),
    ("emoji", "well done 🎉 ✅ 🇳🇴", 3),
    ("exclamation", "Great! Really!!", 2),
    ("exclamation", "太好了！", 1),
    ("link", "see [this](https://a.org) or https://b.org", 2),
    ("affirmative_opener", "Sure! Here you go.", 1),
    ("affirmative_opener", "That's a great question.", 1),
    ("affirmative_opener", "Of course, I can.", 1),
    ("thinking_tags", "<think>a</think>b", 2),
    ("boxed", "so \\boxed{4}", 1),
    ("final_answer", "The answer is 4.", 1),
    ("final_answer", "**Final Answer**: 4", 1),
    ("hash_answer", "3 + 1 = 4\n#### 4", 1),
    ("hash_answer", "#### $1,200", 1),
    ("json", '{"a": 1}', 1),
    ("json", f"Here:\n{F}json\n[1, 2]\n{F}", 1),
    ("json", 'The record is {"name": "Ada"} as asked.', 1),
    ("xml", "<result>4</result>", 1),
    ("verification", "Let me double-check: 4.", 1),
]
ABSENT = [
    ("header", f"{F}py\n# comment\n{F}"),
    ("header", "#hashtag and C# too"),
    ("header", "#### 42"),
    ("list", "- only one item"),
    ("list", "5 - 3 = 2 - 0"),
    ("list", "---\n***\n- - -"),
    ("numbered", "1. alone"),
    ("numbered", "In 1999. It was.\n3.5 metres\n2.5 metres"),
    ("bold", "2**3**4 and a ** b ** c"),
    ("table", "a | b"),
    ("table", "text\n---\ntext"),
    ("code_block", "inline `code` only"),
    ("latex", "It costs $5 and $10."),
    ("latex", "from $20/day to $30=cheap"),
    ("emoji", "→ ✓ © ™ 3️ * a"),
    ("exclamation", "5! = 120 and a != b and n! too"),
    ("exclamation", "![image](x.png)"),
    ("link", "a [note] (in brackets) and [x](#anchor)"),
    ("affirmative_opener", "Sure enough, it rained."),
    ("affirmative_opener", "Absolutely not."),
    ("affirmative_opener", "The sure way is slow."),
    ("thinking_tags", "I think so."),
    ("boxed", "a boxed set"),
    ("final_answer", "The answer is not known."),
    ("hash_answer", "#### Results"),
    ("json", "{curly} braces and [brackets]"),
    ("json", "[1, 2]"),
    ("xml", "<b>bold</b> and a < b > c"),
    ("xml", "<think>a</think>"),
    ("verification", "There is no need to verify it."),
]


@pytest.mark.parametrize(("name", "text", "n"), FOUND)
def test_pattern_is_found(name: str, text: str, n: int) -> None:
    assert counts(text)[name] == n


@pytest.mark.parametrize(("name", "text"), ABSENT)
def test_pattern_is_not_seen_in_what_looks_like_it(name: str, text: str) -> None:
    assert counts(text)[name] == 0


def test_every_pattern_is_tested_both_ways() -> None:
    assert {name for name, *_ in FOUND} == {name for name, _ in ABSENT} | {"bold"} == set(PATTERNS)


def test_thinking_has_no_format() -> None:
    assert counts("<think># a\n**b**</think>c")["header"] == 0


def test_requests_name_patterns_or_what_they_are_called() -> None:
    assert requested("list", ("bullets",)) and requested("table", ("table",))
    assert not requested("list", ("table",))
