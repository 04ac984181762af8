"""A file of queries with the documents that answer them, for embedding models: JSON Lines given as a corpus.

| row | is |
|---|---|
| `{"id": "d1", "text": "…"}` | a document |
| `{"query": "…", "relevant": {"d1": 2, "d7": 1}}` | a query; grades above 0 are relevant, a list of ids means grade 1 |

Rows stand in any order; a query may have an `id`. Documents are never cut or drawn: all of them are the index, up to
`MOST`. Of too many, those that answer a query stay, then those of lowest hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from afterburn_core.errors import ConfigError
from afterburn_core.probes.model import Probe
from afterburn_core.result.strict_json import is_text, show

MOST, MOST_QUERIES = 5000, 1000
Row = tuple[str, Mapping[str, Any]]
"""Where it stands, and what it says."""


def is_retrieval(row: Any) -> bool:
    """Whether a row can be one of such a file."""
    return isinstance(row, Mapping) and ("query" in row or {"id", "text"} <= row.keys())


def retrieval_probes(rows: Iterable[Row], *, name: str, seed: int) -> tuple[tuple[Probe, ...], tuple[str, ...]] | None:
    """Documents and queries as probes that say their `kind`, and notes; `None` where no row is a query.

    Raises:
        ConfigError: a row is faulty, an id occurs twice, or a query names a document that is not there.
    """
    documents: dict[str, str] = {}
    queries: dict[str, tuple[str, Mapping[str, float], str]] = {}
    for where, row in rows:
        if "query" in row:
            identifier = str(row.get("id", f"query-{len(queries) + 1:05d}"))
            if identifier in queries:
                raise ConfigError(f"{where}: a second query has the id {identifier!r}; give each its own")
            queries[identifier] = (_text(row["query"], "query", where), _grades(row.get("relevant"), where), where)
            continue
        if row.get("id") is None:
            raise ConfigError(f"{where}: a document without an id; give each row id and text, or query and relevant")
        identifier = str(row["id"])
        if identifier in documents:
            raise ConfigError(f"{where}: a second document has the id {identifier!r}; give each its own")
        documents[identifier] = _text(row.get("text"), "text", where)
    if not queries:
        return None
    for _, grades, where in queries.values():
        missing = [identifier for identifier in grades if identifier not in documents]
        if missing:
            raise ConfigError(f"{where}: names the document {missing[0]!r}, which no row has; add it")
    both = documents.keys() & queries.keys()
    if both:
        raise ConfigError(f"{name}: {min(both)!r} is the id of a document and of a query; give them ids of their own")
    asked = sorted(_fewest(queries, MOST_QUERIES, seed))
    named = {identifier for query in asked for identifier in queries[query][1]}
    rest = [identifier for identifier in documents if identifier not in named]
    kept = sorted([*named, *_fewest(rest, max(0, MOST - len(named)), seed)])
    probes = [
        Probe(id=one, prompt=documents[one], suite=name, category="document", properties={"kind": "document"})
        for one in kept
    ]
    probes += [
        Probe(
            id=one,
            prompt=queries[one][0],
            suite=name,
            category="query",
            properties={"kind": "query", "relevant": dict(queries[one][1])},
        )
        for one in asked
    ]
    return tuple(probes), tuple(_notes(name, len(kept), len(documents), len(asked), len(queries)))


def _grades(value: Any, where: str) -> Mapping[str, float]:
    if isinstance(value, list):
        value = dict.fromkeys(map(str, value), 1)
    if not isinstance(value, Mapping) or not all(
        isinstance(grade, (int, float)) and not isinstance(grade, bool) for grade in value.values()
    ):
        raise ConfigError(f'{where}: relevant is {show(value)}; write ids of documents with grades: {{"d1": 1}}')
    return {str(name): float(grade) for name, grade in value.items() if grade > 0}


def _text(value: Any, what: str, where: str) -> str:
    if not isinstance(value, str) or not is_text(value):
        raise ConfigError(f"{where}: {what} is {show(value)}; write a text")
    return value


def _fewest(names: Iterable[str], most: int, seed: int) -> list[str]:
    def rank(name: str) -> bytes:
        return hashlib.sha256(f"{seed}/{name}".encode()).digest()

    return sorted(names, key=rank)[:most]


def _notes(name: str, kept: int, documents: int, asked: int, queries: int) -> Iterator[str]:
    if kept < documents:
        yield f"corpus {name!r}: the index holds {kept} of its {documents} documents, those that answer a query first"
    if asked < queries:
        yield f"corpus {name!r}: {asked} of its {queries} queries are asked"
