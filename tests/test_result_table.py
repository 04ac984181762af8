"""Measurements move to a table without changing, and come back only from the very file that was written."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings

from afterburn_core.errors import SchemaError
from afterburn_core.result import codec
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Artifact, Finding, Result, Scope
from afterburn_core.result.table import TABLE_ID, TABLE_MEDIA_TYPE, read_tables, spill, tables
from afterburn_core.testing.documents import golden, result_of, results

TABLE = "artifacts/measurements.jsonl.gz"


def tensor(index: int, value: float = 0.5) -> Scope:
    return Scope(tensor=f"layers.{index:02}.q", layer=index, module="q")


def sample(count: int = 12) -> Result:
    metric = "weight.delta.norm"
    whole = measure(metric, 1.0)
    head = measure(metric, 0.25, scope=Scope(layer=0, head=3))
    return result_of((whole, head, *(measure(metric, 0.5, scope=tensor(index)) for index in reversed(range(count)))))


def with_table(directory: Path, rows: str, *, path: str = "artifacts/rows.jsonl", entries: int = 1) -> Result:
    """A result whose table holds these lines."""
    data = rows.encode()
    target = directory / path
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(data)
    artifact = Artifact(
        id="rows",
        path=path,
        media_type=TABLE_MEDIA_TYPE,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        summary="Rows",
        producer="core",
        entries=entries,
    )
    return result_of((measure("weight.delta.norm", 1.0),), artifacts=(artifact,))


def row(**changes: object) -> str:
    document = codec.to_dict(result_of((measure("weight.delta.norm", 0.5, scope=tensor(0)),)))["measurements"][0]
    return json.dumps({**document, **changes}) + "\n"


def test_a_result_within_the_limit_stays_as_it_is(tmp_path: Path) -> None:
    result = sample()
    assert spill(result, tmp_path, limit=len(result.measurements)) is result
    assert list(tmp_path.iterdir()) == []


def test_tensors_and_heads_move_and_the_rest_stays(tmp_path: Path) -> None:
    spilled = spill(sample(), tmp_path, limit=5)
    assert [entry.scope for entry in spilled.measurements] == [Scope()]
    (artifact,) = tables(spilled)
    data = (tmp_path / TABLE).read_bytes()
    assert artifact == Artifact(
        id=TABLE_ID,
        path=TABLE,
        media_type=TABLE_MEDIA_TYPE,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        summary="Measurements of single tensors and heads",
        producer="core",
        entries=13,
    )


def test_what_moved_comes_back_sorted_and_equal(tmp_path: Path) -> None:
    result = sample()
    rows = read_tables(spill(result, tmp_path, limit=5), tmp_path)
    assert [entry.id for entry in rows] == sorted(entry.id for entry in result.measurements[1:])
    assert set(rows) == set(result.measurements[1:])


@settings(max_examples=20)
@given(results())
def test_any_result_is_valid_and_whole_after_it_was_spilled(
    tmp_path_factory: pytest.TempPathFactory, result: Result
) -> None:
    directory = tmp_path_factory.mktemp("run")
    spilled = spill(result, directory, limit=0)
    codec.write(directory / "result.json", spilled)
    read = codec.read(directory)
    rows = (*read.measurements, *read_tables(read, directory))
    before = codec.to_dict(attrs.evolve(result, artifacts=()))["measurements"]
    after = codec.to_dict(attrs.evolve(read, measurements=rows))["measurements"]
    assert sorted(before, key=lambda entry: entry["id"]) == sorted(after, key=lambda entry: entry["id"])


def test_equal_measurements_give_equal_bytes_whatever_their_order_and_the_hour(tmp_path: Path) -> None:
    result = sample()
    other = attrs.evolve(result, measurements=tuple(reversed(result.measurements)))
    first = spill(result, tmp_path, limit=5).artifacts
    assert spill(other, tmp_path, limit=5).artifacts == first
    assert (tmp_path / TABLE).read_bytes()[3:8] == bytes(5)  # gzip header: no file name, no time


def test_a_row_has_exactly_the_fields_it_would_have_inside_the_document(tmp_path: Path) -> None:
    result = golden()["1.0-hostile"]
    spill(result, tmp_path, limit=0)
    lines = gzip.decompress((tmp_path / TABLE).read_bytes()).decode().splitlines(keepends=False)
    inside = {entry["id"]: entry for entry in codec.to_dict(result)["measurements"]}
    # `splitlines` also splits at the line separators that hostile names hold, which JSON keeps as they are
    text = gzip.decompress((tmp_path / TABLE).read_bytes()).decode()
    rows = [json.loads(line) for line in text.split("\n")[:-1]]
    assert len(lines) > len(rows) > 0
    assert all(entry == inside[entry["id"]] for entry in rows)


def test_a_second_spill_keeps_the_rows_of_the_first(tmp_path: Path) -> None:
    spilled = spill(sample(), tmp_path, limit=5)
    more = tuple(measure("weight.delta.norm", 2.0, scope=tensor(index)) for index in range(50, 60))
    again = spill(attrs.evolve(spilled, measurements=(*spilled.measurements, *more)), tmp_path, limit=5)
    assert len(tables(again)) == 1
    assert len(read_tables(again, tmp_path)) == 13 + 10


def test_nothing_moves_where_nothing_may(tmp_path: Path) -> None:
    result = result_of(tuple(measure("weight.delta.norm", 1.0, scope=Scope(layer=index)) for index in range(9)))
    assert spill(result, tmp_path, limit=5) is result


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_measurement_that_no_reader_would_take_is_not_written(tmp_path: Path, value: float) -> None:
    result = result_of((measure("weight.delta.norm", value, scope=tensor(0)),))
    with pytest.raises(SchemaError, match=r"layers\.00\.q: \$\.value: is (nan|inf)"):
        spill(result, tmp_path, limit=0)
    assert not (tmp_path / TABLE).exists()


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    spilled = spill(sample(), tmp_path, limit=5)
    data = bytearray((tmp_path / TABLE).read_bytes())
    data[-1] ^= 1
    (tmp_path / TABLE).write_bytes(bytes(data))
    with pytest.raises(SchemaError, match="not the file the document speaks of"):
        read_tables(spilled, tmp_path)
    (tmp_path / TABLE).write_bytes(bytes(data[:-1]))
    with pytest.raises(SchemaError, match="not the file the document speaks of"):
        read_tables(spilled, tmp_path)


def test_a_link_out_of_the_run_directory_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    spilled = spill(sample(), run, limit=5)
    (run / TABLE).rename(tmp_path / "elsewhere")
    (run / TABLE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SchemaError, match="leads out of the run directory"):
        read_tables(spilled, run)


def test_plain_lines_are_read_as_well(tmp_path: Path) -> None:
    result = with_table(tmp_path, row())
    assert [entry.value for entry in read_tables(result, tmp_path)] == [0.5]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        pytest.param(row(value="0.5"), r"row 0: \$\.value: must be a number", id="wrong type"),
        pytest.param(row(value=None), r"row 0: \$\.value: must be a number", id="no value"),
        pytest.param(row(extra=1), r"row 0: \$\.extra: is not a field", id="unknown key"),
        pytest.param(row(id="x"), r"row 0\.id: must be 'weight", id="wrong id"),
        pytest.param(
            row(metric="a.b", id="a.b/base+trained/tensor=layers.00.q"), "row 0.metric: .*not described", id="metric"
        ),
        pytest.param(row().replace("0.5", "NaN"), r"row 0: \$\.value: is nan", id="nan"),
        pytest.param(row().replace("0.5", "1e999"), r"row 0: \$\.value: is inf", id="overflow"),
        pytest.param(row().replace("0.5", '0.5, "value": 0.5'), r"row 0: \$\.value: occurs more than once", id="twice"),
        pytest.param(row(reason="\ud800"), r"row 0: \$\.reason: holds half", id="surrogate"),
        pytest.param("[]\n", r"row 0: \$: must be an object", id="no object"),
        pytest.param("\n", r"row 0: \$: not JSON", id="empty line"),
        pytest.param(row().rstrip("\n"), "row 0: is cut off", id="cut off"),
        pytest.param("", "holds 0 rows, not 1", id="too few"),
        pytest.param(row() * 2, "holds 2 rows, not 1", id="too many"),
    ],
)
def test_a_row_that_is_no_measurement_is_refused_with_its_place(tmp_path: Path, rows: str, problem: str) -> None:
    result = with_table(tmp_path, rows)
    with pytest.raises(SchemaError, match=problem) as caught:
        read_tables(result, tmp_path)
    assert caught.value.problems[0].startswith("artifacts/rows.jsonl")


def test_a_measurement_is_in_the_document_or_in_a_table_and_not_in_both(tmp_path: Path) -> None:
    whole = codec.to_dict(sample())["measurements"][0]
    with pytest.raises(SchemaError, match=r"repeats the measurement 'weight\.delta\.norm/base"):
        read_tables(with_table(tmp_path, json.dumps(whole) + "\n"), tmp_path)


def test_what_is_no_gzip_file_is_refused(tmp_path: Path) -> None:
    result = with_table(tmp_path, row(), path="artifacts/rows.jsonl.gz")
    with pytest.raises(SchemaError, match="is no whole gzip file"):
        read_tables(result, tmp_path)


def test_a_table_that_grows_without_end_when_unpacked_is_refused_early(tmp_path: Path) -> None:
    result = with_table(tmp_path, "")
    data = gzip.compress(b" " * (1 << 24))
    (tmp_path / "artifacts" / "rows.gz").write_bytes(data)
    artifact = attrs.evolve(
        result.artifacts[0], path="artifacts/rows.gz", size=len(data), sha256=hashlib.sha256(data).hexdigest()
    )
    with pytest.raises(SchemaError, match="cut off or longer than any measurement"):
        read_tables(attrs.evolve(result, artifacts=(artifact,)), tmp_path)


def test_a_finding_that_rests_on_a_measurement_of_no_table_is_noticed_on_reading(tmp_path: Path) -> None:
    result = golden()["1.0-finetune"]
    first: Finding = attrs.evolve(result.findings[0], measurements=("weight.delta.norm/base+trained/tensor=nowhere",))
    spilled = spill(attrs.evolve(result, findings=(first, *result.findings[1:])), tmp_path, limit=10)
    codec.write(tmp_path / "result.json", spilled)
    with pytest.raises(SchemaError, match=r"\$\.findings\[0\]\.measurements: neither the document nor its tables"):
        read_tables(codec.read(tmp_path), tmp_path)
