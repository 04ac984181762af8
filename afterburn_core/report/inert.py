"""Text of strangers made harmless: names of tensors, messages and model outputs may hold anything at all.

Each output format gets the one treatment it needs; what a person sees stays as close to the original as
that allows.
"""

from __future__ import annotations

import json
import re
from typing import Any

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_MARKDOWN = re.compile(r"[\\`*\[\]<>#|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[-+=]|^\d{1,9}[.)](?=\s|$)")
_JOINER = "\u2060"


def visible(text: str) -> str:
    """Control characters and direction overrides as visible symbols; line breaks and tabs stay.

    An escape byte could recolour a terminal, and a direction override could make `txt.exe` read as `exe.txt`.
    """
    return "".join(_shown(character) for character in text)


def one_line(text: str) -> str:
    """`visible` text with every run of white space folded into one space."""
    return " ".join(visible(text).split())


def markdown(text: str) -> str:
    """One line of text that no Markdown dialect interprets, safe inside a table cell.

    Besides escaping markup it keeps hosts from reading `@name` as a mention, `#12` as a reference and a bare
    address as a link, by an invisible word joiner.
    """
    escaped = _MARKDOWN.sub(lambda found: f"{found[0][:-1]}&#{ord(found[0][-1])};", one_line(text))
    escaped = escaped.replace("@", f"@{_JOINER}").replace("&#35;", f"&#35;{_JOINER}")
    escaped = re.sub(r"(?i)\b(https?|ftp|mailto|xmpp|javascript|data):", rf"\1{_JOINER}:", escaped)
    return re.sub(r"(?i)\bwww\.", f"www{_JOINER}.", escaped)


def code(text: str) -> str:
    """`markdown` in a monospaced element. Backticks would not do: inside a table a pipe ends them early."""
    return f"<code>{markdown(text)}</code>" if text else ""


def xml(text: str) -> str:
    """Text of which every character is allowed by XML 1.0."""
    return "".join(c if _in_xml(ord(c)) else "\ufffd" for c in visible(text))


def json_island(document: Any) -> str:
    """JSON for a script element: the same value, with nothing that could end the element or open a comment."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return guard(text)


def guard(text: str) -> str:
    """JSON text with `<`, `>`, `&` and line separators escaped; the page can undo this to the byte."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _shown(character: str) -> str:
    point = ord(character)
    if point < 0x20:
        return character if character in "\t\n" else chr(0x2400 + point)
    if point == 0x7F:
        return "\u2421"
    if 0x80 <= point < 0xA0 or character in _BIDI or 0xD800 <= point < 0xE000:
        return f"\u27e8U+{point:04X}\u27e9"
    return character


def _in_xml(point: int) -> bool:
    return point in (0x9, 0xA, 0xD) or 0x20 <= point <= 0xD7FF or 0xE000 <= point <= 0xFFFD or point > 0xFFFF
