"""Units of text."""

from __future__ import annotations

import pytest

from afterburn_behaviour.text import code_blocks, paragraphs, prose_of, sentences, split_thinking, without_code, words

FENCE = "```"


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("", 0),
        ("don't stop-gap", 2),
        ("3.5 and 1,000", 3),
        ("**bold** _it_", 2),
        ("今天好", 3),
        ("naïve café", 2),
        ("- a\n- b", 2),
        ("Привет, мир!", 2),
    ],
)
def test_words(text: str, n: int) -> None:
    assert len(words(text)) == n


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("", 0),
        ("No stop at the end", 1),
        ("One. Two! Three?", 3),
        ("Dr. Smith paid 3.5 euros, e.g. for tea.", 1),
        ("1. First item\n2. Second item", 2),
        ("今天。好的。", 2),
        ("J. S. Bach wrote it. It is long.", 2),
        ("x = k. Then it stops.", 2),
        ("---\n***", 0),
    ],
)
def test_sentences(text: str, n: int) -> None:
    assert len(sentences(text)) == n


def test_code_is_told_from_prose() -> None:
    text = f"Before `inline` text\n{FENCE}py\n# no header\n{FENCE}\nafter"
    assert code_blocks(text) == ["# no header\n"]
    assert "header" not in without_code(text) and "inline" not in without_code(text)
    assert "after" in without_code(text)
    assert code_blocks(f"{FENCE}py\ncut off") == ["cut off"]
    assert paragraphs("a\n\nb\n \nc") == ["a", "b", "c"]


def test_words_in_json_are_prose() -> None:
    answer = f'{FENCE}json\n{{"reasoning": "Two and two is four.", "answer": [1, "four"]}}\n{FENCE}'
    assert words(prose_of(answer)) == ["Two", "and", "two", "is", "four", "four"]
    assert words(prose_of('{"a": "one two"}')) == ["one", "two"]
    assert prose_of("{not json}") == "{not json}"


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("plain", None, "plain"),
        ("<think>a b</think>c", "a b", "c"),
        ("a b</think>c", "a b", "c"),
        ("<thinking>cut off", "cut off", ""),
        ("<think>a</think>b<think>c</think>d", "a\nc", "bd"),
    ],
)
def test_thinking_is_told_from_the_answer(text: str, thinking: str | None, answer: str) -> None:
    parts = split_thinking(text)
    assert (parts.thinking, parts.answer) == (thinking, answer)
