"""Documents are written in one way only, read without guessing, and refused with the place of every fault."""

from __future__ import annotations

import copy
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterburn_core.errors import AfterburnError, SchemaError, UnsupportedSchemaError
from afterburn_core.resources import golden_documents
from afterburn_core.result import codec, schema, strict_json
from afterburn_core.result.convert import structure
from afterburn_core.result.identity import measure
from afterburn_core.result.migrate import migrate
from afterburn_core.result.model import Result, Scope
from afterburn_core.result.validate import problems, validate
from afterburn_core.testing.documents import HOSTILE, golden, result_of, results

GOLDEN = {path.stem: path for path in golden_documents()}
INVALID = {path.stem: path for path in (golden_documents()[0].parent / "invalid").iterdir()}
FIRST_PROBLEM = {
    "absolute-label": "$.subjects[1].label",
    "absolute-path": "$.artifacts[0].path",
    "backslash-path": "$.subjects[0].files[0].path",
    "boolean-for-integer": "$.run.environment.threads",
    "dangling-artifact": "$.findings[0].artifacts[0]",
    "dangling-measurement": "$.findings[0].measurements[0]",
    "dangling-subject": "$.measurements[0].subjects[0]",
    "digest-with-line-feed": "$.subjects[0].digest",
    "drive-path": "$.subjects[0].files[0].path",
    "duplicate-key": "$.measurements[1].value",
    "fail-without-reasons": "$.verdict.reasons",
    "failure-without-reason": "$.executions[0].reason",
    "float-for-integer": "$.measurements[0].n",
    "infinity": "$.measurements[1].value",
    "local-time": "$.run.started_at",
    "lone-surrogate": "$.subjects[0].label",
    "malformed-version": "$.schema_version",
    "metric-without-plugin": "$.descriptors.metrics[1].id",
    "missing-field": "$.run.tool.version",
    "missing-version": "$.schema_version",
    "nan": "$.measurements[1].value",
    "newer-major": "$.schema_version",
    "no-value-while-ok": "$.measurements[1].value",
    "not-an-object": "$: must be an object",
    "null-for-absent": "$.measurements[0].reason",
    "number-as-text": "$.measurements[1].value",
    "older-major": "$.schema_version",
    "overflow": "$.measurements[1].value",
    "parent-path": "$.artifacts[0].path",
    "pass-with-reasons": "$.verdict.reasons",
    "repeated-measurement": "$.measurements[3].id",
    "repeated-subject": "$.subjects[2].id",
    "role-and-id-differ": "$.subjects[1].id",
    "seed-too-large": "$.run.seed",
    "table-without-entries": "$.artifacts[0].entries",
    "text-for-list": "$.run.components",
    "thirteenth-month": "$.run.started_at",
    "too-deep": "$.properties.deep[0]",
    "trailing-comma": "$: not JSON",
    "truncated": "$: not JSON",
    "undefined-without-reason": "$.measurements[2].reason",
    "undescribed-metric": "$.measurements[1].metric",
    "undescribed-rule": "$.findings[0].rule",
    "unknown-key": "$.run.sead",
    "unknown-role": "$.subjects[1].role",
    "unplanned-execution": "$.executions[0].component",
    "upper-case-digest": "$.subjects[0].digest",
    "value-out-of-range": "$.measurements[0].value",
    "value-while-undefined": "$.measurements[2].value",
    "wrong-fingerprint": "$.findings[0].fingerprint",
    "wrong-measurement-id": "$.measurements[1].id",
    "wrong-type": "$.run.seed",
}
"""By document that must be refused: how its first problem starts."""


@pytest.fixture
def document() -> dict[str, Any]:
    """A golden document as plain values, to be changed."""
    return codec.to_dict(golden()["1.0-incomplete"])


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_golden_document_is_read_and_written_again_with_the_same_bytes(name: str) -> None:
    data = GOLDEN[name].read_bytes()
    assert problems(strict_json.parse(data)) == ()
    assert codec.dumps(codec.loads(data)).encode() == data


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_files_beside_a_golden_document_are_those_it_names(name: str) -> None:
    import hashlib

    for artifact in golden()[name].artifacts:
        data = (GOLDEN[name].parent / artifact.path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (artifact.size, artifact.sha256)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_executions_of_a_golden_document_account_for_all_its_entries(name: str) -> None:
    result = golden()[name]
    produced = [execution.produced for execution in result.executions]
    assert sum(entry.measurements for entry in produced) == len(result.measurements)
    assert sum(entry.findings for entry in produced) == len(result.findings)
    assert sum(entry.artifacts for entry in produced) == len(result.artifacts)


def test_the_hostile_document_holds_what_reporters_must_withstand() -> None:
    text = json.dumps(codec.to_dict(golden()["1.0-hostile"]), ensure_ascii=False)
    for part in (
        "<script>alert(1)</script>",
        "onerror",
        "]]>",
        "javascript:",
        "\\u001b[31m",
        "\u202e",
        "\\r\\n",
        "-->",
    ):
        assert part in text


def test_every_document_that_must_be_refused_has_its_reason_here() -> None:
    assert set(INVALID) == set(FIRST_PROBLEM)


@pytest.mark.parametrize("name", sorted(FIRST_PROBLEM))
def test_an_invalid_document_is_refused_with_the_path_of_its_fault(name: str) -> None:
    with pytest.raises(SchemaError) as caught:
        codec.read(INVALID[name])
    assert caught.value.problems[0].startswith(FIRST_PROBLEM[name])
    assert str(caught.value).startswith(f"{INVALID[name]}: {caught.value.problems[0]}")
    assert str(caught.value).isprintable()


@settings(max_examples=40)
@given(results())
def test_whatever_the_code_can_build_is_valid_and_survives_a_round_trip_byte_for_byte(result: Result) -> None:
    text = codec.dumps(result)
    read = codec.loads(text)
    assert codec.dumps(read) == text
    assert codec.loads(text.encode()) == read
    assert codec.from_dict(codec.to_dict(result)) == read


def test_keys_are_sorted_and_absent_values_left_out() -> None:
    text = codec.dumps(result_of((measure("weight.delta.norm", 1.0),)))
    parsed = json.loads(text)
    assert text == json.dumps(parsed, indent=1, sort_keys=True) + "\n"
    assert parsed["measurements"] == [
        {
            "approximate": False,
            "id": "weight.delta.norm/base+trained/model",
            "metric": "weight.delta.norm",
            "scope": {},
            "status": "ok",
            "subjects": ["base", "trained"],
            "value": 1.0,
        }
    ]
    assert parsed["artifacts"] == []


def test_an_undefined_value_is_written_as_null(document: dict[str, Any]) -> None:
    undefined = [entry for entry in document["measurements"] if entry["status"] == "undefined"]
    assert undefined
    assert all(entry["value"] is None for entry in undefined)


def test_a_whole_number_where_a_float_belongs_is_written_and_read_as_that_float(document: dict[str, Any]) -> None:
    entry = attrs.evolve(measure("weight.delta.norm", 3.0), value=3)
    assert '"value": 3.0' in codec.dumps(result_of((entry,)))
    document["measurements"][0]["value"] = 1
    value = codec.from_dict(document).measurements[0].value
    assert (value, type(value)) == (1.0, float)


def test_open_maps_may_hold_tuples_and_come_back_as_lists() -> None:
    result = attrs.evolve(result_of(), properties={"a": ({"b": (1, 2.5)}, None)})
    assert codec.loads(codec.dumps(result)).properties == {"a": [{"b": [1, 2.5]}, None]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "is nan"),
        (float("-inf"), "is -inf"),
        ({1, 2}, "is a set"),
        (b"x", "is a bytes"),
        ("\ud800", "half of a surrogate pair"),
        (10**400, "beyond the range of a double"),
    ],
)
def test_what_json_cannot_carry_is_refused_with_its_place_before_anything_is_written(
    tmp_path: Path, value: Any, message: str
) -> None:
    result = attrs.evolve(result_of(), properties={"deep": [0, {"x y": value}]})
    for act in (lambda: codec.dumps(result), lambda: codec.write(tmp_path / "result.json", result)):
        with pytest.raises(SchemaError, match=message) as caught:
            act()
        assert caught.value.problems[0].startswith('$.properties.deep[1]["x y"]: ')
    assert list(tmp_path.iterdir()) == []


def test_keys_that_are_no_texts_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"\$\.properties: has the key 1, which is no text"):
        codec.dumps(attrs.evolve(result_of(), properties={1: "x"}))  # type: ignore[dict-item]


def test_an_invalid_result_is_not_written_and_the_earlier_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    codec.write(path, result_of())
    before = path.read_bytes()
    bad = attrs.evolve(result_of(), measurements=(measure("weight.delta.norm", 1.0),))
    with pytest.raises(SchemaError, match="not described in descriptors"):
        codec.write(path, bad)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_half_way_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "result.json"
    codec.write(path, result_of())

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(AfterburnError, match=r"result\.json: cannot be written: No space left"):
        codec.write(path, golden()["1.0-identity"])
    assert codec.read(path) == result_of()
    assert list(tmp_path.iterdir()) == [path]


def test_writing_into_no_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(AfterburnError, match="cannot be written: No such file or directory"):
        codec.write(tmp_path / "absent" / "result.json", result_of())


def test_a_run_directory_may_stand_for_its_document(tmp_path: Path) -> None:
    codec.write(tmp_path / "result.json", result_of())
    assert codec.read(tmp_path) == codec.read(str(tmp_path / "result.json")) == result_of()


def test_a_missing_file_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(AfterburnError, match=r"result\.json: no such file; give a run directory"):
        codec.read(tmp_path)


def test_text_that_is_no_utf8_or_starts_with_a_mark_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    data = codec.dumps(result_of()).encode()
    path.write_bytes(b"\xef\xbb\xbf" + data)
    with pytest.raises(SchemaError, match="byte order mark"):
        codec.read(path)
    path.write_bytes(data.replace(b"toy", b"t\xff"))
    with pytest.raises(SchemaError, match=r"not UTF-8 text: byte \d+"):
        codec.read(path)
    path.write_bytes(codec.dumps(result_of()).encode("utf-16"))
    with pytest.raises(SchemaError, match="not UTF-8 text"):
        codec.read(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "3",
        '"x"',
        "[]",
        "{",
        "{}}",
        "{'a': 1}",
        "[" * 100_000,
        '{"a": 1' + "0" * 5000 + "}",
        '{"a": {"b": 1, "b": 1}, ',
        '{"a": {"b": 1, "b": 1}, "c": ' + "[" * 100_000,
    ],
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(SchemaError) as caught:
        codec.loads(text)
    assert caught.value.problems[0].startswith("$: ")


def test_from_dict_takes_objects_only() -> None:
    with pytest.raises(SchemaError, match="must be an object, not a list of 0"):
        codec.from_dict([])  # type: ignore[arg-type]


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of everything with a type in the schema: open maps are left out."""
    yield path
    if path and path[-1] in ("properties", "configuration", "counters", "dtypes", "packages"):
        return
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in entries:
        yield from leaves(part, (*path, key))


def changed(document: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(document)
    target: Any = document
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    return document


def kind_of(value: Any) -> type:
    return float if type(value) is int else type(value)


HOSTILE_DOCUMENT = codec.to_dict(golden()["1.0-hostile"])
LEAVES = [path for path in leaves(HOSTILE_DOCUMENT) if path]
WRONG = [None, True, 7, "7", ["7"], {"7": 7}]


@settings(max_examples=80)
@given(path=st.sampled_from(LEAVES), value=st.sampled_from(WRONG))
def test_a_wrong_type_at_any_place_is_refused_with_that_place(path: tuple[str | int, ...], value: Any) -> None:
    here: Any = HOSTILE_DOCUMENT
    for part in path:
        here = here[part]
    if kind_of(here) is kind_of(value):
        value = {"7": 7} if kind_of(here) is not dict else "7"
    document = changed(HOSTILE_DOCUMENT, path, value)
    found = problems(document) if path != ("schema_version",) else ("$.schema_version: ",)
    assert any(problem.startswith(f"{strict_json.json_path(path)}: ") for problem in found)
    assert all(problem.isprintable() and len(problem) < 400 for problem in found)
    with pytest.raises(SchemaError):
        codec.loads(json.dumps(document))


@settings(max_examples=60)
@given(path=st.sampled_from([path for path in LEAVES if isinstance(path[-1], str)]))
def test_an_unknown_key_beside_any_other_is_refused_with_its_place(path: tuple[str | int, ...]) -> None:
    place = (*path[:-1], "surprise")
    (problem,) = problems(changed(HOSTILE_DOCUMENT, place, 1))
    assert problem.startswith(f"{strict_json.json_path(place)}: is not a field of the schema")


@settings(max_examples=60)
@given(path=st.sampled_from([path for path in LEAVES if isinstance(path[-1], str)]))
def test_a_key_that_occurs_twice_is_refused_wherever_it_is(path: tuple[str | int, ...]) -> None:
    text = json.dumps(changed(HOSTILE_DOCUMENT, (*path[:-1], "surprise"), "here"))
    key = json.dumps(path[-1])
    with pytest.raises(SchemaError) as caught:
        codec.loads(text.replace('"surprise": "here"', f"{key}: 1"))
    assert caught.value.problems == (f"{strict_json.json_path(path)}: occurs more than once",)


def test_all_faults_are_listed_outermost_first(document: dict[str, Any]) -> None:
    document["run"]["seed"] = "0"
    del document["verdict"]
    document["measurements"][1]["n"] = -1
    document["run"]["sead"] = 0
    found = problems(document)
    assert [problem.partition(":")[0] for problem in found] == [
        "$.verdict",
        "$.run.seed",
        "$.run.sead",
        "$.measurements[1].n",
    ]
    with pytest.raises(SchemaError, match=r"^\$\.verdict: is missing \(and 3 more\)$") as caught:
        validate(document)
    assert caught.value.problems == found


def test_a_document_of_nothing_but_faults_lists_a_hundred_and_says_so(document: dict[str, Any]) -> None:
    document["measurements"] = [{"id": index} for index in range(500)]
    found = problems(document)
    assert len(found) == 101
    assert found[-1] == "$: has more faults than are listed here"


def test_messages_show_huge_and_hostile_values_short_and_escaped(document: dict[str, Any]) -> None:
    document["run"]["status"] = "\x1b[31m\u202e" + "x" * 10_000
    (problem,) = problems(document)
    assert problem.isprintable()
    assert "\\x1b[31m\\u202e" in problem
    assert len(problem) < 160


def test_values_a_rounding_error_beyond_the_range_of_their_metric_pass() -> None:
    result = golden()["1.0-identity"]
    first = attrs.evolve(result.measurements[0], value=1.0 + 1e-12)
    codec.from_dict(codec.to_dict(attrs.evolve(result, measurements=(first, *result.measurements[1:]))))


def test_references_into_a_table_are_not_missed_inside_the_document(document: dict[str, Any]) -> None:
    document["findings"][0]["measurements"] = ["weight.delta.norm/base+trained/tensor=x"]
    (problem,) = problems(document)
    assert problem.startswith("$.findings[0].measurements[0]: ")
    table = {
        "id": "measurements.table",
        "path": "artifacts/measurements.jsonl.gz",
        "media_type": "application/vnd.afterburn.measurements+jsonl",
        "sha256": "0" * 64,
        "size": 1,
        "summary": "",
        "producer": "core",
        "entries": 1,
    }
    document["artifacts"] = [table]
    assert problems(document) == ()


@pytest.mark.parametrize("path", ["a", "a/b.c", "...", "a/.hidden", ".hidden", "a b/é", "a/..b", "C/x"])
def test_relative_paths_are_taken(document: dict[str, Any], path: str) -> None:
    document["subjects"][0]["files"][0]["path"] = path
    assert problems(document) == ()


@pytest.mark.parametrize(
    "path",
    ["", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/..", "../a", "a/../b", "a\\b", "C:x", "c:/x", "a\0b"],
)
def test_paths_that_might_lead_elsewhere_are_refused(document: dict[str, Any], path: str) -> None:
    document["subjects"][0]["files"][0]["path"] = path
    (problem,) = problems(document)
    assert problem.startswith("$.subjects[0].files[0].path: must be a relative path")


def test_a_line_feed_after_an_id_is_not_overlooked(document: dict[str, Any]) -> None:
    document["descriptors"]["metrics"][0]["id"] += "\n"
    assert problems(document)[0].startswith("$.descriptors.metrics[0].id: must be an id such as")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("run", "seed"), "3", "must be a whole number, not '3'"),
        (("run", "seed"), 3.0, "must be a whole number, not 3.0"),
        (("run", "seed"), True, "must be a whole number, not true"),
        (("run", "command"), None, "must be a text, not null"),
        (("run", "components"), "abc", "must be a list, not 'abc'"),
        (("run", "environment", "packages"), [], "must be an object, not a list of 0"),
        (("run", "status"), "done", "must be one of 'complete', 'interrupted', 'failed', not 'done'"),
        (("measurements", 0, "value"), "0.5", "must be a number, not '0.5'"),
        (("measurements", 0, "value"), True, "must be a number, not true"),
        (("measurements", 0, "approximate"), "false", "must be true or false, not 'false'"),
        (("measurements", 0, "scope", "layer"), 1.0, "must be a whole number, not 1.0"),
    ],
)
def test_the_classes_are_strict_even_where_the_schema_was_not_asked(
    document: dict[str, Any], path: tuple[str | int, ...], value: Any, message: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        structure(changed(document, path, value))
    assert caught.value.problems == (f"{strict_json.json_path(path)}: {message}",)


def test_a_reason_for_a_finding_that_is_not_there_is_a_contradiction(document: dict[str, Any]) -> None:
    document["verdict"]["reasons"][0]["fingerprint"] = "0" * 32
    assert problems(document) == ("$.verdict.reasons[0].fingerprint: no finding has it",)


def test_a_valid_document_of_thousands_of_measurements_never_meets_the_slow_validator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries = (measure("weight.delta.norm", 0.5, scope=Scope(tensor=f"t{index}")) for index in range(5_000))
    text = codec.dumps(result_of(tuple(entries)))

    def slow(definition: str | None) -> Any:
        raise AssertionError(f"the general validator was asked about {definition}")

    monkeypatch.setattr(schema, "_validator", slow)
    assert len(codec.loads(text).measurements) == 5_000


def test_one_bad_entry_does_not_send_its_neighbours_through_the_slow_validator(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    errors = schema._errors

    def counted(value: Any, definition: str | None, prefix: Any) -> Any:
        asked.append((definition, prefix))
        return errors(value, definition, prefix)

    monkeypatch.setattr(schema, "_errors", counted)
    document["measurements"][3]["n"] = 1.5
    assert len(problems(document)) == 1
    assert asked == [(None, ()), ("Measurement", ("measurements", 3))]


def test_a_document_of_the_current_version_is_not_touched(document: dict[str, Any]) -> None:
    migrated = migrate(document)
    assert migrated.document is document
    assert migrated.notes == ()


def test_an_older_minor_is_brought_forward_one_pure_step_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    steps = {
        "1.1": lambda document: {**document, "seen": [*document["seen"], "1.1"]},
        "1.3": lambda document: {**document, "seen": [*document["seen"], "1.3"]},
    }
    old = {"schema_version": "1.1", "seen": []}
    with caplog.at_level(logging.WARNING):
        migrated = migrate(old, current="1.4", steps=steps)
    assert migrated.document == {"schema_version": "1.4", "seen": ["1.1", "1.3"]}
    assert old == {"schema_version": "1.1", "seen": []}
    assert migrated.notes == ("read version 1.1 as version 1.4",)
    assert caplog.messages == list(migrated.notes)


def test_a_newer_minor_is_read_without_what_it_added(
    document: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    expected = codec.from_dict(document)
    newer = copy.deepcopy(document)
    newer["schema_version"] = "1.7"
    newer["later"] = {"x": 1}
    newer["run"]["environment"]["cooling"] = "water"
    for entry in newer["measurements"]:
        entry["colour"] = "red"
    newer["properties"]["kept"] = {"as": "it is"}
    with caplog.at_level(logging.WARNING):
        result = codec.from_dict(newer)
    assert attrs.evolve(result, properties=expected.properties) == expected
    assert result.properties == {**expected.properties, "kept": {"as": "it is"}}
    (message,) = caplog.messages
    assert message.startswith("the document has version 1.7, newer than 1.0 of this release; ")
    assert message.endswith("ignored fields: $.later, $.measurements.colour, $.run.environment.cooling")
    assert newer["later"] == {"x": 1}


def test_a_newer_minor_that_breaks_the_rule_of_adding_only_is_refused(document: dict[str, Any]) -> None:
    document["schema_version"] = "1.7"
    document["run"]["status"] = "paused"
    with pytest.raises(SchemaError, match=r"\$\.run\.status: must be one of"):
        codec.from_dict(document)


@pytest.mark.parametrize("version", ["2.0", "2.5", "10.0"])
def test_a_newer_major_is_refused_with_both_versions_and_what_to_do(document: dict[str, Any], version: str) -> None:
    document["schema_version"] = version
    with pytest.raises(UnsupportedSchemaError) as caught:
        codec.loads(json.dumps(document))
    assert f"version {version}" in str(caught.value)
    assert "up to 1.x; update afterburn-core" in str(caught.value)


def test_reading_a_file_of_a_newer_major_keeps_the_kind_of_error() -> None:
    with pytest.raises(UnsupportedSchemaError, match=r"newer-major\.json"):
        codec.read(INVALID["newer-major"])


@pytest.mark.parametrize(
    "version",
    [
        "",
        "1",
        "1.0.0",
        "1.x",
        "v1.0",
        " 1.0",
        "1.0\n",
        "01.0",
        "1.-1",
        1.0,
        1,
        True,
        ["1.0"],
        None,
        "1.²",
        "1." + "9" * 99,
    ],
)
def test_a_malformed_version_is_refused(document: dict[str, Any], version: Any) -> None:
    document["schema_version"] = version
    with pytest.raises(SchemaError, match=r"^\$\.schema_version: ") as caught:
        codec.from_dict(document)
    assert not isinstance(caught.value, UnsupportedSchemaError)
    assert str(caught.value).isprintable()


def test_reading_and_validating_needs_neither_torch_nor_jsonschema() -> None:
    code = (
        "import sys; from afterburn_core.result import codec, view, table; "
        "view.ResultView(codec.read(sys.argv[1])).measurements(); "
        "print(sorted({'torch', 'numpy', 'jsonschema', 'hypothesis'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(GOLDEN["1.0-finetune"])],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(codec.__file__).parents[2],
    )
    assert run.stdout == "[]\n"


def test_the_hostile_texts_for_tests_survive_a_round_trip() -> None:
    result = attrs.evolve(result_of(), properties={text: text for text in HOSTILE})
    assert codec.loads(codec.dumps(result)).properties == dict(zip(HOSTILE, HOSTILE))
