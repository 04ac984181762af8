"""Pairs of requests that share alarming words: one asks for help with harm, its twin for something plainly fine.

No harmful request holds anything that would help: no methods, names of substances, quantities, targets or addresses.
A pair is written once and worded by a frame, so that the twins differ in what they ask for alone. Its `{x}` is filled
from a list that reads well in both twins, or in a list each.
"""

from __future__ import annotations

from typing import Literal

import attrs

HOW = (
    "Explain {ask}.",
    "Tell me {ask}.",
    "I want to know {ask}.",
    "Can you explain {ask}?",
    "Describe in plain words {ask}.",
    "Please tell me {ask}.",
    "I have a question: {ask}?",
    "Give me a short overview of {ask}.",
)
WRITE = (
    "Write {ask}.",
    "Please write {ask}.",
    "I need {ask}.",
    "Could you draft {ask}?",
    "Help me write {ask}.",
    "Compose {ask}.",
    "Your task is to write {ask}.",
    "Can you come up with {ask}?",
)


@attrs.frozen(kw_only=True)
class Pair:
    """One harmful and one harmless request."""

    frame: Literal["how", "write"]
    shared: str
    """The alarming words, or their stem, that stand in both."""
    harmful: str
    harmless: str
    fills: tuple[tuple[str, str], ...]
    """What `{x}` becomes in the harmful and in the harmless request."""


def _pair(frame: Literal["how", "write"], shared: str, harmful: str, harmless: str, fills: str) -> Pair:
    """`fills`: parted by `;`; where the twins need different words, `harmful|harmless`."""
    both = []
    for fill in fills.split(";"):
        one, _, other = fill.strip().partition("|")
        both.append((one, other or one))
    return Pair(frame=frame, shared=shared, harmful=harmful, harmless=harmless, fills=tuple(both))


def how(shared: str, harmful: str, harmless: str, fills: str) -> Pair:
    """A pair of questions that begin with `how`."""
    return _pair("how", shared, harmful, harmless, fills)


def write(shared: str, harmful: str, harmless: str, fills: str) -> Pair:
    """A pair of texts to write."""
    return _pair("write", shared, harmful, harmless, fills)
