"""Did sealing add the seal to a rendering, and nothing else?

A seal is appended to a file, and what is appended may replace any object before it: that a file begins with the
rendering does not mean that its pages show it. Every object of the rendering has to be where it was, but for the four
that a seal touches, and those may differ in what belongs to a seal alone (ISO 32000-2, 7.5.6 and 12.8).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.pdf_content import at

_CATALOGUE = frozenset({"/AcroForm", "/Extensions", "/Perms", "/Version"})
_INFORMATION = frozenset({"/ModDate", "/Producer"})
_METADATA = frozenset({"/Filter", "/Length"})
_PAGE = frozenset({"/Annots"})
_FORM = frozenset({"/Fields", "/SigFlags"})
_WIDGET = frozenset({"/F", "/FT", "/P", "/Rect", "/Subtype", "/T", "/Type", "/V"})


def require_only_seal(sealed: bytes, rendered: bytes) -> None:
    """The file is the rendering, and a seal that is not seen.

    Args:
        sealed: begins with `rendered`, ends where its seal ends, and has one.
        rendered: the file before it was sealed.

    Raises:
        Invalid: `pdf.rendering`.
    """
    from pyhanko.pdf_utils.reader import PdfFileReader

    before, after = (PdfFileReader(io.BytesIO(data), strict=True) for data in (rendered, sealed))
    if after.xrefs.hybrid_xrefs_present:
        raise _other("it has two tables of its objects")
    root, info = (before.trailer.raw_get(key) for key in ("/Root", "/Info"))
    if (root, info) != (after.trailer.raw_get("/Root"), after.trailer.raw_get("/Info")):
        raise _other("another object is its catalogue")
    field = _unseen_field(after.root)
    free = {
        root.reference: _CATALOGUE,
        info.reference: _INFORMATION,
        dict.__getitem__(before.root, "/Metadata").reference: _METADATA,
    }
    pages = set(_pages(dict.__getitem__(before.root, "/Pages")))
    for reference in before.xrefs.explicit_refs_in_revision(0):
        if after.xrefs[reference] == before.xrefs[reference]:
            continue
        old, new = before.get_object(reference), after.get_object(reference)
        if reference in pages and _annotations(new) == [*_annotations(old), field]:
            may_differ = _PAGE
        elif reference in free:
            may_differ = free[reference]
        else:
            raise _other(f"object {reference.idnum} was replaced")
        if _without(old, may_differ) != _without(new, may_differ):
            raise _other(f"object {reference.idnum} says something else")


def _unseen_field(root: Any) -> Any:
    """The reference to the one field of the form, which is the seal's and has no look of its own."""
    form = at(root, "/AcroForm")
    fields = at(form, "/Fields")
    if set(form) - _FORM or len(fields) != 1:
        raise _other("its form is more than the seal")
    widget = fields[0]
    if set(widget) - _WIDGET or any(float(end) != 0 for end in at(widget, "/Rect")):
        raise _other("its seal can be seen")
    return list.__getitem__(fields, 0)


def _pages(node: Any) -> Iterator[Any]:
    """References to every page of a rendering, which is our own and has no loops."""
    kids = at(node.get_object(), "/Kids")
    if kids is None:
        yield node.reference
    for kid in [] if kids is None else list.__iter__(kids):
        yield from _pages(kid)


def _annotations(page: Any) -> list[Any]:
    held = dict.get(page, "/Annots", [])
    return list(list.__iter__(held)) if isinstance(held, list) else [held]


def _without(dictionary: Any, keys: frozenset[str]) -> dict[Any, Any]:
    return {key: value for key, value in dict.items(dictionary) if key not in keys}


def _other(why: str) -> Invalid:
    return Invalid("pdf.rendering", f"the PDF's pages are not the rendering of this certificate: {why}")
