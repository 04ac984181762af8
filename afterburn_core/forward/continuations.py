"""Given continuations of a prompt: preference pairs, and the options of a multiple choice, in both orders.

A probe has continuations if it says so (`properties.continuations`, with the index `properties.preferred` of the better
one where that is known), or if it is a multiple choice; then the texts of its options are the continuations, and the
preferred one is that of the gold letter.

Where the prompt lists them, a second prompt lists them in the other order: what stands first is chosen more often, by
any model. They count as listed where the last turn has

- every one behind a label (`A)`, `(A)`, `A.` or `A:`, letters or numbers) in their order; labels stay, texts change; or
- every one exactly once as it stands, at word boundaries.

Anything else ("the first or the second?") is asked in one order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import attrs

from afterburn_core.forward.model import Passage
from afterburn_core.probes.model import Message, Probe
from afterburn_core.probes.rows import LETTERS

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


def continuation_passages(probe: Probe) -> Iterator[Passage]:
    """Every continuation after the prompt, then after the prompt that lists them in the other order."""
    texts = continuations_of(probe)
    if len(texts) < 2:
        return
    swapped = swapped_prompt(probe.messages, texts)
    for other, messages in ((False, probe.messages), (True, swapped)):
        if messages is None:
            continue
        for index, text in enumerate(texts):
            yield Passage(
                id=f"{probe.id}/continuation/{index}" + ("/swapped" if other else ""),
                source="continuation",
                domain=probe.suite,
                unit=probe.unit,
                messages=messages,
                text=text,
                continuation=index,
                swapped=other,
                probe=probe,
            )


def swapped_prompt(messages: tuple[Message, ...], texts: Sequence[str]) -> tuple[Message, ...] | None:
    """The conversation with the texts listed in the reverse order; `None` where its last turn does not list them."""
    last = messages[-1].content
    spans = _labelled(last, texts) or _mentioned(last, texts)
    if spans is None:
        return None
    pieces, place = [], 0
    order = sorted(range(len(texts)), key=lambda i: spans[i])
    for position, index in enumerate(order):
        start, end = spans[index]
        pieces += [last[place:start], texts[order[len(order) - 1 - position]]]
        place = end
    turned = "".join([*pieces, last[place:]])
    return (*messages[:-1], attrs.evolve(messages[-1], content=turned)) if turned != last else None


def _labelled(text: str, options: Sequence[str]) -> list[Span] | None:
    """Where each option stands behind its label, in order; the last such list of the text counts."""
    for labels in (LETTERS, [str(number) for number in range(1, len(options) + 1)]):
        if len(options) > len(labels):
            continue
        parts = [
            rf"(?:^|(?<=[\s,;]))\(?{label}[).:][ \t]*({re.escape(option)})(?![^\s.,;:!?])"
            for label, option in zip(labels, options, strict=False)
        ]
        found = list(re.finditer(r"\s*?[\s\S]{0,12}?".join(parts), text))
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
    return spans if all(a[1] <= b[0] for a, b in pairwise(ordered)) else None
