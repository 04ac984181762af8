"""Texts of the user's own: every kind of file, whole sentences, a draw that no order changes, faults in one line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterburn_core.errors import ConfigError
from afterburn_core.forward.corpus import FEWEST, read_corpus
from afterburn_core.forward.passages import gather
from afterburn_core.forward.splitting import LEAST, MOST, split
from afterburn_core.generation.asking import Asking
from afterburn_core.probes.model import Probe
from afterburn_core.probes.suites import AskedSet
from afterburn_core.run.configuration import Settings


def paragraph(number: int, sentences: int = 5) -> str:
    return " ".join(
        f"Sentence {k} of paragraph {number} tells how the {'old ' * (k % 3)}mill was built." for k in range(sentences)
    )


def texts(found: AskedSet) -> list[str]:
    return [probe.text for probe in found.probes]


def read(path: Path, n: int = 1000, seed: int = 0) -> AskedSet:
    return read_corpus(path, seed=seed, n=n)


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_text_file_is_cut_into_passages_of_whole_sentences(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("Title\n\n" + "\n\n".join(paragraph(i, 2 + i % 9) for i in range(12)))
    found = read(path)
    assert found.name == "book" and found.use == "passages" and found.licence is None
    whole = path.read_text()
    for text in texts(found):
        assert text in whole and text[-1] == "." and (text.startswith(("Sentence", "Title")))
        assert len(text) >= LEAST
    assert sum(map(len, texts(found))) >= 0.95 * len(whole)


@given(st.text(alphabet=st.sampled_from("ab .?!\n\t。xyzé界")) | st.text(max_size=400))
def test_splitting_loses_nothing_but_white_space_at_the_ends(text: str) -> None:
    pieces = list(split(text))
    rest = text
    for piece in pieces:
        before, found, rest = rest.partition(piece)
        assert found and not before.strip() and piece == piece.strip() and piece
    assert not rest.strip()


def test_passages_have_about_thirty_to_a_hundred_and_thirty_tokens_in_any_script() -> None:
    english = list(split(" ".join(paragraph(i) for i in range(30))))
    assert all(LEAST <= len(text) <= MOST for text in english)
    japanese = list(split("これは古い水車小屋の話です。" * 60))
    assert all(LEAST / 3 <= len(text) <= MOST / 3 for text in japanese) and len(japanese) > 5
    endless = list(split("word " * 1000))
    assert all(len(text) <= MOST for text in endless) and " ".join(endless) == ("word " * 1000).strip()
    assert next(split("Dr. A. Marsh met Mrs. Quill at 5 p.m. in town. " * 12)).endswith("town.")


def test_a_directory_is_read_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    for i in range(FEWEST):
        (folder / f"n{i}.txt").write_text(paragraph(i, 9) + "\n\n" + paragraph(50 + i, 9))
    (folder / "deep" / "page.md").write_text(paragraph(99, 12))
    (folder / ".hidden.txt").write_text("Nobody reads this.")
    found = read(folder)
    units = {probe.unit.split("#")[0] for probe in found.probes}
    assert units == {f"n{i}.txt" for i in range(FEWEST)} | {"deep/page.md"}
    assert len(found.probes) > len(units) and not found.notes
    passages = gather(sources=("text",), texts=(found,), asking=Asking(), settings=Settings())
    assert len({p.unit for p in passages}) == len(units)  # passages of one document are one unit


def test_few_documents_are_counted_by_passages_and_this_is_said(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text(" ".join(paragraph(i) for i in range(20)))
    found = read(path)
    assert all(probe.group is None for probe in found.probes)
    assert any("1 document, fewer than 10" in note for note in found.notes)
    several = tmp_path / "several.txt"
    several.write_text("<|endoftext|>".join(paragraph(i, 12) for i in range(12)))
    found = read(several)
    assert not found.notes and len({probe.unit.split("#")[0] for probe in found.probes}) == 12


@pytest.mark.parametrize("packed", [False, True])
def test_rows_have_text_content_messages_or_prompt_and_answer(tmp_path: Path, packed: bool) -> None:
    talk = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}]
    rows: list[object] = [
        {"text": "A plain text.", "source": "x"},
        {"content": "Some content."},
        {"messages": [{"role": "system", "content": "Be kind."}, *talk, {"role": "user", "content": "Dropped."}]},
        {"prompt": "2 + 2?", "completion": "4"},
        {"prompt": talk[:1], "response": "Hey."},
        {"prompt": "A probe's prompt."},
        {"messages": talk[:1]},
        "A bare text.",
    ]
    path = write(tmp_path / "rows.jsonl", *rows)
    if packed:
        path = tmp_path / "rows.jsonl.gz"
        path.write_bytes(gzip.compress((tmp_path / "rows.jsonl").read_bytes()))
    found = read(path)
    passages = gather(sources=("text",), texts=(found,), asking=Asking(), settings=Settings())
    by_text = {p.text: p for p in passages}
    assert set(by_text) == {
        "A plain text.", "Some content.", "Hello.", "4", "Hey.", "A probe's prompt.", "Hi?", "A bare text.",
    }  # fmt: skip
    hello = by_text["Hello."]
    assert [m.role for m in hello.messages] == ["system", "user"] and hello.ended
    assert by_text["4"].messages[0].content == "2 + 2?" and by_text["Hey."].messages[0].content == "Hi?"
    assert not by_text["Hi?"].messages and not by_text["A plain text."].ended


def test_a_file_of_probes_is_read_by_its_prompts(tmp_path: Path) -> None:
    from afterburn_core.probes.files import Header, write_probes

    path = tmp_path / "mine.jsonl"
    write_probes(path, [Probe(id=f"p{i}", prompt=f"Question number {i}?") for i in range(3)], Header(name="mine"))
    assert sorted(texts(read(path))) == [f"Question number {i}?" for i in range(3)]
    listed = tmp_path / "list.yaml"
    listed.write_text("- First question?\n- prompt: Second question?\n")
    assert sorted(texts(read(listed))) == ["First question?", "Second question?"]


def test_data_sets_are_read_through_pyarrow(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    table = pyarrow.table({"text": ["First text.", None, "Third text."], "id": [1, 2, 3]})
    saved = tmp_path / "saved"
    saved.mkdir()
    with (
        pyarrow.OSFile(str(saved / "data-00000-of-00001.arrow"), "wb") as sink,
        pyarrow.ipc.new_stream(sink, table.schema) as writer,
    ):
        writer.write_table(table)
    (saved / "state.json").write_text("{}")
    (saved / "dataset_info.json").write_text("{}")
    (saved / "README.md").write_text("# About this data set")
    parquet.write_table(table, tmp_path / "part.parquet")
    for path in (saved, tmp_path / "part.parquet"):
        assert sorted(texts(read(path))) == ["First text.", "Third text."]


def test_without_pyarrow_a_data_set_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "part.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"afterburn-core\[datasets\]"):
        read(tmp_path / "part.parquet")


def test_of_too_many_passages_every_document_gives_one_before_any_gives_two(tmp_path: Path) -> None:
    rows = [{"text": " ".join(paragraph(1000 * i + k) for k in range(6))} for i in range(30)]
    path = write(tmp_path / "many.jsonl", *rows)
    found = read(path, n=45)
    counts = [probe.unit.split("#")[0] for probe in found.probes]
    assert len(found.probes) == 45 and {counts.count(name) for name in counts} == {1, 2}
    assert len(set(counts)) == 30
    assert any("45 of its" in note and "30 of 30 documents" in note for note in found.notes)
    few = read(path, n=10)
    assert len({probe.unit for probe in few.probes}) == 10
    assert set(texts(few)) <= set(texts(found))  # the smaller draw is part of the larger one


def test_the_draw_depends_on_texts_and_seed_alone(tmp_path: Path) -> None:
    rows = [{"text": f"The text number {i} stands alone."} for i in range(80)]
    one = read(write(tmp_path / "one.jsonl", *rows), n=20)
    other = read(write(tmp_path / "other.jsonl", *rows[::-1]), n=20)
    assert set(texts(one)) == set(texts(other))
    assert set(texts(read(tmp_path / "one.jsonl", n=20, seed=1))) != set(texts(one))
    assert read(tmp_path / "one.jsonl", n=20) == one
    assert one.to_input().kind == "corpus" and one.to_input().sha256 == one.sha256


def test_a_text_that_occurs_twice_is_read_once(tmp_path: Path) -> None:
    found = read(write(tmp_path / "copies.jsonl", *[{"text": f"Text {i % 4}."} for i in range(12)]))
    assert sorted(texts(found)) == [f"Text {i}." for i in range(4)]
    assert any("8 passages occur more than once" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"body": "y"}\n', r"a\.jsonl:2: has no text \(its fields: body\); give each row"),
        ("a.jsonl", b'{"text": "x"}\nnot json\n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", b'{"text": 3}\n', r"a\.jsonl:1: text is 3; write a text"),
        ("a.jsonl", b'{"messages": [{"role": "tool", "content": "x"}]}\n', r"a\.jsonl:1: messages\[0\] is .*role"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl:1: is a list of 1; write a text, or an object"),
        ("a.jsonl", b'{"text": "x"}\n\xff\xfe\n', r"a\.jsonl:2: is not UTF-8 text"),
        ("a.jsonl.gz", b"not gzip", r"a\.jsonl\.gz: cannot be read"),
        ("a.txt", b"line one\nline \xff two\n", r"a\.txt:2: is not UTF-8 text"),
        ("a.txt", b" \n\n ", r"a\.txt: holds no text"),
        ("a.jsonl", b"", r"a\.jsonl: holds no text"),
        ("a.pdf", b"x", r"a\.pdf: unknown kind of text; wanted are \.txt"),
        ("a.yaml", b"key: value\n", r"a\.yaml:1: holds no list"),
    ],
)
def test_a_fault_is_one_line_with_file_and_line(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=told) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_path_that_holds_nothing_or_two_kinds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or directory"):
        read(tmp_path / "absent.txt")
    with pytest.raises(ConfigError, match="holds no texts"):
        read(tmp_path)
    (tmp_path / "a.txt").write_text("Text.")
    (tmp_path / "b.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(ConfigError, match=r"holds both texts \(a\.txt\) and data files \(b\.jsonl\)"):
        read(tmp_path)
