"""Recorded outputs in our own rows: what is read, what is refused and where, what is written is read again."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterburn_core.backends import recorded_files
from afterburn_core.backends.recorded import RecordedSubject, open_subject
from afterburn_core.backends.recorded_writer import write_recorded
from afterburn_core.errors import NeedUnavailable, SubjectError
from afterburn_core.generation.model import Completed, Decoding, GenerationFacts, Request, Sample, Serving
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import Message, Probe
from afterburn_core.run.references import parse_reference

Row = Mapping[str, Any]


def row(name: str = "p1", /, sample: int = 0, **fields: Any) -> dict[str, Any]:
    return {"prompt_id": name, "prompt": f"text of {name}", "sample": sample, "output": f"{name}.{sample}", **fields}


def write(path: Path, rows: Iterable[Row | str]) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in rows)
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read(path: Path) -> RecordedSubject:
    return open_subject(parse_reference(f"recorded:{path}"), role="base", base=None, registry=Registry([]))


def ask(subject: RecordedSubject, probes: Sequence[Probe], samples: int = 1) -> list[Completed]:
    requests = [
        Request(probe=probe.id, index=index, messages=probe.messages, seed=0)
        for probe in probes
        for index in range(samples)
    ]
    generator = subject.generator(Decoding(), Serving())
    assert [request for group in generator.groups(requests) for request in group] == requests
    return list(generator.generate(requests))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "outputs"])
def test_rows_become_probes_and_samples(tmp_path: Path, name: str) -> None:
    conversation = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]
    path = write(
        tmp_path / name,
        [
            row(answer="4", is_correct=True, tokens=7, finish="stop", logprob=-1.5, seed=3, judge={"score": 2}),
            row(sample=1, answer="4", finish="length"),
            "",
            row("p2", prompt=conversation, type="greeting", prompt_is_unsafe=False, conversation_id="c1", turn=1),
        ],
    )
    subject = read(path)
    first, second = subject.probes()
    assert (first.id, first.prompt, first.gold, first.suite) == ("p1", "text of p1", "4", "recorded")
    assert second.messages == (Message(role="system", content="be kind"), Message(role="user", content="hello"))
    assert (second.category, second.unsafe, second.group, second.checker) == ("greeting", False, "c1", None)
    assert subject.samples_per_prompt == 2
    one, two, three = [completed.sample for completed in ask(subject, (first, second), samples=2)]
    assert one == Sample(
        index=0, text="p1.0", tokens=7, finish="stop", logprob=-1.5, seed=3,
        labels={"is_correct": True, "judge": {"score": 2}},
    )  # fmt: skip
    assert (two.index, two.text, two.finish, two.tokens, two.labels) == (1, "p1.1", "length", None, {})
    assert (three.text, three.labels) == ("p2.0", {"turn": 1})
    assert (subject.facts.kind, subject.facts.label, subject.facts.capabilities) == ("recorded", name, ("generate",))
    assert subject.facts.properties["prompts"] == 2 and subject.facts.properties["samples"] == 3
    assert [file.relative for file in subject.files] == [name]
    with pytest.raises(NeedUnavailable, match="have no weights"):
        subject.weights()


def test_samples_are_numbered_from_zero_and_ordered_whatever_the_rows_say(tmp_path: Path) -> None:
    subject = read(write(tmp_path / "a.jsonl", [row(sample=7), row("p2", sample=1), row(sample=2), row(sample=900000)]))
    assert subject.samples_per_prompt == 3
    assert [c.sample.text for c in ask(subject, subject.probes(), samples=3)] == ["p1.2", "p1.7", "p1.900000", "p2.1"]
    assert [c.sample.index for c in ask(subject, subject.probes(), samples=3)] == [0, 1, 2, 0]


def test_what_nobody_recorded_is_not_answered(tmp_path: Path) -> None:
    base = read(write(tmp_path / "base.jsonl", [row(), row(sample=1), row("p2")]))
    trained = read(write(tmp_path / "trained.jsonl", [row("p3"), row()]))
    answered = ask(trained, base.probes(), samples=base.samples_per_prompt)
    assert [(c.request.probe, c.request.index) for c in answered] == [("p1", 0)]


def test_one_id_stands_for_one_text_on_both_sides(tmp_path: Path) -> None:
    base = read(write(tmp_path / "base.jsonl", [row()]))
    trained = read(write(tmp_path / "trained.jsonl", [row(prompt="another text")]))
    with pytest.raises(SubjectError, match="prompt 'p1': the recorded text is not the one that is asked"):
        ask(trained, base.probes())


def test_in_a_conversation_each_side_goes_on_with_its_own_answers(tmp_path: Path) -> None:
    def talk(own: str, last: str = "are you sure?") -> list[dict[str, str]]:
        return [
            {"role": "user", "content": "why?"},
            {"role": "assistant", "content": own},
            {"role": "user", "content": last},
        ]

    base = read(write(tmp_path / "base.jsonl", [row(prompt=talk("because")), row("p2", prompt="same")]))
    trained = read(write(tmp_path / "trained.jsonl", [row(prompt=talk("therefore")), row("p2", prompt="same")]))
    first, second = ask(trained, base.probes())
    assert first.sample.labels == {"own_history": True} and second.sample.labels == {}
    other = read(write(tmp_path / "other.jsonl", [row(prompt=talk("because", "really?"))]))
    with pytest.raises(SubjectError, match="not the one that is asked"):
        ask(other, base.probes())


BAD: list[tuple[list[Row | str], str]] = [
    ([], r"is empty"),
    ([row(), '{"prompt_id": "p2", '], r":2: not JSON: .* at column \d+; every line must be one JSON object"),
    (['{"prompt_id": "p1", ', row("p2")], r":1: not JSON"),
    ([row(), "[1]"], r":2: must be an object, not a list of 1"),
    ([row(), row()], r":2: prompt 'p1', sample 0 was already at .*a\.jsonl:1; number the samples"),
    ([row(), row(sample=1, prompt="other")], r":2: prompt 'p1' has another text here than at .*a\.jsonl:1"),
    ([row(gold="1"), row(sample=1, gold="2")], r":2: prompt 'p1' has gold '2' here and '1' before"),
    ([row(answer="1"), row(sample=1, answer="2")], r"the model's own answer something else than 'answer'"),
    ([row(), {"prompt_id": "p2", "prompt": "x"}], r":2: has no 'output'; every row needs one"),
    ([row(), {"prompt_id": "p2", "output": "x"}], r":2: has no 'prompt'"),
    ([{"prompt": "p", "output": "x"}], r":1: has no 'prompt_id'"),
    ([row(prompt_id=3)], r":1: 'prompt_id' must be text, not 3"),
    ([row(prompt_id="")], r":1: 'prompt_id' is empty"),
    ([row(output=None)], r":1: 'output' must be text, not null"),
    ([row(sample=-1)], r":1: 'sample' must be a whole number from 0, not -1"),
    ([row(sample=True)], r":1: 'sample' must be a whole number from 0, not true"),
    ([row(sample=1.5)], r":1: 'sample' must be a whole number"),
    ([row(tokens="7")], r":1: 'tokens' must be a whole number from 0, not '7'"),
    ([row(finish="eos")], r":1: 'finish' must be one of stop, length, content_filter, error, not 'eos'"),
    ([row(finish=["stop"])], r":1: 'finish' must be one of"),
    ([row(logprob=0.5)], r":1: 'logprob' is 0\.5, and a log-probability is at most 0"),
    ([row(logprob=math.nan)], r":1: \$\.logprob: is nan"),
    ([row(score=math.inf)], r":1: \$\.score: is inf"),
    (['{"prompt_id": "p1", "prompt": "a", "output": "b", "output": "c"}'], r":1: \$\.output: occurs more than once"),
    ([row(output="\ud800")], r":1: \$\.output: holds half of a surrogate pair"),
    ([row(token_ids=[1, -2])], r":1: 'token_ids' must be a list of whole numbers"),
    ([row(token_ids=[1, 2], tokens=3)], r":1: 'tokens' is 3, and 'token_ids' has 2"),
    ([row(choices=["x", "y"], choice_logprobs=[-1])], r":1: 'choice_logprobs' has 1 numbers for 2 choices"),
    ([row(choices=["x", "y"], choice_logprobs={"A": -1, "C": -2})], r":1: 'choice_logprobs' must name the labels A, B"),
    ([row(unsafe="yes")], r":1: 'unsafe' must be true or false, not 'yes'"),
    ([row(is_correct=1)], r":1: 'is_correct' must be true, false or null, not 1"),
    ([row(prompt=[])], r":1: 'prompt' must be text or a list of messages, not a list of 0"),
    ([row(prompt=[{"role": "robot", "content": "x"}])], r":1: prompt\[0\]\.role must be system, user or assistant"),
    ([row(prompt=[{"role": "user"}])], r":1: 'prompt\[0\]\.content' must be text, not null"),
    ([row(prompt=[{"role": "assistant", "content": "x"}])], r":1: 'prompt' ends with a turn of the assistant"),
    ([{"afterburn_recorded": 9}, row()], r":1: is of version 9 of the format"),
    ([{"afterburn_recorded": "1"}, row()], r":1: 'afterburn_recorded' must be the version"),
    ([{"afterburn_recorded": 1, "template": "jinja"}, row()], r":1: 'template' must be chat or plain"),
    ([{"afterburn_recorded": 1, "decoding": 7}, row()], r":1: 'decoding' must be an object"),
    ([{"afterburn_recorded": 1}], r"holds no recorded output"),
    ([{"question": "x", "reply": "y"}], r":1: is of no known format \(its fields: question, reply\); known are rows"),
    (["7"], r":1: must be an object, not 7"),
]


@pytest.mark.parametrize(("rows", "message"), BAD, ids=range(len(BAD)))
def test_a_fault_is_one_line_that_says_where(tmp_path: Path, rows: list[Row | str], message: str) -> None:
    path = write(tmp_path / "a.jsonl", rows)
    with pytest.raises(SubjectError, match=message) as error:
        read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_not_readable_is_named(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match=r"gone\.jsonl: no such file or directory"):
        read(tmp_path / "gone.jsonl")
    with pytest.raises(SubjectError, match="holds no recorded outputs"):
        read(tmp_path)
    with pytest.raises(SubjectError, match="recorded: names no file"):
        parse_reference("recorded: ")


def test_a_gzip_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", [row(f"p{n}") for n in range(200)])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SubjectError, match="damaged or cut short"):
        read(path)


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_files, "RATIO_FROM", 1 << 20)
    path = write(tmp_path / "a.jsonl.gz", [row(f"p{n}", output=" " * 9000) for n in range(900)])
    with pytest.raises(SubjectError, match="refused as a decompression bomb"):
        read(path)
    monkeypatch.setattr(recorded_files, "LINE_LIMIT", 1 << 20)
    write(tmp_path / "long.jsonl", [row(), row("p2", output="x" * (2 << 20))])
    with pytest.raises(SubjectError, match=r"long\.jsonl:2: is longer than 1 MiB"):
        read(tmp_path / "long.jsonl")


def test_how_the_texts_came_about_is_read_from_the_first_line(tmp_path: Path) -> None:
    decoding = {"max_tokens": 512, "do_sample": False, "top_p": 1.0, "n": 4, "stop": ["\n"]}
    head = {"afterburn_recorded": 1, "decoding": decoding, "engine": "vllm", "model": "org/m", "template": "chat"}
    head["gpu"] = "L4"
    facts = read(write(tmp_path / "a.jsonl", [head, row()])).generator(Decoding(), Serving()).facts
    assert facts.decoding == {"max_new_tokens": 512, "temperature": 0.0, "top_p": 1.0}
    assert (facts.engine, facts.template) == ("vllm", "chat")
    assert facts.properties == {"engine": "vllm", "model": "org/m", "gpu": "L4", "format": "rows"}


def test_how_the_texts_came_about_is_read_from_the_card_beside_them(tmp_path: Path) -> None:
    """The same model on two hosts: the engine tells, and the card is part of what identifies the subject."""
    sides = {"base": {"engine": "openai", "temperature": 0}, "trained": {"engine": "together", "temperature": 0}}
    (tmp_path / "card.json").write_text(json.dumps({"decoding": sides}))
    for stem, engine in (("base", "openai"), ("trained", "together"), ("other", "recorded")):
        subject = read(write(tmp_path / f"{stem}.jsonl.gz", [row()]))
        facts = subject.generator(Decoding(), Serving()).facts
        assert facts.engine == engine and facts.decoding == (None if stem == "other" else {"temperature": 0})
        assert ("card.json" in [file.relative for file in subject.files]) == (stem != "other")
    head = {"afterburn_recorded": 1, "engine": "own", "decoding": {"temperature": 1}}
    facts = read(write(tmp_path / "base.jsonl", [head, row()])).generator(Decoding(), Serving()).facts
    assert (facts.engine, facts.decoding) == ("own", {"temperature": 1})  # what a file says of itself counts
    (tmp_path / "card.json").write_text("[]")
    with pytest.raises(SubjectError, match=r"card\.json: must be a JSON object"):
        read(tmp_path / "trained.jsonl.gz")


def test_a_directory_is_read_as_one_subject(tmp_path: Path) -> None:
    write(tmp_path / "part-1.jsonl", [row(), row("p2")])
    write(tmp_path / "part-2.jsonl.gz", [row(sample=1), row("p3")])
    (tmp_path / "notes.txt").write_text("no rows")
    subject = read(tmp_path)
    assert [probe.id for probe in subject.probes()] == ["p1", "p2", "p3"] and subject.samples_per_prompt == 2
    assert [file.relative for file in subject.files] == ["part-1.jsonl", "part-2.jsonl.gz"]
    write(tmp_path / "trained.jsonl", [row()])
    with pytest.raises(SubjectError, match="a subject is one model: name its file alone instead of the directory"):
        read(tmp_path)


TEXT = st.text(max_size=20).filter(lambda text: all(not 0xD800 <= ord(letter) < 0xE000 for letter in text))
LABELS = st.dictionaries(
    st.sampled_from(["score", "answer", "tokens", "labels", "kind", "output", "turn", "resps"]),
    st.none() | st.booleans() | st.integers(-5, 5) | TEXT,
)


@given(
    st.lists(
        st.builds(
            Sample,
            index=st.just(0),
            text=TEXT,
            tokens=st.none() | st.integers(0, 99),
            finish=st.sampled_from([None, "stop", "length"]),
            logprob=st.none() | st.floats(-1e6, 0),
            choice_logprobs=st.none() | st.just((-0.5, -1.5)),
            seed=st.none() | st.integers(0, 2**53),
            labels=LABELS,
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([None, "4"]),
    st.sampled_from([None, False, True]),
)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, samples: list[Sample], gold: str | None, unsafe: bool | None
) -> None:
    probe = Probe(
        id="q", prompt=(Message(role="system", content="s"), Message(role="user", content="ü\n")), suite="own",
        category="c", gold=gold, checker="choice", choices=("x", "y"), unsafe=unsafe, requests=("json",), twin="r",
        group="g", properties={"tests": ["assert True"]},
    )  # fmt: skip
    numbered = [attrs.evolve(sample, index=index) for index, sample in enumerate(samples)]
    path = tmp_path_factory.mktemp("written") / "a.jsonl.gz"
    facts = GenerationFacts(
        engine="vllm", template="chat", template_sha256="ab", decoding={"temperature": 1.0}, context=9,
        properties={"model": "m", "dtype": "bf16"},
    )  # fmt: skip
    assert write_recorded(path, ((probe, sample) for sample in numbered), facts=facts) == len(samples)
    content = path.read_bytes()
    subject = read(path)
    assert subject.probes() == (probe,)
    assert [completed.sample for completed in ask(subject, (probe,), samples=9)] == numbered
    found = subject.generator(Decoding(), Serving()).facts
    expected = {"model": "m", "dtype": "bf16", "engine": "vllm", "format": "rows"}
    assert found == attrs.evolve(facts, properties=expected)
    write_recorded(path, ((probe, sample) for sample in numbered), facts=facts)
    assert path.read_bytes() == content


def test_what_json_cannot_hold_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with pytest.raises(SubjectError, match="holds what JSON cannot"):
        write_recorded(path, [(Probe(id="p", prompt="x"), Sample(index=0, text="y", labels={"score": math.nan}))])
    assert not list(tmp_path.iterdir())


def test_a_prompt_is_held_once_however_many_samples_it_has(tmp_path: Path) -> None:
    prompt = "x" * 200_000
    path = write(tmp_path / "a.jsonl", ({**row(sample=n), "prompt": prompt} for n in range(60)))
    tracemalloc.start()
    try:
        subject = read(path)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert subject.samples_per_prompt == 60
    assert held < 1_000_000 and peak < 3_000_000  # the file has 12 000 000 bytes


def test_neither_numpy_nor_torch_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [row(), row("p2")])
    code = (
        "import sys\n"
        "for name in ('numpy', 'scipy', 'torch', 'transformers'): sys.modules[name] = None\n"
        "from afterburn_core.backends.api import open_subject as served\n"
        "from afterburn_core.backends.recorded import open_subject\n"
        "from afterburn_core.run.references import parse_reference\n"
        f"subject = open_subject(parse_reference({f'recorded:{path}'!r}), role='base', base=None, registry=None)\n"
        "print(len(subject.probes()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_the_examples_of_the_manual_are_read(tmp_path: Path, root: Path) -> None:
    page = (root / "docs" / "subjects.md").read_text(encoding="utf-8")
    example, head = (block.split("\n```")[0] for block in page.split("```json\n")[1:])
    subject = read(write(tmp_path / "a.jsonl", [head, example]))
    (probe,) = subject.probes()
    assert (probe.id, probe.gold, subject.recording.samples["q1"][0].tokens) == ("q1", "4", 1)
    assert subject.generation.decoding == {"temperature": 0.7, "max_new_tokens": 512}


@pytest.mark.parametrize("side", ["base", "trained"])
def test_every_recorded_pair_is_read_whole(recorded_outputs: Path, side: str) -> None:
    """Counts, and for hosts the engines, as the cards state them."""
    for card_path in sorted(recorded_outputs.glob("*/card.json")):
        card = json.loads(card_path.read_text())
        name = next(name for name in card["files"] if name.startswith(f"{side}."))
        subject = read(card_path.parent / name)
        stated = card["files"][name]
        assert len(subject.probes()) == stated["prompts"], card["name"]
        assert subject.facts.properties["samples"] == stated["rows"]
        assert [subject.samples_per_prompt] == stated["samples_per_prompt"]
        facts = subject.generator(Decoding(), Serving()).facts
        decoding = card.get("decoding", {}).get(side, {})
        assert facts.engine == decoding.get("engine", "recorded")
        assert (facts.decoding or {}).get("max_new_tokens") == decoding.get("max_tokens")
