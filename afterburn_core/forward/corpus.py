"""Texts of the user's own, to be read by both models: `--corpus PATH`.

| path | documents |
|---|---|
| `.txt`, `.md` | the file; several where `<|endoftext|>` parts them |
| directory of text files | each file, in all folders, sorted by name |
| `.jsonl`, `.jsonl.gz`, `.csv`, `.tsv`, `.parquet`, `.arrow`, data set directory | each row |
| `.json`, `.yaml` | each item of the list |
| `.jsonl` with rows of `query` | queries and the documents that answer them (`retrieval_file`), for embedding models |

A row has `text` or `content`; or `messages`, a conversation whose last answer is read after the turns before it; or
`prompt`, with `completion` or `response` as a conversation, without as a text (a file of probes). Documents are cut
into passages of whole sentences (`splitting`); a conversation is one passage.

Of more passages than are wanted, so many are drawn that every document gives its first before any gives its second;
which passage of a document is its first, and which documents count where they are too many, is decided by a hash of the
text and the seed. Neither the order of files nor that of lines plays a part. A text that occurs twice is read once.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, get_args

import attrs

from afterburn_core.errors import ConfigError, ProbeError
from afterburn_core.forward.retrieval_file import is_retrieval, retrieval_probes
from afterburn_core.forward.splitting import split
from afterburn_core.probes.files import LARGEST, MARK
from afterburn_core.probes.lists import Numbered, json_rows, yaml_rows
from afterburn_core.probes.model import Message, Probe, Speaker, probes_digest
from afterburn_core.probes.suites import AskedSet
from afterburn_core.probes.tables import data_files, read_rows
from afterburn_core.result.strict_json import is_text, show

TEXTS = (".txt", ".md")
SEPARATOR = "<|endoftext|>"
FEWEST = 10
"""With fewer documents the passages themselves are counted: so few units say nothing of documents in general."""

_LISTS = {".json": json_rows, ".yaml": yaml_rows, ".yml": yaml_rows}
_LINES = (".jsonl", ".jsonl.gz", ".ndjson")
_TABLES = (".csv", ".tsv", ".parquet", ".arrow")
_FIELDS = ("text", "content", "messages", "prompt")
_ANSWERS = ("completion", "response")


@attrs.frozen(kw_only=True)
class Document:
    """One text, or one conversation that ends with the assistant."""

    name: str
    """Unique in its corpus: the file's name, with the number of the row where it has rows."""
    content: str | tuple[Message, ...]


@attrs.define
class _Counts:
    documents: int = 0
    passages: int = 0
    repeated: int = 0


def read_corpus(path: str | Path, *, seed: int, n: int) -> AskedSet:
    """At most `n` passages of a corpus as texts to be read; `notes` say what was left out.

    The set is called by the path's stem. Passages of one document share their `group`.

    Raises:
        ConfigError: there is nothing to read, or a file is faulty; the message names file and line.
    """
    path = Path(path)
    name = path.name.split(".")[0] or path.name
    retrieval = _retrieval(path, name, seed)
    if retrieval is not None:
        return retrieval
    counts = _Counts()
    chosen = heapq.nsmallest(n, _candidates(documents(path), seed, counts), key=lambda entry: entry[:2])
    if not chosen:
        raise ConfigError(f"{path}: holds no text; name a file or directory with some")
    alone = counts.documents < FEWEST
    probes = [
        Probe(
            id=passage if whole else f"{passage}#{order}",
            prompt=content,
            suite=name,
            group=None if alone or whole else passage,
        )
        for _, _, passage, order, whole, content in chosen
    ]
    probes.sort(key=lambda probe: probe.id)
    used = len({passage for _, _, passage, *_ in chosen})
    return AskedSet(
        name=name,
        probes=tuple(probes),
        sha256=probes_digest(probes),
        seed=seed,
        use="passages",
        notes=tuple(_notes(name, counts, len(probes), used, alone)),
    )


def _retrieval(path: Path, name: str, seed: int) -> AskedSet | None:
    """The queries and documents of a file that has queries; `None` for every other corpus."""
    if not (path.is_file() and path.name.lower().endswith(_LINES)):
        return None
    _, first = next(_lines(path), (None, None))
    if not is_retrieval(first) or not _says_query(path):
        return None
    rows = ((f"{path}:{line}", row) for line, row in _lines(path) if isinstance(row, Mapping))
    found = retrieval_probes(rows, name=name, seed=seed)
    if found is None:
        return None
    probes, notes = found
    return AskedSet(name=name, probes=probes, sha256=probes_digest(probes), seed=seed, use="passages", notes=notes)


def _says_query(path: Path) -> bool:
    """Whether a field may be called so, before a large file of texts is held in memory."""
    try:
        with _opened(path) as stream:
            return any(b'"query"' in line for line in stream)
    except (OSError, EOFError):
        return False  # reading the rows says what is wrong


def documents(path: Path) -> Iterator[Document]:
    """The documents that a path names, one after the other.

    Raises:
        ConfigError: as `read_corpus`.
    """
    if path.is_dir():
        yield from _directory(path)
        return
    if not path.is_file():
        raise ConfigError(f"{path}: no such file or directory; name texts, JSONL, a data set or a file of probes")
    yield from _file(path, path.name)


def _directory(directory: Path) -> Iterator[Document]:
    texts = sorted(p for p in directory.rglob("*") if p.is_file() and p.name.lower().endswith(TEXTS) and _shown(p))
    tables = data_files(directory)
    if tables and any(not path.name.lower().endswith(".md") for path in texts):
        raise ConfigError(
            f"{directory}: holds both texts ({texts[0].name}) and data files ({tables[0].name}); name them one by one"
        )
    files = tables or texts  # a page beside a data set describes it
    if not files:
        raise ConfigError(f"{directory}: holds no texts; wanted are {', '.join((*TEXTS, *_LINES, *_TABLES))}")
    for path in files:
        yield from _file(path, path.relative_to(directory).as_posix())


def _shown(path: Path) -> bool:
    return not any(part.startswith(".") and part not in (".", "..") for part in path.parts[-8:])


def _file(path: Path, name: str) -> Iterator[Document]:
    lower = name.lower()
    if lower.endswith(TEXTS):
        for number, text in enumerate(_text(path).split(SEPARATOR)):
            yield Document(name=f"{name}:{number}" if number else name, content=text)
        return
    if lower.endswith(_LINES):
        rows: Iterable[Numbered] = _lines(path)
    elif lower.endswith(_TABLES):
        rows = read_rows(path)
    elif path.suffix.lower() in _LISTS:
        try:
            rows = _LISTS[path.suffix.lower()](_text(path))[1]
        except ValueError as error:
            raise ConfigError(f"{path}:{error}") from None
    else:
        raise ConfigError(f"{path}: unknown kind of text; wanted are {', '.join((*TEXTS, *_LINES, *_LISTS, *_TABLES))}")
    known = False
    for index, (line, row) in enumerate(rows, start=1):
        if known and lower.endswith(_TABLES) and isinstance(row, Mapping) and _field(row) is None:
            continue  # an empty cell of a column that holds texts elsewhere
        where = f"{path}:{line}" if line is not None else f"{path}, row {index}"
        if isinstance(row, ProbeError):
            raise ConfigError(f"{where}: {row}")
        content = _content(row, where)
        known = True
        if content is not None:
            yield Document(name=f"{name}:{line or index}", content=content)


def _content(row: Any, where: str) -> str | tuple[Message, ...] | None:
    """Text or conversation of a row; `None` for the header of a file of probes."""
    if isinstance(row, str):
        return row
    if not isinstance(row, Mapping):
        raise ConfigError(f"{where}: is {show(row)}; write a text, or an object with text, content or messages")
    if MARK in row:
        return None
    field = _field(row)
    if field is None:
        there = ", ".join(map(str, row)) or "nothing"
        raise ConfigError(f"{where}: has no text (its fields: {there}); give each row text, content or messages")
    value = row[field]
    answer = next((row[name] for name in _ANSWERS if row.get(name) is not None), None) if field == "prompt" else None
    if isinstance(value, str):
        value = _sound(value, field, where)
        if answer is None:
            return value
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise ConfigError(f"{where}: {field} is {show(value)}; write a text or a list of messages")
    turns = tuple(_turn(turn, f"{field}[{i}]", where) for i, turn in enumerate(value))
    if isinstance(answer, list):
        turns += tuple(_turn(turn, f"answer[{i}]", where) for i, turn in enumerate(answer))
    elif answer is not None:
        turns += (Message(role="assistant", content=_sound(answer, "the answer", where)),)
    return _conversation(turns)


def _field(row: Mapping[str, Any]) -> str | None:
    return next((name for name in _FIELDS if row.get(name) is not None), None)


def _conversation(turns: tuple[Message, ...]) -> str | tuple[Message, ...]:
    """The turns up to the assistant's last; as one text where the assistant says nothing, or speaks first alone."""
    last = max((i for i, turn in enumerate(turns) if turn.role == "assistant" and turn.content.strip()), default=0)
    return turns[: last + 1] if last else "\n\n".join(turn.content for turn in turns)


def _turn(turn: Any, what: str, where: str) -> Message:
    if not isinstance(turn, Mapping) or turn.get("role") not in get_args(Speaker):
        roles = ", ".join(get_args(Speaker))
        raise ConfigError(f"{where}: {what} is {show(turn)}; write role (one of {roles}) and content")
    return Message(role=turn["role"], content=_sound(turn.get("content"), f"{what}.content", where))


def _sound(value: Any, what: str, where: str) -> str:
    if not isinstance(value, str) or not is_text(value):
        raise ConfigError(f"{where}: {what} is {show(value)}; write a text")
    return value


def _candidates(
    found: Iterable[Document], seed: int, counts: _Counts
) -> Iterator[tuple[int, bytes, str, int, bool, str | tuple[Message, ...]]]:
    """Rank within the document, hash, document, place in it, whether it is the whole document, and the text."""
    seen: set[bytes] = set()
    for document in found:
        content = document.content
        pieces: list[str | tuple[Message, ...]] = list(split(content)) if isinstance(content, str) else [content]
        ranked: list[tuple[bytes, int, str | tuple[Message, ...]]] = []
        for order, piece in enumerate(pieces, start=1):
            digest = _digest(piece, seed)
            if digest in seen:
                counts.repeated += 1
                continue
            seen.add(digest)
            ranked.append((digest, order, piece))
        counts.documents += bool(ranked)
        counts.passages += len(ranked)
        for rank, (digest, order, piece) in enumerate(sorted(ranked, key=lambda entry: entry[0])):
            yield rank, digest, document.name, order, len(pieces) == 1, piece


def _digest(piece: str | tuple[Message, ...], seed: int) -> bytes:
    whole = piece if isinstance(piece, str) else json.dumps([[turn.role, turn.content] for turn in piece])
    return hashlib.sha256(f"{seed}/{whole}".encode()).digest()[:16]


def _notes(name: str, counts: _Counts, kept: int, used: int, alone: bool) -> Iterator[str]:
    if kept < counts.passages:
        yield (
            f"corpus {name!r}: {kept} of its {counts.passages} passages are read, from {used} of {counts.documents} "
            "documents; a larger preset reads more"
        )
    if counts.repeated:
        yield f"corpus {name!r}: {counts.repeated} passages occur more than once and are read once"
    if alone and counts.passages > counts.documents:
        yield (
            f"corpus {name!r} has {counts.documents} document{'s' * (counts.documents > 1)}, fewer than {FEWEST}: its "
            "passages are counted as the units, so intervals speak of these documents and of no others"
        )


def _lines(path: Path) -> Iterator[Numbered]:
    """Line and value of each row, one at a time."""
    number = 0
    try:
        with _opened(path) as stream:
            for number, line in enumerate(stream, start=1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if text.strip():
                    yield number, json.loads(text)
    except UnicodeDecodeError:
        raise ConfigError(f"{path}:{number}: is not UTF-8 text; save the file as UTF-8") from None
    except ValueError as error:
        raise ConfigError(f"{path}:{number}: not JSON: {error}; write one object per line") from None
    except (OSError, EOFError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}; give a whole file") from None


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path}: holds more than {LARGEST >> 20} MB; split it")
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; give a whole file") from None
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text; save the file as UTF-8") from None
