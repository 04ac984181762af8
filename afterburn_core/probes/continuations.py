"""Given continuations of a prompt: preference pairs, and the options of a multiple choice, in both orders.

A probe has continuations if it says so (`properties.continuations`, with the index `properties.preferred` of the better
one where that is known), or if it is a multiple choice; then the texts of its options are the continuations, and the
preferred one is that of the gold letter.

Where the prompt lists them, a second prompt lists them in the other order: what stands first is chosen more often, by
any model. They count as listed where the last turn has

- every one behind a label (`A)`, `(A)`, `A.` or `A:`, letters or numbers) in their order; labels stay, texts change; or
- every one exactly once as it stands, at word boundaries.

Anything else ("the first or the second?") is put in one order. Imports neither NumPy nor torch.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import attrs

from afterburn_core.probes.model import Message, Probe
from afterburn_core.result.strict_json import is_text, show

LETTERS = string.ascii_uppercase
Span = tuple[int, int]


def continuations_of(probe: Probe) -> tuple[str, ...]:
    """The texts that may follow the prompt; empty where none are given."""
    given = probe.properties.get("continuations")
    return tuple(given) if given else probe.choices


def preferred_of(probe: Probe) -> int | None:
    """Index of the better continuation; `None` where nobody said."""
    if probe.properties.get("continuations"):
        found = probe.properties.get("preferred")
        return found if isinstance(found, int) else None
    if probe.gold is not None and len(probe.gold) == 1 and probe.gold in LETTERS[: len(probe.choices)]:
        return LETTERS.index(probe.gold)
    return None


def listed_order(probe: Probe) -> tuple[int, ...] | None:
    """Indices of the continuations in the order in which the prompt lists them; `None` where it does not."""
    texts = continuations_of(probe)
    if len(texts) < 2:
        return None
    spans = _listed(probe.messages[-1].content, texts)
    return None if spans is None else tuple(sorted(range(len(texts)), key=lambda i: spans[i]))


def swapped_prompt(probe: Probe) -> tuple[Message, ...] | None:
    """The conversation with the continuations listed in reverse; `None` where its last turn does not list them."""
    order, texts = listed_order(probe), continuations_of(probe)
    *before, last = probe.messages
    spans = _listed(last.content, texts)
    if order is None or spans is None:
        return None
    pieces, place = [], 0
    for index, other in zip(order, reversed(order), strict=True):
        start, end = spans[index]
        pieces += [last.content[place:start], texts[other]]
        place = end
    turned = "".join([*pieces, last.content[place:]])
    return (*before, attrs.evolve(last, content=turned)) if turned != last.content else None


def continuation_faults(properties: Mapping[str, Any]) -> list[str]:
    """What is wrong with the continuations of a row, as `what; what to do`."""
    given, preferred = properties.get("continuations"), properties.get("preferred")
    if given is None:
        return []
    if not isinstance(given, (list, tuple)) or len(given) < 2:
        return [f"properties.continuations is {show(given)}; write a list of at least two texts"]
    for index, text in enumerate(given):
        if not isinstance(text, str) or not text.strip() or not is_text(text):
            return [f"properties.continuations[{index}] is {show(text)}; write a text"]
    if len(set(given)) < len(given):
        return ["properties.continuations has a text twice; write different ones"]
    if preferred is None:
        return []
    if isinstance(preferred, bool) or not isinstance(preferred, int) or not 0 <= preferred < len(given):
        return [f"properties.preferred is {show(preferred)}; write the number of a continuation, 0 to {len(given) - 1}"]
    return []


def _listed(text: str, options: Sequence[str]) -> list[Span] | None:
    return _labelled(text, options) or _mentioned(text, options)


def _labelled(text: str, options: Sequence[str]) -> list[Span] | None:
    """Where each option stands behind its label, in order; the last such list of the text counts."""
    for labels in (LETTERS, [str(number) for number in range(1, len(options) + 1)]):
        if len(options) > len(labels):
            continue
        parts = [
            rf"(?:^|(?<=[\s,;]))\(?{label}[).:][ \t]*({re.escape(option)})(?![^\s.,;:!?])"
            for label, option in zip(labels, options, strict=False)
        ]
        found = list(re.finditer(r"[\s\S]{0,12}?".join(parts), text))
        if found:
            return [found[-1].span(group) for group in range(1, len(options) + 1)]
    return None


def _mentioned(text: str, options: Sequence[str]) -> list[Span] | None:
    """Where each option stands, if each occurs exactly once and none inside another."""
    spans: list[Span] = []
    for option in options:
        found = [m.span() for m in re.finditer(rf"(?<!\w){re.escape(option)}(?!\w)", text)] if option.strip() else []
        if len(found) != 1:
            return None
        spans += found
    ordered = sorted(spans)
    return spans if all(left[1] <= right[0] for left, right in pairwise(ordered)) else None
