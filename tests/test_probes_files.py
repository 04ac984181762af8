"""Files of probes: what is written is read back, every fault is named with its line, foreign lists are understood."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from afterburn_core.errors import ProbeError
from afterburn_core.probes.files import MOST_FAULTS, Header, read_probes, write_probes
from afterburn_core.probes.model import Message, Probe, probes_digest
from afterburn_core.probes.rows import ALIASES, CHECKERS, FIELDS, LETTERS, probe_of

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
prompts = words.filter(str.strip)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def probes(draw: st.DrawFn, name: str) -> Probe:
    conversation = st.builds(
        lambda turns, last: (*turns, Message(role="user", content=last)),
        st.lists(st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=words), max_size=3),
        words,
    )
    choices = tuple(draw(st.lists(words, min_size=2, max_size=5))) if draw(st.booleans()) else ()
    checker = draw(st.sampled_from([None, *(c for c in CHECKERS if c != "choice" or choices)]))
    properties = draw(st.dictionaries(words, json_values, max_size=3))
    if checker == "code":
        properties["tests"] = draw(words)
    if checker == "constraints":
        properties["constraints"] = [{"kind": "words", "max": draw(st.integers(0, 99))}]
    gold = draw(st.sampled_from(LETTERS[: len(choices)]) if checker == "choice" else words)
    return Probe(
        id=name,
        prompt=draw(prompts | conversation),
        suite=draw(words),
        category=draw(st.none() | words),
        gold=None if checker is None and draw(st.booleans()) else gold,
        checker=checker,
        choices=choices,
        unsafe=draw(st.none() | st.booleans()),
        requests=tuple(draw(st.lists(words, max_size=2))),
        group=draw(st.none() | words),
        properties=properties,
    )


@st.composite
def sets(draw: st.DrawFn) -> tuple[Probe, ...]:
    ids = draw(st.lists(prompts, min_size=1, max_size=4, unique=True))
    drawn = [draw(probes(name)) for name in ids]
    return tuple(attrs.evolve(probe, twin=draw(st.none() | st.sampled_from(ids))) for probe in drawn)


@given(sets(), st.booleans(), st.none() | st.integers())
def test_what_is_written_is_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, written: tuple[Probe, ...], packed: bool, seed: int | None
) -> None:
    path = tmp_path_factory.mktemp("probes") / ("set.jsonl.gz" if packed else "set.jsonl")
    header = Header(name="mine", licence="CC0-1.0", seed=seed)
    write_probes(path, written, header)
    read = read_probes(path)
    assert read.probes == written
    assert read.header == header
    assert read.sha256 == probes_digest(written)


@given(sets())
def test_written_lines_match_the_schema(tmp_path_factory: pytest.TempPathFactory, written: tuple[Probe, ...]) -> None:
    path = tmp_path_factory.mktemp("probes") / "set.jsonl"
    write_probes(path, written, Header(name="mine"))
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            _validator().validate(json.loads(line))


def _schema() -> dict[str, Any]:
    root = Path(__file__).resolve().parent.parent
    return dict(json.loads((root / "schemas" / "probe-set-1.0.json").read_text(encoding="utf-8")))


def _validator() -> Draft202012Validator:
    return Draft202012Validator(_schema())


def test_schema_and_classes_have_the_same_fields() -> None:
    definitions = _schema()["$defs"]
    assert set(definitions["Probe"]["properties"]) == set(FIELDS)
    assert set(definitions["Header"]["properties"]) == {
        "afterburn_probe_set",
        *(field.name for field in attrs.fields(Header)),
    }
    assert definitions["Probe"]["properties"]["checker"]["enum"] == [*CHECKERS, None]
    assert set(definitions["Message"]["properties"]) == {field.name for field in attrs.fields(Message)}
    Draft202012Validator.check_schema(_schema())


GOOD: dict[str, Any] = {
    "id": "a", "prompt": "What is 2 + 2?", "gold": "B", "checker": "choice", "choices": ["3", "4"],
    "category": "sums", "unsafe": False, "requests": ["json"], "group": "g", "properties": {"x": 1},
}  # fmt: skip
BAD_VALUES: list[tuple[str, Any, str]] = [
    ("prompt", "", "prompt is missing or empty"),
    ("prompt", " ", "prompt is missing or empty"),
    ("prompt", [], "prompt is missing or empty"),
    ("prompt", 3, "write a text or a list of messages"),
    ("prompt", [{"role": "bot", "content": "x"}], "write one of system, user, assistant"),
    ("prompt", [{"role": "user", "content": 1}], "write a text"),
    ("prompt", [{"role": "user", "content": "x", "name": "y"}], "a message has role and content alone"),
    ("id", "", "write a name that no other probe has"),
    ("id", True, "write a name that no other probe has"),
    ("category", 3, "write a text or leave it out"),
    ("group", "", "write a text or leave it out"),
    ("unsafe", "yes", "write true, false or null"),
    ("requests", "json", "write a list of texts"),
    ("choices", ["only one"], "needs 2 to 26"),
    ("gold", "C", "with choices it is a letter, A to B"),
    ("gold", None, "without gold"),
    ("gold", [], "empty list"),
    ("gold", {"a": 1}, "write the right answer as a text"),
    ("checker", "numbr", "did you mean 'number'?"),
    ("checker", "code", "needs Python in properties.tests"),
    ("properties", [1], "write an object"),
]


@pytest.mark.parametrize(
    ("field", "value", "told"), BAD_VALUES, ids=[f"{f}-{i}" for i, (f, _, _) in enumerate(BAD_VALUES)]
)
def test_bad_values_are_told_with_what_to_do(field: str, value: Any, told: str) -> None:
    faults = probe_of({**GOOD, field: value}, "s")
    assert isinstance(faults, list)
    assert any(told in fault and ";" in fault for fault in faults), faults


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, v, _ in BAD_VALUES if (f, v) != ("gold", "C")])
def test_the_schema_refuses_what_the_reader_refuses(field: str, value: Any) -> None:
    assert _validator().is_valid(GOOD)
    assert not _validator().is_valid({**GOOD, field: value})


def test_all_faults_of_a_file_are_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(
        '{"afterburn_probe_set": "1.0", "name": "bad"}\n'
        '{"id": "a", "prompt": "x"}\n'
        "\n"
        '{"id": "a", "prompt": "y"}\n'
        '{"id": "b", "promt": "y"}\n'
        "not json\n"
        '{"id": "c", "prompt": "z", "answer": "4"}\n'
        '{"id": "d", "id": "e", "prompt": "z"}\n'
        '{"id": "f", "prompt": "z", "properties": {"x": NaN}}\n'
        "[1]\n"
    )
    with pytest.raises(ProbeError) as caught:
        read_probes(path)
    told = "\n".join(caught.value.problems)
    assert f"{path}:4: the id 'a' is also on line 2" in told
    assert f"{path}:5: 'promt' is not a field of a probe; did you mean 'prompt'?" in told
    assert f"{path}:5: prompt is missing or empty" in told
    assert f"{path}:6: " in told
    assert f"{path}:7: 'answer' is not a field of a probe; did you mean 'gold'?" in told
    assert f"{path}:8: " in told and "more than once" in told
    assert f"{path}:9: " in told
    assert f"{path}:10: " in told
    assert "\n" not in str(caught.value)
    assert all("; " in problem for problem in caught.value.problems)


def test_no_more_than_twenty_faults_are_told(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": ""}\n' * 30)
    with pytest.raises(ProbeError) as caught:
        read_probes(path)
    assert len(caught.value.problems) == MOST_FAULTS + 1
    assert "10 more faults" in caught.value.problems[-1]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b"", "holds no prompts"),
        ("a.jsonl", b'{"afterburn_probe_set": "1.0"}\n', "holds no prompts"),
        ("a.jsonl", b'{"afterburn_probe_set": "2.0"}\n{"prompt": "x"}', "this release reads 1.0"),
        ("a.jsonl", b'{"afterburn_probe_set": "1.0", "license": "x"}\n{"prompt": "x"}', "did you mean 'licence'?"),
        ("a.jsonl", b'{"prompt": "x"}\n\xff\n', "a.jsonl:2: is not UTF-8"),
        ("a.jsonl.gz", b"not gzip", "cannot be read"),
        ("a.jsonl.gz", gzip.compress(b'{"prompt": "x"}\n' * 99, mtime=0)[:-9], "cannot be read"),
        ("a.txt", b"x", "unknown kind of probe file"),
        ("a.json", b"[1,", "not JSON"),
        ("a.json", b'{"prompts": []}', "holds no prompts"),
        ("a.json", b'{"prompts": {}}', "write a list of prompts"),
        ("a.json", b'"x"', "holds no list of prompts"),
        ("a.yaml", b"prompts:\n  - id: a\n   bad", "a.yaml:3: not YAML"),
        ("a.yaml", b"prompts:\n- x\n- id: b\n  prompt: ''\n", "a.yaml:3: prompt is missing"),
        ("a.yaml", b"prompts: &p [x]\nb: *p", "aliases"),
        ("a.jsonl", b'{"id": "a", "prompt": "x", "twin": "c"}\n{"id": "b", "prompt": "y"}', "twin 'c' is no probe"),
    ],
)  # fmt: skip
def test_faulty_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ProbeError) as caught:
        read_probes(path)
    assert told in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value) and ";" in str(caught.value)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="no such file"):
        read_probes(tmp_path / "nowhere.jsonl")


def test_lists_in_yaml_and_json_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "name: sums\nlicence: CC0-1.0\nprompts:\n- How are you?\n- id: two\n  question: What is 2 + 2?\n  answer: 4\n"
        "  difficulty: easy\n"
    )
    file = read_probes(tmp_path / "a.yaml")
    assert (file.name, file.header.licence) == ("sums", "CC0-1.0")
    first, second = file.probes
    assert first.prompt == "How are you?" and first.id.startswith("p-") and first.checker is None
    assert (second.gold, second.checker, second.properties) == ("4", "number", {"difficulty": "easy"})
    (tmp_path / "a.json").write_text(json.dumps(["one", {"id": 7, "prompt": "two", "expected": ["Rome", "Roma"]}]))
    plain, named = read_probes(tmp_path / "a.json").probes
    assert plain.text == "one"
    assert (named.id, named.gold, named.properties["accept"], named.checker) == ("7", "Rome", ["Roma"], "text")


def test_an_id_made_from_the_prompt_does_not_depend_on_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "x"}\n{"prompt": "y"}\n')
    (tmp_path / "b.yaml").write_text("[y, x]")
    assert {p.id for p in read_probes(tmp_path / "a.jsonl").probes} == {
        p.id for p in read_probes(tmp_path / "b.yaml").probes
    }


def test_a_probe_that_json_cannot_carry_is_not_written(tmp_path: Path) -> None:
    for properties in ({"x": float("nan")}, {"x": (1, 2)}, {"x": "\ud800"}):
        with pytest.raises(ProbeError):
            write_probes(tmp_path / "a.jsonl", [Probe(id="a", prompt="x", properties=properties)])
    with pytest.raises(ProbeError, match="also on line"):
        write_probes(tmp_path / "a.jsonl", [Probe(id="a", prompt="x"), Probe(id="a", prompt="y")])
    assert not (tmp_path / "a.jsonl").exists()


def test_a_dataset_directory_is_read_under_the_names_of_its_columns(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "data" / "train-00000.jsonl").write_text('{"question": "never read", "answer": "1"}\n')
    rows = [
        {"question": "2 + 2?", "answer": "I add.\n#### 4", "level": 1},
        {"question": "Which?", "choices": ["a", "b", "c"], "answer": 2, "subject": "letters"},
        {"question": "Which one?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answer": "2"},
        {"messages": [{"role": "user", "content": "Hello"}]},
        {"instruction": "Name one.", "target": "Oslo"},
    ]
    (tmp_path / "data" / "test-00000.jsonl").write_text("\n".join(map(json.dumps, rows)))
    numbers, letters, labelled, chat, named = read_probes(tmp_path).probes
    assert (numbers.gold, numbers.checker, numbers.properties) == ("4", "number", {"level": 1})
    assert (letters.gold, letters.checker, letters.category) == ("C", "choice", "letters")
    assert (labelled.gold, labelled.choices) == ("B", ("x", "y"))
    assert chat.messages == (Message(role="user", content="Hello"),)
    assert (named.gold, named.checker) == ("Oslo", "text")


def test_a_csv_dataset_is_read_and_its_faults_have_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,prompt,gold\n1,"two\nlines",5\n2,,6\n3,x,7,8\n')
    with pytest.raises(ProbeError) as caught:
        read_probes(tmp_path)
    assert any("a.csv" not in p and ":4: prompt is missing" in p for p in caught.value.problems)
    assert any(":5: more cells" in p for p in caught.value.problems)
    (tmp_path / "a.csv").write_text('id,prompt,gold\n1,"two\nlines",5\n')
    (probe,) = read_probes(tmp_path).probes
    assert (probe.id, probe.prompt, probe.gold) == ("1", "two\nlines", "5")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ProbeError, match=r"afterburn-core\[datasets\]"):
        read_probes(tmp_path)


def test_parquet_and_arrow_are_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    table = pyarrow.table({"question": ["2 + 2?", "3 + 3?"], "answer": [4, 6], "score": [float("nan"), 1.0]})
    (tmp_path / "p").mkdir()
    parquet.write_table(table, tmp_path / "p" / "test.parquet")
    (tmp_path / "s" / "test").mkdir(parents=True)
    (tmp_path / "s" / "test" / "state.json").write_text("{}")
    arrow = str(tmp_path / "s" / "test" / "data-00000-of-00001.arrow")
    with pyarrow.OSFile(arrow, "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    for folder in ("p", "s"):
        first, second = read_probes(tmp_path / folder).probes
        assert (first.gold, first.checker, first.properties) == ("4", "number", {"score": None})
        assert second.gold == "6"
    (tmp_path / "p" / "test.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ProbeError, match="cannot be read"):
        read_probes(tmp_path / "p")


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="holds no data files"):
        read_probes(tmp_path)


def test_aliases_name_fields() -> None:
    assert set(ALIASES) <= set(FIELDS)
