"""Hugging Face data set directories: JSONL and CSV by the standard library, Parquet and Arrow where `pyarrow` is.

A directory that `datasets.save_to_disk` wrote holds `.arrow` files beside a `state.json`; one from the hub holds data
files, often per split. One split is read: `test`, else `validation`, else the only one there is.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from afterburn_core.errors import ProbeError
from afterburn_core.probes.lists import Numbered

DATA = (".jsonl", ".jsonl.gz", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
_DOCUMENTS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "card.json"}
_SPLITS = ("test", "validation", "dev", "eval", "train")


def read_directory(directory: Path) -> Iterator[Numbered]:
    """The rows of the directory's data files, files sorted by name.

    Raises:
        ProbeError: no data file, more than one split and none of the usual names, or `pyarrow` is needed and missing.
    """
    files = data_files(directory)
    if not files:
        raise ProbeError(f"{directory}: holds no data files; wanted are {', '.join(DATA)}")
    for path in files:
        yield from read_rows(path)


def data_files(directory: Path) -> list[Path]:
    """The data files of one split, sorted by name; none where there are none."""
    files = sorted(
        path
        for path in directory.rglob("*")
        if path.is_file()
        and path.name.lower().endswith(DATA)
        and path.name not in _DOCUMENTS
        and not path.name.startswith((".", "cache-"))
    )
    return _one_split(directory, files) if files else []


def _one_split(directory: Path, files: list[Path]) -> list[Path]:
    splits: dict[str | None, list[Path]] = {}
    for path in files:
        parts = [part.lower() for part in path.relative_to(directory).parts]
        words = {word for part in parts for word in part.replace("_", "-").replace(".", "-").split("-")}
        splits.setdefault(next((name for name in _SPLITS if name in words), None), []).append(path)
    for name in _SPLITS:
        if name in splits:
            return splits[name]
    return splits[None]


def read_rows(path: Path) -> Iterator[Numbered]:
    """The rows of one data file; a line that cannot be parsed is its error.

    Raises:
        ProbeError: the file cannot be read, or `pyarrow` is needed and missing.
    """
    name = path.name.lower()
    if name.endswith((".parquet", ".arrow")):
        yield from _columns(path)
    elif name.endswith((".csv", ".tsv")):
        yield from _separated(path, "\t" if name.endswith(".tsv") else ",")
    else:
        yield from _lines(path)


def _lines(path: Path) -> Iterator[Numbered]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ProbeError(f"{path}: cannot be read as UTF-8 text: {error}; give a whole file") from None
    if path.suffix.lower() == ".json" and text.lstrip().startswith("["):
        try:
            yield from ((None, row) for row in json.loads(text))
        except ValueError as error:
            raise ProbeError(f"{path}: not JSON: {error}; mend the file") from None
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                yield number, ProbeError(f"not JSON: {error}; write one object per line")


def _separated(path: Path, delimiter: str) -> Iterator[Numbered]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, delimiter=delimiter, strict=True)
        try:
            for row in rows:
                if None in row:
                    yield rows.line_num, ProbeError("more cells than the heading has columns; mend the row")
                else:
                    yield rows.line_num, {name: value for name, value in row.items() if value not in (None, "")}
        except (csv.Error, UnicodeDecodeError) as error:
            raise ProbeError(f"{path}:{rows.line_num}: not CSV: {error}; mend the file") from None


def _columns(path: Path) -> Iterator[Numbered]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ProbeError(
            f"{path}: Parquet and Arrow files need pyarrow; install it with: pip install 'afterburn-core[datasets]', "
            "or save the data set as JSONL"
        ) from None
    try:
        if path.suffix.lower() == ".parquet":
            table = pyarrow.parquet.read_table(path)
        else:
            with pyarrow.memory_map(str(path)) as source:
                try:
                    table = pyarrow.ipc.open_stream(source).read_all()  # what `save_to_disk` writes
                except pyarrow.ArrowInvalid:
                    source.seek(0)
                    table = pyarrow.ipc.open_file(source).read_all()
    except (OSError, pyarrow.ArrowException) as error:
        raise ProbeError(f"{path}: cannot be read: {str(error).splitlines()[0]}; give a whole file") from None
    for batch in table.to_batches(max_chunksize=1024):  # a row at a time in Python, not the whole table
        for row in batch.to_pylist():
            yield None, {name: _plain(value) for name, value in row.items() if value is not None}


def _plain(value: Any) -> Any:
    """The value as JSON has it: dates and bytes as texts, numbers that are none as nothing."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)
