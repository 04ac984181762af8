"""Names of the classifier's features, for findings and artifacts. Imports no NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OWN = ("style: ", "length: ")
"""Kinds whose names are ours; the names of all others hold words of the answers."""


def shown_name(name: str, excerpts: bool) -> str:
    """A feature's name; only its kind where texts must not appear."""
    if excerpts or name.startswith(OWN):
        return name
    return f"{name.split(':', 1)[0]}: withheld"


def in_words(rows: Sequence[Mapping[str, Any]], *, excerpts: bool, limit: int) -> str | None:
    """`more "however", fewer bullets per 100 words`; `None` where nothing can be named."""
    told: list[str] = []
    for row in rows:
        name, difference = str(row.get("name", "")), row.get("difference")
        if not isinstance(difference, int | float) or not difference or shown_name(name, excerpts) != name:
            continue
        kind, _, what = name.partition(": ")
        if what == "withheld":
            continue
        told.append(f"{'more' if difference > 0 else 'less'} {_PHRASES.get(kind, '{what}').format(what=what)}")
    return ", ".join(told[:limit]) or None


_PHRASES = {
    "word": "“{what}”",
    "words": "“{what}”",
    "characters": "“{what}” (characters)",
    "opens with": "“{what}” as first word",
    "closes with": "“{what}” as last word",
    "style": "{what}",
    "length": "length in {what}",
}
