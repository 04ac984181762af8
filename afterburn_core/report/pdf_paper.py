"""Makes a page for screens into one for paper: nothing to press, nothing endless, a table of contents.

What a screen folds away is shown, up to a stated length; what is left out is counted in its place. Works on the parsed
page, so a section that is written for screens needs no second version as long as it is text, tables and drawings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import attrs

from afterburn_core.report.pdf_paint import SVG
from afterburn_core.report.typesetting import readable

_MORE = re.compile(r"[\d,]+ more ")
_ENTRIES = frozenset({"example", "opening", "stretch"})
_SCREEN_ONLY = frozenset({"script-only", "unscripted", "within", "toolbar", "screen"})
_HEADINGS = ("h2", "h3")
_AXIS, _CHARACTER = 170.0, 4.3
"""Widths of an axis in a table and of a character of its labels, in units of a drawing."""
_DRAWN = "Drawing of the numbers beside it"
"""What a drawing that the page hides from readers of its text is called: the numbers stand in the same row."""


@attrs.frozen(kw_only=True)
class PaperLimits:
    """How much of anything goes to paper."""

    rows: int = 40
    """Rows of a table."""
    items: int = 60
    """Entries of a list."""
    figures: int = 6
    """Passages of text among others of their kind."""
    folded_rows: int = 8
    """Rows of a table that a screen shows on request only."""
    folded_items: int = 4
    folded_figures: int = 2
    lines: int = 60
    """Lines of preformatted text."""
    characters: int = 1200
    """Characters of any stretch of text."""


def on_paper(root: Any, limits: PaperLimits) -> None:
    """Changes a parsed page in place: `root` is its `html` element."""
    body = root.find("body")
    _strip(body)
    _drop_more(body, within=False)
    _unfold(body)
    _shorten(body, limits, folded=False)
    for drawing in root.iter(f"{SVG}svg"):
        _name(drawing)
        if "axis" in _classes(drawing):
            _thin(drawing)
    for element in root.iter():
        if isinstance(element.tag, str):
            element.text = readable(element.text) if element.text else element.text
            element.tail = readable(element.tail) if element.tail else element.tail
    _contents(body)
    _links(root)


def filled(root: Any, plots: Mapping[str, Any]) -> None:
    """Puts parsed drawings where scripts would draw, by the id of the place."""
    for place in list(root.iter("div")):
        found = plots.get(place.get("id", ""))
        if found is not None:
            place.attrib.clear()
            place.set("class", "halves")
            place[:] = list(found)


def _strip(parent: Any) -> None:
    for child in list(parent):
        if isinstance(child.tag, str) and not _classes(child).isdisjoint(_SCREEN_ONLY):
            _remove(parent, child)
        else:
            _strip(child)


def _drop_more(parent: Any, *, within: bool) -> None:
    """Drops what continues a list, and what is folded away inside one of its entries; the first is counted."""
    for child in list(parent):
        if not isinstance(child.tag, str):
            continue
        if child.tag == "details" and child.get("open") is None:
            summary = " ".join("".join(child.findtext("summary") or "").split())
            more = _MORE.match(summary)
            if more or within:
                if more:
                    _after(parent, _limit(f"{summary}: in result.json and the run's files."), child)
                _remove(parent, child)
                continue
        entry = within or not _classes(child).isdisjoint(_ENTRIES)
        _drop_more(child, within=entry)


def _unfold(body: Any) -> None:
    """Makes every disclosure an ordinary block under its summary; an open one is part of the text."""
    for details in list(body.iter("details")):
        details.tag = "div"
        opened = details.attrib.pop("open", None) is not None
        details.set("class", f"{details.get('class', '')} unfolded{' opened' if opened else ''}".strip())
        for summary in details.findall("summary"):
            summary.tag = "p"
            summary.set("class", "summary")


def _shorten(parent: Any, limits: PaperLimits, *, folded: bool) -> None:
    """Cuts what is longer than paper takes, and says so right behind it."""
    for child in list(parent):
        if not isinstance(child.tag, str) or child.tag.startswith(SVG):
            continue
        names = _classes(child)
        inner = folded or ("unfolded" in names and "opened" not in names)
        if child.tag == "table" and "whole" not in names:
            _cut_table(parent, child, limits.folded_rows if inner else limits.rows)
        elif child.tag in ("ul", "ol", "dl") and "legend" not in names:
            _cut_list(parent, child, limits.folded_items if inner else limits.items)
        elif "stretches" in names:
            _cut_list(parent, child, limits.folded_figures if inner else limits.figures, kind="figure")
        elif child.tag == "pre":
            _cut_lines(child, limits.lines)
        child.text = _cut_text(child.text, limits.characters)
        child.tail = _cut_text(child.tail, limits.characters)
        _shorten(child, limits, folded=inner)


def _cut_table(parent: Any, table: Any, most: int) -> None:
    bodies = table.findall("tbody")
    rows = [(body, row) for body in bodies for row in body.findall("tr")]
    if len(rows) <= most + 2:  # a line that says "2 more rows" would take the room of the rows
        return
    for body, row in rows[most:]:
        body.remove(row)
    for body in bodies:
        if not len(body):
            table.remove(body)
    note = f"{len(rows) - most:,} more rows of {len(rows):,} are in result.json and the run's files."
    _after(parent, _limit(note), table)


def _cut_list(parent: Any, entries: Any, most: int, kind: str | None = None) -> None:
    items = [item for item in entries if kind is None or item.tag == kind]
    if len(items) <= most + (kind is None):
        return
    for item in items[most:]:
        entries.remove(item)
    note = f"{len(items) - most:,} more of {len(items):,} are in result.json and the run's files."
    _after(parent, _limit(note), entries)


def _cut_lines(block: Any, most: int) -> None:
    if len(block) or not block.text:
        return
    lines = block.text.split("\n")
    if len(lines) > most + 2:
        block.text = "\n".join([*lines[:most], f"… {len(lines) - most:,} more lines in result.json"])


def _cut_text(text: str | None, most: int) -> str | None:
    if text is None or len(text) <= most + 40:
        return text
    return f"{text[:most]}… ({len(text) - most:,} more characters)"


def _name(drawing: Any) -> None:
    """Gives a drawing the title that readers of the page's text are told (PDF's alternate text)."""
    label = drawing.attrib.pop("aria-label", None)
    drawing.attrib.pop("aria-labelledby", None)
    if drawing.find(f"{SVG}title") is None:
        title = Element(f"{SVG}title")
        title.text = label or _DRAWN
        drawing.insert(0, title)


def _thin(axis: Any) -> None:
    """Takes labels from an axis in a narrow column where they would touch the one before."""
    end = -_CHARACTER
    for label in list(axis.iter(f"{SVG}text")):
        width = _CHARACTER * len(label.text or "")
        at = float(label.get("x", "0").rstrip("%")) * _AXIS / 100
        start = at - {"middle": width / 2, "end": width}.get(label.get("text-anchor", ""), 0.0)
        if start < end + _CHARACTER / 2:
            axis.remove(label)
        else:
            end = start + width


def _contents(body: Any) -> None:
    """Fills the list with the class `contents` from the headings, which get ids where they have none."""
    place = next((one for one in body.iter("ol") if "contents" in _classes(one)), None)
    if place is None:
        return
    inner: Any = None
    for number, heading in enumerate(_headings(body), 1):
        identifier = heading.get("id") or f"heading-{number}"
        heading.set("id", identifier)
        if heading.tag == "h2" or inner is None:
            item = SubElement(place, "li", {"class": "section"})
            inner = None
        else:
            item = SubElement(inner, "li")
        link = SubElement(item, "a", {"href": f"#{identifier}"})
        link.text = " ".join("".join(heading.itertext()).split())
        if heading.tag == "h2":
            inner = SubElement(item, "ol")
    for item in list(place):
        nested = item.find("ol")
        if nested is not None and not len(nested):
            item.remove(nested)


def _headings(body: Any) -> Iterator[Any]:
    for heading in body.iter():
        if heading.tag in _HEADINGS and "unlisted" not in _classes(heading):
            yield heading


def _links(root: Any) -> None:
    """Drops links to places that are not on paper, and text that shows only under a pointer."""
    known = {element.get("id") for element in root.iter() if isinstance(element.tag, str)}
    for element in root.iter():
        if not isinstance(element.tag, str) or element.tag.startswith(SVG):
            continue
        element.attrib.pop("title", None)
        element.attrib.pop("tabindex", None)
        target = element.get("href") if element.tag == "a" else None
        if target is not None and target[1:] not in known:
            element.tag = "span"
            del element.attrib["href"]


def _limit(text: str) -> Any:
    note = Element("p", {"class": "limit"})
    note.text = text
    return note


def _after(parent: Any, new: Any, old: Any) -> None:
    """Puts an element behind another one, and that one's following text behind it."""
    new.tail, old.tail = old.tail, None
    parent.insert(list(parent).index(old) + 1, new)


def _remove(parent: Any, child: Any) -> None:
    """Removes an element and keeps the text behind it."""
    if child.tail and child.tail.strip():
        siblings: Sequence[Any] = list(parent)
        place = siblings.index(child)
        if place:
            siblings[place - 1].tail = (siblings[place - 1].tail or "") + child.tail
        else:
            parent.text = (parent.text or "") + child.tail
    parent.remove(child)


def _classes(element: Any) -> frozenset[str]:
    return frozenset((element.get("class") or "").split())
