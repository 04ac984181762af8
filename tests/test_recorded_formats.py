"""Recorded outputs as other tools write them: AlpacaEval, lm-evaluation-harness, Inspect. Texts are ours."""

from __future__ import annotations

import copy
import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterburn_core.backends.recorded import RecordedSubject, open_subject
from afterburn_core.backends.recorded_formats import inspect_log
from afterburn_core.errors import SubjectError
from afterburn_core.generation.model import Decoding, GenerationFacts, Sample, Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import Message
from afterburn_core.run.references import parse_reference


def read(path: Path) -> RecordedSubject:
    return open_subject(parse_reference(f"recorded:{path}"), role="base", base=None, registry=Registry([]))


def samples(subject: RecordedSubject) -> list[Sample]:
    return [sample for found in subject.recording.samples.values() for sample in found]


def facts(subject: RecordedSubject) -> GenerationFacts:
    return subject.generator(Decoding(), Serving()).facts


def save(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def save_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


ALPACA = [
    {"instruction": "Name a tree.", "output": "Oak.", "generator": "tiny-1", "dataset": "plants"},
    {"instruction": "Translate.", "input": "Baum", "output": "tree", "generator": "tiny-1", "dataset": "words"},
    {"instruction": "Name a tree.", "output": "Elm.", "generator": "tiny-1", "dataset": "plants", "time": 0.5},
]


@pytest.mark.parametrize("form", ["list", "lines", "packed"])
def test_alpaca_outputs_are_known_by_their_text(tmp_path: Path, form: str) -> None:
    path = save(tmp_path / "model_outputs", ALPACA)
    if form == "lines":
        save_lines(path, ALPACA)
    elif form == "packed":
        path.write_bytes(gzip.compress(path.read_bytes()))
    subject = read(path)
    tree, translate = subject.probes()
    assert (tree.prompt, tree.category, translate.prompt) == ("Name a tree.", "plants", "Translate.\n\nBaum")
    assert tree.id.startswith("alpaca-") and tree.id != translate.id
    assert [(s.index, s.text, s.labels) for s in samples(subject)] == [
        (0, "Oak.", {}), (1, "Elm.", {"time": 0.5}), (0, "tree", {}),
    ]  # fmt: skip
    assert subject.facts.properties["model"] == "tiny-1" and subject.facts.properties["format"] == "alpaca_eval"
    shuffled = read(save(tmp_path / "other.json", [{**row, "generator": "tiny-2"} for row in reversed(ALPACA)]))
    assert {probe.id for probe in shuffled.probes()} == {tree.id, translate.id}


def test_outputs_of_several_generators_are_no_subject(tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", [ALPACA[0], {**ALPACA[1], "generator": "tiny-2"}])
    with pytest.raises(SubjectError, match=r"\$\[1\]: holds outputs of 'tiny-2' beside those of 'tiny-1'"):
        read(path)


def test_our_own_rows_may_also_be_a_list(tmp_path: Path) -> None:
    rows = [{"prompt_id": f"p{n}", "prompt": "x", "output": str(n)} for n in range(3)]
    assert [s.text for s in samples(read(save(tmp_path / "a.json", rows)))] == ["0", "1", "2"]
    with pytest.raises(SubjectError, match=r"a\.json:\$\[1\]: must be an object, not 3"):
        read(save(tmp_path / "a.json", [rows[0], 3]))
    with pytest.raises(SubjectError, match="is an empty list"):
        read(save(tmp_path / "a.json", []))
    (tmp_path / "a.json").write_text(json.dumps(rows[0], indent=1))
    with pytest.raises(SubjectError, match="is one row over several lines"):
        read(tmp_path / "a.json")


def harness_row(doc: int, text: str | list[str], **fields: Any) -> dict[str, Any]:
    given = {"until": ["\n\n"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 64}
    return {
        "doc_id": doc,
        "doc": {"question": f"what is {doc} + 1?"},
        "target": str(doc + 1),
        "arguments": {"gen_args_0": {"arg_0": f"Q: what is {doc} + 1?\nA:", "arg_1": given}},
        "resps": [[text] if isinstance(text, str) else text],
        "filtered_resps": [text if isinstance(text, str) else text[0]],
        "filter": "strict-match",
        "metrics": ["exact_match"],
        "doc_hash": "ab",
        "exact_match": 1.0,
        **fields,
    }


TIME = "2026-02-03T10-20-30.123456"


def test_harness_samples_bring_prompt_gold_and_correctness(tmp_path: Path) -> None:
    rows = [harness_row(0, " 1"), harness_row(1, " 3", exact_match=0.0)]
    rows += [harness_row(0, " 1", filter="flexible"), harness_row(1, " 3", filter="flexible")]
    path = save_lines(tmp_path / f"samples_our_sums_{TIME}.jsonl", rows)
    results = {"model_name": "/var/models/tiny", "model_source": "hf", "chat_template": None, "config": {}}
    save(tmp_path / f"results_{TIME}.json", results)
    for place in (path, tmp_path):
        subject = read(place)
        one, _ = subject.probes()
        assert (one.id, one.prompt, one.gold) == ("our_sums/0", "Q: what is 0 + 1?\nA:", "1")
        assert (one.suite, one.checker) == ("our_sums", None)
        assert [(s.text, s.labels["is_correct"]) for s in samples(subject)] == [(" 1", True), (" 3", False)]
        assert samples(subject)[1].labels["exact_match"] == 0.0
        found = facts(subject)
        assert found.decoding == {"temperature": 0.0, "max_new_tokens": 64}
        assert (found.engine, found.template, found.properties["model"]) == ("hf", "plain", "tiny")
        assert found.properties["filters_ignored"] == ["flexible"]
        assert {file.relative for file in subject.files} == {path.name, f"results_{TIME}.json"}


def test_harness_repeats_are_samples_and_older_arguments_are_lists(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Sum?"}]
    given = {"temperature": 0.8, "max_gen_toks": 64}
    rows = [
        harness_row(0, ["1", "2", "1"], arguments=[["Q", given]]),
        harness_row(1, "2", arguments=[[[json.dumps(turns)], given]]),
    ]
    subject = read(save_lines(tmp_path / "anything.jsonl", rows))
    assert subject.samples_per_prompt == 3 and "is_correct" not in samples(subject)[0].labels
    first, second = subject.probes()
    assert first.prompt == "Q" and second.prompt == (
        Message(role="system", content="Be brief."), Message(role="user", content="Sum?"),
    )  # fmt: skip


def test_tasks_that_compare_likelihoods_are_passed_over_and_named(tmp_path: Path) -> None:
    choice = harness_row(0, "x", resps=[[["-1.5", "False"]], [["-2.5", "False"]]], metrics=["acc"])
    path = save_lines(tmp_path / f"samples_choice_{TIME}.jsonl", [choice])
    with pytest.raises(SubjectError, match=r"jsonl:1: task 'choice' compares likelihoods"):
        read(tmp_path)
    save_lines(tmp_path / f"samples_sums_{TIME}.jsonl", [harness_row(0, "1")])
    subject = read(tmp_path)
    assert [probe.id for probe in subject.probes()] == ["sums/0"]
    assert facts(subject).properties["ignored"] == [path.name]


def test_numbers_that_are_missing_in_a_harness_file_are_missing_here(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(harness_row(0, "1", exact_match=float("nan"))) + "\n")
    (sample,) = samples(read(path))
    assert sample.labels == {}


def log_sample(name: int | str, epoch: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "epoch": epoch,
        "input": f"Which is {name}?",
        "choices": ["one", "two"],
        "target": "A",
        "messages": [],
        "output": {
            "model": "tiny",
            "choices": [{"message": {"role": "assistant", "content": f"ANSWER: A {epoch}"}, "stop_reason": "stop"}],
            "usage": {"input_tokens": 9, "output_tokens": 4},
        },
        "scores": {"choice": {"value": "C", "answer": "A"}, "length": {"value": 0.5}},
        **fields,
    }


HEADER = {
    "version": 2,
    "status": "success",
    "eval": {
        "task": "ours/which",
        "model": "vllm/org/tiny",
        "model_base_url": "http://me:secret@models.example:8000/v1",
        "model_generate_config": {"max_connections": 7},
    },
    "plan": {"steps": [{"solver": "multiple_choice"}], "config": {"temperature": 0.5, "max_tokens": 99}},
}


def archive(path: Path, found: list[dict[str, Any]], header: str = "header.json") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(header, json.dumps(HEADER))
        opened.writestr("summaries.json", "[]")
        for sample in found:
            opened.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    return path


@pytest.mark.parametrize("form", ["document", "pretty", "archive", "unfinished"])
def test_a_log_of_inspect_is_read_in_every_form(tmp_path: Path, form: str) -> None:
    found = [log_sample(1), log_sample(1, epoch=2), log_sample("b")]
    found[2]["scores"]["choice"]["value"] = "I"
    found[2]["output"]["choices"][0]["stop_reason"] = "max_tokens"
    path = tmp_path / "log"
    if form in ("document", "pretty"):
        path.write_text(json.dumps({**HEADER, "samples": found}, indent=2 if form == "pretty" else None))
    else:
        archive(path, found, "header.json" if form == "archive" else "_journal/start.json")
    subject = read(path)
    first, second = subject.probes()
    assert (first.id, first.prompt, first.suite, first.gold) == ("which/1", "Which is 1?", "which", "A")
    assert (first.choices, first.checker, second.id) == (("one", "two"), "choice", "which/b")
    one, two, three = samples(subject)
    assert (one.text, one.tokens, one.finish, two.text) == ("ANSWER: A 1", 4, "stop", "ANSWER: A 2")
    assert one.labels == {"choice": "C", "length": 0.5, "is_correct": True}
    assert (three.labels["is_correct"], three.finish) == (False, "length")
    about = facts(subject)
    assert about.decoding == {"temperature": 0.5, "max_new_tokens": 99} and about.engine == "vllm"
    assert about.properties == {
        "engine": "vllm", "model": "org/tiny", "host": "models.example", "solver": ["multiple_choice"],
        "format": "inspect",
    }  # fmt: skip
    assert "secret" not in f"{subject.facts} {about}"


def test_what_a_log_keeps_apart_is_put_together(tmp_path: Path) -> None:
    parts = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "attachment://a1"}]
    turns = [{"role": "system", "content": "attachment://s1"}, {"role": "user", "content": "Go on."}]
    sample = log_sample(1, input=turns, attachments={"a1": "a long text", "s1": "a long rule"}, choices=None, target=[])
    sample["output"]["choices"][0]["message"]["content"] = parts
    failed = log_sample(2, output={"model": "tiny", "choices": []}, error={"message": "timeout"})
    subject = read(save(tmp_path / "log.json", {**HEADER, "samples": [sample, failed]}))
    (probe,) = subject.probes()
    assert [turn.content for turn in probe.messages] == ["a long rule", "Go on."]
    assert (probe.gold, probe.checker) == (None, None)
    assert [s.text for s in samples(subject)] == ["a long text"]
    assert facts(subject).properties["failed_samples"] == 1


BAD: list[tuple[Any, str]] = [
    ({**HEADER}, "the log has no samples"),
    ({**HEADER, "samples": [7]}, r"\$\.samples\[0\]: must be an object"),
    ({**HEADER, "samples": [log_sample(1, id=None)]}, r"\$\.samples\[0\]: 'id' must be text or a number"),
    ({**HEADER, "samples": [log_sample(1, input=[{"role": "tool", "content": "x"}])]}, r"input\[0\]\.role must be"),
    ({**HEADER, "samples": [log_sample(1, output=None)]}, "every sample of the log failed"),
    (
        {**HEADER, "samples": [log_sample(1), log_sample(1)]},
        r"\$\.samples\[1\]: prompt 'which/1', sample 0 was already",
    ),
    ({"results": {}, "config": {}}, "is of no known format"),
]


@pytest.mark.parametrize(("value", "message"), BAD, ids=range(len(BAD)))
def test_a_fault_in_a_log_is_named(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(SubjectError, match=message):
        read(save(tmp_path / "log.json", value))


def test_archives_that_are_damaged_foreign_or_bombs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "a.eval", [log_sample(1, metadata={"x": "0" * 400_000})])
    assert len(samples(read(path))) == 1
    monkeypatch.setattr(inspect_log, "RATIO_FROM", 1000)
    monkeypatch.setattr(inspect_log, "RATIO_LIMIT", 100)
    with pytest.raises(SubjectError, match=r"a\.eval:samples/1_epoch_1\.json: unpacks to \d+ bytes; refused"):
        read(path)
    monkeypatch.setattr(inspect_log, "ARCHIVE_LIMIT", 1000)
    with pytest.raises(SubjectError, match="refused as a decompression bomb"):
        read(path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(SubjectError, match="the archive is damaged or cut short"):
        read(path)
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("word/document.xml", "<w/>")
    with pytest.raises(SubjectError, match=r"without header\.json, so no log of Inspect"):
        read(path)
    archive(path, [])
    with pytest.raises(SubjectError, match="the log has no samples"):
        read(path)


def test_a_size_that_an_archive_understates_does_not_fill_the_memory(tmp_path: Path) -> None:
    """The stated size is checked against limits, so no more than that may be unpacked."""
    path = archive(tmp_path / "a.eval", [log_sample(1, metadata={"x": "0" * 400_000})])
    with zipfile.ZipFile(path) as opened:
        size = opened.getinfo("samples/1_epoch_1.json").file_size
    content = path.read_bytes()
    path.write_bytes(content.replace(size.to_bytes(4, "little"), (500).to_bytes(4, "little")))
    with pytest.raises(SubjectError, match="damaged|not JSON"):
        read(path)


VALID: dict[str, list[Any]] = {
    "a.jsonl": [{"prompt_id": "p", "prompt": [{"role": "user", "content": "x"}], "output": "y", "choices": ["a", "b"]}],
    "alpaca.jsonl": ALPACA,
    f"samples_sums_{TIME}.jsonl": [harness_row(0, "1"), harness_row(1, "2", arguments=[["Q", {"temperature": 1}]])],
    "log.json": [{**HEADER, "samples": [log_sample(1, input=[{"role": "user", "content": "x"}]), log_sample(2)]}],
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value inside a JSON value is."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in items for path in ((*above, key), *paths(inner, (*above, key)))]


@pytest.mark.parametrize("name", VALID)
@settings(max_examples=150)
@given(data=st.data())
def test_a_wrong_value_anywhere_is_refused_or_passed_over_and_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    rows = copy.deepcopy(VALID[name])
    *above, last = data.draw(st.sampled_from(paths(rows)))
    place: Any = rows
    for key in above:
        place = place[key]
    if data.draw(st.booleans()):
        place[last] = data.draw(VALUES)
    elif isinstance(place, dict):
        del place[last]
    path = tmp_path_factory.mktemp("wrong") / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        subject = read(path)
    except SubjectError:
        return
    json.dumps([subject.facts.properties, [attrs.asdict(sample) for sample in samples(subject)]], allow_nan=False)
    json.dumps([attrs.asdict(probe) for probe in subject.probes()], allow_nan=False).encode()
