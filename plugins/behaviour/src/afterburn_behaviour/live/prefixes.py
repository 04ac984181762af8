"""Openings that say next to nothing, so that what follows them comes from the model: to be continued, or answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from afterburn_core.probes.model import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterburn_core.forward.live import Live

PLAIN = (
    "", "The", "In", "It is", "There is", "A", "One day", "I", "We", "You", "If", "This", "What", "Here is", "My",
    "Every",
)  # fmt: skip
"""Beginnings of a text."""
CHAT = (
    "Hello.",
    "Tell me something.",
    "What do you know?",
    "Tell me a fact.",
    "Say anything.",
    "What is on your mind?",
    "Write a sentence.",
    "Tell me about the world.",
)
"""Turns of a user who asks for nothing in particular."""


@attrs.frozen(kw_only=True)
class Prefix:
    """An opening as the models read it."""

    id: str
    kind: Literal["plain", "chat"]
    text: str
    own: bool
    """Whether it is one of the user's."""
    ids: tuple[int, ...]


def openings(live: Live, given: Sequence[str]) -> tuple[Prefix, ...]:
    """The openings, those given in the place of ours; a user's turn that reads like plain text is left out.

    An empty plain text is left out where there is no beginning mark to stand for it.
    """
    plain, chat = (given, given) if given else (PLAIN, CHAT)
    found: list[Prefix] = []
    seen: set[tuple[int, ...]] = set()
    for kind, texts in (("plain", plain), ("chat", chat)):
        for number, text in enumerate(texts):
            ids = _ids(live, kind, text)
            if ids and ids not in seen:
                seen.add(ids)
                found.append(
                    Prefix(
                        id=f"{kind}/{number}",
                        kind="plain" if kind == "plain" else "chat",
                        text=text,
                        own=bool(given),
                        ids=ids,
                    )
                )
    return tuple(found)


def _ids(live: Live, kind: str, text: str) -> tuple[int, ...]:
    from afterburn_core.errors import SubjectError

    try:
        return live.encode(text) if kind == "plain" else live.encode_chat((Message(role="user", content=text),))
    except SubjectError:
        if text:
            raise
        return ()
