"""Any part of a certificate as rows to print: nothing in it is left out because nobody foresaw it.

The certificate's own document decides what is shown. What is known gets a readable label; the rest is labelled by its
key. Numbers stand as in the JSON, to the digit (`exact`), unless a table says that it rounds (`rounded`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import attrs

from afterburn_core.certify.encoding import canonical

Kind = Literal["text", "mono", "number", "absent"]
Origin = Literal["declared", "measured", ""]

MOST_ENTRIES = 16
"""Entries of one list that are printed; the count of the others stands below, and the embedded file has them all."""
MOST_NAMES = 200
"""The same for lists of words."""
_WORDS_IN_CELL = 16  # keeps a cell below what is printed of one text
_DIGEST = re.compile(r"[0-9a-f]{32,}|[A-Za-z0-9+/]{43}=")
_MONO = frozenset({"command", "id", "name", "path", "sourceUri", "hubCommit", "certificateId", "runId", "text", "key"})
_FIRST = ("name", "label", "legalName", "version", "revision", "path", "id", "kind", "dtype", "status")
_LABELS = {
    "acceptableUse": "Acceptable use",
    "baseManifestSha256": "Manifest of the base",
    "certifiedWithVersion": "Version that certified",
    "codeFiles": "Files of program code",
    "ended": "Ended as planned",
    "notEnded": "Failed or interrupted",
    "energyKwh": "Energy (kWh)",
    "hubCommit": "Commit on the hub",
    "keyFingerprint": "Fingerprint of the key",
    "n": "n",
    "notReadByRun": "Files the run did not read",
    "os": "Operating system",
    "pickleFiles": "Files in pickle formats",
    "planSha256": "Plan",
    "probeSetsNotAsked": "Probe sets not asked",
    "ranVersion": "Version that ran",
    "sbomSha256": "SBOM SHA-256",
    "sha256": "SHA-256",
    "sourceUri": "Source",
}


@attrs.frozen(kw_only=True)
class Cell:
    """One value."""

    text: str
    kind: Kind = "text"


@attrs.frozen(kw_only=True)
class Row:
    """A label and what stands beside it; several cells one below the other."""

    label: str
    cells: tuple[Cell, ...]


@attrs.frozen(kw_only=True)
class Table:
    """A list of like objects."""

    title: str
    columns: tuple[tuple[str, str], ...]
    """Heading and share of the width in per cent."""
    lines: tuple[tuple[Cell, ...], ...]
    more: int = 0
    """Entries that are not printed."""


@attrs.frozen(kw_only=True)
class Block:
    """A part of the certificate, by one origin."""

    title: str = ""
    origin: Origin = ""
    rows: tuple[Row, ...] = ()
    tables: tuple[Table, ...] = ()
    absent: str = ""
    """Names of the fields that hold nothing."""

    @property
    def empty(self) -> bool:
        return not self.rows and not self.tables and not self.absent


def blocks(value: Mapping[str, Any], title: str = "", origin: Origin = "") -> tuple[Block, ...]:
    """An object as blocks, one per origin: its own fields, then each part that names another origin."""
    own = _origin(value) or origin
    plain: dict[str, Any] = {}
    apart: list[Block] = []
    for key, item in value.items():
        if key == "origin":
            continue
        if isinstance(item, Mapping) and _origin(item):
            apart += blocks(item, title if key in {"declared", "measured"} else label(key), own)
        else:
            plain[key] = item
    rows: list[Row] = []
    tables: list[Table] = []
    absent: list[str] = []
    for name, item in _leaves(plain):
        if isinstance(item, Table):
            tables.append(item)
        elif all(one.kind == "absent" for one in item):
            absent.append(name)
        else:
            rows.append(Row(label=name, cells=item))
    first = Block(title=title, origin=own, rows=tuple(rows), tables=tuple(tables), absent=", ".join(absent))
    return (*(() if first.empty and apart else (first,)), *apart)


def label(key: str) -> str:
    """What a key of the document is called on paper."""
    if key in _LABELS:
        return _LABELS[key]
    words = re.sub(r"Sha256$", " SHA-256", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", key)).replace("_", " ")
    words = re.sub(r"\b[A-Z](?=[a-z])", lambda found: found[0].lower(), words)
    return words[:1].upper() + words[1:]


def _inside(key: str) -> str:
    """A label that follows another one: in lower case, but for abbreviations."""
    text = label(key)
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def exact(value: float) -> str:
    """A number as the canonical JSON has it."""
    return canonical(value).decode("ascii")


def rounded(value: float) -> str:
    """Four significant digits; a number that needs no more stands as it is."""
    text = exact(value)
    return text if len(text) <= 6 else f"{value:.4g}"


def cell(value: Any, key: str = "") -> Cell:
    """One value that is neither list nor object."""
    if value is None or value == "":
        return Cell(text="not given", kind="absent")
    if isinstance(value, bool):
        return Cell(text="yes" if value else "no")
    if isinstance(value, int | float):
        return Cell(text=exact(value), kind="number")
    text = str(value)
    return Cell(text=text, kind="mono" if key in _MONO or _DIGEST.fullmatch(text) else "text")


def table(title: str, entries: Sequence[Mapping[str, Any]]) -> Table:
    """Objects as a table, with a column for every field that any of them has."""
    shown = entries[:MOST_ENTRIES]
    flat = [dict(_flat(entry)) for entry in shown]
    names = list(dict.fromkeys(name for entry in flat for name in entry))
    lines = tuple(tuple(_joined(entry[name]) if name in entry else Cell(text="") for name in names) for entry in flat)
    widths = _widths([[name, *(line[place].text for line in lines)] for place, name in enumerate(names)])
    return Table(
        title=title, columns=tuple(zip(names, widths, strict=True)), lines=lines, more=len(entries) - len(shown)
    )


def _widths(columns: Sequence[Sequence[str]]) -> list[str]:
    """Shares of the width by what the columns hold: a digest on one line, a number in little room."""
    longest = 52 if sum(any(len(text) > 52 for text in column) for column in columns) < 2 else 34
    # short words and numbers get room to spare, so that none is broken in two
    weights = [
        max(8.5, *(min(max(len(text), min(len(text) + 2, 14)), longest) for text in column)) for column in columns
    ]
    return [f"{100 * weight / sum(weights):.1f}" for weight in weights]


def _ordered(value: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """The names of things first, then what they are; canonical JSON has its keys in alphabetical order."""
    return sorted(value.items(), key=lambda pair: _FIRST.index(pair[0]) if pair[0] in _FIRST else len(_FIRST))


def _origin(value: Mapping[str, Any]) -> Origin:
    found = value.get("origin")
    return found if found in ("declared", "measured") else ""


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in _ordered(value):
        if key == "origin":
            continue
        name = f"{prefix}, {_inside(key)}" if prefix else label(key)
        if isinstance(item, Mapping) and not item:
            yield name, (Cell(text="none", kind="absent"),)
        elif isinstance(item, Mapping) and _is_short(item):
            yield name, (Cell(text="; ".join(f"{_inside(k)} {cell(v).text}" for k, v in _ordered(item))),)
        elif isinstance(item, Mapping):
            yield from _leaves(item, name)
        elif isinstance(item, list | tuple):
            yield name, _listed(name, key, item)
        else:
            yield name, (cell(item, key),)


def _listed(name: str, key: str, items: Sequence[Any]) -> Table | tuple[Cell, ...]:
    if not items:
        return (Cell(text="none", kind="absent"),)
    if all(isinstance(item, Mapping) for item in items):
        return _pairs(items) or table(name, items)
    most = MOST_NAMES if all(isinstance(item, str | int | float) for item in items) else MOST_ENTRIES
    shown = [cell(item, key) if not isinstance(item, list | dict) else _joined(item) for item in items[:most]]
    if len(items) > most:
        shown.append(Cell(text=f"and {len(items) - most} more in the embedded file", kind="absent"))
    if all(len(one.text) < 60 for one in shown):
        chunks = [shown[place : place + _WORDS_IN_CELL] for place in range(0, len(shown), _WORDS_IN_CELL)]
        lines = [", ".join(one.text for one in chunk) for chunk in chunks]
        return tuple(
            Cell(text=line if chunk is chunks[-1] else f"{line},", kind=chunk[0].kind)
            for line, chunk in zip(lines, chunks, strict=True)
        )
    return tuple(shown)


def _is_short(value: Mapping[str, Any]) -> bool:
    """Whether a part is a few plain values that fit on a line or two."""
    plain = all(not isinstance(item, list | dict | Mapping) for item in value.values())
    return plain and all(len(str(item)) < 40 and key != "text" for key, item in value.items())


def _pairs(items: Sequence[Mapping[str, Any]]) -> tuple[Cell, ...] | None:
    """Names with one short value each, as packages with their versions, on a line; `None` where they are more."""
    kept = [{key: value for key, value in item.items() if key != "origin"} for item in items]
    if len(items) > MOST_ENTRIES or not all(len(item) == 2 and _is_short(item) for item in kept):
        return None
    told = [" ".join(cell(value).text for _, value in _ordered(item)) for item in kept]
    return (Cell(text=", ".join(told)),)


def _flat(entry: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in _ordered(entry):
        if key == "origin":
            continue
        name = f"{prefix}, {_inside(key)}" if prefix else label(key)
        if isinstance(item, Mapping) and item:
            yield from _flat(item, name)
        else:
            yield name, item


def _joined(value: Any) -> Cell:
    if isinstance(value, Mapping):
        return Cell(text=", ".join(f"{name}: {_joined(item).text}" for name, item in _flat(value)) or "none")
    if isinstance(value, list | tuple):
        return Cell(text=", ".join(_joined(item).text for item in value) or "none")
    return Cell(text="–", kind="absent") if value is None else cell(value)
