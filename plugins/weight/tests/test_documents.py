"""Differences of the documents beside the weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from afterburn_core.plugin.registry import Registry
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.run.observations import DocumentPair
from afterburn_core.testing import analyze_pair
from afterburn_core.testing.pairs import edited_pair, identity_pair
from afterburn_weight.documents import ARTIFACT, WRITTEN_BY, Documents

Document = Mapping[str, Any] | None


def compare(base: Document, trained: Document, name: str = "config") -> AnalyzerOutput:
    analyzer = Documents()
    analyzer.observe(DocumentPair(name=name, base=base, trained=trained))
    return analyzer.finish()


def rows(found: AnalyzerOutput, name: str = "config") -> list[dict[str, Any]]:
    if not found.artifacts:
        return []
    (artifact,) = found.artifacts
    assert artifact.id == ARTIFACT
    listed: list[dict[str, Any]] = json.loads(artifact.content)[name]
    return listed


def changed(found: AnalyzerOutput) -> float | None:
    (measurement,) = found.measurements
    return measurement.value


def test_equal_documents_have_no_difference_and_no_artifact() -> None:
    document = {"a": 1, "b": {"c": [1, {"d": None}]}, "e": {}}
    found = compare(document, json.loads(json.dumps(document)))
    assert changed(found) == 0.0
    assert found.artifacts == ()


def test_changed_added_and_removed_keys_are_listed_with_their_sides() -> None:
    found = compare({"same": 1, "changed": 1, "removed": 2}, {"same": 1, "changed": 5, "added": None})
    assert changed(found) == 3.0
    assert rows(found) == [
        {"key": "added", "trained": None},
        {"key": "changed", "base": 1, "trained": 5},
        {"key": "removed", "base": 2},
    ]


def test_nested_documents_are_compared_key_by_key() -> None:
    found = compare(
        {"text_config": {"rope": {"theta": 1e4, "type": "default"}, "layers": 2}},
        {"text_config": {"rope": {"theta": 5e5, "type": "default"}, "layers": 2}},
    )
    assert rows(found) == [{"key": "text_config.rope.theta", "base": 1e4, "trained": 5e5}]
    assert found.measurements[0].n == 3


@pytest.mark.parametrize(
    ("base", "trained", "differs"),
    [
        (True, 1, True),
        (False, 0, True),
        (1, 1.0, False),
        (0, None, True),
        ("1", 1, True),
        ([1, 2], [1, 2], False),
        ([1, 2], [2, 1], True),
        ([1], [True], True),
        ([{"a": False}], [{"a": 0}], True),
        ([{"a": 1}], [{"a": 1.0}], False),
        ([1], [1, 1], True),
        ({}, {}, False),
        ({}, None, True),
    ],
)
def test_values_differ_where_a_configuration_would_mean_something_else(base: Any, trained: Any, differs: bool) -> None:
    assert changed(compare({"key": base}, {"key": trained})) == float(differs)
    assert changed(compare({"key": trained}, {"key": base})) == float(differs)


@pytest.mark.parametrize("key", sorted(WRITTEN_BY))
def test_keys_that_say_how_a_file_was_written_are_ignored_at_any_depth(key: str) -> None:
    found = compare({key: "4.51", "text_config": {key: "a", "size": 1}}, {"text_config": {key: "b", "size": 1}})
    assert changed(found) == 0.0


def test_a_token_or_template_of_the_name_of_an_ignored_key_still_counts() -> None:
    assert changed(compare({"dtype": 7}, {"dtype": 8}, "vocabulary")) == 1.0
    assert changed(compare({"dtype": "a"}, {"dtype": "b"}, "chat_template")) == 1.0


def test_vocabulary_moves_additions_and_removals_are_counted() -> None:
    base = {"<s>": 0, "a": 1, "b": 2, "gone": 3}
    trained = {"<s>": 0, "a": 2, "b": 1, "new": 3}
    found = compare(base, trained, "vocabulary")
    assert changed(found) == 4.0
    assert [row["key"] for row in rows(found, "vocabulary")] == ["a", "b", "gone", "new"]


def test_a_document_that_only_one_side_has_differs_in_every_key() -> None:
    assert changed(compare(None, {"temperature": 0.7, "top_p": 0.9})) == 2.0


def test_a_document_that_neither_side_has_is_undefined() -> None:
    (measurement,) = compare(None, None).measurements
    assert (measurement.status, measurement.n, measurement.reason) == ("undefined", 0, "neither checkpoint has one")


def test_long_lists_of_differences_are_cut_but_counted_whole() -> None:
    found = compare({f"t{i}": i for i in range(2500)}, {}, "vocabulary")
    assert changed(found) == 2500.0
    assert len(rows(found, "vocabulary")) == 2000


def measured(pair: Any) -> dict[str, float | None]:
    spec = Registry.discover(only=("weight",)).get("analyzer", "weight.documents").spec
    return {m.metric: m.value for m in analyze_pair(spec, pair).measurements}


def test_a_copy_of_a_checkpoint_has_no_document_differences(tmp_path: Path) -> None:
    values = measured(identity_pair(tmp_path))
    assert set(values.values()) == {0.0} and len(values) == 5


def test_every_kind_of_document_is_read_from_a_checkpoint(tmp_path: Path) -> None:
    """`edited_pair` changes one thing in each, and renames one of 48 tokens."""
    assert measured(edited_pair(tmp_path)) == {
        "weight.config.changed": 1.0,
        "weight.generation_config.changed": 1.0,
        "weight.tokenizer.changed": 2.0,  # the normaliser was null and is now a mapping with a key
        "weight.chat_template.changed": 1.0,
        "weight.vocabulary.changed": 2.0,
    }
