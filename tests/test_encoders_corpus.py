"""Files of queries and documents, given as a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from afterburn_core.errors import ConfigError
from afterburn_core.forward import retrieval_file
from afterburn_core.forward.corpus import read_corpus

ROWS: list[dict[str, Any]] = [
    {"id": "d1", "text": "The mill stands by the river."},
    {"query": "where is the mill", "relevant": {"d1": 2, "d2": 0}},
    {"id": "d2", "text": "Bread is baked at dawn.\n\nA second paragraph, which is never cut off."},
    {"id": "q9", "query": "when is bread baked", "relevant": ["d2"]},
]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_queries_and_documents_become_probes_that_say_their_kind(tmp_path: Path) -> None:
    found = read_corpus(write(tmp_path / "mine.jsonl", ROWS), seed=1, n=1)
    assert found.use == "passages" and found.name == "mine"
    by_id = {probe.id: probe for probe in found.probes}
    assert set(by_id) == {"d1", "d2", "query-00001", "q9"}  # all of them, whatever the preset's number of passages
    assert by_id["d2"].text == ROWS[2]["text"] and by_id["d2"].properties == {"kind": "document"}
    assert by_id["query-00001"].properties == {"kind": "query", "relevant": {"d1": 2.0}}
    assert by_id["q9"].properties["relevant"] == {"d2": 1.0}
    assert read_corpus(tmp_path / "mine.jsonl", seed=1, n=500) == found


def test_plain_texts_with_ids_stay_a_corpus_of_passages(tmp_path: Path) -> None:
    rows = [{"id": f"t{i}", "text": f'Plain text number {i} says "query" in quotes.'} for i in range(12)]
    found = read_corpus(write(tmp_path / "texts.jsonl", rows), seed=1, n=5)
    assert len(found.probes) == 5 and not any("kind" in probe.properties for probe in found.probes)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"query": "what", "relevant": {"d7": 1}}, "'d7', which no row has"),
        ({"query": 3, "relevant": {"d1": 1}}, "query is 3"),
        ({"query": "what", "relevant": "d1"}, "relevant is 'd1'"),
        ({"query": "what", "relevant": {"d1": "high"}}, "ids of documents with grades"),
        ({"id": "d1", "text": "again"}, "second document has the id 'd1'"),
        ({"text": "without an id"}, "a document without an id"),
        ({"id": "d1", "query": "what", "relevant": {"d2": 1}}, "id of a document and of a query"),
    ],
)
def test_faulty_rows_are_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match="mine") as caught:
        read_corpus(write(tmp_path / "mine.jsonl", [*ROWS, row]), seed=1, n=9)
    assert said.replace("'", '"') in str(caught.value).replace("'", '"')


def test_of_too_many_documents_those_that_answer_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval_file, "MOST", 10)
    monkeypatch.setattr(retrieval_file, "MOST_QUERIES", 4)
    rows: list[Any] = [{"id": f"d{i}", "text": f"document {i}"} for i in range(40)]
    rows += [{"id": f"q{i}", "query": f"query {i}", "relevant": [f"d{i}"]} for i in range(6)]
    path = write(tmp_path / "many.jsonl", rows)
    found = read_corpus(path, seed=3, n=9)
    queries = [probe for probe in found.probes if probe.properties["kind"] == "query"]
    documents = {probe.id for probe in found.probes if probe.properties["kind"] == "document"}
    assert len(queries) == 4 and len(documents) == 10
    assert {name for query in queries for name in query.properties["relevant"]} <= documents
    assert any("10 of its 40 documents" in note for note in found.notes)
    write(path, rows[::-1])
    assert read_corpus(path, seed=3, n=9) == found
