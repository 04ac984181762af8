"""Labelling takes time in proportion to the text, whatever the text: models repeat themselves until they are cut."""

from __future__ import annotations

import time

import pytest

from afterburn_behaviour.hedging import disclaims, hedges_per_100, names_itself
from afterburn_behaviour.language import language
from afterburn_behaviour.patterns import counts
from afterburn_behaviour.reasoning_steps import reasoning
from afterburn_behaviour.refusal import classify
from afterburn_behaviour.strategy import strategy
from afterburn_behaviour.text import sentences

PIECES = (
    "\n", " ", " \t\n", ".", ". ", "e.g. ", "!", "|", "|--", "-", "- a\n", "1. a\n", "1+", "1 = ", "$a", "$$", "\\(",
    "\\[",
    "*",
    "** ", "`", "```\n", "[", "{", '{"a":', '"a ', "'", "(", "<a>", "<a ", "<think>", "</think>", "# ", "=", "> ",
    "so, ", "not ", "i cannot ", "it is never ", "because ", "if ", "and but ", "let me ", "plug this ", "as an ",
    "Ann: x\n", "Action: ", "def f(", "x = ", "from a import ", "http://", "today ", "今", "\0", "\ud800",
)  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_repetition_is_cheap(piece: str) -> None:
    text = piece * 8000
    for label in (counts, strategy, reasoning, classify, language, sentences, hedges_per_100, disclaims, names_itself):
        started = time.process_time()
        label(text)
        assert time.process_time() - started < 1.5, label.__name__
