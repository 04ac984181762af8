"""What a reader of a PDF finds in it: the text of its pages, its drawings, fonts and structure, read by pikepdf."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import pikepdf

_PAIR = re.compile(rb"<([0-9a-fA-F]+)>\s*<([0-9a-fA-F]*)>")


def opened(content: bytes) -> pikepdf.Pdf:
    return pikepdf.open(io.BytesIO(content))


def texts(file: pikepdf.Pdf) -> list[str]:
    """The text of every page in the order in which it is drawn, without any white space: lines break anywhere."""
    return ["".join("".join(_page(page)).split()) for page in file.pages]


def streams(file: pikepdf.Pdf, kind: str) -> list[Any]:
    """Streams of a subtype, such as /Image."""
    return [one for one in file.objects if isinstance(one, pikepdf.Stream) and one.get("/Subtype") == kind]


def elements(file: pikepdf.Pdf, kind: str) -> list[Any]:
    """Elements of the structure tree, such as /Figure."""
    found = (one for one in file.objects if isinstance(one, pikepdf.Dictionary))
    return [one for one in found if one.get("/Type") == "/StructElem" and one.get("/S") == kind]


def outline(file: pikepdf.Pdf) -> list[tuple[str, list[str]]]:
    """Titles of bookmarks and of those below them."""
    with file.open_outline() as found:
        return [(str(item.title), [str(child.title) for child in item.children]) for item in found.root]


def _page(page: Any) -> Iterator[str]:
    yield from _content(page, page.get("/Resources", pikepdf.Dictionary()))


def _content(source: Any, resources: Any) -> Iterator[str]:
    fonts = {name: _glyphs(font) for name, font in resources.get("/Font", pikepdf.Dictionary()).items()}
    inner = resources.get("/XObject", pikepdf.Dictionary())
    known: dict[int, str] = {}
    for operands, operator in pikepdf.parse_content_stream(source):
        name = str(operator)
        if name == "Tf":
            known = fonts[str(operands[0])]
        elif name in ("Tj", "TJ"):
            for part in operands[0] if name == "TJ" else operands:
                if isinstance(part, pikepdf.String):
                    codes = bytes(part)
                    pairs = (int.from_bytes(codes[k : k + 2], "big") for k in range(0, len(codes), 2))
                    yield "".join(known.get(pair, "\ufffd") for pair in pairs)
        elif name == "Do" and inner[str(operands[0])].get("/Subtype") == "/Form":
            form = inner[str(operands[0])]
            yield from _content(form, form.get("/Resources", resources))


def _glyphs(font: Any) -> dict[int, str]:
    """Characters by glyph, from the font's own map (ISO 32000-2, 9.10.3)."""
    text = bytes(font["/ToUnicode"].read_bytes())
    return {int(code, 16): bytes.fromhex(word.decode()).decode("utf-16-be") for code, word in _PAIR.findall(text)}
