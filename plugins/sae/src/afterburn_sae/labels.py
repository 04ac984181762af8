"""What features are called, from files that the user gives: never shipped, never fetched, always marked.

Read are JSON lines (`.jsonl`, `.jsonl.gz`), JSON lists (`.json`), CSV with a header (`.csv`), and directories of them,
such as a bulk export of Neuronpedia (`v1/{model}/{source}/explanations/batch-N.jsonl.gz`). Of a row count

| what | keys |
|---|---|
| the feature | `index`, `feature`, `id`, `feature_id`, `latent` |
| what it is called | `description`, `text`, `label`, `explanation` |
| who wrote it | `explanationModelName`, `explainer`, `typeName`, `method` |
| how good that is | `score`, `scoreV2`, `scoreV1` |
| which dictionary | `modelId` with `layer` or `source`, or `source`, where the dictionary has a Neuronpedia id |

Of several names for a feature the one with the highest score wins, then a stronger explainer, then the text itself, so
that the choice is the same every time. Labels are written by models that looked at a few contexts: they carry their
source, their explainer and the mark "auto-generated", because their scores do not tell dictionaries of trained networks
from those of random ones (arXiv 2501.17727).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import attrs

from afterburn_core.errors import ConfigError

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".csv")
LONGEST = 400
"""Characters of a label."""
_FEATURE = ("index", "feature", "feature_id", "latent", "id")
_TEXT = ("description", "text", "label", "explanation")
_EXPLAINER = ("explanationModelName", "explainer", "typeName", "method")
_SCORE = ("score", "scoreV2", "scoreV1")
_STRONGEST = ("gpt-5", "claude-4", "o3", "gpt-4.1", "gpt-4o", "claude-3", "gpt-4", "gemini-2", "gemini", "gpt-3")
"""Explainers, the strongest first; all others come after."""


@attrs.frozen(kw_only=True)
class Label:
    """What a file calls a feature."""

    text: str
    source: str
    """The file, and the dictionary that it speaks of where it says so."""
    explainer: str | None
    score: float | None

    def to_dict(self) -> dict[str, Any]:
        """As artifacts hold it."""
        return {**attrs.asdict(self), "auto_generated": True}


def require(paths: Sequence[str]) -> None:
    """Refuses paths that hold no labels, before anything is run.

    Raises:
        ConfigError: nothing is there, or nothing that is read as labels.
    """
    for path in paths:
        files = _files(Path(path).expanduser())
        if not any(_labels(row) is not None for file in files for row in _rows(file)):
            raise ConfigError(
                f"labels {path}: no row has a feature's number ({_FEATURE[0]}) and a text ({_TEXT[0]}); "
                "docs/sae.md lists the names that are known"
            )


def read_labels(
    paths: Sequence[str], wanted: Collection[int], lookup: str | None = None
) -> tuple[dict[int, Label], list[str]]:
    """The best label of each wanted feature, and remarks.

    Args:
        paths: files and directories.
        wanted: features.
        lookup: Neuronpedia's id of the dictionary (`gemma-2-2b/12-gemmascope-res-16k`): rows that name another one
            are passed over.

    Raises:
        ConfigError: a file cannot be read as labels.
    """
    best: dict[int, tuple[tuple[Any, ...], Label]] = {}
    needed, passed, notes = frozenset(wanted), 0, []
    for path in paths:
        for file in _files(Path(path).expanduser()):
            for row in _rows(file):
                found = _labels(row)
                if found is None:
                    continue
                feature, text = found
                owner = _owner(row)
                if lookup is not None and owner is not None and not _same(owner, lookup):
                    passed += 1
                    continue
                if feature not in needed:
                    continue
                label = Label(
                    text=" ".join(text.split())[:LONGEST],
                    source=file.name if owner is None else f"{file.name}: {owner}",
                    explainer=_text(_first(row, _EXPLAINER)),
                    score=_number(_first(row, _SCORE)),
                )
                place = _place(label)
                if feature not in best or place < best[feature][0]:
                    best[feature] = place, label
    if passed:
        notes.append(f"{passed} labels speak of other dictionaries than {lookup} and were passed over")
    return {feature: label for feature, (_, label) in best.items()}, notes


def _labels(row: Mapping[str, Any]) -> tuple[int, str] | None:
    """Feature and text of a row; `None` where it lacks one."""
    feature, text = _whole(_first(row, _FEATURE)), _first(row, _TEXT)
    return None if feature is None or not isinstance(text, str) or not text.strip() else (feature, text)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if path.name.endswith(SUFFIXES):
            return [path]
        raise ConfigError(f"labels {path.name}: not one of {', '.join(SUFFIXES)}")
    if not path.is_dir():
        raise ConfigError(f"labels {path}: no such file or directory")
    explained = [file for folder in sorted(path.rglob("explanations*")) if folder.is_dir() for file in folder.iterdir()]
    found = sorted(file for file in explained or path.rglob("*") if file.is_file() and file.name.endswith(SUFFIXES))
    if not found:
        raise ConfigError(f"labels {path}: holds no file of {', '.join(SUFFIXES)}")
    return found


def _opened(file: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(file, "rb")) if file.name.endswith(".gz") else file.open("rb")


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Rows one at a time; what is no row of keys and values is passed over, what is no JSON is refused."""
    number = 0
    try:
        with _opened(file) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as lines:
            if file.name.endswith(".csv"):
                yield from csv.DictReader(lines)
                return
            if file.name.endswith(".json"):
                yield from _listed(json.load(lines))
                return
            for line in lines:
                number += 1
                if line.strip():
                    row = json.loads(line)
                    if isinstance(row, dict):
                        yield row
    except (OSError, EOFError, ValueError, csv.Error) as error:
        at = f" at line {number}" if number else ""
        raise ConfigError(
            f"labels {file.name}: cannot be read{at} ({type(error).__name__}); give JSONL or CSV"
        ) from error


def _listed(content: Any) -> Iterable[Mapping[str, Any]]:
    """Rows of a list, of an object with one (`explanations`), or of a mapping from features to texts."""
    if isinstance(content, dict) and isinstance(content.get("explanations"), list):
        content = content["explanations"]
    if isinstance(content, dict):
        return [{"feature": key, "text": value} for key, value in content.items()]
    return [row for row in content if isinstance(row, dict)] if isinstance(content, list) else []


def _owner(row: Mapping[str, Any]) -> str | None:
    """The dictionary that a row names: `gemma-2-2b/12-gemmascope-res-16k`."""
    model, source = _text(row.get("modelId")), _text(row.get("layer")) or _text(row.get("sourceId"))
    if model and source:
        return f"{model}/{source}"
    return _text(row.get("source"))


def _same(owner: str, lookup: str) -> bool:
    return owner == lookup or lookup.endswith(f"/{owner}") or ("/" not in owner and "-" not in owner)


def _place(label: Label) -> tuple[Any, ...]:
    strength = next((i for i, name in enumerate(_STRONGEST) if name in (label.explainer or "")), len(_STRONGEST))
    return math.inf if label.score is None else -label.score, strength, label.text


def _first(row: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((row[key] for key in keys if row.get(key) not in (None, "")), None)


def _whole(value: Any) -> int | None:
    try:
        number = int(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError):
        return None
    return number if number is not None and number >= 0 else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
