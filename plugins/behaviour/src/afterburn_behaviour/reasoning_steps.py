"""Marks of reasoning in one response. Pure Python.

- steps: steps that are named or numbered, else sentences that conclude or calculate
- depth: longest run of consecutive sentences each of which concludes or calculates
- self-corrections and verifications: places, not sentences
Thinking between tags counts with the answer, and its words are given apart.
"""

from __future__ import annotations

import attrs

from afterburn_behaviour.strategy import inferences, infers, numbered_steps
from afterburn_behaviour.text import prose_of, sentences, split_thinking, words
from afterburn_behaviour.verification import self_corrections, verifications


@attrs.frozen(kw_only=True)
class Reasoning:
    """Counts of one response."""

    steps: int
    depth: int
    self_corrections: int
    verifications: int
    thinking_words: int | None
    """Words between thinking tags; `None` where there are no tags."""


def reasoning(text: str) -> Reasoning:
    """The marks of reasoning in a response, thinking and answer together."""
    parts = split_thinking(text)
    answer = prose_of(parts.answer)
    whole = f"{parts.thinking}\n{answer}" if parts.thinking else answer
    run = depth = 0
    for sentence in sentences(whole):
        run = run + 1 if infers(sentence) else 0
        depth = max(depth, run)
    return Reasoning(
        steps=numbered_steps(whole) or inferences(whole),
        depth=depth,
        self_corrections=len(self_corrections(whole)),
        verifications=len(verifications(whole)),
        thinking_words=None if parts.thinking is None else len(words(parts.thinking)),
    )
