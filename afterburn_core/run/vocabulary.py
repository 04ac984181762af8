"""Token strings by id, and how the rows of two embeddings correspond when a vocabulary changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from afterburn_core.errors import SubjectError


@attrs.frozen(kw_only=True)
class RowRun:
    """`count` consecutive rows that correspond: base rows from `base`, trained rows from `trained`."""

    base: int
    trained: int
    count: int


@attrs.frozen(kw_only=True)
class RowMap:
    """How rows correspond."""

    runs: tuple[RowRun, ...]
    removed: int
    """Rows only the base has."""
    added: int
    """Rows only the trained model has."""
    by: str
    """`token` or `id`."""

    @property
    def common(self) -> int:
        return sum(run.count for run in self.runs)


def read_vocabulary(directory: Path) -> dict[str, int] | None:
    """Token string to id from `tokenizer.json`, `vocab.json` or `vocab.txt`, with added tokens; `None` without any.

    Raises:
        SubjectError: a tokenizer file is present but malformed.
    """
    path = directory / "tokenizer.json"
    try:
        if path.is_file():
            return _checked(_from_tokenizer(json.loads(path.read_text(encoding="utf-8"))))
        path = directory / "vocab.json"
        if path.is_file():
            vocabulary = dict(json.loads(path.read_text(encoding="utf-8")))
            added = directory / "added_tokens.json"
            if added.is_file():
                vocabulary.update(json.loads(added.read_text(encoding="utf-8")))
            return _checked(vocabulary)
        path = directory / "vocab.txt"
        if path.is_file():
            # not splitlines: a token may be a line separator of Unicode
            lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
            return {token: i for i, token in enumerate(lines)}
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError, OSError) as error:
        raise SubjectError(f"{path}: malformed tokenizer file ({error}); save the tokenizer again") from error
    return None


def _checked(vocabulary: dict[str, int]) -> dict[str, int]:
    for token, index in vocabulary.items():
        if type(index) is not int or index < 0:
            raise ValueError(f"token {token!r} has the id {index!r}")
    return vocabulary


def _from_tokenizer(document: Mapping[str, Any]) -> dict[str, int]:
    vocab = document["model"]["vocab"]
    if isinstance(vocab, Mapping):
        tokens = dict(vocab)
    else:  # Unigram models list [token, score] pairs by id
        tokens = {entry[0]: i for i, entry in enumerate(vocab)}
    tokens.update({entry["content"]: entry["id"] for entry in document.get("added_tokens") or ()})
    return tokens


def map_rows(
    base_rows: int,
    trained_rows: int,
    base_vocabulary: Mapping[str, int] | None,
    trained_vocabulary: Mapping[str, int] | None,
) -> RowMap:
    """Pairs rows by token string; rows that hold no token on either side (padding) by id.

    Without both vocabularies rows are paired by id.
    """
    if base_vocabulary is None or trained_vocabulary is None:
        common = min(base_rows, trained_rows)
        runs = (RowRun(base=0, trained=0, count=common),) if common else ()
        return RowMap(runs=runs, removed=base_rows - common, added=trained_rows - common, by="id")
    pairs = sorted(
        (base_id, trained_vocabulary[token])
        for token, base_id in base_vocabulary.items()
        if token in trained_vocabulary and base_id < base_rows and trained_vocabulary[token] < trained_rows
    )
    used_base, used_trained = set(base_vocabulary.values()), set(trained_vocabulary.values())
    padding = (i for i in range(min(base_rows, trained_rows)) if i not in used_base and i not in used_trained)
    pairs = _one_to_one(sorted([*pairs, *((i, i) for i in padding)]))
    return RowMap(runs=_runs(pairs), removed=base_rows - len(pairs), added=trained_rows - len(pairs), by="token")


def _one_to_one(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Drops pairs that reuse a row: two spellings may share an id in a hand-edited tokenizer."""
    seen_base: set[int] = set()
    seen_trained: set[int] = set()
    kept = []
    for base, trained in pairs:
        if base not in seen_base and trained not in seen_trained:
            seen_base.add(base)
            seen_trained.add(trained)
            kept.append((base, trained))
    return kept


def _runs(pairs: list[tuple[int, int]]) -> tuple[RowRun, ...]:
    """Coalesces consecutive pairs, so that an appended vocabulary is read in one stretch."""
    starts = [
        i
        for i, (base, trained) in enumerate(pairs)
        if i == 0 or base != pairs[i - 1][0] + 1 or trained != pairs[i - 1][1] + 1
    ]
    ends = [*starts[1:], len(pairs)]
    return tuple(
        RowRun(base=pairs[start][0], trained=pairs[start][1], count=end - start)
        for start, end in zip(starts, ends, strict=True)
    )
