"""Strategy labels against texts written for the purpose; the error rates of `docs/behaviour.md` come from here."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from pathlib import Path

import pytest

from afterburn_behaviour.reasoning_steps import reasoning
from afterburn_behaviour.strategy import strategy
from afterburn_behaviour.style.names import STRATEGIES
from afterburn_behaviour.verification import self_corrections, verifications

TEXTS: tuple[tuple[str, str], ...] = runpy.run_path(str(Path(__file__).with_name("strategy_texts.py")))["TEXTS"]
DOCS = Path(__file__).parents[3] / "docs" / "behaviour.md"


def test_the_texts_are_many_and_of_all_labels() -> None:
    found = Counter(label for label, _ in TEXTS)
    assert len(TEXTS) >= 120 and set(found) == set(STRATEGIES) and min(found.values()) >= 15
    assert len({text for _, text in TEXTS}) == len(TEXTS)


def test_error_rates_are_those_of_the_docs() -> None:
    wrong = Counter(label for label, text in TEXTS if strategy(text) != label)
    total = Counter(label for label, _ in TEXTS)
    assert sum(wrong.values()) <= 0.05 * len(TEXTS)
    page = DOCS.read_text(encoding="utf-8")
    for label in STRATEGIES:
        (told,) = re.findall(rf"\| `{label}` \| (\d+) of (\d+) \|", page)
        assert (int(told[0]), int(told[1])) == (wrong[label], total[label])


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("Let me check: 4.", 1),
        ("Please check with your doctor.", 0),
        ("You should verify the source.", 0),
        ("We don't need to verify it. There is no need to check.", 0),
        ("I cannot verify that claim.", 0),
        ("To verify, we add them: 7.", 1),
        ("Let me check in at the hotel.", 0),
        ("The check arrived. A sanity test was done by others.", 0),
    ],
)
def test_only_the_writer_verifies(text: str, n: int) -> None:
    assert len(verifications(text)) == n


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("Wait, that is 5.", 1),
        ("I made a mistake. Let me correct it.", 2),
        ("They wait for the bus.", 0),
        ("On second thought, take the train.", 1),
        ("Actually, it is a fine day in a fine town.", 1),
        ("She actually won.", 0),
    ],
)
def test_self_corrections(text: str, n: int) -> None:
    assert len(self_corrections(text)) == n


def test_reasoning_counts_steps_depth_and_thinking() -> None:
    found = reasoning("<think>So 3 + 4 = 7. Therefore it is odd. The sky is blue. Hence 8 is even.</think>Eight.")
    assert (found.steps, found.depth, found.thinking_words) == (3, 2, 16)
    plain = reasoning("Eight.")
    assert (plain.steps, plain.depth, plain.thinking_words) == (0, 0, None)
    assert reasoning("1. Add 3.\n2. Divide by 2.\n3. Round up.").steps == 3
