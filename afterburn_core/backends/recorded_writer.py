"""Writes recorded outputs as `recorded:FILE` reads them: what a run's models wrote, for another run or tool."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from afterburn_core.backends.recorded_formats.entry import Provenance
from afterburn_core.backends.recorded_formats.native import write_header, write_row
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import GenerationFacts, Sample
from afterburn_core.probes.model import Probe


def write_recorded(path: Path, rows: Iterable[tuple[Probe, Sample]], *, facts: GenerationFacts | None = None) -> int:
    """Writes one side's samples, packed where the name ends in `.gz`. Equal samples give equal bytes.

    The file appears under its name when it is complete.

    Args:
        path: where to.
        rows: each sample with its probe.
        facts: how the texts came about; written as the first line.

    Returns:
        The number of rows.

    Raises:
        SubjectError: the file cannot be written, or a value is none that JSON can hold.
    """
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with open(unfinished, "wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                    count = _write(packed, rows, facts)
            else:
                count = _write(raw, rows, facts)
        os.replace(unfinished, path)
    except OSError as error:
        raise SubjectError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
    except (TypeError, ValueError) as error:
        raise SubjectError(f"{path}: a sample holds what JSON cannot ({error}); labels must be plain values") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def recorded_lines(rows: Iterable[tuple[Probe, Sample]], facts: GenerationFacts | None = None) -> Iterator[bytes]:
    """The lines of a recorded file: what is known of all texts, if anything, then one per sample.

    Raises:
        TypeError, ValueError: a value is none that JSON can hold.
    """
    if facts is not None:
        yield _line(write_header(_provenance(facts)))
    for probe, sample in rows:
        yield _line(write_row(probe, sample))


def _write(
    stream: BinaryIO | gzip.GzipFile, rows: Iterable[tuple[Probe, Sample]], facts: GenerationFacts | None
) -> int:
    lines = 0
    for line in recorded_lines(rows, facts):
        stream.write(line)
        lines += 1
    return lines - (facts is not None)


def _line(row: object) -> bytes:
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _provenance(facts: GenerationFacts) -> Provenance:
    properties = {name: value for name, value in facts.properties.items() if name not in ("engine", "model", "format")}
    for name in ("template_sha256", "tokenizer_sha256", "context"):
        if getattr(facts, name) is not None:
            properties[name] = getattr(facts, name)
    return Provenance(
        engine=None if facts.engine == "recorded" else facts.engine,
        model=facts.properties.get("model"),
        template=facts.template,
        decoding=None if facts.decoding is None else dict(facts.decoding),
        properties=properties,
    )
