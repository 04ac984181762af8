"""`card.json` beside recorded files: how their outputs were decoded, where the files themselves do not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from afterburn_core.backends.recorded_files import read_document
from afterburn_core.backends.recorded_formats.entry import Provenance, refuse
from afterburn_core.result.strict_json import is_text, show

NAME = "card.json"
_OF_SIDE = ("engine", "host", "model", "template")


def stem(path: Path) -> str:
    """`base` of `base.jsonl.gz`."""
    name = path.name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def read_card(path: Path, about: Provenance) -> None:
    """Notes what the card beside a file says of it: the entry of `decoding` under the file's stem.

    Args:
        path: the recorded file.
        about: what is known so far; what a file says of itself stays. Takes in the card as a file of the subject,
            if it has such an entry.

    Raises:
        SubjectError: the card is no JSON object, or the entry is none.
    """
    card_path = path.parent / NAME
    if not card_path.is_file():
        return
    card = read_document(card_path)
    if not isinstance(card, dict):
        refuse(str(card_path), f"must be a JSON object, not {show(card)}")
    decoding = card.get("decoding")
    if decoding is None:
        return
    if not isinstance(decoding, dict):
        refuse(str(card_path), f"'decoding' must be an object, not {show(decoding)}")
    entry = decoding.get(stem(path))
    if entry is None:
        return
    if not isinstance(entry, dict):
        refuse(str(card_path), f"decoding.{stem(path)} must be an object, not {show(entry)}")
    for name in _OF_SIDE:
        _note(about, name, entry.get(name))
    if about.decoding is None:
        about.note_decoding({name: value for name, value in entry.items() if name not in _OF_SIDE})
    about.files.add(card_path)


def _note(about: Provenance, name: str, value: Any) -> None:
    if not isinstance(value, str) or not is_text(value):
        return
    if name == "host":
        about.properties.setdefault("host", value)
    elif getattr(about, name) is None:
        setattr(about, name, value)
