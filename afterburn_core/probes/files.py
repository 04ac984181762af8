"""Files of probes: JSONL with an optional header, lists in YAML or JSON, and data set directories.

A JSONL file has one probe per line; its first line may be a header, `{"afterburn_probe_set": "1.0", "name": …}`.
`schemas/probe-set-1.0.json` describes both kinds of line. What `write_probes` writes, `read_probes` reads back equal.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.errors import ProbeError, SchemaError
from afterburn_core.probes.lists import Numbered, json_rows, yaml_rows
from afterburn_core.probes.model import Probe, probes_digest
from afterburn_core.probes.rows import Place, nearest, probe_of, row_of
from afterburn_core.result.strict_json import is_text, parse, show

VERSION = "1.0"
MARK = "afterburn_probe_set"
MOST_FAULTS = 20
"""Faults told of one file; the last line says how many more there are."""
LARGEST = 1 << 30
"""Bytes of a probe file after unpacking; more is no list of prompts."""

_LISTS = {".json": json_rows, ".yaml": yaml_rows, ".yml": yaml_rows}


@attrs.frozen(kw_only=True)
class Header:
    """What a file says of all its probes."""

    name: str | None = None
    """Of the probe set; without it, the file's stem."""
    licence: str | None = None
    """SPDX expression of the texts' licence."""
    description: str | None = None
    source: str | None = None
    """Where the texts come from."""
    seed: int | None = None
    """With which the items were generated."""


@attrs.frozen(kw_only=True)
class ProbeFile:
    """The probes of one file."""

    name: str
    probes: tuple[Probe, ...]
    header: Header = Header()

    @property
    def sha256(self) -> str:
        """Digest of the probes, whatever file they lie in."""
        return probes_digest(self.probes)


def read_probes(path: str | Path) -> ProbeFile:
    """The probes of a file (.jsonl, .jsonl.gz, .json, .yaml) or of a data set directory, in the file's order.

    Raises:
        ProbeError: the file is missing, empty or faulty; `problems` holds up to twenty lines `file:line: what; what
            to do`, and how many more there are.
    """
    path = Path(path)
    if path.is_dir():
        from afterburn_core.probes.tables import read_directory

        return _collected(path.name, Header(), read_directory(path), others=True, path=path)
    if not path.is_file():
        raise ProbeError(f"{path}: no such file; name a .jsonl, .json or .yaml file or a data set directory")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    suffix = (suffixes[:-1] if packed else suffixes)[-1:]
    stem = path.name.split(".")[0] or path.name
    if suffix in ([".jsonl"], [".ndjson"], [".json"], [".yaml"], [".yml"]):
        text = _text(path, packed)
    else:
        raise ProbeError(f"{path}: unknown kind of probe file; name it .jsonl, .jsonl.gz, .json or .yaml")
    reader = _LISTS.get(suffix[0])
    if reader is None:
        header, rows = _lines(path, text)
        return _collected(stem, header, rows, others=False, path=path)
    try:
        settings, rows = reader(text)
    except ValueError as error:
        raise ProbeError(f"{path}:{error}") from None
    problems: list[str] = []
    header = _header(settings, Place(file=str(path)), problems)
    return _collected(stem, header, rows, others=True, path=path, problems=problems)


def write_probes(path: str | Path, probes: Iterable[Probe], header: Header | None = None) -> None:
    """Writes JSONL, compressed where the name ends in `.gz`; equal probes give equal bytes.

    Raises:
        ProbeError: a probe could not be read back: an empty prompt, an id twice, a property that JSON has not.
    """
    path = Path(path)
    header = header or Header()
    stem = header.name or path.name.split(".")[0] or path.name
    told = {name: value for name, value in attrs.asdict(header).items() if value is not None}
    lines = [json.dumps({MARK: VERSION, **told}, ensure_ascii=False)]
    rows: list[Numbered] = []
    for probe in probes:
        row = row_of(probe, stem)
        rows.append((len(rows) + 2, row))
    collected = _collected(stem, header, rows, others=False, path=path)
    for probe, (number, row) in zip(collected.probes, rows, strict=True):
        line = json.dumps(row, ensure_ascii=False, allow_nan=False)
        if probe_of(json.loads(line), stem) != probe:
            raise ProbeError(Place(file=str(path), line=number).fault(f"{probe.id!r} changes when written as JSON"))
        lines.append(line)
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix.lower() == ".gz" else data)


def _text(path: Path, packed: bool) -> str:
    try:
        if packed:
            with gzip.open(path) as stream:
                data = stream.read(LARGEST + 1)
        else:
            with path.open("rb") as stream:
                data = stream.read(LARGEST + 1)
    except (OSError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ProbeError(f"{path}: cannot be read: {reason}; give a whole file") from None
    if len(data) > LARGEST:
        raise ProbeError(f"{path}: holds more than {LARGEST >> 20} MB; split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ProbeError(f"{path}:{line}: is not UTF-8 text; save the file as UTF-8") from None


def _lines(path: Path, text: str) -> tuple[Header, list[Numbered]]:
    """The header and the parsed lines; a line that cannot be parsed is its error."""
    header = Header()
    rows: list[Numbered] = []
    first = True
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row: Any = parse(line)
        except SchemaError as error:
            row = ProbeError(f"{error.problems[0].removeprefix('$: ')}; write one JSON object per line")
        if first and isinstance(row, dict) and MARK in row:
            header = _header(row, Place(file=str(path), line=number), problems)
        else:
            rows.append((number, row))
        first = False
    if problems:
        raise _refusal(str(path), problems)
    return header, rows


def _header(row: Mapping[str, Any], place: Place, problems: list[str]) -> Header:
    fields = attrs.fields_dict(Header)
    version = row.get(MARK, VERSION)
    if not isinstance(version, str) or version.split(".")[0] != VERSION.split(".")[0]:
        problems.append(place.fault(f"{MARK} is {show(version)}; this release reads {VERSION}"))
        return Header()
    values = {}
    for name, value in row.items():
        if name == MARK or value is None:
            continue
        if name not in fields:
            problems.append(place.fault(f"{name!r} is not a field of the header; {nearest(name, tuple(fields))}"))
        elif name == "seed":
            if isinstance(value, bool) or not isinstance(value, int):
                problems.append(place.fault(f"seed is {show(value)}; write a whole number"))
            values[name] = value
        elif not isinstance(value, str) or not value.strip() or not is_text(value):
            problems.append(place.fault(f"{name} is {show(value)}; write a text"))
        else:
            values[name] = value
    return Header(**values)


def _collected(
    stem: str,
    header: Header,
    rows: Iterable[Numbered],
    *,
    others: bool,
    path: Path,
    problems: list[str] | None = None,
) -> ProbeFile:
    """All rows as probes, or all their faults."""
    problems = problems or []
    name = header.name or stem
    lines: dict[str, int | None] = {}
    probes: list[Probe] = []
    for line, row in rows:
        place = Place(file=str(path), line=line)
        if isinstance(row, ProbeError):
            problems.append(place.fault(str(row)))
            continue
        probe = probe_of(row, name, others=others)
        if isinstance(probe, list):
            problems += [place.fault(what) for what in probe]
        elif probe.id in lines:
            where = "another item" if lines[probe.id] is None else f"line {lines[probe.id]}"
            same = "the same prompt" if isinstance(row, str) or "id" not in row else f"the id {probe.id!r}"
            problems.append(place.fault(f"{same} is also on {where}; give each probe its own"))
        else:
            lines[probe.id] = line
            probes.append(probe)
    ids = {probe.id for probe in probes}
    if not problems:
        for probe in probes:
            if probe.twin is not None and probe.twin not in ids:
                place = Place(file=str(path), line=lines[probe.id])
                problems.append(place.fault(f"twin {probe.twin!r} is no probe of this file; {nearest_id(probe, ids)}"))
    if problems:
        raise _refusal(str(path), problems)
    if not probes:
        raise ProbeError(f"{path}: holds no prompts; write one probe per line")
    return ProbeFile(name=name, probes=tuple(probes), header=header)


def nearest_id(probe: Probe, ids: set[str]) -> str:
    """What to write for a twin that is not there."""
    import difflib

    close = difflib.get_close_matches(str(probe.twin), sorted(ids), n=1)
    return f"did you mean {close[0]!r}?" if close else "add it, or leave twin out"


def _refusal(file: str, problems: list[str]) -> ProbeError:
    told = tuple(problems[:MOST_FAULTS])
    if len(problems) > MOST_FAULTS:
        told = (*told, f"{file}: {len(problems) - MOST_FAULTS} more faults; mend these first")
    more = f" (and {len(problems) - 1} more; `afterburn probes check` lists them)" if len(problems) > 1 else ""
    return ProbeError(problems[0] + more, told)
