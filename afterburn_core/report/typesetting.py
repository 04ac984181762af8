"""HTML to PDF by WeasyPrint: our fonts, nothing fetched, the same bytes for the same input.

Everything that certificates and printed reports have in common on their way to paper. What they show was in part
written by strangers, so whatever HTML asks for by address ends the rendering, and characters that our fonts lack are
spelt out (`printable`) before they could pull in a font of the machine.

WeasyPrint is imported on use only; it takes about half a second.
"""

from __future__ import annotations

import gc
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import attrs

from afterburn_core.errors import AfterburnError, ConfigError
from afterburn_core.report.inert import visible
from afterburn_core.resources import template_dir

__all__ = ["FAMILIES", "EmbeddedFile", "printable", "readable", "typeset", "versions"]

Variant = Literal["pdf/a-3a", "pdf/a-3u"]

FAMILIES = ("Afterburn Mono", "Afterburn Sans", "Afterburn Serif")
"""The families of `templates/fonts`; the first two cover all that is `printable`, the third is for fixed headings."""

_MISSING = (
    "PDF files need WeasyPrint with Pango: pip install 'afterburn-core[pdf]', "
    "and on Debian `apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0`"
)
_PLAIN = re.compile(r"[\t\n\x20-\x7e]*")
_ACCENTS = ((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE00, 0xFE2F), (0xE0100, 0xE01EF))
"""Marks that go on letters of any script, and variation selectors."""
_GENERAL = (0x2000, 0x2E7F)
"""Punctuation of all scripts: ours has what print needs of it."""
_TEXT_FACES = ("AfterburnSans-Regular.ttf", "AfterburnSans-Bold.ttf")


@attrs.frozen(kw_only=True)
class EmbeddedFile:
    """A file carried inside the PDF, listed by viewers as an attachment."""

    name: str
    content: bytes
    """UTF-8 text."""
    description: str
    relationship: Literal["Source", "Data", "Supplement"]
    """What it is to the page: ISO 32000-2, table 43."""


def typeset(
    html: str,
    styles: str,
    *,
    identifier: bytes,
    when: datetime,
    variant: Variant = "pdf/a-3u",
    embedded: tuple[EmbeddedFile, ...] = (),
    other_fonts: bool = False,
    adjust: Callable[[Any], None] | None = None,
) -> bytes:
    """The PDF of one HTML page, tagged; `html` must be UTF-8 text with `lang`, a title and dates in its head.

    `identifier` (16 bytes) becomes the file's id, `when` the date of the embedded files. `styles` may name the font
    families of `templates/fonts/fonts.css` and no file. With `other_fonts` a character that our fonts lack is taken
    from a font of this machine, so the bytes are the same on machines with the same fonts only; without, every text
    must have gone through `printable`. `adjust` may change the parsed page, its `html` element, in place.

    Raises:
        ConfigError: WeasyPrint or one of its libraries is missing.
        AfterburnError: the page asks for something by address, or for a font that is not ours, and so was not rendered.
    """
    weasyprint = _weasyprint()
    from cssselect2 import ElementWrapper
    from weasyprint.text.fonts import FontConfiguration
    from weasyprint.urls import FatalURLFetchingError, URLFetcher

    closed = URLFetcher(allowed_protocols=[], fail_on_errors=True)
    fonts = FontConfiguration()
    folder = template_dir("fonts")
    faces = weasyprint.CSS(
        string=(folder / "fonts.css").read_text(encoding="utf-8"),
        base_url=f"{folder}/",
        font_config=fonts,
        url_fetcher=_font_fetcher(folder),
    )
    sheet = weasyprint.CSS(string=styles, font_config=fonts, url_fetcher=closed)
    try:
        attachments = [_attachment(one, when, closed) for one in embedded]
        page = weasyprint.HTML(string=html, url_fetcher=closed)
        if adjust is not None:
            adjust(page.etree_element)
            page.wrapper_element = ElementWrapper.from_html_root(page.etree_element, content_language=None)
        with warnings.catch_warnings(), _no_garbage_collection():
            warnings.simplefilter("ignore", ResourceWarning)  # WeasyPrint 70 leaves its colour profile open
            written = page.write_pdf(
                stylesheets=[faces, sheet],
                font_config=fonts,
                pdf_variant=variant,
                pdf_tags=True,
                pdf_identifier=identifier,
                attachments=attachments,
                finisher=partial(_finish, other_fonts),
            )
    except FatalURLFetchingError as error:
        raise AfterburnError(
            f"the page asks for a file by address, so it was not rendered: {visible(str(error))}"
        ) from error
    return bytes(written)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """All boxes live until the file is written; looking through them for garbage takes up to a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def printable(text: str) -> str:
    """`text` in characters that our fonts have and that keep their place; any other as its code point, `⟨U+4E2D⟩`.

    Besides what `inert.visible` shows, that is every character without a glyph, every digit that only looks like one
    of ours, every invisible one, and marks that would be drawn over the letters before them.
    """
    known = _characters()
    return "".join(_spelt(c) if ord(c) not in known else c for c in unicodedata.normalize("NFC", visible(text)))


def readable(text: str) -> str:
    """`printable` text, but for what other scripts are written with: letters, and the marks and punctuation they need.

    For pages made with `other_fonts`, whose readers can tell what models wrote in their own language. Symbols such as
    emoji stay code points, as their fonts are made of pixels; so do digits of other scripts and stacked accents.
    """
    if _PLAIN.fullmatch(text):
        return text
    known = _characters()
    shown = unicodedata.normalize("NFC", visible(text))
    return "".join(c if ord(c) in known or _of_a_script(c) else _spelt(c) for c in shown)


def versions() -> dict[str, str]:
    """What decides on the bytes of a rendering, by name: WeasyPrint and the libraries it sets text with.

    Raises:
        ConfigError: WeasyPrint or one of its libraries is missing.
    """
    weasyprint = _weasyprint()
    import fontTools
    import pydyf
    from weasyprint.text.ffi import harfbuzz, harfbuzz_subset, pango

    number = int(pango.pango_version())
    return {
        "fonttools": str(fontTools.version),
        "harfbuzz": _harfbuzz_version(harfbuzz.hb_version_atleast) + ("" if harfbuzz_subset else " without subset"),
        "pango": f"{number // 10000}.{number // 100 % 100}.{number % 100}",
        "pydyf": str(pydyf.__version__),
        "weasyprint": str(weasyprint.__version__),
    }


def _harfbuzz_version(at_least: Callable[[int, int, int], int]) -> str:
    """HarfBuzz only answers whether it is at least some release, as far as WeasyPrint has bound it."""
    found: list[int] = []
    for _ in range(3):
        number = 0
        while number < 1000 and at_least(*(*found, number + 1, 0, 0)[:3]):
            number += 1
        found.append(number)
    return ".".join(map(str, found))


def _weasyprint() -> Any:
    try:
        import weasyprint
    except (ImportError, OSError) as error:  # OSError: the Python package is there and Pango is not
        raise ConfigError(_MISSING) from error
    return weasyprint


def _font_fetcher(folder: Path) -> Any:
    """Opens the font files of `folder` and nothing else."""
    from weasyprint.urls import URLFetcher

    allowed = {path.as_uri() for path in folder.glob("*.ttf")}

    class FontFetcher(URLFetcher):  # type: ignore[misc]
        def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
            if url not in allowed:
                raise ValueError(f"not one of our fonts: {url}")
            return super().fetch(url, headers)

    return FontFetcher(allowed_protocols=["file"], fail_on_errors=True)


def _attachment(file: EmbeddedFile, when: datetime, closed: Any) -> Any:
    return _weasyprint().Attachment(
        string=file.content.decode("utf-8"),
        name=file.name,
        description=file.description,
        relationship=file.relationship,
        created=when,
        modified=when,
        url_fetcher=closed,
    )


def _finish(other_fonts: bool, document: Any, pdf: Any) -> None:
    """Mends and checks what WeasyPrint 70 made: it names each embedded file twice in /AF, where PDF/A wants it once."""
    import pydyf

    if "AF" in pdf.catalog:
        pdf.catalog["AF"] = pydyf.Array(dict.fromkeys(pdf.catalog["AF"]))
    foreign = sorted({font.family for font in document.fonts.values()} - {*FAMILIES})
    if foreign and not other_fonts:
        raise AfterburnError(f"the page needs fonts of this machine ({', '.join(foreign)}), so it was not rendered")


@cache
def _characters() -> frozenset[int]:
    from fontTools.ttLib import TTFont

    folder = template_dir("fonts")
    faces = []
    for name in _TEXT_FACES:
        with TTFont(folder / name, lazy=True) as font:
            faces.append(frozenset(font.getBestCmap()))
    shared = frozenset.intersection(*faces)
    return frozenset(point for point in shared if _keeps_its_place(chr(point))) | {ord("\n"), ord("\t")}


def _of_a_script(character: str) -> bool:
    kind, point = unicodedata.category(character), ord(character)
    return (
        kind[0] == "L"
        or kind == "Mc"
        or (kind == "Mn" and not any(low <= point <= high for low, high in _ACCENTS))
        or (kind[0] == "P" and not _GENERAL[0] <= point <= _GENERAL[1])
    )


def _keeps_its_place(character: str) -> bool:
    if character.isascii() or character == "\u00a0":
        return True
    category = unicodedata.category(character)
    return category[0] not in "CMZ" and category != "Nd"


def _spelt(character: str) -> str:
    return f"\u27e8U+{ord(character):04X}\u27e9"
