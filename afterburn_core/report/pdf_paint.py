"""Gives inline drawings the colours and lines that style sheets give them: WeasyPrint styles none of what is in an
`svg` by the sheets of the page around it.

The report's drawings are classes and numbers; how they look is written once, in the sheets of the HTML report. Here
those rules are matched against the drawings of a parsed page and written into them as presentation attributes
(Scalable Vector Graphics 2, section 6.6), with custom properties such as `--tone` taken from the elements around them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import attrs

SVG = "{http://www.w3.org/2000/svg}"
_PAINT = frozenset(
    {"fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin"}
    | {"opacity", "font-size", "font-weight", "font-family", "font-style", "text-anchor", "r", "color"}
)
_VAR = re.compile(r"var\(\s*(--[\w-]+)\s*\)")
_LENGTH = re.compile(r"^(-?[\d.]+)rem$")
_REM = 16
"""What a rem is in the numbers of a drawing, which were chosen for a screen."""


@attrs.frozen(kw_only=True)
class Paint:
    """The rules of some sheets that matter to drawings."""

    matcher: Any
    """Of selectors to lists of declarations."""


@cache
def paint_of(*sheets: str) -> Paint:
    """Rules of style sheets, later ones over earlier ones; those inside at-rules are left out."""
    import cssselect2
    import tinycss2

    matcher = cssselect2.Matcher()
    for sheet in sheets:
        for rule in tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True):
            if rule.type != "qualified-rule":
                continue
            found = [
                (part.lower_name if not part.name.startswith("--") else part.name, _text(part.value))
                for part in tinycss2.parse_blocks_contents(rule.content)
                if part.type == "declaration"
            ]
            kept = tuple((name, value) for name, value in found if name in _PAINT or name.startswith("--"))
            if not kept:
                continue
            try:
                selectors = cssselect2.compile_selector_list(rule.prelude)
            except cssselect2.parser.SelectorError:
                continue  # a pseudo-class of browsers; it concerns no paper
            for selector in selectors:
                if selector.pseudo_element is None and not selector.never_matches:
                    matcher.add_selector(selector, kept)
    return Paint(matcher=matcher)


def painted(root: Any, paint: Paint) -> None:
    """Writes the rules into every drawing below `root`, an element of a parsed page, in place."""
    import cssselect2

    wrapper = cssselect2.ElementWrapper.from_html_root(root)
    known: dict[Any, Mapping[str, str]] = {}
    for drawing in [one for one in wrapper.iter_subtree() if one.etree_element.tag == f"{SVG}svg"]:
        around = _around(drawing.parent, paint, known)
        _fill(drawing, around, paint)


def _fill(element: Any, around: Mapping[str, str], paint: Paint) -> None:
    declared = dict(_declared(element, paint))
    own = {**around, **{name: value for name, value in declared.items() if name.startswith("--")}}
    for name, value in declared.items():
        if name in _PAINT:
            element.etree_element.set(name, _resolved(value, own))
    for child in element.iter_children():
        _fill(child, own, paint)


def _around(element: Any, paint: Paint, known: dict[Any, Mapping[str, str]]) -> Mapping[str, str]:
    """Custom properties in force at an element of the page."""
    if element is None:
        return {}
    key = element.etree_element
    if key not in known:
        declared = {name: value for name, value in _declared(element, paint) if name.startswith("--")}
        above = _around(element.parent, paint, known)
        known[key] = {**above, **declared} if declared else above
    return known[key]


def _declared(element: Any, paint: Paint) -> Iterator[tuple[str, str]]:
    """Declarations in the order of the cascade, the strongest last."""
    for *_, declarations in paint.matcher.match(element):
        yield from declarations


def _resolved(value: str, properties: Mapping[str, str]) -> str:
    for _ in range(4):  # a property may name another
        if "var(" not in value:
            break
        value = _VAR.sub(lambda found: properties.get(found[1], "none"), value)
    length = _LENGTH.match(value)
    return f"{float(length[1]) * _REM:g}" if length else value.removesuffix("px")


def _text(tokens: Any) -> str:
    import tinycss2

    return str(tinycss2.serialize(tokens)).strip()
