"""What a sealed PDF holds besides the seal: nothing that acts, one file, and data about itself that agree.

All of it is read in the file as the seal covers it. The references are ISO 32000-2 and ISO 19005-3 (PDF/A-3).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from afterburn_core.certify.encoding import Invalid
from afterburn_core.certify.envelope import BUNDLE_NAME

_ACTING = frozenset({"/AA", "/JavaScript", "/JS", "/Launch", "/NeedAppearances", "/OpenAction", "/XFA"})
_LINKS = frozenset({"/Link", "/Widget"})
_MOST_PAGES = 10_000
_TITLE = (
    "{http://purl.org/dc/elements/1.1/}title/{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Alt/"
    "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
)


def require_still(root: Any) -> None:
    """Nothing in the document acts: no script, no action on opening, no form but the seal, no link out.

    Raises:
        Invalid: `pdf.active_content`.
    """
    names, form = at(root, "/Names") or {}, at(root, "/AcroForm") or {}
    if found := (set(root) | set(form)) & _ACTING | set(names) - {"/Dests", "/EmbeddedFiles"}:
        named = ", ".join(sorted(map(str, found)))
        raise Invalid("pdf.active_content", f"the PDF holds {named}, which acts on its own")
    if len(_each(form, "/Fields")) != 1:
        raise Invalid("pdf.active_content", "the PDF holds a form beside the seal")
    for annotation in _annotations(root["/Pages"]):
        kind, action = str(at(annotation, "/Subtype")), at(annotation, "/A")
        if kind not in _LINKS or "/AA" in annotation or (action is not None and not _stays_inside(action)):
            raise Invalid("pdf.active_content", f"a page of the PDF holds {kind}, which is no link within it")


def _stays_inside(action: Any) -> bool:
    return str(at(action, "/S")) == "/GoTo" and "/Next" not in action


def _annotations(pages: Any) -> Iterator[Any]:
    pending = [pages]
    for _ in range(_MOST_PAGES):
        if not pending:
            return
        page = pending.pop()
        if "/AA" in page:
            raise Invalid("pdf.active_content", "a page of the PDF holds /AA, which acts on its own")
        pending += _each(page, "/Kids")
        yield from _each(page, "/Annots")
    raise Invalid("pdf.syntax", "the PDF's tree of pages has no end")


def require_embedded(root: Any, bundle: bytes) -> None:
    """One file is embedded, and it is the certificate.

    Raises:
        Invalid: `pdf.embedded_count`, `pdf.embedded_name`, `pdf.embedded_bytes`.
    """
    tree = at(at(root, "/Names") or {}, "/EmbeddedFiles") or {}
    entries = _each(tree, "/Names")
    if "/Kids" in tree or len(entries) != 2 or len(_each(root, "/AF")) != 1:
        raise Invalid("pdf.embedded_count", f"the PDF carries {len(entries) // 2} files, not the certificate alone")
    name, file = entries
    if {str(name), str(at(file, "/F")), str(at(file, "/UF"))} != {BUNDLE_NAME}:
        raise Invalid("pdf.embedded_name", f"the file inside the PDF is not called {BUNDLE_NAME}")
    streams = at(file, "/EF") or {}
    contents = [at(streams, which).data for which in streams]
    (associated,) = _each(root, "/AF")
    if associated != file or not contents or any(data != bundle for data in contents):
        raise Invalid("pdf.embedded_bytes", "the certificate inside the PDF is not the one beside it")


def require_metadata(reader: Any) -> None:
    """The two places in which a PDF says what it is called say the same.

    Raises:
        Invalid: `pdf.metadata`.
    """
    told = ElementTree.fromstring(reader.root["/Metadata"].data)
    titles = [(found.text or "").strip() for found in told.iterfind(f".//{_TITLE}")]
    if titles != [str(at(reader.trailer["/Info"], "/Title")).strip()]:
        raise Invalid("pdf.metadata", "the PDF is called otherwise in its XMP metadata than in its information")


def at(dictionary: Any, key: str) -> Any:
    """What a key leads to, references followed."""
    found = dictionary.get(key)
    return None if found is None else dictionary[key]


def _each(dictionary: Any, key: str) -> list[Any]:
    """What an array holds, references followed; nothing where there is no such key."""
    array = at(dictionary, key)
    return [] if array is None else [array[place] for place in range(len(array))]
