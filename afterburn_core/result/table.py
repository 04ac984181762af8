"""Measurements that are too many for a document to stay readable live in a file beside it.

The file holds one measurement per line, with the fields and ids it would have inside the document. `spill` moves them
out, `read_table` reads them back; nobody else needs to know where a measurement was kept.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import attrs

from afterburn_core.errors import AfterburnError, SchemaError
from afterburn_core.result import strict_json
from afterburn_core.result.consistency import TABLE_MEDIA_TYPE, measurement_faults
from afterburn_core.result.convert import structure_measurement, unstructure
from afterburn_core.result.files import replace_file
from afterburn_core.result.model import Artifact, Measurement, Result
from afterburn_core.result.schema import row_faults

__all__ = ["INLINE_LIMIT", "TABLE_ID", "TABLE_MEDIA_TYPE", "read_table", "read_tables", "spill", "tables"]

INLINE_LIMIT = 20_000
TABLE_ID = "measurements.table"
_TABLE_PATH = "artifacts/measurements.jsonl.gz"
_ROW = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
_WRITTEN = 1 << 16  # bytes compressed at a time
_LONGEST_ROW = 1 << 20  # bytes; a compressed file must not be able to fill the memory


def spill(result: Result, directory: Path, limit: int = INLINE_LIMIT) -> Result:
    """`result` with its tensor- and head-scoped measurements in a table under `directory`, if it has over `limit`.

    The table is `artifacts/measurements.jsonl.gz`, rows sorted by id; equal measurements give equal bytes. Rows of a
    table that an earlier call wrote are kept. A result within the limit is returned as it is.

    Raises:
        SchemaError: a measurement that would move is not valid.
        AfterburnError: the table cannot be written.
    """
    if len(result.measurements) <= limit:
        return result
    moved = [entry for entry in result.measurements if _is_detail(entry)]
    earlier = [artifact for artifact in result.artifacts if artifact.id == TABLE_ID]
    for artifact in earlier:
        moved += read_table(result, artifact, directory)
    if not moved:
        return result
    moved.sort(key=lambda entry: entry.id)
    for fault in islice(measurement_faults(result, moved, "$.measurements: entry {}"), 1):
        raise strict_json.refusal(fault)
    data = _compressed(moved)
    path = directory / _TABLE_PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data)
    table = Artifact(
        id=TABLE_ID,
        path=_TABLE_PATH,
        media_type=TABLE_MEDIA_TYPE,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        summary="Measurements of single tensors and heads",
        producer="core",
        entries=len(moved),
    )
    return attrs.evolve(
        result,
        measurements=tuple(entry for entry in result.measurements if not _is_detail(entry)),
        artifacts=(*(artifact for artifact in result.artifacts if artifact.id != TABLE_ID), table),
    )


def tables(result: Result) -> tuple[Artifact, ...]:
    """The artifacts of `result` that hold measurements."""
    return tuple(artifact for artifact in result.artifacts if artifact.media_type == TABLE_MEDIA_TYPE)


def read_tables(result: Result, directory: Path) -> tuple[Measurement, ...]:
    """The measurements of every table of `result`, found under `directory`; raises like `read_table`.

    Raises:
        SchemaError: also when a measurement occurs twice, or a finding rests on one that is nowhere.
    """
    known = {entry.id for entry in result.measurements}
    rows: list[Measurement] = []
    for artifact in tables(result):
        for entry in read_table(result, artifact, directory):
            if entry.id in known:
                raise strict_json.refusal(f"{artifact.path}: repeats the measurement {strict_json.show(entry.id)}")
            known.add(entry.id)
            rows.append(entry)
    for index, finding in enumerate(result.findings):
        for reference in finding.measurements:
            if reference not in known:
                what = f"neither the document nor its tables have a measurement {strict_json.show(reference)}"
                raise strict_json.refusal(f"$.findings[{index}].measurements: {what}")
    return tuple(rows)


def read_table(result: Result, artifact: Artifact, directory: Path) -> tuple[Measurement, ...]:
    """The measurements in one table of `result`.

    Raises:
        AfterburnError: the file is missing or cannot be read.
        SchemaError: its bytes are not those the document names, or a row is no measurement of this result.
    """
    data = _checked_bytes(artifact, directory)
    rows = tuple(_rows(artifact, data))
    if len(rows) != artifact.entries:
        raise strict_json.refusal(f"{artifact.path}: holds {len(rows)} rows, not {artifact.entries} as stated")
    for fault in islice(measurement_faults(result, rows, f"{artifact.path}: row {{}}"), 1):
        raise strict_json.refusal(fault)
    return rows


def _is_detail(entry: Measurement) -> bool:
    return entry.scope.tensor is not None or entry.scope.head is not None


def _compressed(entries: Iterable[Measurement]) -> bytes:
    buffer = io.BytesIO()
    # no name, no time: same bytes; the highest level takes twice as long for a file a tenth smaller
    packed = gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0, compresslevel=6)
    with io.BufferedWriter(packed, _WRITTEN) as stream:  # closes what it writes to
        for entry in entries:
            row = unstructure(entry)
            faults = row_faults(row)
            if faults:
                raise strict_json.refusal(*(f"{_TABLE_PATH}: {entry.id}: {fault}" for fault in faults))
            stream.write(_ROW.encode(row).encode() + b"\n")
    return buffer.getvalue()


def _checked_bytes(artifact: Artifact, directory: Path) -> bytes:
    path = directory / artifact.path
    changed = strict_json.refusal(f"{artifact.path}: is not the file the document speaks of; its sha256 or size differ")
    try:
        if not path.resolve().is_relative_to(directory.resolve()):
            raise strict_json.refusal(f"{artifact.path}: leads out of the run directory")
        if path.stat().st_size != artifact.size:
            raise changed
        data = path.read_bytes()
    except FileNotFoundError:
        raise AfterburnError(
            f"{path}: no such file; the document keeps measurements in it, so copy the whole run directory"
        ) from None
    except OSError as error:
        raise AfterburnError(f"{path}: cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(data).hexdigest() != artifact.sha256:
        raise changed
    return data


def _rows(artifact: Artifact, data: bytes) -> Iterator[Measurement]:
    for index, line in enumerate(_lines(artifact, data)):
        try:
            row = strict_json.parse_unwalked(line)
            faults = row_faults(row)
            if faults:
                raise strict_json.refusal(*faults)
            yield structure_measurement(row)
        except SchemaError as error:
            problems = tuple(f"{artifact.path}: row {index}: {problem}" for problem in error.problems)
            raise strict_json.refusal(*problems) from None


def _lines(artifact: Artifact, data: bytes) -> Iterator[bytes]:
    stream: io.BufferedIOBase = io.BytesIO(data)
    if artifact.path.endswith(".gz"):
        stream = io.BufferedReader(gzip.GzipFile(fileobj=stream), 1 << 16)  # its own readline is slow
    try:
        for count in range((artifact.entries or 0) + 1):  # one more than stated shows that there are more
            line = stream.readline(_LONGEST_ROW)
            if not line:
                return
            if not line.endswith(b"\n"):
                raise strict_json.refusal(f"{artifact.path}: row {count}: is cut off or longer than any measurement")
            yield line
    except (OSError, EOFError, zlib.error) as error:
        raise strict_json.refusal(f"{artifact.path}: is no whole gzip file: {error}") from error
