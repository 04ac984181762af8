"""The document itself: every other format is a view of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from afterburn_core.result.codec import dumps

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView


def render(view: ResultView) -> bytes:
    """The result document as strict JSON with sorted keys, the bytes of `result.json`."""
    return document(view).encode()


def document(view: ResultView) -> str:
    """The same as text."""
    return dumps(view.result)
